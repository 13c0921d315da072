/**
 * Writer of pcapng files (draft-ietf-opsawg-pcapng): one section, one interface block per capture point, enhanced packets.
 *
 *   block   0 type   4 length   8 body … (padded to 4)   length again
 *   EPB     8 interface   12 time high   16 time low   20 captured   24 original   28 bytes, then options
 *   NRB     8 records like options: 1 IPv4 address and zero-terminated names; 0 ends the list
 *   DSB     8 secrets type   12 secrets length   16 secrets (padded to 4)
 *   option  0 code   2 length   4 value (padded to 4); the list ends with code 0
 *
 * Little-endian, nanoseconds (`if_tsresol` 9), snaplen 262144 in every interface, as libpcap requires. Reader:
 * pcapng-reader.ts.
 * @module
 */
import { Chunks, copyBytes, le16, le32 } from './chunks.js';
import { EPOCH_SEC, SNAPLEN } from './pcap.js';

const SHB = 0x0a0d0d0a;
const IDB = 1;
const NRB = 4;
const EPB = 6;
const DSB = 10;
/** "TLSK": an NSS key log. */
const TLS_KEY_LOG = 0x544c534b;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_DESCRIPTION = 3;
const IF_MACADDR = 6;
const IF_TSRESOL = 9;
const NRB_IPV4 = 1;
const EPB_FLAGS = 2;
const EPB_PACKETID = 5;

/** `epb_flags` bits 0–1. */
export const INBOUND = 1;
export const OUTBOUND = 2;

/** Blocks stay small: libpcap bounds them. */
const NAMES_PER_BLOCK = 1000;
const SECRETS_PER_BLOCK = 1000;

const TWO32 = 0x100000000;
const EPOCH_NS = BigInt(EPOCH_SEC) * 1000000000n;
const EPOCH_HIGH = Number(EPOCH_NS >> 32n);
const EPOCH_LOW = Number(EPOCH_NS & 0xffffffffn);

export interface InterfaceOptions {
  name: string;
  linktype: number;
  mac?: Uint8Array;
  description?: string;
}

const pad4 = (n: number): number => (n + 3) & ~3;

/** UTF-8 bytes; an option value is at most 65535 bytes, so longer text is cut. */
function utf8(text: string): Uint8Array {
  const b = new TextEncoder().encode(text);
  return b.length > 0xffff ? b.subarray(0, 0xffff) : b;
}

export class PcapngWriter {
  readonly out = new Chunks();
  private interfaces = 0;

  /** Writes the section header with optional comments and the application's name. */
  constructor(options: { application?: string; comments?: readonly string[] } = {}) {
    const opts: [number, Uint8Array][] = (options.comments ?? []).map((c) => [OPT_COMMENT, utf8(c)]);
    if (options.application !== undefined) opts.push([SHB_USERAPPL, utf8(options.application)]);
    const body = new Uint8Array(16);
    le32(body, 0, 0x1a2b3c4d);
    le16(body, 4, 1);
    body.fill(0xff, 8);
    this.block(SHB, body, opts);
  }

  /** Adds an interface; the result is its number for `packet`. */
  addInterface(i: InterfaceOptions): number {
    const opts: [number, Uint8Array][] = [[IF_NAME, utf8(i.name)]];
    if (i.description !== undefined) opts.push([IF_DESCRIPTION, utf8(i.description)]);
    if (i.mac !== undefined) opts.push([IF_MACADDR, i.mac]);
    opts.push([IF_TSRESOL, Uint8Array.of(9)]);
    const body = new Uint8Array(8);
    le16(body, 0, i.linktype);
    le32(body, 4, SNAPLEN);
    this.block(IDB, body, opts);
    return this.interfaces++;
  }

  /** Adds names of IPv4 addresses (4 bytes each); readers that go once through the file want them before the packets. */
  names(list: readonly { addr: Uint8Array; names: readonly string[] }[]): void {
    for (let i = 0; i < list.length; i += NAMES_PER_BLOCK) {
      const records = list.slice(i, i + NAMES_PER_BLOCK).map(({ addr, names }): [number, Uint8Array] => {
        const text = utf8(names.map((n) => `${n}\0`).join(''));
        const value = new Uint8Array(addr.length + text.length);
        value.set(addr);
        value.set(text, addr.length);
        return [NRB_IPV4, value];
      });
      this.block(NRB, new Uint8Array(0), records);
    }
  }

  /** Adds lines of an NSS key log; readers want them before the packets that they decrypt. */
  secrets(lines: readonly string[]): void {
    for (let i = 0; i < lines.length; i += SECRETS_PER_BLOCK) {
      const text = new TextEncoder().encode(
        lines
          .slice(i, i + SECRETS_PER_BLOCK)
          .map((l) => `${l}\n`)
          .join(''),
      );
      const body = new Uint8Array(8 + pad4(text.length));
      le32(body, 0, TLS_KEY_LOG);
      le32(body, 4, text.length);
      body.set(text, 8);
      this.block(DSB, body, []);
    }
  }

  private block(type: number, body: Uint8Array, opts: readonly [number, Uint8Array][]): void {
    const len = 12 + body.length + opts.reduce((n, [, v]) => n + 4 + pad4(v.length), opts.length > 0 ? 4 : 0);
    const start = this.out.reserve(len);
    const b = this.out.cur;
    le32(b, start, type);
    le32(b, start + 4, len);
    b.set(body, start + 8);
    let o = start + 8 + body.length;
    for (const [code, v] of opts) {
      le16(b, o, code);
      le16(b, o + 2, v.length);
      b.set(v, o + 4);
      o += 4 + pad4(v.length);
    }
    le32(b, start + len - 4, len);
  }

  /**
   * Appends a frame. `ns` is virtual time, `direction` is `INBOUND` or `OUTBOUND`, `packetId` names the same packet at
   * every hop, `comments` become one `opt_comment` each. The 64-bit time is added in halves: no BigInt per packet.
   */
  packet(
    iface: number,
    ns: number,
    direction: number,
    packetId: number,
    buf: Uint8Array,
    start: number,
    end: number,
    comments: readonly string[] = [],
    origLen = end - start,
  ): void {
    const cap = end - start;
    const texts = comments.map(utf8);
    const len = 32 + pad4(cap) + 8 + 12 + texts.reduce((n, t) => n + 4 + pad4(t.length), 4);
    const at = this.out.reserve(len);
    const b = this.out.cur;
    const low = EPOCH_LOW + (ns % TWO32);
    le32(b, at, EPB);
    le32(b, at + 4, len);
    le32(b, at + 8, iface);
    le32(b, at + 12, EPOCH_HIGH + Math.floor(ns / TWO32) + (low >= TWO32 ? 1 : 0));
    le32(b, at + 16, low);
    le32(b, at + 20, cap);
    le32(b, at + 24, origLen);
    copyBytes(b, at + 28, buf, start, end);
    let o = at + 28 + pad4(cap);
    for (const t of texts) {
      le16(b, o, OPT_COMMENT);
      le16(b, o + 2, t.length);
      b.set(t, o + 4);
      o += 4 + pad4(t.length);
    }
    le16(b, o, EPB_FLAGS);
    le16(b, o + 2, 4);
    le32(b, o + 4, direction);
    le16(b, o + 8, EPB_PACKETID);
    le16(b, o + 10, 8);
    le32(b, o + 12, packetId);
    le32(b, o + 16, Math.floor(packetId / TWO32));
    le32(b, at + len - 4, len);
  }
}
