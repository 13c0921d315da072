/** Service ports and their categorised endpoints, as pkg/proxy serviceport.go and topology.go derive them. @module */
import { aton } from '../../../wire/inet.js';
import type { EndpointSlice, Service } from '../api/types.js';

export interface ProxyEndpoint {
  /** `ip:port`, the sort and de-duplication key. */
  key: string;
  ip: string;
  port: number;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  local: boolean;
  forNodes: string[];
  forZones: string[];
}

/** A node, as far as its choice of endpoints depends on it. */
export interface NodePlace {
  name: string;
  /** Empty: none. */
  zone: string;
}

export interface ProxyPort {
  /** The Service, `ns/name`. */
  service: string;
  /** `ns/name:port`, without `:port` when the port has no name. */
  name: string;
  proto: string;
  clusterIP: string;
  port: number;
  nodePort: number;
  externalIPs: string[];
  vips: string[];
  /** Empty: everybody, which is also what a range of length 0 means. */
  sourceRanges: string[];
  /** A range of length 0 was among them. */
  anySource: boolean;
  healthCheckNodePort: number;
  /** Seconds; 0: none. */
  affinity: number;
  externalLocal: boolean;
  internalLocal: boolean;
  usesCluster: boolean;
  usesLocal: boolean;
  externallyAccessible: boolean;
  endpoints: ProxyEndpoint[];
  cluster: ProxyEndpoint[];
  local: ProxyEndpoint[];
  all: ProxyEndpoint[];
  hasEndpoints: boolean;
  hasInternal: boolean;
  hasExternal: boolean;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const isV4 = (text: string): boolean => !text.includes(':');

function addr(text: string): number {
  const a = aton(text);
  if (a === null) throw new Error(`found '${text}', expected an IPv4 address`);
  return a;
}

/** True when the IPv4 address lies in `cidr`. */
export function inCidr(cidr: string, ip: string): boolean {
  const [net, len] = cidr.split('/');
  const bits = len === undefined ? 32 : Number(len);
  const mask = bits === 0 ? 0 : -1 << (32 - bits);
  return (addr(net!) & mask) === (addr(ip) & mask);
}

/** `a.b.c.d/n` with the host bits cleared, as Go prints a parsed net.IPNet. */
export function maskedCidr(cidr: string): string {
  const [net, len] = cidr.split('/');
  const bits = Number(len);
  const value = addr(net!) & (bits === 0 ? 0 : -1 << (32 - bits));
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}/${bits}`;
}

/** The slices of one Service in the order of their names; between slices the real program's order is random. */
function slicesOf(namespace: string, name: string, slices: EndpointSlice[]): EndpointSlice[] {
  return slices
    .filter((s) => s.addressType === 'IPv4' && s.metadata.namespace === namespace)
    .filter((s) => s.metadata.labels['kubernetes.io/service-name'] === name)
    .sort((a, b) => compare(a.metadata.name, b.metadata.name));
}

/** Endpoints of a port in byte order of `ip:port`. Of two entries of one endpoint the local one counts, or the first. */
function endpointsOf(portName: string, protocol: string, slices: EndpointSlice[], node: string): ProxyEndpoint[] {
  const found = new Map<string, ProxyEndpoint>();
  for (const slice of slices) {
    for (const port of slice.ports) {
      if (port.name !== portName || port.protocol !== protocol || port.port === 0) continue;
      for (const e of slice.endpoints) {
        const ip = e.addresses[0];
        if (ip === undefined) continue;
        const key = `${ip}:${port.port}`;
        const local = e.nodeName === node;
        if (found.has(key) && !local) continue;
        found.set(key, {
          key,
          ip,
          port: port.port,
          ...e.conditions,
          local,
          forNodes: e.hints.forNodes,
          forZones: e.hints.forZones,
        });
      }
    }
  }
  return [...found.values()].sort((a, b) => compare(a.key, b.key));
}

/** How many distinct addresses of a Service are Ready and local, whatever its ports (LocalReadyEndpoints). */
export function localReady(namespace: string, name: string, slices: EndpointSlice[], node: string): number {
  const own = slicesOf(namespace, name, slices);
  const ips = new Set<string>();
  for (const { name: port, protocol } of own.flatMap((s) => s.ports)) {
    for (const e of endpointsOf(port, protocol, own, node)) if (e.local && e.ready) ips.add(e.ip);
  }
  return ips.size;
}

/** The Ready endpoints that the node's topology hints leave, and whether hints are followed (topologyModeFromHints). */
function fitTopology(ready: ProxyEndpoint[], node: NodePlace): { fit: ProxyEndpoint[]; hinted: boolean } {
  const followed = (of: (e: ProxyEndpoint) => string[], name: string): ProxyEndpoint[] | null => {
    const fit = ready.filter((e) => of(e).includes(name));
    return name !== '' && fit.length > 0 && ready.every((e) => of(e).length > 0) ? fit : null;
  };
  const fit = followed((e) => e.forNodes, node.name) ?? followed((e) => e.forZones, node.zone);
  return fit === null ? { fit: ready, hinted: false } : { fit, hinted: true };
}

type Policies = Pick<ProxyPort, 'externalLocal' | 'internalLocal' | 'externallyAccessible'>;
type Categories = Pick<
  ProxyPort,
  | 'usesCluster'
  | 'usesLocal'
  | 'endpoints'
  | 'cluster'
  | 'local'
  | 'all'
  | 'hasEndpoints'
  | 'hasInternal'
  | 'hasExternal'
>;

/** Which endpoints each policy of a service port uses on this node (CategorizeEndpoints). */
function categorize(p: Policies, endpoints: ProxyEndpoint[], node: NodePlace): Categories {
  const usesCluster = !p.internalLocal || p.externallyAccessible;
  const usesLocal = p.internalLocal || (p.externalLocal && p.externallyAccessible);
  const ready = endpoints.filter((e) => e.ready);
  const draining = endpoints.filter((e) => e.serving && e.terminating);
  const { fit, hinted } = fitTopology(ready, node);
  const cluster = !usesCluster ? [] : fit.length > 0 ? fit : draining;
  const localReady = ready.filter((e) => e.local);
  const local = !usesLocal ? [] : localReady.length > 0 ? localReady : draining.filter((e) => e.local);
  const clusterHoldsAll = !usesLocal || (usesCluster && !hinted && localReady.length > 0);
  const all = clusterHoldsAll
    ? cluster
    : usesCluster
      ? endpoints.filter((e) => cluster.includes(e) || local.includes(e))
      : local;
  const hasEndpoints = cluster.length > 0 || (usesLocal && (ready.length > 0 || draining.length > 0));
  return {
    usesCluster,
    usesLocal,
    endpoints,
    cluster,
    local,
    all,
    hasEndpoints,
    hasInternal: hasEndpoints && !(p.internalLocal && local.length === 0),
    hasExternal: hasEndpoints && !(p.externalLocal && local.length === 0),
  };
}

/** The service ports of one Service, in (port name, protocol) order; headless and ExternalName have none. */
function portsOf(service: Service, slices: EndpointSlice[], node: NodePlace): ProxyPort[] {
  const { spec, metadata } = service;
  const clusterIP = [spec.clusterIP, ...spec.clusterIPs].find((ip) => ip !== '' && ip !== 'None' && isV4(ip));
  if (spec.type === 'ExternalName' || spec.clusterIP === 'None' || clusterIP === undefined) return [];
  const ports = [...spec.ports].sort((a, b) => compare(a.name, b.name) || compare(a.protocol, b.protocol));
  const externalIPs = spec.externalIPs.filter(isV4);
  const vips = service.status.loadBalancer.ingress
    .filter((i) => i.ip !== '' && i.ipMode !== 'Proxy' && isV4(i.ip))
    .map((i) => i.ip);
  const ranges = spec.loadBalancerSourceRanges.filter(isV4).map(maskedCidr);
  const anySource = ranges.some((r) => r.endsWith('/0'));
  const externalLocal = spec.externalTrafficPolicy === 'Local' && (spec.type !== 'ClusterIP' || externalIPs.length > 0);
  const own = slicesOf(metadata.namespace, metadata.name, slices);
  return ports.map((p) => {
    const policies = {
      externalLocal,
      internalLocal: spec.internalTrafficPolicy === 'Local',
      externallyAccessible: p.nodePort !== 0 || vips.length > 0 || externalIPs.length > 0,
    };
    return {
      service: `${metadata.namespace}/${metadata.name}`,
      name: `${metadata.namespace}/${metadata.name}${p.name === '' ? '' : `:${p.name}`}`,
      proto: p.protocol.toLowerCase(),
      clusterIP,
      port: p.port,
      nodePort: p.nodePort,
      externalIPs,
      vips,
      sourceRanges: anySource ? [] : ranges,
      anySource,
      healthCheckNodePort: spec.type === 'LoadBalancer' && externalLocal ? spec.healthCheckNodePort : 0,
      affinity: spec.sessionAffinity === 'ClientIP' ? spec.sessionAffinityTimeoutSeconds : 0,
      ...policies,
      ...categorize(policies, endpointsOf(p.name, p.protocol, own, node.name), node),
    };
  });
}

/** Every service port as the node's kube-proxy sees it, in (namespace, name, port name, protocol) order. */
export function proxyPorts(services: Service[], slices: EndpointSlice[], node: NodePlace): ProxyPort[] {
  const sorted = [...services].sort(
    (a, b) => compare(a.metadata.namespace, b.metadata.namespace) || compare(a.metadata.name, b.metadata.name),
  );
  return sorted.flatMap((s) => portsOf(s, slices, node));
}
