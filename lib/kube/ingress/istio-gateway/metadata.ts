/**
 * x-envoy-peer-metadata: who the proxy is, as a google.protobuf.Struct in base64, its keys in order.
 *
 * Upstream: envoy contrib/istio/filters/common (convertWorkloadMetadataToStruct, serializeToStringDeterministic).
 * @module
 */
import { bytesOf, joined, textOf } from '../../../apps/l7/message.js';

export interface Workload {
  /** The Pod, its namespace, and the Deployment that it belongs to. */
  readonly pod: string;
  readonly namespace: string;
  readonly deployment: string;
  /** The labels that the proxies tell each other; service.istio.io/canonical-name and -revision among them. */
  readonly labels: Readonly<Record<string, string>>;
}

type Struct = { readonly [key: string]: string | Struct };

function varint(n: number): number[] {
  const out: number[] = [];
  for (; n > 127; n >>>= 7) out.push((n & 127) | 128);
  return [...out, n];
}

/** A field of length-delimited bytes. */
const field = (number: number, bytes: Uint8Array): Uint8Array =>
  joined([Uint8Array.from([(number << 3) | 2, ...varint(bytes.length)]), bytes]);

function encode(s: Struct): Uint8Array {
  const entries = Object.keys(s).sort().map((key) => {
    const v = s[key]!;
    const value = typeof v === 'string' ? field(3, bytesOf(v)) : field(5, encode(v));
    return field(1, joined([field(1, bytesOf(key)), field(2, value)]));
  }); // prettier-ignore
  return entries.length === 0 ? new Uint8Array(0) : joined(entries);
}

/** The field's value. */
export function peerMetadata(w: Workload): string {
  const owner = `kubernetes://apis/apps/v1/namespaces/${w.namespace}/deployments/${w.deployment}`;
  const struct = { CLUSTER_ID: 'Kubernetes', LABELS: w.labels, NAME: w.pod, NAMESPACE: w.namespace, OWNER: owner, WORKLOAD_NAME: w.deployment }; // prettier-ignore
  return btoa(textOf(encode(struct)));
}

/** x-envoy-peer-metadata-id: the node's id. `address`: the Pod's. */
export const peerMetadataId = (w: Workload, address: string): string =>
  `router~${address}~${w.pod}.${w.namespace}~${w.namespace}.svc.cluster.local`;
