/**
 * x-forwarded-client-cert: whom the peer's certificate names (mutateXfccRequestHeader under APPEND_FORWARD).
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { hex } from '../../../wire/bytes.js';
import type { TlsInfo } from '../../apps/l7/io.js';
import type { Field } from '../../apps/l7/message.js';
import { readCertificate } from '../../apps/x509/certificate.js';
import { identityOf, type Mesh } from './mesh.js';
import { set } from './envoy-headers.js';

const NAME = 'x-forwarded-client-cert';

/** Sets the field by the peer's certificate, behind what an earlier proxy has said; without one, it is taken away. */
export function clientCert(fields: Field[], tls: TlsInfo | null, mesh: Mesh, me: string): void {
  const leaf = tls?.peerCertificates[0];
  const before = fields.find(([n]) => n === NAME)?.[1];
  if (leaf === undefined) {
    const at = fields.findIndex(([n]) => n === NAME);
    if (at >= 0) fields.splice(at, 1);
    return;
  }
  const own = `By=${identityOf(mesh, me)};Hash=${hex(sha256(leaf))};Subject="";URI=${readCertificate(leaf)?.uris[0] ?? ''}`;
  set(fields, NAME, before === undefined ? own : `${before},${own}`);
}
