/**
 * What ping makes of what it receives: answers, errors and the names in them (iputils ping/ping.c, ping_common.c).
 * @module
 */
import { i32 } from '../../wire/bytes.js';
import * as icmp from '../../wire/icmp.js';
import { ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import type { IcmpErrorMessage, IcmpMessage } from '../linux/ipv4/raw.js';
import { SEC } from '../sim/sim.js';
import { getHostByAddr } from './netdb.js';
import type { PingOptions } from './ping-args.js';
import { type PingStats, rttText } from './ping-stats.js';
import { headerText, icmpText, optionAddresses, OptionsText } from './ping-text.js';
import type { Proc } from './program.js';
import { Resolver } from './resolver.js';

/** Time of day at boot, seconds since 1970. */
export const EPOCH = BigInt(EPOCH_SEC);

export class PingReceiver {
  /** The target, and whether it may be many. */
  dst = 0;
  multicast = false;
  private readonly p: Proc;
  private readonly o: PingOptions;
  private readonly outpack: Uint8Array;
  private readonly id: number;
  private readonly stats: PingStats;
  private readonly options: OptionsText;
  private readonly resolver: Resolver;
  /** No more names are asked for. */
  private exiting = false;
  /** Ends the look-up that is under way. */
  private abandon: (() => void) | null = null;

  /** `outpack`: the data as sent; `id`: the identifier of the probes. */
  constructor(p: Proc, o: PingOptions, outpack: Uint8Array, id: number, stats: PingStats) {
    this.p = p;
    this.o = o;
    this.outpack = outpack;
    this.id = id;
    this.stats = stats;
    this.options = new OptionsText(o.flood);
    this.resolver = new Resolver(p);
  }

  /** The time to wait is over: a look-up is given up. True when there was one; what waited for it goes on. */
  giveUp(): boolean {
    this.exiting = true;
    const { abandon } = this;
    abandon?.();
    return abandon !== null;
  }

  /** The error queue's entry is about a probe of this ping. */
  isOurError(e: IcmpErrorMessage): boolean {
    return e.dst === this.dst && e.id === this.id;
  }

  /** What an ICMP error says; `done` when it is told. */
  error(e: IcmpErrorMessage, done: () => void): void {
    if (!this.isOurError(e)) return done();
    // As the real ping evaluates it: quiet and flooding ones ask for no name.
    const asks = !this.o.quiet && !this.o.flood;
    this.names(asks ? [e.src] : [], (name) => {
      this.tellError(e, name);
      done();
    });
  }

  tellError(e: IcmpErrorMessage, name: (a: number) => string): void {
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

  /** What a received message says (ping4_parse_reply); `done` when it is told. */
  message(m: IcmpMessage, done: () => void): void {
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

  /** -D: what stands before a line. */
  timeOfDay(): string {
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
      this.abandon = null;
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
    this.abandon = () => {
      this.resolver.abandon();
      end();
    };
    next(0);
  }
}
