/**
 * The seam between a cluster and its CNI plugin: what a plugin is told, and the Linux commands it answers with.
 *
 * A plugin is one object for the whole cluster; it may remember what it has set up where. It is called in the order of the
 * virtual clock: for every node its set-up, a CNI ADD for each of its first pods, its peers, then its daemon; then a CNI ADD for each pod that starts
 * and a CNI DEL for each that ends. Commands are
 * lines of a Lab (heredocs are one element with line breaks), each naming its own namespace; nothing else leaves a plugin.
 *
 * Upstream: the CNI specification (ADD, DEL), and what the plugins' own daemons do on a node when another node joins.
 * @module
 */
import type { CalicoPolicy, NetworkPolicy } from '../api/policy-types.js';
import type { Namespace, Pod, Protocol, Stored } from '../api/types.js';
import type { Machine } from '../scenario.js';
import type { CniConfig } from './config.js';

/** What is the same for all nodes of a cluster. */
export interface CniCluster {
  nodes: readonly Machine[];
  /** The machines outside. */
  hosts: readonly Machine[];
  podSubnet: string;
  /** Names, also of those without pods; absent: kubeadm's. */
  namespaces?: readonly string[];
  serviceSubnet: string;
  kubeProxy: { readonly mode: string };
  cni: CniConfig;
  /** The scenario's, for messages. */
  file: string;
}

/** A hostPort of a pod (runtimeConfig.portMappings). */
export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol: Protocol;
  /** Empty: every address of the node. */
  hostIP: string;
}

/** A pod's sandbox as CNI ADD and DEL see it: its network namespace exists and holds `lo`, up. */
export interface Sandbox {
  namespace: string;
  name: string;
  netns: string;
  /** The container id of the sandbox: 64 hex digits. */
  containerId: string;
  annotations: Record<string, string>;
  serviceAccount: string;
  /** The address that `Ipam.allocate` gave it, without a prefix length. */
  podIP: string;
  ports: PortMapping[];
}

/** Commands on one machine. */
export interface CniCommands {
  /** The machine whose daemon or plugin runs them. */
  node: string;
  commands: string[];
}

/** The answer to a CNI ADD. */
export interface CniResult {
  /** On the pod's own node, in order. */
  commands: string[];
  /** On the same node after them, by plugins further on in the chain; at a cluster's start kube-proxy has come before. */
  chained: string[];
  /** What the daemons of other nodes do once they hear of this pod (a route to its block, an ARP entry); mostly nothing. */
  elsewhere: CniCommands[];
  /** MTU of the pod's eth0. */
  mtu: number;
  /** `a.b.c.d/len` as on the pod's eth0. */
  address: string;
  /** Routes in the pod's namespace, as `ip route` spells them. */
  routes: string[];
}

/** Hands out pod addresses; one for the whole cluster. `now`: virtual time in ns, absent before the start. */
export interface Ipam {
  /** The address that a pod's annotations ask for, or an empty text; absent: no annotation does. */
  asked?(annotations: Record<string, string>): string;
  /** What is wrong with a pod's annotations to the plugin, in words, or an empty text; absent: nothing ever is. */
  refused?(annotations: Record<string, string>): string;
  /** Takes an address that was asked for, by `status.podIP` or so. Returns what is wrong with it in words, or an empty text. */
  reserve(node: Machine, address: string, owner: string): string;
  /** The next address for a pod on a node, or null when there is none left. */
  allocate(node: Machine, owner: string, now?: number): string | null;
  /** CNI DEL gives it back. */
  release(node: Machine, address: string, now?: number): void;
  /** The network the node's addresses come from, for messages. */
  rangeOf(node: Machine): string;
}

/** What network policy is made of. */
export interface PolicyObjects {
  pods: readonly Pod[];
  namespaces: readonly Namespace[];
  /** ServiceAccounts that have manifests. */
  accounts: readonly Stored[];
  policies: readonly (NetworkPolicy | CalicoPolicy)[];
}

/** Where network policy is enforced. */
export interface PolicyEnforcer {
  /** `objects` gives what is there whenever it is asked; called before the first node and where its answers come to be others. */
  watch(objects: () => PolicyObjects): void;
  /** What nodes do once the objects have changed. */
  changed(): CniCommands[];
}

export interface CniPlugin {
  readonly ipam: Ipam;
  /** What the user should know, in words; absent: nothing. */
  readonly said?: readonly string[];
  /** Absent: the plugin enforces no network policy. */
  readonly policy?: PolicyEnforcer;
  /** Commands in the namespace `root` before there is any machine; absent: none. */
  readonly machines?: readonly string[];
  /** A node's start: devices, addresses and rules that stand before any pod. Called once a node. */
  nodeAdd(node: Machine): string[];
  /** What a node does as it learns of all other nodes (routes, FDB entries, neighbours); after its first pods have come. */
  peersAdd(node: Machine): string[];
  /** What its daemon does on a node where kube-proxy has synced, after the first pods and all nodes; absent: nothing. */
  daemonAdd?(node: Machine): string[];
  /** CNI ADD. */
  podAdd(node: Machine, pod: Sandbox): CniResult;
  /** CNI DEL; kubelet deletes the network namespace itself after it. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'>;
}
