/**
 * IPv4 output: local packets enter at ipLocalOut, forwarded ones at dstOutput; both leave through a neighbour.
 *
 *   ipLocalOut ─[LOCAL_OUT]▶ dstOutput ─[POST_ROUTING]▶ ipFinishOutput ─▶ neighOutput
 *
 * Kernel counterpart: net/ipv4/ip_output.c. Not here: fragmentation, options.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_OUT, nfHook, POST_ROUTING } from '../core/nf-hook.js';
import type { Skb } from '../core/skb.js';
import { neighOutput } from './neighbour.js';

/** Sends a packet of this machine; it is routed (skb.rt*) and `head` stands at the IPv4 header (ip_local_out). */
export function ipLocalOut(net: Netns, skb: Skb): void {
  skb.local = true;
  skb.net = skb.head;
  skb.dev = skb.rtDev;
  nfHook(LOCAL_OUT, net, skb, null, skb.rtDev, dstOutput);
}

/** ip_output: POST_ROUTING, then the neighbour. */
export function dstOutput(net: Netns, skb: Skb): void {
  const indev = skb.local ? null : skb.dev;
  skb.dev = skb.rtDev;
  nfHook(POST_ROUTING, net, skb, indev, skb.rtDev, ipFinishOutput);
}

/** ip_finish_output2: the next hop's neighbour takes the packet. */
export function ipFinishOutput(net: Netns, skb: Skb): void {
  const dev = skb.rtDev!;
  skb.head = skb.net;
  if (skb.tail - skb.net > dev.mtu) return drop(net, skb, 'PKT_TOO_BIG');
  neighOutput(net.neigh.create(dev, skb.rtGw), skb);
}

/**
 * The hashed IP identification generator (__ip_select_ident): one counter per (daddr, saddr, protocol), random start.
 * Within one tick the kernel steps by one, later by a random amount; podwire always steps by one.
 */
export function selectIdent(net: Netns, saddr: number, daddr: number, proto: number): number {
  const key = (Math.imul(daddr, 0x9e3779b1) ^ Math.imul(saddr, 0x85ebca6b) ^ proto) | 0;
  const id = net.ipIds.get(key) ?? net.kernel.rng('ip-id').u16();
  net.ipIds.set(key, (id + 1) & 0xffff);
  return id === 0 ? 1 : id;
}

/**
 * Finishes an IPv4 packet at its birth: `head` stands at the transport header, the routing decision is in skb.rt*.
 * Pushes and fills the IP header and sends it.
 */
export function ipBuildAndSend(
  net: Netns,
  skb: Skb,
  saddr: number,
  daddr: number,
  proto: number,
  tos: number,
  ttl: number,
  id: number,
  frag: number,
): void {
  skb.trans = skb.head;
  skb.push(ipv4.HLEN);
  skb.net = skb.head;
  ipv4.write(skb.buf, skb.net, tos, skb.tail - skb.net, id, frag, ttl, proto, saddr, daddr);
  ipLocalOut(net, skb);
}
