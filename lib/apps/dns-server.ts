/**
 * The sockets of a DNS server: one wildcard UDP socket for clients, connected ones for upstreams.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import type { Proc } from './program.js';

/** Answers a query of a client: `send` is called at most once, at once or later. */
export type Handler = (
  query: Uint8Array,
  from: { address: number; port: number },
  send: (reply: Uint8Array) => void,
) => void;

/** Serves UDP `port` of an address (0: of all) until the program is killed; a reply leaves from the address that was asked. */
export function serveDns(p: Proc, address: number, port: number, handle: Handler): void {
  const sock = new UdpSock(p.net);
  const e = sock.bind(address, port);
  if (e !== 0) {
    p.err(`listen udp ${address === 0 ? '' : ntoa(address)}:${port}: bind: errno ${-e}\n`);
    sock.close();
    p.exit(1);
    return;
  }
  sock.onReady = () => {
    for (let d = sock.recv(); d !== null; d = sock.recv()) {
      const { src, sport, dst } = d;
      handle(d.data, { address: src, port: sport }, (reply) => void sock.send(reply, src, sport, dst));
    }
  };
  const before = p.onKill;
  p.onKill = () => {
    before?.();
    sock.close();
  };
}

interface Kept {
  sock: UdpSock;
  used: number;
}

/**
 * Queries to upstreams as CoreDNS's connection pool sends them: the socket used last is taken again while it has been
 * idle for less than `expire` ns; one that failed is closed. UDP only: a TCP exchange is answered null.
 */
export function dnsSockets(
  p: Proc,
  random: () => number,
  order: () => number,
): {
  now(): number;
  after(ns: number, fire: () => void): void;
  random(): number;
  order(): number;
  exchange(
    to: { address: number; port: number },
    transport: 'udp' | 'tcp',
    query: Uint8Array,
    timeout: number,
    expire: number,
    done: (reply: Uint8Array | null) => void,
  ): void;
} {
  const { sim } = p.net.kernel;
  const pools = new Map<string, Kept[]>();
  const open = new Set<UdpSock>();
  const close = (s: UdpSock): void => {
    s.close();
    open.delete(s);
  };
  const take = (pool: Kept[], expire: number): UdpSock | null => {
    const last = pool.at(-1);
    if (last === undefined) return null;
    if (sim.now - last.used < expire) return pool.pop()!.sock;
    for (const k of pool.splice(0)) close(k.sock);
    return null;
  };
  p.onKill = () => {
    for (const s of open) s.close();
  };
  return {
    now: () => sim.now,
    after: (ns, fire) => void sim.after(ns, fire),
    random,
    order,
    exchange(to, transport, query, timeout, expire, done) {
      if (transport === 'tcp') return done(null);
      const key = `${to.address}:${to.port}`;
      const pool = pools.get(key) ?? [];
      pools.set(key, pool);
      const sock = (expire > 0 ? take(pool, expire) : null) ?? new UdpSock(p.net);
      open.add(sock);
      const finish = (reply: Uint8Array | null): void => {
        sim.cancel(timer);
        sock.onReady = null;
        if (reply === null || expire === 0) close(sock);
        else pool.push({ sock, used: sim.now });
        done(reply);
      };
      const timer = sim.after(timeout, () => finish(null));
      sock.onReady = () => {
        for (let d = sock.recv(); d !== null; d = sock.recv())
          if (d.data.length >= 2 && d.data[0] === query[0] && d.data[1] === query[1]) return finish(d.data);
        if (sock.takeError() !== 0) finish(null);
      };
      if ((sock.dport === 0 && sock.connect(to.address, to.port) !== 0) || sock.send(query) !== 0) finish(null);
    },
  };
}
