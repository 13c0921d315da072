/**
 * What the control plane derives: pods of Deployments, their nodes and addresses, cluster IPs, EndpointSlices.
 *
 * Given values (`nodeName`, `status.podIP`, `clusterIP`, EndpointSlice objects) are respected. Names that the real
 * controllers draw at random are hashes here: the same input gives the same names.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { aton, maskOf, ntoa } from '../../wire/inet.js';
import { InputError } from '../sim/input-error.js';
import { EPOCH } from './api/manifest.js';
import type {
  Deployment,
  EndpointSlice,
  KubeObject,
  LabelSelector,
  ObjectMeta,
  Pod,
  PodTemplate,
  Service,
} from './api/types.js';
import type { Scenario } from './scenario.js';

export interface Cluster {
  scenario: Scenario;
  pods: Pod[];
  services: Service[];
  slices: EndpointSlice[];
  deployments: Deployment[];
  objects: KubeObject[];
}

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
/** The names' random part (rand.SafeEncodeString's alphabet), from a hash. */
const suffix = (text: string, n: number): string =>
  Array.from(sha256(new TextEncoder().encode(text)).subarray(0, n), (b) => ALPHABET[b % ALPHABET.length]).join('');

const objectMeta = (name: string, namespace: string, labels: Record<string, string>): ObjectMeta => ({
  name, namespace, uid: `${namespace}/${name}`, labels, annotations: {}, creationTimestamp: EPOCH, ownerReferences: [],
}); // prettier-ignore

/** Runs the controllers once over a scenario's objects. */
export function reconcile(s: Scenario): Cluster {
  const objects = [...s.objects, ...corednsObjects(s)];
  const of = <K extends KubeObject['kind']>(k: K): Extract<KubeObject, { kind: K }>[] =>
    objects.filter((o): o is Extract<KubeObject, { kind: K }> => o.kind === k);
  const deployments = of('Deployment');
  const pods = [...of('Pod'), ...deployments.flatMap(podsOf)];
  place(s, pods);
  assignPodIPs(s, pods);
  const services = of('Service');
  assignClusterIPs(s, services);
  const slices = [...of('EndpointSlice')];
  for (const svc of services) {
    if (Object.keys(svc.spec.selector).length > 0 && svc.spec.type !== 'ExternalName') slices.push(sliceFor(svc, pods));
  }
  for (const e of of('Endpoints')) {
    const svc = services.find(
      (x) => x.metadata.name === e.metadata.name && x.metadata.namespace === e.metadata.namespace,
    );
    if (svc !== undefined && Object.keys(svc.spec.selector).length > 0) continue;
    e.subsets.forEach((sub, i) =>
      slices.push({
        kind: 'EndpointSlice',
        metadata: objectMeta(`${e.metadata.name}-${suffix(`mirror/${e.metadata.name}/${i}`, 5)}`, e.metadata.namespace, { 'kubernetes.io/service-name': e.metadata.name }),
        addressType: 'IPv4',
        endpoints: [...sub.addresses.map((a) => ({ a, ready: true })), ...sub.notReadyAddresses.map((a) => ({ a, ready: false }))].map(({ a, ready }) => ({
          addresses: [a.ip], conditions: { ready, serving: ready, terminating: false }, hostname: a.hostname, nodeName: a.nodeName, zone: '',
          hints: { forZones: [], forNodes: [] }, targetRef: a.targetRef,
        })),
        ports: sub.ports,
      }),
    ); // prettier-ignore
  }
  const rest = objects.filter((o) => !['Pod', 'EndpointSlice', 'Endpoints'].includes(o.kind));
  return { scenario: s, pods, services, slices, deployments, objects: [...rest, ...pods, ...slices] };
}

function podsOf(d: Deployment): Pod[] {
  const hash = suffix(`rs/${d.metadata.namespace}/${d.metadata.name}`, 10);
  return Array.from({ length: d.spec.replicas }, (_, i) =>
    podFrom(
      d.spec.template,
      `${d.metadata.name}-${hash}-${suffix(`pod/${d.metadata.namespace}/${d.metadata.name}/${i}`, 5)}`,
      d.metadata.namespace,
      hash,
    ),
  );
}

