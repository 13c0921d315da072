/**
 * Runs a Lab on podwire's own kernel: setup, one quiet second, taps on, steps at their times.
 * @module
 */
import type { Tap } from '../capture/tap.js';
import type { Narrator } from '../capture/narrator.js';
import type { Files, Program } from '../apps/program.js';
import { ROOT } from '../linux/core/cred.js';
import type { Kernel } from '../linux/core/kernel.js';
import { SERVER_NAMES } from '../apps/servers/index.js';
import { bootKernel } from '../linux/core/machine.js';
import type { Netns } from '../linux/core/netns.js';
import { commands, PROGRAM_NAMES, programFor } from '../shell/registry.js';
import { type Command, splitNetns } from '../shell/script.js';
import { setpriv, type Setpriv, UNPRIVILEGED_PROGRAMS } from '../shell/setpriv.js';
import { InputError } from '../sim/input-error.js';
import { EndlessLoop, SEC } from '../sim/sim.js';
import type { Lab, LabStep } from './lab.js';
import { cat, sleepTime } from './builtins.js';
import { Captures } from './captures.js';
import { Processes } from './processes.js';

/** What one step printed and how it ended; `exit` null: still running at the end. */
export interface StepResult {
  at: number;
  command: string;
  exit: number | null;
  stdout: string;
  stderr: string;
  /** The component of a cluster whose step it is; absent: the user's. */
  by?: string;
}

export interface LabRun {
  kernel: Kernel;
  taps: Tap[];
  steps: StepResult[];
  /** Failed `expect` entries, in words. */
  failures: string[];
  /** Commands of steps that failed although nobody expects it, and servers that died; each in words with its place. */
  notes: string[];
  /** The NSS key log of the programs that spoke TLS, a line each. */
  secrets: string[];
}

export interface LabOptions {
  /** Programs beyond the shell's own, by their first words (`podwire app coredns`). */
  programFor?: (argv: readonly string[]) => Program | null;
  /** Overrides the Lab's seed. */
  seed?: number;
  /** Called once the machine is set up, before the first step. */
  onReady?: (kernel: Kernel) => void;
  /** Is told every decision and every captured frame from the end of the setup on. */
  narrator?: Narrator;
  /** End once this step (0-based) has ended, instead of all. */
  endWith?: number;
  /** Stop the clock here (ns after setup) instead of at the Lab's own end. */
  stopAt?: number;
}

const SETTLE = SEC;
const TAIL = 0.3 * SEC;
const LIMIT = 3600 * SEC;

/** Runs a whole Lab. Throws InputError when a setup line fails or is not known. */
export function runLab(lab: Lab, options: LabOptions = {}): LabRun {
  const machine = new Machine(lab, options);
  try {
    machine.setup();
    machine.captures.attach();
    options.onReady?.(machine.kernel);
    machine.steps();
  } catch (e) {
    if (e instanceof EndlessLoop) throw new InputError(lab.file, 1, 1, e.message);
    throw e;
  }
  return {
    kernel: machine.kernel,
    taps: machine.captures.taps,
    steps: machine.results,
    failures: machine.failures,
    notes: machine.notes,
    secrets: machine.secrets,
  };
}

/** The outputs of one script. */
interface Streams {
  out(text: string): void;
  err(text: string): void;
}

class Machine {
  readonly kernel: Kernel;
  readonly captures: Captures;
  readonly results: StepResult[] = [];
  readonly failures: string[] = [];
  readonly notes: string[] = [];
  private readonly lab: Lab;
  private readonly options: LabOptions;
  private readonly files = new Map<string, string>();
  private readonly processes: Processes;
  private phase: 'setup' | 'steps' | 'over' = 'setup';

  constructor(lab: Lab, options: LabOptions) {
    this.lab = lab;
    this.options = options;
    this.kernel = bootKernel(options.seed ?? lab.seed);
    this.captures = new Captures(this.kernel, lab, options.narrator ?? null);
    this.processes = new Processes(this.kernel.sim);
  }

