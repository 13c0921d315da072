/**
 * `ip`: the parts of iproute2 that set up namespaces, links, addresses, routes, rules and neighbours.
 * @module
 */
import { aton, macBytes, maskOf } from '../../wire/inet.js';
import { addPort, type Bridge, delPort } from '../linux/bridge/bridge.js';
import type { Kernel } from '../linux/core/kernel.js';
import { createNetns, deleteNetns } from '../linux/core/machine.js';
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import {
  addBridge,
  addDummy,
  addVeth,
  deleteDevice,
  moveDevice,
  renameDevice,
  setMac,
} from '../linux/device/devices.js';
import { addAddress, delAddress, devClose, devOpen } from '../linux/ipv4/devinet.js';
import { RTN_BLACKHOLE, RTN_PROHIBIT, RTN_THROW, RTN_UNICAST, RTN_UNREACHABLE, SCOPE_LINK, SCOPE_UNIVERSE, TABLE_MAIN } from '../linux/ipv4/fib.js'; // prettier-ignore
import { NUD_PERMANENT } from '../linux/ipv4/neighbour.js';

export interface CommandResult {
  exit: number;
  out: string;
  err: string;
}

class IpError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

const fail = (message: string, exit = 255): never => {
  throw new IpError(message, exit);
};
const garbage = (w: string | undefined): never =>
  fail(`Error: either "dev" is duplicate, or "${w ?? ''}" is a garbage.`);

/** Runs `ip …` in a namespace. */
export function ip(kernel: Kernel, net: Netns, argv: string[]): CommandResult {
  try {
    return { exit: 0, out: dispatch(kernel, net, argv.slice(1)), err: '' };
  } catch (e) {
    if (e instanceof IpError) return { exit: e.exit, out: '', err: `${e.message}\n` };
    throw e;
  }
}

function dispatch(kernel: Kernel, net: Netns, args: string[]): string {
  while (args[0] === '-4' || args[0] === '-d') args = args.slice(1);
  const [object, verb, ...rest] = args;
  if (object === 'netns' && verb === 'add') {
    if (kernel.netns.has(rest[0]!)) fail(`Cannot create namespace file "/var/run/netns/${rest[0]}": File exists`, 1);
    createNetns(kernel, rest[0]!);
    return '';
  }
  if (object === 'netns' && (verb === 'del' || verb === 'delete')) {
    if (!deleteNetns(kernel, rest[0]!))
      fail(`Cannot remove namespace file "/var/run/netns/${rest[0]}": No such file or directory`, 1);
    return '';
  }
  if (object === 'link' && verb === 'add') return linkAdd(kernel, net, rest);
  if (object === 'link' && verb === 'set') return linkSet(kernel, net, rest);
  if (object === 'link' && (verb === 'del' || verb === 'delete')) {
    deleteDevice(dev(net, rest[0] === 'dev' ? rest[1]! : rest[0]!));
    return '';
  }
  if ((object === 'addr' || object === 'address' || object === 'a') && (verb === 'add' || verb === 'del'))
    return addr(net, verb, rest);
  if ((object === 'route' || object === 'r') && (verb === 'add' || verb === 'del' || verb === 'replace'))
    return route(net, verb, rest);
  if ((object === 'neigh' || object === 'n') && (verb === 'add' || verb === 'replace' || verb === 'del'))
    return neigh(net, verb, rest);
  return fail(`podwire: "ip ${args.join(' ')}" is not supported yet`, 255);
}

function dev(net: Netns, name: string): Netdev {
  return net.dev(name) ?? fail(`Cannot find device "${name}"`, 1);
}

function prefixed(text: string): { addr: number; prefix: number } {
  const [a, p] = text.split('/');
  const value = aton(a!);
  const prefix = p === undefined ? 32 : Number(p);
  if (value === null || !Number.isInteger(prefix) || prefix < 0 || prefix > 32) {
    return fail(`Error: any valid prefix is expected rather than "${text}".`, 1);
  }
  return { addr: value, prefix };
}

const address = (text: string): number =>
  aton(text) ?? fail(`Error: inet address is expected rather than "${text}".`, 1);
