/**
 * Manifests: YAML to the defaulted objects of types.ts, strictly.
 *
 * Every field of the Kubernetes API is read, left unread for a written reason (it changes no frame), or refused by name;
 * anything else is an unknown field. Errors carry the place.
 * @module
 */
import { type At, documents, quote } from './at.js';
import { endpoints, slice } from './endpoints.js';
import { namespace, node } from './node.js';
import { pod } from './pod.js';
import { service } from './service.js';
import type { KubeObject } from './types.js';
import { daemonSet, deployment, replicaSet, statefulSet } from './workload.js';

export { EPOCH } from './meta.js';
export { address, addressOfEither, cidr } from './names.js';

const KINDS: Record<string, { api: string; read: (at: At) => KubeObject }> = {
  Namespace: { api: 'v1', read: namespace },
  Node: { api: 'v1', read: node },
  Pod: { api: 'v1', read: pod },
  Deployment: { api: 'apps/v1', read: deployment },
  ReplicaSet: { api: 'apps/v1', read: replicaSet },
  StatefulSet: { api: 'apps/v1', read: statefulSet },
  DaemonSet: { api: 'apps/v1', read: daemonSet },
  Service: { api: 'v1', read: service },
  Endpoints: { api: 'v1', read: endpoints },
  EndpointSlice: { api: 'discovery.k8s.io/v1', read: slice },
};

/** Kinds of Kubernetes that change frames, or that people write beside those that do. */
const ELSEWHERE =
  'ReplicationController Job CronJob Ingress IngressClass NetworkPolicy ConfigMap Secret ' +
  'ServiceAccount Role RoleBinding ClusterRole ClusterRoleBinding PodDisruptionBudget HorizontalPodAutoscaler PriorityClass ' +
  'PersistentVolume PersistentVolumeClaim StorageClass LimitRange ResourceQuota Gateway GatewayClass HTTPRoute';

const unread = (kind: string): string =>
  ELSEWHERE.split(' ').includes(kind) ? `kind ${kind} is not supported yet` : `found unknown kind ${quote(kind)}`;

/** `Kind/namespace/name` of the objects read so far, for duplicates. */
export type Seen = Set<string>;

/** Reads every object of a manifest text (several documents, `List`). Throws InputError. */
export function loadManifests(text: string, file: string, seen: Seen = new Set()): KubeObject[] {
  return documents(text, file).flatMap((doc) => readObjects(doc, seen));
}

/** Reads one document or inline object, or the items of a `List`; adds to `seen`. */
export function readObjects(at: At, seen: Seen): KubeObject[] {
  if (at.req('kind').str() !== 'List') return [readObject(at, seen)];
  at.only('apiVersion', 'kind', 'metadata', 'items');
  const api = at.req('apiVersion').str();
  if (api !== 'v1') at.req('apiVersion').fail(`found ${quote(api)}, expected "v1" for List`);
  return at
    .req('items')
    .list()
    .map((item) => readObject(item, seen));
}

function readObject(at: At, seen: Seen): KubeObject {
  const kind = at.req('kind').str();
  const entry = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (entry === undefined)
    return at.req('kind').fail(`${unread(kind)}, expected one of: ${Object.keys(KINDS).join(', ')}`);
  const api = at.req('apiVersion').str();
  if (api !== entry.api) at.req('apiVersion').fail(`found ${quote(api)}, expected "${entry.api}" for ${kind}`);
  const o = entry.read(at);
  const key = `${o.kind}/${o.metadata.namespace}/${o.metadata.name}`;
  if (seen.has(key)) {
    at.req('metadata').req('name').fail(`duplicate name: ${kind} "${o.metadata.name}" exists already`);
  }
  seen.add(key);
  return o;
}
