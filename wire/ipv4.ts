/**
 * IPv4 (RFC 791).
 *
 *   0 ver|ihl   1 tos   2 total_len   4 id   6 flags|frag   8 ttl   9 proto   10 csum   12 src   16 dst   20 options
 * @module
 */
import { i32, put16, put32, u16 } from './bytes.js';
import { fill, replace16, replace32, sum } from './checksum.js';

export const HLEN = 20;
export const TOS = 1;
export const LEN = 2;
export const ID = 4;
export const FRAG = 6;
export const TTL = 8;
export const PROTO = 9;
export const CSUM = 10;
export const SRC = 12;
export const DST = 16;

export const ICMP = 1;
export const IPIP = 4;
export const TCP = 6;
export const UDP = 17;
export const GRE = 47;
export const SCTP = 132;

export const DF = 0x4000;
export const MF = 0x2000;
export const OFFSET = 0x1fff;

export const BAD_SHORT = -1;
export const BAD_HDR = -2;
export const BAD_TRUNCATED = -3;

export const headerLen = (b: Uint8Array, o: number): number => (b[o]! & 15) << 2;
export const tos = (b: Uint8Array, o: number): number => b[o + TOS]!;
export const totalLen = (b: Uint8Array, o: number): number => u16(b, o + LEN);
export const id = (b: Uint8Array, o: number): number => u16(b, o + ID);
/** Flags and fragment offset as one word: test with `DF`, `MF`, `OFFSET`. */
export const frag = (b: Uint8Array, o: number): number => u16(b, o + FRAG);
export const ttl = (b: Uint8Array, o: number): number => b[o + TTL]!;
export const proto = (b: Uint8Array, o: number): number => b[o + PROTO]!;
export const src = (b: Uint8Array, o: number): number => i32(b, o + SRC);
export const dst = (b: Uint8Array, o: number): number => i32(b, o + DST);
/** True for any fragment but a whole datagram. */
export const isFragment = (b: Uint8Array, o: number): boolean => (frag(b, o) & (MF | OFFSET)) !== 0;

/** Datagram length at `o`, or the negative reason why there is none. Every accessor trusts this one. */
export function check(b: Uint8Array, o: number, end: number): number {
  if (end - o < HLEN) return BAD_SHORT;
  const n = u16(b, o + LEN);
  const h = headerLen(b, o);
  if (b[o]! >> 4 !== 4 || h < HLEN || n < h) return BAD_HDR;
  return o + n > end ? BAD_TRUNCATED : n;
}

/** True when the header checksum at `o` is right. */
export const csumOk = (b: Uint8Array, o: number): boolean => sum(b, o, o + headerLen(b, o)) === 0xffff;

/** TTL minus one with its checksum (`ip_decrease_ttl`). */
export function decreaseTtl(b: Uint8Array, o: number): void {
  const old = u16(b, o + TTL);
  put16(b, o + TTL, old - 0x0100);
  put16(b, o + CSUM, replace16(u16(b, o + CSUM), old, old - 0x0100));
}

/** New source address with the header checksum; the L4 checksum is the caller's. */
export function setSrc(b: Uint8Array, o: number, a: number): void {
  put16(b, o + CSUM, replace32(u16(b, o + CSUM), i32(b, o + SRC), a));
  put32(b, o + SRC, a);
}

/** New destination address with the header checksum; the L4 checksum is the caller's. */
export function setDst(b: Uint8Array, o: number, a: number): void {
  put16(b, o + CSUM, replace32(u16(b, o + CSUM), i32(b, o + DST), a));
  put32(b, o + DST, a);
}

/** New TOS byte with the header checksum. */
export function setTos(b: Uint8Array, o: number, v: number): void {
  const old = u16(b, o);
  b[o + TOS] = v;
  put16(b, o + CSUM, replace16(u16(b, o + CSUM), old, u16(b, o)));
}

/** A 20-byte header at its birth, checksum included. `fragWord` carries DF, MF and the offset. */
export function write(
  b: Uint8Array,
  o: number,
  tosByte: number,
  length: number,
  ident: number,
  fragWord: number,
  ttlByte: number,
  protocol: number,
  saddr: number,
  daddr: number,
): void {
  b[o] = 0x45;
  b[o + TOS] = tosByte;
  put16(b, o + LEN, length);
  put16(b, o + ID, ident);
  put16(b, o + FRAG, fragWord);
  b[o + TTL] = ttlByte;
  b[o + PROTO] = protocol;
  put32(b, o + SRC, saddr);
  put32(b, o + DST, daddr);
  fill(b, o, o + HLEN, o + CSUM);
}
