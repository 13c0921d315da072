/**
 * `ping` as iputils 20221126 sends and prints it (raw ICMP socket, DF set, 56 bytes of data). One thread that blocks: while a
 * name is looked up, nothing is sent or read.
 * @module
 */
import { put32 } from '../../wire/bytes.js';
import * as icmp from '../../wire/icmp.js';
import { isMulticast, ntoa } from '../../wire/inet.js';
import type { Netdev } from '../linux/core/netdev.js';
import { PMTUDISC_DO } from '../linux/ipv4/ip-output.js';
import { IcmpSock } from '../linux/ipv4/raw.js';
import { SEC, Timer } from '../sim/sim.js';
import { strerror } from './errno.js';
import { hostAddresses } from './hosts.js';
import { inetAton } from './netdb.js';
import { parsePing, type PingOptions } from './ping-args.js';
import { EPOCH, PingReceiver } from './ping-receive.js';
import { PingStats } from './ping-stats.js';
import type { Proc, Program } from './program.js';

const EACCES = 13;
const EMSGSIZE = 90;
const ENETUNREACH = 101;
const ENOBUFS = 105;
const EHOSTUNREACH = 113;

/** Shortest pause, ms (MININTERVAL). */
const MIN_INTERVAL = 10;
const atLeast = (ms: number): number => Math.max(MIN_INTERVAL, ms);

/** rmem_max: what a socket's receive buffer can be set to. */
const RMEM_MAX = 212992;

export const ping: Program = (p) => {
  const o = parsePing(p.argv);
  if ('exit' in o) {
    p.err(o.err);
    return p.exit(o.exit);
  }
  const outpack = pack(p, o);
  if (outpack === null) return p.exit(2);
  const die = (text: string): void => {
    p.err(`ping: ${text}\n`);
    p.exit(2);
  };
  const target = o.hops.at(-1)!;
  if (o.verbose) {
    const [six, family] = o.inet ? ['-1 (socktype: 0)', 'AF_INET'] : ['4 (socktype: SOCK_RAW)', 'AF_UNSPEC'];
    p.err(`ping: sock4.fd: 3 (socktype: SOCK_RAW), sock6.fd: ${six}, hints.ai_family: ${family}\n\n`);
  }
  resolve(p, o.hops, 0, [], (addresses, canonical, failed) => {
    if (failed !== null) return die(failed);
    const hops = addresses.slice(0, -1).map((a) => a[0]!);
    const list = addresses.at(-1)!;
    if (o.verbose) for (const _ of list) p.out(`ai->ai_family: AF_INET, ai->ai_canonname: '${canonical}'\n`);
    const numeric = inetAton(target) !== null;
    if (numeric) o.numeric = true;
    for (const [i, to] of list.entries()) {
      const s = new Session(p, o, outpack, numeric ? target : canonical, to, hops);
      const err = s.open(i < list.length - 1);
      if (err === null) return s.start();
      if (err !== '') return die(err);
    }
  });
};

/** Addresses of every hop, the last one's canonical name, and what went wrong. */
function resolve(
  p: Proc,
  hops: readonly string[],
  i: number,
  done: number[][],
  then: (addresses: number[][], canonical: string, failed: string | null) => void,
): void {
  // The target comes first (main), then the hops on the way (ping4_run).
  const at = i === 0 ? hops.length - 1 : i - 1;
  hostAddresses(p, hops[at]!, [4, 6], (found, canonical) => {
    if (typeof found === 'string') return then([], '', `${hops[at]}: ${found}`);
    const list = [...done, found];
    if (i < hops.length - 1) return resolve(p, hops, i + 1, list, (a, _, e) => then(a, canonical, e));
    then([...list.slice(1), list[0]!], canonical, null);
  });
}

/** The data of every request but its first 16 bytes, told where a pattern fills it (fill); null: the pattern is none. */
function pack(p: Proc, o: PingOptions): Uint8Array | null {
  const b = new Uint8Array(o.size);
  const { pattern } = o;
  if (pattern === null) {
    for (let i = 0; i < b.length; i++) b[i] = i;
    return b;
  }
  const bad = /[^0-9a-fA-F]/.exec(pattern);
  if (bad !== null) {
    p.err(`ping: patterns must be specified as hex digits: ${pattern.slice(bad.index)}\n`);
    return null;
  }
  const bytes = (pattern.slice(0, 32).match(/..?/g) ?? []).map((x) => Number.parseInt(x, 16));
  if (bytes.length > 0) for (let i = 0; i < b.length; i++) b[i] = bytes[i % bytes.length]!;
  if (!o.quiet) p.out(`PATTERN: 0x${bytes.map((x) => x.toString(16).padStart(2, '0')).join('')}\n`);
  return b;
}

