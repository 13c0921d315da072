/** `podwire kernel FILE… [-o DIR] [--record]`: the same file on the real Linux kernel. */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { failedExpectations } from '../lab/engine.js';
import { KernelFailure, MissingRecorder, runOnKernel } from '../lab/kernel.js';
import { InputError } from '../sim/input-error.js';
import { execute } from './execute.js';
import { compareWith, digest, GOLDEN, type Origin, problemsOf, randomMacs } from './golden.js';
import { type Loaded, loadAll } from './load.js';
import { writeOrigin } from './origin.js';
import { Progress } from './progress.js';
import { count, parseArgs, UsageError } from './usage.js';

/** Random choices of the kernel (statistic) are found again by trying seeds. */
const SEEDS = 2000;

export async function main(args: string[]): Promise<number> {
  const { files, flags, values } = parseArgs('kernel', args);
  if (files.length === 0) throw new UsageError('kernel: expected FILE…');
  const record = flags.has('--record');
  if (record && values.has('--out')) throw new UsageError('kernel: --record writes to golden/, it does not go with -o');
  const root = record ? GOLDEN : (values.get('--out') ?? 'out-kernel');
  const all = await loadAll(files);
  const jobs = count('kernel', '--jobs', values.get('--jobs') ?? '2');
  const queue = new PQueue({ concurrency: jobs });
  const progress = new Progress(all.length);
  let code = 0;
  await queue.addAll(
    all.map((l) => async () => {
      progress.begin(l.name);
      try {
        const r = await recordOne(l, root);
        if (!r.fine) code = Math.max(code, 1);
        progress.end(l.name, () => process.stdout.write(`${r.text}\n`));
      } catch (e) {
        const known = e instanceof InputError || e instanceof MissingRecorder || e instanceof KernelFailure;
        if (!known) throw e;
        code = 2;
        const text = e instanceof InputError ? e.message : `podwire: ${e.message}`;
        progress.end(l.name, () => process.stderr.write(`${text}\n`));
      }
    }),
  );
  progress.clear();
  return code;
}

/** What a recording says, and whether podwire and the Lab's expectations agree with it. */
interface Recorded {
  text: string;
  fine: boolean;
}

async function recordOne(l: Loaded, root: string): Promise<Recorded> {
  const dir = join(root, l.name);
  const tmp = `${dir}.recording-${process.pid}`;
  rmSync(tmp, { recursive: true, force: true });
  try {
    const r = await runOnKernel(l.lab, tmp);
    const origin: Origin = { recordedBy: 'kernel', kernel: r.kernel, tools: r.tools, digest: digest(l.text) };
    const { seed, problems, equivalences, macs } = await judge(l, tmp);
    if (seed !== l.lab.seed) origin.seed = seed;
    origin.equivalences = equivalences;
    writeOrigin(tmp, origin);
    rmSync(dir, { recursive: true, force: true });
    renameSync(tmp, dir);
    const unmet = failedExpectations(l.lab, r.steps).map((f) => `${f} (on the kernel)`);
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
    const verdict = problems.length === 0 ? 'podwire is equal' : `${problems[0]!.split('\n')[0]}${more}`;
    const text = `${l.name}: recorded to ${dir}${origin.seed === undefined ? '' : ` (seed ${origin.seed})`}; ${verdict}`;
    return { text: [text, ...unmet, ...chance(l, macs)].join('\n'), fine: unmet.length + problems.length === 0 };
  } finally {
    rmSync(tmp, { recursive: true, force: true });
  }
}

/** A warning about MAC addresses that differ in every recording. */
function chance(l: Loaded, macs: readonly string[]): string[] {
  if (macs.length === 0) return [];
  const list = macs.length > 4 ? `${macs.slice(0, 4).join(', ')} and ${macs.length - 4} more` : macs.join(', ');
  return [
    `${l.file}: note: the MAC addresses of ${list} are left to chance; a bridge without an address of its own takes the ` +
      'lowest of its ports, so that another recording may differ: set them (ip link add NAME address 02:… type …)',
  ];
}

interface Judgement {
  seed: number;
  problems: string[];
  equivalences: Record<string, number>;
  /** Interfaces whose MAC address the Lab leaves to chance. */
  macs: string[];
}

/** Compares podwire with the recording, under the seed that repeats the kernel's random choices, or comes nearest to them. */
async function judge(l: Loaded, dir: string): Promise<Judgement> {
  let best = await compareAt(l, dir, l.lab.seed);
  if (!/--mode random|\bnexthop /.test(l.text)) return best;
  for (let seed = 1; seed <= SEEDS && best.problems.length > 0; seed++) {
    const next = await compareAt(l, dir, seed);
    if (next.problems.length < best.problems.length) best = next;
  }
  return best;
}

async function compareAt(l: Loaded, dir: string, seed: number): Promise<Judgement> {
  try {
    const o = await execute(l, { seed });
    const c = compareWith(dir, { taps: o.run.taps, steps: o.steps }, l.text);
    const problems = problemsOf(l.name, c).map((p) => `podwire differs: ${p}`);
    return { seed, problems, equivalences: c.equivalences, macs: randomMacs(l.text, o.run.taps) };
  } catch (e) {
    // The kernel ran what podwire cannot: the recording stands.
    if (!(e instanceof InputError)) throw e;
    return { seed, problems: [`podwire cannot run it: ${e.message}`], equivalences: {}, macs: [] };
  }
}