  get secrets(): string[] {
    return [...this.processes.secrets];
  }

  setup(): void {
    const { sim } = this.kernel;
    for (const c of this.lab.setup) {
      let err = '';
      let exit: number | null = null;
      this.exec(c, { out: () => {}, err: (t) => (err += t) }, (code) => (exit = code));
      sim.settle();
      while (exit === null && sim.step());
      if (exit !== 0) {
        const told = err.trim() === '' ? `exit ${exit}` : err.trim().split('\n').slice(0, 3).join('; ');
        const why = exit === null ? 'it does not end; a line that ends in & starts a program in the background' : told;
        throw this.error(c, `setup command failed: ${c.text.split('\n')[0]}: ${why}`);
      }
    }
    sim.runUntil(sim.now + SETTLE);
    this.phase = 'steps';
  }

  steps(): void {
    const { sim } = this.kernel;
    const t0 = sim.now;
    const { endWith } = this.options;
    let open = endWith === undefined ? this.lab.steps.length : 1;
    for (const [i, step] of this.lab.steps.entries()) {
      const r: StepResult = {
        at: step.atNs,
        command: step.text,
        exit: null,
        stdout: '',
        stderr: '',
        ...(step.by === undefined ? {} : { by: step.by }),
      };
      this.results.push(r);
      const streams = { out: (t: string) => void (r.stdout += t), err: (t: string) => void (r.stderr += t) };
      sim.after(step.atNs, () =>
        this.script(step, 0, 0, streams, (code) => {
          r.exit = code;
          if (endWith === undefined || endWith === i) open--;
        }),
      );
    }
    const end = this.options.stopAt ?? this.lab.untilNs;
    if (end !== null && end !== undefined) sim.runUntil(t0 + end);
    else {
      while (open > 0 && sim.nextAt() <= t0 + LIMIT && sim.step());
      sim.runUntil(sim.now + TAIL);
    }
    this.captures.detach();
    this.phase = 'over';
    this.processes.killAll();
    if (this.options.stopAt === undefined) this.captures.check();
    this.failures.push(...failedExpectations(this.lab, this.results));
  }

  /** Runs commands one after the other; `done` gets the last exit code. */
  private script(step: LabStep, i: number, last: number, streams: Streams, done: (code: number) => void): void {
    const c = step.run[i];
    if (c === undefined) return done(last);
    let said = '';
    const err = (t: string): void => {
      said += t;
      streams.err(t);
    };
    this.exec(c, { out: streams.out, err }, (code) => {
      const expected = i === step.run.length - 1 && step.expect?.exit !== undefined;
      if (code !== 0 && said !== '' && !expected) this.note(c, `exit ${code}`, said);
      this.script(step, i + 1, code, streams, done);
    });
  }

  /** An error at a command, or at the line of its heredoc that the text names. */
  private error(c: Command, text: string): InputError {
    const at = / line:? (\d+)/.exec(text);
    const line = at !== null && c.stdinLine > 0 ? c.stdinLine + Number(at[1]) - 1 : c.line;
    return new InputError(c.file, line, c.column, text);
  }

  private note(c: Command, what: string, said: string): void {
    const first = said.trim().split('\n')[0]!;
    this.notes.push(this.error(c, `note: ${what}${first === '' ? '' : `: ${first}`}`).message);
  }

  /** Messages that begin with `podwire: ` say what podwire cannot do: the Lab's error, not a result of the step. */
  private refuse(c: Command, text: string): void {
    const m = /(?:^|: )podwire: (.*)/m.exec(text);
    if (m === null) return;
    const { line, column, file } = this.error(c, text);
    throw new InputError(file, line, column, m[1]!);
  }

  /** A program in the background ended: an error in the setup, a note later. */
  private died(c: Command, code: number, said: string): void {
    // 129 and more: a signal ended it, which a step has sent.
    if (code === 0 || code > 128 || this.phase === 'over') return;
    const what = `"${c.argv.join(' ')}" ended at once with exit ${code}`;
    if (this.phase === 'steps') return this.note(c, what.replace(' at once', ''), said);
    throw this.error(c, `${what}: ${said.trim().split('\n')[0]}`);
  }

