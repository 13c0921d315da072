/**
 * A proxy's world on the emulator's sockets. It behaves as lib/cli/node-io.ts does on the machine's own, down to the order of
 * system calls: a write goes out at once, a connect() once the callback that asked for it has returned, small segments are
 * not held back (TCP_NODELAY), the end of a stream does not end our side.
 * @module
 */
import { EPOCH_SEC } from '../../../wire/pcap.js';
import { EAGAIN, EINPROGRESS, TcpSock } from '../../linux/ipv4/tcp.js';
import { originalDst } from '../../linux/netfilter/original-dst.js';
import { Rng } from '../../sim/rng.js';
import type { Runnable, Task } from '../../sim/sim.js';
import type { Proc } from '../program.js';
import { BACKLOG } from '../tcp-server.js';
import type { Alarm, Conn, ConnectOptions, ConnHandler, Endpoint, Io, Listener } from './io.js';

const CHUNK = 65536;

/** The sockets, clock and generators of one program; `seed` replaces the kernel's. */
export class EngineIo implements Io {
  private readonly proc: Proc;
  private readonly seed: number;
  private readonly open = new Set<{ close(): void }>();
  private readonly asked: (() => void)[] = [];
  private running = false;
  /** The program has ended: nothing is opened any more. */
  private over = false;

  constructor(proc: Proc, seed: number | null) {
    this.proc = proc;
    this.seed = seed ?? proc.net.kernel.seed;
  }

  now(): number {
    return this.proc.net.kernel.sim.now;
  }

  wall(): number {
    return EPOCH_SEC + Math.floor(this.now() / 1e9);
  }

  alarm(ns: number, fire: () => void): Alarm {
    const { sim } = this.proc.net.kernel;
    const woken = new Woken(sim.current, () => this.callback(fire));
    const timer = sim.after(ns, () => sim.wake(woken));
    return {
      cancel: () => {
        sim.cancel(timer);
        woken.off = true;
      },
    };
  }

  soon(fire: () => void): void {
    this.asked.push(fire);
    if (!this.running) this.callback(() => {});
  }

  rng(purpose: string): Rng {
    return new Rng(this.seed, purpose);
  }

  secret(line: string): void {
    this.proc.secret(line);
  }

  log(line: string): void {
    this.proc.err(`${line}\n`);
  }

  connect(to: Endpoint, make: (conn: Conn) => ConnHandler, options: ConnectOptions = {}): void {
    const sock = new TcpSock(this.proc.net, this.proc.cred);
    sock.setNodelay();
    const conn = new EngineConn(this, sock, to);
    this.open.add(conn);
    conn.handler = make(conn);
    this.soon(() => conn.connect(to, options));
  }

  listen(at: Endpoint, accept: (conn: Conn) => ConnHandler, failed?: (errno: number) => void): Listener {
    if (this.over) return { close: () => {} };
    const sock = new TcpSock(this.proc.net, this.proc.cred);
    sock.reuse = true;
    let err = sock.bind(at.address, at.port);
    if (err === 0) err = sock.listen(BACKLOG);
    if (err !== 0) {
      sock.close();
      failed?.(-err);
      return { close: () => {} };
    }
    const listener = { close: () => (this.open.delete(listener) ? sock.close() : undefined) };
    this.open.add(listener);
    sock.onReady = () => {
      for (let c = sock.accept(); c !== null; c = sock.accept()) this.accepted(c, accept);
    };
    return listener;
  }

  /** Ends every socket, and opens no other one: the program is killed or has exited. */
  closeAll(): void {
    this.over = true;
    for (const c of [...this.open].reverse()) c.close();
  }

  private accepted(sock: TcpSock, accept: (conn: Conn) => ConnHandler): void {
    sock.setNodelay();
    const conn = new EngineConn(this, sock, { address: sock.daddr, port: sock.dport });
    this.open.add(conn);
    this.callback(() => (conn.handler = accept(conn)));
    conn.accepted();
  }

  /** Runs a callback of the program, then what it wanted done soon. */
  callback(f: () => void): void {
    if (this.running) return f();
    this.running = true;
    f();
    for (let next = this.asked.shift(); next !== undefined; next = this.asked.shift()) next();
    this.running = false;
  }

  forget(conn: EngineConn): void {
    this.open.delete(conn);
  }
}

/** A wake-up of the program by its timer. */
class Woken implements Runnable {
  queued = false;
  off = false;
  readonly task: Task | null;
  private readonly fire: () => void;

