import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpResponse } from './http-response.js';
import { bytesOf, textOf } from './l7/message.js';

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

/** A response that came in these pieces, and its body. */
function read(...pieces: string[]): [HttpResponse, string] {
  const r = new HttpResponse(false);
  const body = pieces.map((p) => textOf(r.data(bytesOf(p)))).join('');
  return [r, body];
}

const Response = suite('lib/apps/http-response');

Response('heads end with an empty line of CRLF or LF, interim ones before', () => {
  for (const text of [
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok',
  ])
    for (const [r, body] of [read(text), read(...text)])
      assert.equal([r.status, r.complete, r.error, body, r.head + body], [200, true, null, 'ok', text]);
});

Response('chunks, their extensions and trailers', () => {
  const text = `${CHUNKED}2;a=b\r\nok\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n`;
  for (const [r, body] of [read(text), read(...text)])
    assert.equal([r.complete, r.error, body], [true, null, 'ok0123456789']);
  for (const bad of ['-2', '-3', 'g', '', ' -1', '1'.repeat(17)])
    assert.is(read(`${CHUNKED}${bad}\r\n`)[0].error, 'Illegal or missing hexadecimal sequence', bad);
});

Response('long lines take linear time', () => {
  const begun = performance.now();
  const [head] = read(`HTTP/1.1 200 OK\r\nA: ${'x'.repeat(300_000)}`, 'x'.repeat(10_000));
  assert.is(head.error, 'Too large response headers');
  const [r, body] = read(`${CHUNKED}2;${'x'.repeat(3_000_000)}\r\nok`);
  assert.equal([r.error, body], [null, 'ok']);
  // Quadratic it is an hour.
  assert.ok(performance.now() - begun < 10_000, 'the time');
});

Response.run();
