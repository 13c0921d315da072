/** The README is run: its files, its commands, its program, and its lists against what the code has. */
import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MissingRecorder } from '../lab/kernel.js';
import { bootKernel } from '../linux/core/machine.js';
import { SET_TYPES } from '../linux/netfilter/ipset.js';
import { iptables } from '../shell/iptables.js';
import { commands, PROGRAM_NAMES } from '../shell/registry.js';
import { VERBS } from './usage.js';

const README = readFileSync('README.md', 'utf8');
const MAIN = resolve('dist', 'lib', 'cli', 'main.js');
const dir = mkdtempSync(join(tmpdir(), 'podwire-readme-'));
for (const d of ['scenarios', 'golden']) symlinkSync(resolve(d), join(dir, d));
mkdirSync(join(dir, 'node_modules'));
symlinkSync(resolve('.'), join(dir, 'node_modules', 'podwire'));

/** Indented command lines, without their remarks. */
const lines = [...README.matchAll(/^ {4}(podwire|tshark|dig|npm|apt-get) .*$/gm)].map((m) =>
  m[0].trim().replace(/\s+#.*$/, ''),
);
const blocks = [...README.matchAll(/`?([\w.-]*)`?:?\n\n```(\w+)\n([^]*?)```/g)].map((m) => ({ name: m[1]!, kind: m[2]!, text: m[3]! })); // prettier-ignore
const installed = (name: string): boolean => ['/usr/bin', '/usr/sbin', '/bin'].some((d) => existsSync(join(d, name)));

function run(line: string): { status: number | null; stdout: string; stderr: string } {
  const [name, ...args] = line.split(/\s+/) as [string, ...string[]];
  if (name === 'podwire') return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: dir });
  return spawnSync(name, args, { encoding: 'utf8', cwd: dir });
}

const Readme = suite('lib/cli/readme');
Readme.after(() => rmSync(dir, { recursive: true, force: true }));

Readme('its files are there', () => {
  for (const b of blocks.filter((x) => x.kind === 'yaml')) {
    assert.match(b.name, /\.yaml$/, `a block without a name: ${b.text.slice(0, 40)}`);
    writeFileSync(join(dir, b.name), b.text);
  }
  assert.equal(readdirSync(dir).filter((f) => f.endsWith('.yaml')).sort(), ['balancer.yaml', 'hello.yaml', 'living.yaml', 'objects.yaml', 'policy.yaml', 'vpc.yaml', 'web.yaml']); // prettier-ignore
});
for (const line of lines.filter((l) => /^(podwire (?!app)|tshark)/.test(l))) {
  const [name, verb] = line.split(' ');
  const recorder = verb === 'kernel' || line.includes('out-kernel');
  const can = name === 'tshark' ? installed('tshark') : !recorder || installed('linux.uml');
  (can ? Readme : Readme.skip)(line, () => {
    const r = run(line);
    assert.is(r.status, 0, r.stdout + r.stderr);
    assert.not.match(r.stderr, /note:|BUG/);
  });
}
Readme('its verbs have one line each', () => {
  const used = new Set(lines.map((l) => l.split(' ')[1]));
  for (const [name, v] of Object.entries(VERBS)) {
    assert.ok(README.includes(`| \`podwire ${name} ${v.takes.replaceAll('|', '\\|')}\` |`), `${name} ${v.takes}`);
    if (!['check', 'bench', 'fuzz', 'app'].includes(name)) assert.ok(used.has(name), `no example of ${name}`);
  }
});
Readme('its server answers dig', async () => {
  const server = lines.find((l) => l.startsWith('podwire app coredns'))!;
  const dig = lines.find((l) => l.startsWith('dig '))!;
  const s = createSocket('udp4');
  await new Promise<void>((done) => s.bind(0, '127.0.0.1', done));
  const port = String(s.address().port);
  await new Promise<void>((done) => s.close(done));
  const args = server.replace('5300', port).split(' ').slice(1);
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: dir, stdio: 'inherit', env: { ...process.env, PODWIRE_READY_DIR: dir } }); // prettier-ignore
  try {
    for (let i = 0; i < 200 && !existsSync(join(dir, String(child.pid))); i++)
      await new Promise((r) => setTimeout(r, 50));
    if (!installed('dig')) return;
    const r = run(dig.replace('5300', port));
    assert.is(r.status, 0);
    assert.match(r.stdout, /status: NOERROR/);
  } finally {
    child.kill();
  }
});
Readme('its program runs against the package', () => {
  writeFileSync(join(dir, 'example.mjs'), blocks.find((b) => b.kind === 'js')!.text);
  const r = spawnSync(process.execPath, ['example.mjs'], {
    encoding: 'utf8',
    cwd: dir,
    env: { ...process.env, FORCE_COLOR: '0' },
  });
  assert.is(r.status, 0, r.stderr);
  assert.match(r.stdout, /^router\/c0 \d+ frames$/m);
  assert.match(r.stdout, /conntrack -L 0$/m);
  assert.ok(existsSync(join(dir, 'captures', 'router', 'c0.pcap')) && existsSync(join(dir, 'captures', 'all.pcapng')));
  assert.is(readFileSync(join(dir, 'one.pcap')).length, 24 + 16 + 60);
});
Readme('its installation line is the one that podwire kernel prints', () => {
  const apt = lines.find((l) => l.startsWith('apt-get'))!;
  assert.ok(new MissingRecorder(['x']).message.endsWith(apt));
});
Readme('its npm commands exist', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  for (const [, name] of README.matchAll(/npm (?:run )?(start|test|build)/g)) assert.ok(name! in scripts, name);
});
Readme('its list of commands is whole', () => {
  for (const name of [...Object.keys(commands), ...PROGRAM_NAMES, 'cat', 'mkdir', 'sleep']) {
    assert.match(README, new RegExp(`^\\| .*\`${name}\`.* \\| `, 'm'), name);
  }
  assert.ok(README.includes(`| \`ipset\` | ${SET_TYPES.join(', ')}; `));
});
Readme('its matches and targets of iptables are there', () => {
  const net = bootKernel(1).netns.get('root')!;
  const list = (what: string): string[] => new RegExp(`^\\| – ${what} \\| (.*) \\|$`, 'm').exec(README)![1]!.replace(/`[^`]*`|\([^)]*\)/g, '').split(',').map((w) => w.trim()).filter((w) => /^\w+$/.test(w)); // prettier-ignore
  const said = (...args: string[]): string => iptables(net, args).err;
  assert.ok(list('matches').length > 15 && list('targets').length > 10);
  for (const m of list('matches')) assert.not.match(said('-A', 'INPUT', '-m', m), /load match|not supported/, m);
  for (const t of list('targets')) assert.not.match(said('-t', 'mangle', '-A', 'INPUT', '-j', t), /load target|not supported/, t); // prettier-ignore
});
Readme.run();
