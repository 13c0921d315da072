/**
 * The virtual clock and everything that waits for it.
 *
 *   softirq ring   frames handed over "now" (the per-CPU backlog): FIFO, drained first
 *   run queue      processes that have been woken: FIFO, one at a time, the ring drained after each; one that has slept
 *                  preempts the running process where that leaves a system call (`preempt`)
 *   timer heap     (at, seq): earliest first, insertion order among equals
 *
 * Time is nanoseconds since boot of the Lab as a plain number (exact up to 104 days). Nothing here is asynchronous.
 * @module
 */

export const NS = 1;
export const US = 1e3;
export const MS = 1e6;
export const SEC = 1e9;

/** Work that may be done at one instant, and frames that may wait, before it counts as endless. */
const MAX_AT_ONCE = 4e6;
const MAX_RING = 1 << 20;

/** Frames, processes or timers keep each other going while the clock stands still: a loop of bridges, `ping -i 0`. */
export class EndlessLoop extends Error {
  constructor(now: number) {
    super(`no end at ${now / SEC} s: something goes round without time passing, such as frames in a loop of bridges`);
    this.name = 'EndlessLoop';
  }
}

/** A timer: owned by whoever created it, re-armed without allocation. */
export class Timer {
  at = 0;
  seq = 0;
  /** Position in the heap, -1 while not armed. */
  slot = -1;
  /** On the kernel's timer wheel: armed by armWheel. */
  wheel = false;
  readonly fire: () => void;

  constructor(fire: () => void) {
    this.fire = fire;
  }
}

/** A process as the scheduler sees it: all sockets of one program share it. */
export interface Task {
  /** When it last gave the CPU away. */
  ranAt: number;
}

/** Work put off until the frames of this instant are dealt with. */
export interface Tasklet {
  tasklet(): void;
}

/** A process waiting for the CPU. */
export interface Runnable {
  run(): void;
  /** True while in the run queue; kept by `Sim.wake`. */
  queued: boolean;
  /** The process it belongs to, where that matters for who runs first. */
  task?: Task | null;
}

/** What the ring drains: a receiver and its argument. */
export interface Softirq<T> {
  softirq(arg: T): void;
}

export class Sim {
  now = 0;
  private seq = 0;
  private heap: Timer[] = [];
  private ringTo: Softirq<unknown>[] = new Array(256);
  private ringArg: unknown[] = new Array(256);
  private ringHead = 0;
  private ringTail = 0;
  private inSoftirq = false;
  private runq: Runnable[] = [];
  private runHead = 0;
  /** What was done since the clock last moved. */
  private atOnce = 0;
  private preemptq: Runnable[] = [];
  private tasklets: Tasklet[] = [];
  /** The process that runs now, null in softirqs and timers. */
  current: Task | null = null;

  /** Appends to the softirq ring (`netif_rx`); it runs once the caller's softirq or system call has ended. */
  raise<T>(to: Softirq<T>, arg: T): void {
    const mask = this.ringTo.length - 1;
    if (((this.ringTail + 1) & mask) === this.ringHead) this.growRing();
    this.ringTo[this.ringTail] = to as Softirq<unknown>;
    this.ringArg[this.ringTail] = arg;
    this.ringTail = (this.ringTail + 1) & (this.ringTo.length - 1);
  }

  /** Drains the softirq ring (`do_softirq`); does nothing when already inside. Throws EndlessLoop. */
  drain(): void {
    if (this.inSoftirq) return;
    this.inSoftirq = true;
    let n = 0;
    while (this.ringHead !== this.ringTail) {
      if (++n > MAX_AT_ONCE) throw new EndlessLoop(this.now);
      const to = this.ringTo[this.ringHead]!;
      const arg = this.ringArg[this.ringHead];
      this.ringArg[this.ringHead] = undefined;
      this.ringHead = (this.ringHead + 1) & (this.ringTo.length - 1);
      to.softirq(arg);
      if (this.ringHead === this.ringTail) this.runTasklets();
    }
    this.inSoftirq = false;
  }

  /** Runs `t` once the ring is empty (tasklet_schedule, TASKLET_SOFTIRQ). */
  tasklet(t: Tasklet): void {
    this.tasklets.push(t);
  }

  private runTasklets(): void {
    if (this.tasklets.length === 0) return;
    const due = this.tasklets;
    this.tasklets = [];
    for (const t of due) t.tasklet();
  }

  /** Puts a process on the run queue unless it is there already. */
  wake(p: Runnable): void {
    if (p.queued) return;
    p.queued = true;
    const t = p.task ?? null;
    if (t !== null && t !== this.current && t.ranAt < this.now) this.preemptq.push(p);
    else this.runq.push(p);
  }

  /**
   * A system call ends: processes that were woken and had slept run at once, as CFS lets a sleeper run before the process
   * that woke it; one that has run at this very moment waits until the running one sleeps.
   */
  preempt(): void {
    if (this.inSoftirq) return;
    for (let p = this.preemptq.shift(); p !== undefined; p = this.preemptq.shift()) {
      if (++this.atOnce > MAX_AT_ONCE) throw new EndlessLoop(this.now);
      this.runOne(p);
      this.drain();
    }
  }

  /** Runs `start`, the beginning of a process, as that process. */
  runAs(task: Task, start: () => void): void {
    const before = this.current;
    this.current = task;
    start();
    task.ranAt = this.now;
    this.current = before;
  }

