/** `podwire compile FILE`: the Lab (plain Linux commands) that a Kubernetes scenario compiles to. */
import { load } from './load.js';
import { parseArgs, UsageError } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const { files } = parseArgs('compile', args);
  if (files.length !== 1) throw new UsageError('compile: expected one FILE');
  process.stdout.write((await load(files[0]!)).text);
  return 0;
}
