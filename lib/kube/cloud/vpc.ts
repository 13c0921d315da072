/**
 * An Amazon VPC in Linux commands: what lies between the ENIs of machines, as lines of a Lab.
 *
 *   node1/eth0 ─┐                       ┌─ lan ─ host outside
 *   node1/eth1 ─┼─ vpc (the fabric) ─ igw (1:1 NAT of public addresses)
 *   node2/eth0 ─┘
 *
 * The namespace `vpc` has a device for every ENI. It answers ARP itself (proxy ARP; nothing is flooded), takes from an ENI only
 * what has a source of that ENI (the source check, here rp_filter), and delivers by the ENI that owns an address, with the MAC
 * address of the subnet's router, without taking from the TTL (TTL +1 before forwarding takes 1). What nobody owns is dropped in
 * silence. It knows nothing of pods. `igw` is the internet gateway: a machine's private address becomes its public one and
 * back; who has no public address is not let through. Nobody can look into Amazon's own fabric: this follows its documents and
 * what is seen on instances. A difference that is known: ARP for an address of one's own subnet is answered with the router's
 * MAC address here, with that of the owner's ENI there. Security groups are in security-groups.ts. Not
 * here: network ACLs, NAT gateways, route tables.
 * @module
 */
import { contains, networkOf } from '../networks.js';
import { ipOf, lanCommands, mac, portOf } from '../machines.js';
import type { AwsVpcConfig } from '../cni/aws-vpc/config.js';
import { Subnet } from '../cni/aws-vpc/ec2.js';
import type { Machine, Scenario } from '../scenario.js';
import { groupRules, joinGroups } from './security-groups.js';

/** Bytes; inside a VPC, and through an internet gateway. */
const MTU = 9001;

/** An end of a link between namespaces: its address, and that of the other end. */
const IGW = '169.254.0.1';
const VPC = '169.254.0.2';

/** The device in `vpc` of a machine's ENI: `node1`, `node1_1`; `portN` where the name would not do, for a device or in a sysctl. */
export function eniPort(
  s: { nodes: readonly Machine[]; hosts: readonly Machine[] },
  m: Machine,
  device: number,
): string {
  const index = [...s.nodes, ...s.hosts].findIndex((x) => x.name === m.name);
  const own = portOf(m.name, index);
  const name = own.includes('.') || own.length > 12 ? `port${index}` : own;
  return device === 0 ? name : `${name}_${device}`;
}

/** Attaches an ENI: a device of the machine, down and without an address, and its place in the fabric. `address` with its prefix length. */
export function attachEni(
  netns: string,
  dev: string,
  port: string,
  address: string,
  groups?: readonly string[],
): string[] {
  const { router } = new Subnet(networkOf(address).text);
  const conf = `net.ipv4.conf.${port}`;
  return [
    `ip -n ${netns} link add ${dev} address ${mac(address, '52')} mtu ${MTU} type veth peer name ${port} address ${mac(router, '56')} mtu ${MTU} netns vpc`,
    `ip -n vpc addr add ${router}/32 dev ${port}`,
    `ip netns exec vpc sysctl -q -w ${conf}.proxy_arp=1 ${conf}.rp_filter=1 ${conf}.send_redirects=0 net.ipv4.neigh.${port}.proxy_delay=0`,
    `ip -n vpc link set ${port} up`,
    `ip -n vpc neigh add ${ipOf(address)} lladdr ${mac(address, '52')} dev ${port} nud permanent`,
    `ip -n vpc route add ${ipOf(address)} dev ${port}`,
    ...(groups === undefined ? [] : [joinGroups(port, groups)]),
  ];
}

/** Gives an ENI a further address or a prefix (`a.b.c.d/28`). */
export const assignToEni = (port: string, primary: string, block: string): string =>
  `ip -n vpc route add ${block} via ${primary} dev ${port} onlink`;

