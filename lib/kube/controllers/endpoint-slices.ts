/**
 * EndpointSlices of Services (endpointslice controller) and of Endpoints written by hand (endpointslicemirroring controller).
 *
 * Upstream: staging/src/k8s.io/endpointslice, pkg/controller/endpointslicemirroring. Both keep endpoints in Go maps, so their
 * order inside a slice is random; here it is that of the pods, or of the subset.
 * @module
 */
import { mapSelector, selects } from '../api/selector.js';
import type { Endpoint, Endpoints, EndpointSlice, Node, ObjectMeta, Pod, Protocol, Service } from '../api/types.js';
import { derivedMeta, suffix } from './names.js';

const SERVICE = 'kubernetes.io/service-name';
const MANAGED = 'endpointslice.kubernetes.io/managed-by';
const CONTROLLER = 'endpointslice-controller.k8s.io';
const MIRRORING = 'endpointslicemirroring-controller.k8s.io';
const HEADLESS = 'service.kubernetes.io/headless';
const ZONE = 'topology.kubernetes.io/zone';
/** --max-endpoints-per-slice, --mirroring-max-endpoints-per-subset. */
const MAX_ENDPOINTS = 100;
const MAX_MIRRORED = 1000;

type Ports = { name: string; protocol: Protocol; port: number }[];

/** FindPort: the number of a target port in one pod; null when none of its containers has that name and protocol. */
export function findPort(p: Pod, target: number | string, protocol: Protocol): number | null {
  if (typeof target === 'number') return target;
  for (const c of p.spec.containers)
    for (const x of c.ports) if (x.name === target && x.protocol === protocol) return x.containerPort;
  return null;
}

/** The pods behind a Service: chosen by its selector, with an address, not ended (ShouldPodBeInEndpoints). */
export function podsBehind(svc: Service, pods: Pod[]): Pod[] {
  const wanted = mapSelector(svc.spec.selector);
  return pods.filter(
    (p) =>
      p.metadata.namespace === svc.metadata.namespace &&
      p.status.podIP !== '' &&
      p.status.phase !== 'Succeeded' &&
      p.status.phase !== 'Failed' &&
      selects(wanted, p.metadata.labels),
  );
}

/** True when the endpoints of a Service are derived from pods. */
export const hasSelector = (s: Service): boolean =>
  s.spec.type !== 'ExternalName' && Object.keys(s.spec.selector).length > 0;

function slice(name: string, owner: ObjectMeta, kind: string, labels: Record<string, string>, ports: Ports, endpoints: Endpoint[]): EndpointSlice {
  return {
    kind: 'EndpointSlice',
    metadata: { ...derivedMeta(name, owner.namespace, labels), ownerReferences: [{ kind, name: owner.name }] },
    addressType: 'IPv4',
    endpoints,
    ports,
  };
} // prettier-ignore

function chunks<T>(list: T[], n: number): T[][] {
  const out: T[][] = [];
  for (let i = 0; i < list.length; i += n) out.push(list.slice(i, i + n));
  return out;
}

function endpointOf(svc: Service, p: Pod, zones: Map<string, string>): Endpoint {
  const terminating = p.metadata.deletionTimestamp !== undefined;
  return {
    addresses: [p.status.podIP],
    conditions: {
      ready: svc.spec.publishNotReadyAddresses || (p.status.ready && !terminating),
      serving: p.status.ready,
      terminating,
    },
    hostname: p.spec.subdomain === svc.metadata.name ? p.spec.hostname : '',
    nodeName: p.spec.nodeName,
    zone: zones.get(p.spec.nodeName) ?? '',
    hints: { forZones: [], forNodes: [] },
    targetRef: { kind: 'Pod', name: p.metadata.name, namespace: p.metadata.namespace },
  };
}

/** Labels of a Service's slices: the Service's own, the controller's on top. */
const sliceLabels = (svc: Service): Record<string, string> => ({
  ...svc.metadata.labels,
  ...(svc.spec.clusterIP === 'None' ? { [HEADLESS]: '' } : {}),
  [MANAGED]: CONTROLLER,
  [SERVICE]: svc.metadata.name,
});

