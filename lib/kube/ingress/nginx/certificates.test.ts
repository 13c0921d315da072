/** Which certificate ingress-nginx shows for a server name. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { randomFrom } from '../../../apps/tls/random.js';
import type { Credentials } from '../../../apps/tls/types.js';
import { defaultCertificate, issue, makeAuthority } from '../../../apps/x509/authority.js';
import { CN, readCertificate } from '../../../apps/x509/certificate.js';
import * as der from '../../../apps/x509/der.js';
import { writePem } from '../../../apps/x509/pem.js';
import { Rng } from '../../../sim/rng.js';
import { loadManifests } from '../../api/manifest.js';
import { nginxCertificates } from './certificates.js';

const random = randomFrom(new Rng(1, 'nginx'));
const ca = makeAuthority(random, [[CN, 'CA']], { notBefore: 0 });
const fake = defaultCertificate('ingress-nginx', random, 0);

/** A Secret with a fresh certificate for these names. */
function secret(name: string, dnsNames: string[]): string {
  const drawn: Uint8Array[] = [];
  const kept = (n: number): Uint8Array => {
    const b = random(n);
    drawn.push(b);
    return b;
  };
  const c = issue(ca, kept, { dnsNames, notBefore: 0, subject: [[CN, name]] });
  const key = der.sequence(der.small(1), der.octets(drawn[0]!), der.element(0xa0, der.oid('1.2.840.10045.3.1.7')));
  const text = (s: string): string => JSON.stringify(s);
  return `---\napiVersion: v1\nkind: Secret\nmetadata: { name: ${name} }\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: ${text(writePem('CERTIFICATE', c.chain[0]!))}\n  tls.key: ${text(writePem('EC PRIVATE KEY', key))}\n`;
}

const path = '{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }';
const ingress = (name: string, hosts: string[], tls: string): string =>
  `---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: ${name} }\nspec:\n  ingressClassName: nginx\n  tls: ${tls}\n  rules:\n${hosts.map((h) => `  - { host: "${h}", http: { paths: [ ${path} ] } }\n`).join('')}`;

const OBJECTS = [
  '---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: { name: nginx }\nspec: { controller: k8s.io/ingress-nginx }\n',
  secret('a', ['a.example.com']),
  secret('wild', ['*.example.com']),
  secret('b', ['b.example.com']),
  ingress('one', ['a.example.com', '*.example.com'], '[ { hosts: [ a.example.com ], secretName: a }, { hosts: [ "*.example.com" ], secretName: wild } ]'),
  ingress('two', ['b.example.com', 'c.example.com', 'd.example.org'], '[ { secretName: b }, { hosts: [ c.example.com ], secretName: a }, { hosts: [ d.example.org ], secretName: gone } ]'),
].join(''); // prettier-ignore

const Certificates = suite('lib/kube/ingress/nginx/certificates');
Certificates('the host’s own, its wildcard’s, or the fake one', () => {
  const warned: string[] = [];
  const choose = nginxCertificates(loadManifests(OBJECTS, 'x.yaml'), fake, (t) => void warned.push(t));
  const name = (c: Credentials): string => (c === fake ? 'fake' : readCertificate(c.chain[0]!)!.commonName);
  for (const [sni, expected] of [
    ['a.example.com', 'a'], ['a.example.com.', 'a'], ['x.example.com', 'wild'], ['x.y.example.com', 'fake'],
    ['example.com', 'fake'], [null, 'fake'], ['other', 'fake'],
    // Found by its names; a Secret for other hosts; one that is not there.
    ['b.example.com', 'b'], ['c.example.com', 'fake'], ['d.example.org', 'fake'],
  ] as const) assert.is(name(choose(sni)), expected, String(sni)); // prettier-ignore
  assert.equal(warned, [
    'host c.example.com: Secret default/a is for other hosts: the default certificate serves it',
    'host d.example.org: Secret default/gone does not exist or holds no certificate: the default certificate serves it',
  ]);
});
Certificates.run();
