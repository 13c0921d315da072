/**
 * A proxy: connections of clients on one side, a Controller that decides, connections to upstreams on the other.
 *
 *   listen ─▶ ClientConn: head ─▶ Controller.decide ─┬─▶ Answer
 *                                                    └─▶ Relay (relay.ts): upstream ─▶ head, body ─▶ client
 *
 * Requests of one connection are served one after the other; what a client sends ahead waits, and once much waits is not read.
 * @module
 */
import { BodyReader } from './body.js';
import type { Answer, ClientRules, Controller, Downstream, Refusal } from './controller.js';
import { HeadReader, readRequest, requestFraming } from './head.js';
import {
  type Alarm,
  type Conn,
  type ConnHandler,
  type Endpoint,
  HIGH_WATER,
  type Io,
  type Layer,
  type Listener,
} from './io.js';
import {
  bytesOf,
  type Framing,
  joined,
  persistent,
  type RequestHead,
  responseText,
  valuesOf,
  wordsOf,
} from './message.js';
import { Relay } from './relay.js';
import { UpstreamPool } from './upstream.js';

/** How long a client may go on sending a body that nobody wants (lingering_timeout of nginx). */
const LINGER_NS = 5e9;
const NOTHING = new Uint8Array(0);
const CONTINUE = bytesOf('HTTP/1.1 100 Continue\r\n\r\n');

/** One proxy program: its controller, and the connections to upstreams that all its listeners share. */
export class Proxy {
  readonly io: Io;
  readonly controller: Controller;
  readonly pool: UpstreamPool;

  constructor(io: Io, controller: Controller) {
    this.io = io;
    this.controller = controller;
    this.pool = new UpstreamPool(io, controller.upstream);
  }

  /** Serves clients at `at`; `port`: as clients know it; `layers`: between the socket and HTTP, the one at the socket first. */
  serve(at: Endpoint, port: number, layers: readonly Layer[] = [], failed?: (errno: number) => void): Listener {
    const http = (conn: Conn): ConnHandler => new ClientConn(this, conn, port);
    const above = layers.reduceRight<(conn: Conn) => ConnHandler>((up, layer) => (conn) => layer(conn, up), http);
    return this.io.listen(at, above, failed);
  }
}

/** A body on its way to an own answer. */
interface Collect {
  readonly head: RequestHead;
  readonly parts: Uint8Array[];
  size: number;
  readonly max: number;
  readonly read: (body: Uint8Array) => Answer;
}

/** One client. */
export class ClientConn implements ConnHandler {
  readonly proxy: Proxy;
  readonly conn: Conn;
  private readonly port: number;
  private readonly rules: ClientRules;
  private input: Uint8Array = NOTHING;
  /** `body`: of a request that is decided on; `answer`: the request is whole, its response is not. */
  private state: 'head' | 'body' | 'answer' | 'over' = 'head';
  private reader: HeadReader;
  private body: BodyReader = new BodyReader({ kind: 'none' });
  private relay: Relay | null = null;
  private collect: Collect | null = null;
  private from: Downstream | null = null;
  private nth = 0;
  private alarm: Alarm | null = null;
  private waiting: 'idle' | 'head' | null = null;
  private stepping = false;

  constructor(proxy: Proxy, conn: Conn, port: number) {
    this.proxy = proxy;
    this.conn = conn;
    this.port = port;
    this.rules = proxy.controller.client;
    this.reader = new HeadReader(this.rules);
    this.wait('head', this.rules.headNs);
  }

  data(bytes: Uint8Array): void {
    if (this.state === 'over') return;
    this.input = this.input.length === 0 ? bytes : joined([this.input, bytes]);
    this.step();
    if (this.input.length > HIGH_WATER) this.conn.pause();
  }

  eof(): void {
    this.cut();
  }

  closed(): void {
    this.cut();
  }

  drained(): void {
    this.relay?.clientDrained();
  }

  /** Ends everything at once: the client has gone, or a response cannot go on. */
  cut(): void {
    this.rest();
    this.state = 'over';
    this.relay?.cancel();
    this.relay = null;
    this.conn.close();
  }

  /** The response is whole. `close`: the connection ends with it. */
  responded(close: boolean): void {
    this.relay = null;
    if (close) return this.finish();
    if (this.state === 'answer') this.next();
    // Else what is left of the request's body is read and dropped first.
  }

  /** Sends a whole response of the controller's own. */
  answer(a: Answer, method: string): void {
    this.write(a, method);
    this.responded(a.close);
    this.step();
  }

  private write(a: Answer, method: string | null): void {
    const head = bytesOf(responseText(a.head));
    const bare = method === 'HEAD' || a.body.length === 0;
    if (bare || a.apart === true) this.conn.send(head);
    if (!bare) this.conn.send(a.apart === true ? a.body : joined([head, a.body]));
  }

  /** The request's body is longer than allowed. */
  tooLong(request: RequestHead): void {
    this.relay = null;
    this.refuse('body', request);
  }

  /** Goes on after a pause that the upstream's full buffers made. */
  resume(): void {
    this.conn.resume();
    this.step();
  }

  private step(): void {
    if (this.stepping) return;
    this.stepping = true;
    while (this.advance());
    this.stepping = false;
    if (this.input.length <= HIGH_WATER && this.relay?.full !== true) this.conn.resume();
  }

