/**
 * What policies mean, against what their rules do: random policies of Kubernetes and of Calico are compiled, loaded as iptables and
 * ipset, and asked about random packets; a few lines written from the documentation of both say what the answer has to be. Rules
 * that need three blocks are left out: Felix has them wrong (see render.test.ts).
 */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../../../../wire/inet.js';
import * as ipv4 from '../../../../../wire/ipv4.js';
import { Kernel } from '../../../../linux/core/kernel.js';
import { Netns } from '../../../../linux/core/netns.js';
import { FORWARD, nfHook } from '../../../../linux/core/nf-hook.js';
import { ipset } from '../../../../shell/ipset.js';
import { iptablesRestore } from '../../../../shell/iptables-restore.js';
import { loadManifests } from '../../../api/manifest.js';
import type { CalicoPolicy, CalicoRule, EntityRule, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyRule } from '../../../api/policy-types.js'; // prettier-ignore
import { requirements, selects } from '../../../api/selector.js';
import type { LabelSelector, Namespace, Pod } from '../../../api/types.js';
import { contains } from '../../../networks.js';
import type { Sandbox } from '../../plugin.js';
import type { Endpoint, Rule } from '../felix.js';
import { renderRule } from '../hash.js';
import { Policies } from './index.js';

const Test = suite('kube/cni/calico/policy/semantics');

const PROTOCOLS = { TCP: 6, UDP: 17 } as const;

interface Packet {
  src: string;
  dst: string;
  protocol: keyof typeof PROTOCOLS;
  port: number;
}

interface World {
  pods: Pod[];
  namespaces: Namespace[];
  policies: (NetworkPolicy | CalicoPolicy)[];
}

const addressOf = (i: number): string => `10.0.0.${i + 1}`;

// The reference: documentation in code.

const podAt = (w: World, ip: string): Pod | null => w.pods[Number(ip.split('.')[3]) - 1] ?? null;
const nsOf = (w: World, p: Pod): Namespace => w.namespaces.find((n) => n.metadata.name === p.metadata.namespace)!;
const fits = (s: LabelSelector, labels: Record<string, string>): boolean => selects(requirements(s), labels);

function peerIs(w: World, p: NetworkPolicyPeer, own: string, ip: string): boolean {
  if (p.ipBlock !== null) return contains(p.ipBlock.cidr, ip) && !p.ipBlock.except.some((e) => contains(e, ip));
  const pod = podAt(w, ip);
  if (pod === null) return false;
  const there = p.namespaceSelector === null ? pod.metadata.namespace === own : fits(p.namespaceSelector, nsOf(w, pod).metadata.labels); // prettier-ignore
  return there && (p.podSelector === null || fits(p.podSelector, pod.metadata.labels));
}

/** The numbers that a port's name has in the pod that is asked. */
const named = (w: World, x: Packet, name: string): boolean =>
  podAt(w, x.dst)?.spec.containers.some((c) => c.ports.some((p) => p.name === name && p.protocol === x.protocol && p.containerPort === x.port)) ?? false; // prettier-ignore

const ruleAllows = (w: World, r: NetworkPolicyRule, own: string, other: string, x: Packet): boolean =>
  (r.peers.length === 0 || r.peers.some((p) => peerIs(w, p, own, other))) &&
  (r.ports.length === 0 || r.ports.some((p) => {
    if (p.protocol !== x.protocol) return false;
    if (p.port === null) return true;
    return typeof p.port === 'string' ? named(w, x, p.port) : x.port >= p.port && x.port <= (p.endPort ?? p.port);
  })); // prettier-ignore

type Verdict = 'allow' | 'deny' | 'pass' | null;

const SELECTORS: Record<string, (p: Pod | null) => boolean> = {
  '': () => true,
  'all()': (p) => p !== null,
  "app == 'a'": (p) => p?.metadata.labels['app'] === 'a',
  "app != 'a'": (p) => p !== null && p.metadata.labels['app'] !== 'a',
  "has(app) && !(app in {'b', 'c'})": (p) => p?.metadata.labels['app'] === 'a',
};

