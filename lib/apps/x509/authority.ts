/**
 * Certificates that podwire makes: a test CA and its leaves, the default certificates of controllers, workload certificates of
 * Istio. Keys and serials come from a seeded source: the same seed, the same bytes.
 *
 * ingress-nginx's and Traefik's defaults are RSA 2048, as the real ones, but all podwires have the same key (test-key.ts). Leaves
 * are ECDSA P-256; the real Istio's are RSA 2048 unless a Pod asks for ECC.
 * @module
 */
import { sha1 } from '@noble/hashes/legacy.js';
import { hex } from '../../../wire/bytes.js';
import type { Credentials, RandomSource } from '../tls/types.js';
import * as x from './certificate.js';
import { newP256, type PrivateKey } from './private-key.js';
import { testRsaKey } from './test-key.js';

export const DAY = 86400;
export const YEAR = 365 * DAY;

export interface Authority {
  readonly certificate: Uint8Array;
  readonly key: PrivateKey;
  readonly name: x.Name;
  readonly keyId: Uint8Array;
}

/** Positive, 128 bits at most, as Go draws it. */
function serial(random: RandomSource): Uint8Array {
  return random(16);
}

/** The method that Go uses: SHA-1 of the public key's bits (RFC 5280 4.2.1.2). */
const keyIdOf = (key: PrivateKey): Uint8Array => sha1(key.spki.subarray(-65));

export interface Validity {
  /** Seconds since 1970. */
  notBefore: number;
  /** In seconds; a year if absent. */
  lifetime?: number;
}

/** A self-signed root with a P-256 key. */
export function makeAuthority(random: RandomSource, name: x.Name, v: Validity): Authority {
  const key = newP256(random);
  const keyId = keyIdOf(key);
  const template: x.Template = {
    serial: serial(random),
    subject: name,
    notBefore: v.notBefore,
    notAfter: v.notBefore + (v.lifetime ?? 10 * YEAR),
    keyUsage: x.KEY_CERT_SIGN | x.CRL_SIGN,
    ca: true,
    subjectKeyId: keyId,
  };
  return { certificate: x.writeCertificate(template, key.spki, name, key), key, name, keyId };
}

export interface Leaf extends Validity {
  subject?: x.Name;
  dnsNames?: readonly string[];
  addresses?: readonly Uint8Array[];
  uris?: readonly string[];
}

/** A leaf for servers and clients with a fresh P-256 key; its chain has no root in it. */
export function issue(authority: Authority, random: RandomSource, leaf: Leaf): Credentials {
  const key = newP256(random);
  const { subject = [], dnsNames = [], addresses = [], uris = [] } = leaf;
  const template: x.Template = {
    serial: serial(random),
    subject,
    notBefore: leaf.notBefore,
    notAfter: leaf.notBefore + (leaf.lifetime ?? YEAR),
    keyUsage: x.DIGITAL_SIGNATURE | x.KEY_ENCIPHERMENT,
    extKeyUsage: [x.SERVER_AUTH, x.CLIENT_AUTH],
    ca: false,
    authorityKeyId: authority.keyId,
    dnsNames,
    addresses,
    uris,
  };
  return { chain: [x.writeCertificate(template, key.spki, authority.name, authority.key)], key };
}

/** Istio's workload certificate: no subject, the SPIFFE identity as SAN (critical), a day. */
export const workload = (authority: Authority, random: RandomSource, spiffe: string, notBefore: number): Credentials =>
  issue(authority, random, { uris: [spiffe], notBefore, lifetime: DAY });

/** What a controller serves where no certificate fits; made when it starts. */
export function defaultCertificate(
  controller: 'ingress-nginx' | 'traefik',
  random: RandomSource,
  notBefore: number,
): Credentials {
  const key = testRsaKey();
  const nginx = controller === 'ingress-nginx';
  const subject: x.Name = nginx
    ? [
        [x.O, 'Acme Co'],
        [x.CN, 'Kubernetes Ingress Controller Fake Certificate'],
      ]
    : [[x.CN, 'TRAEFIK DEFAULT CERT']];
  const usage = x.KEY_ENCIPHERMENT | x.DIGITAL_SIGNATURE;
  const template: x.Template = {
    serial: serial(random),
    subject,
    notBefore,
    notAfter: notBefore + YEAR,
    keyUsage: nginx ? usage : usage | x.KEY_AGREEMENT | x.DATA_ENCIPHERMENT,
    ...(nginx ? { extKeyUsage: [x.SERVER_AUTH] } : {}),
    ca: false,
    dnsNames: [nginx ? 'ingress.local' : `${hex(random(16))}.${hex(random(16))}.traefik.default`],
  };
  return { chain: [x.writeCertificate(template, key.spki, subject, key)], key };
}
