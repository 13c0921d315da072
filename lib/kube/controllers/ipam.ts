/**
 * Pod addresses: what the CNI plugin's IPAM hands out when kubelet starts a node's pods in order.
 * @module
 */
import { failAt } from '../api/meta.js';
import type { Pod } from '../api/types.js';
import type { Ipam } from '../cni/plugin.js';
import type { Machine } from '../scenario.js';

/** True for pods that have a network namespace: placed, and not ended. */
export const isRunning = (p: Pod): boolean =>
  p.spec.nodeName !== '' && (p.status.phase === 'Running' || p.status.phase === 'Unknown');

/**
 * Sets hostIP and podIP of every running pod, in order; a given status.podIP, or one that an annotation asks the plugin for, is kept:
 * it must be one the node may have, and free.
 * Throws InputError.
 */
export function assignPodIPs(file: string, machines: readonly Machine[], pods: readonly Pod[], ipam: Ipam): void {
  const byName = new Map(machines.map((m) => [m.name, m]));
  const running = pods.filter(isRunning);
  for (const p of running) reserveGiven(file, byName.get(p.spec.nodeName)!, p, ipam);
  for (const p of running) {
    if (p.status.podIP !== '') continue;
    const node = byName.get(p.spec.nodeName)!;
    const ip = ipam.allocate(node, ownerOf(p));
    if (ip === null) {
      const n = running.filter((x) => x.spec.nodeName === node.name).length;
      failAt(file, p, 'spec', `no IP addresses available in ${ipam.rangeOf(node)} of ${node.name}, expected a free one for each of ${n} pods`); // prettier-ignore
    }
    p.status.podIP = ip;
  }
}

const ownerOf = (p: Pod): string => `that of Pod "${p.metadata.name}"`;

function reserveGiven(file: string, node: Machine, p: Pod, ipam: Ipam): void {
  const refused = p.spec.hostNetwork ? '' : (ipam.refused?.(p.metadata.annotations) ?? '');
  if (refused !== '') failAt(file, p, 'metadata.annotations', refused);
  const asked = ipam.asked?.(p.metadata.annotations) ?? '';
  const given = p.status.podIP === '' && !p.spec.hostNetwork ? asked : p.status.podIP;
  const hostIP = node.addresses[0]!.split('/')[0]!;
  p.status = { ...p.status, hostIP };
  const bad = (why: string): never => failAt(file, p, 'status.podIP', `found podIP ${given}, expected ${why}`);
  if (p.spec.hostNetwork) {
    if (given !== '' && given !== hostIP) bad(`${hostIP}, the address of ${node.name} (hostNetwork)`);
    p.status.podIP = hostIP;
  } else if (given !== '') {
    const why = ipam.reserve(node, given, ownerOf(p));
    if (why !== '') bad(why);
    p.status.podIP = given;
  }
}
