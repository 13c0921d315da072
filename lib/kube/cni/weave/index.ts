/**
 * Weave Net 2.8 in its fast datapath: one Ethernet segment over all nodes. Every node has a Linux bridge `weave`, joined by a pair of
 * veths to an Open vSwitch datapath, which sends frames to other nodes by VXLAN to UDP port 6784, with a tunnel id of the two peers.
 *
 * Upstream: weaveworks/weave, net/bridge.go, net/veth.go, net/expose.go, plugin/net/cni.go, prog/weave-kube/launch.sh. MAC addresses that
 * are random in reality are derived from names. The tunnel's device is made by `ip link add … type vxlan external` with the options of
 * the vport type vxlan, which is one in the kernel too; the flows: flows.ts. Distributions filter by reverse path; without that the
 * datapath's own device, which gets every broadcast, would answer ARP for the bridge's address, as on a node where rp_filter is 0.
 * The gratuitous ARPs of the bridges and the first pods are long past: bridges have forgotten what they learned of them.
 * Not here: the sleeve fallback (UDP 6783), encryption, heartbeats and control connections between peers, NetworkPolicies, multicast.
 * @module
 */
import { ntoa } from '../../../../wire/inet.js';
import { InputError } from '../../../sim/input-error.js';
import { networkOf } from '../../networks.js';
import type { Machine } from '../../scenario.js';
import type { CniCluster, CniPlugin, CniResult, Sandbox } from '../plugin.js';
import { Portmap } from '../portmap.js';
import { forwarding } from '../routes.js';
import type { WeaveConfig } from './config.js';
import { WeaveFlows } from './flows.js';
import { WeaveIpam } from './ipam.js';
import { BASE_RULES, namespaceAdd, podEntries, podGone } from './npc.js';
import { macOf, type Peer, peersOfNodes } from './peers.js';

const PORT = 6784;
/** Those of a new cluster. */
const NAMESPACES = ['default', 'kube-node-lease', 'kube-public', 'kube-system'];
const MULTICAST = '224.0.0.0/4';
/** configureARPCache: a container notices soon that an address has moved. */
const ARP_CACHE = ['base_reachable_time=5', 'delay_first_probe_time=2', 'ucast_solicit=1'];

export class WeavePlugin implements CniPlugin {
  readonly ipam: WeaveIpam;
  private readonly cluster: CniCluster;
  private readonly config: WeaveConfig;
  private readonly peers: readonly Peer[];
  private readonly flows: WeaveFlows;
  private readonly portmap: Portmap;
  private readonly bits: number;
  private readonly namespaces: Set<string>;
  /** Pods so far, by namespace and name. */
  private readonly pods = new Map<string, Sandbox>();
  /** Nodes where weave-npc runs. */
  private readonly running: string[] = [];

  constructor(cluster: CniCluster, config: WeaveConfig) {
    this.cluster = cluster;
    this.config = config;
    const range = cluster.podSubnet;
    this.peers = peersOfNodes(cluster.nodes, config.peers, range);
    this.ipam = new WeaveIpam(this.peers, range);
    const small = cluster.nodes.find((n) => this.ipam.bridgeOf(n) === '');
    if (small !== undefined)
      throw new InputError(cluster.file, 0, 0, `spec.networking.podSubnet: found ${range}, expected one with an address for the bridge of every node: ${small.name} has none`); // prettier-ignore
    this.flows = new WeaveFlows(this.peers, cluster.file);
    this.bits = networkOf(range).bits;
    this.portmap = new Portmap(config, 'weave');
    this.namespaces = new Set([...(cluster.namespaces ?? NAMESPACES)].sort());
  }

