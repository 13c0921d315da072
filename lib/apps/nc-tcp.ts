/**
 * TCP in `nc`: connecting, listening, and the loop that carries bytes both ways.
 *
 * A process keeps the CPU until poll() finds nothing to do, as on the recording machine: what it wakes runs after that.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import { EAGAIN, EINPROGRESS, TcpSock } from '../linux/ipv4/tcp.js';
import { CLOSE, RCV_SHUTDOWN, SEND_SHUTDOWN } from '../linux/ipv4/tcp-sock.js';
import { type Runnable, SEC, type Task, Timer } from '../sim/sim.js';
import { strerror } from './errno.js';
import type { NcOptions } from './nc.js';
import type { Proc } from './program.js';
import { serviceName } from './services.js';

const BUFSIZE = 16384;

/** Connects to each port in turn and talks over what it gets; exit 1 when no connection came about. */
export function ncTcpClient(
  p: Proc,
  o: NcOptions,
  host: string,
  addrs: readonly number[],
  ports: readonly number[],
): void {
  let code = 1;
  const next = (i: number): void => {
    if (i === ports.length * addrs.length) return p.exit(code);
    const port = ports[Math.floor(i / addrs.length)]!;
    const after = (Math.floor(i / addrs.length) + 1) * addrs.length;
    connect(p, o, host, addrs[i % addrs.length]!, port, (sock) => {
      if (sock === null) return next(i + 1);
      if (sock === 'fatal') return p.exit(1);
      code = 0;
      if (o.verbose || o.zero) {
        const name = o.numeric ? '*' : (serviceName(port) ?? '*');
        p.err(`Connection to ${shown(host, addrs[i % addrs.length]!)} ${port} port [tcp/${name}] succeeded!\n`);
      }
      if (o.zero) {
        sock.close();
        next(after);
      } else new ReadWrite(p, o, sock, () => next(after));
    });
  };
  next(0);
}

/** A host name is printed with the address it stands for. */
const shown = (host: string, addr: number): string => (host === ntoa(addr) ? host : `${host} (${ntoa(addr)})`);

function connect(
  p: Proc,
  o: NcOptions,
  host: string,
  addr: number,
  port: number,
  done: (s: TcpSock | null | 'fatal') => void,
): void {
  const { sim } = p.net.kernel;
  const sock = new TcpSock(p.net, p.cred);
  const fail = (text: string): void => {
    sim.cancel(timer);
    sock.close();
    if (o.verbose) p.err(`nc: connect to ${shown(host, addr)} port ${port} (tcp) ${text}\n`);
    done(null);
  };
  const timer = new Timer(() => fail(`timed out: ${strerror(EINPROGRESS)}`));
  if (o.source !== 0 || o.port !== 0) {
    const err = sock.bind(o.source, o.port);
    if (err !== 0) {
      p.err(`nc: bind failed: ${strerror(-err)}\n`);
      sock.close();
      return done('fatal');
    }
  }
  p.onKill = () => sock.close();
  sock.onReady = () => {
    const err = sock.takeError();
    if (err !== 0) return fail(`failed: ${strerror(err)}`);
    if (!sock.connected) return;
    sim.cancel(timer);
    sock.onReady = null;
    done(sock);
  };
  if (o.wait >= 0) sim.arm(timer, sim.now + o.wait * SEC);
  const err = sock.connect(addr, port);
  if (err !== -EINPROGRESS) fail(`failed: ${strerror(-err)}`);
}

/** Takes connections one at a time; without -k only the first. */
export function ncTcpServer(p: Proc, o: NcOptions): void {
  const sock = new TcpSock(p.net, p.cred);
  sock.reuse = true;
  let err = sock.bind(o.source, o.port);
  if (err === 0) err = sock.listen(1);
  if (err !== 0) {
    p.err(`nc: ${strerror(-err)}\n`);
    return p.exit(1);
  }
  if (o.verbose) p.err(`Listening on ${ntoa(o.source)} ${o.port}\n`);
  let talking: ReadWrite | null = null;
  const accept = (): void => {
    if (talking !== null) return;
    const conn = sock.accept();
    if (conn === null) return;
    if (o.verbose) p.err(`Connection received on ${ntoa(conn.daddr)} ${conn.dport}\n`);
    talking = new ReadWrite(p, o, conn, () => {
      talking = null;
      if (o.keep) return accept();
      sock.close();
      p.exit(0);
    });
  };
  p.onKill = () => {
    talking?.sock.close();
    sock.close();
  };
  sock.onReady = accept;
}

