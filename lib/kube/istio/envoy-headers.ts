/**
 * How Envoy writes messages, whoever configures it: names in lower case, `host` first, hop-by-hop fields gone, its own reason phrases,
 * what its connection manager and router add, and the answers it makes itself.
 *
 * Upstream: Envoy, conn_manager_utility.cc, conn_manager_impl.cc, http1/codec_impl.cc, router.cc, codes.cc.
 * @module
 */
import type { Rng } from '../../sim/rng.js';
import { httpDate } from '../../sim/calendar.js';
import type { Answer, Failure } from '../../apps/l7/controller.js';
import { bytesOf, CHUNKED, type Field, type Framing, NO_BODY, REASONS, type RequestHead, type ResponseHead, valueOf } from '../../apps/l7/message.js'; // prettier-ignore

/** Fields of one connection (mutateRequestHeaders, mutateResponseHeaders); TE stays where it says trailers. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection', 'upgrade', 'keep-alive', 'proxy-connection', 'transfer-encoding',
]); // prettier-ignore

/** Requests that are understood to have no body (HeaderUtility::requestShouldHaveNoBody). */
const BODILESS = ['GET', 'HEAD', 'DELETE', 'TRACE', 'CONNECT'];

/** CodeUtility::toString, of the codes that it knows; others are `Unknown`. */
const ENVOY_REASONS: Readonly<Record<number, string>> = {
  ...REASONS, 413: 'Payload Too Large', 414: 'URI Too Long', 416: 'Range Not Satisfiable',
}; // prettier-ignore

/** The phrase of Envoy's status line, whatever the upstream's said. */
export const reasonOf = (status: number): string => ENVOY_REASONS[status] ?? 'Unknown';

/** The fields as Envoy keeps them: lower case, without those of one connection. */
export const kept = (fields: readonly Field[]): Field[] =>
  fields
    .map(([n, v]): Field => [n.toLowerCase(), v])
    .filter(([n, v]) => !HOP_BY_HOP.has(n) && (n !== 'te' || /(^|,)\s*trailers\s*(,|$)/i.test(v)));

/** Sets a field: in its place where it is, else at the end. */
export function set(fields: Field[], name: string, value: string): void {
  const at = fields.findIndex(([n]) => n === name);
  if (at < 0) fields.push([name, value]);
  else fields[at] = [name, value];
}

/** Sets a field that is absent. */
export function setAbsent(fields: Field[], name: string, value: () => string): void {
  if (!fields.some(([n]) => n === name)) fields.push([name, value()]);
}

/** Takes fields away. */
export const removed = (fields: readonly Field[], names: readonly string[]): Field[] =>
  fields.filter(([n]) => !names.includes(n));

/** A request as the codec encodes it: `host` first, then the fields in order, then how the body is delimited. */
export function encodeRequest(r: RequestHead, fields: readonly Field[], body: Framing): RequestHead {
  const host = valueOf(fields, 'host');
  const rest = removed(fields, ['host']);
  const out: Field[] = [...(host === null ? [] : ([['host', host]] as Field[])), ...rest];
  if (body.kind === 'chunked') return { ...r, minor: 1, fields: [...removed(out, ['content-length']), ['transfer-encoding', 'chunked']] }; // prettier-ignore
  if (body.kind === 'none' && !BODILESS.includes(r.method)) setAbsent(out, 'content-length', () => '0');
  return { ...r, minor: 1, fields: out };
}

/** What follows from how a response came: its fields for the client, and how the body goes there. */
export function encodeResponse(
  status: number,
  fields: readonly Field[],
  body: Framing,
  method: string,
): { fields: Field[]; body: Framing } {
  const out = [...fields];
  if (status < 200 || status === 204 || status === 304) return { fields: out, body: NO_BODY };
  if (valueOf(out, 'content-length') !== null) return { fields: out, body };
  // The length of the body is not known, of HEAD too.
  if (method === 'HEAD' || body.kind === 'chunked' || body.kind === 'close') {
    out.push(['transfer-encoding', 'chunked']);
    return { fields: out, body: method === 'HEAD' ? NO_BODY : CHUNKED };
  }
  out.push(['content-length', '0']);
  return { fields: out, body: NO_BODY };
}

/** A UUID of version 4 as Envoy draws it, in lower case. */
export function uuid(rng: Rng): string {
  const hex = [rng.u32(), rng.u32(), rng.u32(), rng.u32()].map((n) => n.toString(16).padStart(8, '0')).join('');
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]!;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** The end of a response's head: date where it is absent, server always, `connection: close` where the connection ends. */
export function finishResponse(fields: Field[], server: string, wall: number, close: boolean): void {
  setAbsent(fields, 'date', () => httpDate(wall));
  set(fields, 'server', server);
  if (close) fields.push(['connection', 'close']);
}

/** An answer that Envoy makes itself (Utility::sendLocalReply). */
export function localReply(status: number, text: string, o: { server: string; wall: number; close: boolean }): Answer {
  const fields: Field[] =
    text === ''
      ? []
      : [
          ['content-length', String(text.length)],
          ['content-type', 'text/plain'],
        ];
  finishResponse(fields, o.server, o.wall, o.close);
  if (text === '') fields.push(['content-length', '0']);
  const head: ResponseHead = { minor: 1, status, reason: reasonOf(status), fields };
  return { head, body: bytesOf(text), close: o.close };
}

/** What the router says of an upstream that failed (StreamInfo's flags and the transport's reason). */
export function resetReason(f: Failure, retried: boolean): string {
  const how =
    f.kind === 'refused'
      ? 'remote connection failure, transport failure reason: delayed connect error: Connection refused'
      : f.kind === 'connect-timeout'
        ? 'connection timeout'
        : f.kind === 'invalid'
          ? 'protocol error'
          : 'connection termination';
  const head = 'upstream connect error or disconnect/reset before headers. ';
  return `${head}${retried ? 'retried and the latest reset reason' : 'reset reason'}: ${how}`;
}
