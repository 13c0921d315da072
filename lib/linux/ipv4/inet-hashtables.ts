/**
 * Finding the socket of a segment, and the ports in use.
 *
 *   ehash      connections, requests and TIME_WAIT by their four numbers
 *   listeners  by port
 *   bhash      ports with the sockets that hold them
 *
 * Kernel counterparts: net/ipv4/inet_hashtables.c, inet_connection_sock.c (bind), net/core/secure_seq.c. Not here:
 * SO_REUSEPORT groups, bound devices.
 * @module
 */
import type { Netns } from '../core/netns.js';
import type { Kernel } from '../core/kernel.js';
import { fnv1a } from '../../sim/rng.js';
import { EADDRINUSE, EADDRNOTAVAIL } from './udp.js';
import type { RequestSock } from './inet-connection-sock.js';
import { LISTEN, TIME_WAIT } from './tcp-sock.js';
import type { TimewaitSock } from './tcp-minisocks.js';
import type { TcpSock } from './tcp.js';

/** Whatever stands in the table of connections; `state` says which of the three it is. */
export type HashSock = TcpSock | RequestSock | TimewaitSock;

export const PORT_LOW = 32768;
export const PORT_HIGH = 60999;
const PERTURB = 256;

interface BindBucket {
  /** False: every owner came by connect(), which may share the port (fastreuse < 0). */
  bound: boolean;
  readonly owners: (TcpSock | TimewaitSock)[];
}

/** TCP's tables of one namespace. */
export class TcpTables {
  readonly ehash = new Map<number, HashSock>();
  readonly listeners = new Map<number, TcpSock[]>();
  readonly bhash = new Map<number, BindBucket>();
  /** Round-trip times by peer (tcp_metrics): srtt in 1/8 µs, 0: none. */
  readonly metrics = new Map<number, number>();
}

const mix = (h: number, v: number): number => Math.imul(h ^ v, 0x9e3779b1) ^ (h >>> 15);

