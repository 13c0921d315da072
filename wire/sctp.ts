/**
 * SCTP (RFC 9260): the common header, its chunks' types, and the CRC32c that covers the packet.
 *
 *   0 source port  2 destination port  4 verification tag  8 checksum (little-endian CRC32c)  12 chunks: type, flags, length
 * @module
 */
import { put16, u16 } from './bytes.js';

export const HLEN = 12;
export const SPORT = 0;
export const DPORT = 2;
export const VTAG = 4;
export const CSUM = 8;

const TABLE = new Int32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  TABLE[n] = c;
}

/** CRC32c of the packet at `o`, its checksum field taken as zero. */
export function crc32c(b: Uint8Array, o: number, end: number): number {
  let c = -1;
  for (let i = o; i < end; i++) {
    const v = i >= o + CSUM && i < o + HLEN ? 0 : b[i]!;
    c = TABLE[(c ^ v) & 255]! ^ (c >>> 8);
  }
  return ~c;
}

const little = (b: Uint8Array, o: number): number => b[o]! | (b[o + 1]! << 8) | (b[o + 2]! << 16) | (b[o + 3]! << 24);

/** True when the checksum is right. */
export const csumOk = (b: Uint8Array, o: number, end: number): boolean => little(b, o + CSUM) === crc32c(b, o, end);

/** Writes the checksum. */
export function fillCsum(b: Uint8Array, o: number, end: number): void {
  const c = crc32c(b, o, end);
  for (let i = 0; i < 4; i++) b[o + CSUM + i] = (c >>> (8 * i)) & 255;
}

/** Writes a port (at SPORT or DPORT); the checksum follows when the whole header is there. */
export function setPort(b: Uint8Array, o: number, end: number, at: number, port: number): void {
  put16(b, o + at, port);
  if (o + HLEN <= end) fillCsum(b, o, end);
}

/** Calls `each` with the type of every chunk up to `end`, until it returns false; false when a length is zero. */
export function chunks(b: Uint8Array, o: number, end: number, each: (type: number, at: number) => boolean): boolean {
  for (let i = o + HLEN; i + 4 <= end;) {
    const n = u16(b, i + 2);
    if (n === 0 || !each(b[i]!, i)) return n !== 0;
    i += (n + 3) & ~3;
  }
  return true;
}
