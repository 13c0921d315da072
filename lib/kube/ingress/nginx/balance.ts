/**
 * The choice among a backend's endpoints as ingress-nginx's Lua makes it by default: lua-resty-balancer's round robin, all weights one.
 *
 * A new ring begins at a random endpoint. The ring's order is that of a Lua table there; here it is that of the list. Not here: ewma,
 * chash, sticky sessions.
 * @module
 */
import type { Rng } from '../../../sim/rng.js';
import type { Upstream } from '../types.js';

/** One backend's ring. */
export class RoundRobin {
  private readonly rng: Rng;
  private list: readonly Upstream[] = [];
  private key = '';
  private at = 0;

  constructor(rng: Rng) {
    this.rng = rng;
  }

  /** The next endpoint of `list`; null when it is empty. A list that has changed starts anew. */
  next(list: readonly Upstream[]): Upstream | null {
    const key = list.map((u) => `${u.address}:${u.port}`).join(' ');
    if (key !== this.key) {
      this.key = key;
      this.list = list;
      this.at = list.length === 0 ? 0 : this.rng.below(list.length);
    }
    const picked = this.list[this.at] ?? null;
    if (picked !== null) this.at = (this.at + 1) % this.list.length;
    return picked;
  }
}
