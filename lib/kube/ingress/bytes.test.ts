import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesOf } from '../../apps/l7/message.js';
import { Proxy } from '../../apps/l7/proxy.js';
import { type FakeConn, FakeIo } from '../../apps/l7/testing.js';
import type { Controller } from '../../apps/l7/controller.js';
import { NginxController } from './nginx/controller.js';
import { TraefikController } from './traefik/controller.js';
import type { Route, Router } from './types.js';

const Bytes = suite('lib/kube/ingress/bytes');

const lines = (text: string): string => text.trimStart().replaceAll('\n', '\r\n');
const DATE = 'Mon, 01 Jan 2024 00:00:00 GMT';

/** What a client of curl sends, and one that tries everything (both were seen on the wire of the real programs). */
const PLAIN = lines(`
GET /a?b=1 HTTP/1.1
Host: shop.example.com
User-Agent: curl/8.14.1
Accept: */*

`);
const HOSTILE = lines(`
POST /hop HTTP/1.1
Host: shop.example.com
User-Agent: curl/8.14.1
Accept: */*
X-Forwarded-For: 1.2.3.4
X-Forwarded-Host: evil
X-Request-ID: abc
Proxy: x
Connection: close, X-Foo
X-Foo: 1
TE: trailers
Accept-Encoding: gzip
x_under: 1
Keep-Alive: 5
Via: 1.1 foo
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
Content-Length: 3
Content-Type: application/x-www-form-urlencoded

k=v`);
const GO_POD = lines(`
HTTP/1.1 200 OK
Date: ${DATE}
Content-Length: 5
Content-Type: text/plain; charset=utf-8

hello`);
const ODD_POD = lines(`
HTTP/1.1 200 OK
Date: ${DATE}
Content-Length: 4
Content-Type: text/plain; charset=utf-8
Server: pod/1.0
Connection: keep-alive
Keep-Alive: timeout=5
X-Powered-By: x
X-Pad: a
X-Accel-Buffering: no
Proxy-Authenticate: Basic

hop!`);

interface World {
  io: FakeIo;
  client: FakeConn;
  /** Connections to Pods, in their order. */
  pods: FakeConn[];
}

/** A controller between a client and Pods that have not answered yet. */
function world(
  make: (io: FakeIo, router: Router) => Controller,
  route?: Partial<Extract<Route, { kind: 'forward' }>> | Route,
): World {
  const io = new FakeIo();
  const pods: FakeConn[] = [];
  io.upstream = (conn) => {
    pods.push(conn);
    conn.handler.open?.();
  };
  const router: Router = {
    decide: (r) =>
      route !== undefined && 'kind' in route && route.kind !== 'forward'
        ? (route as Route)
        : { kind: 'forward', backends: [{ namespace: 'd', service: 's', port: { name: '', number: 80 }, weight: 1 }], target: r.target, rule: '', from: 'd/i' },
    upstreams: () => [{ address: '10.0.0.9', port: 80 }],
  }; // prettier-ignore
  new Proxy(io, make(io, router)).serve({ address: 0, port: 80 }, 80);
  return { io, client: io.client(80), pods };
}

const nginx = (io: FakeIo, router: Router): Controller => new NginxController(io, router, { proxyProtocol: false });
const traefik = (io: FakeIo, router: Router): Controller =>
  new TraefikController(io, router, 'traefik-6b84f7cbc-x2x4z');
const say = (c: FakeConn, text: string): void => c.receive(bytesOf(text));
const writes = (c: FakeConn): string[] => c.sent.map((b) => String.fromCharCode(...b));

Bytes('ingress-nginx writes its block, then the rest of the client', () => {
  const w = world(nginx);
  say(w.client, PLAIN);
  const [first] = w.pods;
  const id = /X-Request-ID: ([0-9a-f]{32})\r\n/.exec(first!.text)![1]!;
  assert.is(
    first!.text,
    lines(`
GET /a?b=1 HTTP/1.1
Host: shop.example.com
X-Request-ID: ${id}
X-Real-IP: 10.0.1.2
X-Forwarded-For: 10.0.1.2
X-Forwarded-Host: shop.example.com
X-Forwarded-Port: 80
X-Forwarded-Proto: http
X-Forwarded-Scheme: http
X-Scheme: http
User-Agent: curl/8.14.1
Accept: */*

`),
  );
  say(first!, GO_POD);
  const head = `HTTP/1.1 200 OK\r\nDate: ${DATE}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello`;
  assert.equal(writes(w.client), [head]);
});

