/**
 * `tc` of iproute2 6.1: `qdisc add|change|replace|link|del|show` of root disciplines `netem`, `noqueue`, `pfifo_fast`.
 *
 * Other disciplines, classes, filters and actions are refused.
 * @module
 */
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { allocHandle, graft, Noqueue, PfifoFast, type Qdisc } from '../linux/sched/sch-generic.js';
import { Netem, type NetemConfig } from '../linux/sched/sch-netem.js';
import { type CommandResult, extack, fail, IpError, matches, rtnl, unsupported, Words, wrong } from './ip-args.js'; // prettier-ignore
import { formatG, rint } from './printf-g.js';
import { netemText, parseNetem } from './tc-netem.js';

/** Disciplines of the kernel that podwire does not have. */
const OTHERS = (
  'bfifo pfifo pfifo_head_drop prio red tbf sfq htb hfsc fq fq_codel fq_pie codel pie cake mq mqprio taprio etf ets choke ' +
  'drr qfq hhf sfb gred cbs plug multiq skbprio teql0 blackhole atm dsmark cbq'
).split(' ');

const FLAGS = {
  add: { create: true, exclusive: true, replace: false },
  change: { create: false, exclusive: false, replace: false },
  replace: { create: true, exclusive: false, replace: true },
  link: { create: false, exclusive: false, replace: true },
};
type Flags = (typeof FLAGS)['add'];

/** Options of tc that podwire refuses. */
const OPTIONS = (
  '-raw -pretty -graph -Version -iec -help -force -batch -Numeric -names -nm -cf -conf -color -timestamp -tshort -json ' +
  '-oneline -brief'
).split(' ');

/** Words that tc does not know end with 255 (what it refuses later with 1, what the kernel refuses with 2). */
const twice = (word: string, value: string): never =>
  fail(`Error: duplicate "${word}": "${value}" is the second value.`);

/** Runs `tc …` in a namespace. */
export function tc(net: Netns, argv: readonly string[]): CommandResult {
  const w = new Words(argv.slice(1));
  let stats = false;
  try {
    while (w.peek.startsWith('-')) {
      const o = w.take();
      if (matches(o, '-stats', '-statistics')) stats = true;
      else if (matches(o, '-details')) continue;
      else if (OPTIONS.some((x) => matches(o, x))) unsupported(`tc ${o}`);
      else fail(`Option "${o}" is unknown, try "tc -help".`);
    }
    const object = w.take();
    if (matches(object, 'qdisc')) return { exit: 0, out: qdisc(net, w, stats), err: '' };
    if (object === '' || matches(object, 'class', 'filter', 'chain', 'actions', 'monitor', 'exec', 'help'))
      unsupported(`tc ${object}`.trim());
    return fail(`Object "${object}" is unknown, try "tc help".`);
  } catch (e) {
    if (e instanceof IpError) return { exit: e.exit, out: e.out, err: `${e.message}\n` };
    throw e;
  }
}

function qdisc(net: Netns, w: Words, stats: boolean): string {
  const verb = w.take();
  if (matches(verb, 'add')) return modify(net, w, FLAGS.add);
  if (matches(verb, 'change')) return modify(net, w, FLAGS.change);
  if (matches(verb, 'replace')) return modify(net, w, FLAGS.replace);
  if (matches(verb, 'link')) return modify(net, w, FLAGS.link);
  if (matches(verb, 'delete')) return modify(net, w, null);
  if (verb === '' || matches(verb, 'list', 'show', 'lst')) return show(net, w, stats);
  if (matches(verb, 'help')) return unsupported('tc qdisc help');
  return fail(`Command "${verb}" is unknown, try "tc qdisc help".`);
}

/** `8001:` as its major number; `none` is 0. */
function handleOf(text: string): number {
  if (text === 'none') return 0;
  const m = /^(?:0[xX])?([0-9a-fA-F]+)(?::.*)?$/.exec(text);
  const n = m === null ? NaN : Number.parseInt(m[1]!, 16);
  return n < 0x10000 ? n : wrong(text, 'invalid qdisc ID');
}

interface Request {
  dev: string;
  handle: number;
  root: boolean;
  kind: string;
  netem: NetemConfig | null;
}

function request(w: Words): Request {
  const r: Request = { dev: '', handle: 0, root: false, kind: '', netem: null };
  while (w.more && r.kind === '') {
    const k = w.take();
    if (k === 'dev') {
      const v = w.value();
      if (r.dev !== '') twice('dev', v);
      r.dev = v;
    } else if (k === 'handle') {
      if (r.handle !== 0) twice('handle', k);
      r.handle = handleOf(w.value());
    } else if (k === 'root') {
      if (r.root) fail('Error: "root" is duplicate parent ID');
      r.root = true;
    } else if (k === 'parent' || k === 'ingress' || k === 'clsact') unsupported(`tc qdisc … ${k}`);
    else if (matches(k, 'estimator', 'stab', 'ingress_block', 'egress_block', 'help')) unsupported(`tc qdisc … ${k}`);
    else r.kind = k;
  }
  if (OTHERS.includes(r.kind)) unsupported(`tc qdisc … ${r.kind}`);
  if (r.kind === 'netem') r.netem = parseNetem(w);
  else if (w.more) {
    if (r.kind === 'noqueue' || r.kind === 'pfifo_fast') unsupported(`tc qdisc … ${r.kind} ${w.peek}`);
    fail(`Unknown qdisc "${r.kind}", hence option "${w.peek}" is unparsable`, 1);
  }
  return r;
}

