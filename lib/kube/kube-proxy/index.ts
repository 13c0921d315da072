/** kube-proxy as plain Linux commands: what one full sync of the real program would run on a fresh node. @module */
import type { EndpointSlice, Service } from '../api/types.js';
import type { RuleContext } from './iptables.js';
import { iptablesRestoreInput } from './iptables.js';
import { IPVS_FILTER_CHAINS, IPVS_NAT_CHAINS, IPVS_SETS, ipvsRestoreInput, ipvsState } from './ipvs.js';
import { inCidr, proxyPorts } from './service-port.js';

export interface KubeProxyConfig {
  mode: 'iptables' | 'ipvs';
  clusterCIDR: string;
  detectLocalMode: 'ClusterCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';
  bridgeInterface: string;
  interfaceNamePrefix: string;
  nodePortAddresses: string[];
  masqueradeAll: boolean;
  masqueradeBit: number;
  localhostNodePorts: boolean;
  scheduler: string;
  strictARP: boolean;
}

const CIDR = /^(\d{1,3}\.){3}\d{1,3}\/([0-9]|[12]\d|3[0-2])$/;
const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'sh', 'dh', 'sed', 'nq', 'fo', 'ovf', 'mh'];

/** KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1): defaults applied, every other field refused. */
export function parseKubeProxyConfig(value: unknown, fail: (path: string, message: string) => never): KubeProxyConfig {
  const object = (v: unknown, path: string, known: string[]): Record<string, unknown> => {
    if (v === undefined || v === null) return {};
    if (typeof v !== 'object' || Array.isArray(v)) return fail(path, `found ${JSON.stringify(v)}, expected a mapping`);
    for (const key of Object.keys(v)) {
      if (!known.includes(key)) {
        fail(path === '' ? key : `${path}.${key}`, `found field '${key}', expected one of ${known.join(', ')}`);
      }
    }
    return v as Record<string, unknown>;
  };
  const take = <T extends string | boolean | number>(o: Record<string, unknown>, path: string, fallback: T): T => {
    const v = o[path.slice(path.lastIndexOf('.') + 1)];
    if (v === undefined || v === null) return fallback;
    if (typeof v !== typeof fallback) return fail(path, `found ${JSON.stringify(v)}, expected a ${typeof fallback}`);
    return v as T;
  };
  const oneOf = <T extends string>(v: string, path: string, allowed: readonly T[]): T =>
    allowed.find((a) => a === v) ?? fail(path, `found '${v}', expected one of ${allowed.join(', ')}`);
  const top = object(value, '', [
    'apiVersion',
    'kind',
    'mode',
    'clusterCIDR',
    'detectLocalMode',
    'detectLocal',
    'nodePortAddresses',
    'iptables',
    'ipvs',
  ]);
  oneOf(take(top, 'apiVersion', 'kubeproxy.config.k8s.io/v1alpha1'), 'apiVersion', [
    'kubeproxy.config.k8s.io/v1alpha1',
  ]);
  oneOf(take(top, 'kind', 'KubeProxyConfiguration'), 'kind', ['KubeProxyConfiguration']);
  const ipt = object(top['iptables'], 'iptables', ['masqueradeAll', 'masqueradeBit', 'localhostNodePorts']);
  const ipvs = object(top['ipvs'], 'ipvs', ['scheduler', 'strictARP']);
  const detect = object(top['detectLocal'], 'detectLocal', ['bridgeInterface', 'interfaceNamePrefix']);
  const clusterCIDR = take(top, 'clusterCIDR', '');
  if (clusterCIDR !== '' && !CIDR.test(clusterCIDR))
    fail('clusterCIDR', `found '${clusterCIDR}', expected an IPv4 CIDR`);
  const addresses = top['nodePortAddresses'] ?? [];
  if (!Array.isArray(addresses)) return fail('nodePortAddresses', 'expected a list of CIDRs');
  const nodePortAddresses = addresses.map((a: unknown, i) =>
    typeof a === 'string' && (a === 'primary' || CIDR.test(a))
      ? a
      : fail(`nodePortAddresses[${i}]`, `found ${JSON.stringify(a)}, expected an IPv4 CIDR or 'primary'`),
  );
  const masqueradeBit = take(ipt, 'iptables.masqueradeBit', 14);
  if (!Number.isInteger(masqueradeBit) || masqueradeBit < 0 || masqueradeBit > 31) {
    fail('iptables.masqueradeBit', `found ${masqueradeBit}, expected 0 to 31`);
  }
  const detectLocalMode = oneOf(take(top, 'detectLocalMode', '') || 'ClusterCIDR', 'detectLocalMode', [
    'ClusterCIDR',
    'BridgeInterface',
    'InterfaceNamePrefix',
  ]);
  const bridgeInterface = take(detect, 'detectLocal.bridgeInterface', '');
  const interfaceNamePrefix = take(detect, 'detectLocal.interfaceNamePrefix', '');
  if (detectLocalMode === 'BridgeInterface' && bridgeInterface === '') {
    fail('detectLocal.bridgeInterface', 'found nothing, expected a device name');
  }
  if (detectLocalMode === 'InterfaceNamePrefix' && interfaceNamePrefix === '') {
    fail('detectLocal.interfaceNamePrefix', 'found nothing, expected a device name prefix');
  }
  return {
    mode: oneOf(take(top, 'mode', '') || 'iptables', 'mode', ['iptables', 'ipvs']),
    clusterCIDR,
    detectLocalMode,
    bridgeInterface,
    interfaceNamePrefix,
    nodePortAddresses,
    masqueradeAll: take(ipt, 'iptables.masqueradeAll', false),
    masqueradeBit,
    localhostNodePorts: take(ipt, 'iptables.localhostNodePorts', true),
    scheduler: oneOf(take(ipvs, 'ipvs.scheduler', '') || 'rr', 'ipvs.scheduler', SCHEDULERS),
    strictARP: take(ipvs, 'ipvs.strictARP', false),
  };
}

