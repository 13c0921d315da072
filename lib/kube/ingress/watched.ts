/**
 * The objects that ingress controllers watch, as the manifests they read in a Lab.
 * @module
 */
import { stringify } from 'yaml';
import { placeOf } from '../api/meta.js';
import type { EndpointSlice, KubeObject, Node, ObjectMeta, Service } from '../api/types.js';

/** Where the Lab keeps them. */
export const INGRESS_OBJECTS = '/etc/podwire/ingress.yaml';

/** Kinds that are handed on as they were written. */
const AS_WRITTEN = ['IngressClass', 'Ingress', 'Secret', 'Gateway.networking.istio.io', 'VirtualService'] as const;

/** Kinds that controllers watch, in the order in which they are written; load balancers outside of the cluster watch nodes too. */
export const ingressKinds = (controllers: readonly { host: string }[]): readonly KubeObject['kind'][] => [
  'Service',
  'EndpointSlice',
  ...(controllers.some((c) => c.host !== '') ? (['Node'] as const) : []),
  ...AS_WRITTEN,
];

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

/** A node as a load balancer's target. */
const node = (n: Node): object => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: n.metadata.name, labels: n.metadata.labels },
  ...(n.spec.podCIDR === '' ? {} : { spec: { podCIDR: n.spec.podCIDR } }),
  status: {
    addresses: n.status.addresses,
    conditions: [{ type: 'Ready', status: n.status.ready ? 'True' : 'False' }],
  },
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
    if (o.kind === 'Node') return [node(o)];
    const own = (AS_WRITTEN as readonly string[]).includes(o.kind) ? written(o) : null;
    return own === null ? [] : [own];
  });
  return docs.map((d) => stringify(d, { lineWidth: 0 }).trimEnd()).join('\n---\n').split('\n'); // prettier-ignore
}
