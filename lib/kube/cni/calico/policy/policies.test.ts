/** Policies against what is published of clusters with Calico, and against Felix's own tests. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseSelector } from '../../../api/calico-selector.js';
import { loadManifests } from '../../../api/manifest.js';
import type { CalicoPolicy, CalicoPort, NetworkPolicy } from '../../../api/policy-types.js';
import type { Namespace, Pod } from '../../../api/types.js';
import type { Sandbox } from '../../plugin.js';
import type { Endpoint, NodePolicy } from '../felix.js';
import { groupId, namedPortId, selectorId } from './ids.js';
import { Policies } from './index.js';
import { fromKubernetes, simplifyPorts } from './kubernetes.js';
import { policyOf } from './model.js';

const Test = suite('kube/cni/calico/policy');

const KNP = 'networking.k8s.io/v1';
const manifest = (api: string, kind: string, name: string, spec: string, namespace = ''): string =>
  `apiVersion: ${api}\nkind: ${kind}\nmetadata: { name: ${name}${namespace === '' ? '' : `, namespace: ${namespace}`} }\nspec: ${spec}\n---\n`;
const knp = (name: string, spec: string): string => manifest(KNP, 'NetworkPolicy', name, spec);
const gnp = (name: string, spec: string): string => manifest('projectcalico.org/v3', 'GlobalNetworkPolicy', name, spec);
const pod = (name: string, labels: string, ports = ''): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name}, labels: { ${labels} } }\nspec: { containers: [ { name: c, image: busybox, ports: [ ${ports} ] } ] }\n---\n`;

interface World {
  policies: Policies;
  /** Policy on the node of the first pods, as many as are said. */
  of(n?: number): NodePolicy;
  objects: { pods: Pod[]; namespaces: Namespace[]; accounts: []; policies: (NetworkPolicy | CalicoPolicy)[] };
}

/** Pods have the addresses 10.0.0.1, 10.0.0.2, … and the interfaces cali1, cali2, …. */
function world(text: string): World {
  const all = loadManifests(text, 'm.yaml');
  const objects = {
    pods: all.filter((o) => o.kind === 'Pod'),
    namespaces: all.filter((o) => o.kind === 'Namespace'),
    accounts: [] as [],
    policies: all.flatMap((o) => (o.kind === 'NetworkPolicy' || o.kind === 'NetworkPolicy.projectcalico.org' || o.kind === 'GlobalNetworkPolicy' ? [o] : [])), // prettier-ignore
  };
  const policies = new Policies();
  policies.watch(() => objects);
  const endpoints = objects.pods.map((p, i): Endpoint => ({ namespace: p.metadata.namespace, name: p.metadata.name, iface: `cali${i + 1}`, podIP: `10.0.0.${i + 1}` })); // prettier-ignore
  for (const e of endpoints) policies.add(e as unknown as Sandbox);
  return { policies, objects, of: (n = endpoints.length) => policies.of('node', endpoints.slice(0, n)) };
}

const targets = (p: NodePolicy, iface: string, way: 'ingress' | 'egress'): string[] =>
  (p.endpoints.get(iface)?.[way] ?? [])
    .map((r) => r.action.replace('--jump ', ''))
    .filter((x) => x.startsWith('cali-'));

Test('ids of ipsets are those of Calico', () => {
  // libcalico-go's own tests of the parser.
  assert.is(selectorId(parseSelector('')), 's:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug');
  assert.is(selectorId(parseSelector('! (has( b)||! has(a ))')), 's:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q');
  assert.is(selectorId(parseSelector('! (a == "b"&&! c != "d")')), 's:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w');
  assert.match(namedPortId(parseSelector(''), 'tcp', 'http'), /^n:[\w-]{38}$/);
});

