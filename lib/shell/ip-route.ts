/**
 * `ip route`: routes changed; ip-route-show.ts shows them and answers `get`.
 *
 * Next-hop objects, encapsulation, realms and metrics such as `mtu` are refused.
 * @module
 */
import { maskOf } from '../../wire/inet.js';
import { ARPHRD_LOOPBACK, type Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import {
  type FibTable, newRoute, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type NextHop, type PathHop, type Route, RTN_ANYCAST, RTN_BLACKHOLE, RTN_BROADCAST,
  RTN_LOCAL, RTN_MULTICAST, RTN_PROHIBIT, RTN_THROW, RTN_UNICAST, RTN_UNREACHABLE, SCOPE_HOST, SCOPE_LINK, SCOPE_NOWHERE,
  SCOPE_UNIVERSE, TABLE_LOCAL, TABLE_MAIN,
} from '../linux/ipv4/fib.js'; // prettier-ignore
import { rebalance } from '../linux/ipv4/multipath.js';
import { Flow } from '../linux/ipv4/flow.js';
import { inetAddrType } from '../linux/ipv4/route.js';
import {
  address, device, extack, fail, garbage, type IpContext, matches, prefix, type Prefix, protocolName, rtnl, SCOPES, TABLES,
  tosValue, unsigned, unsupported, type Words, wrong,
} from './ip-args.js'; // prettier-ignore
import { routeFlush, routeGet, routeShow } from './ip-route-show.js';

/** Route types by their word. */
export const ROUTE_TYPES: Readonly<Record<string, number>> = {
  unicast: RTN_UNICAST, local: RTN_LOCAL, broadcast: RTN_BROADCAST, anycast: RTN_ANYCAST, multicast: RTN_MULTICAST,
  blackhole: RTN_BLACKHOLE, unreachable: RTN_UNREACHABLE, prohibit: RTN_PROHIBIT, throw: RTN_THROW,
}; // prettier-ignore

const REFUSED = [
  'as', 'from', 'expires', 'hoplimit', 'advmss', 'reordering', 'rtt', 'rto_min', 'window', 'cwnd', 'initcwnd', 'initrwnd',
  'features', 'quickack', 'congctl', 'rttvar', 'ssthresh', 'realms', 'nhid', 'vrf', 'pref', 'encap', 'ttl-propagate',
  'fastopen_no_cookie', 'pervasive',
]; // prettier-ignore

/** `ip route …`: what it prints. */
export function ipRoute(c: IpContext, w: Words): string {
  const verb = w.take();
  if (verb === '' || matches(verb, 'list', 'show', 'lst')) return routeShow(c, w);
  if (matches(verb, 'get')) return routeGet(c, w);
  if (matches(verb, 'add')) return modify(c.net, w, NLM_F_CREATE | NLM_F_EXCL);
  if (matches(verb, 'change') || verb === 'chg') return modify(c.net, w, NLM_F_REPLACE);
  if (matches(verb, 'replace')) return modify(c.net, w, NLM_F_CREATE | NLM_F_REPLACE);
  if (matches(verb, 'prepend')) return modify(c.net, w, NLM_F_CREATE);
  if (matches(verb, 'append')) return modify(c.net, w, NLM_F_CREATE | NLM_F_APPEND);
  if (matches(verb, 'test')) return modify(c.net, w, NLM_F_EXCL);
  if (matches(verb, 'delete')) return del(c.net, w);
  if (matches(verb, 'flush')) return routeFlush(c, w);
  if (matches(verb, 'save', 'restore', 'showdump', 'help')) return unsupported(`ip route ${verb}`);
  return fail(`Command "${verb}" is unknown, try "ip route help".`);
}

/** What words say of a route; null: not said. */
interface RouteWords {
  to: Prefix | null;
  type: number | null;
  gw: number | null;
  dev: Netdev | null;
  src: number;
  tos: number;
  metric: number;
  scope: number | null;
  proto: string | null;
  table: number | null;
  onlink: boolean;
  /** RTAX_MTU, 0: none, and its lock. */
  mtu: number;
  mtuLock: boolean;
  /** `nexthop …`, which ends the words. */
  hops: Hop[] | null;
}

/** One next hop as the words give it. */
interface Hop {
  gw: number;
  dev: Netdev | null;
  weight: number;
  onlink: boolean;
}

function words(net: Netns, w: Words): RouteWords {
  const r: RouteWords = { to: null, type: null, gw: null, dev: null, src: 0, tos: 0, metric: 0, scope: null, proto: null, table: null, onlink: false, mtu: 0, mtuLock: false, hops: null }; // prettier-ignore
  let dev: string | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'nexthop') r.hops = nexthops(net, w);
    else if (k === 'src') r.src = address(w.value());
    else if (k === 'via') r.gw = gateway(r, k, w);
    else if (k === 'tos' || matches(k, 'dsfield')) r.tos = value(w, tosValue, '"tos" value is invalid\n');
    else if (matches(k, 'metric', 'priority') || k === 'preference') r.metric = value(w, unsigned, '"metric" value is invalid\n');
    else if (k === 'scope') r.scope = value(w, (v) => SCOPES.number(v, 255), 'invalid "scope" value\n');
    else if (k === 'onlink') r.onlink = true;
    else if (k === 'mtu') mtu(r, w.value(), w);
    else if (matches(k, 'protocol')) r.proto = value(w, protocolName, '"protocol" value is invalid\n');
    else if (matches(k, 'table')) r.table = value(w, (v) => TABLES.number(v, 0xffffffff), '"table" value is invalid\n');
    else if (k === 'dev' || k === 'oif') dev = w.value();
    else if (REFUSED.includes(k)) unsupported(`ip route … ${k}`);
    else destination(r, k === 'to' ? w.value() : k, w);
  }
  if (r.to === null) fail('podwire: "ip route" needs a destination: PREFIX or default');
  if (dev !== null) r.dev = device(net, dev);
  return r;
} // prettier-ignore

