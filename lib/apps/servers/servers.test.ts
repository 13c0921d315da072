import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BodyReader } from '../l7/body.js';
import { bytesOf, CHUNKED, textOf } from '../l7/message.js';
import { Proxy } from '../l7/proxy.js';
import { FakeIo } from '../l7/testing.js';
import { serverOf } from './index.js';

const Servers = suite('lib/apps/servers');

/** What a server answers to bytes. */
function ask(words: string, request: string): string {
  const s = serverOf(words.split(' '));
  assert.ok(s !== null && 'site' in s, words);
  const io = new FakeIo();
  new Proxy(io, s.site.make(io, { hostname: 'h', addresses: () => ['127.0.0.1'] })).serve({ address: 0, port: 80 }, 80);
  const c = io.client(80);
  c.receive(bytesOf(request));
  return c.text;
}

const get = (target: string, fields = ''): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

Servers('a Go handler that says 204 has no body, and nothing that speaks of one, however long it was', () => {
  for (const n of [1, 3000]) {
    const text = ask('agnhost netexec', get(`/echo?code=204&msg=${'x'.repeat(n)}`));
    assert.is(text, 'HTTP/1.1 204 No Content\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n');
  }
});

Servers('whoami /api lists the values of a name that comes often', () => {
  const begun = performance.now();
  const text = ask('whoami', get('/api', 'a:b\r\n'.repeat(200_000)));
  // Copied for each one it is half a minute.
  assert.ok(performance.now() - begun < 5000, 'the time');
  assert.match(text.slice(0, 200), /^HTTP\/1\.1 200 OK\r\n/);
  const body = new BodyReader(CHUNKED).feed(bytesOf(text), text.indexOf('\r\n\r\n') + 4).data;
  assert.is(textOf(body).split('"b"').length - 1, 200_000);
});

Servers('arguments that the real programs do not take', () => {
  const wrong = (words: string, why: RegExp): void => {
    const s = serverOf(words.split(' '));
    assert.ok(s !== null && 'error' in s, words);
    assert.match(s.error, why);
  };
  for (const bad of ['200.5', '2e2', '600', '']) wrong(`http-echo -text=x -status-code=${bad}`, /found -status-code/);
  for (const bad of ['constructor', '1.0']) wrong(`nginx --version ${bad}`, /expected --version 1\.25\.3\|1\.27\.5$/);
});

Servers.run();
