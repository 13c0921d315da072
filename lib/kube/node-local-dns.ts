/**
 * NodeLocal DNSCache: what node-cache does on its node (kubernetes/dns cmd/node-cache, the add-on's nodelocaldns.yaml), and
 * CoreDNS with the add-on's Corefile on the node's own addresses.
 * @module
 */

export const NODE_LOCAL_IP = '169.254.20.10';
const LINK = 'nodelocaldns';
const SKIP = '-m comment --comment "NodeLocal DNS Cache: skip conntrack"';
const ALLOW = '-m comment --comment "NodeLocal DNS Cache: allow DNS traffic"';

/** The addresses it listens on: the link-local one, and the cluster's DNS Service unless IPVS holds that address itself. */
export const nodeLocalAddresses = (dnsIP: string, mode: 'iptables' | 'ipvs'): string[] =>
  mode === 'ipvs' ? [NODE_LOCAL_IP] : [NODE_LOCAL_IP, dnsIP];

/** The add-on's Corefile. `upstream`: the ClusterIP of kube-dns-upstream. */
export function nodeLocalCorefile(addresses: readonly string[], upstream: string, domain: string): string {
  const bind = `bind ${addresses.join(' ')}`;
  const cluster = `forward . ${upstream} {\n            force_tcp\n    }`;
  const block = (zone: string, cache: string, forward: string, health: string): string =>
    `${zone}:53 {\n    errors\n    ${cache}\n    reload\n    loop\n    ${bind}\n    ${forward}\n    prometheus :9253\n${health}}\n`;
  const limits = 'cache {\n            success 9984 30\n            denial 9984 5\n    }';
  return [
    block(domain, limits, cluster, `    health ${NODE_LOCAL_IP}:8080\n`),
    block('in-addr.arpa', 'cache 30', cluster, ''),
    block('ip6.arpa', 'cache 30', cluster, ''),
    block('.', 'cache 30', 'forward . /etc/resolv.conf', ''),
  ].join('');
}

/** Rules of one address, in the order in which they are made: each is put before the others. */
function rules(ip: string): string[] {
  const both = (line: (proto: string) => string): string[] => ['tcp', 'udp'].map(line);
  const put = (table: string, chain: string, match: string, target: string): string =>
    `iptables -t ${table} -I ${chain} ${match} ${table === 'raw' ? SKIP : ALLOW} -j ${target}`;
  return [
    ...both((p) => put('raw', 'PREROUTING', `-d ${ip}/32 -p ${p} -m ${p} --dport 53`, 'NOTRACK')),
    ...both((p) => put('filter', 'INPUT', `-d ${ip}/32 -p ${p} -m ${p} --dport 53`, 'ACCEPT')),
    ...both((p) => put('raw', 'OUTPUT', `-s ${ip}/32 -p ${p} -m ${p} --sport 53`, 'NOTRACK')),
    ...both((p) => put('filter', 'OUTPUT', `-s ${ip}/32 -p ${p} -m ${p} --sport 53`, 'ACCEPT')),
    ...both((p) => put('raw', 'OUTPUT', `-d ${ip}/32 -p ${p} -m ${p} --dport 53`, 'NOTRACK')),
    put('raw', 'OUTPUT', `-d ${ip}/32 -p tcp -m tcp --dport 8080`, 'NOTRACK'),
    put('raw', 'OUTPUT', `-s ${ip}/32 -p tcp -m tcp --sport 8080`, 'NOTRACK'),
  ];
}

/** Lab lines of one node: the link that is never up, its addresses, the rules, and the server. */
export function nodeLocalCommands(
  node: string,
  addresses: readonly string[],
  corefile: string,
  objects: string,
): string[] {
  return [
    `ip -n ${node} link add ${LINK} type dummy`,
    ...addresses.map((a) => `ip -n ${node} addr add ${a}/32 dev ${LINK}`),
    ...addresses.flatMap(rules).map((r) => `ip netns exec ${node} ${r}`),
    `ip netns exec ${node} podwire app coredns --manifests ${objects} --corefile ${corefile} &`,
  ];
}
