import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SEC } from '../../sim/sim.js';
import { Stats } from './est.js';

const Est = suite('lib/linux/ipvs/est');
Est('counters show the last tick of two seconds, rates a quarter of each tick', () => {
  const s = new Stats();
  s.start(0.5 * SEC);
  for (let i = 0; i < 1000; i++) s.packet(0, 100, 1 * SEC);
  s.conn(1 * SEC);
  assert.equal(s.counters(1.9 * SEC), [0, 0, 0, 0, 0]);
  assert.equal(s.counters(2 * SEC), [1, 1000, 0, 100000, 0]);
  assert.equal(s.rates(2 * SEC), [0, 125, 0, 12500, 0]);
  s.packet(1, 60, 3 * SEC);
  assert.equal(s.counters(3.9 * SEC), [1, 1000, 0, 100000, 0]);
  assert.equal(s.rates(4 * SEC), [0, 94, 0, 9375, 7]);
  assert.equal(s.counters(4 * SEC), [1, 1000, 1, 100000, 60]);
});
Est('zero() starts again from the last tick; without traffic rates fade', () => {
  const s = new Stats();
  s.start(0);
  s.packet(0, 100, 1 * SEC);
  s.packet(0, 100, 3 * SEC);
  s.zero(3.5 * SEC);
  assert.equal(s.counters(3.9 * SEC), [0, 0, 0, 0, 0]);
  assert.equal(s.counters(4 * SEC), [0, 1, 0, 100, 0]);
  assert.equal(s.rates(4000 * SEC), [0, 0, 0, 0, 0]);
  s.packet(0, 100, 4001 * SEC);
  assert.equal(s.counters(4002 * SEC), [0, 2, 0, 200, 0]);
});
Est('a stopped estimator keeps what it had', () => {
  const s = new Stats();
  s.start(0);
  s.packet(0, 100, 1 * SEC);
  s.stop(1.5 * SEC);
  assert.equal(s.counters(10 * SEC), [0, 0, 0, 0, 0]);
  s.start(10.5 * SEC);
  assert.equal(s.counters(12 * SEC), [0, 1, 0, 100, 0]);
});
Est.run();
