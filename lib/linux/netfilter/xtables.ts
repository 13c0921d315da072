/**
 * iptables' tables in the kernel: chains of rules, their traversal, and the edits that replace a table in one step.
 *
 * A user chain runs as a nested call; RETURN and the end of the chain come back to it, a goto does not.
 * Kernel counterparts: net/netfilter/x_tables.c, net/ipv4/netfilter/ip_tables.c, iptable_{raw,mangle,nat,filter,security}.c.
 * @module
 */
import { i32 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import {
  FORWARD, HOOK_NAMES, LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING, PRI_FILTER, PRI_MANGLE, PRI_NAT_DST,
  PRI_NAT_SRC, PRI_RAW, PRI_SECURITY, registerHook,
} from '../core/nf-hook.js'; // prettier-ignore
import type { Skb } from '../core/skb.js';
import { ipRouteMeHarder } from '../ipv4/route.js';
import { natHook } from './nat-proto.js';
import { ctStates } from './xt-ct-state.js';
import { RuleCursor, RuleIndex } from './xt-index.js';

/** Target says: go on with the next rule. */
export const XT_CONTINUE = -1;
export const XT_RETURN = -2;

export const TABLE_NAMES = ['filter', 'nat', 'mangle', 'raw', 'security'] as const;
export type TableName = (typeof TABLE_NAMES)[number];

/** What matches and targets see besides the packet (xt_action_param). */
export class XtCtx {
  net!: Netns;
  hook = 0;
  in: Netdev | null = null;
  out: Netdev | null = null;
  /** Offset of the transport header, and the fragment offset (nonzero: there is none). */
  th = 0;
  end = 0;
  fragOff = 0;
  proto = 0;
  /** A match sets it to drop the packet. */
  hotdrop = false;
}

export interface Match {
  readonly name: string;
  /** Puts counters and credits back to their start: every change of a table enters its rules anew (xt_check_match). */
  start?(): void;
  /** The same for what the rules of a namespace share; `detach` when the rule goes. */
  attach?(net: Netns): void;
  detach?(net: Netns): void;
  /** Needs connection tracking in the namespace. */
  readonly needsConntrack?: boolean;
  match(skb: Skb, c: XtCtx): boolean;
  /** Asking has no effect and never drops the packet: a rule that fails for another reason need not ask it. */
  readonly pure?: boolean;
  /** The one destination port that it matches, -1: several, or other things besides are looked at first. */
  exactDport?(): number;
  /** The connection states (ST_*) that it asks for, when it asks for nothing else; null: for more. */
  onlyStates?(): { states: number; inv: boolean } | null;
  /** Hooks and tables it may stand in; absent: any. Returns what is wrong. */
  check?(net: Netns, table: TableName, hooks: number, rule: Rule): string | null;
}

export interface Target {
  readonly name: string;
  readonly needsConntrack?: boolean;
  /** Verdict, or XT_CONTINUE. */
  run(skb: Skb, c: XtCtx): number;
  check?(net: Netns, table: TableName, hooks: number, rule: Rule): string | null;
}

export const INV_SRC = 1;
export const INV_DST = 2;
export const INV_IN = 4;
export const INV_OUT = 8;
export const INV_PROTO = 16;
export const INV_FRAG = 32;

/** One rule: addresses, devices, protocol as plain numbers, then matches, then what to do. */
export class Rule {
  src = 0;
  srcMask = 0;
  dst = 0;
  dstMask = 0;
  proto = 0;
  inv = 0;
  frag = false;
  /** Device name, or with `+` at its end the beginning of one; empty: any. */
  inIf = '';
  outIf = '';
  matches: Match[] = [];
  target: Target | null = null;
  /** User chain to jump to, by name; `jump` is found when the table is replaced. */
  jumpName: string | null = null;
  jump: Chain | null = null;
  goto = false;
  packets = 0;
  bytes = 0;
  /** The matches that are left once `states` and comments are put aside, null: not looked at yet (`settle`). */
  asked: Match[] | null = null;
  /** Connection states that `-m conntrack --ctstate` of this rule asks for, 0: it asks nothing of the kind. */
  states = 0;
  statesInv = false;

  /** Takes out of `matches` what has no effect but its answer and is decided faster from the rule itself. */
  settle(): Match[] {
    const pure = this.matches.every((m) => m.pure === true);
    this.asked = this.matches.filter((m) => {
      if (m.name === 'comment') return false;
      const only = pure && this.states === 0 ? (m.onlyStates?.() ?? null) : null;
      if (only === null) return true;
      this.states = only.states;
      this.statesInv = only.inv;
      return false;
    });
    return this.asked;
  }
}

export class Chain {
  readonly name: string;
  /** Hook number of a built-in chain, -1 for a user chain. */
  readonly hook: number;
  rules: Rule[] = [];
  policy = NF_ACCEPT;
  packets = 0;
  bytes = 0;
  /** Rules that ask for the same fields and are fewer are walked one by one (RuleIndex), undefined: as is best. */
  least: number | undefined = undefined;
  private index: RuleIndex | null = null;

  constructor(name: string, hook: number) {
    this.name = name;
    this.hook = hook;
  }

  /** The index of the rules as they are now, made on first use after a change. */
  indexed(): RuleIndex {
    if (this.index === null || this.index.of !== this.rules) this.index = new RuleIndex(this.rules, this.least);
    return this.index;
  }
}

/** Chains shorter than this are walked as they stand. */
const INDEXED = 24;

const ifMatch = (pattern: string, dev: Netdev | null): boolean => {
  const name = dev === null ? '' : dev.name;
  if (pattern.charCodeAt(pattern.length - 1) !== 43) return pattern === name;
  return name.startsWith(pattern.slice(0, -1));
};

function headerMatch(r: Rule, skb: Skb, c: XtCtx, src: number, dst: number): boolean {
  const { inv } = r;
  if (((src & r.srcMask) !== r.src) !== ((inv & INV_SRC) !== 0)) return false;
  if (((dst & r.dstMask) !== r.dst) !== ((inv & INV_DST) !== 0)) return false;
  if (r.proto !== 0 && (r.proto !== c.proto) !== ((inv & INV_PROTO) !== 0)) return false;
  if (r.inIf !== '' && ifMatch(r.inIf, c.in) === ((inv & INV_IN) !== 0)) return false;
  if (r.outIf !== '' && ifMatch(r.outIf, c.out) === ((inv & INV_OUT) !== 0)) return false;
  if (r.frag && (c.fragOff !== 0) === ((inv & INV_FRAG) !== 0)) return false;
  const asked = r.asked ?? r.settle();
  if (r.states !== 0 && ((ctStates(skb) & r.states) !== 0) === r.statesInv) return false;
  for (let i = 0; i < asked.length; i++) {
    if (!asked[i]!.match(skb, c)) return false;
    if (c.hotdrop) return false;
  }
  return true;
}

export class Table {
  readonly net: Netns;
  readonly name: TableName;
  readonly chains = new Map<string, Chain>();
  readonly base: (Chain | null)[] = [null, null, null, null, null];
  /** Chains of at least so many rules have an index; Infinity: none has. Nothing but the time it takes depends on it. */
  indexFrom = INDEXED;
  /** Rules that Linux would have looked at, one after the other, for what has passed. */
  visited = 0;
  private readonly ctxs: XtCtx[] = [];
  private depth = 0;
  private readonly cursors: RuleCursor[] = [];
  private busy = 0;

  constructor(net: Netns, name: TableName, hooks: readonly number[]) {
    this.net = net;
    this.name = name;
    for (const h of hooks) {
      const c = new Chain(HOOK_NAMES[h]!, h);
      this.base[h] = c;
      this.chains.set(c.name, c);
    }
  }

  /** Runs the built-in chain of a hook (ipt_do_table). */
  readonly run = (net: Netns, skb: Skb, hook: number, indev: Netdev | null, outdev: Netdev | null): number => {
    const chain = this.base[hook]!;
    if (chain.rules.length === 0) return this.byPolicy(chain, net, skb, Math.min(skb.tail, skb.net + ipv4.totalLen(skb.buf, skb.net)) - skb.net); // prettier-ignore
    const c = (this.ctxs[this.depth] ??= new XtCtx());
    const b = skb.buf;
    const o = skb.net;
    c.net = net;
    c.hook = hook;
    c.in = indev;
    c.out = outdev;
    c.th = o + ipv4.headerLen(b, o);
    c.end = Math.min(skb.tail, o + ipv4.totalLen(b, o));
    c.fragOff = ipv4.frag(b, o) & ipv4.OFFSET;
    c.proto = ipv4.proto(b, o);
    c.hotdrop = false;
    this.depth++;
    const v = this.walk(chain, skb, c);
    this.depth--;
    return v === XT_CONTINUE ? this.byPolicy(chain, net, skb, c.end - o) : v;
  };

  /** No rule decided about a packet of `bytes`. */
  private byPolicy(chain: Chain, net: Netns, skb: Skb, bytes: number): number {
    chain.packets++;
    chain.bytes += bytes;
    const { tracer } = net.kernel;
    if (tracer !== null) tracer.rule(net, skb, this.name, chain.name, null, chain.policy === NF_ACCEPT ? 'ACCEPT' : 'DROP'); // prettier-ignore
    return chain.policy;
  }

  /** True while a rule needs connection tracking. */
  needsConntrack(): boolean {
    for (const c of this.chains.values()) {
      for (const r of c.rules) {
        if (r.target?.needsConntrack === true || r.matches.some((m) => m.needsConntrack === true)) return true;
      }
    }
    return false;
  }

  /** A chain by its index, where it is long enough for one, else rule by rule. */
  private walk(chain: Chain, skb: Skb, c: XtCtx): number {
    if (chain.rules.length < this.indexFrom) return this.walkRules(chain, skb, c, null);
    const cursor = (this.cursors[this.busy] ??= new RuleCursor());
    if (!cursor.start(chain.indexed(), skb, c, 0)) return this.walkRules(chain, skb, c, null);
    this.busy++;
    const v = this.walkRules(chain, skb, c, cursor);
    this.busy--;
    return v;
  }

  private walkRules(chain: Chain, skb: Skb, c: XtCtx, cursor: RuleCursor | null): number {
    const { rules } = chain;
    const { tracer } = this.net.kernel;
    const o = skb.net;
    const n = rules.length;
    let src = i32(skb.buf, o + ipv4.SRC);
    let dst = i32(skb.buf, o + ipv4.DST);
    for (let i = cursor === null ? 0 : cursor.next(n); i < n; i = cursor === null ? i + 1 : cursor.next(n)) {
      const r = rules[i]!;
      if (!headerMatch(r, skb, c, src, dst)) {
        if (!c.hotdrop) continue;
        this.visited += i + 1;
        return NF_DROP;
      }
      r.packets++;
      r.bytes += c.end - o;
      if (r.jump !== null) {
        if (tracer !== null) tracer.rule(this.net, skb, this.name, chain.name, i + 1, r.jump.name);
        const v = this.walk(r.jump, skb, c);
        if (v === XT_CONTINUE && !r.goto) continue;
        this.visited += i + 1;
        return v;
      }
      if (tracer !== null)
        tracer.rule(this.net, skb, this.name, chain.name, i + 1, r.target === null ? '' : r.target.name);
      if (r.target === null) continue;
      const v = r.target.run(skb, c);
      if (v !== XT_CONTINUE) {
        this.visited += i + 1;
        return v === XT_RETURN ? XT_CONTINUE : v;
      }
      if (i32(skb.buf, o + ipv4.SRC) === src && i32(skb.buf, o + ipv4.DST) === dst) continue;
      src = i32(skb.buf, o + ipv4.SRC);
      dst = i32(skb.buf, o + ipv4.DST);
      if (cursor !== null) cursor.start(chain.indexed(), skb, c, i + 1);
    }
    this.visited += n;
    return XT_CONTINUE;
  }
}

const HOOKS: Readonly<Record<TableName, readonly number[]>> = {
  filter: [LOCAL_IN, FORWARD, LOCAL_OUT],
  nat: [PRE_ROUTING, LOCAL_IN, LOCAL_OUT, POST_ROUTING],
  mangle: [PRE_ROUTING, LOCAL_IN, FORWARD, LOCAL_OUT, POST_ROUTING],
  raw: [PRE_ROUTING, LOCAL_OUT],
  security: [LOCAL_IN, FORWARD, LOCAL_OUT],
};
const PRIORITY = { filter: PRI_FILTER, mangle: PRI_MANGLE, raw: PRI_RAW, security: PRI_SECURITY } as const;

/** The tables of one namespace that have been used, last used first. */
export class XtTables {
  readonly net: Netns;
  readonly loaded: Table[] = [];
  /** `recent` lists by name, shared by every rule that names them. */
  readonly recent = new Map<string, unknown>();

  constructor(net: Netns) {
    this.net = net;
  }

  get(name: string): Table | null {
    for (const t of this.loaded) if (t.name === name) return t;
    return null;
  }

  /** The table, registered with its hooks on first use (iptable_*_table_init). */
  use(name: TableName): Table {
    const have = this.get(name);
    if (have !== null) return have;
    const t = new Table(this.net, name, HOOKS[name]);
    this.loaded.unshift(t);
    for (const h of HOOKS[name]) {
      if (name === 'nat') {
        const prio = h === POST_ROUTING || h === LOCAL_IN ? PRI_NAT_SRC : PRI_NAT_DST;
        registerHook(this.net, h, prio, (net, skb, hook, i, o) => natHook(net, skb, hook, i, o, t.run));
      } else if (name === 'mangle' && h === LOCAL_OUT) {
        registerHook(this.net, h, PRI_MANGLE, (net, skb, hook, i, o) => mangleOut(t, net, skb, hook, i, o));
      } else {
        registerHook(this.net, h, PRIORITY[name], t.run);
      }
    }
    return t;
  }
}

/** mangle OUTPUT: a packet whose mark, TOS or addresses changed is routed again (ipt_mangle_out). */
function mangleOut(t: Table, net: Netns, skb: Skb, hook: number, indev: Netdev | null, outdev: Netdev | null): number {
  const b = skb.buf;
  const o = skb.net;
  const src = ipv4.src(b, o);
  const dst = ipv4.dst(b, o);
  const tos = ipv4.tos(b, o);
  const { mark } = skb;
  const v = t.run(net, skb, hook, indev, outdev);
  if (v !== NF_ACCEPT) return v;
  if (mark === skb.mark && src === ipv4.src(b, o) && dst === ipv4.dst(b, o) && tos === ipv4.tos(b, o)) return v;
  const err = ipRouteMeHarder(net, skb);
  return err === 0 ? NF_ACCEPT : err;
}

/** The namespace's tables, created on first use. */
export function xtTables(net: Netns): XtTables {
  return (net.xt ??= new XtTables(net));
}
