/**
 * Rules of policies as rules of iptables.
 *
 * What one rule of iptables cannot say (several networks, more than 15 ports, ports by number or by name) becomes a block of rules
 * that leave their result in a mark: SCRATCH0 while all blocks so far match, SCRATCH1 within a block after the first.
 * Upstream: felix/rules/policy.go.
 * @module
 */
import { all, clearMark, DROP, MARK_ACCEPT, MARK_DROP, MARK_PASS, MARK_SCRATCH0, MARK_SCRATCH1, markClear, markIs, RETURN, type Rule, rule, setMark } from '../felix.js'; // prettier-ignore
import { ipsetName } from '../hash.js';
import type { ParsedRule, ParsedSide, PortRange } from './parse.js';

/** The words of iptables for the source or the destination of a packet. */
const SOURCE = { net: '--source', set: 'src', ports: '--source-ports' } as const;
const DESTINATION = { net: '--destination', set: 'dst', ports: '--destination-ports' } as const;
type Words = typeof SOURCE | typeof DESTINATION;

const MAX_PORTS = 15;

/** SplitPortList: parts that multiport has room for; a range takes two places. */
export function splitPorts(ports: readonly PortRange[]): PortRange[][] {
  const out: PortRange[][] = [];
  let room = 0;
  for (const p of ports) {
    const size = p.first === p.last ? 1 : 2;
    if (room < size) {
      out.push([]);
      room = MAX_PORTS;
    }
    out.at(-1)!.push(p);
    room -= size;
  }
  return out;
}

const portsText = (ports: readonly PortRange[]): string =>
  ports.map((p) => (p.first === p.last ? String(p.first) : `${p.first}:${p.last}`)).join(',');
const multiport = (w: Words, ports: readonly PortRange[], not = ''): string =>
  `-m multiport ${not}${w.ports} ${portsText(ports)}`;
const matchSet = (id: string, how: string, not = ''): string => `-m set ${not}--match-set ${ipsetName(id)} ${how}`;
const matchProtocol = (p: number | string | null): string => (p === null ? '' : `-p ${p}`);

/** The networks of a family; null where that leaves none of some, or denies all. */
function ofV4(nets: readonly string[], negated: boolean): string[] | null {
  const own = nets.filter((n) => !n.includes(':'));
  if (nets.length > 0 && own.length === 0) return null;
  return negated && own.includes('0.0.0.0/0') ? null : own;
}

function sideV4(s: ParsedSide): ParsedSide | null {
  const [nets, notNets] = [ofV4(s.nets, false), ofV4(s.notNets, true)];
  return nets === null || notNets === null ? null : { ...s, nets, notNets };
}

/** matchBlockBuilder: the rules of the blocks, and what is left of a side for the last rule. */
class Blocks {
  readonly rules: Rule[] = [];
  private positive = false;

  private begin(marks: number): void {
    if (this.rules.length === 0) this.rules.push(rule('', setMark(marks, MARK_SCRATCH0 | MARK_SCRATCH1)));
  }

  private anyOf(matches: readonly string[]): void {
    this.begin(0);
    const mark = this.positive ? MARK_SCRATCH1 : MARK_SCRATCH0;
    for (const m of matches) this.rules.push(rule(m, setMark(mark)));
    if (this.positive) this.rules.push(rule(markClear(MARK_SCRATCH1), clearMark(MARK_SCRATCH0)));
    this.positive = true;
  }

  ports(s: ParsedSide, w: Words, protocol: ParsedRule['protocol']): ParsedSide {
    const splits = splitPorts(s.ports);
    if (splits.length + s.namedPorts.length <= 1) return s;
    this.anyOf([
      ...splits.map((x) => all(matchProtocol(protocol), multiport(w, x))),
      ...s.namedPorts.map((id) => matchSet(id, `${w.set},${w.set}`)),
    ]);
    return { ...s, ports: [], namedPorts: [] };
  }

  nets(s: ParsedSide, w: Words): ParsedSide {
    if (s.nets.length <= 1) return s;
    this.anyOf(s.nets.map((n) => `${w.net} ${n}`));
    return { ...s, nets: [] };
  }

