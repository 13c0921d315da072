/**
 * x-envoy-peer-metadata: what one proxy of a mesh tells another of its workload, a protobuf Struct in base64.
 *
 * Upstream: istio/proxy, contrib peer_metadata filter, metadata_object.cc (convertWorkloadMetadataToStruct,
 * serializeToStringDeterministic).
 * @module
 */
import { textOf } from '../../apps/l7/message.js';
import { type Mesh, nameOf } from './mesh.js';

type Value = string | { readonly [key: string]: Value };

const utf8 = new TextEncoder();

/** A field of type 2: its tag, its length, its bytes. */
const field = (number: number, bytes: readonly number[]): number[] => [
  (number << 3) | 2,
  ...varint(bytes.length),
  ...bytes,
];

function varint(n: number): number[] {
  const out: number[] = [];
  for (; n >= 128; n >>>= 7) out.push((n & 127) | 128);
  return [...out, n];
}

/** google.protobuf.Struct, its fields in the order of their keys. */
const struct = (v: { readonly [key: string]: Value }): number[] =>
  Object.keys(v)
    .sort((a, b) => (a < b ? -1 : 1))
    .flatMap((k) => field(1, [...field(1, [...utf8.encode(k)]), ...field(2, value(v[k]!))]));

/** google.protobuf.Value: string_value is field 3, struct_value field 5. */
const value = (v: Value): number[] => (typeof v === 'string' ? field(3, [...utf8.encode(v)]) : field(5, struct(v)));

/** The id of a sidecar: its address, its pod, its DNS domain. */
export function peerId(m: Mesh, key: string): string {
  const { namespace, name } = nameOf(key);
  return `sidecar~${m.workloads[key]!.address}~${name}.${namespace}~${namespace}.svc.${m.domain}`;
}

/** What it says of its workload. */
export function peerMetadata(m: Mesh, key: string): string {
  const { namespace, name } = nameOf(key);
  const { labels, owner, workloadName } = m.workloads[key]!;
  const app = labels['app.kubernetes.io/name'] ?? labels['app'];
  const version = labels['app.kubernetes.io/version'] ?? labels['version'];
  const told: Record<string, string> = {
    'service.istio.io/canonical-name': labels['service.istio.io/canonical-name'] ?? app ?? workloadName,
    'service.istio.io/canonical-revision': labels['service.istio.io/canonical-revision'] ?? version ?? 'latest',
    ...(app === undefined ? {} : { app }),
    ...(version === undefined ? {} : { version }),
  };
  const bytes = struct({
    NAME: name,
    NAMESPACE: namespace,
    CLUSTER_ID: 'Kubernetes',
    LABELS: told,
    ...(owner === '' ? {} : { OWNER: owner }),
    WORKLOAD_NAME: workloadName,
  });
  return btoa(textOf(Uint8Array.from(bytes)));
}
