/**
 * What Envoy as Istio configures a gateway does to the heads that pass: names in lower case, the client's fields in their order, its
 * own behind them.
 *
 * Upstream: envoy source/common/http/conn_manager_utility.cc (mutateRequestHeaders, use_remote_address), router.cc, header_parser.cc.
 * @module
 */
import { ntoa } from '../../../../wire/inet.js';
import type { Downstream } from '../../../apps/l7/controller.js';
import { CHUNKED, type Field, type Framing, type RequestHead, type ResponseHead, valueOf, wordsOf } from '../../../apps/l7/message.js'; // prettier-ignore
import { httpDate } from '../../../sim/calendar.js';
import { reasonOf } from '../../istio/envoy-headers.js';
import type { HeaderEdit } from '../types.js';

/** Hop-by-hop fields, and those by which only a proxy of the mesh may steer (cleanInternalHeaders). */
const STRIPPED = new Set([
  'connection', 'proxy-connection', 'keep-alive', 'upgrade', 'transfer-encoding', 'te', 'expect', 'x-forwarded-client-cert',
  'x-envoy-internal', 'x-envoy-external-address', 'x-envoy-decorator-operation', 'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node', 'x-envoy-expected-rq-timeout-ms', 'x-envoy-force-trace', 'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-ip-tags', 'x-envoy-max-retries', 'x-envoy-original-url', 'x-envoy-original-path', 'x-envoy-retriable-header-names',
  'x-envoy-retriable-status-codes', 'x-envoy-retry-on', 'x-envoy-retry-grpc-on', 'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-per-try-timeout-ms', 'x-envoy-upstream-rq-timeout-alt-response', 'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-attempt-count', 'x-envoy-peer-metadata', 'x-envoy-peer-metadata-id',
]); // prettier-ignore

/** A list of fields as Envoy's HeaderMap treats it: a field that is set stays where it stands. */
class Headers {
  readonly list: [string, string][];

  constructor(fields: readonly Field[]) {
    this.list = fields.map(([n, v]) => [n.toLowerCase(), v]);
  }

  set(name: string, value: string): void {
    const first = this.list.find(([n]) => n === name);
    if (first === undefined) this.list.push([name, value]);
    else {
      first[1] = value;
      const at = this.list.indexOf(first);
      for (let i = this.list.length - 1; i > at; i--) if (this.list[i]![0] === name) this.list.splice(i, 1);
    }
  }

  /** Appends to the value that there is. */
  append(name: string, value: string, by: string): void {
    const first = this.list.find(([n]) => n === name);
    if (first === undefined) this.list.push([name, value]);
    else first[1] += `${by}${value}`;
  }

  remove(names: (name: string) => boolean): void {
    for (let i = this.list.length - 1; i >= 0; i--) if (names(this.list[i]![0])) this.list.splice(i, 1);
  }

  edit(e: HeaderEdit): void {
    for (const [n, v] of e.set) this.set(n.toLowerCase(), v);
    for (const [n, v] of e.add) this.list.push([n.toLowerCase(), v]);
    const gone = new Set(e.remove.map((n) => n.toLowerCase()));
    this.remove((n) => gone.has(n));
  }
}

/** What the gateway knows of a request when it writes it. */
export interface Passing {
  readonly target: string;
  readonly requestId: string;
  readonly decorator: string;
  readonly peerMetadataId: string;
  readonly peerMetadata: string;
  readonly originalPath: string | null;
  readonly authority: string | null;
  readonly edits: readonly HeaderEdit[];
  /** From 1. */
  readonly attempt: number;
}

/** The request for the Pod. */
export function upstreamRequest(r: RequestHead, from: Downstream, p: Passing, body: Framing): RequestHead {
  const peer = ntoa(from.peer.address);
  const named = new Set(wordsOf(r.fields, 'connection'));
  const h = new Headers(r.fields.filter(([n]) => n.toLowerCase() !== 'host' && !named.has(n.toLowerCase())));
  h.remove((n) => STRIPPED.has(n));
  if (body.kind === 'length' && valueOf(h.list, 'content-length') === null) h.set('content-length', String(body.length)); // prettier-ignore
  h.append('x-forwarded-for', peer, ',');
  h.set('x-forwarded-proto', from.tls === null ? 'http' : 'https');
  h.set('x-envoy-external-address', peer);
  h.set('x-request-id', p.requestId);
  h.set('x-envoy-decorator-operation', p.decorator);
  h.set('x-envoy-peer-metadata-id', p.peerMetadataId);
  h.set('x-envoy-peer-metadata', p.peerMetadata);
  if (p.originalPath !== null) h.set('x-envoy-original-path', p.originalPath);
  for (const e of p.edits) h.edit(e);
  h.set('x-envoy-attempt-count', String(p.attempt));
  if (body.kind === 'chunked') h.set('transfer-encoding', 'chunked');
  const host: Field = ['host', p.authority ?? valueOf(r.fields, 'host') ?? ''];
  return { method: r.method, target: p.target, minor: 1, fields: [host, ...h.list] };
}

const RESPONSE_STRIPPED = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'x-envoy-upstream-service-time', 'x-envoy-decorator-operation', 'x-envoy-peer-metadata', 'x-envoy-peer-metadata-id', 'x-envoy-attempt-count']); // prettier-ignore

/** The response for the client. `serviceMs`: how long the Pod took; `minor`: of the request. */
export function clientResponse(
  r: ResponseHead,
  body: Framing,
  o: { now: number; keep: boolean; serviceMs: number; edits: readonly HeaderEdit[] },
): { head: ResponseHead; body: Framing; close: boolean } {
  const streamed = body.kind === 'chunked' || body.kind === 'close';
  const framing: Framing = streamed ? CHUNKED : body;
  const h = new Headers(r.fields);
  h.remove((n) => RESPONSE_STRIPPED.has(n) || (streamed && n === 'content-length'));
  h.set('x-envoy-upstream-service-time', String(o.serviceMs));
  for (const e of o.edits) h.edit(e);
  if (valueOf(h.list, 'date') === null) h.set('date', httpDate(o.now));
  h.set('server', 'istio-envoy');
  if (!o.keep) h.set('connection', 'close');
  if (framing.kind === 'chunked') h.set('transfer-encoding', 'chunked');
  return {
    head: { minor: 1, status: r.status, reason: reasonOf(r.status), fields: h.list },
    body: framing,
    close: !o.keep,
  };
}
