/**
 * `spec.cni` of plugin aws-vpc: the VPC, the limits of the instance type, and the environment of the DaemonSet aws-node.
 *
 * Upstream: aws/amazon-vpc-cni-k8s, config/master/aws-k8s-cni.yaml (the defaults), pkg/ipamd, pkg/networkutils/network.go.
 * @module
 */
import type { At } from '../../api/at.js';
import { parseSecurityGroups, type SecurityGroup } from '../../cloud/security-groups.js';
import { cidr } from '../../api/names.js';
import { networkOf, overlap } from '../../networks.js';

export interface AwsVpcConfig {
  plugin: 'aws-vpc';
  portMappings: boolean;
  /** The CIDR blocks of the VPC, the primary one first. */
  vpcCIDRs: readonly string[];
  /** What the instance type allows, in EC2's words (NetworkInfo of DescribeInstanceTypes). */
  maximumNetworkInterfaces: number;
  ipv4AddressesPerInterface: number;
  env: AwsNodeEnv;
  /** null: everything is let through. */
  securityGroups: readonly SecurityGroup[] | null;
}

/** Variables of aws-node by their own names, read. */
export interface AwsNodeEnv {
  /** Addresses; both 0: whole ENIs or prefixes are kept in reserve instead. */
  WARM_IP_TARGET: number;
  MINIMUM_IP_TARGET: number;
  WARM_ENI_TARGET: number;
  WARM_PREFIX_TARGET: number;
  /** -1: what the instance type allows. */
  MAX_ENI: number;
  ENABLE_PREFIX_DELEGATION: boolean;
  /** Seconds. */
  IP_COOLDOWN_PERIOD: number;
  /** Bytes. */
  AWS_VPC_ENI_MTU: number;
  AWS_VPC_K8S_CNI_EXTERNALSNAT: boolean;
  AWS_VPC_K8S_CNI_RANDOMIZESNAT: 'prng' | 'hashrandom' | 'none';
  AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS: readonly string[];
  AWS_VPC_CNI_NODE_PORT_SUPPORT: boolean;
}

const NAMES: readonly (keyof AwsNodeEnv)[] = [
  'WARM_IP_TARGET', 'MINIMUM_IP_TARGET', 'WARM_ENI_TARGET', 'WARM_PREFIX_TARGET', 'MAX_ENI', 'ENABLE_PREFIX_DELEGATION',
  'IP_COOLDOWN_PERIOD', 'AWS_VPC_ENI_MTU', 'AWS_VPC_K8S_CNI_EXTERNALSNAT', 'AWS_VPC_K8S_CNI_RANDOMIZESNAT',
  'AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS', 'AWS_VPC_CNI_NODE_PORT_SUPPORT',
]; // prettier-ignore

/** Reads it; without limits the instance is a t3.medium, EKS's default. Throws InputError with a place. */
export function parseAwsVpc(at: At): AwsVpcConfig {
  at.only('plugin', 'vpcCIDRs', 'maximumNetworkInterfaces', 'ipv4AddressesPerInterface', 'securityGroups', 'env', 'portMappings'); // prettier-ignore
  return {
    plugin: 'aws-vpc',
    portMappings: at.opt('portMappings')?.bool() ?? true,
    vpcCIDRs: vpcCIDRs(at.opt('vpcCIDRs')),
    maximumNetworkInterfaces: at.opt('maximumNetworkInterfaces')?.int(1, 15) ?? 3,
    ipv4AddressesPerInterface: at.opt('ipv4AddressesPerInterface')?.int(2, 50) ?? 6,
    env: env(at.opt('env')),
    securityGroups: parseSecurityGroups(at.opt('securityGroups')),
  };
}

function vpcCIDRs(at: At | null): string[] {
  const out: string[] = [];
  for (const c of at?.list() ?? []) {
    const v = cidr(c);
    const { bits } = networkOf(v);
    if (bits < 16 || bits > 28) c.fail(`found ${v}, expected a block of a VPC: a prefix length from 16 to 28`);
    const other = out.find((x) => overlap(x, v));
    if (other !== undefined) c.fail(`found ${v}, expected a block apart from ${other}`);
    out.push(v);
  }
  if (at !== null && out.length === 0) at.fail('found no block, expected the CIDR blocks of the VPC');
  return at === null ? ['10.0.0.0/16'] : out;
}

function env(at: At | null): AwsNodeEnv {
  at?.only(...NAMES);
  const number = (key: keyof AwsNodeEnv, initial: number, min: number, max: number): number =>
    at?.opt(key)?.int(min, max) ?? initial;
  const flag = (key: keyof AwsNodeEnv, initial: boolean): boolean => at?.opt(key)?.bool() ?? initial;
  return {
    WARM_IP_TARGET: number('WARM_IP_TARGET', 0, 0, 1000),
    MINIMUM_IP_TARGET: number('MINIMUM_IP_TARGET', 0, 0, 1000),
    WARM_ENI_TARGET: number('WARM_ENI_TARGET', 1, 0, 15),
    WARM_PREFIX_TARGET: number('WARM_PREFIX_TARGET', 1, 0, 1000),
    MAX_ENI: number('MAX_ENI', -1, 1, 15),
    ENABLE_PREFIX_DELEGATION: flag('ENABLE_PREFIX_DELEGATION', false),
    IP_COOLDOWN_PERIOD: number('IP_COOLDOWN_PERIOD', 30, 0, 3600),
    AWS_VPC_ENI_MTU: number('AWS_VPC_ENI_MTU', 9001, 576, 9001),
    AWS_VPC_K8S_CNI_EXTERNALSNAT: flag('AWS_VPC_K8S_CNI_EXTERNALSNAT', false),
    AWS_VPC_K8S_CNI_RANDOMIZESNAT:
      at?.opt('AWS_VPC_K8S_CNI_RANDOMIZESNAT')?.oneOf('prng', 'hashrandom', 'none') ?? 'prng',
    AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS: (at?.opt('AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS')?.list() ?? []).map(cidr),
    AWS_VPC_CNI_NODE_PORT_SUPPORT: flag('AWS_VPC_CNI_NODE_PORT_SUPPORT', true),
  };
}
