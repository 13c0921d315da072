/** Round robin (net/netfilter/ipvs/ip_vs_rr.c): the next of the list with a weight; how much weight is ignored. */
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';

export class Rr implements Scheduler {
  readonly name = 'rr';
  /** The one used last; null stands for the head of the list. */
  private last: Dest | null = null;

  pick(svc: Service): Dest | null {
    const l = svc.dests;
    const start = this.last === null ? -1 : l.indexOf(this.last);
    for (let k = 1; k <= l.length; k++) {
      const d = l[(start + k) % l.length]!;
      if (d.weight > 0) return (this.last = d);
    }
    return null;
  }

  added(): void {}

  /** ip_vs_rr_del_dest: steps back to the predecessor. */
  removing(svc: Service, d: Dest): void {
    if (d !== this.last) return;
    const i = svc.dests.indexOf(d);
    this.last = i > 0 ? svc.dests[i - 1]! : null;
  }

  changed(): void {}
}