class Session {
  private readonly p: Proc;
  private readonly o: PingOptions;
  private readonly outpack: Uint8Array;
  private readonly host: string;
  private dst: number;
  private readonly hops: number[];
  private readonly sock: IcmpSock;
  private readonly id: number;
  private readonly stats: PingStats;
  private readonly rx: PingReceiver;
  /** Bytes of options as they are counted and printed. */
  private optLen = 0;
  private exiting = false;
  private ended = false;
  /** A look-up is under way. */
  private busy = false;
  /** In the loop that reads without waiting. */
  private reading = false;
  private tokens = 0;
  /** Times in a row that the device took no packet (oom_count). */
  private full = 0;
  private alarmed = false;
  private readonly next = new Timer(() => this.run());
  private readonly alarm = new Timer(() => this.stop());

  constructor(p: Proc, o: PingOptions, outpack: Uint8Array, host: string, dst: number, hops: number[]) {
    this.p = p;
    this.o = o;
    this.outpack = outpack;
    this.host = host;
    this.dst = dst;
    this.hops = hops;
    this.sock = new IcmpSock(p.net);
    this.id = o.id >= 0 ? o.id : p.net.kernel.pid() & 0xffff;
    this.stats = new PingStats(p.net.kernel.sim.now);
    this.rx = new PingReceiver(p, o, outpack, this.id, this.stats);
  }

  /** Source, options, binding (ping4_run): null, what ping says before it ends, or '' where the next address is tried. */
  open(more: boolean): string | null {
    const { o, sock } = this;
    const fail = (text: string): string => (sock.close(), text);
    const dev = o.device === '' ? null : this.p.net.dev(o.device);
    if (o.device !== '' && dev === null) return fail(`SO_BINDTODEVICE ${o.device}: No such device`);
    sock.bindToDevice(dev);
    sock.tos = o.tos;
    sock.mark = o.mark;
    sock.broadcast = o.broadcast;
    if (o.source === 0) {
      const err = this.chooseSource(dev);
      if (err === -ENETUNREACH && more) return fail('');
      if (err === -EHOSTUNREACH && more) return fail('');
      if (err === -EACCES)
        return fail('Do you want to ping broadcast? Then -b. If not, check your local firewall rules');
      if (err !== 0) return fail(`connect: ${strerror(-err)}`);
    }
    if (this.dst === 0) this.dst = o.source;
    const multicast = o.broadcast || isMulticast(this.dst);
    this.rx.dst = this.dst;
    this.rx.multicast = multicast;
    sock.pmtudisc = o.pmtudisc >= 0 ? o.pmtudisc : multicast ? PMTUDISC_DO : sock.pmtudisc;
    if (o.strictSource) {
      const err = sock.bind(o.source);
      if (err !== 0) return fail(`bind: ${strerror(-err)}`);
    }
    const bad = this.setOptions();
    if (bad !== null) return fail(bad);
    if (o.ttl === 0) return fail('cannot set unicast time-to-live: Invalid argument');
    sock.ttl = o.ttl;
    return null;
  }

  /** The address that a datagram to the target would come from. */
  private chooseSource(dev: Netdev | null): number {
    const { o } = this;
    const to = this.hops[0] ?? this.dst;
    const { src, err, broadcast } = this.sock.source(to);
    if (err !== 0) return err;
    if (broadcast) {
      if (!o.broadcast) return -EACCES;
      this.p.err('WARNING: pinging broadcast address\n');
    }
    o.source = src;
    if (dev !== null && !dev.addrs.some((a) => a.addr === src)) {
      this.p.err(`ping: Warning: source address might be selected on device other than: ${o.device}\n`);
    }
    return 0;
  }

