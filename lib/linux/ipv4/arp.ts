/**
 * ARP: asking, answering, learning.
 *
 * Kernel counterpart: net/ipv4/arp.c. Not here: medium_id.
 * @module
 */
import * as arp from '../../../wire/arp.js';
import { equalAt } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import { isLoopback, isMulticast, maskOf } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { MS } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import { devQueueXmit, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { PACKET_HOST, PACKET_OTHERHOST, type Skb } from '../core/skb.js';
import { addrOnlink, inetSelectAddr } from './devinet.js';
import { RTN_LOCAL, RTN_UNICAST, SCOPE_LINK } from './fib.js';
import { Flow } from './flow.js';
import { type Neigh, NUD_REACHABLE, NUD_STALE } from './neighbour.js';
import { arpRouteType, inetAddrType, isErr, orConf, routeOutput } from './route.js';

const ZERO = new Uint8Array(6);

const flow = new Flow();

/** Builds and sends one ARP message (arp_send_dst). */
function arpSend(dev: Netdev, op: number, dstMac: Uint8Array, sip: number, tha: Uint8Array, tip: number): void {
  const skb = dev.kernel.skbs.alloc();
  const o = skb.head + eth.HLEN;
  eth.write(skb.buf, skb.head, dstMac, dev.mac, eth.P_ARP);
  arp.write(skb.buf, o, op, dev.mac, sip, tha, tip);
  skb.tail = o + arp.LEN;
  skb.net = o;
  skb.protocol = eth.P_ARP;
  devQueueXmit(dev, skb);
}

/** arp_solicit: asks for a neighbour, by unicast when probing. `waiting` is the packet queued last. */
export function arpSolicit(n: Neigh, waiting: Skb | null): void {
  const { dev } = n;
  const { net } = dev;
  const announce = Math.max(net.confAll.arp_announce, dev.conf.arp_announce);
  let saddr = 0;
  if (waiting !== null && announce < 2) {
    const s = ipv4.src(waiting.buf, waiting.net);
    if (inetAddrType(net, s) === RTN_LOCAL && (announce === 0 || addrOnlink(dev, n.addr, s))) {
      saddr = s;
    }
  }
  if (saddr === 0) saddr = inetSelectAddr(dev, n.addr, SCOPE_LINK);
  const p = dev.neigh;
  if (n.probes < p.ucastSolicit) arpSend(dev, arp.REQUEST, n.mac, saddr, ZERO, n.addr);
  else if (n.probes >= p.ucastSolicit + p.appSolicit) arpSend(dev, arp.REQUEST, eth.BROADCAST, saddr, ZERO, n.addr);
}

/** Gratuitous request on link up or address change where arp_notify asks for it (inetdev_send_gratuitous_arp). */
export function arpNotify(dev: Netdev): void {
  if (Math.max(dev.net.confAll.arp_notify, dev.conf.arp_notify) === 0 || !dev.isEthernet) return;
  for (const a of dev.addrs) arpSend(dev, arp.REQUEST, eth.BROADCAST, a.addr, ZERO, a.addr);
}

/** A frame reached ARP (arp_rcv, arp_process). */
export function arpRcv(net: Netns, skb: Skb, dev: Netdev): void {
  const b = skb.buf;
  const o = skb.net;
  if (dev.noarp || skb.pktType === PACKET_OTHERHOST || !dev.isEthernet) return drop(net, skb, 'OTHERHOST');
  if (arp.check(b, o, skb.tail) < 0) return drop(net, skb, 'PKT_TOO_SMALL');
  const op = arp.op(b, o);
  if (op !== arp.REQUEST && op !== arp.REPLY) return drop(net, skb, 'UNHANDLED_PROTO');
  const sip = arp.sip(b, o);
  const tip = arp.tip(b, o);
  if (isMulticast(tip) || (isLoopback(tip) && dev.conf.route_localnet === 0 && net.confAll.route_localnet === 0)) {
    return drop(net, skb, 'ARP_IGNORED');
  }
  if (sip === 0) {
    if (op === arp.REQUEST && inetAddrType(net, tip) === RTN_LOCAL && !arpIgnore(net, dev, sip, tip)) {
      arpReply(dev, b, o, tip, sip);
    }
    return net.kernel.skbs.free(skb);
  }
  const how = op === arp.REQUEST ? answers(net, dev, sip, tip) : SILENT;
  if (how !== SILENT) {
    net.neigh.create(dev, sip).update(b, o + arp.SHA, NUD_STALE, true);
    if (how === PROXY && skb.pktType !== PACKET_HOST && dev.neigh.proxyDelayNs !== 0)
      return proxyEnqueue(net, skb, dev);
    arpReply(dev, b, o, tip, sip);
    return net.kernel.skbs.free(skb);
  }
  learn(net, skb, dev, op, sip, tip);
  net.kernel.skbs.free(skb);
}

/** What is done with a request. */
const SILENT = 0;
const OWN = 1;
const PROXY = 2;

/**
 * An answer for somebody else waits a random time up to proxy_delay, so that the owner's own may come first
 * (pneigh_enqueue). No more than proxy_qlen wait on a device.
 */
function proxyEnqueue(net: Netns, skb: Skb, dev: Netdev): void {
  const waiting = proxyWaiting.get(dev) ?? 0;
  if (waiting > dev.neigh.proxyQlen) return drop(net, skb, 'NEIGH_QUEUEFULL');
  proxyWaiting.set(dev, waiting + 1);
  const { sim } = net.kernel;
  sim.after(net.kernel.rng('proxy-delay').below(dev.neigh.proxyDelayNs / TICK) * TICK, () => {
    proxyWaiting.set(dev, proxyWaiting.get(dev)! - 1);
    const b = skb.buf;
    const o = skb.net;
    if (dev.up && dev.net === net && answers(net, dev, arp.sip(b, o), arp.tip(b, o)) !== SILENT) {
      net.neigh.create(dev, arp.sip(b, o)).update(b, o + arp.SHA, NUD_STALE, true);
      arpReply(dev, b, o, arp.tip(b, o), arp.sip(b, o));
    }
    net.kernel.skbs.free(skb);
  });
}

/** Jiffies of 10 ms. */
const TICK = 10 * MS;
const proxyWaiting = new WeakMap<Netdev, number>();

function arpReply(dev: Netdev, b: Uint8Array, o: number, tip: number, sip: number): void {
  const sha = b.slice(o + arp.SHA, o + arp.SHA + 6);
  arpSend(dev, arp.REPLY, sha, tip, sha, sip);
}

/**
 * Whether this machine answers a request for `tip` that came in on `dev`, for itself or for another. The question is
 * routed like a packet from the sender to the target: a martian sender gets no answer.
 */
function answers(net: Netns, dev: Netdev, sip: number, tip: number): number {
  const type = arpRouteType(net, dev, sip, tip);
  if (type === RTN_LOCAL) return arpIgnore(net, dev, sip, tip) || arpFilter(net, dev, sip, tip) ? SILENT : OWN;
  if (type !== RTN_UNICAST || dev.conf.forwarding === 0) return SILENT;
  const fl = flow.to(tip, sip);
  fl.iif = dev;
  const r = net.fib.lookup(fl)!;
  // arp_fwd_pvlan: a private VLAN's ports talk through the router, also on one device.
  if (r.dev === dev) return dev.conf.proxy_arp_pvlan !== 0 && sip !== tip ? PROXY : SILENT;
  return orConf(net, dev, 'proxy_arp') || net.neigh.proxies.has(dev, tip) ? PROXY : SILENT;
}

/** arp_filter(): true when the way back to the sender is another device, or there is none. */
function arpFilter(net: Netns, dev: Netdev, sip: number, tip: number): boolean {
  if (!orConf(net, dev, 'arp_filter')) return false;
  const d = routeOutput(net, flow.to(sip, tip));
  return isErr(d) || d.dev !== dev;
}

/** arp_ignore(): true when the answer is withheld. */
function arpIgnore(net: Netns, dev: Netdev, sip: number, tip: number): boolean {
  switch (Math.max(net.confAll.arp_ignore, dev.conf.arp_ignore)) {
    case 0:
      return false;
    case 1:
      return !dev.addrs.some((a) => a.addr === tip);
    case 2:
      return !dev.addrs.some((a) => a.addr === tip && ((a.addr ^ sip) & maskOf(a.prefix)) === 0);
    case 3:
      return !net.devs.some((d) => d.addrs.some((a) => a.addr === tip && a.scope <= SCOPE_LINK));
    case 8:
      return true;
    default:
      return false;
  }
}

/** An existing entry learns from any message of its owner; a new one only where arp_accept says so. */
function learn(net: Netns, skb: Skb, dev: Netdev, op: number, sip: number, tip: number): void {
  const b = skb.buf;
  const o = skb.net;
  const accept = acceptsNew(net, dev, sip);
  let n = net.neigh.lookup(dev, sip);
  if (n === null && !accept) return;
  const unicast = inetAddrType(net, sip) === RTN_UNICAST;
  // arp_is_garp: a gratuitous reply repeats the sender's MAC as target.
  const gratuitous = sip === tip && unicast && (op !== arp.REPLY || equalAt(b, o + arp.SHA, b, o + arp.THA, 6));
  if (n === null && (gratuitous || (op === arp.REPLY && unicast))) n = net.neigh.create(dev, sip);
  if (n === null) return;
  const nud = op === arp.REPLY && skb.pktType === PACKET_HOST ? NUD_REACHABLE : NUD_STALE;
  n.update(b, o + arp.SHA, nud, n.unlocked || gratuitous);
}

/** arp_accept(): 1 any sender, 2 one of the device's subnets. */
function acceptsNew(net: Netns, dev: Netdev, sip: number): boolean {
  const v = Math.max(net.confAll.arp_accept, dev.conf.arp_accept);
  return v === 1 || (v === 2 && addrOnlink(dev, sip, 0));
}
