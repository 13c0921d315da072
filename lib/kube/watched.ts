/**
 * The objects that CoreDNS watches, as the manifests it reads in a Lab.
 * @module
 */
import { stringify } from 'yaml';
import type { EndpointSlice, Service } from './api/types.js';

const SERVICE_NAME = 'kubernetes.io/service-name';
const serviceName = (labels: Record<string, string>): Record<string, string> =>
  Object.hasOwn(labels, SERVICE_NAME) ? { [SERVICE_NAME]: labels[SERVICE_NAME]! } : {};

/** Lines of YAML. */
export function watched(c: { services: readonly Service[]; slices: readonly EndpointSlice[] }): string[] {
  const meta = (
    m: { name: string; namespace: string; creationTimestamp: string },
    labels?: Record<string, string>,
  ) => ({
    name: m.name,
    ...(m.namespace === '' ? {} : { namespace: m.namespace }),
    creationTimestamp: m.creationTimestamp,
    ...(labels === undefined ? {} : { labels }),
  });
  const docs: unknown[] = c.services.map((v) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta(v.metadata),
    spec:
      v.spec.type === 'ExternalName'
        ? { type: 'ExternalName', externalName: v.spec.externalName }
        : {
            clusterIP: v.spec.clusterIP,
            ...(v.spec.clusterIPs.length > 1 ? { clusterIPs: v.spec.clusterIPs } : {}),
            ports: v.spec.ports.map((x) => ({
              ...(x.name === '' ? {} : { name: x.name }),
              protocol: x.protocol,
              port: x.port,
            })),
          },
  }));
  for (const e of c.slices) {
    docs.push({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: meta(e.metadata, serviceName(e.metadata.labels)),
      addressType: e.addressType,
      endpoints: e.endpoints.map((x) => ({
        addresses: x.addresses,
        conditions: { ready: x.conditions.ready },
        ...(x.hostname === '' ? {} : { hostname: x.hostname }),
      })),
      ports: e.ports.map((x) => ({
        ...(x.name === '' ? {} : { name: x.name }),
        protocol: x.protocol,
        ...(x.port === 0 ? {} : { port: x.port }),
      })),
    });
  }
  return docs
    .map((d) => stringify(d, { lineWidth: 0 }).trimEnd())
    .join('\n---\n')
    .split('\n');
}
