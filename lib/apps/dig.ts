/**
 * `dig`, BIND 9.18 (bin/dig/dighost.c): every try on a socket of its own, DF clear, the next server after the tries.
 *
 * A truncated answer is asked for again over TCP. Not here: TSIG, `+trace`, `+keepopen`, zone transfers, DNSSEC, IDN.
 * @module
 */
import { type DnsMessage, packDns, optRr, RCODE, TC, validName } from '../../wire/dns.js';
import { unpackDns } from '../../wire/dns-unpack.js';
import { aton, ntoa } from '../../wire/inet.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import { calendarTime } from '../sim/calendar.js';
import { SEC, Timer } from '../sim/sim.js';
import { digArgs, type DigOptions, type Lookup, VERSION } from './dig-args.js';
import { tcpLink, udpLink } from './dig-link.js';
import { messageText, shortText } from './dig-text.js';
import { getAddrInfo } from './netdb.js';
import type { Proc, Program } from './program.js';
import { Resolver } from './resolver.js';

const ERRORS: Record<number, string> = { 99: 'address not available', 101: 'network unreachable', 111: 'connection refused', 113: 'host unreachable' }; // prettier-ignore

export const dig: Program = (p) => {
  const o = digArgs(p.argv.slice(1));
  if (o === 'version') {
    p.err(`DiG ${VERSION}\n`);
    return p.exit(0);
  }
  if ('error' in o) {
    p.out(o.said);
    p.err(o.error);
    return p.exit(o.code);
  }
  p.err(o.warnings);
  const r = new Resolver(p);
  const start = (servers: number[]): void => new Dig(p, o, r, servers).run(0);
  if (o.server === null) return start(r.conf.servers);
  const address = aton(o.server);
  if (address !== null) return start([address]);
  getAddrInfo(p, r, o.server, [4], (_status, host) => {
    if (host !== null) return start(host.addresses.map((b) => b.reduce((x, y) => (x << 8) | y, 0)));
    p.err(`dig: couldn't get address for '${o.server}': ${_status === 'again' ? 'failure' : 'not found'}\n`);
    p.exit(1);
  });
};

/** `Mon Jan 01 …` as strftime prints it, UTC. */
function whenText(ns: number): string {
  const t = calendarTime(EPOCH_SEC + Math.floor(ns / 1e9));
  return `${t.weekday} ${t.mon} ${t.day} ${t.time} UTC ${t.year}`;
}

class Dig {
  private readonly p: Proc;
  private readonly o: DigOptions;
  private readonly r: Resolver;
  private readonly servers: number[];
  private readonly cookie: string;
  private banner: string;
  private code = 0;
  /** Whether the latest try got as far as sending. */
  private setup = true;

  constructor(p: Proc, o: DigOptions, r: Resolver, servers: number[]) {
    this.p = p;
    this.o = o;
    this.r = r;
    this.servers = servers;
    const rng = p.net.kernel.rng('dns-cookie');
    this.cookie = Array.from({ length: 8 }, () => rng.below(256).toString(16).padStart(2, '0')).join('');
    const count = `; (${servers.length} server${servers.length === 1 ? '' : 's'} found)\n`;
    const global = `;; global options:${o.lookups[0]!.short ? ' +short' : ''}${o.printCmd ? ' +cmd' : ''}\n`;
    this.banner = `\n; <<>> DiG ${VERSION} <<>> ${p.argv.slice(1).join(' ')}\n${o.serverFirst ? count : ''}${global}`;
  }

  run(i: number): void {
    const l = this.o.lookups[i];
    if (l === undefined) return this.p.exit(this.code);
    const names = this.names(l);
    const done = (): void => this.run(i + 1);
    if (typeof names === 'string') {
      this.p.err(names);
      return this.p.exit(10);
    }
    this.lookup(l, names, 0, done);
  }

