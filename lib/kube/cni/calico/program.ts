/**
 * What Felix has programmed on a node, and the commands from there to what it wants: iptables by the hashes of the rules, ipsets
 * by their members.
 *
 * Upstream: projectcalico/calico v3.31, felix/iptables/table.go, felix/ipsets/ipsets.go. Felix finds what it has programmed by
 * reading it back; here it is remembered. A set that is new is made and filled at once there too, others change member by member.
 * @module
 */
import type { Chain, FelixIpset, Rule } from './felix.js';
import { appended, renderRule, ruleHashes } from './hash.js';
import type { TableModel } from './static-chains.js';

/** Of chains that many nodes share, or that do not change. */
const hashed = new WeakMap<Chain, readonly string[]>();

function hashesOf(c: Chain): readonly string[] {
  const known = hashed.get(c);
  if (known !== undefined) return known;
  const hashes = ruleHashes(c);
  hashed.set(c, hashes);
  return hashes;
}

const comment = (hash: string): string => `-m comment --comment "cali:${hash}"`;

interface Known {
  chain: Chain;
  hashes: readonly string[];
}

/** The hashes of a chain that was programmed as `before`: most chains are as they were, and hashing is what takes the time. */
function known(c: Chain, before: Known | undefined): Known {
  if (before === undefined || !sameRules(c.rules, before.chain.rules)) return { chain: c, hashes: hashesOf(c) };
  return before;
}

const sameRules = (a: readonly Rule[], b: readonly Rule[]): boolean =>
  a === b || (a.length === b.length && a.every((r, i) => sameRule(r, b[i]!)));
const sameRule = (a: Rule, b: Rule): boolean =>
  a === b ||
  (a.match === b.match &&
    a.action === b.action &&
    a.comment.length === b.comment.length &&
    a.comment.every((c, i) => c === b.comment[i]));

/** A node's iptables. */
export class IptablesProgram {
  private readonly node: string;
  /** By table, then chain. */
  private readonly known = new Map<string, Map<string, Known>>();

  constructor(node: string) {
    this.node = node;
  }

  /** One iptables-restore, or nothing when all is as it should be. The jumps of the kernel's chains are written once. */
  apply(tables: readonly TableModel[]): string[] {
    const body = tables.flatMap((t) => this.table(t));
    return body.length === 0 ? [] : [[`ip netns exec ${this.node} iptables-restore --noflush <<'EOF'`, ...body, 'EOF'].join('\n')]; // prettier-ignore
  }

  private table(t: TableModel): string[] {
    const had = this.known.get(t.table);
    const now = new Map(t.chains.map((c) => [c.name, known(c, had?.get(c.name))] as const));
    this.known.set(t.table, now);
    const [heads, rules]: [string[], string[]] = [[], []];
    for (const c of t.chains) {
      const before = had?.get(c.name);
      if (before === undefined) heads.push(`:${c.name} - [0:0]`);
      for (const line of changes(c, before?.hashes ?? [], now.get(c.name)!.hashes)) rules.push(line);
    }
    if (had === undefined) rules.push(...t.inserts.flatMap(inserts), ...t.appends.flatMap(appends));
    const gone = [...(had?.keys() ?? [])].filter((name) => !now.has(name));
    heads.push(...gone.map((name) => `:${name} - [0:0]`));
    if (heads.length + rules.length === 0) return [];
    return [`*${t.table}`, ...heads, ...rules, ...gone.map((name) => `-X ${name}`), 'COMMIT'];
  }
}

/** From the rules that a chain has to those it should have. */
function changes(c: Chain, before: readonly string[], now: readonly string[]): string[] {
  const out = c.rules.flatMap((r, i): string[] => {
    if (before[i] === now[i]) return [];
    const head = i < before.length ? `-R ${c.name} ${i + 1}` : `-A ${c.name}`;
    return [renderRule(head, comment(now[i]!), r)];
  });
  for (let i = now.length; i < before.length; i++) out.push(`-D ${c.name} ${now.length + 1}`);
  return out;
}

/** At the top of a kernel's chain, the last one first. */
const inserts = (c: Chain): string[] =>
  ruleHashes(c).map((hash, i) => renderRule(`-I ${c.name}`, comment(hash), c.rules[i]!)).reverse(); // prettier-ignore

function appends(c: Chain): string[] {
  const hashes = ruleHashes({ name: appended(c.name), rules: c.rules });
  return c.rules.map((r: Rule, i) => renderRule(`-A ${c.name}`, comment(hashes[i]!), r));
}

/** A node's ipsets. */
export class IpsetProgram {
  private readonly node: string;
  private known = new Map<string, FelixIpset>();

  constructor(node: string) {
    this.node = node;
  }

  /** What has to be done before the rules that use the sets, and after those that used them are gone. */
  apply(want: readonly FelixIpset[]): { before: string[]; after: string[] } {
    const now = new Map(want.map((s) => [s.name, s]));
    const lines = want.flatMap((s) => this.set(s));
    const gone = [...this.known.keys()].filter((name) => !now.has(name));
    this.known = now;
    const ipset = `ip netns exec ${this.node} ipset`;
    return {
      before: lines.length === 0 ? [] : [[`${ipset} restore <<'EOF'`, ...lines, 'EOF'].join('\n')],
      after: gone.map((name) => `${ipset} destroy ${name}`),
    };
  }

  private set(s: FelixIpset): string[] {
    const had = this.known.get(s.name);
    if (had !== undefined && had.type !== s.type) throw new Error(`BUG: ipset ${s.name} was ${had.type}, is ${s.type}`);
    const [before, now] = [new Set(had?.members), new Set(s.members)];
    return [
      ...(had === undefined ? [`create ${s.name} ${s.type} family inet maxelem 1048576`] : []),
      ...[...before].filter((m) => !now.has(m)).map((m) => `del ${s.name} ${m}`),
      ...[...now].filter((m) => !before.has(m)).map((m) => `add ${s.name} ${m}`),
    ];
  }
}
