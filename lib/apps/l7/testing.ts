/**
 * An Io in memory for tests: connections are pairs of byte lists, the clock moves when it is told to.
 * @module
 */
import { Rng } from '../../sim/rng.js';
import type { Alarm, Conn, ConnHandler, Endpoint, Io, Listener } from './io.js';
import { joined, textOf } from './message.js';

const NOBODY: ConnHandler = { data: () => {}, eof: () => {}, closed: () => {} };

/** One end of a connection; the test is the other end. */
export class FakeConn implements Conn {
  readonly tls = null;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  pending = 0;
  handler: ConnHandler = NOBODY;
  readonly sent: Uint8Array[] = [];
  paused = false;
  /** Our end has sent its FIN; the connection is over. */
  ended = false;
  over = false;
  private readonly io: FakeIo;
  private eof = false;

  constructor(io: FakeIo, local: Endpoint, peer: Endpoint) {
    this.io = io;
    this.local = local;
    this.peer = peer;
  }

  originalDst = (): Endpoint => this.local;

  send(bytes: Uint8Array): void {
    if (!this.ended && !this.over) this.sent.push(bytes);
  }

  end(): void {
    this.ended = true;
    if (this.eof) this.close();
  }

  close(): void {
    if (this.over) return;
    this.over = this.ended = true;
    this.io.soon(() => this.handler.closed(0));
  }

  reset(): void {
    this.close();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  /** Bytes of the test come in. */
  receive(bytes: Uint8Array): void {
    if (this.over || this.eof) return;
    this.handler.data(bytes);
    this.io.settle();
  }

  /** The test's end has finished. */
  finish(): void {
    if (this.over || this.eof) return;
    this.eof = true;
    this.handler.eof();
    if (this.ended) this.close();
    this.io.settle();
  }

  get text(): string {
    return textOf(joined(this.sent));
  }
}

interface Waiting {
  at: number;
  fire: (() => void) | null;
}

export class FakeIo implements Io {
  private time = 0;
  private readonly asked: (() => void)[] = [];
  private alarms: Waiting[] = [];
  private readonly listeners = new Map<number, (conn: Conn) => ConnHandler>();
  /** What an upstream does with its end; it may answer at once. */
  upstream: (conn: FakeConn) => void = (conn) => conn.close();
  readonly logged: string[] = [];
  readonly secrets: string[] = [];

  now(): number {
    return this.time;
  }

  wall(): number {
    return 1704067200 + Math.floor(this.time / 1e9);
  }

  alarm(ns: number, fire: () => void): Alarm {
    const w: Waiting = { at: this.time + ns, fire };
    this.alarms.push(w);
    return { cancel: () => void (w.fire = null) };
  }

  soon(fire: () => void): void {
    this.asked.push(fire);
  }

  rng(purpose: string): Rng {
    return new Rng(1, purpose);
  }

  connect(to: Endpoint, make: (conn: Conn) => ConnHandler): void {
    const conn = new FakeConn(this, { address: 0x0a000103, port: 40000 }, to);
    conn.handler = make(conn);
    this.soon(() => this.upstream(conn));
  }

  listen(at: Endpoint, accept: (conn: Conn) => ConnHandler): Listener {
    this.listeners.set(at.port, accept);
    return { close: () => void this.listeners.delete(at.port) };
  }

  log(line: string): void {
    this.logged.push(line);
  }

  secret(line: string): void {
    this.secrets.push(line);
  }

  /** A client of the test. */
  client(port: number): FakeConn {
    const conn = new FakeConn(this, { address: 0x0a000103, port }, { address: 0x0a000102, port: 50000 });
    conn.handler = this.listeners.get(port)!(conn);
    this.settle();
    return conn;
  }

  /** Does what was to be done soon. */
  settle(): void {
    for (let f = this.asked.shift(); f !== undefined; f = this.asked.shift()) f();
  }

  /** Lets time pass; alarms fire in their order. */
  pass(ns: number): void {
    const end = this.time + ns;
    for (;;) {
      this.alarms = this.alarms.filter((a) => a.fire !== null);
      const next = this.alarms.reduce<Waiting | null>(
        (m, a) => (a.at <= end && (m === null || a.at < m.at) ? a : m),
        null,
      );
      if (next === null) break;
      this.time = next.at;
      const { fire } = next;
      next.fire = null;
      fire!();
      this.settle();
    }
    this.time = end;
  }
}
