/**
 * Ten thousand hostile scenarios: each is read, reconciled and compiled, or refused with a place; nothing else ever happens.
 *
 * fast-check prints the seed and the smallest counterexample when a run fails.
 */
import fc from 'fast-check';
import { suite } from 'uvu';
import { InputError } from '../sim/input-error.js';
import { compile } from './compile.js';
import { reconcile } from './controllers.js';
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

const LEAVES: Json[] = [null, true, '', 'a', 'A_b', '-', 'a b', 'é\u0000', '../x', 'None', 'x'.repeat(300), '10.0.1.2', '10.0.0.0/8', '0.0.0.0/0', '255.255.255.255/32', '::1', 0, -1, 1, 80, 65536, 2 ** 31 - 1, 2 ** 53, 1e300, 0.5, [], {}, [null], { a: null }, '__proto__', 'constructor', '$(x)', "'", 'a | b', 'x &', 'EOF']; // prettier-ignore

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

/** Reads, reconciles and compiles; throws unless it works or ends in an InputError with a place. */
function survives(text: string): void {
  try {
    compile(reconcile(parseScenario(text, 's.yaml', () => text)));
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    if (e.line < 1 || e.column < 1) throw new Error(`no place: ${e.message}`);
  }
}

const change = fc.tuple(fc.nat(10_000), fc.nat(7), fc.nat(LEAVES.length - 1));
const Fuzz = suite('lib/kube/fuzz');

Fuzz('the scenario that is changed compiles', () => {
  compile(reconcile(parseScenario(spell(BASE), 's.yaml', () => '')));
});
Fuzz('9,000 scenarios with changed fields compile or are refused with a place', () => {
  fc.assert(
    fc.property(fc.nat(6), fc.nat(6), fc.array(change, { minLength: 1, maxLength: 3 }), (one, two, changes) => {
      const root = structuredClone(BASE) as { spec: { objects: Json[] } };
      root.spec.objects = root.spec.objects.filter((_, i) => i === 2 || i === one || i === two);
      for (const c of changes) mutate(root as unknown as Json, c);
      survives(spell(root as unknown as Json));
    }),
    { numRuns: 9000 },
  );
});
Fuzz('1,000 scenarios with changed text compile or are refused with a place', () => {
  const text = JSON.stringify(BASE, null, 1).replace(/"(\w+)":/g, '$1:');
  const piece = fc.constantFrom('', '\n', '\t', ':', '- ', '? ', '{', '[', '"', "'", '*a', '&a ', '!', '|', '>', '#', '%', '---', '\u0000', '\ud800', '<<: '); // prettier-ignore
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(40), piece, (at, drop, put) =>
      survives(text.slice(0, at) + put + text.slice(at + drop)),
    ),
    { numRuns: 1000 },
  );
});
Fuzz.run();
