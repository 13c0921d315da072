/** Weighted round robin (net/netfilter/ipvs/ip_vs_wrr.c). */
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';

function gcd(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

/** Common divisor of the weights above zero, at least 1. */
export function weightGcd(svc: Service): number {
  let g = 0;
  for (const d of svc.dests) if (d.weight > 0) g = gcd(d.weight, g);
  return g === 0 ? 1 : g;
}

export class Wrr implements Scheduler {
  readonly name = 'wrr';
  private last: Dest | null = null;
  /** Current weight, highest weight to start a turn with, step. */
  private cw = 0;
  private mw = 0;
  private di = 1;

  pick(svc: Service): Dest | null {
    const l = svc.dests;
    let i = this.last === null ? -1 : l.indexOf(this.last);
    if (this.mw <= 0) return null;
    for (let tries = (l.length + 1) * (Math.ceil(this.mw / this.di) + 2); tries > 0; tries--) {
      if (++i >= l.length) {
        i = -1;
        this.cw -= this.di;
        if (this.cw <= 0) this.cw = this.mw;
        continue;
      }
      const d = l[i]!;
      if (d.weight > 0 && d.weight >= this.cw) return (this.last = d);
    }
    return null;
  }

  added(): void {}
  removing(): void {}

  /** ip_vs_wrr_dest_changed: position to the head, the current weight kept in range. */
  changed(svc: Service): void {
    this.last = null;
    this.di = weightGcd(svc);
    let max = 0;
    for (const d of svc.dests) max = Math.max(max, d.weight);
    this.mw = max - (this.di - 1);
    if (this.cw > this.mw || this.cw === 0) this.cw = this.mw;
    else if (this.di > 1) this.cw = Math.floor(this.cw / this.di) * this.di + 1;
  }
}
