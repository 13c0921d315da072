/** What the controllers derive: names, places, addresses, ports, EndpointSlices and Endpoints. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cluster, reconcile } from './controllers.js';
import { portHash } from './controllers/endpoints.js';
import { generateName } from './controllers/names.js';
import { parseScenario } from './scenario.js';

const NODES = `
  - { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24, labels: { disk: ssd, topology.kubernetes.io/zone: a } }
  - { name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24, labels: { rack: "7" } }
  - { name: node3, address: 192.168.56.13/24, podCIDR: 10.0.3.0/29 }`;
const cluster = (...objects: string[]): Cluster =>
  reconcile(parseScenario(`kind: Scenario\nmetadata: { name: t }\nspec:\n  nodes:${NODES}\n  objects:\n${objects.map((o) => `  - ${o}`).join('\n')}\n`, 's.yaml', () => '')); // prettier-ignore
const pod = (name: string, spec = '', labels = '', more = ''): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { ${labels} } }, spec: { ${spec}${spec === '' ? '' : ', '}containers: [ { name: a, image: busybox, ports: [ { name: http, containerPort: 8080 } ] } ] }${more} }`;
const dep = (name: string, replicas: number, spec = ''): string =>
  `{ apiVersion: apps/v1, kind: Deployment, metadata: { name: ${name} }, spec: { replicas: ${replicas}, selector: { matchLabels: { app: ${name} } }, template: { metadata: { labels: { app: ${name} } }, spec: { ${spec} containers: [ { name: a, image: busybox, ports: [ { name: http, containerPort: 80 } ] } ] } } } }`;
const svc = (name: string, spec: string): string => `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { ${spec} } }`; // prettier-ignore
const node = (name: string, spec: string): string => `{ apiVersion: v1, kind: Node, metadata: { name: ${name} }, spec: { ${spec} } }`; // prettier-ignore
const places = (c: Cluster): Record<string, string> => Object.fromEntries(c.pods.map((p) => [p.metadata.name.replace(/-\w{10}-\w{5}$/, '*'), p.spec.nodeName])); // prettier-ignore
const on = (c: Cluster): string[] => c.pods.map((p) => p.spec.nodeName);

const Controllers = suite('lib/kube/controllers');
Controllers('pods spread: fewest of the same ReplicaSet, then fewest pods, then the first node', () => {
  assert.equal(on(cluster(pod('x', 'nodeName: node1'), dep('d', 4))), ['node1', 'node2', 'node3', 'node1', 'node2']);
  assert.equal(on(cluster(dep('a', 1), dep('b', 3))), ['node1', 'node2', 'node3', 'node1']);
});
Controllers('nodeSelector and required node affinity choose among the labels of nodes', () => {
  const term = (e: string): string => `affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [ ${e} ] } } }`; // prettier-ignore
  const c = cluster(
    pod('os', 'nodeSelector: { kubernetes.io/os: linux, disk: ssd }'),
    pod('host', 'nodeSelector: { kubernetes.io/hostname: node3 }'),
    pod('gt', term('{ matchExpressions: [ { key: rack, operator: Gt, values: [ "6" ] } ] }')),
    pod('lt', term('{ matchExpressions: [ { key: rack, operator: Lt, values: [ "7" ] } ] }')),
    pod('not', term('{ matchExpressions: [ { key: disk, operator: DoesNotExist }, { key: rack, operator: NotIn, values: [ "7" ] } ] }')),
    pod('or', term('{ matchFields: [ { key: metadata.name, operator: In, values: [ node2 ] } ] }, {}')),
  ); // prettier-ignore
  assert.equal(places(c), { os: 'node1', host: 'node3', gt: 'node2', lt: '', not: 'node3', or: 'node2' });
  assert.is(c.warnings[0], `Pod "lt" stays Pending: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector`); // prettier-ignore
  assert.equal(c.pods[3]!.status, { podIP: '', hostIP: '', phase: 'Pending', ready: false, restarts: 0 });
});
Controllers('taints keep pods away unless tolerated; PreferNoSchedule only as long as there is another node', () => {
  const taints = [
    node('node1', 'taints: [ { key: a, value: b, effect: NoSchedule } ]'),
    node('node2', 'taints: [ { key: a, effect: PreferNoSchedule } ]'),
    node('node3', 'unschedulable: true'),
  ];
  const tolerate = (t: string): string => `tolerations: [ ${t} ]`;
  const c = cluster(
    ...taints,
    pod('plain'),
    pod('equal', tolerate('{ key: a, value: b, effect: NoSchedule }')),
    pod('other', tolerate('{ key: a, value: c }')),
    pod('every', `${tolerate('{ operator: Exists }')}, nodeSelector: { kubernetes.io/hostname: node3 }`),
  );
  assert.equal(places(c), { plain: 'node2', equal: 'node1', other: 'node2', every: 'node3' });
});
Controllers('a port of the host network is had once a node', () => {
  const c = cluster(dep('d', 4, 'hostNetwork: true,'));
  assert.equal(on(c), ['node1', 'node2', 'node3', '']);
  assert.is(c.pods[1]!.status.podIP, '192.168.56.12');
});
Controllers('addresses: in order after the gateway, given ones kept, the broadcast address never', () => {
  const at = (name: string, ip = ''): string => pod(name, 'nodeName: node3', '', ip === '' ? '' : `, status: { podIP: ${ip} }`); // prettier-ignore
  const c = cluster(at('a'), at('b', '10.0.3.2'), at('c'), at('d'), at('e'));
  assert.equal(c.pods.map((p) => p.status.podIP), ['10.0.3.3', '10.0.3.2', '10.0.3.4', '10.0.3.5', '10.0.3.6']); // prettier-ignore
  assert.throws(() => cluster(at('a'), at('b'), at('c'), at('d'), at('e'), at('f')), /no IP addresses available/);
});
Controllers('cluster IPs and node ports come from the upper band of their ranges', () => {
  const c = cluster(
    svc('a', 'type: NodePort, ports: [ { name: t, port: 53 }, { name: u, port: 53, protocol: UDP }, { name: x, port: 1 } ]'),
    svc('b', 'clusterIP: 10.96.1.2, type: LoadBalancer, externalTrafficPolicy: Local, ports: [ { port: 80, nodePort: 30087 } ]'),
    svc('c', 'type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [ { port: 80 } ]'),
    svc('d', 'clusterIP: None'),
    svc('e', 'type: ExternalName, externalName: x.y'),
  ); // prettier-ignore
  const ips = c.services.map((s) => s.spec.clusterIP);
  assert.equal(ips, ['10.96.1.1', '10.96.1.2', '10.96.1.3', 'None', '']);
  const ports = c.services.map((s) => s.spec.ports.map((p) => p.nodePort));
  assert.equal(ports, [[30086, 30086, 30088], [30087], [0], [], []]);
  assert.is(c.services[1]!.spec.healthCheckNodePort, 30089);
});
Controllers('reconcile() leaves the scenario as it was', () => {
  const s = parseScenario(`kind: Scenario\nmetadata: { name: t }\nspec:\n  nodes:${NODES}\n  objects:\n  - ${pod('p')}\n  - ${svc('a', 'type: NodePort, ports: [ { port: 1 } ]')}\n`, 's.yaml', () => ''); // prettier-ignore
  const before = JSON.stringify(s.objects);
  reconcile(s);
  assert.is(JSON.stringify(s.objects), before);
});

Controllers('a slice has the pods of its Service: ready, serving and terminating as they are', () => {
  const c = cluster(
    pod('ok', 'nodeName: node1', 'app: x'),
    pod('unready', 'nodeName: node2', 'app: x', ', status: { conditions: [ { type: Ready, status: "False" } ] }'),
    pod('going', 'nodeName: node2', 'app: x').replace('metadata: {', 'metadata: { deletionTimestamp: "2024-01-01T00:00:00Z",'),
    pod('ended', 'nodeName: node2', 'app: x', ', status: { phase: Succeeded }'),
    pod('other', 'nodeName: node2', 'app: y'),
    svc('x', 'selector: { app: x }, ports: [ { port: 80, targetPort: http } ]'),
    svc('all', 'selector: { app: x }, ports: [ { port: 80 } ], publishNotReadyAddresses: true'),
  ); // prettier-ignore
  const conditions = (i: number): unknown => c.slices[i]!.endpoints.map((e) => [e.targetRef!.name, e.conditions.ready, e.conditions.serving, e.conditions.terminating]); // prettier-ignore
  assert.equal(conditions(0), [['ok', true, true, false], ['unready', false, false, false], ['going', false, true, true]]); // prettier-ignore
  assert.equal(conditions(1), [['ok', true, true, false], ['unready', true, false, false], ['going', true, true, true]]); // prettier-ignore
  assert.equal(c.slices[0]!.ports, [{ name: '', protocol: 'TCP', port: 8080 }]);
  assert.equal([c.slices[0]!.endpoints[0]!.zone, c.slices[0]!.endpoints[1]!.zone], ['a', '']);
  const [x, all] = c.endpoints.map((e) => e.subsets[0]!);
  assert.equal([x!.addresses.length, x!.notReadyAddresses.length], [1, 1]);
  assert.equal([all!.addresses.length, all!.notReadyAddresses.length], [3, 0]);
});
Controllers('a named target port is looked up pod by pod: one slice for each number', () => {
  const c = cluster(
    pod('p', 'nodeName: node1', 'app: d'),
    dep('d', 1),
    pod('none', 'nodeName: node1', 'app: d').replace('name: http, ', ''),
    svc('x', 'selector: { app: d }, ports: [ { port: 80, targetPort: http } ]'),
  );
  assert.equal(c.slices.map((e) => [e.ports.map((p) => p.port), e.endpoints.length]), [[[8080], 1], [[], 1], [[80], 1]]); // prettier-ignore
  assert.is(new Set(c.slices.map((e) => e.metadata.name)).size, 3);
});
Controllers('slices hold a hundred endpoints; a Service without any has an empty one', () => {
  const c = cluster(
    dep('d', 205, 'nodeSelector: { disk: ssd },'),
    svc('x', 'selector: { app: d }, ports: [ { port: 80 } ]'),
    svc('e', 'selector: { app: e }, ports: [ { port: 80 } ]'),
  );
  assert.equal(c.slices.map((e) => e.endpoints.length), [100, 100, 5, 0]); // prettier-ignore
  assert.equal(c.slices[3]!.ports, []);
  assert.equal(c.endpoints[1]!.subsets, []);
});
Controllers('hand-written Endpoints are mirrored for a Service without a selector, and only then', () => {
  const ep = (name: string, labels = ''): string => `{ apiVersion: v1, kind: Endpoints, metadata: { name: ${name}, labels: { ${labels} } }, subsets: [ { addresses: [ { ip: 10.9.9.9 } ], notReadyAddresses: [ { ip: 10.9.9.8 } ], ports: [ { port: 80 } ] } ] }`; // prettier-ignore
  const c = cluster(
    svc('plain', 'ports: [ { port: 80 } ]'), ep('plain', 'a: b'),
    svc('skip', 'ports: [ { port: 80 } ]'), ep('skip', 'endpointslice.kubernetes.io/skip-mirror: "true"'),
    svc('chosen', 'selector: { a: b }, ports: [ { port: 80 } ]'), ep('chosen'),
    ep('alone'),
  ); // prettier-ignore
  const mirrored = c.slices.filter((e) => e.endpoints.length > 0);
  assert.is(mirrored.length, 1);
  assert.equal(mirrored[0]!.metadata.labels, { a: 'b', 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io', 'kubernetes.io/service-name': 'plain' }); // prettier-ignore
  assert.equal(mirrored[0]!.endpoints.map((e) => [e.addresses[0], e.conditions.ready]), [['10.9.9.9', true], ['10.9.9.8', false]]); // prettier-ignore
  assert.is(c.warnings[0], 'Endpoints "chosen" is replaced by what the selector of its Service chooses');
});
Controllers("a slice of the controller's own, given by hand, is not made again", () => {
  const given = '{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: x-abcde, labels: { kubernetes.io/service-name: x, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io } }, addressType: IPv4, endpoints: [ { addresses: [ 10.9.9.9 ] } ] }'; // prettier-ignore
  assert.is(cluster(given, svc('x', 'selector: { a: b }, ports: [ { port: 80 } ]')).slices.length, 1);
  assert.is(cluster(given.replace('endpointslice-controller.k8s.io', 'me'), svc('x', 'selector: { a: b }, ports: [ { port: 80 } ]')).slices.length, 2); // prettier-ignore
});
Controllers('pods that a ReplicaSet of the Deployment owns already count as replicas', () => {
  const c = cluster(pod('d-abc-1', 'nodeName: node1', 'app: d').replace('metadata: {', 'metadata: { ownerReferences: [ { apiVersion: apps/v1, kind: ReplicaSet, name: d-abc, uid: u } ],'), dep('d', 2)); // prettier-ignore
  assert.is(c.pods.length, 2);
});
Controllers('generateName() keeps to 63 characters and never gives a name twice', () => {
  const taken = new Set<string>();
  const a = generateName(`${'x'.repeat(70)}-`, 'seed', taken);
  const b = generateName(`${'x'.repeat(70)}-`, 'seed', taken);
  assert.is(a.length, 63);
  assert.is.not(a, b);
});
Controllers('portHash() is what Kubernetes sorts the ports of Endpoints by', () => {
  assert.is(portHash({ name: 'dns', protocol: 'UDP', port: 53 }), '3e9daf8e22f0b0da6aaa1a1b052ee929');
  assert.is(portHash({ name: '', protocol: 'TCP', port: 8080 }), 'ca90e29ee3665e5029fabda7c226b84c');
});
const workload = (kind: string, name: string, spec: string): string =>
  `{ apiVersion: apps/v1, kind: ${kind}, metadata: { name: ${name} }, spec: { ${spec} selector: { matchLabels: { app: ${name} } }, template: { metadata: { labels: { app: ${name} } }, spec: { containers: [ { name: a, image: busybox } ] } } } }`;
Controllers('a StatefulSet has its ordinals, with host names and labels; pods by hand of those names count', () => {
  const c = cluster(workload('StatefulSet', 's', 'replicas: 3, serviceName: h, ordinals: { start: 1 },'), pod('s-2', 'nodeName: node1')); // prettier-ignore
  assert.equal(
    c.pods.map((p) => p.metadata.name),
    ['s-2', 's-1', 's-3'],
  );
  const p = c.pods[1]!;
  assert.equal([p.spec.hostname, p.spec.subdomain], ['s-1', 'h']);
  assert.is(p.metadata.labels['apps.kubernetes.io/pod-index'], '1');
});
Controllers('a DaemonSet has a pod on every node that its pods tolerate, cordoned ones too', () => {
  const c = cluster(node('node1', 'unschedulable: true'), node('node2', 'taints: [ { key: a, effect: NoSchedule } ]'), workload('DaemonSet', 'd', '')); // prettier-ignore
  assert.equal(on(c), ['node1', 'node3']);
  assert.match(c.pods[0]!.metadata.name, /^d-[a-z0-9]{5}$/);
});
Controllers('a ReplicaSet by hand has its replicas; a Deployment has one ReplicaSet', () => {
  const c = cluster(workload('ReplicaSet', 'r', 'replicas: 2,'), dep('d', 1));
  assert.is(c.pods.filter((p) => p.metadata.name.startsWith('r-')).length, 2);
  assert.equal(c.replicaSets.map((r) => [r.metadata.name.replace(/-\w{10}$/, '*'), r.spec.replicas]), [['r', 2], ['d*', 1]]); // prettier-ignore
});
Controllers.run();