Test('Kubernetes policies have the ipsets of published dumps', () => {
  const published: [string, string, string][] = [
    ['user: haejun', '{ podSelector: { matchLabels: { user: haejun } }, ingress: [ { from: [ { podSelector: { matchLabels: { user: haejun, role: allower } } } ], ports: [ { port: 80 } ] } ] }', 'cali40s:dSXImMSA1iXOPxYRYLVorAP'],
    ['app: db', '{ podSelector: { matchLabels: { app: db } }, ingress: [ { from: [ { podSelector: { matchLabels: { networking/allow-db-access: "true" } } } ] } ] }', 'cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge'],
  ]; // prettier-ignore
  for (const [labels, spec, set] of published)
    assert.equal(world(pod('a', labels) + knp('p', spec)).of().ipsets.map((s) => [s.name, s.type, s.members]), [[set, 'hash:net', []]]); // prettier-ignore
});

Test('chains of policies are named by tier, namespace and name', () => {
  const w = world(pod('a', '') + gnp('policy-1', '{ ingress: [ { action: Allow } ], egress: [ { action: Allow } ] }') + knp('haejun-policy', '{ podSelector: {} }')); // prettier-ignore
  const p = w.of();
  // The first: felix/fv/iptables_force_programming_test.go of v3.31.
  assert.equal(targets(p, 'cali1', 'egress'), ['cali-po-_l_CMLPBmpkyZIIwB62k']);
  assert.equal(targets(p, 'cali1', 'ingress'), ['cali-pi-_GWLmNuYuzPxxlNIAY6K', 'cali-pi-_l_CMLPBmpkyZIIwB62k']);
  assert.equal(p.chains.map((c) => c.rules[0]!.comment), [['Policy default/knp.default.haejun-policy ingress'], ['Policy default.policy-1 ingress'], ['Policy default.policy-1 egress']]); // prettier-ignore
  assert.equal(p.chains[0]!.rules, [{ match: '', action: '', comment: ['Policy default/knp.default.haejun-policy ingress'] }]); // prettier-ignore
});

Test('an endpoint that no policy selects has no rules, one of another direction has none for this', () => {
  const p = world(pod('a', 'x: y') + pod('b', '') + knp('p', '{ podSelector: { matchLabels: { x: y } }, policyTypes: [ Egress ] }')).of(); // prettier-ignore
  assert.equal([...p.endpoints.keys()], ['cali1']);
  assert.equal(p.endpoints.get('cali1')!.ingress, []);
  assert.equal(p.endpoints.get('cali1')!.egress.map((r) => [r.match, r.action, r.comment]), [
    ['', '--jump MARK --set-mark 0/0x20000', ['Start of tier default']],
    ['-m mark --mark 0/0x20000', `--jump ${p.chains[0]!.name}`, []],
    ['-m mark --mark 0x10000/0x10000', '--jump RETURN', ['Return if policy accepted']],
    ['-m mark --mark 0/0x20000', '--jump DROP', ['End of tier default. Drop if no policies passed packet']],
  ]); // prettier-ignore
  assert.is(p.chains.length, 1);
});

Test('policies stand by order, then by name; those without one are last', () => {
  const all = ['z 5', 'a 1000', 'm 5', 'late null', 'b 1000'].map((x) => x.split(' ') as [string, string]);
  const text = all.map(([name, order], i) => gnp(name, `{ order: ${order}, selector: "!has(n${i})", types: [ Ingress ] }`)); // prettier-ignore
  const names = world(pod('a', '') + text.join('') + knp('k', '{ podSelector: {} }')).of().chains.map((c) => c.rules[0]!.comment[0]!.split(' ')[1]); // prettier-ignore
  assert.equal(names, ['default.m', 'default.z', 'default.a', 'default.b', 'default/knp.default.k', 'default.late']);
});

