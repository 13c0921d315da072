/**
 * -m recent: addresses seen lately, in lists that rules share by name.
 *
 * Kernel counterpart: net/netfilter/xt_recent.c. Not here: --rttl, /proc/net/xt_recent.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import { HZ, jiffies } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { type Match, type XtCtx, xtTables } from './xtables.js';

/** ip_list_tot, and the stamps an address keeps (ip_pkt_list_tot rounded up; without a hit count 32). */
const RECENT_ADDRS = 100;
const RECENT_STAMPS = 32;

/** One list of xt_recent: address → stamps in ticks, the address longest untouched first. */
class RecentTable {
  readonly entries = new Map<number, number[]>();
  /** Rules that name it. */
  users = 0;

  add(addr: number, now: number): void {
    if (this.entries.size >= RECENT_ADDRS) this.entries.delete(this.entries.keys().next().value!);
    this.entries.set(addr, [now]);
  }

  /** recent_entry_update: one more stamp, the newest address of all. */
  touch(addr: number, stamps: number[], now: number): void {
    this.entries.delete(addr);
    this.entries.set(addr, stamps);
    stamps.push(now);
    if (stamps.length > RECENT_STAMPS) stamps.shift();
  }

  /** recent_entry_reap: the address longest untouched goes when its last stamp is too old. */
  reap(since: number, addr: number, updated: boolean): void {
    const oldest = this.entries.entries().next().value;
    if (oldest === undefined || (oldest[0] === addr && updated)) return;
    if (oldest[1][oldest[1].length - 1]! < since) this.entries.delete(oldest[0]);
  }
}

/** -m recent. */
export class RecentMatch implements Match {
  readonly name = 'recent';
  op: 'set' | 'rcheck' | 'update' | 'remove' = 'set';
  inv = false;
  seconds = 0;
  hitcount = 0;
  reap = false;
  list = 'DEFAULT';
  mask = -1;
  dest = false;
  private table: RecentTable | null = null;

  match(skb: Skb, c: XtCtx): boolean {
    const t = this.table!;
    const now = jiffies(c.net.kernel.sim);
    const addr = (this.dest ? ipv4.dst(skb.buf, skb.net) : ipv4.src(skb.buf, skb.net)) & this.mask;
    const e = t.entries.get(addr);
    if (e === undefined) {
      if (this.op !== 'set') return this.inv;
      t.add(addr, now);
      return !this.inv;
    }
    if (this.op === 'remove') {
      t.entries.delete(addr);
      return !this.inv;
    }
    const since = now - this.seconds * HZ;
    const hit = (this.op === 'set' || this.hits(e, since)) !== this.inv;
    if (this.reap) t.reap(since, addr, this.op === 'update' && hit);
    if (this.op === 'set' || (this.op === 'update' && hit)) t.touch(addr, e, now);
    return hit;
  }

  private hits(stamps: readonly number[], since: number): boolean {
    let n = 0;
    for (let i = 0; i < stamps.length; i++) {
      if (this.seconds > 0 && stamps[i]! < since) continue;
      if (++n >= this.hitcount) return true;
    }
    return false;
  }

  /** The list is made with the first rule that names it (recent_mt_check), and ends with the last. */
  attach(net: Netns): void {
    const { recent } = xtTables(net);
    let t = recent.get(this.list) as RecentTable | undefined;
    if (t === undefined) recent.set(this.list, (t = new RecentTable()));
    t.users++;
    this.table = t;
  }

  detach(net: Netns): void {
    if (this.table === null || --this.table.users > 0) return;
    xtTables(net).recent.delete(this.list);
    this.table = null;
  }

  check(): string | null {
    const plain = this.op === 'rcheck' || this.op === 'update';
    if (!plain && (this.seconds !== 0 || this.hitcount !== 0 || this.reap)) return 'recent: only --rcheck and --update take a time or a count';
    if (this.reap && this.seconds === 0) return 'recent: --reap needs --seconds';
    return this.hitcount >= 256 ? 'recent: hitcount is larger than allowed maximum (255)' : null;
  } // prettier-ignore
}
