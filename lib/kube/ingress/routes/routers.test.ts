/** What the table of cases.test.ts has no column for: options, backends, conditions, VirtualServices, hostile targets. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../../sim/input-error.js';
import { loadManifests } from '../../api/manifest.js';
import type { Route, Router, RouteRequest } from '../types.js';
import { albRouter, glob } from './alb.js';
import { envoyPath } from './envoy-path.js';
import { goUrl, joinPath, normalizePath, requestUri, routingPath } from './go-url.js';
import { istioRouter } from './istio.js';
import { nginxEscape, nginxHost, nginxUri } from './nginx-uri.js';
import { nginxRouter } from './nginx.js';
import { traefikRouter } from './traefik.js';

/** Two Services: `web` has two ready Pods, one that is not, and one on its way out; `api` has a port by name. */
const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: NodePort, clusterIP: 10.96.0.10, selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080, nodePort: 30080 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ name: http, protocol: TCP, port: 8080 }]
endpoints:
- { addresses: [10.244.1.2], conditions: { ready: true, serving: true, terminating: false } }
- { addresses: [10.244.1.3], conditions: { ready: true, serving: true, terminating: false } }
- { addresses: [10.244.1.4], conditions: { ready: false, serving: false, terminating: false } }
- { addresses: [10.244.1.5], conditions: { ready: false, serving: true, terminating: true } }
---
apiVersion: v1
kind: Service
metadata: { name: api }
spec: { clusterIP: 10.96.0.11, selector: { app: api }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: api-1, labels: { kubernetes.io/service-name: api } }
addressType: IPv4
ports: [{ name: http, protocol: TCP, port: 8080 }]
endpoints: [{ addresses: [10.244.2.2], conditions: { ready: true, serving: true, terminating: false } }]
---
apiVersion: v1
kind: Node
metadata: { name: n1 }
spec: { podCIDR: 10.244.1.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.168.56.11 }], conditions: [{ type: Ready, status: 'True' }] }
`;

const CLASSES = [
  ['nginx', 'k8s.io/ingress-nginx'],
  ['traefik', 'traefik.io/ingress-controller'],
  ['alb', 'ingress.k8s.aws/alb'],
].map(([name, controller]) => `apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: { name: ${name} }\nspec: { controller: ${controller} }\n`).join('---\n'); // prettier-ignore

interface Given {
  name?: string;
  annotations?: Record<string, string>;
  /** `host type path service` */
  paths?: string[];
  spec?: object;
}

function ingress(className: string, g: Given): string {
  const rules = (g.paths ?? []).map((p) => {
    const [host = '', pathType, path, service = ''] = p.split(' ');
    const [name, port = '80'] = service.split(':');
    const at = /^\d+$/.test(port) ? { number: Number(port) } : { name: port };
    return { host, http: { paths: [{ path, pathType, backend: { service: { name, port: at } } }] } };
  });
  const spec = { ingressClassName: className, ...(rules.length === 0 ? {} : { rules }), ...g.spec };
  return JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: g.name ?? 'a', annotations: g.annotations ?? {} }, spec }); // prettier-ignore
}

const load = (className: string, ...list: Given[]) =>
  loadManifests([SERVICES, CLASSES, ...list.map((g) => ingress(className, g))].join('\n---\n'), 'r.yaml');

const get = (host: string, target: string, more: Partial<RouteRequest> = {}): RouteRequest => ({
  method: 'GET', target, fields: [['Host', host]], port: 80, tls: false, source: '203.0.113.50', ...more,
}); // prettier-ignore

const target = (r: Route): string => (r.kind === 'forward' ? `${r.backends[0]!.service} ${r.target}` : r.kind === 'redirect' ? r.location : r.kind === 'answer' ? String(r.status) : r.kind); // prettier-ignore
const addresses = (r: Router, route: Route): string[] =>
  route.kind === 'forward' ? r.upstreams(route.backends[0]!).map((u) => `${u.address}:${u.port}`) : [];

function refusal(build: () => unknown): string {
  try {
    build();
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'accepted';
}

const Routers = suite('lib/kube/ingress/routes/routers');

Routers('upstreams() gives the Pods that each controller takes', () => {
  const paths = ['h.example.com Prefix / web'];
  const of = (r: Router): string[] => addresses(r, r.decide(get('h.example.com', '/')));
  assert.equal(of(nginxRouter(load('nginx', { paths }))), ['10.244.1.2:8080', '10.244.1.3:8080']);
  assert.equal(of(traefikRouter(load('traefik', { paths }))), ['10.244.1.2:8080', '10.244.1.3:8080']);
  const ip = { 'alb.ingress.kubernetes.io/target-type': 'ip' };
  assert.equal(of(albRouter(load('alb', { paths, annotations: ip }))), ['10.244.1.2:8080', '10.244.1.3:8080']);
  assert.equal(of(albRouter(load('alb', { paths }))), ['192.168.56.11:30080']);
});

Routers('nginx: service-upstream is the Service itself; a port by name', () => {
  const annotations = { 'nginx.ingress.kubernetes.io/service-upstream': 'true' };
  const r = nginxRouter(load('nginx', { annotations, paths: ['h.example.com Prefix / web:http'] }));
  assert.equal(addresses(r, r.decide(get('h.example.com', '/'))), ['10.96.0.10:80']);
});

Routers('nginx: server-alias is another name of the server', () => {
  const annotations = { 'nginx.ingress.kubernetes.io/server-alias': 'www.example.com, old.example.com' };
  const r = nginxRouter(load('nginx', { annotations, paths: ['h.example.com Prefix / web'] }));
  assert.is(target(r.decide(get('www.example.com', '/x'))), 'web /x');
  assert.is(target(r.decide(get('else.example.com', '/x'))), 'default-backend');
});

Routers('nginx: what it would refuse is refused', () => {
  const build = (g: Given) => () => nginxRouter(load('nginx', g), { file: 'r.yaml' });
  const nginx = (name: string, v: string): Given => ({ annotations: { [`nginx.ingress.kubernetes.io/${name}`]: v }, paths: ['h.example.com Prefix / web'] }); // prettier-ignore
  assert.match(refusal(build(nginx('auth-url', 'http://x/'))), /auth-url: this annotation is not supported yet/);
  assert.match(refusal(build(nginx('ssl-redirect', 'maybe'))), /found "maybe", expected true or false/);
  assert.match(refusal(build(nginx('rewrite-target', '/$uri'))), /expected a path such as/);
  assert.match(refusal(build({ paths: ['h.example.com Prefix /a(b) web'] })), /path \/a\(b\) cannot be used with pathType Prefix/); // prettier-ignore
  assert.match(refusal(build({ paths: ['h.example.com Prefix /a web', 'h.example.com Prefix /a/ web'] })), /duplicate location "\/a\/"/); // prettier-ignore
  const regex = { 'nginx.ingress.kubernetes.io/use-regex': 'true' };
  assert.match(refusal(build({ annotations: regex, paths: ['h.example.com ImplementationSpecific /a(?=b) web'] })), /is no regular expression that podwire knows/); // prettier-ignore
});

Routers('traefik: strictPrefixMatching compares elements', () => {
  const r = traefikRouter(load('traefik', { paths: ['h.example.com Prefix /foo/ web'] }), { strictPrefixMatching: true }); // prettier-ignore
  assert.equal(['/foo', '/foo/x', '/foobar'].map((p) => target(r.decide(get('h.example.com', p)))), ['web /foo', 'web /foo/x', '404']); // prettier-ignore
  const route = r.decide(get('h.example.com', '/foo'));
  assert.is(route.kind === 'forward' && route.rule, 'Host("h.example.com") && (Path("/foo") || PathPrefix("/foo/"))');
});

Routers('traefik: entry points and TLS of routers', () => {
  const only = (v: string): Given => ({ annotations: { 'traefik.ingress.kubernetes.io/router.entrypoints': v }, paths: ['h.example.com Prefix / web'] }); // prettier-ignore
  const both = (g: Given): string[] => {
    const r = traefikRouter(load('traefik', g));
    return [target(r.decide(get('h.example.com', '/'))), target(r.decide(get('h.example.com', '/', { tls: true, port: 443 })))]; // prettier-ignore
  };
  assert.equal(both(only('web')), ['web /', '404']);
  assert.equal(both(only('websecure')), ['404', 'web /']);
  assert.equal(both({ annotations: { 'traefik.ingress.kubernetes.io/router.tls': 'true' }, paths: ['h.example.com Prefix / web'] }), ['404', 'web /']); // prettier-ignore
});

Routers('alb: conditions of every field', () => {
  const given = (condition: object): Given => ({
    annotations: { 'alb.ingress.kubernetes.io/conditions.web': JSON.stringify([condition]) },
    paths: ['h.example.com Prefix / web'],
  });
  const hit = (condition: object, more: Partial<RouteRequest>, path = '/'): boolean =>
    albRouter(load('alb', given(condition))).decide(get('h.example.com', path, more)).kind === 'forward';
  const header = { field: 'http-header', httpHeaderConfig: { httpHeaderName: 'X-Beta', values: ['v*'] } };
  assert.ok(hit(header, { fields: [['host', 'h.example.com'], ['x-beta', 'V2']] })); // prettier-ignore
  assert.not.ok(hit(header, {}));
  const method = { field: 'http-request-method', httpRequestMethodConfig: { Values: ['HEAD'] } };
  assert.ok(hit(method, { method: 'HEAD' }));
  assert.not.ok(hit(method, {}));
  const source = { field: 'source-ip', sourceIpConfig: { values: ['203.0.113.0/24'] } };
  assert.ok(hit(source, {}));
  assert.not.ok(hit(source, { source: '198.51.100.1' }));
  const query = { field: 'query-string', queryStringConfig: { values: [{ value: 'x' }] } };
  assert.ok(hit(query, {}, '/?any=X'));
  assert.not.ok(hit(query, {}, '/?x=any'));
});

Routers('alb: weighted target groups, a redirect that would match itself, rules behind a redirect', () => {
  const action = { type: 'forward', forwardConfig: { targetGroups: [{ serviceName: 'web', servicePort: '80', weight: 3 }, { serviceName: 'web', servicePort: 'http', weight: 1 }] } }; // prettier-ignore
  const split = albRouter(load('alb', { annotations: { 'alb.ingress.kubernetes.io/actions.split': JSON.stringify(action) }, paths: ['h.example.com Prefix / split:use-annotation'] })); // prettier-ignore
  const route = split.decide(get('h.example.com', '/'));
  assert.equal(route.kind === 'forward' && route.backends.map((b) => b.weight), [3, 1]);
  const away = { type: 'redirect', redirectConfig: { protocol: 'HTTPS', port: '443', statusCode: 'HTTP_301' } };
  const r = albRouter(load('alb', {
    annotations: { 'alb.ingress.kubernetes.io/actions.away': JSON.stringify(away), 'alb.ingress.kubernetes.io/listen-ports': '[{"HTTP":80},{"HTTPS":443}]' },
    paths: ['h.example.com Prefix / away:use-annotation', 'h.example.com Prefix /a web'],
  })); // prettier-ignore
  assert.is(target(r.decide(get('h.example.com', '/a'))), 'https://h.example.com:443/a');
  assert.is(target(r.decide(get('h.example.com', '/a', { tls: true, port: 443 }))), 'web /a');
  assert.equal(r.listeners.map((l) => l.rules.length), [1, 1]); // prettier-ignore
});

Routers('alb: what the controller refuses is refused', () => {
  const build =
    (...list: Given[]) =>
    () =>
      albRouter(load('alb', ...list), { file: 'r.yaml' });
  const paths = ['h.example.com Prefix / web'];
  assert.match(refusal(build({ paths, name: 'a' }, { paths, name: 'b' })), /found the load balancers default\/a, default\/b, expected one/); // prettier-ignore
  assert.match(refusal(build({ paths: ['h.example.com Prefix /a* web'] })), /prefix path shouldn't contain wildcards: \/a\*/); // prettier-ignore
  assert.match(refusal(build({ paths: ['h.example.com Prefix / api'] })), /your service be must of type 'NodePort' or 'LoadBalancer'/); // prettier-ignore
  assert.match(refusal(build({ paths, annotations: { 'alb.ingress.kubernetes.io/wafv2-acl-arn': 'x' } })), /wafv2-acl-arn: this annotation is not supported yet/); // prettier-ignore
  const odd = { 'alb.ingress.kubernetes.io/actions.odd': '{"type":"redirect","redirectConfig":{"statusCode":"constructor"}}' }; // prettier-ignore
  assert.match(refusal(build({ paths: ['h.example.com Prefix / odd:use-annotation'], annotations: odd })), /found the statusCode "constructor", expected HTTP_301 or HTTP_302/); // prettier-ignore
  assert.match(refusal(build({ paths, annotations: { 'alb.ingress.kubernetes.io/ssl-redirect': '443' } })), /listener does not exist for SSLRedirect port: 443/); // prettier-ignore
});

const virtual = (http: object[], hosts = ['h.example.com']): string =>
  [
    SERVICES,
    `apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: { name: gw }\nspec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }] }`,
    JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'vs' }, spec: { hosts, gateways: ['gw'], http } }),
  ].join('\n---\n'); // prettier-ignore

Routers('istio: matches by header, method and query; rewrites; weights; redirects', () => {
  const to = (host: string, weight?: number): object => ({ destination: { host, port: { number: 80 } }, ...(weight === undefined ? {} : { weight }) }); // prettier-ignore
  const r = istioRouter(loadManifests(virtual([
    { match: [{ uri: { prefix: '/old' } }], rewrite: { uri: '/new', authority: 'in.example' }, route: [to('web')] },
    { match: [{ uri: { exact: '/go' } }], redirect: { scheme: 'https', uri: '/there', redirectCode: 308 } },
    { match: [{ uri: { exact: '/say' } }], directResponse: { status: 418, body: { string: 'tea' } } },
    { match: [{ headers: { 'x-user': { regex: 'a+' } } }, { method: { exact: 'PUT' } }, { queryParams: { beta: { exact: '1' } } }], route: [to('api')] },
    { match: [{ uri: { prefix: '/gone' } }], route: [to('nobody')] },
    { route: [to('web', 1), to('api', 3)] },
  ]), 'r.yaml')); // prettier-ignore
  const old = r.decide(get('h.example.com', '/old/x?q'));
  assert.equal(old.kind === 'forward' && [old.target, old.istio!.originalPath, old.istio!.authority, old.rule], ['/new/x?q', '/old/x?q', 'in.example', 'web.default.svc.cluster.local:80/old*']); // prettier-ignore
  assert.is(target(r.decide(get('h.example.com:80', '/go?x'))), 'https://h.example.com/there?x');
  assert.is(target(r.decide(get('h.example.com', '/say'))), '418');
  assert.is(target(r.decide(get('h.example.com', '/', { fields: [['Host', 'h.example.com'], ['X-User', 'aa']] }))), 'api /'); // prettier-ignore
  assert.is(target(r.decide(get('h.example.com', '/', { fields: [['Host', 'h.example.com'], ['X-User', 'aab']] }))), 'web /'); // prettier-ignore
  assert.is(target(r.decide(get('h.example.com', '/', { method: 'PUT' }))), 'api /');
  assert.is(target(r.decide(get('h.example.com', '/?beta=1'))), 'api /?beta=1');
  assert.is(target(r.decide(get('h.example.com', '/gone'))), '503');
  const all = r.decide(get('h.example.com', '/x'));
  assert.equal(all.kind === 'forward' && all.backends.map((b) => [b.service, b.weight]), [['web', 1], ['api', 3]]); // prettier-ignore
});

Routers('istio: httpsRedirect sends plain requests away, TLS goes by the server name', () => {
  const text = `${virtual([{ route: [{ destination: { host: 'web' } }] }], ['*.example.com'])}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: both }
