/**
 * The routing decision: fills skb.rt* from the header, the mark and the receiving device.
 *
 * Kernel counterpart: net/ipv4/route.c (ip_route_input_slow, ip_route_output_key_hash_rcu), fib_frontend.c
 * (fib_validate_source). Not here: exceptions (PMTU, redirects), multicast routing.
 * @module
 */
import { isLoopback, isMulticast } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { inetSelectAddr } from './devinet.js';
import {
  RTN_BLACKHOLE, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_PROHIBIT, RTN_UNICAST, RTN_UNREACHABLE, type Route,
  SCOPE_LINK,
} from './fib.js'; // prettier-ignore

export { inetSelectAddr } from './devinet.js';
export { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST } from './fib.js';

export const EINVAL = 22;
export const EHOSTUNREACH = 113;
export const ENETUNREACH = 101;
export const EACCES = 13;

/** skb.rtType: what to do with the packet. */
export const ROUTE_NONE = 0;
export const ROUTE_OUTPUT = 1;
export const ROUTE_LOCAL = 2;
export const ROUTE_FORWARD = 3;
export const ROUTE_BROADCAST = 4;
export const ROUTE_MULTICAST = 5;

/** skb.rtFlags. */
export const RTCF_DOREDIRECT = 1;

/** What kind of address this is for the namespace (inet_addr_type). */
export function inetAddrType(net: Netns, addr: number): number {
  if (addr === 0 || addr === -1) return RTN_BROADCAST;
  if (isMulticast(addr)) return RTN_MULTICAST;
  const r = net.fib.local.lookup(addr, 0, null);
  return r === null ? RTN_UNICAST : r.type;
}

const errorOf = (r: Route | null): number => {
  if (r === null) return -ENETUNREACH;
  if (r.type === RTN_BLACKHOLE) return -EINVAL;
  if (r.type === RTN_UNREACHABLE) return -EHOSTUNREACH;
  if (r.type === RTN_PROHIBIT) return -EACCES;
  return 0;
};

/**
 * Routes a packet that a device received (ip_route_input): 0 and skb.rt* filled, or a negative errno. -EINVAL stands for
 * a martian or a blackhole, to be dropped silently.
 */
export function routeInput(net: Netns, skb: Skb, dev: Netdev): number {
  const daddr = ipv4.dst(skb.buf, skb.net);
  const saddr = ipv4.src(skb.buf, skb.net);
  const tos = ipv4.tos(skb.buf, skb.net) & 0x1c;
  const localnet = dev.conf.route_localnet !== 0 || net.confAll.route_localnet !== 0;
  const onLo = dev === net.lo;
  skb.rtSrc = 0;
  skb.rtFlags = 0;
  skb.rtGw = 0;
  if (isMulticast(saddr) || saddr === -1) return -EINVAL;
  if (isMulticast(daddr)) return -EINVAL;
  if (daddr === -1 || (saddr === 0 && daddr === 0)) return broadcastInput(net, skb, saddr, tos, dev);
  if (saddr === 0 || daddr === 0) return -EINVAL;
  if (!onLo && !localnet && (isLoopback(daddr) || isLoopback(saddr))) return -EINVAL;
  const r = net.fib.lookup(daddr, saddr, tos, skb.mark, dev.name, null);
  const err = errorOf(r);
  if (err !== 0) return dev.conf.forwarding === 0 ? -EHOSTUNREACH : err;
  if (r!.type === RTN_BROADCAST) return broadcastInput(net, skb, saddr, tos, dev);
  if (r!.type === RTN_LOCAL) {
    if (validateSource(net, saddr, daddr, tos, dev) < 0) return -EINVAL;
    skb.rtType = ROUTE_LOCAL;
    skb.rtDev = net.lo;
    return 0;
  }
  if (dev.conf.forwarding === 0) return -EHOSTUNREACH;
  const v = validateSource(net, saddr, daddr, tos, dev);
  if (v < 0) return -EINVAL;
  skb.rtType = ROUTE_FORWARD;
  skb.rtDev = r!.dev;
  skb.rtGw = r!.gw === 0 ? daddr : r!.gw;
  if (v === 1 && r!.dev === dev && (dev.conf.send_redirects !== 0 || net.confAll.send_redirects !== 0)) {
    skb.rtFlags = RTCF_DOREDIRECT;
  }
  return 0;
}

