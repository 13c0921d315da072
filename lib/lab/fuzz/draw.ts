/**
 * Draws for the fuzzer: what a random Lab is made of, from one seeded stream.
 * @module
 */
import { Rng } from '../../sim/rng.js';

export class Draw {
  private readonly rng: Rng;

  constructor(seed: number) {
    this.rng = new Rng(seed, 'fuzz');
  }

  /** An integer from `lo` to `hi`, both included. */
  int(lo: number, hi: number): number {
    return lo + this.rng.below(hi - lo + 1);
  }

  /** True `percent` times out of a hundred. */
  chance(percent: number): boolean {
    return this.rng.below(100) < percent;
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.rng.below(list.length)]!;
  }

  /** One of `[weight, value]` pairs, by weight. */
  weighted<T>(list: readonly (readonly [number, T])[]): T {
    let n = this.rng.below(list.reduce((sum, [w]) => sum + w, 0));
    for (const [w, v] of list) if ((n -= w) < 0) return v;
    throw new Error('BUG: weights do not add up');
  }
}
