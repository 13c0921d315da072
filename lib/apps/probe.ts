/**
 * `podwire app probe`: a load balancer's health checks of one target. It connects (or asks over HTTP, where 200 is the good
 * answer) at its interval, and runs commands when the target becomes healthy or stops being so, as keepalived's checkers do.
 *
 * A target is unhealthy before its first good answers. On the recording kernel lib/lab/kernel-probe.ts does the same in Perl.
 * @module
 */
import { EAGAIN, EINPROGRESS, TcpSock } from '../linux/ipv4/tcp.js';
import { Timer } from '../sim/sim.js';
import { PROBE_USAGE, probeArgs, type ProbeOptions } from './probe-args.js';
import type { Proc, Program } from './program.js';

/** So much of an answer is read at most. */
const MAX_ANSWER = 65536;

/** Whether an answer has come whole, by its Content-Length; one without has its end with the connection. */
export function isWhole(answer: string): boolean {
  const head = answer.indexOf('\r\n\r\n');
  const m = head < 0 ? null : /^content-length: *(\d+)\r$/im.exec(answer.slice(0, head + 1));
  return m !== null && answer.length >= head + 4 + Number(m[1]);
}

class Prober {
  private readonly p: Proc;
  private readonly o: ProbeOptions;
  private readonly next: Timer;
  private readonly deadline: Timer;
  private sock: TcpSock | null = null;
  private open = false;
  private answer = '';
  private healthy = false;
  /** Results in a row that speak against the present state. */
  private streak = 0;
  private at: number;

  constructor(p: Proc, o: ProbeOptions) {
    this.p = p;
    this.o = o;
    this.at = p.net.kernel.sim.now + o.delayNs;
    this.next = new Timer(() => this.begin());
    this.deadline = new Timer(() => this.end(false));
    p.onKill = () => this.close();
    p.net.kernel.sim.arm(this.next, this.at);
  }

  private begin(): void {
    const { sim } = this.p.net.kernel;
    this.at += this.o.intervalNs;
    // Where both are at the same time, the one attempt ends before the next begins.
    sim.arm(this.deadline, sim.now + this.o.timeoutNs);
    sim.arm(this.next, this.at);
    const sock = new TcpSock(this.p.net, this.p.cred);
    this.sock = sock;
    this.open = false;
    this.answer = '';
    sock.onReady = () => this.ready(sock);
    const err = sock.connect(this.o.addr, this.o.port);
    if (err < 0 && err !== -EINPROGRESS) this.end(false);
  }

  private ready(sock: TcpSock): void {
    if (!this.open) {
      if (sock.takeError() !== 0) return this.end(false);
      if (!sock.connected) return;
      this.open = true;
      if (this.o.request === null) return this.end(true);
      sock.send(new TextEncoder().encode(this.o.request));
    }
    for (;;) {
      const r = sock.recv();
      if (typeof r === 'number') {
        if (r !== -EAGAIN) this.end(false);
        return;
      }
      for (let i = 0; i < r.length; i++) this.answer += String.fromCharCode(r[i]!);
      const over = r.length === 0 || (!this.o.close && isWhole(this.answer));
      if (over || this.answer.length > MAX_ANSWER) return this.end(/^HTTP\/1\.[01] 200 /.test(this.answer));
    }
  }

  /** The target has answered, or not in time. */
  private end(good: boolean): void {
    const { o, p } = this;
    p.net.kernel.sim.cancel(this.deadline);
    this.sock!.close();
    this.sock = null;
    this.streak = good === this.healthy ? 0 : this.streak + 1;
    if (this.streak < (good ? o.healthy : o.unhealthy)) return;
    this.streak = 0;
    this.healthy = good;
    this.command(good ? o.up : o.down, 0);
  }

  private command(list: readonly string[][], i: number): void {
    if (i < list.length) this.p.run(list[i]!, () => this.command(list, i + 1));
  }

  private close(): void {
    const { sim } = this.p.net.kernel;
    sim.cancel(this.next);
    sim.cancel(this.deadline);
    this.sock?.close();
  }
}

export const probe: Program = (p) => {
  const o = probeArgs(p.argv.slice(3));
  if (o === null) {
    p.err(`podwire: app probe: found "${p.argv.slice(3).join(' ')}", expected ${PROBE_USAGE}\n`);
    return p.exit(2);
  }
  new Prober(p, o);
};
