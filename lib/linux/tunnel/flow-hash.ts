/**
 * The hash by which a flow's packets are kept together (skb_get_hash): a tunnel's source port follows from it.
 *
 * Kernel counterpart: net/core/flow_dissector.c, whose hash is keyed per boot.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Skb } from '../core/skb.js';

/** The socket's own hash, or one of addresses and ports without regard to direction; never 0. `o`: what stands behind Ethernet. */
export function flowHash(skb: Skb, o: number, isIp: boolean): number {
  if (skb.hash !== 0) return skb.hash;
  const b = skb.buf;
  if (!isIp || skb.tail - o < ipv4.HLEN) return 0x5bd1e995;
  const src = ipv4.src(b, o);
  const dst = ipv4.dst(b, o);
  const proto = ipv4.proto(b, o);
  const th = o + ipv4.headerLen(b, o);
  let ports = 0;
  if (!ipv4.isFragment(b, o) && (proto === ipv4.UDP || proto === ipv4.TCP) && th + 4 <= skb.tail) {
    const [x, y] = [u16(b, th), u16(b, th + 2)];
    ports = x < y ? (x << 16) | y : (y << 16) | x;
  }
  let h = Math.imul((src ^ dst) + 0x9e3779b1, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 15)) + ((src + dst) | 0), 0xc2b2ae35);
  h = Math.imul((h ^ (h >>> 13)) + ports, 0x27d4eb2f);
  return Math.imul((h ^ (h >>> 15)) + proto, 0x165667b1) || 1;
}
