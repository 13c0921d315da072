/**
 * `ip route show|flush|get`: routes as iproute2 prints them.
 * @module
 */
import { put16 } from '../../wire/bytes.js';
import { isMulticast, maskOf, ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as udp from '../../wire/udp.js';
import type { Netdev } from '../linux/core/netdev.js';
import { SEC } from '../sim/sim.js';
import { type Dst, nexthop } from '../linux/ipv4/dst.js';
import { type PathHop, type Route, RTN_UNICAST, TABLE_LOCAL, TABLE_MAIN } from '../linux/ipv4/fib.js';
import { Flow } from '../linux/ipv4/flow.js';
import {
  EACCES, EHOSTUNREACH, ENETUNREACH, isErr, routeInput, routeOutput, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST,
} from '../linux/ipv4/route.js'; // prettier-ignore
import {
  address, device, extack, fail, type IpContext, ipProtocol, matches, prefix, type Prefix, protocolName, rtnl, SCOPES, strerror, TABLES, tosText,
  tosValue, unsigned, unsupported, type Words, wrong,
} from './ip-args.js'; // prettier-ignore
import { linkdown, ROUTE_TYPES } from './ip-route.js';

interface Filter {
  /** 0: all tables. */
  table: number;
  tos: number | null;
  proto: string | null;
  scope: number | null;
  type: number | null;
  dev: Netdev | null;
  metric: number | null;
  via: Prefix | null;
  src: Prefix | null;
  /** Routes within a prefix, and routes that hold one. */
  root: Prefix | null;
  match: Prefix | null;
}

const ANY: Filter = { table: 0, tos: null, proto: null, scope: null, type: null, dev: null, metric: null, via: null, src: null, root: null, match: null }; // prettier-ignore

function filter(c: IpContext, w: Words): Filter {
  const f: Filter = { ...ANY, table: TABLE_MAIN };
  let dev: string | null = null;
  while (w.more) {
    const k = w.take();
    if (matches(k, 'table')) {
      const v = w.value();
      if (v === 'cache') unsupported('ip route show table cache');
      f.table = v === 'all' ? 0 : (TABLES.number(v, 0xffffffff) ?? wrong(v, 'table id value is invalid\n'));
    } else if (k === 'tos' || matches(k, 'dsfield')) {
      const v = w.value();
      f.tos = tosValue(v) ?? wrong(v, 'TOS value is invalid\n');
    } else if (matches(k, 'protocol')) {
      const v = w.value();
      f.proto = v === 'all' ? null : (protocolName(v) ?? wrong(v, 'invalid "protocol"\n'));
    } else if (k === 'scope' || matches(k, 'scope')) {
      const v = w.value();
      f.scope = v === 'all' ? null : (SCOPES.number(v, 255) ?? wrong(v, 'invalid "scope"\n'));
    } else if (matches(k, 'type')) {
      const v = w.value();
      f.type = ROUTE_TYPES[v] ?? wrong(v, 'node type value is invalid\n');
    } else if (k === 'dev' || k === 'oif') dev = w.value();
    else if (matches(k, 'metric', 'priority') || k === 'preference') {
      const v = w.value();
      f.metric = unsigned(v) ?? wrong(v, '"metric" value is invalid\n');
    } else if (k === 'via') f.via = prefix(w.value());
    else if (k === 'src') f.src = prefix(w.value());
    else if (['iif', 'mark', 'vrf', 'cached', 'cloned', 'realms', 'from'].includes(k))
      unsupported(`ip route show ${k}`);
    else selector(f, k, w);
  }
  if (dev !== null) f.dev = device(c.net, dev);
  return f;
}

function selector(f: Filter, word: string, w: Words): void {
  const k = matches(word, 'to') ? w.value() : word;
  if (matches(k, 'root')) f.root = prefix(w.value());
  else if (matches(k, 'match')) f.match = prefix(w.value());
  else f.root = f.match = prefix(matches(k, 'exact') ? w.value() : k);
}

const inside = (addr: number, p: Prefix, bits: number): boolean => ((addr ^ p.addr) & maskOf(bits)) === 0;

function selected(f: Filter, r: Route): boolean {
  if (f.tos !== null && r.tos !== f.tos) return false;
  if (f.proto !== null && r.proto !== f.proto) return false;
  if (f.scope !== null && r.scope !== f.scope) return false;
  if (f.type !== null && r.type !== f.type) return false;
  if (f.dev !== null && r.dev !== f.dev) return false;
  if (f.metric !== null && r.metric !== f.metric) return false;
  if (f.via !== null && !inside(r.gw, f.via, f.via.prefix)) return false;
  if (f.src !== null && !inside(r.src, f.src, f.src.prefix)) return false;
  if (f.root !== null && (f.root.prefix > r.prefix || !inside(r.dst, f.root, f.root.prefix))) return false;
  return f.match === null || (f.match.prefix >= r.prefix && inside(r.dst, f.match, r.prefix));
}

/** The routes of the tables a filter names, in the kernel's order: tables by number modulo 256. */
function found(c: IpContext, f: Filter): Route[] {
  const { fib } = c.net;
  const tables = [...fib.tables.values()].filter((t) => f.table === 0 || t.id === f.table);
  tables.sort((a, b) => (a.id & 255) - (b.id & 255));
  return tables.flatMap((t) => t.dump()).filter((r) => selected(f, r));
}

function checkTable(c: IpContext, f: Filter): void {
  const t = c.net.fib.tables.get(f.table);
  if (f.table === 0 || f.table === TABLE_MAIN || t?.used === true) return;
  // A fresh namespace has no local table either.
  fail(`Error: ipv4: FIB table does not exist.\nDump terminated`, 2);
}

/** `ip route show [SELECTOR]`. */
export function routeShow(c: IpContext, w: Words): string {
  const f = filter(c, w);
  checkTable(c, f);
  return found(c, f)
    .map((r) => routeText(c.details, f, r))
    .join('');
}

/** `ip route flush SELECTOR`. */
export function routeFlush(c: IpContext, w: Words): string {
  if (!w.more) fail('"ip route flush" requires arguments.', 1);
  const f = filter(c, w);
  if (f.table !== 0 && f.table !== TABLE_MAIN && c.net.fib.tables.get(f.table)?.used !== true) {
    fail('Error: ipv4: FIB table does not exist.\nFlush terminated', 2);
  }
  for (const r of found(c, f)) c.net.fib.table(r.table).remove((x) => x === r);
  return '';
}

const typeName = (n: number): string => Object.keys(ROUTE_TYPES).find((k) => ROUTE_TYPES[k] === n)!;
const host = (p: Prefix | null): boolean => p !== null && p.prefix === 32;

/** print_rta_metrics. */
const mtuText = (mtu: number, lock: boolean): string => (mtu === 0 && !lock ? '' : `mtu ${lock ? 'lock ' : ''}${mtu} `);

/** A route as `ip route show table all` has it, without the blank and the line break at its end. */
export const routeLine = (r: Route): string => routeText(false, ANY, r).trimEnd();

/** One line; what the filter fixes is left out, as iproute2 does. `d`: -d was given. */
function routeText(d: boolean, f: Filter, r: Route): string {
  let s = r.type !== RTN_UNICAST || d ? `${typeName(r.type)} ` : '';
  if (r.prefix === 0) s += 'default ';
  else s += r.dst === 0 ? `0/${r.prefix}  ` : `${ntoa(r.dst)}${r.prefix === 32 ? '' : `/${r.prefix}`} `;
  if (r.tos !== 0 && f.tos === null) s += `tos ${tosText(r.tos)} `;
  const one = r.paths === null;
  if (one && r.gw !== 0 && !host(f.via)) s += `via ${ntoa(r.gw)} `;
  if (one && r.dev !== null && f.dev === null) s += `dev ${r.dev.name} `;
  if ((r.table !== TABLE_MAIN || d) && f.table === 0) s += `table ${TABLES.name(r.table)} `;
  if ((r.proto !== 'boot' || d) && f.proto === null) s += `proto ${r.proto} `;
  if ((r.scope !== 0 || d) && f.scope === null) s += `scope ${SCOPES.name(r.scope)} `;
  if (r.src !== 0 && !host(f.src)) s += `src ${ntoa(r.src)} `;
  if (r.metric !== 0 && f.metric === null) s += `metric ${r.metric} `;
  if (one && r.onlink) s += 'onlink ';
  if (one && linkdown(r)) s += 'linkdown ';
  s += mtuText(r.mtu, r.mtuLock);
  for (const p of r.paths ?? []) s += hopText(p);
  return `${s}\n`;
}

/** One of several next hops, on a line of its own (print_rta_multipath). */
function hopText(p: PathHop): string {
  const dead = p.dev !== null && !p.dev.up;
  const flags = `${p.onlink ? 'onlink ' : ''}${dead ? 'dead ' : ''}${dead || linkdown(p) ? 'linkdown ' : ''}`;
  return `\n\tnexthop ${p.gw === 0 ? '' : `via ${ntoa(p.gw)} `}dev ${p.dev?.name ?? ''} weight ${p.weight} ${flags}`;
}

interface Query {
  to: number;
  from: number;
  iif: Netdev | null;
  oif: Netdev | null;
  mark: number;
  tos: number;
  proto: number;
  sport: number;
  dport: number;
  uid: number;
  fibmatch: boolean;
}

function query(c: IpContext, w: Words): Query {
  const q: Query = {
    to: 0,
    from: 0,
    iif: null,
    oif: null,
    mark: 0,
    tos: 0,
    proto: 0,
    sport: 0,
    dport: 0,
    uid: 0,
    fibmatch: false,
  };
  let to: string | null = null;
  let iif: string | null = null;
  let oif: string | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'tos' || matches(k, 'dsfield')) {
      const v = w.value();
      q.tos = tosValue(v) ?? wrong(v, 'TOS value is invalid\n');
    } else if (matches(k, 'from')) q.from = address(w.value());
    else if (matches(k, 'iif')) iif = w.value();
    else if (matches(k, 'mark')) {
      const v = w.value();
      q.mark = (unsigned(v) ?? wrong(v, 'invalid mark value')) | 0;
    } else if (matches(k, 'oif') || k === 'dev') oif = w.value();
    else if (matches(k, 'fibmatch')) q.fibmatch = true;
    else if (k === 'uid') {
      const v = w.value();
      q.uid = unsigned(v, 0xffffffff) ?? wrong(v, 'invalid UID\n');
    } else if (k === 'ipproto') {
      const v = w.value();
      q.proto = ipProtocol(v) ?? wrong(v, 'Invalid "ipproto" value\n');
      if (q.proto !== ipv4.TCP && q.proto !== ipv4.UDP && q.proto !== ipv4.ICMP) extack('Unsupported ip proto');
    } else if (k === 'sport' || k === 'dport') {
      const v = w.value();
      q[k] = unsigned(v, 0xffff) ?? wrong(v, `invalid ${k}\n`);
    } else if (['notify', 'connected', 'vrf', 'as'].includes(k)) unsupported(`ip route get ${k}`);
    else to = k === 'to' ? w.value() : k;
  }
  if (to === null) fail('need at least a destination address', 1);
  const p = prefix(to!);
  if (p.prefix !== 32) unsupported('ip route get of a prefix');
  q.to = p.addr;
  if (iif !== null) q.iif = device(c.net, iif);
  if (oif !== null) q.oif = device(c.net, oif);
  return q;
}

