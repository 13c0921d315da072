/**
 * Services: YAML to defaulted objects, validated as the API server does (pkg/apis/core/validation, validateService).
 * @module
 */
import type { At } from './at.js';
import { choice, duplicate, forbidden, invalid, required, textOf } from './field-error.js';
import { appProtocol, objectMeta } from './meta.js';
import { address, addressOfEither, dns1035Label, dnsLabel, dnsSubdomain, labels, plainAddress, portName, portNumber, qualifiedName, sourceRange } from './names.js'; // prettier-ignore
import { protocol } from './container.js';
import type { Service, ServicePort } from './types.js';

type Type = Service['spec']['type'];

/** The range of --service-node-port-range's default. */
export const NODE_PORTS = { first: 30000, last: 32767 };
export const NODE_PORT_ERROR = `provided port is not in the valid range. The range of valid ports is ${NODE_PORTS.first}-${NODE_PORTS.last}`;

/** 0: none. The range is checked where ports are allotted. */
function nodePort(at: At | null, type: Type): number {
  const port = at?.int(-(2 ** 31), 2 ** 31 - 1) ?? 0;
  if (port !== 0 && type === 'ClusterIP') forbidden(at!, "may not be used when `type` is 'ClusterIP'");
  if (port !== 0 && type === 'ExternalName') forbidden(at!, "may not be used when `type` is 'ExternalName'");
  if (port !== 0 && (port < NODE_PORTS.first || port > NODE_PORTS.last)) invalid(at!, NODE_PORT_ERROR);
  return port;
}

function servicePort(p: At, type: Type, several: boolean): ServicePort {
  const n = textOf(p, 'name');
  if (several && n === '') required(p, 'name');
  const name = n === '' ? '' : dnsLabel(p.req('name'));
  const portAt = p.opt('port');
  const port =
    portAt === null
      ? p.failAbsent('port', 'Invalid value: 0: must be between 1 and 65535, inclusive')
      : portNumber(portAt);
  const one = protocol(p.opt('protocol'));
  const target = p.opt('targetPort');
  const zero = target === null || target.plain() === 0 || target.plain() === '';
  const targetPort = zero ? port : target.jsonType === 'number' ? portNumber(target) : portName(target);
  const app = p.opt('appProtocol');
  appProtocol(app);
  return {
    name,
    protocol: one,
    port,
    targetPort,
    nodePort: nodePort(p.opt('nodePort'), type),
    ...(app === null ? {} : { appProtocol: app.str() }),
  };
}

function ports(s: At, type: Type): ServicePort[] {
  const list = s.opt('ports')?.list() ?? [];
  const out: ServicePort[] = [];
  for (const p of list) {
    const one = servicePort(p, type, list.length > 1);
    for (const x of out) {
      if (one.name !== '' && x.name === one.name) duplicate(p.req('name'));
      if (x.protocol !== one.protocol) continue;
      if (one.nodePort > 0 && x.nodePort === one.nodePort) duplicate(p.req('nodePort'));
      if (x.port === one.port)
        duplicate(p, {
          Name: '',
          Protocol: one.protocol,
          AppProtocol: null,
          Port: one.port,
          TargetPort: 0,
          NodePort: 0,
        });
    }
    out.push(one);
  }
  return out;
}

function clusterIPs(s: At, type: Type): { clusterIP: string; clusterIPs: string[] } {
  const first = textOf(s, 'clusterIP');
  const list = s.opt('clusterIPs')?.list() ?? [];
  if (type === 'ExternalName') {
    if (list.length > 0 || first !== '') forbidden(s.deep('clusterIPs').path.endsWith('clusterIPs') ? s.req('clusterIPs') : s.req('clusterIP'), 'may not be set for ExternalName services'); // prettier-ignore
    return { clusterIP: '', clusterIPs: [] };
  }
  if (first === 'None' && type !== 'ClusterIP')
    invalid(list[0] ?? s.req('clusterIP'), `may not be set to 'None' for ${type} services`);
  if (list.length > 0 && first === '') invalid(s.req('clusterIPs'), 'must be empty when `clusterIP` is not specified');
  if (list.length > 0 && list[0]!.text() !== first) invalid(s.req('clusterIPs'), 'first value must match `clusterIP`');
  if (first === 'None' && list.length > 1) invalid(s.req('clusterIPs'), "'None' must be the first and only value");
  const all = (list.length > 0 ? list : first === '' ? [] : [s.req('clusterIP')]).map((x) =>
    x.text() === 'None' && first === 'None' ? 'None' : addressOfEither(x),
  );
  if (all.length > 2) invalid(s.req('clusterIPs'), 'may only hold up to 2 values');
  if (all.length === 2 && isV6(all[0]!) === isV6(all[1]!))
    invalid(s.req('clusterIPs'), 'may specify no more than one IP for each IP family');
  return { clusterIP: all[0] ?? '', clusterIPs: all };
}

