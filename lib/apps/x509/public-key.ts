/**
 * Public keys (SubjectPublicKeyInfo, RFC 5280 4.1.2.7) and what they verify: ECDSA on P-256 and P-384, Ed25519, RSA.
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256, p384 } from '@noble/curves/nist.js';
import * as tls from '../../../wire/tls.js';
import { bits, DerReader, nothing, oid, OID, SEQUENCE, sequence, unsigned } from './der.js';
import { fromBig, type RsaPublic, toBig, verifyPkcs1, verifyPss } from './rsa.js';

export const OID_EC = '1.2.840.10045.2.1';
export const OID_P256 = '1.2.840.10045.3.1.7';
export const OID_P384 = '1.3.132.0.34';
export const OID_RSA = '1.2.840.113549.1.1.1';
export const OID_ED25519 = '1.3.101.112';

export type PublicKey = { kind: 'p256' | 'p384' | 'ed25519'; point: Uint8Array } | { kind: 'rsa'; rsa: RsaPublic };

/** Longer keys would take seconds; their signatures do not verify. */
const MAX_RSA = 512;

/** Reads DER; null: no key of these kinds. */
export function readPublicKey(spki: Uint8Array): PublicKey | null {
  const r = new DerReader(spki).inside(SEQUENCE);
  const algorithm = r.inside(SEQUENCE);
  const kind = algorithm.oid();
  const curve = algorithm.tag === OID ? algorithm.oid() : '';
  const key = r.bits();
  if (!r.done || !algorithm.ok) return null;
  if (kind === OID_EC && curve === OID_P256) return { kind: 'p256', point: key };
  if (kind === OID_EC && curve === OID_P384) return { kind: 'p384', point: key };
  if (kind === OID_ED25519) return { kind: 'ed25519', point: key };
  return kind === OID_RSA ? readRsa(key) : null;
}

function readRsa(der: Uint8Array): PublicKey | null {
  const r = new DerReader(der).inside(SEQUENCE);
  const n = r.unsigned();
  const e = r.unsigned();
  if (!r.done || n.length < 64 || n.length > MAX_RSA || e.length > 4) return null;
  const rsa = { n: toBig(n), e: toBig(e), size: n.length };
  return rsa.n % 2n === 1n && rsa.e % 2n === 1n ? { kind: 'rsa', rsa } : null;
}

export const spkiEc = (point: Uint8Array): Uint8Array => sequence(sequence(oid(OID_EC), oid(OID_P256)), bits(point));
export const spkiEd25519 = (point: Uint8Array): Uint8Array => sequence(sequence(oid(OID_ED25519)), bits(point));
export const spkiRsa = (k: RsaPublic): Uint8Array =>
  sequence(sequence(oid(OID_RSA), nothing), bits(sequence(unsigned(fromBig(k.n, k.size)), unsigned(fromBig(k.e, 4)))));

/** Whether `signature` of `message` is `key`'s under a TLS SignatureScheme. Malformed keys and signatures are wrong ones. */
export function verifySignature(key: PublicKey, scheme: number, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.kind === 'rsa') return verifyRsa(key.rsa, scheme, message, signature);
  try {
    if (key.kind === 'p256' && scheme === tls.ECDSA_P256_SHA256) {
      return p256.verify(signature, message, key.point, { format: 'der', lowS: false });
    }
    if (key.kind === 'p384' && scheme === tls.ECDSA_P384_SHA384) {
      return p384.verify(signature, message, key.point, { format: 'der', lowS: false });
    }
    return key.kind === 'ed25519' && scheme === tls.ED25519 && ed25519.verify(signature, message, key.point);
  } catch {
    return false;
  }
}

function verifyRsa(k: RsaPublic, scheme: number, message: Uint8Array, signature: Uint8Array): boolean {
  switch (scheme) {
    case tls.RSA_PSS_SHA256:
      return verifyPss(k, 256, message, signature);
    case tls.RSA_PSS_SHA384:
      return verifyPss(k, 384, message, signature);
    case tls.RSA_PSS_SHA512:
      return verifyPss(k, 512, message, signature);
    case tls.RSA_PKCS1_SHA256:
      return verifyPkcs1(k, 256, message, signature);
    case tls.RSA_PKCS1_SHA384:
      return verifyPkcs1(k, 384, message, signature);
    case tls.RSA_PKCS1_SHA512:
      return verifyPkcs1(k, 512, message, signature);
    default:
      return false;
  }
}
