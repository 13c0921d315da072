/**
 * Pods of Deployments, ReplicaSets, StatefulSets and DaemonSets, as their controllers have made them when a scenario begins.
 * @module
 */
import { failAt, placeAt } from '../api/meta.js';
import { requirements, selects } from '../api/selector.js';
import type { DaemonSet, Deployment, Node, ObjectMeta, Pod, ReplicaSet, StatefulSet, Toleration, Workload } from '../api/types.js'; // prettier-ignore
import { derivedMeta, generateName, suffix } from './names.js';
import { suits } from './scheduler.js';

/** Kubernetes' own documented limit for one cluster. */
export const MAX_PODS = 150_000;

const HASH = 'pod-template-hash';
const REVISION = 'controller-revision-hash';

/** The pod-template-hash of a Deployment's first ReplicaSet. */
export const firstHash = (d: Deployment): string => suffix(`rs/${d.metadata.namespace}/${d.metadata.name}`, 10);

/** The hash of a later template of an owner: drawn from which one it is, not from what it says. */
export const laterHash = (owner: { metadata: ObjectMeta }, n: number): string =>
  suffix(`rs/${owner.metadata.namespace}/${owner.metadata.name}/${n}`, 10);

/** The controller-revision-hash of a StatefulSet's or DaemonSet's first template. */
export const firstRevision = (w: StatefulSet | DaemonSet): string =>
  suffix(`revision/${w.kind}/${w.metadata.namespace}/${w.metadata.name}`, 10);

const REVISION_NUMBER = 'deployment.kubernetes.io/revision';

/** A Deployment's ReplicaSet of a template hash (getNewReplicaSet). */
export function replicaSetOf(d: Deployment, hash: string, replicas: number, revision: number): ReplicaSet {
  const { selector, template, minReadySeconds } = d.spec;
  const labels = { ...template.metadata.labels, [HASH]: hash };
  const rs: ReplicaSet = {
    kind: 'ReplicaSet',
    metadata: {
      ...derivedMeta(`${d.metadata.name}-${hash}`, d.metadata.namespace, labels),
      annotations: { ...d.metadata.annotations, [REVISION_NUMBER]: String(revision) },
      creationTimestamp: d.metadata.creationTimestamp,
      ownerReferences: [{ kind: 'Deployment', name: d.metadata.name }],
    },
    spec: {
      replicas,
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
      minReadySeconds,
    },
  };
  placeAt(rs, d);
  return rs;
}

/** True when a pod is one of a Deployment's: its selector chooses it and a ReplicaSet of that Deployment owns it. */
export function owns(d: Deployment, p: Pod): boolean {
  if (p.metadata.namespace !== d.metadata.namespace) return false;
  const rs = p.metadata.ownerReferences.find((r) => r.kind === 'ReplicaSet')?.name ?? '';
  return (
    rs.slice(0, rs.lastIndexOf('-')) === d.metadata.name && selects(requirements(d.spec.selector), p.metadata.labels)
  );
}

/** True when the owner reference of an object names this one. */
export const isOwner = (w: { kind: string; metadata: ObjectMeta }, o: { metadata: ObjectMeta }): boolean =>
  o.metadata.namespace === w.metadata.namespace &&
  o.metadata.ownerReferences.some((r) => r.kind === w.kind && r.name === w.metadata.name);

/** A pod of a workload's template, not yet placed (controller.GetPodFromTemplate). */
export function podFrom(w: Workload, name: string, labels: Record<string, string> = {}): Pod {
  const { template } = w.spec;
  const pod: Pod = {
    kind: 'Pod',
    metadata: {
      ...derivedMeta(name, w.metadata.namespace, { ...template.metadata.labels, ...labels }),
      annotations: { ...template.metadata.annotations },
      ownerReferences: [{ kind: w.kind, name: w.metadata.name }],
    },
    spec: { ...template.spec },
    status: { podIP: '', hostIP: '', phase: 'Running', ready: true, restarts: 0 },
  };
  placeAt(pod, w);
  return pod;
}

/** The n-th pod of a ReplicaSet; `taken` are the names of the namespace. A Deployment's pods draw by the Deployment's name. */
export function replica(rs: ReplicaSet, n: number, taken: Set<string>): Pod {
  const { name, namespace, ownerReferences } = rs.metadata;
  const deployment = ownerReferences.find((r) => r.kind === 'Deployment')?.name;
  const first = deployment !== undefined && name === `${deployment}-${suffix(`rs/${namespace}/${deployment}`, 10)}`;
  return podFrom(rs, generateName(`${name}-`, `pod/${namespace}/${first ? deployment : name}/${n}`, taken));
}

/** One of a StatefulSet's pods: name, host name and labels by its ordinal (newStatefulSetPod, initIdentity). */
export function ordinalPod(s: StatefulSet, ordinal: number, revision: string): Pod {
  const name = `${s.metadata.name}-${ordinal}`;
  const p = podFrom(s, name, {
    'statefulset.kubernetes.io/pod-name': name,
    'apps.kubernetes.io/pod-index': String(ordinal),
    [REVISION]: revision,
  });
  p.spec = { ...p.spec, hostname: name, subdomain: s.spec.serviceName };
  return p;
}

