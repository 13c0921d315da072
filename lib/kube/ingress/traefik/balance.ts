/**
 * Traefik's weighted round robin (pkg/server/service/loadbalancer/wrr), all weights one: the earliest deadline first, from a heap as
 * container/heap keeps it. The servers stand in a random order from the start.
 * @module
 */
import type { Rng } from '../../../sim/rng.js';
import type { Upstream } from '../types.js';

interface Entry {
  readonly server: Upstream;
  deadline: number;
}

/** One service's servers. */
export class Wrr {
  private readonly rng: Rng;
  private key = '';
  private heap: Entry[] = [];

  constructor(rng: Rng) {
    this.rng = rng;
  }

  /** The next of `list`; null when it is empty. A list that has changed starts anew. */
  next(list: readonly Upstream[]): Upstream | null {
    const key = list.map((u) => `${u.address}:${u.port}`).join(' ');
    if (key !== this.key) this.build(list, key);
    const e = this.pop();
    if (e === null) return null;
    e.deadline++;
    this.push(e);
    return e.server;
  }

  private build(list: readonly Upstream[], key: string): void {
    this.key = key;
    this.heap = [];
    const order = [...list];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.rng.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    for (const server of order) this.push({ server, deadline: 1 });
  }

  private push(e: Entry): void {
    const h = this.heap;
    let i = h.push(e) - 1;
    for (let p = (i - 1) >> 1; i > 0 && e.deadline < h[p]!.deadline; p = (i - 1) >> 1) {
      h[i] = h[p]!;
      h[p] = e;
      i = p;
    }
  }

  private pop(): Entry | null {
    const h = this.heap;
    const first = h[0];
    if (first === undefined) return null;
    const last = h.pop()!;
    if (h.length === 0) return first;
    h[0] = last;
    for (let i = 0, c = 1; c < h.length; c = 2 * i + 1) {
      if (c + 1 < h.length && h[c + 1]!.deadline < h[c]!.deadline) c++;
      if (!(h[c]!.deadline < h[i]!.deadline)) break;
      [h[i], h[c]] = [h[c]!, h[i]!];
      i = c;
    }
    return first;
  }
}
