/**
 * What the network has taught about a route: another gateway (redirects), a smaller MTU (ICMP 3/4).
 *
 * An exception belongs to a next hop and one destination, and ends by its time. Kernel counterpart: net/ipv4/route.c
 * (fib_nh_exception). Not here: the hash buckets; the bound on their number is the same.
 * @module
 */
import { isMulticast } from '../../../wire/inet.js';
import { SEC } from '../../sim/sim.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { addrOnlink } from './devinet.js';
import { type Dst, dstMtu, nexthop } from './dst.js';
import { type Fnhe, type NextHop, RTN_UNICAST } from './fib.js';
import { Flow } from './flow.js';
import { selectPath } from './multipath.js';
import { inetAddrType, isErr, routeOutput } from './route.js';

/** The least path MTU that is believed by default (min_pmtu), and how long a redirect lasts (gc_timeout). */
export const MIN_PMTU = 552;
const REDIRECT_EXPIRES = 300 * SEC;
/** FNHE_HASH_SIZE buckets of FNHE_RECLAIM_DEPTH. */
const MAX_EXCEPTIONS = 2048 * 5;

/** The live exception of a next hop for a destination (find_exception), or null. */
export function findException(nh: NextHop, daddr: number, now: number): Fnhe | null {
  if (nh.exceptions === null) return null;
  const e = nh.exceptions.get(daddr);
  if (e === undefined) return null;
  if (now <= e.expires) return e;
  nh.exceptions.delete(daddr);
  return null;
}

/** What an exception says goes into a route (fill_route_from_fnhe). */
export function fillFromException(d: Dst, e: Fnhe): void {
  d.pmtu = e.pmtu;
  if (e.locked) d.mtuLocked = true;
  d.expires = e.expires;
  if (e.gw === 0) return;
  d.gw = e.gw;
  d.usesGateway = true;
}

/** update_or_create_fnhe: 0 for `gw` or `pmtu` leaves what is known. */
function updateOrCreate(nh: NextHop, daddr: number, gw: number, pmtu: number, locked: boolean, expires: number): void {
  const all = (nh.exceptions ??= new Map());
  const e = all.get(daddr);
  if (e !== undefined) {
    if (gw !== 0) e.gw = gw;
    if (pmtu !== 0) {
      e.pmtu = pmtu;
      e.locked = locked;
    }
    e.expires = expires;
    all.delete(daddr);
    all.set(daddr, e);
    if (e.rthInput !== null) fillFromException(e.rthInput, e);
    if (e.rthOutput !== null) fillFromException(e.rthOutput, e);
    return;
  }
  if (all.size >= MAX_EXCEPTIONS) {
    // The Map is in the order of the last change (fnhe_stamp).
    for (const oldest of all.keys()) {
      all.delete(oldest);
      break;
    }
  }
  all.set(daddr, { gw, pmtu, locked, expires, rthInput: null, rthOutput: null });
  // Who keeps a route over this next hop has to ask again.
  if (nh.rthInput !== null) nh.rthInput.obsolete = true;
  if (nh.rthOutput !== null) nh.rthOutput.obsolete = true;
}

/** The MTU of the next hop's device has changed from `old` to `mtu`: what is known of paths follows (fib_nhc_update_mtu). */
export function updateMtu(nh: NextHop, mtu: number, old: number): void {
  if (nh.exceptions === null) return;
  for (const e of nh.exceptions.values()) {
    if (e.locked ? mtu > e.pmtu : mtu >= e.pmtu && old !== e.pmtu) continue;
    e.pmtu = mtu;
    e.locked = false;
  }
}

const flow = new Flow();

/** The next hops that a packet of this flow may take. */
function hops(net: Netns, fl: Flow, all: boolean): readonly NextHop[] {
  const r = net.fib.lookup(fl);
  if (r === null || r.dev === null) return [];
  if (r.paths !== null) return all ? r.paths : [selectPath(net, r, fl)];
  return [r];
}

/**
 * The path to `daddr` takes packets of at most `mtu` bytes (ipv4_update_pmtu, __ip_rt_update_pmtu): remembered for 600 s.
 * `mtu` is an ICMP message's next-hop MTU; below 552 the path counts as one that wants no DF.
 */
export function updatePmtu(net: Netns, daddr: number, saddr: number, tos: number, mark: number, mtu: number): void {
  const { sim } = net.kernel;
  const fl = flow.to(daddr, saddr);
  fl.tos = tos;
  fl.mark = mark;
  const rt = routeOutput(net, fl);
  if (isErr(rt) || rt.mtuLocked) return;
  const old = dstMtu(rt);
  if (old < mtu) return;
  const least = net.sysctl.get('net.ipv4.route.min_pmtu') ?? MIN_PMTU;
  const lock = mtu < least;
  const pmtu = lock ? Math.min(old, least) : mtu;
  const lasts = (net.sysctl.get('net.ipv4.route.mtu_expires') ?? 600) * SEC;
  if (rt.pmtu === pmtu && sim.now < rt.expires - lasts / 2) return;
  const expires = sim.now + lasts;
  for (const h of hops(net, fl, true)) updateOrCreate(h, daddr, 0, pmtu, lock, expires);
}

/** IN_DEV_RX_REDIRECTS: a router needs all and the device, a host one of the two. */
function acceptsRedirects(net: Netns, dev: Netdev): boolean {
  const a = net.confAll.accept_redirects !== 0;
  const d = dev.conf.accept_redirects !== 0;
  return dev.conf.forwarding !== 0 ? a && d : a || d;
}

/**
 * A redirect about packets to `daddr` arrived: `skb` is the ICMP message, `gw` its new gateway (ipv4_redirect,
 * __ip_do_redirect). Believed only from the gateway in use; an unknown new gateway is asked for by ARP first.
 */
export function doRedirect(net: Netns, skb: Skb, from: number, gw: number, daddr: number, saddr: number, tos: number, mark: number): void {
  const dev = skb.dev!;
  const { sim } = net.kernel;
  const fl = flow.to(daddr, saddr);
  fl.tos = tos;
  fl.mark = mark;
  const rt = routeOutput(net, fl);
  if (isErr(rt)) return;
  const old = nexthop(rt, daddr);
  if (old === daddr || old !== from) return;
  if (gw === old || !acceptsRedirects(net, dev) || isMulticast(gw) || gw === -1 || gw >>> 24 === 0) return;
  if (dev.conf.shared_media === 0 && net.confAll.shared_media === 0) {
    if (!addrOnlink(dev, gw, old)) return;
    const secure = dev.conf.secure_redirects !== 0 || net.confAll.secure_redirects !== 0;
    if (secure && !isDefaultGateway(net, gw, dev)) return;
  } else if (inetAddrType(net, gw) !== RTN_UNICAST) return;
  const n = net.neigh.create(rt.dev, gw);
  if (!n.valid) {
    n.eventSend(null);
    return;
  }
  for (const h of hops(net, fl, false)) updateOrCreate(h, daddr, gw, 0, false, sim.now + REDIRECT_EXPIRES);
} // prettier-ignore

/** ip_fib_check_default: some default route on the device has this gateway. */
function isDefaultGateway(net: Netns, gw: number, dev: Netdev): boolean {
  for (const t of net.fib.tables.values()) {
    for (const r of t.routes) {
      if (r.gw === gw && r.dev === dev) return true;
      if (r.paths !== null && r.paths.some((p) => p.gw === gw && p.dev === dev)) return true;
    }
  }
  return false;
}