  /** The names to ask in order, or a message. */
  private names(l: Lookup): string[] | string {
    const bare = l.name.replace(/\.$/, '');
    const asIs = bare === '' ? '.' : `${bare}.`;
    if (/^\.|\.\./.test(l.name) && l.name !== '.') return `dig: '${l.name}' is not a legal name (empty label)\n`;
    if (!validName(asIs)) return `dig: '${l.name}' is not a legal name (label too long)\n`;
    if (!this.o.search || l.name.endsWith('.')) return [asIs];
    const { conf } = this.r;
    const list = this.o.domain !== null ? [this.o.domain] : conf.search;
    const listed = list.map((s) => `${bare}.${s.replace(/\.?$/, '.')}`);
    const ndots = this.o.ndots >= 0 ? this.o.ndots : conf.ndots;
    return bare.split('.').length - 1 >= ndots ? [asIs, ...listed] : [...listed, asIs];
  }

  private lookup(l: Lookup, names: string[], k: number, done: () => void): void {
    const query = this.query(l, names[k]!);
    const bytes = packDns(query, false);
    const attempt = (server: number, left: number): void => {
      const address = this.servers[server];
      if (address === undefined) return this.unreachable(done);
      this.exchange(l, query, bytes, address, (reply, ms) => {
        if (reply === null) return left > 1 ? attempt(server, left - 1) : attempt(server + 1, l.tries);
        const m = unpackDns(reply);
        if (m === null) {
          this.p.err(`podwire: dig: the reply is malformed, which is not supported yet\n`);
          return this.p.exit(2);
        }
        if ((m.flags & TC) !== 0 && !l.ignore && !l.tcp) {
          if (l.show.comments) this.p.out(';; Truncated, retrying in TCP mode.\n');
          return this.lookup({ ...l, tcp: true, tries: left }, names, k, done);
        }
        const rcode = m.flags & 15;
        if (rcode === RCODE.SERVFAIL && !l.servfailStops) {
          this.p.out(
            `;; Got SERVFAIL reply from ${ntoa(address)}${server + 1 < this.servers.length ? ', trying next server' : ''}\n`,
          );
          if (server + 1 < this.servers.length) return attempt(server + 1, l.tries);
        }
        const goOn = rcode === RCODE.NXDOMAIN && k + 1 < names.length;
        if (!goOn || this.o.showSearch) this.print(l, m, reply.length, address, ms);
        if (goOn) this.lookup(l, names, k + 1, done);
        else done();
      });
    };
    attempt(0, l.tries);
  }

  private query(l: Lookup, name: string): DnsMessage {
    const q: DnsMessage = {
      id: l.qid >= 0 ? l.qid : this.p.net.kernel.rng('dns-id').u16(),
      flags: l.flags | (l.opcode << 11),
      question: [{ name, type: l.type, cls: l.cls }],
      answer: [],
      authority: [],
      additional: [],
    };
    if (l.edns < 0) return q;
    const options: [number, string][] = [...(l.nsid ? [[3, ''] as [number, string]] : [])];
    options.push(...l.options.filter(([c]) => c === 8));
    if (l.cookie !== null) options.push([10, l.cookie === '' ? this.cookie : l.cookie]);
    options.push(...l.options.filter(([c]) => c !== 8));
    const pack = (pad: number): DnsMessage => {
      const list = pad < 0 ? options : [...options, [12, '00'.repeat(pad)] as [number, string]];
      const hex = list
        .map(([c, h]) => c.toString(16).padStart(4, '0') + (h.length / 2).toString(16).padStart(4, '0') + h)
        .join('');
      const data = Uint8Array.from(hex.match(/../g) ?? [], (x) => Number.parseInt(x, 16));
      const flags = l.edns * 65536 + (l.ednsFlags | (l.dnssec ? 0x8000 : 0));
      return { ...q, additional: [optRr(l.size, flags, data)] };
    };
    if (l.padding === 0) return pack(-1);
    const size = packDns(pack(0), false).length;
    return pack((l.padding - (size % l.padding)) % l.padding);
  }

