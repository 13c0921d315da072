/**
 * The options of `tc qdisc … netem` and how they are printed (q_netem.c of iproute2 6.1).
 * @module
 */
import { ALWAYS, type LossModel, type Netem, type NetemConfig } from '../linux/sched/sch-netem.js';
import { fail, matches, unsigned, unsupported, type Words } from './ip-args.js';
import { formatG, rint, strtod } from './printf-g.js';

/** A tick of the packet scheduler's clock is 64 ns. */
const NS_PER_TICK = 64;
const TICKS_PER_US = 1000 / NS_PER_TICK;

const USAGE = `Usage: ... netem [ limit PACKETS ]
                 [ delay TIME [ JITTER [CORRELATION]]]
                 [ distribution {uniform|normal|pareto|paretonormal} ]
                 [ corrupt PERCENT [CORRELATION]]
                 [ duplicate PERCENT [CORRELATION]]
                 [ loss random PERCENT [CORRELATION]]
                 [ loss state P13 [P31 [P32 [P23 P14]]]
                 [ loss gemodel PERCENT [R [1-H [1-K]]]
                 [ ecn ]
                 [ reorder PERCENT [CORRELATION] [ gap DISTANCE ]]
                 [ rate RATE [PACKETOVERHEAD] [CELLSIZE] [CELLOVERHEAD]]
                 [ slot MIN_DELAY [MAX_DELAY] [packets MAX_PACKETS] [bytes MAX_BYTES]]
                 [ slot distribution {uniform|normal|pareto|paretonormal|custom}
                   DELAY JITTER [packets MAX_PACKETS] [bytes MAX_BYTES]]`;

/** What tc refuses before it asks the kernel ends with 1. */
const illegal = (what: string): never => fail(`Illegal "${what}"`, 1);
const usage = (why: string): never => fail(`${why}\n${USAGE}`, 1);

const TIMES: Readonly<Record<string, number>> = {
  '': 1, s: 1e6, sec: 1e6, secs: 1e6, ms: 1e3, msec: 1e3, msecs: 1e3, us: 1, usec: 1, usecs: 1,
}; // prettier-ignore

/** Microseconds, cut (get_time), in ticks, cut too (tc_core_time2tick). */
function ticks(text: string): number {
  const n = strtod(text);
  const unit = n === null ? undefined : TIMES[n.rest.toLowerCase()];
  if (n === null || unit === undefined || n.value < 0) return illegal('latency');
  const us = Math.floor(n.value * unit);
  if (us * TICKS_PER_US >= 2 ** 32) fail(`Illegal ${us} time (too large)\nIllegal "latency"`, 1);
  return Math.floor(us * TICKS_PER_US);
}

function percent(text: string, what: string): number {
  const n = strtod(text);
  // Without a number strtod says 0, and what remains has to be nothing or a percent sign.
  const value = n === null ? 0 : n.value / 100;
  const rest = n === null ? text : n.rest;
  if (value > 1 || value < 0 || (rest !== '' && rest !== '%')) illegal(what);
  return rint(value * ALWAYS);
}

const RATES: Readonly<Record<string, number>> = {
  '': 1, bit: 1, kibit: 1024, kbit: 1e3, mibit: 1024 ** 2, mbit: 1e6, gibit: 1024 ** 3, gbit: 1e9, tibit: 1024 ** 4,
  tbit: 1e12, bps: 8, kibps: 8 * 1024, kbps: 8e3, mibps: 8 * 1024 ** 2, mbps: 8e6, gibps: 8 * 1024 ** 3, gbps: 8e9,
  tibps: 8 * 1024 ** 4, tbps: 8e12,
}; // prettier-ignore

/** Bytes per second (get_rate64). */
function rate(text: string): number {
  if (text.includes('%')) unsupported(`netem rate ${text}`);
  const n = strtod(text);
  const unit = n === null ? undefined : RATES[n.rest.toLowerCase()];
  if (n === null || unit === undefined || n.value < 0) return illegal('rate');
  return Math.floor((n.value * unit) / 8);
}

const SIZES: Readonly<Record<string, number>> = {
  '': 1, b: 1, k: 1024, kb: 1024, m: 1024 ** 2, mb: 1024 ** 2, g: 1024 ** 3, gb: 1024 ** 3, kbit: 128, mbit: 131072,
  gbit: 134217728,
}; // prettier-ignore

