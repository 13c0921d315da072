/**
 * ARP for IPv4 over Ethernet (RFC 826), 28 bytes.
 *
 *   0 htype 1   2 ptype 0x0800   4 hlen 6   5 plen 4   6 op   8 sha   14 sip   18 tha   24 tip
 * @module
 */
import { i32, put16, put32, u16 } from './bytes.js';
import { setMac } from './ethernet.js';

export const LEN = 28;
export const OP = 6;
export const SHA = 8;
export const SIP = 14;
export const THA = 18;
export const TIP = 24;

export const REQUEST = 1;
export const REPLY = 2;
export const BAD_SHORT = -1;
export const BAD_HDR = -2;

/** 0 for a well-formed IPv4-over-Ethernet ARP message at `o`, or the negative reason. */
export function check(b: Uint8Array, o: number, end: number): number {
  if (end - o < LEN) return BAD_SHORT;
  return u16(b, o) === 1 && u16(b, o + 2) === 0x0800 && b[o + 4] === 6 && b[o + 5] === 4 ? 0 : BAD_HDR;
}

export const op = (b: Uint8Array, o: number): number => u16(b, o + OP);
export const sip = (b: Uint8Array, o: number): number => i32(b, o + SIP);
export const tip = (b: Uint8Array, o: number): number => i32(b, o + TIP);

export function write(
  b: Uint8Array,
  o: number,
  operation: number,
  sha: Uint8Array,
  senderIp: number,
  tha: Uint8Array,
  targetIp: number,
): void {
  put16(b, o, 1);
  put16(b, o + 2, 0x0800);
  b[o + 4] = 6;
  b[o + 5] = 4;
  put16(b, o + OP, operation);
  setMac(b, o + SHA, sha);
  put32(b, o + SIP, senderIp);
  setMac(b, o + THA, tha);
  put32(b, o + TIP, targetIp);
}
