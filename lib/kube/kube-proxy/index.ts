/**
 * kube-proxy as plain Linux commands: what the real program runs on a node at its start and at each sync after it.
 *
 *   Services, EndpointSlices ─▶ Changes ─▶ iptables.ts: restore text, whole or partial   ─▶ UdpCleanup: conntrack -D
 *                                       └▶ ipvs-sync.ts: ipvsadm, ip addr, ipset, restore ─┘
 * @module
 */
import type { EndpointSlice, Service } from '../api/types.js';
import { Changes } from './changes.js';
import { batched, Commands, IPVS_JUMPS, JUMPS, restore } from './commands.js';
import type { KubeProxyConfig } from './config.js';
import type { RuleContext } from './iptables.js';
import { iptablesRestoreInput, isLarge } from './iptables.js';
import { IPVS_FILTER_CHAINS, IPVS_NAT_CHAINS, IPVS_SETS } from './ipvs.js';
import { type Connections, IpvsSync } from './ipvs-sync.js';
import { inCidr, localReady, type ProxyPort, proxyPorts } from './service-port.js';
import { UdpCleanup } from './udp-cleanup.js';

export { type KubeProxyConfig, parseKubeProxyConfig } from './config.js';
export type { Connections } from './ipvs-sync.js';

export interface ProxyNode {
  name: string;
  /** The node's own address, first, then every other IPv4 address of its devices but lo and kube-ipvs0. */
  addresses: string[];
  podCIDR: string;
  /** `topology.kubernetes.io/zone` of the Node, empty: none. */
  zone: string;
}

/** What kube-proxy watches. */
export interface ProxyWorld {
  node: ProxyNode;
  services: Service[];
  slices: EndpointSlice[];
}

/** An HTTP server of healthCheckNodePort: which Service it speaks for and how many of its Ready endpoints are local. */
export interface HealthCheck {
  namespace: string;
  name: string;
  port: number;
  endpoints: number;
  /** Where it listens; null: on every address. */
  addresses: string[] | null;
}

/** FullSyncPeriod; syncPeriod's default. */
const FULL_SYNC_NS = 3600e9,
  SYNC_NS = 30e9;

/** Matches of the local detector, empty: none (getLocalDetectors). */
function localDetector(config: KubeProxyConfig, clusterCIDR: string, podCIDR: string): string {
  const cidr = config.detectLocalMode === 'NodeCIDR' ? podCIDR : (config.clusterCIDR ?? clusterCIDR);
  if (config.detectLocalMode === 'BridgeInterface') return `-i ${config.bridgeInterface}`;
  if (config.detectLocalMode === 'InterfaceNamePrefix') return `-i ${config.interfaceNamePrefix}+`;
  return cidr === '' ? '' : `-s ${cidr}`;
}

const nodePortList = (config: KubeProxyConfig, node: ProxyNode): string[] =>
  config.nodePortAddresses.map((c) => (c === 'primary' ? `${node.addresses[0]!}/32` : c));

/** The node's addresses that nodePortAddresses selects, its loopback address among them; null: all (NodePortAddresses). */
function nodePortAddresses(config: KubeProxyConfig, node: ProxyNode): string[] | null {
  const list = nodePortList(config, node);
  if (list.length === 0 || list.some((c) => c.endsWith('/0'))) return null;
  return ['127.0.0.1', ...node.addresses].filter((ip) => list.some((c) => inCidr(c, ip)));
}

function ruleContext(config: KubeProxyConfig, clusterCIDR: string, node: ProxyNode): RuleContext {
  const selected = nodePortAddresses(config, node);
  const localhostNodePorts =
    config.mode === 'iptables' &&
    config.localhostNodePorts &&
    (selected === null ||
      nodePortList(config, node).some((c) => inCidr('127.0.0.0/8', c.split('/')[0]!) || inCidr(c, '127.0.0.0')));
  const local = localDetector(config, clusterCIDR, node.podCIDR);
  return {
    mark: `0x${(2 ** config.masqueradeBit).toString(16).padStart(8, '0')}`,
    masqueradeAll: config.masqueradeAll,
    ifLocal: local,
    ifNotLocal: local === '' ? '' : `! ${local}`,
    nodeIPs: node.addresses,
    localhostNodePorts,
    dropInvalid: !config.tcpBeLiberal,
    nodePortIPs: selected?.filter((ip) => localhostNodePorts || ip !== '127.0.0.1') ?? null,
  };
}

