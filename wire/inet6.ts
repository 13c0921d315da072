/**
 * IPv6 addresses between text and 16 bytes (RFC 4291 section 2.2, RFC 5952).
 * @module
 */
import { aton } from './inet.js';

/** 16 bytes of an IPv6 address, with an embedded dotted quad if it has one; `null` for anything else (zones included). */
export function aton6(text: string): Uint8Array | null {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const parts: number[][] = [];
  for (const [k, half] of halves.entries()) {
    const words: number[] = [];
    const list = half === '' ? [] : half.split(':');
    for (const [i, w] of list.entries()) {
      const v4 = k === halves.length - 1 && i === list.length - 1 && w.includes('.') ? aton(w) : null;
      if (v4 !== null) words.push(v4 >>> 16, v4 & 0xffff);
      else if (/^[0-9a-fA-F]{1,4}$/.test(w)) words.push(Number.parseInt(w, 16));
      else return null;
    }
    parts.push(words);
  }
  const [left, right] = [parts[0]!, parts[1] ?? []];
  const gap = 8 - left.length - right.length;
  if (halves.length === 1 ? gap !== 0 : gap < 1) return null;
  const out = new Uint8Array(16);
  [...left, ...new Array<number>(gap).fill(0), ...right].forEach((w, i) => {
    out[2 * i] = w >> 8;
    out[2 * i + 1] = w & 255;
  });
  return out;
}

/** Canonical text of 16 bytes: lower case, the first longest run of two or more zero words as `::`. */
export function ntoa6(b: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => (b[2 * i]! << 8) | b[2 * i + 1]!);
  if (words.slice(0, 5).every((w) => w === 0) && words[5] === 0xffff) return `::ffff:${b.slice(12).join('.')}`;
  let at = -1;
  let best = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && words[i + n] === 0) n++;
    if (n > best) [at, best] = [i, n];
  }
  const hex = words.map((w) => w.toString(16));
  return at < 0 ? hex.join(':') : `${hex.slice(0, at).join(':')}::${hex.slice(at + best).join(':')}`;
}

/** 4 or 16 bytes of an address of either family; `null` for anything else. */
export function addressBytes(text: string): Uint8Array | null {
  const a = aton(text);
  return a === null ? aton6(text) : Uint8Array.of(a >>> 24, (a >>> 16) & 255, (a >>> 8) & 255, a & 255);
}

/** Text of 4 or 16 bytes. */
export const addressText = (b: Uint8Array): string => (b.length === 4 ? b.join('.') : ntoa6(b));
