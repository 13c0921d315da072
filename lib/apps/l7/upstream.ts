/**
 * Connections to upstreams: one request at a time on each, kept for the next one while their rules allow it.
 * @module
 */
import { BodyReader } from './body.js';
import type { Failure, UpstreamRules } from './controller.js';
import { HeadReader, readResponse, responseFraming } from './head.js';
import type { Alarm, Conn, ConnHandler, Endpoint, Io, Layer } from './io.js';
import { type Framing, persistent, type ResponseHead } from './message.js';

const LIMITS = { maxLine: 65536, maxHead: 1 << 20, maxFields: 10000 };
const NOTHING = new Uint8Array(0);

/** What came of a response in one read. */
export interface Arrival {
  /** With its first bytes; the framing that the body comes in. */
  readonly head: ResponseHead | null;
  readonly framing: Framing;
  readonly data: Uint8Array;
  /** The response is whole. */
  readonly whole: boolean;
}

/** Who waits for a response. */
export interface Exchange {
  /** The method of its request. */
  readonly method: string;
  /** The connection stands: the request may be sent. */
  ready(on: Upstream): void;
  arrived(a: Arrival): void;
  /** Interim responses (1xx). */
  interim?(head: ResponseHead): void;
  /** No response, or half of one. */
  failed(kind: Failure['kind'], errno: number): void;
  drained(): void;
}

const key = (to: Endpoint, pool: string): string => `${to.address}:${to.port}/${pool}`;

/** The connections of one proxy. */
export class UpstreamPool {
  readonly io: Io;
  readonly rules: UpstreamRules;
  /** Idle connections, the one used last at the end. */
  private readonly idle = new Map<string, Upstream[]>();
  private readonly order = new Set<Upstream>();

  constructor(io: Io, rules: UpstreamRules) {
    this.io = io;
    this.rules = rules;
  }

  /** The idle connection used last, or a new one. `exchange.ready` is called at once for an idle one, later for a new one. */
  take(
    to: Endpoint,
    name: string,
    how: { layer?: Layer; source?: number; connectNs: number },
    exchange: Exchange,
  ): Upstream {
    const k = key(to, name);
    const last = this.idle.get(k)?.pop();
    if (last !== undefined) {
      this.unlist(last);
      last.reuse(exchange);
      return last;
    }
    return new Upstream(this, k, to, how, exchange);
  }

  /** Keeps an idle connection, or closes it; the one idle for longest goes where there are too many. */
  keep(u: Upstream): void {
    if (this.rules.idle === 0) return u.close();
    if (this.order.size >= this.rules.idle) {
      const oldest = this.order.values().next().value!;
      this.forget(oldest);
      oldest.close();
    }
    const list = this.idle.get(u.key);
    if (list === undefined) this.idle.set(u.key, [u]);
    else list.push(u);
    this.order.add(u);
  }

  /** An idle connection is gone. */
  forget(u: Upstream): void {
    const list = this.idle.get(u.key);
    const at = list?.indexOf(u) ?? -1;
    if (at >= 0) list!.splice(at, 1);
    this.unlist(u);
  }

  private unlist(u: Upstream): void {
    this.order.delete(u);
    if (this.idle.get(u.key)?.length === 0) this.idle.delete(u.key);
  }
}

/** One connection to an upstream. */
export class Upstream implements ConnHandler {
  readonly key: string;
  readonly to: Endpoint;
  /** The request that is on it now went out on a connection that had been idle. */
  reused = false;
  private readonly pool: UpstreamPool;
  private readonly bornNs: number;
  private conn: Conn | null = null;
  private exchange: Exchange | null;
  private up = false;
  private served = 0;
  private reader: HeadReader | null = null;
  private head: ResponseHead | null = null;
  private framing: Framing = { kind: 'none' };
  private body: BodyReader | null = null;
  private alarm: Alarm | null;
  private readNs = 0;
  /** The request has been sent in full. */
  private requested = false;
  private over = false;

  constructor(
    pool: UpstreamPool,
    k: string,
    to: Endpoint,
    how: { layer?: Layer; source?: number; connectNs: number },
    exchange: Exchange,
  ) {
    this.pool = pool;
    this.key = k;
    this.to = to;
    this.exchange = exchange;
    this.bornNs = pool.io.now();
    this.alarm = pool.io.alarm(how.connectNs, () => this.fail('connect-timeout', 110));
    const above = (conn: Conn): ConnHandler => {
      this.conn = conn;
      return this;
    };
    const options = how.source === undefined ? {} : { source: how.source };
    pool.io.connect(to, (conn) => (how.layer === undefined ? above(conn) : how.layer(conn, above)), options);
  }

