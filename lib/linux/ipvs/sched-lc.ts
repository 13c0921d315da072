/** The schedulers that count connections: lc, wlc, sed, nq, fo, ovf (ip_vs_lc.c and the like). */
import type { Scheduler } from './scheduler.js';
import type { Dest, Service } from './service.js';

abstract class Stateless implements Scheduler {
  abstract readonly name: string;
  abstract pick(svc: Service): Dest | null;
  added(): void {}
  removing(): void {}
  changed(): void {}
}

/** ip_vs_dest_conn_overhead. */
const overhead = (d: Dest): number => d.active * 256 + d.inactive;

/** The first with the least cost per weight, compared without division. */
function least(svc: Service, cost: (d: Dest) => number): Dest | null {
  let best: Dest | null = null;
  let bestCost = 0;
  for (const d of svc.dests) {
    if (d.weight <= 0) continue;
    const c = cost(d);
    if (best === null || bestCost * d.weight > c * best.weight) {
      best = d;
      bestCost = c;
    }
  }
  return best;
}

export class Lc extends Stateless {
  readonly name = 'lc';
  pick(svc: Service): Dest | null {
    let best: Dest | null = null;
    for (const d of svc.dests) if (d.weight > 0 && (best === null || overhead(d) < overhead(best))) best = d;
    return best;
  }
}

export class Wlc extends Stateless {
  readonly name = 'wlc';
  pick(svc: Service): Dest | null {
    return least(svc, overhead);
  }
}

export class Sed extends Stateless {
  readonly name = 'sed';
  pick(svc: Service): Dest | null {
    return least(svc, (d) => d.active + 1);
  }
}

export class Nq extends Stateless {
  readonly name = 'nq';
  pick(svc: Service): Dest | null {
    for (const d of svc.dests) if (d.weight > 0 && d.active === 0) return d;
    return least(svc, (d) => d.active + 1);
  }
}

export class Fo extends Stateless {
  readonly name = 'fo';
  pick(svc: Service): Dest | null {
    let best: Dest | null = null;
    for (const d of svc.dests) if (d.weight > (best?.weight ?? 0)) best = d;
    return best;
  }
}

export class Ovf extends Stateless {
  readonly name = 'ovf';
  pick(svc: Service): Dest | null {
    let best: Dest | null = null;
    for (const d of svc.dests) if (d.active <= d.weight && d.weight > (best?.weight ?? 0)) best = d;
    return best;
  }
}
