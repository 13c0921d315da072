/**
 * What the control plane derives from a scenario's objects: nodes, pods of workloads, their places and addresses,
 * cluster IPs and node ports, EndpointSlices and Endpoints.
 *
 * Given values (`nodeName`, `status.podIP`, `clusterIP`, EndpointSlice objects) are respected. What the real controllers choose
 * at random is chosen by a written rule, said at its place in controllers/. Not here: capacities of nodes, anything that happens
 * after the start.
 * @module
 */
import { Address4 } from 'ip-address';
import { failAt, placeOf } from './api/meta.js';
import { STORED } from './api/stored.js';
import type {
  DaemonSet,
  Deployment,
  Endpoints,
  EndpointSlice,
  KubeObject,
  Namespace,
  Node,
  Pod,
  ReplicaSet,
  Service,
  StatefulSet,
} from './api/types.js';
import { assignBalancers } from './cloud/load-balancer-commands.js';
import { assignPool } from './cloud/metallb.js';
import { cniPlugin } from './cni/index.js';
import type { CniPlugin } from './cni/plugin.js';
import { apiServerObjects } from './controllers/api-server.js';
import { corednsObjects } from './controllers/coredns.js';
import { hasSelector, isControllers, mirror, slicesOf } from './controllers/endpoint-slices.js';
import { endpointsOf } from './controllers/endpoints.js';
import { assignPodIPs } from './controllers/ipam.js';
import { derivedMeta } from './controllers/names.js';
import { said } from './controllers/said.js';
import { schedule } from './controllers/scheduler.js';
import { assignClusterIPs, assignNodePorts } from './controllers/services.js';
import { podsOfWorkloads } from './controllers/workloads.js';
import { ingressObjects } from './ingress/install.js';
import type { Machine, Scenario } from './scenario.js';

export interface Cluster {
  scenario: Scenario;
  nodes: Node[];
  namespaces: Namespace[];
  pods: Pod[];
  services: Service[];
  slices: EndpointSlice[];
  /** Those of the manifests. */
  givenSlices: EndpointSlice[];
  endpoints: Endpoints[];
  deployments: Deployment[];
  replicaSets: ReplicaSet[];
  statefulSets: StatefulSet[];
  daemonSets: DaemonSet[];
  objects: KubeObject[];
  /** With the addresses of these pods taken, and nothing set up on the nodes. */
  cni: CniPlugin;
  /** What the controllers could not do, in words. */
  warnings: string[];
}