  /** One try. `done` gets null after a timeout or an error, which has been printed. */
  private exchange(
    l: Lookup,
    query: DnsMessage,
    bytes: Uint8Array,
    server: number,
    done: (reply: Uint8Array | null, ms: number) => void,
  ): void {
    const { sim } = this.p.net.kernel;
    const { o } = this;
    const at = `${ntoa(server)}#${o.port}`;
    const name = query.question[0]!.name.replace(/(.)\.$/, '$1');
    let started = sim.now;
    let sent = !l.tcp;
    const end = (reply: Uint8Array | null, why: string): void => {
      sim.cancel(timer);
      link.close();
      if (reply === null && sent) this.p.out(`;; communications error to ${at}: ${why}\n`);
      else if (reply === null) return this.notSetUp(`Connection to ${at}(${ntoa(server)}) for ${name}`, why, done);
      done(reply, Math.floor((sim.now - started) / 1e6));
    };
    const fits = (m: Uint8Array): boolean => m.length >= 12 && ((m[0]! << 8) | m[1]!) === query.id;
    const link = (l.tcp ? tcpLink : udpLink)(this.p, {
      reply: (m) => fits(m) && (end(m, ''), true),
      failed: (e) => end(null, e === 0 ? 'end of file' : (ERRORS[e] ?? `errno ${e}`)),
      ready: () => {
        started = sim.now;
        sent = true;
        if (l.query) this.print(l, query, bytes.length, server, -1);
        link.send(bytes);
      },
    });
    const timer = new Timer(() => end(null, 'timed out'));
    this.setup = true;
    sim.arm(timer, started + (l.time || (l.tcp ? 10 : 5)) * SEC);
    const bad = link.open(o.source, o.sourcePort, server, o.port);
    if (bad === 0) return;
    sim.cancel(timer);
    link.close();
    const what = l.tcp ? `Connection to ${at}` : `UDP setup with ${at}`;
    this.notSetUp(`${what}(${ntoa(server)}) for ${name}`, ERRORS[-bad] ?? `errno ${-bad}`, done);
  }

  /** A server that could not even be asked. */
  private notSetUp(what: string, why: string, done: (reply: null, ms: number) => void): void {
    this.p.out(`;; ${what} failed: ${why}.\n;; no servers could be reached\n`);
    this.code = 9;
    this.setup = false;
    done(null, 0);
  }

  private unreachable(done: () => void): void {
    this.code = 9;
    if (!this.setup) return done(); // said already
    this.takeBanner();
    this.p.out(';; no servers could be reached\n');
    done();
  }

  private takeBanner(): void {
    if (this.o.printCmd) this.p.out(this.banner);
    this.banner = '';
    this.o.printCmd &&= this.banner !== '';
  }

  /** `ms` -1: the query (+qr). */
  private print(l: Lookup, m: DnsMessage, size: number, server: number, ms: number): void {
    this.takeBanner();
    const sending = ms < 0;
    const sent = l.cookie === null ? null : l.cookie === '' ? this.cookie : l.cookie;
    if (l.short) {
      if (!sending) this.p.out(shortText(m, l, ntoa(server), ms));
      return;
    }
    this.p.out(messageText(m, l, sending, sent));
    if (sending) return l.show.stats ? this.p.out(`;; QUERY SIZE: ${size}\n\n`) : undefined;
    const where = `${ntoa(server)}#${this.o.port}(${this.o.server ?? ntoa(server)})`;
    const over = l.tcp ? 'TCP' : 'UDP';
    if (l.show.stats) {
      this.p.out(`;; Query time: ${ms} msec\n;; SERVER: ${where} (${over})\n`);
      this.p.out(`;; WHEN: ${whenText(this.p.net.kernel.sim.now)}\n;; MSG SIZE  rcvd: ${size}\n\n`);
    } else if (l.identify) this.p.out(`;; Received ${size} bytes from ${where} in ${ms} ms\n\n`);
  }
}