function sideIs(w: World, e: EntityRule, ip: string, x: Packet): boolean {
  const pod = podAt(w, ip);
  const inSet = e.ports.some((p) => ('name' in p ? named(w, x, p.name) : x.port >= p.first && x.port <= p.last));
  return (
    SELECTORS[e.selector]!(pod) &&
    (e.notSelector === '' || !SELECTORS[e.notSelector]!(pod)) &&
    (e.nets.length === 0 || e.nets.some((n) => contains(n, ip))) &&
    !e.notNets.some((n) => contains(n, ip)) &&
    (e.ports.length === 0 || inSet) &&
    !e.notPorts.some((p) => ('name' in p ? named(w, x, p.name) : x.port >= p.first && x.port <= p.last))
  );
}

const calicoSays = (w: World, r: CalicoRule, x: Packet): Verdict =>
  r.action !== 'Log' &&
  (r.protocol === null || r.protocol === x.protocol.toLowerCase()) &&
  (r.notProtocol === null || r.notProtocol !== x.protocol.toLowerCase()) &&
  sideIs(w, r.source, x.src, x) && sideIs(w, r.destination, x.dst, x)
    ? (r.action.toLowerCase() as Verdict)
    : null; // prettier-ignore

function policySays(w: World, p: NetworkPolicy | CalicoPolicy, way: 'ingress' | 'egress', x: Packet): Verdict {
  const other = way === 'ingress' ? x.src : x.dst;
  if (p.kind === 'NetworkPolicy')
    return p.spec[way].some((r) => ruleAllows(w, r, p.metadata.namespace, other, x)) ? 'allow' : null;
  for (const r of p.spec[way]) {
    const v = calicoSays(w, r, x);
    if (v !== null) return v;
  }
  return null;
}

function applies(p: NetworkPolicy | CalicoPolicy, pod: Pod, way: 'ingress' | 'egress'): boolean {
  if (p.kind !== 'NetworkPolicy') return p.spec.types.includes(way === 'ingress' ? 'Ingress' : 'Egress') && SELECTORS[p.spec.selector]!(pod); // prettier-ignore
  return p.spec.policyTypes.includes(way === 'ingress' ? 'Ingress' : 'Egress') && p.metadata.namespace === pod.metadata.namespace && fits(p.spec.podSelector, pod.metadata.labels); // prettier-ignore
}

/** Policies by order (1000 for Kubernetes'), which tell no two apart here; nobody's word is the end of it where some apply. */
function podAllows(w: World, pod: Pod | null, way: 'ingress' | 'egress', x: Packet): boolean {
  const mine = pod === null ? [] : w.policies.filter((p) => applies(p, pod, way));
  const order = (p: NetworkPolicy | CalicoPolicy): number => (p.kind === 'NetworkPolicy' ? 1000 : p.spec.order!);
  for (const p of [...mine].sort((a, b) => order(a) - order(b))) {
    const v = policySays(w, p, way, x);
    if (v !== null) return v !== 'deny';
  }
  return mine.length === 0;
}

const expected = (w: World, x: Packet): boolean =>
  podAllows(w, podAt(w, x.src), 'egress', x) && podAllows(w, podAt(w, x.dst), 'ingress', x);

// What the rules do.

