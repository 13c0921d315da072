/**
 * Deployments, ReplicaSets, StatefulSets and DaemonSets as the API server gives them: specs and the statuses that their
 * controllers write.
 * @module
 */
import type { DaemonSet, Deployment, Pod, ReplicaSet, StatefulSet, Workload } from '../api/types.js';
import type { Cluster } from '../controllers.js';
import { firstRevision, isOwner, owns, wantsDaemon } from '../controllers/workloads.js';
import type { JsonMap } from './go-values.js';
import { map, optional } from './object-parts.js';
import { templateOf } from './pod-object.js';

/** A number, or a part of the replicas. */
export function share(v: number | string, replicas: number, round: (x: number) => number): number {
  return typeof v === 'number' ? v : round((Number.parseInt(v, 10) * replicas) / 100);
}

/** The spec of a manifest, with what has been set since; one of no manifest is written anew. */
function specOf(o: Workload, given: JsonMap | null): JsonMap {
  const { template, selector } = o.spec;
  const spec = map(given?.['spec']);
  return {
    ...spec,
    ...('replicas' in o.spec ? { replicas: o.spec.replicas } : {}),
    selector: {
      matchLabels: { ...selector.matchLabels },
      matchExpressions: selector.matchExpressions.map((e) => ({ key: e.key, operator: e.operator, values: [...e.values] })), // prettier-ignore
    },
    template: {
      metadata: { labels: { ...template.metadata.labels }, annotations: { ...template.metadata.annotations } },
      spec: templateOf(o, template.spec),
    },
  };
}

const ready = (pods: Pod[]): number => pods.filter((p) => p.status.ready).length;

/** MaxUnavailable: one at least when no surge is left. */
function unavailable(o: Deployment): number {
  const { replicas, strategy } = o.spec;
  if (strategy.type === 'Recreate' || replicas === 0) return 0;
  const n = share(strategy.maxUnavailable, replicas, Math.floor);
  return Math.min(replicas, n === 0 && share(strategy.maxSurge, replicas, Math.ceil) === 0 ? 1 : n);
}

const REVISION = 'deployment.kubernetes.io/revision';
const revision = (r: ReplicaSet): number => Number(r.metadata.annotations[REVISION] ?? 0);

/** The annotation that names a Deployment's revision. */
export function revisionOf(o: Deployment, c: Cluster): JsonMap {
  const all = c.replicaSets.filter((r) => isOwner(o, r)).map(revision);
  return { [REVISION]: String(Math.max(1, ...all)) };
}

/** What the deployment controller writes. */
export function deploymentBody(o: Deployment, c: Cluster, given: JsonMap | null): JsonMap {
  const mine = c.pods.filter((p) => owns(o, p));
  const sets = c.replicaSets.filter((r) => isOwner(o, r)).sort((a, b) => revision(b) - revision(a));
  const [rs] = sets;
  const updated = rs === undefined ? 0 : mine.filter((p) => isOwner(rs, p)).length;
  const lacking = Math.max(0, o.spec.replicas - ready(mine));
  const at = o.metadata.creationTimestamp;
  const condition = (type: string, status: boolean, reason: string, message: string): JsonMap => ({
    type, status: status ? 'True' : 'False', reason, message, lastUpdateTime: at, lastTransitionTime: at,
  }); // prettier-ignore
  const name = rs?.metadata.name ?? '';
  return {
    spec: specOf(o, given),
    status: {
      ...optional({ replicas: mine.length, updatedReplicas: updated, readyReplicas: ready(mine), availableReplicas: ready(mine), unavailableReplicas: lacking }), // prettier-ignore
      observedGeneration: o.metadata.generation ?? 1,
      conditions: [
        lacking <= unavailable(o)
          ? condition('Available', true, 'MinimumReplicasAvailable', 'Deployment has minimum availability.')
          : condition('Available', false, 'MinimumReplicasUnavailable', 'Deployment does not have minimum availability.'), // prettier-ignore
        lacking === 0 && updated === mine.length
          ? condition(
              'Progressing',
              true,
              'NewReplicaSetAvailable',
              `ReplicaSet "${name}" has successfully progressed.`,
            )
          : condition('Progressing', true, 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`),
      ],
    },
  };
}

/** What the replicaset controller writes. */
export function replicaSetBody(o: ReplicaSet, c: Cluster, given: JsonMap | null): JsonMap {
  const mine = c.pods.filter((p) => isOwner(o, p));
  const n = mine.length;
  return {
    spec: { ...specOf(o, given), ...optional({ minReadySeconds: o.spec.minReadySeconds }) },
    status: {
      replicas: n,
      ...optional({ fullyLabeledReplicas: n, readyReplicas: ready(mine), availableReplicas: ready(mine) }),
      observedGeneration: o.metadata.generation ?? 1,
    },
  };
}

/** What the statefulset controller writes. */
export function statefulSetBody(o: StatefulSet, c: Cluster, given: JsonMap | null): JsonMap {
  const mine = c.pods.filter((p) => isOwner(o, p));
  const hash = (p: Pod | undefined): string => `${o.metadata.name}-${p?.metadata.labels['controller-revision-hash'] ?? firstRevision(o)}`; // prettier-ignore
  const updateRevision = hash(mine.at(-1));
  const n = mine.filter((p) => hash(p) === updateRevision).length;
  return {
    spec: { ...specOf(o, given), ...optional({ serviceName: o.spec.serviceName }) },
    status: {
      availableReplicas: ready(mine),
      collisionCount: 0,
      ...optional({ currentReplicas: n, readyReplicas: ready(mine), updatedReplicas: n }),
      currentRevision: hash(mine[0]),
      updateRevision,
      observedGeneration: o.metadata.generation ?? 1,
      replicas: mine.length,
    },
  };
}

/** The annotation that counts a DaemonSet's templates. */
export const generationOf = (o: DaemonSet): JsonMap => ({
  'deprecated.daemonset.template.generation': String(o.metadata.generation ?? 1),
});

/** What the daemonset controller writes. */
export function daemonSetBody(o: DaemonSet, c: Cluster, given: JsonMap | null): JsonMap {
  const mine = c.pods.filter((p) => isOwner(o, p) && p.spec.nodeName !== '');
  const wanted = c.nodes.filter((n) => wantsDaemon(o, n));
  const there = new Set(mine.filter((p) => wanted.some((n) => n.metadata.name === p.spec.nodeName)).map((p) => p.spec.nodeName)); // prettier-ignore
  const up = ready(mine);
  return {
    spec: specOf(o, given),
    status: {
      currentNumberScheduled: there.size,
      desiredNumberScheduled: wanted.length,
      numberMisscheduled: new Set(mine.map((p) => p.spec.nodeName)).size - there.size,
      numberReady: up,
      ...optional({ numberAvailable: up, numberUnavailable: Math.max(0, wanted.length - up), updatedNumberScheduled: there.size }), // prettier-ignore
      observedGeneration: o.metadata.generation ?? 1,
    },
  };
}
