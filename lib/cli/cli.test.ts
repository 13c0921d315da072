/** The verbs as users meet them: goldens, bad input, exit codes, the README's examples. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { execute } from './execute.js';
import { compareWith, problemsOf } from './golden.js';
import { load } from './load.js';

const MAIN = join('dist', 'lib', 'cli', 'main.js');
const podwire = (...args: string[]): { code: number | null; out: string; err: string } => {
  const r = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  return { code: r.status, out: r.stdout, err: r.stderr };
};
const dir = mkdtempSync(join(tmpdir(), 'podwire-'));
const scenarios = readdirSync('scenarios').filter((f) => f.endsWith('.yaml'));

const Cli = suite('lib/cli');

Cli('every scenario equals its kernel golden and leaves no skb behind', async () => {
  for (const f of scenarios) {
    const l = await load(join('scenarios', f));
    const o = await execute(l);
    const c = compareWith(join('golden', l.name), { taps: o.run.taps, steps: o.steps }, l.text);
    assert.equal(problemsOf(l.name, c), []);
    assert.is(o.run.kernel.skbs.live, 0, `${l.name}: skbs alive at the end`);
    assert.equal(o.failures, []);
  }
});

Cli('the same seed gives the same bytes', async () => {
  const l = await load('scenarios/clusterip-iptables.yaml');
  const bytes = async (): Promise<string> => {
    const o = await execute(l);
    return o.run.taps.map((t) => t.iface + Buffer.concat(t.pcap()).toString('hex')).join();
  };
  assert.is(await bytes(), await bytes());
});

const BAD: [name: string, text: string, place: RegExp][] = [
  ['wrong YAML', 'kind: [\n', /bad\.yaml:\d+:\d+: wrong YAML/],
  ['unknown kind', 'kind: Pond\n', /bad\.yaml:1:1: kind: found "Pond"/],
  ['unknown field', 'kind: Lab\nmetadata: { name: x }\nspec: { bogus: 1 }\n', /bad\.yaml:3:/],
  [
    'unknown command',
    'kind: Lab\nmetadata: { name: x }\nspec:\n  setup: |\n    frobnicate\n  steps: []\n',
    /bad\.yaml:5:5: unknown command "frobnicate"/,
  ],
  [
    'unknown match',
    'kind: Lab\nmetadata: { name: x }\nspec:\n  setup: |\n    iptables -A INPUT -m nosuch -j DROP\n  steps: []\n',
    /bad\.yaml:5:5: .*nosuch/,
  ],
];
for (const [name, text, place] of BAD) {
  Cli(`run refuses ${name} with its place, exit 2, and writes nothing`, () => {
    const file = join(dir, 'bad.yaml');
    writeFileSync(file, text);
    const r = podwire('run', file, '-o', join(dir, 'out'));
    assert.is(r.code, 2, r.err);
    assert.match(r.err, place);
    assert.not(readdirSync(dir).includes('out'));
  });
}

Cli('diff refuses a truncated capture', () => {
  const whole = readFileSync(join('golden', 'pod-localhost', 'default_web', 'lo.pcap'));
  const file = join(dir, 'cut.pcap');
  writeFileSync(file, whole.subarray(0, whole.length - 3));
  assert.is(podwire('diff', file, file).code, 2);
});

Cli('diff names interface, frame and field of one flipped byte', () => {
  const path = join('golden', 'pod-localhost', 'default_web', 'lo.pcap');
  const b = Buffer.from(readFileSync(path));
  b[24 + 16 + 14 + 8]! ^= 1;
  const file = join(dir, 'flip.pcap');
  writeFileSync(file, b);
  const r = podwire('diff', path, file);
  assert.is(r.code, 1);
  assert.match(r.out, /frame 1: ip\.ttl: expected 64 \(0x40\), actual 65 \(0x41\)/);
});

Cli("the README's examples run", () => {
  for (const line of readFileSync('README.md', 'utf8').split('\n')) {
    if (!line.startsWith('    podwire ')) continue;
    const args = line.trim().split(/\s+/).slice(1);
    const r = podwire(...args, ...(args[0] === 'run' ? ['-o', join(dir, 'readme')] : []));
    assert.is(r.code, 0, `${line}: ${r.err}`);
  }
});

Cli.run();
