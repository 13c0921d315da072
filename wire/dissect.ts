/**
 * Frames as lists of named fields, for printing, differences and cross-checks; never on the data path.
 *
 * Each header is one table; the binary-parser that reads it is built from the table on first use. No bytes make
 * `dissect` throw: what no table explains becomes a field `data`. Packets inside packets get a prefix:
 * `icmp.ip.ttl` is the TTL quoted by an ICMP error, `ip.ip.ttl` the inner one of IPIP, `vxlan.eth.dst` inside VXLAN.
 * @module
 */
import { Parser } from 'binary-parser/dist/binary_parser.js';
import { hex } from './bytes.js';
import { macText, ntoa } from './inet.js';

export interface Field {
  name: string;
  /** A number, or text for addresses and raw bytes (hex). */
  value: number | string;
  /** First byte within the frame and the number of bytes touched (bit fields share bytes). */
  offset: number;
  length: number;
}

type Kind = 'n' | 'ip' | 'mac' | 'hex';
/** Name, width in bits, form. */
type Row = readonly [name: string, bits: number, kind?: Kind];

const TABLES = {
  eth: [
    ['dst', 48, 'mac'],
    ['src', 48, 'mac'],
    ['type', 16],
  ],
  vlan: [
    ['pcp', 3],
    ['dei', 1],
    ['id', 12],
    ['type', 16],
  ],
  arp: [
    ['htype', 16],
    ['ptype', 16],
    ['hlen', 8],
    ['plen', 8],
    ['op', 16],
    ['sha', 48, 'mac'],
    ['sip', 32, 'ip'],
    ['tha', 48, 'mac'],
    ['tip', 32, 'ip'],
  ],
  ip: [
    ['version', 4],
    ['ihl', 4],
    ['tos', 8],
    ['len', 16],
    ['id', 16],
    ['rf', 1],
    ['df', 1],
    ['mf', 1],
    ['frag', 13],
    ['ttl', 8],
    ['proto', 8],
    ['csum', 16],
    ['src', 32, 'ip'],
    ['dst', 32, 'ip'],
  ],
  icmp: [
    ['type', 8],
    ['code', 8],
    ['csum', 16],
  ],
  echo: [
    ['id', 16],
    ['seq', 16],
  ],
  unreach: [
    ['unused', 16],
    ['mtu', 16],
  ],
  redirect: [['gateway', 32, 'ip']],
  rest: [['rest', 32]],
  udp: [
    ['sport', 16],
    ['dport', 16],
    ['len', 16],
    ['csum', 16],
  ],
  tcp: [
    ['sport', 16],
    ['dport', 16],
    ['seq', 32],
    ['ack', 32],
    ['doff', 4],
    ['res', 4],
    ['flags', 8],
    ['window', 16],
    ['csum', 16],
    ['urg', 16],
  ],
  dns: [
    ['id', 16],
    ['qr', 1],
    ['opcode', 4],
    ['aa', 1],
    ['tc', 1],
    ['rd', 1],
    ['ra', 1],
    ['z', 1],
    ['ad', 1],
    ['cd', 1],
    ['rcode', 4],
    ['qdcount', 16],
    ['ancount', 16],
    ['nscount', 16],
    ['arcount', 16],
  ],
  vxlan: [
    ['flags', 8],
    ['reserved1', 24],
    ['vni', 24],
    ['reserved2', 8],
  ],
} satisfies Record<string, readonly Row[]>;

type Table = keyof typeof TABLES;

interface Built {
  parser: Parser;
  rows: { name: string; kind: Kind; offset: number; length: number }[];
  bytes: number;
}

const built = new Map<Table, Built>();

/** Table → parser and the byte offsets of its fields, once. */
function build(table: Table): Built {
  const known = built.get(table);
  if (known !== undefined) return known;
  const parser = new Parser().endianness('big');
  const rows: Built['rows'] = [];
  let bit = 0;
  for (const [name, bits, kind = 'n'] of TABLES[table] as readonly Row[]) {
    const offset = bit >> 3;
    const whole = (bit & 7) === 0;
    bit += bits;
    rows.push({ name, kind, offset, length: ((bit + 7) >> 3) - offset });
    if (kind === 'mac') parser.buffer(name, { length: 6 });
    else if (whole && bits === 8) parser.uint8(name);
    else if (whole && bits === 16) parser.uint16(name);
    else if (whole && bits === 32) parser.uint32(name);
    else (parser as unknown as Record<string, (n: string) => void>)[`bit${bits}`]!(name);
  }
  const b = { parser, rows, bytes: bit >> 3 };
  built.set(table, b);
  return b;
}

const MAX_DEPTH = 8;
const VXLAN_PORTS = [4789, 6784, 8472];

class Dissector {
  readonly fields: Field[] = [];
  private readonly b: Uint8Array;
  private depth = 0;

  constructor(b: Uint8Array) {
    this.b = b;
  }

  /** Reads a header with its table; null when it does not fit. */
  private header(table: Table, o: number, end: number, prefix: string): Record<string, number> | null {
    const t = build(table);
    if (end - o < t.bytes) return null;
    const values = t.parser.parse(this.b.subarray(o, o + t.bytes)) as Record<string, number | Uint8Array>;
    for (const r of t.rows) {
      const v = values[r.name]!;
      const value = typeof v !== 'number' ? macText(v) : r.kind === 'ip' ? ntoa(v) : v;
      this.fields.push({ name: `${prefix}.${r.name}`, value, offset: o + r.offset, length: r.length });
    }
    return values as Record<string, number>;
  }