  notNets(s: ParsedSide, w: Words): ParsedSide {
    if (s.notNets.length === 0 || s.nets.length + s.notNets.length <= 1) return s;
    this.begin(MARK_SCRATCH0);
    for (const n of s.notNets) this.rules.push(rule(`${w.net} ${n}`, clearMark(MARK_SCRATCH0)));
    return { ...s, notNets: [] };
  }
}

/** The positive matches of one side in the last rule. */
const matchSide = (s: ParsedSide, w: Words): string =>
  all(
    ...s.nets.map((n) => `${w.net} ${n}`),
    ...s.sets.map((id) => matchSet(id, w.set)),
    s.ports.length === 0 ? '' : multiport(w, s.ports),
    ...s.namedPorts.map((id) => matchSet(id, `${w.set},${w.set}`)),
  );

const matchNotSide = (s: ParsedSide, w: Words): string =>
  all(
    ...s.notNets.map((n) => `! ${w.net} ${n}`),
    ...s.notSets.map((id) => matchSet(id, w.set, '! ')),
    ...splitPorts(s.notPorts).map((x) => multiport(w, x, '! ')),
    ...s.notNamedPorts.map((id) => matchSet(id, `${w.set},${w.set}`, '! ')),
  );

const matchIcmp = (f: ParsedRule['icmp'], not = ''): string =>
  f === null ? '' : `-m icmp ${not}--icmp-type ${f.type}${f.code === null ? '' : `/${f.code}`}`;

/** LogAction with the prefix that LogPrefix has by default. */
const LOG = '--jump LOG --log-prefix "calico-packet: " --log-level 5';

const VERDICTS: Readonly<Record<Exclude<ParsedRule['action'], 'log'>, [mark: number, action: string]>> = {
  allow: [MARK_ACCEPT, RETURN],
  pass: [MARK_PASS, RETURN],
  deny: [MARK_DROP, DROP],
};

function withVerdict(match: string, action: ParsedRule['action']): Rule[] {
  if (action === 'log') return [rule(match, LOG)];
  const [mark, target] = VERDICTS[action];
  return [rule(match, setMark(mark)), rule(markIs(mark), target)];
}

/** ProtoRuleToIptablesRules for IPv4; none where the rule is about IPv6 alone. */
export function renderRule(r: ParsedRule): Rule[] {
  if (r.ipVersion === 6) return [];
  let [source, destination] = [sideV4(r.source), sideV4(r.destination)];
  if (source === null || destination === null) return [];
  const blocks = new Blocks();
  source = blocks.ports(source, SOURCE, r.protocol);
  destination = blocks.ports(destination, DESTINATION, r.protocol);
  source = blocks.nets(source, SOURCE);
  destination = blocks.nets(destination, DESTINATION);
  source = blocks.notNets(source, SOURCE);
  destination = blocks.notNets(destination, DESTINATION);
  const match = all(
    matchProtocol(r.protocol),
    matchSide(source, SOURCE),
    matchSide(destination, DESTINATION),
    matchIcmp(r.icmp),
    r.notProtocol === null ? '' : `! ${matchProtocol(r.notProtocol)}`,
    matchNotSide(source, SOURCE),
    matchNotSide(destination, DESTINATION),
    matchIcmp(r.notIcmp, '! '),
    blocks.rules.length === 0 ? '' : markIs(MARK_SCRATCH0),
  );
  const said = Object.entries(r.annotations).map(([k, v]) => `${k}=${v}`);
  return [...blocks.rules, ...withVerdict(match, r.action)].map((x) => rule(x.match, x.action, ...x.comment, ...said));
}

/** ProtoRulesToIptablesRules: the rules of a chain, the first with the chain's comment. A RETURN at its end does nothing and is left out. */
export function renderRules(rules: readonly ParsedRule[], comment: string): Rule[] {
  const out = rules.flatMap(renderRule);
  while (out.at(-1)?.action === RETURN) out.pop();
  if (out.length === 0) out.push(rule('', ''));
  const first = out[0]!;
  out[0] = rule(first.match, first.action, ...first.comment, comment);
  return out;
}
