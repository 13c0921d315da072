import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesOf } from '../../apps/l7/message.js';
import { Proxy } from '../../apps/l7/proxy.js';
import { proxyProtocol, writeV1, writeV2 } from '../../apps/l7/proxy-protocol.js';
import { type FakeConn, FakeIo } from '../../apps/l7/testing.js';
import { serverOf } from '../../apps/servers/index.js';
import { NginxController } from './nginx/controller.js';
import { TraefikController } from './traefik/controller.js';
import type { Router } from './types.js';

const Hostile = suite('lib/kube/ingress/hostile');

/** What every server is asked: 60 000 heads and 40 000 PROXY headers. */
const HEADS = 60_000;
const HEADERS = 40_000;
const HEAD_BASES = [
  'GET /a?b=1 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n',
  'POST /echo HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 3\r\nConnection: close, X-Foo\r\nX-Foo: 1\r\n\r\nk=v',
  'PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  'GET http://shop.example.com:80/%2e%2e//x HTTP/1.1\r\nHost: b\r\nx_under: 1\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\nHost: c\r\n\r\n',
  'HEAD / HTTP/1.1\nHost: lf\nExpect: 100-continue\nContent-Length: 99999999\n\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
].map(bytesOf);
const ends = { source: { address: 0x01020304, port: 1 }, destination: { address: 0x05060708, port: 443 } };
const nobody = { source: null, destination: null };
const HEADER_BASES = [writeV1(ends), writeV1(nobody), writeV2(ends), writeV2(nobody), writeV2(ends, Uint8Array.of(3, 0, 1, 7)), bytesOf('PROXY TCP6 ::1 ::1 1 2\r\n')]; // prettier-ignore
const REQUEST = bytesOf('GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n');

interface Edit {
  kind: number;
  at: number;
  n: number;
  byte: number;
}
const edit = fc.record<Edit>({
  kind: fc.integer({ min: 0, max: 5 }),
  at: fc.nat(400),
  n: fc.nat(40),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 9, 10, 13, 32, 44, 48, 58)),
});

/** Flips, writes, inserts, deletes, doubles, cuts. */
function mutated(base: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let b = Array.from(base);
  for (const e of edits) {
    const at = b.length === 0 ? 0 : e.at % b.length;
    if (e.kind === 0) b[at] = (b[at] ?? 0) ^ (1 << (e.byte & 7));
    else if (e.kind === 1) b[at] = e.byte;
    else if (e.kind === 2) b.splice(at, 0, ...new Array<number>(1 + e.n).fill(e.byte));
    else if (e.kind === 3) b.splice(at, 1 + e.n);
    else if (e.kind === 4) b.splice(at, 0, ...b.slice(at, at + e.n));
    else b = b.slice(0, at);
  }
  return Uint8Array.from(b);
}

/** A router that sends everything to one endpoint. */
const router: Router = {
  decide: (r) => ({ kind: 'forward', backends: [{ namespace: 'd', service: 's', port: { name: '', number: 80 }, weight: 1 }], target: r.target, rule: '', from: 'd/i' }),
  upstreams: () => [{ address: '10.0.0.9', port: 80 }],
}; // prettier-ignore

