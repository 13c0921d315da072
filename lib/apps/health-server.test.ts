import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { httpDate } from '../sim/calendar.js';
import { healthArgs, healthSite } from './health-server.js';
import { HttpSession } from './http-session.js';

/** What kube-proxy 1.34.3's server was seen to answer at that time. */
const OBSERVED_AT = 1795513396;
const DATE = 'Date: Tue, 24 Nov 2026 09:43:16 GMT\r\n';
const head = (first: string, weight: number, length: number, connection = ''): string =>
  `${first}\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nX-Load-Balancing-Endpoint-Weight: ${weight}\r\n${DATE}Content-Length: ${length}\r\n${connection}\r\n`;
const body = (n: number): string =>
  `{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": ${n},\n\t"serviceProxyHealthy": true\n}`;

/** The answers of a server with `n` endpoints, and whether it closes. */
function ask(n: number, request: string): [string, boolean] {
  const session = new HttpSession(
    healthSite(
      'default/web',
      () => n,
      () => OBSERVED_AT,
    ),
  );
  const r = session.data(new TextEncoder().encode(request));
  return [new TextDecoder().decode(r.bytes), r.close];
}

const Health = suite('lib/apps/health-server');
Health('healthSite() answers 503 without an endpoint, 200 with one', () => {
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  assert.equal(ask(0, get), [head('HTTP/1.1 503 Service Unavailable', 0, 114) + body(0), false]);
  assert.equal(ask(1, get), [head('HTTP/1.1 200 OK', 1, 114) + body(1), false]);
  assert.equal(ask(12, get + get)[0], `${head('HTTP/1.1 200 OK', 12, 115)}${body(12)}`.repeat(2));
});
Health('healthSite() speaks of the connection as Go does', () => {
  const first = (minor: number): string => `HTTP/1.${minor} 200 OK`;
  const close = ask(12, 'GET /x?y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.equal(close, [head(first(1), 12, 115, 'Connection: close\r\n') + body(12), true]);
  assert.equal(ask(12, 'GET / HTTP/1.0\r\n\r\n'), [head(first(0), 12, 115) + body(12), true]);
  const keep = ask(12, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  assert.equal(keep, [head(first(0), 12, 115, 'Connection: keep-alive\r\n') + body(12), false]);
});
Health('healthSite() takes every method and path, but not every version', () => {
  const ok = head('HTTP/1.1 200 OK', 12, 115);
  assert.equal(ask(12, 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n'), [ok, false]);
  assert.equal(ask(12, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'), [ok + body(12), false]);
  assert.equal(ask(12, 'get / HTTP/1.1\r\nHost: a\r\n\r\n'), [ok + body(12), false]);
  const options = `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${DATE}\r\n`;
  assert.equal(ask(12, 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'), [options, false]);
  for (const [request, why] of [
    ['GET / HTTP/1.1\r\n\r\n', '400 Bad Request: missing required Host header'],
    ['GARBAGE\r\n\r\n', '400 Bad Request'],
    ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', '505 HTTP Version Not Supported: unsupported protocol version'],
  ] as const) {
    const want = `HTTP/1.1 ${why}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${why}`;
    assert.equal(ask(12, request), [want, true]);
  }
});
Health('httpDate() knows leap years and the end of a year', () => {
  assert.is(httpDate(0), 'Thu, 01 Jan 1970 00:00:00 GMT');
  assert.is(httpDate(951782400), 'Tue, 29 Feb 2000 00:00:00 GMT');
  assert.is(httpDate(1704067199), 'Sun, 31 Dec 2023 23:59:59 GMT');
  assert.is(httpDate(1709251200), 'Fri, 01 Mar 2024 00:00:00 GMT');
});
Health('healthArgs() takes nothing that it does not know', () => {
  const args = (text: string): ReturnType<typeof healthArgs> => healthArgs(text.split(' '));
  const ok = args('--port 32000 --service default/web --endpoints 0 --address 10.0.0.1');
  assert.equal(ok, { port: 32000, service: 'default/web', endpoints: 0, address: 0x0a000001 });
  for (const bad of [
    '--port 32000 --service default/web',
    '--port 0 --service default/web --endpoints 1',
    '--port 32000 --service web --endpoints 1',
    '--port 32000 --service a/b --endpoints 1 --endpoints 2',
    '--port 32000 --service a/b --endpoints 1 --address x',
    '--port 32000 --service a/b --endpoints 1 --path /',
  ]) {
    assert.is(args(bad), null, bad);
  }
});
Health.run();