function limit(text: string): number {
  const n = strtod(text);
  const unit = n === null ? undefined : SIZES[n.rest.toLowerCase()];
  if (n === null || unit === undefined) return illegal('limit');
  const size = n.value * unit;
  return size >= 0 && size < 2 ** 32 ? Math.floor(size) : illegal('limit');
}

const isNumber = (w: Words): boolean => /^\d/.test(w.peek);
const isSigned = (w: Words): boolean => /^[\d-]/.test(w.peek);

/** The probabilities of a model, each word optional from some point on. */
function lossModel(kind: 'state' | 'gemodel', w: Words): LossModel {
  const p = (name: string): number => percent(w.value(), `loss ${name}`);
  if (kind === 'state') {
    const p13 = p('p13');
    const a = [p13, rint((1 - p13 / ALWAYS) * ALWAYS), 0, 0, ALWAYS];
    // In the order of the words: p31, p32, p23, p14.
    for (const [name, at] of [['p31', 1], ['p32', 2], ['p23', 4], ['p14', 3]] as const) {
      if (!isNumber(w)) break;
      a[at] = p(name);
    } // prettier-ignore
    return { kind, a };
  }
  const first = p('gemodel p');
  const a = [first, rint((1 - first / ALWAYS) * ALWAYS), 0, 0];
  if (isNumber(w)) a[1] = p('gemodel r');
  if (isNumber(w)) a[2] = ALWAYS - p('gemodel h');
  if (isNumber(w)) a[3] = p('gemodel k');
  return { kind, a };
}

const integer = (text: string, low: number): number => {
  const n = /^-/.test(text) ? -(unsigned(text.slice(1), 0x80000000) ?? NaN) : unsigned(text, 0xffffffff);
  return n !== null && n >= low ? n : illegal('rate');
};

class Parser {
  private readonly c: NetemConfig = {
    limit: 1000, latencyNs: 0, jitterNs: 0, loss: 0, lossModel: null, duplicate: 0, gap: 0, corr: null, reorder: null,
    corrupt: null, rate: null,
  }; // prettier-ignore
  private readonly corr = { delay: 0, loss: 0, duplicate: 0 };
  private readonly w: Words;

  constructor(w: Words) {
    this.w = w;
  }

  parse(): NetemConfig {
    const { c, w } = this;
    while (w.more) this.option(w.take());
    if (c.reorder !== null && c.reorder.probability > 0) {
      if (c.latencyNs === 0) usage('reordering not possible without specifying some delay');
      if (c.gap === 0) c.gap = 1;
    } else if (c.gap > 0) usage('gap specified without reorder probability');
    return c;
  }

  /** A correlation; the kernel is told all of them once one is given. */
  private correlation(of: keyof typeof this.corr, what: string): void {
    if (!isNumber(this.w)) return;
    this.corr[of] = percent(this.w.take(), what);
    // Quirk of tc: the correlation of duplicates alone is not sent.
    if (of !== 'duplicate') this.c.corr = this.corr;
  }

  private option(word: string): void {
    const { c, w } = this;
    if (matches(word, 'limit')) c.limit = limit(w.value());
    else if (matches(word, 'latency', 'delay')) {
      c.latencyNs = ticks(w.value()) * NS_PER_TICK;
      if (!isNumber(w)) return;
      c.jitterNs = ticks(w.take()) * NS_PER_TICK;
      this.correlation('delay', 'latency');
    } else if (matches(word, 'loss', 'drop')) this.loss();
    else if (matches(word, 'ecn')) unsupported('netem ecn');
    else if (matches(word, 'reorder')) c.reorder = this.chance('reorder');
    else if (matches(word, 'corrupt')) c.corrupt = this.chance('corrupt');
    else if (matches(word, 'gap')) {
      c.gap = unsigned(w.value()) ?? illegal('gap');
    } else if (matches(word, 'duplicate')) {
      c.duplicate = percent(w.value(), 'duplicate');
      this.correlation('duplicate', 'duplicate');
    } else if (matches(word, 'distribution')) unsupported(`netem distribution ${w.value()}`);
    else if (matches(word, 'rate')) this.rate();
    else if (matches(word, 'slot')) unsupported('netem slot');
    else usage(word === 'help' ? '' : `What is "${word}"?`);
  }

