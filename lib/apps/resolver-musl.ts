/**
 * musl's stub resolver over UDP (src/network/lookup_name.c, res_msend.c, resolvconf.c; musl 1.2.5): what a container of
 * Alpine has. Every name is asked on a socket of its own, A and AAAA of every server at once; the first answer counts.
 *
 *   search ─▶ per name: ask ─▶ every timeout/attempts seconds: what is unanswered, to every server
 *
 * Unlike glibc it walks on to the next suffix only after NXDOMAIN. Not here: TCP, which musl uses with Fast Open (a truncated
 * answer ends the program with an error).
 * @module
 */
import { aton } from '../../wire/inet.js';
import { type DnsMessage, packDns, RCODE, TC, TYPE, validName } from '../../wire/dns.js';
import { unpackDnsPartly } from '../../wire/dns-unpack.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import { SEC, Timer } from '../sim/sim.js';
import type { Proc } from './program.js';
import { type Found, Resolver, type StubResolver } from './resolver.js';

/** A file that only musl has: where it stands in /etc, musl is the C library. */
export const MUSL_MARK = '/etc/ld-musl-x86_64.path';

export interface MuslConf {
  /** IPv4 addresses, at most three. */
  servers: number[];
  search: string[];
  ndots: number;
  /** Seconds in all, and how often within them. */
  timeout: number;
  attempts: number;
  /** What cannot be emulated, for the message; empty: nothing. */
  unsupported: string;
}

/** /etc/resolv.conf as musl reads it: three options, looked for anywhere in an `options` line. */
export function parseMuslConf(text: string | null): MuslConf {
  const c: MuslConf = { servers: [], search: [], ndots: 1, timeout: 5, attempts: 2, unsupported: '' };
  for (const line of (text ?? '').split('\n')) {
    if (line.length > 254) continue;
    const [key, ...args] = line.split(/\s+/);
    if (key === 'options') {
      const n = (name: string, most: number, old: number): number => {
        const m = new RegExp(`${name}:(\\d+)`).exec(line);
        return m === null ? old : Math.min(most, Number(m[1]));
      };
      c.ndots = n('ndots', 15, c.ndots);
      c.timeout = n('timeout', 60, c.timeout);
      c.attempts = n('attempts', 10, c.attempts);
      if (c.attempts === 0 || c.timeout === 0) c.unsupported ||= line.trim();
    } else if (key === 'nameserver' && c.servers.length < 3) {
      const a = aton(args[0] ?? '');
      if (a !== null) c.servers.push(a);
      else if (args[0]?.includes(':') === true) c.unsupported ||= `nameserver ${args[0]}`;
    } else if (key === 'search' || key === 'domain') c.search = args.filter((x) => x !== '');
  }
  if (c.servers.length === 0) c.servers.push(0x7f000001);
  return c;
}

/** The names that are tried one after the other; none: the name cannot be asked for. */
export function muslCandidates(name: string, c: MuslConf): string[] {
  const bare = name.replace(/\.$/, '');
  if (bare === '' || bare.endsWith('.')) return [];
  const dots = name.split('.').length - 1;
  const search = dots >= c.ndots || name.endsWith('.') ? [] : c.search;
  const fits = search.filter((s) => s.length < 256 - bare.length - 1);
  return [...fits.map((s) => `${bare}.${s}`), bare].map((n) => n.replace(/\.?$/, '.'));
}

/** The resolver of the C library that a process has. */
export const stubResolver = (p: Proc): StubResolver =>
  p.files.read(MUSL_MARK) === null ? new Resolver(p) : new MuslResolver(p);

/** The resolver of one process. */
export class MuslResolver implements StubResolver {
  readonly conf: MuslConf;
  readonly libc = 'musl';
  private readonly p: Proc;

  constructor(p: Proc) {
    this.p = p;
    this.conf = parseMuslConf(p.files.read('/etc/resolv.conf'));
  }

  /** Looks `name` up; `ok` only when there are addresses (or names, for PTR) of one of the types. */
  search(name: string, types: readonly number[], done: Found): void {
    const names = types[0] === TYPE.PTR ? [name] : muslCandidates(name, this.conf);
    const next = (i: number): void => {
      const n = names[i];
      if (n === undefined || !validName(n)) return done('notfound', []);
      this.ask(n, types, (replies) => {
        for (const m of replies) {
          if (m === null) return done('again', []);
          if ((m.flags & TC) !== 0) return this.truncated(n);
          const rcode = m.flags & 15;
          if (rcode === RCODE.NXDOMAIN) return next(i + 1);
        }
        const messages = (replies as DnsMessage[]).toReversed();
        const some = messages.some((m) => m.answer.some((r) => types.includes(r.type)));
        return some ? done('ok', messages) : done('nodata', []);
      });
    };
    next(0);
  }

  /** musl would go on over TCP with Fast Open. */
  private truncated(name: string): void {
    this.p.err(`podwire: the answer for ${name} is truncated, and musl's TCP (with Fast Open) is not supported yet\n`);
    this.p.exit(2);
  }

  /** `__res_msend`: one reply a question, null where none of use came in time. */
  private ask(name: string, types: readonly number[], done: (replies: (DnsMessage | null)[]) => void): void {
    const { sim } = this.p.net.kernel;
    const rng = this.p.net.kernel.rng('dns-id');
    const replies: (DnsMessage | null)[] = types.map(() => null);
    // The IDs come from the clock's nanoseconds: the second question is made a little later.
    const first = rng.u16();
    const ids = types.map((_, i) => (first + i * (100 + rng.below(80))) & 0xffff);
    const queries = types.map((type, i) => {
      const question = [{ name, type, cls: 1 }];
      return packDns({ id: ids[i]!, flags: 0x0100, question, answer: [], authority: [], additional: [] }, false);
    });
    const sock = new UdpSock(this.p.net, this.p.cred);
    const e = sock.bind(0, 0);
    const { servers, timeout, attempts } = this.conf;
    const interval = Math.floor((1000 * timeout) / attempts) * 1e6;
    const end = sim.now + timeout * SEC;
    let retries = 0;
    const finish = (): void => {
      sim.cancel(timer);
      sock.close();
      done(replies);
    };
    const timer = new Timer(() => (sim.now >= end ? finish() : round()));
    const round = (): void => {
      retries = 2 * types.length;
      queries.forEach((q, i) => {
        if (replies[i] === null) for (const s of servers) sock.send(q, s, 53);
      });
      sim.arm(timer, Math.min(end, sim.now + interval));
    };
    if (e !== 0) return finish();
    sock.onReady = () => {
      for (let d = sock.recv(); d !== null; d = sock.recv()) {
        if (d.data.length < 4 || d.sport !== 53 || !servers.includes(d.src)) continue;
        const id = (d.data[0]! << 8) | d.data[1]!;
        const i = ids.findIndex((x, k) => x === id && replies[k] === null);
        if (i < 0) continue;
        const rcode = d.data[3]! & 15;
        if (rcode === RCODE.SERVFAIL && retries > 0) {
          retries--;
          sock.send(queries[i]!, d.src, 53);
        }
        if ((rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) || d.data.length < 12) continue;
        replies[i] = unpackDnsPartly(d.data).message;
        if (!replies.includes(null)) return finish();
      }
    };
    round();
  }
}
