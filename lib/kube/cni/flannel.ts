/**
 * flannel: flanneld on every node, and its CNI plugin, which calls `bridge` and `host-local`.
 *
 * Upstream: flannel-io/flannel, pkg/backend/{vxlan,hostgw}, pkg/trafficmngr/iptables, Documentation/kube-flannel.yml (--ip-masq,
 * forward rules on); flannel-io/cni-plugin. The MAC address of the VXLAN device, random in reality, is derived from its address.
 * Not here: learning, GBP, the other backends, nftables, what flanneld says to the API server.
 * @module
 */
import type { Machine } from '../scenario.js';
import { BridgePlugin } from './bridge.js';
import { type FlannelBackend, type FlannelConfig, VXLAN_OVERHEAD } from './config.js';
import { vtepMac } from './names.js';
import type { CniCluster, CniPlugin, CniResult, Ipam, Sandbox } from './plugin.js';
import { addressOf, forwarding, isDirect, peersOf, podRoutes } from './routes.js';

type Vxlan = Extract<FlannelBackend, { type: 'vxlan' }>;

export class FlannelPlugin implements CniPlugin {
  readonly ipam: Ipam;
  private readonly cluster: CniCluster;
  private readonly backend: FlannelBackend;
  private readonly delegate: BridgePlugin;

  constructor(cluster: CniCluster, { backend, portMappings }: FlannelConfig) {
    this.cluster = cluster;
    this.backend = backend;
    const mtu = backend.type === 'vxlan' ? backend.mtu - VXLAN_OVERHEAD : 1500;
    // FLANNEL_IPMASQ: flanneld masquerades, the bridge plugin does not.
    const config = {
      plugin: 'bridge',
      bridge: 'cni0',
      ipMasq: false,
      hairpinMode: true,
      mtu,
      portMappings,
      ranges: [],
    } as const;
    this.delegate = new BridgePlugin(cluster, config, [cluster.podSubnet]);
    this.ipam = this.delegate.ipam;
  }

  nodeAdd(node: Machine): string[] {
    const device = this.backend.type === 'vxlan' ? vxlanDevice(node, this.backend) : [];
    return [forwarding(node), ...device, firewall(node, this.cluster.podSubnet)];
  }

  peersAdd(node: Machine): string[] {
    if (this.backend.type === 'host-gw') return podRoutes(this.cluster, node, 'replace', ' dev eth0');
    const { directRouting, vni } = this.backend;
    return peersOf(this.cluster, node).flatMap((peer) =>
      directRouting && isDirect(node, peer)
        ? [`ip -n ${node.name} route replace ${peer.podCIDR} via ${addressOf(peer)}`]
        : tunnel(node, peer, vni),
    );
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    return this.delegate.podAdd(node, pod);
  }

  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    return this.delegate.podDel(node, pod);
  }
}

/** A VXLAN device's address: the first of the node's podCIDR, which no pod has. */
const vtep = (node: Machine): string => node.podCIDR.split('/')[0]!;

function vxlanDevice(node: Machine, { vni, port, mtu }: Vxlan): string[] {
  const dev = `flannel.${vni}`;
  const mac = vtepMac(vtep(node));
  const ip = `ip -n ${node.name}`;
  return [
    `${ip} link add ${dev} address ${mac} mtu ${mtu - VXLAN_OVERHEAD} type vxlan id ${vni} local ${addressOf(node)} dev eth0 dstport ${port} nolearning`,
    `${ip} addr add ${vtep(node)}/32 dev ${dev}`,
    `${ip} link set ${dev} up`,
  ];
}

/** handleSubnetEvents: neighbour and FDB entry first, so that the route's gateway is never asked for. */
function tunnel(node: Machine, peer: Machine, vni: number): string[] {
  const dev = `flannel.${vni}`;
  const mac = vtepMac(vtep(peer));
  return [
    `ip -n ${node.name} neigh replace ${vtep(peer)} lladdr ${mac} dev ${dev} nud permanent`,
    `ip netns exec ${node.name} bridge fdb replace ${mac} dev ${dev} dst ${addressOf(peer)} self permanent`,
    `ip -n ${node.name} route replace ${peer.podCIDR} via ${vtep(peer)} dev ${dev} onlink`,
  ];
}

/** masqRules and forwardRules; appended, so that kube-proxy's jumps stand before them. */
function firewall(node: Machine, cluster: string): string {
  const own = node.podCIDR;
  const masq = '-m comment --comment "flanneld masq" -j';
  const forward = '-m comment --comment "flanneld forward" -j';
  return [
    `ip netns exec ${node.name} iptables-restore --noflush <<'EOF'`,
    '*nat',
    ':FLANNEL-POSTRTG - [0:0]',
    `-A POSTROUTING ${masq} FLANNEL-POSTRTG`,
    `-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 ${masq} RETURN`,
    `-A FLANNEL-POSTRTG -s ${own} -d ${cluster} ${masq} RETURN`,
    `-A FLANNEL-POSTRTG -s ${cluster} -d ${own} ${masq} RETURN`,
    `-A FLANNEL-POSTRTG ! -s ${cluster} -d ${own} ${masq} RETURN`,
    `-A FLANNEL-POSTRTG -s ${cluster} ! -d 224.0.0.0/4 ${masq} MASQUERADE --random-fully`,
    `-A FLANNEL-POSTRTG ! -s ${cluster} -d ${cluster} ${masq} MASQUERADE --random-fully`,
    'COMMIT',
    '*filter',
    ':FLANNEL-FWD - [0:0]',
    `-A FORWARD ${forward} FLANNEL-FWD`,
    `-A FLANNEL-FWD -s ${cluster} ${forward} ACCEPT`,
    `-A FLANNEL-FWD -d ${cluster} ${forward} ACCEPT`,
    'COMMIT',
    'EOF',
  ].join('\n');
}
