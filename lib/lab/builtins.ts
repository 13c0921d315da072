/**
 * Commands of a Lab that need nothing of the kernel: sleep and cat.
 * @module
 */
import type { Files } from '../apps/program.js';
import { SEC } from '../sim/sim.js';

/** The times of `sleep 0.5 1m`, summed up in nanoseconds; null when one of them is none, which is said. */
export function sleepTime(argv: readonly string[], err: (t: string) => void): number | null {
  const units: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86400 };
  let ns = 0;
  for (const w of argv.slice(1)) {
    const m = /^(\d+\.?\d*|\.\d+)([smhd]?)$/.exec(w);
    if (m === null) err(`sleep: invalid time interval '${w}'\n`);
    else ns += Number(m[1]) * units[m[2]!]! * SEC;
    if (m === null || !Number.isSafeInteger(Math.round(ns))) {
      err("Try 'sleep --help' for more information.\n");
      return null;
    }
  }
  if (argv.length > 1) return Math.round(ns);
  err("sleep: missing operand\nTry 'sleep --help' for more information.\n");
  return null;
}

/** `cat`: files, or what was piped in; the exit code. */
export function cat(
  argv: readonly string[],
  stdin: string,
  files: Files,
  out: (t: string) => void,
  err: (t: string) => void,
): number {
  if (argv.length === 1) {
    out(stdin);
    return 0;
  }
  let code = 0;
  for (const path of argv.slice(1)) {
    const text = files.read(path);
    if (text === null) {
      err(`cat: ${path}: No such file or directory\n`);
      code = 1;
    } else out(text);
  }
  return code;
}
