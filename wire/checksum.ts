/**
 * The Internet checksum: three verbs (sum bytes, sum a pseudo header, replace a field) and no state.
 *
 * A *sum* is a 16-bit ones' complement sum, not complemented; a *checksum* is the field on the wire, `~sum`.
 * RFC 1071, incremental form RFC 1624 equation 3. The fast loop lives here only; everything else is incremental.
 * @module
 */

/** Folds a sum of 16-bit words, less than 2^32, into 16 bits. */
export function fold(s: number): number {
  s = (s & 0xffff) + (s >>> 16);
  return (s & 0xffff) + (s >>> 16);
}

/** Ones' complement sum of `b[o, end)`, at most 64 KiB, started from `start` (a sum). An odd last byte is padded with zero. */
export function sum(b: Uint8Array, o: number, end: number, start = 0): number {
  let s = start;
  const even = o + ((end - o) & ~1);
  let i = o;
  for (; i + 7 < even; i += 8) {
    s += ((b[i]! << 8) | b[i + 1]!) + ((b[i + 2]! << 8) | b[i + 3]!) + ((b[i + 4]! << 8) | b[i + 5]!) + ((b[i + 6]! << 8) | b[i + 7]!); // prettier-ignore
  }
  for (; i < even; i += 2) s += (b[i]! << 8) | b[i + 1]!;
  if (even !== end) s += b[even]! << 8;
  return fold(s);
}

/** Sum of the IPv4 pseudo header (RFC 768, RFC 793): addresses as int32, protocol, L4 length in bytes. */
export function pseudo(src: number, dst: number, proto: number, length: number): number {
  return fold((src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + proto + length);
}

/** Checksum field after one covered 16-bit word changed (RFC 1624 eqn 3: HC' = ~(~HC + ~m + m')). */
export function replace16(csum: number, from: number, to: number): number {
  return ~fold((~csum & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

/** `replace16` for a 32-bit field given as int32. */
export function replace32(csum: number, from: number, to: number): number {
  return ~fold((~csum & 0xffff) + (~from >>> 16) + (~from & 0xffff) + (to >>> 16) + (to & 0xffff)) & 0xffff;
}

/** Writes the checksum of `b[o, end)` into the field at `at` (inside that range), which is taken as zero. */
export function fill(b: Uint8Array, o: number, end: number, at: number, start = 0): void {
  b[at] = 0;
  b[at + 1] = 0;
  const c = ~sum(b, o, end, start) & 0xffff;
  b[at] = c >> 8;
  b[at + 1] = c;
}

/** True when a sum over the covered bytes, checksum field included, is all ones. */
export const valid = (s: number): boolean => s === 0xffff;
