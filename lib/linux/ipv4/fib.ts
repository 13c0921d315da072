/**
 * Routing tables, rules and the longest-prefix lookup.
 *
 * A lookup walks the rules by priority; each table is a list of prefix lengths (longest first), each a Map from network to
 * the routes of that prefix sorted by TOS and metric. `throw` goes on with the next rule.
 *
 * Kernel counterparts: net/ipv4/fib_trie.c, fib_semantics.c; the rules are in fib-rules.ts, the choice among next hops in multipath.ts.
 * @module
 */
import { maskOf } from '../../../wire/inet.js';
import type { Netdev } from '../core/netdev.js';
import type { Dst } from './dst.js';
import type { Flow } from './flow.js';
import { type FibRule, FR_ACT_GOTO, FR_ACT_NOP, needsPorts, rule, ruleMatches } from './fib-rules.js';

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

/** What keeps the routes made of it (nhc_rth_input, nhc_pcpu_rth_output and their like in an exception). */
export interface DstKeeper {
  rthInput: Dst | null;
  rthOutput: Dst | null;
}

/** Where a route leads: a device and, unless the destination is on its link, a gateway (fib_nh). */
export interface NextHop extends DstKeeper {
  /** Next hop, 0: on link. */
  gw: number;
  dev: Netdev | null;
  onlink: boolean;
  /** What redirects and "fragmentation needed" have taught, by destination, the latest change last; null: nothing yet. */
  exceptions: Map<number, Fnhe> | null;
}

/** One next hop of several (`nexthop … weight N`). */
export interface PathHop extends NextHop {
  /** 1..256. */
  weight: number;
  /** A hash up to this one takes this hop (fib_nh_upper_bound), -1 for a hop that is down. */
  upperBound: number;
}

/** An exception of a route for one destination (fib_nh_exception). */
export interface Fnhe extends DstKeeper {
  /** Gateway instead of the route's, 0: none. */
  gw: number;
  /** Path MTU, 0: none. */
  pmtu: number;
  /** The path's MTU is below the least accepted one; packets go without DF. */
  locked: boolean;
  /** Virtual time of its end. */
  expires: number;
}

export interface Route extends NextHop {
  type: number;
  dst: number;
  prefix: number;
  tos: number;
  metric: number;
  /** RTAX_MTU, 0: none; RTAX_LOCK of it. */
  mtu: number;
  mtuLock: boolean;
  scope: number;
  /** Preferred source, 0: none given. */
  src: number;
  /** kernel, boot, static, ... as `ip route` prints it. */
  proto: string;
  table: number;
  /** Several next hops instead of `gw` and `dev`, which then are those of the first. */
  paths: PathHop[] | null;
}

/** A route of these words, with nothing learned yet; every Route is made here, so that all have one shape. */
export function newRoute(r: Omit<Route, 'exceptions' | keyof DstKeeper>): Route {
  return {
    type: r.type, dst: r.dst, prefix: r.prefix, tos: r.tos, metric: r.metric, gw: r.gw, dev: r.dev, scope: r.scope, src: r.src,
    proto: r.proto, onlink: r.onlink, table: r.table, mtu: r.mtu, mtuLock: r.mtuLock, paths: r.paths, exceptions: null,
    rthInput: null, rthOutput: null,
  }; // prettier-ignore
}

/** How a route enters a table (NLM_F_*): `add` is CREATE|EXCL, `replace` CREATE|REPLACE, `append` CREATE|APPEND. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

export type FibError = 'EEXIST' | 'ENOENT';

/** The routes of one prefix length of a table, by network. */
interface Level {
  readonly prefix: number;
  readonly mask: number;
  readonly nets: Map<number, Route[]>;
}

