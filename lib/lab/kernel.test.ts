/** The programs of the recorder: their syntax, and that each command of a step that changes devices waits for the capture. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { driverScript, initScript, labScript } from './kernel-init.js';
import { ECHO } from './kernel-echo.js';
import { IP_FUNCTION, LISTEN } from './kernel-listen.js';
import { runOnKernel } from './kernel.js';
import { parseLab } from './lab.js';
import { InputError } from '../sim/input-error.js';

const Recorder = suite('lib/lab/kernel');

Recorder('the programs in Perl are correct', () => {
  if (!existsSync('/usr/bin/perl')) return;
  for (const input of [LISTEN, ECHO]) {
    const r = spawnSync('/usr/bin/perl', ['-c'], { input, encoding: 'utf8' });
    assert.is(r.status, 0, r.stderr);
  }
});

Recorder('podwire fault, which needs two CPUs, is refused at its place', async () => {
  const text =
    'kind: Lab\nmetadata: { name: x }\nspec:\n  setup: |\n    ip netns add a\n    ip netns exec a podwire fault conntrack-race drop\n';
  const error = await runOnKernel(parseLab(text, 'x.yaml'), '/nonexistent').catch((e: unknown) => e);
  assert.ok(error instanceof InputError);
  assert.match(error.message, /^x\.yaml:6:5: found "podwire fault conntrack-race drop", /);
});

Recorder('driver and init are correct bash', () => {
  if (!existsSync('/bin/bash')) return;
  const steps = [
    { atNs: 2e9, alone: false },
    { atNs: 0, alone: true },
  ];
  const plan = { cwd: '/', servers: 1, steps, untilNs: null, captures: ['a/eth0'], limitMs: 1e5 };
  for (const text of [
    driverScript([plan]),
    labScript(plan),
    labScript({ ...plan, untilNs: 3e9 }),
    initScript('/tmp/x'),
  ]) {
    const r = spawnSync('/bin/bash', ['-n'], { input: text, encoding: 'utf8' });
    assert.is(r.status, 0, r.stderr);
  }
  assert.match(labScript(plan), /at 0; step 1 0; wait \$!\nat 2000000; step 0 2000000\n/);
});

Recorder('a step has the exit code it ends with, by itself or by exit, and no arguments', () => {
  if (!existsSync('/bin/bash')) return;
  const dir = mkdtempSync(join(tmpdir(), 'podwire-step-'));
  try {
    const steps = [{ atNs: 0, alone: false }];
    const text = labScript({ cwd: '/', servers: 0, steps, untilNs: null, captures: [], limitMs: 1e5 });
    const fn = /^steps=\(\)\nstep\(\) \{\n[^]*?\n\}\n/m.exec(text)![0];
    ['true', 'exit 3', 'false', 'set -e; false; true', 'echo "[$1$#]"', '(exit 4)'].forEach((s, i) =>
      writeFileSync(join(dir, `step-${i}.sh`), `${s}\n`),
    );
    const run = `O=${dir} L=${dir} T0=0\n${fn}for i in 0 1 2 3 4 5; do step $i 0; done\nwait\n`;
    assert.is(spawnSync('/bin/bash', { input: run, encoding: 'utf8' }).stderr, '');
    const read = (name: string): string => readFileSync(join(dir, name), 'utf8').trim();
    assert.equal(
      [0, 1, 2, 3, 4, 5].map((i) => read(`step-${i}.rc`)),
      ['0', '3', '1', '1', '0', '4'],
    );
    assert.is(read('step-4.out'), '[0]');
  } finally {
    rmSync(dir, { recursive: true });
  }
});

Recorder('ip waits for the capture around what makes, renames, moves and deletes, and only there', () => {
  if (!existsSync('/bin/bash')) return;
  const looks = (args: string): string => {
    const text = `${IP_FUNCTION}\nlook() { printf L; }\ncommand() { printf x; }\nip ${args}\n`;
    return spawnSync('/bin/bash', ['-c', text], { encoding: 'utf8' }).stdout;
  };
  for (const args of [
    'link add v0 type veth peer name v1', '-n a link add br0 type bridge', 'link set v0 name v1', '-n a link set v0 netns b',
    'link del v0', 'netns add a', 'netns del a', 'tunnel add t0 mode ipip', 'netns exec a ip link add d0 type dummy',
  ]) assert.is(looks(args), 'LxL', args); // prettier-ignore
  for (const args of ['addr add 10.0.0.1/24 dev v0', 'netns exec a ping -c 1 10.0.0.1', 'link set v0 up', 'route']) {
    assert.is(looks(args), 'x', args);
  }
});
Recorder.run();
