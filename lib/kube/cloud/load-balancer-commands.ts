/**
 * What a cloud does for a Service of type LoadBalancer, as lines of a Lab: the address in its status, which the cloud controller
 * manager writes, the balancer itself, and its health checks.
 *
 *   client ─ gw ─ balancer ─▶ node ─▶ client      pass-through: IPVS direct routing, Maglev hashing of address and port;
 *                                                 a node's kube-proxy has a rule for the address (ipMode VIP)
 *   client ─ gw (IPVS NAT) ─▶ node ─▶ gw ─ client dnat: a node sees its nodePort and the client (ipMode Proxy)
 *   client ─ gw ─ balancer ═ node                 proxy: two connections (ipMode Proxy)
 *
 * A node without an endpoint of its own says so on its healthCheckNodePort (externalTrafficPolicy Local); the balancer asks, and
 * gives it no new connections. Real fabrics are not seen into: these classes are what nodes and clients see of them (Google's and
 * most bare metal's; AWS NLB with instance targets; AWS NLB with ip targets, HAProxy). Different there: a fabric is no hop (the
 * balancer takes one from the TTL), and with all targets unhealthy it uses all of them.
 * @module
 */
import type { Action } from '../control-plane/index.js';
import type { At } from '../api/at.js';
import { failAt, placeOf } from '../api/meta.js';
import type { Service, ServicePort } from '../api/types.js';
import type { Cluster } from '../controllers.js';
import { gateways, ipOf } from '../machines.js';
import { contains, networkOf } from '../networks.js';
import type { Machine, Scenario } from '../scenario.js';
import { type HealthCheck, type LoadBalancer, sec, targets } from './load-balancer.js';

const find = (b: LoadBalancer, services: readonly Service[]): Service | undefined =>
  services.find((v) => v.metadata.name === b.service.name && v.metadata.namespace === b.service.namespace);

/** Writes the status of the balancers' Services. Throws InputError where there is none that fits. */
export function assignBalancers(s: Scenario, services: Service[]): void {
  for (const b of s.loadBalancers) {
    const at: At = b.place.req('service');
    const v = find(b, services);
    const all = services.filter((x) => x.spec.type === 'LoadBalancer').map((x) => x.metadata.name);
    if (v?.spec.type !== 'LoadBalancer') at.fail(`found "${b.service.name}", expected a Service of type LoadBalancer in namespace ${b.service.namespace}${all.length === 0 ? '' : `: ${all.join(', ')}`}`); // prettier-ignore
    if (v.status.loadBalancer.ingress.length > 0)
      failAt(s.file, v, 'status.loadBalancer', `found an address, expected none: the load balancer ${b.name} gives it`);
    v.spec.ports.forEach((p, i) => {
      if (p.protocol === 'SCTP' || (b.class === 'proxy' && p.protocol !== 'TCP'))
        failAt(s.file, v, `spec.ports[${i}].protocol`, `found ${p.protocol}, expected ${b.class === 'proxy' ? 'TCP' : 'TCP or UDP'}: the load balancer ${b.name} has class ${b.class}`); // prettier-ignore
      if (b.class !== 'pass-through' && p.nodePort === 0)
        failAt(s.file, v, placeOf(v)?.deep('spec').has('allocateLoadBalancerNodePorts') ? 'spec.allocateLoadBalancerNodePorts' : `spec.ports[${i}]`, `found no nodePort, expected one: class ${b.class} sends to it`); // prettier-ignore
    });
    v.status = { loadBalancer: { ingress: [{ ip: b.ip, ipMode: b.class === 'pass-through' ? 'VIP' : 'Proxy' }] } };
  }
}

/** Lines of the setup: the ways to the balancers, and what they are. */
export function balancerCommands(c: Cluster): string[] {
  const s = c.scenario;
  return s.loadBalancers.flatMap((b) => {
    const v = find(b, c.services)!;
    return [...addressOf(s, b), ...allowed(b, v), ...(b.class === 'proxy' ? proxy(s, b, v) : director(s, b, v))];
  });
}

/** Where the balancer is: the namespace. */
const netnsOf = (b: LoadBalancer): string => (b.address === null ? 'gw' : b.name);

/** The clients' address belongs to the balancer, and is reached there. */
function addressOf(s: Scenario, b: LoadBalancer): string[] {
  const own = b.address !== null && ipOf(b.address) === b.ip;
  const out = own ? [] : [`ip -n ${netnsOf(b)} addr add ${b.ip}/32 dev lo`];
  const near = b.address === null || contains(networkOf(b.address).text, b.ip);
  if (!near && gateways(s).size > 0) out.push(`ip -n gw route add ${b.ip} via ${ipOf(b.address!)}`);
  return out;
}

/** loadBalancerSourceRanges, where kube-proxy has no rule for the address: the security group of the balancer. */
function allowed(b: LoadBalancer, v: Service): string[] {
  const ranges = v.spec.loadBalancerSourceRanges;
  if (b.class === 'pass-through' || ranges.length === 0) return [];
  const rule = (p: ServicePort, rest: string): string =>
    `ip netns exec ${netnsOf(b)} iptables -A INPUT -d ${b.ip} -p ${p.protocol.toLowerCase()} --dport ${p.port} ${rest}`;
  return v.spec.ports.flatMap((p) => [...ranges.map((r) => rule(p, `-s ${r} -j ACCEPT`)), rule(p, '-j DROP')]);
}

const SERVER = { TCP: '-t', UDP: '-u', SCTP: '--sctp-service' };

