/**
 * Security groups of a VPC: what of other machines' traffic an ENI is given, as iptables rules of the namespace `vpc`.
 *
 * A group lets in what one of its rules names and all answers; everything may leave. What does not pass the fabric (two pods of
 * one node) is not asked. Words as in CloudFormation's AWS::EC2::SecurityGroup.
 * With groups the fabric tracks connections, and so puts fragments together and takes them apart again (nf_defrag_ipv4).
 * Not here: egress rules, prefix lists, types of ICMP.
 * @module
 */
import { type At, quote } from '../api/at.js';
import { cidr } from '../api/names.js';

export interface SecurityGroup {
  name: string;
  ingress: readonly Ingress[];
}

interface Ingress {
  protocol: 'tcp' | 'udp' | 'icmp' | 'all';
  /** Ports; null: all. */
  ports: readonly [number, number] | null;
  /** A network, or the name of a group whose ENIs may send. */
  from: { cidr: string } | { group: string };
}

/** `securityGroups` of a VPC: a list, each group with a name and `SecurityGroupIngress`. Throws InputError with a place. */
export function parseSecurityGroups(at: At | null): SecurityGroup[] | null {
  if (at === null) return null;
  const list = at.list();
  const names: string[] = [];
  for (const g of list) {
    const name = g.only('GroupName', 'SecurityGroupIngress').req('GroupName');
    // "from-" and a name are at most the 28 characters of a chain.
    if (!/^[A-Za-z0-9._-]{1,23}$/.test(name.str())) name.fail(`found ${quote(name.str())}, expected at most 23 letters, digits, '.', '_' and '-'`); // prettier-ignore
    if (names.includes(name.str())) name.fail(`found ${name.str()} again, expected groups of different names`);
    names.push(name.str());
  }
  return list.map((g, i) => ({ name: names[i]!, ingress: (g.opt('SecurityGroupIngress')?.list() ?? []).map((r) => ingress(r, names)) })); // prettier-ignore
}

function ingress(at: At, names: string[]): Ingress {
  at.only('IpProtocol', 'FromPort', 'ToPort', 'CidrIp', 'SourceSecurityGroupName');
  const word = at.req('IpProtocol');
  const protocol = word.plain() === -1 || word.plain() === '-1' ? 'all' : word.oneOf('tcp', 'udp', 'icmp');
  const [network, group] = [at.opt('CidrIp'), at.opt('SourceSecurityGroupName')];
  if ((network === null) === (group === null))
    at.fail('found not one of CidrIp and SourceSecurityGroupName, expected one');
  const from = network !== null ? { cidr: cidr(network) } : { group: group!.oneOf(...names) };
  const ported = protocol === 'tcp' || protocol === 'udp';
  const ports = [at.opt('FromPort'), at.opt('ToPort')];
  if (!ported) for (const p of ports) p?.fail(`found a port, expected none for IpProtocol ${String(word.plain())}`);
  if (!ported) return { protocol, ports: null, from };
  const first = at.req('FromPort').int(0, 65535);
  return { protocol, ports: [first, at.req('ToPort').int(first, 65535)], from };
}

/** The rules of all groups, before there is an ENI. */
export function groupRules(groups: readonly SecurityGroup[]): string {
  const rule = ({ protocol, ports, from }: Ingress): string => {
    const source = 'cidr' in from ? ` -s ${from.cidr}` : '';
    const proto = protocol === 'all' ? '' : ` -p ${protocol}`;
    const dports = ports === null ? '' : ` --dport ${ports[0]}:${ports[1]}`;
    return `${source}${proto}${dports} -j ${'cidr' in from ? 'ACCEPT' : `from-${from.group}`}`;
  };
  return [
    "ip netns exec vpc iptables-restore --noflush <<'EOF'",
    '*filter',
    ...groups.flatMap((g) => [`:to-${g.name} - [0:0]`, `:from-${g.name} - [0:0]`]),
    '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    ...groups.flatMap((g) => g.ingress.map((r) => `-A to-${g.name}${rule(r)}`)),
    'COMMIT',
    'EOF',
  ].join('\n');
}

/** Puts an ENI, which is `port` of the fabric, into groups. */
export function joinGroups(port: string, groups: readonly string[]): string {
  return [
    "ip netns exec vpc iptables-restore --noflush <<'EOF'",
    '*filter',
    ...groups.map((g) => `-A FORWARD -o ${port} -j to-${g}`),
    `-A FORWARD -o ${port} -j DROP`,
    ...groups.map((g) => `-A from-${g} -i ${port} -j ACCEPT`),
    'COMMIT',
    'EOF',
  ].join('\n');
}
