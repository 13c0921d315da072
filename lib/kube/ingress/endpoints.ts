/**
 * The addresses behind a backend: EndpointSlices of a Service's port, as each controller takes them.
 * @module
 */
import type { EndpointSlice, Service, ServicePort } from '../api/types.js';
import type { Backend, Objects, Upstream } from './types.js';

const SERVICE_NAME = 'kubernetes.io/service-name';

/** The Service of a backend; null: there is none. */
export const serviceOf = (objects: Objects, b: Backend): Service | null =>
  objects.find((o): o is Service => o.kind === 'Service' && o.metadata.name === b.service && o.metadata.namespace === b.namespace) ?? null; // prettier-ignore

/** The Service's port that a backend names; null: none. */
export const portOf = (s: Service, b: Backend): ServicePort | null =>
  s.spec.ports.find((p) => (b.port.name !== '' ? p.name === b.port.name : p.port === b.port.number)) ?? null;

const slicesOf = (objects: Objects, s: Service): EndpointSlice[] =>
  objects.filter(
    (o): o is EndpointSlice =>
      o.kind === 'EndpointSlice' &&
      o.metadata.namespace === s.metadata.namespace &&
      o.metadata.labels[SERVICE_NAME] === s.metadata.name,
  );

/** Addresses of a Service's port, in the order of the slices, each once; `takes` chooses among the endpoints. */
export function addressesOf(
  objects: Objects,
  s: Service,
  p: ServicePort,
  takes: (c: EndpointSlice['endpoints'][number]['conditions']) => boolean,
): Upstream[] {
  const seen = new Set<string>();
  const out: Upstream[] = [];
  for (const slice of slicesOf(objects, s)) {
    const ports = slice.ports.filter((x) => x.protocol === 'TCP' && x.name === p.name);
    for (const e of slice.endpoints) {
      if (!takes(e.conditions)) continue;
      for (const { port } of ports)
        for (const address of e.addresses) {
          if (seen.has(`${address}:${port}`)) continue;
          seen.add(`${address}:${port}`);
          out.push({ address, port });
        }
    }
  }
  return out;
}
