/**
 * KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) as a Scenario's `kubeProxy:` block.
 *
 * A field that podwire does not act on is refused unless it has its zero value, which means "default" in this API; so the
 * configuration that kubeadm writes can be pasted after its addresses are taken out.
 * @module
 */
import type { At } from '../api/at.js';
import { cidr } from '../api/manifest.js';

export interface KubeProxyConfig {
  mode: 'iptables' | 'ipvs';
  /** Null: not given, so what kubeadm fills in, the pod subnet. Empty: given as empty, no detector. */
  clusterCIDR: string | null;
  detectLocalMode: 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';
  bridgeInterface: string;
  interfaceNamePrefix: string;
  nodePortAddresses: string[];
  masqueradeAll: boolean;
  masqueradeBit: number;
  localhostNodePorts: boolean;
  scheduler: string;
  strictARP: boolean;
  /** Virtual servers at these addresses are never deleted. */
  excludeCIDRs: string[];
  /** `ipvsadm --set`: tcp, tcpfin, udp in seconds, 0: leave. */
  ipvsTimeouts: [number, number, number];
  /** Seconds; 0: leave the kernel's value. */
  tcpEstablishedTimeout: number;
  tcpCloseWaitTimeout: number;
  udpTimeout: number;
  udpStreamTimeout: number;
  tcpBeLiberal: boolean;
}

