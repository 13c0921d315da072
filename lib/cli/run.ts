/** `podwire run FILE… [-o DIR] [--no-explain]`: runs, writes captures (with every decision as a comment), one line per scenario. */
import { join } from 'node:path';
import { Explainer } from '../capture/narrator.js';
import { count, execute, type Outcome, writeTree } from './execute.js';
import { type Loaded, loadAll } from './load.js';
import { parseArgs } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const { files, values, flags } = parseArgs('run', args);
  const out = values.get('--out') ?? 'out';
  const all = await loadAll(files);
  const done: [Loaded, Outcome, Explainer | undefined][] = [];
  for (const l of all) {
    const narrator = flags.has('--no-explain') ? undefined : new Explainer();
    done.push([l, await execute(l, narrator === undefined ? {} : { narrator }), narrator]);
  }
  let failed = 0;
  const report: unknown[] = [];
  for (const [l, o, explainer] of done) {
    for (const w of l.cluster?.warnings ?? []) process.stderr.write(`${l.file}: ${w}\n`);
    writeTree(join(out, l.name), l, o, explainer);
    const { interfaces, frames } = count(o);
    failed += o.failures.length;
    report.push({ name: l.name, interfaces, frames, notes: o.notes, failures: o.failures });
    if (!flags.has('--json')) {
      process.stdout.write(`${l.name}: ${frames} frames on ${interfaces} interfaces → ${join(out, l.name)}\n`);
    }
    for (const f of [...o.notes, ...o.failures]) process.stderr.write(`${f}\n`);
  }
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  return failed > 0 ? 1 : 0;
}
