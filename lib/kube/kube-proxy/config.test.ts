import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import { documents } from '../api/at.js';
import { type KubeProxyConfig, parseKubeProxyConfig } from './config.js';

const parse = (yaml: string): KubeProxyConfig => parseKubeProxyConfig(documents(yaml, 'k.yaml')[0] ?? null);

/** `line:column: message` of the InputError. */
function refusal(yaml: string): string {
  try {
    parse(yaml);
  } catch (e) {
    if (e instanceof InputError) return e.message.replace(/^k\.yaml:/, '');
    throw e;
  }
  return 'accepted';
}

/** What `kubeadm config print init-defaults --component-configs KubeProxyConfiguration` shows, addresses taken out. */
const KUBEADM = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddressHardFail: false
clientConnection: { acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: "", qps: 0 }
clusterCIDR: ""
configSyncPeriod: 0s
conntrack: { maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null, udpStreamTimeout: 0s, udpTimeout: 0s }
detectLocal: { bridgeInterface: "", interfaceNamePrefix: "" }
detectLocalMode: ""
enableProfiling: false
hostnameOverride: ""
iptables: { localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s }
ipvs: { excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false, syncPeriod: 0s, tcpFinTimeout: 0s, tcpTimeout: 0s, udpTimeout: 0s }
logging: { flushFrequency: 0, options: { json: { infoBufferSize: "0" }, text: { infoBufferSize: "0" } }, verbosity: 0 }
metricsBindAddress: ""
mode: ""
nftables: { masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s }
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel: { enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: "" }
`;

const Config = suite('lib/kube/kube-proxy/config');

Config('parseKubeProxyConfig() gives the defaults of the real program', () => {
  const defaults = parse('');
  assert.is(defaults.mode, 'iptables');
  assert.is(defaults.clusterCIDR, null);
  assert.is(defaults.masqueradeBit, 14);
  assert.is(defaults.localhostNodePorts, true);
  assert.is(defaults.scheduler, 'rr');
  assert.is(defaults.tcpEstablishedTimeout, 86400);
  assert.is(defaults.tcpCloseWaitTimeout, 3600);
  assert.equal({ ...parse(KUBEADM), clusterCIDR: null }, defaults);
});

Config('parseKubeProxyConfig() reads what has an effect', () => {
  const c = parse(`mode: ipvs
ipvs: { scheduler: wrr, strictARP: true, excludeCIDRs: [ 10.0.0.0/8 ], tcpTimeout: 15m, tcpFinTimeout: 1m30s, udpTimeout: 500s }
conntrack: { tcpEstablishedTimeout: 24h0m0s, tcpCloseWaitTimeout: 0s, udpTimeout: 10s, udpStreamTimeout: 60s, tcpBeLiberal: true }
nodePortAddresses: [ 192.168.0.0/24 ]`);
  assert.is(c.scheduler, 'wrr');
  assert.ok(c.strictARP && c.tcpBeLiberal);
  assert.equal(c.excludeCIDRs, ['10.0.0.0/8']);
  assert.equal(c.ipvsTimeouts, [900, 90, 500]);
  assert.equal([c.tcpEstablishedTimeout, c.tcpCloseWaitTimeout, c.udpTimeout, c.udpStreamTimeout], [86400, 0, 10, 60]);
  assert.equal(c.nodePortAddresses, ['192.168.0.0/24']);
});

Config('parseKubeProxyConfig() refuses what is unknown or has no effect, and names the place', () => {
  assert.match(refusal('mode: iptables\nmodus: x'), /^2:1: .*unknown field "modus"/);
  assert.match(refusal('mode: nftables'), /^1:7: mode: found "nftables", which is not supported yet/);
  assert.match(refusal('mode: userspace'), /^1:7: mode: found "userspace", expected one of: iptables, ipvs/);
  assert.match(refusal('bindAddress: 0.0.0.0'), /^1:14: bindAddress: "bindAddress" is not supported/);
  assert.match(
    refusal('iptables:\n  syncPeriod: 30s'),
    /^2:15: iptables.syncPeriod: .* is not supported: podwire keeps to its default/,
  );
  assert.match(refusal('conntrack: { maxPerCore: 1000 }'), /^1:26: conntrack.maxPerCore: /);
  assert.match(refusal('iptables: { masqueradeBit: 32 }'), /^1:28: .*from 0 to 31/);
  assert.match(
    refusal('ipvs: { scheduler: fastest }'),
    /^1:20: ipvs.scheduler: found "fastest", expected one of: rr, /,
  );
  assert.match(
    refusal('ipvs: { tcpTimeout: 15 minutes }'),
    /^1:21: ipvs.tcpTimeout: found "15 minutes", expected a duration/,
  );
  assert.match(refusal('ipvs: { tcpTimeout: 100ms }'), /expected at least one second/);
  assert.match(refusal('detectLocalMode: BridgeInterface'), /^1:18: .*without detectLocal.bridgeInterface/);
  assert.match(
    refusal('{ detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: "a b" } }'),
    /expected the name of a device/,
  );
  assert.match(refusal('nodePortAddresses: [ primary, 10.0.0.0/8 ]'), /^1:22: .*expected it alone/);
  assert.match(refusal('nodePortAddresses: [ 10.0.0.1/8 ]'), /expected a network: 10\.0\.0\.0\/8/);
  assert.match(refusal('clusterCIDR: fd00::/8'), /expected an IPv4 network/);
  assert.match(
    refusal('apiVersion: kubeproxy.config.k8s.io/v1'),
    /^1:13: .*expected one of: kubeproxy.config.k8s.io\/v1alpha1/,
  );
});
Config.run();
