/**
 * `podwire fuzz [--count N] [--seed S] [--jobs N] [--no-shrink] [-o DIR]`: random Labs, in podwire and on the kernel.
 *
 * A Lab that differs is recorded again before it counts: time decides some things (which of two processes gets the CPU
 * first), and a kernel that then writes what podwire writes differs from itself. A Lab that its boot did not finish gets a
 * boot of its own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import PQueue from 'p-queue';
import type { LabRun } from '../lab/engine.js';
import { type FuzzLab, fuzzLab, fuzzText } from '../lab/fuzz/fuzz-lab.js';
import { shrink } from '../lab/fuzz/shrink.js';
import { KernelFailure, runAllOnKernel } from '../lab/kernel.js';
import { parseLab } from '../lab/lab.js';
import { InputError } from '../sim/input-error.js';
import { execute } from './execute.js';
import { compareWith, problemsOf } from './golden.js';
import { Progress } from './progress.js';
import { parseArgs, UsageError } from './usage.js';

/** Labs that one boot of the kernel runs. */
const BATCH = 10;

/** How often a Lab that differs is recorded again at most. */
const AGAIN = 3;

/** One Lab on both sides. */
interface Verdict {
  /** `unknown`: the kernel could not say. */
  kind: 'equal' | 'different' | 'unknown';
  text: string;
  frames: number;
  interfaces: number;
}

export async function main(args: string[]): Promise<number> {
  const { files, flags, values } = parseArgs('fuzz', args);
  if (files.length > 0) throw new UsageError(`fuzz: found "${files[0]}", expected options only`);
  const number = (name: string, otherwise: number): number => {
    const n = Number(values.get(name) ?? otherwise);
    if (!Number.isSafeInteger(n) || n < 1) throw new UsageError(`fuzz: ${name} expects a number from 1`);
    return n;
  };
  const count = number('--count', 50);
  const seed = number('--seed', Math.floor(Date.now() / 1000));
  const queue = new PQueue({ concurrency: number('--jobs', 2) });
  process.stdout.write(`fuzz: ${count} Labs from seed ${seed}\n`);
  const f = new Fuzzer(values.get('-o') ?? 'out-fuzz', count, !flags.has('--no-shrink'));
  const seeds = Array.from({ length: count }, (_, i) => seed + i);
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, i) => seeds.slice(i * BATCH, (i + 1) * BATCH));
  await queue.addAll(batches.map((b) => () => f.batch(b)));
  return f.end();
}

class Fuzzer {
  private readonly dir: string;
  private readonly shrinks: boolean;
  private readonly progress: Progress;
  private readonly failed: string[] = [];
  private labs = 0;
  private unknown = 0;
  private unsteady = 0;
  private frames = 0;
  private interfaces = 0;
  private rules = 0;

  constructor(dir: string, count: number, shrinks: boolean) {
    this.shrinks = shrinks;
    this.dir = dir;
    this.progress = new Progress(count);
  }

  async batch(seeds: readonly number[]): Promise<void> {
    const labs = seeds.map(fuzzLab);
    for (const l of labs) this.progress.begin(l.name);
    const verdicts = await judge(labs);
    for (const [i, v] of verdicts.entries())
      if (v.kind === 'unknown') [verdicts[i]] = (await judge([labs[i]!])) as [Verdict];
    for (const [i, v] of verdicts.entries()) {
      const lab = labs[i]!;
      this.labs++;
      this.frames += v.frames;
      this.interfaces += v.interfaces;
      this.rules += lab.setup.filter((l) => / iptables | ipvsadm | ipset /.test(l)).length;
      if (v.kind === 'unknown') this.unknown++;
      this.progress.end(lab.name, () => v.kind !== 'equal' && process.stdout.write(`${lab.name}: ${v.text}\n`));
      if (v.kind === 'different') await this.different(lab, v);
    }
  }

  private async different(lab: FuzzLab, v: Verdict): Promise<void> {
    mkdirSync(this.dir, { recursive: true });
    const file = join(this.dir, `${lab.name}.yaml`);
    writeFileSync(file, fuzzText(lab));
    // Where another recording of the same Lab equals podwire's, the kernel differs from itself: time decided.
    let equal = false;
    for (let i = 0; i < AGAIN && !equal; i++) equal = (await judge([lab]))[0]!.kind === 'equal';
    if (equal) {
      this.unsteady++;
      this.progress.say(() => process.stdout.write(`${file}: recorded again, the kernel wrote what podwire writes\n`));
      return;
    }
    this.failed.push(file);
    if (!this.shrinks) return;
    const small = await shrink(lab, async (labs) => (await judge(labs)).map((x) => x.kind === 'different'));
    const [last] = small === lab ? [v] : await judge([small]);
    writeFileSync(file, fuzzText(small));
    const size = `${small.setup.length + small.steps.length} of ${lab.setup.length + lab.steps.length} lines`;
    this.progress.say(() => process.stdout.write(`${file}: ${size}: ${last!.text}\n`));
  }

  end(): number {
    this.progress.clear();
    const what = `${this.labs} Labs, ${this.interfaces} interfaces, ${this.frames} frames, ${this.rules} rules compared`;
    const open = `${this.unsteady} the kernel wrote in more than one way, ${this.unknown} it did not finish`;
    process.stdout.write(`fuzz: ${what}; ${this.failed.length} differ, ${open}\n`);
    return this.failed.length > 0 ? 1 : this.unknown > 0 ? 2 : 0;
  }
}

/** Runs Labs in podwire, then all that it can run in one boot of the kernel, and compares. */
async function judge(labs: readonly FuzzLab[]): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'podwire-fuzz-'));
  const verdict = (kind: Verdict['kind'], text: string): Verdict => ({ kind, text, frames: 0, interfaces: 0 });
  try {
    const parsed = labs.map((l, i) => parseLab(fuzzText(l), join(dir, `${i}.yaml`)));
    const ours: (LabRun | Error)[] = [];
    for (const [i, lab] of parsed.entries()) ours.push(await ourRun(labs[i]!, lab));
    const theirs = await runAllOnKernel(parsed, parsed.map((_, i) => join(dir, String(i)))); // prettier-ignore
    return labs.map((l, i) => {
      const [a, k] = [ours[i]!, theirs[i]!];
      if (k instanceof KernelFailure) return verdict('unknown', firstLine(k.message));
      if (k instanceof Error && a instanceof Error) return verdict('equal', 'refused by both');
      if (k instanceof Error) return verdict('different', `only the kernel refuses: ${messageOf(k)}`);
      if (a instanceof Error) return verdict('different', `only podwire refuses: ${messageOf(a)}`);
      const c = compareWith(join(dir, String(i)), { taps: a.taps, steps: a.steps }, fuzzText(l));
      const [problem] = problemsOf(l.name, c);
      const kind = problem === undefined ? 'equal' : 'different';
      return { kind, text: firstLine(problem ?? ''), frames: c.frames, interfaces: c.interfaces };
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Podwire's run; a bug that throws is a difference like any other. */
async function ourRun(l: FuzzLab, lab: ReturnType<typeof parseLab>): Promise<LabRun | Error> {
  try {
    return (await execute({ file: lab.file, name: l.name, lab, text: fuzzText(l), cluster: null })).run;
  } catch (e) {
    return e instanceof Error ? e : new Error(String(e));
  }
}

const firstLine = (text: string): string => text.split('\n')[0]!;
const messageOf = (e: Error): string => (e instanceof InputError ? e.message : firstLine(e.stack ?? e.message));
