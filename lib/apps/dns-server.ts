/**
 * The sockets of a DNS server: wildcard ones for clients over UDP and TCP, connected ones for upstreams.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import { TcpSock } from '../linux/ipv4/tcp.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import { SEC, Timer } from '../sim/sim.js';
import { DnsSession } from './dns-session.js';
import { DnsTcpClient } from './dns-tcp-client.js';
import type { Proc } from './program.js';
import { listenTcp } from './tcp-server.js';

export type Transport = 'udp' | 'tcp';

/** Who asks, and how. */
export interface Client {
  transport: Transport;
  address: number;
  port: number;
}

/** Answers a query of a client: `send` is called at most once, at once or later. */
export type Handler = (query: Uint8Array, from: Client, send: (reply: Uint8Array) => void) => void;

/**
 * Serves UDP and TCP `port` of an address (0: of all) until the program is killed; a reply leaves from the address that was
 * asked.
 */
export function serveDns(p: Proc, address: number, port: number, handle: Handler): void {
  const fail = (what: string, errno: number): void => {
    p.err(`listen ${what} ${address === 0 ? '' : ntoa(address)}:${port}: bind: errno ${errno}\n`);
    p.exit(1);
  };
  const sock = new UdpSock(p.net, p.cred);
  const e = sock.bind(address, port);
  if (e !== 0) {
    sock.close();
    return fail('udp', -e);
  }
  const { sim } = p.net.kernel;
  // An answer takes the server time: a client that it wakes runs before the next query is looked at.
  const serve = (): void => {
    const d = sock.recv();
    if (d === null) return;
    const { src, sport, dst } = d;
    handle(d.data, { transport: 'udp', address: src, port: sport }, (reply) => void sock.send(reply, src, sport, dst));
    sim.after(0, serve);
  };
  sock.onReady = serve;
  // One round of Node's event loop after this one: datagrams come first, a new connection is read, an old one shut down, after them.
  const later = (fire: () => void): void => void sim.after(0, () => sim.after(0, fire));
  const server = listenTcp(new TcpSock(p.net, p.cred), address, port, (conn, out) => {
    const from: Client = { transport: 'tcp', address: conn.daddr, port: conn.dport };
    const timer = new Timer(() => session.expired());
    const session: DnsSession = new DnsSession((q, send) => handle(q, from, send), {
      write: (bytes) => out.write(bytes),
      close: () => out.close(),
      next: (fire) => void sim.after(0, fire),
      deadline: (ns) => (ns === null ? sim.cancel(timer) : sim.arm(timer, sim.now + ns)),
    });
    return {
      data: (bytes) => {
        later(() => session.data(bytes));
        return { bytes: new Uint8Array(0), close: false };
      },
      eof: (shut) => later(shut),
      closed: () => session.end(),
    };
  });
  if (typeof server === 'number') {
    sock.close();
    return fail('tcp', server);
  }
  const before = p.onKill;
  p.onKill = () => {
    before?.();
    sock.close();
    server.close();
  };
}

type Done = (reply: Uint8Array | null) => void;

/** One connected socket of either transport: at most one query is under way on it. */
interface Link {
  /** Sends a query; `done` gets its reply, or null when the socket is of no use any more. */
  ask(query: Uint8Array, done: Done): void;
  /** The reply is no longer waited for. */
  forget(): void;
  /** The peer has not ended it. */
  alive(): boolean;
  close(): void;
}

const fits = (reply: Uint8Array, query: Uint8Array): boolean =>
  reply.length >= 2 && reply[0] === query[0] && reply[1] === query[1];

function udpLink(p: Proc, address: number, port: number): Link {
  const sock = new UdpSock(p.net, p.cred);
  return {
    ask(query, done) {
      sock.onReady = () => {
        for (let d = sock.recv(); d !== null; d = sock.recv()) if (fits(d.data, query)) return done(d.data);
        if (sock.takeError() !== 0) done(null);
      };
      if ((sock.dport === 0 && sock.connect(address, port) !== 0) || sock.send(query) !== 0) done(null);
    },
    forget: () => void (sock.onReady = null),
    alive: () => true,
    close: () => sock.close(),
  };
}

function tcpLink(p: Proc, address: number, port: number): Link {
  let waiting: { query: Uint8Array; done: Done } | null = null;
  const client = new DnsTcpClient(p.net, p.cred, false, {
    connected: () => client.send([waiting!.query]),
    message: (m) => (waiting !== null && fits(m, waiting.query) ? waiting.done(m) : undefined),
    ended: () => waiting?.done(null),
  });
  return {
    ask(query, done) {
      waiting = { query, done };
      if (client.started) client.send([query]);
      else if (client.connect(address, port) !== 0) done(null);
    },
    forget: () => void (waiting = null),
    alive: () => !client.over,
    close: () => client.close(),
  };
}

interface Kept {
  link: Link;
  used: number;
}

/** How often CoreDNS looks for connections that have been idle for too long (pkg/proxy, connManager). */
const CLEANUP = 10 * SEC;

/**
 * Queries to upstreams as CoreDNS's connection pool sends them: the socket used last is taken again while it has been
 * idle for less than `expire` ns; one that failed is closed, and one that is idle for too long at the next clean-up.
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
    transport: Transport,
    query: Uint8Array,
    timeout: number,
    expire: number,
    done: Done,
  ): void;
} {
  const { sim } = p.net.kernel;
  const pools = new Map<string, { kept: Kept[]; expire: number }>();
  const open = new Set<Link>();
  const close = (l: Link): void => {
    l.close();
    open.delete(l);
  };
  const started = sim.now;
  const cleanup = new Timer(() => {
    let left = 0;
    for (const pool of pools.values()) {
      while (pool.kept.length > 0 && sim.now - pool.kept[0]!.used >= pool.expire) close(pool.kept.shift()!.link);
      left += pool.kept.length;
    }
    if (left > 0) sim.arm(cleanup, sim.now + CLEANUP);
  });
  const keep = (pool: { kept: Kept[] }, link: Link): void => {
    pool.kept.push({ link, used: sim.now });
    if (cleanup.slot < 0) sim.arm(cleanup, started + Math.ceil((sim.now - started + 1) / CLEANUP) * CLEANUP);
  };
  const take = (pool: { kept: Kept[] }, expire: number): Link | null => {
    while (pool.kept.length > 0 && !pool.kept.at(-1)!.link.alive()) close(pool.kept.pop()!.link);
    const last = pool.kept.at(-1);
    if (last === undefined) return null;
    if (sim.now - last.used < expire) return pool.kept.pop()!.link;
    for (const k of pool.kept.splice(0)) close(k.link);
    return null;
  };
  p.onKill = () => {
    sim.cancel(cleanup);
    for (const l of open) l.close();
  };
  return {
    now: () => sim.now,
    after: (ns, fire) => void sim.after(ns, fire),
    random,
    order,
    exchange(to, transport, query, timeout, expire, done) {
      const key = `${transport}:${to.address}:${to.port}`;
      let pool = pools.get(key);
      if (pool === undefined) pools.set(key, (pool = { kept: [], expire }));
      const link =
        (expire > 0 ? take(pool, expire) : null) ?? (transport === 'udp' ? udpLink : tcpLink)(p, to.address, to.port);
      open.add(link);
      const finish = (reply: Uint8Array | null): void => {
        sim.cancel(timer);
        link.forget();
        if (reply === null || expire === 0) close(link);
        else keep(pool, link);
        done(reply);
      };
      const timer = sim.after(timeout, () => finish(null));
      link.ask(query, finish);
    },
  };
}
