/**
 * Forwarding: TTL, size, redirects, then FORWARD and out.
 *
 * Kernel counterpart: net/ipv4/ip_forward.c, route.c (ip_rt_send_redirect).
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, nfHook } from '../core/nf-hook.js';
import { IPSKB_DOREDIRECT, IPSKB_FORWARDED, PACKET_HOST, type Skb } from '../core/skb.js';
import { dstMtuMaybeForward, nexthop } from './dst.js';
import { icmpSend } from './icmp.js';
import { forwardOptions, OPT_STRICT } from './ip-options.js';
import { dstOutput } from './ip-output.js';
import { orConf } from './route.js';

/** ip_rt_redirect_load, _number and _silence: 20 ms doubling, nine times, forgotten after 20.48 s. */
const REDIRECT_LOAD = SEC / 50;
const REDIRECT_NUMBER = 9;
const REDIRECT_SILENCE = (SEC / 50) * 2 ** (REDIRECT_NUMBER + 1);

/** Forwards a routed packet (ip_forward). */
export function ipForward(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const rt = skb.dst!;
  if (skb.pktType !== PACKET_HOST) return drop(net, skb, 'OTHERHOST');
  if (ipv4.ttl(b, skb.net) <= 1) {
    icmpSend(net, skb, 11, 0, 0);
    return drop(net, skb, 'TTL_EXCEEDED');
  }
  if ((skb.optFlags & OPT_STRICT) !== 0 && rt.usesGateway) {
    icmpSend(net, skb, 3, 5, 0);
    return drop(net, skb, 'IP_OPTIONS');
  }
  skb.ipFlags |= IPSKB_FORWARDED;
  const mtu = dstMtuMaybeForward(rt, true);
  if (exceedsMtu(skb, mtu)) {
    icmpSend(net, skb, 3, 4, mtu);
    return drop(net, skb, 'PKT_TOO_BIG');
  }
  ipv4.decreaseTtl(b, skb.net);
  if ((skb.ipFlags & IPSKB_DOREDIRECT) !== 0 && skb.optSrr === 0) sendRedirect(net, skb);
  nfHook(FORWARD, net, skb, skb.dev, rt.dev, ipForwardFinish);
}

/** ip_exceeds_mtu: longer than the way out takes, and not to be cut. */
function exceedsMtu(skb: Skb, mtu: number): boolean {
  if (skb.tail - skb.net <= mtu || (ipv4.frag(skb.buf, skb.net) & ipv4.DF) === 0) return false;
  return skb.fragMax > mtu || !skb.ignoreDf;
}

function ipForwardFinish(net: Netns, skb: Skb): number {
  if (skb.optLen !== 0) forwardOptions(net, skb);
  return dstOutput(net, skb);
}

/** Tells a host of a better gateway, ever more seldom when it does not listen (ip_rt_send_redirect). */
function sendRedirect(net: Netns, skb: Skb): void {
  const rt = skb.dst!;
  if (!orConf(net, rt.dev, 'send_redirects')) return;
  const { now } = net.kernel.sim;
  const peer = net.peers.get(ipv4.src(skb.buf, skb.net), now);
  if (now > peer.rateLast + REDIRECT_SILENCE) {
    peer.rateTokens = 0;
    peer.redirects = 0;
  }
  if (peer.redirects >= REDIRECT_NUMBER) {
    peer.rateLast = now;
    return;
  }
  if (peer.redirects !== 0 && now <= peer.rateLast + REDIRECT_LOAD * 2 ** peer.redirects) return;
  icmpSend(net, skb, 5, 1, nexthop(rt, ipv4.dst(skb.buf, skb.net)));
  peer.rateLast = now;
  peer.redirects++;
}
