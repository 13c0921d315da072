/**
 * Routing tables, rules and the longest-prefix lookup.
 *
 * A lookup walks the rules by priority; each table is a list of prefix lengths (longest first), each a Map from network to
 * the routes of that prefix sorted by TOS and metric. `throw` goes on with the next rule.
 *
 * Kernel counterparts: net/ipv4/fib_trie.c, fib_rules.c, fib_semantics.c. Not here: multipath.
 * @module
 */
import { maskOf } from '../../../wire/inet.js';
import type { Netdev } from '../core/netdev.js';

export const RTN_UNSPEC = 0;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_ANYCAST = 4;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;
export const RTN_THROW = 9;

export const TABLE_DEFAULT = 253;
export const TABLE_MAIN = 254;
export const TABLE_LOCAL = 255;

export const SCOPE_UNIVERSE = 0;
export const SCOPE_LINK = 253;
export const SCOPE_HOST = 254;
export const SCOPE_NOWHERE = 255;

export interface Route {
  type: number;
  dst: number;
  prefix: number;
  tos: number;
  metric: number;
  /** Next hop, 0: on link. */
  gw: number;
  dev: Netdev | null;
  scope: number;
  /** Preferred source, 0: none given. */
  src: number;
  /** kernel, boot, static, ... as `ip route` prints it. */
  proto: string;
  onlink: boolean;
  table: number;
}

export interface FibRule {
  priority: number;
  src: number;
  srcPrefix: number;
  dst: number;
  dstPrefix: number;
  mark: number;
  mask: number;
  iif: string;
  oif: string;
  tos: number;
  not: boolean;
  /** Table to look up, 0 with an action. */
  table: number;
  /** 0 look up, or RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT. */
  action: number;
}

interface Level {
  prefix: number;
  mask: number;
  nets: Map<number, Route[]>;
}

/** One routing table. */
export class FibTable {
  readonly id: number;
  private levels: Level[] = [];
  /** Every route, in the order of insertion, for printing. */
  routes: Route[] = [];

  constructor(id: number) {
    this.id = id;
  }

  /** Inserts a route; false when one with the same prefix, TOS, metric, and next hop exists. */
  add(r: Route): boolean {
    let level = this.levels.find((l) => l.prefix === r.prefix);
    if (level === undefined) {
      level = { prefix: r.prefix, mask: maskOf(r.prefix), nets: new Map() };
      this.levels.push(level);
      this.levels.sort((a, b) => b.prefix - a.prefix);
    }
    const list = level.nets.get(r.dst) ?? [];
    if (list.some((x) => x.tos === r.tos && x.metric === r.metric && (r.type !== RTN_LOCAL || x.dev === r.dev))) {
      return false;
    }
    list.push(r);
    list.sort((a, b) => b.tos - a.tos || a.metric - b.metric);
    level.nets.set(r.dst, list);
    this.routes.push(r);
    return true;
  }

  /** Removes the routes that satisfy `test`; returns how many. */
  remove(test: (r: Route) => boolean): number {
    const gone = this.routes.filter(test);
    for (const r of gone) {
      const level = this.levels.find((l) => l.prefix === r.prefix)!;
      const list = level.nets.get(r.dst)!.filter((x) => x !== r);
      if (list.length === 0) level.nets.delete(r.dst);
      else level.nets.set(r.dst, list);
    }
    if (gone.length > 0) this.routes = this.routes.filter((r) => !gone.includes(r));
    return gone.length;
  }

  /** The best route for an address, restricted to an output device when given; null: none. */
  lookup(daddr: number, tos: number, oif: Netdev | null): Route | null {
    for (let i = 0; i < this.levels.length; i++) {
      const level = this.levels[i]!;
      const list = level.nets.get(daddr & level.mask);
      if (list === undefined) continue;
      for (let k = 0; k < list.length; k++) {
        const r = list[k]!;
        if (r.tos !== 0 && r.tos !== tos) continue;
        if (oif !== null && r.dev !== oif && r.type < RTN_BLACKHOLE) continue;
        if (r.dev !== null && !r.dev.up && r.type !== RTN_LOCAL) continue;
        return r;
      }
    }
    return null;
  }
}

/** The tables and rules of one namespace. */
export class Fib {
  readonly tables = new Map<number, FibTable>();
  rules: FibRule[] = [];
  readonly local: FibTable;
  readonly main: FibTable;

  constructor() {
    this.local = this.table(TABLE_LOCAL);
    this.main = this.table(TABLE_MAIN);
    this.table(TABLE_DEFAULT);
    this.rules = [rule(0, TABLE_LOCAL), rule(32766, TABLE_MAIN), rule(32767, TABLE_DEFAULT)];
  }

  table(id: number): FibTable {
    let t = this.tables.get(id);
    if (t === undefined) {
      t = new FibTable(id);
      this.tables.set(id, t);
    }
    return t;
  }

  /** Adds a rule in priority order, after equals. */
  addRule(r: FibRule): void {
    let i = 0;
    while (i < this.rules.length && this.rules[i]!.priority <= r.priority) i++;
    this.rules.splice(i, 0, r);
  }

  /**
   * fib_lookup: the route that the rules and tables give, or null when nothing matches.
   * `iif` names the receiving device, empty for local output.
   */
  lookup(daddr: number, saddr: number, tos: number, mark: number, iif: string, oif: Netdev | null): Route | null {
    const rules = this.rules;
    for (let i = 0; i < rules.length; i++) {
      const r = rules[i]!;
      if (r.priority !== 0 && !ruleMatches(r, daddr, saddr, tos, mark, iif, oif)) continue;
      if (r.action !== 0) return ACTIONS[r.action]!;
      const t = this.tables.get(r.table);
      if (t === undefined) continue;
      const found = t.lookup(daddr, tos, oif);
      if (found === null || found.type === RTN_THROW) continue;
      return found;
    }
    return null;
  }
}

function ruleMatches(
  r: FibRule,
  daddr: number,
  saddr: number,
  tos: number,
  mark: number,
  iif: string,
  oif: Netdev | null,
): boolean {
  const hit =
    ((saddr ^ r.src) & maskOf(r.srcPrefix)) === 0 &&
    ((daddr ^ r.dst) & maskOf(r.dstPrefix)) === 0 &&
    ((mark ^ r.mark) & r.mask) === 0 &&
    (r.tos === 0 || r.tos === tos) &&
    (r.iif === '' || r.iif === (iif === '' ? 'lo' : iif)) &&
    (r.oif === '' || (oif !== null && r.oif === oif.name));
  return hit !== r.not;
}

/** A rule without selectors. */
export function rule(priority: number, table: number): FibRule {
  return {
    priority, src: 0, srcPrefix: 0, dst: 0, dstPrefix: 0, mark: 0, mask: 0, iif: '', oif: '', tos: 0, not: false, table, action: 0,
  }; // prettier-ignore
}

const action = (type: number): Route => ({
  type, dst: 0, prefix: 0, tos: 0, metric: 0, gw: 0, dev: null, scope: 0, src: 0, proto: '', onlink: false, table: 0,
}); // prettier-ignore
const ACTIONS: Record<number, Route> = {
  [RTN_BLACKHOLE]: action(RTN_BLACKHOLE),
  [RTN_UNREACHABLE]: action(RTN_UNREACHABLE),
  [RTN_PROHIBIT]: action(RTN_PROHIBIT),
};