  /** Takes the next request. */
  reuse(exchange: Exchange): void {
    this.rest();
    this.exchange = exchange;
    this.reused = true;
    this.start();
  }

  get pending(): number {
    return this.conn?.pending ?? 0;
  }

  send(bytes: Uint8Array): void {
    this.conn?.send(bytes);
  }

  /** The request is out: the answer may take `readNs` between two reads (0: for ever). */
  sent(readNs: number): void {
    this.requested = true;
    this.readNs = readNs;
    if (this.exchange !== null && this.up) this.patience();
  }

  pause(): void {
    this.conn?.pause();
  }

  resume(): void {
    this.conn?.resume();
  }

  /** Ends the connection without a word to whoever waits. */
  close(): void {
    if (this.over) return;
    this.over = true;
    this.rest();
    this.exchange = null;
    this.conn?.close();
  }

  open(): void {
    if (this.over) return;
    this.up = true;
    this.start();
  }

  data(bytes: Uint8Array): void {
    const n = this.pool.rules.readBytes;
    for (let i = 0; i < bytes.length && !this.over; i += n) this.piece(bytes.subarray(i, i + n));
  }

  private piece(bytes: Uint8Array): void {
    const e = this.exchange;
    // Bytes that nobody asked for: the connection cannot be trusted.
    if (e === null) return this.dropIdle();
    if (this.requested) this.patience();
    let at = 0;
    let head: ResponseHead | null = null;
    while (this.body === null) {
      if (!this.reader!.feed(bytes, at)) return;
      at = this.reader!.end;
      const h = this.reader!.refused === null ? readResponse(this.reader!.lines()) : null;
      const framing = h === null ? null : responseFraming(h, e.method);
      if (h === null || framing === null) return this.fail('invalid', 71);
      this.reader = new HeadReader(LIMITS);
      if (h.status < 200 && h.status !== 101) {
        e.interim?.(h);
        continue;
      }
      this.head = head = h;
      this.framing = framing;
      this.body = new BodyReader(framing);
    }
    this.arrive(e, head, bytes, at);
  }

  eof(): void {
    if (this.exchange === null) return this.dropIdle();
    if (this.body?.eof() === true) return this.finish(this.exchange, null, NOTHING, false);
    this.fail('closed', 104);
  }

  closed(errno: number): void {
    if (this.over) return;
    if (this.exchange === null) return this.dropIdle();
    this.fail(this.up ? 'closed' : 'refused', errno);
  }

  drained(): void {
    this.exchange?.drained();
  }

  private start(): void {
    this.rest();
    this.served++;
    this.requested = false;
    this.head = this.body = null;
    this.reader = new HeadReader(LIMITS);
    this.exchange!.ready(this);
  }

  private arrive(e: Exchange, head: ResponseHead | null, bytes: Uint8Array, at: number): void {
    const body = this.body!;
    const { data, used } = body.feed(bytes, at);
    if (body.bad) return this.fail('invalid', 71);
    if (body.done) return this.finish(e, head, data, used === bytes.length);
    if (head !== null || data.length > 0) e.arrived({ head, framing: this.framing, data, whole: false });
  }

  /** The response is whole; the connection stays when it may. */
  private finish(e: Exchange, head: ResponseHead | null, data: Uint8Array, clean: boolean): void {
    const { rules, io } = this.pool;
    const h = this.head!;
    this.rest();
    this.exchange = null;
    const young = this.served < rules.requests && io.now() - this.bornNs < rules.ageNs;
    const stays =
      clean && this.requested && young && persistent(h) && this.framing.kind !== 'close' && h.status !== 101;
    if (stays) {
      this.conn!.resume();
      this.pool.keep(this);
      if (!this.over) this.alarm = io.alarm(rules.idleNs, () => this.dropIdle());
    } else this.close();
    e.arrived({ head, framing: this.framing, data, whole: true });
  }

  private fail(kind: Failure['kind'], errno: number): void {
    const e = this.exchange;
    this.close();
    e?.failed(kind, errno);
  }

  private dropIdle(): void {
    if (this.over) return;
    this.pool.forget(this);
    this.close();
  }

  private patience(): void {
    this.rest();
    if (this.readNs > 0) this.alarm = this.pool.io.alarm(this.readNs, () => this.fail('timeout', 110));
  }

  private rest(): void {
    this.alarm?.cancel();
    this.alarm = null;
  }
}
