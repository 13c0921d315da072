/**
 * iptables: one change of one table, or -S.
 * @module
 */
import type { Netns } from '../linux/core/netns.js';
import { NF_ACCEPT, NF_DROP } from '../linux/core/nf-hook.js';
import { TableEdit } from '../linux/netfilter/xt-edit.js';
import {
  type Chain,
  type Rule,
  type Table,
  TABLE_NAMES,
  type TableName,
  xtTables,
} from '../linux/netfilter/xtables.js';
import { chainHead, type ListFormat, ruleLine } from './iptables-list.js';
import { parseRule } from './iptables-parse.js';
import { chainsInOrder, policyText, type Result, ruleText } from './iptables-save.js';

const PROG = 'iptables v1.8.9 (legacy)';
const TRY_HELP = "Try `iptables -h' or 'iptables --help' for more information.";
const LONG: Readonly<Record<string, string>> = {
  '--append': '-A', '--insert': '-I', '--delete': '-D', '--check': '-C', '--replace': '-R', '--new-chain': '-N', '--new': '-N',
  '--flush': '-F', '--delete-chain': '-X', '--policy': '-P', '--list-rules': '-S', '--zero': '-Z', '--rename-chain': '-E',
  '--list': '-L', '--numeric': '-n', '--verbose': '-v', '--exact': '-x',
}; // prettier-ignore

/** A failure with exit code 1: the command is well formed but cannot be done. */
export class Refused extends Error {}

const noChain = (): Refused => new Refused('No chain/target/match by that name.');

function need(edit: TableEdit, chain: string | undefined, cmd: string): string {
  if (chain === undefined) throw new RangeError(`option "${cmd}" requires an argument`);
  if (!edit.has(chain)) throw noChain();
  return chain;
}

/** Position of the rule that reads the same, or -1. */
function findRule(rules: readonly Rule[], r: Rule): number {
  const t = ruleText(r);
  return rules.findIndex((x) => ruleText(x) === t);
}

/** Collects one command (-A -I -D -R -C -N -F -X -P -Z) in an edit; the rule that was added, if any. */
export function applyCommand(net: Netns, edit: TableEdit, words: readonly string[]): Rule | null {
  const at = words.findIndex((w) => /^-[AIDRCNFXPZE]$/.test(LONG[w] ?? w));
  if (at < 0) throw new RangeError('no command specified');
  const cmd = LONG[words[at]!] ?? words[at]!;
  const before = words.slice(0, at);
  let args = words.slice(at + 1);
  const chain = args[0];
  const has = (n: string): boolean => edit.has(n) && !edit.isBase(n);
  const parse = (w: readonly string[]): Rule => {
    const r = parseRule(net, [...before, ...w], has);
    // Only where a packet has both devices, or the one asked for.
    if (r.inIf !== '' && (chain === 'OUTPUT' || chain === 'POSTROUTING'))
      throw new RangeError(`Can't use -i with ${chain}\n`);
    if (r.outIf !== '' && (chain === 'INPUT' || chain === 'PREROUTING'))
      throw new RangeError(`Can't use -o with ${chain}\n`);
    return r;
  };
  const index = (max: number, what: string): number => {
    const n = /^\d+$/.test(args[1] ?? '') ? Number(args[1]) : 0;
    if (n < 1) throw new RangeError(`Invalid rule number \`${args[1] ?? ''}'`);
    if (n > max) throw new Refused(`Index of ${what} too big.`);
    return n;
  };
  switch (cmd) {
    case '-A': {
      const r = parse(args.slice(1));
      edit.list(need(edit, chain, cmd)).push(r);
      return r;
    }
    case '-I': {
      const l = edit.list(need(edit, chain, cmd));
      let n = 1;
      if (/^\d+$/.test(args[1] ?? '')) {
        n = index(l.length + 1, 'insertion');
        args = args.slice(1);
      }
      const r = parse(args.slice(1));
      l.splice(n - 1, 0, r);
      return r;
    }
    case '-R': {
      const l = edit.list(need(edit, chain, cmd));
      const n = index(l.length, 'replacement');
      const r = parse(args.slice(2));
      l[n - 1] = r;
      return r;
    }
    case '-D': {
      const l = edit.list(need(edit, chain, cmd));
      if (args.length === 2 && /^\d+$/.test(args[1]!)) l.splice(index(l.length, 'deletion') - 1, 1);
      else {
        const i = findRule(l, parse(args.slice(1)));
        if (i < 0) throw new Refused('Bad rule (does a matching rule exist in that chain?).');
        l.splice(i, 1);
      }
      return null;
    }
    case '-C':
      if (chain === undefined) throw new RangeError('option "-C" requires an argument');
      if (!edit.has(chain) || findRule(edit.rules(chain), parse(args.slice(1))) < 0) {
        throw new Refused('Bad rule (does a matching rule exist in that chain?).');
      }
      return null;
    default:
      chainCommand(edit, cmd, args);
      return null;
  }
}

