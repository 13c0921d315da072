/**
 * What tunnels over IPv4 share: ECN bits in and out, and the last step, an outer header in front and out it goes.
 *
 * Kernel counterparts: net/ipv4/ip_tunnel_core.c (iptunnel_xmit), include/net/inet_ecn.h.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import { clearCb, scrubButRoute, type Skb } from '../core/skb.js';
import { ipLocalOut, selectIdent } from '../ipv4/ip-output.js';

const ECN_MASK = 3;
const ECT_0 = 2;
const CE = 3;

/** Outer TOS: what the tunnel says, with the inner ECN bits; CE goes out as ECT(0) (INET_ECN_encapsulate). */
export function ecnEncapsulate(outer: number, inner: number): number {
  const ecn = inner & ECN_MASK;
  return (outer & ~ECN_MASK) | (ecn === CE ? ECT_0 : ecn);
}

/**
 * Carries congestion marks of the outer header inward (INET_ECN_decapsulate); `o` is the inner IPv4 header. False: the
 * outer header says CE to a packet that cannot carry it, and it has to be dropped.
 */
export function ecnDecapsulate(outer: number, b: Uint8Array, o: number): boolean {
  if ((outer & ECN_MASK) !== CE) return true;
  const inner = ipv4.tos(b, o);
  if ((inner & ECN_MASK) === 0) return false;
  ipv4.setTos(b, o, inner | CE);
  return true;
}

/**
 * Puts an IPv4 header in front of `head` and sends the packet (iptunnel_xmit); the outer route is in skb.dst. The ID
 * comes from the hashed generator whatever DF says.
 */
export function ipTunnelXmit(
  net: Netns,
  skb: Skb,
  saddr: number,
  daddr: number,
  proto: number,
  tos: number,
  ttl: number,
  frag: number,
): void {
  scrubButRoute(skb);
  clearCb(skb);
  skb.headroom(eth.HLEN + ipv4.HLEN);
  skb.trans = skb.head;
  skb.push(ipv4.HLEN);
  skb.net = skb.mac = skb.head;
  skb.protocol = 0x0800;
  ipv4.write(skb.buf, skb.net, tos, skb.tail - skb.net, selectIdent(net, saddr, daddr, proto), frag, ttl, proto, saddr, daddr); // prettier-ignore
  ipLocalOut(net, skb);
}
