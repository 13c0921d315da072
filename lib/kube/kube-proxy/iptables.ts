/** The iptables-restore input of kube-proxy's iptables mode (pkg/proxy/iptables/proxier.go syncProxyRules). @module */
import { endpointChain, serviceChain } from './hash.js';
import type { ProxyEndpoint, ProxyPort } from './service-port.js';
import { inCidr } from './service-port.js';

export interface RuleContext {
  /** The mark as written, `0x00004000`. */
  mark: string;
  masqueradeAll: boolean;
  /** Matches of the local detector, `-s 10.244.0.0/16`; empty: no detector. */
  ifLocal: string;
  ifNotLocal: string;
  /** Node addresses, the primary one first. */
  nodeIPs: string[];
  localhostNodePorts: boolean;
  /** False with conntrack.tcpBeLiberal: no DROP of INVALID. */
  dropInvalid: boolean;
  /** Null: all local addresses. */
  nodePortIPs: string[] | null;
}

/** KUBE-POSTROUTING and KUBE-MARK-MASQ, the same in both modes. */
export const masqueradeRules = (mark: string): string[] => [
  `-A KUBE-POSTROUTING -m mark ! --mark ${mark}/${mark} -j RETURN`,
  `-A KUBE-POSTROUTING -j MARK --xor-mark ${mark}`,
  '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  `-A KUBE-MARK-MASQ -j MARK --or-mark ${mark}`,
];

/** The two ACCEPT rules of KUBE-FORWARD. */
export const forwardRules = (mark: string): string[] => [
  `-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark ${mark}/${mark} -j ACCEPT`,
  '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule"' +
    ' -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
];

/** `:NAME - [0:0]`, which with --noflush creates or empties exactly this chain. */
export const chainLine = (name: string): string => `:${name} - [0:0]`;

const comment = (text: string): string => `-m comment --comment "${text}"`;

/** The rules of one sync, collected in four buffers so that all chain lines precede all rules. */
interface Rules {
  readonly ctx: RuleContext;
  /** Every chain of a service port that should exist, also where this sync does not write it. */
  readonly active: Set<string>;
  /** More than 1000 endpoints: no comments on endpoint rules (largeClusterEndpointsThreshold). */
  readonly large: boolean;
  readonly filter: string[];
  readonly natChains: string[];
  readonly nat: string[];
}

/** One service port with the names its rules share. */
interface PortRules {
  readonly s: ProxyPort;
  /** `-m tcp -p tcp`. */
  readonly match: string;
  readonly svc: string;
  readonly svl: string;
  readonly ext: string;
  readonly fw: string;
  readonly useFw: boolean;
  /** Comment and verdict of a filter rule for traffic that has no endpoint. */
  readonly none: string;
  readonly refuse: string;
}

const CHAINS = ['KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-FORWARD', 'KUBE-NODEPORTS', 'KUBE-PROXY-FIREWALL'];
const NAT_CHAINS = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'];

/** What of the rules a sync writes. */
export interface IptablesSync {
  /** Services (`ns/name`) whose chains are written; null: a full sync, every one. */
  updated: ReadonlySet<string> | null;
  /** Chains of service ports that nat has; those without a use are deleted. Null: not looked at. */
  existing: ReadonlySet<string> | null;
}

/** More than 1000 endpoints: fewer comments, stale chains stay longer (largeClusterEndpointsThreshold). */
export const isLarge = (ports: ProxyPort[]): boolean => ports.reduce((n, p) => n + p.endpoints.length, 0) > 1000;

/**
 * The text for `iptables-restore --noflush --counters`, without nfacct, and the chains of service ports that nat has after
 * it. Partial or full, it holds every fixed rule and what leads to service ports; the real order of service ports and of
 * stale chains is random, here both are sorted.
 */
