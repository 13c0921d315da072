/**
 * ipMasq of the reference plugins: what leaves a pod for anywhere but the node's own podCIDR takes the node's address.
 *
 * Upstream: containernetworking/plugins, pkg/ip/ipmasq_iptables_linux.go.
 * @module
 */
import type { Machine } from '../scenario.js';
import { chainOf, commentOf } from './names.js';
import type { Sandbox } from './plugin.js';

/** setupIPMasqIPTables, as one command. */
export function masqueradeAdd(node: Machine, pod: Sandbox): string {
  const [chain, comment] = [chainOf(pod), commentOf(pod)];
  return [
    `ip netns exec ${node.name} iptables-restore --noflush <<'EOF'`,
    '*nat',
    `:${chain} - [0:0]`,
    `-A ${chain} -d ${node.podCIDR} ${comment} -j ACCEPT`,
    `-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE`,
    `-A POSTROUTING -s ${pod.podIP}/32 ${comment} -j ${chain}`,
    'COMMIT',
    'EOF',
  ].join('\n');
}

/** teardownIPMasqIPTables: the jump first, then the chain emptied and deleted. */
export function masqueradeDel(node: Machine, pod: Sandbox): string[] {
  const iptables = `ip netns exec ${node.name} iptables -t nat`;
  const chain = chainOf(pod);
  return [
    `${iptables} -D POSTROUTING -s ${pod.podIP}/32 ${commentOf(pod)} -j ${chain}`,
    `${iptables} -F ${chain}`,
    `${iptables} -X ${chain}`,
  ];
}