/** IPVS: a virtual server for every port; nodes that are checked start with weight 0. */
function director(s: Scenario, b: LoadBalancer, v: Service): string[] {
  const weight = checkOf(b, v) === null ? 1 : 0;
  const flags = v.spec.sessionAffinity === 'ClientIP' ? 'mh-fallback' : 'mh-fallback,mh-port';
  return v.spec.ports.flatMap((p) => [
    `ip netns exec ${netnsOf(b)} ipvsadm -A ${SERVER[p.protocol]} ${b.ip}:${p.port} -s mh -b ${flags}`,
    ...targets(s.nodes).map((n) => `ip netns exec ${netnsOf(b)} ipvsadm -a ${destination(b, p, n)} -w ${weight}`),
  ]);
}

/** One real server of IPVS: the node with the frame as it came, or its nodePort. */
function destination(b: LoadBalancer, p: ServicePort, n: Machine): string {
  const node = ipOf(n.addresses[0]!);
  const to = b.class === 'pass-through' ? `-r ${node} -g` : `-r ${node}:${p.nodePort} -m`;
  return `${SERVER[p.protocol]} ${b.ip}:${p.port} ${to}`;
}

function proxy(s: Scenario, b: LoadBalancer, v: Service): string[] {
  const header = b.proxyProtocol === null ? '' : ` --send-proxy ${b.proxyProtocol}`;
  return v.spec.ports.map((p) => {
    const to = targets(s.nodes).map((n) => ` --to ${ipOf(n.addresses[0]!)}:${p.nodePort}`);
    return `ip netns exec ${b.name} podwire app tcp-proxy --listen ${b.ip}:${p.port}${to.join('')}${header} &`;
  });
}

const LOCAL: Readonly<Record<'pass-through' | 'dnat', Omit<HealthCheck, 'protocol' | 'port'>>> = {
  'pass-through': { path: '/healthz', intervalNs: 3e9, timeoutNs: 1e9, healthyThreshold: 1, unhealthyThreshold: 2 },
  dnat: { path: '/healthz', intervalNs: 10e9, timeoutNs: 6e9, healthyThreshold: 2, unhealthyThreshold: 2 },
};
const TCP: Readonly<Record<'pass-through' | 'dnat', Omit<HealthCheck, 'protocol' | 'port' | 'path'>>> = {
  'pass-through': { intervalNs: 8e9, timeoutNs: 1e9, healthyThreshold: 1, unhealthyThreshold: 3 },
  dnat: { intervalNs: 10e9, timeoutNs: 10e9, healthyThreshold: 3, unhealthyThreshold: 3 },
};

/**
 * How nodes are checked: with policy Local always, over HTTP on the healthCheckNodePort; else where the Scenario asks for it,
 * over TCP on the nodePort. Values the Scenario leaves out are those of Google's pass-through balancer and of AWS NLB.
 */
function checkOf(b: LoadBalancer, v: Service): (HealthCheck & { port: number }) | null {
  const local = v.spec.healthCheckNodePort;
  if (b.class === 'proxy' || (b.healthCheck === null && local === 0)) return null;
  const given = b.healthCheck ?? {};
  const protocol = given.protocol ?? (local !== 0 || given.path !== undefined ? 'HTTP' : 'TCP');
  const node = v.spec.ports.find((p) => p.protocol === 'TCP' && p.nodePort !== 0)?.nodePort ?? 0;
  const port = given.port ?? (protocol === 'HTTP' ? local : node);
  if (port === 0) b.place.req('healthCheck').fail(`found no port, expected one: Service "${v.metadata.name}" has no ${protocol === 'HTTP' ? 'healthCheckNodePort' : 'nodePort of TCP'}`); // prettier-ignore
  const byDefault = protocol === 'HTTP' ? LOCAL[b.class] : { path: '', ...TCP[b.class] };
  const check = { ...byDefault, ...given, protocol, port };
  if (check.timeoutNs > check.intervalNs) b.place.req('healthCheck').fail(`found a timeout of ${check.timeoutNs / 1e9}s, expected at most the interval of ${check.intervalNs / 1e9}s`); // prettier-ignore
  return check;
}

/** What the health checkers of a class say; not checked against a source. */
const WORDS = { 'pass-through': '--agent GoogleHC/1.0', dnat: '--close --agent ELB-HealthChecker/2.0', proxy: '' };

/** Programs begin a little after their step, which they keep to on the recording kernel however long they take to start. */
const START = 1.3e9;

/** The health checks, which begin with the first step: a program for each node, put apart by their places among the nodes. */
export function balancerActions(c: Cluster): Action[] {
  const s = c.scenario;
  const nodes = targets(s.nodes);
  return s.loadBalancers.flatMap((b) => {
    const v = find(b, c.services)!;
    const check = checkOf(b, v);
    if (check === null) return [];
    const lines = nodes.map((n, i) => {
      const target = `${ipOf(n.addresses[0]!)}:${check.port}`;
      const what = check.protocol === 'HTTP' ? `--http ${target}${check.path} ${WORDS[b.class]}` : `--tcp ${target}`;
      const times = `--interval ${sec(check.intervalNs)} --timeout ${sec(check.timeoutNs)} --delay ${sec(START + (check.intervalNs * i) / nodes.length)}`;
      const counts = `--healthy ${check.healthyThreshold} --unhealthy ${check.unhealthyThreshold}`;
      const weights = v.spec.ports.map((p) => ` --up 'ipvsadm -e ${destination(b, p, n)} -w 1' --down 'ipvsadm -e ${destination(b, p, n)} -w 0'`);
      return `ip netns exec ${netnsOf(b)} podwire app probe ${what} ${times} ${counts}${weights.join('')} &`;
    });
    return lines.length === 0 ? [] : [{ atNs: 0, by: `load-balancer ${b.name}`, lines }];
  });
} // prettier-ignore
