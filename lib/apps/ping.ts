/**
 * `ping` as iputils 20221126 sends and prints it (raw ICMP socket, DF set, 56 bytes of data).
 * @module
 */
import { aton, ntoa } from '../../wire/inet.js';
import { IcmpSock } from '../linux/ipv4/raw.js';
import { SEC, Timer } from '../sim/sim.js';
import type { Proc, Program } from './program.js';

interface Options {
  count: number;
  interval: number;
  wait: number;
  size: number;
  ttl: number;
  id: number;
  quiet: boolean;
  source: number;
  df: boolean;
  host: string;
}

function parse(argv: readonly string[]): Options | string {
  const o: Options = {
    count: 0,
    interval: 1,
    wait: 10,
    size: 56,
    ttl: 0,
    id: -1,
    quiet: false,
    source: 0,
    df: true,
    host: '',
  };
  for (let i = 1; i < argv.length; i++) {
    const a = argv[i]!;
    if (a === '-n') continue;
    if (a === '-q') o.quiet = true;
    else if (/^-[ciWstIeM]$/.test(a)) {
      const v = argv[++i] ?? '';
      const n = Number(v);
      if (a === '-I') {
        const s = aton(v);
        if (s === null) return `podwire: ping: -I expects a local address, found "${v}"`;
        o.source = s;
      } else if (a === '-M') {
        if (v !== 'do' && v !== 'want' && v !== 'dont') return `ping: invalid -M argument: ${v}`;
        o.df = v !== 'dont';
      } else if (v === '' || Number.isNaN(n) || n < 0) return `ping: invalid argument: '${v}'`;
      else if (a === '-c') o.count = n;
      else if (a === '-i') o.interval = n;
      else if (a === '-W') o.wait = n;
      else if (a === '-s') o.size = n;
      else if (a === '-t') o.ttl = n;
      else o.id = n;
    } else if (a.startsWith('-')) return `podwire: ping: option ${a} is not supported yet`;
    else o.host = a;
  }
  return o;
}

const UNREACHABLE: Record<number, string> = {
  0: 'Destination Net Unreachable', 1: 'Destination Host Unreachable', 2: 'Destination Protocol Unreachable',
  3: 'Destination Port Unreachable', 4: 'Frag needed and DF set', 13: 'Packet filtered',
}; // prettier-ignore

/** The data: a struct timeval (two little-endian 64-bit words), then 0x10, 0x11, … */
function payload(size: number, now: number): Uint8Array {
  const b = new Uint8Array(size);
  for (let i = 0; i < size; i++) b[i] = i;
  if (size >= 16) {
    const v = new DataView(b.buffer);
    v.setBigUint64(0, BigInt(1704067200 + Math.floor(now / SEC)), true);
    v.setBigUint64(8, BigInt(Math.floor((now % SEC) / 1000)), true);
  }
  return b;
}

export const ping: Program = (p) => {
  const o = parse(p.argv);
  const dst = typeof o === 'string' ? null : aton(o.host);
  if (typeof o === 'string' || dst === null) {
    p.err(typeof o === 'string' ? `${o}\n` : `ping: ${o.host}: Name or service not known\n`);
    return p.exit(2);
  }
  new Session(p, o, dst).start();
};

/** What iputils says when connect() fails: EACCES it takes for a broadcast. */
function connectError(err: number): string {
  if (err === -13) return 'Do you want to ping broadcast? Then -b. If not, check your local firewall rules';
  return `connect: ${err === -113 ? 'No route to host' : err === -22 ? 'Invalid argument' : 'Network is unreachable'}`;
}

class Session {
  private readonly p: Proc;
  private readonly o: Options;
  private readonly dst: number;
  private readonly sock: IcmpSock;
  private readonly id: number;
  private readonly sentAt: number[] = [];
  private readonly rtts: number[] = [];
  private errors = 0;
  /** Most probes in flight when an answer came (pipesize). */
  private pipe = 0;
  private started = 0;
  private readonly next = new Timer(() => this.send());
  private readonly last = new Timer(() => this.finish());

  constructor(p: Proc, o: Options, dst: number) {
    this.p = p;
    this.o = o;
    this.dst = dst;
    this.sock = new IcmpSock(p.net);
    this.id = o.id >= 0 ? o.id : p.net.kernel.pid() & 0xffff;
  }

