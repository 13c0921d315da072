/** `podwire show FILE [--in NETNS] [--at TIME] -- COMMAND`: what a command prints there, at that time. */
import { parseDuration } from '../lab/lab.js';
import { parseScript } from '../shell/script.js';
import { execute } from './execute.js';
import { load } from './load.js';
import { parseArgs, UsageError } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const { files, values, rest } = parseArgs('show', args);
  if (files.length !== 1 || rest.length === 0)
    throw new UsageError('show: expected FILE [--in NETNS] [--at TIME] -- COMMAND');
  const l = await load(files[0]!);
  const at = parseDuration(values.get('--at') ?? '0s');
  if (at === null)
    throw new UsageError(`show: --at: found "${values.get('--at')}", expected a duration like 2s, 1500ms or 1m`);
  const where = values.get('--in');
  if (where === undefined) {
    if (rest[0] !== 'kubectl' || l.cluster === null)
      throw new UsageError('show: without --in NETNS, expected -- kubectl … and a Scenario; others need --in');
    const r = l.cluster.kubectl(rest.slice(1), at);
    process.stdout.write(r.stdout);
    process.stderr.write(r.stderr);
    return r.exit;
  }
  const netns = l.cluster?.netnsOf(where, at) ?? where;
  const places = [...(l.cluster?.roles.values() ?? [])].map((r) => r.replace(' ', '/'));
  if (l.cluster !== null && netns.includes('/')) throw nowhere(where, places);
  const text = `ip netns exec ${[netns, ...rest].map((w) => `'${w.replaceAll("'", "'\\''")}'`).join(' ')}`;
  const step = { atNs: at, run: parseScript(text, l.file, 0), text, expect: null, line: 0 };
  // What starts later has not happened yet; the Lab's own end would cut the command off.
  const steps = [...l.lab.steps.filter((s) => s.atNs <= at), step];
  const lab = { ...l.lab, steps, untilNs: null, captures: [] };
  const o = await execute({ ...l, lab, cluster: null }, { endWith: steps.length - 1 });
  const r = o.run.steps.at(-1)!;
  const names = [...o.run.kernel.netns.keys()];
  if (r.exit === 255 && !names.includes(netns)) throw nowhere(where, places.length > 0 ? places : names);
  process.stdout.write(r.stdout);
  process.stderr.write(r.stderr);
  if (r.exit === null) process.stderr.write('podwire: show: the command did not end within an hour\n');
  return r.exit === 0 ? 0 : 1;
}

const nowhere = (where: string, places: readonly string[]): UsageError =>
  new UsageError(`show: --in: found "${where}", expected one of: ${places.join(', ')}`);
