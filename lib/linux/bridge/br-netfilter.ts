/**
 * br_netfilter: bridged IPv4 frames visit iptables.
 *
 *   port ─▶ brNfPreRouting ─[PRE_ROUTING]▶ finish ─┬─ not DNATed, or routed away ─▶ brHandleFrameFinish
 *                                                  └─ DNATed to the same bridge ─▶ neighbour known? rewrite the MAC : send
 *                                                     through the neighbour, come back in brNfSlowFinish
 *   brForward ─▶ brNfForward ─[FORWARD]▶ ─[POST_ROUTING]▶ port
 *
 * Kernel counterpart: net/bridge/br_netfilter_hooks.c. Not here: VLAN and PPPoE encapsulation.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { drop } from '../core/drop.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, nfHook, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import { clearCb, PACKET_HOST, PACKET_OTHERHOST, type Skb } from '../core/skb.js';
import { nexthop } from '../ipv4/dst.js';
import { ipFragment } from '../ipv4/ip-output.js';
import { neighOutput, NUD_NOARP, NUD_PERMANENT, NUD_REACHABLE } from '../ipv4/neighbour.js';
import { routeInput } from '../ipv4/route.js';
import { brHandleFrameFinish, brQueuePushXmit, type BrPort, type Bridge } from './bridge.js';

const CONNECTED = NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP;

/** The port a frame came by or goes to; null when the device has left its bridge. */
const portOf = (dev: Netdev | null): BrPort | null => (dev === null ? null : (dev.brport as BrPort | null));

/** br_nf_pre_routing: `head` at the IPv4 header. Only frames that come this way know their ports (nf_bridge_alloc). */
export function brNfPreRouting(br: Bridge, port: BrPort, skb: Skb): void {
  skb.physin = port.dev;
  const b = skb.buf;
  const len = ipv4.check(b, skb.net, skb.tail);
  if (len < 0 || !ipv4.csumOk(b, skb.net)) return drop(br.net, skb, 'IP_INHDR');
  skb.trim(len);
  skb.trans = skb.net + ipv4.headerLen(b, skb.net);
  skb.brOtherhost = skb.pktType === PACKET_OTHERHOST;
  if (skb.brOtherhost) skb.pktType = PACKET_HOST;
  skb.brOrigDst = ipv4.dst(b, skb.net);
  skb.dev = br;
  nfHook(PRE_ROUTING, br.net, skb, br, null, preRoutingFinish);
}

/** br_nf_pre_routing_finish. */
function preRoutingFinish(net: Netns, skb: Skb): number {
  finishPreRouting(net, skb);
  return 0;
}

function finishPreRouting(net: Netns, skb: Skb): void {
  const port = portOf(skb.physin);
  if (port === null) return drop(net, skb, 'BRIDGE_NO_PORT');
  const br = port.master;
  if (skb.brOtherhost) skb.pktType = PACKET_OTHERHOST;
  skb.brPrerouted = true;
  skb.brFragMax = skb.fragMax;
  if (ipv4.dst(skb.buf, skb.net) !== skb.brOrigDst) {
    skb.dev = br;
    if (routeInput(net, skb, br) !== 0) return drop(net, skb, 'IP_INNOROUTES');
    if (skb.dst!.dev === br) return dnatBridged(net, br, port, skb);
    // The route goes along, also one that says there is no way: who forwards nothing DNATs nothing to its own bridge either.
    eth.setMac(skb.buf, skb.mac + eth.DST, br.mac);
    skb.pktType = PACKET_HOST;
  } else skb.dst = br.fakeRtable;
  brHandleFrameFinish(br, port, skb);
}

/** br_nf_pre_routing_finish_bridge: the new destination is behind the same bridge; its MAC comes from the neighbour. */
function dnatBridged(net: Netns, br: Bridge, port: BrPort, skb: Skb): void {
  const n = net.neigh.create(br, nexthop(skb.dst!, ipv4.dst(skb.buf, skb.net)));
  if ((n.nud & CONNECTED) !== 0 && n.hh) {
    eth.setMac(skb.buf, skb.mac + eth.DST, n.mac);
    brHandleFrameFinish(br, port, skb);
    return;
  }
  skb.brMac.set(skb.buf.subarray(skb.mac + eth.SRC, skb.mac + eth.SRC + 6));
  skb.brDnat = true;
  skb.dev = br;
  skb.head = skb.net;
  neighOutput(n, skb);
}

/** br_nf_pre_routing_finish_bridge_slow: back from the neighbour with the right destination, the original source restored. */
export function brNfSlowFinish(br: Bridge, skb: Skb): void {
  skb.brDnat = false;
  const port = portOf(skb.physin);
  if (port === null) return drop(br.net, skb, 'BRIDGE_NO_PORT');
  for (let i = 0; i < 6; i++) skb.buf[skb.mac + eth.SRC + i] = skb.brMac[i]!;
  brHandleFrameFinish(br, port, skb);
}

/** br_nf_forward_ip: skb.physout is the port it goes to. */
export function brNfForward(br: Bridge, skb: Skb): void {
  skb.brOtherhost = skb.pktType === PACKET_OTHERHOST;
  if (skb.brOtherhost) skb.pktType = PACKET_HOST;
  nfHook(FORWARD, br.net, skb, br, br, forwardFinish);
}

/** br_nf_post_routing. */
function forwardFinish(net: Netns, skb: Skb): number {
  const br = portOf(skb.physout)?.master;
  if (br === undefined) {
    drop(net, skb, 'BRIDGE_NO_PORT');
    return 0;
  }
  skb.dev = br;
  return nfHook(POST_ROUTING, net, skb, null, br, postRoutingFinish);
}

/** br_nf_dev_queue_xmit: out of the port, in pieces where it is too long for it or came in pieces. */
function postRoutingFinish(net: Netns, skb: Skb): number {
  devQueueXmitNf(net, skb);
  return 0;
}

function devQueueXmitNf(net: Netns, skb: Skb): void {
  if (skb.brOtherhost) skb.pktType = PACKET_OTHERHOST;
  const port = skb.physout!;
  const length = skb.tail - skb.net;
  if (length <= port.mtu && (skb.brFragMax === 0 || length <= skb.brFragMax)) return brQueuePushXmit(port, skb);
  // The route that bridged packets are given has the bridge's MTU (br_change_mtu), not the port's.
  const { mtu } = (port.brport as BrPort).master;
  const df = (ipv4.frag(skb.buf, skb.net) & ipv4.DF) !== 0;
  if ((df && !skb.ignoreDf) || skb.brFragMax > mtu) return drop(net, skb, 'PKT_TOO_BIG');
  clearCb(skb);
  skb.fragMax = skb.brFragMax;
  ipFragment(net, skb, mtu, pushFragment);
}

function pushFragment(_net: Netns, piece: Skb): number {
  brQueuePushXmit(piece.physout!, piece);
  return 0;
}
