/** `podwire app coredns`: the DNS server on real UDP and TCP sockets. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { DnsStream, frameDns } from '../../wire/dns-stream.js';
import { ntoa } from '../../wire/inet.js';
import { addressBytes } from '../../wire/inet6.js';
import { DnsSession } from '../apps/dns-session.js';
import { InputError } from '../sim/input-error.js';
import { loadManifests } from '../kube/api/manifest.js';
import type { KubeObject } from '../kube/api/types.js';
import { coreDnsArgs } from '../kube/coredns/args.js';
import type { DnsIo, Upstream } from '../kube/coredns/forward.js';
import type { Client } from '../kube/coredns/handler.js';
import { watchCorefile } from '../kube/coredns/reload.js';
import { CoreDns } from '../kube/coredns/server.js';
import { UsageError } from './usage.js';

type Done = (reply: Uint8Array | null) => void;
type Ask = (to: Upstream, query: Uint8Array, timeoutMs: number, expireMs: number, done: Done) => void;

/** How often idle connections to upstreams are looked for. */
const CLEANUP_MS = 10000;

const now = (): number => Number(process.hrtime.bigint());

/** Connected UDP sockets to upstreams: the one used last is taken again while it is not idle for `expireMs`. */
function udpUpstreams(): Ask {
  const pools = new Map<string, { s: UdpSocket; used: number }[]>();
  return (to, query, timeoutMs, expireMs, done) => {
    const key = `${to.address}:${to.port}`;
    const pool = pools.get(key) ?? [];
    pools.set(key, pool);
    const last = expireMs > 0 ? pool.pop() : undefined;
    const kept = last !== undefined && now() - last.used < expireMs * 1e6 ? last.s : null;
    if (last !== undefined && kept === null) for (const k of [last, ...pool.splice(0)]) k.s.close();
    const s = kept ?? createSocket('udp4');
    let over = false;
    const finish = (reply: Uint8Array | null): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      s.removeAllListeners('message')
        .removeAllListeners('error')
        .on('error', () => {});
      if (reply === null || expireMs === 0) s.close();
      else pool.push({ s, used: now() });
      done(reply);
    };
    const timer = setTimeout(() => finish(null), timeoutMs);
    s.removeAllListeners('error');
    s.on('message', (m) => (m.length >= 2 && m[0] === query[0] && m[1] === query[1] ? finish(m) : undefined));
    s.on('error', () => finish(null));
    const send = (): void => s.send(query, (e) => (e === null || e === undefined ? undefined : finish(null)));
    if (kept !== null) send();
    else s.connect(to.port, ntoa(to.address), (e?: Error) => (e === undefined ? send() : finish(null)));
  };
}

/** Connections to upstreams over TCP, kept as those over UDP are; idle ones end at the next clean-up. */
function tcpUpstreams(): Ask {
  const pools = new Map<string, { kept: { c: Socket; used: number }[]; expireMs: number }>();
  setInterval(() => {
    for (const { kept, expireMs } of pools.values())
      while (kept.length > 0 && now() - kept[0]!.used >= expireMs * 1e6) kept.shift()!.c.destroy();
  }, CLEANUP_MS).unref();
  const take = (kept: { c: Socket; used: number }[], expireMs: number): Socket | null => {
    while (kept.length > 0 && kept.at(-1)!.c.destroyed) kept.pop();
    const last = kept.at(-1);
    if (last === undefined) return null;
    if (now() - last.used < expireMs * 1e6) return kept.pop()!.c;
    for (const k of kept.splice(0)) k.c.destroy();
    return null;
  };
  return (to, query, timeoutMs, expireMs, done) => {
    const key = `${to.address}:${to.port}`;
    let pool = pools.get(key);
    if (pool === undefined) pools.set(key, (pool = { kept: [], expireMs }));
    const { kept } = pool;
    const old = expireMs > 0 ? take(kept, expireMs) : null;
    const c = old ?? connect(to.port, ntoa(to.address)).on('error', () => {});
    const stream = new DnsStream();
    let over = false;
    const finish = (reply: Uint8Array | null): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      c.removeAllListeners('data').removeListener('close', failed);
      if (reply === null || expireMs === 0) c.destroy();
      else kept.push({ c, used: now() });
      done(reply);
    };
    const failed = (): void => finish(null);
    const timer = setTimeout(failed, timeoutMs);
    c.on('close', failed);
    c.on('data', (d: Buffer) => {
      stream.push(d);
      for (let m = stream.take(); m !== null; m = stream.take())
        if (m.length >= 2 && m[0] === query[0] && m[1] === query[1]) return finish(m);
    });
    c.write(frameDns(query));
  };
}

