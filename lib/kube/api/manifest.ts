/**
 * Manifests: YAML to the defaulted objects of types.ts, strictly.
 *
 * Every field of the Kubernetes API is read, left unread for a written reason (it changes no frame), or refused by name;
 * anything else is an unknown field. Errors carry the place.
 * @module
 */
import { type At, documents, quote } from './at.js';
import { decodeStrict } from './decode.js';
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

const unread = (kind: string, api: string): string =>
  ELSEWHERE.split(' ').includes(kind)
    ? `kind ${kind} is not supported yet`
    : `no matches for kind ${quote(kind)} in version ${quote(api)}`;

/** Resources, as the API server names them when an object exists already. */
const PLURALS: Record<string, string> = {
  Namespace: 'namespaces', Node: 'nodes', Pod: 'pods', Deployment: 'deployments.apps', Service: 'services', Endpoints: 'endpoints',
  EndpointSlice: 'endpointslices.discovery.k8s.io',
}; // prettier-ignore

/** `Kind/namespace/name` of the objects read so far, for duplicates. */
export type Seen = Set<string>;

/** Reads every object of a manifest text (several documents, `List`). Throws InputError. */
export function loadManifests(text: string, file: string, seen: Seen = new Set()): KubeObject[] {
  return documents(text, file).flatMap((doc) => readObjects(doc, seen));
}

/** Reads one document or inline object, or the items of a `List`; adds to `seen`. */
export function readObjects(at: At, seen: Seen): KubeObject[] {
  const kind = at.opt('kind');
  if (kind?.jsonType !== 'string' || kind.str() !== 'List') return [readObject(at, seen)];
  at.only('apiVersion', 'kind', 'metadata', 'items');
  const api = at.req('apiVersion').str();
  if (api !== 'v1') at.req('apiVersion').fail(`found ${quote(api)}, expected "v1" for List`);
  return at
    .req('items')
    .list()
    .map((item) => readObject(item, seen));
}

function readObject(at: At, seen: Seen): KubeObject {
  const kindAt = at.opt('kind');
  if (kindAt === null || kindAt.str() === '') return (kindAt ?? at).failPlain("Object 'Kind' is missing");
  const kind = kindAt.str();
  const apiAt = at.opt('apiVersion');
  if (apiAt === null || apiAt.str() === '') return (apiAt ?? at).failPlain("Object 'apiVersion' is missing");
  const api = apiAt.str();
  const entry = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (entry === undefined)
    return kindAt.fail(`${unread(kind, api)}, expected one of: ${Object.keys(KINDS).join(', ')}`);
  if (api !== entry.api)
    apiAt.fail(`no matches for kind ${quote(kind)} in version ${quote(api)}, expected "${entry.api}"`);
  decodeStrict(at, kind, api);
  const o = entry.read(at);
  const key = `${o.kind}/${o.metadata.namespace}/${o.metadata.name}`;
  if (seen.has(key))
    at.req('metadata')
      .req('name')
      .fail(`${PLURALS[kind] ?? kind} "${o.metadata.name}" already exists`);
  seen.add(key);
  return o;
}
