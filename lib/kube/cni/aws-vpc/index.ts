/**
 * The Amazon VPC CNI plugin: pods have addresses of the node's ENIs, and every ENI but the first its own routing table.
 *
 * Upstream: aws/amazon-vpc-cni-k8s v1.23.1: cmd/aws-vpc-cni-init (sysctls), pkg/networkutils/network.go (SetupHostNetwork,
 * setupENINetwork), cmd/routed-eni-cni-plugin/driver (setupVeth, setupIPBasedContainerRouteRules); with secondary addresses or
 * delegated prefixes, and portmap behind it. The MAC addresses of veths, random in reality, are derived from names. Not here:
 * branch ENIs, custom networking, several network cards, the egress plugin, IPv6.
 * @module
 */
import { sha1 } from '@noble/hashes/legacy.js';
import { ntoa } from '../../../../wire/inet.js';
import { assignToEni, attachEni, eniPort } from '../../cloud/vpc.js';
import type { Machine } from '../../scenario.js';
import { hostVeth, macFor } from '../names.js';
import type { CniCluster, CniPlugin, CniResult, Sandbox } from '../plugin.js';
import { Portmap } from '../portmap.js';
import { addressOf, forwarding } from '../routes.js';
import type { AwsVpcConfig } from './config.js';
import { type Eni, Ipamd } from './ipamd.js';
import { hostRules, MARK } from './rules.js';

/** The pod's gateway, which is nobody's address (CalculatePodIPv4GatewayIP). */
const GATEWAY = '169.254.1.1';

/** Priorities of rules (pkg/networkutils). */
const TO_CONTAINER = 512,
  HOST = 1024,
  FROM_POD = 1536,
  FROM_PRIMARY_OF_ENI = 32765;

export class AwsVpcPlugin implements CniPlugin {
  readonly ipam: Ipamd;
  private readonly cluster: CniCluster;
  private readonly config: AwsVpcConfig;
  private readonly portmap: Portmap;
  /** How many blocks of an ENI the fabric knows. */
  private readonly known = new Map<Eni, number>();

  constructor(cluster: CniCluster, config: AwsVpcConfig) {
    this.cluster = cluster;
    this.config = config;
    this.ipam = new Ipamd(cluster, config);
    this.portmap = new Portmap(config, 'aws-cni');
  }

  nodeAdd(node: Machine): string[] {
    const { name } = node;
    const { AWS_VPC_ENI_MTU, AWS_VPC_K8S_CNI_EXTERNALSNAT, AWS_VPC_CNI_NODE_PORT_SUPPORT } = this.config.env;
    return [
      forwarding(node),
      `ip netns exec ${name} sysctl -q -w net.ipv4.conf.eth0.rp_filter=2 net.ipv4.tcp_early_demux=1`,
      `ip -n ${name} link set eth0 mtu ${AWS_VPC_ENI_MTU}`,
      ...(AWS_VPC_CNI_NODE_PORT_SUPPORT || !AWS_VPC_K8S_CNI_EXTERNALSNAT
        ? [`ip -n ${name} rule add fwmark ${MARK}/${MARK} lookup main prio ${HOST}`]
        : []),
      hostRules(name, addressOf(node), this.config),
      ...this.enis(node),
    ];
  }

  peersAdd(): string[] {
    return [];
  }

  podAdd(node: Machine, pod: Sandbox): CniResult {
    const mtu = this.config.env.AWS_VPC_ENI_MTU;
    const [name, { mac }, ip] = [eniVeth(pod), hostVeth(pod), pod.podIP];
    const inPod = `ip -n ${pod.netns}`;
    const onNode = `ip -n ${node.name}`;
    const from = fromRule(ip, this.ipam.eniOf(node, ip));
    return {
      commands: [
        ...this.enis(node),
        `${inPod} link add eth0 address ${macFor(ip)} mtu ${mtu} type veth peer name ${name} address ${mac} mtu ${mtu} netns ${node.name}`,
        `${onNode} link set ${name} up`,
        `${inPod} link set eth0 up`,
        `${inPod} route replace ${GATEWAY} dev eth0 scope link`,
        `${inPod} route add default via ${GATEWAY} dev eth0`,
        `${inPod} addr add ${ip}/32 dev eth0`,
        `${inPod} neigh add ${GATEWAY} lladdr ${mac} dev eth0 nud permanent`,
        `${onNode} route replace ${ip} dev ${name} scope link`,
        `${onNode} rule add ${toRule(ip)}`,
        ...from.map((r) => `${onNode} rule add ${r}`),
      ],
      chained: this.portmap.podAdd(node, pod, name, `${ip}/32`),
      elsewhere: [],
      mtu,
      address: `${ip}/32`,
      routes: [`default via ${GATEWAY}`, `${GATEWAY} scope link`],
    };
  }

