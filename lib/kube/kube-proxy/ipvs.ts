/** The sets and the iptables-restore input of kube-proxy's IPVS mode (pkg/proxy/ipvs/ipset.go, proxier.go). @module */
import type { RuleContext } from './iptables.js';
import { chainLine, forwardRules, masqueradeRules } from './iptables.js';

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

/** What the rules depend on. */
export interface IpvsRules {
  /** Entries of each set. */
  sets: ReadonlyMap<string, ReadonlySet<string>>;
  outFilter: readonly string[];
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

const COMMENTS = new Map(IPVS_SETS.map(([name, , comment]) => [name, comment]));
const match = (set: string, dir: string): string =>
  `-m comment --comment "${COMMENTS.get(set)!}" -m set --match-set ${set} ${dir}`;

/** ipsetWithIptablesChain: table, chain with a protocol, set, directions, target; written while the set has entries. */
const SET_RULES: readonly (readonly ['nat' | 'filter', string, string, string, string])[] = [
  ['nat', 'KUBE-POSTROUTING', 'KUBE-LOOP-BACK', 'dst,dst,src', 'MASQUERADE'],
  ['nat', 'KUBE-SERVICES', 'KUBE-LOAD-BALANCER', 'dst,dst', 'KUBE-LOAD-BALANCER'],
  ['nat', 'KUBE-LOAD-BALANCER', 'KUBE-LOAD-BALANCER-LOCAL', 'dst,dst', 'RETURN'],
  ['nat', 'KUBE-NODE-PORT -p tcp', 'KUBE-NODE-PORT-LOCAL-TCP', 'dst', 'RETURN'],
  ['nat', 'KUBE-NODE-PORT -p tcp', 'KUBE-NODE-PORT-TCP', 'dst', 'KUBE-MARK-MASQ'],
  ['nat', 'KUBE-NODE-PORT -p udp', 'KUBE-NODE-PORT-LOCAL-UDP', 'dst', 'RETURN'],
  ['nat', 'KUBE-NODE-PORT -p udp', 'KUBE-NODE-PORT-UDP', 'dst', 'KUBE-MARK-MASQ'],
  ['nat', 'KUBE-NODE-PORT -p sctp', 'KUBE-NODE-PORT-LOCAL-SCTP-HASH', 'dst,dst', 'RETURN'],
  ['nat', 'KUBE-NODE-PORT -p sctp', 'KUBE-NODE-PORT-SCTP-HASH', 'dst,dst', 'KUBE-MARK-MASQ'],
  ['filter', 'KUBE-PROXY-FIREWALL', 'KUBE-LOAD-BALANCER-FW', 'dst,dst', 'KUBE-SOURCE-RANGES-FIREWALL'],
  ['filter', 'KUBE-SOURCE-RANGES-FIREWALL', 'KUBE-LOAD-BALANCER-SOURCE-CIDR', 'dst,dst,src', 'RETURN'],
  ['filter', 'KUBE-SOURCE-RANGES-FIREWALL', 'KUBE-LOAD-BALANCER-SOURCE-IP', 'dst,dst,src', 'RETURN'],
];

/** Masquerading of ClusterIP traffic from outside, and what external addresses need. */
function serviceRules(has: (set: string) => boolean, ctx: RuleContext): string[] {
  const nat: string[] = [];
  const rule = (set: string, rest: string): void => {
    if (has(set)) nat.push(`-A KUBE-SERVICES ${match(set, rest)}`);
  };
  // Without a detector only the node itself is masqueraded: its packets to a VIP come from a VIP.
  const cluster = ctx.masqueradeAll ? 'dst,dst' : ctx.ifNotLocal === '' ? 'src,dst' : `dst,dst ${ctx.ifNotLocal}`;
  rule('KUBE-CLUSTER-IP', `${cluster} -j KUBE-MARK-MASQ`);
  rule('KUBE-EXTERNAL-IP', 'dst,dst -j KUBE-MARK-MASQ');
  for (const set of ['KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL']) {
    rule(set, 'dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT');
    rule(set, 'dst,dst -m addrtype --dst-type LOCAL -j ACCEPT');
  }
  nat.push(
    '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
    '-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ',
  );
  for (const set of ['KUBE-CLUSTER-IP', 'KUBE-LOAD-BALANCER']) {
    if (has(set)) nat.push(`-A KUBE-SERVICES -m set --match-set ${set} dst,dst -j ACCEPT`);
  }
  return nat;
}

/** KUBE-IPVS-FILTER: ports of a VIP that no Service has must not reach programs of the node. */
const ACCESS_FILTER = [
  ...['KUBE-LOAD-BALANCER', 'KUBE-CLUSTER-IP', 'KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'].map(
    (set) => `-A KUBE-IPVS-FILTER -m set --match-set ${set} dst,dst -j RETURN`,
  ),
  '-A KUBE-IPVS-FILTER -m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN',
  '-A KUBE-IPVS-FILTER -m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT',
];

/** The whole text for `iptables-restore --noflush --counters` in IPVS mode (writeIptablesRules). */
export function ipvsRestoreInput(state: IpvsRules, ctx: RuleContext): string {
  const has = (set: string): boolean => state.sets.get(set)!.size > 0;
  const setRules = (table: string): string[] =>
    SET_RULES.filter(([t, , set]) => t === table && has(set)).map(
      ([, chain, set, dir, to]) => `-A ${chain} ${match(set, dir)} -j ${to}`,
    );
  const nat = ['-A KUBE-SERVICES -s 127.0.0.0/8 -j RETURN', ...setRules('nat'), ...serviceRules(has, ctx), ...masqueradeRules(ctx.mark)]; // prettier-ignore
  const filter = [
    ...setRules('filter'),
    '-A KUBE-SOURCE-RANGES-FIREWALL -j DROP',
    ...state.outFilter,
    ...forwardRules(ctx.mark),
    `-A KUBE-NODE-PORT ${match('KUBE-HEALTH-CHECK-NODE-PORT', 'dst')} -j ACCEPT`,
    ...ACCESS_FILTER,
  ];
  return [
    '*nat', ...IPVS_NAT_CHAINS.map(chainLine), ...nat, 'COMMIT',
    '*filter', ...IPVS_FILTER_CHAINS.map(chainLine), ...filter, 'COMMIT', '',
  ].join('\n'); // prettier-ignore
}