/** Lab lines: the VPC with its machines and, where a machine stands outside, the internet. */
export function vpcCommands(s: Scenario, cni: AwsVpcConfig): string[] {
  const inside = (m: Machine): boolean => cni.vpcCIDRs.some((c) => contains(c, m.addresses[0]!));
  const machines = [...s.nodes, ...s.hosts.filter(inside)];
  const outside = s.hosts.filter((h) => !inside(h));
  const out = [
    'ip netns add vpc',
    'ip -n vpc link set lo up',
    'ip netns exec vpc sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0',
    'ip netns exec vpc iptables -t mangle -A PREROUTING -j TTL --ttl-inc 1',
    ...[...cni.vpcCIDRs, ...(outside.length === 0 ? ['default'] : [])].map((c) => `ip -n vpc route add blackhole ${c}`),
  ];
  if (cni.securityGroups !== null) out.push(groupRules(cni.securityGroups));
  for (const m of machines) {
    const port = eniPort(s, m, 0);
    const [primary, ...more] = m.addresses as [string, ...string[]];
    out.push(
      `ip netns add ${m.name}`,
      `ip -n ${m.name} link set lo up`,
      ...attachEni(m.name, 'eth0', port, primary, m.securityGroups),
    );
    out.push(`ip -n ${m.name} addr add ${primary} dev eth0`, `ip -n ${m.name} link set eth0 up`);
    for (const a of more) out.push(`ip -n ${m.name} addr add ${a} dev eth0`, assignToEni(port, ipOf(primary), ipOf(a)));
    out.push(`ip -n ${m.name} route add default via ${new Subnet(networkOf(primary).text).router} dev eth0`);
  }
  if (outside.length > 0) out.push(...internet(s, cni, machines, outside));
  return out;
}

/** The internet gateway, and the machines behind it. */
function internet(s: Scenario, cni: AwsVpcConfig, machines: readonly Machine[], outside: readonly Machine[]): string[] {
  const mapped = machines.filter((m) => m.publicAddress !== undefined);
  const pairs = mapped.map((m) => ({ own: ipOf(m.addresses[0]!), pub: m.publicAddress! }));
  const [a, b] = [mac(VPC, '52'), mac(IGW, '52')];
  return [
    ...lanCommands(s, outside, 'igw'),
    `ip -n vpc link add igw address ${a} type veth peer name vpc address ${b} netns igw`,
    `ip -n vpc addr add ${VPC}/30 dev igw`,
    `ip -n igw addr add ${IGW}/30 dev vpc`,
    'ip -n vpc link set igw up',
    'ip -n igw link set vpc up',
    `ip -n vpc neigh add ${IGW} lladdr ${b} dev igw nud permanent`,
    `ip -n igw neigh add ${VPC} lladdr ${a} dev vpc nud permanent`,
    `ip -n vpc route add default via ${IGW}`,
    ...cni.vpcCIDRs.map((c) => `ip -n igw route add ${c} via ${VPC}`),
    [
      "ip netns exec igw iptables-restore <<'EOF'",
      '*mangle',
      '-A PREROUTING -j TTL --ttl-inc 1',
      'COMMIT',
      '*nat',
      ...pairs.map(({ own, pub }) => `-A PREROUTING -d ${pub}/32 -j DNAT --to-destination ${own}`),
      ...pairs.map(({ own, pub }) => `-A POSTROUTING -s ${own}/32 ! -o vpc -j SNAT --to-source ${pub}`),
      'COMMIT',
      '*filter',
      ':FORWARD DROP [0:0]',
      ...pairs.map(({ own }) => `-A FORWARD -s ${own}/32 -i vpc ! -o vpc -j ACCEPT`),
      '-A FORWARD ! -i vpc -o vpc -m conntrack --ctstate SNAT,DNAT -j ACCEPT',
      '-A FORWARD ! -i vpc ! -o vpc -j ACCEPT',
      'COMMIT',
      'EOF',
    ].join('\n'),
  ];
}
