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

/** The whole text for `iptables-restore --noflush --counters`: a full sync, without nfacct, without stale chains. */
export function iptablesRestoreInput(ports: ProxyPort[], ctx: RuleContext): string {
  const filterChains = [
    'KUBE-SERVICES',
    'KUBE-EXTERNAL-SERVICES',
    'KUBE-FORWARD',
    'KUBE-NODEPORTS',
    'KUBE-PROXY-FIREWALL',
    ...(ctx.localhostNodePorts ? ['KUBE-FIREWALL'] : []),
  ].map(chainLine);
  const natChains = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'].map(chainLine);
  const filter: string[] = [];
  const nat = masqueradeRules(ctx.mark);
  if (ctx.localhostNodePorts) {
    filter.push(
      '-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8' +
        ' ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    );
  }
  const total = ports.reduce((n, p) => n + p.endpoints.length, 0);
  for (const port of ports) writePort(port, ctx, total > 1000, filter, natChains, nat);
  const last =
    '-A KUBE-SERVICES -m comment --comment' +
    ' "kubernetes service nodeports; NOTE: this must be the last rule in this chain"';
  if (ctx.nodePortIPs === null) {
    const except = ctx.localhostNodePorts ? '' : ' ! -d 127.0.0.0/8';
    nat.push(`${last} -m addrtype --dst-type LOCAL${except} -j KUBE-NODEPORTS`);
  } else for (const ip of ctx.nodePortIPs) nat.push(`${last} -d ${ip} -j KUBE-NODEPORTS`);
  if (ctx.dropInvalid) filter.push('-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP');
  filter.push(...forwardRules(ctx.mark));
  return ['*filter', ...filterChains, ...filter, 'COMMIT', '*nat', ...natChains, ...nat, 'COMMIT', ''].join('\n');
}

function writePort(
  s: ProxyPort,
  ctx: RuleContext,
  large: boolean,
  filter: string[],
  natChains: string[],
  nat: string[],
): void {
  const S = s.name;
  const P = `-m ${s.proto} -p ${s.proto}`;
  const svc = serviceChain('SVC', S, s.proto),
    svl = serviceChain('SVL', S, s.proto);
  const ext = serviceChain('EXT', S, s.proto),
    fw = serviceChain('FW', S, s.proto);
  const polInt = s.internalLocal ? svl : svc,
    polExt = s.externalLocal ? svl : svc;
  const useFw = s.hasEndpoints && s.vips.length > 0 && s.sourceRanges.length > 0;
  const c = (text: string): string => `-m comment --comment "${text}"`;
  const none = s.hasEndpoints ? c(`${S} has no local endpoints`) : c(`${S} has no endpoints`);
  const refuse = s.hasEndpoints ? 'DROP' : 'REJECT';
  const dst = (ip: string): string => `${P} -d ${ip} --dport ${s.port}`;

  if (s.hasInternal) nat.push(`-A KUBE-SERVICES ${c(`${S} cluster IP`)} ${dst(s.clusterIP)} -j ${polInt}`);
  else filter.push(`-A KUBE-SERVICES ${none} ${dst(s.clusterIP)} -j ${refuse}`);
  for (const ip of s.externalIPs) {
    if (s.hasEndpoints) nat.push(`-A KUBE-SERVICES ${c(`${S} external IP`)} ${dst(ip)} -j ${ext}`);
    if (!s.hasExternal) filter.push(`-A KUBE-EXTERNAL-SERVICES ${none} ${dst(ip)} -j ${refuse}`);
  }
  for (const ip of s.vips) {
    if (s.hasEndpoints) nat.push(`-A KUBE-SERVICES ${c(`${S} loadbalancer IP`)} ${dst(ip)} -j ${useFw ? fw : ext}`);
    if (useFw) filter.push(`-A KUBE-PROXY-FIREWALL ${c(`${S} traffic not accepted by ${fw}`)} ${dst(ip)} -j DROP`);
  }
  if (!s.hasExternal) {
    for (const ip of s.vips) filter.push(`-A KUBE-EXTERNAL-SERVICES ${none} ${dst(ip)} -j ${refuse}`);
  }
  if (s.nodePort !== 0) {
    const dport = `${P} --dport ${s.nodePort}`;
    if (s.hasEndpoints) nat.push(`-A KUBE-NODEPORTS -m comment --comment ${S} ${dport} -j ${ext}`);
    if (!s.hasExternal) {
      filter.push(`-A KUBE-EXTERNAL-SERVICES ${none} -m addrtype --dst-type LOCAL ${dport} -j ${refuse}`);
    }
  }
  if (s.healthCheckNodePort !== 0) {
    filter.push(
      `-A KUBE-NODEPORTS ${c(`${S} health check node port`)} -m tcp -p tcp` +
        ` --dport ${s.healthCheckNodePort} -j ACCEPT`,
    );
  }
  if (s.hasInternal && (ctx.masqueradeAll || ctx.ifNotLocal !== '')) {
    const not = ctx.masqueradeAll ? '' : ` ${ctx.ifNotLocal}`;
    nat.push(`-A ${polInt} ${c(`${S} cluster IP`)} ${dst(s.clusterIP)}${not} -j KUBE-MARK-MASQ`);
  }
  if (s.hasEndpoints && s.externallyAccessible) {
    natChains.push(chainLine(ext));
    const to = `${S} external destinations`;
    if (!s.externalLocal) nat.push(`-A ${ext} ${c(`masquerade traffic for ${to}`)} -j KUBE-MARK-MASQ`);
    else {
      if (ctx.ifLocal !== '') nat.push(`-A ${ext} ${c(`pod traffic for ${to}`)} ${ctx.ifLocal} -j ${svc}`);
      const local = '-m addrtype --src-type LOCAL';
      nat.push(`-A ${ext} ${c(`masquerade LOCAL traffic for ${to}`)} ${local} -j KUBE-MARK-MASQ`);
      nat.push(`-A ${ext} ${c(`route LOCAL traffic for ${to}`)} ${local} -j ${svc}`);
    }
    if (s.hasExternal) nat.push(`-A ${ext} -j ${polExt}`);
  }
  if (useFw) {
    natChains.push(chainLine(fw));
    const lb = c(`${S} loadbalancer IP`);
    for (const cidr of s.sourceRanges) nat.push(`-A ${fw} ${lb} -s ${cidr} -j ${ext}`);
    const primary = ctx.nodeIPs[0];
    if (primary !== undefined && s.sourceRanges.some((cidr) => inCidr(cidr, primary))) {
      for (const ip of s.vips) nat.push(`-A ${fw} ${lb} -s ${ip} -j ${ext}`);
    }
    nat.push(`-A ${fw} ${c(`other traffic to ${S} will be dropped by KUBE-PROXY-FIREWALL`)}`);
  }
  const balance = (chain: string, endpoints: ProxyEndpoint[]): void => {
    natChains.push(chainLine(chain));
    const note = (e: ProxyEndpoint): string => (large ? '' : ` ${c(`${S} -> ${e.key}`)}`);
    if (s.affinity > 0) {
      for (const e of endpoints) {
        const sep = endpointChain(S, s.proto, e.key);
        nat.push(`-A ${chain}${note(e)} -m recent --name ${sep} --rcheck --seconds ${s.affinity} --reap -j ${sep}`);
      }
    }
    endpoints.forEach((e, i) => {
      const left = endpoints.length - i;
      const random = left > 1 ? ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}` : '';
      nat.push(`-A ${chain}${note(e)}${random} -j ${endpointChain(S, s.proto, e.key)}`);
    });
  };
  if (s.usesCluster && s.cluster.length > 0) balance(svc, s.cluster);
  if (s.usesLocal && s.local.length > 0) balance(svl, s.local);
  const plain = large ? '' : ` -m comment --comment ${S}`;
  for (const e of s.all) {
    const sep = endpointChain(S, s.proto, e.key);
    natChains.push(chainLine(sep));
    nat.push(`-A ${sep}${plain} -s ${e.ip} -j KUBE-MARK-MASQ`);
    const set = s.affinity > 0 ? ` -m recent --name ${sep} --set` : '';
    nat.push(`-A ${sep}${plain}${set} ${P} -j DNAT --to-destination ${e.key}`);
  }
}
