/**
 * DNS messages from bytes, as strictly and as leniently as the Go library miekg/dns reads them (`Msg.Unpack`).
 *
 * Lenient: a message may end before the records its header counts, or within its question after the name or the type;
 * bytes after the last record are ignored. Every name costs at most 126 pointers, every byte is looked at once a record.
 * @module
 */
import { type DnsMessage, type Part, type Rr, TYPE } from './dns.js';

/** Reads one name; null if it leaves the message, loops, or is longer than 255 bytes. */
function readName(b: Uint8Array, at: number): { name: string; next: number } | null {
  let name = '';
  let next = -1;
  let length = 1;
  for (let hops = 0; ;) {
    const n = b[at];
    if (n === undefined) return null;
    if (n === 0) return { name: name === '' ? '.' : name, next: next < 0 ? at + 1 : next };
    if (n >= 0xc0) {
      if (at + 1 >= b.length || ++hops > 126) return null;
      if (next < 0) next = at + 2;
      at = ((n & 63) << 8) | b[at + 1]!;
      continue;
    }
    length += n + 1;
    if (n > 63 || at + 1 + n > b.length || length > 255) return null;
    for (let i = at + 1; i <= at + n; i++) {
      const c = b[i]!;
      if (c < 33 || c > 126) name += '\\' + String(c).padStart(3, '0');
      else name += c === 46 || c === 92 ? '\\' + String.fromCharCode(c) : String.fromCharCode(c);
    }
    name += '.';
    at += n + 1;
  }
}

/** Bytes before the names, number of names, and whether they may be compressed, for types whose data holds names. */
const NAMES: Record<number, [number, number, boolean]> = {
  2: [0, 1, true], // NS
  5: [0, 1, true], // CNAME
  6: [0, 2, true], // SOA
  7: [0, 1, true], // MB
  8: [0, 1, true], // MG
  9: [0, 1, true], // MR
  12: [0, 1, true], // PTR
  14: [0, 2, true], // MINFO
  15: [2, 1, true], // MX
  17: [0, 2, false], // RP
  18: [2, 1, false], // AFSDB
  21: [2, 1, false], // RT
  33: [6, 1, false], // SRV
  36: [2, 1, false], // KX
  39: [0, 1, false], // DNAME
};

const u16 = (b: Uint8Array, o: number): number => (b[o]! << 8) | b[o + 1]!;

/** Whether an OPT's options are well formed (EDNS0_*.unpack). */
function optionsOk(b: Uint8Array, o: number, end: number): boolean {
  while (o < end) {
    if (o + 4 > end) return false;
    const code = u16(b, o);
    const n = u16(b, o + 2);
    o += 4;
    if (o + n > end) return false;
    if (code === 1 && n < 18) return false; // LLQ
    if (code === 2 && n !== 4 && n !== 8) return false; // UL
    if (code === 9 && n !== 0 && n < 4) return false; // EXPIRE
    if (code === 11 && n !== 0 && n !== 2) return false; // TCP KEEPALIVE
    if (code === 15 && n < 2) return false; // EDE
    if (code === 8 && !subnetOk(b, o, n)) return false;
    if (code === 18 && readName(b.subarray(o, o + n), 0) === null) return false; // REPORTING
    o += n;
  }
  return true;
}

/** EDNS Client Subnet: family, prefix lengths within it. */
function subnetOk(b: Uint8Array, o: number, n: number): boolean {
  if (n < 4) return false;
  const family = u16(b, o);
  const most = family === 0 ? 0 : family === 1 ? 32 : family === 2 ? 128 : -1;
  return b[o + 2]! <= most && (family === 0 || b[o + 3]! <= most);
}

/** One record at `at` and where it ends; null if malformed. */
function readRr(b: Uint8Array, at: number): { rr: Rr; end: number } | null {
  const n = readName(b, at);
  if (n === null || n.next + 10 > b.length) return null;
  const type = u16(b, n.next);
  const start = n.next + 10;
  const end = start + u16(b, n.next + 8);
  if (end > b.length) return null;
  const data: Part[] = [];
  let o = start;
  const shape = NAMES[type];
  if (end > start) {
    if ((type === TYPE.A && end - start !== 4) || (type === TYPE.AAAA && end - start !== 16)) return null;
    if (type === TYPE.OPT && !optionsOk(b, start, end)) return null;
    if (shape !== undefined) {
      const [skip, names, compress] = shape;
      if (o + skip > end) return null;
      if (skip > 0) data.push(b.slice(o, o + skip));
      o += skip;
      for (let k = 0; k < names; k++) {
        const t = readName(b, o);
        if (t === null || t.next > end) return null;
        data.push({ name: t.name, compress });
        o = t.next;
      }
      if (end - o !== (type === TYPE.SOA ? 20 : 0)) return null;
    }
    if (end > o) data.push(b.slice(o, end));
  }
  const ttl = u16(b, n.next + 4) * 65536 + u16(b, n.next + 6);
  return { rr: { name: n.name, type, cls: u16(b, n.next + 2), ttl, data }, end };
}

/** What could be read of a message of at least 12 bytes, and whether all of it was well formed. */
export function unpackDnsPartly(b: Uint8Array): { message: DnsMessage; ok: boolean } {
  const m: DnsMessage = { id: u16(b, 0), flags: u16(b, 2), question: [], answer: [], authority: [], additional: [] };
  const over = (ok: boolean): { message: DnsMessage; ok: boolean } => ({ message: m, ok });
  let at = 12;
  if (b.length === 12) return over(true);
  for (let i = 0; i < u16(b, 4); i++) {
    const n = readName(b, at);
    if (n === null) return over(false);
    const left = b.length - n.next;
    if (left === 1) return over(false);
    m.question.push({ name: n.name, type: left > 0 ? u16(b, n.next) : 0, cls: left > 3 ? u16(b, n.next + 2) : 0 });
    at = n.next + Math.min(4, left);
  }
  for (const [count, list] of [
    [u16(b, 6), m.answer],
    [u16(b, 8), m.authority],
    [u16(b, 10), m.additional],
  ] as const) {
    for (let i = 0; i < count && at < b.length; i++) {
      const r = readRr(b, at);
      if (r === null) return over(false);
      list.push(r.rr);
      at = r.end;
    }
  }
  return over(true);
}

/** A message of bytes; null if malformed or shorter than a header. */
export function unpackDns(b: Uint8Array): DnsMessage | null {
  if (b.length < 12) return null;
  const { message, ok } = unpackDnsPartly(b);
  return ok ? message : null;
}