function localAddresses(listen: string): string[] {
  if (listen !== '0.0.0.0') return [listen];
  return Object.values(networkInterfaces()).flatMap((l) => (l ?? []).map((a) => a.address));
}

function readFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw e;
  }
}

export async function main(args: string[]): Promise<number> {
  const a = coreDnsArgs(args);
  if (typeof a === 'string') throw new UsageError(a);
  const text = (f: string): string => readFile(f) ?? fail(f);
  const fail = (f: string): never => {
    throw new InputError(f, 0, 0, 'no such file');
  };
  const [overUdp, overTcp] = [udpUpstreams(), tcpUpstreams()];
  const io: DnsIo = {
    now,
    after: (ns, fire) => void setTimeout(fire, ns / 1e6),
    random: () => randomInt(65536),
    order: () => randomInt(65536),
    exchange: (to, transport, query, timeout, expire, done) =>
      (transport === 'udp' ? overUdp : overTcp)(to, query, timeout / 1e6, expire / 1e6, done),
  };
  const objects = (): KubeObject[] => a.manifests.flatMap((f) => loadManifests(text(f), f));
  const start = (now: string | null): CoreDns =>
    new CoreDns({
      corefile: now === null ? null : { text: now, file: a.corefile! },
      objects: objects(),
      serial: 0,
      readFile,
      localAddresses: localAddresses(a.listen),
      deviceAddresses: (name) => networkInterfaces()[name]?.map((x) => x.address) ?? null,
      io,
    });
  const corefile = a.corefile === null ? null : text(a.corefile);
  const serving = { dns: start(corefile) };
  const { listeners } = serving.dns;
  process.on('SIGHUP', () => {
    try {
      serving.dns.update(objects());
    } catch (e) {
      if (!(e instanceof InputError)) throw e;
      process.stderr.write(`${e.message}\n`);
    }
  });
  const dir = process.env['PODWIRE_READY_DIR'];
  await Promise.all(
    listeners.map((l, i) => serve(serving, i, l.address === '' ? a.listen : l.address, a.port || l.port)),
  );
  if (corefile !== null)
    watchCorefile(serving.dns, corefile, {
      io,
      read: () => readFile(a.corefile!),
      start,
      change: (next) => (serving.dns = next),
      log: (line) => process.stderr.write(`${line}\n`),
    });
  if (dir !== undefined) writeFileSync(`${dir}/${process.pid}`, '');
  return new Promise(() => {});
}

const clientOf = (transport: 'udp' | 'tcp', address: string, port: number): Client => ({
  transport,
  address: addressBytes(address.replace(/^::ffff:(?=\d+\.)/, ''))!,
  port,
});

/** Serves one listener until the process is killed; resolves when it listens. */
async function serve(serving: { dns: CoreDns }, listener: number, address: string, port: number): Promise<void> {
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (m, from) =>
    serving.dns.handle(
      m,
      clientOf('udp', from.address, from.port),
      (r) => udp.send(r, from.port, from.address),
      listener,
    ),
  );
  const tcp = createServer((c) => {
    const client = clientOf('tcp', c.remoteAddress ?? '0.0.0.0', c.remotePort ?? 0);
    let timer: NodeJS.Timeout | undefined;
    const session: DnsSession = new DnsSession((q, send) => serving.dns.handle(q, client, send, listener), {
      write: (bytes) => void (c.writable ? c.write(bytes) : undefined),
      close: () => c.destroy(),
      next: (fire) => fire(),
      deadline: (ns) => {
        clearTimeout(timer);
        if (ns !== null) timer = setTimeout(() => session.expired(), ns / 1e6);
      },
    });
    c.on('error', () => c.destroy());
    c.on('close', () => session.end());
    c.on('data', (d: Buffer) => session.data(d));
  });
  udp.bind(port, address);
  tcp.listen(port, address);
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
}
