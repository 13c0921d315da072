/** Certificates and keys as Secrets of type kubernetes.io/tls and files hold them. @module */
import { equalBytes } from '../../../wire/bytes.js';
import type { Credentials } from '../tls/types.js';
import { type Certificate, readCertificate } from './certificate.js';
import { readPem } from './pem.js';
import { readPrivateKey } from './private-key.js';

/**
 * The credentials of `tls.crt` (a chain, leaf first) and `tls.key` (EC P-256 in SEC 1 or PKCS #8, Ed25519, RSA), or, in words,
 * why they are none.
 */
export function credentialsFromPem(crt: string, key: string): Credentials | string {
  const chain = readPem(crt).flatMap((b) => (b.label === 'CERTIFICATE' ? [b.der] : []));
  if (chain.length === 0) return 'found no CERTIFICATE in PEM';
  const leaf = readCertificate(chain[0]!);
  if (leaf === null) return 'the first certificate is not X.509 in DER';
  const blocks = readPem(key).filter((b) => b.label.endsWith('PRIVATE KEY'));
  if (blocks.length === 0) return 'found no PRIVATE KEY in PEM';
  const k = readPrivateKey(blocks[0]!.label, blocks[0]!.der);
  if (k === null) return 'the private key is none of EC P-256, Ed25519 and RSA (up to 4096 bits), unencrypted';
  if (!equalBytes(leaf.spki, k.spki)) return "the private key is not the certificate's";
  return { chain, key: k };
}

/** The certificates of a PEM bundle (curl --cacert); those that cannot be read are left out. */
export const certificatesFromPem = (text: string): Certificate[] =>
  readPem(text).flatMap((b) => (/^(X509 |TRUSTED )?CERTIFICATE$/.test(b.label) ? (readCertificate(b.der) ?? []) : []));
