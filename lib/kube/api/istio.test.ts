import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import type { IstioGateway, VirtualService } from './istio-types.js';
import { loadManifests } from './manifest.js';

const GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: web }
spec:
  selector: { istio: ingressgateway }
  servers:
  - { port: { number: 80, name: http, protocol: HTTP }, hosts: ['*', 'web/Shop.example.com'], tls: { httpsRedirect: true } }
  - { port: { number: 443, name: https, protocol: HTTPS }, hosts: ['*.example.com'], tls: { mode: SIMPLE, credentialName: shop } }
`;

const SERVICE = `apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: { name: shop, namespace: web }
spec:
  hosts: [shop.example.com]
  gateways: [gw]
  http:
  - name: api
    match:
    - { uri: { prefix: /api }, headers: { x-user: { exact: me }, x-any: {} }, method: { regex: GET|HEAD } }
    rewrite: { uri: /v1, authority: api.internal }
    route:
    - { destination: { host: api, port: { number: 8080 } }, weight: 90 }
    - { destination: { host: api-new.web.svc.cluster.local }, weight: 10, headers: { response: { set: { x-new: 'yes' } } } }
    timeout: 5s
    retries: { attempts: 3, retryOn: 5xx }
  - redirect: { uri: /home, redirectCode: 302 }
`;

function refusal(text: string): string {
  try {
    loadManifests(text, 'm.yaml');
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'accepted';
}

const Istio = suite('lib/kube/api/istio');

Istio('istioGateway() reads servers, hosts in lower case', () => {
  const [g] = loadManifests(GATEWAY, 'm.yaml') as [IstioGateway];
  assert.is(g.kind, 'Gateway.networking.istio.io');
  assert.equal(g.spec.servers, [
    { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*', 'web/shop.example.com'], httpsRedirect: true, credentialName: '' },
    { port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['*.example.com'], httpsRedirect: false, credentialName: 'shop' },
  ]); // prettier-ignore
});

Istio('virtualService() reads matches, destinations, rewrites, retries and redirects', () => {
  const [v] = loadManifests(SERVICE, 'm.yaml') as [VirtualService];
  const [api, home] = v.spec.http;
  assert.equal(api!.match[0]!.headers, [
    ['x-user', { kind: 'exact', value: 'me' }],
    ['x-any', null],
  ]);
  assert.equal(api!.route.map((d) => [d.host, d.port, d.weight]), [
    ['api', 8080, 90],
    ['api-new.web.svc.cluster.local', 0, 10],
  ]); // prettier-ignore
  assert.equal(api!.route[1]!.response.set, [['x-new', 'yes']]);
  assert.equal(api!.rewrite, { uri: '/v1', authority: 'api.internal' });
  assert.is(api!.timeoutNs, 5e9);
  assert.equal(api!.retries, { attempts: 3, retryOn: '5xx' });
  assert.is(home!.redirect!.code, 302);
});

/** A change of the text, and what is said of it. */
const REFUSED: [text: string, from: string, to: string, message: string][] = [
  [GATEWAY, 'protocol: HTTP }', 'protocol: TCP }', 'm.yaml:7:49: spec.servers[0].port.protocol: found "TCP", expected HTTP or HTTPS (no other protocol is supported yet)'],
  [GATEWAY, "['*', 'web/Shop.example.com']", '[]', 'm.yaml:7:64: spec.servers[0].hosts: Required value: server config must contain at least one host'],
  [GATEWAY, 'name: https,', 'name: http,', 'm.yaml:8:34: spec.servers[1].port.name: port names in servers must be unique: duplicate name http'],
  [GATEWAY, 'mode: SIMPLE,', 'mode: MUTUAL,', 'm.yaml:8:99: spec.servers[1].tls.mode: expected SIMPLE (no other mode is supported yet)'],
  [GATEWAY, 'selector:', 'selektor:', 'm.yaml:5:3: spec: found unknown field "selektor", expected one of: servers, selector'],
  [SERVICE, 'timeout: 5s', 'timeout: soon', 'm.yaml:15:14: spec.http[0].timeout: found no duration, expected one like 5s or 500ms'],
  [SERVICE, 'prefix: /api', 'regex: "("', 'm.yaml:10:23: spec.http[0].match[0].uri.regex: error parsing regexp: missing closing ): `(`; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)'],
  [SERVICE, 'prefix: /api', 'regex: "\\\\Q/api"', 'm.yaml:10:23: spec.http[0].match[0].uri.regex: error parsing regexp: missing closing ): `^(?:\\Q/api)$`; Istio uses'],
  [SERVICE, 'prefix: /api', 'regex: "*"', 'm.yaml:10:23: spec.http[0].match[0].uri.regex: error parsing regexp: missing argument to repetition operator: `*`; Istio uses'],
  [SERVICE, 'attempts: 3', 'attempts: 3, perTryTimeout: 500ms', 'm.yaml:16:44: spec.http[0].retries.perTryTimeout: perTryTimeout is not supported yet'],
  [SERVICE, 'attempts: 3', 'attempts: 101', 'm.yaml:16:26: spec.http[0].retries.attempts: '],
  [SERVICE, 'timeout: 5s', 'fault: {}', 'm.yaml:15:12: spec.http[0].fault: fault is not supported yet'],
  [SERVICE, 'host: api,', 'host: api, subset: v1,', 'm.yaml:13:43: spec.http[0].route[0].destination.subset: subset is not supported yet'],
  [SERVICE, 'hosts: [shop.example.com]', 'hosts: []', 'm.yaml:5:10: spec.hosts: Required value: a VirtualService without hosts is a delegate, which is not supported yet'],
  [SERVICE, 'uri: /home, redirectCode: 302', 'redirectCode: 302', 'm.yaml:17:15: spec.http[1].redirect: redirect must specify URI, authority, scheme, or port'],
  [SERVICE, 'redirectCode: 302', 'redirectCode: 305', 'm.yaml:17:43: spec.http[1].redirect.redirectCode: Unsupported value: 305: supported values: "301", "302", "303", "307", "308"'],
  [SERVICE, 'networking.istio.io/v1beta1', 'networking.istio.io/v2', 'm.yaml:2:7: kind: no matches for kind "VirtualService" in version "networking.istio.io/v2"'],
]; // prettier-ignore

Istio('what Istio or podwire refuses is refused at its place', () => {
  for (const [text, from, to, message] of REFUSED) {
    const found = refusal(text.replace(from, to));
    assert.ok(found.startsWith(message), `${to}: ${found}`);
  }
});

Istio('a Gateway of the Gateway API is named as such', () => {
  const message = refusal(GATEWAY.replace('networking.istio.io/v1', 'gateway.networking.k8s.io/v1'));
  assert.ok(message.startsWith('m.yaml:2:7: kind: kind Gateway is not supported yet'), message);
});

Istio.run();