const mac = (text: string): Uint8Array => macBytes(text) ?? fail(`"${text}" is invalid lladdr.`, 255);

interface LinkWords {
  name: string;
  net: Netns;
  mac: Uint8Array | null;
  mtu: number;
}

function linkAdd(kernel: Kernel, net: Netns, args: string[]): string {
  const read = (words: string[]): { w: LinkWords; rest: string[] } => {
    const w: LinkWords = { name: '', net, mac: null, mtu: 0 };
    let i = 0;
    for (; i < words.length; i++) {
      const k = words[i]!;
      if (k === 'type') break;
      if (k === 'netns')
        w.net =
          kernel.netns.get(words[++i]!) ??
          fail(`Cannot open network namespace "${words[i]}": No such file or directory`);
      else if (k === 'address') w.mac = mac(words[++i]!);
      else if (k === 'mtu') w.mtu = Number(words[++i]);
      else if (k === 'name' || k === 'dev') w.name = words[++i]!;
      else if (w.name === '') w.name = k;
      else garbage(k);
    }
    return { w, rest: words.slice(i) };
  };
  const { w, rest } = read(args);
  const type = rest[1];
  const finish = (d: Netdev, x: LinkWords): void => {
    if (x.mac !== null) setMac(d, x.mac);
    if (x.mtu !== 0) d.mtu = x.mtu;
  };
  if (w.net.dev(w.name) !== null) fail('RTNETLINK answers: File exists', 2);
  if (type === 'veth') {
    if (rest[2] !== 'peer') garbage(rest[2]);
    const peer = read(rest.slice(3)).w;
    if (peer.net.dev(peer.name) !== null) fail('RTNETLINK answers: File exists', 2);
    const [a, b] = addVeth(w.net, w.name, peer.net, peer.name);
    finish(a, w);
    finish(b, peer);
  } else if (type === 'bridge' && rest.length === 2) finish(addBridge(w.net, w.name), w);
  else if (type === 'dummy' && rest.length === 2) finish(addDummy(w.net, w.name), w);
  else fail(`Error: Unknown device type.`, 2);
  return '';
}

function linkSet(kernel: Kernel, net: Netns, args: string[]): string {
  if (args[0] === 'dev') args = args.slice(1);
  const d = dev(net, args[0]!);
  for (let i = 1; i < args.length; i++) {
    const v = args[i + 1];
    switch (args[i]) {
      case 'up': devOpen(d); break;
      case 'down': devClose(d); break;
      case 'mtu': d.mtu = Number(v); i++; break;
      case 'address': setMac(d, mac(v!)); i++; break;
      case 'master': {
        const br = dev(net, v!);
        if (br.kind !== 'bridge') fail('RTNETLINK answers: Operation not supported', 2);
        if (d.brport !== null) delPort(d);
        addPort(br as Bridge, d);
        i++;
        break;
      }
      case 'nomaster': delPort(d); break;
      case 'name': renameDevice(d, v!); i++; break;
      case 'netns': moveDevice(d, kernel.netns.get(v!) ?? fail(`Error: argument "${v}" is wrong: Invalid "netns" value`)); i++; break;
      default: garbage(args[i]);
    } // prettier-ignore
  }
  return '';
}

function addr(net: Netns, verb: string, args: string[]): string {
  let at: { addr: number; prefix: number } | null = null;
  let d: Netdev | null = null;
  let broadcast: number | null = null;
  let scope = SCOPE_UNIVERSE;
  for (let i = 0; i < args.length; i++) {
    const k = args[i]!;
    if (k === 'dev') d = dev(net, args[++i]!);
    else if (k === 'brd' || k === 'broadcast') {
      const b = args[++i]!;
      broadcast = b === '+' ? at!.addr | ~maskOf(at!.prefix) : address(b);
    } else if (k === 'scope') scope = { global: 0, link: 253, host: 254 }[args[++i]!] ?? garbage(args[i]);
    else if (at === null) at = prefixed(k === 'local' ? args[++i]! : k);
    else garbage(k);
  }
  if (d === null || at === null) return fail('Not enough information: "dev" argument is required.');
  if (verb === 'add' && !addAddress(d, at.addr, at.prefix, broadcast, scope)) fail('RTNETLINK answers: File exists', 2);
  if (verb === 'del' && !delAddress(d, at.addr, at.prefix))
    fail('RTNETLINK answers: Cannot assign requested address', 2);
  return '';
}

