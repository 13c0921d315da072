/**
 * TCP (RFC 9293) with the options Linux uses (RFC 7323 timestamps and window scale, RFC 2018 SACK, RFC 2883 D-SACK).
 *
 *   0 sport   2 dport   4 seq   8 ack   12 doff|reserved   13 flags   14 window   16 csum   18 urg   20 options
 *
 * Sequence numbers are int32; `before` and `after` compare them modulo 2^32.
 */
import { i32, put16, put32, u16 } from './bytes.js';
import { pseudo, replace16, replace32, sum } from './checksum.js';

export const HLEN = 20;
export const SPORT = 0;
export const DPORT = 2;
export const SEQ = 4;
export const ACKNO = 8;
export const DOFF = 12;
export const FLAGS = 13;
export const WINDOW = 14;
export const CSUM = 16;
export const URG_PTR = 18;
export const OPTIONS = 20;
const PROTO = 6;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

export const OPT_EOL = 0;
export const OPT_NOP = 1;
export const OPT_MSS = 2;
export const OPT_WSCALE = 3;
export const OPT_SACK_PERM = 4;
export const OPT_SACK = 5;
export const OPT_TIMESTAMP = 8;
export const MAX_OPTIONS = 40;
export const MAX_SACKS = 4;

export const BAD_SHORT = -1;
export const BAD_DOFF = -2;

export const sport = (b: Uint8Array, o: number): number => u16(b, o);
export const dport = (b: Uint8Array, o: number): number => u16(b, o + DPORT);
export const seq = (b: Uint8Array, o: number): number => i32(b, o + SEQ);
export const ack = (b: Uint8Array, o: number): number => i32(b, o + ACKNO);
export const headerLen = (b: Uint8Array, o: number): number => (b[o + DOFF]! >> 4) << 2;
export const flags = (b: Uint8Array, o: number): number => b[o + FLAGS]!;
export const window = (b: Uint8Array, o: number): number => u16(b, o + WINDOW);
export const csum = (b: Uint8Array, o: number): number => u16(b, o + CSUM);

export const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const after = (a: number, b: number): boolean => ((b - a) | 0) < 0;

/** Header length at `o`, or the negative reason why there is none. Every accessor trusts this one. */
export function check(b: Uint8Array, o: number, end: number): number {
  if (end - o < HLEN) return BAD_SHORT;
  const n = headerLen(b, o);
  return n < HLEN || o + n > end ? BAD_DOFF : n;
}

/** True when the checksum of the segment `b[o, end)` is right. */
export function csumOk(b: Uint8Array, o: number, end: number, src: number, dst: number): boolean {
  return sum(b, o, end, pseudo(src, dst, PROTO, end - o)) === 0xffff;
}

/** What the options of one segment say (struct tcp_options_received); filled in place, so that parsing allocates nothing. */
export class Options {
  /** 0: absent. */
  mss = 0;
  /** -1: absent. */
  wscale = -1;
  sackPerm = false;
  sawTstamp = false;
  tsval = 0;
  tsecr = 0;
  /** Blocks seen and their edges: start, end, start, end, … */
  sacks = 0;
  readonly sack = new Int32Array(2 * MAX_SACKS);
}

/**
 * Reads the options of the checked header at `o`. As Linux, stops silently at the first malformed one: what came before
 * counts. MSS, window scale and SACK-permitted count only in a SYN.
 */
export function parseOptions(b: Uint8Array, o: number, into: Options): void {
  into.mss = 0;
  into.wscale = -1;
  into.sackPerm = into.sawTstamp = false;
  into.sacks = 0;
  const end = o + headerLen(b, o);
  const syn = (b[o + FLAGS]! & SYN) !== 0;
  for (let p = o + OPTIONS; p < end;) {
    const kind = b[p]!;
    if (kind === OPT_EOL) return;
    if (kind === OPT_NOP) {
      p++;
      continue;
    }
    if (end - p < 2) return;
    const n = b[p + 1]!;
    if (n < 2 || p + n > end) return;
    if (kind === OPT_TIMESTAMP && n === 10) {
      into.sawTstamp = true;
      into.tsval = i32(b, p + 2);
      into.tsecr = i32(b, p + 6);
    } else if (kind === OPT_SACK && n >= 10 && (n - 2) % 8 === 0) {
      into.sacks = Math.min(MAX_SACKS, (n - 2) >> 3);
      for (let k = 0; k < 2 * into.sacks; k++) into.sack[k] = i32(b, p + 2 + 4 * k);
    } else if (syn && kind === OPT_MSS && n === 4) {
      const v = u16(b, p + 2);
      if (v !== 0) into.mss = v;
    } else if (syn && kind === OPT_WSCALE && n === 3) into.wscale = Math.min(14, b[p + 2]!);
    else if (syn && kind === OPT_SACK_PERM && n === 2) into.sackPerm = true;
    p += n;
  }
}

