/** `seq [FIRST] LAST` of coreutils, whole numbers only: a text of any length for a Lab that sends some. */
import type { CommandResult } from './ip.js';

const MAX_BYTES = 1 << 24;

/** The numbers, one a line; what is not supported is an error of podwire. */
export function seq(args: readonly string[]): CommandResult {
  const fail = (err: string): CommandResult => ({ exit: 1, out: '', err });
  if (args.length === 0) return fail("seq: missing operand\nTry 'seq --help' for more information.\n");
  if (args.length > 2 || !args.every((a) => /^\d{1,9}$/.test(a))) {
    return fail(`podwire: seq: found "${args.join(' ')}", expected [FIRST] LAST as whole numbers\n`);
  }
  const last = Number(args.at(-1));
  const first = args.length === 2 ? Number(args[0]) : 1;
  if (Math.max(0, last - first) * (String(last).length + 1) > MAX_BYTES) {
    return fail(`podwire: seq: found "${args.join(' ')}", expected ${MAX_BYTES} bytes at most\n`);
  }
  let out = '';
  for (let n = first; n <= last; n++) out += `${n}\n`;
  return { exit: 0, out, err: '' };
}
