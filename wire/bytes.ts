/**
 * The only loads and stores of network-order integers.
 *
 * Everything takes a plain `Uint8Array` and an absolute offset. IPv4 addresses and sequence numbers travel as
 * **int32** (`i32`): equality, `(x & mask) === net` and Map keys then work without boxing; print with `>>> 0`.
 * @module
 */
export const u16 = (b: Uint8Array, o: number): number => (b[o]! << 8) | b[o + 1]!;
export const u32 = (b: Uint8Array, o: number): number => i32(b, o) >>> 0;
export const i32 = (b: Uint8Array, o: number): number =>
  (b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!;

export function put16(b: Uint8Array, o: number, v: number): void {
  b[o] = v >> 8;
  b[o + 1] = v;
}

export function put32(b: Uint8Array, o: number, v: number): void {
  b[o] = v >> 24;
  b[o + 1] = v >> 16;
  b[o + 2] = v >> 8;
  b[o + 3] = v;
}

/** True when `n` bytes of `a` at `ao` equal those of `b` at `bo`. */
export function equalAt(a: Uint8Array, ao: number, b: Uint8Array, bo: number, n: number): boolean {
  for (let i = 0; i < n; i++) if (a[ao + i] !== b[bo + i]) return false;
  return true;
}

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && equalAt(a, 0, b, 0, a.length);

/** Several byte strings as one; a single one is itself, no copy. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  let n = 0;
  for (const p of parts) n += p.length;
  const out = new Uint8Array(n);
  n = 0;
  for (const p of parts) {
    out.set(p, n);
    n += p.length;
  }
  return out;
}

/** Bytes of latin-1 text. */
export function bytesOf(text: string): Uint8Array {
  const b = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) b[i] = text.charCodeAt(i);
  return b;
}

/** Latin-1 text of bytes, however many. */
export function textOf(b: Uint8Array, from = 0, to = b.length): string {
  let s = '';
  for (let i = from; i < to; i++) s += String.fromCharCode(b[i]!);
  return s;
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** Lower-case hexadecimal text of bytes `o` up to (not including) `end`. */
export function hex(b: Uint8Array, o = 0, end = b.length): string {
  let s = '';
  for (let i = o; i < end; i++) s += HEX[b[i]!];
  return s;
}

/** Bytes of hexadecimal text; blanks are skipped. Throws RangeError on anything else. */
export function unhex(text: string): Uint8Array {
  const s = text.replace(/\s+/g, '');
  if (s.length % 2 !== 0 || /[^0-9a-fA-F]/.test(s)) throw new RangeError(`Cannot read hex: "${text}"`);
  return Uint8Array.from({ length: s.length / 2 }, (_, i) => Number.parseInt(s.slice(2 * i, 2 * i + 2), 16));
}
