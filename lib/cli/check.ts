/** `podwire check [FILE…] [-u] [-o DIR] [--golden DIR]`: runs, then compares with the golden trees. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { count, execute, type Outcome, writeTree } from './execute.js';
import { compareWith, digest, GOLDEN, problemsOf, readOrigin } from './golden.js';
import { type Loaded, loadAll } from './load.js';
import { Progress } from './progress.js';
import { parseArgs } from './usage.js';
import { writeOrigin } from './origin.js';

interface Row {
  name: string;
  verdict: string;
  interfaces: number;
  frames: number;
  /** Steps whose output was compared. */
  steps: number;
  equivalences: Record<string, number>;
  problems: string[];
  /** The golden is the kernel's: `-u` leaves it as it is. */
  kept: boolean;
}

export async function main(args: string[]): Promise<number> {
  const { files, flags, values } = parseArgs('check', args);
  const golden = values.get('--golden') ?? GOLDEN;
  const update = flags.has('--update');
  const all = await loadAll(files);
  const rows: Row[] = [];
  const progress = new Progress(all.length);
  for (const l of all) {
    progress.begin(l.name);
    const row = await checkOne(l, join(golden, l.name), update, values.get('--out') ?? null);
    rows.push(row);
    progress.end(l.name);
  }
  progress.clear();
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else print(rows, flags.has('--all'));
  const kept = rows.filter((r) => r.kept && r.verdict !== 'equal').map((r) => r.name);
  if (update && kept.length > 0)
    process.stderr.write(
      `not replaced, because the kernel recorded them (podwire kernel FILE --record does it): ${kept.join(', ')}\n`,
    );
  return rows.every((r) => r.problems.length === 0) ? 0 : 1;
}

async function checkOne(l: Loaded, dir: string, update: boolean, out: string | null): Promise<Row> {
  const origin = readOrigin(dir);
  const o: Outcome = await execute(l, origin?.seed === undefined ? {} : { seed: origin.seed });
  if (out !== null) writeTree(join(out, l.name), l, o);
  const row: Row = {
    name: l.name,
    verdict: 'equal',
    ...count(o),
    steps: 0,
    equivalences: {},
    problems: [...o.failures],
    kept: origin?.recordedBy === 'kernel',
  };
  if (update && origin?.recordedBy !== 'kernel') {
    writeTree(dir, l, o);
    writeOrigin(dir, { recordedBy: 'podwire', digest: digest(l.text) });
    return { ...row, verdict: 'updated' };
  }
  if (!existsSync(dir)) {
    return {
      ...row,
      verdict: 'no golden',
      problems: [
        ...row.problems,
        `${l.name}: no golden at ${dir}: record one with "podwire kernel ${l.file} --record", take podwire's own with "podwire check -u ${l.file}", or say where it is with --golden DIR`,
      ],
    };
  }
  const c = compareWith(dir, { taps: o.run.taps, steps: o.steps }, l.text);
  row.equivalences = { ...c.equivalences };
  row.frames = c.frames;
  row.interfaces = c.interfaces;
  if (origin !== null && origin.digest !== digest(l.text)) {
    row.problems.push(
      `${l.name}: the golden was made from another version of ${l.file}: ${origin.recordedBy === 'kernel' ? 'record it again' : 'take the new one with -u'}`,
    );
  }
  row.steps = c.steps?.steps ?? 0;
  for (const [k, n] of Object.entries(c.steps?.equivalences ?? {})) {
    row.equivalences[`steps.${k}`] = n;
  }
  row.problems.push(...problemsOf(l.name, c));
  if (row.problems.length > 0) row.verdict = 'DIFFERENT';
  return row;
}

/** The table, every difference (both frames of the first one, or of `all`), and how many there are. */
function print(rows: Row[], all: boolean): void {
  const head = ['SCENARIO', 'RESULT', 'INTERFACES', 'FRAMES', 'STEPS', 'EQUIVALENCES'];
  const table = rows.map((r) => [
    r.name,
    r.verdict,
    String(r.interfaces),
    String(r.frames),
    String(r.steps),
    Object.entries(r.equivalences).map(([k, n]) => `${k}:${n}`).join(',') || '<none>',
  ]); // prettier-ignore
  const widths = head.map((h, i) => Math.max(h.length, ...table.map((t) => t[i]!.length)));
  for (const t of [head, ...table]) {
    process.stdout.write(`${t.map((c, i) => (i === t.length - 1 ? c : c.padEnd(widths[i]!))).join('   ')}\n`);
  }
  const problems = rows.flatMap((r) => r.problems);
  problems.forEach((p, i) => process.stderr.write(`${i === 0 || all ? p : p.split('\n')[0]}\n`));
  const sum = (f: (r: Row) => number): number => rows.reduce((n, r) => n + f(r), 0);
  const kinds = [...new Set(rows.map((r) => r.verdict))];
  const verdicts = kinds.map((v) => `${rows.filter((r) => r.verdict === v).length} ${v}`).join(', ');
  process.stderr.write(
    `${rows.length} scenario${rows.length === 1 ? '' : 's'}, ${sum((r) => r.frames)} frames, ${sum((r) => r.steps)} steps: ${verdicts}\n`,
  );
}
