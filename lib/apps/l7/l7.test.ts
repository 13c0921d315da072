import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Kernel } from '../../linux/core/kernel.js';
import { Netns } from '../../linux/core/netns.js';
import type { Proc } from '../program.js';
import type { Answer, Controller, Forward } from './controller.js';
import { EngineIo } from './engine-io.js';
import { GO_CLIENT } from './go.js';
import { readRequest } from './head.js';
import { bytesOf } from './message.js';
import { Proxy } from './proxy.js';
import { type FakeConn, FakeIo } from './testing.js';

const L7 = suite('lib/apps/l7');

L7('readRequest() takes time linear in a line of blanks', () => {
  const limits = { maxLine: Infinity, maxHead: Infinity, maxFields: Infinity };
  const blanks = ' '.repeat(500_000);
  const begun = performance.now();
  const r = readRequest(['GET / HTTP/1.1', `A:${blanks}x${blanks}y${blanks}`, 'B:', 'C: \t'], limits);
  // Quadratic it is three minutes.
  assert.ok(performance.now() - begun < 5000, 'the time');
  assert.ok(typeof r !== 'string');
  assert.ok(r.fields[0]![1] === `x${blanks}y`);
  assert.equal(r.fields.slice(1), [
    ['B', ''],
    ['C', ''],
  ]);
  for (const bad of ['no colon', ': x', 'a b: x', ' a: x', 'a: x\0'])
    assert.is(readRequest(['GET / HTTP/1.1', bad], limits), 'bad', bad);
});

const TO = { address: 0x0a000109, port: 80 };
const SORRY: Answer = { head: { minor: 1, status: 503, reason: 'x', fields: [['Content-Length', '0']] }, body: bytesOf(''), close: false }; // prettier-ignore

/** What a Forward to one endpoint, tried twice, is told, while a client and an upstream do something. */
function told(act: (client: FakeConn, pods: FakeConn[]) => void): string[] {
  const said: string[] = [];
  const io = new FakeIo();
  const pods: FakeConn[] = [];
  io.upstream = (conn) => {
    pods.push(conn);
    conn.handler.open?.();
  };
  const forward: Forward = {
    next: (tried, f) => {
      const to = tried.length < 2 ? TO : null;
      said.push(`next ${f?.kind ?? 'first'} ${to === null ? 'none' : 'one'}`);
      return to;
    },
    request: (body) => ({
      method: 'POST',
      target: '/',
      minor: 1,
      fields: body.kind === 'length' ? [['Content-Length', String(body.length)]] : [],
    }),
    body: 'stream',
    maxBody: Infinity,
    connectNs: 1e9,
    readNs: 0,
    response: (head, body) => ({ head, body, close: false }),
    failed: () => (said.push('failed'), SORRY),
    done: () => said.push('done'),
  };
  const controller: Controller = {
    client: GO_CLIENT,
    upstream: { idle: 1, idleNs: 1e9, requests: 9, ageNs: 1e9, bodyApart: false, readBytes: 4096 },
    decide: () => ({ forward }),
    refuse: () => null,
  };
  new Proxy(io, controller).serve({ address: 0, port: 80 }, 80);
  act(io.client(80), pods);
  return said;
}

const GET = bytesOf('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
const POST = bytesOf('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na');

L7('a Forward is told of the end of every use of an endpoint once, by next() or done()', () => {
  const answered = told((c, pods) => {
    c.receive(GET);
    pods[0]!.receive(bytesOf('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    c.finish();
  });
  assert.equal(answered, ['next first one', 'done']);
  const gone = told((c) => {
    c.receive(GET);
    c.finish();
  });
  assert.equal(gone, ['next first one', 'done'], 'the client has gone');
  const half = told((c, pods) => {
    c.receive(GET);
    pods[0]!.receive(bytesOf('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'));
    pods[0]!.finish();
  });
  assert.equal(half, ['next first one', 'done'], 'half a response');
  const again = told((c, pods) => {
    c.receive(GET);
    pods[0]!.finish();
    pods[1]!.finish();
  });
  assert.equal(again, ['next first one', 'next closed one', 'next closed none', 'failed']);
  const spent = told((c, pods) => {
    c.receive(POST);
    pods[0]!.finish();
  });
  assert.equal(spent, ['next first one', 'done', 'failed'], 'a part of the body has gone');
});

/** An EngineIo in a namespace of its own. */
function engine(): { io: EngineIo; net: Netns } {
  const net = new Netns(new Kernel(1, { ipRcv: () => {}, arpRcv: () => {}, ipipRcv: () => {} }), 'n');
  const proc: Pick<Proc, 'net'> = { net };
  return { io: new EngineIo(proc as Proc, 1), net };
}

L7('EngineIo.soon() may be asked for again and again by what it calls', () => {
  const { io } = engine();
  const order: number[] = [];
  const more = (n: number): void => {
    order.push(n);
    if (n < 100_000) io.soon(() => more(n + 1));
  };
  io.soon(() => more(0));
  assert.is(order.length, 100_001);
  io.callback(() => {
    io.soon(() => order.push(-2));
    io.callback(() => order.push(-1));
  });
  assert.equal(order.slice(-2), [-1, -2]);
});

L7.run();
