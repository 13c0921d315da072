/**
 * The reference plugin `portmap`, chained behind the one that makes the interface: a pod's hostPorts on its node.
 *
 * Upstream: containernetworking/plugins, plugins/meta/portmap, iptables backend, snat true. Its jump in POSTROUTING goes to the top,
 * those to CNI-HOSTPORT-DNAT to the end. A connection to a hostPort from the pod's own network or from localhost is masqueraded.
 * Not here: old UDP conntrack entries of the port, which it deletes; snat false, masqAll, conditions; the nftables backend.
 * @module
 */
import type { Machine } from '../scenario.js';
import { chainOf, commentOf } from './names.js';
import type { PortMapping, Sandbox } from './plugin.js';

const DNAT = 'CNI-HOSTPORT-DNAT';
const SETMARK = 'CNI-HOSTPORT-SETMARK';
const MASQ = 'CNI-HOSTPORT-MASQ';

/** What a node's first hostPort brings. */
const TOP = [
  `:${SETMARK} - [0:0]`,
  `:${MASQ} - [0:0]`,
  `:${DNAT} - [0:0]`,
  `-A ${SETMARK} -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000`,
  `-A ${MASQ} -m mark --mark 0x2000/0x2000 -j MASQUERADE`,
  `-I POSTROUTING 1 -m comment --comment "CNI portfwd requiring masquerade" -j ${MASQ}`,
  `-A PREROUTING -m addrtype --dst-type LOCAL -j ${DNAT}`,
  `-A OUTPUT -m addrtype --dst-type LOCAL -j ${DNAT}`,
];

export class Portmap {
  private readonly on: boolean;
  private readonly network: string | undefined;
  /** Nodes that have the chains of `TOP`. */
  private readonly ready = new Set<string>();

  /** `network`: the conflist's name. */
  constructor({ portMappings }: { portMappings: boolean }, network?: string) {
    this.on = portMappings;
    this.network = network;
  }

  /** `dev`: the node's interface towards the pod; `net`: the pod's address and its prefix length. */
  podAdd(node: Machine, pod: Sandbox, dev: string, net: string): string[] {
    if (!this.on || pod.ports.length === 0) return [];
    const top = this.ready.has(node.name) ? [] : TOP;
    this.ready.add(node.name);
    const chain = chainOf(pod, 'DN-', this.network);
    return [
      [
        `ip netns exec ${node.name} iptables-restore --noflush <<'EOF'`,
        '*nat',
        `:${chain} - [0:0]`,
        ...top,
        ...pod.ports.flatMap((m) => rules(chain, m, pod.podIP, net)),
        ...entries(pod, this.network).map((e) => `-A ${DNAT} ${e} -j ${chain}`),
        'COMMIT',
        'EOF',
      ].join('\n'),
      `ip netns exec ${node.name} sysctl -q -w net.ipv4.conf.${dev}.route_localnet=1`,
    ];
  }

  podDel(node: Machine, pod: Sandbox): string[] {
    if (!this.on || pod.ports.length === 0) return [];
    const iptables = `ip netns exec ${node.name} iptables -t nat`;
    const chain = chainOf(pod, 'DN-', this.network);
    return [
      `${iptables} -F ${chain}`,
      ...entries(pod, this.network).map((e) => `${iptables} -D ${DNAT} ${e} -j ${chain}`),
      `${iptables} -X ${chain}`,
    ];
  }
}

const lower = (m: PortMapping): string => m.protocol.toLowerCase();

/** fillDnatRules: the marks before the DNAT. */
function rules(chain: string, m: PortMapping, ip: string, net: string): string[] {
  const base = `-p ${lower(m)} --dport ${m.hostPort}${m.hostIP === '' || m.hostIP === '0.0.0.0' ? '' : ` -d ${m.hostIP}`}`;
  return [
    `-A ${chain} ${base} -s ${net} -j ${SETMARK}`,
    `-A ${chain} ${base} -s 127.0.0.1 -j ${SETMARK}`,
    `-A ${chain} ${base} -j DNAT --to-destination ${ip}:${m.containerPort}`,
  ];
}

/** Matches of the jumps to a pod's chain: by protocol, at most 15 ports each (splitPortList). */
function entries(pod: Sandbox, network?: string): string[] {
  const out: string[] = [];
  for (const proto of [...new Set(pod.ports.map(lower))].sort()) {
    const ports = pod.ports.filter((m) => lower(m) === proto).map((m) => m.hostPort);
    for (let i = 0; i < ports.length; i += 15)
      out.push(`${commentOf(pod, 'dnat ', network)} -m multiport -p ${proto} --destination-ports ${ports.slice(i, i + 15).join(',')}`); // prettier-ignore
  }
  return out;
}