function ruleContext(config: KubeProxyConfig, clusterCIDR: string, addresses: string[]): RuleContext {
  const nodeIPs = addresses.map((a) => a.split('/')[0]!).filter((a) => !a.includes(':'));
  const list = config.nodePortAddresses;
  const everything = list.length === 0 || list.includes('0.0.0.0/0');
  const localhostNodePorts =
    config.mode === 'iptables' &&
    config.localhostNodePorts &&
    (everything || list.some((c) => c !== 'primary' && inCidr(c, '127.0.0.1')));
  const candidates = localhostNodePorts ? ['127.0.0.1', ...nodeIPs] : nodeIPs;
  const cidr = config.clusterCIDR || clusterCIDR;
  const local =
    config.detectLocalMode === 'BridgeInterface'
      ? `-i ${config.bridgeInterface}`
      : config.detectLocalMode === 'InterfaceNamePrefix'
        ? `-i ${config.interfaceNamePrefix}+`
        : cidr === ''
          ? ''
          : `-s ${cidr}`;
  return {
    mark: `0x${(2 ** config.masqueradeBit).toString(16).padStart(8, '0')}`,
    masqueradeAll: config.masqueradeAll,
    ifLocal: local,
    ifNotLocal: local === '' ? '' : `! ${local}`,
    nodeIPs,
    localhostNodePorts,
    nodePortIPs: everything
      ? null
      : candidates.filter((ip) => list.some((c) => (c === 'primary' ? ip === nodeIPs[0] : inCidr(c, ip)))),
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

/** Lab lines of kube-proxy's start and first full sync on one node; addresses[0] is the primary node IP. */
export function kubeProxySetup(opts: {
  node: { name: string; addresses: string[] };
  config: KubeProxyConfig;
  clusterCIDR: string;
  services: Service[];
  slices: EndpointSlice[];
}): string {
  const { node, config } = opts;
  const ctx = ruleContext(config, opts.clusterCIDR, node.addresses);
  const ports = proxyPorts(opts.services, opts.slices, node.name);
  const run: string[] = [];
  const made = new Set<string>();
  const chain = (table: string, name: string): void => {
    if (!made.has(`${table} ${name}`)) run.push(`iptables ${WAIT} -N ${name} -t ${table}`);
    made.add(`${table} ${name}`);
  };
  const jumps = (rows: typeof JUMPS): void => {
    for (const [table, src, state, comment, dst] of rows) {
      chain(table, dst);
      const text = comment === '' ? '' : `-m comment --comment "${comment}" `;
      run.push(`iptables ${WAIT} -I ${src} -t ${table} ${state}${text}-j ${dst}`);
    }
  };
  const restore = (input: string): void => {
    run.push(`iptables-restore ${WAIT} --noflush --counters <<'EOF'\n${input}EOF`);
  };
  const timeouts = ['nf_conntrack_tcp_timeout_established=86400', 'nf_conntrack_tcp_timeout_close_wait=3600'].map(
    (s) => `sysctl -w net.netfilter.${s}`,
  );
  if (config.mode === 'iptables') {
    if (ctx.localhostNodePorts) run.push('sysctl -w net.ipv4.conf.all.route_localnet=1');
    run.push(...timeouts);
    for (const table of ['mangle', 'nat', 'filter']) chain(table, 'KUBE-PROXY-CANARY');
    jumps(JUMPS);
    restore(iptablesRestoreInput(ports, ctx));
  } else {
    for (const s of [
      'vs.conntrack=1',
      'vs.expire_nodest_conn=1',
      'vs.expire_quiescent_template=1',
      'ip_forward=1',
      ...(config.strictARP ? ['conf.all.arp_ignore=1', 'conf.all.arp_announce=2'] : []),
    ]) {
      run.push(`sysctl -w net.ipv4.${s}`);
    }
    run.push(...timeouts);
    for (const name of IPVS_NAT_CHAINS) chain('nat', name);
    for (const name of IPVS_FILTER_CHAINS) chain('filter', name);
    jumps(IPVS_JUMPS);
    run.push('ip link add kube-ipvs0 type dummy');
    for (const [name, type] of IPVS_SETS) run.push(`ipset create ${name} ${type} -exist`);
    const state = ipvsState(ports, ctx, config.scheduler);
    run.push(...state.commands);
    for (const [name, entries] of state.sets) for (const e of entries) run.push(`ipset add ${name} ${e} -exist`);
    restore(ipvsRestoreInput(state, ctx));
  }
  return run.map((line) => `ip netns exec ${node.name} ${line}\n`).join('');
}