/** `mtu [lock] N`; the kernel takes no more than 65520 (ip_metrics_convert). */
function mtu(r: RouteWords, word: string, w: Words): void {
  r.mtuLock = word === 'lock';
  const v = r.mtuLock ? w.value() : word;
  r.mtu = Math.min(unsigned(v) ?? wrong(v, '"mtu" value is invalid\n'), 65520);
}

/** parse_nexthops: to the end of the words. */
function nexthops(net: Netns, w: Words): Hop[] {
  const hops: Hop[] = [{ gw: 0, dev: null, weight: 1, onlink: false }];
  while (w.more) {
    const h = hops[hops.length - 1]!;
    const k = w.take();
    if (k === 'nexthop') hops.push({ gw: 0, dev: null, weight: 1, onlink: false });
    else if (k === 'via') {
      const v = w.value();
      h.gw = address(v === 'inet' ? w.value() : v);
    } else if (k === 'dev') h.dev = device(net, w.value());
    else if (k === 'weight') {
      const v = w.value();
      const n = unsigned(v);
      h.weight = n === null || n === 0 || n > 256 ? wrong(v, '"weight" is invalid\n') : n;
    } else if (k === 'onlink') h.onlink = true;
    else garbage(k, '"nexthop" or end of line');
  }
  return hops;
}

function value<T>(w: Words, read: (v: string) => T | null, why: string): T {
  const v = w.value();
  return read(v) ?? wrong(v, why);
}

function gateway(r: RouteWords, k: string, w: Words): number {
  if (r.gw !== null) wrong(k, 'use nexthop syntax to specify multiple via\n');
  const v = w.value();
  if (v === 'inet6') unsupported('ip route … via inet6');
  return address(v === 'inet' ? w.value() : v);
}

function destination(r: RouteWords, word: string, w: Words): void {
  let text = word;
  const type = /^\d/.test(word) ? undefined : ROUTE_TYPES[word];
  if (type !== undefined) {
    r.type = type;
    text = w.value();
  }
  if (r.to !== null) garbage(text, 'to');
  r.to = prefix(text);
}

/** iproute2's scope for a route that was given none. */
function defaultScope(r: RouteWords, type: number): number {
  if (type === RTN_LOCAL) return SCOPE_HOST;
  if (type === RTN_BROADCAST || type === RTN_MULTICAST || type === RTN_ANYCAST) return SCOPE_LINK;
  return type === RTN_UNICAST && r.gw === null && r.hops === null ? SCOPE_LINK : SCOPE_UNIVERSE;
}

const ownTable = (type: number | null): number =>
  type === RTN_LOCAL || type === RTN_BROADCAST || type === RTN_ANYCAST ? TABLE_LOCAL : TABLE_MAIN;

function checkPrefix(p: Prefix): void {
  if ((p.addr & ~maskOf(p.prefix)) !== 0) extack('Invalid prefix for given prefix length');
}

function modify(net: Netns, w: Words, flags: number): string {
  const x = words(net, w);
  const to = x.to!;
  const type = x.type ?? RTN_UNICAST;
  checkPrefix(to);
  const r = newRoute({
    type, dst: to.addr, prefix: to.prefix, tos: x.tos, metric: x.metric, gw: x.gw ?? 0, dev: x.dev,
    scope: x.scope ?? defaultScope(x, type), src: x.src, proto: x.proto ?? 'boot', onlink: x.onlink, table: x.table ?? ownTable(x.type),
    mtu: x.mtu, mtuLock: x.mtuLock, paths: null,
  }); // prettier-ignore
  if (r.table === 0) r.table = TABLE_MAIN;
  if (x.hops !== null) multipath(net, r, x.hops);
  else createInfo(net, r);
  const error = net.fib.table(r.table).insert(r, flags);
  if (error !== null) rtnl(error);
  if (type === RTN_LOCAL) net.fib.customLocal = true;
  return '';
}