/** The best route of some levels, the longest prefix first (fib_table_lookup); null: none. */
function lookupLevels(levels: readonly Level[], daddr: number, tos: number, oif: Netdev | null, scope: number): Route | null {
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i]!;
    const list = level.nets.get(daddr & level.mask);
    if (list === undefined) continue;
    for (let k = 0; k < list.length; k++) {
      const r = list[k]!;
      if ((r.tos !== 0 && r.tos !== tos) || r.scope < scope) continue;
      if (r.paths !== null) {
        if (!usable(r.paths, oif)) continue;
        return r;
      }
      if (oif !== null && r.dev !== oif && r.type < RTN_BLACKHOLE) continue;
      if (r.dev !== null && !r.dev.up && r.type !== RTN_LOCAL) continue;
      return r;
    }
  }
  return null;
} // prettier-ignore

/** One routing table. */
export class FibTable {
  readonly id: number;
  /** The longest prefix first. */
  levels: Level[] = [];
  /** Every route, in the order of insertion. */
  routes: Route[] = [];
  /** Held a route at some time: the kernel makes a table with its first route. */
  used = false;
  private readonly fib: Fib;

  constructor(id: number, fib: Fib) {
    this.id = id;
    this.fib = fib;
  }

  /** Adds a route behind those of the same prefix, TOS and metric (fib_magic); false when the very same exists. */
  add(r: Route): boolean {
    return this.insert(r, NLM_F_CREATE | NLM_F_APPEND) === null;
  }

  /** fib_table_insert: null when done. Routes of one prefix stand by TOS (highest first), then metric (lowest first). */
  insert(r: Route, flags: number): FibError | null {
    const list = this.levelOf(r.prefix).nets.get(r.dst) ?? [];
    let at = list.findIndex((x) => x.tos < r.tos || (x.tos === r.tos && x.metric >= r.metric));
    if (at < 0) at = list.length;
    const equal = (x: Route | undefined): boolean => x !== undefined && x.tos === r.tos && x.metric === r.metric;
    if (equal(list[at])) {
      if ((flags & NLM_F_EXCL) !== 0) return 'EEXIST';
      const same = list.findIndex((x) => equal(x) && sameRoute(x, r));
      if ((flags & NLM_F_REPLACE) !== 0) {
        if (same >= 0) return same === at ? null : 'EEXIST';
        this.routes[this.routes.indexOf(list[at]!)] = r;
        list[at] = r;
        this.fib.genid++;
        return null;
      }
      if (same >= 0) return 'EEXIST';
      if ((flags & NLM_F_APPEND) !== 0) while (equal(list[at])) at++;
    }
    if ((flags & NLM_F_CREATE) === 0) return 'ENOENT';
    list.splice(at, 0, r);
    this.levelOf(r.prefix).nets.set(r.dst, list);
    this.routes.push(r);
    this.used = true;
    this.fib.genid++;
    return null;
  }

  private levelOf(prefix: number): Level {
    let level = this.levels.find((l) => l.prefix === prefix);
    if (level === undefined) {
      level = { prefix, mask: maskOf(prefix), nets: new Map() };
      this.levels.push(level);
      this.levels.sort((a, b) => b.prefix - a.prefix);
      this.fib.merge();
    }
    return level;
  }

  /** Every route in the order the kernel lists them (fn_trie_dump): by network, the longest prefix first. */
  dump(): Route[] {
    const rank = new Map<Route, number>();
    for (const l of this.levels) for (const list of l.nets.values()) list.forEach((r, i) => rank.set(r, i));
    return [...this.routes].sort(
      (a, b) => (a.dst >>> 0) - (b.dst >>> 0) || b.prefix - a.prefix || rank.get(a)! - rank.get(b)!,
    );
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
    if (gone.length > 0) {
      this.routes = this.routes.filter((r) => !gone.includes(r));
      this.fib.genid++;
    }
    return gone.length;
  }

  /** The best route for an address, of at least `scope`, restricted to an output device when given; null: none. */
  lookup(daddr: number, tos: number, oif: Netdev | null, scope = 0): Route | null {
    return lookupLevels(this.levels, daddr, tos, oif, scope);
  }
}

