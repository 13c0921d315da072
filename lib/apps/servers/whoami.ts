/**
 * `podwire app whoami [-port PORT] [-name NAME]`: traefik/whoami, which tells its client what it was asked and by whom.
 *
 * Upstream: app.go. Not here: /bench, /data, /echo (a websocket), ?wait= and ?env=, TLS. They are answered as `/` is. @module
 */
import { canonical, goReason, sorted } from '../l7/go.js';
import type { Field } from '../l7/message.js';
import { type GoRequest, type GoResponse, goSite } from './go-site.js';
import { goFlags, type Place, portOf, type SiteArgs } from './site.js';

export const whoami: SiteArgs = (args, env) => {
  const f = goFlags(args, ['port', 'name'], ['verbose']);
  if (typeof f === 'string') return { error: f, exit: 2 };
  const text = f.values.get('port') ?? (env['WHOAMI_PORT_NUMBER'] || '80');
  const port = portOf(text);
  if (port === null) return { error: `podwire: whoami: found -port ${text}, expected a port`, exit: 2 };
  const name = f.values.get('name') ?? env['WHOAMI_NAME'] ?? '';
  const health = { status: 200 };
  return {
    port,
    make: (io, place) =>
      goSite(io, (r): GoResponse => {
        if (r.path === '/health') return healthOf(r, health);
        if (r.path === '/api') return api(r, place, name);
        return { body: plain(r, place, name) };
      }),
  };
};

/** POST a status, GET it. */
function healthOf(r: GoRequest, health: { status: number }): GoResponse {
  if (r.head.method !== 'POST') return { status: health.status };
  const given = /^\s*(\d{3})\s*$/.exec(r.body);
  if (given === null || goReason(Number(given[1])).startsWith('status code')) return { status: 400 };
  health.status = Number(given[1]);
  return {};
}

/** The fields as http.Header has them: canonical, without Host. */
const headerOf = (r: GoRequest): Field[] =>
  r.head.fields.filter(([n]) => n.toLowerCase() !== 'host').map(([n, v]) => [canonical(n), v] as const);

/** Request.Write leaves these to the request itself. */
const OWN = new Set(['Host', 'User-Agent', 'Content-Length', 'Transfer-Encoding', 'Trailer']);

function plain(r: GoRequest, place: Place, name: string): string {
  const fields = headerOf(r);
  const agent = fields.find(([n]) => n === 'User-Agent')?.[1] ?? 'Go-http-client/1.1';
  const chunked = fields.some(([n]) => n === 'Transfer-Encoding');
  const length = fields.find(([n]) => n === 'Content-Length')?.[1];
  const lines = [
    ...(name === '' ? [] : [`Name: ${name}`]),
    `Hostname: ${place.hostname}`,
    ...place.addresses().map((a) => `IP: ${a}`),
    `RemoteAddr: ${r.remote}`,
  ];
  const request = [
    `${r.head.method} ${r.head.target} HTTP/1.1`,
    `Host: ${r.host}`,
    ...(agent === '' ? [] : [`User-Agent: ${agent}`]),
    ...(chunked
      ? ['Transfer-Encoding: chunked']
      : length !== undefined && Number(length) > 0
        ? [`Content-Length: ${length}`]
        : []),
    ...sorted(fields.filter(([n]) => !OWN.has(n) && n !== 'Connection')).map(([n, v]) => `${n}: ${v}`),
  ];
  const body = chunked
    ? `${r.body.length > 0 ? `${r.body.length.toString(16)}\r\n${r.body}\r\n` : ''}0\r\n\r\n`
    : r.body;
  return `${lines.join('\n')}\n${request.join('\r\n')}\r\n\r\n${body}`;
}

/** json.Marshal's text of a string. */
const json = (s: string): string => JSON.stringify(s).replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);

function api(r: GoRequest, place: Place, name: string): GoResponse {
  const groups = new Map<string, string[]>();
  for (const [n, v] of sorted(headerOf(r))) {
    const known = groups.get(n);
    if (known === undefined) groups.set(n, [v]);
    else known.push(v);
  }
  const headers = [...groups].map(([n, v]) => `${json(n)}:[${v.map(json).join(',')}]`).join(',');
  const parts = [
    `"hostname":${json(place.hostname)}`,
    `"ip":[${place.addresses().map(json).join(',')}]`,
    ...(headers === '' ? [] : [`"headers":{${headers}}`]),
    `"url":${json(r.head.target)}`,
    `"host":${json(r.host)}`,
    `"method":${json(r.head.method)}`,
    ...(name === '' ? [] : [`"name":${json(name)}`]),
    `"remoteAddr":${json(r.remote)}`,
  ];
  const fields = [
    ['Access-Control-Allow-Methods', '*'] as const,
    ['Access-Control-Allow-Origin', '*'] as const,
    ['Content-Type', 'application/json'] as const,
  ];
  return { fields, body: `{${parts.join(',')}}\n` };
}
