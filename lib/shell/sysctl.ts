/** `sysctl [-e] [-n] [-N] [-q] [-w] key[=value] …` (procps 4.0). `-a`, `-p`, `-r`, `--system` and branches are refused. */
import { sysctlAllows, sysctlRead, sysctlRefusal, sysctlWrite } from '../linux/core/sysctl.js';
import type { Netns } from '../linux/core/netns.js';
import type { CommandResult } from './ip.js';

interface Options {
  /** What a line shows: `key = value`, the value (-n), or the key (-N). */
  show: 'both' | 'value' | 'key';
  quiet: boolean;
  write: boolean;
  ignore: boolean;
}

const LONG: Readonly<Record<string, string>> = {
  '--values': '-n', '--names': '-N', '--quiet': '-q', '--write': '-w', '--ignore': '-e',
}; // prettier-ignore

/** Runs `sysctl` in a namespace: every key in turn, exit 1 when one of them failed. */
export function sysctl(net: Netns, argv: readonly string[]): CommandResult {
  const o: Options = { show: 'both', quiet: false, write: false, ignore: false };
  const keys: string[] = [];
  for (const a of argv.slice(1)) {
    if (!a.startsWith('-')) {
      keys.push(a);
      continue;
    }
    const flags = a.startsWith('--') ? [LONG[a] ?? a] : [...a.slice(1)].map((x) => `-${x}`);
    for (const f of flags) {
      if (f === '-w') o.write = true;
      else if (f === '-n') o.show = 'value';
      else if (f === '-N') o.show = 'key';
      else if (f === '-q') o.quiet = true;
      else if (f === '-e') o.ignore = true;
      else return { exit: 1, out: '', err: `podwire: "sysctl ${a}" is not supported yet\n` };
    }
  }
  if (keys.length === 0) return { exit: 1, out: '', err: 'podwire: "sysctl" needs a key\n' };
  const r: CommandResult = { exit: 0, out: '', err: '' };
  for (const k of keys) one(net, k, o, r);
  return r;
}

function one(net: Netns, word: string, o: Options, r: CommandResult): void {
  const eq = word.indexOf('=');
  const key = (eq < 0 ? word : word.slice(0, eq)).trim();
  const failed = (err: string): void => {
    r.err += `sysctl: ${err}\n`;
    r.exit = 1;
  };
  if (eq < 0 && o.write) return failed('command line(0): invalid syntax, continuing...');
  if (sysctlRead(net, key) === null) {
    if (!o.ignore) failed(`cannot stat /proc/sys/${key.replaceAll('.', '/')}: No such file or directory`);
    return;
  }
  if (eq >= 0) {
    const value = word.slice(eq + 1).trim();
    if (!/^[+-]?\d+$/.test(value) || Math.abs(Number(value)) > 0x7fffffff) return failed(`setting key "${key}": Invalid argument`); // prettier-ignore
    if (!sysctlAllows(key, Number(value))) return failed(`setting key "${key}": Invalid argument`);
    const refusal = sysctlRefusal(key, Number(value));
    if (refusal !== null) {
      r.err += `podwire: ${refusal}\n`;
      r.exit = 1;
      return;
    }
    if (!sysctlWrite(net, key, Number(value))) return failed(`setting key "${key}": Invalid argument`);
    if (o.quiet) return;
  }
  const dotted = key.includes('/') ? key.replaceAll('.', '\u0000').replaceAll('/', '.').replaceAll('\u0000', '/') : key;
  const value = sysctlRead(net, key)!;
  r.out += o.show === 'value' ? `${value}\n` : o.show === 'key' ? `${dotted}\n` : `${dotted} = ${value}\n`;
}
