/**
 * `spec.loadBalancers` of a Scenario: load balancers that stand outside of the cluster, each for one Service of type LoadBalancer.
 *
 *   class          what a node sees                 how it is made in Linux (load-balancer-commands.ts)
 *   pass-through   client → ip:port                 IPVS direct routing on a machine of its own; answers pass it by
 *   dnat           client → node:nodePort           IPVS NAT on the router `gw`, which turns the answers back
 *   proxy          balancer → node:nodePort         a TCP proxy on a machine of its own, with or without PROXY protocol
 * @module
 */
import { parseDuration } from '../../lab/lab.js';
import { type At, quote } from '../api/at.js';
import { address, portNumber } from '../api/names.js';
import { ipOf } from '../machines.js';
import { contains, networkOf } from '../networks.js';
import type { Machine, Scenario } from '../scenario.js';

export const CLASSES = ['pass-through', 'dnat', 'proxy'] as const;

export interface HealthCheck {
  protocol: 'HTTP' | 'TCP';
  /** null: the healthCheckNodePort (HTTP), the first nodePort (TCP). */
  port: number | null;
  path: string;
  intervalNs: number;
  timeoutNs: number;
  /** Results in a row that change a target's state. */
  healthyThreshold: number;
  unhealthyThreshold: number;
}

export interface LoadBalancer {
  name: string;
  class: (typeof CLASSES)[number];
  /** Its own address beside the nodes; null: the router does its work. */
  address: string | null;
  /** The address that clients use. */
  ip: string;
  service: { namespace: string; name: string };
  proxyProtocol: 'v1' | 'v2' | null;
  /** What the Scenario says of it; null: nothing. */
  healthCheck: Partial<HealthCheck> | null;
  place: At;
}

/** Fields beyond those of a machine. */
export const BALANCER_FIELDS = ['class', 'ip', 'service', 'proxyProtocol', 'healthCheck'];

/** The entries that stand as machines. */
export const balancerMachines = (list: readonly At[]): At[] =>
  list.filter((b) => b.req('class').oneOf(...CLASSES) !== 'dnat');

type Machines = Pick<Scenario, 'nodes' | 'hosts' | 'podSubnet' | 'serviceSubnet'>;

/** Reads the field; `m.hosts` holds the machines of the balancers too. Throws InputError with a place. */
export function parseLoadBalancers(at: At | null, m: Machines, inVpc: boolean): LoadBalancer[] {
  const list = at?.list() ?? [];
  if (inVpc && list.length > 0) at!.fail('found load balancers in a VPC, expected another cni.plugin (not supported yet)');
  const out = list.map((b) => balancer(b, m));
  out.forEach((b, i) => {
    const before = out.slice(0, i);
    if (before.some((x) => x.ip === b.ip)) b.place.deep('ip').fail(`found ${b.ip} again, expected an address of its own`);
    if (before.some((x) => x.name === b.name)) b.place.req('name').fail(`found ${quote(b.name)} again, expected another name`);
    const same = before.some((x) => x.service.name === b.service.name && x.service.namespace === b.service.namespace);
    if (same) b.place.req('service').fail(`found ${quote(b.service.name)} again, expected one load balancer for a Service`);
  });
  return out;
} // prettier-ignore

function balancer(at: At, m: Machines): LoadBalancer {
  const kind = at.req('class').oneOf(...CLASSES);
  at.only('name', 'class', 'ip', 'service', ...(kind === 'dnat' ? [] : ['address']), ...(kind === 'proxy' ? ['proxyProtocol'] : ['healthCheck'])); // prettier-ignore
  const name = at.req('name').str();
  const own = kind === 'dnat' ? null : m.hosts.find((h) => h.name === name)!.addresses[0]!;
  const ip = at.opt('ip') === null && own !== null && kind === 'proxy' ? ipOf(own) : address(at.req('ip'));
  const [first, ...rest] = at.req('service').str().split('/');
  if (rest.length > 1) at.req('service').fail(`found ${quote(at.req('service').str())}, expected NAME or NAMESPACE/NAME`); // prettier-ignore
  const service = rest.length === 0 ? { namespace: 'default', name: first! } : { namespace: first!, name: rest[0]! };
  reachable(at, kind, own, ip, m);
  return {
    name,
    class: kind,
    address: own,
    ip,
    service,
    proxyProtocol: at.opt('proxyProtocol')?.oneOf('v1', 'v2') ?? null,
    healthCheck: at.has('healthCheck') ? healthCheck(at.opt('healthCheck')) : null,
    place: at,
  };
}

