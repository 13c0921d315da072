/**
 * DNS types, classes, codes and record data as BIND prints them (lib/dns/rdata, masterdump.c).
 * @module
 */
import { labelsOf, type Rr, TYPE } from './dns.js';
import { ntoa6 } from './inet6.js';

const TYPES: Record<string, number> = {
  A: 1, NS: 2, MD: 3, MF: 4, CNAME: 5, SOA: 6, MB: 7, MG: 8, MR: 9, NULL: 10, WKS: 11, PTR: 12, HINFO: 13, MINFO: 14,
  MX: 15, TXT: 16, RP: 17, AFSDB: 18, X25: 19, ISDN: 20, RT: 21, NSAP: 22, 'NSAP-PTR': 23, SIG: 24, KEY: 25, PX: 26,
  GPOS: 27, AAAA: 28, LOC: 29, NXT: 30, EID: 31, NIMLOC: 32, SRV: 33, ATMA: 34, NAPTR: 35, KX: 36, CERT: 37, A6: 38,
  DNAME: 39, SINK: 40, OPT: 41, APL: 42, DS: 43, SSHFP: 44, IPSECKEY: 45, RRSIG: 46, NSEC: 47, DNSKEY: 48, DHCID: 49,
  NSEC3: 50, NSEC3PARAM: 51, TLSA: 52, SMIMEA: 53, HIP: 55, NINFO: 56, RKEY: 57, TALINK: 58, CDS: 59, CDNSKEY: 60,
  OPENPGPKEY: 61, CSYNC: 62, ZONEMD: 63, SVCB: 64, HTTPS: 65, SPF: 99, TKEY: 249, TSIG: 250, IXFR: 251, AXFR: 252,
  MAILB: 253, MAILA: 254, ANY: 255, URI: 256, CAA: 257, AVC: 258, DOA: 259, AMTRELAY: 260, TA: 32768, DLV: 32769,
}; // prettier-ignore
const TYPE_NAMES = new Map(Object.entries(TYPES).map(([k, v]) => [v, k]));
const CLASSES: Record<string, number> = { RESERVED0: 0, IN: 1, CH: 3, HS: 4, NONE: 254, ANY: 255 };
const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED', 'YXDOMAIN', 'YXRRSET', 'NXRRSET', 'NOTAUTH', 'NOTZONE', 'RESERVED11', 'RESERVED12', 'RESERVED13', 'RESERVED14', 'RESERVED15', 'BADVERS']; // prettier-ignore
const OPCODES = ['QUERY', 'IQUERY', 'STATUS', 'RESERVED3', 'NOTIFY', 'UPDATE', 'RESERVED6', 'RESERVED7', 'RESERVED8', 'RESERVED9', 'RESERVED10', 'RESERVED11', 'RESERVED12', 'RESERVED13', 'RESERVED14', 'RESERVED15']; // prettier-ignore

/** Number of a type's mnemonic or `TYPE123`, in any case; null for anything else. */
export function typeNumber(text: string): number | null {
  const t = text.toUpperCase();
  if (Object.hasOwn(TYPES, t)) return TYPES[t]!;
  const m = /^TYPE(\d{1,5})$/.exec(t);
  return m !== null && Number(m[1]) < 65536 ? Number(m[1]) : null;
}
/** Number of a class's mnemonic or `CLASS123`; null for anything else. */
export function classNumber(text: string): number | null {
  const t = { CHAOS: 'CH', HESIOD: 'HS' }[text.toUpperCase()] ?? text.toUpperCase();
  if (Object.hasOwn(CLASSES, t)) return CLASSES[t]!;
  const m = /^CLASS(\d{1,5})$/.exec(t);
  return m !== null && Number(m[1]) < 65536 ? Number(m[1]) : null;
}
export const opcodeNumber = (text: string): number =>
  /^\d+$/.test(text) && Number(text) < 16 ? Number(text) : OPCODES.indexOf(text.toUpperCase());