  /** IP_OPTIONS for -R, -T and a route of several hops: null or what ping says. */
  private setOptions(): string | null {
    const { o, hops } = this;
    let d: Uint8Array;
    if (o.recordRoute) d = Uint8Array.of(1, 7, 39, 4, ...new Array<number>(36).fill(0));
    else if (o.timestamp >= 0) {
      const n = o.timestamp === 3 ? 4 + hops.length * 8 : o.timestamp === 0 ? 40 : 36;
      d = new Uint8Array(n);
      d.set([68, n, 5, o.timestamp]);
      if (o.timestamp === 3) hops.forEach((a, i) => put32(d, 4 + i * 8, a));
    } else if (hops.length > 0) {
      d = new Uint8Array(4 + hops.length * 4);
      d.set([1, 131, 3 + hops.length * 4, 4]);
      hops.forEach((a, i) => put32(d, 4 + i * 4, a));
    } else return null;
    this.optLen = 40;
    const err = this.sock.setOptions(d);
    if (err !== 0) return `${o.timestamp >= 0 ? 'ts option' : 'record route'}: ${strerror(-err)}`;
    return null;
  }

  /** Says what it does and begins (setup, main_loop). */
  start(): void {
    const { p, o } = this;
    const { sim } = p.net.kernel;
    const room = o.size + 8 + Math.floor((o.size + 8 + 511) / 512) * (this.optLen + 260);
    if (room * o.preload > 2 * RMEM_MAX) p.err('ping: WARNING: probably, rcvbuf is not enough to hold preload\n');
    const from = o.device !== '' || o.strictSource ? `from ${ntoa(o.source)} ${o.device}: ` : '';
    p.out(`PING ${this.host} (${ntoa(this.dst)}) ${from}${o.size}(${o.size + 28 + this.optLen}) bytes of data.\n`);
    this.sock.onReady = () => this.wake();
    p.onKill = () => this.sock.close();
    if (o.deadline > 0) sim.arm(this.alarm, sim.now + o.deadline * SEC);
    this.run();
  }

  /** SIGALRM: the time to wait is over. A look-up is given up. */
  private stop(): void {
    this.exiting = true;
    if (!this.rx.giveUp()) this.run();
  }

  /** The socket has something, and recvmsg() was what ping waited in. */
  private wake(): void {
    if (!this.busy && !this.ended && this.read()) this.run();
  }

  /** main_loop until there is something to wait for. */
  private run(): void {
    const { sim } = this.p.net.kernel;
    while (!this.busy && !this.ended) {
      if (!this.reading) {
        const { o, stats } = this;
        const enough = o.count > 0 && stats.received + stats.errors >= o.count;
        if (this.exiting || enough || (o.deadline > 0 && stats.errors > 0)) return this.finish();
        let wait: number;
        do wait = this.scheduleExit(this.pinger());
        while (wait <= 0);
        // recvmsg() waits no longer than an interval (SO_RCVTIMEO).
        sim.arm(this.next, sim.now + Math.min(wait, atLeast(o.interval)) * 1e6);
      }
      const reading = this.reading;
      if (!this.read()) {
        if (!reading) return;
        this.reading = false;
      }
    }
  }

  /** Takes one error or message; true when there was one. It may leave `busy` behind. */
  private read(): boolean {
    const e = this.sock.recvError();
    if (e !== null) {
      this.handle((done) => this.rx.error(e, done));
      return true;
    }
    const m = this.sock.recv();
    if (m === null) return false;
    this.handle((done) => this.rx.message(m, done));
    return true;
  }

  private handle(work: (done: () => void) => void): void {
    this.busy = true;
    let now = true;
    work(() => {
      this.busy = false;
      // Nothing is on its way any more: back to the one that sends.
      this.reading = this.stats.inFlight() !== 0;
      if (!now) this.run();
    });
    now = false;
  }

  /** After the last probe: how long to wait for what is still out (__schedule_exit). */
  private scheduleExit(next: number): number {
    const { o, stats } = this;
    if (o.count === 0 || stats.sent < o.count || o.deadline > 0 || this.alarmed) return next;
    const us = stats.received > 0 ? Math.max(2 * stats.max, 1000 * o.interval) : o.linger * 1000;
    const { sim } = this.p.net.kernel;
    this.alarmed = us > 0;
    if (us > 0) sim.arm(this.alarm, sim.now + us * 1000);
    return Math.max(next, Math.floor(us / 1000));
  }

