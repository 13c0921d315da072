/**
 * `ip rule`: policy rules, shown and changed. Realms, tunnel ids and l3mdev are refused.
 * @module
 */
import { maskOf, ntoa } from '../../wire/inet.js';
import type { Netns } from '../linux/core/netns.js';
import { RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNREACHABLE } from '../linux/ipv4/fib.js';
import { defaultPriority, FR_ACT_GOTO, FR_ACT_NOP, type FibRule, rule, sameRule } from '../linux/ipv4/fib-rules.js';
import {
  extack, fail, type IpContext, ipProtocol, ipProtocolName, matches, prefix, type Prefix, protocolName, rtnl, TABLES, tosText, tosValue, unsigned, unsupported,
  type Words, wrong,
} from './ip-args.js'; // prettier-ignore

const ACTIONS: Readonly<Record<string, number>> = {
  blackhole: RTN_BLACKHOLE, unreachable: RTN_UNREACHABLE, prohibit: RTN_PROHIBIT,
}; // prettier-ignore
const REFUSED = ['realms', 'tun_id', 'suppress_ifgroup', 'sup_group', 'l3mdev', 'nat', 'map-to'];

/** `ip rule …`: what it prints. */
export function ipRule(c: IpContext, w: Words): string {
  const verb = w.take();
  if (verb === '' || matches(verb, 'list', 'lst', 'show')) return show(c, w, false);
  if (matches(verb, 'add')) return add(c.net, w);
  if (matches(verb, 'delete')) return del(c.net, w);
  if (matches(verb, 'flush')) return show(c, w, true);
  if (matches(verb, 'save', 'restore', 'help')) return unsupported(`ip rule ${verb}`);
  return fail(`Command "${verb}" is unknown, try "ip rule help".`);
}

/** What words say of a rule; null: not said. */
interface RuleWords {
  rule: FibRule;
  from: Prefix | null;
  to: Prefix | null;
  priority: number | null;
  mask: number | null;
  table: number | null;
  action: number | null;
  tos: number | null;
  proto: string | null;
  sport: [number, number] | null;
  dport: [number, number] | null;
}

const isPref = (k: string): boolean => matches(k, 'preference', 'order', 'priority');

function words(w: Words, show: boolean): RuleWords {
  const r: RuleWords = { rule: rule(0, 0), from: null, to: null, priority: null, mask: null, table: null, action: null, tos: null, proto: null, sport: null, dport: null }; // prettier-ignore
  while (w.more) {
    const k = w.take();
    if (k === 'not') r.rule.not = true;
    else if (k === 'from' || (show && matches(k, 'from', 'src'))) r.from = prefix(w.value());
    else if (k === 'to' || (show && matches(k, 'dst', 'to'))) r.to = prefix(w.value());
    else if (isPref(k)) {
      const v = w.value();
      r.priority = unsigned(v) ?? wrong(v, 'preference value is invalid\n');
    } else if (k === 'tos' || matches(k, 'dsfield')) {
      const v = w.value();
      r.tos = tosValue(v) ?? wrong(v, 'TOS value is invalid\n');
    } else if (k === 'fwmark') mark(r, w.value());
    else if (k === 'dev' || k === 'iif') r.rule.iif = ifname(w.value(), '"iif"/"dev"');
    else if (k === 'oif') r.rule.oif = ifname(w.value(), '"oif"');
    else if (matches(k, 'protocol')) {
      const v = w.value();
      r.proto = protocolName(v) ?? wrong(v, '"protocol" value is invalid\n');
    } else if (k === 'lookup' || matches(k, 'table') || (show && matches(k, 'lookup'))) {
      const v = w.value();
      r.table = TABLES.number(v, 0xffffffff) ?? wrong(v, show ? 'table id value is invalid\n' : 'invalid table ID\n');
    } else if (k === 'sup_pl' || matches(k, 'suppress_prefixlength')) {
      const v = w.value();
      r.rule.suppressPrefixlen = unsigned(v, 0x7fffffff) ?? wrong(v, 'suppress_prefixlength value is invalid\n');
    } else if (k === 'uidrange') uidrange(r.rule, w.value());
    else if (k === 'ipproto') {
      const v = w.value();
      r.rule.ipProto = ipProtocol(v) ?? wrong(v, 'Invalid "ipproto" value\n');
    } else if (k === 'sport') [r.rule.sportMin, r.rule.sportMax] = r.sport = portRange(w.value(), 'invalid port range');
    else if (k === 'dport') [r.rule.dportMin, r.rule.dportMax] = r.dport = portRange(w.value(), 'invalid dport range');
    else if (REFUSED.includes(k)) unsupported(`ip rule … ${k}`);
    else if (show) r.to = prefix(k);
    else action(r, k === 'type' ? w.value() : k, w);
  }
  return r;
}