/** AddOrUpdateDaemonPodTolerations. */
function daemonTolerations(hostNetwork: boolean): Toleration[] {
  const rows: [string, string][] = [
    ['not-ready', 'NoExecute'], ['unreachable', 'NoExecute'], ['disk-pressure', 'NoSchedule'], ['memory-pressure', 'NoSchedule'],
    ['pid-pressure', 'NoSchedule'], ['unschedulable', 'NoSchedule'],
  ]; // prettier-ignore
  if (hostNetwork) rows.push(['network-unavailable', 'NoSchedule']);
  return rows.map(([key, effect]) => ({ key: `node.kubernetes.io/${key}`, operator: 'Exists', value: '', effect }));
}

/** A DaemonSet's pod for one node: bound there by an affinity to the node's name. */
export function daemonPod(d: DaemonSet, node: Node, revision: string, seed: string, taken: Set<string>): Pod {
  const { name, namespace } = d.metadata;
  const p = podFrom(d, generateName(`${name}-`, `pod/${namespace}/${name}/${seed}`, taken), { [REVISION]: revision });
  p.spec = daemonSpec(d, node);
  return p;
}

function daemonSpec(d: DaemonSet, node: Node): Pod['spec'] {
  const { spec } = d.spec.template;
  const here = { key: 'metadata.name', operator: 'In' as const, values: [node.metadata.name] };
  return {
    ...spec,
    tolerations: [...spec.tolerations, ...daemonTolerations(spec.hostNetwork)],
    nodeAffinity: (spec.nodeAffinity ?? [{ matchExpressions: [], matchFields: [] }]).map((t) => ({ ...t, matchFields: [here] })), // prettier-ignore
  };
}

/** Whether a DaemonSet wants a pod on a node (nodeShouldRunDaemonPod). */
export function wantsDaemon(d: DaemonSet, node: Node): boolean {
  const { nodeName } = d.spec.template.spec;
  if (nodeName !== '' && nodeName !== node.metadata.name) return false;
  const given = d.spec.template.spec.nodeAffinity;
  const spec = daemonSpec(d, node);
  return suits({ ...spec, nodeAffinity: given }, node);
}

/** Names in use, by namespace. */
class Names {
  private readonly all = new Map<string, Set<string>>();

  of(ns: string): Set<string> {
    if (!this.all.has(ns)) this.all.set(ns, new Set());
    return this.all.get(ns)!;
  }
}

export interface Made {
  /** Those of the manifests, and those of Deployments. */
  replicaSets: ReplicaSet[];
  /** The pods that workloads lack, in order. */
  pods: Pod[];
}

/**
 * What the controllers of a settled cluster have made for its workloads; pods and ReplicaSets written by hand that one of them
 * owns count. Throws InputError beyond the limits of a cluster.
 */
export function podsOfWorkloads(
  file: string,
  all: { deployments: Deployment[]; replicaSets: ReplicaSet[]; statefulSets: StatefulSet[]; daemonSets: DaemonSet[] },
  nodes: Node[],
  given: Pod[],
): Made {
  const names = new Names();
  for (const p of given) names.of(p.metadata.namespace).add(p.metadata.name);
  const owned = given.filter((p) => p.metadata.ownerReferences.length > 0);
  const out: Pod[] = [];
  const add = (w: Workload, n: number, make: (i: number, taken: Set<string>) => Pod): void => {
    if (given.length + out.length + n > MAX_PODS) {
      failAt(file, w, 'spec.replicas', `found ${w.kind === 'DaemonSet' ? n : w.spec.replicas} replicas, expected at most ${MAX_PODS} pods in a cluster`); // prettier-ignore
    }
    for (let i = 0; i < n; i++) out.push(make(i, names.of(w.metadata.namespace)));
  };
  const replicaSets = [...all.replicaSets];
  for (const d of all.deployments) {
    const rs = all.replicaSets.find((r) => isOwner(d, r)) ?? replicaSetOf(d, firstHash(d), d.spec.replicas, 1);
    if (!replicaSets.includes(rs)) replicaSets.push(rs);
    add(d, d.spec.replicas - owned.filter((p) => owns(d, p)).length, (i, taken) => replica(rs, i, taken));
  }
  for (const rs of all.replicaSets) {
    if (all.deployments.some((d) => isOwner(d, rs))) continue;
    add(rs, rs.spec.replicas - owned.filter((p) => isOwner(rs, p)).length, (i, taken) => replica(rs, i, taken));
  }
  for (const s of all.statefulSets) {
    const { replicas, ordinalsStart } = s.spec;
    const missing = (i: number): boolean => !names.of(s.metadata.namespace).has(`${s.metadata.name}-${i}`);
    add(s, 0, () => ordinalPod(s, 0, ''));
    if (given.length + out.length + replicas > MAX_PODS) add(s, replicas, () => ordinalPod(s, 0, ''));
    const ordinals = Array.from({ length: replicas }, (_, i) => ordinalsStart + i).filter(missing);
    add(s, ordinals.length, (i) => ordinalPod(s, ordinals[i]!, firstRevision(s)));
  }
  for (const d of all.daemonSets) {
    const has = (n: Node): boolean => owned.some((p) => isOwner(d, p) && p.spec.nodeName === n.metadata.name);
    const places = nodes.filter((n) => wantsDaemon(d, n) && !has(n));
    add(d, places.length, (i, taken) => daemonPod(d, places[i]!, firstRevision(d), places[i]!.metadata.name, taken));
  }
  return { replicaSets, pods: out };
}