function podFrom(t: PodTemplate, name: string, namespace: string, hash: string): Pod {
  const meta = objectMeta(name, namespace, { ...t.metadata.labels, 'pod-template-hash': hash });
  return {
    kind: 'Pod',
    metadata: {
      ...meta,
      annotations: { ...t.metadata.annotations },
      ownerReferences: [{ kind: 'ReplicaSet', name: name.slice(0, -6) }],
    },
    spec: { ...t.spec },
    status: { podIP: '', hostIP: '', phase: 'Pending', ready: false },
  };
}

/** The scheduler reduced to spreading: the node with the fewest pods, in node order. */
function place(s: Scenario, pods: Pod[]): void {
  const load = new Map(s.nodes.map((n) => [n.name, 0]));
  for (const p of pods) {
    if (p.spec.nodeName === '') continue;
    if (!load.has(p.spec.nodeName))
      throw new InputError(
        s.file,
        0,
        0,
        `Pod "${p.metadata.name}": nodeName: found "${p.spec.nodeName}", expected one of: ${[...load.keys()].join(', ')}`,
      );
    load.set(p.spec.nodeName, load.get(p.spec.nodeName)! + 1);
  }
  for (const p of pods) {
    if (p.spec.nodeName !== '') continue;
    const fit = s.nodes.filter((n) =>
      Object.entries(p.spec.nodeSelector).every(
        ([k, v]) => n.labels[k] === v || (k === 'kubernetes.io/hostname' && v === n.name),
      ),
    );
    if (fit.length === 0)
      throw new InputError(s.file, 0, 0, `Pod "${p.metadata.name}": no node matches its nodeSelector`);
    const best = fit.reduce((a, b) => (load.get(b.name)! < load.get(a.name)! ? b : a));
    p.spec = { ...p.spec, nodeName: best.name };
    load.set(best.name, load.get(best.name)! + 1);
  }
}

/** host-local: round robin from the gateway on; a given status.podIP is kept and must lie in the node's podCIDR. */
function assignPodIPs(s: Scenario, pods: Pod[]): void {
  for (const node of s.nodes) {
    const [base, bits] = node.podCIDR.split('/') as [string, string];
    const net = aton(base)!;
    const mask = maskOf(Number(bits));
    const mine = pods.filter((p) => p.spec.nodeName === node.name);
    const taken = new Set<number>();
    for (const p of mine) {
      p.status = { ...p.status, hostIP: node.addresses[0]!.split('/')[0]!, phase: 'Running', ready: true };
      if (p.spec.hostNetwork) p.status.podIP = p.status.hostIP;
      else if (p.status.podIP !== '') {
        const a = aton(p.status.podIP)!;
        const why =
          (a & mask) !== net
            ? `expected an address in ${node.podCIDR} of ${node.name}`
            : taken.has(a)
              ? 'it is taken'
              : '';
        if (why !== '')
          throw new InputError(s.file, 0, 0, `Pod "${p.metadata.name}": status.podIP: found ${p.status.podIP}, ${why}`);
        taken.add(a);
      }
    }
    let next = net + 2;
    for (const p of mine) {
      if (p.status.podIP !== '') continue;
      while (taken.has(next)) next++;
      if ((next & mask) !== net || next === (net | ~mask))
        throw new InputError(s.file, 0, 0, `no address left in ${node.podCIDR} for Pod "${p.metadata.name}"`);
      taken.add(next);
      p.status.podIP = ntoa(next);
    }
  }
}

function assignClusterIPs(s: Scenario, services: Service[]): void {
  const [base, bits] = s.serviceSubnet.split('/') as [string, string];
  const net = aton(base)!;
  const mask = maskOf(Number(bits));
  const taken = new Map<number, string>();
  for (const v of services) {
    if (v.spec.clusterIP === '' || v.spec.clusterIP === 'None') continue;
    const a = aton(v.spec.clusterIP);
    if (a === null) continue; // IPv6: only CoreDNS tells it
    const bad =
      (a & mask) !== net
        ? `expected an address in ${s.serviceSubnet}`
        : taken.has(a)
          ? `it is taken by "${taken.get(a)}"`
          : '';
    if (bad !== '')
      throw new InputError(
        s.file,
        0,
        0,
        `Service "${v.metadata.name}": spec.clusterIP: found ${v.spec.clusterIP}, ${bad}`,
      );
    taken.set(a, v.metadata.name);
  }
  let next = net + 11;
  for (const v of services) {
    if (v.spec.clusterIP !== '' || v.spec.type === 'ExternalName') continue;
    while (taken.has(next)) next++;
    taken.set(next, v.metadata.name);
    v.spec.clusterIP = ntoa(next);
    v.spec.clusterIPs = [v.spec.clusterIP];
  }
}