/** Runs the controllers once over a scenario's objects. Throws InputError where they ask for what cannot be. */
export function reconcile(s: Scenario): Cluster {
  const objects = [...s.objects, ...apiServerObjects(s), ...corednsObjects(s), ...ingressObjects(s)];
  const of = <K extends KubeObject['kind']>(k: K): Extract<KubeObject, { kind: K }>[] =>
    objects.filter((o): o is Extract<KubeObject, { kind: K }> => o.kind === k);
  const warnings: string[] = [];
  const namespaces = namespacesOf(s.file, of('Namespace'), objects);
  const nodes = nodesOf(s, of('Node'));
  const workloads = {
    deployments: of('Deployment'),
    replicaSets: of('ReplicaSet'),
    statefulSets: of('StatefulSet'),
    daemonSets: of('DaemonSet'),
  };
  const given = of('Pod').map((p) => ({ ...p }));
  const made = podsOfWorkloads(s.file, workloads, nodes, given);
  const { replicaSets } = made;
  const { deployments, statefulSets, daemonSets } = workloads;
  const pods = [...given, ...made.pods];
  schedule(s.file, nodes, pods, warnings);
  const cni = cniPlugin({ ...s, namespaces: namespaces.map((n) => n.metadata.name) });
  assignPodIPs(s.file, s.nodes, pods, cni.ipam);
  for (const p of pods) if (p.spec.nodeName !== '' && !p.spec.hostNetwork) netnsName(s.file, p);
  const services = of('Service').map((v) => ({
    ...v,
    spec: { ...v.spec, ports: v.spec.ports.map((p) => ({ ...p })) },
  }));
  ipv4Only(s.file, services, of('EndpointSlice'));
  assignClusterIPs(s.file, s.serviceSubnet, services);
  assignNodePorts(s.file, services);
  assignBalancers(s, services);
  assignPool(s, services);
  const slices = [...of('EndpointSlice')];
  const endpoints: Endpoints[] = [];
  for (const svc of services.filter(hasSelector)) {
    if (!slices.some((e) => isControllers(e, svc))) slices.push(...slicesOf(svc, pods, nodes));
    endpoints.push(endpointsOf(svc, pods));
  }
  for (const e of of('Endpoints')) {
    const { name, namespace } = e.metadata;
    if (endpoints.some((x) => x.metadata.name === name && x.metadata.namespace === namespace)) {
      warnings.push(`Endpoints "${name}" is replaced by what the selector of its Service chooses`);
      continue;
    }
    endpoints.push(e);
    slices.push(...mirror(e, services));
  }
  const policies = [...of('NetworkPolicy'), ...of('NetworkPolicy.projectcalico.org'), ...of('GlobalNetworkPolicy')];
  calicoOnly(s, policies);
  cni.policy?.watch(() => ({ pods, namespaces, accounts: of('ServiceAccount'), policies }));
  for (const text of [...said(objects, services, slices, pods, s.cni), ...(cni.said ?? [])]) warnings.push(text);
  const all = [
    ...namespaces,
    ...nodes,
    ...deployments,
    ...replicaSets,
    ...statefulSets,
    ...daemonSets,
    ...services,
    ...endpoints,
    ...pods,
    ...slices,
    ...of('IngressClass'),
    ...of('Ingress'),
    ...of('Gateway.networking.istio.io'),
    ...of('VirtualService'),
    ...policies,
    ...of('PeerAuthentication'),
    ...objects.filter((o) => Object.hasOwn(STORED, o.kind)),
  ];
  return {
    scenario: s,
    nodes,
    namespaces,
    pods,
    services,
    slices,
    givenSlices: of('EndpointSlice'),
    endpoints,
    deployments,
    replicaSets,
    statefulSets,
    daemonSets,
    objects: all,
    cni,
    warnings,
  };
}

/** Calico's own kinds come with Calico. */
function calicoOnly(s: Scenario, policies: readonly KubeObject[]): void {
  const own = policies.find((p) => p.kind !== 'NetworkPolicy');
  if (own === undefined || s.cni.plugin === 'calico') return;
  const at = placeOf(own)!;
  at.req('kind').fail(`no matches for kind "${at.req('kind').str()}" in version "${at.req('apiVersion').str()}" (cni.plugin is ${s.cni.plugin}, expected calico)`); // prettier-ignore
}

/** The data plane carries IPv4; what would need more is refused here (CoreDNS alone can be told of IPv6). */
function ipv4Only(file: string, services: Service[], slices: EndpointSlice[]): void {
  for (const v of services) {
    const families = placeOf(v)?.deep('spec.ipFamilies').plain();
    const v6 = v.spec.clusterIPs.findIndex((ip) => ip.includes(':'));
    const list = Array.isArray(families) ? families.indexOf('IPv6') : -1;
    if (list >= 0) failAt(file, v, `spec.ipFamilies[${list}]`, 'found IPv6, expected IPv4 (IPv6 is not supported yet)');
    if (v6 >= 0) failAt(file, v, v6 === 0 ? 'spec.clusterIP' : 'spec.clusterIPs[1]', `found ${v.spec.clusterIPs[v6]}, expected an IPv4 address (IPv6 is not supported yet)`); // prettier-ignore
    if (v.spec.ipFamilyPolicy === 'RequireDualStack')
      failAt(file, v, 'spec.ipFamilyPolicy', 'found RequireDualStack, expected SingleStack or PreferDualStack: this cluster is not configured for dual-stack services'); // prettier-ignore
  }
  for (const e of slices) {
    if (e.addressType === 'IPv6')
      failAt(file, e, 'addressType', 'found IPv6, expected IPv4 (IPv6 is not supported yet)');
  }
}