/** readwrite(): standard input to the network, the network to standard output, until both are done. */
class ReadWrite implements Runnable {
  queued = false;
  readonly task: Task | null;
  readonly sock: TcpSock;
  private readonly p: Proc;
  private readonly o: NcOptions;
  private readonly end: () => void;
  private readonly idle: Timer;
  private readonly decoder = new TextDecoder();
  /** Next byte of standard input, and what has been read of it but not sent. */
  private stdinAt = 0;
  private bufFrom = 0;
  private stdin: boolean;
  private netout = true;
  private netin = true;
  private wantOut = false;
  private ended = false;

  constructor(p: Proc, o: NcOptions, sock: TcpSock, end: () => void) {
    this.p = p;
    this.o = o;
    this.sock = sock;
    this.end = end;
    this.stdin = !o.detach;
    this.idle = new Timer(() => this.finish());
    if (!o.listen) p.onKill = () => sock.close();
    this.task = sock.task;
    sock.onReady = () => this.run();
    p.net.kernel.sim.wake(this);
  }

  private get buffered(): number {
    return this.stdinAt - this.bufFrom;
  }

  run(): void {
    while (!this.ended) {
      const out = !this.netout && !this.netin;
      const idle = !this.stdin && !this.netin && this.buffered === 0;
      if (out || idle || (this.o.listen && !this.netin && this.buffered === 0)) return this.finish();
      if (!this.turn()) return;
    }
  }

  /** One turn of the loop; false when poll() would wait. */
  private turn(): boolean {
    const { sim } = this.p.net.kernel;
    const { sock } = this;
    const error = sock.err !== 0;
    const hup = sock.state === CLOSE || sock.shutdown_ === (RCV_SHUTDOWN | SEND_SHUTDOWN);
    const readable = this.netin && sock.readable;
    const writable = this.netout && this.wantOut && sock.writable;
    const stdin = this.stdin && this.buffered < BUFSIZE;
    if (!error && !hup && !readable && !writable && !stdin) {
      if (this.o.wait >= 0) sim.arm(this.idle, sim.now + this.o.wait * SEC);
      return false;
    }
    sim.cancel(this.idle);
    if (error) this.netin = this.netout = false;
    if (hup) {
      this.netout = false;
      if (!readable) this.netin = false;
    }
    if (!this.netout) this.stdin = false;
    if (stdin && this.stdin) this.fill();
    if (writable && this.netout && this.buffered > 0) this.drain();
    if (readable && this.netin) this.read();
    if (!this.stdin && this.buffered === 0) {
      if (this.netout && this.o.shut) sock.shutdown();
      this.netout = false;
    }
    return true;
  }

  private fill(): void {
    const n = Math.min(BUFSIZE - this.buffered, this.p.stdin.length - this.stdinAt);
    if (n === 0) this.stdin = false;
    this.stdinAt += n;
    if (this.buffered > 0) this.wantOut = true;
  }

  private drain(): void {
    const n = this.sock.send(this.p.stdin.subarray(this.bufFrom, this.stdinAt));
    if (n < 0 && n !== -EAGAIN) this.netout = false;
    else if (n > 0) this.bufFrom += n;
    if (this.buffered === 0) this.wantOut = false;
  }

  private read(): void {
    const r = this.sock.recv(BUFSIZE);
    if (typeof r !== 'number' && r.length > 0) this.p.out(this.decoder.decode(r, { stream: true }));
    else if (r !== -EAGAIN) this.netin = false;
  }

  private finish(): void {
    this.ended = true;
    this.p.net.kernel.sim.cancel(this.idle);
    this.sock.close();
    this.end();
  }
}