/** The address of clients has to lead to the balancer, and from there to the nodes. */
function reachable(at: At, kind: LoadBalancer['class'], own: string | null, ip: string, m: Machines): void {
  const all = [...m.nodes, ...m.hosts];
  const nets = [...new Set(all.map((x) => networkOf(x.addresses[0]!).text))];
  const place = at.deep('ip');
  const owner = all.find((x) => x.addresses.some((a) => ipOf(a) === ip));
  if (owner !== undefined && !(own !== null && ipOf(own) === ip)) place.fail(`found ${ip}, expected an address that no machine has: it is ${owner.name}'s`); // prettier-ignore
  const inside = [m.podSubnet, m.serviceSubnet].find((n) => n !== '' && contains(n, ip));
  if (inside !== undefined) place.fail(`found ${ip}, expected an address outside of ${inside}`);
  if (nets.length === 1 && (own === null || !contains(nets[0]!, ip))) {
    const why = own === null ? 'class dnat is done' : `${ip} is reached`;
    (own === null ? at.req('class') : place).fail(`found machines in one network only, expected a host in another: ${why} by the router gw`); // prettier-ignore
  }
  if (own === null) return;
  const net = networkOf(own).text;
  const other = nets.find((n) => n !== net && contains(n, ip));
  if (other !== undefined)
    place.fail(`found ${ip}, expected an address outside of ${other}: the balancer is in ${net}`);
  const far = kind === 'pass-through' ? m.nodes.find((n) => networkOf(n.addresses[0]!).text !== net) : undefined;
  if (far !== undefined) at.req('address').fail(`found ${own}, expected the network of every node: class pass-through delivers frames to them, and ${far.name} is elsewhere`); // prettier-ignore
}

function healthCheck(at: At | null): Partial<HealthCheck> {
  if (at === null) return {};
  at.only('protocol', 'port', 'path', 'interval', 'timeout', 'healthyThreshold', 'unhealthyThreshold');
  const out: Partial<HealthCheck> = {};
  const port = at.opt('port');
  const path = at.opt('path');
  const protocol = at.opt('protocol')?.oneOf('HTTP', 'TCP');
  if (protocol !== undefined) out.protocol = protocol;
  if (port !== null) out.port = portNumber(port);
  if (path !== null) {
    if (!/^\/[A-Za-z0-9._~/-]*$/.test(path.str())) path.fail(`found ${quote(path.str())}, expected a path like /healthz`);
    if (protocol === 'TCP') path.fail('found a path, expected none for protocol TCP');
    out.path = path.str();
  }
  const [interval, timeout] = [at.opt('interval'), at.opt('timeout')];
  if (interval !== null) out.intervalNs = seconds(interval);
  if (timeout !== null) out.timeoutNs = seconds(timeout);
  for (const key of ['healthyThreshold', 'unhealthyThreshold'] as const) {
    const n = at.opt(key);
    if (n !== null) out[key] = n.int(1, 10);
  }
  return out;
} // prettier-ignore

function seconds(at: At): number {
  const ns = parseDuration(at.str());
  if (ns === null || ns < 1e8 || ns > 300e9)
    at.fail(`found ${quote(at.str())}, expected a duration from 100ms to 300s`);
  return ns;
}

/** Nodes that take part: those without the label that excludes them (service controller). */
export const EXCLUDED = 'node.kubernetes.io/exclude-from-external-load-balancers';
export const targets = (nodes: readonly Machine[]): Machine[] =>
  nodes.filter((n) => !Object.hasOwn(n.labels, EXCLUDED));

/** Seconds as the programs take them. */
export const sec = (ns: number): string => String(Math.round(ns / 1e6) / 1000);
