/** `podwire diff A B`: compares two captures or two trees, field by field; A is the expected side. */
import { compare, differenceText } from '../capture/compare.js';
import { compareSteps, type StepComparison, stepDifferenceText } from '../capture/compare-steps.js';
import { Mappings } from '../capture/equivalence.js';
import { readCaptures, readSteps } from '../capture/reader.js';
import { parseArgs, UsageError } from './usage.js';

/** The outputs of two trees; null unless both have some. */
function steps(files: readonly string[], maps: Mappings, natPorts: boolean): StepComparison | null {
  const [e, a] = files.map(readSteps);
  return !e || !a ? null : compareSteps(e, a, { maps, natPorts });
}

export async function main(args: string[]): Promise<number> {
  const { files, flags } = parseArgs('diff', args, ['--json', '--nat-ports'], []);
  if (files.length !== 2) throw new UsageError('diff: expected two captures or trees, A and B');
  const maps = new Mappings();
  const natPorts = flags.has('--nat-ports');
  const lone = files.every((f) => f.endsWith('.pcap'));
  const frames = compare(readCaptures(files[0]!), readCaptures(files[1]!), { lone, natPorts, maps });
  const said = steps(files, maps, natPorts);
  const n = frames.differences.length + (said?.differences.length ?? 0);
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify({ ...frames, steps: said }, null, 2)}\n`);
  else {
    for (const d of frames.differences) process.stdout.write(`${differenceText(files[1]!, d)}\n`);
    for (const d of said?.differences ?? []) process.stdout.write(`${stepDifferenceText(files[1]!, d)}\n`);
    const eq = [...Object.entries(frames.equivalences), ...Object.entries(said?.equivalences ?? {})];
    process.stderr.write(
      `${frames.interfaces} interfaces, ${frames.frames} frames${said === null ? '' : `, ${said.steps} steps`} compared, ` +
        `${n} differences${eq.length > 0 ? `; equivalences: ${eq.map(([k, c]) => `${k} ${c}`).join(', ')}` : ''}\n`,
    );
  }
  return n > 0 ? 1 : 0;
}
