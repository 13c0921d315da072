/**
 * CoreDNS's forward plugin (plugin/forward, plugin/pkg/proxy): the order of the upstreams, retries, health checks.
 * Sockets and their reuse are the caller's (`DnsIo.exchange`).
 * @module
 */
import { type DnsMessage, packDns, QR, RCODE, RD, CD, TC, TYPE } from '../../../wire/dns.js';
import { unpackDns } from '../../../wire/dns-unpack.js';
import { matches } from './cache.js';
import type { ForwardConfig } from './corefile-forward.js';
import type { Transport } from './handler.js';
import { below, longestZone } from './zones.js';

export interface Upstream {
  address: number;
  port: number;
}

/** The world as CoreDNS needs it. Times are nanoseconds. */
export interface DnsIo {
  now(): number;
  after(ns: number, fire: () => void): void;
  /** 16 random bits: IDs and the choice of upstreams. */
  random(): number;
  /** 16 random bits for the order of records (`loadbalance`). */
  order(): number;
  /**
   * Sends a query and calls back once, with the first reply of the same ID or with null after `timeout` or an error. A
   * socket that got its reply is kept for the next query to this upstream within `expire`; 0: a fresh one, not kept.
   */
  exchange(
    to: Upstream,
    transport: Transport,
    query: Uint8Array,
    timeout: number,
    expire: number,
    done: (reply: Uint8Array | null) => void,
  ): void;
}

interface Proxy extends Upstream {
  fails: number;
  probing: boolean;
}

const READ_TIMEOUT = 2e9;
const DEADLINE = 5e9;
const HEALTH_TIMEOUT = 1e9;
/** CoreDNS tries again at once after an error that comes at once (port unreachable): thousands of times a second. */
const RETRY_PAUSE = 100e6;

export class ForwardPlugin {
  private readonly config: ForwardConfig;
  private readonly io: DnsIo;
  private readonly proxies: Proxy[];
  private robin = 0;
  private concurrent = 0;

  constructor(config: ForwardConfig, upstreams: Upstream[], io: DnsIo) {
    this.config = config;
    this.io = io;
    this.proxies = upstreams.map((u) => ({ ...u, fails: 0, probing: false }));
  }

  /** Whether this forward takes the name. */
  covers(name: string): boolean {
    const { from, except } = this.config;
    return below(name, from) >= 0 && (name.toLowerCase() === from || longestZone(except, name) === null);
  }

  /** The upstreams in the order they are tried (policy.go). */
  private order(policy: ForwardConfig['policy']): Proxy[] {
    const p = this.proxies;
    if (policy === 'sequential' || p.length < 2) return p;
    if (policy === 'round_robin') {
      const i = ++this.robin % p.length;
      return [p[i]!, ...p.slice(0, i), ...p.slice(i + 1)];
    }
    if (p.length === 2) return this.io.random() % 2 === 0 ? [p[1]!, p[0]!] : p;
    const out: Proxy[] = [];
    p.forEach((x, i) => out.splice(this.io.random() % (i + 1), 0, x));
    return out;
  }

  private down(p: Proxy): boolean {
    return this.config.maxFails > 0 && p.fails > this.config.maxFails;
  }

  /** Asks upstream; `write` gets the reply, `fail` the RCODE of there being none. */
  serve(
    q: DnsMessage,
    client: Transport,
    size: number,
    write: (m: DnsMessage) => void,
    fail: (rcode: number) => void,
  ): void {
    const { maxConcurrent } = this.config;
    if (maxConcurrent > 0 && this.concurrent >= maxConcurrent) return fail(RCODE.REFUSED);
    this.concurrent++;
    const end = (m: DnsMessage | number): void => {
      this.concurrent--;
      if (typeof m === 'number') fail(m);
      else write(m);
    };
    const list = this.order(this.config.policy);
    if (list.length === 0) return end(RCODE.SERVFAIL);
    const first = this.config.transport === 'tcp' ? 'tcp' : this.config.preferUdp ? 'udp' : client;
    const deadline = this.io.now() + DEADLINE;
    let i = 0;
    let fails = 0;
    const next = (): void => {
      for (;;) {
        if (this.io.now() >= deadline) return end(RCODE.SERVFAIL);
        if (i >= list.length) i = fails = 0;
        const p = list[i++]!;
        if (!this.down(p)) return ask(p, first);
        if (++fails < this.proxies.length) continue;
        if (this.config.failFast) return end(RCODE.SERVFAIL);
        return ask(this.order('random')[0]!, first);
      }
    };
    const ask = (p: Proxy, transport: Transport): void => {
      const id = this.io.random() & 0xffff;
      const start = this.io.now();
      this.io.exchange(p, transport, packDns({ ...q, id }, false), READ_TIMEOUT, this.config.expire, (bytes) => {
        const m = bytes === null ? null : readReply(bytes, transport === 'udp' ? Math.max(512, size) : 65535);
        const cut = m !== null && (m.flags & TC) !== 0 && transport === 'udp' && this.config.preferUdp;
        if (cut && m.id === id) return ask(p, 'tcp');
        if (m !== null && m.id === id) return end(matches(q, m) ? { ...m, id: q.id } : formErr(q));
        const spent = this.io.now() - start;
        if (fails >= this.proxies.length) end(RCODE.SERVFAIL);
        else if (spent >= RETRY_PAUSE) next();
        else this.io.after(RETRY_PAUSE - spent, next);
        if (this.config.maxFails > 0) this.probe(p); // a goroutine: after the next query
      });
    };
    next();
  }

  /** Checks an upstream until it answers (pkg/up): `. NS` on a fresh socket. */
  private probe(p: Proxy): void {
    if (p.probing) return;
    p.probing = true;
    const { healthDomain, healthRecursion, healthInterval, transport } = this.config;
    const check = (): void => {
      const query: DnsMessage = {
        id: this.io.random() & 0xffff,
        flags: healthRecursion ? RD : 0,
        question: [{ name: healthDomain, type: TYPE.NS, cls: 1 }],
        answer: [],
        authority: [],
        additional: [],
      };
      const over = transport === 'tcp' ? 'tcp' : 'udp';
      this.io.exchange(p, over, packDns(query, false), HEALTH_TIMEOUT, 0, (reply) => {
        if (reply !== null) {
          p.fails = 0;
          p.probing = false;
        } else {
          p.fails++;
          this.io.after(healthInterval, check);
        }
      });
    };
    check();
  }
}

/** A reply as read into a buffer of `size` bytes: one that is cut becomes an empty one with TC. */
function readReply(bytes: Uint8Array, size: number): DnsMessage | null {
  const m = unpackDns(bytes);
  if (m === null || bytes.length <= size) return m;
  return { ...m, flags: m.flags | TC, answer: [], authority: [], additional: [] };
}

/** Header and question with FORMERR (Msg.SetRcode). */
function formErr(q: DnsMessage): DnsMessage {
  return {
    ...q,
    flags: QR | (q.flags & (0x7800 | RD | CD)) | RCODE.FORMERR,
    answer: [],
    authority: [],
    additional: [],
  };
}
