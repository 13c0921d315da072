/**
 * Calico with its iptables dataplane: its CNI plugin and IPAM, BIRD and Felix on every node.
 *
 * A pod has a /32 and sends everything to 169.254.1.1, for which its node answers; the node has a route to each of its pods and one
 * to each block of the others, bare or by a tunnel. Upstream: projectcalico/calico v3.31, manifests/calico.yaml, cni-plugin/pkg/dataplane/linux,
 * Felix and confd as said in the files here. The MAC address of a pod, random in reality, is derived from its address unless the
 * annotation cni.projectcalico.org/hwAddr gives it. Not here: eBPF, nftables, WireGuard, IPv6, floating IPs, host endpoints, several pools, BGP peers
 * other than the nodes.
 * @module
 */
import type { Machine } from '../../scenario.js';
import type { CalicoConfig } from '../config.js';
import { macFor } from '../names.js';
import type { CniCluster, CniCommands, CniPlugin, CniResult, PolicyEnforcer, Sandbox } from '../plugin.js';
import { Portmap } from '../portmap.js';
import { forwarding } from '../routes.js';
import type { PolicyOf } from './felix.js';
import { workloadInterface } from './hash.js';
import { BlockIpam } from './ipam.js';
import { felixCluster, FelixNode } from './node.js';
import { Policies } from './policy/index.js';
import { mtuOf, Routes, tunnelOf } from './routes.js';

const GATEWAY = '169.254.1.1';

const NO_DEFAULT_ROUTE = `Calico: without a default route no node answers its pods' ARP requests for ${GATEWAY}, and they reach nobody; a machine of another network in spec.hosts brings a router`; // prettier-ignore

export class CalicoPlugin implements CniPlugin {
  readonly ipam: BlockIpam;
  /** On a real node eth0 is older than tunl0: its address is the one that ARP requests for pods come from. */
  readonly machines = ['sysctl -q -w net.core.fb_tunnels_only_for_init_net=1'];
  readonly said: readonly string[];
  readonly policy: PolicyEnforcer;
  private readonly cluster: CniCluster;
  private readonly config: CalicoConfig;
  private readonly routes: Routes;
  private readonly portmap: Portmap;
  private readonly policies = new Policies();
  private readonly felix: Map<string, FelixNode>;
  /** Nodes whose Felix runs. */
  private readonly running = new Set<string>();
  /** Of the IPAM, as of the last routes. */
  private version = 0;

  constructor(cluster: CniCluster, config: CalicoConfig) {
    this.cluster = cluster;
    this.config = config;
    this.ipam = new BlockIpam(cluster.nodes, config.blockSize, tunnelOf(config) !== null);
    this.routes = new Routes(cluster, config, this.ipam);
    this.said = this.routes.routed ? [] : [NO_DEFAULT_ROUTE];
    this.portmap = new Portmap(config, 'k8s-pod-network');
    const felix = felixCluster(cluster, config, this.ipam);
    const { policies } = this;
    this.policy = {
      watch: (objects) => policies.watch(objects),
      changed: () => {
        policies.changed();
        return this.resync(null);
      },
    };
    const policyOf: PolicyOf = (node, pods) => policies.of(node, pods);
    this.felix = new Map(cluster.nodes.map((n) => [n.name, new FelixNode(felix, n, policyOf)]));
  }

  nodeAdd(node: Machine): string[] {
    const accounting = `ip netns exec ${node.name} sysctl -q -w net.netfilter.nf_conntrack_acct=1`;
    return [forwarding(node), accounting, ...this.routes.device(node)];
  }

  peersAdd(node: Machine): string[] {
    this.version = this.ipam.version;
    return [...this.routes.neighbours(node), ...this.routes.sync(node)];
  }

  daemonAdd(node: Machine): string[] {
    this.running.add(node.name);
    return this.felix.get(node.name)!.sync();
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    const mtu = mtuOf(this.config);
    const dev = workloadInterface(pod.namespace, pod.name);
    const felix = this.felix.get(node.name)!;
    felix.add(pod);
    this.policies.add(pod);
    const { own, elsewhere } = this.reroute(node);
    return {
      commands: [...wiring(node, pod, dev, mtu), ...own, ...(this.running.has(node.name) ? felix.sync() : [])],
      chained: this.portmap.podAdd(node, pod, dev, `${pod.podIP}/32`),
      elsewhere: [...elsewhere, ...this.heard(node)],
      mtu,
      address: `${pod.podIP}/32`,
      routes: [`${GATEWAY} dev eth0 scope link`, `default via ${GATEWAY} dev eth0`],
    };
  }

  /** The node's route goes with the veth. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    const felix = this.felix.get(node.name)!;
    felix.remove(pod);
    this.policies.remove(pod);
    this.ipam.release(node, pod.podIP);
    const { own, elsewhere } = this.reroute(node);
    return {
      commands: [...this.portmap.podDel(node, pod), `ip -n ${pod.netns} link del eth0`, ...own, ...felix.sync()],
      elsewhere: [...elsewhere, ...this.heard(node)],
    };
  }

  /** What Felix does on nodes that hear of a pod or of a policy; `but`: a node whose turn it is already. */
  private resync(but: Machine | null): CniCommands[] {
    return [...this.running]
      .filter((name) => name !== but?.name)
      .map((name) => ({ node: name, commands: this.felix.get(name)!.sync() }))
      .filter((x) => x.commands.length > 0);
  }

  /** The ipsets of the other nodes' policies have the pods of this one. */
  private heard(node: Machine): CniCommands[] {
    return this.running.size > 0 && this.policies.some ? this.resync(node) : [];
  }

  /** What nodes do once blocks have changed hands. */
  private reroute(node: Machine): { own: string[]; elsewhere: CniCommands[] } {
    if (!this.running.has(node.name) || this.version === this.ipam.version) return { own: [], elsewhere: [] };
    this.version = this.ipam.version;
    const all = this.cluster.nodes.map((n) => ({ node: n.name, commands: this.routes.sync(n) }));
    const changed = all.filter((x) => x.commands.length > 0);
    return {
      own: changed.find((x) => x.node === node.name)?.commands ?? [],
      elsewhere: changed.filter((x) => x.node !== node.name),
    };
  }
}

/** cni-plugin's DoWorkloadNetnsSetUp and SetupRoutes. */
function wiring(node: Machine, pod: Sandbox, dev: string, mtu: number): string[] {
  const inPod = `ip -n ${pod.netns}`;
  const conf = `net.ipv4.conf.${dev}`;
  const mac = pod.annotations['cni.projectcalico.org/hwAddr'] ?? macFor(pod.podIP);
  return [
    `${inPod} link add eth0 address ${mac} mtu ${mtu} type veth peer name ${dev} address ee:ee:ee:ee:ee:ee mtu ${mtu} netns ${node.name}`,
    `ip netns exec ${node.name} sysctl -q -w ${conf}.route_localnet=1 net.ipv4.neigh.${dev}.proxy_delay=0 ${conf}.proxy_arp=1 ${conf}.forwarding=1`,
    `ip -n ${node.name} link set ${dev} up`,
    `${inPod} link set eth0 up`,
    `${inPod} route add ${GATEWAY} dev eth0 scope link`,
    `${inPod} route add default via ${GATEWAY} dev eth0`,
    `${inPod} addr add ${pod.podIP}/32 dev eth0`,
    `ip netns exec ${pod.netns} sysctl -q -w net.ipv4.ip_forward=0`,
    `ip -n ${node.name} route add ${pod.podIP} dev ${dev} scope link`,
  ];
}
