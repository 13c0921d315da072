/**
 * What the API server allots to Services: cluster IPs, node ports, health check ports.
 *
 * Upstream: pkg/registry/core/service (ipallocator, portallocator). Both split their range: dynamic values come from the
 * upper band first, so that they seldom meet one asked for by number. The real ones are random inside the band; here it
 * is the next free one, in order of the manifests.
 * @module
 */
import { aton, maskOf, ntoa } from '../../../wire/inet.js';
import { failAt, failInvalid, placeOf } from '../api/meta.js';
import { NODE_PORTS } from '../api/service.js';
import type { Service } from '../api/types.js';

/** Size of a range's lower band, left to values asked for by number (calculateRangeOffset). */
const staticBand = (size: number, step: number, most: number): number =>
  size <= 16 ? 0 : Math.min(most, Math.max(16, Math.floor(size / step)));

/**
 * Sets clusterIP and clusterIPs of every Service that needs one. Throws InputError for a bad or taken one; the cluster's own
 * Services (kube-dns) are there first.
 */
export function assignClusterIPs(file: string, serviceSubnet: string, services: Service[]): void {
  const [base, bits] = serviceSubnet.split('/') as [string, string];
  const net = aton(base)!;
  const mask = maskOf(Number(bits));
  const size = 2 ** (32 - Number(bits));
  const taken = new Map<number, string>();
  for (const v of [...services].sort((x, y) => Number(placeOf(x) !== null) - Number(placeOf(y) !== null))) {
    const ip = v.spec.clusterIP;
    if (ip === '' || ip === 'None') continue;
    const bad = (why: string): never =>
      failInvalid(file, v, 'spec.clusterIP', `spec.clusterIPs: Invalid value: ["${ip}"]: failed to allocate IP ${ip}: ${why}`); // prettier-ignore
    const a = aton(ip)!;
    if ((a & mask) !== net || a === net || a === (net | ~mask)) bad(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${serviceSubnet}`); // prettier-ignore
    if (taken.has(a)) bad(`provided IP is already allocated (to Service "${taken.get(a)}")`);
    taken.set(a, v.metadata.name);
  }
  // The first address is that of the API server's own Service, in any cluster.
  taken.set(net + 1, 'kubernetes');
  const band = staticBand(size, 16, 256);
  let offset = band + 1;
  let left = size - 2;
  for (const v of services) {
    if (v.spec.clusterIP !== '' || v.spec.type === 'ExternalName') continue;
    const free = (): boolean => offset < size - 1 && !taken.has((net + offset) | 0);
    while (left > 0 && !free()) {
      left--;
      offset = offset >= size - 2 ? 1 : offset + 1;
    }
    if (left === 0) failAt(file, v, 'spec', `found no free address in ${serviceSubnet}, expected one: range is full`);
    taken.set((net + offset) | 0, v.metadata.name);
    v.spec.clusterIP = ntoa(net + offset);
    v.spec.clusterIPs = [v.spec.clusterIP];
  }
}

/** Sets the node ports that NodePort and LoadBalancer Services lack, and health check ports. Throws InputError. */
export function assignNodePorts(file: string, services: Service[]): void {
  const taken = new Map<number, string>();
  for (const v of services) {
    const own = new Set<number>();
    const claim = (port: number, path: string): void => {
      if (port === 0 || own.has(port)) return;
      own.add(port);
      if (taken.has(port))
        failInvalid(file, v, path, `${path}: Invalid value: ${port}: provided port is already allocated (to Service "${taken.get(port)}")`); // prettier-ignore
      taken.set(port, v.metadata.name);
    };
    v.spec.ports.forEach((p, i) => claim(p.nodePort, `spec.ports[${i}].nodePort`));
    claim(v.spec.healthCheckNodePort, 'spec.healthCheckNodePort');
  }
  const size = NODE_PORTS.last - NODE_PORTS.first + 1;
  const band = staticBand(size, 32, 128);
  let tried = 0;
  const next = (v: Service): number => {
    for (; tried < size; tried++) {
      const port = NODE_PORTS.first + ((band + tried) % size);
      if (taken.has(port)) continue;
      taken.set(port, v.metadata.name);
      return port;
    }
    return failAt(file, v, 'spec.ports', 'found no free node port, expected one: range is full');
  };
  for (const v of services) {
    const { spec } = v;
    const wants = spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false); // prettier-ignore
    if (wants) {
      for (const p of spec.ports) {
        // One number serves the same port of another protocol.
        const twin = spec.ports.find(
          (x) => x !== p && x.port === p.port && x.protocol !== p.protocol && x.nodePort > 0,
        );
        if (p.nodePort === 0) p.nodePort = twin?.nodePort ?? next(v);
      }
    }
    if (spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local' && spec.healthCheckNodePort === 0)
      spec.healthCheckNodePort = next(v);
  }
}
