/**
 * UDP (RFC 768).
 *
 *   0 sport   2 dport   4 length   6 csum (0: none)   8 payload
 * @module
 */
import { put16, u16 } from './bytes.js';
import { fold, pseudo, replace16, replace32, sum } from './checksum.js';

export const HLEN = 8;
export const SPORT = 0;
export const DPORT = 2;
export const LEN = 4;
export const CSUM = 6;
const PROTO = 17;

export const BAD_SHORT = -1;
export const BAD_LEN = -2;

export const sport = (b: Uint8Array, o: number): number => u16(b, o);
export const dport = (b: Uint8Array, o: number): number => u16(b, o + DPORT);
export const csum = (b: Uint8Array, o: number): number => u16(b, o + CSUM);

/** Datagram length at `o`, or the negative reason why there is none. */
export function check(b: Uint8Array, o: number, end: number): number {
  if (end - o < HLEN) return BAD_SHORT;
  const n = u16(b, o + LEN);
  return n < HLEN || o + n > end ? BAD_LEN : n;
}

/** True when the checksum is absent or right. */
export function csumOk(b: Uint8Array, o: number, end: number, src: number, dst: number): boolean {
  return csum(b, o) === 0 || sum(b, o, end, pseudo(src, dst, PROTO, end - o)) === 0xffff;
}

/** A computed checksum of zero is sent as all ones (RFC 768). */
export const normalize = (c: number): number => (c === 0 ? 0xffff : c);

/** Checksum after a covered word changed; a datagram without checksum stays without. */
export function replaceCsum16(b: Uint8Array, o: number, from: number, to: number): void {
  const c = csum(b, o);
  if (c !== 0) put16(b, o + CSUM, normalize(replace16(c, from, to)));
}

/** Checksum after a pseudo-header address changed. */
export function replaceCsum32(b: Uint8Array, o: number, from: number, to: number): void {
  const c = csum(b, o);
  if (c !== 0) put16(b, o + CSUM, normalize(replace32(c, from, to)));
}

export function setSport(b: Uint8Array, o: number, v: number): void {
  replaceCsum16(b, o, sport(b, o), v);
  put16(b, o + SPORT, v);
}

export function setDport(b: Uint8Array, o: number, v: number): void {
  replaceCsum16(b, o, dport(b, o), v);
  put16(b, o + DPORT, v);
}

/** Header at its birth, checksum over the payload that already stands at `o + 8 .. end`. */
export function write(
  b: Uint8Array,
  o: number,
  end: number,
  sourcePort: number,
  destPort: number,
  src: number,
  dst: number,
): void {
  put16(b, o + SPORT, sourcePort);
  put16(b, o + DPORT, destPort);
  put16(b, o + LEN, end - o);
  put16(b, o + CSUM, 0);
  put16(b, o + CSUM, normalize(~fold(sum(b, o, end, pseudo(src, dst, PROTO, end - o))) & 0xffff));
}