function chainCommand(edit: TableEdit, cmd: string, args: readonly string[]): void {
  const chain = args[0];
  if (args.length > (cmd === '-P' || cmd === '-Z' || cmd === '-E' ? 2 : 1))
    throw new RangeError(`unexpected argument "${args[args.length - 1]}"`);
  switch (cmd) {
    case '-N':
      if (chain === undefined) throw new RangeError('option "-N" requires an argument');
      if (chain.length > 28) throw new RangeError(`chain name \`${chain}' too long (must be under 29 chars)`);
      if (edit.has(chain)) throw new Refused('Chain already exists.');
      edit.create(chain);
      return;
    case '-F':
      for (const c of chain === undefined ? edit.names() : [need(edit, chain, cmd)]) edit.flush(c);
      return;
    case '-X':
      for (const c of chain === undefined ? edit.names().filter((n) => !edit.isBase(n)) : [need(edit, chain, cmd)]) {
        if (edit.isBase(c)) throw new Refused("Invalid argument. Run `dmesg' for more information.");
        if (edit.references(c) > 0) throw new Refused('Too many links.');
        if (edit.rules(c).length > 0) throw new Refused('Directory not empty.');
        edit.remove(c);
      }
      return;
    case '-P': {
      const policy = args[1];
      if (chain === undefined) throw new RangeError('option "-P" requires an argument');
      if (!edit.isBase(chain)) throw new Refused('Bad built-in chain name.');
      if (policy !== 'ACCEPT' && policy !== 'DROP')
        throw new Refused("Bad policy name. Run `dmesg' for more information.");
      edit.policy(chain!, policy === 'DROP' ? NF_DROP : NF_ACCEPT);
      return;
    }
    case '-E':
      if (args[1] === undefined) throw new RangeError('option "-E" requires an old and a new name');
      if (!edit.has(chain!)) throw noChain();
      if (edit.isBase(chain!)) throw new Refused("Invalid argument. Run `dmesg' for more information.");
      if (edit.has(args[1])) throw new Refused('File exists.');
      edit.rename(chain!, args[1]);
      return;
    case '-Z':
      if (args[1] !== undefined) {
        const r = edit.rules(need(edit, chain, cmd))[Number(args[1]) - 1];
        if (r === undefined) throw new Refused('Index of replacement too big.');
        edit.zeroRule(r);
        return;
      }
      for (const c of chain === undefined ? edit.names() : [need(edit, chain, cmd)]) edit.zero(c);
      return;
    default:
      throw new Error(`BUG: command ${cmd}`);
  }
}

/** The options of a command line that are no rule's: the table, and how to print. */
interface Options extends ListFormat {
  table: string;
  numeric: boolean;
  words: string[];
}

/** `-nvL` is `-n -v -L`. */
const spread = (argv: readonly string[]): string[] =>
  argv.flatMap((a) => (/^-[nvxLS]{2,}$/.test(a) ? [...a.slice(1)].map((x) => `-${x}`) : [a]));

function options(argv: readonly string[]): Options {
  const o: Options = { table: 'filter', verbose: false, exact: false, lineNumbers: false, numeric: false, words: [] };
  const all = spread(argv);
  for (let i = 0; i < all.length; i++) {
    const a = LONG[all[i]!] ?? all[i]!;
    if (a === '-t' || a === '--table') o.table = all[++i] ?? '';
    else if (a === '-w' || a === '--wait' || a === '-W' || a === '--wait-interval') {
      if (/^\d+$/.test(all[i + 1] ?? '')) i++;
    } else if (a === '-v') o.verbose = true;
    else if (a === '-x') o.exact = true;
    else if (a === '-n') o.numeric = true;
    else if (a === '--line-numbers') o.lineNumbers = true;
    else o.words.push(all[i]!);
  }
  return o;
}

/** What the program says of each -W among its arguments before it does anything. */
export const waitWarnings = (argv: readonly string[]): string =>
  argv
    .filter((a) => a === '-W' || /^--wait-interval(=|$)/.test(a))
    .map(() => 'Ignoring deprecated --wait-interval option.\n')
    .join('');

/** Whether -w is among the arguments, which -W needs. */
export const hasWait = (argv: readonly string[]): boolean => argv.some((a) => a === '-w' || /^--wait(=|$)/.test(a));

/** `iptables ARGS` in a namespace. */
export function iptables(net: Netns, argv: readonly string[]): Result {
  const warnings = waitWarnings(argv);
  if (warnings === '') return run(net, argv);
  const r = hasWait(argv)
    ? run(net, argv)
    : { exit: 2, out: '', err: `${PROG}: --wait-interval only makes sense with --wait\n\n${TRY_HELP}\n` };
  return { ...r, err: warnings + r.err };
}

