/**
 * 100,000 hostile manifests, Corefiles and scenarios: each is read, reconciled and compiled, or refused with a place; nothing
 * else ever happens. No single one may take longer than SLOW.
 *
 * fast-check prints the seed and the smallest counterexample when a run fails.
 */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../sim/input-error.js';
import { documents } from './api/at.js';
import { loadManifests } from './api/manifest.js';
import { parseCni } from './cni/config.js';
import { compile } from './compile.js';
import { reconcile } from './controllers.js';
import { KUBEADM_COREFILE, parseCorefile } from './coredns/corefile.js';
import { albRouter } from './ingress/routes/alb.js';
import { istioRouter } from './ingress/routes/istio.js';
import { nginxRouter } from './ingress/routes/nginx.js';
import { traefikRouter } from './ingress/routes/traefik.js';
import { parseScenario } from './scenario.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const container = { name: 'c', image: 'busybox', ports: [{ name: 'http', containerPort: 80, protocol: 'TCP' }] };
const BASE: Json = {
  kind: 'Scenario',
  metadata: { name: 't', description: 'd' },
  spec: {
    seed: 1,
    nodes: [
      { name: 'node1', address: '192.168.56.11/24', podCIDR: '10.0.1.0/24', labels: { a: 'b' } },
      { name: 'node2', address: '192.168.57.12/24', podCIDR: '10.0.2.0/24', addresses: ['192.168.57.13/24'] },
    ],
    networking: { podSubnet: '10.0.0.0/16', serviceSubnet: '10.96.0.0/12', dnsDomain: 'cluster.local' },
    cni: { plugin: 'bridge', ipMasq: true, mtu: 1400 },
    kubeProxy: { mode: 'iptables' },
    coredns: { replicas: 1 },
    hosts: [{ name: 'laptop', address: '203.0.113.10/24' }],
    objects: [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'prod' } },
      { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node1' }, spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', labels: { app: 'x' }, annotations: { 'podwire.dev/run': 'podwire app echo --udp 80' } }, spec: { nodeName: 'node1', containers: [container] }, status: { podIP: '10.0.1.9' } },
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace: 'prod' }, spec: { replicas: 2, selector: { matchLabels: { app: 'x' } }, template: { metadata: { labels: { app: 'x' } }, spec: { tolerations: [{ operator: 'Exists' }], containers: [container] } } } },
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 's', namespace: 'prod' }, spec: { type: 'NodePort', clusterIP: '10.96.0.50', selector: { app: 'x' }, ports: [{ port: 80, targetPort: 'http', nodePort: 30080 }] } },
      { apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 's2' }, subsets: [{ addresses: [{ ip: '10.9.9.9' }], ports: [{ port: 1 }] }] },
      { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: 'e', labels: { 'kubernetes.io/service-name': 's2' } }, addressType: 'IPv4', endpoints: [{ addresses: ['10.9.9.8'] }], ports: [{ port: 2 }] },
    ],
    steps: [
      { at: '0s', in: 'pod/p', run: 'ping -c 1 10.0.1.1', expect: { exit: 0, stdout: 'x' } },
      { at: '1s', run: 'kubectl get svc -A' },
    ],
    until: '5s',
  },
}; // prettier-ignore

const LEAVES: Json[] = [null, true, '', 'a', 'A_b', '-', 'a b', 'é\u0000', '../x', 'None', 'x'.repeat(300), '10.0.1.2', '10.0.0.0/8', '0.0.0.0/0', '255.255.255.255/32', '::1', 0, -1, 1, 80, 65536 * 3, 2 ** 31 - 1, 2 ** 53, 1e300, 0.5, [], {}, [null], { a: null }, '__proto__', 'constructor', '$(x)', "'", 'a | b', 'x &', 'EOF']; // prettier-ignore

