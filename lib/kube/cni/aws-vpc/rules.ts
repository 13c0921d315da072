/**
 * The iptables rules of aws-node on a node.
 *
 * Upstream: aws/amazon-vpc-cni-k8s, pkg/networkutils/network.go (buildIptablesSNATRules), pkg/networkutils/iptables_connmark.go.
 * Rules of networks are inserted at the head one by one, so that the last stands first. Not here: the nftables table `aws-cni`
 * that takes the place of the connmark rules where iptables is nft.
 * @module
 */
import type { AwsVpcConfig } from './config.js';

/** AWS_VPC_K8S_CNI_CONNMARK's default. */
export const MARK = '0x80';

const SNAT = 'AWS-SNAT-CHAIN-0';
const CONNMARK = 'AWS-CONNMARK-CHAIN-0';
const RANDOM = { prng: ' --random-fully', hashrandom: ' --random', none: '' } as const;

const comment = (text: string): string => `-m comment --comment "${text}"`;

/** updateHostIptablesRules and iptablesConnmark.Setup of a node whose primary address is `primary`, as one command. */
export function hostRules(node: string, primary: string, { vpcCIDRs, env }: AwsVpcConfig): string {
  const { AWS_VPC_K8S_CNI_EXTERNALSNAT: external, AWS_VPC_CNI_NODE_PORT_SUPPORT: nodePorts } = env;
  const mangle = [
    ...(nodePorts ? [`-i eth0 ${comment('AWS, primary ENI')} -m addrtype --dst-type LOCAL --limit-iface-in -j CONNMARK --set-mark ${MARK}/${MARK}`] : []),
    ...(nodePorts || !external ? [restore('-i eni+ ', 'AWS, primary ENI')] : []),
    ...(nodePorts ? [restore('-i vlan+ ', 'AWS, primary ENI')] : []),
  ].map((r) => `-A PREROUTING ${r}`); // prettier-ignore
  const nat = external ? [] : natRules(primary, vpcCIDRs, env);
  return [
    `ip netns exec ${node} iptables-restore --noflush <<'EOF'`,
    '*nat',
    `:${SNAT} - [0:0]`,
    ...nat,
    'COMMIT',
    ...(mangle.length === 0 ? [] : ['*mangle', ...mangle, 'COMMIT']),
    'EOF',
  ].join('\n');
}

const restore = (match: string, text: string): string =>
  `${match}${comment(text)} -j CONNMARK --restore-mark --mask ${MARK}`;

function natRules(primary: string, vpcCIDRs: readonly string[], env: AwsVpcConfig['env']): string[] {
  const networks = (chain: string, own: string, excluded: string): string[] =>
    [
      ...vpcCIDRs.map((c) => `-A ${chain} -d ${c} ${comment(own)} -j RETURN`),
      ...env.AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS.map((c) => `-A ${chain} -d ${c} ${comment(excluded)} -j RETURN`),
    ].reverse();
  return [
    `:${CONNMARK} - [0:0]`,
    `-A POSTROUTING ${comment('AWS SNAT CHAIN')} -j ${SNAT}`,
    ...networks(SNAT, 'AWS SNAT CHAIN', 'AWS SNAT CHAIN EXCLUSION'),
    `-A ${SNAT} ! -o vlan+ ${comment('AWS, SNAT')} -m addrtype ! --dst-type LOCAL -j SNAT --to-source ${primary}${RANDOM[env.AWS_VPC_K8S_CNI_RANDOMIZESNAT]}`,
    `-A PREROUTING -i eni+ ${comment('AWS, outbound connections')} -j ${CONNMARK}`,
    `-A PREROUTING ${restore('', 'AWS, CONNMARK')}`,
    ...networks(CONNMARK, 'AWS CONNMARK CHAIN', 'AWS CONNMARK CHAIN'),
    `-A ${CONNMARK} ${comment('AWS, CONNMARK')} -j CONNMARK --set-xmark ${MARK}/${MARK}`,
  ];
}