function run(net: Netns, argv: readonly string[]): Result {
  const o = options(argv);
  const { words } = o;
  try {
    if (!TABLE_NAMES.includes(o.table as TableName)) {
      return { exit: 3, out: '', err: `${PROG}: can't initialize iptables table \`${o.table}': Table does not exist (do you need to insmod?)\nPerhaps iptables or your kernel needs to be upgraded.\n` }; // prettier-ignore
    }
    if (!words.some((w) => /^-[AIDRCNFXPZSLE]$/.test(LONG[w] ?? w)))
      throw new RangeError(words[0] === undefined ? 'no command specified' : `unknown option "${words[0]}"`);
    const t = xtTables(net).use(o.table as TableName);
    const show = words.findIndex((w) => /^-[SL]$/.test(LONG[w] ?? w));
    const zero = show < 0 ? -1 : words.findIndex((w) => (LONG[w] ?? w) === '-Z');
    if (zero >= 0)
      return listAndZero(
        net,
        t,
        argv,
        words.toSpliced(Math.max(show, zero), 1).toSpliced(Math.min(show, zero), 1),
        o.verbose,
      );
    if (show >= 0) return list(t, o, (LONG[words[show]!] ?? words[show]!) === '-L', words.toSpliced(show, 1));
    if (o.verbose || o.numeric || o.exact || o.lineNumbers) throw new RangeError('podwire: -v, -n, -x and --line-numbers are supported with -L and -S only'); // prettier-ignore
    // The program itself keeps DROP out of nat.
    const drops = words.some(
      (w, i) =>
        w === 'DROP' && (/^(-j|--jump)$/.test(words[i - 1] ?? '') || /^(-P|--policy)$/.test(words[i - 2] ?? '')),
    );
    if (drops && o.table === 'nat') throw new RangeError('\nThe "nat" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n'); // prettier-ignore
    const edit = new TableEdit(t, false);
    applyCommand(net, edit, words);
    const bad = edit.check();
    if (bad !== null)
      return {
        exit: 1,
        out: '',
        err: `iptables: ${bad.startsWith('loop ') ? 'Too many levels of symbolic links' : 'Invalid argument'}. Run \`dmesg' for more information.\n`,
      };
    // -C changes nothing, not even the counters.
    if (!words.some((w) => (LONG[w] ?? w) === '-C')) edit.commit();
    return { exit: 0, out: '', err: '' };
  } catch (e) {
    if (e instanceof Refused) return { exit: 1, out: '', err: `iptables: ${e.message}\n` };
    if (e instanceof RangeError) return { exit: 2, out: '', err: `${PROG}: ${e.message}\n${TRY_HELP}\n` };
    throw e;
  }
}

/** `-L -Z`: shown, then zeroed. */
function listAndZero(
  net: Netns,
  t: Table,
  argv: readonly string[],
  names: readonly string[],
  verbose: boolean,
): Result {
  const shown = run(net, argv.filter((a) => a !== '-Z' && a !== '--zero')); // prettier-ignore
  if (shown.exit !== 0) return shown;
  const edit = new TableEdit(t, false);
  const chains = names[0] === undefined ? edit.names() : [names[0]];
  for (const c of chains) edit.zero(c);
  edit.commit();
  return { ...shown, out: shown.out + (verbose ? chains.map((c) => `Zeroing chain \`${c}'\n`).join('') : '') };
}

/** `-L [CHAIN [N]]` and `-S [CHAIN [N]]`. */
function list(t: Table, o: Options, table: boolean, args: readonly string[]): Result {
  const [name, no] = args;
  if (args.length > 2 || (no !== undefined && !/^\d+$/.test(no))) throw new RangeError(`unexpected argument "${args[args.length - 1]}"`); // prettier-ignore
  if (table && !o.numeric) throw new RangeError('podwire: -L is supported with -n only');
  const chains = chainsInOrder(t).filter((c) => name === undefined || c.name === name);
  if (chains.length === 0) throw noChain();
  const out = chains.map((c) => (table ? listChain(t, c, o, no) : '')).join('\n');
  return { exit: 0, out: table ? out : saveRules(chains, o.verbose, no), err: '' };
}

function listChain(t: Table, c: Chain, o: Options, no: string | undefined): string {
  let s = no === undefined ? chainHead(t, c, o) : '';
  c.rules.forEach((r, i) => {
    if (no === undefined || Number(no) === i + 1) s += ruleLine(r, i + 1, o);
  });
  return s;
}

function saveRules(chains: readonly Chain[], verbose: boolean, no: string | undefined): string {
  let out = '';
  const count = (packets: number, bytes: number): string => (verbose ? ` -c ${packets} ${bytes}` : '');
  if (no === undefined) {
    for (const c of chains) {
      out += c.hook < 0 ? `-N ${c.name}\n` : `-P ${c.name} ${policyText(c)}${count(c.packets, c.bytes)}\n`;
    }
  }
  for (const c of chains) {
    c.rules.forEach((r, i) => {
      if (no === undefined || Number(no) === i + 1) out += `-A ${c.name}${ruleText(r, count(r.packets, r.bytes))}\n`;
    });
  }
  return out;
}
