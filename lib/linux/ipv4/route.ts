/**
 * The routing decision: from the header, the mark and the receiving device, or from a Flow, to a Dst.
 *
 * Kernel counterpart: net/ipv4/route.c (ip_route_input_slow, ip_route_output_key_hash_rcu), fib_frontend.c
 * (fib_validate_source, fib_compute_spec_dst). Not here: multicast routing and group membership beyond 224.0.0.1.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import { isLoopback, isMulticast } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { type InDevConf, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { IPSKB_DOREDIRECT, type Skb } from '../core/skb.js';
import { addrOnlink, inetSelectAddr } from './devinet.js';
import {
  type DstKeeper, type NextHop, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_PROHIBIT, RTN_UNICAST, RTN_UNREACHABLE, type Route,
  SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE,
} from './fib.js'; // prettier-ignore
import {
  Dst, dstValid, INPUT_DISCARD, INPUT_ERROR, INPUT_FORWARD, INPUT_LOCAL, RTCF_BROADCAST, RTCF_GROUP, RTCF_LOCAL, RTCF_MULTICAST,
} from './dst.js'; // prettier-ignore
import { Flow, FLOWI_FLAG_ANYSRC, FLOWI_FLAG_KNOWN_NH } from './flow.js';
import { selectMultipath, selectPath, skbHash } from './multipath.js';
import { fillFromException, findException } from './route-exception.js';

export { inetSelectAddr } from './devinet.js';
export { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST } from './fib.js';

export const ENODEV = 19;
export const EINVAL = 22;
export const EHOSTUNREACH = 113;
export const ENETUNREACH = 101;
export const EACCES = 13;
/** The reverse path filter refused the source. */
export const EXDEV = 18;

const ALL_HOSTS = 0xe0000001 | 0;
/** The bits of the TOS byte that routes and rules see (IPTOS_RT_MASK). */
const RT_TOS = 0x1c;

/** What kind of address this is for the namespace (inet_addr_type). */
export function inetAddrType(net: Netns, addr: number): number {
  if (addr >>> 24 === 0 || addr === -1) return RTN_BROADCAST;
  if (isMulticast(addr)) return RTN_MULTICAST;
  const r = net.fib.lookupLocal(addr);
  return r === null || r.type >= RTN_BLACKHOLE ? RTN_UNICAST : r.type;
}

/** A switch that counts when set for all devices or for this one (IN_DEV_ORCONF). */
export const orConf = (net: Netns, dev: Netdev, key: keyof InDevConf): boolean =>
  net.confAll[key] !== 0 || dev.conf[key] !== 0;

/** A number whose larger value of all devices and this one counts (IN_DEV_MAXCONF). */
export const maxConf = (net: Netns, dev: Netdev, key: keyof InDevConf): number =>
  Math.max(net.confAll[key], dev.conf[key]);

const errorOf = (r: Route | null): number => {
  if (r === null) return -ENETUNREACH;
  if (r.type === RTN_BLACKHOLE) return -EINVAL;
  if (r.type === RTN_UNREACHABLE) return -EHOSTUNREACH;
  if (r.type === RTN_PROHIBIT) return -EACCES;
  return 0;
};

/** True when routeOutput found no way; the number is a negative errno (IS_ERR). */
export const isErr = (d: Dst | number): d is number => typeof d === 'number';

const asked = new Flow();
const back = new Flow();

/**
 * Routes a packet that a device received (ip_route_input): 0 and skb.dst set, or a negative errno. -EINVAL stands for a
 * martian or a blackhole, -EXDEV for the reverse path filter; both are dropped silently. Where there is no route, skb.dst
 * says so (INPUT_ERROR).
 */
export function routeInput(net: Netns, skb: Skb, dev: Netdev): number {
  return routeInputTo(net, skb, dev, ipv4.dst(skb.buf, skb.net));
}

