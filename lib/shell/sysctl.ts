/** `sysctl [-n] [-q] [-w] key[=value] …` (procps). */
import { sysctlRead, sysctlWrite } from '../linux/core/sysctl.js';
import type { Netns } from '../linux/core/netns.js';
import type { CommandResult } from './ip.js';

export function sysctl(net: Netns, argv: readonly string[]): CommandResult {
  let names = true;
  let quiet = false;
  const r: CommandResult = { exit: 0, out: '', err: '' };
  for (const a of argv.slice(1)) {
    if (a === '-w') continue;
    if (a === '-n') names = false;
    else if (a === '-q') quiet = true;
    else if (a.startsWith('-')) return { exit: 1, out: '', err: `sysctl: invalid option -- '${a}'\n` };
    else {
      const [key, value] = a.split('=') as [string, string | undefined];
      if (value !== undefined && !/^-?\d+$/.test(value))
        return { exit: 255, out: r.out, err: `sysctl: setting key "${key}": Invalid argument\n` };
      const ok = value === undefined ? sysctlRead(net, key) !== null : sysctlWrite(net, key, Number(value));
      if (!ok) {
        r.err += `sysctl: cannot stat /proc/sys/${key.replaceAll('.', '/')}: No such file or directory\n`;
        r.exit = 255;
      } else if (!quiet) r.out += `${names ? `${key} = ` : ''}${sysctlRead(net, key)}\n`;
    }
  }
  return r;
}
