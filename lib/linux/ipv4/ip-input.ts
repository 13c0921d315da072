/**
 * IPv4 receive path: everything between a netdev and either ip-forward.ts or a transport handler.
 *
 *   netifReceiveSkb ─▶ ipRcv ─[PRE_ROUTING]▶ ipRcvFinish ─▶ route?
 *                                              ├─ local ─▶ ipLocalDeliver ─[LOCAL_IN]▶ tcpV4Rcv | udpRcv | icmpRcv
 *                                              └─ other ─▶ ipForward      (ip-forward.ts)
 *
 * Kernel counterpart: net/ipv4/ip_input.c. Not here: options, multicast, reassembly (fragments for this machine are dropped).
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import { drop } from '../core/drop.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_IN, nfHook, PRE_ROUTING } from '../core/nf-hook.js';
import { PACKET_OTHERHOST, type Skb } from '../core/skb.js';
import { icmpRcv, icmpSend } from './icmp.js';
import { ipForward } from './ip-forward.js';
import { rawDeliver } from './raw.js';
import { EACCES, EHOSTUNREACH, ENETUNREACH, ROUTE_FORWARD, ROUTE_NONE, routeInput } from './route.js';
import { tcpV4Rcv } from './tcp-ipv4.js';
import { udpRcv } from './udp.js';

/** A frame reached IPv4. Rejects it, or trims Ethernet padding and hands it to PRE_ROUTING. */
export function ipRcv(net: Netns, skb: Skb, dev: Netdev): void {
  if (skb.pktType === PACKET_OTHERHOST) return drop(net, skb, 'OTHERHOST');
  const len = ipv4.check(skb.buf, skb.net, skb.tail);
  if (len < 0) return drop(net, skb, 'IP_INHDR');
  if (!ipv4.csumOk(skb.buf, skb.net)) return drop(net, skb, 'IP_CSUM');
  skb.trim(len); // veth never pads; a real network card does.
  skb.trans = skb.net + ipv4.headerLen(skb.buf, skb.net);
  if (skb.brPrerouted) {
    skb.brPrerouted = false;
    ipRcvFinish(net, skb);
    return;
  }
  nfHook(PRE_ROUTING, net, skb, dev, null, ipRcvFinish);
}

/** Routes the packet (ip_rcv_finish); a destination changed by PRE_ROUTING is seen here. */
export function ipRcvFinish(net: Netns, skb: Skb): void {
  const dev = skb.dev!;
  if (skb.rtType === ROUTE_NONE) {
    const err = routeInput(net, skb, dev);
    if (err !== 0) return ipError(net, skb, err);
  }
  if (net.kernel.tracer !== null) {
    net.kernel.tracer.route(net, skb, skb.rtType === ROUTE_FORWARD ? `forward to ${skb.rtDev!.name}` : 'local');
  }
  if (skb.rtType === ROUTE_FORWARD) ipForward(net, skb);
  else ipLocalDeliver(net, skb);
}

/** ip_error: a packet without a route is told so where this machine forwards; martians end silently. */
function ipError(net: Netns, skb: Skb, err: number): void {
  if (skb.dev!.conf.forwarding !== 0) {
    if (err === -ENETUNREACH) icmpSend(net, skb, 3, 0, 0);
    else if (err === -EHOSTUNREACH) icmpSend(net, skb, 3, 1, 0);
    else if (err === -EACCES) icmpSend(net, skb, 3, 13, 0);
  }
  drop(net, skb, err === -ENETUNREACH || err === -EHOSTUNREACH ? 'IP_INNOROUTES' : 'IP_INADDRERRORS');
}

/** The packet is for this namespace (ip_local_deliver). */
export function ipLocalDeliver(net: Netns, skb: Skb): void {
  if (ipv4.isFragment(skb.buf, skb.net)) return drop(net, skb, 'NOT_SPECIFIED');
  nfHook(LOCAL_IN, net, skb, skb.dev, null, ipLocalDeliverFinish);
}

function ipLocalDeliverFinish(net: Netns, skb: Skb): void {
  skb.trans = skb.net + ipv4.headerLen(skb.buf, skb.net);
  const proto = ipv4.proto(skb.buf, skb.net);
  const raw = rawDeliver(net, skb, proto);
  if (proto === ipv4.TCP) return tcpV4Rcv(net, skb);
  if (proto === ipv4.UDP) return udpRcv(net, skb);
  if (proto === ipv4.ICMP) return icmpRcv(net, skb);
  if (!raw) icmpSend(net, skb, 3, 2, 0);
  drop(net, skb, 'IP_NOPROTO');
}