/** RTM_NEWQDISC with its flags, or RTM_DELQDISC (null). */
function modify(net: Netns, w: Words, flags: Flags | null): string {
  const r = request(w);
  const dev = r.dev === '' ? rtnl('ENODEV') : (net.dev(r.dev) ?? fail(`Cannot find device "${r.dev}"`, 1));
  if (flags === null) remove(dev, r);
  else put(dev, r, flags);
  return '';
}

/** tc_get_qdisc for RTM_DELQDISC. */
function remove(dev: Netdev, r: Request): void {
  const q = dev.qdisc;
  if (!r.root) {
    if (q === null || q.handle !== r.handle || r.handle === 0) extack('Failed to find qdisc with specified handle');
    extack('Classid cannot be zero');
  }
  const [handle, kind] = q === null ? [0, dev.activated ? 'noqueue' : 'noop'] : [q.handle, q.kind];
  if (r.handle !== 0 && handle !== r.handle) extack('Invalid handle');
  if (r.kind !== '' && r.kind !== kind) extack('Invalid qdisc name');
  if (handle === 0) extack('Cannot delete qdisc with handle of zero');
  graft(dev, null);
}

/** tc_modify_qdisc. */
function put(dev: Netdev, r: Request, flags: Flags): void {
  const q = dev.qdisc;
  if (!r.root && r.handle === 0) extack('Handle cannot be zero');
  if (r.root && (q === null || r.handle === 0 || q.handle !== r.handle)) {
    if (r.handle !== 0 && q !== null && !flags.replace) extack('NLM_F_REPLACE needed to override');
    const other = q !== null && r.kind !== '' && r.kind !== q.kind;
    if (q === null || r.handle !== 0 || (other && flags.create)) {
      if (!flags.create) extack('Qdisc not found. To create specify NLM_F_CREATE flag');
      return create(dev, r);
    }
    if (other && !flags.replace) return create(dev, r);
  }
  if (q === null || (!r.root && q.handle !== r.handle)) return extack('Specified qdisc not found');
  if (flags.exclusive) extack('Exclusivity flag on, cannot modify');
  if (r.kind !== '' && r.kind !== q.kind) extack('Invalid qdisc name');
  change(q, r);
}

function create(dev: Netdev, r: Request): void {
  const handle = (): number => (r.handle !== 0 ? r.handle : allocHandle(dev.kernel, dev));
  if (r.kind === 'netem') {
    const q = new Netem(dev, handle());
    q.change(r.netem!);
    graft(dev, q);
  } else if (r.kind === 'noqueue') graft(dev, new Noqueue(dev, handle()));
  else if (r.kind === 'pfifo_fast') graft(dev, new PfifoFast(dev, handle()));
  else extack('Specified qdisc kind is unknown');
}

/** qdisc_change. */
function change(q: Qdisc, r: Request): void {
  if (q instanceof Netem) {
    if (r.netem !== null) q.change(r.netem);
  } else if (r.kind !== '') unsupported(`tc qdisc change … ${r.kind}`);
}

function show(net: Netns, w: Words, stats: boolean): string {
  let only: Netdev | null = null;
  let handle = 0;
  while (w.more) {
    const k = w.take();
    if (k === 'dev') {
      const name = w.value();
      only = net.dev(name) ?? fail(`Cannot find device "${name}"`, 1);
    } else if (matches(k, 'handle')) handle = handleOf(w.value());
    else if (k === 'ingress' || k === 'clsact' || k === 'invisible' || matches(k, 'parent', 'help'))
      unsupported(`tc qdisc show ${k}`);
    else if (k !== 'root') fail(`What is "${k}"? Try "tc qdisc help".`);
  }
  let out = '';
  for (const dev of net.devs) {
    const shown = dev.qdisc !== null || dev.activated;
    if (!shown || (only !== null && dev !== only) || (handle !== 0 && dev.qdisc?.handle !== handle)) continue;
    out += line(dev, only === null);
    if (stats) out += statsText(dev.qdisc);
  }
  return out;
}

const PRIOMAP = 'bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1';

/** print_qdisc. */
function line(dev: Netdev, named: boolean): string {
  const q = dev.qdisc;
  const options = q instanceof Netem ? netemText(q) : q instanceof PfifoFast ? PRIOMAP : '';
  const name = named ? `dev ${dev.name} ` : '';
  return `qdisc ${q?.kind ?? 'noqueue'} ${(q?.handle ?? 0).toString(16)}: ${name}root refcnt 2 ${options}\n`;
}

function statsText(q: Qdisc | null): string {
  const s = q ?? { bytes: 0, packets: 0, drops: 0, requeues: 0, backlog: 0, qlen: 0 };
  return (
    ` Sent ${s.bytes} bytes ${s.packets} pkt (dropped ${s.drops}, overlimits 0 requeues ${s.requeues}) \n` +
    ` backlog ${sizeText(s.backlog)} ${s.qlen}p requeues ${s.requeues}\n`
  );
}

/** sprint_size: with a unit where next to nothing is lost. */
function sizeText(n: number): string {
  for (const [unit, size, slack] of [['Mb', 1048576, 1024], ['Kb', 1024, 16]] as const) {
    const whole = rint(n / size);
    if (n >= size && Math.abs(whole * size - n) < slack) return `${formatG(whole)}${unit}`;
  } // prettier-ignore
  return `${n}b`;
}
