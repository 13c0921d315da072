/**
 * What a scenario in a VPC must hold: machines in subnets of the VPC, public addresses that are nobody's else.
 * @module
 */
import { aton } from '../../../wire/inet.js';
import type { At } from '../api/at.js';
import type { AwsVpcConfig } from '../cni/aws-vpc/config.js';
import { Subnet } from '../cni/aws-vpc/ec2.js';
import { contains, networkOf, overlap } from '../networks.js';
import type { Machine, Scenario } from '../scenario.js';

/** Checks the machines of `spec`. Throws InputError with a place. */
export function checkVpc(spec: At, cni: AwsVpcConfig, s: Pick<Scenario, 'nodes' | 'hosts' | 'serviceSubnet'>): void {
  const places = [...spec.req('nodes').list(), ...(spec.opt('hosts')?.list() ?? [])];
  const machines = [...s.nodes, ...s.hosts];
  const clash = cni.vpcCIDRs.find((c) => overlap(c, s.serviceSubnet));
  if (clash !== undefined)
    spec.deep('cni.vpcCIDRs').fail(`found ${clash} and serviceSubnet ${s.serviceSubnet}, expected networks that do not overlap`); // prettier-ignore
  if (spec.opt('kubeProxy')?.opt('detectLocalMode')?.plain() === 'NodeCIDR')
    spec.deep('kubeProxy.detectLocalMode').fail('found NodeCIDR, expected another mode: in a VPC a node has no podCIDR');
  const subnets = new Set<string>();
  machines.forEach((m, i) => {
    const at = places[i]!;
    const { text, bits } = networkOf(m.addresses[0]!);
    const block = cni.vpcCIDRs.find((c) => contains(c, m.addresses[0]!));
    if (['vpc', 'igw'].includes(m.name)) at.req('name').fail(`found "${m.name}", expected a name other than vpc, igw`);
    if (block !== undefined) groups(at, cni);
    if (block === undefined) return outside(at, m, i < s.nodes.length, cni);
    if (bits < networkOf(block).bits || bits > 28)
      at.req('address').fail(`found ${m.addresses[0]!}, expected a subnet of ${block} with a prefix length of at most 28`);
    const other = [...subnets].find((x) => x !== text && overlap(x, text));
    if (other !== undefined) at.req('address').fail(`found the subnet ${text}, expected one apart from ${other}`);
    subnets.add(text);
    m.addresses.forEach((a, k) => usable(k === 0 ? at.req('address') : at.req('addresses').list()[k - 1]!, a, text));
  });
  publicAddresses(places, machines, cni);
} // prettier-ignore

/** A machine that is not in the VPC: a host of the internet. */
function outside(at: At, m: Machine, isNode: boolean, cni: AwsVpcConfig): void {
  if (isNode) at.req('address').fail(`found ${m.addresses[0]!}, expected an address in ${cni.vpcCIDRs.join(', ')}`);
  if (cni.vpcCIDRs.some((c) => overlap(c, networkOf(m.addresses[0]!).text)))
    at.req('address').fail(`found ${m.addresses[0]!}, expected a network that holds nothing of the VPC`);
  for (const key of ['publicAddress', 'securityGroups'])
    at.opt(key)?.fail(`found ${key}, expected none: the machine is outside of the VPC`);
}

/** One or more of the VPC's security groups, where it has some. */
function groups(at: At, cni: AwsVpcConfig): void {
  const own = at.opt('securityGroups');
  if (cni.securityGroups === null) own?.fail('found security groups, expected none: cni.securityGroups defines none');
  if (cni.securityGroups === null) return;
  const names = cni.securityGroups.map((g) => g.name);
  if (own === null || own.list().length === 0)
    at.fail(`missing "securityGroups", expected some of: ${names.join(', ')}`);
  for (const g of own.list()) g.oneOf(...names);
}

/** Not one of those that the VPC keeps of every subnet. */
function usable(at: At, address: string, subnet: string): void {
  if (networkOf(address).text !== subnet) at.fail(`found ${address}, expected an address in ${subnet}`);
  if (!new Subnet(subnet).isFree(aton(address.split('/')[0]!)!))
    at.fail(`found ${address}, expected none of the first four addresses and the last, which the VPC keeps`);
}

function publicAddresses(places: At[], machines: Machine[], cni: AwsVpcConfig): void {
  const taken = new Set(machines.flatMap((m) => m.addresses.map((a) => a.split('/')[0]!)));
  const nets = [...new Set([...cni.vpcCIDRs, ...machines.map((m) => networkOf(m.addresses[0]!).text)])];
  machines.forEach((m, i) => {
    const pub = m.publicAddress;
    if (pub === undefined) return;
    const at = places[i]!.req('publicAddress');
    const net = nets.find((n) => contains(n, pub));
    if (net !== undefined) at.fail(`found ${pub}, expected an address outside of ${net}`);
    if (taken.has(pub)) at.fail(`found ${pub}, expected an address that nobody else has`);
    taken.add(pub);
  });
}
