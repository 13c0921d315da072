/**
 * A virtual service and its destinations (struct ip_vs_service, ip_vs_dest).
 * @module
 */
import type { Dst } from '../ipv4/dst.js';
import { Stats } from './est.js';
import type { Scheduler } from './scheduler.js';

/** Service flags: connections of one packet, then what `-b` sets (fallback and port, for sh and mh). */
export const ONEPACKET = 0x04;
export const SCHED1 = 0x08;
export const SCHED2 = 0x10;
export const SCHED3 = 0x20;

/** How packets get to a server (IP_VS_CONN_F_FWD_MASK). */
export const MASQ = 0;
export const LOCALNODE = 1;
export const TUNNEL = 2;
export const DROUTE = 3;
/** No server is known: the packet goes where it was sent to. */
export const BYPASS = 4;

/** What an administrator says of a server (struct ip_vs_dest_user_kern). */
export interface DestOptions {
  weight: number;
  fwd: number;
  /** Connections from which on, and below which, a server is overloaded and not any more; 0: never. */
  uThreshold: number;
  lThreshold: number;
}

export class Dest {
  svc: Service;
  readonly addr: number;
  readonly port: number;
  weight = 0;
  /** The last weight that was not 0 since it was added, or 0. */
  lastWeight = 0;
  fwd = MASQ;
  uThreshold = 0;
  lThreshold = 0;
  overload = false;
  /** Connections: those in an active state, all, and persistence templates. */
  active = 0;
  total = 0;
  persistent = 0;
  /** Who else knows it: caches of lblc and lblcr. */
  cached = 0;
  available = true;
  /** The route to it and the source address that goes with it (dest_dst), null: none kept. */
  dst: Dst | null = null;
  dstSaddr = 0;
  /** When it was first seen unused in the trash, 0: not yet. */
  idleStart = 0;
  readonly stats = new Stats();

  constructor(svc: Service, addr: number, port: number) {
    this.svc = svc;
    this.addr = addr;
    this.port = port;
  }

  get inactive(): number {
    return this.total - this.active;
  }

  /** Counts a connection or a template that begins: at the upper threshold the server is overloaded (ip_vs_bind_dest). */
  bind(template: boolean): void {
    if (template) this.persistent++;
    else this.total++;
    if (this.uThreshold !== 0 && this.total >= this.uThreshold) this.overload = true;
  }

  /** Counts one that ends: below the lower threshold, or three quarters of the upper one, it is not (ip_vs_unbind_dest). */
  unbind(template: boolean): void {
    if (template) this.persistent--;
    else this.total--;
    const { lThreshold: l, uThreshold: u, total } = this;
    if (l !== 0 ? total < l : u === 0 || total * 4 < u * 3) this.overload = false;
  }

  /** Thresholds from the administrator: a higher one or none lets connections in again (__ip_vs_update_dest). */
  setThresholds(upper: number, lower: number): void {
    if (upper === 0 || upper > this.uThreshold) this.overload = false;
    this.uThreshold = upper;
    this.lThreshold = lower;
  }
}

export class Service {
  /** 0 in proto, addr and port when `fwmark` is not 0. */
  readonly proto: number;
  readonly addr: number;
  readonly port: number;
  readonly fwmark: number;
  /** Null: the scheduler `none`, which serves nobody. */
  sched: Scheduler | null = null;
  /** ONEPACKET | SCHED1 | SCHED2 | SCHED3. */
  flags = 0;
  /** Persistence in seconds, 0: none. */
  persistent = 0;
  netmask = -1;
  /** Newest first. */
  dests: Dest[] = [];
  readonly stats = new Stats();

  constructor(proto: number, addr: number, port: number, fwmark: number) {
    this.proto = proto;
    this.addr = addr;
    this.port = port;
    this.fwmark = fwmark;
  }
}
