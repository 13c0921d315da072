/**
 * `setpriv`: runs a program as another user, as util-linux 2.38 does it.
 * @module
 */
import { type Cred, ROOT } from '../linux/core/cred.js';

export interface Setpriv {
  cred: Cred;
  /** The program and its arguments. */
  argv: string[];
}

const HINT = "Try 'setpriv --help' for more information.\n";
/** Real and effective ids are the same to a socket. */
const IDS: Readonly<Record<string, readonly ('uid' | 'gid')[]>> = {
  '--reuid': ['uid'], '--ruid': [], '--euid': ['uid'], '--regid': ['gid'], '--rgid': [], '--egid': ['gid'],
}; // prettier-ignore
const GROUPS = ['--clear-groups', '--keep-groups', '--init-groups'];
const ELSEWHERE = [
  '-d', '--dump', '--nnp', '--no-new-privs', '--ambient-caps', '--inh-caps', '--bounding-set', '--list-caps', '--securebits',
  '--pdeathsig', '--selinux-label', '--apparmor-profile', '--reset-env', '-h', '--help', '-V', '--version',
]; // prettier-ignore

/** Reads the words of `setpriv [OPTION]… PROGRAM [ARG]…`; a string is what goes to stderr, the exit code is 1 then. */
export function setpriv(words: readonly string[]): Setpriv | string {
  const cred = { ...ROOT };
  let groups = false;
  let grouped = false;
  let i = 1;
  for (; i < words.length && words[i]!.startsWith('-'); i++) {
    const [opt, joined] = split(words[i]!);
    if (opt === '--') {
      i++;
      break;
    }
    if (GROUPS.includes(opt) && joined === null) {
      groups = true;
      continue;
    }
    if (ELSEWHERE.includes(opt)) return `podwire: setpriv: ${opt} is not supported yet\n`;
    if (IDS[opt] === undefined && opt !== '--groups') return `setpriv: unrecognized option '${words[i]}'\n${HINT}`;
    const value = joined ?? words[++i];
    if (value === undefined) return `setpriv: option '${opt}' requires an argument\n${HINT}`;
    // Names are in a machine's own tables, which the two sides do not share.
    if (opt === '--groups') {
      if (!/^\d{1,9}(,\d{1,9})*$/.test(value)) return `podwire: setpriv: found ${opt} "${value}", expected numbers\n`;
      groups = true;
      continue;
    }
    if (!/^\d{1,9}$/.test(value)) return `podwire: setpriv: found ${opt} "${value}", expected a number\n`;
    for (const id of IDS[opt]!) cred[id] = Number(value);
    grouped ||= opt === '--regid' || opt === '--rgid' || opt === '--egid';
  }
  const argv = words.slice(i);
  if (argv.length === 0) return 'setpriv: No program specified\n';
  if (grouped && !groups)
    return 'setpriv: --[re]gid requires --keep-groups, --clear-groups, --init-groups, or --groups\n';
  return { cred, argv };
}

/** An option and what is joined to it by `=`, null: nothing. */
function split(word: string): [string, string | null] {
  const at = word.startsWith('--') ? word.indexOf('=') : -1;
  return at < 0 ? [word, null] : [word.slice(0, at), word.slice(at + 1)];
}

/** Programs that need no more than their sockets; others a user may not run, or not all of. */
export const UNPRIVILEGED_PROGRAMS = ['curl', 'dig', 'getent', 'nc', 'podwire'];
