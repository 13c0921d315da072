/** kube-proxy as plain Linux commands: what one full sync of the real program would run on a fresh node. @module */
import type { EndpointSlice, Service } from '../api/types.js';
import type { KubeProxyConfig } from './config.js';
import type { RuleContext } from './iptables.js';
import { iptablesRestoreInput } from './iptables.js';
import { IPVS_FILTER_CHAINS, IPVS_NAT_CHAINS, IPVS_SETS, ipvsRestoreInput, ipvsState } from './ipvs.js';
import { inCidr, type ProxyPort, proxyPorts } from './service-port.js';

export { type KubeProxyConfig, parseKubeProxyConfig } from './config.js';

export interface ProxyNode {
  name: string;
  /** The node's own address, first, then every other IPv4 address of its devices but lo. */
  addresses: string[];
  podCIDR: string;
  /** `topology.kubernetes.io/zone` of the Node, empty: none. */
  zone: string;
}

/** Matches of the local detector, empty: none (getLocalDetectors). */
function localDetector(config: KubeProxyConfig, clusterCIDR: string, podCIDR: string): string {
  const cidr = config.detectLocalMode === 'NodeCIDR' ? podCIDR : (config.clusterCIDR ?? clusterCIDR);
  if (config.detectLocalMode === 'BridgeInterface') return `-i ${config.bridgeInterface}`;
  if (config.detectLocalMode === 'InterfaceNamePrefix') return `-i ${config.interfaceNamePrefix}+`;
  return cidr === '' ? '' : `-s ${cidr}`;
}

function ruleContext(config: KubeProxyConfig, clusterCIDR: string, node: ProxyNode): RuleContext {
  const list = config.nodePortAddresses;
  const everything = list.length === 0 || list.includes('0.0.0.0/0');
  const localhostNodePorts =
    config.mode === 'iptables' &&
    config.localhostNodePorts &&
    (everything || list.some((c) => c !== 'primary' && inCidr(c, '127.0.0.1')));
  const candidates = localhostNodePorts ? ['127.0.0.1', ...node.addresses] : node.addresses;
  const local = localDetector(config, clusterCIDR, node.podCIDR);
  return {
    mark: `0x${(2 ** config.masqueradeBit).toString(16).padStart(8, '0')}`,
    masqueradeAll: config.masqueradeAll,
    ifLocal: local,
    ifNotLocal: local === '' ? '' : `! ${local}`,
    nodeIPs: node.addresses,
    localhostNodePorts,
    dropInvalid: !config.tcpBeLiberal,
    nodePortIPs: everything
      ? null
      : candidates.filter((ip) => list.some((c) => (c === 'primary' ? ip === node.addresses[0] : inCidr(c, ip)))),
  };
}

const NEW = '-m conntrack --ctstate NEW ';
/** iptablesJumpChains and iptablesKubeletJumpChains: table, source, state match, comment, destination. */
const JUMPS: readonly (readonly [string, string, string, string, string])[] = [
  ['filter', 'INPUT', NEW, 'kubernetes externally-visible service portals', 'KUBE-EXTERNAL-SERVICES'],
  ['filter', 'FORWARD', NEW, 'kubernetes externally-visible service portals', 'KUBE-EXTERNAL-SERVICES'],
  ['filter', 'INPUT', '', 'kubernetes health check service ports', 'KUBE-NODEPORTS'],
  ['filter', 'FORWARD', NEW, 'kubernetes service portals', 'KUBE-SERVICES'],
  ['filter', 'OUTPUT', NEW, 'kubernetes service portals', 'KUBE-SERVICES'],
  ['filter', 'FORWARD', '', 'kubernetes forwarding rules', 'KUBE-FORWARD'],
  ['filter', 'INPUT', NEW, 'kubernetes load balancer firewall', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'OUTPUT', NEW, 'kubernetes load balancer firewall', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'FORWARD', NEW, 'kubernetes load balancer firewall', 'KUBE-PROXY-FIREWALL'],
  ['nat', 'OUTPUT', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'PREROUTING', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'POSTROUTING', '', 'kubernetes postrouting rules', 'KUBE-POSTROUTING'],
  ['filter', 'INPUT', '', '', 'KUBE-FIREWALL'],
  ['filter', 'OUTPUT', '', '', 'KUBE-FIREWALL'],
];
const IPVS_JUMPS: typeof JUMPS = [
  ['nat', 'OUTPUT', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'PREROUTING', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'POSTROUTING', '', 'kubernetes postrouting rules', 'KUBE-POSTROUTING'],
  ['filter', 'FORWARD', '', 'kubernetes forwarding rules', 'KUBE-FORWARD'],
  ['filter', 'INPUT', '', 'kubernetes health check rules', 'KUBE-NODE-PORT'],
  ['filter', 'INPUT', '', 'kube-proxy firewall rules', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'FORWARD', '', 'kube-proxy firewall rules', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'INPUT', '', 'kubernetes ipvs access filter', 'KUBE-IPVS-FILTER'],
  ['filter', 'OUTPUT', '', 'kubernetes ipvs access filter', 'KUBE-IPVS-OUT-FILTER'],
];
const WAIT = '-w 5 -W 100000';

