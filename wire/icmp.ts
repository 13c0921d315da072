/**
 * ICMP (RFC 792).
 *
 *   0 type   1 code   2 csum   4 rest of header (echo: id, sequence; 3/4: unused, MTU; redirect: gateway)   8 data
 * @module
 */
import { put16, put32, u16 } from './bytes.js';
import { fill, replace16, sum } from './checksum.js';

export const HLEN = 8;
export const TYPE = 0;
export const CODE = 1;
export const CSUM = 2;
export const ID = 4;
export const SEQ = 6;
export const REST = 4;

export const ECHOREPLY = 0;
export const DEST_UNREACH = 3;
export const SOURCE_QUENCH = 4;
export const REDIRECT = 5;
export const ECHO = 8;
export const TIME_EXCEEDED = 11;
export const PARAMETERPROB = 12;
export const TIMESTAMP = 13;
export const TIMESTAMPREPLY = 14;
export const INFO_REQUEST = 15;
export const INFO_REPLY = 16;
export const ADDRESS = 17;
export const ADDRESSREPLY = 18;

export const NET_UNREACH = 0;
export const HOST_UNREACH = 1;
export const PROT_UNREACH = 2;
export const PORT_UNREACH = 3;
export const FRAG_NEEDED = 4;
export const NET_ANO = 9;
export const HOST_ANO = 10;
export const PKT_FILTERED = 13;

export const type = (b: Uint8Array, o: number): number => b[o]!;
export const code = (b: Uint8Array, o: number): number => b[o + CODE]!;
export const id = (b: Uint8Array, o: number): number => u16(b, o + ID);
export const seq = (b: Uint8Array, o: number): number => u16(b, o + SEQ);
export const csumOk = (b: Uint8Array, o: number, end: number): boolean => sum(b, o, end) === 0xffff;

/** True for the types that report an error and quote a packet (`icmp_is_err`). */
export const isError = (t: number): boolean =>
  t === DEST_UNREACH || t === SOURCE_QUENCH || t === REDIRECT || t === TIME_EXCEEDED || t === PARAMETERPROB;

/** True for the types that are not known to be no error: nothing is reported about them (icmp_pointers[].error). */
export const mayBeError = (t: number): boolean => t > ADDRESSREPLY || (t !== ECHOREPLY && t !== ECHO && t < TIMESTAMP);

/** New echo identifier with the ICMP checksum. */
export function setId(b: Uint8Array, o: number, v: number): void {
  put16(b, o + CSUM, replace16(u16(b, o + CSUM), u16(b, o + ID), v));
  put16(b, o + ID, v);
}

/** Header at its birth; the data must already stand at `o + 8 .. end`, the checksum covers it. */
export function write(b: Uint8Array, o: number, end: number, t: number, c: number, rest: number): void {
  b[o] = t;
  b[o + CODE] = c;
  put32(b, o + REST, rest);
  fill(b, o, end, o + CSUM);
}
