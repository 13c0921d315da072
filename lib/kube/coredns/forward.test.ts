/** Order and times of what goes upstream, as CoreDNS 1.12.1 was observed to send it (tenths of a second). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { packDns, TYPE } from '../../../wire/dns.js';
import { unpackDns } from '../../../wire/dns-unpack.js';
import { Sim } from '../../sim/sim.js';
import type { DnsIo } from './forward.js';
import { CoreDns } from './server.js';

/** `refused`: errors at once; `silent`: never answers; `up`: an empty NOERROR. */
type Mood = 'up' | 'silent' | 'refused';

/** Queries `NAME` at seconds `at` through a Corefile with these upstream ports; the log of what happened. */
function trace(
  options: string,
  moods: Record<number, Mood>,
  queries: [at: number, name: string][],
  until: number,
): string[] {
  const sim = new Sim();
  const log: string[] = [];
  const say = (text: string): void => void log.push(`${(sim.now / 1e9).toFixed(1)} ${text}`);
  let draws = 0;
  const io: DnsIo = {
    now: () => sim.now,
    after: (ns, fire) => void sim.after(ns, fire),
    order: () => 0,
    random: () => ++draws,
    exchange: (to, _transport, query, timeout, expire, done) => {
      const m = unpackDns(query)!;
      say(`:${to.port} ${m.question[0]!.name}${expire === 0 ? ' fresh' : ''}`);
      if (moods[to.port] === 'up') done(packDns({ ...m, flags: 0x8180 }, false));
      else if (moods[to.port] === 'refused') done(null);
      else sim.after(timeout, () => done(null));
    },
  };
  const ports = Object.keys(moods)
    .map((p) => `127.0.0.1:${p}`)
    .join(' ');
  const text = `. {\n  forward . ${ports} {\n${options}\n  }\n}\n`;
  const dns = new CoreDns({
    corefile: { text, file: 'f' },
    objects: [],
    serial: 0,
    readFile: () => null,
    localAddresses: [],
    io,
  });
  for (const [at, name] of queries) {
    sim.after(at * 1e9, () => {
      const query = packDns({ id: 7, flags: 0x100, question: [{ name, type: TYPE.A, cls: 1 }], answer: [], authority: [], additional: [] }, false); // prettier-ignore
      dns.handle(query, { transport: 'udp', address: Uint8Array.of(127, 0, 0, 1), port: 5353 }, (r) =>
        say(`reply ${(r[2]! * 256 + r[3]!).toString(16)}`),
      );
    });
  }
  sim.runUntil(until * 1e9);
  return log;
}

const Forward = suite('lib/kube/coredns/forward');
Forward(
  'a silent upstream costs 2 s, is checked until it answers, and is passed over after three failed checks',
  () => {
    const log = trace('policy sequential', { 90: 'silent', 91: 'up' }, [[0.1, 'a.'], [2.5, 'b.'], [9, 'c.'], [9.3, 'd.']], 10.4); // prettier-ignore
    assert.equal(log, [
    '0.1 :90 a.', '2.1 :91 a.', '2.1 reply 8180', '2.1 :90 . fresh',
    '2.5 :90 b.', '3.6 :90 . fresh', '4.5 :91 b.', '4.5 reply 8180', '5.1 :90 . fresh', '6.6 :90 . fresh', '8.1 :90 . fresh',
    '9.0 :91 c.', '9.0 reply 8180', '9.3 :91 d.', '9.3 reply 8180', '9.6 :90 . fresh',
  ]); // prettier-ignore
  },
);
Forward('one silent upstream is asked three times in 6 s, once when it is down', () => {
  const log = trace(
    '',
    { 92: 'silent' },
    [
      [0.1, 'a.'],
      [7, 'b.'],
    ],
    12,
  );
  assert.equal(log, [
    '0.1 :92 a.', '2.1 :92 a.', '2.1 :92 . fresh', '3.6 :92 . fresh', '4.1 :92 a.', '5.1 :92 . fresh', '6.1 reply 8102',
    '6.6 :92 . fresh', '7.0 :92 b.', '8.1 :92 . fresh', '9.0 reply 8102', '9.6 :92 . fresh', '11.1 :92 . fresh',
  ]); // prettier-ignore
});
Forward('a refusing upstream is given up after the third check, at 1 s', () => {
  const log = trace('', { 92: 'refused' }, [[0.1, 'a.']], 2);
  assert.is(
    log.find((l) => l.includes('reply')),
    '1.1 reply 8102',
  );
});
Forward('max_fails 0 makes no checks, failfast does not try what is down, max_concurrent refuses', () => {
  assert.not.match(trace('max_fails 0', { 92: 'silent' }, [[0, 'a.']], 9).join(), /fresh/);
  const fast = trace(
    'failfast_all_unhealthy_upstreams',
    { 92: 'silent' },
    [
      [0, 'a.'],
      [7, 'b.'],
    ],
    9,
  );
  assert.not.match(fast.join(), / b\./);
  assert.match(fast.join(), /7\.0 reply 8102/);
  assert.match(
    trace(
      'max_concurrent 1',
      { 92: 'silent' },
      [
        [0, 'a.'],
        [1, 'b.'],
      ],
      3,
    ).join(),
    /1\.0 reply 8105/,
  );
});
Forward('policy round_robin starts with the second upstream and goes round', () => {
  const log = trace(
    'policy round_robin',
    { 1: 'up', 2: 'up', 3: 'up' },
    [
      [0, 'a.'],
      [1, 'b.'],
      [2, 'c.'],
      [3, 'd.'],
    ],
    4,
  );
  assert.equal(log.filter((l) => l.includes(':')), ['0.0 :2 a.', '1.0 :3 b.', '2.0 :1 c.', '3.0 :2 d.']); // prettier-ignore
});
Forward('health_check asks for its domain without recursion', () => {
  const log = trace('health_check 1s no_rec domain x.y', { 92: 'silent' }, [[0, 'a.']], 4.5);
  assert.equal(
    log.filter((l) => l.includes('fresh')),
    ['2.0 :92 x.y. fresh', '4.0 :92 x.y. fresh'],
  );
});
Forward.run();