/** Commands of one node's kube-proxy, in order. */
class Commands {
  readonly lines: string[] = [];
  private readonly made = new Set<string>();

  /** EnsureChain on a node where only this program makes chains. */
  chain(table: string, name: string): void {
    if (this.made.has(`${table} ${name}`)) return;
    this.made.add(`${table} ${name}`);
    this.lines.push(`iptables ${WAIT} -N ${name} -t ${table}`);
  }

  jumps(rows: typeof JUMPS): void {
    for (const [table, src, state, comment, dst] of rows) {
      this.chain(table, dst);
      const text = comment === '' ? '' : `-m comment --comment "${comment}" `;
      this.lines.push(`iptables ${WAIT} -I ${src} -t ${table} ${state}${text}-j ${dst}`);
    }
  }

  sysctls(...settings: string[]): void {
    for (const s of settings) this.lines.push(`sysctl -w net.${s}`);
  }

  restore(input: string): void {
    this.lines.push(`iptables-restore ${WAIT} --noflush --counters <<'EOF'\n${input}EOF`);
  }
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

function iptablesMode(c: Commands, ports: ProxyPort[], ctx: RuleContext, config: KubeProxyConfig): void {
  if (ctx.localhostNodePorts) c.sysctls('ipv4.conf.all.route_localnet=1');
  c.sysctls(...conntrackSysctls(config));
  for (const table of ['mangle', 'nat', 'filter']) c.chain(table, 'KUBE-PROXY-CANARY');
  c.jumps(JUMPS);
  c.restore(iptablesRestoreInput(ports, ctx));
}

function ipvsMode(c: Commands, ports: ProxyPort[], ctx: RuleContext, config: KubeProxyConfig): void {
  c.sysctls('ipv4.vs.conntrack=1', 'ipv4.vs.expire_nodest_conn=1', 'ipv4.vs.expire_quiescent_template=1', 'ipv4.ip_forward=1'); // prettier-ignore
  if (config.strictARP) c.sysctls('ipv4.conf.all.arp_ignore=1', 'ipv4.conf.all.arp_announce=2');
  c.sysctls(...conntrackSysctls(config));
  if (config.ipvsTimeouts.some((t) => t > 0)) c.lines.push(`ipvsadm --set ${config.ipvsTimeouts.join(' ')}`);
  for (const name of IPVS_NAT_CHAINS) c.chain('nat', name);
  for (const name of IPVS_FILTER_CHAINS) c.chain('filter', name);
  c.jumps(IPVS_JUMPS);
  c.lines.push('ip link add kube-ipvs0 type dummy');
  for (const [name, type] of IPVS_SETS) c.lines.push(`ipset create ${name} ${type} -exist`);
  const state = ipvsState(ports, ctx, config.scheduler);
  c.lines.push(...state.commands);
  for (const [name, entries] of state.sets) for (const e of entries) c.lines.push(`ipset add ${name} ${e} -exist`);
  c.restore(ipvsRestoreInput(state, ctx));
}

/** Lab lines of kube-proxy's start and first full sync on one node; `clusterCIDR` is what kubeadm would configure. */
export function kubeProxySetup(opts: {
  node: ProxyNode;
  config: KubeProxyConfig;
  clusterCIDR: string;
  services: Service[];
  slices: EndpointSlice[];
}): string {
  const { node, config } = opts;
  const ctx = ruleContext(config, opts.clusterCIDR, node);
  const ports = proxyPorts(opts.services, opts.slices, node);
  const c = new Commands();
  if (config.mode === 'iptables') iptablesMode(c, ports, ctx, config);
  else ipvsMode(c, ports, ctx, config);
  return c.lines.map((line) => `ip netns exec ${node.name} ${line}\n`).join('');
}
