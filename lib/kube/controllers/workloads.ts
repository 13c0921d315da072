/**
 * Pods of Deployments, as the deployment and replicaset controllers make them.
 * @module
 */
import { failAt, placeAt } from '../api/meta.js';
import { requirements, selects } from '../api/selector.js';
import type { Deployment, Pod } from '../api/types.js';
import { derivedMeta, generateName, suffix } from './names.js';

/** Kubernetes' own documented limit for one cluster. */
export const MAX_PODS = 150_000;

/** The pod-template-hash of a Deployment's only ReplicaSet. */
const templateHash = (d: Deployment): string => suffix(`rs/${d.metadata.namespace}/${d.metadata.name}`, 10);

/** The name of a Deployment's ReplicaSet. */
export const replicaSetName = (d: Deployment): string => `${d.metadata.name}-${templateHash(d)}`;

/** True when a pod is one of a Deployment's: its selector chooses it and a ReplicaSet of that Deployment owns it. */
export function owns(d: Deployment, p: Pod): boolean {
  if (p.metadata.namespace !== d.metadata.namespace) return false;
  const rs = p.metadata.ownerReferences.find((r) => r.kind === 'ReplicaSet')?.name ?? '';
  return (
    rs.slice(0, rs.lastIndexOf('-')) === d.metadata.name && selects(requirements(d.spec.selector), p.metadata.labels)
  );
}

/** The pods that Deployments lack, in order; pods written by hand that a ReplicaSet of theirs owns count. */
export function podsOfDeployments(file: string, deployments: Deployment[], given: Pod[]): Pod[] {
  const taken = new Map<string, Set<string>>();
  const names = (ns: string): Set<string> => {
    if (!taken.has(ns)) taken.set(ns, new Set());
    return taken.get(ns)!;
  };
  for (const p of given) names(p.metadata.namespace).add(p.metadata.name);
  const owned = given.filter((p) => p.metadata.ownerReferences.length > 0);
  const out: Pod[] = [];
  for (const d of deployments) {
    const missing = d.spec.replicas - owned.filter((p) => owns(d, p)).length;
    if (given.length + out.length + missing > MAX_PODS)
      failAt(file, d, 'spec.replicas', `found ${d.spec.replicas} replicas, expected at most ${MAX_PODS} pods in a cluster`); // prettier-ignore
    for (let i = 0; i < missing; i++) out.push(replica(d, i, names(d.metadata.namespace)));
  }
  return out;
}

function replica(d: Deployment, i: number, taken: Set<string>): Pod {
  const { name, namespace } = d.metadata;
  const { template } = d.spec;
  const hash = templateHash(d);
  const pod: Pod = {
    kind: 'Pod',
    metadata: {
      ...derivedMeta(generateName(`${name}-${hash}-`, `pod/${namespace}/${name}/${i}`, taken), namespace, {
        ...template.metadata.labels,
        'pod-template-hash': hash,
      }),
      annotations: { ...template.metadata.annotations },
      ownerReferences: [{ kind: 'ReplicaSet', name: `${name}-${hash}` }],
    },
    spec: { ...template.spec },
    status: { podIP: '', hostIP: '', phase: 'Running', ready: true, restarts: 0 },
  };
  placeAt(pod, d);
  return pod;
}
