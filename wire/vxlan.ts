/**
 * VXLAN (RFC 7348).
 *
 *   0 flags (0x08: VNI is valid)   1 reserved (3)   4 VNI (3)   7 reserved
 * @module
 */
import { i32, put32 } from './bytes.js';

export const HLEN = 8;
export const BAD_SHORT = -1;
export const BAD_FLAGS = -2;

const HF_VNI = 0x08000000;

/** The VNI of the header at `o`, or the negative reason why there is none: reserved bits have to be zero. */
export function check(b: Uint8Array, o: number, end: number): number {
  if (end - o < HLEN) return BAD_SHORT;
  if (i32(b, o) !== HF_VNI || b[o + 7] !== 0) return BAD_FLAGS;
  return i32(b, o + 4) >>> 8;
}

/** Header at its birth. */
export function write(b: Uint8Array, o: number, vni: number): void {
  put32(b, o, HF_VNI);
  put32(b, o + 4, vni << 8);
}
