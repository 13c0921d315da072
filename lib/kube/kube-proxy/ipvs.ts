/** kube-proxy's IPVS mode: sets, virtual servers and the restore input (pkg/proxy/ipvs/proxier.go). @module */
import type { RuleContext } from './iptables.js';
import { chainLine, forwardRules, masqueradeRules } from './iptables.js';
import type { ProxyPort } from './service-port.js';
import { inCidr } from './service-port.js';

const IP = 'family inet hashsize 1024 maxelem 65536';
const IP_PORT = `hash:ip,port ${IP}`,
  PORT = 'bitmap:port range 0-65535';

/** Every set in creation order: name, type with parameters, comment used in rules. */
export const IPVS_SETS: readonly (readonly [string, string, string])[] = [
  [
    'KUBE-LOOP-BACK',
    `hash:ip,port,ip ${IP}`,
    'Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose',
  ],
  ['KUBE-CLUSTER-IP', IP_PORT, 'Kubernetes service cluster ip + port for masquerade purpose'],
  ['KUBE-EXTERNAL-IP', IP_PORT, 'Kubernetes service external ip + port for masquerade and filter purpose'],
  ['KUBE-EXTERNAL-IP-LOCAL', IP_PORT, 'Kubernetes service external ip + port with externalTrafficPolicy=local'],
  ['KUBE-LOAD-BALANCER', IP_PORT, 'Kubernetes service lb portal'],
  ['KUBE-LOAD-BALANCER-FW', IP_PORT, 'Kubernetes service load balancer ip + port for load balancer with sourceRange'],
  ['KUBE-LOAD-BALANCER-LOCAL', IP_PORT, 'Kubernetes service load balancer ip + port with externalTrafficPolicy=local'],
  [
    'KUBE-LOAD-BALANCER-SOURCE-IP',
    `hash:ip,port,ip ${IP}`,
    'Kubernetes service load balancer ip + port + source IP for packet filter purpose',
  ],
  [
    'KUBE-LOAD-BALANCER-SOURCE-CIDR',
    `hash:ip,port,net ${IP}`,
    'Kubernetes service load balancer ip + port + source cidr for packet filter purpose',
  ],
  ['KUBE-NODE-PORT-TCP', PORT, 'Kubernetes nodeport TCP port for masquerade purpose'],
  ['KUBE-NODE-PORT-LOCAL-TCP', PORT, 'Kubernetes nodeport TCP port with externalTrafficPolicy=local'],
  ['KUBE-NODE-PORT-UDP', PORT, 'Kubernetes nodeport UDP port for masquerade purpose'],
  ['KUBE-NODE-PORT-LOCAL-UDP', PORT, 'Kubernetes nodeport UDP port with externalTrafficPolicy=local'],
  [
    'KUBE-NODE-PORT-SCTP-HASH',
    IP_PORT,
    "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
  ],
  [
    'KUBE-NODE-PORT-LOCAL-SCTP-HASH',
    IP_PORT,
    "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
  ],
  ['KUBE-HEALTH-CHECK-NODE-PORT', PORT, 'Kubernetes health check node port'],
  ['KUBE-IPVS-IPS', `hash:ip ${IP}`, 'Addresses on the ipvs interface'],
];

export interface IpvsState {
  /** Entries of each set, sorted. */
  sets: Map<string, string[]>;
  /** `ipvsadm` and `ip addr add` commands in creation order. */
  commands: string[];
  outFilter: string[];
}

