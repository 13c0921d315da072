/**
 * Runs a Lab on the real Linux kernel: User-Mode Linux as an ordinary process, the Lab's own text under bash, one packet
 * socket per namespace (kernel-listen.ts). Needs no privileges; the host's files are seen read-only.
 * @module
 */
import { execFile, spawn } from 'node:child_process';
import { accessSync, chmodSync, constants, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Command, splitNetns } from '../shell/script.js';
import { setpriv } from '../shell/setpriv.js';
import { InputError } from '../sim/input-error.js';
import { driverScript, initScript, labScript } from './kernel-init.js';
import { ECHO } from './kernel-echo.js';
import { FLOOD } from './kernel-flood.js';
import { HEALTH } from './kernel-health.js';
import { LISTEN } from './kernel-listen.js';
import { PROBE } from './kernel-probe.js';
import { SPEAKER } from './kernel-speaker.js';
import type { Lab } from './lab.js';

/** A step as the kernel's programs ended it; `exit` null: still running at `until`. */
export interface KernelStep {
  at: number;
  command: string;
  exit: number | null;
  stdout: string;
  stderr: string;
}

export interface KernelRun {
  steps: KernelStep[];
  /** `uname -r` inside. */
  kernel: string;
  /** Program to version line. */
  tools: Record<string, string>;
}

export interface KernelOptions {
  /** Wall-clock limit from the boot on; default 120 s more than the Lab's last time. */
  timeoutMs?: number;
  /** podwire's own entry for `podwire app`; default: the compiled lib/cli/main.js next to this file's folder. */
  main?: string;
}

const APT =
  'apt-get install -y user-mode-linux kmod iproute2 iptables ipset ipvsadm conntrack ethtool procps perl-base ' +
  'iputils-ping iputils-arping netcat-openbsd bind9-dnsutils curl busybox-static openvswitch-switch';

const PROGRAMS = (
  'linux.uml bash busybox modprobe pivot_root ip bridge tc iptables-legacy ipset ipvsadm conntrack ethtool sysctl perl ' +
  'ping arping nc dig curl ovs-dpctl setpriv'
).split(' ');

/** The recording kernel or one of its programs is not installed. */
export class MissingRecorder extends Error {
  constructor(missing: readonly string[]) {
    super(`cannot record on the kernel: ${missing.join(', ')} not found; install with: ${APT}`);
    this.name = 'MissingRecorder';
  }
}

/** The kernel did not come to its end, or its capture is not whole: nothing was recorded. */
export class KernelFailure extends Error {
  constructor(lab: string, why: string) {
    super(`the kernel did not finish ${lab}: ${why}`);
    this.name = 'KernelFailure';
  }
}

/** A step did not start in its place: another attempt may go well. */
class Slipped extends KernelFailure {}

