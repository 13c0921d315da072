/**
 * Private keys: ECDSA P-256 with RFC 6979's nonces, Ed25519, RSA. Read from SEC 1 (RFC 5915), PKCS #8 (RFC 5958) and PKCS #1.
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import * as tls from '../../../wire/tls.js';
import { DerReader, OCTET_STRING, SEQUENCE } from './der.js';
import { OID_EC, OID_ED25519, OID_P256, OID_RSA, spkiEc, spkiEd25519, spkiRsa } from './public-key.js';
import { type RsaPrivate, signPkcs1, signPss, toBig } from './rsa.js';

export interface PrivateKey {
  readonly kind: 'p256' | 'ed25519' | 'rsa';
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** SignatureScheme for CertificateVerify. */
  readonly scheme: number;
  /** Signs for CertificateVerify; RSA-PSS takes its 32 bytes of salt from `random`, the others are deterministic. */
  sign(message: Uint8Array, random: (n: number) => Uint8Array): Uint8Array;
  /** Signs a certificate: with ECDSA and Ed25519 the same, with RSA PKCS #1 v1.5. */
  signCertificate(message: Uint8Array): Uint8Array;
}

/** A P-256 key of 32 bytes; null: zero or not below the group's order. */
export function p256Key(secret: Uint8Array): PrivateKey | null {
  if (!p256.utils.isValidSecretKey(secret)) return null;
  const sign = (m: Uint8Array): Uint8Array => p256.sign(m, secret, { lowS: false, format: 'der' });
  const spki = spkiEc(p256.getPublicKey(secret, false));
  return { kind: 'p256', spki, scheme: tls.ECDSA_P256_SHA256, sign, signCertificate: sign };
}

/** An Ed25519 key of 32 bytes. */
export function ed25519Key(secret: Uint8Array): PrivateKey | null {
  if (secret.length !== 32) return null;
  const sign = (m: Uint8Array): Uint8Array => ed25519.sign(m, secret);
  const spki = spkiEd25519(ed25519.getPublicKey(secret));
  return { kind: 'ed25519', spki, scheme: tls.ED25519, sign, signCertificate: sign };
}

export function rsaKey(k: RsaPrivate): PrivateKey {
  return {
    kind: 'rsa',
    spki: spkiRsa(k),
    scheme: tls.RSA_PSS_SHA256,
    sign: (m, random) => signPss(k, 256, m, random(32)),
    signCertificate: (m) => signPkcs1(k, 256, m),
  };
}

/** A fresh P-256 key of a seeded source. */
export function newP256(random: (n: number) => Uint8Array): PrivateKey {
  for (;;) {
    const k = p256Key(random(32));
    if (k !== null) return k;
  }
}

/** ECPrivateKey (RFC 5915); the curve stands here or in PKCS #8 around it. */
function readSec1(der: Uint8Array): PrivateKey | null {
  const r = new DerReader(der).inside(SEQUENCE);
  if (r.small() !== 1) return null;
  const secret = r.take(OCTET_STRING);
  const parameters = r.tag === 0xa0 ? r.inside(0xa0).oid() : OID_P256;
  if (!r.ok || parameters !== OID_P256 || secret.length > 32) return null;
  const padded = new Uint8Array(32);
  padded.set(secret, 32 - secret.length);
  return p256Key(padded);
}

/** RSAPrivateKey (RFC 8017 A.1.2) of two primes. */
function readPkcs1(der: Uint8Array): PrivateKey | null {
  const r = new DerReader(der).inside(SEQUENCE);
  if (r.small() !== 0) return null;
  const parts = Array.from({ length: 8 }, () => r.unsigned());
  if (!r.done) return null;
  const [n, e, , p, q, dp, dq, qinv] = parts.map(toBig) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const size = parts[0]!.length;
  if (parts.some((b) => b.length > size)) return null;
  return size < 64 || size > 512 || p * q !== n ? null : rsaKey({ n, e, size, p, q, dp, dq, qinv });
}

function readPkcs8(der: Uint8Array): PrivateKey | null {
  const r = new DerReader(der).inside(SEQUENCE);
  const version = r.small();
  const algorithm = r.inside(SEQUENCE);
  const kind = algorithm.oid();
  const inner = r.take(OCTET_STRING);
  if (!r.ok || version > 1) return null;
  if (kind === OID_EC) return algorithm.oid() === OID_P256 ? readSec1(inner) : null;
  if (kind === OID_ED25519) return ed25519Key(new DerReader(inner).take(OCTET_STRING));
  return kind === OID_RSA ? readPkcs1(inner) : null;
}

/** The key in a PEM block of this label; null: none that podwire signs with. */
export function readPrivateKey(label: string, der: Uint8Array): PrivateKey | null {
  if (label === 'EC PRIVATE KEY') return readSec1(der);
  if (label === 'RSA PRIVATE KEY') return readPkcs1(der);
  return label === 'PRIVATE KEY' ? readPkcs8(der) : null;
}