  /** Runs one command; `done` is called once, at once for everything but programs. */
  private exec(c: Command, streams: Streams, done: (code: number) => void): void {
    if (c.pipeFrom !== null) {
      let piped = '';
      this.exec(c.pipeFrom, { out: (t) => void (piped += t), err: streams.err }, () =>
        this.exec({ ...c, pipeFrom: null, stdin: piped }, streams, done),
      );
      return;
    }
    if (c.input !== null) {
      const text = this.files.get(c.input) ?? (c.input === '/dev/null' ? '' : undefined);
      if (text === undefined) throw this.error(c, `found < ${c.input}, expected a file that the Lab has written`);
      return this.exec({ ...c, input: null, stdin: text }, streams, done);
    }
    const told = c.quiet ? () => {} : streams.err;
    const err = (t: string): void => {
      this.refuse(c, t);
      told(t);
    };
    const { netns, argv: words } = splitNetns(c.argv);
    const net = this.kernel.netns.get(netns ?? 'root');
    if (net === undefined) {
      err(`Cannot open network namespace "${netns}": No such file or directory\n`);
      return done(255);
    }
    const as = this.privileges(c, words);
    if (typeof as === 'string') {
      err(as);
      return done(1);
    }
    const { argv } = as;
    let out = streams.out;
    let finish = done;
    if (c.redirect !== null) {
      const { path, append } = c.redirect;
      let text = append ? (this.files.get(path) ?? '') : '';
      out = (t) => void (text += t);
      finish = (code) => {
        if (path !== '/dev/null') this.files.set(path, text);
        done(code);
      };
    }
    const view = this.view(net);
    if (argv[0] === 'cat') return finish(cat(argv, c.stdin ?? '', view, out, err));
    if (argv[0] === 'mkdir') return finish(0);
    if (argv[0] === 'kill') return finish(this.processes.kill(argv, err));
    if (argv[0] === 'xargs') return this.xargs(c, netns, argv, { out, err: told }, finish);
    const asked = pidsAsked(argv);
    if (asked !== null) {
      const there = this.kernel.netns.get(asked);
      if (there === undefined) err(`Cannot open network namespace "${asked}": No such file or directory\n`);
      else for (const pid of this.processes.pidsOf(there)) out(`${pid}\n`);
      return finish(there === undefined ? 255 : 0);
    }
    if (argv[0] === 'sleep') {
      const ns = sleepTime(argv, err);
      if (ns === null) return finish(1);
      this.kernel.sim.after(ns, () => finish(0));
      return;
    }
    const program = this.options.programFor?.(argv) ?? programFor(argv);
    const sync = Object.hasOwn(commands, argv[0]!) ? commands[argv[0]!] : undefined;
    if (program === null && sync !== undefined) {
      const r = sync(this.kernel, net, [...argv], c.stdin ?? '');
      out(r.out);
      if (r.err !== '') err(r.err);
      this.kernel.sim.drain();
      return finish(r.exit);
    }
    if (program === null) {
      throw this.error(c, unknownCommand(argv));
    }
    const alone = { ...c, stdin: null, redirect: null, background: false };
    // `ip netns exec NAME setpriv …`, as it was started itself.
    const before = c.argv.slice(0, c.argv.length - argv.length);
    const run = (words: readonly string[], ended: (code: number) => void): void =>
      this.exec({ ...alone, argv: [...before, ...words] }, { out, err: told }, ended);
    const start = { net, cred: as.cred, files: view, argv, stdin: c.stdin ?? '', run };
    if (!c.background) return this.processes.start(program, { ...start, out, err }, finish);
    let said = '';
    const hear = (t: string): void => {
      said += t;
      err(t);
    };
    this.processes.start(program, { ...start, out, err: hear }, (code) => this.died(c, code, said));
    finish(0);
  }

