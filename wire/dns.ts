/**
 * DNS messages between bytes and records (RFC 1035, RFC 6891), laid out as the Go library miekg/dns lays them out.
 *
 * Names are absolute presentation text (`a.b.`; a dot or backslash inside a label is escaped, other unprintable
 * bytes are `\DDD`). Record data is a list of parts: plain bytes, or a name that may or may not be compressed.
 * @module
 */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  CAA: 257,
} as const;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export const QR = 0x8000,
  AA = 0x0400,
  TC = 0x0200,
  RD = 0x0100,
  RA = 0x0080,
  AD = 0x0020,
  CD = 0x0010;

export interface NamePart {
  name: string;
  /** May be written as a pointer. A name that may not still becomes a target of later pointers. */
  compress: boolean;
}
export type Part = Uint8Array | NamePart;
export interface Question {
  name: string;
  type: number;
  cls: number;
}
export interface Rr {
  name: string;
  type: number;
  cls: number;
  ttl: number;
  data: Part[];
}
export interface DnsMessage {
  id: number;
  /** The second header word: QR, opcode, flag bits and RCODE. */
  flags: number;
  question: Question[];
  answer: Rr[];
  authority: Rr[];
  additional: Rr[];
}

const num = (n: number, bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => Math.floor(n / 2 ** (8 * (bytes - 1 - i))) & 255);

/** An A or AAAA record of 4 or 16 address bytes. */
export const addressRr = (name: string, ttl: number, bytes: Uint8Array): Rr => ({
  name,
  type: bytes.length === 4 ? TYPE.A : TYPE.AAAA,
  cls: 1,
  ttl,
  data: [bytes],
});
/** CNAME, NS or PTR. */
export const nameRr = (name: string, type: number, ttl: number, target: string): Rr => ({
  name,
  type,
  cls: 1,
  ttl,
  data: [{ name: target, compress: true }],
});
/** SRV (RFC 2782): the target is never compressed. */
export const srvRr = (name: string, ttl: number, prio: number, weight: number, port: number, target: string): Rr => ({
  name,
  type: TYPE.SRV,
  cls: 1,
  ttl,
  data: [
    Uint8Array.of(prio >> 8, prio & 255, weight >> 8, weight & 255, port >> 8, port & 255),
    { name: target, compress: false },
  ],
});
/** SOA with its five numbers: serial, refresh, retry, expire, minimum. */
export const soaRr = (name: string, ttl: number, mname: string, rname: string, five: number[]): Rr => ({
  name,
  type: TYPE.SOA,
  cls: 1,
  ttl,
  data: [{ name: mname, compress: true }, { name: rname, compress: true }, ...five.map((n) => num(n, 4))],
});
/** TXT of one character string of ASCII text. */
export const txtRr = (name: string, ttl: number, text: string): Rr => ({
  name,
  type: TYPE.TXT,
  cls: 1,
  ttl,
  data: [Uint8Array.from([text.length, ...Array.from(text, (c) => c.charCodeAt(0))])],
});
/** OPT (RFC 6891): `ttl` is extended RCODE, version and flags. */
export const optRr = (size: number, ttl: number, options: Uint8Array): Rr => ({
  name: '.',
  type: TYPE.OPT,
  cls: size,
  ttl,
  data: options.length > 0 ? [options] : [],
});

/** Labels (as escaped text) of a presentation name. */
export function labelsOf(name: string): string[] {
  return name === '.' || name === '' ? [] : (name.match(/(?:\\\d{3}|\\[^]|[^.\\])+/g) ?? []);
}

/** Bytes of one escaped label. */
function labelBytes(label: string): number[] {
  const out: number[] = [];
  for (const m of label.matchAll(/\\(\d{3})|\\([^])|([^])/g)) {
    out.push(m[1] !== undefined ? Number(m[1]) & 255 : (m[2] ?? m[3]!).charCodeAt(0) & 255);
  }
  return out;
}

/** Whether a presentation name fits RFC 1035's 63-byte labels and 255-byte names. */
export function validName(name: string): boolean {
  if (name === '.') return true;
  if (/^\.|\.\./.test(name.replace(/\\[^]/g, 'x'))) return false;
  const lengths = labelsOf(name).map((l) => labelBytes(l).length);
  return lengths.every((n) => n > 0 && n < 64) && lengths.reduce((a, n) => a + n + 1, 1) <= 255;
}