interface Spot {
  parent: { [key: string]: Json } | Json[];
  key: string;
}
function spots(v: Json, out: Spot[] = []): Spot[] {
  if (v === null || typeof v !== 'object') return out;
  for (const key of Object.keys(v)) {
    out.push({ parent: v, key });
    spots((v as Record<string, Json>)[key]!, out);
  }
  return out;
}

/** One change: a value replaced, a field dropped, doubled or renamed, a list made long. */
function mutate(root: Json, [where, how, what]: [number, number, number]): void {
  const all = spots(root);
  if (all.length === 0) return;
  const { parent, key } = all[where % all.length]!;
  const map = parent as Record<string, Json>;
  const leaf = structuredClone(LEAVES[what % LEAVES.length]!);
  if (how < 5) map[key] = leaf;
  else if (how === 5) {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
  } else if (how === 6) {
    if (Array.isArray(parent)) parent.push(structuredClone(map[key]!));
    else map[String(leaf)] = structuredClone(map[key]!);
  } else if (Array.isArray(map[key])) for (let i = 0; i < 20; i++) map[key].push(structuredClone(map[key][0] ?? null));
  else map[key] = [map[key]!];
}

const spell = (v: Json): string => JSON.stringify(v);

const RUNS = {
  objects: 70_000,
  policies: 4_000,
  routes: 2_000,
  texts: 10_000,
  corefiles: 10_000,
  scenarios: 5_000,
  scenarioTexts: 1_000,
};
/** Milliseconds; the whole test of some 0.3 ms a case shares its CPU with others. */
const SLOW = 20_000;
const outcomes = { ran: 0, refused: 0 };

/** Runs `f`; throws unless it works or ends in an InputError with a place, soon. */
function survives(f: () => void): void {
  const start = performance.now();
  try {
    f();
    outcomes.ran++;
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    if (e.line < 1 || e.column < 1) throw new Error(`no place: ${e.message}`);
    outcomes.refused++;
  }
  const ms = performance.now() - start;
  if (ms > SLOW) throw new Error(`took ${ms} ms`);
}

const scenario = (text: string): void => {
  compile(reconcile(parseScenario(text, 's.yaml', () => text)));
};