  private runOne(p: Runnable): void {
    const before = this.current;
    p.queued = false;
    this.current = p.task ?? null;
    p.run();
    if (this.current !== null) this.current.ranAt = this.now;
    this.current = before;
  }

  /** Arms (or re-arms) a timer at an absolute time. Throws on a time in the past: that is a bug. */
  arm(t: Timer, at: number): void {
    this.insert(t, at, this.seq++);
    t.wheel = false;
  }

  /**
   * Arms a timer of the kernel's wheel (enqueue_timer): all that end with one tick fire in one softirq, before what they
   * sent is received; higher levels first, within a level the latest first. One that stays in its bucket keeps its place.
   */
  armWheel(t: Timer, at: number, level: number): void {
    if (t.slot >= 0 && t.wheel && t.at === at) return;
    this.insert(t, at, -(level * 2 ** 48 + this.seq++) - 1);
    t.wheel = true;
  }

  private insert(t: Timer, at: number, seq: number): void {
    if (!(at >= this.now)) throw new Error(`BUG: timer armed at ${at}, now is ${this.now}`);
    if (t.slot >= 0) this.remove(t);
    t.at = at;
    t.seq = seq;
    t.slot = this.heap.length;
    this.heap.push(t);
    this.up(t.slot);
  }

  /** Disarms a timer; harmless when it is not armed. */
  cancel(t: Timer): void {
    if (t.slot >= 0) this.remove(t);
  }

  /** A new timer `delay` ns from now. For callers outside the data path: it allocates. */
  after(delay: number, fire: () => void): Timer {
    const t = new Timer(fire);
    this.arm(t, this.now + delay);
    return t;
  }

  /** Runs softirqs and woken processes until neither is left; the clock stands still. */
  settle(): void {
    for (;;) {
      this.drain();
      this.preempt();
      if (this.runHead === this.runq.length) break;
      const p = this.runq[this.runHead++]!;
      if (++this.atOnce > MAX_AT_ONCE) throw new EndlessLoop(this.now);
      if (this.runHead === this.runq.length) {
        this.runq.length = 0;
        this.runHead = 0;
      }
      this.runOne(p);
    }
  }

  /** Runs everything up to and including `until`, then leaves the clock there. */
  runUntil(until: number): void {
    this.settle();
    while (this.heap.length > 0 && this.heap[0]!.at <= until) this.step();
    this.now = until;
  }

  /** Fires the earliest timer and settles. False when no timer is armed. */
  step(): boolean {
    const t = this.heap[0];
    if (t === undefined) return false;
    if (t.at < this.now) throw new Error(`BUG: time went back from ${this.now} to ${t.at}`);
    if (t.at !== this.now) this.atOnce = 0;
    else if (++this.atOnce > MAX_AT_ONCE) throw new EndlessLoop(this.now);
    this.now = t.at;
    if (t.wheel) this.fireTick();
    else {
      this.remove(t);
      t.fire();
    }
    this.settle();
    return true;
  }

  /** TIMER_SOFTIRQ: the wheel's timers of this tick; what they send is received after the last of them. */
  private fireTick(): void {
    this.inSoftirq = true;
    for (let t = this.heap[0]; t !== undefined && t.wheel && t.at === this.now; t = this.heap[0]) {
      if (++this.atOnce > MAX_AT_ONCE) throw new EndlessLoop(this.now);
      this.remove(t);
      t.fire();
    }
    this.inSoftirq = false;
  }

  /** Time of the earliest timer, or Infinity. */
  nextAt(): number {
    return this.heap.length > 0 ? this.heap[0]!.at : Number.POSITIVE_INFINITY;
  }

  private growRing(): void {
    const n = this.ringTo.length;
    if (n >= MAX_RING) throw new EndlessLoop(this.now);
    const to = new Array<Softirq<unknown>>(n * 2);
    const arg = new Array<unknown>(n * 2);
    let k = 0;
    for (let i = this.ringHead; i !== this.ringTail; i = (i + 1) & (n - 1)) {
      to[k] = this.ringTo[i]!;
      arg[k++] = this.ringArg[i];
    }
    this.ringTo = to;
    this.ringArg = arg;
    this.ringHead = 0;
    this.ringTail = k;
  }

  private remove(t: Timer): void {
    const i = t.slot;
    const last = this.heap.pop()!;
    t.slot = -1;
    if (last === t) return;
    this.heap[i] = last;
    last.slot = i;
    this.up(i);
    this.down(last.slot);
  }

  private up(i: number): void {
    const h = this.heap;
    const t = h[i]!;
    while (i > 0) {
      const p = (i - 1) >> 1;
      const q = h[p]!;
      if (q.at < t.at || (q.at === t.at && q.seq < t.seq)) break;
      h[i] = q;
      q.slot = i;
      i = p;
    }
    h[i] = t;
    t.slot = i;
  }

  private down(i: number): void {
    const h = this.heap;
    const t = h[i]!;
    for (;;) {
      let c = 2 * i + 1;
      if (c >= h.length) break;
      const r = h[c + 1];
      if (r !== undefined && (r.at < h[c]!.at || (r.at === h[c]!.at && r.seq < h[c]!.seq))) c++;
      const q = h[c]!;
      if (t.at < q.at || (t.at === q.at && t.seq < q.seq)) break;
      h[i] = q;
      q.slot = i;
      i = c;
    }
    h[i] = t;
    t.slot = i;
  }
}
