/** The schedulers that count connections: lc, wlc, sed, nq, fo, ovf (ip_vs_lc.c and the like). */
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';
import { Stateless } from './stateless.js';

/** ip_vs_dest_conn_overhead: an active connection counts as much as 256 inactive ones. */
export const overhead = (d: Dest): number => d.active * 256 + d.inactive;

const oneMore = (d: Dest): number => d.active + 1;

/** The first with the least cost per weight, compared without division. */
export function least(svc: Service, cost: (d: Dest) => number): Dest | null {
  let best: Dest | null = null;
  let bestCost = 0;
  for (const d of svc.dests) {
    if (d.weight <= 0 || d.overload) continue;
    const c = cost(d);
    if (best === null || bestCost * d.weight > c * best.weight) {
      best = d;
      bestCost = c;
    }
  }
  return best;
}

export class Lc extends Stateless implements Scheduler {
  readonly name = 'lc';
  pick(svc: Service): Dest | null {
    let best: Dest | null = null;
    for (const d of svc.dests) {
      if (d.weight > 0 && !d.overload && (best === null || overhead(d) < overhead(best))) best = d;
    }
    return best;
  }
}

export class Wlc extends Stateless implements Scheduler {
  readonly name = 'wlc';
  pick(svc: Service): Dest | null {
    return least(svc, overhead);
  }
}

export class Sed extends Stateless implements Scheduler {
  readonly name = 'sed';
  pick(svc: Service): Dest | null {
    return least(svc, oneMore);
  }
}

export class Nq extends Stateless implements Scheduler {
  readonly name = 'nq';
  pick(svc: Service): Dest | null {
    for (const d of svc.dests) if (d.weight > 0 && !d.overload && d.active === 0) return d;
    return least(svc, oneMore);
  }
}

export class Fo extends Stateless implements Scheduler {
  readonly name = 'fo';
  pick(svc: Service): Dest | null {
    let best: Dest | null = null;
    for (const d of svc.dests) if (!d.overload && d.weight > (best?.weight ?? 0)) best = d;
    return best;
  }
}

export class Ovf extends Stateless implements Scheduler {
  readonly name = 'ovf';
  pick(svc: Service): Dest | null {
    let best: Dest | null = null;
    for (const d of svc.dests) {
      if (!d.overload && d.active <= d.weight && d.weight > (best?.weight ?? 0)) best = d;
    }
    return best;
  }
}
