/** Weighted round robin (net/netfilter/ipvs/ip_vs_wrr.c). */
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';

function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

const HEAD = -1;
const NONE = -2;

export class Wrr implements Scheduler {
  readonly name = 'wrr';
  /** The one used last (cl); null stands for the head of the list. */
  private last: Dest | null = null;
  /** Current weight, highest weight to start a turn with, step. */
  private cw = 0;
  private mw = 0;
  private di = 1;

  init(svc: Service): void {
    this.measure(svc);
    this.cw = this.mw;
  }

  done(): void {}

  /** ip_vs_wrr_schedule: ends after all servers were asked for a weight of 1. */
  pick(svc: Service): Dest | null {
    const l = svc.dests;
    if (this.mw === 0) return null;
    const first = this.last === null ? HEAD : l.indexOf(this.last);
    let i = first;
    let stop = NONE;
    let lastPass = false;
    let restarted = false;
    for (;;) {
      while (++i < l.length) {
        const d = l[i]!;
        if (!d.overload && d.weight >= this.cw) return (this.last = d);
        if (i === stop) {
          this.last = d;
          return null;
        }
      }
      i = HEAD;
      this.cw -= this.di;
      if (this.cw <= 0) {
        this.cw = this.mw;
        if (lastPass || first === HEAD) {
          this.last = null;
          return null;
        }
        restarted = true;
      }
      lastPass = this.cw <= this.di;
      if (lastPass && restarted && first !== HEAD) stop = first;
    }
  }

  added(svc: Service): void {
    this.changed(svc);
  }

  edited(svc: Service): void {
    this.changed(svc);
  }

  removed(svc: Service): void {
    this.changed(svc);
  }

  /** ip_vs_wrr_dest_changed: position to the head, the current weight kept in range. */
  private changed(svc: Service): void {
    this.measure(svc);
    if (this.cw > this.mw || this.cw === 0) this.cw = this.mw;
    else if (this.di > 1) this.cw = Math.trunc(this.cw / this.di) * this.di + 1;
  }

  private measure(svc: Service): void {
    this.last = null;
    let g = 0;
    let max = 0;
    for (const d of svc.dests) {
      if (d.weight > 0) g = gcd(d.weight, g);
      max = Math.max(max, d.weight);
    }
    this.di = g === 0 ? 1 : g;
    this.mw = max - (this.di - 1);
  }
}
