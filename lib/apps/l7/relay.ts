/**
 * One request on its way through a proxy: attempts at upstreams, the request's body there, the response back.
 * @module
 */
import { chunk, LAST_CHUNK } from './body.js';
import type { Failure, Forward } from './controller.js';
import { type Endpoint, HIGH_WATER } from './io.js';
import { bytesOf, type Framing, joined, NO_BODY, ofLength, type RequestHead, requestText } from './message.js';
import type { ClientConn } from './proxy.js';
import type { Arrival, Exchange, Upstream } from './upstream.js';
import { responseWriter, type ResponseWriter } from './writer.js';

/** Relays one request and its response between a client and the upstreams of a Forward. */
export class Relay implements Exchange {
  readonly forward: Forward;
  readonly method: string;
  /** The head of the response has been sent to the client. */
  responding = false;
  private readonly client: ClientConn;
  private readonly request: RequestHead;
  private readonly keep: boolean;
  /** How the body goes to the upstream. */
  private framing: Framing;
  /** Body bytes that the upstream has not been given. */
  private waiting: Uint8Array[] = [];
  private size = 0;
  private bodyDone = false;
  /** Bytes of a streamed body have gone: the request cannot be made again. */
  private spent = false;
  private upstream: Upstream | null = null;
  private ready_ = false;
  private headSent = false;
  private readonly tried: Endpoint[] = [];
  private startedNs = 0;
  private writer: ResponseWriter | null = null;
  private close = false;
  private over = false;

  constructor(client: ClientConn, forward: Forward, request: RequestHead, framing: Framing, keep: boolean) {
    this.client = client;
    this.forward = forward;
    this.request = request;
    this.method = request.method;
    this.framing = framing;
    this.keep = keep;
  }

  /** The upstream's buffers are full: no more body for now. */
  get full(): boolean {
    if (this.forward.body === 'whole' || this.over) return false;
    return this.ready_ ? (this.upstream?.pending ?? 0) > HIGH_WATER : this.size > HIGH_WATER;
  }

  /** Begins; `bodyDone`: the request has no body. */
  start(bodyDone: boolean): void {
    this.bodyDone = bodyDone;
    if (bodyDone || this.forward.body === 'stream') this.attempt(null);
  }

  /** A part of the request's body. */
  body(data: Uint8Array, done: boolean): void {
    if (this.over) return;
    this.bodyDone = done;
    this.size += data.length;
    if (this.size > this.forward.maxBody && !this.responding) {
      this.cancel();
      return this.client.tooLong(this.request);
    }
    if (data.length > 0) this.waiting.push(this.forward.body === 'whole' ? data.slice() : data);
    if (this.forward.body === 'stream') {
      if (this.ready_) this.sendBody();
    } else if (done) {
      this.framing = this.framing.kind === 'none' ? NO_BODY : ofLength(this.size);
      this.attempt(null);
    }
  }

  clientDrained(): void {
    this.upstream?.resume();
  }

  cancel(): void {
    if (!this.over) this.leave();
    this.over = true;
    this.upstream?.close();
    this.upstream = null;
  }

  ready(on: Upstream): void {
    this.upstream = on;
    this.ready_ = true;
    this.sendBody();
  }

  drained(): void {
    if (!this.bodyDone) this.client.resume();
  }

  arrived(a: Arrival): void {
    if (a.head !== null) {
      const r = this.forward.response(a.head, a.framing, this.keep);
      this.close = r.close;
      this.writer = responseWriter(this.client.conn, this.client.proxy.controller.client.writes, r.head, r.body);
      this.responding = true;
    }
    this.writer!.data(a.data);
    if (a.whole) this.writer!.end();
    this.writer!.flush();
    if (a.whole) this.finish();
    else if (this.client.conn.pending > HIGH_WATER) this.upstream?.pause();
  }

  failed(kind: Failure['kind'], errno: number): void {
    if (this.over) return;
    const reused = this.upstream?.reused ?? false;
    const sent = this.headSent;
    this.upstream = null;
    this.ready_ = false;
    this.headSent = false;
    if (this.responding) return this.client.cut();
    const failure = { kind, errno, reused, sent };
    if (!this.spent) return this.attempt(failure);
    this.leave();
    this.giveUp(failure);
  }

  private attempt(failure: Failure | null): void {
    const to = this.forward.next(this.tried, failure);
    if (to === null) return this.giveUp(failure ?? { kind: 'refused', errno: 111, reused: false, sent: false });
    this.tried.push(to);
    const { pool } = this.client.proxy;
    this.startedNs = pool.io.now();
    const u = pool.take(to, this.forward.pool ?? '', this.forward, this);
    if (!this.over) this.upstream = u;
  }

  private giveUp(failure: Failure): void {
    this.over = true;
    this.client.answer(this.forward.failed(failure), this.method);
  }

  /** Sends the head once, and what there is of the body. */
  private sendBody(): void {
    const up = this.upstream!;
    const parts: Uint8Array[] = [];
    const apart = this.client.proxy.controller.upstream.bodyApart;
    if (!this.headSent) {
      this.headSent = true;
      const head = bytesOf(requestText(this.forward.request(this.framing)));
      if (apart) up.send(head);
      else parts.push(head);
    }
    if (this.waiting.length > 0) {
      const data = joined(this.waiting);
      parts.push(this.framing.kind === 'chunked' ? chunk(data) : data);
    }
    if (this.forward.body === 'stream') {
      this.spent ||= this.waiting.length > 0;
      this.waiting = [];
    }
    if (this.bodyDone && this.framing.kind === 'chunked') parts.push(LAST_CHUNK);
    if (parts.length > 0) up.send(joined(parts));
    if (this.bodyDone) up.sent(this.forward.readNs);
  }

  private finish(): void {
    this.over = true;
    this.upstream = null;
    this.leave();
    this.client.responded(this.close);
    this.client.resume();
  }

  /** Tells the Forward that its last endpoint is not used any more, where `next` is not asked again. */
  private leave(): void {
    const to = this.tried.at(-1);
    if (to !== undefined) this.forward.done?.(to, this.client.proxy.io.now() - this.startedNs);
  }
}
