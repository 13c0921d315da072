/**
 * `ping` as iputils 20221126 sends and prints it (raw ICMP socket, DF set, 56 bytes of data).
 * @module
 */
import { i32 } from '../../wire/bytes.js';
import * as icmp from '../../wire/icmp.js';
import { aton, ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { type IcmpMessage, IcmpSock } from '../linux/ipv4/raw.js';
import { SEC, Timer } from '../sim/sim.js';
import type { Proc, Program } from './program.js';

interface Options {
  count: number;
  interval: number;
  wait: number;
  size: number;
  ttl: number;
  tos: number;
  id: number;
  quiet: boolean;
  source: number;
  pmtudisc: number;
  host: string;
}

/** Options that take a whole number, from where to where (strtol_or_err). */
const WHOLE: Readonly<Record<string, [number, string]>> = {
  '-c': [1, '9223372036854775807'], '-s': [0, '2147483647'], '-t': [0, '255'], '-e': [0, '65535'],
}; // prettier-ignore

/** What ping says of a text that is no such number, or null. It ends with 1 then. */
function notWhole(text: string, least: number, most: string): string | null {
  if (!/^[+-]?\d+$/.test(text)) return `ping: invalid argument: '${text}'`;
  const n = BigInt(text.replace('+', ''));
  if (n >= least && n <= BigInt(most)) return null;
  return `ping: invalid argument: '${text}': out of range: ${least} <= value <= ${most}`;
}

function parse(argv: readonly string[]): Options | string {
  const o: Options = {
    count: 0,
    interval: 1,
    wait: 10,
    size: 56,
    ttl: 0,
    tos: 0,
    id: -1,
    quiet: false,
    source: 0,
    pmtudisc: 1,
    host: '',
  };
  for (let i = 1; i < argv.length; i++) {
    const a = argv[i]!;
    if (a === '-n') continue;
    if (a === '-q') o.quiet = true;
    else if (/^-[ciWstIeMQ]$/.test(a)) {
      const v = argv[++i] ?? '';
      const n = Number(v);
      if (a === '-I') {
        const s = aton(v);
        if (s === null) return `podwire: ping: -I expects a local address, found "${v}"`;
        o.source = s;
      } else if (a === '-M') {
        if (v !== 'do' && v !== 'want' && v !== 'dont') return `ping: invalid -M argument: ${v}`;
        o.pmtudisc = v === 'do' ? 2 : v === 'want' ? 1 : 0;
      } else if (WHOLE[a] !== undefined) {
        const bad = notWhole(v, ...WHOLE[a]);
        if (bad !== null) return bad;
        if (a === '-c') o.count = n;
        else if (a === '-s') o.size = n;
        else if (a === '-e') o.id = n;
        else if (n === 0) return 'ping: cannot set unicast time-to-live: Invalid argument';
        else o.ttl = n;
      } else if (v === '' || Number.isNaN(n) || n < 0) return `ping: invalid argument: '${v}'`;
      else if (a === '-i') o.interval = n;
      else if (a === '-W') o.wait = n;
      else {
        if (n > 255) return `ping: the decimal value of TOS bits must be in range 0-255: ${n}`;
        o.tos = n;
      }
    } else if (a.startsWith('-')) return `podwire: ping: option ${a} is not supported yet`;
    else o.host = a;
  }
  return o;
}

const EMSGSIZE = 90;
const ENOBUFS = 105;

const UNREACHABLE = [
  'Destination Net Unreachable', 'Destination Host Unreachable', 'Destination Protocol Unreachable',
  'Destination Port Unreachable', 'Frag needed and DF set', 'Source Route Failed', 'Destination Net Unknown',
  'Destination Host Unknown', 'Source Host Isolated', 'Destination Net Prohibited', 'Destination Host Prohibited',
  'Destination Net Unreachable for Type of Service', 'Destination Host Unreachable for Type of Service', 'Packet filtered',
  'Precedence Violation', 'Precedence Cutoff',
]; // prettier-ignore
const REDIRECTS = ['Network', 'Host', 'Type of Service and Network', 'Type of Service and Host'];

/** What an ICMP message says, as ping puts it (pr_icmph). */
function message(type: number, code: number, info: number): string {
  switch (type) {
    case icmp.DEST_UNREACH:
      if (code === icmp.FRAG_NEEDED) return `Frag needed and DF set (mtu = ${info})`;
      return UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`;
    case icmp.SOURCE_QUENCH:
      return 'Source Quench';
    case icmp.REDIRECT: {
      const what = REDIRECTS[code] === undefined ? `Redirect, Bad Code: ${code}` : `Redirect ${REDIRECTS[code]}`;
      return `${what}(New nexthop: ${ntoa(info)})`;
    }
    case icmp.TIME_EXCEEDED:
      if (code > 1) return `Time exceeded, Bad Code: ${code}`;
      return code === 0 ? 'Time to live exceeded' : 'Frag reassembly time exceeded';
    case icmp.PARAMETERPROB:
      return `Parameter problem: pointer = ${info}`;
    default:
      return `Bad ICMP type: ${type}`;
  }
}

/** Time of day at boot. */
const EPOCH = 1704067200n;

/** The data: a struct timeval (two little-endian 64-bit words), then 0x10, 0x11, … */
function payload(size: number, now: number): Uint8Array {
  const b = new Uint8Array(size);
  for (let i = 0; i < size; i++) b[i] = i;
  if (size >= 16) {
    const v = new DataView(b.buffer);
    v.setBigUint64(0, EPOCH + BigInt(Math.floor(now / SEC)), true);
    v.setBigUint64(8, BigInt(Math.floor((now % SEC) / 1000)), true);
  }
  return b;
}

export const ping: Program = (p) => {
  const o = parse(p.argv);
  const dst = typeof o === 'string' ? null : aton(o.host);
  if (typeof o === 'string' || dst === null) {
    p.err(typeof o === 'string' ? `${o}\n` : `ping: ${o.host}: Name or service not known\n`);
    return p.exit(typeof o === 'string' && o.startsWith('ping: invalid argument: ') ? 1 : 2);
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
  /** Sequence numbers that have been answered; a second answer is a duplicate. */
  private readonly answered = new Set<number>();
  private repeats = 0;
  /** A time of day in an answer was one to come. */
  private wentBack = false;
  private errors = 0;
  /** Times in a row that the device took no packet (oom_count). */
  private full = 0;
  /** When the first probe was tried, and the latest. */
  private readonly began: number;
  private tried: number;
  /** Highest sequence number that was answered. */
  private acked = 0;
  /** Most probes in flight when an answer came (pipesize). */
  private pipe = 0;
  private ended = false;
  private readonly next = new Timer(() => this.send());
  private readonly last = new Timer(() => this.finish());

  constructor(p: Proc, o: Options, dst: number) {
    this.p = p;
    this.o = o;
    this.dst = dst;
    this.began = this.tried = p.net.kernel.sim.now;
    this.sock = new IcmpSock(p.net);
    this.id = o.id >= 0 ? o.id : p.net.kernel.pid() & 0xffff;
  }

  start(): void {
    const { err } = this.sock.source(this.dst, this.o.source);
    if (err !== 0) {
      this.p.err(`ping: ${connectError(err)}\n`);
      this.sock.close();
      return this.p.exit(2);
    }
    this.sock.onReady = () => this.receive();
    this.p.onKill = () => this.sock.close();
    const from = this.o.source !== 0 ? `from ${ntoa(this.o.source)} : ` : '';
    this.p.out(`PING ${this.o.host} (${ntoa(this.dst)}) ${from}${this.o.size}(${this.o.size + 28}) bytes of data.\n`);
    this.send();
  }

  private send(): void {
    const { sim } = this.p.net.kernel;
    const seq = this.sentAt.length + 1;
    this.tried = sim.now;
    const opts = {
      pmtudisc: this.o.pmtudisc,
      saddr: this.o.source,
      tos: this.o.tos,
      ...(this.o.ttl > 0 ? { ttl: this.o.ttl } : {}),
    };
    const err = this.sock.sendEcho(
      this.dst,
      this.id,
      seq & 0xffff,
      payload(Math.min(this.o.size, 0xffff), sim.now),
      opts,
    );
    if (err === -ENOBUFS && this.fullQueue()) return sim.arm(this.next, sim.now + this.o.interval * SEC);
    if (err !== -ENOBUFS) this.full = 0;
    this.sentAt.push(sim.now);
    if (err !== 0) this.failed(err);
    if (this.ended) return;
    if (this.o.count === 0 || seq < this.o.count) sim.arm(this.next, sim.now + this.o.interval * SEC);
    else sim.arm(this.last, sim.now + this.linger());
  }

  /** How long to wait after the last probe: -W without any answer so far, else two round trips (__schedule_exit). */
  private linger(): number {
    if (this.answered.size === 0) return this.o.wait * SEC;
    return Math.max(2e6 * Math.max(...this.rtts), this.o.interval * SEC);
  }

  /** The device takes no more: the same probe is tried again, until that has gone on for as long as an answer is waited for. */
  private fullQueue(): boolean {
    this.full++;
    return this.full * Math.min(0.5, this.o.interval / 2) < this.o.wait;
  }

  /**
   * sendmsg() failed: the packet counts as sent. iputils tells of an error it finds in the error queue and of a full device
   * only; what a firewall or a route refuses it passes over in silence (pinger, receive_error_msg).
   */
  private failed(err: number): void {
    if (err === -EMSGSIZE) {
      this.errors++;
      if (!this.o.quiet) this.p.err(`ping: local error: message too long, mtu=${this.sock.mtu}\n`);
    } else if (err === -ENOBUFS && !this.o.quiet) this.p.err('ping: sendmsg: No buffer space available\n');
    this.enough();
  }

  private receive(): void {
    for (let e = this.sock.recvError(); e !== null; e = this.sock.recvError()) {
      if (e.dst !== this.dst || e.id !== this.id) continue;
      this.errors++;
      this.acknowledge(e.seq);
      if (!this.o.quiet) this.p.out(`From ${ntoa(e.src)} icmp_seq=${e.seq} ${message(e.type, e.code, e.info)}\n`);
    }
    for (let m = this.sock.recv(); m !== null; m = this.sock.recv()) {
      const d = m.data;
      const type = d[0]!;
      if (type === icmp.ECHOREPLY && icmp.id(d, 0) === this.id) this.reply(m);
      else if ((type === icmp.REDIRECT || type === icmp.SOURCE_QUENCH) && this.quotesUs(d) && !this.o.quiet) {
        const seq = icmp.seq(d, icmp.HLEN + ipv4.headerLen(d, icmp.HLEN));
        this.p.out(`From ${ntoa(m.src)}: icmp_seq=${seq} ${message(type, d[1]!, i32(d, icmp.REST))}\n`);
      }
      // Nothing is on its way any more: what waits in the socket is read later, or never.
      if (this.acked === this.sentAt.length) this.enough();
      if (this.ended) return;
    }
    this.enough();
  }

  /** gather_statistics: an answer, or one said twice. Debian's ping looks at no checksum, so that damaged ones count too. */
  private reply(m: IcmpMessage): void {
    const d = m.data;
    const seq = icmp.seq(d, 0);
    const timing = this.o.size >= 16 && d.length >= icmp.HLEN + 16;
    const rtt = timing ? this.roundTrip(d) : 0;
    this.rtts.push(rtt);
    this.acknowledge(seq);
    const again = this.answered.has(seq);
    if (again) this.repeats++;
    else this.answered.add(seq);
    if (this.o.quiet) return;
    const time = timing ? ` time=${rttText(rtt)} ms` : '';
    const what = `${again ? ' (DUP!)' : ''}${this.wrongData(d)}`;
    this.p.out(`${d.length} bytes from ${ntoa(m.src)}: icmp_seq=${seq} ttl=${m.ttl}${time}${what}\n`);
  }

  /** Milliseconds since the time that the answer carries; a time to come is 0, and told (twice when it is the first one). */
  private roundTrip(d: Uint8Array): number {
    const v = new DataView(d.buffer, d.byteOffset + icmp.HLEN, 16);
    const sent = (v.getBigInt64(0, true) - EPOCH) * 1000000n + v.getBigInt64(8, true);
    const us = BigInt.asIntN(64, BigInt(Math.floor(this.p.net.kernel.sim.now / 1000)) - sent);
    if (us >= 0n) return Number(us) / 1e3;
    const warning = `ping: Warning: time of day goes back (${us}us), taking countermeasures\n`;
    this.p.err(this.wentBack ? warning : warning + warning);
    this.wentBack = true;
    return 0;
  }

  /** The first byte of the data that is not what was sent, and then all of them. */
  private wrongData(d: Uint8Array): string {
    const { size } = this.o;
    for (let i = 16; i < size; i++) {
      const [is, was] = [d[icmp.HLEN + i] ?? 0, i & 255];
      if (is === was) continue;
      let s = `\nwrong data byte #${i} should be 0x${was.toString(16)} but was 0x${is.toString(16)}`;
      for (let k = 16; k < size; k++) {
        if (k % 32 === 16) s += `\n#${k}\t`;
        s += `${(d[icmp.HLEN + k] ?? 0).toString(16)} `;
      }
      return s;
    }
    return '';
  }

  /** As many answers and errors as packets were asked for. */
  private enough(): void {
    if (this.ended) return;
    if (this.o.count > 0 && this.answered.size + this.errors >= this.o.count) this.finish();
  }

  private acknowledge(seq: number): void {
    this.pipe = Math.max(this.pipe, this.sentAt.length - seq + 1);
    this.acked = Math.max(this.acked, seq);
  }

  private quotesUs(d: Uint8Array): boolean {
    const inner = icmp.HLEN;
    const t = inner + ipv4.headerLen(d, inner);
    if (d.length < inner + ipv4.HLEN + 8 || d.length < t + 8) return false;
    return icmp.type(d, t) === icmp.ECHO && ipv4.dst(d, inner) === this.dst && icmp.id(d, t) === this.id;
  }

  private finish(): void {
    const { sim } = this.p.net.kernel;
    sim.cancel(this.next);
    sim.cancel(this.last);
    this.sock.close();
    const sent = this.sentAt.length;
    const got = this.answered.size;
    this.ended = true;
    const ms = Math.floor((this.tried - this.began) / 1e6);
    this.p.out(`\n--- ${this.o.host} ping statistics ---\n`);
    const repeats = this.repeats > 0 ? `+${this.repeats} duplicates, ` : '';
    const errors = this.errors > 0 ? `+${this.errors} errors, ` : '';
    const loss = Number((((sent - got) * 100) / sent).toPrecision(6));
    this.p.out(`${sent} packets transmitted, ${got} received, ${repeats}${errors}${loss}% packet loss, time ${ms}ms\n`);
    const sums: string[] = [];
    // Without room for the time of day in the data there is nothing to measure.
    if (got > 0 && this.o.size >= 16) {
      const n = this.rtts.length;
      const avg = this.rtts.reduce((a, b) => a + b, 0) / n;
      const dev = Math.sqrt(Math.max(0, this.rtts.reduce((a, b) => a + b * b, 0) / n - avg * avg));
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
