/**
 * Reader of pcapng files (draft-ietf-opsawg-pcapng): both byte orders, several sections, EPB, SPB and the old packet block.
 *
 * Block layout in pcapng.ts. Blocks of other kinds and options that are not needed are skipped; their lengths are checked.
 * @module
 */
import { type Pcap, PcapError, SNAPLEN } from './pcap.js';

const IDB = 1;
const PB = 2;
const SPB = 3;
const EPB = 6;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const BYTE_ORDER = 0x1a2b3c4d;

/** An interface's frames under its `if_name`; `if0`, `if1`, … where a file names none. */
export interface NamedPcap extends Pcap {
  name: string;
}

interface Interface extends NamedPcap {
  snaplen: number;
  /** Nanoseconds of `ticks` units of time: ns = ticks * mul / div. */
  mul: bigint;
  div: bigint;
}

/** True when the bytes begin like a pcapng file. */
export const isPcapng = (b: Uint8Array): boolean =>
  b.length >= 4 && b[0] === 0x0a && b[1] === 0x0d && b[2] === 0x0d && b[3] === 0x0a;

/** Reads a whole file. Throws `PcapError` with the byte on anything that is not complete blocks of correct lengths. */
export function readPcapng(input: Uint8Array): NamedPcap[] {
  return new Reader(new Uint8Array(input.buffer, input.byteOffset, input.byteLength)).file();
}

class Reader {
  private readonly b: Uint8Array;
  private readonly view: DataView;
  private little = true;
  private readonly all: Interface[] = [];
  /** The current section's. */
  private interfaces: Interface[] = [];

  constructor(b: Uint8Array) {
    this.b = b;
    this.view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  }

  file(): NamedPcap[] {
    if (!isPcapng(this.b)) throw new PcapError(0, 'found no section header, expected a pcapng file (0a0d0d0a)');
    for (let o = 0; o < this.b.length;) o = this.block(o);
    return this.all.map(({ name, linktype, frames }) => ({ name, linktype, frames }));
  }

  private u32(o: number): number {
    return this.view.getUint32(o, this.little);
  }

  private u16(o: number): number {
    return this.view.getUint16(o, this.little);
  }

  /** Reads the block at `o`; returns where the next begins. */
  private block(o: number): number {
    const left = this.b.length - o;
    if (left < 12) throw new PcapError(o, 'the file ends inside the header of a block');
    if (isPcapng(this.b.subarray(o, o + 4))) this.section(o);
    const type = this.u32(o);
    const length = this.u32(o + 4);
    if (length < 12 || length % 4 !== 0) {
      throw new PcapError(o + 4, `found block length ${length}, expected a multiple of 4 from 12`);
    }
    if (length > left) throw new PcapError(o, `the file ends inside a block of ${length} bytes`);
    const end = o + length - 4;
    if (this.u32(end) !== length) {
      throw new PcapError(end, `found block length ${this.u32(end)} at its end, expected ${length}`);
    }
    if (type === IDB) this.interfaceBlock(o + 8, end);
    else if (type === EPB) this.packet(o + 8, end, this.numberAt(o + 8, end));
    else if (type === PB) this.packet(o + 8, end, this.numberAt(o + 8, end, true));
    else if (type === SPB) this.simplePacket(o + 8, end);
    return end + 4;
  }

  /** The byte order of a section stands in it. */
  private section(o: number): void {
    if (this.b.length - o < 28) throw new PcapError(o, 'the file ends inside a section header');
    this.little = this.view.getUint32(o + 8, true) === BYTE_ORDER;
    if (!this.little && this.view.getUint32(o + 8, false) !== BYTE_ORDER) {
      throw new PcapError(o + 8, 'found no byte-order magic, expected 1a2b3c4d');
    }
    if (this.u16(o + 12) !== 1) throw new PcapError(o + 12, `found pcapng version ${this.u16(o + 12)}, expected 1`);
    this.interfaces = [];
  }