/** What the program sets before it knows a Service (conntrack/sysctls.go); zero leaves a value alone. */
function conntrackSysctls(config: KubeProxyConfig): string[] {
  const rows: [string, number][] = [
    ['tcp_timeout_established', config.tcpEstablishedTimeout],
    ['tcp_timeout_close_wait', config.tcpCloseWaitTimeout],
    ['tcp_be_liberal', config.tcpBeLiberal ? 1 : 0],
    ['udp_timeout', config.udpTimeout],
    ['udp_timeout_stream', config.udpStreamTimeout],
  ];
  return rows.filter(([, v]) => v > 0).map(([name, v]) => `netfilter.nf_conntrack_${name}=${v}`);
}

/** One node's kube-proxy: it remembers what it wrote, so that a later sync writes what the real program would write then. */
export class KubeProxy {
  /** Of the last sync; the real program serves them over HTTP on every node address. */
  healthChecks: HealthCheck[] = [];
  private readonly config: KubeProxyConfig;
  private readonly clusterCIDR: string;
  private readonly changes = new Changes();
  private readonly cleanup = new UdpCleanup();
  private readonly ipvs: IpvsSync;
  private started = false;
  private zone = '';
  private lastFull = 0;
  private lastStale = 0;
  /** Chains of service ports in nat. */
  private chains = new Set<string>();

  /** `clusterCIDR` is what kubeadm would configure. */
  constructor(config: KubeProxyConfig, clusterCIDR: string) {
    this.config = config;
    this.clusterCIDR = clusterCIDR;
    this.ipvs = new IpvsSync(config);
  }

  /**
   * The first sync as a setup runs it, before any traffic, and the health check servers; those of a cluster that changes
   * (`living`) read how many endpoints there are from files.
   */
  start(world: ProxyWorld, living = false): string[] {
    const lines = this.sync(world, 0, () => 0);
    const checks = this.healthChecks;
    const servers = living
      ? checks.flatMap((h) => [healthCount(world.node.name, h), ...healthServer(h, healthFile(world.node.name, h))])
      : checks.flatMap((h) => healthServer(h, h.endpoints));
    return [...(lines.length > MANY ? batched(lines) : lines), ...servers];
  }

  /**
   * Command lines (a heredoc is part of its line) of one sync at `now` ns; none when nothing changed. The first call is
   * the start, on a node with nothing of kube-proxy's. In iptables mode the real program syncs
   * a second after the sync before at the earliest, in IPVS mode at once (minSyncPeriod's defaults).
   */
  sync(world: ProxyWorld, now: number, connections: Connections): string[] {
    const { node, services, slices } = world;
    const ports = proxyPorts(services, slices, node);
    const { updated, udp } = this.changes.update(ports, slices);
    const full = !this.started || node.zone !== this.zone || now - this.lastFull > FULL_SYNC_NS;
    if (!full && updated.size === 0) return [];
    this.zone = node.zone;
    if (full) this.lastFull = now;
    const ctx = ruleContext(this.config, this.clusterCIDR, node);
    const out =
      this.config.mode === 'iptables'
        ? this.iptablesMode(ports, ctx, full ? null : updated, now)
        : this.ipvsMode(ports, ctx, connections);
    this.started = true;
    this.healthChecks = healthChecks(ports, slices, node.name, nodePortAddresses(this.config, node));
    out.push(...this.cleanup.sync(ports, node.addresses, udp));
    return out;
  }

  /** IPVS mode, a minute after the start and every minute after it: what graceful termination does then. */
  drain(connections: Connections): string[] {
    return this.ipvs.drain(connections);
  }

