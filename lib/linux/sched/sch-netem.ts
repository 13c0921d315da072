/**
 * netem: a link that loses, delays, duplicates, damages and reorders, or has a rate.
 *
 * Its draws come from the generator `netem`; with a probability of 100 % and without jitter it is the kernel's frame for
 * frame, with chance it follows the same rules under other draws. Kernel counterpart: net/sched/sch_netem.c. Not here:
 * slots, ECN marks, tables of distributions, child disciplines. A segment of TCP is one frame, where the kernel treats the
 * segments that a socket hands over together as one (loss, duplicates and rate on the sender's own device).
 * @module
 */
import type { Rng } from '../../sim/rng.js';
import { Timer } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import { devHardStartXmit, NET_XMIT_DROP, type Netdev } from '../core/netdev.js';
import { orphan, type Skb } from '../core/skb.js';
import { Qdisc } from './sch-generic.js';

/** Certainty: probabilities and correlations are fractions of it. */
export const ALWAYS = 0xffffffff;

/** Loss in bursts: the four-state Markov model (`loss state`) or Gilbert-Elliott (`loss gemodel`), as the kernel keeps it. */
export interface LossModel {
  kind: 'state' | 'gemodel';
  /** p13, p31, p32, p14, p23; or p, r, h, 1-k. */
  a: readonly number[];
}

/** What a netlink message carries; `null`: the attribute is missing, and what was set before stays. */
export interface NetemConfig {
  /** Frames. */
  limit: number;
  latencyNs: number;
  jitterNs: number;
  /** Probability of ALWAYS. */
  loss: number;
  lossModel: LossModel | null;
  duplicate: number;
  gap: number;
  corr: { delay: number; loss: number; duplicate: number } | null;
  reorder: { probability: number; correlation: number } | null;
  corrupt: { probability: number; correlation: number } | null;
  /** Bytes per second, and what every frame and cell costs besides. */
  rate: { rate: number; packetOverhead: number; cellSize: number; cellOverhead: number } | null;
}

/** A generator whose next value may depend on the last one (struct crndstate). */
class Crandom {
  rho = 0;
  private last = 0;
  private readonly rng: Rng;

  constructor(rng: Rng) {
    this.rng = rng;
  }

  /** init_crandom. */
  init(rho: number): void {
    this.rho = rho;
    this.last = this.rng.u32();
  }

  /** get_crandom; exact to the rounding of a double. */
  next(): number {
    const value = this.rng.u32();
    if (this.rho === 0) return value;
    const rho = (this.rho + 1) / 0x100000000;
    this.last = Math.floor(value * (1 - rho) + this.last * rho);
    return this.last;
  }
}

const GOOD = 1;
const BAD = 2;
const TX_IN_GAP = 1;
const TX_IN_BURST = 2;
const LOST_IN_GAP = 3;
const LOST_IN_BURST = 4;

export class Netem extends Qdisc {
  override readonly kind = 'netem';
  limit = 1000;
  latencyNs = 0;
  jitterNs = 0;
  loss = 0;
  lossModel: LossModel | null = null;
  duplicate = 0;
  gap = 0;
  reorder = 0;
  corrupt = 0;
  rate = 0;
  packetOverhead = 0;
  cellSize = 0;
  cellOverhead = 0;
  readonly delayCor: Crandom;
  readonly lossCor: Crandom;
  readonly dupCor: Crandom;
  readonly reorderCor: Crandom;
  readonly corruptCor: Crandom;
  private readonly rng: Rng;
  private readonly watchdog: Timer;
  private counter = 0;
  private state = 1;
  /** Frames put in front of all others (reordered ones). */
  private readonly front: Skb[] = [];
  /** Frames in the order of their time: a list, and a tree for those that came too late for it (tfifo). */
  private head: Skb | null = null;
  private tail: Skb | null = null;
  private readonly tree: Skb[] = [];

  constructor(dev: Netdev, handle: number) {
    super(dev, handle);
    this.rng = dev.kernel.rng('netem');
    this.delayCor = new Crandom(this.rng);
    this.lossCor = new Crandom(this.rng);
    this.dupCor = new Crandom(this.rng);
    this.reorderCor = new Crandom(this.rng);
    this.corruptCor = new Crandom(this.rng);
    this.watchdog = new Timer(() => this.run());
  }

