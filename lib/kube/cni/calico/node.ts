/**
 * Felix on one node: which ipsets and chains it wants for the pods that are there, and the commands that bring them.
 *
 * Upstream: projectcalico/calico v3.31, felix/dataplane/linux/{int_dataplane,endpoint_mgr,masq_mgr,hostip_mgr,ipset_hosts_mgr}.go.
 * @module
 */
import type { Machine } from '../../scenario.js';
import type { CalicoConfig } from '../config.js';
import type { CniCluster, Sandbox } from '../plugin.js';
import { addressOf, peersOf } from '../routes.js';
import { dispatchChains } from './dispatch.js';
import { endpointChains, profileChains } from './endpoint-chains.js';
import type { Chain, Endpoint, EndpointPolicy, FelixIpset, NodePolicy, PolicyOf } from './felix.js';
import { ipsetName, workloadInterface } from './hash.js';
import type { BlockIpam } from './ipam.js';
import { EndpointMarks, markChains } from './ipvs-chains.js';
import { IpsetProgram, IptablesProgram } from './program.js';
import { tunnelOf } from './routes.js';
import { staticTables, type TableModel } from './static-chains.js';

/** What all nodes share. */
export interface FelixCluster {
  readonly cluster: CniCluster;
  readonly config: CalicoConfig;
  readonly ipam: BlockIpam;
  readonly tables: readonly TableModel[];
}

export function felixCluster(cluster: CniCluster, config: CalicoConfig, ipam: BlockIpam): FelixCluster {
  const ipvs = cluster.kubeProxy.mode === 'ipvs';
  const tables = staticTables({ tunnel: tunnelOf(config), natOutgoing: config.natOutgoing, ipvs });
  return { cluster, config, ipam, tables };
}

interface Local {
  endpoint: Endpoint;
  serviceAccount: string;
}

const NO_POLICY: EndpointPolicy = { ingress: [], egress: [] };

export class FelixNode {
  private readonly name: string;
  private readonly policyOf: PolicyOf;
  private readonly tables: readonly TableModel[];
  private readonly ipsets: readonly FelixIpset[];
  private readonly marks: EndpointMarks | null;
  private readonly local = new Map<string, Local>();
  private readonly iptablesProgram: IptablesProgram;
  private readonly ipsetProgram: IpsetProgram;

  constructor(felix: FelixCluster, node: Machine, policyOf: PolicyOf) {
    this.name = node.name;
    this.policyOf = policyOf;
    this.tables = felix.tables;
    this.ipsets = ownIpsets(felix, node);
    this.marks = felix.cluster.kubeProxy.mode === 'ipvs' ? new EndpointMarks() : null;
    this.iptablesProgram = new IptablesProgram(node.name);
    this.ipsetProgram = new IpsetProgram(node.name);
  } // prettier-ignore

  add(pod: Sandbox): void {
    const iface = workloadInterface(pod.namespace, pod.name);
    const endpoint = { namespace: pod.namespace, name: pod.name, iface, podIP: pod.podIP };
    this.local.set(iface, { endpoint, serviceAccount: pod.serviceAccount });
  }

  remove(pod: Sandbox): void {
    const iface = workloadInterface(pod.namespace, pod.name);
    this.local.delete(iface);
    this.marks?.release(iface);
  }

  /** The commands that make the node as it should be for its pods and their policy now. */
  sync(): string[] {
    const pods = [...this.local.values()];
    const policy = this.policyOf(this.name, pods.map((p) => p.endpoint)); // prettier-ignore
    const sets = this.ipsetProgram.apply([...this.ipsets, ...policy.ipsets]);
    const own = this.podChains(pods, policy);
    const tables = this.tables.map((t) => (t.table === 'filter' ? { ...t, chains: [...t.chains, ...own] } : t));
    return [...sets.before, ...this.iptablesProgram.apply(tables), ...sets.after];
  }

  private podChains(pods: readonly Local[], policy: NodePolicy): Chain[] {
    const ifaces = pods.map((p) => p.endpoint.iface);
    return [
      ...policy.chains,
      ...dispatchChains(ifaces),
      ...pods.flatMap(({ endpoint, serviceAccount }) =>
        endpointChains(endpoint, serviceAccount, policy.endpoints.get(endpoint.iface) ?? NO_POLICY),
      ),
      ...profileChains(pods),
      ...(this.marks === null ? [] : markChains(ifaces, this.marks)),
    ];
  }
}

/** Those that the static chains ask. An address is this host's where the table `local` says so: 127.0.0.0 too. */
function ownIpsets({ cluster, config, ipam }: FelixCluster, node: Machine): FelixIpset[] {
  const set = (id: string, members: readonly string[], type: FelixIpset['type'] = 'hash:net'): FelixIpset => ({ name: ipsetName(id), type, members });
  const pool = [cluster.podSubnet];
  const own = [set('all-ipam-pools', pool), set('masq-ipam-pools', config.natOutgoing ? pool : [])];
  if (config.encapsulation === 'IPIP') own.push(set('all-hosts-net', cluster.nodes.map(addressOf)));
  if (config.encapsulation === 'VXLAN') own.push(set('all-vxlan-net', peersOf(cluster, node).map(addressOf)));
  const tunnel = tunnelOf(config) === null ? [] : [ipam.tunnelAddress(node)];
  const here = ['127.0.0.0', '127.0.0.1', ...node.addresses.map((a) => a.split('/')[0]!), ...tunnel];
  return [...own, set('this-host', here, 'hash:ip'), set('dscp-src-net', [])];
} // prettier-ignore
