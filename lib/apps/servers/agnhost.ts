/**
 * `podwire app agnhost netexec|serve-hostname|pause …`: the test image of Kubernetes.
 *
 * netexec over HTTP and UDP: /, /clientip, /echo, /healthz, /hostname, /hostName, /redirect. Not here: /dial, /shell, /upload, /exit,
 * /shutdown (501 says so), SCTP, TLS, --http-override. @module
 */
import { calendarTime } from '../../sim/calendar.js';
import { goReason, goTextError } from '../l7/go.js';
import type { Io } from '../l7/io.js';
import { type GoRequest, type GoResponse, goSite } from './go-site.js';
import { goFlags, type Place, portOf, type Site, type SiteArgs } from './site.js';

const UNKNOWN = new Set(['/dial', '/shell', '/upload', '/exit', '/shutdown']);
const NETEXEC = ['http-port', 'udp-port'];

export const agnhost: SiteArgs = (args) => {
  const [sub = 'pause', ...rest] = args;
  if (sub === 'pause') return null;
  if (sub === 'netexec') return netexec(rest);
  if (sub === 'serve-hostname') return serveHostname(rest);
  return { error: `podwire: agnhost: found "${sub}", expected netexec, serve-hostname or pause`, exit: 2 };
};

function netexec(args: readonly string[]): ReturnType<SiteArgs> {
  const f = goFlags(args, NETEXEC);
  if (typeof f === 'string') return { error: `podwire: agnhost netexec: ${f}`, exit: 2 };
  const port = portOf(f.values.get('http-port') ?? '8080');
  const udpText = f.values.get('udp-port') ?? '8081';
  const udp = udpText === '-1' ? 0 : portOf(udpText);
  if (port === null || udp === null || f.rest.length > 0)
    return {
      error: `podwire: agnhost netexec: found "${args.join(' ')}", expected --http-port=PORT --udp-port=PORT|-1`,
      exit: 2,
    };
  const site: Site = { port, make: (io, place) => goSite(io, (r) => answer(r, io, place, udp !== 0)) };
  return udp === 0 ? site : { ...site, udp: { port: udp, answer: datagram } };
}

/** `udp`: there is a UDP server, which is what healthz asks. */
function answer(r: GoRequest, io: Io, place: Place, udp: boolean): GoResponse {
  if (UNKNOWN.has(r.path)) return goTextError(501, `podwire does not know ${r.path}`);
  switch (r.path) {
    case '/clientip':
      return { body: r.remote };
    case '/healthz':
      return { status: udp ? 200 : 412 };
    case '/hostname':
    case '/hostName':
      return { body: place.hostname };
    case '/echo':
      return echo(r.form('msg'), r.form('code'));
    case '/redirect':
      return redirect(r.head.method, r.form('location'), r.form('code'));
    default:
      return { body: `NOW: ${goTime(io.wall())}` };
  }
}

/** The status of a `code`; null: none that Go would write. */
const codeOf = (code: string): number | null =>
  /^[+-]?\d+$/.test(code) && Number(code) >= 200 && Number(code) <= 999 ? Number(code) : null;

function echo(msg: string, code: string): GoResponse {
  if (code === '') return { body: msg };
  if (!/^[+-]?\d+$/.test(code))
    return { body: `argument 'code' must be an integer or empty, got ${JSON.stringify(code)}\n` };
  const status = codeOf(code);
  return status === null ? goTextError(500, `invalid WriteHeader code ${code}`) : { status, body: msg };
}

/** http.Redirect. */
function redirect(method: string, location: string, code: string): GoResponse {
  const status = code === '' ? 302 : codeOf(code);
  if (status === null) return { body: `argument 'code' must be an integer or empty, got ${JSON.stringify(code)}\n` };
  const to = ['Location', location] as const;
  if (method !== 'GET' && method !== 'HEAD') return { status, fields: [to] };
  const fields = [['Content-Type', 'text/html; charset=utf-8'] as const, to];
  const text = location.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;' })[c]!);
  return { status, fields, body: `<a href="${text}">${goReason(status)}</a>.\n\n` };
}

/** time.Time.String() of a second, without the monotonic reading. */
function goTime(sec: number): string {
  const t = calendarTime(sec);
  return `${t.year}-${String(t.month).padStart(2, '0')}-${t.day} ${t.time} +0000 UTC`;
}

/** Words count without their case, and the echo is in lower case. */
function datagram(text: string, from: string, place: Place): string | null {
  const said = text.trim().toLowerCase();
  if (said === 'hostname') return place.hostname;
  if (said === 'clientip') return from;
  return said.startsWith('echo ') ? said.slice(5) : null;
}

/** serve-hostname: the name and nothing else, on 9376. */
function serveHostname(args: readonly string[]): ReturnType<SiteArgs> {
  const f = goFlags(args, ['port'], ['tcp', 'http']);
  if (typeof f === 'string') return { error: `podwire: agnhost serve-hostname: ${f}`, exit: 2 };
  const port = portOf(f.values.get('port') ?? '9376');
  if (port === null || f.rest.length > 0 || f.values.get('tcp') === 'true' || f.values.get('http') === 'false')
    return { error: `podwire: agnhost serve-hostname: found "${args.join(' ')}", expected --port=PORT`, exit: 2 };
  return { port, make: (io, place) => goSite(io, () => ({ body: place.hostname })) };
}
