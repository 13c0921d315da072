/**
 * How Felix names ipsets and groups of policies: hashes in URL-safe base64.
 * @module
 */
import { sha224 } from '@noble/hashes/sha2.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** RawURLEncoding: base64url without padding. */
export function base64url(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const v = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    for (let k = 0; k < Math.min(4, bytes.length - i + 1); k++) out += ALPHABET[(v >> (18 - 6 * k)) & 63];
  }
  return out;
}

/** MakeUniqueID of libcalico-go's lib/hash. */
export const uniqueId = (prefix: string, content: string): string =>
  `${prefix}:${base64url(sha224(new TextEncoder().encode(`${prefix}:${content}`)))}`;

/** The order of Go's strings: by the bytes of UTF-8, which is that of code points. */
export function byBytes(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  for (let i = 0; i < x.length && i < y.length; i++) {
    const d = x[i]!.codePointAt(0)! - y[i]!.codePointAt(0)!;
    if (d !== 0) return d;
  }
  return x.length - y.length;
}
