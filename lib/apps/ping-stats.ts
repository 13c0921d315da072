/**
 * What iputils' `ping` counts and sums up, in its own whole numbers (struct ping_rts, finish).
 * @module
 */

export class PingStats {
  sent = 0;
  received = 0;
  repeats = 0;
  errors = 0;
  /** Round trips in microseconds. */
  max = 0;
  private min = Number.MAX_SAFE_INTEGER;
  private sum = 0;
  private squares = 0;
  /** Eight times the smoothed round trip. */
  private smooth = 0;
  /** A time of day in an answer was one to come. */
  wentBack = false;
  /** When the latest probe was tried, ns; -1: none yet. */
  tried = -1;
  /** Sequence numbers that have been answered; a second answer is a duplicate. */
  readonly answered = new Set<number>();
  private readonly began: number;
  private acked = 0;
  private pipe = -1;

  constructor(now: number) {
    this.began = now;
  }

  /** One more probe is out (advance_ntransmitted). */
  advance(): void {
    this.sent++;
    if ((this.sent & 0xffff) - this.acked > 0x7fff) this.acked = (this.sent + 1) & 0xffff;
  }

  /** Probes without an answer so far. */
  inFlight(): number {
    const diff = ((this.sent & 0xffff) - this.acked) & 0xffff;
    return diff <= 0x7fff ? diff : this.sent - this.received - this.errors;
  }

  acknowledge(seq: number): void {
    const diff = ((this.sent & 0xffff) - seq) & 0xffff;
    if (diff > 0x7fff) return;
    this.pipe = Math.max(this.pipe, diff + 1);
    if (((seq - this.acked) << 16) >> 16 > 0 || (this.sent & 0xffff) - this.acked > 0x7fff) this.acked = seq;
  }

  /** A round trip of `us` microseconds. */
  time(us: number): void {
    this.sum += us;
    this.squares += us * us;
    this.min = Math.min(this.min, us);
    this.max = Math.max(this.max, us);
    if (this.smooth === 0) this.smooth = us * 8;
    else this.smooth += us - Math.floor(this.smooth / 8);
  }

  /** Counts an answer; true when it was one said twice. */
  answer(seq: number): boolean {
    if (this.answered.has(seq)) {
      this.repeats++;
      return true;
    }
    this.received++;
    this.answered.add(seq);
    return false;
  }

  /** The lines behind the title: counts, times when they were `timed`, and the pace of a flood. */
  text(timed: boolean, flood: boolean): string {
    const ns = this.tried - this.began;
    let s = `${this.sent} packets transmitted, ${this.received} received`;
    if (this.repeats > 0) s += `, +${this.repeats} duplicates`;
    if (this.errors > 0) s += `, +${this.errors} errors`;
    if (this.sent > 0) {
      const loss = Math.fround(((this.sent - this.received) * 100) / this.sent);
      s += `, ${Number(loss.toPrecision(6))}% packet loss, time ${Math.floor((ns + 500000) / 1e6)}ms`;
    }
    const sums: string[] = [];
    if (this.received > 0 && timed) sums.push(`rtt min/avg/max/mdev = ${this.times()} ms`);
    if (this.pipe > 1) sums.push(`pipe ${this.pipe}`);
    if (this.received > 0 && flood && this.sent > 1) {
      const gap = Math.floor(ns / 1000 / (this.sent - 1));
      sums.push(`ipg/ewma ${ms(gap)}/${ms(Math.floor(this.smooth / 8))} ms`);
    }
    return `${s}\n${sums.join(', ')}\n`;
  }

  private times(): string {
    const n = this.received + this.repeats;
    const avg = Math.floor(this.sum / n);
    const variance =
      this.sum < 0x7fffffff
        ? Math.trunc((this.squares - (this.sum * this.sum) / n) / n)
        : Math.trunc(this.squares / n - avg * avg);
    return [this.min, avg, this.max, root(variance)].map(ms).join('/');
  }
}

/** Microseconds as milliseconds with three digits. */
const ms = (us: number): string => `${Math.floor(us / 1000)}.${String(us % 1000).padStart(3, '0')}`;

/** llsqrt: the whole root by Newton's method. */
function root(a: number): number {
  let last = Number.MAX_SAFE_INTEGER;
  let x = a;
  while (x > 0 && x < last) {
    last = x;
    x = Math.floor((x + Math.floor(a / x)) / 2);
  }
  return x;
}

/** A round trip in microseconds as milliseconds: fewer digits, the longer it is. */
export function rttText(us: number): string {
  if (us >= 100000 - 50) return String(Math.floor((us + 500) / 1000));
  if (us >= 10000 - 5) return `${Math.floor((us + 50) / 1000)}.${Math.floor(((us + 50) % 1000) / 100)}`;
  if (us < 1000) return ms(us);
  return `${Math.floor((us + 5) / 1000)}.${String(Math.floor(((us + 5) % 1000) / 10)).padStart(2, '0')}`;
}
