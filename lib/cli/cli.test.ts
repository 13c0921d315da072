/** The verbs as users meet them: goldens, bad input, exit codes. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
Cli.after(() => rmSync(dir, { recursive: true, force: true }));

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

Cli('diff refuses cut captures, pcap and pcapng, with file and byte', () => {
  const out = join(dir, 'cut');
  assert.is(podwire('run', 'scenarios/pod-localhost.yaml', '-o', out).code, 0);
  for (const name of ['default_web/lo.pcap', 'all.pcapng']) {
    const whole = readFileSync(join(out, 'pod-localhost', name));
    const file = join(dir, `cut-${name.replace('/', '-')}`);
    writeFileSync(file, whole.subarray(0, whole.length - 3));
    const r = podwire('diff', join(out, 'pod-localhost', name), file);
    assert.is(r.code, 2, r.out);
    assert.match(r.err, /cut-\S+: byte \d+: the file ends inside /);
  }
  assert.is(podwire('diff', join(out, 'pod-localhost', 'all.pcapng'), join(out, 'pod-localhost')).code, 0);
});

/** Every file below a folder with its content. */
const tree = (root: string): string =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((f) => (statSync(join(root, f)).isDirectory() ? f : `${f} ${readFileSync(join(root, f)).toString('hex')}`))
    .join('\n');

Cli('a run that fails or is killed leaves what was there whole', async () => {
  const out = join(dir, 'keep');
  const file = join(dir, 'keep.yaml');
  const lab = (steps: string): void =>
    writeFileSync(file, `kind: Lab\nmetadata: { name: k }\nspec:\n  setup: ip link set lo up\n  steps:\n${steps}`);
  const ping = (n: number): string => `  - { at: 0s, run: ping -i 0.01 -c ${n} 127.0.0.1 }\n`;
  lab(ping(1));
  assert.is(podwire('run', file, '-o', out).code, 0);
  const before = tree(join(out, 'k'));
  lab(`${ping(1)}  - { at: 1s, run: frobnicate }\n`);
  assert.is(podwire('run', file, '-o', out).code, 2);
  assert.is(tree(out).includes('frobnicate'), false);
  assert.is(tree(join(out, 'k')), before);
  lab(ping(3000));
  assert.is(podwire('run', file, '-o', join(dir, 'after')).code, 0);
  const after = tree(join(dir, 'after', 'k'));
  assert.is.not(after, before);
  for (const ms of [100, 200, 250, 300, 350]) {
    const child = spawn(process.execPath, [MAIN, 'run', file, '-o', out], { stdio: 'ignore' });
    const ended = new Promise((done) => child.once('exit', done));
    setTimeout(() => child.kill('SIGKILL'), ms);
    await ended;
    assert.ok([before, after].includes(tree(join(out, 'k'))), `killed after ${ms} ms`);
  }
});

Cli('show: at its time, after the end of the Lab, in a namespace that is not there', () => {
  const file = join(dir, 'show.yaml');
  const steps = '  - { at: 2s, run: ip link add d1 type dummy }\n  until: 3s\n';
  writeFileSync(file, `kind: Lab\nmetadata: { name: s }\nspec:\n  setup: ip link set lo up\n  steps:\n${steps}`);
  const show = (at: string, ...more: string[]): ReturnType<typeof podwire> =>
    podwire('show', file, '--in', 'root', '--at', at, '--', ...more);
  assert.not.match(show('1s', 'ip', 'link').out, /d1/);
  assert.match(show('2s', 'ip', 'link').out, /d1/);
  assert.match(show('9s', 'ip', 'link').out, /d1/);
  assert.match(show('9s', 'ping', '-c', '2', '127.0.0.1').out, /2 received/);
  assert.is(show('0s', 'ping', '-c', '1', '10.0.0.1').code, 1);
  assert.is(show('soon', 'ip', 'link').code, 2);
  const r = podwire('show', file, '--in', 'nowhere', '--', 'ip', 'link');
  assert.is(r.code, 2);
  assert.match(r.err, /found "nowhere", expected one of: root/);
});

