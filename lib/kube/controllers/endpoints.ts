/**
 * The Endpoints object of a Service, which only `kubectl get endpoints` still reads.
 *
 * Upstream: pkg/controller/endpoint, and pkg/api/v1/endpoints (RepackSubsets) for the order: addresses by their text, ports by
 * the MD5 of the port as Go's dump printer writes it. Several subsets (pods that differ in their ports, or in readiness by
 * port) stand here in the order of their first port; upstream orders them by the hash of the whole subset.
 * @module
 */
import { md5 } from '@noble/hashes/legacy.js';
import type { Endpoints, Pod, Protocol, Service } from '../api/types.js';
import { findPort, podsBehind } from './endpoint-slices.js';
import { derivedMeta } from './names.js';

type Subset = Endpoints['subsets'][number];
type Address = Subset['addresses'][number];
type Port = { name: string; protocol: Protocol; port: number };

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');

/** DeepHashObject of a v1.EndpointPort. */
export const portHash = (p: Port): string =>
  hex(md5(new TextEncoder().encode(`(v1.EndpointPort){Name:(string)${p.name} Port:(int32)${p.port} Protocol:(v1.Protocol)${p.protocol} AppProtocol:(*string)<nil>}`))); // prettier-ignore

/** The Endpoints of a Service with a selector. */
export function endpointsOf(svc: Service, pods: Pod[]): Endpoints {
  const byPort = new Map<string, { port: Port | null; ready: Address[]; notReady: Address[] }>();
  for (const p of podsBehind(svc, pods)) {
    const terminating = p.metadata.deletionTimestamp !== undefined;
    const all = svc.spec.publishNotReadyAddresses;
    if (terminating && !all) continue;
    const address = {
      ip: p.status.podIP,
      hostname: p.spec.subdomain === svc.metadata.name ? p.spec.hostname : '',
      nodeName: p.spec.nodeName,
      targetRef: { kind: 'Pod', name: p.metadata.name, namespace: p.metadata.namespace },
    };
    const add = (port: Port | null): void => {
      const key = JSON.stringify(port);
      if (!byPort.has(key)) byPort.set(key, { port, ready: [], notReady: [] });
      const g = byPort.get(key)!;
      (all || p.status.ready ? g.ready : g.notReady).push(address);
    };
    if (svc.spec.ports.length === 0) add(null);
    for (const x of svc.spec.ports) {
      const port = findPort(p, x.targetPort, x.protocol);
      if (port !== null) add({ name: x.name, protocol: x.protocol, port });
    }
  }
  return { kind: 'Endpoints', metadata: derivedMeta(svc.metadata.name, svc.metadata.namespace, svc.metadata.labels), subsets: repack([...byPort.values()]) }; // prettier-ignore
}

/** Ports with the same addresses share a subset. */
function repack(groups: { port: Port | null; ready: Address[]; notReady: Address[] }[]): Subset[] {
  const bySet = new Map<string, Subset>();
  const sorted = (list: Address[]): Address[] => [...list].sort((a, b) => compare(a.ip, b.ip));
  for (const g of groups) {
    const [addresses, notReadyAddresses] = [sorted(g.ready), sorted(g.notReady)];
    const key = JSON.stringify([addresses, notReadyAddresses]);
    if (!bySet.has(key)) bySet.set(key, { addresses, notReadyAddresses, ports: [] });
    if (g.port !== null) bySet.get(key)!.ports.push(g.port);
  }
  for (const s of bySet.values()) s.ports.sort((a, b) => compare(portHash(a), portHash(b)));
  return [...bySet.values()];
}
