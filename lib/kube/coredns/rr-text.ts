/**
 * One resource record as master files write it (RFC 1035 5.1), as miekg/dns's NewRR takes it: owner, TTL and class in any
 * order, TTL 3600 unless given. Parentheses are skipped. Not here: `$` lines, types other than those listed in `DATA`.
 * @module
 */
import { type Part, type Rr, TYPE, validName } from '../../../wire/dns.js';
import { addressBytes } from '../../../wire/inet6.js';

const CLASS: Record<string, number> = { IN: 1, CS: 2, CH: 3, HS: 4, NONE: 254, ANY: 255 };
const DEFAULT_TTL = 3600;

/** Words with their quotes resolved: [text, was quoted]. */
function words(text: string): [string, boolean][] | null {
  const out: [string, boolean][] = [];
  for (const m of text.matchAll(/"((?:[^"\\]|\\[^])*)"|((?:[^\s"\\;()]|\\[^])+)|(;.*)|(")/g)) {
    if (m[4] !== undefined) return null;
    if (m[3] === undefined) out.push(m[1] !== undefined ? [m[1], true] : [m[2]!, false]);
  }
  return out;
}

/** Seconds of `3600` or `1h30m`. */
function ttlOf(text: string): number | null {
  if (!/^(\d+[smhdw]?)+$/i.test(text)) return null;
  const unit: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
  let sum = 0;
  for (const m of text.matchAll(/(\d+)([smhdw]?)/gi)) sum += Number(m[1]) * unit[(m[2] || 's').toLowerCase()]!;
  return sum > 0xffffffff ? null : sum;
}

/** Bytes of a character string. */
function stringBytes(text: string): number[] {
  const out: number[] = [];
  for (const m of text.matchAll(/\\(\d{3})|\\([^])|([^])/g)) {
    if (m[1] !== undefined) out.push(Number(m[1]) & 255);
    else out.push(...new TextEncoder().encode(m[2] ?? m[3]!));
  }
  return out;
}

type Args = [string, boolean][];
const number = (t: [string, boolean] | undefined, max: number): number | null =>
  t !== undefined && /^\d+$/.test(t[0]) && Number(t[0]) <= max ? Number(t[0]) : null;
const u16 = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255);

function name(t: [string, boolean] | undefined, compress: boolean): Part | null {
  if (t === undefined || t[1]) return null;
  const full = t[0] === '@' ? '.' : t[0].endsWith('.') ? t[0] : t[0] + '.';
  return validName(full) ? { name: full, compress } : null;
}
function address(t: [string, boolean] | undefined, length: number): Part[] | null {
  const b = t === undefined ? null : addressBytes(t[0]);
  return b !== null && b.length === length ? [b] : null;
}
function all(...parts: (Part | null)[]): Part[] | null {
  return parts.includes(null) ? null : (parts as Part[]);
}
const preferred = (a: Args): Part[] | null => {
  const n = number(a[0], 65535);
  return all(n === null ? null : u16(n), name(a[1], true));
};
const strings = (a: Args): Part[] | null => {
  const list = a.map(([t]) => stringBytes(t));
  return list.length === 0 || list.some((b) => b.length > 255)
    ? null
    : [Uint8Array.from(list.flatMap((b) => [b.length, ...b]))];
};

/** Record data of the types that can be written. */
const DATA: Record<string, (a: Args) => Part[] | null> = {
  A: (a) => address(a[0], 4),
  AAAA: (a) => address(a[0], 16),
  NS: (a) => all(name(a[0], true)),
  CNAME: (a) => all(name(a[0], true)),
  PTR: (a) => all(name(a[0], true)),
  MX: preferred,
  TXT: strings,
  HINFO: (a) => (a.length === 2 ? strings(a) : null),
  SRV(a) {
    const n = [0, 1, 2].map((i) => number(a[i], 65535));
    if (n.includes(null)) return null;
    return all(Uint8Array.from((n as number[]).flatMap((x) => [x >> 8, x & 255])), name(a[3], false));
  },
  SOA(a) {
    const n = [2, 3, 4, 5, 6].map((i) =>
      a[i] === undefined ? null : i === 2 ? number(a[i], 0xffffffff) : ttlOf(a[i]![0]),
    );
    if (n.includes(null)) return null;
    const bytes = (n as number[]).flatMap((x) => [x >>> 24, (x >>> 16) & 255, (x >>> 8) & 255, x & 255]);
    return all(name(a[0], true), name(a[1], true), Uint8Array.from(bytes));
  },
};

/** A record of one line; null if it is none, or of a type that is not known here. */
export function parseRr(line: string): Rr | null {
  const list = words(line);
  if (list === null || list.length < 2) return null;
  const owner = name(list[0]!, true);
  if (owner === null || owner instanceof Uint8Array) return null;
  let cls = 1;
  let ttl = DEFAULT_TTL;
  for (let i = 1; i < list.length; i++) {
    const word = list[i]![0].toUpperCase();
    const seconds = ttlOf(word);
    if (Object.hasOwn(DATA, word)) {
      const data = DATA[word]!(list.slice(i + 1));
      return data === null ? null : { name: owner.name, type: TYPE[word as keyof typeof TYPE], cls, ttl, data };
    }
    if (Object.hasOwn(CLASS, word)) cls = CLASS[word]!;
    else if (seconds !== null) ttl = seconds;
    else return null;
  }
  return null;
}
