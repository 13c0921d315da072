/**
 * MetalLB: addresses for Services of type LoadBalancer, and how they are announced.
 *
 *   layer2   one node's speaker answers ARP for an address: the first of those that may, by sha256 of node and address. The speakers
 *            are programs on the nodes (lib/apps/metallb-speaker.ts); this file tells them who may.
 *   bgp      every node that may advertises a /32. BGP itself is not spoken: what comes of it is written, the routes of
 *            `gw`, one next hop for each node. `gw` spreads flows over them by addresses and ports.
 *
 * A node may where a Service has a ready endpoint: with externalTrafficPolicy Local on that very node. Upstream: metallb v0.16
 * speaker/layer2_controller.go (ShouldAnnounce, usableNodes), speaker/bgp_controller.go, internal/allocator. Not here: several
 * pools, node selectors, aggregation, communities, BFD, sharing keys, spec.loadBalancerIP, IPv6. A node that fails takes its
 * routes along only when its BGP session's hold time is over (180 s with FRR), which is not played.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { hex } from '../../../wire/bytes.js';
import { aton, ntoa } from '../../../wire/inet.js';
import { type At, quote } from '../api/at.js';
import { failAt, placeOf } from '../api/meta.js';
import type { EndpointSlice, Service } from '../api/types.js';
import type { Action } from '../control-plane/index.js';
import type { Emit } from '../control-plane/kubelet.js';
import type { Loop, Seen } from '../control-plane/loop.js';
import type { Cluster } from '../controllers.js';
import { localReady } from '../kube-proxy/service-port.js';
import { gateways, ipOf } from '../machines.js';
import { contains, networkOf } from '../networks.js';
import type { Machine, Scenario } from '../scenario.js';
import { sec, targets } from './load-balancer.js';

export interface MetalLb {
  protocol: 'layer2' | 'bgp';
  /** Ranges of int32 addresses, both ends included. */
  pool: { first: number; last: number }[];
}

const ADDRESSES = ['metallb.io/loadBalancerIPs', 'metallb.universe.tf/loadBalancerIPs'];
/** Annotations that would change who gets which address. */
const UNSUPPORTED = ['metallb.io', 'metallb.universe.tf'].flatMap((d) => [`${d}/address-pool`, `${d}/allow-shared-ip`]);
/** What the speakers read. */
const FILE = '/run/podwire-metallb';
const MAX_POOL = 65536;

type Machines = Pick<Scenario, 'nodes' | 'hosts' | 'file' | 'podSubnet' | 'serviceSubnet'>;

/** Reads `spec.metallb`. Throws InputError with a place. */
export function parseMetalLb(at: At | null, m: Machines, inVpc: boolean): MetalLb | null {
  if (at === null) return null;
  at.only('protocol', 'addresses');
  if (inVpc) at.fail('found metallb in a VPC, expected another cni.plugin: a VPC hears no ARP and no BGP of its nodes');
  const protocol = at.req('protocol').oneOf('layer2', 'bgp');
  const nets = [...new Set(m.nodes.map((n) => networkOf(n.addresses[0]!).text))];
  const routers = gateways(m);
  if (protocol === 'layer2' && nets.length > 1) at.req('protocol').fail(`found nodes in ${nets.join(' and ')}, expected one network for protocol layer2`); // prettier-ignore
  if (protocol === 'bgp' && routers.size === 0)
    at.req('protocol').fail('found machines in one network only, expected a host in another: the peer of protocol bgp is the router gw'); // prettier-ignore
  const list = at.req('addresses').list();
  const pool = list.map((x) => range(x));
  const taken = [...m.nodes, ...m.hosts].flatMap((x) => x.addresses.map(ipOf));
  pool.forEach(({ first, last }, i) => {
    const place = list[i]!;
    const inside = (ip: string): boolean => aton(ip)! >>> 0 >= first >>> 0 && aton(ip)! >>> 0 <= last >>> 0;
    const owner = [...taken, ...[...routers.values()].map(ipOf)].find(inside);
    if (owner !== undefined) place.fail(`found ${quote(place.str())}, expected addresses that no machine has: ${owner} is one`); // prettier-ignore
    const within = (net: string): boolean =>
      contains(net, ntoa(first)) || contains(net, ntoa(last)) || inside(ntoa(networkOf(net).net));
    const subnet = [m.podSubnet, m.serviceSubnet].find((n) => n !== '' && within(n));
    if (subnet !== undefined) place.fail(`found ${quote(place.str())}, expected addresses outside of ${subnet}`);
    const on = contains(nets[0]!, ntoa(first)) && contains(nets[0]!, ntoa(last));
    if (protocol === 'layer2' && !on) place.fail(`found ${quote(place.str())}, expected addresses of the nodes' network ${nets[0]!}: nobody asks for others by ARP`); // prettier-ignore
    const lan = [...routers.keys()].find(within);
    if (protocol === 'bgp' && lan !== undefined) place.fail(`found ${quote(place.str())}, expected addresses outside of ${lan}`); // prettier-ignore
  });
  return { protocol, pool };
}