const ERRNO: Readonly<Record<number, 'EACCES' | 'EHOSTUNREACH' | 'ENETUNREACH'>> = {
  [EACCES]: 'EACCES', [EHOSTUNREACH]: 'EHOSTUNREACH', [ENETUNREACH]: 'ENETUNREACH',
}; // prettier-ignore

/** `ip route get`: the decision the kernel takes for a packet, taken by the same code. */
export function routeGet(c: IpContext, w: Words): string {
  const q = query(c, w);
  if (q.tos !== 0) unsupported('ip route get … tos');
  if (q.fibmatch) {
    const r = c.net.fib.lookup(flowOf(q));
    if (r === null || r.table === 0) return rtnl('ENETUNREACH');
    return routeText(c.details, ANY, r);
  }
  const fl = flowOf(q);
  const d = q.iif === null ? routeOutput(c.net, fl) : input(c, q);
  const err = isErr(d) ? d : d.error;
  if (err < 0) fail(`RTNETLINK answers: ${strerror(ERRNO[-err] ?? 'EINVAL')}`, 2);
  return getText(c, q, d as Dst, fl.saddr);
}

function flowOf(q: Query): Flow {
  const fl = new Flow().to(q.to, q.from).ports(q.proto, q.sport, q.dport);
  fl.mark = q.mark;
  fl.iif = q.iif;
  fl.uid = q.uid;
  fl.oif = q.oif;
  return fl;
}

