import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../sim/input-error.js';
import { slipped } from './kernel.js';
import { formatDuration, formatLab, parseDuration, parseLab } from './lab.js';

const LabFormat = suite('lib/lab/lab');

const TEXT = `kind: Lab
metadata: { name: x, description: "d: e" }
spec:
  seed: 7
  setup: |
    ip netns add n

    ip netns exec n iptables-restore <<'EOF'
    *nat
    COMMIT
    EOF
  steps:
  - { at: 1500ms, run: ip netns exec n true, expect: { exit: 0, stdout: "a" } }
  - at: 2s
    run: |
      cat <<E
      b
      E
      nc -l 1 &
  until: 1m
  captures: [n/lo]
`;

const failure = (text: string): string => {
  try {
    parseLab(text, 'f.yaml');
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'no error';
};

LabFormat('parseLab() reads every field, commands at their places in the file', () => {
  const lab = parseLab(TEXT, 'f.yaml');
  assert.equal([lab.name, lab.description, lab.seed, lab.untilNs, lab.captures], ['x', 'd: e', 7, 60e9, ['n/lo']]);
  assert.equal(lab.setup.map(c => [c.line, c.column]), [[6, 5], [8, 5]]); // prettier-ignore
  assert.is(lab.setup[1]!.stdin, '*nat\nCOMMIT\n');
  assert.is(lab.setupLine, 6);
  assert.equal(lab.steps.map(s => [s.atNs, s.line]), [[1.5e9, 13], [2e9, 14]]); // prettier-ignore
  assert.equal([lab.steps[0]!.run[0]!.line, lab.steps[0]!.run[0]!.column], [13, 24]);
  assert.equal(lab.steps[0]!.expect, { exit: 0, stdout: 'a' });
  assert.equal([lab.steps[1]!.run[1]!.line, lab.steps[1]!.run[1]!.background], [19, true]);
});

LabFormat('formatLab() prints what parseLab() reads back equal', () => {
  const bare = (text: string): unknown =>
    JSON.parse(
      JSON.stringify(parseLab(text, 'f'), (k, v: unknown) =>
        /^(line|column|stdinLine|setupLine|capturePlaces)$/.test(k) ? 0 : v,
      ),
    );
  assert.equal(bare(formatLab(parseLab(TEXT, 'f'))), bare(TEXT));
  assert.match(formatLab(parseLab(TEXT, 'f')), /setup: \|\n {4}ip netns add n\n/);
});

LabFormat('parseLab() refuses what it does not know, with the place', () => {
  assert.match(
    failure(TEXT.replace('seed: 7', 'sede: 7')),
    /^f.yaml:4:3: found unknown field 'sede' in spec, expected/,
  );
  assert.match(failure(TEXT.replace('at: 2s', 'at: 2')), /^f.yaml:14:9: found '2' in at, expected a duration/);
  assert.match(failure(TEXT.replace('seed: 7', 'seed: x')), /^f.yaml:4:9: found 'x' in seed/);
  assert.match(failure(TEXT.replace('seed: 7', 'seed: 1\n  seed: 2')), /^f.yaml:5:3: .*"seed" twice/);
  assert.match(failure(TEXT.replace('add n\n', 'add $n\n')), /^f.yaml:6:18: found '\$'/);
  assert.match(failure(TEXT.replace('      b\n', '      $b\n')), /^f.yaml:17:7: found '\$'/);
  assert.match(failure(TEXT.replace('[n/lo]', '[n/lo, n/lo]')), /^f.yaml:21:20: found 'n\/lo' twice/);
  assert.match(failure(TEXT.replace('kind: Lab', 'kind: Pod')), /^f.yaml:1:7: found kind 'Pod'/);
});

LabFormat('parseDuration() and formatDuration() are inverse', () => {
  for (const t of ['0s', '1500ms', '2s', '1m', '500us', '7ns']) assert.is(formatDuration(parseDuration(t)!), t);
  assert.is(parseDuration('0.5s'), 5e8);
  for (const t of ['', '1', '-1s', '1h', '1 s']) assert.is(parseDuration(t), null);
});

LabFormat('slipped() allows half the time to the next step, 100 ms at least and 1 s at most', () => {
  const lab = parseLab(
    'kind: Lab\nmetadata: { name: x }\nspec:\n  setup: ""\n  steps:\n  - { at: 0s, run: "true" }\n  - { at: 1s, run: "true" }\n  - { at: 1050ms, run: "true" }\n  - { at: 9s, run: "true" }\n',
    'f',
  );
  assert.is(slipped(lab, [500, 100, 1000, 1000]), 0);
  assert.is(slipped(lab, [501, 0, 0, 0]), 501);
  assert.is(slipped(lab, [0, 100.5, 0, 0]), 101);
  assert.is(slipped(lab, [600, 0, 1001, 0]), 1001);
});

LabFormat('slipped() measures what a component does against the next step of a user', () => {
  const step = (at: string, by = ''): string => `  - { at: ${at}, run: "true"${by} }\n`;
  const steps =
    step('0s') +
    step('1s', ', by: kubelet n') +
    step('1020ms', ', by: kube-proxy n') +
    step('1800ms') +
    step('3s', ', by: kubelet n');
  const lab = parseLab(`kind: Lab\nmetadata: { name: x }\nspec:\n  setup: ""\n  steps:\n${steps}`, 'f');
  assert.is(slipped(lab, [500, 400, 390, 600, 5000]), 0);
  assert.is(slipped(lab, [501, 0, 0, 0, 0]), 501);
  assert.is(slipped(lab, [0, 401, 0, 0, 0]), 401);
  assert.is(slipped(lab, [0, 0, 391, 0, 0]), 391);
  assert.is(slipped(lab, [0, 0, 0, 0, 5001]), 5001);
});

LabFormat.run();
