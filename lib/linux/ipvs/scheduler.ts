/**
 * What a scheduler is: it picks a destination of a service for a new connection. One file a scheduler.
 *
 * Destinations stand newest first, as the kernel keeps them (ip_vs_ctl.c, list_add).
 * @module
 */
import type { Dest, Service } from './service.js';
import { Rr } from './sched-rr.js';
import { Wrr } from './sched-wrr.js';
import { Fo, Lc, Nq, Ovf, Sed, Wlc } from './sched-lc.js';
import { Dh, Sh } from './sched-hash.js';
import { Mh } from './sched-mh.js';

export interface Scheduler {
  readonly name: string;
  /** A server with a weight that may take the connection, or null. */
  pick(svc: Service, caddr: number, cport: number, vaddr: number): Dest | null;
  added(svc: Service, d: Dest): void;
  /** Called while `d` still stands in the list. */
  removing(svc: Service, d: Dest): void;
  /** The list or a weight has changed. */
  changed(svc: Service): void;
}

const MAKERS: Readonly<Record<string, () => Scheduler>> = {
  rr: () => new Rr(),
  wrr: () => new Wrr(),
  lc: () => new Lc(),
  wlc: () => new Wlc(),
  sed: () => new Sed(),
  nq: () => new Nq(),
  fo: () => new Fo(),
  ovf: () => new Ovf(),
  sh: () => new Sh(),
  dh: () => new Dh(),
  mh: () => new Mh(),
};
export const SCHEDULERS: readonly string[] = Object.keys(MAKERS);

/** A fresh scheduler by name, null when there is none. */
export function makeScheduler(name: string): Scheduler | null {
  return Object.hasOwn(MAKERS, name) ? MAKERS[name]!() : null;
}
