/**
 * Counters of a service or a server and the rates made of them (net/netfilter/ipvs/ip_vs_est.c).
 *
 * What `ipvsadm --stats` shows is the state of the last tick, one every two seconds, less what `-Z` found there. Ticks are
 * counted when somebody looks or counts, so that an idle machine has no timer.
 * @module
 */
import { SEC } from '../../sim/sim.js';

const TICK = 2 * SEC;
/** The order of every array below: connections, packets in and out, bytes in and out. */
const CONNS = 0;
const PACKETS = 1;
const BYTES = 3;
const N = 5;
/** Rates are kept scaled: packets by 2^10, bytes by 2^5; a tick of two seconds halves the factor. */
const SCALE = [1024, 1024, 1024, 32, 32];

/** struct ip_vs_stats with its estimator. */
export class Stats {
  private readonly now_ = new Float64Array(N);
  /** As of the last tick (kstats), and what `-Z` subtracts (kstats0). */
  private readonly tick = new Float64Array(N);
  private readonly zero_ = new Float64Array(N);
  private readonly last = new Float64Array(N);
  private readonly rate = new Float64Array(N);
  private next = TICK;
  private running = false;

  /** Starts the estimator (ip_vs_start_estimator). */
  start(now: number): void {
    this.running = true;
    this.next = (Math.floor(now / TICK) + 1) * TICK;
  }

  /** Stops it: no tick changes anything until it is started again. */
  stop(now: number): void {
    this.advance(now);
    this.running = false;
  }

  /** A connection begins. */
  conn(now: number): void {
    if (now >= this.next) this.advance(now);
    this.now_[CONNS]!++;
  }

  /** A packet of `n` bytes from the client (`dir` 0) or the server (1). */
  packet(dir: number, n: number, now: number): void {
    if (now >= this.next) this.advance(now);
    this.now_[PACKETS + dir]!++;
    this.now_[BYTES + dir]! += n;
  }

  /** Does what estimation_timer did at every tick until now. */
  advance(now: number): void {
    if (!this.running) return;
    while (this.next <= now) {
      this.next += TICK;
      if (!this.estimate()) this.next = (Math.floor(now / TICK) + 1) * TICK;
    }
  }

  /** One tick; false when further ones would change nothing. */
  private estimate(): boolean {
    let moving = false;
    for (let i = 0; i < N; i++) {
      const rate = (this.now_[i]! - this.last[i]!) * (SCALE[i]! / 2);
      this.last[i] = this.tick[i] = this.now_[i]!;
      this.rate[i] = this.rate[i]! + Math.floor((rate - this.rate[i]!) / 4);
      if (this.rate[i] !== 0) moving = true;
    }
    return moving;
  }

  /** `ipvsadm -Z`: counters and rates start again from the last tick (ip_vs_zero_stats). */
  zero(now: number): void {
    this.advance(now);
    for (let i = 0; i < N; i++) {
      this.zero_[i] = this.last[i] = this.tick[i]!;
      this.rate[i] = 0;
    }
  }

  /** The five counters as `--stats` shows them. */
  counters(now: number): number[] {
    this.advance(now);
    return Array.from(this.tick, (v, i) => v - this.zero_[i]!);
  }

  /** The five rates a second as `--rate` shows them, rounded (ip_vs_read_estimator). */
  rates(now: number): number[] {
    this.advance(now);
    return Array.from(this.rate, (v, i) => Math.floor((v + SCALE[i]! / 2 - 1) / SCALE[i]!));
  }
}
