import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../../../wire/inet.js';
import type { Downstream } from '../../../apps/l7/controller.js';
import { bytesOf, type Field, NO_BODY, ofLength, type RequestHead, requestText, responseText, textOf } from '../../../apps/l7/message.js'; // prettier-ignore
import { clientResponse, targetRequest, traceId } from './headers.js';
import { albAnswer, page } from './pages.js';

const endpoint = (address: string, port: number) => ({ address: aton(address)!, port });
const FROM: Downstream = { local: endpoint('203.0.113.10', 80), peer: endpoint('203.0.113.50', 41000), originalDst: endpoint('203.0.113.10', 80), tls: null, port: 80, nth: 0, keep: true }; // prettier-ignore
const CURL: RequestHead = { method: 'GET', target: '/a?b=1', minor: 1, fields: [['Host', 'shop.example.com'], ['User-Agent', 'curl/8.14.1'], ['Accept', '*/*']] }; // prettier-ignore
const ID = '1-63e18147-1532a244542b04bc75ffd473';
const NOW = 1795358872; // Sun, 22 Nov 2026 14:47:52 GMT
const lines = (text: string): string[] => text.split('\r\n');

const Alb = suite('lib/kube/ingress/alb');

Alb('targetRequest() writes X-Forwarded-*, Host and the trace id before the rest (A1)', () => {
  assert.equal(lines(requestText(targetRequest(CURL, FROM, ID, NO_BODY))), [
    'GET /a?b=1 HTTP/1.1',
    'X-Forwarded-For: 203.0.113.50',
    'X-Forwarded-Proto: http',
    'X-Forwarded-Port: 80',
    'Host: shop.example.com',
    `X-Amzn-Trace-Id: Root=${ID}`,
    'User-Agent: curl/8.14.1',
    'Accept: */*',
    '',
    '',
  ]);
});

Alb(
  'targetRequest() appends to X-Forwarded-For, replaces the others, strips hop-by-hop, tells the port in Host',
  () => {
    const fields: Field[] = [['Host', 'h.example.com'], ['X-Forwarded-For', '1.2.3.4'], ['X-Forwarded-Port', '9'], ['Connection', 'close'], ['x-amzn-trace-id', 'Root=1-1-2;CalledFrom=app'], ['x-custom', '1'], ['Content-Length', '3']]; // prettier-ignore
    const head = targetRequest({ ...CURL, method: 'POST', fields }, { ...FROM, port: 8080 }, ID, ofLength(3));
    assert.equal(head.fields, [
      ['X-Forwarded-For', '1.2.3.4, 203.0.113.50'],
      ['X-Forwarded-Proto', 'http'],
      ['X-Forwarded-Port', '8080'],
      ['Host', 'h.example.com:8080'],
      ['X-Amzn-Trace-Id', `Self=${ID};Root=1-1-2;CalledFrom=app`],
      ['Content-Length', '3'],
      ['x-custom', '1'],
    ]);
  },
);

Alb('traceId() replaces the Self of another load balancer', () => {
  assert.is(traceId('Self=1-a-b;Root=1-c-d', ID), `Self=${ID};Root=1-c-d`);
  assert.is(traceId(null, ID), `Root=${ID}`);
});

Alb('clientResponse() orders the Pod’s fields as captures show them (A1)', () => {
  const fields: Field[] = [['Content-Type', 'text/plain; charset=utf-8'], ['X-Powered-By', 'x'], ['Server', 'pod/1.0'], ['Date', 'Sun, 22 Nov 2026 14:47:51 GMT'], ['Content-Length', '23'], ['Set-Cookie', 'a=b']]; // prettier-ignore
  const r = clientResponse({ minor: 1, status: 200, reason: 'OK', fields }, ofLength(23), { minor: 1, now: NOW, keep: true }); // prettier-ignore
  assert.equal(lines(responseText(r.head)), [
    'HTTP/1.1 200 OK',
    'Date: Sun, 22 Nov 2026 14:47:51 GMT',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Length: 23',
    'Connection: keep-alive',
    'Set-Cookie: a=b',
    'Server: pod/1.0',
    'X-Powered-By: x',
    '',
    '',
  ]);
});

Alb('page() has the lengths that were seen', () => {
  assert.equal([301, 502, 503, 504].map((s) => page(s).length), [134, 122, 162, 132]); // prettier-ignore
});

Alb('albAnswer() writes Server, Date, the body’s fields, Connection, Location (A3)', () => {
  const a = albAnswer(301, { now: NOW, keep: true, location: 'https://shop.example.com:443/a?b=1' });
  assert.equal(lines(responseText(a.head)), [
    'HTTP/1.1 301 Moved Permanently',
    'Server: awselb/2.0',
    'Date: Sun, 22 Nov 2026 14:47:52 GMT',
    'Content-Type: text/html',
    'Content-Length: 134',
    'Connection: keep-alive',
    'Location: https://shop.example.com:443/a?b=1',
    '',
    '',
  ]);
  const fixed = albAnswer(404, { now: NOW, keep: true, body: { type: 'text/plain; charset=utf-8', text: '' } });
  assert.equal(fixed.head.fields.slice(2, 4), [['Content-Type', 'text/plain; charset=utf-8'], ['Content-Length', '0']]); // prettier-ignore
  assert.is(textOf(fixed.body), textOf(bytesOf('')));
});

Alb.run();
