/**
 * glibc's stub resolver: one query, or A and AAAA together (resolv/res_send.c, res_query.c; glibc 2.36).
 *
 *   search ─▶ per name: query ─▶ per attempt and server: sendDg; once truncated (or with use-vc): sendVc
 *
 * A socket is connected per server and kept over timeouts; any error or refusal closes all. Not here: `no-aaaa`.
 * @module
 */
import { type DnsMessage, optRr, packDns, RCODE, TC, TYPE, validName } from '../../wire/dns.js';
import { unpackDnsPartly } from '../../wire/dns-unpack.js';
import { ECONNREFUSED, UdpSock } from '../linux/ipv4/udp.js';
import { SEC, Timer } from '../sim/sim.js';
import type { Proc } from './program.js';
import { sendVc } from './resolver-vc.js';
import { candidates, parseResolvConf, type ResolvConf } from './resolv-conf.js';

/** How a search ended: netdb's h_errno. */
export type Status = 'ok' | 'notfound' | 'nodata' | 'again' | 'norecovery';
/** `messages`: the usable answers in the order they came. */
export type Found = (status: Status, messages: DnsMessage[]) => void;

/** What one round over all servers gave. */
export interface Sent {
  messages: DnsMessage[];
  /** No server could be asked at all (ECONNREFUSED). */
  refused: boolean;
  /** An answer was truncated: the servers are asked over TCP from now on. */
  circuit: boolean;
  /** RCODE of the last reply that was put aside. */
  rcode: number;
}

const EDNS_SIZE = 1200;

/** A C library's resolver as getaddrinfo and its like use it. */
export interface StubResolver {
  readonly libc: 'glibc' | 'musl';
  readonly conf: { unsupported: string };
  search(name: string, types: readonly number[], done: Found): void;
}

/** The resolver of one process. */
export class Resolver implements StubResolver {
  readonly libc = 'glibc';
  readonly conf: ResolvConf;
  private readonly p: Proc;
  private readonly socks: (UdpSock | null)[];
  private single: boolean;
  private reopen: boolean;
  private turn = -1;
  /** After `abandon()`. */
  abandoned = false;

  constructor(p: Proc) {
    this.p = p;
    this.conf = parseResolvConf(p.files.read('/etc/resolv.conf'));
    this.socks = this.conf.servers.map(() => null);
    this.single = this.conf.singleRequest;
    this.reopen = this.conf.singleRequestReopen;
  }

  /** Looks `name` up along the search list; two types are asked together, A first. */
  search(name: string, types: readonly number[], done: Found): void {
    const names = candidates(name, this.conf);
    let saved: Status | null = null;
    let nodata = false;
    let servfail = false;
    let tried = false;
    const end = (last: Status): void => done(saved ?? (nodata ? 'nodata' : servfail ? 'again' : last), []);
    const next = (i: number, last: Status, stop: boolean): void => {
      while (i < names.length && stop && !names[i]!.asIs) i++;
      const c = names[i];
      if (c === undefined || (c.asIs && tried)) return end(last);
      tried ||= c.asIs;
      if (!validName(c.name)) return next(i + 1, 'norecovery', true);
      this.query(c.name, types, (status, messages, sent) => {
        if (status === 'ok') return done(status, messages);
        if (sent.refused) {
          saved = null;
          nodata = servfail = false;
          return end('again');
        }
        if (c.asIs && i === 0 && names.length > 1) saved = status;
        else if (status === 'nodata') nodata = true;
        else if (status === 'again' && sent.rcode === RCODE.SERVFAIL) servfail = true;
        const over = status === 'norecovery' || (status === 'again' && sent.rcode !== RCODE.SERVFAIL);
        next(i + 1, status, !c.asIs && over);
      });
    };
    next(0, 'notfound', false);
  }