  /** What a command line runs, and as whom; a string is setpriv's message. */
  private privileges(c: Command, words: string[]): Setpriv | string {
    if (words[0] !== 'setpriv') return { cred: ROOT, argv: words };
    const as = setpriv(words);
    if (typeof as === 'string' || UNPRIVILEGED_PROGRAMS.includes(as.argv[0]!)) return as;
    throw this.error(c, `found setpriv ${as.argv[0]}, expected one of: ${UNPRIVILEGED_PROGRAMS.join(', ')}`);
  }

  /** Runs what `xargs` is given, with the words of its input behind. */
  private xargs(
    c: Command,
    netns: string | null,
    argv: readonly string[],
    streams: Streams,
    done: (code: number) => void,
  ): void {
    const words = (c.stdin ?? '').split(/\s+/).filter((w) => w !== '');
    const some = argv[1] === '-r';
    const rest = argv.slice(some ? 2 : 1);
    if (rest[0] === undefined || rest[0].startsWith('-') || !/^[^'"\\]*$/.test(c.stdin ?? '')) {
      throw this.error(c, `found "${argv.join(' ')}", expected xargs [-r] COMMAND, and no quotes in its input`);
    }
    if (some && words.length === 0) return done(0);
    const inside = netns === null ? [] : ['ip', 'netns', 'exec', netns];
    const failed = (code: number): void => done(code === 0 ? 0 : code < 128 ? 123 : 125);
    this.exec({ ...c, stdin: null, redirect: null, argv: [...inside, ...rest, ...words] }, streams, failed);
  }

  /** `/etc/netns/NAME/x` stands over `/etc/x` (ip netns exec). */
  private view(net: Netns): Files {
    return {
      read: (path) => {
        const over = path.startsWith('/etc/') ? this.files.get(`/etc/netns/${net.name}/${path.slice(5)}`) : undefined;
        return over ?? this.files.get(path) ?? null;
      },
    };
  }
}

/** A program's own reason, to stand behind its exit code: its first line on stderr. */
export const reasonOf = (stderr: string): string => (stderr.trim() === '' ? '' : `: ${stderr.trim().split('\n')[0]!}`);

/** The `expect` entries that the results do not meet, each in words with its place. */
export function failedExpectations(lab: Lab, results: readonly StepResult[]): string[] {
  return lab.steps.flatMap((step, i) => {
    const [e, r] = [step.expect, results[i]];
    if (e === null || r === undefined) return [];
    const place = `${lab.file}:${step.line}`;
    const found: string[] = [];
    if (e.exit !== undefined && e.exit !== r.exit) {
      found.push(`${place}: expected exit ${e.exit}, got ${r.exit ?? 'none (still running)'}${reasonOf(r.stderr)}`);
    }
    if (e.stdout !== undefined && !r.stdout.includes(e.stdout)) {
      found.push(
        `${place}: expected stdout with "${e.stdout}", got "${r.stdout.trim()}"${r.exit === 0 ? '' : ` (exit ${r.exit ?? 'none, still running'})`}`,
      );
    }
    return found;
  });
}

/** What is wrong with the first word of a command line. */
function unknownCommand(argv: readonly string[]): string {
  if (argv[0] === 'kubectl') return 'kubectl needs a cluster: it is answered in a Scenario, in a step without `in`';
  const words = argv[0] === 'podwire' ? argv.slice(0, 3).join(' ') : argv[0];
  const list = [...Object.keys(commands), ...PROGRAM_NAMES, 'cat', 'mkdir', 'sleep', 'kill', 'setpriv', 'xargs']
    .sort()
    .join(', ');
  return `unknown command "${words}", expected one of: ${list}, podwire app echo|flood|health|http|coredns|ingress|istio-proxy|metallb-speaker|probe|tcp-proxy|${SERVER_NAMES.join('|')}, podwire fault`;
}

/** The namespace that `ip netns pids NAME` asks for; null for other commands. */
const pidsAsked = (argv: readonly string[]): string | null =>
  argv[0] === 'ip' && argv[1] === 'netns' && argv[2] === 'pids' && argv.length === 4 ? argv[3]! : null;
