/** Arguments, help and exit codes of the verbs. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseArgs, usage, UsageError, VERBS } from './usage.js';

const MAIN = resolve('dist', 'lib', 'cli', 'main.js');
const dir = mkdtempSync(join(tmpdir(), 'podwire-usage-'));
const podwire = (...args: string[]): { code: number | null; out: string; err: string } => {
  const r = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: dir });
  return { code: r.status, out: r.stdout, err: r.stderr };
};

const Usage = suite('lib/cli/usage');
Usage.after(() => rmSync(dir, { recursive: true, force: true }));

Usage('parseArgs() takes long and short names, = and --', () => {
  const a = parseArgs('check', ['a.yaml', '-u', '-o=x', '--golden', 'g', '--json', '--', '-z']);
  assert.equal(a.files, ['a.yaml']);
  assert.equal([...a.flags], ['--update', '--json']);
  assert.equal([...a.values], [['--out', 'x'], ['--golden', 'g']]); // prettier-ignore
  assert.equal(a.rest, ['-z']);
});
Usage('parseArgs() refuses what a verb does not have, half-given and doubled options', () => {
  for (const [args, why] of [
    [['-x'], 'unknown option "-x", expected one of: -o, --out, --no-explain, --json'],
    [['--packet', '1'], 'unknown option "--packet"'],
    [['-o'], 'option -o needs a value'],
    [['--out='], 'option --out needs a value'],
    [['-o', 'a', '--out', 'b'], 'option --out given twice'],
    [['--json=1'], 'option --json takes no value'],
  ] as const) {
    assert.throws(() => parseArgs('run', args), (e: Error) => e instanceof UsageError && e.message.startsWith(`run: ${why}`)); // prettier-ignore
  }
});
Usage('usage() shows every verb, every option and --version', () => {
  for (const [name, v] of Object.entries(VERBS)) {
    assert.ok(usage().includes(`  podwire ${name} ${v.takes}\n`), name);
    if (name === 'app') continue;
    for (const key of Object.keys(v.options)) assert.ok(v.takes.includes(key.split(',')[0]!.split(' ')[0]!), `${name} ${key}`); // prettier-ignore
  }
  assert.match(usage(), /podwire --version\n/);
});
Usage('podwire alone prints the usage on stderr and exits 2', () => {
  const r = podwire();
  assert.equal([r.code, r.out, r.err], [2, '', usage()]);
});
Usage('words that every object has are no verbs, cases or servers', () => {
  for (const args of [['constructor'], ['help', 'toString'], ['bench', 'constructor'], ['app', 'constructor']]) {
    const r = podwire(...args);
    assert.is(r.code, 2, args.join(' '));
    assert.match(r.err, /expected/);
  }
});

Usage('--help of podwire and of each verb prints it on stdout and exits 0', () => {
  assert.equal(podwire('--help'), { code: 0, out: usage(), err: '' });
  for (const name of Object.keys(VERBS)) {
    const r = podwire(name, 'x', '--help');
    assert.is(r.code, 0, name);
    assert.match(r.out, new RegExp(`^usage: podwire ${name} `));
    assert.equal(podwire('help', name), r);
  }
  assert.is(podwire('frob', '--help').code, 2);
});
Usage('run and check without a file need a folder scenarios', () => {
  for (const verb of ['run', 'check']) {
    const r = podwire(verb);
    assert.is(r.code, 2);
    assert.match(r.err, /^podwire: found no FILE and no \*\.yaml in a folder "scenarios" here/);
  }
});

const LAB = 'kind: Lab\nmetadata: { name: l }\nspec:\n  setup: ip link set lo up\n';
writeFileSync(join(dir, 'lab.yaml'), LAB);
writeFileSync(join(dir, 'twin.yaml'), LAB);
writeFileSync(join(dir, 'file'), '');
writeFileSync(join(dir, 'waits.yaml'), LAB.replace('ip link set lo up', 'nc -l 9'));
const POD =
  '{ apiVersion: v1, kind: Pod, metadata: { name: a }, spec: { containers: [ { name: a, image: busybox } ] } }';
writeFileSync(
  join(dir, 's.yaml'),
  `kind: Scenario\nmetadata: { name: s }\nspec:\n  nodes: [ { name: n, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 } ]\n  objects: [ ${POD} ]\n`,
);
mkdirSync(join(dir, 'empty1'));
mkdirSync(join(dir, 'empty2'));
mkdirSync(join(dir, 'golden', 'l'), { recursive: true });
writeFileSync(join(dir, 'golden', 'l', 'origin.yaml'), 'recordedBy: [\n');
mkdirSync(join(dir, 'golden2', 'l'), { recursive: true });
writeFileSync(join(dir, 'golden2', 'l', 'origin.yaml'), 'recordedBy: nobody\n');

const BAD: [args: string, err: RegExp][] = [
  ['run lab.yaml -o file', /^podwire: .*file/],
  ['run lab.yaml -o /dev/null/x', /^podwire: .*\/dev\/null/],
  ['run .', /^\.: found a folder, expected a file/],
  ['run nosuch.yaml', /^nosuch\.yaml: no such file/],
  ['run lab.yaml twin.yaml', /^twin\.yaml:2:19: found the name "l", expected another one: lab\.yaml has it/],
  ['check lab.yaml', /^golden\/l\/origin\.yaml:2:1: wrong YAML/],
  ['check lab.yaml --golden golden2', /^golden2\/l\/origin\.yaml:1:1: found no origin of a golden tree/],
  ['diff empty1 empty2', /^empty1: found no captures/],
  ['diff empty1 nosuch', /^empty1: found no captures/],
  ['kernel', /^podwire: kernel: expected FILE/],
  ['walk lab.yaml --packet 1', /there is no packet 1, expected a file with packets/],
  ['bench --packets 0', /--packets: found "0", expected a number from 1/],
  ['show lab.yaml -- ip link', /^podwire: show: without --in/],
  ['show lab.yaml --in routr -- ip link', /^podwire: show: --in: found "routr", expected one of: root\n$/],
  [
    'show s.yaml --in pod/x -- ip link',
    /^podwire: show: --in: found "pod\/x", expected one of: node\/n, pod\/default\/a\n$/,
  ],
  ['run waits.yaml', /^waits\.yaml:4:10: setup command failed: nc -l 9: it does not end; a line that ends in & starts/],
  ['show lab.yaml --in root -- ping -A x', /^lab\.yaml: ping: option -A is not supported yet/],
  ['app coredns --manifests nosuch.yaml', /^nosuch\.yaml: no such file/],
  ['app coredns --manifests .', /^podwire: EISDIR/],
  ['app frob', /^podwire: app: found "frob", expected echo, http, coredns, ingress, istio-proxy, agnhost/],
];
for (const [args, err] of BAD) {
  Usage(`podwire ${args} exits 2 with a sentence`, () => {
    const r = podwire(...args.split(' '));
    assert.is(r.code, 2, r.err);
    assert.match(r.err, err);
    assert.not.match(r.err, /\n {4}at /);
  });
}
Usage('output that cannot be written ends with 2 and a sentence', () => {
  const full = openSync('/dev/full', 'w');
  const r = spawnSync(process.execPath, [MAIN, '--help'], { encoding: 'utf8', stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  assert.equal([r.status, r.stderr], [2, 'podwire: standard output: ENOSPC: no space left on device, write\n']);
});
Usage('check without a golden says how to get one, and ends with a total', () => {
  const r = podwire('check', 'lab.yaml', '--golden', 'nowhere');
  assert.is(r.code, 1);
  assert.match(r.err, /^l: no golden at nowhere\/l: record one with "podwire kernel lab\.yaml --record", .*podwire check -u lab\.yaml", or .* --golden DIR\n/); // prettier-ignore
  assert.match(r.err, /\n1 scenario, 0 frames, 0 steps: 1 no golden\n$/);
});
Usage.run();
