/**
 * iptables-restore: whole tables from text, each replaced in one step.
 * @module
 */
import type { Netns } from '../linux/core/netns.js';
import { NF_ACCEPT, NF_DROP } from '../linux/core/nf-hook.js';
import { TableEdit } from '../linux/netfilter/xt-edit.js';
import { TABLE_NAMES, type TableName, xtTables } from '../linux/netfilter/xtables.js';
import { applyCommand, hasWait, Refused, waitWarnings } from './iptables.js';
import { splitLine } from './iptables-values.js';
import type { Result } from './iptables-save.js';

const PROG = 'iptables-restore v1.8.9 (legacy)';
const TRY_HELP = "Try `iptables-restore -h' or 'iptables-restore --help' for more information.";

/** iptables-restore: `-n/--noflush`, `-c/--counters`, `-T/--table`, `-w [N]`, `-W N`. A table that fails is left as it was. */
export function iptablesRestore(net: Netns, argv: readonly string[], stdin: string): Result {
  const warnings = waitWarnings(argv);
  if (warnings === '') return restore(net, argv, stdin);
  const r = hasWait(argv)
    ? restore(net, argv, stdin)
    : { exit: 1, out: '', err: 'Option --wait-interval requires option --wait\n' };
  return { ...r, err: warnings + r.err };
}

function restore(net: Netns, argv: readonly string[], stdin: string): Result {
  let noflush = false;
  let counters = false;
  let only: string | null = null;
  let test = false;
  for (let i = 0; i < argv.length; i++) {
    const a = argv[i]!;
    if (a === '-n' || a === '--noflush') noflush = true;
    else if (a === '-c' || a === '--counters') counters = true;
    else if (a === '-t' || a === '--test') test = true;
    else if (a === '-T' || a === '--table') only = argv[++i] ?? '';
    else if (a === '-w' || a === '--wait' || a === '-W' || a === '--wait-interval') {
      if (/^\d+$/.test(argv[i + 1] ?? '')) i++;
    } else if (!/^(--wait|--wait-interval)=\d+$/.test(a)) {
      return { exit: 2, out: '', err: `iptables-restore: unrecognized option '${a}'\n` };
    }
  }
  let edit: TableEdit | null = null;
  let skip = false;
  let no = 0;
  try {
    for (const raw of stdin.split('\n')) {
      no++;
      const line = raw.trim();
      if (line === '' || line.startsWith('#')) continue;
      if (line.startsWith('*')) {
        if (edit !== null) throw new RangeError('table line before COMMIT');
        const name = line.slice(1).trim();
        if (!TABLE_NAMES.includes(name as TableName))
          throw new RangeError(`can't initialize iptables table \`${name}'`);
        skip = only !== null && only !== name;
        edit = new TableEdit(xtTables(net).use(name as TableName), !noflush);
      } else if (line === 'COMMIT') {
        if (edit === null) throw new RangeError('COMMIT without a table');
        if (!skip) {
          const bad = edit.check();
          if (bad !== null) return { exit: 1, out: '', err: `iptables-restore: line ${no} failed: ${bad}\n` };
          if (!test) edit.commit();
        }
        edit = null;
      } else if (edit === null) {
        return { exit: 1, out: '', err: `iptables-restore: line ${no} failed\n` };
      } else if (skip) {
        continue;
      } else if (line.startsWith(':')) {
        chainLine(edit, line, counters);
      } else {
        ruleLine(net, edit, line, counters);
      }
    }
    if (edit !== null) return { exit: 1, out: '', err: `iptables-restore: COMMIT expected at line ${no}\n` };
  } catch (e) {
    if (e instanceof Refused) return { exit: 1, out: '', err: `iptables-restore: line ${no} failed: ${e.message}\n` };
    if (!(e instanceof RangeError)) throw e;
    return { exit: 2, out: '', err: `${PROG}: ${e.message}\nError occurred at line: ${no}\n${TRY_HELP}\n` };
  }
  return { exit: 0, out: '', err: '' };
}

function chainLine(edit: TableEdit, line: string, counters: boolean): void {
  const m = /^:\s*(\S+)\s+(\S+)(?:\s+\[(\d+):(\d+)\])?$/.exec(line);
  if (m === null) throw new RangeError(`bad chain line "${line}" (expected ":CHAIN POLICY [packets:bytes]")`);
  const [, name, policy] = m as unknown as [string, string, string];
  if (!edit.isBase(name)) {
    if (policy !== '-') throw new RangeError(`Can't set policy \`${policy}' on \`${name}': not a built-in chain`);
    edit.create(name);
    return;
  }
  if (policy === '-') return;
  if (policy !== 'ACCEPT' && policy !== 'DROP') throw new RangeError(`Bad policy "${policy}"`);
  edit.policy(
    name,
    policy === 'DROP' ? NF_DROP : NF_ACCEPT,
    counters ? Number(m[3] ?? 0) : 0,
    counters ? Number(m[4] ?? 0) : 0,
  );
}

function ruleLine(net: Netns, edit: TableEdit, line: string, counters: boolean): void {
  let text = line;
  const c = /^\[(\d+):(\d+)\]\s*/.exec(line);
  if (c !== null) text = line.slice(c[0].length);
  const words = splitLine(text);
  const rule = applyCommand(net, edit, words);
  if (rule !== null && c !== null && counters) {
    rule.packets = Number(c[1]);
    rule.bytes = Number(c[2]);
  }
}