/** The namespaces of a new cluster and those of the manifests; every object's has to be one of them. */
function namespacesOf(file: string, given: Namespace[], objects: KubeObject[]): Namespace[] {
  const all = given.map((n) => {
    const labels: Record<string, string> = { ...n.metadata.labels, 'kubernetes.io/metadata.name': n.metadata.name };
    return { ...n, metadata: { ...n.metadata, labels } };
  });
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system']) {
    if (!given.some((n) => n.metadata.name === name))
      all.push({ kind: 'Namespace', metadata: derivedMeta(name, '', { 'kubernetes.io/metadata.name': name }) });
  }
  const known = new Set(all.map((n) => n.metadata.name));
  for (const o of objects) {
    const ns = o.metadata.namespace;
    if (ns !== '' && !known.has(ns))
      failAt(file, o, 'metadata.namespace', `found namespace "${ns}", expected one that exists: namespaces "${ns}" not found (add a Namespace object)`); // prettier-ignore
  }
  return all;
}

/** A network namespace is a file in /run/netns. */
function netnsName(file: string, p: Pod): void {
  const name = `${p.metadata.namespace}_${p.metadata.name}`;
  if (name.length > 255)
    failAt(file, p, 'metadata.name', `found a namespace and a name of ${name.length} characters, expected at most 255 (the name of a network namespace)`); // prettier-ignore
}

/** The machines as Node objects, with what Node manifests of the same names add. */
function nodesOf(s: Scenario, given: Node[]): Node[] {
  for (const n of given) {
    if (!s.nodes.some((m) => m.name === n.metadata.name))
      failAt(s.file, n, 'metadata.name', `found a Node without a machine, expected one of spec.nodes: ${s.nodes.map((m) => m.name).join(', ')}`); // prettier-ignore
  }
  return s.nodes.map((m) => nodeOf(s.file, m, given.find((n) => n.metadata.name === m.name) ?? null)); // prettier-ignore
}

function nodeOf(file: string, m: Machine, given: Node | null): Node {
  const addresses = [
    ...m.addresses.map((a) => ({ type: 'InternalIP', address: a.split('/')[0]! })),
    ...(m.publicAddress === undefined ? [] : [{ type: 'ExternalIP' as const, address: m.publicAddress }]),
    { type: 'Hostname', address: m.name },
  ];
  const own = { 'kubernetes.io/hostname': m.name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' };
  if (given === null) {
    return {
      kind: 'Node',
      metadata: derivedMeta(m.name, '', { ...own, ...m.labels }),
      spec: { podCIDR: m.podCIDR, unschedulable: false, taints: [] },
      status: {
        addresses,
        ready: true,
        nodeInfo: { kubeletVersion: '', osImage: '', kernelVersion: '', containerRuntimeVersion: '' },
      },
    };
  }
  if (given.spec.podCIDR !== '' && given.spec.podCIDR !== m.podCIDR)
    failAt(file, given, 'spec.podCIDR', `found podCIDR ${given.spec.podCIDR}, expected that of the machine: ${m.podCIDR}`); // prettier-ignore
  for (const [i, a] of given.status.addresses.entries()) {
    if (a.type === 'InternalIP' && Address4.isValid(a.address) && !addresses.some((x) => x.address === a.address))
      failAt(file, given, `status.addresses[${i}].address`, `found InternalIP ${a.address}, expected one of the machine's: ${addresses.map((x) => x.address).join(', ')}`); // prettier-ignore
  }
  const external = given.status.addresses.filter((a) => a.type === 'ExternalIP' || a.type.endsWith('DNS'));
  if (!given.status.ready)
    placeOf(given)?.deep('status.conditions').fail('found a Node that is not ready, expected Ready (nodes that fail are not supported yet)'); // prettier-ignore
  return {
    ...given,
    metadata: { ...given.metadata, labels: { ...own, ...m.labels, ...given.metadata.labels } },
    spec: { ...given.spec, podCIDR: m.podCIDR },
    status: { ...given.status, addresses: [...addresses, ...external] },
  };
}