const TYPES: Record<string, number> = {
  unicast: RTN_UNICAST, blackhole: RTN_BLACKHOLE, unreachable: RTN_UNREACHABLE, prohibit: RTN_PROHIBIT, throw: RTN_THROW,
}; // prettier-ignore

function route(net: Netns, verb: string, args: string[]): string {
  const r = { type: RTN_UNICAST, dst: 0, prefix: 0, tos: 0, metric: 0, gw: 0, dev: null as Netdev | null, scope: -1, src: 0, proto: 'boot', onlink: false, table: TABLE_MAIN }; // prettier-ignore
  let i = 0;
  if (args[0]! in TYPES) r.type = TYPES[args[i++]!]!;
  const to = args[i++]!;
  if (to !== 'default') {
    const p = prefixed(to);
    if ((p.addr & ~maskOf(p.prefix)) !== 0) fail('Error: Invalid prefix for given prefix length.', 2);
    r.dst = p.addr;
    r.prefix = p.prefix;
  }
  for (; i < args.length; i++) {
    const v = args[i + 1]!;
    switch (args[i]) {
      case 'via': r.gw = address(v); i++; break;
      case 'dev': r.dev = dev(net, v); i++; break;
      case 'src': r.src = address(v); i++; break;
      case 'metric': r.metric = Number(v); i++; break;
      case 'proto': r.proto = v; i++; break;
      case 'scope': r.scope = { global: 0, link: 253, host: 254 }[v] ?? garbage(v); i++; break;
      case 'table': r.table = v === 'main' ? 254 : v === 'local' ? 255 : Number(v); i++; break;
      case 'onlink': r.onlink = true; break;
      default: garbage(args[i]);
    } // prettier-ignore
  }
  const table = net.fib.table(r.table);
  if (verb === 'del') {
    const n = table.remove((x) => x.dst === r.dst && x.prefix === r.prefix && (r.dev === null || x.dev === r.dev));
    if (n === 0) fail('RTNETLINK answers: No such process', 2);
    return '';
  }
  if (r.gw !== 0 && r.dev === null) {
    const via = net.fib.lookup(r.gw, 0, 0, 0, '', null);
    if (via === null || via.type !== RTN_UNICAST || via.gw !== 0) return fail('Error: Nexthop has invalid gateway.', 2);
    r.dev = via.dev;
  }
  if (r.type === RTN_UNICAST && r.dev === null) fail('RTNETLINK answers: No such device', 2);
  if (r.dev !== null && !r.dev.up) fail('Error: Device for nexthop is not up.', 2);
  if (r.scope < 0) r.scope = r.gw !== 0 || r.type !== RTN_UNICAST ? SCOPE_UNIVERSE : SCOPE_LINK;
  if (verb === 'replace') table.remove((x) => x.dst === r.dst && x.prefix === r.prefix && x.metric === r.metric);
  if (!table.add(r)) fail('RTNETLINK answers: File exists', 2);
  return '';
}

function neigh(net: Netns, verb: string, args: string[]): string {
  let a = 0;
  let d: Netdev | null = null;
  let m: Uint8Array | null = null;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === 'dev') d = dev(net, args[++i]!);
    else if (args[i] === 'lladdr') m = mac(args[++i]!);
    else if (args[i] === 'nud') {
      if (args[++i] !== 'permanent') fail(`podwire: "nud ${args[i]}" is not supported yet`);
    } else a = address(args[i]!);
  }
  if (d === null) return fail('Device and destination are required arguments.');
  if (verb === 'del') {
    if (!net.neigh.delete(d, a)) fail('RTNETLINK answers: No such file or directory', 2);
  } else net.neigh.setPermanent(d, a, m ?? fail('Error: lladdr is required.'), NUD_PERMANENT);
  return '';
}