/** A Pod that answers as soon as a request has begun. */
function pod(conn: FakeConn): void {
  conn.handler.open?.();
  if (conn.sent.length > 0) conn.receive(bytesOf('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
}

function worlds(layers: readonly (typeof proxyProtocol)[]): FakeIo[] {
  const site = serverOf(['agnhost', 'netexec']);
  assert.ok(site !== null && 'site' in site);
  return [
    (io: FakeIo) => new NginxController(io, router, { proxyProtocol: layers.length > 0 }),
    (io: FakeIo) => new TraefikController(io, router, 'traefik-0'),
    (io: FakeIo) => site.site.make(io, { hostname: 'h', addresses: () => [] }),
  ].map((make) => {
    const io = new FakeIo();
    io.upstream = pod;
    new Proxy(io, make(io)).serve({ address: 0, port: 80 }, 80, layers);
    return io;
  });
}

const STATUSES = new Set([100, 200, 400, 404, 405, 408, 412, 413, 414, 431, 500, 501, 502, 503, 504, 505]);

/** Gives a server bytes in pieces, then an hour, then the end: it has said something sensible, or closed. */
function ask(io: FakeIo, pieces: readonly Uint8Array[]): FakeConn {
  const c = io.client(80);
  for (const p of pieces) c.receive(p);
  io.pass(3600e9);
  c.finish();
  io.pass(10e9);
  assert.ok(c.over, 'the connection is over');
  for (const m of c.text.matchAll(/^HTTP\/1\.[01] (\d{3})(?: [^\r\n]*)?\r$/gm)) assert.ok(STATUSES.has(Number(m[1])), m[0]); // prettier-ignore
  if (c.sent.length > 0) assert.match(c.text, /^HTTP\/1\.[01] \d{3}/);
  return c;
}

/** In up to three pieces. */
const pieces = (b: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const at = [0, ...cuts.map((c) => c % (b.length + 1)).sort((x, y) => x - y), b.length];
  return at.slice(1).map((end, i) => b.subarray(at[i]!, end)).filter((p) => p.length > 0); // prettier-ignore
};

const FIRST_LINE = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+ [^\x00-\x20\x7f]+ HTTP\/1\.\d\r?\n/;

Hostile(`${HEADS} mutated heads are each answered by the right status or a close`, () => {
  const all = worlds([]);
  let count = 0;
  const tally = new Map<string, number>();
  const arbitrary = fc.tuple(fc.nat(HEAD_BASES.length - 1), fc.array(edit, { minLength: 1, maxLength: 4 }), fc.array(fc.nat(400), { maxLength: 2 })); // prettier-ignore
  fc.assert(
    fc.property(arbitrary, ([base, edits, cuts]) => {
      const bytes = mutated(HEAD_BASES[base]!, edits);
      const c = ask(all[count % all.length]!, pieces(bytes, cuts));
      count++;
      const first = c.text.slice(9, 12);
      tally.set(first, (tally.get(first) ?? 0) + 1);
      // What is no request of HTTP/1 may be refused, and nothing else.
      const text = String.fromCharCode(...bytes).replace(/^[\r\n]+/, '');
      if (!FIRST_LINE.test(text)) assert.match(c.text, /^($|HTTP\/1\.[01] (4|5)\d\d )/);
    }),
    { numRuns: HEADS, seed: 6 },
  );
  assert.is(count, HEADS);
  // Some were still requests, some were none, some nothing at all.
  for (const status of ['200', '400', ''])
    assert.ok((tally.get(status) ?? 0) > HEADS / 100, JSON.stringify([...tally]));
});

Hostile(`${HEADERS} mutated PROXY headers are each answered as the request behind them, or by a close`, () => {
  const all = worlds([proxyProtocol]);
  let count = 0;
  let closed = 0;
  const arbitrary = fc.tuple(fc.nat(HEADER_BASES.length - 1), fc.array(edit, { minLength: 1, maxLength: 3 }), fc.array(fc.nat(150), { maxLength: 2 })); // prettier-ignore
  fc.assert(
    fc.property(arbitrary, ([base, edits, cuts]) => {
      const header = mutated(HEADER_BASES[base]!, edits);
      const bytes = new Uint8Array(header.length + REQUEST.length);
      bytes.set(header);
      bytes.set(REQUEST, header.length);
      const c = ask(all[count++ % all.length]!, pieces(bytes, cuts));
      if (c.sent.length === 0) closed++;
      // Nothing is answered before a header was understood.
      const text = String.fromCharCode(...header);
      if (!text.startsWith('PROXY ') && !text.startsWith('\r\n\r\n\0\r\nQUIT\n')) assert.is(c.text, '');
    }),
    { numRuns: HEADERS, seed: 6 },
  );
  assert.is(count, HEADERS);
  assert.ok(closed > HEADERS / 10 && closed < HEADERS, `${closed} of ${HEADERS} closed without a word`);
});
Hostile.run();