Cli('walk --packet picks one packet, also as JSON, and refuses one that is not there', () => {
  const f = 'scenarios/pod-localhost.yaml';
  const all = JSON.parse(podwire('walk', f, '--json').out) as { packet: number; notes: { where: string }[] }[];
  const one = JSON.parse(podwire('walk', f, '--json', '--packet', '2').out) as typeof all;
  assert.equal(
    one,
    all.filter((p) => p.packet === 2),
  );
  assert.equal(all.map((p) => p.packet).sort(), [1, 2]);
  assert.match(podwire('walk', f, '--packet', '2').out, /^packet 2\n {2}\S/);
  const r = podwire('walk', f, '--packet', '99');
  assert.is(r.code, 2);
  assert.match(r.err, /there is no packet 99, expected one from 1 to 2/);
});

Cli('a refused run leaves an existing out/ as it was', () => {
  const out = join(dir, 'kept');
  const good = podwire('run', 'scenarios/pod-localhost.yaml', '-o', out);
  assert.is(good.code, 0, good.err);
  const file = join(dir, 'bad.yaml');
  const text = readFileSync('scenarios/pod-localhost.yaml', 'utf8');
  writeFileSync(file, text.replace('containers:', 'bogus: 1\n      containers:'));
  const before = tree(out);
  const r = podwire('run', 'scenarios/pod-localhost.yaml', file, '-o', out);
  assert.is(r.code, 2);
  assert.match(r.err, /bad\.yaml:\d+:7: .*strict decoding error: unknown field "spec\.bogus", expected one of: /);
  assert.is(tree(out), before);
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

/** A copy of a golden tree with one byte of the last frame of each named capture changed. */
function damaged(name: string, ...ifaces: string[]): string {
  const copy = join(dir, 'damaged', name);
  cpSync(join('golden', name), copy, { recursive: true });
  for (const iface of ifaces) {
    const b = readFileSync(join(copy, `${iface}.pcap`));
    b[b.length - 1]! ^= 1;
    writeFileSync(join(copy, `${iface}.pcap`), b);
  }
  return copy;
}

Cli('diff prints the frames of the first difference, with --all of every one, in JSON as hexadecimal', () => {
  const golden = join('golden', 'pod-localhost');
  const two = join('golden', 'pod-to-pod-same-node');
  const copy = damaged('pod-to-pod-same-node', 'default_client/eth0', 'default_server/eth0');
  const dumps = (text: string): number => text.split('  expected\n').length - 1;
  const lines = podwire('diff', two, copy);
  assert.is(lines.code, 1, lines.err);
  assert.is(dumps(lines.out), 1);
  assert.is(lines.out.match(/: expected /g)!.length, 2);
  assert.is(dumps(podwire('diff', two, copy, '--all').out), 2);
  const json = JSON.parse(podwire('diff', two, copy, '--json').out) as { differences: { expectedFrame: string }[] };
  assert.match(json.differences[0]!.expectedFrame, /^([0-9a-f]{2}){42,}$/);
  assert.is(podwire('diff', golden, golden).code, 0);
});

Cli("check -u leaves the kernel's golden as it is and says so", () => {
  const copy = damaged('pod-localhost', 'default_web/lo');
  const before = tree(copy);
  const r = podwire('check', 'scenarios/pod-localhost.yaml', '-u', '--golden', join(dir, 'damaged'));
  assert.is(r.code, 1);
  assert.match(r.err, /\nnot replaced, because the kernel recorded them .*: pod-localhost\n/);
  assert.is(tree(copy), before);
});

Cli('walk keeps its columns under long names', () => {
  const out = podwire('walk', 'scenarios/clusterip-iptables.yaml')
    .out.split('\n')
    .filter((l) => l.startsWith('  '));
  const column = (l: string): number => /^ {2}\S+ +/.exec(l)![0].length;
  assert.equal([...new Set(out.map(column))].length, 1);
  assert.ok(out.some((l) => l.includes('rule 1: KUBE-SERVICES (-m comment --comment "kubernetes service portals" -j')));
});

Cli.run();
