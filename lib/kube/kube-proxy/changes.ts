/** What changed since the last sync (pkg/proxy, ServiceChangeTracker and EndpointsChangeTracker). @module */
import type { EndpointSlice } from '../api/types.js';
import type { ProxyPort } from './service-port.js';

export interface Update {
  /** `ns/name` of the Services with a changed service port or EndpointSlice; empty: nothing to sync. */
  updated: Set<string>;
  /** An EndpointSlice changed of a Service that had or has UDP endpoints. */
  udp: boolean;
}

interface SeenSlice {
  service: string;
  text: string;
  udp: boolean;
}

/** What of a service port a sync depends on, its endpoints apart. */
const portText = (p: ProxyPort): string =>
  JSON.stringify([
    p.name, p.proto, p.clusterIP, p.port, p.nodePort, p.externalIPs, p.vips, p.sourceRanges, p.anySource,
    p.healthCheckNodePort, p.affinity, p.externalLocal, p.internalLocal,
  ]); // prettier-ignore

function seenSlices(slices: EndpointSlice[]): Map<string, SeenSlice> {
  const out = new Map<string, SeenSlice>();
  for (const e of slices) {
    const name = e.metadata.labels['kubernetes.io/service-name'] ?? '';
    if (e.addressType !== 'IPv4' || name === '') continue;
    out.set(`${e.metadata.namespace}/${e.metadata.name}`, {
      service: `${e.metadata.namespace}/${name}`,
      text: JSON.stringify(e),
      udp: e.endpoints.length > 0 && e.ports.some((p) => p.protocol === 'UDP' && p.port !== 0),
    });
  }
  return out;
}

/** The keys whose values differ between two maps. */
function differing<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>, text: (v: T) => string): string[] {
  const at = (m: ReadonlyMap<string, T>, k: string): string | null => (m.has(k) ? text(m.get(k)!) : null);
  return [...new Set([...a.keys(), ...b.keys()])].filter((k) => at(a, k) !== at(b, k));
}

export class Changes {
  private services = new Map<string, string>();
  private slices = new Map<string, SeenSlice>();

  /** Takes the state of now; what is different from the one before. */
  update(ports: ProxyPort[], slices: EndpointSlice[]): Update {
    const services = new Map<string, string>();
    for (const p of ports) services.set(p.service, `${services.get(p.service) ?? ''}${portText(p)}\n`);
    const seen = seenSlices(slices);
    const updated = new Set(differing(this.services, services, (v) => v));
    const touched = new Set<string>();
    for (const k of differing(this.slices, seen, (v) => v.text)) {
      for (const s of [this.slices.get(k), seen.get(k)]) if (s !== undefined) touched.add(s.service);
    }
    const udp = [...this.slices.values(), ...seen.values()].some((s) => s.udp && touched.has(s.service));
    for (const s of touched) updated.add(s);
    this.services = services;
    this.slices = seen;
    return { updated, udp };
  }
}