/** The same for another destination than the header's (a source route's next stop). */
export function routeInputTo(net: Netns, skb: Skb, dev: Netdev, daddr: number): number {
  const saddr = ipv4.src(skb.buf, skb.net);
  skb.dst = null;
  const fl = asked.to(daddr, saddr);
  fl.iif = dev;
  fl.tos = ipv4.tos(skb.buf, skb.net) & RT_TOS;
  fl.mark = skb.mark;
  if (net.fib.needsPorts) dissect(skb, fl);
  if (isMulticast(daddr)) return multicastInput(net, skb, fl, dev);
  if (isMulticast(saddr) || saddr === -1) return -EINVAL;
  if (daddr === -1 || (saddr === 0 && daddr === 0)) return broadcastInput(net, skb, fl, dev);
  if (saddr >>> 24 === 0 || daddr >>> 24 === 0) return -EINVAL;
  if ((isLoopback(daddr) || isLoopback(saddr)) && !orConf(net, dev, 'route_localnet')) return -EINVAL;
  const r = net.fib.lookup(fl);
  const { matched } = net.fib;
  const err = errorOf(r);
  if (err !== 0) return unreachable(net, skb, dev.conf.forwarding === 0 ? -EHOSTUNREACH : err);
  if (r!.type === RTN_BROADCAST) return broadcastInput(net, skb, fl, dev);
  if (r!.type === RTN_LOCAL) {
    const v = validateSource(net, fl, daddr, null, dev);
    if (v < 0) return v;
    skb.dst = deliverDst(net, RTN_LOCAL, RTCF_LOCAL);
    return 0;
  }
  if (dev.conf.forwarding === 0) return unreachable(net, skb, -EHOSTUNREACH);
  if (r!.type !== RTN_UNICAST) return -EINVAL;
  const nh: NextHop = r!.paths === null ? r! : selectMultipath(r!.paths, skbHash(net, skb));
  const v = validateSource(net, fl, daddr, nh.dev, dev);
  if (v < 0) return v;
  skb.dst = nexthopDst(net, r!, nh, nh.dev!, RTN_UNICAST, 0, daddr, true);
  skb.dst.rule = matched;
  if (v === 1 && nh.dev === dev && orConf(net, dev, 'send_redirects')) {
    if (orConf(net, dev, 'shared_media') || addrOnlink(dev, saddr, nh.gw)) skb.ipFlags |= IPSKB_DOREDIRECT;
  }
  return 0;
}

/** Protocol and ports of a packet, for rules that ask (fib4_rules_early_flow_dissect); a fragment has no ports. */
function dissect(skb: Skb, fl: Flow): void {
  const b = skb.buf;
  const o = skb.net;
  fl.proto = ipv4.proto(b, o);
  if (ipv4.isFragment(b, o)) return;
  // proto_ports_offset: TCP, UDP, DCCP, ESP, SCTP and UDP-Lite begin with them, AH has its SPI at 4.
  const at = o + ipv4.headerLen(b, o) + (fl.proto === AH ? 4 : 0);
  if (!PORTED.includes(fl.proto) || at + 4 > skb.tail) return;
  fl.sport = u16(b, at);
  fl.dport = u16(b, at + 2);
}

const AH = 51;
const PORTED: readonly number[] = [ipv4.TCP, ipv4.UDP, 33, 50, AH, ipv4.SCTP, 136];

function broadcastInput(net: Netns, skb: Skb, fl: Flow, dev: Netdev): number {
  if (fl.saddr >>> 24 !== 0) {
    const v = validateSource(net, fl, 0, null, dev);
    if (v < 0) return v;
  }
  skb.dst = deliverDst(net, RTN_BROADCAST, RTCF_BROADCAST | RTCF_LOCAL);
  return 0;
}

/** ip_route_input_mc: only the group every host is in. */
function multicastInput(net: Netns, skb: Skb, fl: Flow, dev: Netdev): number {
  const { saddr } = fl;
  if (fl.daddr !== ALL_HOSTS) return -EINVAL;
  if (isMulticast(saddr) || saddr === -1) return -EINVAL;
  if (isLoopback(saddr) && !orConf(net, dev, 'route_localnet')) return -EINVAL;
  if (saddr >>> 24 !== 0) {
    const v = validateSource(net, fl, 0, null, dev);
    if (v < 0) return v;
  }
  skb.dst = deliverDst(net, RTN_MULTICAST, RTCF_MULTICAST | RTCF_LOCAL);
  return 0;
}

/** The packet gets a route that leads nowhere; what is said about it is decided when it is followed. */
function unreachable(net: Netns, skb: Skb, err: number): number {
  const known = net.fib.errors.get(err);
  if (known !== undefined) skb.dst = known;
  else net.fib.errors.set(err, (skb.dst = new Dst(net.lo, RTN_UNREACHABLE, 0, true, INPUT_ERROR, err)));
  return 0;
}