/** The sets, virtual servers and bound addresses that syncProxyRules wants. */
export function ipvsState(ports: ProxyPort[], ctx: RuleContext, scheduler: string): IpvsState {
  const sets = new Map<string, Set<string>>(IPVS_SETS.map(([name]) => [name, new Set<string>()]));
  const add = (set: string, entry: string): void => {
    sets.get(set)!.add(entry);
  };
  const commands: string[] = [],
    outFilter: string[] = [];
  const bound = new Set<string>();
  const primary = ctx.nodeIPs[0];
  const nodeIPs = (ctx.nodePortIPs ?? ctx.nodeIPs).filter((ip) => !ip.startsWith('127.'));
  for (const s of ports) {
    const flag = s.proto === 'tcp' ? '-t' : s.proto === 'udp' ? '-u' : '--sctp-service';
    const server = (ip: string, port: number, localOnly: boolean, bind: boolean): void => {
      const persist = s.affinity > 0 ? ` -p ${s.affinity}` : '';
      commands.push(
        `ipvsadm -A ${flag} ${ip}:${port} -s ${scheduler}${persist}${scheduler === 'mh' ? ' -b mh-port' : ''}`,
      );
      if (bind && !ctx.nodeIPs.includes(ip)) {
        if (!bound.has(ip)) commands.push(`ip addr add ${ip}/32 dev kube-ipvs0`);
        bound.add(ip);
        add('KUBE-IPVS-IPS', ip);
      }
      // Without local endpoints the proxy falls back to every cluster endpoint.
      for (const e of localOnly && s.local.length > 0 ? s.local : s.cluster) {
        commands.push(`ipvsadm -a ${flag} ${ip}:${port} -r ${e.key} -m -w 1`);
      }
    };
    const entry = (ip: string): string => `${ip},${s.proto}:${s.port}`;
    for (const e of s.endpoints) if (e.local) add('KUBE-LOOP-BACK', `${e.ip},${s.proto}:${e.port},${e.ip}`);
    add('KUBE-CLUSTER-IP', entry(s.clusterIP));
    server(s.clusterIP, s.port, s.internalLocal, true);
    for (const ip of s.externalIPs) {
      add(s.externalLocal ? 'KUBE-EXTERNAL-IP-LOCAL' : 'KUBE-EXTERNAL-IP', entry(ip));
      server(ip, s.port, s.externalLocal, true);
    }
    for (const ip of s.vips) {
      add('KUBE-LOAD-BALANCER', entry(ip));
      if (s.externalLocal) add('KUBE-LOAD-BALANCER-LOCAL', entry(ip));
      if (s.sourceRanges.length > 0) {
        add('KUBE-LOAD-BALANCER-FW', entry(ip));
        for (const cidr of s.sourceRanges) add('KUBE-LOAD-BALANCER-SOURCE-CIDR', `${entry(ip)},${cidr}`);
        if (primary !== undefined && s.sourceRanges.some((cidr) => inCidr(cidr, primary))) {
          add('KUBE-LOAD-BALANCER-SOURCE-IP', `${entry(ip)},${ip}`);
        } else {
          outFilter.push(
            `-A KUBE-IPVS-OUT-FILTER -s ${ip} -m ipvs --vaddr ${ip} --vproto ${s.proto}` + ` --vport ${s.port} -j DROP`,
          );
        }
      }
      server(ip, s.port, s.externalLocal, true);
    }
    if (s.nodePort !== 0) {
      const kinds = s.externalLocal ? ['', 'LOCAL-'] : [''];
      for (const kind of kinds) {
        if (s.proto !== 'sctp') add(`KUBE-NODE-PORT-${kind}${s.proto.toUpperCase()}`, `${s.nodePort}`);
        else for (const ip of nodeIPs) add(`KUBE-NODE-PORT-${kind}SCTP-HASH`, `${ip},sctp:${s.nodePort}`);
      }
      for (const ip of nodeIPs) server(ip, s.nodePort, s.externalLocal, false);
    }
    if (s.healthCheckNodePort !== 0) add('KUBE-HEALTH-CHECK-NODE-PORT', `${s.healthCheckNodePort}`);
  }
  return { sets: new Map([...sets].map(([name, e]) => [name, [...e].sort()])), commands, outFilter };
}

export const IPVS_NAT_CHAINS = [
  'KUBE-SERVICES',
  'KUBE-POSTROUTING',
  'KUBE-NODE-PORT',
  'KUBE-LOAD-BALANCER',
  'KUBE-MARK-MASQ',
];
export const IPVS_FILTER_CHAINS = [
  'KUBE-FORWARD',
  'KUBE-NODE-PORT',
  'KUBE-PROXY-FIREWALL',
  'KUBE-SOURCE-RANGES-FIREWALL',
  'KUBE-IPVS-FILTER',
  'KUBE-IPVS-OUT-FILTER',
];