  /** teardownIPBasedContainerRouteRules; the veth goes with the pod's namespace. */
  podDel(node: Machine, pod: Sandbox): Pick<CniResult, 'commands' | 'elsewhere'> {
    const onNode = `ip -n ${node.name}`;
    const ip = pod.podIP;
    const commands = [
      ...this.portmap.podDel(node, pod),
      `${onNode} rule del ${toRule(ip)}`,
      ...fromRule(ip, this.ipam.eniOf(node, ip)).map((r) => `${onNode} rule del ${r}`),
      `${onNode} route del ${ip} scope link`,
    ];
    return { commands, elsewhere: [] };
  }

  /** What EC2 has given the node since the last time: ENIs, addresses and prefixes; ipamd sets up the ENIs. */
  private enis(node: Machine): string[] {
    const out: string[] = [];
    for (const e of this.ipam.enisOf(node)) {
      const port = eniPort(this.cluster, node, e.device);
      const known = this.known.get(e) ?? 0;
      const isNew = !this.known.has(e) && e.device > 0;
      if (isNew)
        out.push(
          ...attachEni(node.name, `eth${e.device}`, port, `${ntoa(e.address)}/${e.subnet.bits}`, node.securityGroups),
        );
      const block = (b: number): string => (this.config.env.ENABLE_PREFIX_DELEGATION ? `${ntoa(b)}/28` : ntoa(b));
      for (const b of e.blocks.slice(known)) out.push(assignToEni(port, ntoa(e.address), block(b)));
      if (isNew) out.push(...setupEni(node.name, e, this.config.env.AWS_VPC_ENI_MTU));
      this.known.set(e, e.blocks.length);
    }
    return out;
  }
}

/** GeneratePodHostVethName, with the prefix `eni`. */
function eniVeth(pod: Sandbox): string {
  const digest = sha1(new TextEncoder().encode(`${pod.namespace}.${pod.name}`));
  return `eni${Array.from(digest, (x) => x.toString(16).padStart(2, '0')).join('').slice(0, 11)}`; // prettier-ignore
}

const toRule = (ip: string): string => `to ${ip} lookup main prio ${TO_CONTAINER}`;

/** CalculateRouteTableId on the first network card; of the primary ENI it is the table main. */
const tableOf = (e: Eni): number => e.device + 1;

/** Pods of the primary ENI have none. */
const fromRule = (ip: string, e: Eni): string[] =>
  e.device === 0 ? [] : [`from ${ip} lookup ${tableOf(e)} prio ${FROM_POD}`];

/** setupENINetwork, for all ENIs but the primary one. */
function setupEni(node: string, e: Eni, mtu: number): string[] {
  const [dev, table, address] = [`eth${e.device}`, tableOf(e), ntoa(e.address)];
  const ip = `ip -n ${node}`;
  return [
    `${ip} link set ${dev} mtu ${mtu}`,
    `${ip} link set ${dev} up`,
    `${ip} addr add ${address}/${e.subnet.bits} dev ${dev}`,
    `${ip} route replace ${e.subnet.router} dev ${dev} scope link table ${table}`,
    `${ip} route replace default via ${e.subnet.router} dev ${dev} table ${table}`,
    `${ip} route del ${e.subnet.text} dev ${dev} src ${address} scope link`,
    `${ip} rule add from ${address} lookup ${table} prio ${FROM_PRIMARY_OF_ENI}`,
  ];
}