function findProgram(name: string): string | null {
  for (const dir of ['/usr/sbin', '/usr/bin', '/sbin', '/bin']) {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return join(dir, name);
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

const ATTEMPTS = 3;

/**
 * By how many ms the worst step slipped out of its place, 0 when none did: it may start late by half the time to the next
 * one (by 100 ms at least, by 1 s at most). `late` is in ms, in the order of the steps.
 *
 * What a component does (`by`) is measured against the next step that is none's, 5 s at most: its own commands take no
 * time in podwire and 50 ms each here, a cluster has no exact time for them either, and the recorder runs them one after the
 * other, so that each has ended before whatever follows. What a user does must not come out of its place among them.
 */
export function slipped(lab: Lab, late: readonly number[]): number {
  const times = (users: boolean): number[] =>
    [...new Set(lab.steps.filter((s) => !users || s.by === undefined).map((s) => s.atNs))].sort((a, b) => a - b);
  const [all, users] = [times(false), times(true)];
  let worst = 0;
  lab.steps.forEach((s, i) => {
    const next = (s.by === undefined ? all : users).find((t) => t > s.atNs) ?? lab.untilNs ?? Infinity;
    const half = (next - s.atNs) / 2e6;
    const allowed = Math.max(100, Math.min(s.by === undefined ? 1000 : 5000, half));
    if (late[i]! > allowed) worst = Math.max(worst, Math.ceil(late[i]!));
  });
  return worst;
}

/** Records `lab` into `outDir`: `<netns>/<dev>.pcap` of every device that carried a frame, and steps.json. */
export async function runOnKernel(lab: Lab, outDir: string, options: KernelOptions = {}): Promise<KernelRun> {
  for (let attempt = 1; ; attempt++) {
    const [r] = await runAllOnKernel([lab], [outDir], options);
    if (!(r instanceof Error)) return r!;
    if (!(r instanceof Slipped) || attempt === ATTEMPTS) throw r;
  }
}

/**
 * Records several Labs, one after the other, in one boot of the kernel: a run or what went wrong for each. They must not
 * leave anything in the namespace `root`; others are deleted in between.
 */
export async function runAllOnKernel(
  labs: readonly Lab[],
  outDirs: readonly string[],
  options: KernelOptions = {},
): Promise<(KernelRun | Error)[]> {
  for (const lab of labs) refuseFaults(lab);
  const missing = PROGRAMS.filter((p) => findProgram(p) === null);
  if (!existsSync('/usr/lib/uml/modules')) missing.push('/usr/lib/uml/modules');
  if (missing.length > 0) throw new MissingRecorder(missing);
  const work = mkdtempSync(join(tmpdir(), 'podwire-kernel-'));
  try {
    const limits = labs.map((l) => options.timeoutMs ?? lastTime(l) + 120_000);
    prepare(labs, work, limits, options.main ?? fileURLToPath(new URL('../cli/main.js', import.meta.url)));
    const limit = limits.reduce((sum, n) => sum + n, BOOT_MS);
    const boot = await bootUml(work, labs.some(usesNode) ? '1536M' : '512M', limit);
    const tools = await toolVersions();
    return labs.map((lab, i) => {
      try {
        return collect(lab, join(work, 'out'), `lab-${i}`, outDirs[i]!, boot, tools);
      } catch (e) {
        if (e instanceof InputError || e instanceof KernelFailure) return e;
        throw e;
      }
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const lastTime = (lab: Lab): number => Math.max(lab.untilNs ?? 0, ...lab.steps.map((s) => s.atNs)) / 1e6;

/** What one Lab left in `out`, moved to `outDir`. */
function collect(
  lab: Lab,
  out: string,
  name: string,
  outDir: string,
  boot: string,
  tools: Record<string, string>,
): KernelRun {
  const file = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const read = (f: string): string => file(join(out, name, f));
  if (read('setup.failed') !== '') setupFailure(lab, read('setup.failed'), read('setup.err'));
  if (read('done') === '') {
    const why = [read('error'), file(join(out, 'error')), boot].filter((s) => s.trim() !== '').join('\n').trim(); // prettier-ignore
    throw new KernelFailure(lab.name, why.slice(-2000));
  }
  const late = slipped(lab, lab.steps.map((_, i) => Number(read(`step-${i}.late`)) / 1000)); // prettier-ignore
  if (late > 0) throw new Slipped(lab.name, `a step started ${late} ms late: the machine is too busy to record`);
  const steps = lab.steps.map((s, i): KernelStep => {
    const rc = read(`step-${i}.rc`).trim();
    const exit = rc === '' ? null : Number(rc);
    return { at: s.atNs, command: s.text, exit, stdout: read(`step-${i}.out`), stderr: read(`step-${i}.err`) };
  });
  steps.forEach((s, i) => missingCommand(lab, i, s.stderr));
  deliver(join(out, name, 'pcap'), steps, resolve(outDir));
  return { steps, kernel: file(join(out, 'kernel')).trim(), tools };
}

/** What a command line runs in the end. */
function programOf(c: Command): string[] {
  const { argv } = splitNetns(c.argv);
  const as = argv[0] === 'setpriv' ? setpriv(argv) : null;
  return as === null || typeof as === 'string' ? argv : as.argv;
}

function isApp(c: Command): boolean {
  const argv = programOf(c);
  return argv[0] === 'podwire' && argv[1] === 'app';
}

/** `podwire fault` asks for what a machine with one CPU cannot do. */
function refuseFaults(lab: Lab): void {
  for (const c of [lab.setup, ...lab.steps.map((s) => s.run)].flat()) {
    const { argv } = splitNetns(c.argv);
    if (argv[0] !== 'podwire' || argv[1] !== 'fault') continue;
    const why = `found "${argv.join(' ')}", which the recording kernel has no second CPU for: check -u writes podwire's own golden`;
    throw new InputError(lab.file, c.line, c.column, why);
  }
}

/** Programs of podwire that are Perl in there. */
const PERL_PROGRAMS: Readonly<Record<string, string>> = {
  echo: ECHO,
  flood: FLOOD,
  health: HEALTH,
  'metallb-speaker': SPEAKER,
  probe: PROBE,
};
const PERL = Object.keys(PERL_PROGRAMS);

/** True when Node runs inside, which needs memory. */
function usesNode(lab: Lab): boolean {
  const node = (c: Command): boolean => isApp(c) && !PERL.includes(programOf(c)[2]!);
  return [lab.setup, ...lab.steps.map((s) => s.run)].some((list) => list.some(node));
}

function prepare(labs: readonly Lab[], work: string, limits: readonly number[], main: string): void {
  for (const d of ['root', 'out', 'bin', 'uml']) mkdirSync(join(work, d));
  const script = (name: string, text: string): void => writeFileSync(join(work, name), text, { mode: 0o755 });
  const line = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);
  script('bin/modprobe', '#!/bin/sh\nexec /usr/sbin/modprobe -d /modroot "$@"\n');
  script(
    'bin/podwire',
    `#!/bin/sh\ncase "$1 $2" in ${PERL.map((p) => `'app ${p}'`).join('|')}) p=$2; shift 2; exec perl /podwire/bin/$p.pl "$@";; esac\nexec '/host${process.execPath}' '/host${main}' "$@"\n`,
  );
  for (const name of PERL) script(`bin/${name}.pl`, PERL_PROGRAMS[name]!);
  script('init.sh', initScript(work));
  script('listen.pl', LISTEN);
  const plans = labs.map((lab, i) => ({
    cwd: dirname(resolve(lab.file)),
    servers: lab.setup.filter((c) => c.background && isApp(c)).length,
    steps: lab.steps.map((s) => ({ atNs: s.atNs, alone: s.by !== undefined })),
    untilNs: lab.untilNs,
    captures: lab.captures,
    limitMs: limits[i]!,
  }));
  script('drive.sh', driverScript(plans));
  labs.forEach((lab, i) => {
    mkdirSync(join(work, `lab-${i}`));
    script(`lab-${i}/drive.sh`, labScript(plans[i]!));
    script(`lab-${i}/setup.sh`, line(lab.setupText));
    lab.steps.forEach((s, k) => script(`lab-${i}/step-${k}.sh`, line(s.text)));
  });
}

/** A kernel that has not begun by then (3 s on an idle machine) never will. */
const BOOT_MS = 600_000;

/** A recording keeps time: it goes before other work where that is allowed. */
function hurry(pid: number): void {
  try {
    setPriority(pid, -10);
  } catch {
    // An ordinary user may not.
  }
}

/** Boots and waits for the power-off; returns the console's text. */
function bootUml(work: string, mem: string, timeoutMs: number): Promise<string> {
  const args = [
    `mem=${mem}`, 'rootfstype=hostfs', 'rw', 'hostfs=/', 'root=/dev/root', `init=${join(work, 'init.sh')}`, 'con=null',
    'con0=fd:0,fd:1', 'quiet', 'ipv6.disable_ipv6=1', `uml_dir=${join(work, 'uml')}/`, 'umid=lab',
  ]; // prettier-ignore
  return new Promise((done, fail) => {
    const child = spawn(findProgram('linux.uml')!, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    hurry(child.pid!);
    let log = '';
    const keep = (b: Buffer): void => void (log = (log + b.toString()).slice(-20_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const kill = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL'); // its own process group: the kernel and its helper processes
      } catch {
        // Already gone.
      }
    };
    const timer = setTimeout(() => {
      log += `\nno end after ${timeoutMs} ms`;
      kill();
    }, timeoutMs);
    process.once('exit', kill);
    // A signal would end this process without 'exit' and leave the kernel running.
    const signals = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => {
      const stop = (): void => {
        kill();
        rmSync(work, { recursive: true, force: true });
        process.removeListener(name, stop);
        process.kill(process.pid, name);
      };
      process.once(name, stop);
      return { name, stop };
    });
    child.once('error', fail);
    child.once('close', () => {
      clearTimeout(timer);
      process.removeListener('exit', kill);
      for (const { name, stop } of signals) process.removeListener(name, stop);
      kill();
      done(log);
    });
  });
}

function setupFailure(lab: Lab, failed: string, stderr: string): never {
  const [at, code] = failed.trim().split(' ').map(Number) as [number, number];
  const line = lab.setupLine + Math.max(at, 1) - 1;
  const c = lab.setup.filter((x) => x.line <= line).at(-1);
  const why = stderr.trim() === '' ? `exit ${code}` : stderr.trim().split('\n').slice(-3).join('; ');
  const text = c?.text.split('\n')[0] ?? '';
  throw new InputError(
    lab.file,
    c?.line ?? line,
    c?.column ?? 1,
    `setup command failed on the kernel: ${text}: ${why}`,
  );
}

/** A step's program that the kernel's machine does not have: an InputError at its command. */
function missingCommand(lab: Lab, i: number, stderr: string): void {
  const m = /^\/podwire\/step-\d+\.sh: line (\d+): (.*): command not found$/m.exec(stderr);
  if (m === null) return;
  const list = lab.steps[i]!.run;
  const c = list.filter((x) => x.line - list[0]!.line < Number(m[1])).at(-1) ?? list[0]!;
  throw new InputError(lab.file, c.line, c.column, `command "${m[2]}" not found on the kernel's machine`);
}

/** Moves the captures that hold a frame, and steps.json, to their place in one rename. */
function deliver(pcaps: string, steps: KernelStep[], outDir: string): void {
  mkdirSync(dirname(outDir), { recursive: true });
  const next = mkdtempSync(`${outDir}.new-`);
  chmodSync(next, 0o755);
  for (const netns of existsSync(pcaps) ? readdirSync(pcaps) : []) {
    for (const file of readdirSync(join(pcaps, netns))) {
      if (readFileSync(join(pcaps, netns, file)).length <= 24) continue;
      mkdirSync(join(next, netns), { recursive: true });
      cpSync(join(pcaps, netns, file), join(next, netns, file));
    }
  }
  writeFileSync(join(next, 'steps.json'), `${JSON.stringify(steps, null, 2)}\n`);
  rmSync(outDir, { recursive: true, force: true });
  renameSync(next, outDir);
}

async function toolVersions(): Promise<Record<string, string>> {
  const ask: [string, string[]][] = [
    ['ip', ['-V']],
    ['iptables-legacy', ['-V']],
    ['ping', ['-V']],
    ['dig', ['-v']],
    ['curl', ['--version']],
  ];
  const run = promisify(execFile);
  const said = await Promise.all(
    ask.map(async ([name, args]): Promise<[string, string]> => {
      const r = await run(findProgram(name)!, args).catch((e: { stdout?: string; stderr?: string }) => e);
      return [name, (r.stdout || r.stderr || '').split('\n')[0]!.trim()];
    }),
  );
  return Object.fromEntries(said);
}
