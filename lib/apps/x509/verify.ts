/**
 * Verification of a certificate chain (RFC 5280 6) and of names (RFC 6125), with OpenSSL's codes, words and alerts.
 * Not here: revocation, name constraints, policies.
 * @module
 */
import * as tls from '../../../wire/tls.js';
import { equalBytes } from '../../../wire/bytes.js';
import {
  type Certificate,
  CLIENT_AUTH,
  DIGITAL_SIGNATURE,
  KEY_AGREEMENT,
  KEY_CERT_SIGN,
  KEY_ENCIPHERMENT,
  readCertificate,
  SERVER_AUTH,
} from './certificate.js';
import { verifySignature } from './public-key.js';

/** Why a chain does not hold. */
export interface ChainError {
  /** X509_V_ERR_*. */
  code: number;
  /** OpenSSL 3's words for it. */
  reason: string;
  /** The alert OpenSSL sends. */
  alert: number;
}

const error = (code: number, reason: string, alert: number): ChainError => ({ code, reason, alert });
const MALFORMED = error(1, 'unspecified certificate verification error', tls.CERTIFICATE_UNKNOWN);
const BAD_SIGNATURE = error(7, 'certificate signature failure', tls.DECRYPT_ERROR);
const NOT_YET = error(9, 'certificate is not yet valid', tls.BAD_CERTIFICATE);
const EXPIRED = error(10, 'certificate has expired', tls.CERTIFICATE_EXPIRED);
const SELF_SIGNED = error(18, 'self-signed certificate', tls.UNKNOWN_CA);
const SELF_SIGNED_IN_CHAIN = error(19, 'self-signed certificate in certificate chain', tls.UNKNOWN_CA);
const NO_ISSUER = error(20, 'unable to get local issuer certificate', tls.UNKNOWN_CA);
const TOO_LONG = error(22, 'certificate chain too long', tls.UNKNOWN_CA);
const NO_CA = error(79, 'invalid CA certificate', tls.UNKNOWN_CA);
const PURPOSE = error(26, 'unsuitable certificate purpose', tls.UNSUPPORTED_CERTIFICATE);
const PATH_LENGTH = error(25, 'path length constraint exceeded', tls.UNKNOWN_CA);
const UNHANDLED = error(34, 'unhandled critical extension', tls.CERTIFICATE_UNKNOWN);

/** Certificates between a leaf and its root that anyone sends. */
const MAX_DEPTH = 10;

export interface VerifyOptions {
  roots: readonly Certificate[];
  /** Seconds since 1970. */
  now: number;
  usage: 'server' | 'client';
}

/** Judges a chain, leaf first; null: it leads to a root. */
export function verifyChain(chain: readonly Uint8Array[], o: VerifyOptions): ChainError | null {
  const sent = chain.slice(0, MAX_DEPTH).map(readCertificate);
  const leaf = sent[0] ?? null;
  if (leaf === null) return MALFORMED;
  const path = [leaf];
  for (;;) {
    const last = path.at(-1)!;
    if (o.roots.some((r) => equalBytes(r.raw, last.raw))) break;
    const issued = (c: Certificate | null): c is Certificate => c !== null && equalBytes(c.subject, last.issuer);
    const root = o.roots.find(issued);
    if (root !== undefined) {
      path.push(root);
      break;
    }
    if (equalBytes(last.subject, last.issuer)) return path.length === 1 ? SELF_SIGNED : SELF_SIGNED_IN_CHAIN;
    const next = sent.find((c) => issued(c) && !path.includes(c));
    if (next == null) return NO_ISSUER;
    path.push(next);
    if (path.length > MAX_DEPTH) return TOO_LONG;
  }
  return checkPath(path, o);
}

/** Bits of keyUsage of which a leaf must have one, if it has the extension (OpenSSL's check_purpose_ssl_server, _client). */
const LEAF_USAGE = {
  server: DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT,
  client: DIGITAL_SIGNATURE | KEY_AGREEMENT,
};

/** Whether a certificate is for this use; extKeyUsage of a CA limits what it issues. */
function serves(c: Certificate, usage: 'server' | 'client', isLeaf: boolean): boolean {
  const use = usage === 'server' ? SERVER_AUTH : CLIENT_AUTH;
  if (c.extKeyUsage !== null && !c.extKeyUsage.includes(use)) return false;
  return !isLeaf || c.keyUsage < 0 || (c.keyUsage & LEAF_USAGE[usage]) !== 0;
}

/** Leaf to root: signatures, times, whether each may do what it does. */
function checkPath(path: readonly Certificate[], o: VerifyOptions): ChainError | null {
  let between = 0;
  for (const [i, c] of path.entries()) {
    if (c.unknownCritical) return UNHANDLED;
    if (i > 0 && (c.ca !== true || (c.keyUsage >= 0 && (c.keyUsage & KEY_CERT_SIGN) === 0))) return NO_CA;
    if (!serves(c, o.usage, i === 0)) return PURPOSE;
    if (c.pathLen >= 0 && between > c.pathLen) return PATH_LENGTH;
    if (i > 0 && !equalBytes(c.subject, c.issuer)) between++;
  }
  for (let i = path.length - 1; i >= 0; i--) {
    const c = path[i]!;
    const issuer = path[i + 1] ?? null;
    // A root is trusted as it is.
    if (issuer !== null && (issuer.key === null || !verifySignature(issuer.key, c.scheme, c.tbs, c.signature))) {
      return BAD_SIGNATURE;
    }
    if (o.now < c.notBefore) return NOT_YET;
    if (o.now > c.notAfter) return EXPIRED;
  }
  return null;
}

/** Whether a pattern of a certificate covers a host name: `*.` stands for one label, and two more must follow (curl's hostcheck). */
export function nameMatches(pattern: string, host: string): boolean {
  const p = pattern.toLowerCase().replace(/\.$/, '');
  const h = host.toLowerCase().replace(/\.$/, '');
  if (!p.startsWith('*.')) return p === h;
  const rest = h.slice(h.indexOf('.'));
  return p.indexOf('.', 2) > 0 && h.indexOf('.') > 0 && rest === p.slice(1);
}

/** Whether a certificate is for a host name or an IPv4 address. */
export function coversHost(c: Certificate, host: string): boolean {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return c.addresses.includes(host);
  return c.dnsNames.some((n) => nameMatches(n, host));
}
