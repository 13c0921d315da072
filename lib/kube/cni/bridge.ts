/**
 * The reference CNI plugin `bridge` with `host-local`, and one route per other node's Pod CIDR.
 *
 * Upstream: containernetworking/plugins, plugins/main/bridge, with isGateway and isDefaultGateway. The bridge is made by a node's
 * first ADD and stays.
 * @module
 */
import type { Machine } from '../scenario.js';
import type { BridgeConfig } from './config.js';
import { HostLocal } from './host-local.js';
import { masqueradeAdd, masqueradeDel } from './masquerade.js';
import { hostVeth, macFor } from './names.js';
import type { CniCluster, CniPlugin, CniResult, Sandbox } from './plugin.js';
import { Portmap } from './portmap.js';
import { forwarding, podRoutes } from './routes.js';

export class BridgePlugin implements CniPlugin {
  readonly ipam: HostLocal;
  private readonly cluster: CniCluster;
  private readonly config: BridgeConfig;
  /** Networks that host-local's `routes` name, beside the default route. */
  private readonly routes: readonly string[];
  private readonly portmap: Portmap;
  /** Nodes whose bridge exists. */
  private readonly bridged = new Set<string>();

  constructor(cluster: CniCluster, config: BridgeConfig, routes: readonly string[] = []) {
    this.cluster = cluster;
    this.config = config;
    this.routes = routes;
    this.ipam = new HostLocal(config.ranges);
    this.portmap = new Portmap(config);
  }

  nodeAdd(): string[] {
    return [];
  }

  peersAdd(node: Machine): string[] {
    return [forwarding(node), ...podRoutes(this.cluster, node, 'add')];
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    const { bridge: br, mtu: given, hairpinMode, ipMasq } = this.config;
    const n = node.name;
    const gw = this.ipam.gateway(node);
    const bits = node.podCIDR.split('/')[1]!;
    const mtu = given > 0 ? ` mtu ${given}` : '';
    const out: string[] = [];
    const first = !this.bridged.has(n);
    this.bridged.add(n);
    if (first) {
      out.push(`ip -n ${n} link add ${br} address ${macFor(gw)}${mtu} type bridge`, `ip -n ${n} link set ${br} up`);
    }
    const veth = hostVeth(pod);
    const routes = [...this.routes, 'default'];
    out.push(
      `ip -n ${pod.netns} link add eth0 address ${macFor(pod.podIP)}${mtu} type veth peer name ${veth.name} address ${veth.mac}${mtu} netns ${n}`,
      `ip -n ${n} link set ${veth.name} up`,
      `ip -n ${n} link set ${veth.name} master ${br}`,
      `ip netns exec ${n} bridge link set dev ${veth.name} hairpin ${hairpinMode ? 'on' : 'off'}`,
      `ip netns exec ${pod.netns} sysctl -q -w net.ipv4.conf.eth0.arp_notify=1`,
      `ip -n ${pod.netns} addr add ${pod.podIP}/${bits} dev eth0`,
      `ip -n ${pod.netns} link set eth0 up`,
      ...routes.map((to) => `ip -n ${pod.netns} route ${to === node.podCIDR ? 'prepend' : 'add'} ${to} via ${gw}`),
    );
    if (first) out.push(`ip -n ${n} addr add ${gw}/${bits} dev ${br}`);
    if (ipMasq) out.push(masqueradeAdd(node, pod));
    return {
      commands: out,
      chained: this.portmap.podAdd(node, pod, br, `${pod.podIP}/${bits}`),
      elsewhere: [],
      mtu: given > 0 ? given : 1500,
      address: `${pod.podIP}/${bits}`,
      routes: routes.map((to) => `${to} via ${gw}`),
    };
  }

  /** The veth goes with its end in the pod; the bridge stays, also without ports. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    const out = [...this.portmap.podDel(node, pod), `ip -n ${pod.netns} link del eth0`];
    if (this.config.ipMasq) out.push(...masqueradeDel(node, pod));
    return { commands: out, elsewhere: [] };
  }
}