/** The route of what is delivered to this machine, one of each kind. */
function deliverDst(net: Netns, type: number, flags: number): Dst {
  return (net.fib.deliver[flags] ??= new Dst(net.lo, type, flags, true, INPUT_LOCAL));
}

/**
 * The route over a next hop (rt_set_nexthop): the one that the exception for `daddr` keeps, or the next hop itself.
 * `dev` is the next hop's, or lo.
 */
function nexthopDst(net: Netns, r: Route, nh: NextHop, dev: Netdev, type: number, flags: number, daddr: number, isInput: boolean): Dst {
  const e = nh.exceptions === null ? null : findException(nh, daddr, net.kernel.sim.now);
  const keeper: DstKeeper = e ?? nh;
  const kept = isInput ? keeper.rthInput : keeper.rthOutput;
  if (dstValid(kept) && kept.flags === flags) return kept;
  const input = isInput ? INPUT_FORWARD : (flags & RTCF_LOCAL) !== 0 ? INPUT_LOCAL : INPUT_DISCARD;
  const d = new Dst(dev, type, flags, isInput, input);
  d.route = r;
  d.gw = nh.gw;
  d.usesGateway = nh.gw !== 0;
  d.mtu = r.mtu;
  d.mtuLocked = r.mtuLock;
  if (e !== null) {
    fillFromException(d, e);
    if (d.gw === 0) d.gw = daddr;
  }
  if (isInput) keeper.rthInput = d;
  else keeper.rthOutput = d;
  return d;
} // prettier-ignore

/** The route out of a device that no next hop stands for: broadcasts, groups, what is taken to be on the link. */
function deviceDst(dev: Netdev, type: number, flags: number): Dst {
  const kept = dev.dsts[flags] ?? null;
  if (dstValid(kept)) return kept;
  return (dev.dsts[flags] = new Dst(dev, type, flags, false, (flags & RTCF_LOCAL) !== 0 ? INPUT_LOCAL : INPUT_DISCARD));
}

/** True when one of the route's next hops is on the device (fib_info_nh_uses_dev). */
export function usesDev(r: Route, dev: Netdev): boolean {
  if (r.paths === null) return r.dev === dev;
  for (let i = 0; i < r.paths.length; i++) if (r.paths[i]!.dev === dev) return true;
  return false;
}

const onLink = (r: Route): number => (r.gw === 0 ? 1 : 0);

/**
 * fib_validate_source: may the source of `fl` come in on `dev`? 1: yes, and it is on the link; 0: yes; negative errno: no.
 * `oif` is the device the packet would be forwarded to, `daddr` 0 for a group.
 */
function validateSource(net: Netns, fl: Flow, daddr: number, oif: Netdev | null, dev: Netdev): number {
  const all = net.confAll;
  const own = dev.conf;
  const rpf = all.rp_filter > own.rp_filter ? all.rp_filter : own.rp_filter;
  const { fib } = net;
  if (rpf === 0 && (dev !== oif || (all.send_redirects === 0 && own.send_redirects === 0))) {
    if (all.accept_local !== 0 || own.accept_local !== 0) return 0;
    if (!fib.custom && !fib.customLocal) return isOwnAddress(net, fl.saddr) ? -EINVAL : 0;
  }
  const rev = back.to(fl.saddr, daddr).ports(fl.proto, fl.dport, fl.sport);
  rev.tos = fl.tos;
  rev.mark = orConf(net, dev, 'src_valid_mark') ? fl.mark : 0;
  rev.iif = oif;
  const r = fib.lookup(rev);
  if (r === null || errorOf(r) !== 0) return rpf !== 0 ? -EXDEV : 0;
  if (r.type !== RTN_UNICAST && (r.type !== RTN_LOCAL || !orConf(net, dev, 'accept_local'))) return -EINVAL;
  if (usesDev(r, dev) || (r.type === RTN_LOCAL && dev === net.lo)) return onLink(r);
  if (dev.addrs.length === 0) return rpf !== 0 ? -EXDEV : 0;
  if (rpf === 1) return -EXDEV;
  rev.oif = dev;
  const via = fib.lookup(rev);
  return via !== null && via.type === RTN_UNICAST ? onLink(via) : 0;
}