/** Addresses whose route is remembered: a power of two. */
const MEMO = 64;
const MEMO_SHIFT = 26;

/** The tables and rules of one namespace. */
export class Fib {
  readonly tables = new Map<number, FibTable>();
  rules: FibRule[] = [];
  /** The rules have been changed (fib_has_custom_rules). */
  custom = false;
  /** A route of type local has been added by hand (fib_has_custom_local_routes). */
  customLocal = false;
  /** A rule asks for the protocol or ports of received packets (fib_rules_require_fldissect). */
  needsPorts = false;
  /** The rule whose table gave the last look-up its route; null: none did, or there are no rules but the kernel's own. */
  matched: FibRule | null = null;
  /** Rises with every change: sockets look their route up anew (rt_genid_ipv4). */
  genid = 0;
  /** The routes of what is delivered here, by RTCF_*, and of what has no route, by errno. */
  readonly deliver: (Dst | undefined)[] = [];
  readonly errors = new Map<number, Dst>();
  readonly local: FibTable;
  readonly main: FibTable;
  private readonly default: FibTable;
  /** The levels of local and main: until there is a rule the two are one trie (fib_unmerge), local first at equal length. */
  private merged: readonly Level[] = [];

  constructor() {
    this.local = this.table(TABLE_LOCAL);
    this.main = this.table(TABLE_MAIN);
    this.default = this.table(TABLE_DEFAULT);
    this.rules = [rule(0, TABLE_LOCAL), rule(32766, TABLE_MAIN), rule(32767, TABLE_DEFAULT)];
  }

  table(id: number): FibTable {
    let t = this.tables.get(id);
    if (t === undefined) {
      t = new FibTable(id, this);
      this.tables.set(id, t);
    }
    return t;
  }

  /** What the last look-ups in `merged` found, by a hash of the address; holds while `genid` is that of the memory. */
  private memoAddr: Int32Array | null = null;
  private readonly memoRoute: (Route | null)[] = [];
  private memoGenid = -1;

  /** lookupLevels in local and main for TOS 0 on any device, remembered until the tables or devices change. */
  private lookupMerged(daddr: number): Route | null {
    if (this.memoGenid !== this.genid) {
      this.memoGenid = this.genid;
      this.memoAddr ??= new Int32Array(MEMO);
      this.memoAddr.fill(0);
      for (let i = 0; i < MEMO; i++) this.memoRoute[i] = null;
    }
    const i = Math.imul(daddr, 0x9e3779b1) >>> MEMO_SHIFT;
    // 0 is nobody's destination here: an empty place is never taken for an answer.
    if (this.memoAddr![i] === daddr && daddr !== 0) return this.memoRoute[i]!;
    const r = lookupLevels(this.merged, daddr, 0, null, 0);
    this.memoAddr![i] = daddr;
    this.memoRoute[i] = r;
    return r;
  }

  /** Levels have come: the common order of local and main is made anew. */
  merge(): void {
    if (this.main === undefined) return;
    this.merged = [...this.local.levels, ...this.main.levels].sort((a, b) => b.prefix - a.prefix);
  }

  /** What the table local knows of an address: with main in it as long as there are no rules (fib_get_table of a merged one). */
  lookupLocal(addr: number): Route | null {
    return this.custom ? this.local.lookup(addr, 0, null) : this.lookupMerged(addr);
  }

  /** fib_lookup without rules: local and main as one, then default, also where main says that there is no way. */
  private lookupMain(fl: Flow, scope: number): Route | null {
    const plain = fl.tos === 0 && fl.oif === null && scope === 0;
    const r = plain ? this.lookupMerged(fl.daddr) : lookupLevels(this.merged, fl.daddr, fl.tos, fl.oif, scope);
    if (r !== null && r.type < RTN_BLACKHOLE) return r;
    const last = this.default.used ? this.default.lookup(fl.daddr, fl.tos, fl.oif, scope) : r;
    return last !== null && last.type === RTN_THROW ? null : last;
  }