  /** EnsureBridge and NewFastDatapath. */
  nodeAdd(node: Machine): string[] {
    const n = node.name;
    const { mtu } = this.config;
    const ip = `ip -n ${n}`;
    const dpctl = `ip netns exec ${n} ovs-dpctl`;
    const mac = (dev: string): string => `address ${macOf(`${n}/${dev}`)}`;
    this.flows.start(n);
    return [
      forwarding(node),
      `${dpctl} add-dp datapath`,
      `${ip} link set datapath ${mac('datapath')} mtu ${mtu}`,
      `ip netns exec ${n} sysctl -q -w net.ipv4.conf.datapath.rp_filter=1`,
      `${ip} link add weave type bridge`,
      `${ip} link set weave address ${this.peer(node).name}`,
      `${ip} link add vethwedu ${mac('vethwedu')} type dummy`,
      `${ip} link set vethwedu mtu ${mtu}`,
      `${ip} link set vethwedu master weave`,
      `${ip} link del vethwedu`,
      `${ip} link add vethwe-bridge ${mac('vethwe-bridge')} mtu ${mtu} type veth peer name vethwe-datapath ${mac('vethwe-datapath')} mtu ${mtu}`,
      `${ip} link set vethwe-bridge master weave`,
      `${ip} link set vethwe-datapath up`,
      `${dpctl} add-if datapath vethwe-datapath`,
      `${ip} link set vethwe-bridge up`,
      `${ip} link set datapath up`,
      `${ip} link set weave up`,
      arpCache(n, 'weave'),
      `${ip} link add vxlan-${PORT} ${mac('vxlan')} mtu 65535 type vxlan external nolearning dstport ${PORT} udp6zerocsumrx`,
      `${dpctl} add-if datapath vxlan-${PORT}`,
      `${ip} addr add ${this.ipam.bridgeOf(node)}/${this.bits} dev weave`,
    ];
  }

  peersAdd(): string[] {
    return this.flows.flush();
  }

  /** ConfigureIPTables, `weave expose`, and weave-npc as it finds the first pods. */
  daemonAdd(node: Machine): string[] {
    const n = node.name;
    this.running.push(n);
    return [
      ...(this.config.noMasqLocal ? this.noMasqLocal(node) : []),
      firewall(n, this.cluster.podSubnet, this.config.noMasqLocal),
      ...[...this.namespaces].flatMap((ns) => namespaceAdd(n, ns)),
      ...[...this.pods.values()].flatMap((p) => podEntries(n, p.namespace, p.name, p.podIP)),
    ];
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    const n = node.name;
    const gw = this.ipam.bridgeOf(node);
    const mac = podMac(pod);
    const address = `${pod.podIP}/${this.bits}`;
    this.pods.set(pod.netns, pod);
    this.flows.add(n, mac);
    const commands = [...attach(n, pod, mac, address, this.config.mtu, this.cluster.podSubnet)];
    const first = this.running.length === 0;
    // Every node's flows before the ARP that would have brought them about; it comes last, for arping stays a second.
    if (!first) commands.push(...this.flows.flush());
    const announce = `ip netns exec ${pod.netns} arping -q -U -c 1 -I eth0 ${pod.podIP}`;
    commands.push(`ip -n ${pod.netns} route add default via ${gw}`);
    const learned = (on: string): string[] => [...this.namespace(on, pod.namespace), ...podEntries(on, pod.namespace, pod.name, pod.podIP)]; // prettier-ignore
    const elsewhere = this.running.filter((x) => x !== n).map((x) => ({ node: x, commands: learned(x) }));
    const own = first ? [] : learned(n);
    this.namespaces.add(pod.namespace);
    return {
      commands: [...commands, ...own],
      chained: [...this.portmap.podAdd(node, pod, 'weave', address), ...(first ? [] : [announce])],
      elsewhere,
      mtu: this.config.mtu,
      address,
      routes: [`default via ${gw}`],
    };
  }

  /** The veth goes with its end in the pod. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    this.pods.delete(pod.netns);
    this.flows.remove(node.name, podMac(pod));
    const gone = (on: string): string[] => podGone(on, pod.namespace, pod.podIP);
    return {
      commands: [
        ...this.portmap.podDel(node, pod),
        `ip -n ${pod.netns} link del eth0`,
        ...this.flows.flush(),
        ...gone(node.name),
      ],
      elsewhere: this.running.filter((x) => x !== node.name).map((x) => ({ node: x, commands: gone(x) })),
    };
  }

  private peer = (node: Machine): Peer => this.peers.find((p) => p.node === node.name)!;

  /** A namespace that weave-npc has not seen yet. */
  private namespace(on: string, name: string): string[] {
    return this.namespaces.has(name) ? [] : namespaceAdd(on, name);
  }

