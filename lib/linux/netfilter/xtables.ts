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
  FORWARD, HOOK_NAMES, LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING, PRI_FILTER, PRI_MANGLE,
  PRI_NAT_DST, PRI_NAT_SRC, PRI_RAW, PRI_SECURITY, registerHook,
} from '../core/nf-hook.js'; // prettier-ignore
import type { Skb } from '../core/skb.js';
import { ipRouteMeHarder } from '../ipv4/route.js';
import { conntrackUse } from './conntrack.js';
import { natHook } from './nat.js';

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
}

export class Chain {
  readonly name: string;
  /** Hook number of a built-in chain, -1 for a user chain. */
  readonly hook: number;
  rules: Rule[] = [];
  policy = NF_ACCEPT;
  packets = 0;
  bytes = 0;

  constructor(name: string, hook: number) {
    this.name = name;
    this.hook = hook;
  }
}

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
  for (let i = 0; i < r.matches.length; i++) {
    if (!r.matches[i]!.match(skb, c)) return false;
    if (c.hotdrop) return false;
  }
  return true;
}

export class Table {
  readonly net: Netns;
  readonly name: TableName;
  readonly chains = new Map<string, Chain>();
  readonly base: (Chain | null)[] = [null, null, null, null, null];
  private readonly ctxs: XtCtx[] = [];
  private depth = 0;

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
    let v = this.walk(chain, skb, c);
    this.depth--;
    if (v === XT_CONTINUE) {
      v = chain.policy;
      chain.packets++;
      chain.bytes += c.end - o;
      if (net.kernel.tracer !== null) {
        net.kernel.tracer.rule(net, skb, this.name, chain.name, null, v === NF_ACCEPT ? 'ACCEPT' : 'DROP');
      }
    }
    return v;
  };

  /** True while a rule needs connection tracking. */
  needsConntrack(): boolean {
    for (const c of this.chains.values()) {
      for (const r of c.rules) {
        if (r.target?.needsConntrack === true || r.matches.some((m) => m.needsConntrack === true)) return true;
      }
    }
    return false;
  }

  private walk(chain: Chain, skb: Skb, c: XtCtx): number {
    const { rules } = chain;
    const { tracer } = this.net.kernel;
    const b = skb.buf;
    const o = skb.net;
    let src = i32(b, o + ipv4.SRC);
    let dst = i32(b, o + ipv4.DST);
    for (let i = 0; i < rules.length; i++) {
      const r = rules[i]!;
      if (!headerMatch(r, skb, c, src, dst)) {
        if (c.hotdrop) return NF_DROP;
        continue;
      }
      r.packets++;
      r.bytes += c.end - o;
      if (r.jump !== null) {
        if (tracer !== null) tracer.rule(this.net, skb, this.name, chain.name, i + 1, r.jump.name);
        const v = this.walk(r.jump, skb, c);
        if (v !== XT_CONTINUE || r.goto) return v;
        continue;
      }
      if (tracer !== null)
        tracer.rule(this.net, skb, this.name, chain.name, i + 1, r.target === null ? '' : r.target.name);
      if (r.target === null) continue;
      const v = r.target.run(skb, c);
      if (v === XT_RETURN) return XT_CONTINUE;
      if (v !== XT_CONTINUE) return v;
      src = i32(skb.buf, o + ipv4.SRC);
      dst = i32(skb.buf, o + ipv4.DST);
    }
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

/** A change of one table that is collected first and then takes effect as a whole, or not at all. */
export class TableEdit {
  readonly table: Table;
  /** Rules of every chain that is new or changed. */
  private readonly lists = new Map<string, Rule[]>();
  private readonly gone = new Set<string>();
  private readonly policies = new Map<string, { policy: number; packets: number; bytes: number }>();
  private readonly zeroed = new Set<string>();
  private readonly zeroedRules: Rule[] = [];
  private readonly renamed = new Map<Rule, string>();

  /** `replace`: start from an empty table instead of the present one. */
  constructor(table: Table, replace: boolean) {
    this.table = table;
    if (!replace) return;
    for (const c of table.chains.values()) {
      if (c.hook >= 0) {
        this.lists.set(c.name, []);
        this.policies.set(c.name, { policy: NF_ACCEPT, packets: 0, bytes: 0 });
      } else this.gone.add(c.name);
    }
  }

  has(chain: string): boolean {
    return this.lists.has(chain) || (this.table.chains.has(chain) && !this.gone.has(chain));
  }

  isBase(chain: string): boolean {
    const c = this.table.chains.get(chain);
    return c !== undefined && c.hook >= 0;
  }

  /** Names of the chains as they stand in this edit. */
  names(): string[] {
    const s = new Set(this.lists.keys());
    for (const n of this.table.chains.keys()) if (!this.gone.has(n)) s.add(n);
    return [...s];
  }

  /** The rules to read. */
  rules(chain: string): readonly Rule[] {
    return this.lists.get(chain) ?? this.table.chains.get(chain)!.rules;
  }

  /** The rules to change: a copy of the list, made once. */
  list(chain: string): Rule[] {
    let l = this.lists.get(chain);
    if (l === undefined) {
      l = [...this.table.chains.get(chain)!.rules];
      this.lists.set(chain, l);
    }
    return l;
  }

  /** A new empty user chain, or an existing chain emptied. */
  create(chain: string): void {
    this.gone.delete(chain);
    this.lists.set(chain, []);
  }

  flush(chain: string): void {
    this.lists.set(chain, []);
  }

  remove(chain: string): void {
    this.lists.delete(chain);
    this.gone.add(chain);
  }

  /** Rules that jump to a chain. */
  references(chain: string): number {
    let n = 0;
    for (const c of this.names()) for (const r of this.rules(c)) if (r.jumpName === chain) n++;
    return n;
  }

  policy(chain: string, policy: number, packets = 0, bytes = 0): void {
    this.policies.set(chain, { policy, packets, bytes });
  }

  zero(chain: string): void {
    this.zeroed.add(chain);
  }

  /** Zeroes one rule. */
  zeroRule(r: Rule): void {
    this.zeroedRules.push(r);
  }

  /** Gives a user chain another name, in the rules that jump to it too. */
  rename(from: string, to: string): void {
    const rules = [...this.rules(from)];
    for (const name of this.names()) {
      for (const r of this.rules(name)) if (r.jumpName === from) this.renamed.set(r, to);
    }
    this.remove(from);
    this.lists.set(to, rules);
  }

  private jumpOf(r: Rule): string | null {
    return this.renamed.get(r) ?? r.jumpName;
  }

  /** Checks jumps, loops, and every target's place (translate_table, xt_check_*); the problem, or null. */
  check(): string | null {
    const hooks = new Map<string, number>();
    const open = new Set<string>();
    const visit = (name: string, bit: number): string | null => {
      if (open.has(name)) return `loop through chain "${name}"`;
      const had = hooks.get(name) ?? 0;
      if ((had & bit) !== 0) return null;
      hooks.set(name, had | bit);
      open.add(name);
      for (const r of this.rules(name)) {
        const to = this.jumpOf(r);
        if (to === null) continue;
        if (!this.has(to)) return `chain "${to}" does not exist`;
        const bad = visit(to, bit);
        if (bad !== null) return bad;
      }
      open.delete(name);
      return null;
    };
    for (const c of this.table.base) {
      if (c === null) continue;
      const bad = visit(c.name, 1 << c.hook);
      if (bad !== null) return bad;
    }
    for (const name of this.names()) {
      const mask = hooks.get(name);
      if (mask === undefined) {
        // The kernel follows jumps from its hooks only: what cannot be reached may go round in circles.
        for (const r of this.rules(name)) {
          const to = this.jumpOf(r);
          if (to !== null && !this.has(to)) return `chain "${to}" does not exist`;
        }
      }
      for (const r of this.rules(name)) {
        for (const part of r.target === null ? r.matches : [...r.matches, r.target]) {
          const bad = part.check?.(this.table.net, this.table.name, mask ?? 0, r) ?? null;
          if (bad !== null) return bad;
        }
      }
    }
    return null;
  }

  /** Makes the change; `check` must have found nothing. Connection tracking starts and ends with the rules that need it. */
  commit(): void {
    const { chains, net } = this.table;
    const before = [...chains.values()].flatMap((c) => c.rules);
    for (const [r, to] of this.renamed) r.jumpName = to;
    for (const r of this.zeroedRules) r.packets = r.bytes = 0;
    for (const name of this.gone) if (!this.lists.has(name)) chains.delete(name);
    for (const name of this.lists.keys()) if (!chains.has(name)) chains.set(name, new Chain(name, -1));
    for (const [name, rules] of this.lists) {
      chains.get(name)!.rules = rules;
    }
    for (const c of chains.values()) {
      for (const r of c.rules) {
        r.jump = r.jumpName === null ? null : chains.get(r.jumpName)!;
        for (const m of r.matches) m.start?.();
        for (const m of r.matches) m.attach?.(net);
      }
    }
    // The old rules go last: what both name stays.
    for (const r of before) for (const m of r.matches) m.detach?.(net);
    // libiptc reads the counters of policies as a start that it then takes off: every change puts them back to zero.
    for (const c of this.table.base) if (c !== null) c.packets = c.bytes = 0;
    for (const [name, p] of this.policies) {
      const c = chains.get(name)!;
      c.policy = p.policy;
      c.packets = p.packets;
      c.bytes = p.bytes;
    }
    for (const name of this.zeroed) {
      const c = chains.get(name)!;
      c.packets = c.bytes = 0;
      for (const r of c.rules) r.packets = r.bytes = 0;
    }
    const needed = xtTables(net).loaded.some((t) => t.needsConntrack());
    if (needed || net.ct !== null) conntrackUse(net, needed);
  }
}
