/**
 * What ingress-nginx does to the heads that pass: the block of proxy_set_header lines of its template, and the order in which nginx
 * writes a response (ngx_http_header_filter).
 * @module
 */
import { ntoa } from '../../../../wire/inet.js';
import type { Downstream } from '../../../apps/l7/controller.js';
import { type Field, type Framing, type RequestHead, type ResponseHead, valueOf, valuesOf } from '../../../apps/l7/message.js'; // prettier-ignore
import { httpDate } from '../../../sim/calendar.js';
import { relayed } from '../answers.js';
import { HSTS } from './pages.js';

/** Names that the block sets, or that nginx keeps to itself. */
const NOT_PASSED = new Set([
  'host', 'x-request-id', 'x-real-ip', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto',
  'x-forwarded-scheme', 'x-scheme', 'x-original-forwarded-for', 'x-original-forwarded-host', 'proxy', 'connection', 'keep-alive', 'te',
  'upgrade', 'expect', 'transfer-encoding', 'content-length',
]); // prettier-ignore

/** Other names are dropped (ignore_invalid_headers, underscores_in_headers off). */
const VALID = /^[A-Za-z0-9-]+$/;

/** The request for the Pod. `id`: for a client that sent no X-Request-ID; `port`: where the client came in. */
export function upstreamRequest(
  r: RequestHead,
  from: Downstream,
  target: string,
  id: string,
  port: number,
  body: Framing,
): RequestHead {
  const scheme = from.tls === null ? 'http' : 'https';
  const peer = ntoa(from.peer.address);
  const host = valueOf(r.fields, 'host') ?? '_';
  const upgrade = valueOf(r.fields, 'upgrade') ?? '';
  const block: Field[] = [
    ['Host', host],
    ['Upgrade', upgrade],
    ['Connection', upgrade === '' ? '' : 'upgrade'],
    ['X-Request-ID', id],
    ['X-Real-IP', peer],
    ['X-Forwarded-For', peer],
    ['X-Forwarded-Host', host],
    ['X-Forwarded-Port', String(port)],
    ['X-Forwarded-Proto', scheme],
    ['X-Forwarded-Scheme', scheme],
    ['X-Scheme', scheme],
    ['X-Original-Forwarded-For', valuesOf(r.fields, 'x-forwarded-for').join(', ')],
    ['X-Original-Forwarded-Host', valueOf(r.fields, 'x-forwarded-host') ?? ''],
    ['Content-Length', body.kind === 'length' ? String(body.length) : ''],
  ];
  const rest = r.fields.filter(([n]) => VALID.test(n) && !NOT_PASSED.has(n.toLowerCase()));
  return { method: r.method, target, minor: 1, fields: [...block.filter(([, v]) => v !== ''), ...rest] };
}

/** Fields of the Pod that do not pass, or stand at a place of their own. */
const HIDDEN = new Set([
  'date', 'server', 'x-pad', 'x-accel-redirect', 'x-accel-limit-rate', 'x-accel-buffering', 'x-accel-charset', 'x-accel-expires',
  'keep-alive', 'connection', 'transfer-encoding', 'content-length', 'content-type', 'status',
]); // prettier-ignore

/** The response for the client. `minor`: of the request. */
export function clientResponse(
  h: ResponseHead,
  body: Framing,
  o: { minor: number; now: number; keep: boolean; tls: boolean; upgrade: boolean },
): { head: ResponseHead; body: Framing; close: boolean } {
  const { streamed, framing, keep } = relayed(body, o);
  const type = valueOf(h.fields, 'content-type');
  const length = streamed ? null : valueOf(h.fields, 'content-length');
  const upgraded = o.upgrade && h.status === 101;
  const fields: Field[] = [
    ['Date', httpDate(o.now)],
    ...(type === null ? [] : [['Content-Type', type] as const]),
    ...(length === null || h.status === 204 ? [] : [['Content-Length', length] as const]),
    ...(framing.kind === 'chunked' ? [['Transfer-Encoding', 'chunked'] as const] : []),
    ['Connection', upgraded ? 'upgrade' : keep ? 'keep-alive' : 'close'],
    ...h.fields.filter(([n]) => !HIDDEN.has(n.toLowerCase())),
    ...(o.tls ? [HSTS] : []),
  ];
  return { head: { minor: 1, status: h.status, reason: h.reason, fields }, body: framing, close: !keep };
}