  /** One step through the input; false when there is nothing to do with it now. */
  private advance(): boolean {
    if (this.state === 'body') return this.advanceBody();
    if (this.state !== 'head' || this.input.length === 0) return false;
    const input = this.input;
    if (!this.reader.feed(input, 0)) {
      this.input = NOTHING;
      if (this.reader.started && this.waiting === 'idle') this.wait('head', this.rules.headNs);
      return false;
    }
    if (this.reader.refused !== null) return this.refuse(this.reader.refused, null);
    this.input = input.subarray(this.reader.end);
    this.rest();
    const head = readRequest(this.reader.lines(), this.rules);
    if (typeof head === 'string') return this.refuse(head, null);
    return this.request(head);
  }

  private advanceBody(): boolean {
    if (this.relay?.full === true) return false;
    const { data, used } = this.body.feed(this.input, 0);
    this.input = this.input.subarray(used);
    if (this.body.bad) {
      if (this.relay === null || this.relay.responding) return this.stop();
      this.relay.cancel();
      this.relay = null;
      return this.refuse('bad', null);
    }
    const { done } = this.body;
    if (done) this.state = 'answer';
    const { relay, collect } = this;
    relay?.body(data, done);
    if (collect !== null) this.collected(collect, data, done);
    else if (done && relay === null) this.next();
    // The state may have changed in between.
    return used > 0 && (this.state as string) !== 'over';
  }

  private collected(c: Collect, data: Uint8Array, done: boolean): void {
    if (data.length > 0) c.parts.push(data);
    c.size += data.length;
    if (!done && c.size <= c.max) return;
    this.collect = null;
    if (c.size > c.max) this.refuse('body', c.head);
    else this.answer(c.read(c.parts.length === 0 ? NOTHING : joined(c.parts)), c.head.method);
  }

  private request(head: RequestHead): boolean {
    const { controller } = this.proxy;
    const hosts = valuesOf(head.fields, 'host');
    if (hosts.length > 1) return this.refuse('bad-host', head);
    if (hosts.length === 0 && head.minor > 0) return this.refuse('no-host', head);
    const framing = requestFraming(head, this.rules.both);
    if (typeof framing === 'string') return this.refuse(framing, head);
    this.body = new BodyReader(framing);
    this.state = this.body.done ? 'answer' : 'body';
    const from = this.downstream(persistent(head) && this.nth + 1 < this.rules.requests);
    const decision = controller.decide(head, from, framing);
    if ('respond' in decision) {
      this.answer(decision.respond, head.method);
      return true;
    }
    if ('read' in decision) {
      this.expect(head);
      const collect = { head, parts: [], size: 0, max: decision.maxBody, read: decision.read };
      if (this.body.done) this.collected(collect, NOTHING, true);
      else this.collect = collect;
      return true;
    }
    return this.forward(new Relay(this, decision.forward, head, framing, from.keep), framing, head);
  }

  private forward(relay: Relay, framing: Framing, head: RequestHead): boolean {
    if (framing.kind === 'length' && framing.length > relay.forward.maxBody) return this.refuse('body', head);
    this.expect(head);
    this.relay = relay;
    relay.start(this.body.done);
    return true;
  }

  /** A body is wanted: the client that waits for that word may send it. */
  private expect(head: RequestHead): void {
    if (this.state !== 'body' || head.minor === 0) return;
    if (wordsOf(head.fields, 'expect').includes('100-continue')) this.conn.send(CONTINUE);
  }

  private downstream(keep: boolean): Downstream {
    const { conn } = this;
    this.from = {
      local: conn.local, peer: conn.peer, originalDst: conn.originalDst(), tls: conn.tls, port: this.port, nth: this.nth, keep,
    }; // prettier-ignore
    return this.from;
  }

  private refuse(why: Refusal, request: RequestHead | null): boolean {
    this.rest();
    const a = this.proxy.controller.refuse(why, this.downstream(false), request);
    if (a === null) return this.stop();
    this.write(a, request?.method ?? null);
    // What the client goes on to send is nothing we could read: it is dropped.
    if (this.state !== 'answer') this.state = 'body';
    this.finish();
    return false;
  }

  private stop(): false {
    this.cut();
    return false;
  }

  private next(): void {
    this.nth++;
    this.state = 'head';
    this.reader = new HeadReader(this.rules);
    this.wait('idle', this.rules.idleNs);
  }

  /** Closes; a client that is still sending its body may read the answer first (lingering_close). */
  private finish(): void {
    this.rest();
    const sending = this.state === 'body';
    this.state = 'over';
    this.input = NOTHING;
    if (!sending) return this.conn.close();
    this.conn.end();
    this.conn.resume();
    this.alarm = this.proxy.io.alarm(LINGER_NS, () => this.conn.close());
  }

  private wait(what: 'idle' | 'head', ns: number): void {
    this.rest();
    this.waiting = what;
    if (ns > 0)
      this.alarm = this.proxy.io.alarm(ns, () => (what === 'idle' ? this.cut() : this.refuse('timeout', null)));
  }

  private rest(): void {
    this.alarm?.cancel();
    this.alarm = null;
    this.waiting = null;
  }
}