/** Writes names, keeping miekg/dns's compression map of exact-case suffixes to first offsets below 16384. */
class Writer {
  readonly out: number[] = [];
  private readonly map: Map<string, number> | null;
  constructor(compress: boolean) {
    this.map = compress ? new Map() : null;
  }
  u16(n: number): void {
    this.out.push((n >> 8) & 255, n & 255);
  }
  name(name: string, compress: boolean): void {
    const labels = labelsOf(name);
    for (let i = 0; i < labels.length; i++) {
      if (this.map !== null) {
        const suffix = labels.slice(i).join('.');
        const at = this.map.get(suffix);
        if (at === undefined) {
          if (this.out.length < 0x4000) this.map.set(suffix, this.out.length);
        } else if (compress) {
          this.u16(0xc000 | at);
          return;
        }
      }
      const bytes = labelBytes(labels[i]!);
      this.out.push(bytes.length, ...bytes);
    }
    this.out.push(0);
  }
  question(q: Question): void {
    this.name(q.name, true);
    this.u16(q.type);
    this.u16(q.cls);
  }
  rr(r: Rr): void {
    this.name(r.name, true);
    this.u16(r.type);
    this.u16(r.cls);
    this.u16(Math.floor(r.ttl / 65536));
    this.u16(r.ttl & 0xffff);
    const at = this.out.length;
    this.u16(0);
    for (const p of r.data) {
      if (p instanceof Uint8Array) for (const x of p) this.out.push(x);
      else this.name(p.name, p.compress);
    }
    const n = this.out.length - at - 2;
    this.out[at] = n >> 8;
    this.out[at + 1] = n & 255;
  }
}

/** Bytes of a message; names are compressed only when told (`Msg.Pack`). */
export function packDns(m: DnsMessage, compress: boolean): Uint8Array {
  const w = new Writer(compress);
  for (const n of [m.id, m.flags, m.question.length, m.answer.length, m.authority.length, m.additional.length])
    w.u16(n);
  for (const q of m.question) w.question(q);
  for (const r of [...m.answer, ...m.authority, ...m.additional]) w.rr(r);
  return Uint8Array.from(w.out);
}

/** A message that fits, and whether it has to be packed with compression. */
export interface Fitted {
  message: DnsMessage;
  compress: boolean;
}

/**
 * `Msg.Truncate`: as it is if it fits into `limit` bytes uncompressed; else to be compressed, whole records dropped from
 * the first that does not fit, TC set if any was, OPT kept and last.
 */
export function truncateDns(m: DnsMessage, limit: number): Fitted {
  if (packDns(m, false).length <= limit) return { message: m, compress: false };
  const opt = m.additional.filter((r) => r.type === TYPE.OPT).slice(-1);
  const o = new Writer(false);
  for (const r of opt) o.rr(r);
  const budget = limit - o.out.length;
  const w = new Writer(true);
  w.out.push(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  for (const q of m.question) w.question(q);
  let full = w.out.length >= budget;
  let dropped = false;
  const keep = (rrs: Rr[]): Rr[] => {
    const kept: Rr[] = [];
    for (const r of rrs) {
      if (!full) w.rr(r);
      if (full || w.out.length > budget) {
        full = dropped = true;
        break;
      }
      full = w.out.length === budget;
      kept.push(r);
    }
    return kept;
  };
  const answer = keep(m.answer);
  const authority = keep(m.authority);
  const additional = keep(m.additional.filter((r) => !opt.includes(r)));
  const flags = m.flags | (dropped ? TC : 0);
  return { message: { ...m, flags, answer, authority, additional: [...additional, ...opt] }, compress: true };
}

/** All plain bytes of a record's data (addresses, option lists). */
export function plainData(r: Rr): Uint8Array {
  const p = r.data[0];
  return p instanceof Uint8Array ? p : new Uint8Array(0);
}
/** First name in a record's data, or null. */
export function dataName(r: Rr): string | null {
  for (const p of r.data) if (!(p instanceof Uint8Array)) return p.name;
  return null;
}
