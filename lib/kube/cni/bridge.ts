/**
 * The reference CNI plugins `bridge` and `host-local`, with one route per other node's Pod CIDR.
 *
 * Upstream: containernetworking/plugins, plugins/main/bridge. MAC addresses that the kernel would draw are derived from names.
 * @module
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { aton, ntoa } from '../../../wire/inet.js';
import type { Pod } from '../api/types.js';
import { onLink } from '../machines.js';
import type { CniConfig, Machine } from '../scenario.js';

const hexOf = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
const digest = (text: string): string => hexOf(sha256(new TextEncoder().encode(text)));
const colons = (h: string): string => h.match(/../g)!.join(':');
/** 0a:58 and the four bytes of the address, the convention of older plugins. */
const macFor = (ip: string): string => colons(`0a58${hexOf(Uint8Array.from(ip.split('.'), Number))}`);

/** The namespace of a pod. */
export const podNetns = (p: Pod, node: string): string =>
  p.spec.hostNetwork ? node : `${p.metadata.namespace}_${p.metadata.name}`;

export const gateway = (node: Machine): string => ntoa(aton(node.podCIDR.split('/')[0]!)! + 1);

/** Commands for one node: the bridge, each pod's veth, addresses and routes, masquerading. Lines of a Lab. */
export function bridgeCommands(node: Machine, nodes: Machine[], pods: Pod[], cni: CniConfig): string[] {
  const n = node.name;
  const br = cni.bridge;
  const gw = gateway(node);
  const bits = node.podCIDR.split('/')[1]!;
  const out: string[] = [];
  if (pods.length > 0) {
    out.push(`ip -n ${n} link add ${br} address ${macFor(gw)}${cni.mtu > 0 ? ` mtu ${cni.mtu}` : ''} type bridge`);
    out.push(`ip -n ${n} link set ${br} up`);
  }
  pods.forEach((p, i) => {
    const netns = podNetns(p, n);
    const h = digest(netns);
    const veth = `veth${h.slice(0, 8)}`;
    const mtu = cni.mtu > 0 ? ` mtu ${cni.mtu}` : '';
    out.push(
      `ip -n ${netns} link add eth0 address ${macFor(p.status.podIP)}${mtu} type veth peer name ${veth} address 02:${colons(h.slice(8, 18))}${mtu} netns ${n}`,
    );
    out.push(`ip -n ${n} link set ${veth} up`, `ip -n ${n} link set ${veth} master ${br}`);
    out.push(`ip netns exec ${n} bridge link set dev ${veth} hairpin ${cni.hairpinMode ? 'on' : 'off'}`);
    out.push(`ip netns exec ${netns} sysctl -q -w net.ipv4.conf.eth0.arp_notify=1`);
    out.push(`ip -n ${netns} addr add ${p.status.podIP}/${bits} dev eth0`, `ip -n ${netns} link set eth0 up`);
    out.push(`ip -n ${netns} route add default via ${gw}`);
    if (i === 0) out.push(`ip -n ${n} addr add ${gw}/${bits} dev ${br}`);
    if (cni.ipMasq) out.push(...masquerade(n, p, node.podCIDR));
  });
  out.push(`ip netns exec ${n} sysctl -q -w net.ipv4.ip_forward=1`);
  for (const other of nodes) {
    const via = other.addresses[0]!.split('/')[0]!;
    // A node behind the router is reached by the default route.
    if (other !== node && onLink(node, via)) out.push(`ip -n ${n} route add ${other.podCIDR} via ${via}`);
  }
  return out;
}

/** ipMasq: chain CNI-<24 hex of SHA-512(network name + container id)>. */
function masquerade(node: string, p: Pod, podCIDR: string): string[] {
  const id = digest(`${p.metadata.namespace}/${p.metadata.name}`);
  const chain = `CNI-${hexOf(sha512(new TextEncoder().encode(`cbr0${id}`))).slice(0, 24)}`;
  const comment = `-m comment --comment "name: \\"cbr0\\" id: \\"${id}\\""`;
  return [
    `ip netns exec ${node} iptables-restore --noflush <<'EOF'`,
    '*nat',
    `:${chain} - [0:0]`,
    `-A ${chain} -d ${podCIDR} ${comment} -j ACCEPT`,
    `-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE`,
    `-A POSTROUTING -s ${p.status.podIP}/32 ${comment} -j ${chain}`,
    'COMMIT',
    'EOF',
  ];
}