const SCHEDULERS = ['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'sh', 'dh', 'sed', 'nq', 'fo', 'ovf', 'mh'] as const;

const TOP = ['apiVersion', 'kind', 'mode', 'clusterCIDR', 'detectLocalMode', 'detectLocal', 'nodePortAddresses', 'iptables', 'ipvs', 'conntrack']; // prettier-ignore
const TOP_ZERO = ['featureGates', 'clientConnection', 'logging', 'hostnameOverride', 'bindAddress', 'healthzBindAddress', 'metricsBindAddress', 'bindAddressHardFail', 'enableProfiling', 'showHiddenMetricsForVersion', 'nftables', 'winkernel', 'oomScoreAdj', 'portRange', 'configSyncPeriod', 'windowsRunAsService']; // prettier-ignore

/** True for what Go takes as a field left out: null, false, 0, empty, or a structure of such values. */
function isZero(v: unknown): boolean {
  if (v === null || v === undefined || v === false || v === 0 || v === '') return true;
  if (v === '0s' || v === '0') return true;
  return typeof v === 'object' && Object.values(v).every(isZero);
}

/** A block of the configuration: `known` fields are read, `zero` fields must be left at zero. */
function block(at: At | null, known: readonly string[], zero: readonly string[]): At | null {
  at?.only(...known, ...zero);
  for (const k of zero) {
    const v = at?.opt(k) ?? null;
    if (v !== null && !isZero(v.plain())) v.fail(`"${k}" is not supported: podwire keeps to its default, leave it out`);
  }
  return at;
}

/** A Go duration like 24h0m0s in whole seconds; `fallback` when absent. */
function seconds(at: At | null, fallback: number): number {
  if (at === null) return fallback;
  const text = at.str();
  const units: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 0.001 };
  if (text !== '0' && !/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) {
    at.fail(`found "${text}", expected a duration like 24h0m0s`);
  }
  let sum = 0;
  for (const [, n, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) sum += Number(n) * units[unit!]!;
  if (sum > 0 && sum < 1) at.fail(`found "${text}", expected at least one second`);
  return Math.floor(sum);
}

/** A text field; absent and empty are the same in Go. */
const text = (at: At | null): string => at?.str() ?? '';

function nodePortAddresses(at: At | null): string[] {
  const list = at?.list() ?? [];
  return list.map((a) => {
    if (a.str() !== 'primary') return cidr(a);
    if (list.length > 1) a.fail('found "primary" among other values, expected it alone');
    return 'primary';
  });
}

type Detect = Pick<KubeProxyConfig, 'detectLocalMode' | 'bridgeInterface' | 'interfaceNamePrefix'>;

function detectLocal(top: At | null): Detect {
  const modeAt = top?.opt('detectLocalMode') ?? null;
  const detectLocalMode =
    text(modeAt) === ''
      ? 'ClusterCIDR'
      : modeAt!.oneOf('ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix');
  const at = top?.opt('detectLocal')?.only('bridgeInterface', 'interfaceNamePrefix') ?? null;
  const device = (key: string, mode: string): string => {
    const v = at?.opt(key) ?? null;
    if (text(v) === '') {
      return detectLocalMode === mode ? modeAt!.fail(`found ${mode} without detectLocal.${key}`) : '';
    }
    if (!/^[^\s/+"']{1,15}$/.test(v!.str())) v!.fail(`found "${v!.str()}", expected the name of a device`);
    return v!.str();
  };
  return {
    detectLocalMode,
    bridgeInterface: device('bridgeInterface', 'BridgeInterface'),
    interfaceNamePrefix: device('interfaceNamePrefix', 'InterfaceNamePrefix'),
  };
}

function clusterCIDR(at: At | null): string | null {
  return at === null ? null : at.str() === '' ? '' : cidr(at);
}

function proxyMode(at: At | null): 'iptables' | 'ipvs' {
  if (text(at) === '') return 'iptables';
  if (at!.str() === 'nftables') at!.fail('found "nftables", which is not supported yet, expected iptables or ipvs');
  return at!.oneOf('iptables', 'ipvs');
}

/** Reads the block; null: every default. Throws InputError with the place of the field. */
export function parseKubeProxyConfig(at: At | null): KubeProxyConfig {
  const top = block(at, TOP, TOP_ZERO);
  top?.opt('apiVersion')?.oneOf('kubeproxy.config.k8s.io/v1alpha1');
  top?.opt('kind')?.oneOf('KubeProxyConfiguration');
  const ipt = block(top?.opt('iptables') ?? null, ['masqueradeAll', 'masqueradeBit', 'localhostNodePorts'], ['syncPeriod', 'minSyncPeriod']); // prettier-ignore
  const ipvs = block(top?.opt('ipvs') ?? null, ['scheduler', 'strictARP', 'excludeCIDRs', 'tcpTimeout', 'tcpFinTimeout', 'udpTimeout'], ['syncPeriod', 'minSyncPeriod']); // prettier-ignore
  const ct = block(top?.opt('conntrack') ?? null, ['tcpEstablishedTimeout', 'tcpCloseWaitTimeout', 'udpTimeout', 'udpStreamTimeout', 'tcpBeLiberal'], ['maxPerCore', 'min']); // prettier-ignore
  const scheduler = ipvs?.opt('scheduler') ?? null;
  return {
    mode: proxyMode(top?.opt('mode') ?? null),
    clusterCIDR: clusterCIDR(top?.opt('clusterCIDR') ?? null),
    ...detectLocal(top),
    nodePortAddresses: nodePortAddresses(top?.opt('nodePortAddresses') ?? null),
    masqueradeAll: ipt?.opt('masqueradeAll')?.bool() ?? false,
    masqueradeBit: ipt?.opt('masqueradeBit')?.int(0, 31) ?? 14,
    localhostNodePorts: ipt?.opt('localhostNodePorts')?.bool() ?? true,
    scheduler: text(scheduler) === '' ? 'rr' : scheduler!.oneOf(...SCHEDULERS),
    excludeCIDRs: (ipvs?.opt('excludeCIDRs')?.list() ?? []).map(cidr),
    strictARP: ipvs?.opt('strictARP')?.bool() ?? false,
    ipvsTimeouts: [
      seconds(ipvs?.opt('tcpTimeout') ?? null, 0),
      seconds(ipvs?.opt('tcpFinTimeout') ?? null, 0),
      seconds(ipvs?.opt('udpTimeout') ?? null, 0),
    ],
    tcpEstablishedTimeout: seconds(ct?.opt('tcpEstablishedTimeout') ?? null, 86400),
    tcpCloseWaitTimeout: seconds(ct?.opt('tcpCloseWaitTimeout') ?? null, 3600),
    udpTimeout: seconds(ct?.opt('udpTimeout') ?? null, 0),
    udpStreamTimeout: seconds(ct?.opt('udpStreamTimeout') ?? null, 0),
    tcpBeLiberal: ct?.opt('tcpBeLiberal')?.bool() ?? false,
  };
}
