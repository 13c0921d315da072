/**
 * The addresses behind a backend: EndpointSlices of a Service's port, as the controllers take them.
 * @module
 */
import type { Endpoint, EndpointSlice, Service } from '../../api/types.js';
import type { Backend, Objects, Upstream } from '../types.js';

const SERVICE_NAME = 'kubernetes.io/service-name';

/** The Service of a backend; null: there is none. */
export function serviceOf(objects: Objects, b: Backend): Service | null {
  const is = (o: Objects[number]): o is Service =>
    o.kind === 'Service' && o.metadata.name === b.service && o.metadata.namespace === b.namespace;
  return objects.find(is) ?? null;
}

/** The EndpointSlices of a Service, in their order. */
export function slicesOf(objects: Objects, s: Service): EndpointSlice[] {
  const { name, namespace } = s.metadata;
  const is = (o: Objects[number]): o is EndpointSlice =>
    o.kind === 'EndpointSlice' && o.metadata.namespace === namespace && o.metadata.labels[SERVICE_NAME] === name;
  return objects.filter(is);
}

/** Each address and port once, slice by slice; `ports`: those of a slice that count, `takes`: whether an endpoint does. */
export function addressesOf(
  slices: readonly EndpointSlice[],
  ports: (s: EndpointSlice) => readonly number[],
  takes: (c: Endpoint['conditions']) => boolean,
): Upstream[] {
  const seen = new Set<string>();
  const out: Upstream[] = [];
  for (const s of slices)
    for (const e of s.endpoints) {
      if (!takes(e.conditions)) continue;
      for (const port of ports(s))
        for (const address of e.addresses) {
          const key = `${address}:${port}`;
          if (seen.has(key)) continue;
          seen.add(key);
          out.push({ address, port });
        }
    }
  return out;
}