  /** The set of what this node's peer owns (NoMasqLocalTracker). */
  private noMasqLocal(node: Machine): string[] {
    const set = `ip netns exec ${node.name} ipset`;
    const { start, size } = this.peer(node);
    return [
      `${set} create weaver-no-masq-local hash:net comment`,
      `${set} add weaver-no-masq-local ${ntoa(start)}/${32 - Math.log2(size)} comment ""`,
    ];
  }
}

const podMac = (pod: Sandbox): string => macOf(pod.netns);

const arpCache = (netns: string, dev: string): string =>
  `ip netns exec ${netns} sysctl -q -w ${ARP_CACHE.map((x) => `net.ipv4.neigh.${dev}.${x}`).join(' ')}`;

/** AttachContainer, up to the gratuitous ARP. */
function attach(n: string, pod: Sandbox, mac: string, address: string, mtu: number, range: string): string[] {
  const id = pod.containerId.slice(0, 7);
  const [host, peer] = [`vethwepl${id}`, `vethwepg${id}`];
  const inPod = `ip netns exec ${pod.netns}`;
  return [
    `ip -n ${n} link add ${host} address ${macOf(`${pod.netns}/host`)} mtu ${mtu} type veth peer name ${peer} address ${mac} mtu ${mtu}`,
    `ip -n ${n} link set ${host} master weave`,
    `ip -n ${n} link set ${peer} netns ${pod.netns}`,
    `ip -n ${pod.netns} link set ${peer} name eth0`,
    arpCache(pod.netns, 'eth0'),
    `${inPod} iptables -A INPUT -i eth0 -d ${MULTICAST} -j DROP`,
    `ip -n ${n} link set ${host} up`,
    `ip netns exec ${n} bridge link set dev ${host} hairpin on`,
    `ip -n ${pod.netns} addr add ${address} dev eth0`,
    `${inPod} iptables -I INPUT 1 -i eth0 -s ${range} -d ${MULTICAST} -j ACCEPT`,
    `ip -n ${pod.netns} link set eth0 up`,
  ];
}

/** ConfigureIPTables with a policy controller, exposeNAT, the canaries of MonitorForIptablesFlush, and weave-npc's own chains. */
function firewall(n: string, range: string, noMasqLocal: boolean): string {
  const first = `-m comment --comment "NOTE: this must go before '-j KUBE-FORWARD'"`;
  const set = '-m set --match-set weaver-no-masq-local dst -m comment --comment "Prevent SNAT to locally running containers" -j RETURN';
  return [
    `ip netns exec ${n} iptables-restore --noflush <<'EOF'`,
    '*mangle',
    ':WEAVE-CANARY - [0:0]',
    'COMMIT',
    '*nat',
    ':WEAVE - [0:0]',
    ':WEAVE-CANARY - [0:0]',
    '-A POSTROUTING -j WEAVE',
    ...(noMasqLocal ? [`-A WEAVE ${set}`] : []),
    `-A WEAVE -s ${range} -d ${MULTICAST} -j RETURN`,
    `-A WEAVE -d ${range} ! -s ${range} -j MASQUERADE`,
    `-A WEAVE -s ${range} ! -d ${range} -j MASQUERADE`,
    'COMMIT',
    '*filter',
    ':WEAVE-CANARY - [0:0]',
    ':WEAVE-NPC - [0:0]',
    ':WEAVE-NPC-EGRESS - [0:0]',
    '-A INPUT -p tcp --dst 127.0.0.1 --dport 6784 -m addrtype ! --src-type LOCAL -m conntrack ! --ctstate RELATED,ESTABLISHED -m comment --comment "Block non-local access to Weave Net control port" -j DROP',
    '-A INPUT -i weave -j WEAVE-NPC-EGRESS',
    `-I FORWARD 1 -i weave ${first} -j WEAVE-NPC-EGRESS`,
    `-I FORWARD 2 -o weave ${first} -j WEAVE-NPC`,
    '-I FORWARD 3 -o weave -m state --state NEW -j NFLOG --nflog-group 86',
    '-I FORWARD 4 -o weave -j DROP',
    '-I FORWARD 5 -i weave ! -o weave -j ACCEPT',
    '-I FORWARD 6 -o weave -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ...BASE_RULES,
    'COMMIT',
    'EOF',
  ].join('\n');
} // prettier-ignore