/** Writes the 12 bytes `NOP NOP timestamps` at `p`; returns the offset after them. */
export function putTstamp(b: Uint8Array, p: number, tsval: number, tsecr: number): number {
  put32(b, p, 0x0101080a);
  put32(b, p + 4, tsval);
  put32(b, p + 8, tsecr);
  return p + 12;
}

/**
 * Writes the options of a SYN or SYN-ACK in Linux's order at `p`; returns the offset after them. `wscale` below 0 leaves
 * window scaling out.
 */
export function putSynOptions(
  b: Uint8Array,
  p: number,
  mss: number,
  sackPerm: boolean,
  tstamp: boolean,
  tsval: number,
  tsecr: number,
  wscale: number,
): number {
  put32(b, p, 0x02040000 | mss);
  p += 4;
  if (tstamp) {
    put32(b, p, sackPerm ? 0x0402080a : 0x0101080a);
    put32(b, p + 4, tsval);
    put32(b, p + 8, tsecr);
    p += 12;
  } else if (sackPerm) {
    put32(b, p, 0x01010402);
    p += 4;
  }
  if (wscale >= 0) {
    put32(b, p, 0x01030300 | wscale);
    p += 4;
  }
  return p;
}

/** Writes `NOP NOP SACK` with the first `n` blocks of `edges` at `p`; returns the offset after them. */
export function putSack(b: Uint8Array, p: number, edges: Int32Array, n: number): number {
  put32(b, p, 0x01010500 | (2 + 8 * n));
  p += 4;
  for (let k = 0; k < 2 * n; k++, p += 4) put32(b, p, edges[k]!);
  return p;
}

/** New source port with its checksum. */
export function setSport(b: Uint8Array, o: number, v: number): void {
  put16(b, o + CSUM, replace16(csum(b, o), sport(b, o), v));
  put16(b, o + SPORT, v);
}

/** New destination port with its checksum. */
export function setDport(b: Uint8Array, o: number, v: number): void {
  put16(b, o + CSUM, replace16(csum(b, o), dport(b, o), v));
  put16(b, o + DPORT, v);
}

/** Checksum after a pseudo-header address changed. */
export function replaceCsum32(b: Uint8Array, o: number, from: number, to: number): void {
  put16(b, o + CSUM, replace32(csum(b, o), from, to));
}

/** The fixed header at its birth, checksum left for `fillCsum`; options and data may already stand behind it. */
export function write(
  b: Uint8Array,
  o: number,
  sourcePort: number,
  destPort: number,
  seqNo: number,
  ackNo: number,
  hlen: number,
  flagBits: number,
  windowField: number,
): void {
  put16(b, o + SPORT, sourcePort);
  put16(b, o + DPORT, destPort);
  put32(b, o + SEQ, seqNo);
  put32(b, o + ACKNO, ackNo);
  b[o + DOFF] = (hlen >> 2) << 4;
  b[o + FLAGS] = flagBits;
  put16(b, o + WINDOW, windowField);
  put16(b, o + CSUM, 0);
  put16(b, o + URG_PTR, 0);
}

/** Completes the checksum of the segment `b[o, end)` whose checksum field is zero. */
export function fillCsum(b: Uint8Array, o: number, end: number, src: number, dst: number): void {
  put16(b, o + CSUM, ~sum(b, o, end, pseudo(src, dst, PROTO, end - o)) & 0xffff);
}
