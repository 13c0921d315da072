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
  does: string;
  cluster: ClusterOptions;
  traffic(k: Kernel): Traffic;
  /** How many times fewer packets a round has, by kind of flow: one of them is more work. */
  known?: number;
  fresh?: number;
}

const ip = (text: string): number => aton(text)!;
const bridge = '{ plugin: bridge }';
const flannel = '{ plugin: flannel, backend: { type: vxlan } }';
const calico = '{ plugin: calico, ipipMode: Always, vxlanMode: Never }';

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
  'same-node': {
    does: 'UDP pod → bridge → pod on one node',
    cluster: { cni: bridge, mode: 'iptables' },
    traffic: toPod(NEAR),
  },
  routed: {
    does: 'UDP pod → bridge → route → bridge → pod on another node',
    cluster: { cni: bridge, mode: 'iptables' },
    traffic: toPod(SERVER),
  },
  vxlan: {
    does: 'the same through flannel’s VXLAN',
    cluster: { cni: flannel, mode: 'iptables' },
    traffic: toPod(SERVER),
  },
  ipip: {
    does: 'the same through Calico’s IPIP tunnel and rules',
    cluster: { cni: calico, mode: 'iptables' },
    traffic: toPod(SERVER),
  },
  'clusterip-iptables': {
    does: 'UDP to a ClusterIP, DNAT by iptables, VXLAN to the other node',
    cluster: { cni: flannel, mode: 'iptables' },
    traffic: toService,
  },
  'clusterip-ipvs': {
    does: 'UDP to a ClusterIP, by IPVS, VXLAN to the other node',
    cluster: { cni: flannel, mode: 'ipvs' },
    traffic: toService,
  },
  egress: {
    does: 'UDP pod → masquerade → router → host outside',
    cluster: { cni: flannel, mode: 'iptables', host: true },
    traffic: (k) => new UdpTraffic(k.netns.get(CLIENT)!, k.netns.get('internet')!, [ip(HOST_IP), UDP_PORT], UDP_PORT),
  },
  dns: {
    does: 'DNS query to CoreDNS by its ClusterIP, and the answer',
    cluster: { cni: flannel, mode: 'iptables', coredns: true },
    traffic: (k) => new DnsTraffic(k.netns.get(CLIENT)!, ip(DNS_IP), 'svc.default.svc.cluster.local', ip(CLUSTER_IP)),
    known: 10,
    fresh: 10,
  },
  'tcp-bulk': {
    does: 'a TCP stream to a ClusterIP, VXLAN to the other node; new flows: 100 bytes each',
    cluster: { cni: flannel, mode: 'iptables' },
    traffic: (k) =>
      new TcpTraffic(k.netns.get(CLIENT)!, k.netns.get(SERVER)!, [ip(CLUSTER_IP), SERVICE_TCP_PORT], TCP_PORT),
    known: 2,
    fresh: 20,
  },
};

/** `services-iptables-1000`: a ClusterIP among a thousand more Services; null: there is no such case. */
export function caseOf(name: string): Case | null {
  const m = SERVICES.exec(name);
  if (m === null) return CASES[name] ?? null;
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
