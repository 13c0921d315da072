/**
 * The machines of a scenario and the switch between them: the lines of the Lab before Kubernetes begins.
 *
 * Every network has a bridge in the namespace `lan`; where there are several, a router `gw` joins them and is everybody's
 * default gateway. It also knows the way to the podCIDRs when nodes stand in different networks, as a cloud's route table does.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import { InputError } from '../sim/input-error.js';
import { contains, networkOf } from './networks.js';
import type { Machine, Scenario } from './scenario.js';

/** An address without its prefix length. */
export const ipOf = (a: string): string => a.split('/')[0]!;
const netOf = (a: string): string => networkOf(a).text;
/** A MAC address made of a first byte and an IPv4 address. */
export const mac = (a: string, first: string): string =>
  `${first}:54:${ipOf(a).split('.').map((x) => Number(x).toString(16).padStart(2, '0')).join(':')}`; // prettier-ignore

/** True when one machine reaches an address without a router. */
export const onLink = (m: Machine, address: string): boolean =>
  m.addresses.some((a) => contains(networkOf(a).text, address));

/** What of a scenario decides about the router. */
export type Machines = Pick<Scenario, 'nodes' | 'hosts' | 'file'>;

/** The router's address in every network, in the order of the machines; there is no router for one alone. */
export function gateways(s: Machines): Map<string, string> {
  const routers = routersOf(s.file, [...s.nodes, ...s.hosts]);
  return routers.size === 1 ? new Map() : routers;
}

function routersOf(file: string, all: readonly Machine[]): Map<string, string> {
  const nets = [...new Set(all.map((m) => netOf(m.addresses[0]!)))];
  const used = new Set(all.flatMap((m) => m.addresses.map(ipOf)));
  return new Map(nets.map((net) => [net, gatewayOf(file, net, used)]));
}

/** The router's address in a network: the first host address, else the last, else the first that no machine has. */
function gatewayOf(file: string, network: string, used: Set<string>): string {
  const { net, mask, bits } = networkOf(network);
  const last = net | ~mask;
  const tries = [net + 1, last - 1];
  for (let a = net + 2; a < last && tries.length < used.size + 3; a++) tries.push(a);
  const free = tries.find((a) => !used.has(ntoa(a)));
  if (free === undefined)
    throw new InputError(file, 0, 0, `found no free address in ${network}, expected one for its router`);
  return `${ntoa(free)}/${bits}`;
}

/** Lab lines: namespaces, switch, links, addresses, and the router. Throws InputError when a network has no room for it. */
export function machineCommands(s: Scenario): string[] {
  const all = [...s.nodes, ...s.hosts];
  const several = new Set(all.map((m) => netOf(m.addresses[0]!))).size > 1;
  const out = lanCommands(s, all, several ? 'gw' : null);
  if (new Set(s.nodes.map((n) => netOf(n.addresses[0]!))).size > 1)
    for (const n of s.nodes) out.push(`ip -n gw route add ${n.podCIDR} via ${ipOf(n.addresses[0]!)}`);
  return out;
}

/** Machines on a switch in `lan`, a bridge a network; `router`, where there is to be one, joins the networks. Throws InputError. */
export function lanCommands(s: Scenario, all: readonly Machine[], router: string | null): string[] {
  const nets = [...new Set(all.map((m) => netOf(m.addresses[0]!)))];
  const index = new Map(nets.map((n, i) => [n, i]));
  const out = ['ip netns add lan', 'ip netns exec lan sysctl -q -w net.bridge.bridge-nf-call-iptables=0'];
  nets.forEach((_, i) => out.push(`ip -n lan link add br${i} type bridge`, `ip -n lan link set br${i} up`));
  const plug = (netns: string, dev: string, a: string, port: string): void => {
    out.push(
      `ip -n ${netns} link add ${dev} address ${mac(a, '52')} type veth peer name ${port} address ${mac(a, '56')} netns lan`,
    );
    out.push(`ip -n lan link set ${port} master br${index.get(netOf(a))}`, `ip -n lan link set ${port} up`);
    out.push(`ip -n ${netns} addr add ${a} dev ${dev}`, `ip -n ${netns} link set ${dev} up`);
  };
  all.forEach((m, i) => {
    out.push(`ip netns add ${m.name}`, `ip -n ${m.name} link set lo up`);
    plug(m.name, 'eth0', m.addresses[0]!, portOf(m.name, i));
    for (const a of m.addresses.slice(1)) out.push(`ip -n ${m.name} addr add ${a} dev eth0`);
  });
  if (router === null) return out;
  out.push(`ip netns add ${router}`, `ip -n ${router} link set lo up`, `ip netns exec ${router} sysctl -q -w net.ipv4.ip_forward=1`); // prettier-ignore
  const routers = routersOf(s.file, all);
  [...routers.values()].forEach((a, i) => plug(router, `eth${i}`, a, `gw${i}`));
  for (const m of all) {
    const gw = routers.get(netOf(m.addresses[0]!))!;
    out.push(`ip -n ${m.name} route add default via ${ipOf(gw)}`);
  }
  return out;
}

/** A machine's port on the switch: its name, where an interface can have it. */
export const portOf = (name: string, i: number): string =>
  name.length <= 15 && !/^(br|gw|port)\d+$|^(lo|tunl0|all|default)$/.test(name) ? name : `port${i}`;