function uidrange(r: FibRule, v: string): void {
  const m = /^\s*(\d+)-\s*(\d+)/.exec(v) ?? wrong(v, 'invalid UID range\n');
  [r.uidMin, r.uidMax] = [Number(m[1]), Number(m[2])];
}

/** `NUMBER` or `NUMBER-NUMBER`, as sscanf("%hu-%hu") reads it. */
function portRange(v: string, bad: string): [number, number] {
  const m = /^\s*(\d+)(?:-\s*(\d+))?/.exec(v) ?? wrong(v, `${bad}\n`);
  const min = Number(m[1]) & 0xffff;
  return [min, m[2] === undefined ? min : Number(m[2]) & 0xffff];
}

/** fib_rule_port_range_valid: 0 and 65535 are none. */
function checkPorts(range: readonly [number, number] | null, what: string): void {
  if (range === null) return;
  const [min, max] = range;
  if (min === 0 || max >= 0xffff || min > max) extack(`Invalid ${what} range`);
}

const ifname = (v: string, what: string): string =>
  v !== '' && v.length <= 15 && !/[/\s]/.test(v) ? v : wrong(v, `${what} not a valid ifname`);

function mark(r: RuleWords, text: string): void {
  const at = text.indexOf('/');
  const value = at < 0 ? text : text.slice(0, at);
  r.rule.mark = (unsigned(value) ?? wrong(value, 'fwmark value is invalid\n')) | 0;
  if (at < 0) return;
  const m = text.slice(at + 1);
  r.mask = (unsigned(m) ?? wrong(m, 'fwmask value is invalid\n')) | 0;
}

function action(r: RuleWords, k: string, w: Words): void {
  if (matches(k, 'goto')) {
    const v = w.value();
    r.action = FR_ACT_GOTO;
    r.rule.target = unsigned(v) ?? wrong(v, 'invalid target\n');
  } else if (matches(k, 'nop')) r.action = FR_ACT_NOP;
  else r.action = ACTIONS[k] ?? wrong(k, 'Failed to parse rule type');
}

/** fib_nl_newrule: a rule of the words, at its priority behind its equals. */
function add(net: Netns, w: Words): string {
  if (!w.more) fail('"ip rule add" requires arguments.', 1);
  const x = words(w, false);
  const r = x.rule;
  if (x.from !== null) ((r.src = x.from.addr), (r.srcPrefix = x.from.prefix));
  if (x.to !== null) ((r.dst = x.to.addr), (r.dstPrefix = x.to.prefix));
  r.mask = x.mask ?? (r.mark === 0 ? 0 : -1);
  r.tos = x.tos ?? 0;
  if ((r.tos & 3) !== 0) rtnl('EINVAL');
  if (r.uidMax >= 0 && r.uidMin > r.uidMax) extack('Invalid uid range');
  checkPorts(x.sport, 'sport');
  checkPorts(x.dport, 'dport');
  r.action = x.action ?? 0;
  r.table = x.action === null ? (x.table ?? 254) : 0;
  r.proto = x.proto ?? 'unspec';
  r.priority = x.priority ?? defaultPriority(net.fib.rules);
  if (r.action === FR_ACT_GOTO && r.target <= r.priority) extack('Backward goto not supported');
  if (net.fib.rules.some((o) => sameRule(o, r))) rtnl('EEXIST');
  net.fib.addRule(r);
  return '';
}

/** fib_nl_delrule: the first rule that has everything the words name. */
function del(net: Netns, w: Words): string {
  if (!w.more) fail('"ip rule del" requires arguments.', 1);
  const x = words(w, false);
  const { rule: q } = x;
  const mask = x.mask ?? (q.mark === 0 ? 0 : -1);
  const hit = net.fib.rules.find(
    (r) =>
      (x.action === null || r.action === x.action) &&
      (x.table === null || x.table === 0 || r.table === x.table) &&
      (x.priority === null || r.priority === x.priority) &&
      (q.iif === '' || r.iif === q.iif) &&
      (q.oif === '' || r.oif === q.oif) &&
      (q.mark === 0 || r.mark === q.mark) &&
      (mask === 0 || r.mask === mask) &&
      (q.suppressPrefixlen < 0 || r.suppressPrefixlen === q.suppressPrefixlen) &&
      (x.tos === null || x.tos === 0 || r.tos === x.tos) &&
      (q.ipProto === 0 || r.ipProto === q.ipProto) &&
      (q.sportMax === 0 || (r.sportMin === q.sportMin && r.sportMax === q.sportMax)) &&
      (q.dportMax === 0 || (r.dportMin === q.dportMin && r.dportMax === q.dportMax)) &&
      (q.uidMax < 0 || (r.uidMin === q.uidMin && r.uidMax === q.uidMax)) &&
      samePrefix(x.from, r.src, r.srcPrefix) &&
      samePrefix(x.to, r.dst, r.dstPrefix),
  );
  if (hit === undefined) return rtnl('ENOENT');
  net.fib.delRule(hit);
  return '';
}

