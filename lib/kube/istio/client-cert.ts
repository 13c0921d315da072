/**
 * x-forwarded-client-cert: whom the peer's certificate names (mutateXfccRequestHeader under APPEND_FORWARD).
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import type { TlsInfo } from '../../apps/l7/io.js';
import { type Field, textOf } from '../../apps/l7/message.js';
import { identityOf, type Mesh } from './mesh.js';
import { set } from './envoy-headers.js';

const NAME = 'x-forwarded-client-cert';
const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');

/** Sets the field by the peer's certificate, behind what an earlier proxy has said; without one, it is taken away. */
export function clientCert(fields: Field[], tls: TlsInfo | null, mesh: Mesh, me: string): void {
  const leaf = tls?.peerCertificates[0];
  const before = fields.find(([n]) => n === NAME)?.[1];
  if (leaf === undefined) {
    const at = fields.findIndex(([n]) => n === NAME);
    if (at >= 0) fields.splice(at, 1);
    return;
  }
  const own = `By=${identityOf(mesh, me)};Hash=${hex(sha256(leaf))};Subject="";URI=${sanUri(leaf)}`;
  set(fields, NAME, before === undefined ? own : `${before},${own}`);
}

/** OBJECT IDENTIFIER subjectAltName, then the OCTET STRING (or `critical` before it). */
const SAN_OID = [0x06, 0x03, 0x55, 0x1d, 0x11];
const URI_TAG = 0x86;

/** Where a DER element's content begins and ends; null where it does not fit. */
function element(b: Uint8Array, o: number): { tag: number; at: number; end: number } | null {
  const first = b[o + 1];
  if (first === undefined) return null;
  const n = first < 0x80 ? 0 : first & 0x7f;
  if (n > 3) return null;
  let len = first;
  if (n > 0) len = 0;
  for (let i = 0; i < n; i++) len = (len << 8) | (b[o + 2 + i] ?? 0);
  const at = o + 2 + n;
  return at + len > b.length ? null : { tag: b[o]!, at, end: at + len };
}

/** The first URI among a certificate's subjectAltNames; '' where it has none. */
export function sanUri(der: Uint8Array): string {
  for (let i = 0; i + SAN_OID.length < der.length; i++) {
    if (!SAN_OID.every((x, k) => der[i + k] === x)) continue;
    let e = element(der, i + SAN_OID.length);
    if (e?.tag === 0x01) e = element(der, e.end);
    const names = e?.tag === 0x04 ? element(der, e.at) : null;
    if (names?.tag !== 0x30) continue;
    for (let n = element(der, names.at); n !== null && n.end <= names.end; n = element(der, n.end)) {
      if (n.tag === URI_TAG) return textOf(der, n.at, n.end);
      if (n.end === names.end) break;
    }
  }
  return '';
}
