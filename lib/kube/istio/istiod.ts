/**
 * istiod: what the objects of a cluster mean for the proxies of its mesh.
 *
 * Upstream: pilot/pkg/serviceregistry/kube (conversion.go), pkg/config/kube (conversion.go, ConvertProtocol),
 * pilot/pkg/security/authn (policy_applier.go).
 * @module
 */
import type { EndpointSlice, KubeObject, PeerAuthentication, PeerMtlsMode, Pod, Service, ServicePort } from '../api/types.js'; // prettier-ignore
import { isRunning } from '../controllers/ipam.js';
import type { Mesh, MeshEndpoint, MeshPort, MeshProtocol, MeshService, MtlsMode, Workload } from './mesh.js';

/** Istio's own namespace, where policies for the whole mesh stand. */
export const ROOT_NAMESPACE = 'istio-system';

/** What of a cluster istiod looks at. */
export interface MeshObjects {
  readonly domain: string;
  readonly seed: number;
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly objects: readonly KubeObject[];
  /** Whether a pod was given a sidecar when it was made. */
  hasSidecar(p: Pod): boolean;
  /** Names of the objects that own a pod's owner: the Deployment of a ReplicaSet. */
  ownerOf(p: Pod): { kind: string; name: string } | null;
}

/** Ports whose servers speak first, and are never looked into. */
const SERVER_FIRST = [25, 53, 3306, 27017];
const HTTP = ['http', 'grpc-web'];
const BYTES = ['tcp', 'tls', 'https', 'mongo', 'mysql', 'redis', 'udp', 'http2', 'grpc'];
/** appProtocol of Kubernetes' own list (KEP-3726). */
const APP: ReadonlyMap<string, string> = new Map([
  ['kubernetes.io/h2c', 'http2'],
  ['kubernetes.io/ws', 'http'],
  ['kubernetes.io/wss', 'https'],
]);

/** The protocol of a Service's port: appProtocol, else what its name begins with, else whatever comes (ConvertProtocol). */
export function protocolOf(p: ServicePort): MeshProtocol {
  const given = p.appProtocol === undefined ? p.name : (APP.get(p.appProtocol) ?? p.appProtocol);
  const name = given.toLowerCase();
  const word = name.startsWith('grpc-web') ? 'grpc-web' : name.split('-')[0]!;
  if (HTTP.includes(word)) return 'http';
  if (BYTES.includes(word)) return 'tcp';
  return SERVER_FIRST.includes(p.port) ? 'tcp' : 'auto';
}

const serviceOf = (e: EndpointSlice): string =>
  `${e.metadata.namespace}/${e.metadata.labels['kubernetes.io/service-name'] ?? ''}`;

const byAge = (a: { metadata: Service['metadata'] }, b: { metadata: Service['metadata'] }): number => {
  const key = (x: Service['metadata']): string => `${x.creationTimestamp} ${x.name}.${x.namespace}`;
  const [x, y] = [key(a.metadata), key(b.metadata)];
  return x < y ? -1 : x > y ? 1 : 0;
};

/** The document for the proxies. */
export function meshOf(o: MeshObjects): Mesh {
  const pods = o.pods.filter((p) => isRunning(p) && !p.spec.hostNetwork);
  const slices = new Map<string, EndpointSlice[]>();
  for (const e of o.slices) {
    if (e.addressType !== 'IPv4') continue;
    const list = slices.get(serviceOf(e));
    if (list === undefined) slices.set(serviceOf(e), [e]);
    else list.push(e);
  }
  const services = o.services.filter((s) => s.spec.type !== 'ExternalName').sort(byAge);
  const policies = o.objects.filter((x): x is PeerAuthentication => x.kind === 'PeerAuthentication').sort(byAge);
  return {
    domain: o.domain,
    seed: o.seed,
    services: services.map((s) => meshService(s, slices.get(`${s.metadata.namespace}/${s.metadata.name}`) ?? [], o.domain)), // prettier-ignore
    workloads: Object.fromEntries(
      pods.map((p) => [`${p.metadata.namespace}/${p.metadata.name}`, workload(p, o, policies)]),
    ),
  };
}

function meshService(s: Service, slices: readonly EndpointSlice[], domain: string): MeshService {
  const port = (p: ServicePort): MeshPort => ({
    port: p.port,
    protocol: protocolOf(p),
    endpoints: slices.flatMap((e) => e.ports.filter((x) => x.name === p.name && x.protocol === 'TCP').flatMap((x) => endpoints(e, x.port))), // prettier-ignore
  });
  return {
    host: `${s.metadata.name}.${s.metadata.namespace}.svc.${domain}`,
    addresses: s.spec.clusterIPs.filter((a) => a !== 'None' && !a.includes(':')),
    ports: s.spec.ports.filter((p) => p.protocol === 'TCP').map(port),
  };
}

const endpoints = (e: EndpointSlice, port: number): MeshEndpoint[] =>
  e.endpoints
    .filter((x) => x.conditions.ready)
    .flatMap((x) =>
      x.addresses.map((address) => ({
        address,
        port,
        workload: x.targetRef?.kind === 'Pod' ? `${x.targetRef.namespace}/${x.targetRef.name}` : '',
      })),
    );

function workload(p: Pod, o: MeshObjects, policies: readonly PeerAuthentication[]): Workload {
  const owner = o.ownerOf(p) ?? { kind: 'Pod', name: p.metadata.name };
  const group = owner.kind === 'Pod' ? 'v1' : 'apps/v1';
  const kind = `${owner.kind.toLowerCase()}s`;
  return {
    address: p.status.podIP,
    serviceAccount: p.spec.serviceAccountName ?? 'default',
    sidecar: o.hasSidecar(p),
    ...demands(p, policies),
    owner: `kubernetes://apis/${group}/namespaces/${p.metadata.namespace}/${kind}/${owner.name}`,
    workloadName: owner.name,
    labels: p.metadata.labels,
  };
}

/** The mTLS that a pod demands: of the policy that selects it, else of its namespace's, else of the mesh's, else PERMISSIVE. */
export function demands(p: Pod, policies: readonly PeerAuthentication[]): Pick<Workload, 'mtls' | 'portMtls'> {
  const without = (x: PeerAuthentication): boolean => Object.keys(x.spec.selector).length === 0;
  const chooses = (x: PeerAuthentication): boolean =>
    !without(x) && Object.entries(x.spec.selector).every(([k, v]) => p.metadata.labels[k] === v);
  const mine = policies.filter((x) => x.metadata.namespace === p.metadata.namespace);
  // The oldest of each kind counts.
  const own = mine.find(chooses);
  const ns = mine.find(without);
  const root = policies.find((x) => x.metadata.namespace === ROOT_NAMESPACE && without(x));
  const modes: PeerMtlsMode[] = [own, ns, root].map((x) => x?.spec.mtls ?? 'UNSET');
  const mtls = (modes.find((m) => m !== 'UNSET') ?? 'PERMISSIVE') as MtlsMode;
  const portMtls: Record<string, MtlsMode> = {};
  for (const [port, m] of Object.entries(own?.spec.portLevelMtls ?? {})) portMtls[port] = m === 'UNSET' ? mtls : m;
  return { mtls, portMtls };
}
