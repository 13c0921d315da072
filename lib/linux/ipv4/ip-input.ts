/**
 * IPv4 receive path: everything between a netdev and either ip-forward.ts or a transport handler.
 *
 *   netifReceiveSkb ─▶ ipRcv ─[PRE_ROUTING]▶ ipRcvFinish ─▶ route? ─▶ options
 *                                              ├─ local ─▶ ipLocalDeliver ─ whole? ─[LOCAL_IN]▶ tcpV4Rcv | udpRcv | icmpRcv
 *                                              └─ other ─▶ ipForward      (ip-forward.ts)
 *
 * Kernel counterpart: net/ipv4/ip_input.c. Not here: early demux, multicast beyond 224.0.0.1.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_IN, nfHook, PRE_ROUTING } from '../core/nf-hook.js';
import { clearCb, orphan, PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST, type Skb } from '../core/skb.js';
import { type Dst, INPUT_ERROR, INPUT_FORWARD, INPUT_LOCAL, RTCF_GROUP } from './dst.js';
import { icmpRcv } from './icmp-rcv.js';
import { icmpSend } from './icmp.js';
import { ipForward } from './ip-forward.js';
import { DEFRAG_LOCAL_DELIVER, ipDefrag } from './ip-fragment.js';
import { compileOptions, OPTIONS_OK, receiveSourceRoute } from './ip-options.js';
import { rawDeliver } from './raw.js';
import { EACCES, EHOSTUNREACH, ENETUNREACH, EXDEV, orConf, routeInput } from './route.js';
import { tcpV4Rcv } from './tcp-ipv4.js';
import { udpRcv } from './udp.js';

/** ip_rt_error_cost and _burst: a packet without a route costs its sender a second, five at once. */
const ERROR_COST = SEC;
const ERROR_BURST = 5 * SEC;

/** A frame reached IPv4. Rejects it, or trims Ethernet padding and hands it to PRE_ROUTING. */
export function ipRcv(net: Netns, skb: Skb, dev: Netdev): void {
  if (skb.pktType === PACKET_OTHERHOST) return drop(net, skb, 'OTHERHOST');
  if (!ipRcvCore(net, skb)) return;
  if (skb.brPrerouted) {
    skb.brPrerouted = false;
    ipRcvFinish(net, skb);
    return;
  }
  nfHook(PRE_ROUTING, net, skb, dev, null, ipRcvFinish);
}

/** Header, checksum and length (ip_rcv_core); false: the packet was dropped. */
function ipRcvCore(net: Netns, skb: Skb): boolean {
  const b = skb.buf;
  const o = skb.net;
  const room = skb.tail - o;
  if (room < ipv4.HLEN || b[o]! >> 4 !== 4 || ipv4.headerLen(b, o) < ipv4.HLEN || room < ipv4.headerLen(b, o)) {
    return (drop(net, skb, 'IP_INHDR'), false);
  }
  if (!ipv4.csumOk(b, o)) return (drop(net, skb, 'IP_CSUM'), false);
  const len = u16(b, o + ipv4.LEN);
  if (room < len) return (drop(net, skb, 'PKT_TOO_SMALL'), false);
  if (len < ipv4.headerLen(b, o)) return (drop(net, skb, 'IP_INHDR'), false);
  skb.trim(len); // veth never pads; a real network card does.
  skb.trans = o + ipv4.headerLen(b, o);
  // Even what br_netfilter has put together of fragments is not known as such any more.
  clearCb(skb);
  orphan(skb);
  return true;
}

/** Routes the packet (ip_rcv_finish); a destination changed by PRE_ROUTING is seen here. */
export function ipRcvFinish(net: Netns, skb: Skb): number {
  rcvFinish(net, skb);
  return 0;
}

