/** `podwire app ingress`: options that a controller would not follow are refused. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ingressArgs } from './args.js';

const read = (line: string) => ingressArgs(line.split(' '), ['ingress-nginx', 'alb', 'istio']);

const refused = (got: ReturnType<typeof read>, why: RegExp, what?: string): void =>
  assert.match(String(got), why, what);

const Args = suite('lib/kube/ingress/args');

Args('what a controller does not have is refused', () => {
  refused(read('--controller alb --https 443 --manifests a.yaml'), /^ingress: found --https, expected none/);
  assert.type(read('--controller alb --https 0 --manifests a.yaml'), 'object');
  refused(read('--controller ingress-nginx --group g --manifests a.yaml'), /^ingress: found --group g, expected none/);
  assert.type(read('--controller alb --group g --manifests a.yaml'), 'object');
});

Args('what a controller would not look at is refused', () => {
  for (const name of ['alb', 'istio']) {
    refused(read(`--controller ${name} --proxy-protocol on --manifests a.yaml`), /found --proxy-protocol on/, name);
    assert.type(read(`--controller ${name} --proxy-protocol off --manifests a.yaml`), 'object');
  }
  refused(read('--controller alb --http 8080 --manifests a.yaml'), /^ingress: found --http, expected none/);
  refused(read('--controller alb --namespace n --manifests a.yaml'), /^ingress: found --namespace, expected none/);
  assert.type(read('--controller istio --http 8080 --namespace n --manifests a.yaml'), 'object');
  assert.type(read('--controller ingress-nginx --proxy-protocol on --manifests a.yaml'), 'object');
});

Args('an unknown controller, option or port', () => {
  refused(read('--controller haproxy --manifests a.yaml'), /expected one of: ingress-nginx, alb, istio$/);
  for (const bad of ['--bogus 1', '--http 65536', '--proxy-protocol yes', '--listen x'])
    refused(read(`--controller alb --manifests a.yaml ${bad}`), /^ingress: found "/, bad);
});

Args.run();
