/** `podwire run FILE… [-o DIR]`: runs, writes captures, one line per scenario. */
import { join } from 'node:path';
import { count, execute, type Outcome, writeTree } from './execute.js';
import { type Loaded, loadAll } from './load.js';
import { parseArgs } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const { files, values, flags } = parseArgs('run', args, ['--json'], ['-o']);
  const out = values.get('-o') ?? 'out';
  const all = await loadAll(files);
  const done: [Loaded, Outcome][] = [];
  for (const l of all) done.push([l, await execute(l)]);
  let failed = 0;
  const report: unknown[] = [];
  for (const [l, o] of done) {
    for (const w of l.cluster?.warnings ?? []) process.stderr.write(`${l.file}: ${w}\n`);
    writeTree(join(out, l.name), o);
    const { interfaces, frames } = count(o);
    failed += o.failures.length;
    report.push({ name: l.name, interfaces, frames, failures: o.failures });
    if (!flags.has('--json')) {
      process.stdout.write(`${l.name}: ${frames} frames on ${interfaces} interfaces → ${join(out, l.name)}\n`);
    }
    for (const f of o.failures) process.stderr.write(`${f}\n`);
  }
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  return failed > 0 ? 1 : 0;
}
