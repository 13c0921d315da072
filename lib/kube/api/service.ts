/**
 * Services: YAML to defaulted objects, validated as the API server does (pkg/apis/core/validation, validateService).
 * @module
 */
import { type At, quote } from './at.js';
import { appProtocol, objectMeta } from './meta.js';
import { addressOfEither, addressWithPrefix, dns1035Label, dnsLabel, dnsSubdomain, labels, plainAddress, portName, qualifiedName } from './names.js'; // prettier-ignore
import { protocol } from './pod.js';
import type { Service, ServicePort } from './types.js';

type Type = Service['spec']['type'];

/** The range of --service-node-port-range's default. */
export const NODE_PORTS = { first: 30000, last: 32767 };

function nodePort(at: At | null, type: Type): number {
  if (at === null || at.int(0, 65535) === 0) return 0;
  if (type === 'ClusterIP' || type === 'ExternalName')
    at.fail(`found ${at.int(0, 65535)}, expected none: may not be used when \`type\` is '${type}'`);
  return at.int(NODE_PORTS.first, NODE_PORTS.last);
}

function ports(s: At, type: Type): ServicePort[] {
  const list = s.opt('ports')?.list() ?? [];
  const out: ServicePort[] = [];
  for (const p of list) {
    p.only('name', 'protocol', 'port', 'targetPort', 'nodePort', 'appProtocol');
    appProtocol(p.opt('appProtocol'));
    const port = p.req('port').int(1, 65535);
    const n = p.opt('name');
    if (list.length > 1 && (n === null || n.str() === ''))
      p.fail('missing "name": every port of a Service with several ports is named');
    const target = p.opt('targetPort');
    const targetPort = target?.intOrStr() ?? port;
    const one = {
      name: n === null || n.str() === '' ? '' : dnsLabel(n),
      protocol: protocol(p.opt('protocol')),
      port,
      targetPort: typeof targetPort === 'string' ? portName(target!) : targetPort,
      nodePort: nodePort(p.opt('nodePort'), type),
    };
    for (const x of out) {
      if (one.name !== '' && x.name === one.name) n!.fail(`duplicate name ${quote(one.name)}`);
      if (x.protocol !== one.protocol) continue;
      if (x.port === port) p.req('port').fail(`found ${port}/${one.protocol} twice, expected it once`);
      if (one.nodePort > 0 && x.nodePort === one.nodePort)
        p.req('nodePort').fail(`found ${one.nodePort} twice, expected it once`);
    }
    out.push(one);
  }
  return out;
}

function clusterIPs(s: At, type: Type): { clusterIP: string; clusterIPs: string[] } {
  const one = s.opt('clusterIP');
  const list = s.opt('clusterIPs')?.list() ?? [];
  const first = one === null ? '' : one.str();
  if (type === 'ExternalName') {
    if (first !== '') one!.fail(`found ${quote(first)}, expected none: may not be set for ExternalName services`);
    if (list.length > 0) s.req('clusterIPs').fail('found addresses, expected none: may not be set for ExternalName services'); // prettier-ignore
    return { clusterIP: '', clusterIPs: [] };
  }
  const clusterIP = first === '' || first === 'None' ? first : addressOfEither(one!);
  if (clusterIP === 'None' && type !== 'ClusterIP')
    one!.fail(`found "None", expected an address: may not be set to 'None' for ${type} services`);
  if (list.length > 0 && clusterIP === '')
    s.req('clusterIPs').fail('found addresses, expected none: must be empty when `clusterIP` is not specified');
  const all = list.map((x) => (x.str() === 'None' ? 'None' : addressOfEither(x)));
  if (all.length > 0 && all[0] !== clusterIP)
    list[0]!.fail(`found ${quote(all[0]!)}, expected "${clusterIP}": first value must match \`clusterIP\``);
  if (all.length > 2) list[2]!.fail('found a third address, expected at most 2');
  if (all.length === 2 && (all.includes('None') || isV6(all[0]!) === isV6(all[1]!)))
    list[1]!.fail(`found ${quote(all[1]!)}, expected no more than one IP for each IP family`);
  return { clusterIP, clusterIPs: all.length > 0 ? all : clusterIP === '' ? [] : [clusterIP] };
}

const isV6 = (v: string): boolean => v.includes(':');

/** Checks ipFamilies; gives the policy. */
function families(s: At, ips: string[]): Service['spec']['ipFamilyPolicy'] {
  const seen: string[] = [];
  for (const f of s.opt('ipFamilies')?.list() ?? []) {
    const v = f.oneOf('IPv4', 'IPv6');
    const ip = ips[seen.length] ?? 'None';
    if (seen.includes(v)) f.fail(`found ${v} twice, expected it once`);
    if (ip !== 'None' && isV6(ip) !== (v === 'IPv6')) f.fail(`found ${v}, expected the family of ${ip}`);
    seen.push(v);
  }
  return s.opt('ipFamilyPolicy')?.oneOf('SingleStack', 'PreferDualStack', 'RequireDualStack');
}

function affinity(s: At): { sessionAffinity: 'None' | 'ClientIP'; sessionAffinityTimeoutSeconds: number } {
  const sessionAffinity = s.opt('sessionAffinity')?.oneOf('None', 'ClientIP') ?? 'None';
  const config = s.opt('sessionAffinityConfig')?.only('clientIP') ?? null;
  // Without ClientIP the API server drops the configuration.
  const seconds = config?.opt('clientIP')?.only('timeoutSeconds').opt('timeoutSeconds')?.int(1, 86400) ?? 10800;
  return { sessionAffinity, sessionAffinityTimeoutSeconds: seconds };
}