  /** The interface number that a packet block begins with: 32 bits, in the old block 16 and a drop count. */
  private numberAt(o: number, end: number, old = false): number {
    if (o + 4 > end) throw new PcapError(o, 'the block ends before its interface number');
    return old ? this.u16(o) : this.u32(o);
  }

  private interfaceBlock(o: number, end: number): void {
    if (end - o < 8) throw new PcapError(o, 'found a short interface block, expected 8 bytes');
    const snaplen = this.u32(o + 4);
    const i: Interface = {
      name: `if${this.all.length}`,
      linktype: this.u16(o),
      frames: [],
      snaplen: snaplen === 0 || snaplen > SNAPLEN ? SNAPLEN : snaplen,
      mul: 1000n,
      div: 1n,
    };
    this.options(o + 8, end, (code, at, length) => {
      if (code === IF_NAME) i.name = new TextDecoder().decode(this.b.subarray(at, at + length));
      if (code === IF_TSRESOL) [i.mul, i.div] = this.resolution(at, length);
    });
    this.interfaces.push(i);
    this.all.push(i);
  }

  /** Bit 7: powers of 2, else of 10. */
  private resolution(at: number, length: number): [mul: bigint, div: bigint] {
    const v = this.b[at]!;
    const [base, exponent] = v & 0x80 ? [2n, v & 0x7f] : [10n, v];
    const most = base === 2n ? 63 : 19;
    if (length !== 1 || exponent > most) {
      throw new PcapError(at, `found if_tsresol ${v} of ${length} bytes, expected one byte up to ${most}`);
    }
    return [1000000000n, base ** BigInt(exponent)];
  }

  private options(o: number, end: number, visit: (code: number, at: number, length: number) => void): void {
    while (o < end) {
      if (end - o < 4) throw new PcapError(o, 'the block ends inside an option');
      const [code, length] = [this.u16(o), this.u16(o + 2)];
      if (code === 0) return;
      if (length > end - o - 4) throw new PcapError(o + 2, `found option length ${length}, beyond its block`);
      visit(code, o + 4, length);
      o += 4 + ((length + 3) & ~3);
    }
  }

  private packet(o: number, end: number, number: number): void {
    if (end - o < 20) throw new PcapError(o, 'found a short packet block, expected 20 bytes');
    const i = this.interfaceOf(o, number);
    const ticks = (BigInt(this.u32(o + 4)) << 32n) | BigInt(this.u32(o + 8));
    const ns = (ticks * i.mul) / i.div;
    const cap = this.u32(o + 12);
    const origLen = this.u32(o + 16);
    if (cap > SNAPLEN || cap > end - o - 20)
      throw new PcapError(o + 12, `found captured length ${cap}, beyond its block`);
    if (origLen < cap) throw new PcapError(o + 16, `found original length ${origLen}, expected at least ${cap}`);
    this.options(o + 20 + ((cap + 3) & ~3), end, () => {});
    i.frames.push({
      sec: Number(ns / 1000000000n),
      nsec: Number(ns % 1000000000n),
      data: this.b.subarray(o + 20, o + 20 + cap),
      origLen,
    });
  }

  private simplePacket(o: number, end: number): void {
    if (end - o < 4) throw new PcapError(o, 'found a short packet block, expected 4 bytes');
    const i = this.interfaceOf(o, 0);
    const origLen = this.u32(o);
    const cap = Math.min(origLen, i.snaplen);
    if (cap > end - o - 4) throw new PcapError(o, `found packet length ${origLen}, beyond its block`);
    i.frames.push({ sec: 0, nsec: 0, data: this.b.subarray(o + 4, o + 4 + cap), origLen });
  }

  private interfaceOf(o: number, number: number): Interface {
    const i = this.interfaces[number];
    if (i === undefined) {
      throw new PcapError(o, `found interface ${number}, expected one of ${this.interfaces.length} in this section`);
    }
    return i;
  }
}
