/**
 * What Traefik does to the heads that pass: Go's server, middlewares/forwardedheaders, httputil.ReverseProxy and Go's client, one after
 * the other. The fields of a Go program are a map: canonical names, in the order of the names.
 * @module
 */
import { ntoa } from '../../../../wire/inet.js';
import type { Downstream } from '../../../apps/l7/controller.js';
import { canonical, sorted } from '../../../apps/l7/go.js';
import { type Field, type Framing, HOP_BY_HOP, type RequestHead, type ResponseHead, valueOf, wordsOf } from '../../../apps/l7/message.js'; // prettier-ignore
import { httpDate } from '../../../sim/calendar.js';
import { relayed } from '../answers.js';

/** Of an untrusted client they are dropped, also with `_` for `-`. */
const FORWARDED = new Set([
  'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto', 'x-forwarded-server', 'x-forwarded-uri',
  'x-forwarded-method', 'x-forwarded-prefix', 'x-forwarded-tls-client-cert', 'x-forwarded-tls-client-cert-info', 'x-real-ip',
]); // prettier-ignore

/** Written by Go's client itself, first of all. */
const FIRST = new Set(['host', 'user-agent', 'content-length', 'transfer-encoding']);

/** Without the fields of this connection; `Te: trailers` stays. */
function endToEnd(fields: readonly Field[]): Field[] {
  const named = new Set(wordsOf(fields, 'connection'));
  const trailers = wordsOf(fields, 'te').includes('trailers');
  const kept = fields.filter(([n]) => {
    const name = n.toLowerCase();
    return !HOP_BY_HOP.has(name) && !named.has(name);
  });
  return trailers ? [...kept, ['Te', 'trailers']] : kept;
}

/** The request for the Pod. `server`: the name of Traefik's own Pod. */
export function upstreamRequest(
  r: RequestHead,
  from: Downstream,
  target: string,
  server: string,
  body: Framing,
): RequestHead {
  const host = valueOf(r.fields, 'host') ?? '';
  const scheme = from.tls === null ? 'http' : 'https';
  const peer = ntoa(from.peer.address);
  const own = endToEnd(r.fields).filter(
    ([n]) => !FIRST.has(n.toLowerCase()) && !FORWARDED.has(n.toLowerCase().replaceAll('_', '-')),
  );
  const added: Field[] = [
    ['X-Forwarded-For', peer],
    ['X-Forwarded-Host', host],
    ['X-Forwarded-Port', /:(\d+)$/.exec(host)?.[1] ?? (from.tls === null ? '80' : '443')],
    ['X-Forwarded-Proto', scheme],
    ['X-Forwarded-Server', server],
    ['X-Real-Ip', peer],
  ];
  const agent = valueOf(r.fields, 'user-agent') ?? '';
  // A body of no bytes is said of methods that have one.
  const empty = body.kind === 'none' && /^(POST|PUT|PATCH)$/.test(r.method);
  const length = body.kind === 'length' ? String(body.length) : empty ? '0' : null;
  const asks =
    valueOf(r.fields, 'accept-encoding') === null && valueOf(r.fields, 'range') === null && r.method !== 'HEAD';
  const fields: Field[] = [
    ['Host', host],
    ...(agent === '' ? [] : [['User-Agent', agent] as const]),
    ...(length === null ? [] : [['Content-Length', length] as const]),
    ...(body.kind === 'chunked' ? [['Transfer-Encoding', 'chunked'] as const] : []),
    ...sorted([...own.map(([n, v]) => [canonical(n), v] as const), ...added]),
    ...(asks ? [['Accept-Encoding', 'gzip'] as const] : []),
  ];
  return { method: r.method, target, minor: 1, fields };
}

/** The response for the client. `minor`: of the request. */
export function clientResponse(
  h: ResponseHead,
  body: Framing,
  o: { minor: number; now: number; keep: boolean },
): { head: ResponseHead; body: Framing; close: boolean } {
  const { streamed, framing, keep } = relayed(body, o);
  const own = endToEnd(h.fields).filter(
    ([n]) => n.toLowerCase() !== 'te' && !(streamed && n.toLowerCase() === 'content-length'),
  );
  const connection: Field[] = keep ? (o.minor === 0 ? [['Connection', 'keep-alive']] : []) : o.minor === 1 ? [['Connection', 'close']] : []; // prettier-ignore
  const fields: Field[] = [
    ...sorted(own.map(([n, v]) => [canonical(n), v] as const)),
    ...(valueOf(own, 'date') === null ? [['Date', httpDate(o.now)] as const] : []),
    ...connection,
    ...(framing.kind === 'chunked' ? [['Transfer-Encoding', 'chunked'] as const] : []),
  ];
  return { head: { minor: o.minor, status: h.status, reason: h.reason, fields }, body: framing, close: !keep };
}