const isV6 = (v: string): boolean => v.includes(':');

/** Checks ipFamilies; gives the policy. */
function families(s: At, ips: string[], type: Type): Service['spec']['ipFamilyPolicy'] {
  const list = s.opt('ipFamilies')?.list() ?? [];
  if (type === 'ExternalName') {
    if (list.length > 0) forbidden(s.req('ipFamilies'), 'may not be set for ExternalName services');
    if (s.opt('ipFamilyPolicy') !== null)
      forbidden(s.req('ipFamilyPolicy'), 'may not be set for ExternalName services');
    return undefined;
  }
  list.forEach((f, i) => {
    const v = choice(f, ['IPv4', 'IPv6'], 'IPv4');
    if (list.slice(0, i).some((x) => x.text() === v)) duplicate(f);
    const ip = ips[i] ?? 'None';
    if (ip !== 'None' && isV6(ip) !== (v === 'IPv6'))
      invalid(s.deep(`clusterIPs[${i}]`), `expected an ${v} value as indicated by \`ipFamilies[${i}]\``, ip);
  });
  const policy = s.opt('ipFamilyPolicy');
  return policy === null
    ? undefined
    : choice(policy, ['PreferDualStack', 'RequireDualStack', 'SingleStack'], 'SingleStack');
}

function affinity(s: At): { sessionAffinity: 'None' | 'ClientIP'; sessionAffinityTimeoutSeconds: number } {
  const at = s.opt('sessionAffinity');
  const sessionAffinity = choice(at === null || at.str() === '' ? null : at, ['ClientIP', 'None'], 'None');
  const config = s.opt('sessionAffinityConfig');
  if (sessionAffinity === 'None') return { sessionAffinity, sessionAffinityTimeoutSeconds: 10800 };
  const timeout = config?.opt('clientIP')?.opt('timeoutSeconds') ?? null;
  const seconds = timeout === null ? 10800 : Number(timeout.plain());
  if (seconds <= 0 || seconds > 86400) invalid(timeout!, 'must be greater than 0 and less than 86400');
  return { sessionAffinity, sessionAffinityTimeoutSeconds: seconds };
}

/** Fields that only some types of Service may have. */
function onlyFor(s: At, type: Type, local: boolean): void {
  if (type !== 'LoadBalancer') {
    for (const k of ['loadBalancerSourceRanges', 'allocateLoadBalancerNodePorts', 'loadBalancerClass']) {
      const at = s.opt(k);
      if (at !== null && !(k === 'loadBalancerSourceRanges' && at.list().length === 0))
        forbidden(at, "may only be used when `type` is 'LoadBalancer'");
    }
  }
  const health = s.opt('healthCheckNodePort');
  if (!(type === 'LoadBalancer' && local) && health !== null && health.plain() !== 0)
    invalid(health, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
  s.opt('loadBalancerIP')?.fail(
    'no cloud hands out addresses; write status.loadBalancer.ingress instead of loadBalancerIP',
  );
  s.opt('trafficDistribution')?.fail('trafficDistribution is not supported yet');
}

/** ExternallyAccessible: only such a Service has a policy; Cluster by default. */
function externalPolicy(s: At, type: Type, externalIPs: string[]): 'Cluster' | 'Local' {
  const at = s.opt('externalTrafficPolicy');
  const policy = at === null || at.str() === '' ? null : at;
  const external = type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && externalIPs.length > 0);
  if (policy !== null && !external) invalid(policy, 'may only be set for externally-accessible services');
  return choice(policy, ['Cluster', 'Local'], 'Cluster');
}

