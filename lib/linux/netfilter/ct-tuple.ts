/**
 * Conntrack tuples: one direction of a connection as five integers, its hash, its inverse, and how to read it from bytes.
 *
 * `sport` and `dport` are the ports of TCP, UDP and SCTP; for ICMP `sport` is the identifier and `dport` is type << 8 | code.
 * Kernel counterparts: nf_conntrack_tuple.h, nf_conntrack_core.c (nf_ct_get_tuple, nf_ct_invert_tuple).
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Conn } from './ct-conn.js';

export class Tuple {
  src = 0;
  dst = 0;
  sport = 0;
  dport = 0;
  proto = 0;

  copy(t: Tuple): void {
    this.src = t.src;
    this.dst = t.dst;
    this.sport = t.sport;
    this.dport = t.dport;
    this.proto = t.proto;
  }

  equals(t: Tuple): boolean {
    return (
      this.src === t.src &&
      this.dst === t.dst &&
      this.sport === t.sport &&
      this.dport === t.dport &&
      this.proto === t.proto
    );
  }
}

/** One direction of a connection in the hash table (nf_conntrack_tuple_hash). */
export class TupleHash extends Tuple {
  readonly ct: Conn;
  readonly reply: boolean;
  next: TupleHash | null = null;

  constructor(ct: Conn, reply: boolean) {
    super();
    this.ct = ct;
    this.reply = reply;
  }
}

/** Integer hash of a tuple (multiplicative mixing; the kernel's is keyed and not observable). */
export function hashTuple(t: Tuple): number {
  let h = Math.imul(t.src ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 15)) + t.dst, 0xc2b2ae35);
  h = Math.imul((h ^ (h >>> 13)) + ((t.sport << 16) | t.dport), 0x27d4eb2f);
  h = Math.imul((h ^ (h >>> 15)) + t.proto, 0x165667b1);
  return h ^ (h >>> 16);
}

const ICMP_INVERSE = new Int8Array(256).fill(-1);
for (const [a, b] of [
  [icmp.ECHO, icmp.ECHOREPLY],
  [icmp.TIMESTAMP, icmp.TIMESTAMPREPLY],
  [icmp.INFO_REQUEST, icmp.INFO_REPLY],
  [icmp.ADDRESS, icmp.ADDRESSREPLY],
] as const) {
  ICMP_INVERSE[a] = b;
  ICMP_INVERSE[b] = a;
}

/** The tuple of the other direction; false when the protocol has none (nf_ct_invert_tuple). */
export function invertTuple(out: Tuple, t: Tuple): boolean {
  const { src, sport } = t;
  out.src = t.dst;
  out.dst = src;
  out.proto = t.proto;
  if (t.proto === ipv4.ICMP) {
    const inv = ICMP_INVERSE[t.dport >> 8]!;
    if (inv < 0) return false;
    out.dport = (inv << 8) | (t.dport & 255);
    out.sport = sport;
    return true;
  }
  out.sport = t.dport;
  out.dport = sport;
  return true;
}

/** Fills `out` from the IPv4 packet at `o`; false when ports cannot be read (nf_ct_get_tuple). */
export function readTuple(out: Tuple, b: Uint8Array, o: number, end: number): boolean {
  if ((ipv4.frag(b, o) & ipv4.OFFSET) !== 0) return false;
  const th = o + ipv4.headerLen(b, o);
  const proto = ipv4.proto(b, o);
  out.src = ipv4.src(b, o);
  out.dst = ipv4.dst(b, o);
  out.proto = proto;
  switch (proto) {
    case ipv4.TCP:
    case ipv4.UDP:
    case ipv4.SCTP:
      if (th + 4 > end) return false;
      out.sport = u16(b, th);
      out.dport = u16(b, th + 2);
      return true;
    case ipv4.ICMP:
      if (th + 8 > end) return false;
      out.sport = icmp.id(b, th);
      out.dport = u16(b, th);
      return true;
    default:
      out.sport = out.dport = 0;
      return true;
  }
}
