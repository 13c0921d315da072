/**
 * `spec.cni` of a Scenario: a plugin by name, with the words of its own configuration.
 * @module
 */
import { type At, quote } from '../api/at.js';

/** Bytes that VXLAN puts before a packet: Ethernet, VXLAN, UDP, IPv4 (encapOverhead). */
export const VXLAN_OVERHEAD = 50;

/** The conflist's portmap plugin stands behind each of them where `portMappings` says so. */
interface Chain {
  portMappings: boolean;
}

/** plugins/main/bridge, NetConf. */
export interface BridgeConfig extends Chain {
  plugin: 'bridge';
  bridge: string;
  ipMasq: boolean;
  hairpinMode: boolean;
  /** Bytes; 0: the kernel's. */
  mtu: number;
}

/** plugins/main/ptp, NetConf. */
export interface PtpConfig extends Chain {
  plugin: 'ptp';
  ipMasq: boolean;
  /** Bytes; 0: the kernel's. */
  mtu: number;
}

/** The Backend of flannel's net-conf.json (pkg/backend/vxlan, VXLANConfig); `mtu` is that of the network below. */
export type FlannelBackend =
  { type: 'host-gw' } | { type: 'vxlan'; vni: number; port: number; mtu: number; directRouting: boolean };

/** kube-flannel.yml's ConfigMap; Network is the podSubnet. */
export interface FlannelConfig extends Chain {
  plugin: 'flannel';
  backend: FlannelBackend;
}

export type CniConfig = BridgeConfig | PtpConfig | FlannelConfig;

/** Reads `spec.cni`; absent: the bridge plugin. Throws InputError with a place. */
export function parseCni(at: At | null): CniConfig {
  const plugin = at?.opt('plugin')?.oneOf('bridge', 'ptp', 'flannel') ?? 'bridge';
  switch (plugin) {
    case 'bridge':
      at?.only('plugin', 'bridge', 'ipMasq', 'hairpinMode', 'mtu', 'portMappings');
      return { plugin, bridge: bridgeName(at?.opt('bridge') ?? null), hairpinMode: flag(at, 'hairpinMode'), ...common(at) };
    case 'ptp':
      at!.only('plugin', 'ipMasq', 'mtu', 'portMappings');
      return { plugin, ...common(at) };
    case 'flannel':
      at!.only('plugin', 'backend', 'portMappings');
      return {
        plugin,
        backend: backend(at!.opt('backend')),
        portMappings: at!.opt('portMappings')?.bool() ?? true,
      };
  }
} // prettier-ignore

const flag = (at: At | null, key: string): boolean => at?.opt(key)?.bool() ?? false;

const common = (at: At | null): { ipMasq: boolean; mtu: number; portMappings: boolean } => ({
  ipMasq: flag(at, 'ipMasq'),
  mtu: at?.opt('mtu')?.int(68, 65535) ?? 0,
  portMappings: flag(at, 'portMappings'),
});

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
