/**
 * The processes of a Lab: programs that run, found by `ip netns pids`, ended by signals.
 * @module
 */
import type { Files, Proc, Program } from '../apps/program.js';
import type { Cred } from '../linux/core/cred.js';
import type { Netns } from '../linux/core/netns.js';
import type { Sim } from '../sim/sim.js';

/** Signals that end a program which does not handle them, with their numbers. */
const SIGNALS: Readonly<Record<string, number>> = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, USR1: 10, USR2: 12, TERM: 15 };

/** What a program is started with. */
export interface Start {
  net: Netns;
  cred: Cred;
  argv: readonly string[];
  stdin: string;
  files: Files;
  out(text: string): void;
  err(text: string): void;
  /** Runs a command for it. */
  run(argv: readonly string[], done: (code: number) => void): void;
}

interface Running {
  pid: number;
  proc: Proc;
  ended: boolean;
  done(code: number): void;
}

export class Processes {
  private readonly sim: Sim;
  /** Lines of the NSS key log that the programs have told, each once (both ends of a connection know the same). */
  readonly secrets = new Set<string>();
  private readonly all: Running[] = [];
  /** The first process of a machine has few pids before it; the numbers are never compared with those of a kernel. */
  private lastPid = 1000;

  constructor(sim: Sim) {
    this.sim = sim;
  }

  /** Starts a program; `done` is called once, with its exit code, unless everything ends first. */
  start(program: Program, s: Start, done: (code: number) => void): void {
    const entry: Running = { pid: ++this.lastPid, proc: null as unknown as Proc, ended: false, done };
    entry.proc = {
      net: s.net,
      cred: s.cred,
      files: s.files,
      argv: s.argv,
      stdin: new TextEncoder().encode(s.stdin),
      out: (t) => (entry.ended ? undefined : s.out(t)),
      err: (t) => (entry.ended ? undefined : s.err(t)),
      run: (argv, ended) => {
        if (!entry.ended) s.run(argv, (code) => (entry.ended ? undefined : ended(code)));
      },
      secret: (line) => void this.secrets.add(line),
      exit: (code) => {
        if (entry.ended) return;
        entry.ended = true;
        done(code);
      },
      onKill: null,
      onHup: null,
    };
    this.all.push(entry);
    this.sim.runAs({ ranAt: 0 }, () => program(entry.proc));
  }

  /** Pids of the programs in a namespace, as /proc lists them. */
  pidsOf(net: Netns): number[] {
    return this.all.filter((p) => !p.ended && p.proc.net === net).map((p) => p.pid);
  }

  /** `kill` as procps' program does it. */
  kill(argv: readonly string[], err: (text: string) => void): number {
    const words = argv.slice(1);
    const first = words[0] ?? '';
    const name = (first === '-s' ? (words[1] ?? '') : first.replace(/^-/, '')).replace(/^SIG/, '');
    const signal = SIGNALS[name] ?? Object.values(SIGNALS).find((n) => String(n) === name);
    const pids = words.slice(first === '-s' ? 2 : 1);
    if (!first.startsWith('-') || signal === undefined || pids.length === 0 || pids.some((p) => !/^\d+$/.test(p))) {
      err(`podwire: found "${argv.join(' ')}", expected kill -SIGNAL PID… (${Object.keys(SIGNALS).join(', ')})\n`);
      return 1;
    }
    let code = 0;
    for (const pid of pids) {
      const p = this.all.find((x) => String(x.pid) === pid && !x.ended);
      if (p !== undefined) this.signal(p, signal);
      else {
        err(`kill: (${pid}): No such process\n`);
        code = 1;
      }
    }
    return code;
  }

  private signal(p: Running, signal: number): void {
    if (signal === SIGNALS['HUP'] && p.proc.onHup !== null) {
      this.sim.runAs({ ranAt: 0 }, p.proc.onHup);
      return;
    }
    p.ended = true;
    p.proc.onKill?.();
    p.done(128 + signal);
  }

  /** Ends the programs that still run, all at once: none has an exit code because another's socket closed first. */
  killAll(): void {
    const left = this.all.filter((p) => !p.ended);
    for (const p of left) p.ended = true;
    for (const p of left) p.proc.onKill?.();
  }
}
