/**
 * RSA signatures (RFC 8017): PKCS #1 v1.5 for certificates, PSS for TLS 1.3. Big integers as they are: fast enough for a
 * handshake, not constant in time; podwire guards no secrets.
 * @module
 */
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { equalBytes, hex, joined, unhex } from '../../../wire/bytes.js';

export interface RsaPublic {
  n: bigint;
  e: bigint;
  /** Length of the modulus in bytes. */
  size: number;
}

/** The parts of a private key, with those of the Chinese remainder theorem. */
export interface RsaPrivate extends RsaPublic {
  p: bigint;
  q: bigint;
  dp: bigint;
  dq: bigint;
  qinv: bigint;
}

export interface Hash {
  (b: Uint8Array): Uint8Array;
  outputLen: number;
}

/** The hash of a bit length that TLS and X.509 name. */
export const HASHES: Readonly<Record<256 | 384 | 512, Hash>> = { 256: sha256, 384: sha384, 512: sha512 };

/** DigestInfo before the hash (RFC 8017 9.2, note 1). */
const DIGEST_INFO: Readonly<Record<256 | 384 | 512, string>> = {
  256: '3031300d060960864801650304020105000420',
  384: '3041300d060960864801650304020205000430',
  512: '3051300d060960864801650304020305000440',
};

export const toBig = (b: Uint8Array): bigint => (b.length === 0 ? 0n : BigInt(`0x${hex(b)}`));

/** Big-endian bytes of `v`, `size` of them. */
export const fromBig = (v: bigint, size: number): Uint8Array => unhex(v.toString(16).padStart(2 * size, '0'));

/** base^exponent mod m. */
export function power(base: bigint, exponent: bigint, m: bigint): bigint {
  let r = 1n;
  let b = base % m;
  for (const bit of exponent.toString(2)) {
    r = (r * r) % m;
    if (bit === '1') r = (r * b) % m;
  }
  return r;
}

/** RSASP1 by the remainder theorem. */
function privately(k: RsaPrivate, m: bigint): bigint {
  const m1 = power(m, k.dp, k.p);
  const m2 = power(m, k.dq, k.q);
  const h = (((m1 - m2) % k.p) + k.p) * k.qinv;
  return m2 + (h % k.p) * k.q;
}

function mgf1(hash: Hash, seed: Uint8Array, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0; i * hash.outputLen < length; i++) {
    parts.push(hash(joined([seed, Uint8Array.of(i >>> 24, i >>> 16, i >>> 8, i)])));
  }
  return joined(parts).subarray(0, length);
}

function digestInfo(width: 256 | 384 | 512, message: Uint8Array): Uint8Array {
  return joined([unhex(DIGEST_INFO[width]), HASHES[width](message)]);
}

/** EMSA-PKCS1-v1_5; null: the key is too short. */
function pkcs1(width: 256 | 384 | 512, message: Uint8Array, size: number): Uint8Array | null {
  const t = digestInfo(width, message);
  if (size < t.length + 11) return null;
  return joined([Uint8Array.of(0, 1), new Uint8Array(size - t.length - 3).fill(0xff), Uint8Array.of(0), t]);
}

export function signPkcs1(k: RsaPrivate, width: 256 | 384 | 512, message: Uint8Array): Uint8Array {
  const em = pkcs1(width, message, k.size);
  if (em === null) throw new RangeError(`Cannot sign: an RSA key of ${k.size} bytes is too short`);
  return fromBig(privately(k, toBig(em)), k.size);
}

/** RSASSA-PSS with MGF1 over the same hash and a salt of its length; `emBits` is one less than the modulus has. */
export function signPss(k: RsaPrivate, width: 256 | 384 | 512, message: Uint8Array, salt: Uint8Array): Uint8Array {
  const hash = HASHES[width];
  const emBits = k.n.toString(2).length - 1;
  const emLen = Math.ceil(emBits / 8);
  const h = hash(joined([new Uint8Array(8), hash(message), salt]));
  const db = new Uint8Array(emLen - h.length - 1);
  db[db.length - salt.length - 1] = 1;
  db.set(salt, db.length - salt.length);
  const mask = mgf1(hash, h, db.length);
  for (let i = 0; i < db.length; i++) db[i]! ^= mask[i]!;
  db[0]! &= 0xff >> (8 * emLen - emBits);
  const em = joined([db, h, Uint8Array.of(0xbc)]);
  return fromBig(privately(k, toBig(em)), k.size);
}

/** RSAVP1; null: no number below the modulus, or of another length. */
function publicly(k: RsaPublic, signature: Uint8Array): bigint | null {
  const s = toBig(signature);
  return signature.length !== k.size || s >= k.n ? null : power(s, k.e, k.n);
}

export function verifyPkcs1(k: RsaPublic, width: 256 | 384 | 512, message: Uint8Array, signature: Uint8Array): boolean {
  const m = publicly(k, signature);
  const em = pkcs1(width, message, k.size);
  return m !== null && em !== null && m === toBig(em);
}

export function verifyPss(k: RsaPublic, width: 256 | 384 | 512, message: Uint8Array, signature: Uint8Array): boolean {
  const m = publicly(k, signature);
  const hash = HASHES[width];
  const emBits = k.n.toString(2).length - 1;
  const emLen = Math.ceil(emBits / 8);
  const saltLen = hash.outputLen;
  if (m === null || m >> BigInt(emBits) > 0n || emLen < 2 * saltLen + 2) return false;
  const em = fromBig(m, emLen);
  if (em[emLen - 1] !== 0xbc) return false;
  const h = em.subarray(emLen - 1 - saltLen, emLen - 1);
  const db = em.slice(0, emLen - 1 - saltLen);
  const mask = mgf1(hash, h, db.length);
  for (let i = 0; i < db.length; i++) db[i]! ^= mask[i]!;
  db[0]! &= 0xff >> (8 * emLen - emBits);
  const at = db.length - saltLen - 1;
  if (db[at] !== 1 || db.subarray(0, at).some((x) => x !== 0)) return false;
  return equalBytes(hash(joined([new Uint8Array(8), hash(message), db.subarray(at + 1)])), h);
}
