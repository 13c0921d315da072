/**
 * An index of a long chain: which of its rules can match a packet at all.
 *
 * Rules that ask for the same fields (addresses under a mask, protocol, destination port, devices) form a class with one
 * hash table. For a packet each class gives a short list of rules, and `RuleCursor` walks them, and the rules that no class
 * holds, in the order of the chain. Every rule that is left out would have failed on its header or its port before anything
 * with an effect was asked, so verdict, counters and what targets do are those of the whole chain. The kernel walks all.
 * @module
 */
import { i32, u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Skb } from '../core/skb.js';
import { INV_DST, INV_IN, INV_OUT, INV_PROTO, INV_SRC, type Rule, type XtCtx } from './xtables.js';

/** Classes of at least so many rules are worth a look-up; more classes than this are not made. */
const LEAST = 8;
const MOST_CLASSES = 8;
const PLUS = 43;

/** The port that every packet the rule matches has as its destination; -1: any, or other matches have to be asked first. */
function exactPort(r: Rule): number {
  for (const m of r.matches) {
    const port = m.exactDport?.() ?? -1;
    if (port >= 0) return port;
    if (m.pure !== true) return -1;
  }
  return -1;
}

/** The fields that a class of rules asks for. */
class RuleClass {
  readonly srcMask: number;
  readonly dstMask: number;
  readonly proto: boolean;
  readonly port: boolean;
  readonly inIf: boolean;
  readonly outIf: boolean;
  readonly rules = new Map<number, number[]>();

  constructor(r: Rule) {
    this.srcMask = (r.inv & INV_SRC) === 0 ? r.srcMask : 0;
    this.dstMask = (r.inv & INV_DST) === 0 ? r.dstMask : 0;
    this.proto = r.proto !== 0 && (r.inv & INV_PROTO) === 0;
    this.port = this.proto && exactPort(r) >= 0;
    this.inIf = isName(r.inIf) && (r.inv & INV_IN) === 0;
    this.outIf = isName(r.outIf) && (r.inv & INV_OUT) === 0;
  }

  get text(): string {
    return [this.srcMask, this.dstMask, this.proto, this.port, this.inIf, this.outIf].join(' ');
  }

  get asksNothing(): boolean {
    return this.srcMask === 0 && this.dstMask === 0 && !this.proto && !this.inIf && !this.outIf;
  }

  /** A hash of the fields it asks for; what does not differ in them has the same one. */
  key(src: number, dst: number, proto: number, port: number, inIf: number, outIf: number): number {
    let h = Math.imul((src & this.srcMask) ^ 0x9e3779b9, 0x85ebca6b);
    h = Math.imul((h ^ (h >>> 15)) + (dst & this.dstMask), 0xc2b2ae35);
    h = Math.imul((h ^ (h >>> 13)) + (this.proto ? proto << 16 : 0) + (this.port ? port : 0), 0x27d4eb2f);
    h = Math.imul((h ^ (h >>> 15)) + (this.inIf ? inIf : 0), 0x165667b1);
    h = Math.imul((h ^ (h >>> 13)) + (this.outIf ? outIf : 0), 0x9e3779b1);
    return h ^ (h >>> 16);
  }
}

/** A device's whole name, not the beginning of some. */
const isName = (pattern: string): boolean => pattern !== '' && pattern.charCodeAt(pattern.length - 1) !== PLUS;

/** The index of one list of rules. It holds as long as the chain has this very list: every change replaces it. */
export class RuleIndex {
  readonly of: readonly Rule[];
  readonly classes: readonly RuleClass[];
  /** Places of the rules that no class holds. */
  readonly others: readonly number[];
  readonly asksPort: boolean;
  readonly asksDevice: boolean;
  /** Numbers of the device names that rules ask for, from 1. */
  readonly names = new Map<string, number>();

  /** Fewer rules than `least` make no class. */
  constructor(rules: readonly Rule[], least = LEAST) {
    this.of = rules;
    const all = new Map<string, { c: RuleClass; at: number[] }>();
    const others: number[] = [];
    rules.forEach((r, i) => {
      const c = new RuleClass(r);
      if (c.asksNothing) return void others.push(i);
      const same = all.get(c.text);
      if (same === undefined) all.set(c.text, { c, at: [i] });
      else same.at.push(i);
    });
    const sorted = [...all.values()].sort((a, b) => b.at.length - a.at.length);
    const kept = sorted.filter((x, k) => k < MOST_CLASSES && x.at.length >= least);
    for (const x of sorted) if (!kept.includes(x)) for (const i of x.at) others.push(i);
    this.others = others.sort((a, b) => a - b);
    this.classes = kept.map((x) => x.c);
    for (const { c, at } of kept) for (const i of at) this.enter(c, rules[i]!, i);
    this.asksPort = this.classes.some((c) => c.port);
    this.asksDevice = this.classes.some((c) => c.inIf || c.outIf);
  }

  private enter(c: RuleClass, r: Rule, i: number): void {
    const key = c.key(r.src, r.dst, r.proto, exactPort(r), c.inIf ? this.number(r.inIf) : 0, c.outIf ? this.number(r.outIf) : 0); // prettier-ignore
    const list = c.rules.get(key);
    if (list === undefined) c.rules.set(key, [i]);
    else list.push(i);
  }

  private number(name: string): number {
    let n = this.names.get(name);
    if (n === undefined) this.names.set(name, (n = this.names.size + 1));
    return n;
  }
}

const NONE: readonly number[] = [];

/** The rules that can match one packet, in the order of the chain: reused, so that a walk allocates nothing. */
export class RuleCursor {
  private readonly lists: (readonly number[])[] = new Array<readonly number[]>(MOST_CLASSES + 1).fill(NONE);
  private readonly at = new Int32Array(MOST_CLASSES + 1);
  private n = 0;

  /** Begins at rule `from`. False: ports cannot be read, and the chain has to be walked as it stands. */
  start(x: RuleIndex, skb: Skb, c: XtCtx, from: number): boolean {
    const b = skb.buf;
    if (x.asksPort && (c.fragOff !== 0 || c.th + (c.proto === ipv4.TCP ? 20 : 8) > c.end)) return false;
    const src = i32(b, skb.net + ipv4.SRC);
    const dst = i32(b, skb.net + ipv4.DST);
    const port = x.asksPort ? u16(b, c.th + 2) : 0;
    const inIf = x.asksDevice && c.in !== null ? (x.names.get(c.in.name) ?? 0) : 0;
    const outIf = x.asksDevice && c.out !== null ? (x.names.get(c.out.name) ?? 0) : 0;
    this.lists[0] = x.others;
    let n = 1;
    for (let i = 0; i < x.classes.length; i++) {
      const k = x.classes[i]!;
      const list = k.rules.get(k.key(src, dst, c.proto, port, inIf, outIf));
      if (list !== undefined) this.lists[n++] = list;
    }
    this.n = n;
    for (let i = 0; i < n; i++) this.at[i] = from === 0 ? 0 : lowerBound(this.lists[i]!, from);
    return true;
  }

  /** The next rule's place in the chain, or `end` behind the last. */
  next(end: number): number {
    let least = end;
    let which = -1;
    for (let i = 0; i < this.n; i++) {
      const list = this.lists[i]!;
      const p = this.at[i]!;
      if (p < list.length && list[p]! < least) {
        least = list[p]!;
        which = i;
      }
    }
    if (which >= 0) this.at[which]!++;
    return least;
  }
}

/** Place of the first number that is not below `from`. */
function lowerBound(list: readonly number[], from: number): number {
  let lo = 0;
  let hi = list.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (list[mid]! < from) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}