function broadcastInput(net: Netns, skb: Skb, saddr: number, tos: number, dev: Netdev): number {
  if (saddr !== 0 && validateSource(net, saddr, 0, tos, dev) < 0) return -EINVAL;
  skb.rtType = ROUTE_BROADCAST;
  skb.rtDev = dev;
  return 0;
}

/**
 * fib_validate_source: -1 to drop, 1 when the source is on link on the receiving device, else 0. The packet's mark does not
 * count (src_valid_mark is 0).
 */
function validateSource(net: Netns, saddr: number, daddr: number, tos: number, dev: Netdev): number {
  if (dev === net.lo) return 0;
  const rp = Math.max(net.confAll.rp_filter, dev.conf.rp_filter);
  const r = net.fib.lookup(saddr, daddr, tos, 0, '', null);
  if (r === null || r.type !== RTN_UNICAST) {
    if (r !== null && r.type === RTN_LOCAL) return (dev.conf.accept_local | net.confAll.accept_local) !== 0 ? 0 : -1;
    return rp === 0 ? 0 : -1;
  }
  if (r.dev !== dev && (rp === 1 || (rp !== 0 && dev.addrs.length === 0))) return -1;
  return r.dev === dev && r.gw === 0 ? 1 : 0;
}

/** Type of the route that a packet from `sip` to `tip` would take, -1 when its source is a martian (arp_process). */
export function arpRouteType(net: Netns, dev: Netdev, sip: number, tip: number): number {
  if (isMulticast(sip) || sip === -1 || tip === 0) return -1;
  const localnet = dev.conf.route_localnet !== 0 || net.confAll.route_localnet !== 0;
  if (isLoopback(sip) && !localnet) return -1;
  if (tip === -1) return RTN_BROADCAST;
  const r = net.fib.lookup(tip, sip, 0, 0, dev.name, null);
  if (r === null) return RTN_UNREACHABLE;
  if (r.type === RTN_UNICAST && dev.conf.forwarding === 0) return RTN_UNREACHABLE;
  if (r.type <= RTN_BROADCAST && validateSource(net, sip, tip, 0, dev) < 0) return -1;
  return r.type;
}

/**
 * Routes a packet of this machine (ip_route_output_key): 0 and skb.rtDev, rtGw, rtType, rtSrc filled, or a negative
 * errno. `saddr` 0 lets the route choose the source.
 */
export function routeOutput(net: Netns, skb: Skb, daddr: number, saddr: number, oif: Netdev | null): number {
  skb.rtFlags = 0;
  if (daddr === 0) daddr = 0x7f000001;
  if (oif !== null && (daddr === -1 || isMulticast(daddr))) {
    skb.rtDev = oif;
    skb.rtGw = daddr;
    skb.rtType = daddr === -1 ? ROUTE_BROADCAST : ROUTE_MULTICAST;
    skb.rtSrc = saddr !== 0 ? saddr : inetSelectAddr(oif, 0, SCOPE_LINK);
    return 0;
  }
  const r = net.fib.lookup(daddr, saddr, 0, skb.mark, '', oif);
  const err = errorOf(r);
  if (err !== 0) return err;
  if (r!.type === RTN_LOCAL) {
    skb.rtDev = net.lo;
    skb.rtGw = daddr;
    skb.rtType = ROUTE_OUTPUT;
    skb.rtSrc = saddr !== 0 ? saddr : r!.src !== 0 ? r!.src : daddr;
    return 0;
  }
  skb.rtDev = r!.dev;
  skb.rtGw = r!.gw === 0 ? daddr : r!.gw;
  skb.rtType = r!.type === RTN_BROADCAST ? ROUTE_BROADCAST : isMulticast(daddr) ? ROUTE_MULTICAST : ROUTE_OUTPUT;
  skb.rtSrc = saddr !== 0 ? saddr : sourceFor(r!);
  return 0;
}

/** The source a route prefers (fib_result_prefsrc). */
function sourceFor(r: Route): number {
  if (r.src !== 0) return r.src;
  return inetSelectAddr(r.dev!, r.gw, r.scope);
}

/** ip_route_me_harder: routes a packet again by its current header, after NAT or a mark in OUTPUT changed it. */
export function ipRouteMeHarder(net: Netns, skb: Skb): number {
  const saddr = ipv4.src(skb.buf, skb.net);
  const daddr = ipv4.dst(skb.buf, skb.net);
  const type = inetAddrType(net, saddr);
  return routeOutput(net, skb, daddr, type === RTN_LOCAL || type === RTN_UNICAST ? saddr : 0, null);
}