Test('policies of one selector that follow each other are grouped, with a return after every fifth', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const p = world(pod('x', '') + names.map((n) => gnp(n, '{ types: [ Ingress ] }')).join('') + gnp('g', '{ selector: "!has(q)", types: [ Ingress ] }')).of(); // prettier-ignore
  const [group, alone] = targets(p, 'cali1', 'ingress');
  assert.is(
    group,
    `cali-gi-${groupId(
      'default',
      'all()',
      'inbound',
      names.map((n) => `default.${n}`),
    )}`,
  );
  assert.is(group!.length, 28);
  assert.is(alone, 'cali-pi-default/default.g');
  const chain = p.chains.find((c) => c.name === group)!;
  const open = '-m mark --mark 0/0x30000';
  assert.equal(chain.rules.map((r) => [r.match, r.action.replace('--jump ', '')]), [
    ['', 'cali-pi-default/default.a'],
    ...['b', 'c', 'd', 'e'].map((n) => [open, `cali-pi-default/default.${n}`]),
    ['-m mark ! --mark 0/0x30000', 'RETURN'],
    ['', 'cali-pi-default/default.f'],
  ]); // prettier-ignore
});

const selectors = (text: string): [string, string][] => {
  const o = loadManifests(text, 'm.yaml')[0] as NetworkPolicy | CalicoPolicy;
  const p = policyOf(o.kind === 'NetworkPolicy' ? fromKubernetes(o) : o);
  return [['', p.selector], ...p.inbound.map((r): [string, string] => [r.source.selector, r.destination.selector])];
}; // prettier-ignore

Test('selectors have namespaces and service accounts folded in, as Calico writes them', () => {
  const k8s = "projectcalico.org/orchestrator == 'k8s'";
  const own = "projectcalico.org/namespace == 'default'";
  const peers = (list: string): string => knp('p', `{ podSelector: { matchLabels: { b: "2", a: "1" } }, ingress: [ { from: [ ${list} ] } ] }`); // prettier-ignore
  assert.equal(selectors(peers('{ podSelector: { matchExpressions: [ { key: k, operator: NotIn, values: [ x, y ] }, { key: z, operator: DoesNotExist } ] } }, { namespaceSelector: {} }, { podSelector: {}, namespaceSelector: { matchLabels: { t: u } } }, { ipBlock: { cidr: 10.0.0.0/8 } }')), [
    ['', `(${k8s} && a == '1' && b == '2') && ${own}`],
    [`(${own}) && (${k8s} && k not in { 'x', 'y' } && ! has(z))`, ''],
    [`(has(projectcalico.org/namespace)) && (${k8s})`, ''],
    [`(pcns.t == "u") && (${k8s})`, ''],
    ['', ''],
  ]); // prettier-ignore
  const rule = (side: string): string => gnp('p', `{ selector: "a == 'b'", namespaceSelector: "env in {'p'}", serviceAccountSelector: all(), ingress: [ { action: Allow, source: { ${side} } } ] }`); // prettier-ignore
  assert.equal(selectors(rule('selector: has(x), namespaceSelector: global(), serviceAccounts: { names: [ s ], selector: "r == \'1\'" }')), [
    ['', `((a == 'b') && pcns.env in {"p"}) && has(projectcalico.org/serviceaccount)`],
    [`(!has(projectcalico.org/namespace)) && (((pcsa.r == "1") && (projectcalico.org/serviceaccount in {"s"})) && (has(x)))`, ''],
  ]); // prettier-ignore
});

Test('simplifyPorts() gives names first and as few ranges as there are', () => {
  const port = (first: number, last = first): CalicoPort => ({ first, last });
  assert.equal(simplifyPorts([port(81), { name: 'x' }, port(80), port(9090), port(82, 90), port(85)]), [{ name: 'x' }, port(80, 90), port(9090)]); // prettier-ignore
  assert.equal(simplifyPorts([port(80), { name: 'x' }]), [port(80), { name: 'x' }]);
  assert.equal(simplifyPorts([port(80), port(80)]), [port(80)]);
});