  /** Sends a probe if it is time (pinger): milliseconds until the next one. */
  private pinger(): number {
    const { o, stats } = this;
    if (this.exiting || (o.count > 0 && stats.sent >= o.count && o.deadline === 0)) return 1000;
    const { now } = this.p.net.kernel.sim;
    if (stats.tried < 0) {
      stats.tried = now;
      this.tokens = o.interval * (o.preload - 1);
    } else {
      let tokens = Math.floor((now - stats.tried) / 1e6);
      if (o.interval === 0 && tokens < MIN_INTERVAL && stats.inFlight() >= o.preload) return MIN_INTERVAL - tokens;
      tokens = Math.min(tokens + this.tokens, o.interval * o.preload);
      if (tokens < o.interval) return o.interval - tokens;
      stats.tried = now;
      this.tokens = tokens - o.interval;
    }
    if (o.outstanding && stats.sent > 0 && !stats.answered.has(stats.sent & 0xffff)) {
      this.p.out(`${this.rx.timeOfDay()}no answer yet for icmp_seq=${stats.sent % 0x10000}\n`);
    }
    return this.probe();
  }

  private probe(): number {
    const { o, stats } = this;
    for (;;) {
      stats.answered.delete((stats.sent + 1) & 0xffff);
      const err = this.sock.send(this.dst, this.request((stats.sent + 1) & 0xffff));
      if (err === 0) {
        this.full = 0;
        stats.advance();
        if (o.flood && !o.quiet) this.p.out('.');
        return o.interval - this.tokens;
      }
      let said = true;
      if (err === -ENOBUFS) {
        this.tokens = 0;
        const pause = Math.min(500, atLeast(Math.floor(o.interval / 2)));
        this.full++;
        if (this.full * pause < o.linger) return pause;
      } else {
        const what = this.errorOfSend(err);
        if (what === 'again') continue;
        said = what === 'told';
      }
      stats.advance();
      if (said && !o.quiet) {
        if (o.flood) this.p.out('E');
        else this.p.err(`ping: sendmsg: ${strerror(-err)}\n`);
      }
      this.tokens = 0;
      return atLeast(o.interval);
    }
  }

  /**
   * sendmsg() failed and counts as sent: what the error queue says is told, else nothing is. Where it holds an ICMP error,
   * sendmsg()'s own is told too.
   */
  private errorOfSend(err: number): 'silent' | 'told' | 'again' {
    const { o, stats } = this;
    if (err === -EMSGSIZE && this.sock.mtu > 0) {
      if (o.quiet) return 'silent';
      if (o.flood) this.p.out('E');
      else this.p.err(`ping: local error: message too long, mtu=${this.sock.mtu}\n`);
      stats.errors++;
      return 'silent';
    }
    const e = this.sock.recvError();
    if (e === null) return 'silent';
    if (!this.rx.isOurError(e)) return 'again';
    // A name for its sender would be looked up here; nothing is known to depend on that.
    this.rx.tellError(e, ntoa);
    return 'told';
  }

  /** An echo request as a whole: the time of day, then the pattern. */
  private request(seq: number): Uint8Array {
    const { now } = this.p.net.kernel.sim;
    const b = new Uint8Array(icmp.HLEN + Math.min(this.outpack.length, 0x10000));
    b.set(this.outpack.subarray(0, b.length - icmp.HLEN), icmp.HLEN);
    if (this.o.size >= 16) {
      const v = new DataView(b.buffer);
      v.setBigUint64(icmp.HLEN, EPOCH + BigInt(Math.floor(now / SEC)), true);
      v.setBigUint64(icmp.HLEN + 8, BigInt(Math.floor((now % SEC) / 1000)), true);
    }
    icmp.write(b, 0, b.length, icmp.ECHO, 0, this.id * 0x10000 + seq);
    return b;
  }

  private finish(): void {
    const { p, o, stats } = this;
    const { sim } = p.net.kernel;
    sim.cancel(this.next);
    sim.cancel(this.alarm);
    this.sock.close();
    this.ended = true;
    p.out(`\n--- ${this.host} ping statistics ---\n${stats.text(o.size >= 16, o.flood || o.interval === 0)}`);
    p.exit(stats.received === 0 || (o.deadline > 0 && stats.received < o.count) ? 1 : 0);
  }
}
