/**
 * Connections of IPVS and persistence templates: one hash table, a timer each (net/netfilter/ipvs/ip_vs_conn.c).
 *
 * Keyed by protocol and client, it serves both directions. A template is an entry with client port 0 that controls the
 * connections made after it; it outlives its service, as every entry does.
 * @module
 */
import { SEC, Timer } from '../../sim/sim.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import { dropConntrack } from './nfct.js';
import { BYPASS, type Dest, MASQ } from './service.js';

/** Port of a template whose server has gone. */
const INVALID_PORT = 0xffff;
/** State of a template: a connection of it was established, or a server has answered (IP_VS_CTPL_S_ASSURED). */
export const ASSURED = 1;
/** What an entry that has to wait for those it controls gets. */
const LATER = 60 * SEC;
const INITIAL = 3 * SEC;
const BUCKETS = 4096;

const hash = (proto: number, addr: number, port: number): number =>
  (Math.imul(addr ^ Math.imul(port + proto, 0x85ebca6b), 0x9e3779b1) >>> 20) & (BUCKETS - 1);

/** What identifies a connection that comes from a client (struct ip_vs_conn_param); a template has `cport` 0. */
export interface ConnKey {
  proto: number;
  caddr: number;
  cport: number;
  /** The mark for a template of a firewall-mark service. */
  vaddr: number;
  vport: number;
}

export class IpvsConn {
  readonly proto: number;
  readonly caddr: number;
  cport: number;
  readonly vaddr: number;
  vport: number;
  readonly daddr: number;
  dport: number;
  readonly dest: Dest | null;
  /** How packets get to the server, as it was when the entry was made. */
  readonly fwd: number;
  readonly template: boolean;
  readonly onePacket: boolean;
  /** vs.conntrack was on (IP_VS_CONN_F_NFCT). */
  nfct: boolean;
  /** No packet of the server has been seen (IP_VS_CONN_F_NOOUTPUT). */
  noOutput: boolean;
  inactive = true;
  state = 0;
  /** Idle time, ns, and when it ends. */
  timeout = INITIAL;
  expires = 0;
  /** The template it was made from. */
  control: IpvsConn | null = null;
  /** How many it controls. */
  controls = 0;
  hashed = false;
  /** Next of its hash chain. */
  next: IpvsConn | null = null;
  readonly timer: Timer;

  constructor(table: ConnTable, k: ConnKey, daddr: number, dport: number, dest: Dest | null, flags: ConnFlags) {
    this.proto = k.proto;
    this.caddr = k.caddr;
    this.cport = k.cport;
    this.vaddr = k.vaddr;
    this.vport = k.vport;
    this.daddr = daddr;
    this.dport = dport;
    this.dest = dest;
    this.fwd = dest === null ? BYPASS : dest.fwd;
    this.template = flags.template;
    this.onePacket = flags.onePacket;
    this.nfct = flags.nfct;
    this.noOutput = this.fwd !== MASQ && dest !== null;
    this.timer = new Timer(() => table.timedOut(this));
  }
}

export interface ConnFlags {
  readonly template: boolean;
  readonly onePacket: boolean;
  readonly nfct: boolean;
}

export class ConnTable {
  private readonly net: Netns;
  private readonly buckets: (IpvsConn | null)[] = new Array<IpvsConn | null>(BUCKETS).fill(null);

  constructor(net: Netns) {
    this.net = net;
  }

  /** Entry of a packet from the client (ip_vs_conn_in_get); a client without a port never has one. */
  inGet(proto: number, caddr: number, cport: number, vaddr: number, vport: number): IpvsConn | null {
    if (cport === 0) return null;
    for (let c = this.buckets[hash(proto, caddr, cport)]!; c !== null; c = c.next!) {
      if (c.cport === cport && c.vport === vport && c.caddr === caddr && c.vaddr === vaddr && c.proto === proto) return c;
    }
    return null;
  } // prettier-ignore

  /** Entry of a packet from the server (ip_vs_conn_out_get): `saddr:sport` to the client. */
  outGet(proto: number, caddr: number, cport: number, saddr: number, sport: number): IpvsConn | null {
    for (let c = this.buckets[hash(proto, caddr, cport)]!; c !== null; c = c.next!) {
      if (c.cport !== cport || c.caddr !== caddr || c.proto !== proto) continue;
      if (c.fwd === MASQ ? c.dport === sport && c.daddr === saddr : c.vport === sport && c.vaddr === saddr) return c;
    }
    return null;
  }