/** Name of the n-th slice of an owner: generateName `<owner>-`, with this project's hash for the random part. */
const sliceName = (owner: ObjectMeta, seed: string, n: number): string =>
  `${owner.name}-`.slice(0, 58) + suffix(`${seed}/${owner.namespace}/${owner.name}${n === 0 ? '' : `/${n}`}`, 5);

/**
 * The slices of a Service with a selector: one port list a slice (a named target port may differ from pod to pod), 100
 * endpoints each; a Service without endpoints has one empty slice.
 */
export function slicesOf(svc: Service, pods: Pod[], nodes: Node[]): EndpointSlice[] {
  const zones = new Map(nodes.map((n) => [n.metadata.name, n.metadata.labels[ZONE] ?? '']));
  const groups = new Map<string, { ports: Ports; endpoints: Endpoint[] }>();
  for (const p of podsBehind(svc, pods)) {
    const ports: Ports = [];
    for (const x of svc.spec.ports) {
      const port = findPort(p, x.targetPort, x.protocol);
      if (port !== null) ports.push({ name: x.name, protocol: x.protocol, port });
    }
    const key = JSON.stringify(ports);
    if (!groups.has(key)) groups.set(key, { ports, endpoints: [] });
    groups.get(key)!.endpoints.push(endpointOf(svc, p, zones));
  }
  const parts = [...groups.values()].flatMap((g) =>
    chunks(g.endpoints, MAX_ENDPOINTS).map((endpoints) => ({ ports: g.ports, endpoints })),
  );
  if (parts.length === 0) parts.push({ ports: [], endpoints: [] });
  return parts.map((x, i) =>
    slice(sliceName(svc.metadata, 'slice', i), svc.metadata, 'Service', sliceLabels(svc), x.ports, x.endpoints),
  );
}

/** True for a slice that the endpointslice controller made for a Service, as `kubectl get -o yaml` shows it. */
export const isControllers = (e: EndpointSlice, svc: Service): boolean =>
  e.metadata.namespace === svc.metadata.namespace &&
  e.metadata.labels[SERVICE] === svc.metadata.name &&
  e.metadata.labels[MANAGED] === CONTROLLER;

/** True for a slice that mirrors the Endpoints object of a Service without a selector. */
export const isMirrored = (e: EndpointSlice, svc: Service): boolean =>
  e.metadata.namespace === svc.metadata.namespace &&
  e.metadata.labels[SERVICE] === svc.metadata.name &&
  e.metadata.labels[MANAGED] === MIRRORING;

/**
 * The slices that mirror an Endpoints object; none unless its Service exists and has no selector, and none when the
 * label `endpointslice.kubernetes.io/skip-mirror` says so.
 */
export function mirror(e: Endpoints, services: Service[]): EndpointSlice[] {
  const { name, namespace } = e.metadata;
  const svc = services.find((x) => x.metadata.name === name && x.metadata.namespace === namespace);
  if (svc === undefined || Object.keys(svc.spec.selector).length > 0) return [];
  if (e.metadata.labels['endpointslice.kubernetes.io/skip-mirror'] === 'true') return [];
  const labels = { ...e.metadata.labels, [MANAGED]: MIRRORING, [SERVICE]: name };
  const endpoint = (a: Endpoints['subsets'][number]['addresses'][number], ready: boolean): Endpoint => ({
    addresses: [a.ip],
    // `serving` is left out by the controller, which means the same as ready.
    conditions: { ready, serving: ready, terminating: false },
    hostname: a.hostname,
    nodeName: a.nodeName,
    zone: '',
    hints: { forZones: [], forNodes: [] },
    targetRef: a.targetRef,
  });
  const groups = new Map<string, { ports: Ports; endpoints: Endpoint[] }>();
  for (const sub of e.subsets) {
    const key = JSON.stringify(sub.ports);
    if (!groups.has(key)) groups.set(key, { ports: sub.ports, endpoints: [] });
    const all = [...sub.addresses.map((a) => endpoint(a, true)), ...sub.notReadyAddresses.map((a) => endpoint(a, false))]; // prettier-ignore
    groups.get(key)!.endpoints.push(...all.slice(0, MAX_MIRRORED));
  }
  return [...groups.values()].map((g, i) =>
    slice(sliceName(e.metadata, 'mirror', i), e.metadata, 'Endpoints', labels, g.ports, g.endpoints),
  );
}