  /** Adds a rule in priority order, after equals. */
  addRule(r: FibRule): void {
    this.custom = true;
    this.genid++;
    let i = 0;
    while (i < this.rules.length && this.rules[i]!.priority <= r.priority) i++;
    this.rules.splice(i, 0, r);
    this.needsPorts = this.rules.some(needsPorts);
  }

  delRule(r: FibRule): void {
    this.custom = true;
    this.genid++;
    this.rules = this.rules.filter((x) => x !== r);
    this.needsPorts = this.rules.some(needsPorts);
  }

  /**
   * fib_lookup: the route that the rules and tables give, or null when nothing matches; `scope` is the least it must have.
   */
  lookup(fl: Flow, scope = 0): Route | null {
    if (!this.custom) return this.lookupMain(fl, scope);
    this.matched = null;
    const rules = this.rules;
    for (let i = 0; i < rules.length; i++) {
      const r = rules[i]!;
      if (!ruleMatches(r, fl)) continue;
      if (r.action === FR_ACT_GOTO) {
        const to = this.find(r.target, i);
        if (to < 0) continue;
        // The target is looked at next, as any rule.
        i = to - 1;
        continue;
      }
      if (r.action === FR_ACT_NOP) continue;
      // Unlike a route of that type, an unreachable rule says that there is no network (fib4_rule_action).
      if (r.action === RTN_UNREACHABLE) return null;
      if (r.action !== 0) return ACTIONS[r.action]!;
      const t = this.tables.get(r.table);
      if (t === undefined) continue;
      const found = t.lookup(fl.daddr, fl.tos, fl.oif, scope);
      if (found === null || found.type === RTN_THROW) continue;
      if (found.prefix <= r.suppressPrefixlen && found.type < RTN_BLACKHOLE) continue;
      this.matched = r;
      return found;
    }
    return null;
  }

  /** Place of the first rule of a priority behind `after`, or -1. */
  private find(priority: number, after: number): number {
    for (let i = after + 1; i < this.rules.length; i++) if (this.rules[i]!.priority === priority) return i;
    return -1;
  }
}

/** True when one of several next hops is up, and on the device where one is asked for. */
function usable(paths: readonly PathHop[], oif: Netdev | null): boolean {
  for (let i = 0; i < paths.length; i++) {
    const { dev } = paths[i]!;
    if (dev !== null && dev.up && (oif === null || dev === oif)) return true;
  }
  return false;
}

const samePaths = (a: PathHop[] | null, b: PathHop[] | null): boolean =>
  a === null || b === null
    ? a === b
    : a.length === b.length &&
      a.every(
        (p, i) => p.gw === b[i]!.gw && p.dev === b[i]!.dev && p.weight === b[i]!.weight && p.onlink === b[i]!.onlink,
      );

const sameRoute = (a: Route, b: Route): boolean =>
  samePaths(a.paths, b.paths) &&
  a.type === b.type &&
  a.gw === b.gw &&
  a.dev === b.dev &&
  a.scope === b.scope &&
  a.src === b.src &&
  a.proto === b.proto &&
  a.mtu === b.mtu &&
  a.mtuLock === b.mtuLock &&
  a.onlink === b.onlink;

const action = (type: number): Route =>
  newRoute({
    type, dst: 0, prefix: 0, tos: 0, metric: 0, gw: 0, dev: null, scope: 0, src: 0, proto: '', onlink: false, table: 0,
    mtu: 0, mtuLock: false, paths: null,
  }); // prettier-ignore
const ACTIONS: Record<number, Route> = {
  [RTN_BLACKHOLE]: action(RTN_BLACKHOLE),
  [RTN_PROHIBIT]: action(RTN_PROHIBIT),
};