/** A keyed hash in place of the kernel's siphash: `purpose` and the seed are the key. */
export function secureHash(kernel: Kernel, purpose: string, a: number, b: number, c: number): number {
  let h = mix(fnv1a(purpose), kernel.seed | 0);
  h = mix(h, a);
  h = mix(h, b);
  h = mix(h, c);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Initial sequence number: a hash of the four numbers plus a clock of 64 ns steps (secure_tcp_seq). */
export function secureSeq(net: Netns, saddr: number, daddr: number, sport: number, dport: number): number {
  const h = secureHash(net.kernel, 'tcp-isn', saddr, daddr, (sport << 16) | dport);
  return (h + Math.floor(net.kernel.sim.now / 64)) | 0;
}

/** Offset of the time stamp clock: one for each pair of hosts and direction (secure_tcp_ts_off). */
export const secureTsOff = (net: Netns, saddr: number, daddr: number): number =>
  secureHash(net.kernel, 'tcp-tsoff', saddr, daddr, 0);

const hashOf = (saddr: number, sport: number, daddr: number, dport: number): number =>
  mix(mix(mix(0x12345, saddr), daddr), (sport << 16) | dport) | 0;

/** The connection of a segment that arrived from `daddr:dport` for `saddr:sport`. */
export function lookupEstablished(
  net: Netns,
  daddr: number,
  dport: number,
  saddr: number,
  sport: number,
): HashSock | null {
  let s = net.socks.tcp.ehash.get(hashOf(saddr, sport, daddr, dport)) ?? null;
  while (s !== null) {
    if (s.saddr === saddr && s.daddr === daddr && s.sport === sport && s.dport === dport) return s;
    s = s.hashNext as HashSock | null;
  }
  return null;
}

/** The listener for a port: one bound to the address before one bound to any (inet_lookup_listener). */
export function lookupListener(net: Netns, addr: number, port: number): TcpSock | null {
  const list = net.socks.tcp.listeners.get(port);
  if (list === undefined) return null;
  let best: TcpSock | null = null;
  for (let i = 0; i < list.length; i++) {
    const s = list[i]!;
    if (s.bindAddr === addr && addr !== 0) return s;
    if (s.bindAddr === 0) best = s;
  }
  return best;
}

/** Puts a connection, request or TIME_WAIT into the table (inet_ehash_insert). */
export function ehashInsert(net: Netns, s: HashSock): void {
  const h = hashOf(s.saddr, s.sport, s.daddr, s.dport);
  s.hashNext = net.socks.tcp.ehash.get(h) ?? null;
  net.socks.tcp.ehash.set(h, s);
  s.hashed = true;
}

/** Takes it out again; harmless when it is not in. */
export function ehashRemove(net: Netns, s: HashSock): void {
  if (!s.hashed) return;
  s.hashed = false;
  const { ehash } = net.socks.tcp;
  const h = hashOf(s.saddr, s.sport, s.daddr, s.dport);
  let at = ehash.get(h) ?? null;
  const next = s.hashNext as HashSock | null;
  s.hashNext = null;
  if (at === s) {
    if (next === null) ehash.delete(h);
    else ehash.set(h, next);
    return;
  }
  while (at !== null && at.hashNext !== s) at = at.hashNext as HashSock | null;
  if (at !== null) at.hashNext = next;
}

export function listenerAdd(net: Netns, sk: TcpSock): void {
  const list = net.socks.tcp.listeners.get(sk.sport);
  if (list === undefined) net.socks.tcp.listeners.set(sk.sport, [sk]);
  else list.push(sk);
}

export function listenerRemove(net: Netns, sk: TcpSock): void {
  const list = net.socks.tcp.listeners.get(sk.sport);
  const i = list?.indexOf(sk) ?? -1;
  if (i < 0) return;
  list!.splice(i, 1);
  if (list!.length === 0) net.socks.tcp.listeners.delete(sk.sport);
}

/** Registers `s` as a holder of `port`. `bound`: by bind(), so connect() may not share it. */
export function bindHash(net: Netns, port: number, s: TcpSock | TimewaitSock, bound: boolean): void {
  const { bhash } = net.socks.tcp;
  let b = bhash.get(port);
  if (b === undefined) bhash.set(port, (b = { bound, owners: [] }));
  if (bound) b.bound = true;
  b.owners.push(s);
}

/** Gives a port back (inet_put_port). */
export function putPort(net: Netns, port: number, s: TcpSock | TimewaitSock): void {
  const b = net.socks.tcp.bhash.get(port);
  const i = b?.owners.indexOf(s) ?? -1;
  if (i < 0) return;
  b!.owners.splice(i, 1);
  if (b!.owners.length === 0) net.socks.tcp.bhash.delete(port);
}

/** True when bind() of `sk` to `addr:port` must fail (inet_csk_bind_conflict). */
function bindConflict(net: Netns, sk: TcpSock, addr: number, port: number): boolean {
  const b = net.socks.tcp.bhash.get(port);
  if (b === undefined) return false;
  return b.owners.some((o) => {
    if (sk.reuse && o.reuse && o.state !== LISTEN) return false;
    const other = o.bindAddr !== 0 || o.state === LISTEN ? o.bindAddr : o.saddr;
    return addr === 0 || other === 0 || other === addr;
  });
}

/** bind(): 0 or a negative errno; port 0 takes a free odd one first (inet_csk_get_port). */
export function getPort(net: Netns, sk: TcpSock, addr: number, port: number): number {
  if (port === 0) {
    const n = (PORT_HIGH - PORT_LOW + 1) >> 1;
    const start = net.kernel.rng('tcp-port').below(n);
    for (const parity of [1, 0]) {
      for (let i = 0; i < n && port === 0; i++) {
        const p = PORT_LOW + parity + 2 * ((start + i) % n);
        if (!net.socks.tcp.bhash.has(p)) port = p;
      }
    }
    if (port === 0) return -EADDRINUSE;
  } else if (bindConflict(net, sk, addr, port)) return -EADDRINUSE;
  sk.sport = sk.bindPort = port;
  bindHash(net, port, sk, true);
  return 0;
}

const perturb = new WeakMap<Kernel, Uint32Array>();

function perturbTable(kernel: Kernel): Uint32Array {
  let t = perturb.get(kernel);
  if (t === undefined) {
    const rng = kernel.rng('tcp-port');
    t = Uint32Array.from({ length: PERTURB }, () => rng.u32());
    perturb.set(kernel, t);
  }
  return t;
}

/**
 * Gives a connecting socket its port and puts it into the table (__inet_hash_connect): even ports first, rising from one
 * connection to the next by 2 to 16. `unique` says whether the four numbers are free, or can be taken over from TIME_WAIT.
 */
export function hashConnect(net: Netns, sk: TcpSock, unique: (port: number) => boolean): number {
  if (sk.sport !== 0) {
    if (!unique(sk.sport)) return -EADDRNOTAVAIL;
    ehashInsert(net, sk);
    return 0;
  }
  const table = perturbTable(net.kernel);
  const h = secureHash(net.kernel, 'tcp-ephemeral', sk.saddr, sk.daddr, sk.dport) >>> 0;
  const index = h % PERTURB;
  const remaining = PORT_HIGH + 1 - PORT_LOW;
  let offset = ((table[index]! + h) % remaining) & ~1;
  for (let parity = 0; parity < 2; parity++, offset++) {
    for (let i = 0; i < remaining; i += 2) {
      let port = PORT_LOW + offset + i;
      if (port > PORT_HIGH) port -= remaining;
      const b = net.socks.tcp.bhash.get(port);
      if (b !== undefined && (b.bound || !unique(port))) continue;
      sk.sport = port;
      const step = Math.max(i, net.kernel.rng('tcp-port').below(8) * 2);
      table[index] = table[index]! + step + 2;
      bindHash(net, port, sk, false);
      ehashInsert(net, sk);
      return 0;
    }
  }
  return -EADDRNOTAVAIL;
}

/** True for a TIME_WAIT entry. */
export const isTimewait = (s: HashSock): s is TimewaitSock => s.state === TIME_WAIT;