function input(c: IpContext, q: Query): Dst | number {
  const { skbs } = c.kernel;
  const skb = skbs.alloc();
  skb.mark = q.mark;
  skb.net = skb.head;
  skb.tail = skb.head + ipv4.HLEN + udp.HLEN;
  ipv4.write(skb.buf, skb.net, 0, ipv4.HLEN + udp.HLEN, 0, 0, 64, q.proto === 0 ? ipv4.UDP : q.proto, q.from, q.to);
  put16(skb.buf, skb.net + ipv4.HLEN + udp.SPORT, q.sport);
  put16(skb.buf, skb.net + ipv4.HLEN + udp.DPORT, q.dport);
  const err = routeInput(c.net, skb, q.iif!);
  const d = skb.dst;
  skbs.free(skb);
  return err !== 0 ? err : d!;
}

function getText(c: IpContext, q: Query, d: Dst, src: number): string {
  const out = q.iif === null;
  const type = c.net.fib.lookup(flowOf(q));
  const local = d.type === RTN_LOCAL || (out && d.dev === c.net.lo);
  const group = d.type === RTN_MULTICAST || isMulticast(q.to);
  const all = d.type === RTN_BROADCAST;
  const gw = nexthop(d, q.to);
  let s = group ? 'multicast ' : all ? 'broadcast ' : d.type === RTN_LOCAL ? 'local ' : '';
  s += `${ntoa(q.to)} `;
  if (q.from !== 0) s += `from ${ntoa(q.from)} `;
  if (!local && !all && !group && gw !== q.to) s += `via ${ntoa(gw)} `;
  s += `dev ${d.dev.name} `;
  const table = type === null || type.table === 0 ? TABLE_MAIN : type.table;
  if (table !== TABLE_MAIN && (table !== TABLE_LOCAL || c.net.fib.custom)) s += `table ${TABLES.name(table)} `;
  if (out && q.from === 0 && src !== 0) s += `src ${ntoa(src)} `;
  if (out && group) s += 'rt_offload_failed ';
  if (q.mark !== 0) s += `mark ${q.mark >>> 0 >= 16 ? `0x${(q.mark >>> 0).toString(16)}` : q.mark} `;
  const flags = [local || all || group ? 'local' : '', all ? 'brd' : '', group ? 'mc' : '']
    .filter((x) => x !== '')
    .join(',');
  const cache = `    cache ${flags === '' ? '' : `<${flags}> `}`;
  const { now } = c.kernel.sim;
  const learned = d.expires > now;
  const left = learned ? `expires ${Math.floor((d.expires - now) / SEC)}sec ` : '';
  const mtu = learned && d.pmtu !== 0 ? d.pmtu : d.mtu;
  return `${s}${out ? `uid ${q.uid} ` : ''}\n${cache}${left}${mtuText(mtu, d.mtuLocked)}${q.iif === null ? '' : `iif ${q.iif.name} `}\n`;
}