  /** netem_change: what the message does not name keeps its value, but for what every message carries. */
  change(c: NetemConfig): void {
    this.lossModel = c.lossModel;
    if (c.lossModel !== null) this.state = 1;
    this.limit = c.limit;
    this.latencyNs = c.latencyNs;
    this.jitterNs = Math.min(c.jitterNs, 0x7fffffff);
    this.gap = c.gap;
    this.counter = 0;
    this.loss = c.loss;
    this.duplicate = c.duplicate;
    if (c.gap > 0) this.reorder = ALWAYS;
    if (c.corr !== null) {
      this.delayCor.init(c.corr.delay);
      this.lossCor.init(c.corr.loss);
      this.dupCor.init(c.corr.duplicate);
    }
    if (c.reorder !== null) {
      this.reorder = c.reorder.probability;
      this.reorderCor.init(c.reorder.correlation);
    }
    if (c.corrupt !== null) {
      this.corrupt = c.corrupt.probability;
      this.corruptCor.init(c.corrupt.correlation);
    }
    if (c.rate !== null) {
      this.rate = c.rate.rate;
      this.packetOverhead = c.rate.packetOverhead;
      this.cellSize = c.rate.cellSize;
      this.cellOverhead = c.rate.cellOverhead;
    }
  }

  override enqueue(skb: Skb): number {
    const r = this.take(skb, true);
    this.run();
    return r;
  }

  /** netem_enqueue. A duplicate goes through all of it again, without being duplicated itself. */
  private take(skb: Skb, mayDouble: boolean): number {
    let count = 1;
    if (mayDouble && this.duplicate > 0 && this.duplicate >= this.dupCor.next()) count++;
    if (this.lossEvent()) count--;
    if (count === 0) {
      this.lose(skb);
      return 0;
    }
    // Whoever waits for this packet to leave is not to wait for its way (skb_orphan_partial).
    if (this.latencyNs > 0 || this.jitterNs > 0 || this.rate > 0) orphan(skb);
    const twin = count > 1 ? this.dev.kernel.skbs.copy(skb) : null;
    if (this.corrupt > 0 && this.corrupt >= this.corruptCor.next()) {
      skb.buf[skb.head + this.rng.below(skb.tail - skb.head)]! ^= 1 << this.rng.below(8);
    }
    if (this.qlen >= this.limit) {
      this.lose(skb);
      if (twin !== null) drop(this.dev.net, twin, 'QDISC_DROP');
      return NET_XMIT_DROP;
    }
    if (twin !== null) this.take(twin, false);
    this.backlog += skb.tail - skb.head;
    this.qlen++;
    skb.waiting = true;
    const { now } = this.dev.kernel.sim;
    if (this.gap === 0 || this.counter < this.gap - 1 || this.reorder < this.reorderCor.next()) {
      skb.sendAt = this.departure(now, skb.tail - skb.head);
      this.counter++;
      this.insert(skb);
    } else {
      skb.sendAt = now;
      this.counter = 0;
      this.front.unshift(skb);
      this.requeues++;
    }
    return 0;
  }

  private lose(skb: Skb): void {
    this.drops++;
    drop(this.dev.net, skb, 'QDISC_DROP');
  }

  private lossEvent(): boolean {
    if (this.lossModel === null) return this.loss > 0 && this.loss >= this.lossCor.next();
    return this.lossModel.kind === 'state' ? this.lossState(this.lossModel.a) : this.lossGilbert(this.lossModel.a);
  }

  /** loss_4state. */
  private lossState(a: readonly number[]): boolean {
    const [p13, p31, p32, p14, p23] = a as [number, number, number, number, number];
    const rnd = this.rng.u32();
    const before = this.state;
    switch (before) {
      case TX_IN_GAP:
        if (rnd < p14) this.state = LOST_IN_GAP;
        // The kernel adds in 32 bits.
        else if (rnd < (p13 + p14) % 0x100000000) this.state = LOST_IN_BURST;
        return this.state !== TX_IN_GAP;
      case TX_IN_BURST:
        if (rnd < p23) this.state = LOST_IN_BURST;
        return this.state === LOST_IN_BURST;
      case LOST_IN_BURST:
        if (rnd < p32) this.state = TX_IN_BURST;
        else if (rnd < (p31 + p32) % 0x100000000) this.state = TX_IN_GAP;
        return this.state === LOST_IN_BURST;
      default:
        this.state = TX_IN_GAP;
        return false;
    }
  }

