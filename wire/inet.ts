/**
 * Addresses between text and the forms the engine uses: IPv4 as int32, MAC as 6 bytes.
 *
 * These are the fast forms for frames and printing. Configuration text is validated with `ip-address` where it enters.
 * @module
 */

/** Dotted quad of an int32 address. */
export function ntoa(a: number): string {
  return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`;
}

/** int32 of a strict dotted quad (no leading zeros, four parts); `null` for anything else. */
export function aton(text: string): number | null {
  const m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (m === null) return null;
  let a = 0;
  for (let i = 1; i <= 4; i++) {
    const part = m[i]!;
    const n = Number(part);
    if (n > 255 || (part.length > 1 && part[0] === '0')) return null;
    a = (a << 8) | n;
  }
  return a;
}

/** Net mask of a prefix length 0..32 as int32. */
export const maskOf = (bits: number): number => (bits === 0 ? 0 : -1 << (32 - bits));

/** Prefix length of a contiguous mask, or -1. */
export function bitsOf(mask: number): number {
  const bits = Math.clz32(~mask);
  return maskOf(bits) === mask ? bits : -1;
}

/** Text of a MAC address at `o`, lower case with colons. */
export function macText(b: Uint8Array, o = 0): string {
  let s = '';
  for (let i = 0; i < 6; i++) s += (i === 0 ? '' : ':') + b[o + i]!.toString(16).padStart(2, '0');
  return s;
}

/** Six bytes of `aa:bb:cc:dd:ee:ff`; `null` for anything else. */
export function macBytes(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(text)) return null;
  return Uint8Array.from(text.split(':'), (x) => Number.parseInt(x, 16));
}

export const isMulticast = (a: number): boolean => (a & 0xf0000000) === (0xe0000000 | 0);
export const isLoopback = (a: number): boolean => (a & 0xff000000) === 0x7f000000;
export const BROADCAST = -1;
export const LOOPBACK = 0x7f000001;