function load(w: World): Netns {
  const policies = new Policies();
  policies.watch(() => ({ ...w, accounts: [] }));
  const endpoints = w.pods.map((p, i): Endpoint => ({ namespace: p.metadata.namespace, name: p.metadata.name, iface: `cali${i}`, podIP: addressOf(i) })); // prettier-ignore
  for (const e of endpoints) policies.add(e as unknown as Sandbox);
  const node = policies.of('node', endpoints);
  const net = new Netns(new Kernel(1, { ipRcv: () => {}, arpRcv: () => {}, ipipRcv: () => {} }), 'n');
  const sets = node.ipsets.flatMap((s) => [`create ${s.name} ${s.type} family inet`, ...s.members.map((m) => `add ${s.name} ${m}`)]); // prettier-ignore
  const done = ipset(net, ['restore'], `${sets.join('\n')}\n`);
  assert.is(done.exit, 0, done.err);
  const own = endpoints.flatMap((e) => {
    const clear: Rule = { match: '', action: '--jump MARK --set-mark 0/0x30000', comment: [] };
    const { ingress = [], egress = [] } = node.endpoints.get(e.iface) ?? {};
    return [{ name: `fw-${e.iface}`, rules: [clear, ...egress] }, { name: `tw-${e.iface}`, rules: [clear, ...ingress] }]; // prettier-ignore
  });
  const chains = [...node.chains, ...own];
  const lines = [
    '*filter',
    ':FORWARD ACCEPT [0:0]',
    ...chains.map((c) => `:${c.name} - [0:0]`),
    ...chains.flatMap((c) => c.rules.map((r) => renderRule(`-A ${c.name}`, '', r))),
    ...endpoints.map((e) => `-A FORWARD -s ${e.podIP} -j fw-${e.iface}`),
    ...endpoints.map((e) => `-A FORWARD -d ${e.podIP} -j tw-${e.iface}`),
    'COMMIT',
  ];
  const restored = iptablesRestore(net, [], `${lines.join('\n')}\n`);
  assert.is(restored.exit, 0, restored.err);
  return net;
}

function passes(net: Netns, x: Packet): boolean {
  const s = net.kernel.skbs.alloc();
  s.tail = s.head + 40;
  ipv4.write(s.buf, s.net, 0, 40, 1, ipv4.DF, 64, PROTOCOLS[x.protocol], aton(x.src)!, aton(x.dst)!);
  s.buf.set([0x9c, 0x40, x.port >> 8, x.port & 255], s.net + 20);
  let out = false;
  nfHook(FORWARD, net, s, null, null, () => {
    out = true;
    return 0;
  });
  return out;
}

// Random worlds.

const labels = fc.constantFrom('', 'app: a', 'app: b', 'app: a, tier: x');
const selector = fc.constantFrom('{}', '{ matchLabels: { app: a } }', '{ matchExpressions: [ { key: app, operator: NotIn, values: [ a ] } ] }', '{ matchExpressions: [ { key: tier, operator: Exists } ] }'); // prettier-ignore
const peer = fc.oneof(
  selector.map((s) => `{ podSelector: ${s} }`),
  selector.map((s) => `{ namespaceSelector: ${s} }`),
  fc.tuple(selector, selector).map(([a, b]) => `{ namespaceSelector: ${a}, podSelector: ${b} }`),
  fc.constantFrom('{ ipBlock: { cidr: 10.0.0.0/24 } }', '{ ipBlock: { cidr: 0.0.0.0/0, except: [ 10.0.0.0/30 ] } }', '{ ipBlock: { cidr: 10.0.0.0/24, except: [ 10.0.0.1/32, 10.0.0.3/32 ] } }'),
); // prettier-ignore
const port = fc.constantFrom('{ port: 80 }', '{ port: http }', '{ port: 81, endPort: 90 }', '{ protocol: UDP, port: 80 }', '{ protocol: UDP }', '{ protocol: UDP, port: http }', '{ port: 85 }'); // prettier-ignore
const several = <T>(a: fc.Arbitrary<T>, max: number): fc.Arbitrary<string> => fc.array(a, { maxLength: max }).map((x) => `[ ${x.join(', ')} ]`); // prettier-ignore
const knpRule = (way: string): fc.Arbitrary<string> => fc.tuple(several(peer, 2), several(port, 3)).map(([p, q]) => `{ ${way}: ${p}, ports: ${q} }`); // prettier-ignore
const knp = fc
  .tuple(fc.constantFrom('default', 'other'), selector, fc.constantFrom('[ Ingress ]', '[ Egress ]', '[ Ingress, Egress ]'), several(knpRule('from'), 2), several(knpRule('to'), 2))
  .map(([ns, s, types, i, e]) => (n: number) => `{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p${n}, namespace: ${ns} }, spec: { podSelector: ${s}, policyTypes: ${types}, ingress: ${i}, egress: ${e} } }`); // prettier-ignore