function rcvFinish(net: Netns, skb: Skb): void {
  const dev = skb.dev!;
  if (skb.dst === null) {
    const err = routeInput(net, skb, dev);
    if (err !== 0) return drop(net, skb, err === -EXDEV ? 'IP_RPFILTER' : 'IP_INADDRERRORS');
  }
  if (ipv4.headerLen(skb.buf, skb.net) > ipv4.HLEN && !rcvOptions(net, skb)) return drop(net, skb, 'IP_OPTIONS');
  const d = skb.dst!;
  if (skb.pktType === PACKET_BROADCAST || skb.pktType === PACKET_MULTICAST) {
    const group = (d.flags & RTCF_GROUP) !== 0;
    if (!group && orConf(net, dev, 'drop_unicast_in_l2_multicast')) return drop(net, skb, 'UNICAST_IN_L2_MULTICAST');
  }
  if (net.kernel.tracer !== null && d.input !== INPUT_ERROR) net.kernel.tracer.route(net, skb, d);
  dstInput(net, skb, d);
}

/** What the route says (dst_input). */
function dstInput(net: Netns, skb: Skb, d: Dst): void {
  if (d.input === INPUT_FORWARD) ipForward(net, skb);
  else if (d.input === INPUT_LOCAL) ipLocalDeliver(net, skb);
  else if (d.input === INPUT_ERROR) ipError(net, skb, d.error);
  else drop(net, skb, 'NOT_SPECIFIED');
}

/** Options checked, this machine entered in them (ip_rcv_options); false: drop. */
function rcvOptions(net: Netns, skb: Skb): boolean {
  const bad = compileOptions(net, skb);
  if (bad !== OPTIONS_OK) {
    icmpSend(net, skb, 12, 0, (bad << 24) | 0);
    return false;
  }
  if (skb.optSrr === 0) return true;
  const dev = skb.dev!;
  if (dev.conf.accept_source_route === 0 || net.confAll.accept_source_route === 0) return false;
  const v = receiveSourceRoute(net, skb);
  if (v.problem !== 0) icmpSend(net, skb, 12, 0, (v.problem << 24) | 0);
  return !v.drop;
}

/** ip_error: a packet without a route is told so where this machine forwards, five at once, then one a second. */
function ipError(net: Netns, skb: Skb, err: number): void {
  const reason = err === -ENETUNREACH ? 'IP_INNOROUTES' : 'IP_INADDRERRORS';
  const code = err === -ENETUNREACH ? 0 : err === -EHOSTUNREACH ? 1 : err === -EACCES ? 13 : -1;
  if (skb.dev!.conf.forwarding === 0 || code < 0) return drop(net, skb, reason);
  const { now } = net.kernel.sim;
  const peer = net.peers.get(ipv4.src(skb.buf, skb.net), now);
  peer.rateTokens = Math.min(peer.rateTokens + now - peer.rateLast, ERROR_BURST);
  peer.rateLast = now;
  if (peer.rateTokens >= ERROR_COST) {
    peer.rateTokens -= ERROR_COST;
    icmpSend(net, skb, 3, code, 0);
  }
  drop(net, skb, reason);
}

/** The packet is for this namespace (ip_local_deliver): fragments wait for each other. */
export function ipLocalDeliver(net: Netns, skb: Skb): void {
  if (ipv4.isFragment(skb.buf, skb.net) && !ipDefrag(net, skb, DEFRAG_LOCAL_DELIVER)) return;
  nfHook(LOCAL_IN, net, skb, skb.dev, null, ipLocalDeliverFinish);
}

function ipLocalDeliverFinish(net: Netns, skb: Skb): number {
  protocolDeliver(net, skb);
  return 0;
}

/** ip_protocol_deliver_rcu. */
function protocolDeliver(net: Netns, skb: Skb): void {
  skb.trans = skb.net + ipv4.headerLen(skb.buf, skb.net);
  const proto = ipv4.proto(skb.buf, skb.net);
  const raw = rawDeliver(net, skb, proto);
  if (proto === ipv4.TCP) return tcpV4Rcv(net, skb);
  if (proto === ipv4.UDP) return udpRcv(net, skb);
  if (proto === ipv4.ICMP) return icmpRcv(net, skb);
  if (proto === ipv4.IPIP) return net.kernel.proto.ipipRcv(net, skb);
  if (!raw) icmpSend(net, skb, 3, 2, 0);
  drop(net, skb, 'IP_NOPROTO');
}