  constructor(task: Task | null, fire: () => void) {
    this.task = task;
    this.fire = fire;
  }

  run(): void {
    if (!this.off) this.fire();
  }
}

const NOBODY: ConnHandler = { data: () => {}, eof: () => {}, closed: () => {} };

class EngineConn implements Conn {
  handler: ConnHandler = NOBODY;
  readonly tls = null;
  pending = 0;
  private readonly io: EngineIo;
  private readonly sock: TcpSock;
  private readonly to: Endpoint;
  private readonly out: Uint8Array[] = [];
  private state: 'connecting' | 'open' | 'over' = 'connecting';
  private paused = false;
  /** The peer has finished; we shall send nothing more; the FIN is out; nothing more is told to the handler. */
  private eof = false;
  /** A write(2) is under way. */
  private sending = false;
  private ending = false;
  private ended = false;
  private closing = false;

  constructor(io: EngineIo, sock: TcpSock, to: Endpoint) {
    this.io = io;
    this.sock = sock;
    this.to = to;
  }

  get local(): Endpoint {
    return { address: this.sock.saddr, port: this.sock.sport };
  }

  get peer(): Endpoint {
    return this.to;
  }

  originalDst(): Endpoint {
    return originalDst(this.sock) ?? this.local;
  }

  connect(to: Endpoint, { source }: ConnectOptions): void {
    if (this.state === 'over') return;
    this.sock.onReady = () => this.ready();
    const bound = source === undefined ? 0 : this.sock.bind(source, 0);
    const e = bound < 0 ? bound : this.sock.connect(to.address, to.port);
    if (e < 0 && e !== -EINPROGRESS) this.destroy(-e);
  }

  accepted(): void {
    this.state = 'open';
    this.sock.onReady = () => this.ready();
    this.sock.net.kernel.sim.wake(this.sock);
  }

  send(bytes: Uint8Array): void {
    if (this.ending || this.state === 'over' || bytes.length === 0) return;
    this.out.push(bytes);
    this.pending += bytes.length;
    this.flush();
  }

  end(): void {
    if (this.ending || this.state === 'over') return;
    this.ending = true;
    this.flush();
  }

  close(): void {
    if (this.state === 'over') return;
    this.closing = true;
    this.ending = true;
    if (this.state === 'connecting') this.destroy(0);
    else this.flush();
  }

  reset(): void {
    if (this.state === 'over') return;
    this.sock.setLinger();
    this.destroy(0);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.state === 'open') this.sock.net.kernel.sim.wake(this.sock);
  }

  private ready(): void {
    if (this.state === 'connecting') {
      const e = this.sock.takeError();
      if (e !== 0) return this.destroy(e);
      if (!this.sock.connected) return;
      this.state = 'open';
      this.io.callback(() => this.handler.open?.());
    }
    const waited = this.pending > 0;
    this.flush();
    if (waited && this.pending === 0 && !this.ending) this.io.callback(() => this.handler.drained?.());
    while (this.state === 'open' && !this.eof && !this.paused && !this.closing && this.sock.readable) this.read();
  }

  private read(): void {
    const r = this.sock.recv(CHUNK);
    if (typeof r === 'number') {
      if (r !== -EAGAIN) this.destroy(-r);
      return;
    }
    if (r.length > 0) return this.io.callback(() => this.handler.data(r));
    this.eof = true;
    this.io.callback(() => this.handler.eof());
    this.flush();
  }

  /** Sends what waits; then the FIN if we are done, and the end once the peer is done too. */
  private flush(): void {
    // Programs that a write wakes run before it returns; what they make of this connection waits for it.
    if (this.state !== 'open' || this.sending) return;
    while (this.out.length > 0) {
      const b = this.out[0]!;
      this.sending = true;
      const n = this.sock.send(b);
      this.sending = false;
      if ((this.state as string) === 'over') return;
      if (n < 0) {
        if (n !== -EAGAIN) this.destroy(-n);
        return;
      }
      this.pending -= n;
      if (n < b.length) this.out[0] = b.subarray(n);
      else this.out.shift();
    }
    if (this.ending && !this.ended) {
      this.ended = true;
      this.sock.shutdown();
    }
    if (this.ended && (this.eof || this.closing)) this.destroy(0);
  }

  private destroy(errno: number): void {
    if (this.state === 'over') return;
    this.state = 'over';
    this.out.length = 0;
    this.pending = 0;
    this.io.forget(this);
    this.sock.close();
    this.io.soon(() => this.handler.closed(errno));
  }
}
