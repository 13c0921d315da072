/** Secrets of type kubernetes.io/tls, as ingress controllers use them. @module */
import type { Credentials } from '../../apps/tls/types.js';
import { credentialsFromPem } from '../../apps/x509/secret.js';
import { fromBase64 } from '../api/base64.js';
import { placeOf } from '../api/meta.js';
import type { Objects, Warn } from './types.js';

/** A Secret's values by key, in text. */
function dataOf(o: Objects[number]): Map<string, string> {
  const plain = placeOf(o)?.plain() as { data?: Record<string, unknown>; stringData?: Record<string, unknown> } | null;
  const data = Object.entries(plain?.data ?? {}).map(([k, v]): [string, string] => [k, new TextDecoder().decode(fromBase64(String(v)))]); // prettier-ignore
  const text = Object.entries(plain?.stringData ?? {}).map(([k, v]): [string, string] => [k, String(v)]);
  return new Map([...data, ...text]);
}

/** The credentials of every Secret that has `tls.crt` and `tls.key`, by `namespace/name`; what is wrong with one is warned of. */
export function tlsSecrets(objects: Objects, warn: Warn): Map<string, Credentials> {
  const all = new Map<string, Credentials>();
  for (const o of objects) {
    if (o.kind !== 'Secret') continue;
    const name = `${o.metadata.namespace}/${o.metadata.name}`;
    const data = dataOf(o);
    const [crt, key] = [data.get('tls.crt'), data.get('tls.key')];
    if (crt === undefined || key === undefined) continue;
    const c = credentialsFromPem(crt, key);
    if (typeof c === 'string') warn(`Secret ${name}: ${c}`);
    else all.set(name, c);
  }
  return all;
}
