/** `podwire diff A B`: compares two captures or two trees, field by field; A is the expected side. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { compare, differenceText } from '../capture/compare.js';
import { compareSteps, type StepComparison, stepDifferenceText } from '../capture/compare-steps.js';
import { Mappings } from '../capture/equivalence.js';
import { type Captures, readCaptures, readSteps } from '../capture/reader.js';
import { InputError } from '../sim/input-error.js';
import { parseArgs, UsageError } from './usage.js';

/** The outputs of two trees; null unless both have some. */
function steps(files: readonly string[], maps: Mappings, natPorts: boolean): StepComparison | null {
  const [e, a] = files.map(readSteps);
  return !e || !a ? null : compareSteps(e, a, { maps, natPorts });
}

/** A side of the comparison; a folder that is no tree is refused. */
function captures(path: string): Captures {
  const found = readCaptures(path);
  const is = (name: string): boolean => existsSync(join(path, name));
  if (found.size > 0 || !statSync(path).isDirectory() || is('all.pcapng') || is('steps.json')) return found;
  throw new InputError(path, 0, 0, 'found no captures, expected NETNS/DEV.pcap below it');
}

/** Frames in JSON are hexadecimal. */
const inHex = (_: string, v: unknown): unknown => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v);

export async function main(args: string[]): Promise<number> {
  const { files, flags } = parseArgs('diff', args);
  if (files.length !== 2) throw new UsageError('diff: expected two captures or trees, A and B');
  const maps = new Mappings();
  const natPorts = flags.has('--nat-ports');
  const lone = files.every((f) => f.endsWith('.pcap'));
  const [e, a] = files.map(captures) as [Captures, Captures];
  const fixedMacs = flags.has('--macs') ? new Set<string>() : undefined;
  const frames = compare(e, a, { lone, natPorts, maps, ...(fixedMacs === undefined ? {} : { fixedMacs }) });
  const said = steps(files, maps, natPorts);
  const n = frames.differences.length + (said?.differences.length ?? 0);
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify({ ...frames, steps: said }, inHex, 2)}\n`);
  else {
    frames.differences.forEach((d, i) => {
      const text = differenceText(files[1]!, d);
      process.stdout.write(`${i === 0 || flags.has('--all') ? text : text.split('\n')[0]}\n`);
    });
    for (const d of said?.differences ?? []) process.stdout.write(`${stepDifferenceText(files[1]!, d)}\n`);
    const eq = [...Object.entries(frames.equivalences), ...Object.entries(said?.equivalences ?? {})];
    process.stderr.write(
      `${frames.interfaces} interfaces, ${frames.frames} frames${said === null ? '' : `, ${said.steps} steps`} compared, ` +
        `${n} differences${eq.length > 0 ? `; equivalences: ${eq.map(([k, c]) => `${k} ${c}`).join(', ')}` : ''}\n`,
    );
  }
  return n > 0 ? 1 : 0;
}