/** The whole text for `iptables-restore --noflush --counters` in IPVS mode (writeIptablesRules). */
export function ipvsRestoreInput(state: IpvsState, ctx: RuleContext): string {
  const comments = new Map(IPVS_SETS.map(([name, , comment]) => [name, comment]));
  const has = (set: string): boolean => state.sets.get(set)!.length > 0;
  const match = (set: string, dir: string): string =>
    `-m comment --comment "${comments.get(set)!}" -m set --match-set ${set} ${dir}`;
  const nat: string[] = ['-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN'],
    filter: string[] = [];
  const rule = (to: string[], chain: string, set: string, dir: string, rest: string): void => {
    if (has(set)) to.push(`-A ${chain} ${match(set, dir)} ${rest}`);
  };
  rule(nat, 'KUBE-POSTROUTING', 'KUBE-LOOP-BACK', 'dst,dst,src', '-j MASQUERADE');
  rule(nat, 'KUBE-SERVICES', 'KUBE-LOAD-BALANCER', 'dst,dst', '-j KUBE-LOAD-BALANCER');
  rule(nat, 'KUBE-LOAD-BALANCER', 'KUBE-LOAD-BALANCER-LOCAL', 'dst,dst', '-j RETURN');
  for (const [proto, suffix, dir] of [
    ['tcp', 'TCP', 'dst'],
    ['udp', 'UDP', 'dst'],
    ['sctp', 'SCTP-HASH', 'dst,dst'],
  ]) {
    rule(nat, `KUBE-NODE-PORT -p ${proto}`, `KUBE-NODE-PORT-LOCAL-${suffix}`, dir!, '-j RETURN');
    rule(nat, `KUBE-NODE-PORT -p ${proto}`, `KUBE-NODE-PORT-${suffix}`, dir!, '-j KUBE-MARK-MASQ');
  }
  rule(filter, 'KUBE-PROXY-FIREWALL', 'KUBE-LOAD-BALANCER-FW', 'dst,dst', '-j KUBE-SOURCE-RANGES-FIREWALL');
  for (const kind of ['CIDR', 'IP']) {
    rule(filter, 'KUBE-SOURCE-RANGES-FIREWALL', `KUBE-LOAD-BALANCER-SOURCE-${kind}`, 'dst,dst,src', '-j RETURN');
  }
  const detect = !ctx.masqueradeAll && ctx.ifNotLocal !== '';
  rule(
    nat,
    'KUBE-SERVICES',
    'KUBE-CLUSTER-IP',
    ctx.masqueradeAll || detect ? 'dst,dst' : 'src,dst',
    `${detect ? `${ctx.ifNotLocal} ` : ''}-j KUBE-MARK-MASQ`,
  );
  rule(nat, 'KUBE-SERVICES', 'KUBE-EXTERNAL-IP', 'dst,dst', '-j KUBE-MARK-MASQ');
  for (const set of ['KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL']) {
    rule(nat, 'KUBE-SERVICES', set, 'dst,dst', '-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT');
    rule(nat, 'KUBE-SERVICES', set, 'dst,dst', '-m addrtype --dst-type LOCAL -j ACCEPT');
  }
  nat.push(
    '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
    '-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ',
  );
  filter.push('-A KUBE-SOURCE-RANGES-FIREWALL -j DROP', ...state.outFilter);
  for (const set of ['KUBE-CLUSTER-IP', 'KUBE-LOAD-BALANCER']) {
    if (has(set)) nat.push(`-A KUBE-SERVICES -m set --match-set ${set} dst,dst -j ACCEPT`);
  }
  filter.push(...forwardRules(ctx.mark));
  filter.push(`-A KUBE-NODE-PORT ${match('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j ACCEPT`);
  for (const set of ['KUBE-LOAD-BALANCER', 'KUBE-CLUSTER-IP', 'KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL']) {
    filter.push(`-A KUBE-IPVS-FILTER -m set --match-set ${set} dst,dst -j RETURN`);
  }
  filter.push(
    '-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN',
    '-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT',
  );
  nat.push(...masqueradeRules(ctx.mark));
  return [
    '*nat',
    ...IPVS_NAT_CHAINS.map(chainLine),
    ...nat,
    'COMMIT',
    '*filter',
    ...IPVS_FILTER_CHAINS.map(chainLine),
    ...filter,
    'COMMIT',
    '',
  ].join('\n');
}
