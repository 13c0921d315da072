/**
 * Pod addresses: what the host-local plugin hands out when kubelet starts a node's pods in order.
 * @module
 */
import { aton, maskOf, ntoa } from '../../../wire/inet.js';
import { failAt } from '../api/meta.js';
import type { Pod } from '../api/types.js';
import type { Machine } from '../scenario.js';

/** True for pods that have a network namespace: placed, and not ended. */
export const isRunning = (p: Pod): boolean =>
  p.spec.nodeName !== '' && (p.status.phase === 'Running' || p.status.phase === 'Unknown');

/**
 * Sets hostIP and podIP of every running pod: the next free address of the node's podCIDR, in order, after the gateway (the
 * first address). A given status.podIP is kept; it must lie in the podCIDR and be free. Throws InputError.
 */
export function assignPodIPs(file: string, machines: Machine[], pods: Pod[]): void {
  const byNode = new Map<string, Pod[]>(machines.map((m) => [m.name, []]));
  for (const p of pods) if (isRunning(p)) byNode.get(p.spec.nodeName)!.push(p);
  for (const m of machines) assignOn(file, m, byNode.get(m.name)!);
}

function assignOn(file: string, node: Machine, pods: Pod[]): void {
  const [base, bits] = node.podCIDR.split('/') as [string, string];
  const net = aton(base)!;
  const mask = maskOf(Number(bits));
  const broadcast = net | ~mask;
  const taken = new Map<number, string>([
    [net, 'the network'],
    [net + 1, 'the gateway'],
    [broadcast, 'the broadcast address'],
  ]);
  const hostIP = node.addresses[0]!.split('/')[0]!;
  for (const p of pods) {
    const given = p.status.podIP;
    p.status = { ...p.status, hostIP };
    const bad = (why: string): never => failAt(file, p, 'status.podIP', `found podIP ${given}, expected ${why}`);
    if (p.spec.hostNetwork) {
      if (given !== '' && given !== hostIP) bad(`${hostIP}, the address of ${node.name} (hostNetwork)`);
      p.status.podIP = hostIP;
    } else if (given !== '') {
      const a = aton(given)!;
      if ((a & mask) !== net) bad(`an address in ${node.podCIDR} of ${node.name}`);
      if (taken.has(a)) bad(`one that is free: it is ${taken.get(a)}`);
      taken.set(a, `that of Pod "${p.metadata.name}"`);
    }
  }
  let next = net + 2;
  for (const p of pods) {
    if (p.status.podIP !== '') continue;
    while (taken.has(next | 0) && (next & mask) === net) next++;
    if ((next & mask) !== net)
      failAt(file, p, 'spec', `no IP addresses available in ${node.podCIDR} of ${node.name}, expected a free one for each of ${pods.length} pods`); // prettier-ignore
    taken.set(next | 0, '');
    p.status.podIP = ntoa(next);
  }
}