const samePrefix = (p: Prefix | null, addr: number, bits: number): boolean =>
  p === null || p.prefix === 0 || (p.prefix === bits && p.addr === addr);
const within = (p: Prefix | null, addr: number, bits: number): boolean =>
  p === null || (p.prefix <= bits && ((p.addr ^ addr) & maskOf(p.prefix)) === 0);

function show(c: IpContext, w: Words, flush: boolean): string {
  const f = words(w, true);
  let out = '';
  for (const r of [...c.net.fib.rules]) {
    if (!selected(f, r)) continue;
    // A rule of priority 0 carries no priority in its message, and `flush` leaves it.
    if (!flush) out += text(c.net, c.details, r);
    else if (r.priority !== 0 && (f.proto === null || f.proto === r.proto)) c.net.fib.delRule(r);
  }
  return out;
}

function selected(f: RuleWords, r: FibRule): boolean {
  const q = f.rule;
  if (f.priority !== null && r.priority !== f.priority) return false;
  if (q.not && !r.not) return false;
  if (f.tos !== null && r.tos !== f.tos) return false;
  if (q.mark !== 0 && r.mark !== q.mark) return false;
  if (f.mask !== null && f.mask !== 0 && r.mask !== f.mask) return false;
  if (q.iif !== '' && r.iif !== q.iif) return false;
  if (q.oif !== '' && r.oif !== q.oif) return false;
  if (q.uidMax >= 0 && (r.uidMin !== q.uidMin || r.uidMax !== q.uidMax)) return false;
  if (q.ipProto !== 0 && r.ipProto !== q.ipProto) return false;
  if (q.sportMax !== 0 && (r.sportMin !== q.sportMin || r.sportMax !== q.sportMax)) return false;
  if (q.dportMax !== 0 && (r.dportMin !== q.dportMin || r.dportMax !== q.dportMax)) return false;
  if (f.table !== null && f.table !== 0 && r.table !== f.table) return false;
  return within(f.from, r.src, r.srcPrefix) && within(f.to, r.dst, r.dstPrefix);
}

const portsText = (min: number, max: number): string => (min === max ? `${min}` : `${min}-${max}`);

const net = (addr: number, bits: number): string =>
  addr === 0 && bits > 0 ? `0/${bits}` : `${ntoa(addr)}${bits === 32 ? '' : `/${bits}`}`;

/** A rule as `ip rule` prints it, without the tab. */
export const ruleLine = (n: Netns, r: FibRule): string => text(n, false, r).trimEnd().replace('\t', ' ');

/** One rule as `ip [-d] rule` prints it. */
function text(n: Netns, details: boolean, r: FibRule): string {
  const dev = (name: string): string => (n.dev(name) === null ? `${name} [detached]` : name);
  let s = `${r.priority}:\t${r.not ? 'not ' : ''}from ${r.srcPrefix === 0 ? 'all' : net(r.src, r.srcPrefix)}`;
  if (r.dstPrefix !== 0) s += ` to ${net(r.dst, r.dstPrefix)}`;
  if (r.tos !== 0) s += ` tos ${tosText(r.tos)}`;
  if (r.mark !== 0 || r.mask !== 0) {
    const hex = (n: number): string => (n === 0 ? '0' : `0x${(n >>> 0).toString(16)}`);
    s += ` fwmark ${hex(r.mark)}${r.mask === -1 ? '' : `/${hex(r.mask)}`}`;
  }
  if (r.iif !== '') s += ` iif ${dev(r.iif)}`;
  if (r.oif !== '') s += ` oif ${dev(r.oif)}`;
  if (r.uidMax >= 0) s += ` uidrange ${r.uidMin}-${r.uidMax}`;
  if (r.ipProto !== 0) s += ` ipproto ${ipProtocolName(r.ipProto)}`;
  if (r.sportMax !== 0) s += ` sport ${portsText(r.sportMin, r.sportMax)}`;
  if (r.dportMax !== 0) s += ` dport ${portsText(r.dportMin, r.dportMax)}`;
  if (r.table !== 0) {
    s += ` lookup ${TABLES.name(r.table)}`;
    if (r.suppressPrefixlen >= 0) s += ` suppress_prefixlength ${r.suppressPrefixlen}`;
  }
  if (r.action === FR_ACT_GOTO) {
    const there = n.fib.rules.some((o) => o.priority === r.target);
    s += ` goto ${r.target}${there ? '' : ' [unresolved]'}`;
  } else if (r.action === FR_ACT_NOP) s += ' nop';
  else if (r.action !== 0) s += ` ${Object.keys(ACTIONS).find((k) => ACTIONS[k] === r.action)}`;
  if ((r.proto !== 'unspec' && r.proto !== 'kernel') || details) s += ` proto ${r.proto}`;
  return `${s}\n`;
}
