/**
 * `spec.cni` of a Scenario: a plugin by name, with the words of its own configuration.
 * @module
 */
import { aton, ntoa } from '../../../wire/inet.js';
import { type At, quote } from '../api/at.js';
import { address as ipv4 } from '../api/names.js';
import { networkOf } from '../networks.js';
import { type AwsVpcConfig, parseAwsVpc } from './aws-vpc/config.js';
import { parseWeave, type WeaveConfig } from './weave/config.js';

/** Bytes that VXLAN puts before a packet: Ethernet, VXLAN, UDP, IPv4 (encapOverhead). */
export const VXLAN_OVERHEAD = 50;

/** The conflist's portmap plugin stands behind each of them where `portMappings` says so. */
interface Chain {
  portMappings: boolean;
}

/** A range of host-local (plugins/ipam/host-local, Range) for the node whose podCIDR is its subnet. */
export interface IpamRange {
  subnet: string;
  rangeStart: string;
  rangeEnd: string;
  gateway: string;
}

/** plugins/main/bridge, NetConf. */
export interface BridgeConfig extends Chain {
  plugin: 'bridge';
  bridge: string;
  ipMasq: boolean;
  hairpinMode: boolean;
  /** Bytes; 0: the kernel's. */
  mtu: number;
  ranges: readonly IpamRange[];
}

/** plugins/main/ptp, NetConf. */
export interface PtpConfig extends Chain {
  plugin: 'ptp';
  ipMasq: boolean;
  /** Bytes; 0: the kernel's. */
  mtu: number;
  ranges: readonly IpamRange[];
}

/** The Backend of flannel's net-conf.json (pkg/backend/vxlan, VXLANConfig); `mtu` is that of the network below. */
export type FlannelBackend =
  { type: 'host-gw' } | { type: 'vxlan'; vni: number; port: number; mtu: number; directRouting: boolean };

/** kube-flannel.yml's ConfigMap; Network is the podSubnet. */
export interface FlannelConfig extends Chain {
  plugin: 'flannel';
  backend: FlannelBackend;
}

/** Calico's IPPool for the podSubnet, and `mtu` of calico-config's veth_mtu. */
export interface CalicoConfig extends Chain {
  plugin: 'calico';
  encapsulation: 'IPIP' | 'VXLAN' | 'None';
  /** Only where a router is between. */
  crossSubnet: boolean;
  natOutgoing: boolean;
  /** Prefix length of a block of addresses. */
  blockSize: number;
  /** Bytes, of pods and tunnels; 0: what is left of 1500. */
  mtu: number;
}

export type CniConfig = AwsVpcConfig | BridgeConfig | PtpConfig | FlannelConfig | CalicoConfig | WeaveConfig;

/** Reads `spec.cni` of nodes with these podCIDRs and names; absent: the bridge plugin. Throws InputError with a place. */
export function parseCni(at: At | null, podCIDRs: readonly string[], nodes: readonly string[] = []): CniConfig {
  const plugin = at?.opt('plugin')?.oneOf('bridge', 'ptp', 'flannel', 'calico', 'aws-vpc', 'weave') ?? 'bridge';
  switch (plugin) {
    case 'bridge':
      at?.only('plugin', 'bridge', 'ipMasq', 'hairpinMode', 'mtu', 'portMappings', 'ipam');
      return { plugin, bridge: bridgeName(at?.opt('bridge') ?? null), hairpinMode: flag(at, 'hairpinMode'), ...common(at, podCIDRs) };
    case 'ptp':
      at!.only('plugin', 'ipMasq', 'mtu', 'portMappings', 'ipam');
      return { plugin, ...common(at, podCIDRs) };
    case 'aws-vpc':
      return parseAwsVpc(at!);
    case 'weave':
      return parseWeave(at!, nodes);
    case 'flannel':
      at!.only('plugin', 'backend', 'portMappings');
      return {
        plugin,
        backend: backend(at!.opt('backend')),
        portMappings: at!.opt('portMappings')?.bool() ?? true,
      };
    case 'calico':
      return calico(at!, podCIDRs);
  }
} // prettier-ignore

const flag = (at: At | null, key: string): boolean => at?.opt(key)?.bool() ?? false;

const common = (at: At | null, podCIDRs: readonly string[]): Omit<PtpConfig, 'plugin'> => ({
  ipMasq: flag(at, 'ipMasq'),
  mtu: at?.opt('mtu')?.int(68, 65535) ?? 0,
  portMappings: flag(at, 'portMappings'),
  ranges: ranges(at?.opt('ipam') ?? null, podCIDRs),
});