/** inet_lookup_ifaddr_rcu: an address of some device of the namespace. */
function isOwnAddress(net: Netns, addr: number): boolean {
  const r = net.fib.local.lookup(addr, 0, null);
  return r !== null && r.type === RTN_LOCAL && r.prefix === 32;
}

/**
 * Type of the route that a packet from `sip` to `tip` would take, -1 when its source is a martian (arp_process,
 * ip_route_input without a packet).
 */
export function arpRouteType(net: Netns, dev: Netdev, sip: number, tip: number): number {
  if (isMulticast(sip) || sip === -1 || tip === 0) return -1;
  if (isLoopback(sip) && !orConf(net, dev, 'route_localnet')) return -1;
  if (tip === -1) return RTN_BROADCAST;
  const fl = asked.to(tip, sip);
  fl.iif = dev;
  const r = net.fib.lookup(fl);
  if (r === null) return RTN_UNREACHABLE;
  if (r.type === RTN_UNICAST && dev.conf.forwarding === 0) return RTN_UNREACHABLE;
  const oif = r.type === RTN_UNICAST ? r.dev : null;
  if (r.type <= RTN_BROADCAST && validateSource(net, fl, tip, oif, dev) < 0) return -1;
  return r.type;
}

/** The address a reply comes from: the packet's destination, or for a broadcast the one to talk to its sender (fib_compute_spec_dst). */
export function computeSpecDst(net: Netns, skb: Skb): number {
  const { dst } = skb;
  if (dst !== null && (dst.flags & (RTCF_GROUP | RTCF_LOCAL)) === RTCF_LOCAL) return ipv4.dst(skb.buf, skb.net);
  const saddr = ipv4.src(skb.buf, skb.net);
  const dev = skb.dev!;
  if (saddr >>> 24 === 0) return inetSelectAddr(dev, saddr, SCOPE_LINK);
  const fl = asked.to(saddr, 0);
  fl.tos = ipv4.tos(skb.buf, skb.net) & RT_TOS;
  fl.mark = orConf(net, dev, 'src_valid_mark') ? skb.mark : 0;
  const r = net.fib.lookup(fl);
  if (r !== null && errorOf(r) === 0) return prefsrc(r, r);
  return inetSelectAddr(dev, saddr, SCOPE_UNIVERSE);
}

/**
 * Routes a packet of this machine (ip_route_output_key): the route, with `fl.saddr` and `fl.daddr` filled in where they were
 * 0, or a negative errno (isErr). A given source has to be an address of the namespace unless FLOWI_FLAG_ANYSRC is set.
 */
export function routeOutput(net: Netns, fl: Flow): Dst | number {
  fl.tos &= RT_TOS;
  const { daddr, saddr, oif } = fl;
  const group = daddr === -1 || isMulticast(daddr);
  if (saddr !== 0) {
    if ((fl.flags & FLOWI_FLAG_ANYSRC) === 0) {
      if (isMulticast(saddr) || saddr === -1 || saddr >>> 24 === 0) return -EINVAL;
      if (inetAddrType(net, saddr) !== RTN_LOCAL) return -ENETUNREACH;
    }
    if (oif === null && group) {
      const dev = deviceOf(net, saddr);
      return dev === null ? -ENETUNREACH : makeOutput(net, fl, null, null, dev);
    }
  }
  if (oif !== null) {
    // dev_get_by_index: a device that has left the namespace is none to its sockets.
    if (oif.net !== net || !oif.registered) return -ENODEV;
    if (!oif.up) return -ENETUNREACH;
    if (daddr === -1 || (daddr & 0xffffff00) === (0xe0000000 | 0)) return onDevice(net, fl, oif);
    if (saddr === 0 && group) fl.saddr = inetSelectAddr(oif, 0, SCOPE_UNIVERSE);
    else if (saddr === 0 && daddr === 0) fl.saddr = inetSelectAddr(oif, 0, SCOPE_HOST);
  }
  if (daddr === 0) {
    fl.saddr = fl.daddr = fl.saddr !== 0 ? fl.saddr : 0x7f000001;
    return makeOutput(net, fl, null, null, net.lo);
  }
  const r = net.fib.lookup(fl);
  const err = errorOf(r);
  // With a device given, what no table knows is taken to be on its link.
  if (err !== 0) return oif === null ? err : onDevice(net, fl, oif);
  if (r!.type === RTN_LOCAL) {
    if (fl.saddr === 0) fl.saddr = r!.src !== 0 ? r!.src : daddr;
    return makeOutput(net, fl, r, r, net.lo);
  }
  const nh: NextHop = r!.paths === null || oif !== null ? hopOn(r!, oif) : selectPath(net, r!, fl);
  const { matched } = net.fib;
  if (fl.saddr === 0) fl.saddr = prefsrc(r!, nh);
  const d = makeOutput(net, fl, r, nh, nh.dev!);
  if (!isErr(d)) d.rule = matched;
  return d;
}

