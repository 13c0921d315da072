/**
 * Locality-based least connections with replication (net/netfilter/ipvs/ip_vs_lblcr.c): a set of servers for each address,
 * which grows when they are overloaded and loses its busiest one when it has not changed for a day.
 * Not here: the timer that forgets addresses nobody has used for a day.
 */
import { SEC } from '../../sim/sim.js';
import { MAX_ENTRIES, overloaded } from './sched-lblc.js';
import { least, overhead } from './sched-lc.js';
import type { Expiration, Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';
import { Stateless } from './stateless.js';

/** The servers of one address, newest first (struct ip_vs_dest_set). */
interface DestSet {
  dests: Dest[];
  lastMod: number;
}

/** The least loaded of a set (ip_vs_dest_set_min). */
function setMin(set: DestSet): Dest | null {
  let best: Dest | null = null;
  for (const d of set.dests) {
    if (d.overload || !d.available || d.weight <= 0) continue;
    if (best === null || overhead(best) * d.weight > overhead(d) * best.weight) best = d;
  }
  return best;
}

/** The most loaded (ip_vs_dest_set_max). */
function setMax(set: DestSet): Dest | null {
  let most: Dest | null = null;
  for (const d of set.dests) {
    if (d.weight <= 0) continue;
    if (most === null || overhead(most) * d.weight < overhead(d) * most.weight) most = d;
  }
  return most;
}

export class Lblcr extends Stateless implements Scheduler {
  readonly name = 'lblcr';
  private readonly expiration: Expiration;
  private readonly cache = new Map<number, DestSet>();

  constructor(expiration: Expiration) {
    super();
    this.expiration = expiration;
  }

  override done(): void {
    for (const set of this.cache.values()) for (const d of set.dests) d.cached--;
    this.cache.clear();
  }

  pick(svc: Service, _caddr: number, _cport: number, vaddr: number, now: number): Dest | null {
    const set = this.cache.get(vaddr);
    if (set === undefined) {
      const d = least(svc, overhead);
      if (d !== null && this.cache.size < MAX_ENTRIES) {
        d.cached++;
        this.cache.set(vaddr, { dests: [d], lastMod: now });
      }
      return d;
    }
    const best = setMin(set);
    if (set.dests.length > 1 && now > set.lastMod + this.expiration.lblcr() * SEC) {
      const most = setMax(set);
      if (most !== null) {
        most.cached--;
        set.dests.splice(set.dests.indexOf(most), 1);
        set.lastMod = now;
      }
    }
    if (best !== null && !overloaded(best, svc)) return best;
    const d = least(svc, overhead);
    if (d !== null && !set.dests.includes(d)) {
      d.cached++;
      set.dests.unshift(d);
      set.lastMod = now;
    }
    return d;
  }
}