/** `a.b.c.d/len` or `a.b.c.d-e.f.g.h`, as in an IPAddressPool. */
function range(at: At): { first: number; last: number } {
  const text = at.str();
  const bad = (): never => at.fail(`found ${quote(text)}, expected addresses like 192.168.56.240/28 or 192.168.56.240-192.168.56.250, at most ${MAX_POOL}`); // prettier-ignore
  const [a, b] = text.split('-').map((x) => x.trim());
  if (b !== undefined) {
    const [first, last] = [aton(a!), aton(b)];
    if (first === null || last === null || text.split('-').length > 2) return bad();
    const size = (last >>> 0) - (first >>> 0) + 1;
    return size < 1 || size > MAX_POOL ? bad() : { first, last };
  }
  const m = /^([\d.]+)\/(\d{1,2})$/.exec(text);
  if (m === null || aton(m[1]!) === null || Number(m[2]) > 32 || Number(m[2]) < 16) return bad();
  const { net, mask } = networkOf(text);
  return { first: net, last: net | ~mask };
}

/** Gives addresses to the Services that have none: the one asked for, or the next free one of the pool. Throws InputError. */
export function assignPool(s: Scenario, services: Service[]): void {
  if (s.metallb === null) return;
  const taken = new Set(services.flatMap((v) => v.status.loadBalancer.ingress.map((i) => aton(i.ip)!)));
  const waiting = services.filter(
    (v) =>
      v.spec.type === 'LoadBalancer' &&
      v.spec.loadBalancerClass === undefined &&
      v.status.loadBalancer.ingress.length === 0,
  );
  const give = (v: Service, ip: number): void => {
    taken.add(ip);
    v.status = { loadBalancer: { ingress: [{ ip: ntoa(ip), ipMode: 'VIP' }] } };
  };
  for (const v of waiting) {
    const other = UNSUPPORTED.find((k) => Object.hasOwn(v.metadata.annotations, k));
    if (other !== undefined) failAt(s.file, v, 'metadata.annotations', `${other} is not supported yet`);
    const key = ADDRESSES.find((k) => Object.hasOwn(v.metadata.annotations, k));
    if (key === undefined) continue;
    const text = v.metadata.annotations[key]!;
    const ip = aton(text);
    const place = placeOf(v)?.deep('metadata.annotations').req(key);
    const bad = (why: string): never => place === undefined ? failAt(s.file, v, 'metadata.annotations', why) : place.fail(why); // prettier-ignore
    if (ip === null || !s.metallb.pool.some((p) => ip >>> 0 >= p.first >>> 0 && ip >>> 0 <= p.last >>> 0))
      bad(`found ${quote(text)}, expected one address of metallb.addresses`);
    if (taken.has(ip!)) bad(`found ${text}, expected an address that no other Service has`);
    give(v, ip!);
  }
  for (const v of waiting) {
    if (v.status.loadBalancer.ingress.length > 0) continue;
    const ip = nextFree(s.metallb, taken);
    if (ip === null) failAt(s.file, v, 'spec.type', 'found no free address in metallb.addresses, expected one more');
    give(v, ip!);
  }
}

function nextFree(m: MetalLb, taken: ReadonlySet<number>): number | null {
  for (const { first, last } of m.pool)
    for (let ip = first >>> 0; ip <= last >>> 0; ip++) if (!taken.has(ip | 0)) return ip | 0;
  return null;
}

/** The nodes that may announce a Service's address, in the order of their names. */
function mayAnnounce(s: Scenario, v: Service, slices: readonly EndpointSlice[]): Machine[] {
  const { namespace, name } = v.metadata;
  const ready = (node: string): boolean => localReady(namespace, name, [...slices], node) > 0;
  const nodes = targets(s.nodes);
  const chosen = v.spec.externalTrafficPolicy === 'Local' ? nodes.filter((n) => ready(n.name)) : nodes;
  const some = slices.some(
    (e) =>
      e.metadata.namespace === namespace &&
      e.metadata.labels['kubernetes.io/service-name'] === name &&
      e.endpoints.some((x) => x.conditions.ready),
  );
  return some ? [...chosen].sort((a, b) => (a.name < b.name ? -1 : 1)) : [];
}

/** sha256 of `NODE#IP`, as hexadecimal text: the lowest one announces. */
function rank(node: string, ip: string): string {
  return hex(sha256(new TextEncoder().encode(`${node}#${ip}`)));
}

