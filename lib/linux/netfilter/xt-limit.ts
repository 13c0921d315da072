/**
 * -m limit: so many packets a while.
 *
 * Kernel counterpart: net/netfilter/xt_limit.c.
 * @module
 */
import { HZ, jiffies } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import type { Match, XtCtx } from './xtables.js';

/** Of a second, XT_LIMIT_SCALE; credits a tick brings at HZ=100 (CREDITS_PER_JIFFY). */
const LIMIT_SCALE = 10000;
const CREDITS_PER_JIFFY = 256;

/** user2credits: what `user` ten-thousandths of a second are worth. */
const credits = (user: number): number =>
  user > 0xffffffff / (HZ * CREDITS_PER_JIFFY)
    ? Math.floor(user / LIMIT_SCALE) * HZ * CREDITS_PER_JIFFY
    : Math.floor((user * HZ * CREDITS_PER_JIFFY) / LIMIT_SCALE);

/** -m limit: credits that grow with time up to `burst` packets. */
export class LimitMatch implements Match {
  readonly name = 'limit';
  /** Time per packet in units of 1/LIMIT_SCALE s: what is left of the rate as written. */
  avg = (LIMIT_SCALE * 3600) / 3;
  burst = 5;
  private credit = 0;
  private cost = 0;
  private cap = 0;
  private prev = 0;

  /** Full credit; the clock runs from the change of the table on. */
  attach(net: Netns): void {
    this.prev = jiffies(net.kernel.sim);
    this.cap = this.credit = credits(this.avg * this.burst);
    this.cost = credits(this.avg);
  }

  match(_skb: Skb, c: XtCtx): boolean {
    const now = jiffies(c.net.kernel.sim);
    const grown = this.credit + (now - this.prev) * CREDITS_PER_JIFFY;
    this.prev = now;
    this.credit = Math.min(this.cap, grown);
    if (this.credit < this.cost) return false;
    this.credit -= this.cost;
    return true;
  }

  check(): string | null {
    const overflow = this.burst === 0 || credits(this.avg * this.burst) >>> 0 < credits(this.avg);
    return overflow ? 'limit: Overflow, try lower' : null;
  }
}