  /** loss_gilb_ell. */
  private lossGilbert(a: readonly number[]): boolean {
    const [p, r, h, k1] = a as [number, number, number, number];
    const move = this.rng.u32();
    const rnd = this.rng.u32();
    if (this.state === GOOD) {
      if (move < p) this.state = BAD;
      return rnd < k1;
    }
    if (move < r) this.state = GOOD;
    return rnd > h;
  }

  /** When a frame of `len` bytes leaves: latency and jitter, and at a rate not before the last one is through. */
  private departure(now: number, len: number): number {
    let delay = this.latencyNs;
    if (this.jitterNs > 0) delay += (this.delayCor.next() % (2 * this.jitterNs)) - this.jitterNs;
    if (this.rate > 0) {
      const last = this.lastAt();
      if (last >= 0) {
        delay = Math.max(0, delay - (last - now));
        now = last;
      }
      delay += this.packetTime(len);
    }
    // The kernel lets a time before now pass at once.
    return Math.max(now + delay, 0);
  }

  /** Time of the last frame in the queue, -1 when it is empty. */
  private lastAt(): number {
    const t = this.tree.length > 0 ? this.tree[this.tree.length - 1]!.sendAt : -1;
    const l = this.tail === null ? -1 : this.tail.sendAt;
    const f = this.front.length > 0 ? this.front[this.front.length - 1]!.sendAt : -1;
    return Math.max(t, l, f);
  }

  /** packet_time_ns: how long `len` bytes are on the wire. */
  private packetTime(len: number): number {
    len += this.packetOverhead;
    if (this.cellSize > 0) len = Math.ceil(len / this.cellSize) * (this.cellSize + this.cellOverhead);
    return Math.floor((Math.max(len, 0) * 1e9) / this.rate);
  }

  /** tfifo_enqueue. */
  private insert(skb: Skb): void {
    skb.next = null;
    if (this.tail === null || skb.sendAt >= this.tail.sendAt) {
      if (this.tail === null) this.head = skb;
      else this.tail.next = skb;
      this.tail = skb;
      return;
    }
    let i = this.tree.length;
    while (i > 0 && this.tree[i - 1]!.sendAt > skb.sendAt) i--;
    this.tree.splice(i, 0, skb);
  }

  /** netem_dequeue: the next frame whose time has come, or null. */
  private dequeue(now: number): Skb | null {
    let skb = this.front.shift() ?? null;
    if (skb === null) {
      const t = this.tree[0] ?? null;
      const l = this.head;
      const fromTree = t !== null && (l === null || t.sendAt < l.sendAt);
      skb = fromTree ? t : l;
      if (skb === null || skb.sendAt > now) return null;
      if (fromTree) this.tree.shift();
      else {
        this.head = skb.next;
        if (this.head === null) this.tail = null;
      }
    }
    skb.next = null;
    skb.waiting = false;
    this.qlen--;
    this.backlog -= skb.tail - skb.head;
    return skb;
  }

  /** Sends what is due (qdisc_run), and wakes up for the rest. */
  private run(): void {
    const { sim } = this.dev.kernel;
    for (let skb = this.dequeue(sim.now); skb !== null; skb = this.dequeue(sim.now)) {
      this.packets++;
      this.bytes += skb.tail - skb.head;
      devHardStartXmit(this.dev, skb);
    }
    const next = Math.min(this.tree[0]?.sendAt ?? Infinity, this.head?.sendAt ?? Infinity);
    if (next === Infinity) sim.cancel(this.watchdog);
    else if (this.watchdog.slot < 0 || this.watchdog.at !== next) sim.arm(this.watchdog, next);
  }

  override reset(): void {
    for (let skb = this.dequeue(Infinity); skb !== null; skb = this.dequeue(Infinity)) {
      drop(this.dev.net, skb, 'QDISC_DROP');
    }
    this.dev.kernel.sim.cancel(this.watchdog);
  }
}