/** Fields that only some types of Service may have. */
function onlyFor(s: At, type: Type, local: boolean): void {
  if (type !== 'LoadBalancer') {
    for (const k of ['loadBalancerSourceRanges', 'allocateLoadBalancerNodePorts', 'loadBalancerClass']) {
      const at = s.opt(k);
      if (at !== null && !(k === 'loadBalancerSourceRanges' && at.list().length === 0))
        at.fail("found a value, expected none: may only be used when `type` is 'LoadBalancer'");
    }
  }
  if (!(type === 'LoadBalancer' && local) && (s.opt('healthCheckNodePort')?.int(0, 65535) ?? 0) !== 0)
    s.req('healthCheckNodePort').fail("found a port, expected none: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"); // prettier-ignore
  s.opt('loadBalancerIP')?.fail(
    'no cloud hands out addresses; write status.loadBalancer.ingress instead of loadBalancerIP',
  );
  s.opt('trafficDistribution')?.fail('trafficDistribution is not supported yet');
}

function spec(s: At): Service['spec'] {
  s.only('type', 'clusterIP', 'clusterIPs', 'externalIPs', 'externalName', 'ports', 'selector', 'sessionAffinity', 'sessionAffinityConfig', 'externalTrafficPolicy', 'internalTrafficPolicy', 'loadBalancerIP', 'loadBalancerSourceRanges', 'healthCheckNodePort', 'publishNotReadyAddresses', 'ipFamilies', 'ipFamilyPolicy', 'allocateLoadBalancerNodePorts', 'loadBalancerClass', 'trafficDistribution'); // prettier-ignore
  const type = s.opt('type')?.oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName') ?? 'ClusterIP';
  const ips = clusterIPs(s, type);
  const list = ports(s, type);
  if (list.length === 0 && type !== 'ExternalName' && ips.clusterIP !== 'None')
    (s.opt('ports') ?? s).fail('found a Service without a port, expected at least one in "ports"');
  const name = s.opt('externalName');
  if (type === 'ExternalName' && (name === null || name.str() === '')) s.fail('missing "externalName"');
  if (type === 'ExternalName' && !name!.str().endsWith('.')) dnsSubdomain(name!);
  const externalIPs = (s.opt('externalIPs')?.list() ?? []).map(plainAddress);
  const policy = s.opt('externalTrafficPolicy');
  const external = type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && externalIPs.length > 0);
  if (policy !== null && policy.str() !== '' && !external)
    policy.fail(`found ${quote(policy.str())}, expected none: may only be set for externally-accessible services`);
  const externalTrafficPolicy = policy === null || policy.str() === '' ? 'Cluster' : policy.oneOf('Cluster', 'Local');
  onlyFor(s, type, externalTrafficPolicy === 'Local');
  const family = families(s, ips.clusterIPs);
  const allocate = s.opt('allocateLoadBalancerNodePorts')?.bool();
  const lbClass = s.opt('loadBalancerClass')?.str();
  if (lbClass !== undefined) qualifiedName(s.req('loadBalancerClass'), lbClass);
  const health = s.opt('healthCheckNodePort')?.int(0, 65535) ?? 0;
  return {
    type,
    ...ips,
    externalIPs,
    externalName: name?.str() ?? '',
    ports: list,
    selector: labels(s.opt('selector')),
    ...affinity(s),
    externalTrafficPolicy,
    internalTrafficPolicy: s.opt('internalTrafficPolicy')?.oneOf('Cluster', 'Local') ?? 'Cluster',
    loadBalancerSourceRanges: (s.opt('loadBalancerSourceRanges')?.list() ?? []).map(addressWithPrefix),
    healthCheckNodePort: health === 0 ? 0 : s.req('healthCheckNodePort').int(NODE_PORTS.first, NODE_PORTS.last),
    publishNotReadyAddresses: s.opt('publishNotReadyAddresses')?.bool() ?? false,
    ...(family === undefined ? {} : { ipFamilyPolicy: family }),
    ...(allocate === undefined ? {} : { allocateLoadBalancerNodePorts: allocate }),
    ...(lbClass === undefined ? {} : { loadBalancerClass: lbClass }),
  };
}

function status(at: At | null, type: Type): Service['status'] {
  at?.only('loadBalancer', 'conditions');
  const list = at?.opt('loadBalancer')?.only('ingress').opt('ingress')?.list() ?? [];
  if (list.length > 0 && type !== 'LoadBalancer')
    list[0]!.fail("found an address, expected none: may only be set when `spec.type` is 'LoadBalancer'");
  return {
    loadBalancer: {
      ingress: list.map((i) => {
        i.only('ip', 'hostname', 'ipMode', 'ports');
        if (i.opt('ip') === null) i.opt('hostname')?.fail('load balancers by name are not supported yet; give "ip"');
        return { ip: plainAddress(i.req('ip')), ipMode: i.opt('ipMode')?.oneOf('VIP', 'Proxy') ?? ('VIP' as const) };
      }),
    },
  };
}

export function service(at: At): Service {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const metadata = objectMeta(at, true, dns1035Label);
  for (const k of ['service.kubernetes.io/topology-mode', 'service.kubernetes.io/topology-aware-hints']) {
    if (/^auto$/i.test(metadata.annotations[k] ?? ''))
      at.deep('metadata').req('annotations').req(k).fail('topology hints are not supported yet');
  }
  const s = spec(at.req('spec'));
  return { kind: 'Service', metadata, spec: s, status: status(at.opt('status'), s.type) };
}