export function iptablesRestoreInput(
  ports: ProxyPort[],
  ctx: RuleContext,
  sync: IptablesSync,
): { text: string; chains: Set<string> } {
  const r: Rules = {
    ctx,
    active: new Set(),
    large: isLarge(ports),
    filter: [],
    natChains: NAT_CHAINS.map(chainLine),
    nat: masqueradeRules(ctx.mark),
  };
  const filterChains = [...CHAINS, ...(ctx.localhostNodePorts ? ['KUBE-FIREWALL'] : [])].map(chainLine);
  if (ctx.localhostNodePorts) {
    r.filter.push(
      '-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8' +
        ' ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    );
  }
  for (const port of ports) writePort(r, port, sync.updated === null || sync.updated.has(port.service));
  const stale = [...(sync.existing ?? [])].filter((c) => !r.active.has(c)).sort();
  for (const c of stale) {
    r.natChains.push(chainLine(c));
    r.nat.push(`-X ${c}`);
  }
  writeNodePortJump(r);
  if (ctx.dropInvalid) r.filter.push('-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP');
  r.filter.push(...forwardRules(ctx.mark));
  const text = [
    '*filter', ...filterChains, ...r.filter, 'COMMIT', '*nat', ...r.natChains, ...r.nat, 'COMMIT', '',
  ].join('\n'); // prettier-ignore
  return { text, chains: r.active };
}

/** What leads to KUBE-NODEPORTS: any local address, or those of nodePortAddresses. */
function writeNodePortJump({ ctx, nat }: Rules): void {
  const last = `-A KUBE-SERVICES ${comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')}`;
  if (ctx.nodePortIPs === null) {
    const except = ctx.localhostNodePorts ? '' : ' ! -d 127.0.0.0/8';
    nat.push(`${last} -m addrtype --dst-type LOCAL${except} -j KUBE-NODEPORTS`);
  } else for (const ip of ctx.nodePortIPs) nat.push(`${last} -d ${ip} -j KUBE-NODEPORTS`);
}

/** A chain that belongs to one service port. */
function ownChain(r: Rules, name: string): void {
  r.natChains.push(chainLine(name));
  r.active.add(name);
}

/** One service port; the chains that are its own only if `whole`. */
function writePort(all: Rules, s: ProxyPort, whole: boolean): void {
  const chain = (prefix: 'SVC' | 'SVL' | 'EXT' | 'FW'): string => serviceChain(prefix, s.name, s.proto);
  const p: PortRules = {
    s,
    match: `-m ${s.proto} -p ${s.proto}`,
    svc: chain('SVC'),
    svl: chain('SVL'),
    ext: chain('EXT'),
    fw: chain('FW'),
    useFw: s.hasEndpoints && s.vips.length > 0 && s.sourceRanges.length > 0,
    none: comment(`${s.name} has no ${s.hasEndpoints ? 'local ' : ''}endpoints`),
    refuse: s.hasEndpoints ? 'DROP' : 'REJECT',
  };
  writeAddresses(all, p);
  writeNodePort(all, p);
  const r = whole ? all : { ...all, natChains: [], nat: [] };
  writeInternal(r, p);
  writeExternal(r, p);
  writeFirewall(r, p);
  if (s.usesCluster && s.cluster.length > 0) writeBalance(r, p, p.svc, s.cluster);
  if (s.usesLocal && s.local.length > 0) writeBalance(r, p, p.svl, s.local);
  for (const e of s.all) writeEndpoint(r, p, e);
}

const destination = (p: PortRules, ip: string): string => `${p.match} -d ${ip} --dport ${p.s.port}`;

/** ClusterIP, externalIPs and load balancer addresses: nat where endpoints are, filter where they are missing. */
function writeAddresses({ filter, nat }: Rules, p: PortRules): void {
  const { s, ext, fw, none, refuse } = p;
  const portal = (kind: string, ip: string, to: string): number =>
    nat.push(`-A KUBE-SERVICES ${comment(`${s.name} ${kind}`)} ${destination(p, ip)} -j ${to}`);
  const refused = (ip: string): number =>
    filter.push(`-A KUBE-EXTERNAL-SERVICES ${none} ${destination(p, ip)} -j ${refuse}`);
  if (s.hasInternal) portal('cluster IP', s.clusterIP, s.internalLocal ? p.svl : p.svc);
  else filter.push(`-A KUBE-SERVICES ${none} ${destination(p, s.clusterIP)} -j ${refuse}`);
  for (const ip of s.externalIPs) {
    if (s.hasEndpoints) portal('external IP', ip, ext);
    if (!s.hasExternal) refused(ip);
  }
  for (const ip of s.vips) {
    if (s.hasEndpoints) portal('loadbalancer IP', ip, p.useFw ? fw : ext);
    if (!p.useFw) continue;
    const text = comment(`${s.name} traffic not accepted by ${fw}`);
    filter.push(`-A KUBE-PROXY-FIREWALL ${text} ${destination(p, ip)} -j DROP`);
  }
  if (!s.hasExternal) s.vips.forEach(refused);
}

function writeNodePort({ filter, nat }: Rules, { s, match, ext, none, refuse }: PortRules): void {
  if (s.nodePort !== 0) {
    const dport = `${match} --dport ${s.nodePort}`;
    if (s.hasEndpoints) nat.push(`-A KUBE-NODEPORTS -m comment --comment ${s.name} ${dport} -j ${ext}`);
    if (!s.hasExternal) {
      filter.push(`-A KUBE-EXTERNAL-SERVICES ${none} -m addrtype --dst-type LOCAL ${dport} -j ${refuse}`);
    }
  }
  if (s.healthCheckNodePort === 0) return;
  const text = comment(`${s.name} health check node port`);
  filter.push(`-A KUBE-NODEPORTS ${text} -m tcp -p tcp --dport ${s.healthCheckNodePort} -j ACCEPT`);
}

/** Masquerading of ClusterIP traffic that does not come from a local pod. */
function writeInternal({ ctx, nat }: Rules, p: PortRules): void {
  const { s } = p;
  if (!s.hasInternal || (!ctx.masqueradeAll && ctx.ifNotLocal === '')) return;
  const not = ctx.masqueradeAll ? '' : ` ${ctx.ifNotLocal}`;
  const head = `-A ${s.internalLocal ? p.svl : p.svc} ${comment(`${s.name} cluster IP`)}`;
  nat.push(`${head} ${destination(p, s.clusterIP)}${not} -j KUBE-MARK-MASQ`);
}

/** The EXT chain: what enters by an external address. */
function writeExternal(r: Rules, { s, ext, svc, svl }: PortRules): void {
  if (!s.hasEndpoints || !s.externallyAccessible) return;
  const { ctx, nat } = r;
  ownChain(r, ext);
  const to = `${s.name} external destinations`;
  if (s.externalLocal) {
    if (ctx.ifLocal !== '') nat.push(`-A ${ext} ${comment(`pod traffic for ${to}`)} ${ctx.ifLocal} -j ${svc}`);
    const local = '-m addrtype --src-type LOCAL';
    nat.push(`-A ${ext} ${comment(`masquerade LOCAL traffic for ${to}`)} ${local} -j KUBE-MARK-MASQ`);
    nat.push(`-A ${ext} ${comment(`route LOCAL traffic for ${to}`)} ${local} -j ${svc}`);
  } else nat.push(`-A ${ext} ${comment(`masquerade traffic for ${to}`)} -j KUBE-MARK-MASQ`);
  if (s.hasExternal) nat.push(`-A ${ext} -j ${s.externalLocal ? svl : svc}`);
}

/** The FW chain of loadBalancerSourceRanges; what falls out of it meets KUBE-PROXY-FIREWALL. */
function writeFirewall(r: Rules, { s, ext, fw, useFw }: PortRules): void {
  if (!useFw) return;
  const { ctx, nat } = r;
  ownChain(r, fw);
  const from = (source: string): number =>
    nat.push(`-A ${fw} ${comment(`${s.name} loadbalancer IP`)} -s ${source} -j ${ext}`);
  s.sourceRanges.forEach(from);
  const primary = ctx.nodeIPs[0];
  if (primary !== undefined && s.sourceRanges.some((cidr) => inCidr(cidr, primary))) s.vips.forEach(from);
  nat.push(`-A ${fw} ${comment(`other traffic to ${s.name} will be dropped by KUBE-PROXY-FIREWALL`)}`);
}

/** computeProbability, `%0.10f` of 1/n: of the one tie there is, 1/2048, Go takes the even digit and toFixed() the larger. */
export const probability = (n: number): string => (n === 2048 ? '0.0004882812' : (1 / n).toFixed(10));

/** Jumps from a policy chain to its endpoints, the recent ones first (writeServiceToEndpointRules). */
function writeBalance(r: Rules, { s }: PortRules, chain: string, endpoints: ProxyEndpoint[]): void {
  ownChain(r, chain);
  const jump = (e: ProxyEndpoint, match: string): number => {
    const text = r.large ? '' : ` ${comment(`${s.name} -> ${e.key}`)}`;
    return r.nat.push(`-A ${chain}${text}${match} -j ${endpointChain(s.name, s.proto, e.key)}`);
  };
  if (s.affinity > 0) {
    for (const e of endpoints) {
      const list = endpointChain(s.name, s.proto, e.key);
      jump(e, ` -m recent --name ${list} --rcheck --seconds ${s.affinity} --reap`);
    }
  }
  endpoints.forEach((e, i) => {
    const left = endpoints.length - i;
    jump(e, left > 1 ? ` -m statistic --mode random --probability ${probability(left)}` : '');
  });
}

/** An endpoint's own chain: masquerade its hairpin traffic, remember the client, DNAT. */
function writeEndpoint(r: Rules, { s, match }: PortRules, e: ProxyEndpoint): void {
  const { large, nat } = r;
  const sep = endpointChain(s.name, s.proto, e.key);
  const text = large ? '' : ` -m comment --comment ${s.name}`;
  const set = s.affinity > 0 ? ` -m recent --name ${sep} --set` : '';
  ownChain(r, sep);
  nat.push(`-A ${sep}${text} -s ${e.ip} -j KUBE-MARK-MASQ`);
  nat.push(`-A ${sep}${text}${set} ${match} -j DNAT --to-destination ${e.key}`);
}