  /** `__res_context_query`: one name, one or two types. */
  private query(name: string, types: readonly number[], done: (s: Status, m: DnsMessage[], sent: Sent) => void): void {
    const rng = this.p.net.kernel.rng('dns-id');
    const queries = types.map((type): DnsMessage => ({
      id: rng.u16(),
      flags: 0x0100 | (this.conf.trustAd ? 0x20 : 0),
      question: [{ name, type, cls: 1 }],
      answer: [],
      authority: [],
      additional: this.conf.edns0 ? [optRr(EDNS_SIZE, 0, new Uint8Array(0))] : [],
    }));
    this.send(queries, (sent) => {
      const { messages } = sent;
      const first = messages[0];
      if (first === undefined) return done('again', [], sent);
      const rcode = first.flags & 15;
      sent.rcode = rcode;
      if (messages.some((m) => (m.flags & 15) === 0 && m.answer.length > 0)) done('ok', messages, sent);
      else if (rcode === RCODE.NXDOMAIN) done('notfound', [], sent);
      else if (rcode === RCODE.SERVFAIL) done('again', [], sent);
      else done(rcode === RCODE.NOERROR ? 'nodata' : 'norecovery', [], sent);
    });
  }

  /** `__res_context_send`: attempts over all servers until one of them gave something. */
  private send(queries: DnsMessage[], done: (sent: Sent) => void): void {
    const { servers, attempts, rotate } = this.conf;
    const n = servers.length;
    if (rotate && n > 1) this.turn = this.turn < 0 ? this.p.net.kernel.rng('dns-rotate').below(n) : (this.turn + 1) % n;
    const shift = Math.max(0, this.turn);
    const sent: Sent = { messages: [], refused: false, circuit: this.conf.useVc, rcode: 0 };
    let somewhere = false;
    let end = attempts * n;
    let errno = 0;
    const next = (k: number): void => {
      if (k >= end) {
        this.close();
        sent.refused = sent.circuit ? errno === ECONNREFUSED : !somewhere;
        return done(sent);
      }
      const ns = ((k % n) + shift) % n;
      if (sent.circuit) {
        end = (Math.floor(k / n) + 1) * n; // Over TCP no server is asked twice.
        return sendVc(this.p, this.conf.servers[ns]!, queries, (messages, e) => {
          errno = e;
          sent.messages = messages;
          if (messages.length === 0) next(k + 1);
          else done(sent);
        });
      }
      new Exchange(this.p, this, ns, queries, sent, (over, reached) => {
        somewhere ||= reached;
        if (!over) return next(k + 1);
        if (sent.circuit) return next(k);
        this.close();
        done(sent);
      }).start();
    };
    next(0);
  }

  /** Closes every socket (`__res_iclose`). */
  close(): void {
    this.socks.forEach((s, i) => {
      s?.close();
      this.socks[i] = null;
    });
  }

  /** The process stops in the middle of a look-up: nothing is asked any more, and nobody told. */
  abandon(): void {
    this.abandoned = true;
    this.close();
  }

  /** The connected socket to a server; null if it cannot be connected. */
  socket(ns: number): UdpSock | null {
    const old = this.socks[ns];
    if (old) return old;
    const s = new UdpSock(this.p.net, this.p.cred);
    s.recverr = true;
    if (s.connect(this.conf.servers[ns]!, 53) !== 0) {
      s.close();
      return null;
    }
    return (this.socks[ns] = s);
  }

  /** Seconds to wait for a server. */
  seconds(ns: number): number {
    const s = this.conf.timeout * 2 ** ns;
    return Math.max(1, ns > 0 ? Math.floor(s / this.conf.servers.length) : s);
  }

  get sequential(): boolean {
    return this.single;
  }
  get reopening(): boolean {
    return this.reopen;
  }
  /** After one of two answers stayed away: from now on one query after the other, then on a socket each. */
  degrade(): boolean {
    if (!this.single) this.single = true;
    else if (!this.reopen) {
      this.reopen = true;
      this.close();
    } else return false;
    return true;
  }
}

/** One try at one server (`send_dg`). */
class Exchange {
  private readonly p: Proc;
  private readonly r: Resolver;
  private readonly ns: number;
  private readonly queries: DnsMessage[];
  private readonly sent: Sent;
  private readonly done: (over: boolean, reached: boolean) => void;
  private readonly timer: Timer;
  private sock: UdpSock | null = null;
  private reached = false;
  /** Queries answered, one way or another. */
  private answered: boolean[] = [];
  private messages: DnsMessage[] = [];

  constructor(
    p: Proc,
    r: Resolver,
    ns: number,
    queries: DnsMessage[],
    sent: Sent,
    done: (over: boolean, reached: boolean) => void,
  ) {
    this.p = p;
    this.r = r;
    this.ns = ns;
    this.queries = queries;
    this.sent = sent;
    this.done = done;
    this.timer = new Timer(() => this.timeout());
  }