Bytes('ingress-nginx keeps what names in Connection name, drops names with _, replaces what it sets', () => {
  const w = world(nginx);
  say(w.client, HOSTILE);
  assert.equal(writes(w.pods[0]!), [
    lines(`
POST /hop HTTP/1.1
Host: shop.example.com
X-Request-ID: abc
X-Real-IP: 10.0.1.2
X-Forwarded-For: 10.0.1.2
X-Forwarded-Host: shop.example.com
X-Forwarded-Port: 80
X-Forwarded-Proto: http
X-Forwarded-Scheme: http
X-Scheme: http
X-Original-Forwarded-For: 1.2.3.4
X-Original-Forwarded-Host: evil
Content-Length: 3
User-Agent: curl/8.14.1
Accept: */*
X-Foo: 1
Accept-Encoding: gzip
Via: 1.1 foo
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
Content-Type: application/x-www-form-urlencoded

k=v`),
  ]);
  say(w.pods[0]!, ODD_POD);
  assert.is(
    w.client.text,
    lines(`
HTTP/1.1 200 OK
Date: ${DATE}
Content-Type: text/plain; charset=utf-8
Content-Length: 4
Connection: close
X-Powered-By: x
Proxy-Authenticate: Basic

hop!`),
  );
  assert.ok(w.client.ended);
});

Bytes('Traefik writes names in their order and case, and a body for itself', () => {
  const w = world(traefik);
  say(w.client, HOSTILE);
  const head = lines(`
POST /hop HTTP/1.1
Host: shop.example.com
User-Agent: curl/8.14.1
Content-Length: 3
Accept: */*
Accept-Encoding: gzip
Content-Type: application/x-www-form-urlencoded
Proxy: x
Te: trailers
Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
Via: 1.1 foo
X-Forwarded-For: 10.0.1.2
X-Forwarded-Host: shop.example.com
X-Forwarded-Port: 80
X-Forwarded-Proto: http
X-Forwarded-Server: traefik-6b84f7cbc-x2x4z
X-Real-Ip: 10.0.1.2
X-Request-Id: abc
X_under: 1

`);
  assert.equal(writes(w.pods[0]!), [head, 'k=v']);
  say(w.pods[0]!, ODD_POD);
  assert.is(
    w.client.text,
    lines(`
HTTP/1.1 200 OK
Content-Length: 4
Content-Type: text/plain; charset=utf-8
Date: ${DATE}
Server: pod/1.0
X-Accel-Buffering: no
X-Pad: a
X-Powered-By: x
Connection: close

hop!`),
  );
});

Bytes('Traefik asks for gzip where the client has not', () => {
  const w = world(traefik);
  say(w.client, PLAIN);
  assert.match(w.pods[0]!.text, /\r\nX-Real-Ip: 10\.0\.1\.2\r\nAccept-Encoding: gzip\r\n\r\n$/);
  const h = world(traefik);
  say(h.client, PLAIN.replace('GET', 'HEAD'));
  assert.not.match(h.pods[0]!.text, /Accept-Encoding/);
});

Bytes('a chunked answer is one write and a last chunk by nginx, a write for each part by Go', () => {
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n';
  const n = world(nginx);
  say(n.client, PLAIN);
  say(n.pods[0]!, chunked);
  const common = `Transfer-Encoding: chunked\r\n`;
  assert.equal(writes(n.client), [`HTTP/1.1 200 OK\r\nDate: ${DATE}\r\n${common}Connection: keep-alive\r\n\r\n8\r\nhelloabc\r\n`, '0\r\n\r\n']); // prettier-ignore
  const t = world(traefik);
  say(t.client, PLAIN);
  say(t.pods[0]!, chunked);
  assert.equal(writes(t.client), [
    `HTTP/1.1 200 OK\r\nDate: ${DATE}\r\n${common}\r\n`,
    '8\r\nhelloabc\r\n',
    '0\r\n\r\n',
  ]);
});