  private loss(): void {
    const { c, w } = this;
    if (c.loss > 0 || c.lossModel !== null) illegal('duplicate loss argument\n');
    const word = w.value();
    if (word === 'state' || word === 'gemodel') c.lossModel = lossModel(word, w);
    else if (word === 'random' || /^\d/.test(word)) {
      c.loss = percent(word === 'random' ? w.value() : word, 'loss percent');
      this.correlation('loss', 'loss correlation');
    } else fail(`Unknown loss parameter: ${word}`, 1);
  }

  private chance(what: string): { probability: number; correlation: number } {
    const probability = percent(this.w.value(), what);
    if (!isNumber(this.w)) return { probability, correlation: 0 };
    this.c.corr = this.corr;
    return { probability, correlation: percent(this.w.take(), what) };
  }

  private rate(): void {
    const { c, w } = this;
    c.rate = { rate: rate(w.value()), packetOverhead: 0, cellSize: 0, cellOverhead: 0 };
    if (isSigned(w)) c.rate.packetOverhead = integer(w.take(), -0x80000000);
    if (isNumber(w)) c.rate.cellSize = integer(w.take(), 0);
    if (isSigned(w)) c.rate.cellOverhead = integer(w.take(), -0x80000000);
  }
}

/** Reads what follows `netem` (netem_parse_opt). Throws IpError in tc's words. */
export const parseNetem = (w: Words): NetemConfig => new Parser(w).parse();

const percentText = (p: number): string => `${formatG((100 * p) / ALWAYS)}%`;
const correlationText = (p: number): string => (p === 0 ? '' : ` ${percentText(p)}`);

function timeText(ns: number): string {
  const us = Math.floor(Math.floor(ns / NS_PER_TICK) / TICKS_PER_US);
  if (us >= 1e6) return `${formatG(us / 1e6, 3)}s`;
  return us >= 1e3 ? `${formatG(us / 1e3, 3)}ms` : `${us}us`;
}

/** Bits per second with the unit in which they are whole, or below 1000 of it and one more (print_color_rate). */
function rateText(bytes: number): string {
  let bits = bytes * 8;
  let i = 0;
  while (i < 4 && bits >= 1000 && !(bits % 1000 !== 0 && bits < 1e6)) {
    bits = Math.floor(bits / 1000);
    i++;
  }
  return `${bits}${['', 'K', 'M', 'G', 'T'][i]}bit`;
}

/** The options as `tc qdisc show` prints them, without a space in front (netem_print_opt). */
export function netemText(q: Netem): string {
  let s = `limit ${q.limit}`;
  if (q.latencyNs > 0) {
    s += ` delay ${timeText(q.latencyNs)}`;
    if (q.jitterNs > 0) s += `  ${timeText(q.jitterNs)}${correlationText(q.delayCor.rho)}`;
  }
  if (q.loss > 0) s += ` loss ${percentText(q.loss)}${correlationText(q.lossCor.rho)}`;
  if (q.lossModel !== null) s += lossText(q.lossModel);
  if (q.duplicate > 0) s += ` duplicate ${percentText(q.duplicate)}${correlationText(q.dupCor.rho)}`;
  if (q.reorder > 0) s += ` reorder ${percentText(q.reorder)}${correlationText(q.reorderCor.rho)}`;
  if (q.corrupt > 0) s += ` corrupt ${percentText(q.corrupt)}${correlationText(q.corruptCor.rho)}`;
  if (q.rate > 0) {
    s += ` rate ${rateText(q.rate)}`;
    if (q.packetOverhead !== 0) s += ` packetoverhead ${q.packetOverhead}`;
    if (q.cellSize > 0) s += ` cellsize ${q.cellSize}`;
    if (q.cellOverhead !== 0) s += ` celloverhead ${q.cellOverhead}`;
  }
  return q.gap > 0 ? `${s} gap ${q.gap}` : s;
}

function lossText(m: LossModel): string {
  const [a, b, c, d, e] = m.a.map(percentText) as [string, string, string, string, string];
  if (m.kind === 'state') return ` loss state p13 ${a} p31 ${b} p32 ${c} p23 ${e} p14 ${d}`;
  return ` loss gemodel p ${a} r ${b} 1-h ${percentText(ALWAYS - m.a[2]!)} 1-k ${d}`;
}
