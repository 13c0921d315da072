/**
 * A change of a table: collected, checked, then made as a whole, as `iptables` hands the kernel a whole table.
 *
 * Kernel counterparts: net/ipv4/netfilter/ip_tables.c (translate_table, do_replace), net/netfilter/x_tables.c (xt_check_match,
 * xt_check_target).
 * @module
 */
import { NF_ACCEPT } from '../core/nf-hook.js';
import { conntrackUse } from './conntrack.js';
import { Chain, type Rule, type Table, xtTables } from './xtables.js';

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
