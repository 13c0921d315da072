/**
 * What makes one proxy different from another: a Controller decides on each request and transforms what passes. The core
 * (proxy.ts) does the rest: connections, parsing, framing, keep-alive, retries, time-outs.
 * @module
 */
import type { Endpoint, Layer, TlsInfo } from './io.js';
import type { Framing, RequestHead, ResponseHead } from './message.js';

/** The client's side of a request. */
export interface Downstream {
  readonly local: Endpoint;
  readonly peer: Endpoint;
  /** Where the client wanted to go before this machine turned it (SO_ORIGINAL_DST). */
  readonly originalDst: Endpoint;
  readonly tls: TlsInfo | null;
  /** The listener's port as the program was told, which is what headers say. */
  readonly port: number;
  /** From 0, on this connection. */
  readonly nth: number;
  /** The connection may stay after this request: the client allows it and the rules too. */
  readonly keep: boolean;
}

/** A whole response of the controller's own. `head` says everything but the body; HEAD gets no body. */
export interface Answer {
  readonly head: ResponseHead;
  readonly body: Uint8Array;
  /** Close the connection after it. */
  readonly close: boolean;
  /** Body and head are writes of their own. */
  readonly apart?: boolean;
}

/** Why an attempt at an upstream failed. */
export interface Failure {
  /** `refused`: no connection; `timeout`: no answer in time; `closed`: it ended before the head was whole; `invalid`: what came is no HTTP. */
  readonly kind: 'refused' | 'connect-timeout' | 'timeout' | 'closed' | 'invalid';
  readonly errno: number;
  /** The connection was an idle one of the pool. */
  readonly reused: boolean;
  /** Bytes of the request had been sent. */
  readonly sent: boolean;
}

/** A request on its way to an upstream. Kept by the core for one request. */
export interface Forward {
  /** Where to go first, or after `failure` at the last of `tried`; null: give up. */
  next(tried: readonly Endpoint[], failure: Failure | null): Endpoint | null;
  /** The head for the upstream, framing fields included; `body` is how it will be delimited. Called per attempt. */
  request(body: Framing): RequestHead;
  /** `whole`: the body is read before anything is sent and goes with Content-Length; `stream`: it goes as it comes. */
  readonly body: 'whole' | 'stream';
  /** The longest body of the request, in bytes; a longer one gets `refuse('body')`. */
  readonly maxBody: number;
  readonly connectNs: number;
  /** No byte for so long: given up. 0: never. */
  readonly readNs: number;
  /** Bind to this address (Envoy's inbound 127.0.0.6); absent: the kernel's choice. */
  readonly source?: number;
  /** What lies between the connection and HTTP (TLS to the upstream). Connections are pooled by `pool`. */
  readonly layer?: Layer;
  /** Connections are shared among requests with the same endpoint and pool name. */
  readonly pool?: string;
  /**
   * The head for the client, framing fields included, and how the body is to be delimited. `body` is how it comes;
   * `close`: the connection to the client ends after it.
   */
  response(head: ResponseHead, body: Framing, keep: boolean): { head: ResponseHead; body: Framing; close: boolean };
  /** Every upstream has failed. */
  failed(last: Failure): Answer;
  /**
   * The endpoint that `next` gave last is not used any more, after `ns` nanoseconds: the response is whole, the client has gone, or
   * an upstream failed when the request could not be made again. Not told where `next` hears of the failure instead.
   */
  done?(endpoint: Endpoint, ns: number): void;
}

/** Own answers to requests with a body may come before it (`respond`) or need it (`read`, of at most `maxBody` bytes). */
export type Decision =
  | { readonly respond: Answer }
  | { readonly read: (body: Uint8Array) => Answer; readonly maxBody: number }
  | { readonly forward: Forward };

/** Why a request is refused before it is decided on. */
export type Refusal =
  /** No request line, no field line, no body that HTTP knows. */
  | 'bad'
  /** HTTP, but not 1.x. */
  | 'version'
  | 'line-too-long'
  | 'head-too-long'
  /** HTTP/1.1 without Host. */
  | 'no-host'
  /** Several Host fields, or one that is no host. */
  | 'bad-host'
  /** Content-Length that is no number, several that differ, a Transfer-Encoding that is not chunked. */
  | 'bad-length'
  | 'unknown-coding'
  /** The body is longer than allowed. */
  | 'body'
  /** The head did not come in time. */
  | 'timeout';

export interface ClientRules {
  /** Bytes of the request line and of the whole head. */
  readonly maxLine: number;
  readonly maxHead: number;
  readonly maxFields: number;
  /** A head that is not whole after so long. */
  readonly headNs: number;
  /** An idle connection is closed after so long. */
  readonly idleNs: number;
  /** Requests on one connection; after the last one it closes. */
  readonly requests: number;
  /** What Content-Length beside `Transfer-Encoding: chunked` means. */
  readonly both: 'bad' | 'chunked';
  /**
   * How writes of a response are grouped. `joined`: what comes at once goes at once; `nginx`: so, but the last chunk alone; `go`:
   * through net/http's buffers, a chunked one flushed after its head and after every chunk.
   */
  readonly writes: 'joined' | 'nginx' | 'go';
}

export interface UpstreamRules {
  /** Idle connections kept, in all. */
  readonly idle: number;
  readonly idleNs: number;
  /** Requests on one connection. */
  readonly requests: number;
  /** Age at which a connection is not taken again. */
  readonly ageNs: number;
  /** The body of a request is a write of its own. */
  readonly bodyApart: boolean;
  /** Bytes of a response taken at once; what comes with them is handed on before the next are. */
  readonly readBytes: number;
}

export interface Controller {
  readonly client: ClientRules;
  readonly upstream: UpstreamRules;
  decide(request: RequestHead, from: Downstream, body: Framing): Decision;
  /** The answer to what cannot be decided on; null: close without a word. `request` where its head could be read. */
  refuse(why: Refusal, from: Downstream, request: RequestHead | null): Answer | null;
}
