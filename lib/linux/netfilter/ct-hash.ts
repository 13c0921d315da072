/**
 * The hash table of connections: every tuple of both directions in a chain of its bucket, newest first.
 *
 * Kernel counterpart: nf_conntrack_core.c (nf_conntrack_hash); the kernel's has a fixed size, this one grows.
 * @module
 */
import { type Conn, S_ASSURED, S_NAT_CLASH } from './ct-conn.js';
import { hashTuple, type Tuple, type TupleHash } from './ct-tuple.js';

/** As on a machine of 512 MiB: early_drop looks at 8 of them only. */
const MIN_BUCKETS = 4096;
const EARLY_DROP = 8;

export class CtHash {
  private buckets: (TupleHash | null)[] = [null];

  /** True when there are more than half as many connections as buckets. */
  crowded(count: number): boolean {
    return count * 2 > this.buckets.length;
  }

  /** Nothing was ever entered. */
  get fresh(): boolean {
    return this.buckets.length === 1;
  }

  /** The chain that holds what equals `t`. */
  chain(t: Tuple): TupleHash | null {
    return this.buckets[hashTuple(t) & (this.buckets.length - 1)]!;
  }

  link(h: TupleHash): void {
    const i = hashTuple(h) & (this.buckets.length - 1);
    h.next = this.buckets[i]!;
    this.buckets[i] = h;
  }

  unlink(h: TupleHash): void {
    const i = hashTuple(h) & (this.buckets.length - 1);
    let p = this.buckets[i]!;
    if (p === h) this.buckets[i] = h.next;
    else {
      while (p !== null && p.next !== h) p = p.next!;
      if (p !== null) p.next = h.next;
    }
  }

  /** Four times as many buckets. */
  grow(): void {
    const old = this.buckets;
    this.buckets = new Array<TupleHash | null>(Math.max(MIN_BUCKETS, old.length * 4)).fill(null);
    for (const b of old) {
      for (let h = b; h !== null;) {
        const { next } = h;
        this.link(h);
        h = next;
      }
    }
  }

  /** The connections that live at `now`, each once. */
  live(now: number): Conn[] {
    const found: Conn[] = [];
    for (const b of this.buckets) {
      for (let h = b; h !== null; h = h.next) {
        const one = h.reply ? (h.ct.status & S_NAT_CLASH) !== 0 : true;
        if (one && h.ct.expires > now) found.push(h.ct);
      }
    }
    return found;
  }

  /** Those that have ended. */
  ended(now: number): Conn[] {
    const dead: Conn[] = [];
    for (const b of this.buckets) {
      for (let h = b; h !== null; h = h.next) if (h.reply && h.ct.expires <= now) dead.push(h.ct);
    }
    return dead;
  }

  /** The connections that are not ASSURED in the first of 8 buckets from `t`'s on that has any (early_drop). */
  unassured(t: Tuple): Conn[] {
    const size = this.buckets.length;
    // A table of few entries has few buckets here, but not in the kernel.
    const range = Math.min(size, EARLY_DROP);
    let i = hashTuple(t) & (size - 1);
    for (let k = 0; k < range; k++) {
      const found: Conn[] = [];
      for (let h = this.buckets[i]!; h !== null; h = h.next!) {
        if ((h.ct.status & S_ASSURED) === 0 && !found.includes(h.ct)) found.push(h.ct);
      }
      if (found.length > 0) return found;
      i = (i + 1) & (size - 1);
    }
    return [];
  }
}
