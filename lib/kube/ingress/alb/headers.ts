/**
 * What an Application Load Balancer does to the heads that pass: X-Forwarded-* and the trace id before everything else, and the order
 * in which captures of the real one show its responses.
 * @module
 */
import { ntoa } from '../../../../wire/inet.js';
import type { Downstream } from '../../../apps/l7/controller.js';
import { type Field, type Framing, HOP_BY_HOP, type RequestHead, type ResponseHead, valueOf, valuesOf } from '../../../apps/l7/message.js'; // prettier-ignore
import { httpDate } from '../../../sim/calendar.js';
import { relayed } from '../answers.js';

const OWN = new Set([
  ...HOP_BY_HOP, 'host', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-port', 'x-amzn-trace-id', 'content-length', 'expect',
]); // prettier-ignore

/** `Root=…` of a new trace; with a client's id a `Self=…` before that, in place of another load balancer's. */
export function traceId(given: string | null, id: string): string {
  if (given === null || given === '') return `Root=${id}`;
  const kept = given.split(';').filter((part) => part !== '' && !part.startsWith('Self='));
  return [`Self=${id}`, ...kept].join(';');
}

/** The Host field: on other ports than 80 and 443 with the listener's, where it has none. */
function hostOf(r: RequestHead, port: number): string {
  const host = valueOf(r.fields, 'host') ?? '';
  return port === 80 || port === 443 || /:\d+$/.test(host) ? host : `${host}:${port}`;
}

/** The request for a target. `id`: of the trace. */
export function targetRequest(r: RequestHead, from: Downstream, id: string, body: Framing): RequestHead {
  const before = valuesOf(r.fields, 'x-forwarded-for');
  const fields: Field[] = [
    ['X-Forwarded-For', [...before, ntoa(from.peer.address)].join(', ')],
    ['X-Forwarded-Proto', from.tls === null ? 'http' : 'https'],
    ['X-Forwarded-Port', String(from.port)],
    ['Host', hostOf(r, from.port)],
    ['X-Amzn-Trace-Id', traceId(valueOf(r.fields, 'x-amzn-trace-id'), id)],
    ...(body.kind === 'length' ? [['Content-Length', String(body.length)] as const] : []),
    ...(body.kind === 'chunked' ? [['Transfer-Encoding', 'chunked'] as const] : []),
    ...r.fields.filter(([n]) => !OWN.has(n.toLowerCase())),
  ];
  return { method: r.method, target: r.target, minor: 1, fields };
}

const PLACED = new Set([...HOP_BY_HOP, 'date', 'content-type', 'content-length', 'set-cookie', 'server']);

/** The response for the client: Date, the body's fields, Connection, cookies, Server, the rest. `minor`: of the request. */
export function clientResponse(
  h: ResponseHead,
  body: Framing,
  o: { minor: number; now: number; keep: boolean },
): { head: ResponseHead; body: Framing; close: boolean } {
  const { streamed, framing, keep } = relayed(body, o);
  const every = (name: string, as: string): Field[] => valuesOf(h.fields, name).map((v) => [as, v] as const);
  const fields: Field[] = [
    ['Date', valueOf(h.fields, 'date') ?? httpDate(o.now)],
    ...every('content-type', 'Content-Type'),
    ...(streamed || h.status === 204 ? [] : every('content-length', 'Content-Length').slice(0, 1)),
    ...(framing.kind === 'chunked' ? [['Transfer-Encoding', 'chunked'] as const] : []),
    ['Connection', keep ? 'keep-alive' : 'close'],
    ...every('set-cookie', 'Set-Cookie'),
    ...every('server', 'Server'),
    ...h.fields.filter(([n]) => !PLACED.has(n.toLowerCase())),
  ];
  return { head: { minor: 1, status: h.status, reason: h.reason, fields }, body: framing, close: !keep };
}
