/** Source and destination hashing (net/netfilter/ipvs/ip_vs_sh.c, ip_vs_dh.c): a table of 256 slots. */
import type { Scheduler } from './scheduler.js';
import { type Dest, SCHED1, SCHED2, type Service } from './service.js';

const SIZE = 256;

/** ip_vs_sh_hashkey: addr and port in host order, Fibonacci hashing. */
export const slotOf = (addr: number, port: number, offset: number): number =>
  (offset + (Math.imul((port + addr) | 0, 0x61c88647) >>> 24)) & (SIZE - 1);

/** Neither without weight nor overloaded (is_unavailable). */
export const takes = (d: Dest): boolean => d.weight > 0 && !d.overload;

function fill(svc: Service, turns: (d: Dest) => number): Dest[] {
  const out: Dest[] = [];
  if (svc.dests.length === 0) return out;
  for (let i = 0; out.length < SIZE; i = (i + 1) % svc.dests.length) {
    const d = svc.dests[i]!;
    for (let n = turns(d); n > 0 && out.length < SIZE; n--) out.push(d);
  }
  return out;
}

export class Sh implements Scheduler {
  readonly name = 'sh';
  private slots: Dest[] = [];

  pick(svc: Service, caddr: number, cport: number): Dest | null {
    const port = (svc.flags & SCHED2) !== 0 ? cport : 0;
    const i = slotOf(caddr, port, 0);
    const d = this.slots[i];
    if (d === undefined || takes(d)) return d ?? null;
    if ((svc.flags & SCHED1) === 0) return null;
    for (let k = 0; k < SIZE; k++) {
      const e = this.slots[slotOf(caddr, port, (k + i) % SIZE)]!;
      if (takes(e)) return e;
    }
    return null;
  }

  /** ip_vs_sh_reassign: as many slots in turn as the weight says, at least one. */
  init(svc: Service): void {
    this.slots = fill(svc, (d) => Math.max(1, d.weight));
  }

  done(): void {}

  added(svc: Service): void {
    this.init(svc);
  }

  edited(svc: Service): void {
    this.init(svc);
  }

  removed(svc: Service): void {
    this.init(svc);
  }
}

export class Dh implements Scheduler {
  readonly name = 'dh';
  private slots: Dest[] = [];

  pick(_svc: Service, _caddr: number, _cport: number, vaddr: number): Dest | null {
    const d = this.slots[slotOf(vaddr, 0, 0)];
    return d !== undefined && takes(d) ? d : null;
  }

  init(svc: Service): void {
    this.slots = fill(svc, () => 1);
  }

  done(): void {}

  added(svc: Service): void {
    this.init(svc);
  }

  edited(): void {}

  removed(svc: Service): void {
    this.init(svc);
  }
}