export const typeText = (n: number): string => TYPE_NAMES.get(n) ?? `TYPE${n}`;
export const classText = (n: number): string => Object.keys(CLASSES).find((k) => CLASSES[k] === n) ?? `CLASS${n}`;
export const rcodeText = (n: number): string => RCODES[n] ?? String(n);
export const opcodeText = (n: number): string => OPCODES[n]!;

/** A name as BIND writes it: what has a meaning in zone files is escaped. */
export function nameText(name: string): string {
  if (name === '.') return name;
  return labelsOf(name)
    .map(
      (l) =>
        l.replace(/(\\\d{3}|\\[^])|([$"();@])/g, (_, kept: string | undefined, c: string) => kept ?? `\\${c}`) + '.',
    )
    .join('');
}

/** Data of a record, in BIND's presentation format; `multiline` spreads an SOA. */
export function rdataText(r: Rr, multiline = false): string {
  const bytes: number[] = [];
  const words: string[] = [];
  for (const p of r.data) {
    if (p instanceof Uint8Array) bytes.push(...p);
    else words.push(nameText(p.name));
  }
  const u16 = (o: number): number => (bytes[o]! << 8) | bytes[o + 1]!;
  const u32 = (o: number): number => u16(o) * 65536 + u16(o + 2);
  switch (r.type) {
    case TYPE.A:
      return bytes.length === 4 ? bytes.join('.') : unknown(bytes);
    case TYPE.AAAA:
      return bytes.length === 16 ? ntoa6(Uint8Array.from(bytes)) : unknown(bytes);
    case TYPE.NS: case TYPE.CNAME: case TYPE.PTR: case 39:
      return words[0] ?? unknown(bytes);
    case TYPE.MX: case 36:
      return `${u16(0)} ${words[0]}`;
    case TYPE.SRV:
      return `${u16(0)} ${u16(2)} ${u16(4)} ${words[0]}`;
    case TYPE.SOA:
      return soaText(words, [0, 4, 8, 12, 16].map(u32), multiline);
    case TYPE.TXT: case TYPE.HINFO:
      return strings(bytes);
    default:
      return unknown(bytes);
  }
} // prettier-ignore

const unknown = (b: number[]): string =>
  [`\\# ${b.length}`, ...(b.length > 0 ? [b.map((x) => x.toString(16).padStart(2, '0')).join('').toUpperCase()] : [])].join(' '); // prettier-ignore

/** Character strings in quotes. */
function strings(b: number[]): string {
  const out: string[] = [];
  for (let o = 0; o < b.length; o += 1 + b[o]!) {
    const s = b.slice(o + 1, o + 1 + b[o]!);
    const c = (x: number): string =>
      x === 34 || x === 92 ? `\\${String.fromCharCode(x)}` : x < 32 || x > 126 ? `\\${String(x).padStart(3, '0')}` : String.fromCharCode(x); // prettier-ignore
    out.push(`"${s.map(c).join('')}"`);
  }
  return out.join(' ');
}

/** `1h30m`-like words: 5400 seconds are `1 hour 30 minutes`. */
export function durationWords(seconds: number): string {
  const units: [string, number][] = [['week', 604800], ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]; // prettier-ignore
  const out: string[] = [];
  for (const [name, size] of units) {
    const n = Math.floor(seconds / size);
    seconds -= n * size;
    if (n > 0) out.push(`${n} ${name}${n === 1 ? '' : 's'}`);
  }
  return out.length === 0 ? '0 seconds' : out.join(' ');
}

/** The short form: `1h30m`, `30s`. */
export const durationUnits = (seconds: number): string =>
  durationWords(seconds).replace(/ (\w)\w*/g, '$1').replaceAll(' ', ''); // prettier-ignore

function soaText(names: string[], n: number[], multiline: boolean): string {
  if (!multiline) return [...names, ...n].join(' ');
  const fields = ['serial', 'refresh', 'retry', 'expire', 'minimum'];
  const rows = n.map(
    (x, i) => `\n\t\t\t\t${String(x).padEnd(10)} ; ${fields[i]}${i === 0 ? '' : ` (${durationWords(x)})`}`,
  );
  return `${names.join(' ')} (${rows.join('')}\n\t\t\t\t)`;
}