const calicoSelector = fc.constantFrom(...Object.keys(SELECTORS)).map((s) => JSON.stringify(s));
const net = fc.constantFrom('10.0.0.0/30', '10.0.0.2/32', '203.0.113.0/24');
const side = (nets: number): fc.Arbitrary<string> =>
  fc
    .tuple(calicoSelector, fc.oneof(fc.constant('""'), calicoSelector), several(net, nets), several(net, 2))
    .map(([s, ns, a, b]) => `selector: ${s}, notSelector: ${ns}, nets: ${a}, notNets: ${b}`);
const ports = several(fc.constantFrom('80', 'http', '"81:90"', '85'), 3);
const gnpRule = fc
  .tuple(fc.constantFrom('Allow', 'Deny', 'Pass', 'Log'), fc.constantFrom('protocol: TCP', 'protocol: UDP'), side(2), side(1), ports, ports)
  .map(([action, protocol, s, d, p, q]) => `{ action: ${action}, ${protocol}, source: { ${s} }, destination: { ${d}, ports: ${p}, notPorts: ${q} } }`); // prettier-ignore
const plainRule = fc.tuple(fc.constantFrom('Allow', 'Deny', 'Pass'), fc.constantFrom('', ', notProtocol: TCP'), side(2), side(2)).map(([a, n, s, d]) => `{ action: ${a}${n}, source: { ${s} }, destination: { ${d} } }`); // prettier-ignore
const gnp = fc
  .tuple(calicoSelector, fc.constantFrom('[ Ingress ]', '[ Ingress, Egress ]'), several(fc.oneof(gnpRule, plainRule), 3), several(plainRule, 2))
  .map(([s, types, i, e]) => (n: number) => `{ apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: { name: g${n} }, spec: { order: ${n * 700}, selector: ${s}, types: ${types}, ingress: ${i}, egress: ${e} } }`); // prettier-ignore
const pod = fc
  .tuple(fc.constantFrom('default', 'other'), labels, fc.constantFrom('', '{ name: http, containerPort: 80 }', '{ name: http, containerPort: 85 }', '{ name: http, containerPort: 80, protocol: UDP }'))
  .map(([ns, l, p]) => (n: number) => `{ apiVersion: v1, kind: Pod, metadata: { name: pod${n}, namespace: ${ns}, labels: { ${l} } }, spec: { containers: [ { name: c, image: busybox, ports: [ ${p} ] } ] } }`); // prettier-ignore
const namespaces = ['default', 'other'].map((n) => `{ apiVersion: v1, kind: Namespace, metadata: { name: ${n}, labels: { ${n === 'other' ? 'app: a, tier: y' : ''} } } }`); // prettier-ignore
const world = fc.tuple(fc.array(pod, { minLength: 2, maxLength: 4 }), fc.array(fc.oneof(knp, gnp), { maxLength: 4 })).map(([a, b]) => {
  const objects = loadManifests([...namespaces, ...a.map((f, i) => f(i)), ...b.map((f, i) => f(i))].join('\n---\n'), 'm.yaml');
  return {
    text: [...a.map((f, i) => f(i)), ...b.map((f, i) => f(i))].join('\n'),
    pods: objects.filter((o) => o.kind === 'Pod'),
    namespaces: objects.filter((o) => o.kind === 'Namespace'),
    policies: objects.flatMap((o) => (o.kind === 'NetworkPolicy' || o.kind === 'GlobalNetworkPolicy' ? [o] : [])),
  };
}); // prettier-ignore

Test('rules let through what policies allow, and nothing else', () => {
  let denied = 0;
  let asked = 0;
  fc.assert(
    fc.property(world, (w) => {
      const net = load(w);
      const addresses = [...w.pods.map((_, i) => addressOf(i)), '10.0.0.200', '203.0.113.9'];
      for (const src of addresses)
        for (const dst of addresses)
          for (const protocol of ['TCP', 'UDP'] as const)
            for (const port of [80, 85]) {
              const x = { src, dst, protocol, port };
              const want = expected(w, x);
              asked++;
              if (!want) denied++;
              assert.is(passes(net, x), want, `${JSON.stringify(x)} in\n${w.text}`);
            }
    }),
    { numRuns: 100 },
  );
  assert.ok(denied > asked / 20 && denied < asked, `${denied} of ${asked} denied`);
});

Test.run();
