/**
 * `ping` as iputils 20221126 sends and prints it (raw ICMP socket, DF set, 56 bytes of data). One thread that blocks: while a
 * name is looked up, nothing is sent or read.
 * @module
 */
import { i32, put32 } from '../../wire/bytes.js';
import * as icmp from '../../wire/icmp.js';
import { isMulticast, ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import type { Netdev } from '../linux/core/netdev.js';
import { PMTUDISC_DO } from '../linux/ipv4/ip-output.js';
import { type IcmpErrorMessage, type IcmpMessage, IcmpSock } from '../linux/ipv4/raw.js';
import { SEC, Timer } from '../sim/sim.js';
import { strerror } from './errno.js';
import { hostAddresses } from './hosts.js';
import { getHostByAddr, inetAton } from './netdb.js';
import { parsePing, type PingOptions } from './ping-args.js';
import { PingStats, rttText } from './ping-stats.js';
import { headerText, icmpText, optionAddresses, OptionsText } from './ping-text.js';
import type { Proc, Program } from './program.js';
import { Resolver } from './resolver.js';

const EACCES = 13;
const EMSGSIZE = 90;
const ENETUNREACH = 101;
const ENOBUFS = 105;
const EHOSTUNREACH = 113;

/** Time of day at boot. */
const EPOCH = BigInt(EPOCH_SEC);
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
  private readonly options: OptionsText;
  private readonly resolver: Resolver;
  /** Bytes of options as they are counted and printed. */
  private optLen = 0;
  private multicast = false;
  private exiting = false;
  private ended = false;
  /** A look-up is under way. */
  private busy = false;
  /** What to do when it has to be given up. */
  private giveUp: (() => void) | null = null;
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
    this.options = new OptionsText(o.flood);
    this.resolver = new Resolver(p);
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
    this.multicast = o.broadcast || isMulticast(this.dst);
    sock.pmtudisc = o.pmtudisc >= 0 ? o.pmtudisc : this.multicast ? PMTUDISC_DO : sock.pmtudisc;
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
    if (this.giveUp !== null) this.giveUp();
    else this.run();
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
      this.handle((done) => this.error(e, done));
      return true;
    }
    const m = this.sock.recv();
    if (m === null) return false;
    this.handle((done) => this.message(m, done));
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
      this.p.out(`${this.timeOfDay()}no answer yet for icmp_seq=${stats.sent % 0x10000}\n`);
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
    if (!this.isOurError(e)) return 'again';
    // A name for its sender would be looked up here; nothing is known to depend on that.
    this.tellError(e, ntoa);
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

  private isOurError(e: IcmpErrorMessage): boolean {
    return e.dst === this.dst && e.id === this.id;
  }

  private error(e: IcmpErrorMessage, done: () => void): void {
    if (!this.isOurError(e)) return done();
    // As the real ping evaluates it: quiet and flooding ones ask for no name.
    const asks = !this.o.quiet && !this.o.flood;
    this.names(asks ? [e.src] : [], (name) => {
      this.tellError(e, name);
      done();
    });
  }

  private tellError(e: IcmpErrorMessage, name: (a: number) => string): void {
    const { o, stats } = this;
    stats.acknowledge(e.seq);
    stats.errors++;
    if (o.quiet) return;
    if (o.flood) this.p.out('\bE');
    else {
      const text = icmpText(e.type, e.code, e.info, name);
      this.p.out(`${this.timeOfDay()}From ${name(e.src)} icmp_seq=${e.seq} ${text}\n`);
    }
  }

  /** ping4_parse_reply. */
  private message(m: IcmpMessage, done: () => void): void {
    const d = m.data;
    const { o } = this;
    const type = d[0]!;
    if (type === icmp.ECHOREPLY && icmp.id(d, 0) === this.id) {
      const asked = o.quiet || o.flood ? [] : optionAddresses(m.options, m.options.length);
      this.names([m.src, ...asked], (name) => {
        this.reply(m, name);
        done();
      });
    } else if ((type === icmp.REDIRECT || type === icmp.SOURCE_QUENCH) && this.quotesUs(d) && !o.quiet && !o.flood) {
      const info = i32(d, icmp.REST);
      this.names(type === icmp.REDIRECT ? [m.src, info] : [m.src], (name) => {
        const seq = icmp.seq(d, icmp.HLEN + ipv4.headerLen(d, icmp.HLEN));
        const text = icmpText(type, d[1]!, info, name);
        this.p.out(`${this.timeOfDay()}From ${name(m.src)}: icmp_seq=${seq} ${text}\n`);
        if (o.verbose) this.p.out(headerText(d, icmp.HLEN, this.options, name));
        done();
      });
    } else done();
  }

  /** gather_statistics: an answer, or one said twice. Debian's ping looks at no checksum, so that damaged ones count too. */
  private reply(m: IcmpMessage, name: (a: number) => string): void {
    const d = m.data;
    const { o, stats, p } = this;
    const seq = icmp.seq(d, 0);
    stats.acknowledge(seq);
    const timing = o.size >= 16;
    const us = timing && d.length >= icmp.HLEN + 16 ? this.roundTrip(m) : 0;
    if (timing && d.length >= icmp.HLEN + 16) stats.time(us);
    const again = stats.answer(seq);
    if (o.quiet) return;
    if (o.flood) return p.out(`\b \b${o.audible ? '\x07' : ''}`);
    p.out(`${this.timeOfDay()}${d.length} bytes from ${name(m.src)}: icmp_seq=${seq}`);
    if (o.verbose) p.out(` ident=${this.id}`);
    p.out(` ttl=${m.ttl}`);
    if (d.length < o.size + 8) return p.out(' (truncated)\n');
    if (timing) p.out(` time=${rttText(us)} ms`);
    if (again && (!this.multicast || o.verbose)) p.out(' (DUP!)');
    if (!this.multicast && m.src !== this.dst) p.out(' (DIFFERENT ADDRESS!)');
    const bell = o.audible ? '\x07' : '';
    p.out(`${this.wrongData(d)}${bell}${this.options.text(m.options, m.options.length, name)}\n`);
  }

  /** Microseconds since the time that the answer carries; a time to come is 0, and told (twice when it is the first one). */
  private roundTrip(m: IcmpMessage): number {
    const d = m.data;
    const v = new DataView(d.buffer, d.byteOffset + icmp.HLEN, 16);
    const sent = (v.getBigInt64(0, true) - EPOCH) * 1000000n + v.getBigInt64(8, true);
    const us = BigInt.asIntN(64, BigInt(Math.floor(m.at / 1000)) - sent);
    if (us >= 0n) return Number(us);
    const warning = `ping: Warning: time of day goes back (${us}us), taking countermeasures\n`;
    this.p.err(this.stats.wentBack ? warning : warning + warning);
    this.stats.wentBack = true;
    return 0;
  }

  /** The first byte of the data that is not what was sent, and then all of them. */
  private wrongData(d: Uint8Array): string {
    const { size } = this.o;
    for (let i = 16; i < size; i++) {
      const [is, was] = [d[icmp.HLEN + i] ?? 0, this.outpack[i]!];
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

  private quotesUs(d: Uint8Array): boolean {
    const inner = icmp.HLEN;
    const t = inner + ipv4.headerLen(d, inner);
    if (d.length < inner + ipv4.HLEN + 8 || d.length < t + 8) return false;
    return icmp.type(d, t) === icmp.ECHO && ipv4.dst(d, inner) === this.dst && icmp.id(d, t) === this.id;
  }

  /** -D. */
  private timeOfDay(): string {
    if (!this.o.timeOfDay) return '';
    const { now } = this.p.net.kernel.sim;
    const us = String(Math.floor((now % SEC) / 1000)).padStart(6, '0');
    return `[${EPOCH + BigInt(Math.floor(now / SEC))}.${us}] `;
  }

  /** The texts of addresses (pr_addr): each is looked up anew, unless numbers were asked for or it is time to end. */
  private names(list: readonly number[], then: (name: (a: number) => string) => void): void {
    const found = new Map<number, string>();
    const text = (a: number): string => found.get(a) ?? ntoa(a);
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      this.giveUp = null;
      then(text);
    };
    const next = (i: number): void => {
      if (over) return;
      const a = list[i];
      if (a === undefined || this.o.numeric || this.exiting) return end();
      const bytes = Uint8Array.of(a >>> 24, (a >>> 16) & 255, (a >>> 8) & 255, a & 255);
      getHostByAddr(this.p, this.resolver, bytes, (status, host) => {
        // Where no server answers, getnameinfo() fails; where none knows the name, it gives the number.
        if (!over && status !== 'again') found.set(a, `${host === null ? ntoa(a) : host.canonical} (${ntoa(a)})`);
        next(i + 1);
      });
    };
    this.giveUp = () => {
      this.resolver.abandon();
      end();
    };
    next(0);
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
