/**
 * A virtual service and its destinations (struct ip_vs_service, ip_vs_dest).
 * @module
 */
import type { Scheduler } from './scheduler.js';

/** Service flags as `-b` sets them: fallback and port, for sh and mh. */
export const SCHED1 = 0x08;
export const SCHED2 = 0x10;

export class Dest {
  readonly addr: number;
  readonly port: number;
  weight: number;
  /** The last weight that was not 0 since it was added, or 0. */
  lastWeight: number;
  active = 0;
  inactive = 0;
  /** Upper and lower connection thresholds are not supported: a server is never overloaded. */
  available = true;

  constructor(addr: number, port: number, weight: number) {
    this.addr = addr;
    this.port = port;
    this.weight = weight;
    this.lastWeight = weight;
  }
}

/** A persistence template: one client (or client network) stays with one server. */
export interface Template {
  dest: Dest;
  client: number;
  /** Time until it ends anew from its last use, ns: the service's, later a minute (ip_vs_conn_expire). */
  timeout: number;
  expires: number;
  /** Connections that it controls. */
  controls: number;
  /** When the last of those that have ended did so. */
  lastEnd: number;
  /** A server has answered (IP_VS_CTPL_S_ASSURED). */
  assured: boolean;
}

export class Service {
  readonly proto: number;
  readonly addr: number;
  readonly port: number;
  sched: Scheduler;
  /** SCHED1 | SCHED2. */
  flags: number;
  /** Persistence in seconds, 0: none. */
  persistent: number;
  netmask: number;
  /** Newest first. */
  dests: Dest[] = [];
  readonly templates = new Map<number, Template>();

  constructor(proto: number, addr: number, port: number, sched: Scheduler) {
    this.proto = proto;
    this.addr = addr;
    this.port = port;
    this.sched = sched;
    this.flags = 0;
    this.persistent = 0;
    this.netmask = -1;
  }
}
