/**
 * The data paths that `podwire bench` measures.
 * @module
 */
import { aton } from '../../../wire/inet.js';
import { corednsProgram } from '../../kube/coredns/program.js';
import { runLab } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { SERVICES } from '../usage.js';
import type { Kernel } from '../../linux/core/kernel.js';
import { addServices } from './services.js';
import {
  CLIENT, CLUSTER_IP, clusterLab, type ClusterOptions, DNS_IP, HOST_IP, NEAR, SERVER, SERVICE_PORT, SERVICE_TCP_PORT, TCP_PORT, UDP_PORT,
} from './topology.js'; // prettier-ignore
import { DnsTraffic, TcpTraffic, type Traffic, UdpTraffic } from './traffic.js';

export interface Case {
  cluster: ClusterOptions;
  traffic(k: Kernel): Traffic;
  /** How many times fewer packets a round has, by kind of flow: one of them is more work. */
  known?: number;
  fresh?: number;
}

const ip = (text: string): number => aton(text)!;
const BRIDGE: ClusterOptions = { cni: '{ plugin: bridge }', mode: 'iptables' };
const FLANNEL: ClusterOptions = { cni: '{ plugin: flannel, backend: { type: vxlan } }', mode: 'iptables' };
const CALICO: ClusterOptions = { cni: '{ plugin: calico, ipipMode: Always, vxlanMode: Never }', mode: 'iptables' };

/** The address of the first device of a namespace but lo. */
function podIp(k: Kernel, netns: string): number {
  return k.netns.get(netns)!.dev('eth0')!.addrs[0]!.addr;
}

const toPod =
  (server: string) =>
  (k: Kernel): Traffic =>
    new UdpTraffic(k.netns.get(CLIENT)!, k.netns.get(server)!, [podIp(k, server), UDP_PORT], UDP_PORT);
const toService = (k: Kernel): Traffic =>
  new UdpTraffic(k.netns.get(CLIENT)!, k.netns.get(SERVER)!, [ip(CLUSTER_IP), SERVICE_PORT], UDP_PORT);

export const CASES: Readonly<Record<string, Case>> = {
  /** UDP pod → bridge → pod on one node. */
  'same-node': { cluster: BRIDGE, traffic: toPod(NEAR) },
  /** UDP pod → bridge → route → bridge → pod on another node. */
  routed: { cluster: BRIDGE, traffic: toPod(SERVER) },
  /** The same through flannel’s VXLAN. */
  vxlan: { cluster: FLANNEL, traffic: toPod(SERVER) },
  /** The same through Calico’s IPIP tunnel and rules. */
  ipip: { cluster: CALICO, traffic: toPod(SERVER) },
  /** UDP to a ClusterIP, DNAT by iptables, VXLAN to the other node. */
  'clusterip-iptables': { cluster: FLANNEL, traffic: toService },
  /** UDP to a ClusterIP, by IPVS, VXLAN to the other node. */
  'clusterip-ipvs': { cluster: { ...FLANNEL, mode: 'ipvs' }, traffic: toService },
  /** UDP pod → masquerade → router → host outside. */
  egress: {
    cluster: { ...FLANNEL, host: true },
    traffic: (k) => new UdpTraffic(k.netns.get(CLIENT)!, k.netns.get('internet')!, [ip(HOST_IP), UDP_PORT], UDP_PORT),
  },
  /** DNS query to CoreDNS by its ClusterIP, and the answer. */
  dns: {
    cluster: { ...FLANNEL, coredns: true },
    traffic: (k) => new DnsTraffic(k.netns.get(CLIENT)!, ip(DNS_IP), 'svc.default.svc.cluster.local', ip(CLUSTER_IP)),
    known: 10,
    fresh: 10,
  },
  /** A TCP stream to a ClusterIP, VXLAN to the other node; new flows: 100 bytes each. */
  'tcp-bulk': {
    cluster: FLANNEL,
    traffic: (k) =>
      new TcpTraffic(k.netns.get(CLIENT)!, k.netns.get(SERVER)!, [ip(CLUSTER_IP), SERVICE_TCP_PORT], TCP_PORT),
    known: 2,
    fresh: 20,
  },
};

/** `services-iptables-1000`: a ClusterIP among a thousand more Services; null: there is no such case. */
export function caseOf(name: string): Case | null {
  const m = SERVICES.exec(name);
  if (m === null) return Object.hasOwn(CASES, name) ? CASES[name]! : null;
  const base = CASES[`clusterip-${m[1]!}`]!;
  return {
    ...base,
    traffic: (k) => {
      addServices(k, base.cluster, Number(m[2]));
      return base.traffic(k);
    },
  };
}

/** Sets a cluster up and hands its kernel over. */
export function withKernel(text: string, use: (k: Kernel) => void): void {
  runLab(parseLab(text, 'bench'), { stopAt: 0, onReady: use, programFor: (argv) => (argv[2] === 'coredns' ? corednsProgram : null) }); // prettier-ignore
}

/** Sets the cluster of a case up and hands its kernel over. */
export const withCluster = (c: Case, use: (k: Kernel) => void): void => withKernel(clusterLab(c.cluster), use);