/** Addresses of Services, and who may announce them. */
function advertised(s: Scenario, services: readonly Service[], slices: readonly EndpointSlice[]): { ip: string; nodes: Machine[] }[] {
  const owns = (ip: string): boolean =>
    s.metallb!.pool.some((p) => aton(ip)! >>> 0 >= p.first >>> 0 && aton(ip)! >>> 0 <= p.last >>> 0);
  return services.flatMap((v) =>
    v.spec.type !== 'LoadBalancer'
      ? []
      : v.status.loadBalancer.ingress.filter((i) => owns(i.ip)).map(({ ip }) => ({ ip, nodes: mayAnnounce(s, v, slices) })),
  );
} // prettier-ignore

/** The speakers' file: a line for each address, the nodes in the order of the election. */
function layer2File(s: Scenario, services: readonly Service[], slices: readonly EndpointSlice[]): string {
  const lines = advertised(s, services, slices).map(({ ip, nodes }) =>
    [ip, ...nodes.map((n) => n.name).sort((a, b) => (rank(a, ip) < rank(b, ip) ? -1 : 1))].join(' '),
  );
  return [`cat > ${FILE} <<'EOF'`, '# address, nodes in the order of the election', ...lines, 'EOF'].join('\n');
}

/** The routes of `gw` by address; no entry: nobody advertises it. */
function bgpRoutes(s: Scenario, services: readonly Service[], slices: readonly EndpointSlice[]): Map<string, string> {
  return new Map(
    advertised(s, services, slices)
      .filter(({ nodes }) => nodes.length > 0)
      .map(({ ip, nodes }) => {
        const hops = nodes.map((n) => ipOf(n.addresses[0]!));
        const via = hops.length === 1 ? ` via ${hops[0]!}` : hops.map((a) => ` nexthop via ${a} weight 1`).join('');
        return [ip, `${ip} proto bgp metric 20${via}`];
      }),
  );
}

/** Lines of the setup: the routes that BGP has brought, or what the speakers read. */
export function metallbCommands(c: Cluster): string[] {
  const s = c.scenario;
  if (s.metallb === null) return [];
  if (s.metallb.protocol === 'layer2') return layer2File(s, c.services, c.slices).split('\n');
  return [
    'ip netns exec gw sysctl -q -w net.ipv4.fib_multipath_hash_policy=1',
    ...[...bgpRoutes(s, c.services, c.slices).values()].map((r) => `ip -n gw route add ${r}`),
  ];
}

/** Programs begin a little after their step, one after the other, so that their frames have an order. */
const START = 2.3e9,
  APART = 50e6;

/** The speakers of layer 2, which begin with the first step. */
export function metallbActions(c: Cluster): Action[] {
  const s = c.scenario;
  if (s.metallb?.protocol !== 'layer2') return [];
  const nodes = targets(s.nodes);
  return nodes.map((n, i) => {
    const peers = nodes.filter((x) => x !== n).map((x) => ` --peer ${x.name}=${ipOf(x.addresses[0]!)}`);
    const who = `--node ${n.name} --address ${ipOf(n.addresses[0]!)}${peers.join('')}`;
    return { atNs: 0, by: `metallb ${n.name}`, lines: [`ip netns exec ${n.name} podwire app metallb-speaker ${who} --delay ${sec(START + i * APART)} --config ${FILE} &`] }; // prettier-ignore
  });
}

/** MetalLB in a cluster that changes: endpoints come and go, and with them who may announce. */
export function metallb(loop: Loop, c: Cluster, emit: Emit): void {
  const s = loop.scenario;
  if (s.metallb === null) return;
  const { protocol } = s.metallb;
  let file = layer2File(s, c.services, c.slices);
  let routes = bgpRoutes(s, c.services, c.slices);
  const layer2 = (seen: Seen): void => {
    const next = layer2File(s, seen.services, seen.slices);
    if (next !== file) emit('metallb', [next]);
    file = next;
  };
  const bgp = (seen: Seen): void => {
    const next = bgpRoutes(s, seen.services, seen.slices);
    const gone = [...routes.keys()].filter((ip) => !next.has(ip)).map((ip) => `ip -n gw route del ${ip} proto bgp metric 20`);
    const changed = [...next].filter(([ip, r]) => routes.get(ip) !== r).map(([, r]) => `ip -n gw route replace ${r}`);
    emit('metallb', [...gone, ...changed]);
    routes = next;
  };
  loop.informer((e) => e.kind === 'Service' || e.kind === 'EndpointSlice', protocol === 'layer2' ? layer2 : bgp);
} // prettier-ignore
