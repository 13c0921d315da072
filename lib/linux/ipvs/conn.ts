/**
 * Connections of IPVS: table, timeouts and the TCP states (ip_vs_conn.c, ip_vs_proto_tcp.c).
 *
 * One hash table keyed by protocol and client serves both directions, as in the kernel; entries end lazily.
 * @module
 */
import { SEC } from '../../sim/sim.js';
import type { Dest, Template } from './service.js';

export const NONE = 0;
const ESTABLISHED = 1;
export const TIME_WAIT = 5;
export const CLOSE = 6;
export const TCP_STATES = [
  'NONE', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT', 'TIME_WAIT', 'CLOSE', 'CLOSE_WAIT', 'LAST_ACK', 'LISTEN',
  'SYNACK',
] as const; // prettier-ignore
const TCP_TIMEOUTS = [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120];
const ACTIVE = [false, true, true, true, false, false, false, false, false, false, true];

/** Next state by packet kind (syn, fin, ack, rst) and old state; input is client to server. */
const INPUT = [
  [3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3],
  [6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 5],
  [6, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1],
  [6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 3],
];
const OUTPUT = [
  [2, 1, 2, 3, 2, 2, 2, 2, 2, 9, 3],
  [5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5],
  [1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1],
  [6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6],
];

export interface IpvsConn {
  readonly proto: number;
  readonly caddr: number;
  readonly cport: number;
  readonly vaddr: number;
  readonly vport: number;
  readonly dest: Dest;
  readonly template: Template | null;
  /** vs.conntrack at creation (IP_VS_CONN_F_NFCT). */
  nfct: boolean;
  state: number;
  inactive: boolean;
  expires: number;
  dead: boolean;
}

/** Seconds for `ipvsadm --set`. */
export interface Timeouts {
  tcp: number;
  tcpfin: number;
  udp: number;
}

const TEMPLATE_DELAY = 60 * SEC;
const BUCKETS = 4096;
const hash = (proto: number, addr: number, port: number): number =>
  (Math.imul(addr ^ Math.imul(port + proto, 0x85ebca6b), 0x9e3779b1) >>> 20) & (BUCKETS - 1);

export class ConnTable {
  readonly timeouts: Timeouts = { tcp: 900, tcpfin: 120, udp: 300 };
  private readonly buckets: IpvsConn[][] = Array.from({ length: BUCKETS }, () => []);
  /** No entry ends before this time. */
  private nextExpiry = Number.POSITIVE_INFINITY;

  /** Entry of a packet from the client (ip_vs_conn_in_get). */
  inGet(proto: number, caddr: number, cport: number, vaddr: number, vport: number, now: number): IpvsConn | null {
    for (const c of this.buckets[hash(proto, caddr, cport)]!) {
      if (c.vaddr !== vaddr || c.vport !== vport || !same(c, proto, caddr, cport)) continue;
      if (c.expires > now) return c;
    }
    return null;
  }

  /** Entry of a packet from the server (ip_vs_conn_out_get). */
  outGet(proto: number, caddr: number, cport: number, daddr: number, dport: number, now: number): IpvsConn | null {
    for (const c of this.buckets[hash(proto, caddr, cport)]!) {
      if (c.dest.addr !== daddr || c.dest.port !== dport || !same(c, proto, caddr, cport)) continue;
      if (c.expires > now) return c;
    }
    return null;
  }

  add(c: IpvsConn): void {
    this.buckets[hash(c.proto, c.caddr, c.cport)]!.push(c);
    if (c.inactive) c.dest.inactive++;
    else c.dest.active++;
    if (c.template !== null) c.template.controls++;
  }

  /** Ends an entry at once (ip_vs_conn_expire_now). */
  remove(c: IpvsConn): void {
    if (c.dead) return;
    c.dead = true;
    const b = this.buckets[hash(c.proto, c.caddr, c.cport)]!;
    b.splice(b.indexOf(c), 1);
    if (c.inactive) c.dest.inactive--;
    else c.dest.active--;
    if (c.template !== null) c.template.controls--;
  }

  private expire(c: IpvsConn): void {
    if (c.template !== null) c.template.lastEnd = Math.max(c.template.lastEnd, c.expires);
    this.remove(c);
  }

  /**
   * False when a template has ended by now. One that still controlled connections when its time was over got another
   * minute, again and again (ip_vs_conn_expire). Call `sweep` before.
   */
  templateAlive(t: Template, now: number): boolean {
    for (; t.expires <= now; t.expires += t.timeout) {
      if (t.controls === 0 && t.lastEnd <= t.expires) return false;
      t.timeout = TEMPLATE_DELAY;
    }
    return true;
  }

  /** Removes what has timed out; cheap when nothing has. */
  sweep(now: number): void {
    if (now < this.nextExpiry) return;
    this.nextExpiry = Number.POSITIVE_INFINITY;
    for (const b of this.buckets) {
      for (let i = b.length - 1; i >= 0; i--) {
        const c = b[i]!;
        if (c.expires <= now) this.expire(c);
        else this.nextExpiry = Math.min(this.nextExpiry, c.expires);
      }
    }
  }

  all(now: number): IpvsConn[] {
    this.sweep(now);
    return this.buckets.flat();
  }

  /** The packet's effect on state and timeout (tcp_state_transition, udp_state_transition). `flags` is the TCP byte. */
  transition(c: IpvsConn, output: boolean, flags: number, now: number): void {
    if (c.proto !== 6) {
      if (output && c.template !== null) c.template.assured = true;
      this.expireAt(c, now + this.timeouts.udp * SEC);
      return;
    }
    const kind = (flags & 4) !== 0 ? 3 : (flags & 2) !== 0 ? 0 : (flags & 1) !== 0 ? 1 : (flags & 16) !== 0 ? 2 : -1;
    const state = kind < 0 ? 6 : (output ? OUTPUT : INPUT)[kind]![c.state]!;
    c.state = state;
    if (state === ESTABLISHED && c.template !== null) c.template.assured = true;
    if (c.inactive === ACTIVE[state]!) {
      c.inactive = !c.inactive;
      const step = c.inactive ? 1 : -1;
      c.dest.inactive += step;
      c.dest.active -= step;
    }
    const seconds = state === 1 ? this.timeouts.tcp : state === 4 ? this.timeouts.tcpfin : TCP_TIMEOUTS[state]!;
    this.expireAt(c, now + seconds * SEC);
  }

  private expireAt(c: IpvsConn, at: number): void {
    c.expires = at;
    if (at < this.nextExpiry) this.nextExpiry = at;
  }
}

const same = (c: IpvsConn, proto: number, caddr: number, cport: number): boolean =>
  c.caddr === caddr && c.cport === cport && c.proto === proto;
