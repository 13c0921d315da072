/**
 * Manifests: YAML to the defaulted objects of types.ts, strictly.
 *
 * Every field of the Kubernetes API is read, left unread for a written reason (it changes no frame), or refused by name;
 * anything else is an unknown field. Errors carry the place.
 * @module
 */
import { type At, documents, quote } from './at.js';
import { calicoPolicy, CRD, V3 } from './calico-policy.js';
import { decodeStrict } from './decode.js';
import { endpoints, slice } from './endpoints.js';
import { ingress, ingressClass } from './ingress.js';
import { ISTIO_APIS, istioGateway, virtualService } from './istio.js';
import { networkPolicy } from './network-policy.js';
import { namespace, node } from './node.js';
import { peerAuthentication } from './peer-authentication.js';
import { pod } from './pod.js';
import { service } from './service.js';
import { definedKinds, STORED, stored } from './stored.js';
import type { KubeObject, StoredKind } from './types.js';
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
  Ingress: { api: 'networking.k8s.io/v1', read: ingress },
  IngressClass: { api: 'networking.k8s.io/v1', read: ingressClass },
  NetworkPolicy: { api: 'networking.k8s.io/v1', read: networkPolicy },
};

/** Kinds of Calico, which a cluster with that CNI plugin has. */
const CALICO: readonly string[] = ['NetworkPolicy', 'GlobalNetworkPolicy'];
const isCalico = (kind: string, api: string): boolean => (api === V3 || api === CRD) && CALICO.includes(kind);

/** Kinds of Kubernetes that may change frames, and that podwire does not read. */
const ELSEWHERE =
  'ReplicationController Job CronJob HorizontalPodAutoscaler ResourceQuota Gateway GatewayClass HTTPRoute DestinationRule ServiceEntry';

/** Kinds of Istio, of any version that it serves. */
const ISTIO: Record<string, (at: At) => KubeObject> = { Gateway: istioGateway, VirtualService: virtualService };
const SECURITY_APIS = ['security.istio.io/v1', 'security.istio.io/v1beta1'];
const isIstio = (kind: string, api: string): boolean => ISTIO_APIS.includes(api) && Object.hasOwn(ISTIO, kind);

const unread = (kind: string, api: string): string =>
  ELSEWHERE.split(' ').includes(kind)
    ? `kind ${kind} is not supported yet`
    : `no matches for kind ${quote(kind)} in version ${quote(api)}`;

/** `deployments.apps "a" already exists`: the resource, with its group. */
function resource(kind: string, api: string): string {
  const plural =
    kind === 'Endpoints' ? 'endpoints' : `${kind.toLowerCase().replace(/y$/, 'ie').replace(/ss$/, 'sse')}s`;
  return api.includes('/') ? `${plural}.${api.split('/')[0]!}` : plural;
}

/** `Kind/namespace/name` of the objects read so far, for duplicates; `crd/GROUP/VERSION/KIND` of the kinds defined. */
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
  const entry = readerOf(kind, api, seen);
  if (entry === null)
    return kindAt.fail(`${unread(kind, api)}, expected one of: ${[...Object.keys(KINDS), ...Object.keys(STORED).slice(0, -1)].join(', ')}`); // prettier-ignore
  if (api !== entry.api)
    apiAt.fail(`no matches for kind ${quote(kind)} in version ${quote(api)}, expected "${entry.api}"`);
  if (isCalico(kind, api) || !seen.has(`crd/${api}/${kind}`)) decodeStrict(at, kind, api);
  const o = entry.read(at);
  const key = `${o.kind}/${o.metadata.namespace}/${'storedName' in o ? o.storedName : o.metadata.name}`;
  if (seen.has(key))
    at.req('metadata')
      .req('name')
      .fail(`${resource(kind, api)} "${o.metadata.name}" already exists`);
  seen.add(key);
  if (o.kind === 'CustomResourceDefinition') for (const k of definedKinds(at)) seen.add(k);
  return o;
}

/** How a kind is read, and the version that it has here; null: unknown. Kinds of CustomResourceDefinitions before it are known. */
function readerOf(kind: string, api: string, seen: Seen): { api: string; read: (at: At) => KubeObject } | null {
  if (isCalico(kind, api)) return { api, read: calicoPolicy };
  if (isIstio(kind, api)) return { api, read: ISTIO[kind]! };
  if (kind === 'PeerAuthentication' && SECURITY_APIS.includes(api)) return { api, read: peerAuthentication };
  if (Object.hasOwn(KINDS, kind)) return KINDS[kind]!;
  if (seen.has(`crd/${api}/${kind}`)) return { api, read: (at) => stored(at, 'CustomResource') };
  if (!Object.hasOwn(STORED, kind) || kind === 'CustomResource') return null;
  return { api: STORED[kind as StoredKind].api, read: (at) => stored(at, kind as StoredKind) };
}
