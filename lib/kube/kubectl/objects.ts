/**
 * The cluster's objects as the API server gives them: the manifest where there is one, what the control plane allotted, the
 * defaults.
 *
 * Written rules where a real cluster draws or measures: an object's uid is a hash of its kind, namespace and name; its
 * resourceVersion is its place in the order of creation; everything was written at its creation. Of what kubelet writes,
 * left out are image ids, the resources and volume mounts in container statuses, and capacities (unless the Node's manifest has them).
 * @module
 */
import { setDefaults } from '../api/defaults.js';
import { classOf } from '../api/ingress.js';
import { placeOf } from '../api/meta.js';
import type { Endpoint, Endpoints, EndpointSlice, Ingress, KubeObject, Namespace, Node, ObjectMeta, Pod, ReplicaSet, Service } from '../api/types.js'; // prettier-ignore
import type { Cluster } from '../controllers.js';
import { isOwner } from '../controllers/workloads.js';
import type { Json, JsonMap } from './go-values.js';
import { digest, hex, map, optional, some } from './object-parts.js';
import { placed, podStatus, templateOf } from './pod-object.js';
import {
  daemonSetBody,
  deploymentBody,
  generationOf,
  replicaSetBody,
  revisionOf,
  share,
  statefulSetBody,
} from './workload-objects.js';

/** Version of the kubelet where no manifest names one: the Kubernetes that podwire's controllers follow. */
export const VERSION = 'v1.34.0';

