/**
 * Sockets that lead nowhere but to each other, for trying a proxy without a network: in tests, and before a real proxy says that it is
 * ready (the first connection through a fresh process is slow, and a recording shows it).
 * @module
 */
import type { Alarm, Conn, ConnHandler, Endpoint, Io, Listener } from '../../apps/l7/io.js';
import { Rng } from '../../sim/rng.js';

type Accept = (conn: Conn) => ConnHandler;

/** What a connection was to; `accept` null: refused. */
export type Answering = (to: Endpoint, source: number) => Accept | null;

/** An Io whose connections are answered by `answer`; `run` delivers until nothing is under way. */
export class MemoryIo implements Io {
  private readonly seed: number;
  private readonly answer: Answering;
  private readonly queue: (() => void)[] = [];
  /** Every connection made, in order. */
  readonly made: { to: Endpoint; source: number }[] = [];

  constructor(seed: number, answer: Answering) {
    this.seed = seed;
    this.answer = answer;
  }

  now = (): number => 0;
  wall = (): number => 1704067200;
  rng = (purpose: string): Rng => new Rng(this.seed, purpose);
  log = (): void => {};
  secret = (): void => {};
  soon = (fire: () => void): void => void this.queue.push(fire);

  alarm(): Alarm {
    return { cancel: () => {} };
  }

  listen(): Listener {
    return { close: () => {} };
  }

  connect(to: Endpoint, make: Accept, options: { source?: number } = {}): void {
    const source = options.source ?? 0;
    this.made.push({ to, source });
    const accept = this.answer(to, source);
    const here: Endpoint = { address: source, port: 40000 + this.made.length };
    const [a, b] = pair(this, here, to, to);
    a.handler = make(a);
    this.soon(() => {
      if (accept === null) return a.fail(111);
      b.handler = accept(b);
      a.handler.open?.();
    });
  }

  /** A connection of somebody to a server, whose original destination is `original`. */
  call(
    server: Accept,
    original: Endpoint,
    client: ConnHandler,
    peer: Endpoint = { address: 0x0a000009, port: 5000 },
  ): Conn {
    // prettier-ignore
    const [a, b] = pair(this, peer, original, original);
    a.handler = client;
    b.handler = server(b);
    return a;
  }

  run(): void {
    for (let f = this.queue.shift(); f !== undefined; f = this.queue.shift()) f();
  }
}

function pair(io: MemoryIo, here: Endpoint, there: Endpoint, original: Endpoint): [MemoryConn, MemoryConn] {
  const a = new MemoryConn(io, here, there, here);
  const b = new MemoryConn(io, there, here, original);
  a.other = b;
  b.other = a;
  return [a, b];
}

const NOBODY: ConnHandler = { data: () => {}, eof: () => {}, closed: () => {} };

class MemoryConn implements Conn {
  readonly tls = null;
  readonly pending = 0;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  handler: ConnHandler = NOBODY;
  other!: MemoryConn;
  private readonly io: MemoryIo;
  private readonly original: Endpoint;
  private over = false;
  private ended = false;

  constructor(io: MemoryIo, local: Endpoint, peer: Endpoint, original: Endpoint) {
    this.io = io;
    this.local = local;
    this.peer = peer;
    this.original = original;
  }

  originalDst = (): Endpoint => this.original;
  pause = (): void => {};
  resume = (): void => {};

  send(bytes: Uint8Array): void {
    if (this.over || this.ended || bytes.length === 0) return;
    const copy = bytes.slice();
    this.io.soon(() => (this.other.over ? undefined : this.other.handler.data(copy)));
  }

  end(): void {
    if (this.over || this.ended) return;
    this.ended = true;
    this.io.soon(() => (this.other.over ? undefined : this.other.handler.eof()));
  }

  close(): void {
    this.end();
    this.fail(0);
  }

  reset(): void {
    if (this.over) return;
    this.io.soon(() => this.other.fail(104));
    this.fail(0);
  }

  fail(errno: number): void {
    if (this.over) return;
    this.over = true;
    this.io.soon(() => this.handler.closed(errno));
  }
}
