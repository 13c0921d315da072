/**
 * What a scheduler is: it picks a destination of a service for a new connection. One file a scheduler or a family of them.
 *
 * Destinations stand newest first, as the kernel keeps them (ip_vs_ctl.c, list_add).
 * @module
 */
import { Dh, Sh } from './sched-hash.js';
import { Fo, Lc, Nq, Ovf, Sed, Wlc } from './sched-lc.js';
import { Lblc } from './sched-lblc.js';
import { Lblcr } from './sched-lblcr.js';
import { Mh } from './sched-mh.js';
import { Rr } from './sched-rr.js';
import { Wrr } from './sched-wrr.js';
import type { Dest, Service } from './service.js';

/** A service's scheduler (struct ip_vs_scheduler with svc->sched_data). */
export interface Scheduler {
  readonly name: string;
  /** It becomes the service's (init_service). */
  init(svc: Service): void;
  /** It ends (done_service). */
  done(): void;
  /**
   * A server for the connection of `caddr:cport` to `vaddr`, the address in the packet (host order, ports as numbers), or
   * null. `now`: the virtual time.
   */
  pick(svc: Service, caddr: number, cport: number, vaddr: number, now: number): Dest | null;
  /** A server was added, edited, or taken from place `index` of the list (add_dest, upd_dest, del_dest). */
  added(svc: Service): void;
  edited(svc: Service): void;
  removed(svc: Service, d: Dest, index: number): void;
}

/** Times after which lblcr takes a server from a set (sysctl lblcr_expiration), in seconds. */
export interface Expiration {
  lblcr(): number;
}

const MAKERS: Readonly<Record<string, (e: Expiration) => Scheduler>> = {
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
  lblc: () => new Lblc(),
  lblcr: (e) => new Lblcr(e),
};
export const SCHEDULERS: readonly string[] = Object.keys(MAKERS);

/** A fresh scheduler by name, null when there is none. */
export function makeScheduler(name: string, e: Expiration): Scheduler | null {
  return Object.hasOwn(MAKERS, name) ? MAKERS[name]!(e) : null;
}