  /** The rest as hex; nothing when there is no rest. */
  private raw(name: string, o: number, end: number): void {
    if (end > o) this.fields.push({ name, value: hex(this.b, o, end), offset: o, length: end - o });
  }

  ethernet(o: number, end: number, prefix: string): void {
    const h = this.header('eth', o, end, `${prefix}eth`);
    if (h === null) return this.raw(`${prefix}data`, o, end);
    let type = h['type']!;
    let at = o + 14;
    if (type === 0x8100) {
      const tag = this.header('vlan', at, end, `${prefix}vlan`);
      if (tag === null) return this.raw(`${prefix}data`, at, end);
      type = tag['type']!;
      at += 4;
    }
    if (type === 0x0800) this.ip(at, end, prefix);
    else if (type === 0x0806) this.arp(at, end, prefix);
    else this.raw(`${prefix}data`, at, end);
  }

  private arp(o: number, end: number, prefix: string): void {
    const h = this.header('arp', o, end, `${prefix}arp`);
    this.raw(`${prefix}data`, h === null ? o : o + 28, end);
  }

  /** An IPv4 packet; one that is quoted may be cut short. */
  ip(o: number, end: number, prefix: string): void {
    if (this.depth >= MAX_DEPTH || end <= o || this.b[o]! >> 4 !== 4) return this.raw(`${prefix}data`, o, end);
    const h = this.header('ip', o, end, `${prefix}ip`);
    if (h === null) return this.raw(`${prefix}data`, o, end);
    const hlen = h['ihl']! * 4;
    const total = h['len']!;
    if (hlen < 20 || o + hlen > end || total < hlen) return this.raw(`${prefix}data`, o + 20, end);
    this.raw(`${prefix}ip.options`, o + 20, o + hlen);
    const stop = Math.min(end, o + total);
    const at = o + hlen;
    this.depth++;
    if (h['frag'] !== 0) this.raw(`${prefix}data`, at, stop);
    else if (h['proto'] === 1) this.icmp(at, stop, prefix);
    else if (h['proto'] === 4) this.ip(at, stop, `${prefix}ip.`);
    else if (h['proto'] === 6) this.tcp(at, stop, prefix);
    else if (h['proto'] === 17) this.udp(at, stop, prefix);
    else this.raw(`${prefix}data`, at, stop);
    this.depth--;
    this.raw(`${prefix}padding`, stop, end);
  }

  private icmp(o: number, end: number, prefix: string): void {
    const h = this.header('icmp', o, end, `${prefix}icmp`);
    if (h === null) return this.raw(`${prefix}data`, o, end);
    const type = h['type']!;
    const rest: Table =
      type === 0 || type === 8 || type === 13 || type === 14
        ? 'echo'
        : type === 3
          ? 'unreach'
          : type === 5
            ? 'redirect'
            : 'rest';
    if (this.header(rest, o + 4, end, `${prefix}icmp`) === null) return this.raw(`${prefix}data`, o + 4, end);
    if (type === 3 || type === 4 || type === 5 || type === 11 || type === 12) this.ip(o + 8, end, `${prefix}icmp.`);
    else this.raw(`${prefix}icmp.data`, o + 8, end);
  }

  private udp(o: number, end: number, prefix: string): void {
    const h = this.header('udp', o, end, `${prefix}udp`);
    if (h === null) return this.raw(`${prefix}data`, o, end);
    const at = o + 8;
    const ports = [h['sport']!, h['dport']!];
    if (ports.includes(53) && this.header('dns', at, end, `${prefix}dns`) !== null) {
      this.raw(`${prefix}dns.data`, at + 12, end);
    } else if (VXLAN_PORTS.includes(ports[1]!) && this.header('vxlan', at, end, `${prefix}vxlan`) !== null) {
      this.depth++;
      if (this.depth < MAX_DEPTH) this.ethernet(at + 8, end, `${prefix}vxlan.`);
      else this.raw(`${prefix}data`, at + 8, end);
      this.depth--;
    } else this.raw(`${prefix}udp.data`, at, end);
  }

  private tcp(o: number, end: number, prefix: string): void {
    const h = this.header('tcp', o, end, `${prefix}tcp`);
    if (h === null) {
      // An ICMP error may quote eight bytes only: the ports are still worth a name.
      if (end - o < 8) return this.raw(`${prefix}data`, o, end);
      for (const [k, name] of ['sport', 'dport'].entries()) {
        const at = o + 2 * k;
        const value = (this.b[at]! << 8) | this.b[at + 1]!;
        this.fields.push({ name: `${prefix}tcp.${name}`, value, offset: at, length: 2 });
      }
      return this.raw(`${prefix}data`, o + 4, end);
    }
    const hlen = h['doff']! * 4;
    if (hlen < 20 || o + hlen > end) return this.raw(`${prefix}data`, o + 20, end);
    this.raw(`${prefix}tcp.options`, o + 20, o + hlen);
    this.raw(`${prefix}tcp.data`, o + hlen, end);
  }
}

/** Named fields of a frame, in byte order. Link type 1 (Ethernet) or 101 (raw IP); any other is one `data` field. */
export function dissect(frame: Uint8Array, linktype = 1): Field[] {
  const d = new Dissector(frame);
  if (linktype === 1) d.ethernet(0, frame.length, '');
  else if (linktype === 101) d.ip(0, frame.length, '');
  else if (frame.length > 0) return [{ name: 'data', value: hex(frame), offset: 0, length: frame.length }];
  return d.fields;
}

/** The innermost named field that holds byte `offset`. */
export const fieldAt = (fields: readonly Field[], offset: number): Field | undefined =>
  fields.find((f) => offset >= f.offset && offset < f.offset + f.length);