/** Out of a device that was asked for, without a route. */
function onDevice(net: Netns, fl: Flow, oif: Netdev): Dst | number {
  if (fl.saddr === 0) fl.saddr = inetSelectAddr(oif, 0, SCOPE_LINK);
  return makeOutput(net, fl, null, null, oif);
}

/** The next hop of a route on a device; any without one. */
function hopOn(r: Route, oif: Netdev | null): NextHop {
  if (r.paths !== null && oif !== null) for (const p of r.paths) if (p.dev === oif) return p;
  return r;
}

/** __ip_dev_find: the device that has an address. */
function deviceOf(net: Netns, addr: number): Netdev | null {
  for (const d of net.devs) for (const a of d.addrs) if (a.addr === addr) return d;
  const r = net.fib.lookupLocal(addr);
  return r !== null && r.type === RTN_LOCAL ? r.dev : null;
}

/** __mkroute_output. */
function makeOutput(net: Netns, fl: Flow, r: Route | null, nh: NextHop | null, dev: Netdev): Dst | number {
  const { daddr } = fl;
  const onLo = dev === net.lo;
  if (isLoopback(fl.saddr) && !onLo && !orConf(net, dev, 'route_localnet')) return -EINVAL;
  if (daddr !== -1 && daddr >>> 24 === 0) return -EINVAL;
  const lo = onLo ? RTCF_LOCAL : 0;
  if (daddr === -1 || (r !== null && r.type === RTN_BROADCAST)) {
    return deviceDst(dev, RTN_BROADCAST, RTCF_BROADCAST | RTCF_LOCAL);
  }
  if (isMulticast(daddr)) {
    const flags = RTCF_MULTICAST | lo | (daddr === ALL_HOSTS ? RTCF_LOCAL : 0);
    // A default route's gateway is not asked about groups.
    if (r === null || nh === null || r.prefix < 4) return deviceDst(dev, RTN_MULTICAST, flags);
    return nexthopDst(net, r, nh, dev, RTN_MULTICAST, flags, daddr, false);
  }
  const type = r !== null ? r.type : onLo ? RTN_LOCAL : RTN_UNICAST;
  const d = r === null || nh === null ? deviceDst(dev, type, lo) : nexthopDst(net, r, nh, dev, type, lo, daddr, false);
  return (fl.flags & FLOWI_FLAG_KNOWN_NH) !== 0 && d.gw === 0 ? knownNexthop(d, daddr) : d;
}

/** A route of its own that names its next hop; who asks keeps it. */
function knownNexthop(from: Dst, gw: number): Dst {
  const d = new Dst(from.dev, from.type, from.flags, false, from.input);
  d.route = from.route;
  d.mtu = from.mtu;
  d.mtuLocked = from.mtuLocked;
  d.gw = gw;
  return d;
}

/** The source a route prefers (fib_result_prefsrc). */
function prefsrc(r: Route, nh: NextHop): number {
  return r.src !== 0 ? r.src : inetSelectAddr(nh.dev!, nh.gw, r.scope);
}

/** ip_route_me_harder: routes a packet again by its current header, after NAT or a mark in OUTPUT changed it: 0 or a negative errno. */
export function ipRouteMeHarder(net: Netns, skb: Skb): number {
  const saddr = ipv4.src(skb.buf, skb.net);
  const type = inetAddrType(net, saddr);
  const keep = type === RTN_LOCAL || type === RTN_UNICAST ? saddr : 0;
  const fl = asked.to(ipv4.dst(skb.buf, skb.net), keep);
  fl.tos = ipv4.tos(skb.buf, skb.net);
  fl.mark = skb.mark;
  fl.oif = skb.oif;
  fl.flags = FLOWI_FLAG_ANYSRC;
  if (net.fib.needsPorts) dissect(skb, fl);
  const d = routeOutput(net, fl);
  if (isErr(d)) return d;
  skb.dst = d;
  return 0;
}
