/**
 * Istio's PeerAuthentication: YAML to objects, validated as istiod does (pkg/config/validation, validatePeerAuthentication).
 * @module
 */
import type { At } from './at.js';
import { choice, failChild, invalid } from './field-error.js';
import { objectMeta } from './meta.js';
import { dnsSubdomain, labels } from './names.js';
import type { PeerAuthentication, PeerMtlsMode } from './types.js';

const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

const mode = (at: At | null): PeerMtlsMode => choice(at?.only('mode').opt('mode') ?? null, MODES, 'UNSET');

/** Reads a PeerAuthentication. Throws InputError. */
export function peerAuthentication(at: At): PeerAuthentication {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const metadata = objectMeta(at, true, dnsSubdomain);
  const spec = at.opt('spec')?.only('selector', 'mtls', 'portLevelMtls') ?? null;
  const selector = labels(spec?.opt('selector')?.only('matchLabels').opt('matchLabels') ?? null);
  const ports = spec?.opt('portLevelMtls') ?? null;
  const portLevelMtls: Record<string, PeerMtlsMode> = {};
  for (const e of ports?.entries() ?? []) {
    if (!/^[1-9]\d{0,4}$/.test(e.key) || Number(e.key) > 65535)
      invalid(e.keyAt, 'port must be in range 1..65535', e.key);
    portLevelMtls[e.key] = mode(e.at);
  }
  if (ports !== null && Object.keys(selector).length === 0)
    failChild(spec!, 'portLevelMtls', 'port level mtls requires a workload selector');
  return { kind: 'PeerAuthentication', metadata, spec: { selector, mtls: mode(spec?.opt('mtls') ?? null), portLevelMtls } }; // prettier-ignore
}
