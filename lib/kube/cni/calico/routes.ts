/**
 * Where Calico's nodes send what is for a pod elsewhere: tunnel devices and routes of every encapsulation.
 *
 * BIRD writes the routes for IPIP and for no encapsulation (each node tells the others its blocks by BGP), Felix those for VXLAN.
 * A node's own blocks lead nowhere but to the pods that exist: a packet to another address ends there, and nobody is told.
 * Upstream: projectcalico/calico v3.31, confd/etc/calico/confd/templates/bird*.cfg.template, felix/dataplane/linux/{route_mgr,
 * ipip_mgr,vxlan_mgr}.go. Not here: the BGP sessions, ProgramClusterRoutes.
 * @module
 */
import { gateways } from '../../machines.js';
import { networkOf } from '../../networks.js';
import type { Machine } from '../../scenario.js';
import { type CalicoConfig, VXLAN_OVERHEAD } from '../config.js';
import type { CniCluster } from '../plugin.js';
import { addressOf, isDirect, peersOf } from '../routes.js';
import { vtepMac } from './hash.js';
import type { BlockIpam } from './ipam.js';
import { VXLAN_PORT } from './static-chains.js';

const VNI = 4096;
const IPIP_OVERHEAD = 20;

/** MTU of pods and tunnels in bytes. */
export const mtuOf = ({ encapsulation, mtu }: CalicoConfig): number =>
  mtu > 0 ? mtu : 1500 - { IPIP: IPIP_OVERHEAD, VXLAN: VXLAN_OVERHEAD, None: 0 }[encapsulation];

/** The device that encapsulates; null: none does. */
export const tunnelOf = ({ encapsulation }: CalicoConfig): 'tunl0' | 'vxlan.calico' | null =>
  encapsulation === 'IPIP' ? 'tunl0' : encapsulation === 'VXLAN' ? 'vxlan.calico' : null;

export class Routes {
  private readonly cluster: CniCluster;
  private readonly config: CalicoConfig;
  private readonly ipam: BlockIpam;
  private readonly routers: ReadonlyMap<string, string>;
  /** By node, what has been added there. */
  private readonly added = new Map<string, Set<string>>();

  constructor(cluster: CniCluster, config: CalicoConfig, ipam: BlockIpam) {
    this.cluster = cluster;
    this.config = config;
    this.ipam = ipam;
    this.routers = gateways({ ...cluster, nodes: [...cluster.nodes], hosts: [...cluster.hosts] });
  }

  /** Nodes have a default route. */
  get routed(): boolean {
    return this.routers.size > 0;
  }

  /** A node's tunnel device, up and with its address. */
  device(node: Machine): string[] {
    const ip = `ip -n ${node.name}`;
    const mtu = mtuOf(this.config);
    const dev = tunnelOf(this.config);
    if (dev === null) return [];
    const add =
      dev === 'tunl0'
        ? [`${ip} link add ${dev} type ipip nopmtudisc`, `${ip} link set ${dev} mtu ${mtu}`]
        : [
            `${ip} link add ${dev} address ${vtepMac(node.name)} mtu ${mtu} type vxlan id ${VNI} local ${addressOf(node)} dev eth0 dstport ${VXLAN_PORT} nolearning`,
          ];
    return [...add, `${ip} addr add ${this.ipam.tunnelAddress(node)}/32 dev ${dev}`, `${ip} link set ${dev} up`];
  }

  /** What the VXLAN device of a node knows of the others. */
  neighbours(node: Machine): string[] {
    if (this.config.encapsulation !== 'VXLAN') return [];
    return peersOf(this.cluster, node).flatMap((peer) => {
      const [mac, vtep] = [vtepMac(peer.name), this.ipam.tunnelAddress(peer)];
      return [
        `ip -n ${node.name} neigh replace ${vtep} lladdr ${mac} dev vxlan.calico nud permanent`,
        `ip netns exec ${node.name} bridge fdb replace ${mac} dev vxlan.calico dst ${addressOf(peer)} self permanent`,
      ];
    });
  }

  /** What makes a node's routes those of the blocks as they are now. */
  sync(node: Machine): string[] {
    const want = new Set([
      ...this.ipam.networksOf(node).blocks.map((b) => `blackhole ${b} proto ${this.proto}`),
      ...peersOf(this.cluster, node).flatMap((peer) => {
        const { blocks, borrowed } = this.ipam.networksOf(peer);
        return [...blocks, ...borrowed].map((n) => `${n.replace('/32', '')} ${this.way(node, peer)}`);
      }),
    ]);
    const had = this.added.get(node.name) ?? new Set();
    this.added.set(node.name, want);
    const ip = `ip -n ${node.name} route`;
    return [
      ...[...had].filter((r) => !want.has(r)).map((r) => `${ip} del ${r}`),
      ...[...want].filter((r) => !had.has(r)).map((r) => `${ip} add ${r}`),
    ];
  }

  private get proto(): string {
    return this.config.encapsulation === 'VXLAN' ? '80' : 'bird';
  }

  /** From a node to what is behind a peer. */
  private way(node: Machine, peer: Machine): string {
    const { encapsulation, crossSubnet } = this.config;
    const direct = isDirect(node, peer);
    const via = addressOf(peer);
    if (encapsulation === 'None' && !direct)
      // BIRD resolves the next hop by the default route.
      return `via ${this.routers.get(networkOf(node.addresses[0]!).text)!.split('/')[0]} dev eth0 proto bird`;
    if (encapsulation === 'None' || (crossSubnet && direct))
      return `via ${via} dev eth0 proto ${this.proto}${encapsulation === 'VXLAN' ? ' onlink' : ''}`;
    if (encapsulation === 'IPIP') return `via ${via} dev tunl0 proto bird onlink`;
    return `via ${this.ipam.tunnelAddress(peer)} dev vxlan.calico proto 80 onlink mtu ${mtuOf(this.config)}`;
  }
}