  start(): void {
    this.answered = this.queries.map(() => false);
    this.messages = [];
    this.open();
    if (this.sock === null) return this.fail();
    const { sim } = this.p.net.kernel;
    sim.arm(this.timer, sim.now + this.r.seconds(this.ns) * SEC);
    if (!this.transmit(0) || this.r.sequential || this.queries.length < 2) return;
    // sendmmsg() gave up before the second one, because the first was refused meanwhile: it is sent by itself.
    if (this.sendQuery(1) !== 0) this.transmit(1);
  }

  private open(): void {
    this.sock = this.r.socket(this.ns);
    if (this.sock !== null) this.sock.onReady = () => this.ready();
  }

  private sendQuery(i: number): number {
    return this.sock!.send(packDns(this.queries[i]!, false));
  }

  private transmit(i: number): boolean {
    if (this.sendQuery(i) === 0) return true;
    this.fail();
    return false;
  }

  private finish(over: boolean): void {
    this.p.net.kernel.sim.cancel(this.timer);
    if (this.sock !== null) this.sock.onReady = null;
    this.done(over, this.reached);
  }

  /** `close_and_return_error`: the next server is tried, on new sockets. */
  private fail(): void {
    this.finishClosed(false);
  }
  private finishClosed(over: boolean): void {
    this.p.net.kernel.sim.cancel(this.timer);
    this.r.close();
    this.done(over, this.reached);
  }

  private timeout(): void {
    if (this.r.abandoned) return;
    if (this.messages.length > 0 && this.answered.includes(true)) {
      if (this.r.degrade()) return this.start();
      this.sent.messages = this.messages;
      return this.finish(true);
    }
    this.reached = true;
    this.finish(false);
  }

  private ready(): void {
    const s = this.sock!;
    for (let d = s.recv(); d !== null; d = s.recv()) {
      if (this.receive(d.data)) return;
      if (this.sock !== s) return;
    }
    if (s.takeError() !== 0) this.fail();
  }

  /** Handles a datagram; true when this try is over. */
  private receive(data: Uint8Array): boolean {
    this.reached = true;
    if (data.length < 12) {
      this.fail();
      return true;
    }
    const { message: m } = unpackDnsPartly(data);
    const which = this.queries.findIndex((q, i) => !this.answered[i] && q.id === m.id && sameQuestion(q, m));
    if (which < 0) return false;
    const rcode = m.flags & 15;
    const lame =
      rcode === RCODE.NOERROR && m.answer.length === 0 && (m.flags & 0x0480) === 0 && m.additional.length === 0;
    if (rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP || rcode === RCODE.REFUSED || lame) {
      return this.refusal(which, rcode);
    }
    if ((m.flags & TC) !== 0) {
      this.sent.circuit = true;
      this.finishClosed(true);
      return true;
    }
    this.messages.push(m);
    return this.received(which);
  }

  private refusal(which: number, rcode: number): boolean {
    this.sent.rcode = rcode;
    if (this.answered.includes(true)) {
      this.sent.messages = this.messages;
      this.finish(this.messages.length > 0);
      return true;
    }
    if (this.queries.length === 1 || this.r.sequential) {
      this.fail();
      return true;
    }
    this.answered[which] = true;
    return false;
  }

  private received(which: number): boolean {
    this.answered[which] = true;
    const rest = this.answered.indexOf(false);
    if (rest < 0) {
      this.sent.messages = this.messages;
      this.finish(true);
      return true;
    }
    if (!this.r.sequential) return false;
    if (this.r.reopening) {
      this.r.close();
      this.open();
      if (this.sock === null) {
        this.fail();
        return true;
      }
    }
    return !this.transmit(rest);
  }
}

/** `__libc_res_queriesmatch`. */
function sameQuestion(q: DnsMessage, m: DnsMessage): boolean {
  const [a] = q.question;
  const [b, more] = m.question;
  if (b === undefined || more !== undefined) return false;
  return a!.name.toLowerCase() === b.name.toLowerCase() && a!.type === b.type && a!.cls === b.cls;
}

/** Record type of an address family's addresses. */
export const typeOf = (family: 4 | 6): number => (family === 4 ? TYPE.A : TYPE.AAAA);
