/** Round robin (net/netfilter/ipvs/ip_vs_rr.c): the next of the list with a weight; how much weight is ignored. */
import { Stateless } from './stateless.js';
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';

export class Rr extends Stateless implements Scheduler {
  readonly name = 'rr';
  /** The one used last; null stands for the head of the list. */
  private last: Dest | null = null;

  pick(svc: Service): Dest | null {
    const l = svc.dests;
    const start = this.last === null ? -1 : l.indexOf(this.last);
    for (let k = 1; k <= l.length; k++) {
      const d = l[(start + k) % l.length]!;
      if (d.weight > 0 && !d.overload) return (this.last = d);
    }
    return null;
  }

  /** ip_vs_rr_del_dest: steps back to the predecessor. */
  override removed(svc: Service, d: Dest, index: number): void {
    if (d === this.last) this.last = index > 0 ? svc.dests[index - 1]! : null;
  }
}