  start(): void {
    const { err } = this.sock.source(this.dst);
    if (err !== 0) {
      this.p.err(`ping: ${connectError(err)}\n`);
      this.sock.close();
      return this.p.exit(2);
    }
    this.started = this.p.net.kernel.sim.now;
    this.sock.onReady = () => this.receive();
    this.p.onKill = () => this.sock.close();
    this.p.out(`PING ${this.o.host} (${ntoa(this.dst)}) ${this.o.size}(${this.o.size + 28}) bytes of data.\n`);
    this.send();
  }

  private send(): void {
    const { sim } = this.p.net.kernel;
    const seq = this.sentAt.length + 1;
    this.sentAt.push(sim.now);
    const opts = { df: this.o.df, saddr: this.o.source, ...(this.o.ttl > 0 ? { ttl: this.o.ttl } : {}) };
    this.sock.sendEcho(this.dst, this.id, seq & 0xffff, payload(this.o.size, sim.now), opts);
    if (this.o.count === 0 || seq < this.o.count) sim.arm(this.next, sim.now + this.o.interval * SEC);
    else sim.arm(this.last, sim.now + this.o.wait * SEC);
  }

  private receive(): void {
    for (let m = this.sock.recv(); m !== null; m = this.sock.recv()) {
      const type = m.data[0]!;
      if (type === 0) {
        if (((m.data[4]! << 8) | m.data[5]!) !== this.id) continue;
        const seq = (m.data[6]! << 8) | m.data[7]!;
        const rtt = (this.p.net.kernel.sim.now - this.sentAt[seq - 1]!) / 1e6;
        this.rtts.push(rtt);
        this.acknowledge(seq);
        if (!this.o.quiet)
          this.p.out(
            `${m.data.length} bytes from ${ntoa(m.src)}: icmp_seq=${seq} ttl=${m.ttl} time=${rttText(rtt)} ms\n`,
          );
      } else if (type !== 8 && this.quotesUs(m.data)) {
        const seq = (m.data[8 + 20 + 6]! << 8) | m.data[8 + 20 + 7]!;
        this.errors++;
        this.acknowledge(seq);
        const text =
          type === 3
            ? (UNREACHABLE[m.data[1]!] ?? `Dest Unreachable, Bad Code: ${m.data[1]}`)
            : type === 11
              ? 'Time to live exceeded'
              : type === 5
                ? 'Redirect Host'
                : `Bad ICMP type: ${type}`;
        this.p.out(`From ${ntoa(m.src)} icmp_seq=${seq} ${text}\n`);
      }
    }
    if (this.o.count > 0 && this.rtts.length + this.errors >= this.o.count && this.sentAt.length >= this.o.count)
      this.finish();
  }

  private acknowledge(seq: number): void {
    this.pipe = Math.max(this.pipe, this.sentAt.length - seq + 1);
  }

  private quotesUs(d: Uint8Array): boolean {
    return d.length >= 36 && d[8 + 9] === 1 && ((d[32]! << 8) | d[33]!) === this.id;
  }

  private finish(): void {
    const { sim } = this.p.net.kernel;
    sim.cancel(this.next);
    sim.cancel(this.last);
    this.sock.close();
    const sent = this.sentAt.length;
    const got = this.rtts.length;
    const ms = Math.floor(((this.sentAt.at(-1) ?? this.started) - this.started) / 1e6); // up to the last probe
    this.p.out(`\n--- ${this.o.host} ping statistics ---\n`);
    const errors = this.errors > 0 ? `+${this.errors} errors, ` : '';
    const loss = Number((((sent - got) * 100) / sent).toPrecision(6));
    this.p.out(`${sent} packets transmitted, ${got} received, ${errors}${loss}% packet loss, time ${ms}ms\n`);
    const sums: string[] = [];
    if (got > 0) {
      const avg = this.rtts.reduce((a, b) => a + b, 0) / got;
      const dev = Math.sqrt(Math.max(0, this.rtts.reduce((a, b) => a + b * b, 0) / got - avg * avg));
      const all = [Math.min(...this.rtts), avg, Math.max(...this.rtts), dev];
      sums.push(`rtt min/avg/max/mdev = ${all.map((x) => x.toFixed(3)).join('/')} ms`);
    }
    if (this.pipe > 1) sums.push(`pipe ${this.pipe}`);
    this.p.out(`${sums.join(', ')}\n`);
    this.p.exit(got > 0 ? 0 : 1);
  }
}

/** Milliseconds with as many digits as ping prints: fewer, the longer they are. */
const rttText = (ms: number): string => ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : ms >= 1 ? 2 : 3);
