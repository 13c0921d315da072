/**
 * The routing decision: fills skb.rt* from the header, the mark and the receiving device.
 *
 * Kernel counterpart: net/ipv4/route.c (ip_route_input_slow, ip_route_output_key_hash_rcu), fib_frontend.c
 * (fib_validate_source, fib_compute_spec_dst). Not here: multicast routing and group membership beyond 224.0.0.1.
 * @module
 */
import { isLoopback, isMulticast } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { type InDevConf, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { addrOnlink, inetSelectAddr } from './devinet.js';
import {
  type NextHop, RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_PROHIBIT, RTN_UNICAST, RTN_UNREACHABLE, type Route,
  SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE,
} from './fib.js'; // prettier-ignore
import { selectMultipath, selectPath, skbHash } from './multipath.js';
import { findException } from './route-exception.js';

export { inetSelectAddr } from './devinet.js';
export { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST } from './fib.js';

export const EINVAL = 22;
export const EHOSTUNREACH = 113;
export const ENETUNREACH = 101;
export const EACCES = 13;
/** The reverse path filter refused the source. */
export const EXDEV = 18;

/** skb.rtType: what to do with the packet. */
export const ROUTE_NONE = 0;
export const ROUTE_OUTPUT = 1;
export const ROUTE_LOCAL = 2;
export const ROUTE_FORWARD = 3;
export const ROUTE_BROADCAST = 4;
export const ROUTE_MULTICAST = 5;

/** skb.rtFlags. */
export const RTCF_DOREDIRECT = 1;
/** The destination is this machine. */
export const RTCF_LOCAL = 2;
/** Decided for a received packet (rt_is_input). */
export const RTCF_INPUT = 4;
/** Through a gateway (rt_uses_gateway). */
export const RTCF_GATEWAY = 8;
/** The MTU is fixed (ip_mtu_locked): packets go without DF. */
export const RTCF_MTU_LOCKED = 16;

/** The largest MTU of any route (IP_MAX_MTU). */
const MAX_MTU = 0xffff;
const ALL_HOSTS = 0xe0000001 | 0;
/** The bits of the TOS byte that routes and rules see (IPTOS_RT_MASK). */
const RT_TOS = 0x1c;

/** What kind of address this is for the namespace (inet_addr_type). */
export function inetAddrType(net: Netns, addr: number): number {
  if (addr >>> 24 === 0 || addr === -1) return RTN_BROADCAST;
  if (isMulticast(addr)) return RTN_MULTICAST;
  const r = net.fib.local.lookup(addr, 0, null);
  return r === null ? RTN_UNICAST : r.type;
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

/** Forgets the last decision. */
function reset(skb: Skb): void {
  skb.rtSrc = 0;
  skb.rtFlags = 0;
  skb.rtGw = 0;
  skb.rtMtu = 0;
  skb.rtType = ROUTE_NONE;
  skb.rtDev = null;
}

/** rt_set_nexthop: device, gateway and MTU, with what an exception says. `forwarding` packets do not follow a path MTU. */
function setNexthop(net: Netns, skb: Skb, r: Route | null, nh: NextHop | null, dev: Netdev, daddr: number, forwarding: boolean): void {
  skb.rtDev = dev;
  skb.rtGw = nh === null || nh.gw === 0 ? daddr : nh.gw;
  if (nh !== null && nh.gw !== 0) skb.rtFlags |= RTCF_GATEWAY;
  let mtu = r === null ? 0 : r.mtu;
  if (r !== null && r.mtuLock) skb.rtFlags |= RTCF_MTU_LOCKED;
  if (nh !== null && nh.exceptions !== null) {
    const e = findException(nh, daddr, net.kernel.sim.now);
    if (e !== null) {
      if (e.gw !== 0) {
        skb.rtGw = e.gw;
        skb.rtFlags |= RTCF_GATEWAY;
      }
      if (e.locked) skb.rtFlags |= RTCF_MTU_LOCKED;
      const follows = !forwarding || (net.sysctl.get('net.ipv4.ip_forward_use_pmtu') ?? 0) !== 0;
      const use = follows || (skb.rtFlags & RTCF_MTU_LOCKED) !== 0;
      if (e.pmtu !== 0 && use) mtu = e.pmtu;
    }
  }
  skb.rtMtu = Math.min(mtu !== 0 ? mtu : dev.mtu, MAX_MTU);
} // prettier-ignore

/**
 * Routes a packet that a device received (ip_route_input): 0 and skb.rt* filled, or a negative errno. -EINVAL stands for
 * a martian or a blackhole, -EXDEV for the reverse path filter; both are dropped silently.
 */
export function routeInput(net: Netns, skb: Skb, dev: Netdev): number {
  return routeInputTo(net, skb, dev, ipv4.dst(skb.buf, skb.net));
}

/** The same for another destination than the header's (a source route's next stop). */
export function routeInputTo(net: Netns, skb: Skb, dev: Netdev, daddr: number): number {
  const saddr = ipv4.src(skb.buf, skb.net);
  const tos = ipv4.tos(skb.buf, skb.net) & RT_TOS;
  reset(skb);
  skb.rtFlags = RTCF_INPUT;
  if (isMulticast(daddr)) return multicastInput(net, skb, dev, saddr, daddr, tos);
  if (isMulticast(saddr) || saddr === -1) return -EINVAL;
  if (daddr === -1 || (saddr === 0 && daddr === 0)) return broadcastInput(net, skb, dev, saddr, tos);
  if (saddr >>> 24 === 0 || daddr >>> 24 === 0) return -EINVAL;
  if ((isLoopback(daddr) || isLoopback(saddr)) && !orConf(net, dev, 'route_localnet')) return -EINVAL;
  const r = net.fib.lookup(daddr, saddr, tos, skb.mark, dev.name, null);
  const err = errorOf(r);
  if (err !== 0) return dev.conf.forwarding === 0 ? -EHOSTUNREACH : err;
  if (r!.type === RTN_BROADCAST) return broadcastInput(net, skb, dev, saddr, tos);
  if (r!.type === RTN_LOCAL) {
    const v = validateSource(net, skb.mark, saddr, daddr, tos, null, dev);
    if (v < 0) return v;
    return localInput(net, skb);
  }
  if (dev.conf.forwarding === 0) return -EHOSTUNREACH;
  if (r!.type !== RTN_UNICAST) return -EINVAL;
  const nh: NextHop = r!.paths === null ? r! : selectMultipath(r!.paths, skbHash(net, skb));
  const out = nh.dev!;
  const v = validateSource(net, skb.mark, saddr, daddr, tos, out, dev);
  if (v < 0) return v;
  skb.rtType = ROUTE_FORWARD;
  setNexthop(net, skb, r, nh, out, daddr, true);
  if (v === 1 && out === dev && orConf(net, dev, 'send_redirects')) {
    if (orConf(net, dev, 'shared_media') || addrOnlink(dev, saddr, nh.gw)) {
      skb.rtFlags |= RTCF_DOREDIRECT;
    }
  }
  return 0;
}

function localInput(net: Netns, skb: Skb): number {
  skb.rtType = ROUTE_LOCAL;
  skb.rtFlags |= RTCF_LOCAL;
  skb.rtDev = net.lo;
  return 0;
}

function broadcastInput(net: Netns, skb: Skb, dev: Netdev, saddr: number, tos: number): number {
  if (saddr >>> 24 !== 0) {
    const v = validateSource(net, skb.mark, saddr, 0, tos, null, dev);
    if (v < 0) return v;
  }
  skb.rtType = ROUTE_BROADCAST;
  skb.rtFlags |= RTCF_LOCAL;
  skb.rtDev = dev;
  return 0;
}

/** ip_route_input_mc: only the group every host is in. */
function multicastInput(net: Netns, skb: Skb, dev: Netdev, saddr: number, daddr: number, tos: number): number {
  if (daddr !== ALL_HOSTS) return -EINVAL;
  if (isMulticast(saddr) || saddr === -1) return -EINVAL;
  if (isLoopback(saddr) && !orConf(net, dev, 'route_localnet')) return -EINVAL;
  if (saddr >>> 24 !== 0) {
    const v = validateSource(net, skb.mark, saddr, 0, tos, null, dev);
    if (v < 0) return v;
  }
  skb.rtType = ROUTE_MULTICAST;
  skb.rtFlags |= RTCF_LOCAL;
  skb.rtDev = dev;
  return 0;
}

/** True when one of the route's next hops is on the device (fib_info_nh_uses_dev). */
export function usesDev(r: Route, dev: Netdev): boolean {
  if (r.paths === null) return r.dev === dev;
  for (let i = 0; i < r.paths.length; i++) if (r.paths[i]!.dev === dev) return true;
  return false;
}

const onLink = (r: Route): number => (r.gw === 0 ? 1 : 0);

/**
 * fib_validate_source: may `saddr` come in on `dev`? 1: yes, and it is on the link; 0: yes; negative errno: no.
 * `oif` is the device the packet would be forwarded to.
 */
function validateSource(net: Netns, skbMark: number, saddr: number, daddr: number, tos: number, oif: Netdev | null, dev: Netdev): number {
  const rpf = maxConf(net, dev, 'rp_filter');
  const { fib } = net;
  if (rpf === 0 && (dev !== oif || !orConf(net, dev, 'send_redirects'))) {
    if (orConf(net, dev, 'accept_local')) return 0;
    if (!fib.custom && !fib.customLocal) return isOwnAddress(net, saddr) ? -EINVAL : 0;
  }
  const mark = orConf(net, dev, 'src_valid_mark') ? skbMark : 0;
  const iif = oif === null ? '' : oif.name;
  const r = fib.lookup(saddr, daddr, tos, mark, iif, null);
  if (r === null || errorOf(r) !== 0) return rpf !== 0 ? -EXDEV : 0;
  if (r.type !== RTN_UNICAST && (r.type !== RTN_LOCAL || !orConf(net, dev, 'accept_local'))) return -EINVAL;
  if (usesDev(r, dev) || (r.type === RTN_LOCAL && dev === net.lo)) return onLink(r);
  if (dev.addrs.length === 0) return rpf !== 0 ? -EXDEV : 0;
  if (rpf === 1) return -EXDEV;
  const via = fib.lookup(saddr, daddr, tos, mark, iif, dev);
  return via !== null && via.type === RTN_UNICAST ? onLink(via) : 0;
} // prettier-ignore

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
  const r = net.fib.lookup(tip, sip, 0, 0, dev.name, null);
  if (r === null) return RTN_UNREACHABLE;
  if (r.type === RTN_UNICAST && dev.conf.forwarding === 0) return RTN_UNREACHABLE;
  const oif = r.type === RTN_UNICAST ? r.dev : null;
  if (r.type <= RTN_BROADCAST && validateSource(net, 0, sip, tip, 0, oif, dev) < 0) return -1;
  return r.type;
}

/** The address a reply comes from: the packet's destination, or for a broadcast the one to talk to its sender (fib_compute_spec_dst). */
export function computeSpecDst(net: Netns, skb: Skb): number {
  if (skb.rtType === ROUTE_LOCAL) return ipv4.dst(skb.buf, skb.net);
  const saddr = ipv4.src(skb.buf, skb.net);
  const dev = skb.dev!;
  if (saddr >>> 24 === 0) return inetSelectAddr(dev, saddr, SCOPE_LINK);
  const mark = orConf(net, dev, 'src_valid_mark') ? skb.mark : 0;
  const r = net.fib.lookup(saddr, 0, ipv4.tos(skb.buf, skb.net) & RT_TOS, mark, '', null);
  if (r !== null && errorOf(r) === 0) return prefsrc(r, r);
  return inetSelectAddr(dev, saddr, SCOPE_UNIVERSE);
}

/**
 * Routes a packet of this machine (ip_route_output_key): 0 and skb.rtDev, rtGw, rtType, rtSrc, rtMtu filled, or a negative
 * errno. `saddr` 0 lets the route choose the source; another one has to be an address of the namespace.
 */
export function routeOutput(net: Netns, skb: Skb, daddr: number, saddr: number, oif: Netdev | null, tos = 0): number {
  if (saddr !== 0) {
    if (isMulticast(saddr) || saddr === -1 || saddr >>> 24 === 0) return (reset(skb), -EINVAL);
    if (inetAddrType(net, saddr) !== RTN_LOCAL) return (reset(skb), -ENETUNREACH);
  }
  return routeOutputAny(net, skb, daddr, saddr, oif, tos);
}

/** The same with any source (FLOWI_FLAG_ANYSRC). */
export function routeOutputAny(net: Netns, skb: Skb, daddr: number, saddr: number, oif: Netdev | null, tos = 0): number {
  reset(skb);
  const group = daddr === -1 || isMulticast(daddr);
  if (saddr !== 0 && oif === null && group) {
    oif = deviceOf(net, saddr);
    if (oif === null) return -ENETUNREACH;
    return makeOutput(net, skb, null, null, oif, daddr, saddr);
  }
  if (oif !== null) {
    if (!oif.up) return -ENETUNREACH;
    if (daddr === -1 || (daddr & 0xffffff00) === (0xe0000000 | 0)) {
      return makeOutput(net, skb, null, null, oif, daddr, saddr !== 0 ? saddr : inetSelectAddr(oif, 0, SCOPE_LINK));
    }
    if (saddr === 0 && isMulticast(daddr)) saddr = inetSelectAddr(oif, 0, SCOPE_UNIVERSE);
    else if (saddr === 0 && daddr === 0) saddr = inetSelectAddr(oif, 0, SCOPE_HOST);
  }
  if (daddr === 0) {
    daddr = saddr !== 0 ? saddr : 0x7f000001;
    return makeOutput(net, skb, null, null, net.lo, daddr, daddr);
  }
  const r = net.fib.lookup(daddr, saddr, tos & RT_TOS, skb.mark, '', oif);
  const err = errorOf(r);
  if (err !== 0) {
    if (oif === null) return err;
    // With a device given, what no table knows is taken to be on its link.
    return makeOutput(net, skb, null, null, oif, daddr, saddr !== 0 ? saddr : inetSelectAddr(oif, 0, SCOPE_LINK));
  }
  if (r!.type === RTN_LOCAL) {
    return makeOutput(net, skb, r, r, net.lo, daddr, saddr !== 0 ? saddr : r!.src !== 0 ? r!.src : daddr);
  }
  const nh: NextHop = r!.paths === null || oif !== null ? hopOn(r!, oif) : selectPath(net, r!, saddr, daddr);
  return makeOutput(net, skb, r, nh, nh.dev!, daddr, saddr !== 0 ? saddr : prefsrc(r!, nh));
} // prettier-ignore

/** The next hop of a route on a device; any without one. */
function hopOn(r: Route, oif: Netdev | null): NextHop {
  if (r.paths !== null && oif !== null) for (const p of r.paths) if (p.dev === oif) return p;
  return r;
}

/** __ip_dev_find: the device that has an address. */
function deviceOf(net: Netns, addr: number): Netdev | null {
  for (const d of net.devs) for (const a of d.addrs) if (a.addr === addr) return d;
  const r = net.fib.local.lookup(addr, 0, null);
  return r !== null && r.type === RTN_LOCAL ? r.dev : null;
}

/** __mkroute_output. */
function makeOutput(net: Netns, skb: Skb, r: Route | null, nh: NextHop | null, dev: Netdev, daddr: number, saddr: number): number {
  const onLo = dev === net.lo;
  if (isLoopback(saddr) && !onLo && !orConf(net, dev, 'route_localnet')) return -EINVAL;
  if (daddr !== -1 && daddr >>> 24 === 0) return -EINVAL;
  const broadcast = daddr === -1 || (r !== null && r.type === RTN_BROADCAST);
  const multicast = isMulticast(daddr);
  if (onLo || broadcast || (multicast && daddr === ALL_HOSTS)) skb.rtFlags |= RTCF_LOCAL;
  // A default route's gateway is not asked about groups.
  if (daddr === -1 || (multicast && r !== null && r.prefix < 4)) r = nh = null;
  setNexthop(net, skb, r, nh, dev, daddr, false);
  skb.rtSrc = saddr;
  skb.rtType = broadcast ? ROUTE_BROADCAST : multicast ? ROUTE_MULTICAST : ROUTE_OUTPUT;
  return 0;
} // prettier-ignore

/** The source a route prefers (fib_result_prefsrc). */
function prefsrc(r: Route, nh: NextHop): number {
  return r.src !== 0 ? r.src : inetSelectAddr(nh.dev!, nh.gw, r.scope);
}

/** ip_route_me_harder: routes a packet again by its current header, after NAT or a mark in OUTPUT changed it. */
export function ipRouteMeHarder(net: Netns, skb: Skb): number {
  const saddr = ipv4.src(skb.buf, skb.net);
  const type = inetAddrType(net, saddr);
  const keep = type === RTN_LOCAL || type === RTN_UNICAST ? saddr : 0;
  return routeOutputAny(net, skb, ipv4.dst(skb.buf, skb.net), keep, null, ipv4.tos(skb.buf, skb.net));
}