const EMPTY = structuredClone(BASE) as { spec: { objects: Json[]; steps: Json[] } };
EMPTY.spec.objects = [];
EMPTY.spec.steps = [];
const CLUSTER = parseScenario(spell(EMPTY as unknown as Json), 's.yaml', () => '');
const namespaces = ['prod', 'web'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
const NAMESPACES = loadManifests(namespaces.map(spell).join('\n---\n'), 'n.yaml');

/** Manifests in the cluster of BASE, which has the namespaces that they are in. */
const manifests = (text: string): void => {
  const objects = loadManifests(text, 'm.yaml');
  const missing = NAMESPACES.filter((n) => !objects.some((o) => o.kind === 'Namespace' && o.metadata.name === n.metadata.name));
  compile(reconcile({ ...CLUSTER, objects: [...missing, ...objects] }));
}; // prettier-ignore

const POLICIES: Json[] = [
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'k' }, spec: { podSelector: { matchLabels: { app: 'x' }, matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] }, policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [{ podSelector: {}, namespaceSelector: { matchLabels: { a: 'b' } } }, { ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 80, endPort: 90, protocol: 'TCP' }, { port: 'http' }] }], egress: [{ to: [{ podSelector: {} }] }, {}] } },
  { apiVersion: 'projectcalico.org/v3', kind: 'NetworkPolicy', metadata: { name: 'c' }, spec: { order: 10, selector: "app == 'x' && !has(b)", types: ['Ingress', 'Egress'], ingress: [{ action: 'Deny', protocol: 'TCP', source: { selector: 'a in {"b", "c"}', notSelector: 'has(d)', namespaceSelector: 'all()', nets: ['10.0.0.0/8', '11.0.0.0/8'], notNets: ['10.1.0.0/16'] }, destination: { ports: [80, '90:100', 'http'], notPorts: [81] }, metadata: { annotations: { a: 'b' } } }], egress: [{ action: 'Log', protocol: 'ICMP', icmp: { type: 8, code: 0 } }, { action: 'Pass', notProtocol: 17 }] } },
  { apiVersion: 'crd.projectcalico.org/v1', kind: 'GlobalNetworkPolicy', metadata: { name: 'default.g' }, spec: { selector: 'all()', namespaceSelector: "a == 'b'", serviceAccountSelector: 'has(a)', ingress: [{ action: 'Pass', ipVersion: 4, source: { serviceAccounts: { names: ['default'], selector: 'all()' } } }] } },
]; // prettier-ignore
const SELECTED = loadManifests(spell({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', labels: { app: 'x' } }, spec: { nodeName: 'node1', containers: [container] } }), 'p.yaml'); // prettier-ignore

/** Policies in a cluster that enforces them, about one pod. */
const policies = (text: string): void => {
  const objects = [...NAMESPACES, ...SELECTED, ...loadManifests(text, 'm.yaml')];
  compile(reconcile({ ...CLUSTER, cni: parseCni(documents('plugin: calico', 'c.yaml')[0]!, ['10.0.1.0/24']), objects }));
}; // prettier-ignore

const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: { type: 'NodePort', selector: { app: 'x' }, ports: [{ port: 80, nodePort: 30080 }] } }; // prettier-ignore
const ROUTES: Json[] = [
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'i', annotations: { 'kubernetes.io/ingress.class': 'nginx', 'nginx.ingress.kubernetes.io/rewrite-target': '/$2', 'nginx.ingress.kubernetes.io/use-regex': 'true', 'nginx.ingress.kubernetes.io/server-alias': 'b.c' } }, spec: { tls: [{ hosts: ['a.b'], secretName: 's' }], defaultBackend: { service: { name: 'web', port: { number: 80 } } }, rules: [{ host: '*.a.b', http: { paths: [{ path: '/a(/|$)(.*)', pathType: 'ImplementationSpecific', backend: { service: { name: 'web', port: { number: 80 } } } }, { path: '/b', pathType: 'Exact', backend: { service: { name: 'web', port: { name: 'http' } } } }] } }] } },
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'i', annotations: { 'kubernetes.io/ingress.class': 'traefik', 'traefik.ingress.kubernetes.io/router.pathmatcher': 'PathRegexp', 'traefik.ingress.kubernetes.io/router.priority': '7', 'traefik.ingress.kubernetes.io/router.tls': 'true' } }, spec: { rules: [{ host: 'a.b', http: { paths: [{ path: '/a+', pathType: 'ImplementationSpecific', backend: { service: { name: 'web', port: { number: 80 } } } }] } }] } },
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata: { name: 'i', annotations: { 'kubernetes.io/ingress.class': 'alb', 'alb.ingress.kubernetes.io/listen-ports': '[{"HTTP": 80}, {"HTTPS": 443}]', 'alb.ingress.kubernetes.io/ssl-redirect': '443', 'alb.ingress.kubernetes.io/group.order': '5', 'alb.ingress.kubernetes.io/conditions.web': '[{"field":"source-ip","sourceIpConfig":{"values":["10.0.0.0/8"]}}]', 'alb.ingress.kubernetes.io/actions.go': '{"type":"redirect","redirectConfig":{"host":"b.c","statusCode":"HTTP_302"}}' } }, spec: { rules: [{ host: 'a.b', http: { paths: [{ path: '/a', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }, { path: '/go', pathType: 'Prefix', backend: { service: { name: 'go', port: { name: 'use-annotation' } } } }] } }] } },
  { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'g' }, spec: { selector: { istio: 'ingressgateway' }, servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*', 'default/*.a.b'], tls: { httpsRedirect: false } }, { port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['a.b'], tls: { mode: 'SIMPLE', credentialName: 'c' } }] } },
  { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'v' }, spec: { hosts: ['a.b', '*.a.b'], gateways: ['g', 'x/g'], http: [{ match: [{ uri: { prefix: '/a' }, headers: { h: { regex: 'a+' } }, queryParams: { q: { exact: '1' } }, port: 80, ignoreUriCase: true }], rewrite: { uri: '/b', authority: 'c.d' }, route: [{ destination: { host: 'web', port: { number: 80 } }, weight: 1, headers: { request: { set: { a: 'b' }, remove: ['c'] } } }, { destination: { host: 'web.default.svc.cluster.local' }, weight: 2 }], timeout: '5s', retries: { attempts: 2, retryOn: '5xx' } }, { match: [{ uri: { exact: '/r' } }], redirect: { uri: '/x', scheme: 'https', derivePort: 'FROM_REQUEST_PORT', redirectCode: 307 } }, { directResponse: { status: 503, body: { string: 'x' } } }] } },
]; // prettier-ignore
const ROUTERS = [nginxRouter, traefikRouter, albRouter, istioRouter];

/** Routers of one object and the others, each asked once. */
const routes = (text: string): void => {
  const objects = loadManifests([service, ROUTES[3]!, ROUTES[4]!].map(spell).join('\n---\n'), 'r.yaml');
  const own = loadManifests(text, 'm.yaml');
  const all = [...objects.filter((o) => !own.some((x) => x.kind === o.kind)), ...own];
  for (const build of ROUTERS) {
    const router = build(all, { file: 'm.yaml' });
    const route = router.decide({ method: 'GET', target: '/a/b?q=1', fields: [['Host', 'a.b'], ['h', 'aa']], port: 80, tls: false, source: '10.1.2.3' }); // prettier-ignore
    if (route.kind === 'forward') for (const b of route.backends) router.upstreams(b);
  }
};

/** Documents of the manifests in this repository. */
const REAL = [
  'lib/kube/coredns/testdata/objects.yaml',
  ...readdirSync('scenarios/kube-proxy/manifests').map((f) => `scenarios/kube-proxy/manifests/${f}`),
].flatMap((f) => readFileSync(f, 'utf8').split(/^---$/m));

const COREFILES = [
  KUBEADM_COREFILE,
  ...['blocks', 'verified'].map((f) => readFileSync(`lib/kube/coredns/testdata/${f}.corefile`, 'utf8')),
  'a.b:53 {\n  kubernetes c.d 10.0.0.0/8 {\n    pods verified\n    ttl 5\n    fallthrough\n  }\n  cache 30 {\n    success 100 60 5\n    denial 10\n    servfail 0\n    disable success a.b\n  }\n  forward . 10.1.2.3:5353 tls://1.1.1.1 {\n    except x.y\n    policy round_robin\n    max_fails 3\n  }\n}\n',
]; // prettier-ignore

const change = fc.tuple(fc.nat(10_000), fc.nat(7), fc.nat(LEAVES.length - 1));
const changes = fc.array(change, { minLength: 1, maxLength: 2 });
const PIECES = ['', '\n', '\t', ':', '- ', '? ', '{', '}', '[', '"', "'", '*a', '&a ', '!', '|', '>', '#', '%', '---', '\u0000', '\ud800', '<<: ', '0', '-1', '99999999999', '1e9', '.', '/', '1.2.3.4', 'x'.repeat(300)]; // prettier-ignore
const piece = fc.constantFrom(...PIECES);
const slip = fc.tuple(fc.nat(100_000), fc.nat(40), piece);
const slips = fc.array(slip, { minLength: 1, maxLength: 3 });

/** A text with pieces of it replaced. */
const slipped = (text: string, list: readonly [number, number, string][]): string =>
  list.reduce((t, [where, drop, put]) => {
    const at = where % (t.length + 1);
    return t.slice(0, at) + put + t.slice(at + drop);
  }, text);

const Fuzz = suite('lib/kube/fuzz');

Fuzz('what is changed compiles before', () => {
  scenario(spell(BASE));
  policies(POLICIES.map(spell).join('\n---\n'));
  for (const r of ROUTES) routes(spell(r));
  for (const text of REAL) loadManifests(text, 'm.yaml');
  for (const text of COREFILES.slice(0, 3)) parseCorefile(text, 'Corefile');
});
Fuzz(`${RUNS.objects} manifests with changed fields run or are refused with a place`, () => {
  const objects = (BASE as unknown as { spec: { objects: Json[] } }).spec.objects;
  fc.assert(
    fc.property(fc.nat(objects.length - 1), changes, (which, list) => {
      const root = [structuredClone(objects[which]!)];
      for (const c of list) mutate(root, c);
      survives(() => manifests(root.map(spell).join('\n---\n')));
    }),
    { numRuns: RUNS.objects },
  );
});
Fuzz(`${RUNS.policies} network policies with changed fields are enforced or refused with a place`, () => {
  fc.assert(
    fc.property(fc.nat(POLICIES.length - 1), changes, (which, list) => {
      const root = [structuredClone(POLICIES[which]!)];
      for (const c of list) mutate(root, c);
      survives(() => policies(root.map(spell).join('\n---\n')));
    }),
    { numRuns: RUNS.policies },
  );
});
Fuzz(
  `${RUNS.routes} Ingresses, Gateways and VirtualServices with changed fields are routed or refused with a place`,
  () => {
    fc.assert(
      fc.property(fc.nat(ROUTES.length - 1), changes, (which, list) => {
        const root = [structuredClone(ROUTES[which]!)];
        for (const c of list) mutate(root, c);
        survives(() => routes(root.map(spell).join('\n---\n')));
      }),
      { numRuns: RUNS.routes },
    );
  },
);
Fuzz(`${RUNS.texts} manifests with changed text run or are refused with a place`, () => {
  fc.assert(
    fc.property(fc.nat(REAL.length - 1), slips, (which, list) => {
      survives(() => manifests(slipped(REAL[which]!, list)));
    }),
    { numRuns: RUNS.texts },
  );
});
Fuzz(`${RUNS.corefiles} Corefiles with changed text are read or refused with a place`, () => {
  fc.assert(
    fc.property(fc.nat(COREFILES.length - 1), slips, (which, list) => {
      survives(() => parseCorefile(slipped(COREFILES[which]!, list), 'Corefile'));
    }),
    { numRuns: RUNS.corefiles },
  );
});
Fuzz(`${RUNS.scenarios} scenarios with changed fields compile or are refused with a place`, () => {
  fc.assert(
    fc.property(fc.nat(6), fc.nat(6), changes, (one, two, list) => {
      const root = structuredClone(BASE) as { spec: { objects: Json[] } };
      root.spec.objects = root.spec.objects.filter((_, i) => i === 2 || i === one || i === two);
      for (const c of list) mutate(root as unknown as Json, c);
      survives(() => scenario(spell(root as unknown as Json)));
    }),
    { numRuns: RUNS.scenarios },
  );
});
Fuzz(`${RUNS.scenarioTexts} scenarios with changed text compile or are refused with a place`, () => {
  const text = JSON.stringify(BASE, null, 1).replace(/"(\w+)":/g, '$1:');
  fc.assert(
    fc.property(slips, (list) => survives(() => scenario(slipped(text, list)))),
    { numRuns: RUNS.scenarioTexts },
  );
});
Fuzz('100,000 in all', () => {
  const { ran, refused } = outcomes;
  console.log(`lib/kube/fuzz: ${ran + refused} inputs, ${ran} run, ${refused} refused with a place`);
  assert.ok(ran + refused >= 100_000);
  assert.ok(ran > 5_000 && refused > 5_000);
});
Fuzz.run();
