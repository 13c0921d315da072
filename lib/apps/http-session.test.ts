import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpSession, plainSite } from './http-session.js';
import { bytesOf, textOf } from './l7/message.js';

const POST = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx';
const BAD = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

/** The answers to pieces of a connection's input, and whether it is over. */
function ask(...pieces: string[]): [string, boolean] {
  const session = new HttpSession(plainSite('x'));
  const all = pieces.map((p) => session.data(bytesOf(p)));
  return [all.map((r) => textOf(r.bytes)).join(''), all.at(-1)!.close];
}

const Session = suite('lib/apps/http-session');

Session('chunked bodies are skipped, with their extensions and trailers, in any pieces', () => {
  const body = '3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n';
  assert.equal(ask(POST + body + POST + body), [OK + OK, false]);
  assert.equal(ask(...(POST + body + POST + body)), [OK + OK, false]);
  assert.equal(ask(`${POST}0\r\n`), ['', false]);
});

Session('a body that is none ends the connection', () => {
  for (const bad of ['-6\r\n', 'zz\r\n', '\r\n', '3\r\nabcd\r\n', '9'.repeat(13), `1;${'x'.repeat(5000)}`])
    assert.equal(ask(POST + bad), [BAD, true], bad);
});

Session.run();
