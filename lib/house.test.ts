/** House rules: import direction, sizes, what the engine must not use, suites that never run. */
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
/** Without comments and strings of one line. */
const code = (f: string): string =>
  readFileSync(f, 'utf8')
    .replace(/\/\*[^]*?\*\//g, (m) => m.replace(/[^\n]/g, ''))
    .replace(/'(?:[^'\\\n]|\\.)*'/g, (m) => (m.startsWith("'node:") ? m : "''"))
    .replace(/(^|\s)\/\/.*/gm, '$1');
const below = (f: string, ...dirs: string[]): boolean => dirs.some((d) => f.startsWith(`${d}/`));
const sources = files.filter((f) => !f.endsWith('.test.ts'));

/** Files over 600 lines, with the reason. */
const LONG: Record<string, string> = {};
House('no file has more than 600 lines', () => {
  for (const f of files) {
    const n = readFileSync(f, 'utf8').split('\n').length - 1;
    if (LONG[f] === undefined) assert.ok(n <= 600, `${f} has ${n} lines: is it two things?`);
    else assert.ok(n > 600, `${f} needs no exception`);
  }
});

/** The recorder and the fuzzer drive processes; everything else below the CLI runs on virtual time alone. */
const REAL = (f: string): boolean => /^lib\/lab\/(kernel|fuzz\/)/.test(f);
House('no wall clock, host randomness, promises or locale below the CLI', () => {
  for (const f of sources.filter((x) => !below(x, 'lib/cli') && !REAL(x))) {
    const m = /\bDate\b|\bperformance\b|Math\.random|\basync\b|\bawait\b|\bPromise\b|localeCompare|toLocale|\bIntl\b|\bset(Timeout|Interval|Immediate)\b/.exec(code(f)); // prettier-ignore
    assert.is(m, null, `${f} uses ${m?.[0]}`);
  }
});
House('the engine imports nothing of Node and uses none of its globals', () => {
  for (const f of sources.filter((x) =>
    below(x, 'wire', 'lib/sim', 'lib/linux', 'lib/apps', 'lib/shell', 'lib/kube'),
  )) {
    const m = /'node:[^']*'|\bprocess\.|\bBuffer\b|\brequire\(/.exec(code(f));
    assert.is(m, null, `${f} uses ${m?.[0]}`);
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
