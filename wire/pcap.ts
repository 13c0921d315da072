/**
 * Classic pcap files (draft-ietf-opsawg-pcap).
 *
 *   header  0 magic   4 major 2   6 minor 4   8 thiszone 0   12 sigfigs 0   16 snaplen   20 linktype
 *   record  0 seconds   4 fraction   8 captured length   12 original length   16 bytes
 *
 * Written: little-endian, nanoseconds, snaplen 262144, as `tcpdump --nano`. Read: both byte orders, micro- and nanoseconds.
 * @module
 */
import { Chunks, copyBytes, le16, le32 } from './chunks.js';

export const MAGIC_NS = 0xa1b23c4d;
export const MAGIC_US = 0xa1b2c3d4;
export const SNAPLEN = 262144;
export const HLEN = 24;
export const RECORD_HLEN = 16;

export const EN10MB = 1;
export const RAW = 101;
/** DLT_RAW as some old files carry it; read as `RAW`. */
const DLT_RAW = 12;

/** Seconds since 1970 of virtual time 0: 2024-01-01T00:00:00Z. */
export const EPOCH_SEC = 1704067200;

export interface PcapFrame {
  sec: number;
  nsec: number;
  /** View into the file's bytes. */
  data: Uint8Array;
  origLen: number;
}

export interface Pcap {
  linktype: number;
  frames: PcapFrame[];
}

/** Bytes that are no pcap file; `offset` is the byte where reading stopped. */
export class PcapError extends Error {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(`byte ${offset}: ${message}`);
    this.name = 'PcapError';
    this.offset = offset;
  }
}

/** File header at `o` (24 bytes). */
export function writeHeader(b: Uint8Array, o: number, linktype: number): void {
  le32(b, o, MAGIC_NS);
  le16(b, o + 4, 2);
  le16(b, o + 6, 4);
  le32(b, o + 8, 0);
  le32(b, o + 12, 0);
  le32(b, o + 16, SNAPLEN);
  le32(b, o + 20, linktype);
}

/** Bytes that the record of a frame of `len` bytes takes. */
export const recordLen = (len: number): number => RECORD_HLEN + (len > SNAPLEN ? SNAPLEN : len);

/** Writes one record at `o`, where `recordLen` bytes are free; a frame longer than the snaplen is cut, with its real length kept. */
export function putRecord(b: Uint8Array, o: number, sec: number, nsec: number, buf: Uint8Array, start: number, end: number): void {
  const cap = recordLen(end - start) - RECORD_HLEN;
  le32(b, o, sec);
  le32(b, o + 4, nsec);
  le32(b, o + 8, cap);
  le32(b, o + 12, end - start);
  copyBytes(b, o + RECORD_HLEN, buf, start, start + cap);
} // prettier-ignore

/** Appends one record. */
export function writeRecord(out: Chunks, sec: number, nsec: number, buf: Uint8Array, start: number, end: number): void {
  const o = out.reserve(recordLen(end - start));
  putRecord(out.cur, o, sec, nsec, buf, start, end);
}

/** A whole file in memory. */
export function writePcap(pcap: Pcap): Uint8Array {
  const out = new Chunks();
  const o = out.reserve(HLEN);
  writeHeader(out.cur, o, pcap.linktype);
  for (const f of pcap.frames) writeRecord(out, f.sec, f.nsec, f.data, 0, f.data.length);
  return out.concat();
}

/** Reads a whole file. Throws `PcapError` on anything that is not exactly a header and complete records. */
export function readPcap(input: Uint8Array): Pcap {
  // A Buffer's slice() is a view; frames are plain arrays whose slice() copies.
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (bytes.length < HLEN) {
    throw new PcapError(bytes.length, `the file ends inside the pcap header, expected ${HLEN} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0, true);
  const swapped = view.getUint32(0, false);
  const little = magic === MAGIC_NS || magic === MAGIC_US;
  if (!little && swapped !== MAGIC_NS && swapped !== MAGIC_US) {
    const found = swapped.toString(16).padStart(8, '0');
    const hint = swapped === 0x0a0d0d0a ? ' (a pcapng file)' : '';
    throw new PcapError(0, `found magic ${found}${hint}, expected a pcap file (a1b23c4d or a1b2c3d4)`);
  }
  const perUnit = (little ? magic : swapped) === MAGIC_NS ? 1 : 1000;
  const limit = 1e9 / perUnit;
  const major = view.getUint16(4, little);
  if (major !== 2) throw new PcapError(4, `found pcap version ${major}, expected 2`);
  const snaplen = view.getUint32(16, little);
  const longest = snaplen === 0 || snaplen > SNAPLEN ? SNAPLEN : snaplen;
  const linktype = view.getUint32(20, little) & 0xffff;

  const frames: PcapFrame[] = [];
  let o = HLEN;
  while (o < bytes.length) {
    if (bytes.length - o < RECORD_HLEN) {
      throw new PcapError(o, `the file ends inside the header of frame ${frames.length + 1}`);
    }
    const fraction = view.getUint32(o + 4, little);
    const cap = view.getUint32(o + 8, little);
    const origLen = view.getUint32(o + 12, little);
    if (fraction >= limit) throw new PcapError(o + 4, `found time fraction ${fraction}, expected less than ${limit}`);
    if (cap > longest) throw new PcapError(o + 8, `found captured length ${cap}, expected at most ${longest}`);
    if (origLen < cap) throw new PcapError(o + 12, `found original length ${origLen}, expected at least ${cap}`);
    const at = o + RECORD_HLEN;
    if (cap > bytes.length - at) throw new PcapError(at, `the file ends inside frame ${frames.length + 1}`);
    const sec = view.getUint32(o, little);
    frames.push({ sec, nsec: fraction * perUnit, data: bytes.subarray(at, at + cap), origLen });
    o = at + cap;
  }
  return { linktype: linktype === DLT_RAW ? RAW : linktype, frames };
}