/** labels.Selector. */
export function selects(sel: LabelSelector | Record<string, string>, labels: Record<string, string>): boolean {
  const s =
    'matchLabels' in sel
      ? (sel as LabelSelector)
      : { matchLabels: sel as Record<string, string>, matchExpressions: [] };
  return Object.entries(s.matchLabels).every(([k, v]) => labels[k] === v);
}

/** The EndpointSlice controller for one Service: a slice named `<service>-<5>`, endpoints in pod order. */
function sliceFor(svc: Service, pods: Pod[]): EndpointSlice {
  const chosen = pods.filter(
    (p) => p.metadata.namespace === svc.metadata.namespace && selects(svc.spec.selector, p.metadata.labels),
  );
  const portOf = (target: number | string): number => {
    if (typeof target === 'number') return target;
    for (const p of chosen)
      for (const c of p.spec.containers) for (const x of c.ports) if (x.name === target) return x.containerPort;
    return 0;
  };
  return {
    kind: 'EndpointSlice',
    metadata: {
      ...objectMeta(
        `${svc.metadata.name}-${suffix(`slice/${svc.metadata.namespace}/${svc.metadata.name}`, 5)}`,
        svc.metadata.namespace,
        { 'kubernetes.io/service-name': svc.metadata.name },
      ),
      ownerReferences: [{ kind: 'Service', name: svc.metadata.name }],
    },
    addressType: 'IPv4',
    endpoints: chosen.map((p) => ({
      addresses: [p.status.podIP],
      conditions: { ready: true, serving: true, terminating: false },
      hostname: p.spec.hostname !== '' && p.spec.subdomain === svc.metadata.name ? p.spec.hostname : '',
      nodeName: p.spec.nodeName,
      zone: '',
      hints: { forZones: [], forNodes: [] },
      targetRef: { kind: 'Pod', name: p.metadata.name, namespace: p.metadata.namespace },
    })),
    ports: svc.spec.ports
      .map((p) => ({ name: p.name, protocol: p.protocol, port: portOf(p.targetPort) }))
      .filter((p) => p.port !== 0),
  };
}

/** kubeadm's CoreDNS: Deployment coredns and Service kube-dns at the tenth address of the service subnet. */
function corednsObjects(s: Scenario): KubeObject[] {
  if (s.coredns === null) return [];
  const labels = { 'k8s-app': 'kube-dns' };
  const ip = ntoa(aton(s.serviceSubnet.split('/')[0]!)! + 10);
  const port = (name: string, protocol: 'UDP' | 'TCP', n: number) => ({
    name,
    protocol,
    port: n,
    targetPort: n,
    nodePort: 0,
  });
  return [
    {
      kind: 'Deployment',
      metadata: objectMeta('coredns', 'kube-system', labels),
      spec: {
        replicas: s.coredns.replicas,
        selector: { matchLabels: labels, matchExpressions: [] },
        template: {
          metadata: { labels, annotations: {} },
          spec: {
            nodeName: '', hostname: '', subdomain: '', hostNetwork: false, dnsPolicy: 'Default', nodeSelector: {},
            dnsConfig: { nameservers: [], searches: [], options: [] },
            containers: [{ name: 'coredns', image: 'registry.k8s.io/coredns/coredns:v1.12.1', command: [], args: [], env: [], ports: [{ name: 'dns', containerPort: 53, protocol: 'UDP' }] }],
          },
        },
      },
    },
    {
      kind: 'Service',
      metadata: objectMeta('kube-dns', 'kube-system', labels),
      spec: {
        type: 'ClusterIP', clusterIP: ip, clusterIPs: [ip], externalIPs: [], externalName: '', selector: labels, sessionAffinity: 'None',
        sessionAffinityTimeoutSeconds: 10800, externalTrafficPolicy: 'Cluster', internalTrafficPolicy: 'Cluster', loadBalancerSourceRanges: [],
        healthCheckNodePort: 0, publishNotReadyAddresses: false, ports: [port('dns', 'UDP', 53), port('dns-tcp', 'TCP', 53), port('metrics', 'TCP', 9153)],
      },
      status: { loadBalancer: { ingress: [] } },
    },
  ]; // prettier-ignore
}
