/**
 * The reference CNI plugin `ptp` with `host-local`: a pod reaches everything by the node's end of its veth, and the node has a
 * host route to each pod; one route per other node's Pod CIDR, as kindnet lays them.
 *
 * Upstream: containernetworking/plugins, plugins/main/ptp, with a default route in host-local's `routes`.
 * @module
 */
import type { Machine } from '../scenario.js';
import type { PtpConfig } from './config.js';
import { HostLocal } from './host-local.js';
import { masqueradeAdd, masqueradeDel } from './masquerade.js';
import { hostVeth, macFor } from './names.js';
import type { CniCluster, CniPlugin, CniResult, Sandbox } from './plugin.js';
import { Portmap } from './portmap.js';
import { forwarding, podRoutes } from './routes.js';

export class PtpPlugin implements CniPlugin {
  readonly ipam: HostLocal;
  private readonly cluster: CniCluster;
  private readonly config: PtpConfig;
  private readonly portmap: Portmap;

  constructor(cluster: CniCluster, config: PtpConfig) {
    this.cluster = cluster;
    this.config = config;
    this.ipam = new HostLocal(config.ranges);
    this.portmap = new Portmap(config);
  }

  nodeAdd(node: Machine): string[] {
    return [forwarding(node)];
  }

  peersAdd(node: Machine): string[] {
    return podRoutes(this.cluster, node, 'add');
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    const { mtu: given, ipMasq } = this.config;
    const mtu = given > 0 ? ` mtu ${given}` : '';
    const bits = node.podCIDR.split('/')[1]!;
    const gw = this.ipam.gateway(node);
    const veth = hostVeth(pod);
    const inPod = `ip -n ${pod.netns}`;
    const out = [
      `${inPod} link add eth0 address ${macFor(pod.podIP)}${mtu} type veth peer name ${veth.name} address ${veth.mac}${mtu} netns ${node.name}`,
      `ip -n ${node.name} link set ${veth.name} up`,
      `${inPod} addr add ${pod.podIP}/${bits} dev eth0`,
      `${inPod} link set eth0 up`,
      `${inPod} route add default via ${gw} dev eth0`,
      // Neighbours are reached by the gateway too.
      `${inPod} route del ${node.podCIDR} dev eth0`,
      `${inPod} route add ${gw} dev eth0 scope link src ${pod.podIP}`,
      `${inPod} route add ${node.podCIDR} via ${gw} dev eth0 src ${pod.podIP}`,
      `ip -n ${node.name} addr add ${gw}/32 dev ${veth.name}`,
      `ip -n ${node.name} route add ${pod.podIP} dev ${veth.name} scope host`,
    ];
    if (ipMasq) out.push(masqueradeAdd(node, pod));
    return {
      commands: out,
      chained: this.portmap.podAdd(node, pod, veth.name, `${pod.podIP}/${bits}`),
      elsewhere: [],
      mtu: given > 0 ? given : 1500,
      address: `${pod.podIP}/${bits}`,
      routes: [`default via ${gw}`, `${gw} scope link src ${pod.podIP}`, `${node.podCIDR} via ${gw} src ${pod.podIP}`],
    };
  }

  /** Address and route of the node go with the veth. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    const out = [...this.portmap.podDel(node, pod), `ip -n ${pod.netns} link del eth0`];
    if (this.config.ipMasq) out.push(...masqueradeDel(node, pod));
    return { commands: out, elsewhere: [] };
  }
}
