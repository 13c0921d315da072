/**
 * Which pods istiod's webhook gives a sidecar (manifests/charts/istio-control/istio-discovery, mutatingwebhook.yaml; pkg/kube/inject).
 * @module
 */
import type { Namespace, Pod } from '../api/types.js';

const INJECT = 'sidecar.istio.io/inject';
/** Namespaces that are never injected. */
const SYSTEM = ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'];

/**
 * Whether a pod gets a sidecar: its label counts first, then its namespace's `istio-injection`. The annotation of old times can only
 * say no. Pods on the host network get none.
 */
export function injected(p: Pod, namespaces: readonly Namespace[]): boolean {
  if (p.spec.hostNetwork || SYSTEM.includes(p.metadata.namespace)) return false;
  const ns = namespaces.find((n) => n.metadata.name === p.metadata.namespace)?.metadata.labels['istio-injection'];
  const label = p.metadata.labels[INJECT];
  // The API server does not even ask.
  if (ns === 'disabled' || label === 'false') return false;
  if (ns !== 'enabled' && label !== 'true') return false;
  return label === 'true' || p.metadata.annotations[INJECT] !== 'false';
}

/** Pods that ask for a sidecar in a way that the webhook does not see, in words. */
export function asksInVain(p: Pod, namespaces: readonly Namespace[]): string | null {
  if (p.metadata.annotations[INJECT] !== 'true' || injected(p, namespaces)) return null;
  return `Pod "${p.metadata.name}": the annotation ${INJECT} alone injects no sidecar, the label does`;
}

/** Annotations that would change what a sidecar takes or how it is set up; others are of its container, or mean what is done anyway. */
const UNSUPPORTED = /^(traffic\.sidecar\.istio\.io\/.*|sidecar\.istio\.io\/bootstrapOverride|proxy\.istio\.io\/config|inject\.istio\.io\/templates)$/; // prettier-ignore

/** An annotation of a pod with a sidecar that podwire does not follow; null: there is none. */
export function unsupportedAnnotation(p: Pod): string | null {
  const { annotations } = p.metadata;
  const mode = annotations['sidecar.istio.io/interceptionMode'] ?? 'REDIRECT';
  return Object.keys(annotations).find((k) => UNSUPPORTED.test(k)) ?? (mode === 'REDIRECT' ? null : 'sidecar.istio.io/interceptionMode'); // prettier-ignore
}
