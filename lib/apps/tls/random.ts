/** Bytes of a seeded generator for a session. @module */
import type { Rng } from '../../sim/rng.js';
import type { RandomSource } from './types.js';

/**
 * The bytes of `rng`, which should be a generator of one connection alone. They repeat with the seed: this is what makes
 * captures equal, and what no server that guards secrets may use.
 */
export function randomFrom(rng: Rng): RandomSource {
  return (n) => Uint8Array.from({ length: n }, () => rng.u32() >>> 24);
}
