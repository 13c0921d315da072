import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { frameAll, frameDns } from '../../wire/dns-stream.js';
import { SEC } from '../sim/sim.js';
import { DnsSession } from './dns-session.js';

const Session = suite('lib/apps/dns-session');

/** A session whose answers are given by hand; `log` has what it did to its connection. */
function session(): { s: DnsSession; log: string[]; answer: (() => void)[] } {
  const log: string[] = [];
  const answer: (() => void)[] = [];
  const s = new DnsSession((q, send) => void answer.push(() => send(Uint8Array.of(q[0]!, 0x80))), {
    write: (b) => void log.push(`write ${[...b].join(' ')}`),
    close: () => void log.push('close'),
    next: (fire) => fire(),
    deadline: (ns) => void log.push(ns === null ? 'wait' : `deadline ${ns / SEC}`),
  });
  return { s, log, answer };
}

const query = (id: number): Uint8Array => Uint8Array.from({ length: 12 }, (_, i) => (i === 0 ? id : 0));

Session('data() serves queries of one segment one after the other', () => {
  const { s, log, answer } = session();
  s.data(frameAll([query(1), query(2)]));
  assert.is(answer.length, 1);
  answer[0]!();
  assert.is(answer.length, 2);
  answer[1]!();
  assert.equal(log, [
    'deadline 3', 'wait', 'write 0 2 1 128', 'deadline 10', 'wait', 'write 0 2 2 128', 'deadline 10',
  ]); // prettier-ignore
});

Session('data() ignores what is no query', () => {
  const { s, answer } = session();
  const reply = query(5);
  reply[2] = 0x80;
  s.data(frameAll([new Uint8Array(11), reply, new Uint8Array(0)]));
  assert.is(answer.length, 0);
  s.data(frameDns(query(6)));
  assert.is(answer.length, 1);
});

Session('expired() closes; a late answer is not written', () => {
  const { s, log, answer } = session();
  s.data(frameDns(query(1)));
  s.expired();
  answer[0]!();
  assert.equal(log, ['deadline 3', 'wait', 'wait', 'close']);
});

Session('data() closes on a client that sends without end and reads no answer', () => {
  const { s, log } = session();
  for (let i = 0; i < 5; i++) s.data(frameAll(Array.from({ length: 100 }, () => new Uint8Array(600).fill(0))));
  assert.is(log.at(-1), 'close');
});

Session.run();
