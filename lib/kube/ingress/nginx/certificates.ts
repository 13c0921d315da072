/**
 * Which certificate ingress-nginx shows.
 *
 * Upstream: internal/ingress/controller/controller.go (extractTLSSecretName, createServers), rootfs/etc/nginx/lua/certificate.lua.
 * @module
 */
import type { Credentials } from '../../../apps/tls/types.js';
import { readCertificate } from '../../../apps/x509/certificate.js';
import { coversHost } from '../../../apps/x509/verify.js';
import type { Ingress } from '../../api/types.js';
import { DEFAULT_SERVER } from '../routes/nginx-config.js';
import { nginxModel } from '../routes/nginx.js';
import { tlsSecrets } from '../secrets.js';
import type { Objects, Warn } from '../types.js';

function covers(c: Credentials, host: string): boolean {
  const leaf = readCertificate(c.chain[0]!);
  // A wildcard host is covered by the same wildcard only.
  return leaf !== null && (leaf.dnsNames.includes(host) || coversHost(leaf, host));
}

/** The Secret for a host: of the entry that lists it, else any whose certificate covers it; '' for none. */
function secretFor(i: Ingress, host: string, secrets: ReadonlyMap<string, Credentials>): string {
  const key = (name: string): string => `${i.metadata.namespace}/${name}`;
  const listed = i.spec.tls.find((t) => t.hosts.includes(host));
  if (listed !== undefined) return listed.secretName === '' ? '' : key(listed.secretName);
  const any = i.spec.tls.find((t) => {
    const c = secrets.get(key(t.secretName));
    return c !== undefined && covers(c, host);
  });
  return any === undefined ? '' : key(any.secretName);
}

/**
 * The credentials for a server name (null: none was sent): the host's own, else its wildcard's, else `fallback`, which also serves
 * where a Secret is missing or is for other hosts.
 */
export function nginxCertificates(
  objects: Objects,
  fallback: Credentials,
  warn: Warn,
): (serverName: string | null) => Credentials {
  const secrets = tlsSecrets(objects, warn);
  const byHost = new Map<string, Credentials>();
  for (const { ingress } of nginxModel(objects).ingresses) {
    if (ingress.spec.tls.length === 0) continue;
    for (const { host } of ingress.spec.rules) {
      if (host === '' || byHost.has(host)) continue;
      const name = secretFor(ingress, host, secrets);
      const own = secrets.get(name);
      const fits = own !== undefined && covers(own, host);
      if (name !== '' && !fits) {
        const why = own === undefined ? 'does not exist or holds no certificate' : 'is for other hosts';
        warn(`host ${host}: Secret ${name} ${why}: the default certificate serves it`);
      }
      byHost.set(host, fits ? own : fallback);
    }
  }
  return (serverName) => {
    const name = (serverName ?? DEFAULT_SERVER).replace(/\.$/, '');
    return byHost.get(name) ?? byHost.get(name.replace(/^[^.]+\./, '*.')) ?? fallback;
  };
}
