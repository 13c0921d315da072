/** What istiod makes of objects: sidecars, protocols, mTLS modes, owners; and the rules of istio-init as iptables-save shows them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from '../api/manifest.js';
import type { KubeObject, Namespace, PeerAuthentication, Pod, Service } from '../api/types.js';
import { compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { parseScenario } from '../scenario.js';
import { asksInVain, injected } from './injection.js';
import { demands, meshOf, protocolOf } from './istiod.js';
import { peerMetadata } from './peer-metadata.js';
import { redirectCommands } from './redirect.js';

const read = (text: string): KubeObject[] => loadManifests(text, 'm.yaml');
const namespace = (label: string): Namespace =>
  read(`{ apiVersion: v1, kind: Namespace, metadata: { name: a, labels: { istio-injection: ${label} } } }`)[0] as Namespace; // prettier-ignore
const pod = (metadata: string, spec = ''): Pod =>
  read(`{ apiVersion: v1, kind: Pod, metadata: { name: p, namespace: a, ${metadata} }, spec: { ${spec} containers: [ { name: c, image: i } ] } }`)[0] as Pod; // prettier-ignore

/** The Lab of a mesh with the pod `p`, whose sidecar has annotations, and a pod `q` without one; or why there is none. */
function build(annotations: string, steps = ''): string {
  const text = `kind: Scenario
metadata: { name: t }
spec:
  nodes: [ { name: n, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 } ]
  objects:
  - { apiVersion: v1, kind: Namespace, metadata: { name: istio-system } }
  - { apiVersion: v1, kind: Pod, metadata: { name: p, labels: { sidecar.istio.io/inject: "true" }, annotations: { ${annotations} } }, spec: { nodeName: n, containers: [ { name: c, image: busybox } ] } }
  - { apiVersion: v1, kind: Pod, metadata: { name: q }, spec: { nodeName: n, containers: [ { name: c, image: busybox } ] } }
  steps: [ ${steps} ]
  until: 9s
`;
  try {
    return compile(reconcile(parseScenario(text, 's.yaml', () => ''))).text;
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
} // prettier-ignore

const Istiod = suite('lib/kube/istio/istiod');
Istiod('injected(): the label of the pod, then the label of its namespace; the annotation only says no', () => {
  const yes = 'labels: { sidecar.istio.io/inject: "true" }';
  const no = 'labels: { sidecar.istio.io/inject: "false" }';
  const annotated = (v: string): string => `annotations: { sidecar.istio.io/inject: "${v}" }`;
  const cases: [string, string | null, boolean][] = [
    ['', null, false], ['', 'enabled', true], ['', 'disabled', false], [yes, null, true], [yes, 'enabled', true], [yes, 'disabled', false],
    [no, 'enabled', false], [annotated('true'), null, false], [annotated('true'), 'enabled', true], [annotated('false'), 'enabled', false],
  ]; // prettier-ignore
  for (const [meta, label, expected] of cases)
    assert.is(injected(pod(meta), label === null ? [] : [namespace(label)]), expected, `${meta} ${label}`);
  assert.not.ok(injected(pod(yes, 'hostNetwork: true,'), []));
  assert.match(asksInVain(pod(annotated('true')), [])!, /alone injects no sidecar, the label does/);
  assert.is(asksInVain(pod(yes), []), null);
});

Istiod('protocolOf(): appProtocol, then the name up to its dash, then ports whose servers speak first', () => {
  const port = (text: string) =>
    (read(`{ apiVersion: v1, kind: Service, metadata: { name: s }, spec: { selector: { a: b }, ports: [ { ${text} } ] } }`)[0] as Service).spec.ports[0]!; // prettier-ignore
  const cases: [string, string][] = [
    ['port: 80', 'auto'], ['port: 80, name: http', 'http'], ['port: 80, name: http-web', 'http'], ['port: 80, name: httpx', 'auto'],
    ['port: 80, name: grpc-web-x', 'http'], ['port: 80, name: grpc', 'tcp'], ['port: 80, name: tcp-http', 'tcp'], ['port: 3306', 'tcp'],
    ['port: 80, name: tcp, appProtocol: http', 'http'], ['port: 80, appProtocol: kubernetes.io/ws', 'http'], ['port: 80, name: web', 'auto'],
    ['port: 80, appProtocol: constructor', 'auto'],
  ]; // prettier-ignore
  for (const [text, expected] of cases) assert.is(protocolOf(port(text)), expected, text);
});

Istiod('a pod with a sidecar whose annotations say what podwire does not follow is refused at its place', () => {
  for (const key of ['traffic.sidecar.istio.io/excludeOutboundPorts', 'proxy.istio.io/config'])
    assert.match(build(`${key}: "80"`), new RegExp(`^s\\.yaml:7:\\d+: .*metadata\\.annotations: Pod "p": ${key} is not supported yet`)); // prettier-ignore
  assert.match(build('sidecar.istio.io/interceptionMode: TPROXY'), 'interceptionMode is not supported yet');
  assert.match(build('sidecar.istio.io/interceptionMode: REDIRECT, sidecar.istio.io/proxyCPU: 10m'), 'podwire app istio-proxy'); // prettier-ignore
});

Istiod('a label that a pod gets later gives it no sidecar, and takes none away', () => {
  const told = build('', '{ at: 1s, run: kubectl label pod q sidecar.istio.io/inject=true }, { at: 4s, run: kubectl label pod p --overwrite sidecar.istio.io/inject=false }'); // prettier-ignore
  const files = told.match(/"sidecar": (true|false)/g)!;
  assert.is(files.length, 6, told);
  assert.equal(files, [0, 1, 2].flatMap(() => ['"sidecar": true', '"sidecar": false'])); // prettier-ignore
});

const policy = (name: string, ns: string, spec: string): string =>
  `{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: { name: ${name}, namespace: ${ns} }, spec: { ${spec} } }\n---\n`;

Istiod('demands(): the policy of the pod, of its namespace, of the mesh; PERMISSIVE without one', () => {
  const of = (...texts: string[]) => demands(pod('labels: { app: w }'), read(texts.join('')) as PeerAuthentication[]);
  const root = policy('r', 'istio-system', 'mtls: { mode: STRICT }');
  const ns = policy('n', 'a', 'mtls: { mode: DISABLE }');
  const own = policy(
    'o',
    'a',
    'selector: { matchLabels: { app: w } }, portLevelMtls: { 80: { mode: STRICT }, 81: {} }',
  );
  const other = policy('x', 'a', 'selector: { matchLabels: { app: v } }, mtls: { mode: STRICT }');
  assert.equal(of(), { mtls: 'PERMISSIVE', portMtls: {} });
  assert.equal(of(root), { mtls: 'STRICT', portMtls: {} });
  assert.equal(of(root, ns, other), { mtls: 'DISABLE', portMtls: {} });
  assert.equal(of(root, ns, own), { mtls: 'DISABLE', portMtls: { 80: 'STRICT', 81: 'DISABLE' } });
});

Istiod('PeerAuthentication: what istiod refuses, with its place', () => {
  const cases: [string, RegExp][] = [
    [
      'mtls: { mode: ON }',
      /^m\.yaml:1:\d+: spec\.mtls\.mode: Unsupported value: "ON": supported values: "UNSET", "DISABLE"/,
    ],
    ['portLevelMtls: { 80: { mode: STRICT } }', /spec\.portLevelMtls: port level mtls requires a workload selector/],
    ['selector: { matchLabels: { a: b } }, portLevelMtls: { 0: {} }', /port must be in range 1\.\.65535/],
    ['selector: { matchLabels: { a: b } }, portLevelMtls: { "080": {} }', /port must be in range 1\.\.65535/],
    ['tls: {}', /unknown field "tls"/],
  ];
  for (const [spec, message] of cases) assert.throws(() => read(policy('p', 'a', spec)), message);
});

Istiod('meshOf() tells endpoints with their pods, identities and owners', () => {
  const p = pod('labels: { app: w, version: v2 }', 'serviceAccountName: w,');
  p.status = { ...p.status, podIP: '10.0.0.2', phase: 'Running' };
  p.spec.nodeName = 'n';
  const objects = read(`{ apiVersion: v1, kind: Service, metadata: { name: s, namespace: a }, spec: { clusterIP: 10.96.0.1, selector: { app: w }, ports: [ { name: http, port: 80 } ] } }
---
{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: s-1, namespace: a, labels: { kubernetes.io/service-name: s } }, addressType: IPv4, ports: [ { name: http, port: 8080 } ], endpoints: [ { addresses: [ 10.0.0.2 ], targetRef: { kind: Pod, name: p, namespace: a } }, { addresses: [ 10.0.0.3 ], conditions: { ready: false } } ] }`); // prettier-ignore
  const of = <K extends string>(k: K) => objects.filter((o) => o.kind === k) as never;
  const m = meshOf({ domain: 'cluster.local', seed: 1, hasSidecar: () => true, pods: [p], services: of('Service'), slices: of('EndpointSlice'), objects, ownerOf: () => ({ kind: 'Deployment', name: 'w' }) }); // prettier-ignore
  assert.equal(m.services, [{ host: 's.a.svc.cluster.local', addresses: ['10.96.0.1'], ports: [{ port: 80, protocol: 'http', endpoints: [{ address: '10.0.0.2', port: 8080, workload: 'a/p' }] }] }]); // prettier-ignore
  assert.equal(m.workloads['a/p'], { address: '10.0.0.2', serviceAccount: 'w', sidecar: true, mtls: 'PERMISSIVE', portMtls: {}, owner: 'kubernetes://apis/apps/v1/namespaces/a/deployments/w', workloadName: 'w', labels: { app: 'w', version: 'v2' } }); // prettier-ignore
  const told = Buffer.from(peerMetadata(m, 'a/p'), 'base64').toString('latin1');
  const keys = ['CLUSTER_ID', 'LABELS', 'NAME', 'NAMESPACE', 'OWNER', 'WORKLOAD_NAME'];
  assert.equal(
    keys.map((k) => told.indexOf(k)).every((n, i, all) => n >= 0 && (i === 0 || n > all[i - 1]!)),
    true,
  );
  assert.ok(told.includes('service.istio.io/canonical-revision\x12\x04\x1a\x02v2'));
});

Istiod('redirectCommands() make the table that istio-init leaves, in its order', () => {
  const text = `kind: Lab\nmetadata: { name: t }\nspec:\n  setup: |\n    ip netns add p\n${redirectCommands('p').map((l) => `    ${l}\n`).join('')}  steps: [ { at: 0s, run: ip netns exec p iptables-save -t nat } ]\n`; // prettier-ignore
  const saved = runLab(parseLab(text, 't.yaml'))
    .steps[0]!.stdout.split('\n')
    .filter((l) => l.startsWith('-A'));
  assert.equal(saved, [
    '-A PREROUTING -p tcp -j ISTIO_INBOUND',
    '-A OUTPUT -j ISTIO_OUTPUT',
    '-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -m tcp --dport 15090 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -m tcp --dport 15020 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
    '-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006',
    '-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN',
    '-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT',
    '-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT',
    '-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN',
    '-A ISTIO_OUTPUT -j ISTIO_REDIRECT',
    '-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001',
  ]);
});
Istiod.run();