/** fib_create_info for several next hops: each is checked as if it were the only one. */
function multipath(net: Netns, r: Route, hops: readonly Hop[]): void {
  const paths: PathHop[] = [];
  for (const h of hops) {
    const one: Route = { ...r, gw: h.gw, dev: h.dev, onlink: h.onlink };
    createInfo(net, one);
    paths.push({
      gw: h.gw, dev: one.dev, onlink: h.onlink, exceptions: null, rthInput: null, rthOutput: null, weight: h.weight, upperBound: -1,
    }); // prettier-ignore
  }
  r.gw = paths[0]!.gw;
  r.dev = paths[0]!.dev;
  if (paths.length < 2) return;
  rebalance(paths);
  r.paths = paths;
}

/** The least scope of each type (fib_props). */
const LEAST_SCOPE: Readonly<Record<number, number>> = {
  [RTN_LOCAL]: SCOPE_HOST, [RTN_BROADCAST]: SCOPE_LINK, [RTN_ANYCAST]: SCOPE_LINK,
}; // prettier-ignore

/** fib_create_info: the conditions of a route, and the device of its next hop. */
function createInfo(net: Netns, r: Route): void {
  if ((r.tos & 3) !== 0) extack('Invalid dsfield (tos): ECN bits must be 0');
  if ((LEAST_SCOPE[r.type] ?? SCOPE_UNIVERSE) > r.scope) extack('Invalid scope');
  if (r.type >= RTN_BLACKHOLE) {
    if (r.gw !== 0 || r.dev !== null) extack('Gateway, device and multipath can not be specified for this route type');
  } else {
    if (r.scope > SCOPE_HOST) extack('Invalid scope');
    if (r.scope === SCOPE_HOST) {
      if (r.gw !== 0) extack('Route with host scope can not have a gateway');
      if (r.dev === null) rtnl('ENODEV');
    } else checkNexthop(net, r);
  }
  if (r.src === 0) return;
  const own = r.type === RTN_LOCAL && r.dst === r.src;
  if (!own && inetAddrType(net, r.src) !== RTN_LOCAL) extack('Invalid prefsrc address');
}

/** fib_check_nh. */
function checkNexthop(net: Netns, r: Route): void {
  if (r.gw === 0) {
    if (r.onlink) extack('Invalid flags for nexthop - PERVASIVE and ONLINK can not be set');
    if (r.dev === null) return rtnl('ENODEV');
    if (!r.dev.up) extack('Device for nexthop is not up');
    return;
  }
  if (r.onlink) {
    if (r.scope >= SCOPE_LINK) extack('Nexthop has invalid scope');
    if (r.dev === null) return extack('Nexthop device required for onlink');
    if (!r.dev.up) extack('Nexthop device is not up');
    if (inetAddrType(net, r.gw) !== RTN_UNICAST) extack('Nexthop has invalid gateway');
    return;
  }
  const scope = Math.max(r.scope + 1, SCOPE_LINK);
  const table = net.fib.tables.get(r.table);
  const there = table?.lookup(r.gw, 0, r.dev, scope) ?? null;
  const fl = new Flow().to(r.gw, 0);
  fl.oif = r.dev;
  const via = there !== null && there.type < RTN_BLACKHOLE ? there : net.fib.lookup(fl, scope);
  if (via === null || (via.type !== RTN_UNICAST && via.type !== RTN_LOCAL) || via.dev === null) {
    return extack('Nexthop has invalid gateway');
  }
  if (!via.dev.up) rtnl('ENETUNREACH');
  r.dev = via.dev;
}

/** fib_table_delete: the first route that has everything the words name. */
function del(net: Netns, w: Words): string {
  const x = words(net, w);
  const to = x.to!;
  checkPrefix(to);
  const scope = x.scope ?? (x.type === null || x.type === RTN_UNICAST ? SCOPE_NOWHERE : defaultScope(x, x.type));
  const table: FibTable | undefined = net.fib.tables.get(x.table ?? ownTable(x.type));
  if (table?.used !== true && x.table !== null && x.table !== TABLE_MAIN) extack('FIB table does not exist');
  const hit = table?.dump().find(
    (r) =>
      r.dst === to.addr &&
      r.prefix === to.prefix &&
      r.tos === x.tos &&
      (x.type === null || r.type === x.type) &&
      (scope === SCOPE_NOWHERE || r.scope === scope) &&
      (x.src === 0 || r.src === x.src) &&
      (x.proto === null || r.proto === x.proto) &&
      (x.metric === 0 || r.metric === x.metric) &&
      (x.mtu === 0 || r.mtu === x.mtu) &&
      (!x.mtuLock || r.mtuLock) &&
      (x.gw === null || r.gw === x.gw) &&
      (x.dev === null || r.dev === x.dev) &&
      (x.hops === null || sameHops(r, x.hops)),
  ); // prettier-ignore
  if (hit === undefined) return rtnl('ESRCH');
  table!.remove((r) => r === hit);
  return '';
}

const sameHops = (r: Route, hops: readonly Hop[]): boolean =>
  r.paths !== null && r.paths.length === hops.length && hops.every((h, i) => r.paths![i]!.gw === h.gw);

/** A device without a carrier: its routes are marked (RTNH_F_LINKDOWN). */
export const linkdown = (r: NextHop): boolean =>
  r.dev !== null && r.dev.up && !r.dev.carrier && r.dev.type !== ARPHRD_LOOPBACK;
