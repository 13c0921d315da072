/**
 * Go's net/http server as its clients see it: which requests it refuses with which words, and how it orders the head of a response.
 *
 * Upstream: net/http/server.go (readRequest, serve, chunkWriter.writeHeader), sniff.go, request.go. Not here: HTTP/2, hijacking,
 * trailers, ServeMux's redirects to clean paths.
 * @module
 */
import { httpDate } from '../../sim/calendar.js';
import { chunk, LAST_CHUNK } from './body.js';
import type { Answer, ClientRules, Downstream, Refusal, UpstreamRules } from './controller.js';
import { bytesOf, type Field, joined, REASONS, type RequestHead, textOf, valueOf } from './message.js';

/** http.DefaultMaxHeaderBytes and its slack. */
const MAX_HEAD = (1 << 20) + 4096;

/** A server without time-outs. */
export const GO_CLIENT: ClientRules = {
  maxLine: MAX_HEAD, maxHead: MAX_HEAD, maxFields: MAX_HEAD, headNs: 0, idleNs: 0, requests: Infinity, both: 'chunked', writes: 'go',
}; // prettier-ignore

/** Of servers that have no upstreams. */
export const NO_UPSTREAM: UpstreamRules = {
  idle: 0,
  idleNs: 0,
  requests: 0,
  ageNs: 0,
  bodyApart: true,
  readBytes: 4096,
};

const GO_REASONS: Readonly<Record<number, string>> = {
  ...REASONS, 102: 'Processing', 103: 'Early Hints', 413: 'Request Entity Too Large', 414: 'Request URI Too Long',
  416: 'Requested Range Not Satisfiable', 418: "I'm a teapot", 451: 'Unavailable For Legal Reasons',
}; // prettier-ignore

/** http.StatusText, as a status line has it. */
export const goReason = (status: number): string => GO_REASONS[status] ?? `status code ${status}`;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const HOST = /^[!$%&'()*+,\-.0-9:;=A-Z[\]_a-z~]*$/;

/** textproto.CanonicalMIMEHeaderKey: `x-request-ID` is `X-Request-Id`; names that are no tokens stay. */
export function canonical(name: string): string {
  if (!TOKEN.test(name)) return name;
  return name.toLowerCase().replace(/(^|-)([a-z])/g, (_, dash: string, c: string) => dash + c.toUpperCase());
}

/** Whether Go would not take a head that could be read: what it says; null: it takes it. */
export function goMalformed(h: RequestHead): string | null {
  const host = valueOf(h.fields, 'host');
  if (host !== null && !HOST.test(host)) return 'malformed Host header';
  if (!TOKEN.test(h.method)) return '';
  for (const [n, v] of h.fields) {
    if (!TOKEN.test(n)) return 'invalid header name';
    if (!VALUE.test(v)) return 'invalid header value';
  }
  if (!/^(\/|\*$|[A-Za-z][A-Za-z0-9+.-]*:)/.test(h.target) && h.method !== 'CONNECT') return '';
  return /%(?![0-9A-Fa-f]{2})/.test(h.target.split('?')[0]!) ? '' : null;
}

/** An error that the server writes without a Date or a length. `text`: behind the status's reason. */
export function goError(status: number, text = '', body?: string): Answer {
  const say = `${status} ${goReason(status)}${text === '' ? '' : `: ${text}`}`;
  const fields: Field[] = [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Connection', 'close'],
  ];
  const reason = say.slice(4);
  return { head: { minor: 1, status, reason, fields }, body: bytesOf(body ?? say), close: true };
}

/** What the server says to what it cannot take; null: nothing. */
export function goRefusal(why: Refusal): Answer | null {
  switch (why) {
    case 'timeout':
      return null;
    case 'no-host':
      return goError(400, 'missing required Host header');
    case 'bad-host':
      return goError(400, 'too many Host headers');
    case 'version':
      return goError(505, 'unsupported protocol version');
    case 'line-too-long':
    case 'head-too-long':
      return goError(431);
    case 'unknown-coding':
      return goError(501, '', 'Unsupported transfer encoding');
    case 'body':
      return goError(413);
    default:
      return goError(400);
  }
}

/** What is sniffed of a body that has no Content-Type: plain text where no byte is one that text has not (net/http/sniff.go). */
export function sniff(body: Uint8Array): string {
  const start = textOf(body, 0, Math.min(body.length, 512));
  if (
    /^[\t\n\f\r ]*<(!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--)[ >]/i.test(
      start,
    )
  )
    return 'text/html; charset=utf-8';
  if (/^[\t\n\f\r ]*<\?xml/.test(start)) return 'text/xml; charset=utf-8';
  return /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/.test(start) ? 'application/octet-stream' : 'text/plain; charset=utf-8';
}

/** Longer bodies, where the handler gave no length, are sent in chunks of that size. */
const BUFFER = 2048;

/** Fields in the order of their names, as Go writes a http.Header. */
export const sorted = (fields: readonly Field[]): Field[] =>
  [...fields].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

/** A handler's answer as the server writes it. `fields`: the handler's own, by canonical name; `sniff: false`: no type is made up. */
export function goAnswer(
  r: RequestHead,
  from: Downstream,
  now: number,
  a: { status?: number; fields?: readonly Field[]; body?: string; sniff?: boolean },
): Answer {
  const status = a.status ?? 200;
  const body = bytesOf(a.body ?? '');
  const own = a.fields ?? [];
  const bare = status === 204 || status === 304;
  const chunked = !bare && body.length > BUFFER && valueOf(own, 'content-length') === null && r.method !== 'HEAD';
  const keep = from.keep && !(chunked && r.minor === 0);
  const type = a.sniff !== false && valueOf(own, 'content-type') === null && body.length > 0;
  const fields: Field[] = [
    ...sorted(own),
    ['Date', httpDate(now)],
    ...(chunked || bare || valueOf(own, 'content-length') !== null
      ? []
      : [['Content-Length', String(body.length)] as const]),
    ...(type && !bare ? [['Content-Type', sniff(body)] as const] : []),
    ...(keep ? (r.minor === 0 ? [['Connection', 'keep-alive'] as const] : []) : r.minor === 1 ? [['Connection', 'close'] as const] : []), // prettier-ignore
    ...(chunked && r.minor === 1 ? [['Transfer-Encoding', 'chunked'] as const] : []),
  ];
  const parts: Uint8Array[] = [];
  for (let i = 0; i < body.length; i += BUFFER) parts.push(chunk(body.subarray(i, i + BUFFER)));
  return {
    head: { minor: r.minor, status, reason: goReason(status), fields },
    body: bare ? bytesOf('') : chunked && r.minor === 1 ? joined([...parts, LAST_CHUNK]) : body,
    close: !keep,
  };
}

/** http.Error: a text, and a line feed. */
export const goTextError = (
  status: number,
  text: string,
): { status: number; fields: readonly Field[]; body: string } => ({
  status,
  fields: [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['X-Content-Type-Options', 'nosniff'],
  ],
  body: `${text}\n`,
});
