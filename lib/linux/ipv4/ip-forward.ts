/**
 * Forwarding: TTL, size, redirects, then FORWARD and out.
 *
 * Kernel counterpart: net/ipv4/ip_forward.c.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, nfHook } from '../core/nf-hook.js';
import { PACKET_HOST, type Skb } from '../core/skb.js';
import { icmpSend } from './icmp.js';
import { dstOutput } from './ip-output.js';
import { RTCF_DOREDIRECT } from './route.js';

/** Forwards a routed packet (ip_forward). */
export function ipForward(net: Netns, skb: Skb): void {
  const b = skb.buf;
  if (skb.pktType !== PACKET_HOST) return drop(net, skb, 'OTHERHOST');
  if (ipv4.ttl(b, skb.net) <= 1) {
    icmpSend(net, skb, 11, 0, 0);
    return drop(net, skb, 'TTL_EXCEEDED');
  }
  const { mtu } = skb.rtDev!;
  if (ipv4.totalLen(b, skb.net) > mtu && (ipv4.frag(b, skb.net) & ipv4.DF) !== 0) {
    icmpSend(net, skb, 3, 4, mtu);
    return drop(net, skb, 'PKT_TOO_BIG');
  }
  ipv4.decreaseTtl(b, skb.net);
  if ((skb.rtFlags & RTCF_DOREDIRECT) !== 0) icmpSend(net, skb, 5, 1, skb.rtGw);
  nfHook(FORWARD, net, skb, skb.dev, skb.rtDev, dstOutput);
}
