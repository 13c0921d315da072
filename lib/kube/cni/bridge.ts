/**
 * The reference CNI plugin `bridge` with `host-local`, and one route per other node's Pod CIDR.
 *
 * Upstream: containernetworking/plugins, plugins/main/bridge. The bridge is made by a node's first ADD and stays. MAC
 * addresses that the kernel would draw are derived from names.
 * @module
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { aton, ntoa } from '../../../wire/inet.js';
import { onLink } from '../machines.js';
import type { CniConfig, Machine } from '../scenario.js';
import { HostLocal } from './host-local.js';
import type { CniCluster, CniPlugin, CniResult, Sandbox } from './plugin.js';

const hexOf = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
const digest = (text: string): string => hexOf(sha256(new TextEncoder().encode(text)));
const colons = (h: string): string => h.match(/../g)!.join(':');
/** 0a:58 and the four bytes of the address, the convention of older plugins. */
const macFor = (ip: string): string => colons(`0a58${hexOf(Uint8Array.from(ip.split('.'), Number))}`);

const gateway = (node: Machine): string => ntoa(aton(node.podCIDR.split('/')[0]!)! + 1);

export class BridgePlugin implements CniPlugin {
  readonly ipam = new HostLocal();
  private readonly cluster: CniCluster;
  private readonly config: CniConfig;
  /** Nodes whose bridge exists. */
  private readonly bridged = new Set<string>();

  constructor(cluster: CniCluster) {
    this.cluster = cluster;
    this.config = cluster.cni;
  }

  nodeAdd(): string[] {
    return [];
  }

  peersAdd(node: Machine): string[] {
    const out = [`ip netns exec ${node.name} sysctl -q -w net.ipv4.ip_forward=1`];
    for (const other of this.cluster.nodes) {
      const via = other.addresses[0]!.split('/')[0]!;
      // A node behind the router is reached by the default route.
      if (other !== node && onLink(node, via)) out.push(`ip -n ${node.name} route add ${other.podCIDR} via ${via}`);
    }
    return out;
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    const { bridge: br, mtu: given, hairpinMode, ipMasq } = this.config;
    const n = node.name;
    const gw = gateway(node);
    const bits = node.podCIDR.split('/')[1]!;
    const mtu = given > 0 ? ` mtu ${given}` : '';
    const out: string[] = [];
    const first = !this.bridged.has(n);
    this.bridged.add(n);
    if (first) {
      out.push(`ip -n ${n} link add ${br} address ${macFor(gw)}${mtu} type bridge`, `ip -n ${n} link set ${br} up`);
    }
    const h = digest(pod.netns);
    const veth = `veth${h.slice(0, 8)}`;
    out.push(
      `ip -n ${pod.netns} link add eth0 address ${macFor(pod.podIP)}${mtu} type veth peer name ${veth} address 02:${colons(h.slice(8, 18))}${mtu} netns ${n}`,
      `ip -n ${n} link set ${veth} up`,
      `ip -n ${n} link set ${veth} master ${br}`,
      `ip netns exec ${n} bridge link set dev ${veth} hairpin ${hairpinMode ? 'on' : 'off'}`,
      `ip netns exec ${pod.netns} sysctl -q -w net.ipv4.conf.eth0.arp_notify=1`,
      `ip -n ${pod.netns} addr add ${pod.podIP}/${bits} dev eth0`,
      `ip -n ${pod.netns} link set eth0 up`,
      `ip -n ${pod.netns} route add default via ${gw}`,
    );
    if (first) out.push(`ip -n ${n} addr add ${gw}/${bits} dev ${br}`);
    if (ipMasq) out.push(masqueradeAdd(n, pod, node.podCIDR));
    return {
      commands: out,
      elsewhere: [],
      mtu: given > 0 ? given : 1500,
      address: `${pod.podIP}/${bits}`,
      routes: [`default via ${gw}`],
    };
  }

  /** The veth goes with its end in the pod; the bridge stays, also without ports. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    const out = [`ip -n ${pod.netns} link del eth0`];
    if (this.config.ipMasq) out.push(...masqueradeDel(node.name, pod));
    return { commands: out, elsewhere: [] };
  }
}

/** ipMasq: chain CNI-<24 hex of SHA-512(network name + container id)>. */
const chainOf = (pod: Sandbox): string =>
  `CNI-${hexOf(sha512(new TextEncoder().encode(`cbr0${pod.containerId}`))).slice(0, 24)}`;
const commentOf = (pod: Sandbox): string => `-m comment --comment "name: \\"cbr0\\" id: \\"${pod.containerId}\\""`;

function masqueradeAdd(node: string, pod: Sandbox, podCIDR: string): string {
  const [chain, comment] = [chainOf(pod), commentOf(pod)];
  return [
    `ip netns exec ${node} iptables-restore --noflush <<'EOF'`,
    '*nat',
    `:${chain} - [0:0]`,
    `-A ${chain} -d ${podCIDR} ${comment} -j ACCEPT`,
    `-A ${chain} ! -d 224.0.0.0/4 ${comment} -j MASQUERADE`,
    `-A POSTROUTING -s ${pod.podIP}/32 ${comment} -j ${chain}`,
    'COMMIT',
    'EOF',
  ].join('\n');
}

/** TeardownIPMasq: the jump first, then the chain emptied and deleted. */
function masqueradeDel(node: string, pod: Sandbox): string[] {
  const iptables = `ip netns exec ${node} iptables -t nat`;
  const chain = chainOf(pod);
  return [
    `${iptables} -D POSTROUTING -s ${pod.podIP}/32 ${commentOf(pod)} -j ${chain}`,
    `${iptables} -F ${chain}`,
    `${iptables} -X ${chain}`,
  ];
}