spec:
  selector: { istio: ingressgateway }
  servers:
  - { port: { number: 80, name: http, protocol: HTTP }, hosts: [a.example.com], tls: { httpsRedirect: true } }
  - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [a.example.com], tls: { mode: SIMPLE, credentialName: a } }
---
${virtual([]).split('---').at(-1)!.replace('"name":"vs"', '"name":"tls"').replace('"gw"', '"both"').replace('"http":[]', '"http":[{"route":[{"destination":{"host":"api"}}]}]').replace('h.example.com', 'a.example.com')}`; // prettier-ignore
  const r = istioRouter(loadManifests(text, 'r.yaml'));
  assert.is(target(r.decide(get('a.example.com', '/x?y'))), 'https://a.example.com/x?y');
  assert.is(target(r.decide(get('b.example.com', '/x'))), 'web /x');
  assert.is(target(r.decide(get('a.example.com', '/x', { tls: true, port: 443, sni: 'a.example.com' }))), 'api /x');
  assert.is(target(r.decide(get('a.example.com', '/x', { tls: true, port: 443, sni: 'b.example.com' }))), '404');
});

Routers('glob() knows * and ?', () => {
  const cases: [string, string, boolean][] = [['*', '', true], ['a*b', 'a/x/b', true], ['a?b', 'ab', false], ['a?b', 'axb', true], ['*.a', 'x.y.a', true], ['a', 'A', false], ['a**b', 'ab', true], ['*a*b', 'xaxbx', false]]; // prettier-ignore
  for (const [p, t, expected] of cases) assert.is(glob(p, t), expected, `${p} ${t}`);
});

Routers('goUrl() keeps, cleans and writes paths as Go and Traefik do', () => {
  // Seen: net/url of Go 1.26 with Traefik's three handlers.
  const cases: [string, string][] = [['/a/../b//c%2Fd/?x=1', '/b/c%2Fd/?x=1'], ['/%7euser/%2f', '/~user/%2F'], ['/a%20b', '/a%20b'], ['/a{b}', '/a%7Bb%7D'], ['/a/.', '/a'], ['/..', '/'], ['/a?', '/a?']]; // prettier-ignore
  for (const [from, to] of cases) assert.is(requestUri(joinPath(normalizePath(goUrl(from)!))), to, from);
  assert.is(routingPath(goUrl('/foo%20bar%2Fx')!), '/foo bar%2Fx');
  assert.is(goUrl('/%zz'), null);
  assert.is(goUrl('nothing'), null);
});

Routers('nginxHost() refuses what nginx refuses', () => {
  const cases: [string, string | null][] = [['A.b:80', 'a.b'], ['a.b.', 'a.b'], ['a..b', null], ['', null], ['a/b', null], ['[::1]:80', '[::1]'], ['a b', null]]; // prettier-ignore
  for (const [v, expected] of cases) assert.is(nginxHost(v), expected, v);
});

/** Characters that parsers of targets stumble over. */
const hostile = fc.array(fc.constantFrom('/', '.', '..', '%', '%2', '%2e', '%2F', '%00', '?', '#', '\\', '\x7f', '\xff', 'a', ';', '*', '//', 'http://', ':', '@', '['), { maxLength: 30 }).map((p) => p.join('')); // prettier-ignore

Routers('any target has an answer, and what goes on is a request line', () => {
  const annotations = { 'nginx.ingress.kubernetes.io/rewrite-target': '/$1' };
  const all = [
    nginxRouter(load('nginx', { paths: ['h.example.com Prefix / web'] })),
    nginxRouter(load('nginx', { annotations, paths: ['h.example.com ImplementationSpecific /(.*) web'] })),
    traefikRouter(load('traefik', { paths: ['h.example.com Prefix / web'] })),
    albRouter(load('alb', { paths: ['h.example.com Prefix / web'] })),
    istioRouter(loadManifests(virtual([{ route: [{ destination: { host: 'web' } }] }]), 'r.yaml')),
  ];
  fc.assert(
    fc.property(hostile, fc.boolean(), (text, rooted) => {
      for (const [i, r] of all.entries()) {
        const route = r.decide(get('h.example.com', rooted ? `/${text}` : text));
        // ALB passes the target on as it came, which the core has read as one word.
        if (route.kind === 'forward' && i !== 3) assert.match(route.target, /^\/[^ \n]*$/, `${i}: ${JSON.stringify(text)}`); // prettier-ignore
      }
    }),
    { numRuns: 2000, seed: 6 },
  );
});

Routers('a normal path stays as it is, in every reading', () => {
  const plain = fc.array(fc.stringMatching(/^[A-Za-z0-9_~-]{1,8}$/), { maxLength: 5 }).map((p) => `/${p.join('/')}`);
  fc.assert(
    fc.property(plain, (p) => {
      assert.is(nginxUri(p)!.path, p);
      assert.is(nginxEscape(p), p);
      assert.is(envoyPath(p)!.path, p);
      assert.is(requestUri(joinPath(normalizePath(goUrl(p)!))), p);
    }),
    { numRuns: 500, seed: 6 },
  );
});

Routers.run();