  /** The template of a client or client network (ip_vs_ct_in_get). */
  templateGet(proto: number, caddr: number, vaddr: number, vport: number): IpvsConn | null {
    for (let c = this.buckets[hash(proto, caddr, 0)]!; c !== null; c = c.next!) {
      if (c.template && c.cport === 0 && c.vport === vport && c.caddr === caddr && c.vaddr === vaddr && c.proto === proto) return c;
    }
    return null;
  } // prettier-ignore

  /** A new entry, in the table unless it is for one packet (ip_vs_conn_new). `put` starts its timer. */
  create(k: ConnKey, daddr: number, dport: number, dest: Dest | null, flags: ConnFlags): IpvsConn {
    const c = new IpvsConn(this, k, daddr, dport, dest, flags);
    dest?.bind(c.template);
    this.link(c);
    return c;
  }

  private link(c: IpvsConn): void {
    if (c.onePacket) return;
    const i = hash(c.proto, c.caddr, c.cport);
    c.next = this.buckets[i]!;
    this.buckets[i] = c;
    c.hashed = true;
  }

  private unlink(c: IpvsConn): void {
    if (!c.hashed) return;
    const i = hash(c.proto, c.caddr, c.cport);
    let p = this.buckets[i]!;
    if (p === c) this.buckets[i] = c.next;
    else {
      while (p.next !== c) p = p.next!;
      p.next = c.next;
    }
    c.next = null;
    c.hashed = false;
  }

  /** A packet is done with the entry: its idle time starts anew; one for a single packet ends (ip_vs_conn_put). */
  put(c: IpvsConn): void {
    if (c.onePacket) return this.expire(c);
    const { sim } = this.net.kernel;
    c.expires = sim.now + c.timeout;
    if (c.timer.slot < 0 || c.timer.at > c.expires) sim.arm(c.timer, c.expires);
  }

  /** The timer was armed for an earlier end than the entry has by now: it is armed again. */
  timedOut(c: IpvsConn): void {
    const { sim } = this.net.kernel;
    if (c.expires > sim.now) sim.arm(c.timer, c.expires);
    else this.expire(c);
  }

  /** ip_vs_conn_expire: the end, a minute later where the entry controls others. */
  private expire(c: IpvsConn): void {
    if (c.controls > 0) {
      c.timeout = LATER;
      return this.put(c);
    }
    this.unlink(c);
    this.net.kernel.sim.cancel(c.timer);
    const { control } = c;
    if (control !== null) {
      control.controls--;
      c.control = null;
      if (c.timeout === 0 && control.controls === 0 && control.state !== ASSURED) this.remove(control);
    }
    if (c.nfct && !c.onePacket) dropConntrack(this.net, c);
    if (c.dest !== null) {
      if (!c.inactive) c.dest.active--;
      c.dest.unbind(c.template);
    }
  }

  /** Ends an entry at once, with a template that nothing else uses and no server has answered (ip_vs_conn_del). */
  remove(c: IpvsConn): void {
    if (c.control !== null) c.timeout = 0;
    this.expire(c);
  }

  /** Ends an entry at the next tick (ip_vs_conn_expire_now). */
  expireNow(c: IpvsConn): void {
    const { sim } = this.net.kernel;
    if (c.timer.slot < 0 || c.expires <= sim.now) return;
    c.expires = sim.now;
    modTimer(sim, c.timer, jiffies(sim));
  }

  /** The server of a template is gone: the template stays, but nobody finds it (ip_vs_check_template). */
  invalidate(c: IpvsConn): void {
    if (c.vport === INVALID_PORT) return;
    this.unlink(c);
    c.vport = c.dport = INVALID_PORT;
    c.cport = 0;
    this.link(c);
  }

  /** Every entry; the order means nothing. */
  all(): IpvsConn[] {
    const found: IpvsConn[] = [];
    for (const b of this.buckets) for (let c = b; c !== null; c = c.next) found.push(c);
    return found;
  }

  /** Ends the entries of servers that are gone (ip_vs_expire_nodest_conn_flush). */
  flushNodest(): void {
    for (const c of this.all()) {
      if (!c.hashed || c.dest === null || c.dest.available || c.controls > 0) continue;
      const { control } = c;
      this.remove(c);
      if (control !== null && control.hashed && control.controls === 0) this.remove(control);
    }
  }
}
