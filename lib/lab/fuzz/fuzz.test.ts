import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseLab } from '../lab.js';
import { type FuzzLab, fuzzLab, fuzzText } from './fuzz-lab.js';
import { candidates, shrink } from './shrink.js';

const Fuzz = suite('lib/lab/fuzz');

Fuzz('fuzzLab() gives the same Lab for the same seed and another for another', () => {
  assert.is(fuzzText(fuzzLab(7)), fuzzText(fuzzLab(7)));
  assert.is.not(fuzzText(fuzzLab(7)), fuzzText(fuzzLab(8)));
});

Fuzz('fuzzText() parses as a Lab for every seed', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const lab = parseLab(fuzzText(fuzzLab(seed)), `seed ${seed}`);
    assert.ok(lab.steps[0]!.run.length >= 3);
  }
});

Fuzz('candidates() are all smaller and keep a step', () => {
  const lab = fuzzLab(3);
  const size = (l: FuzzLab): number => l.setup.length + l.steps.length;
  for (const c of candidates(lab)) {
    assert.ok(size(c) < size(lab));
    assert.ok(c.steps.length > 0);
  }
});

Fuzz('shrink() keeps only the lines the failure needs', async () => {
  const lab: FuzzLab = {
    name: 'x',
    setup: ['ip netns add a', 'ip netns add b', 'needed', ...Array.from({ length: 20 }, (_, i) => `noise ${i}`)],
    steps: [0, 1, 2, 3].map((i) => `step ${i}`),
  };
  const small = await shrink(lab, (labs) =>
    Promise.resolve(labs.map((l) => l.setup.includes('needed') && l.steps.includes('step 2'))),
  );
  assert.equal(small.setup, ['needed']);
  assert.equal(small.steps, ['step 2']);
});

Fuzz.run();