function healthPort(at: At | null): number {
  const port = at === null || at.plain() === 0 ? 0 : portNumber(at);
  if (port !== 0 && (port < NODE_PORTS.first || port > NODE_PORTS.last)) invalid(at!, NODE_PORT_ERROR);
  return port;
}

function spec(s: At): Service['spec'] {
  const typeAt = s.opt('type');
  const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'] as const;
  const type: Type = choice(typeAt === null || typeAt.str() === '' ? null : typeAt, types, 'ClusterIP');
  const name = textOf(s, 'externalName');
  const noPorts = (s.opt('ports')?.list() ?? []).length === 0;
  if (noPorts && type !== 'ExternalName' && textOf(s, 'clusterIP') !== 'None') required(s, 'ports');
  const ips = clusterIPs(s, type);
  if (type === 'ExternalName' && name === '') required(s, 'externalName');
  if (type === 'ExternalName' && !name.endsWith('.')) dnsSubdomain(s.req('externalName'));
  const list = ports(s, type);
  const externalIPs = (s.opt('externalIPs')?.list() ?? []).map(plainAddress);
  const externalTrafficPolicy = externalPolicy(s, type, externalIPs);
  onlyFor(s, type, externalTrafficPolicy === 'Local');
  const family = families(s, ips.clusterIPs, type);
  const allocate = s.opt('allocateLoadBalancerNodePorts')?.bool();
  const lbClass = s.opt('loadBalancerClass');
  return {
    type,
    ...ips,
    externalIPs,
    externalName: name,
    ports: list,
    selector: labels(s.opt('selector')),
    ...affinity(s),
    externalTrafficPolicy,
    internalTrafficPolicy: choice(s.opt('internalTrafficPolicy'), ['Cluster', 'Local'], 'Cluster'),
    loadBalancerSourceRanges: (s.opt('loadBalancerSourceRanges')?.list() ?? []).map((x) =>
      sourceRange(x.called(x.path.replace('loadB', 'LoadB'))),
    ),
    healthCheckNodePort: healthPort(s.opt('healthCheckNodePort')),
    publishNotReadyAddresses: s.opt('publishNotReadyAddresses')?.bool() ?? false,
    ...(family === undefined ? {} : { ipFamilyPolicy: family }),
    ...(allocate === undefined ? {} : { allocateLoadBalancerNodePorts: allocate }),
    ...(lbClass === null ? {} : { loadBalancerClass: qualifiedName(lbClass) }),
  };
}

function status(at: At | null, type: Type): Service['status'] {
  const list = at?.opt('loadBalancer')?.opt('ingress')?.list() ?? [];
  if (list.length > 0 && type !== 'LoadBalancer')
    forbidden(at!.req('loadBalancer').req('ingress'), "may only be used when `spec.type` is 'LoadBalancer'");
  return {
    loadBalancer: {
      ingress: list.map((i) => {
        if (i.opt('ip') === null) i.opt('hostname')?.fail('load balancers by name are not supported yet; give "ip"');
        const modes = ['Proxy', 'VIP'] as const;
        return { ip: address(i.req('ip')), ipMode: choice<'VIP' | 'Proxy'>(i.opt('ipMode'), modes, 'VIP') };
      }),
    },
  };
}

export function service(at: At): Service {
  const metadata = objectMeta(at, true, dns1035Label);
  for (const k of ['service.kubernetes.io/topology-mode', 'service.kubernetes.io/topology-aware-hints']) {
    if (/^auto$/i.test(metadata.annotations[k] ?? ''))
      at.deep('metadata').req('annotations').req(k).fail('topology hints are not supported yet');
  }
  const s = spec(at.opt('spec') ?? at.failAbsent('spec.ports', 'Required value'));
  return { kind: 'Service', metadata, spec: s, status: status(at.opt('status'), s.type) };
}
