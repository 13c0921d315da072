/** `podwire diff A B`: compares two captures or two trees, field by field; A is the expected side. */
import { compare, differenceText } from '../capture/compare.js';
import { readCaptures } from '../capture/reader.js';
import { PcapError } from '../../wire/pcap.js';
import { InputError } from '../sim/input-error.js';
import { parseArgs, UsageError } from './usage.js';

function read(path: string): ReturnType<typeof readCaptures> {
  try {
    return readCaptures(path);
  } catch (e) {
    if (e instanceof PcapError) throw new InputError(path, 0, 0, e.message);
    if (e instanceof Error && 'code' in e) throw new InputError(path, 0, 0, `cannot read: ${String(e.code)}`);
    throw e;
  }
}

export async function main(args: string[]): Promise<number> {
  const { files, flags } = parseArgs('diff', args, ['--json', '--nat-ports'], []);
  if (files.length !== 2) throw new UsageError('diff: expected two captures or trees, A and B');
  const result = compare(read(files[0]!), read(files[1]!), {
    lone: files.every((f) => f.endsWith('.pcap')),
    natPorts: flags.has('--nat-ports'),
  });
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else {
    for (const d of result.differences) process.stdout.write(`${differenceText(files[1]!, d)}\n`);
    const eq = Object.entries(result.equivalences).map(([k, n]) => `${k} ${n}`);
    process.stderr.write(
      `${result.interfaces} interfaces, ${result.frames} frames compared, ${result.differences.length} differences` +
        `${eq.length > 0 ? `; equivalences: ${eq.join(', ')}` : ''}\n`,
    );
  }
  return result.differences.length > 0 ? 1 : 0;
}
