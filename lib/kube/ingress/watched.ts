/**
 * The objects that ingress controllers watch, as the manifests they read in a Lab.
 * @module
 */
import { stringify } from 'yaml';
import { placeOf } from '../api/meta.js';
import type { EndpointSlice, KubeObject, ObjectMeta, Service } from '../api/types.js';

/** Where the Lab keeps them. */
export const INGRESS_OBJECTS = '/etc/podwire/ingress.yaml';

/** Kinds that are handed on as they were written. */
const AS_WRITTEN = ['IngressClass', 'Ingress', 'Secret', 'Gateway.networking.istio.io', 'VirtualService'] as const;

/** Kinds that controllers watch, in the order in which they are written. */
export const ingressKinds = ['Service', 'EndpointSlice', ...AS_WRITTEN] as const;

/** Whether a change of such an object concerns a controller. */
export const ingressConcerns = (kind: string): boolean => (ingressKinds as readonly string[]).includes(kind);

const SERVICE_NAME = 'kubernetes.io/service-name';

const meta = (m: ObjectMeta): object => ({
  name: m.name,
  ...(m.namespace === '' ? {} : { namespace: m.namespace }),
  creationTimestamp: m.creationTimestamp,
  ...(Object.hasOwn(m.labels, SERVICE_NAME) ? { labels: { [SERVICE_NAME]: m.labels[SERVICE_NAME] } } : {}),
  ...(Object.keys(m.annotations).length === 0 ? {} : { annotations: m.annotations }),
});

const service = (v: Service): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: meta(v.metadata),
  spec:
    v.spec.type === 'ExternalName'
      ? { type: 'ExternalName', externalName: v.spec.externalName }
      : {
          type: v.spec.type,
          clusterIP: v.spec.clusterIP,
          ports: v.spec.ports.map((p) => ({
            ...(p.name === '' ? {} : { name: p.name }),
            protocol: p.protocol,
            port: p.port,
            targetPort: p.targetPort,
            ...(p.nodePort === 0 ? {} : { nodePort: p.nodePort }),
          })),
        },
});

const slice = (e: EndpointSlice): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: meta(e.metadata),
  addressType: e.addressType,
  endpoints: e.endpoints.map((x) => ({
    addresses: x.addresses,
    conditions: x.conditions,
    ...(x.nodeName === '' ? {} : { nodeName: x.nodeName }),
  })),
  ports: e.ports.map((x) => ({ name: x.name, protocol: x.protocol, ...(x.port === 0 ? {} : { port: x.port }) })),
});

/** What was written of an object, without its status and what kubectl adds. */
function written(o: KubeObject): object | null {
  const plain = placeOf(o)?.plain();
  if (typeof plain !== 'object' || plain === null) return null;
  const { status: _, ...rest } = plain as Record<string, unknown>;
  const given = (rest['metadata'] ?? {}) as Record<string, unknown>;
  const { name, namespace, creationTimestamp, annotations } = o.metadata;
  const metadata = {
    ...given,
    name,
    ...(namespace === '' ? {} : { namespace }),
    creationTimestamp,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
  return { ...rest, metadata };
}

/** Lines of YAML; a `creationTimestamp` decides which of two equal rules is the older one. */
export function ingressWatched(objects: readonly KubeObject[]): string[] {
  const docs = objects.flatMap((o): object[] => {
    if (o.kind === 'Service') return [service(o)];
    if (o.kind === 'EndpointSlice') return [slice(o)];
    const own = ingressConcerns(o.kind) ? written(o) : null;
    return own === null ? [] : [own];
  });
  return docs.map((d) => stringify(d, { lineWidth: 0 }).trimEnd()).join('\n---\n').split('\n'); // prettier-ignore
}