  private iptablesMode(ports: ProxyPort[], ctx: RuleContext, updated: Set<string> | null, now: number): string[] {
    const c = new Commands();
    if (!this.started) {
      if (ctx.localhostNodePorts) c.sysctls('ipv4.conf.all.route_localnet=1');
      c.sysctls(...conntrackSysctls(this.config));
      for (const table of ['mangle', 'nat', 'filter']) c.chain(table, 'KUBE-PROXY-CANARY');
      c.jumps(JUMPS);
    }
    // In a large cluster stale chains stay until syncPeriod has passed.
    const look = !this.started || !isLarge(ports) || now - this.lastStale > SYNC_NS;
    const { text, chains } = iptablesRestoreInput(ports, ctx, { updated, existing: look ? this.chains : null });
    if (look) this.lastStale = now;
    this.chains = look ? chains : new Set([...this.chains, ...chains]);
    return [...c.lines, restore(text)];
  }

  private ipvsMode(ports: ProxyPort[], ctx: RuleContext, connections: Connections): string[] {
    const { config } = this;
    const c = new Commands();
    if (!this.started) {
      c.sysctls('ipv4.vs.conntrack=1', 'ipv4.vs.expire_nodest_conn=1', 'ipv4.vs.expire_quiescent_template=1', 'ipv4.ip_forward=1'); // prettier-ignore
      if (config.strictARP) c.sysctls('ipv4.conf.all.arp_ignore=1', 'ipv4.conf.all.arp_announce=2');
      c.sysctls(...conntrackSysctls(config));
      if (config.ipvsTimeouts.some((t) => t > 0)) c.lines.push(`ipvsadm --set ${config.ipvsTimeouts.join(' ')}`);
      for (const name of IPVS_NAT_CHAINS) c.chain('nat', name);
      for (const name of IPVS_FILTER_CHAINS) c.chain('filter', name);
      c.jumps(IPVS_JUMPS);
      c.lines.push('ip link add kube-ipvs0 type dummy');
      for (const [name, type] of IPVS_SETS) c.lines.push(`ipset create ${name} ${type} -exist`);
    }
    return [...c.lines, ...this.ipvs.sync(ports, ctx, connections, restore)];
  }
}

/** One server for each Service with a healthCheckNodePort, in their order. */
function healthChecks(
  ports: ProxyPort[],
  slices: EndpointSlice[],
  node: string,
  addresses: string[] | null,
): HealthCheck[] {
  const out = new Map<string, HealthCheck>();
  for (const p of ports) {
    if (p.healthCheckNodePort === 0) continue;
    const [namespace, name] = p.service.split('/') as [string, string];
    const endpoints = localReady(namespace, name, slices, node);
    out.set(p.service, { namespace, name, port: p.healthCheckNodePort, endpoints, addresses });
  }
  return [...out.values()];
}

/** So many commands of a start are given to few processes. */
const MANY = 500;

/** A server of `healthChecks`, on every address or on those of nodePortAddresses; `endpoints`: how many, or a file's name. */
function healthServer(h: HealthCheck, endpoints: number | string): string[] {
  const line = `podwire app health --port ${h.port} --service ${h.namespace}/${h.name} --endpoints ${endpoints}`;
  return h.addresses === null ? [`${line} &`] : h.addresses.map((ip) => `${line} --address ${ip} &`);
}

const healthFile = (node: string, h: HealthCheck): string => `/run/podwire-health.${node}.${h.namespace}.${h.name}`;
const healthCount = (node: string, h: HealthCheck): string => `echo ${h.endpoints} > ${healthFile(node, h)}`;

/** What a sync of a living cluster does about the health check servers; one whose Service is gone stays, with none. */
export function healthChanges(node: string, before: readonly HealthCheck[], now: readonly HealthCheck[]): string[] {
  const same = (a: HealthCheck) => (b: HealthCheck) => a.namespace === b.namespace && a.name === b.name && a.port === b.port;
  const gone = before.filter((h) => !now.some(same(h))).map((h) => healthCount(node, { ...h, endpoints: 0 }));
  return now.reduce((out, h) => {
    const old = before.find(same(h));
    if (old === undefined) out.push(healthCount(node, h), ...healthServer(h, healthFile(node, h)));
    else if (old.endpoints !== h.endpoints) out.push(healthCount(node, h));
    return out;
  }, gone);
} // prettier-ignore
