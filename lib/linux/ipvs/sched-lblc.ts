/**
 * Locality-based least connections (net/netfilter/ipvs/ip_vs_lblc.c): what was sent to an address goes to the server that
 * had it last. Not here: the timer that forgets addresses nobody has used for a day (or, beyond 16,384, for six minutes); instead
 * no more than MAX_ENTRIES are remembered.
 */
import { least, overhead } from './sched-lc.js';
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';
import { Stateless } from './stateless.js';

/** Addresses a table holds at most. */
export const MAX_ENTRIES = (1024 * 16 * 3) / 2;

/** True when a server has more to do than its weight while another one has less than half of its own (is_overloaded). */
export function overloaded(d: Dest, svc: Service): boolean {
  if (d.active <= d.weight) return false;
  for (const o of svc.dests) if (o.active * 2 < o.weight) return true;
  return false;
}

export class Lblc extends Stateless implements Scheduler {
  readonly name = 'lblc';
  private readonly cache = new Map<number, Dest>();

  override done(): void {
    for (const d of this.cache.values()) d.cached--;
    this.cache.clear();
  }

  pick(svc: Service, _caddr: number, _cport: number, vaddr: number): Dest | null {
    const known = this.cache.get(vaddr);
    if (known !== undefined && known.available && known.weight > 0 && !overloaded(known, svc)) return known;
    const d = least(svc, overhead);
    if (d === null || d === known) return d;
    if (known !== undefined) {
      known.cached--;
      this.cache.delete(vaddr);
    }
    if (this.cache.size < MAX_ENTRIES) {
      d.cached++;
      this.cache.set(vaddr, d);
    }
    return d;
  }
}