Test('ipsets have the pods of all nodes, and ports by name in one of their own', () => {
  const text = pod('web', 'app: web', '{ containerPort: 8080, name: http }, { containerPort: 53, name: dns, protocol: UDP }') + pod('far', 'app: web', '{ containerPort: 80, name: http }') + pod('c', 'role: client'); // prettier-ignore
  const w = world(text + knp('p', '{ podSelector: { matchLabels: { app: web } }, ingress: [ { from: [ { podSelector: { matchLabels: { role: client } } } ], ports: [ { port: http }, { port: 443 } ] } ], egress: [ { to: [ { podSelector: {} } ], ports: [ { port: http } ] } ] }')); // prettier-ignore
  const p = w.of(1);
  assert.equal(p.ipsets.map((s) => [s.name.slice(0, 8), s.type, s.members]), [
    ['cali40s:', 'hash:net', ['10.0.0.3/32']],
    ['cali40n:', 'hash:ip,port', ['10.0.0.1,tcp:8080', '10.0.0.2,tcp:80']],
    ['cali40n:', 'hash:ip,port', ['10.0.0.1,tcp:8080', '10.0.0.2,tcp:80']],
  ]); // prettier-ignore
  const [set, inbound, outbound] = p.ipsets.map((s) => s.name);
  assert.equal(p.chains[0]!.rules.map((r) => r.match), ['', '-p tcp -m multiport --destination-ports 443', `-m set --match-set ${inbound} dst,dst`, `-p tcp -m set --match-set ${set} src -m mark --mark 0x80000/0x80000`]); // prettier-ignore
  // The selector of the pods is within the ipset of the port.
  assert.equal(
    p.chains[1]!.rules.map((r) => r.match),
    [`-p tcp -m set --match-set ${outbound} dst,dst`],
  );
});

Test('ipsets follow pods that come, go and change their labels, and namespaces', () => {
  const text = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: default, labels: { team: a } }\n---\n' + pod('web', 'app: web') + pod('c', 'role: client'); // prettier-ignore
  const w = world(text + knp('p', '{ podSelector: { matchLabels: { app: web } }, ingress: [ { from: [ { podSelector: { matchLabels: { role: client } } }, { namespaceSelector: { matchLabels: { team: a } } } ] } ] }')); // prettier-ignore
  const members = (): (readonly string[])[] => w.of(1).ipsets.map((s) => s.members);
  assert.equal(members(), [['10.0.0.2/32'], ['10.0.0.1/32', '10.0.0.2/32']]);
  const c = w.objects.pods[1]!;
  w.objects.pods[1] = { ...c, metadata: { ...c.metadata, labels: {} } };
  w.policies.changed();
  assert.equal(members(), [[], ['10.0.0.1/32', '10.0.0.2/32']]);
  const n = w.objects.namespaces[0]!;
  w.objects.namespaces[0] = { ...n, metadata: { ...n.metadata, labels: {} } };
  w.objects.pods[1] = c;
  w.policies.changed();
  assert.equal(members(), [['10.0.0.2/32'], []]);
  w.policies.remove({ namespace: 'default', name: 'c' } as Sandbox);
  assert.equal(members(), [[], []]);
});

Test('a label of a pod that claims another namespace is not believed', () => {
  const p = world(pod('web', 'app: web') + pod('c', 'pcns.team: a') + knp('p', '{ podSelector: { matchLabels: { app: web } }, ingress: [ { from: [ { namespaceSelector: { matchLabels: { team: a } } } ] } ] }')).of(1); // prettier-ignore
  assert.equal(p.ipsets[0]!.members, []);
});

Test('a negated selector narrows a positive one down, and is a set of its own without one', () => {
  const of = (side: string): string[] => world(pod('web', '') + pod('c', 'x: y') + gnp('p', `{ ingress: [ { action: Deny, source: { ${side} } } ] }`)).of(1).chains[0]!.rules.map((r) => r.match.replace(/cali40s:\S+/, 'SET')); // prettier-ignore
  assert.equal(of('selector: all(), notSelector: has(x)'), ['-m set --match-set SET src', '-m mark --mark 0x40000/0x40000']); // prettier-ignore
  assert.equal(of('notSelector: has(x)'), ['-m set ! --match-set SET src', '-m mark --mark 0x40000/0x40000']);
});

Test.run();