Bytes('an upstream connection is taken again, by one request at a time', () => {
  const w = world(nginx);
  say(w.client, PLAIN);
  say(w.pods[0]!, GO_POD);
  say(w.client, PLAIN + PLAIN);
  assert.is(w.pods.length, 1);
  assert.is(w.pods[0]!.sent.length, 2);
  say(w.pods[0]!, GO_POD);
  assert.is(w.pods[0]!.sent.length, 3);
  say(w.pods[0]!, GO_POD);
  assert.is(w.client.sent.length, 3);
  // Another client at the same time needs another connection.
  const [a, b] = [w.io.client(80), w.io.client(80)];
  say(a, PLAIN);
  say(b, PLAIN);
  assert.is(w.pods.length, 2);
});

Bytes('ingress-nginx tries three times, with the same id; a POST that was sent once', () => {
  const w = world(nginx);
  w.io.upstream = (conn) => {
    w.pods.push(conn);
    conn.handler.closed(111);
  };
  say(w.client, PLAIN);
  assert.is(w.pods.length, 3);
  assert.match(
    w.client.text,
    /^HTTP\/1\.1 502 Bad Gateway\r\n.*\r\nContent-Length: 150\r\nConnection: keep-alive\r\n\r\n/s,
  );
  const p = world(nginx);
  p.io.upstream = (conn) => {
    p.pods.push(conn);
    conn.handler.open?.();
    conn.close();
  };
  say(p.client, HOSTILE);
  assert.is(p.pods.length, 1);
  assert.match(p.client.text, /^HTTP\/1\.1 502 /);
});

Bytes('silence is answered by 504 after 60 s, three times over', () => {
  const w = world(nginx);
  say(w.client, PLAIN);
  w.io.pass(179e9);
  assert.is(w.client.sent.length, 0);
  w.io.pass(2e9);
  assert.is(w.pods.length, 3);
  assert.match(w.client.text, /^HTTP\/1\.1 504 Gateway Time-out\r\n/);
});

Bytes('a body of more than 1 MiB is refused by nginx, and let through by Traefik', () => {
  const big = PLAIN.replace('GET', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 2000000\r\n\r\n');
  const n = world(nginx);
  say(n.client, big);
  assert.match(n.client.text, /^HTTP\/1\.1 413 Request Entity Too Large\r\n/);
  const t = world(traefik);
  say(t.client, big);
  assert.match(t.pods[0]!.text, /\r\nContent-Length: 2000000\r\n/);
});

Bytes('own answers have the lengths that were seen', () => {
  const cases: [(io: FakeIo, router: Router) => Controller, Route, number, RegExp][] = [
    [nginx, { kind: 'redirect', status: 308, location: 'https://shop.example.com/a?b=1', why: 'ssl-redirect' }, 164, /Connection: keep-alive\r\nLocation: https:\/\/shop\.example\.com\/a\?b=1\r\n\r\n/],
    [nginx, { kind: 'redirect', status: 301, location: 'http://shop.example.com/a/', why: 'slash' }, 162, /Location: http:\/\/shop\.example\.com\/a\/\r\nConnection: keep-alive\r\n\r\n/],
    [nginx, { kind: 'answer', status: 404, why: 'no-route', body: null }, 146, /^HTTP\/1\.1 404 Not Found\r\n/],
    [traefik, { kind: 'answer', status: 404, why: 'no-route', body: null }, 19, /X-Content-Type-Options: nosniff\r\nDate: [^\r]*\r\nContent-Length: 19\r\n\r\n404 page not found\n$/],
    [traefik, { kind: 'redirect', status: 301, location: 'https://a/', why: 'rule' }, 17, /\r\nLocation: https:\/\/a\/\r\nDate: [^\r]*\r\nContent-Length: 17\r\n\r\nMoved Permanently$/],
  ]; // prettier-ignore
  for (const [make, route, length, match] of cases) {
    const w = world(make, route);
    say(w.client, PLAIN);
    assert.match(w.client.text, new RegExp(`Content-Length: ${length}\\r\\n`));
    assert.match(w.client.text, match);
    assert.is(w.client.text.split('\r\n\r\n').slice(1).join('\r\n\r\n').length, length);
  }
});
Bytes.run();
