import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Rng } from './rng.js';
import { EndlessLoop, Sim, Timer } from './sim.js';

const S = suite('lib/sim');

S('timers fire by (time, order of arming), whatever is cancelled in between', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean()), { maxLength: 60 }), (list) => {
      const sim = new Sim();
      const fired: number[] = [];
      const timers = list.map(([at], i) => {
        const t = new Timer(() => fired.push(i));
        sim.arm(t, at);
        return t;
      });
      list.forEach(([, cancel], i) => cancel && sim.cancel(timers[i]!));
      sim.runUntil(20);
      const want = list
        .map(([at, c], i) => ({ at, c, i }))
        .filter((x) => !x.c)
        .sort((a, b) => a.at - b.at || a.i - b.i);
      assert.equal(
        fired,
        want.map((x) => x.i),
      );
    }),
  );
});

S('the softirq ring is FIFO and grows', () => {
  const sim = new Sim();
  const seen: number[] = [];
  const to = {
    softirq(n: number): void {
      seen.push(n);
      if (n < 1000) sim.raise(to, n + 1000);
    },
  };
  for (let i = 0; i < 1000; i++) sim.raise(to, i);
  sim.drain();
  assert.equal(
    seen,
    Array.from({ length: 2000 }, (_, i) => i),
  );
});

S('a generator depends on seed and purpose only', () => {
  const a = new Rng(1, 'x');
  const b = new Rng(1, 'x');
  const c = new Rng(1, 'y');
  const draws = (r: Rng): number[] => Array.from({ length: 5 }, () => r.u32());
  const first = draws(a);
  assert.equal(first, draws(b));
  assert.not.equal(first, draws(c));
});

S('drain() and step() end with an error when no time passes for ever', () => {
  const sim = new Sim();
  const to = { softirq: (n: number): void => sim.raise(to, n) };
  sim.raise(to, 1);
  assert.throws(
    () => sim.drain(),
    (e: unknown) => e instanceof EndlessLoop,
  );
  const storm = new Sim();
  const both = {
    softirq(n: number): void {
      storm.raise(both, n);
      storm.raise(both, n);
    },
  };
  storm.raise(both, 1);
  assert.throws(
    () => storm.drain(),
    (e: unknown) => e instanceof EndlessLoop,
  );
  const timers = new Sim();
  const t = new Timer(() => timers.arm(t, timers.now));
  timers.arm(t, 0);
  assert.throws(
    () => timers.runUntil(1),
    (e: unknown) => e instanceof EndlessLoop,
  );
});

S('timers of one tick fire together: the higher level first, within a level the latest first', () => {
  const sim = new Sim();
  const seen: string[] = [];
  const sink = { softirq: (n: string) => void seen.push(`softirq ${n}`) };
  const timer = (name: string): Timer =>
    new Timer(() => {
      seen.push(name);
      sim.raise(sink, name);
    });
  const late = timer('late');
  sim.arm(timer('plain'), 1000);
  sim.armWheel(timer('first'), 1000, 0);
  sim.armWheel(late, 1000, 0);
  sim.armWheel(timer('high'), 1000, 1);
  sim.armWheel(timer('last'), 1000, 0);
  sim.armWheel(late, 1000, 0);
  sim.runUntil(1000);
  const fired = ['high', 'last', 'late', 'first'];
  assert.equal(seen, [...fired, ...fired.map((n) => `softirq ${n}`), 'plain', 'softirq plain']);
});

S.run();
