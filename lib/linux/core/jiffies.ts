/**
 * The kernel's tick (HZ=100, as on the machine that judges us) and how its timer wheel rounds.
 *
 * A timer never fires early: on the wheel's first level up to one tick late, on the next up to 8, then 64 …; so a one-second
 * timer takes 1.00 to 1.08 s. Kernel counterpart: kernel/time/timer.c (calc_wheel_index).
 * @module
 */
import type { Sim, Timer } from '../../sim/sim.js';

export const HZ = 100;
const TICK_NS = 1e9 / HZ;

/** Ticks since boot. */
export const jiffies = (sim: Sim): number => Math.floor(sim.now / TICK_NS);

/** Rounds up, as usecs_to_jiffies does. */
export const usecsToJiffies = (us: number): number => Math.ceil(us / (1e6 / HZ));

/** Arms `timer` for the tick `expires` (mod_timer): it fires at the end of the wheel's bucket. */
export function modTimer(sim: Sim, timer: Timer, expires: number): void {
  const now = jiffies(sim);
  let delta = expires - now;
  if (delta < 0) {
    expires = now;
    delta = 0;
  }
  let shift = 0;
  for (let level = 63; delta >= level && shift < 24; level *= 8) shift += 3;
  const unit = 2 ** shift;
  sim.armWheel(timer, (Math.floor(expires / unit) + 1) * unit * TICK_NS, shift / 3);
}

/** Arms `timer` for a moment of the virtual clock, which the wheel rounds. */
export const armAt = (sim: Sim, timer: Timer, at: number): void => modTimer(sim, timer, Math.floor(at / TICK_NS));
