/**
 * A proxy's world on the machine's own sockets (node:net), for programs that run outside the engine: beside a real curl, and
 * inside the recording kernel, where the clock of Date headers is the Lab's (/run/t0).
 * @module
 */
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { aton, ntoa } from '../../wire/inet.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import type { Alarm, Conn, ConnectOptions, ConnHandler, Endpoint, Io, Listener } from '../apps/l7/io.js';
import { BACKLOG } from '../apps/tcp-server.js';
import { Rng } from '../sim/rng.js';
import { logSecret } from './secrets.js';

/** The recorder's file with the time of its first step, in microseconds since 1970; the engine's clock then says 1 s. */
const LAB_START = '/run/t0';

/** Seconds since 1970: of the Lab's clock inside a recording. */
function labClock(): () => number {
  const real = (): number => Date.now() / 1000;
  if (process.env['PODWIRE_READY_DIR'] === undefined) return () => Math.floor(real());
  let start = 0;
  return () => {
    if (start === 0) {
      try {
        start = Number(readFileSync(LAB_START, 'utf8')) / 1e6;
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e;
        return EPOCH_SEC;
      }
    }
    return EPOCH_SEC + 1 + Math.max(0, Math.floor(real() - start));
  };
}

export class NodeIo implements Io {
  readonly wall = labClock();
  private readonly seed: number;
  private readonly open = new Set<{ destroy(): void }>();
  private readonly asked: Promise<void>[] = [];
  private readonly servers: Server[] = [];

  private readonly original: OriginalDst | null;

  /** `seed`: of every generator; `original`: finds where a connection was to go, null: nothing turns any. */
  constructor(seed: number, original: OriginalDst | null = null) {
    this.seed = seed;
    this.original = original;
  }

  now(): number {
    return Number(process.hrtime.bigint());
  }

  alarm(ns: number, fire: () => void): Alarm {
    const t = setTimeout(fire, Math.min(ns / 1e6, 2 ** 31 - 1));
    return { cancel: () => clearTimeout(t) };
  }

  soon(fire: () => void): void {
    process.nextTick(fire);
  }

  rng(purpose: string): Rng {
    return new Rng(this.seed, purpose);
  }

  secret(line: string): void {
    logSecret(line);
  }

  log(line: string): void {
    process.stderr.write(`${line}\n`);
  }

  connect(to: Endpoint, make: (conn: Conn) => ConnHandler, { source }: ConnectOptions = {}): void {
    const local = source === undefined ? {} : { localAddress: ntoa(source) };
    const sock = connect({ host: ntoa(to.address), port: to.port, allowHalfOpen: true, noDelay: true, ...local });
    this.serve(sock, make);
  }

  listen(at: Endpoint, accept: (conn: Conn) => ConnHandler, failed?: (errno: number) => void): Listener {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (sock) => this.serve(sock, accept));
    const ready = new Promise<void>((resolve) => {
      server.on('error', (e: NodeJS.ErrnoException) => failed?.(-(e.errno ?? -5)));
      server.listen({ port: at.port, host: ntoa(at.address), backlog: BACKLOG }, resolve);
    });
    this.asked.push(ready);
    this.servers.push(server);
    return { close: () => void server.close() };
  }

  /** Resolves once everything that was asked to listen does. */
  async listening(): Promise<void> {
    await Promise.all(this.asked);
  }

  /** Ends everything at once, connections and those who listen: nothing keeps the process alive any more. */
  closeAll(): void {
    for (const s of this.servers) s.close();
    for (const s of this.open) s.destroy();
  }

  private serve(sock: Socket, make: (conn: Conn) => ConnHandler): void {
    this.open.add(sock);
    sock.on('close', () => this.open.delete(sock));
    const conn = new NodeConn(sock, this.original);
    conn.serve(make(conn));
  }
}

/** Where a connection between these two was to go; null: it is not known. */
export type OriginalDst = (local: Endpoint, peer: Endpoint) => Endpoint | null;

const endpoint = (address: string | undefined, port: number | undefined): Endpoint => ({
  address: aton((address ?? '').replace(/^::ffff:/, '')) ?? 0,
  port: port ?? 0,
});

class NodeConn implements Conn {
  readonly tls = null;
  private readonly sock: Socket;
  private readonly original: OriginalDst | null;
  private closing = false;
  private errno = 0;
  /** Read once: a socket that has ended does not know them any more. */
  private here: Endpoint | null = null;
  private there: Endpoint | null = null;

  constructor(sock: Socket, original: OriginalDst | null) {
    this.sock = sock;
    this.original = original;
  }

  /** Tells `h` what happens from now on. */
  serve(h: ConnHandler): void {
    const s = this.sock;
    const unless = (f: () => void) => () => (this.closing ? undefined : f());
    s.on('connect', unless(() => h.open?.())); // prettier-ignore
    s.on('data', (d: Buffer) => (this.closing ? undefined : h.data(d)));
    s.on(
      'end',
      unless(() => h.eof()),
    );
    s.on(
      'drain',
      unless(() => h.drained?.()),
    );
    s.on('error', (e: NodeJS.ErrnoException) => (this.errno = -(e.errno ?? -5)));
    s.on('close', () => h.closed(this.errno));
  }

  get local(): Endpoint {
    if (this.here !== null) return this.here;
    const e = endpoint(this.sock.localAddress, this.sock.localPort);
    if (!this.sock.connecting) this.here = e;
    return e;
  }

  get peer(): Endpoint {
    if (this.there !== null) return this.there;
    const e = endpoint(this.sock.remoteAddress, this.sock.remotePort);
    if (!this.sock.connecting) this.there = e;
    return e;
  }

  get pending(): number {
    return this.sock.writableLength;
  }

  originalDst(): Endpoint {
    return this.original?.(this.local, this.peer) ?? this.local;
  }

  send(bytes: Uint8Array): void {
    if (this.sock.writable && bytes.length > 0) this.sock.write(bytes);
  }

  end(): void {
    if (this.sock.writable) this.sock.end();
  }

  close(): void {
    if (this.closing) return;
    this.closing = true;
    if (this.sock.connecting) return void this.sock.destroy();
    this.sock.resume();
    this.sock.destroySoon();
  }

  reset(): void {
    if (this.closing) return;
    this.closing = true;
    this.sock.resetAndDestroy();
  }

  pause(): void {
    this.sock.pause();
  }

  resume(): void {
    if (this.sock.isPaused()) this.sock.resume();
  }
}
