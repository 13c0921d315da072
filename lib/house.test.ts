/** House rules: import direction, and suites that never run. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const ORDER = [
  'wire',
  'lib/sim',
  'lib/linux',
  'lib/apps',
  'lib/shell',
  'lib/capture',
  'lib/lab',
  'lib/kube',
  'lib/cli',
];
const files = ['wire', 'lib'].flatMap((d) =>
  readdirSync(d, { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts'))
    .map((f) => normalize(join(d, f))),
);
const rank = (f: string): number => ORDER.findIndex((d) => f.startsWith(`${d}/`));

const House = suite('house');
House('imports point left only', () => {
  for (const f of files.filter((x) => rank(x) >= 0)) {
    for (const m of readFileSync(f, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      const target = normalize(relative('.', join(dirname(f), m[1]!)));
      assert.ok(rank(target) <= rank(f), `${f} imports ${target}`);
    }
  }
});
House('every suite is run', () => {
  for (const f of files.filter((x) => x.endsWith('.test.ts'))) {
    const text = readFileSync(f, 'utf8');
    const suites = text.match(/^const \w+ = suite\(/gm)?.length ?? 0;
    const runs = text.match(/^(else )?\w+\.run\(\);/gm)?.length ?? 0;
    assert.is(runs, suites, f);
    assert.ok(suites > 0, `${f} has no suite`);
  }
});
House.run();