/** A random-looking UUID of version 4 that a text decides. */
export function uuidOf(text: string): string {
  const b = digest(text).slice(0, 16);
  b[6] = (b[6]! & 0x0f) | 0x40;
  b[8] = (b[8]! & 0x3f) | 0x80;
  return hex(b).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const uid = (kind: string, m: { namespace: string; name: string; uid?: string }): string =>
  m.uid !== undefined && UUID.test(m.uid) ? m.uid : uuidOf(`${kind}/${m.namespace}/${m.name}`);

const API: Record<string, string> = {
  Deployment: 'apps/v1', ReplicaSet: 'apps/v1', StatefulSet: 'apps/v1', DaemonSet: 'apps/v1', EndpointSlice: 'discovery.k8s.io/v1',
  Ingress: 'networking.k8s.io/v1', IngressClass: 'networking.k8s.io/v1', NetworkPolicy: 'networking.k8s.io/v1',
}; // prettier-ignore
const apiOf = (kind: string): string => API[kind] ?? 'v1';
/** Kinds whose strategies count generations. */
const GENERATIONS = new Set(['Pod', 'EndpointSlice', 'Ingress', 'IngressClass', 'NetworkPolicy', 'Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet']); // prettier-ignore

/** What stands in the manifest of an object, null where a controller wrote it. */
function manifest(o: { kind: string; metadata: ObjectMeta }): JsonMap | null {
  const at = placeOf(o);
  return at === null || at.req('kind').str() !== o.kind ? null : map(at.plain() as Json);
}

/** The objects of a cluster by kind, in the order of their creation. */
export class ApiObjects {
  private readonly c: Cluster;
  private readonly cache = new Map<string, JsonMap[]>();
  private versions: Map<KubeObject, number> | null = null;

  constructor(c: Cluster) {
    this.c = c;
  }

  /** Every object of a kind. */
  list(kind: string): JsonMap[] {
    const known = this.cache.get(kind);
    if (known !== undefined) return known;
    const all = this.read(kind);
    // What kubelet writes has empty fields that stay: these two kinds get their defaults before their status.
    if (kind !== 'Pod' && kind !== 'Node') for (const o of all) setDefaults(o);
    this.cache.set(kind, all);
    return all;
  }

  private read(kind: string): JsonMap[] {
    const { c } = this;
    if (kind === 'Namespace') return c.namespaces.map((x) => this.namespace(x));
    if (kind === 'Node') return c.nodes.map((x) => this.node(x));
    if (kind === 'Pod') return c.pods.map((x) => this.pod(x));
    if (kind === 'Service') return c.services.map((x) => this.service(x));
    if (kind === 'Endpoints') return c.endpoints.map((x) => this.endpoints(x));
    if (kind === 'EndpointSlice') return c.slices.map((x) => this.slice(x));
    if (kind === 'Deployment') return c.deployments.map((x) => ({ ...this.head(x, {}, revisionOf(x, c)), ...deploymentBody(x, c, manifest(x)) })); // prettier-ignore
    if (kind === 'ReplicaSet') return c.replicaSets.map((x) => this.replicaSet(x));
    if (kind === 'StatefulSet') return c.statefulSets.map((x) => ({ ...this.head(x), ...statefulSetBody(x, c, manifest(x)) })); // prettier-ignore
    if (kind === 'DaemonSet') return c.daemonSets.map((x) => ({ ...this.head(x, {}, generationOf(x)), ...daemonSetBody(x, c, manifest(x)) })); // prettier-ignore
    if (kind === 'Ingress') return c.objects.filter((o) => o.kind === 'Ingress').map((x) => this.ingress(x));
    return c.objects.filter((o) => (o.kind as string) === kind).map((o) => this.whole(o));
  }

  private version(o: KubeObject): string {
    this.versions ??= new Map(this.c.objects.map((x, i) => [x, i + 1]));
    return String(this.versions.get(o) ?? this.versions.size + 1);
  }

  /** apiVersion, kind and metadata. */
  private head(o: KubeObject, extra: JsonMap = {}, annotations: JsonMap = {}): JsonMap {
    const m = o.metadata;
    const given = map(manifest(o)?.['metadata']);
    const { kind } = o;
    return {
      apiVersion: apiOf(kind),
      kind,
      metadata: {
        ...given,
        ...(GENERATIONS.has(kind) ? { generation: m.generation ?? 1 } : {}),
        ...optional({ name: m.name, namespace: m.namespace }),
        labels: { ...m.labels },
        annotations: { ...annotations, ...m.annotations },
        creationTimestamp: m.creationTimestamp,
        resourceVersion: m.resourceVersion ?? this.version(o),
        uid: uid(kind, m),
        ...(m.deletionTimestamp === undefined ? {} : { deletionTimestamp: m.deletionTimestamp }),
        ...(m.deletionTimestamp === undefined || o.kind !== 'Pod'
          ? {}
          : { deletionGracePeriodSeconds: m.deletionGraceSeconds ?? o.spec.terminationGracePeriodSeconds ?? 30 }),
        ...extra,
      },
    };
  }

  private replicaSet(o: ReplicaSet): JsonMap {
    const given = manifest(o);
    const [owner] = o.metadata.ownerReferences;
    const extra: JsonMap = given === null && owner !== undefined ? { ownerReferences: [this.owner(owner.kind, owner.name, o.metadata.namespace)] } : {}; // prettier-ignore
    const out = { ...this.head(o, extra), ...replicaSetBody(o, this.c, given) };
    const deployment = this.c.deployments.find((d) => isOwner(d, o));
    if (deployment === undefined) return out;
    const metadata = map(out['metadata']);
    const { replicas, strategy } = deployment.spec;
    const surge = strategy.type === 'Recreate' ? 0 : share(strategy.maxSurge, replicas, Math.ceil);
    metadata['annotations'] = {
      'deployment.kubernetes.io/desired-replicas': String(replicas),
      'deployment.kubernetes.io/max-replicas': String(replicas + surge),
      ...map(metadata['annotations']),
    };
    return out;
  }

  private owner(kind: string, name: string, namespace: string): JsonMap {
    const o = this.c.objects.find((x) => x.kind === kind && x.metadata.name === name && x.metadata.namespace === namespace); // prettier-ignore
    const id = uid(kind, o?.metadata ?? { name, namespace });
    return { apiVersion: apiOf(kind), kind, name, uid: id, controller: true, blockOwnerDeletion: true };
  }

  private whole(o: KubeObject): JsonMap {
    const given = manifest(o) ?? {};
    return { ...given, ...this.head(o) };
  }

  private ingress(o: Ingress): JsonMap {
    const out = this.whole(o);
    const classes = this.c.objects.filter((x) => x.kind === 'IngressClass');
    const spec = map(out['spec']);
    // Admission writes the default class, unless the old annotation names one.
    if (o.metadata.annotations['kubernetes.io/ingress.class'] === undefined) {
      const name = classOf(o, classes);
      if (name !== null) spec['ingressClassName'] = name;
    }
    return out;
  }

  private namespace(o: Namespace): JsonMap {
    const phase = o.metadata.deletionTimestamp === undefined ? 'Active' : 'Terminating';
    return { ...this.head(o), spec: { finalizers: ['kubernetes'] }, status: { phase } };
  }

  private node(o: Node): JsonMap {
    const given = manifest(o) ?? {};
    const status = map(given['status']);
    const condition = (type: string, value: boolean, reason: string, message: string): JsonMap => ({
      type, status: value ? 'True' : 'False', reason, message, lastHeartbeatTime: o.metadata.creationTimestamp, lastTransitionTime: o.metadata.creationTimestamp,
    }); // prettier-ignore
    const info = { architecture: 'amd64', bootID: '', kernelVersion: '', kubeProxyVersion: '', machineID: '', operatingSystem: 'linux', osImage: '', systemUUID: '' }; // prettier-ignore
    const out = {
      ...this.head(o),
      spec: {
        ...map(given['spec']),
        ...(o.spec.podCIDR === '' ? {} : { podCIDR: o.spec.podCIDR, podCIDRs: [o.spec.podCIDR] }),
        unschedulable: o.spec.unschedulable,
        taints: o.spec.taints.map((t) => optional({ ...t })),
      },
      status: {
        ...status,
        addresses: o.status.addresses.map((a) => ({ ...a })),
        daemonEndpoints: status['daemonEndpoints'] ?? { kubeletEndpoint: { Port: 10250 } },
        conditions: status['conditions'] ?? [
          condition('MemoryPressure', false, 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
          condition('DiskPressure', false, 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
          condition('PIDPressure', false, 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
          condition('Ready', o.status.ready, 'KubeletReady', 'kubelet is posting ready status'),
        ],
      },
    };
    setDefaults(out);
    (out.status as JsonMap)['nodeInfo'] = { ...info, ...map(status['nodeInfo']), ...o.status.nodeInfo, kubeletVersion: o.status.nodeInfo.kubeletVersion || VERSION }; // prettier-ignore
    return out;
  }

  private pod(o: Pod): JsonMap {
    const given = manifest(o);
    const spec = given !== null ? map(given['spec']) : templateOf(o, o.spec);
    const [owner] = o.metadata.ownerReferences;
    const made = given === null && owner !== undefined;
    const drawn = made && owner.kind !== 'StatefulSet' ? { generateName: `${owner.name}-` } : {};
    const extra: JsonMap = made ? { ...drawn, ownerReferences: [this.owner(owner.kind, owner.name, o.metadata.namespace)] } : {}; // prettier-ignore
    const out = { ...this.head(o, extra), spec: placed(spec, o, made ? owner.kind : '') } as JsonMap;
    setDefaults(out);
    out['status'] = podStatus(o, map(out['spec']), map(given?.['status']), String(map(out['metadata'])['uid']));
    return out;
  }

  private service(o: Service): JsonMap {
    const { spec } = o;
    const given = map(manifest(o)?.['spec'] ?? null);
    const named = spec.type === 'ExternalName';
    const ports = spec.ports.map((p, i) => {
      const own = map(Array.isArray(given['ports']) ? given['ports'][i] : undefined);
      return { ...own, ...optional({ name: p.name, nodePort: p.nodePort }), port: p.port, protocol: p.protocol, targetPort: p.targetPort }; // prettier-ignore
    });
    return {
      ...this.head(o),
      spec: {
        ...given,
        type: spec.type,
        ...(some(spec.selector) ? { selector: { ...spec.selector } } : {}),
        ...(named ? {} : { clusterIP: spec.clusterIP, clusterIPs: [...spec.clusterIPs] }),
        ...(ports.length === 0 ? {} : { ports }),
        ...optional({ healthCheckNodePort: spec.healthCheckNodePort }),
      },
      status: {
        loadBalancer: spec.type === 'LoadBalancer' && o.status.loadBalancer.ingress.length > 0 ? { ingress: o.status.loadBalancer.ingress.map((x) => ({ ...x })) } : {}, // prettier-ignore
      },
    };
  }

  private targetRef(r: Endpoint['targetRef']): JsonMap {
    if (r === null) return {};
    return { targetRef: { kind: r.kind, name: r.name, namespace: r.namespace, uid: this.owner(r.kind, r.name, r.namespace)['uid']! } }; // prettier-ignore
  }

  private endpoints(o: Endpoints): JsonMap {
    const given = manifest(o);
    if (given !== null) return { ...given, ...this.head(o) };
    const address = (a: Endpoints['subsets'][number]['addresses'][number]): JsonMap => ({
      ip: a.ip,
      ...optional({ hostname: a.hostname, nodeName: a.nodeName }),
      ...this.targetRef(a.targetRef),
    });
    const subsets = o.subsets.map((s) => ({
      addresses: s.addresses.map(address),
      notReadyAddresses: s.notReadyAddresses.map(address),
      ports: s.ports.map((p) => ({ ...optional({ name: p.name }), port: p.port, protocol: p.protocol })),
    }));
    return { ...this.head(o), subsets };
  }

  private slice(o: EndpointSlice): JsonMap {
    const given = manifest(o);
    if (given !== null) return { ...given, ...this.head(o) };
    const [owner] = o.metadata.ownerReferences;
    const extra: JsonMap = owner === undefined ? {} : { generateName: `${owner.name}-`, ownerReferences: [this.owner(owner.kind, owner.name, o.metadata.namespace)] }; // prettier-ignore
    const mirrored = owner?.kind === 'Endpoints';
    return {
      ...this.head(o, extra),
      addressType: o.addressType,
      endpoints: o.endpoints.map((e) => ({
        addresses: [...e.addresses],
        conditions: mirrored ? { ready: e.conditions.ready } : { ...e.conditions },
        ...optional({ hostname: e.hostname, nodeName: e.nodeName, zone: e.zone }),
        ...this.targetRef(e.targetRef),
      })),
      ports: o.ports.length === 0 ? null : o.ports.map((p) => ({ name: p.name, protocol: p.protocol, ...optional({ port: p.port }) })), // prettier-ignore
    };
  }
}