/** `ipam: { ranges }`: at most one for each podCIDR. */
function ranges(at: At | null, podCIDRs: readonly string[]): IpamRange[] {
  const seen = new Set<string>();
  return (at?.only('ranges').opt('ranges')?.list() ?? []).map((r) => {
    r.only('subnet', 'rangeStart', 'rangeEnd', 'gateway');
    const subnet = r.req('subnet').oneOf(...podCIDRs);
    if (seen.has(subnet)) r.req('subnet').fail(`found ${subnet} again, expected one range for each podCIDR`);
    seen.add(subnet);
    const { net, mask } = networkOf(subnet);
    const [first, last] = [net + 1, (net | ~mask) - 1];
    const address = (key: string, initial: number): number => {
      const a = r.opt(key);
      const v = a === null ? initial : aton(ipv4(a))!;
      if (v < first || v > last) a!.fail(`found ${ntoa(v)}, expected an address of a pod in ${subnet}`);
      return v;
    };
    const gateway = address('gateway', first);
    const [start, end] = [address('rangeStart', first), address('rangeEnd', last)];
    if (start > end) r.req('rangeStart').fail(`found ${ntoa(start)}, expected an address up to rangeEnd ${ntoa(end)}`);
    return { subnet, rangeStart: ntoa(start), rangeEnd: ntoa(end), gateway: ntoa(gateway) };
  });
}

function bridgeName(at: At | null): string {
  const bridge = at?.str() ?? 'cni0';
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(bridge) || /^(lo|eth0|tunl0|all|default|veth.*|kube-.*)$/.test(bridge))
    at!.fail(`found ${quote(bridge)}, expected an interface name of at most 15 characters that is free`);
  return bridge;
}

/** Port 0 is the kernel's, 8472. The device is called flannel.VNI, in at most 15 characters. */
function backend(at: At | null): FlannelBackend {
  const type = at?.opt('type')?.oneOf('vxlan', 'host-gw') ?? 'vxlan';
  if (type === 'host-gw') {
    at!.only('type');
    return { type };
  }
  at?.only('type', 'vni', 'port', 'mtu', 'directRouting');
  return {
    type,
    vni: at?.opt('vni')?.int(1, 9_999_999) ?? 1,
    port: (at?.opt('port')?.int(0, 65535) ?? 0) || 8472,
    mtu: at?.opt('mtu')?.int(VXLAN_OVERHEAD + 68, 65535) ?? 1500,
    directRouting: flag(at, 'directRouting'),
  };
}

/** manifests/calico.yaml's: IPIP Always unless one of the modes is given. A node's blocks lie in its podCIDR. */
function calico(at: At, podCIDRs: readonly string[]): CalicoConfig {
  at.only('plugin', 'ipipMode', 'vxlanMode', 'natOutgoing', 'blockSize', 'mtu', 'portMappings');
  const modes = ['Always', 'CrossSubnet', 'Never'] as const;
  const vxlan = at.opt('vxlanMode')?.oneOf(...modes) ?? 'Never';
  const ipip = at.opt('ipipMode')?.oneOf(...modes) ?? (at.opt('vxlanMode') === null ? 'Always' : 'Never');
  if (vxlan !== 'Never' && ipip !== 'Never')
    at.req('vxlanMode').fail(`found ${vxlan} beside ipipMode ${ipip}, expected one of them Never`);
  const bits = Math.max(...podCIDRs.map((c) => networkOf(c).bits), 20);
  const blockSize = at.opt('blockSize')?.int(20, 31) ?? 26;
  if (blockSize < bits)
    (at.opt('blockSize') ?? at.req('plugin')).fail(`found blocks of /${blockSize}, expected a blockSize from ${bits} to 31: the blocks of a node lie in its podCIDR`);
  return {
    plugin: 'calico',
    encapsulation: vxlan !== 'Never' ? 'VXLAN' : ipip !== 'Never' ? 'IPIP' : 'None',
    crossSubnet: vxlan === 'CrossSubnet' || ipip === 'CrossSubnet',
    natOutgoing: at.opt('natOutgoing')?.bool() ?? true,
    blockSize,
    mtu: at.opt('mtu')?.int(68, 65535) ?? 0,
    portMappings: at.opt('portMappings')?.bool() ?? true,
  };
} // prettier-ignore
