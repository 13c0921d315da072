/**
 * HTTP/1.1 messages as lists: every field keeps its place and its case, for both are what a proxy is known by.
 *
 * Text is latin-1: one character a byte, so that whatever a peer sends survives the way through. RFC 9110, RFC 9112.
 * @module
 */
export { bytesOf, joined, textOf } from '../../../wire/bytes.js';

/** A header field: its name as it was (or will be) sent, its value without the blanks around it. */
export type Field = readonly [name: string, value: string];

export interface RequestHead {
  readonly method: string;
  /** The request-target, byte for byte. */
  readonly target: string;
  /** HTTP/1.`minor`. */
  readonly minor: number;
  readonly fields: readonly Field[];
}

export interface ResponseHead {
  readonly minor: number;
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
}

/** How a body is delimited on the wire. `close`: it ends with the connection. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

export const NO_BODY: Framing = { kind: 'none' };
export const CHUNKED: Framing = { kind: 'chunked' };
export const TO_THE_END: Framing = { kind: 'close' };
export const ofLength = (length: number): Framing => ({ kind: 'length', length });

/** The values of a field, in order, by its name in lower case. */
export function valuesOf(fields: readonly Field[], name: string): string[] {
  const out: string[] = [];
  for (const [n, v] of fields) if (n.length === name.length && n.toLowerCase() === name) out.push(v);
  return out;
}

/** The first value of a field by its name in lower case; null: it is absent. */
export function valueOf(fields: readonly Field[], name: string): string | null {
  for (const [n, v] of fields) if (n.length === name.length && n.toLowerCase() === name) return v;
  return null;
}

/** The members of a comma-separated field, lower case, without blanks; empty members are left out. */
export function wordsOf(fields: readonly Field[], name: string): string[] {
  return valuesOf(fields, name)
    .flatMap((v) => v.toLowerCase().split(','))
    .map((w) => w.trim())
    .filter((w) => w !== '');
}

/** The fields whose names (lower case) are not in `names`. */
export const without = (fields: readonly Field[], names: ReadonlySet<string>): Field[] =>
  fields.filter(([n]) => !names.has(n.toLowerCase()));

/** The fields that concern one connection only (RFC 9110 7.6.1), as the proxies strip them. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection', 'proxy-connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer',
  'transfer-encoding', 'upgrade',
]); // prettier-ignore

/** Whether the connection stays after this message, by its version and Connection (RFC 9112 9.3). */
export function persistent(head: { readonly minor: number; readonly fields: readonly Field[] }): boolean {
  const words = wordsOf(head.fields, 'connection');
  if (words.includes('close')) return false;
  return head.minor > 0 || words.includes('keep-alive');
}

const lines = (fields: readonly Field[]): string => fields.map(([n, v]) => `${n}: ${v}\r\n`).join('');

/** A request's head, with the empty line that ends it. */
export const requestText = (h: RequestHead): string =>
  `${h.method} ${h.target} HTTP/1.${h.minor}\r\n${lines(h.fields)}\r\n`;

/** A response's head, with the empty line that ends it. */
export const responseText = (h: ResponseHead): string =>
  `HTTP/1.${h.minor} ${h.status}${h.reason === '' ? '' : ` ${h.reason}`}\r\n${lines(h.fields)}\r\n`;

/** The reason phrases that servers agree on; each has others of its own beside them. */
export const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue', 101: 'Switching Protocols', 200: 'OK', 201: 'Created', 202: 'Accepted', 203: 'Non-Authoritative Information',
  204: 'No Content', 205: 'Reset Content', 206: 'Partial Content', 207: 'Multi-Status', 208: 'Already Reported', 226: 'IM Used',
  300: 'Multiple Choices', 301: 'Moved Permanently', 302: 'Found', 303: 'See Other', 304: 'Not Modified', 305: 'Use Proxy',
  307: 'Temporary Redirect', 308: 'Permanent Redirect', 400: 'Bad Request', 401: 'Unauthorized', 402: 'Payment Required',
  403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 406: 'Not Acceptable', 407: 'Proxy Authentication Required',
  408: 'Request Timeout', 409: 'Conflict', 410: 'Gone', 411: 'Length Required', 412: 'Precondition Failed',
  415: 'Unsupported Media Type', 417: 'Expectation Failed', 421: 'Misdirected Request', 422: 'Unprocessable Entity', 423: 'Locked',
  424: 'Failed Dependency', 425: 'Too Early', 426: 'Upgrade Required', 428: 'Precondition Required', 429: 'Too Many Requests',
  431: 'Request Header Fields Too Large', 500: 'Internal Server Error', 501: 'Not Implemented', 502: 'Bad Gateway',
  503: 'Service Unavailable', 504: 'Gateway Timeout', 505: 'HTTP Version Not Supported', 506: 'Variant Also Negotiates',
  507: 'Insufficient Storage', 508: 'Loop Detected', 510: 'Not Extended', 511: 'Network Authentication Required',
}; // prettier-ignore
