/**
 * IPVS of one namespace: services and their servers, added, edited, deleted (net/netfilter/ipvs/ip_vs_ctl.c).
 *
 * The hooks are registered while there is a service. A deleted server stays in the trash, where one that is added again
 * finds its counters, until nothing has used it for two minutes.
 * Not here: FTP (no helper, and port 21 does not switch conntrack on), the defence strategies, synchronisation, IPv6.
 * @module
 */
import { SEC, Timer } from '../../sim/sim.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import { inetAddrType, RTN_LOCAL, RTN_UNICAST } from '../ipv4/route.js';
import { ConnTable } from './conn.js';
import { registerHooks, unregisterHooks } from './core.js';
import { Timeouts } from './proto.js';
import type { Expiration, Scheduler } from './scheduler.js';
import { Dest, type DestOptions, Service, TUNNEL } from './service.js';

export const FTPPORT = 21;
export const FTPDATA = 20;
const TCP = 6;
const TRASH_PERIOD = 120 * SEC;
/** sysctl of lblcr, registered with that scheduler. */
const DAY = 86400;

/** struct netns_ipvs. */
export class Ipvs implements Expiration {
  readonly net: Netns;
  readonly conns: ConnTable;
  /** The source address of the route that was last taken to a server (ret_saddr of __ip_vs_get_out_rt). */
  outSaddr = 0;
  readonly timeouts = new Timeouts();
  readonly services: Service[] = [];
  /** The same for the data path: by virtual address, and by firewall mark. */
  private readonly byAddr = new Map<number, Service[]>();
  private readonly byMark = new Map<number, Service>();
  private ftpServices = 0;
  private nullServices = 0;
  private readonly trash: Dest[] = [];
  private readonly trashTimer = new Timer(() => this.expireTrash());
  private readonly nodestTimer = new Timer(() => this.conns.flushNodest());

  constructor(net: Netns) {
    this.net = net;
    this.conns = new ConnTable(net);
  }

  private get now(): number {
    return this.net.kernel.sim.now;
  }

  /** An integer below net.ipv4.vs, by its whole name. */
  sysctl(name: string, byDefault: number): number {
    return this.net.sysctl.get(name) ?? byDefault;
  }

  lblcr(): number {
    return this.sysctl('net.ipv4.vs.lblcr_expiration', DAY);
  }

  /** The service that is configured so, or null (__ip_vs_service_find, __ip_vs_svc_fwm_find). */
  find(proto: number, addr: number, port: number, fwmark: number): Service | null {
    if (fwmark !== 0) return this.byMark.get(fwmark) ?? null;
    const list = this.byAddr.get(addr);
    if (list === undefined) return null;
    for (let i = 0; i < list.length; i++) if (list[i]!.port === port && list[i]!.proto === proto) return list[i]!;
    return null;
  }

  /** The service of a packet: by its mark, by its destination, by port 21 for FTP data, by port 0 (ip_vs_service_find). */
  lookup(mark: number, proto: number, addr: number, port: number): Service | null {
    if (mark !== 0 && this.byMark.size > 0) {
      const s = this.byMark.get(mark >>> 0);
      if (s !== undefined) return s;
    }
    let s = this.find(proto, addr, port, 0);
    if (s === null && this.ftpServices > 0 && proto === TCP && (port === FTPDATA || port >= 1024)) {
      s = this.find(proto, addr, FTPPORT, 0);
    }
    if (s === null && this.nullServices > 0) s = this.find(proto, addr, 0, 0);
    return s;
  }

  /** A new service (ip_vs_add_service); there must be none of its kind. */
  addService(s: Service, sched: Scheduler | null): void {
    if (this.services.length === 0) registerHooks(this);
    this.bindScheduler(s, sched);
    this.count(s, 1);
    this.services.push(s);
    if (s.fwmark !== 0) this.byMark.set(s.fwmark, s);
    else this.byAddr.set(s.addr, [...(this.byAddr.get(s.addr) ?? []), s]);
    s.stats.start(this.now);
  }

  private count(s: Service, n: number): void {
    if (s.port === FTPPORT) this.ftpServices += n;
    else if (s.port === 0) this.nullServices += n;
  }

  private bindScheduler(s: Service, sched: Scheduler | null): void {
    s.sched = sched;
    sched?.init(s);
  }

  /** Another scheduler, unless it is the same one (ip_vs_edit_service). */
  editScheduler(s: Service, sched: Scheduler | null): void {
    if (s.sched?.name === sched?.name) return;
    s.sched?.done();
    this.bindScheduler(s, sched);
  }

  delService(s: Service): void {
    this.services.splice(this.services.indexOf(s), 1);
    if (s.fwmark !== 0) this.byMark.delete(s.fwmark);
    else {
      const rest = this.byAddr.get(s.addr)!.filter((x) => x !== s);
      if (rest.length > 0) this.byAddr.set(s.addr, rest);
      else this.byAddr.delete(s.addr);
    }
    if (this.services.length === 0) unregisterHooks(this);
    s.stats.stop(this.now);
    s.sched?.done();
    s.sched = null;
    for (const d of [...s.dests]) this.unlinkDest(s, d);
    this.count(s, -1);
  }

  flush(): void {
    for (const s of [...this.services]) this.delService(s);
  }

  findDest(s: Service, addr: number, port: number): Dest | null {
    return s.dests.find((d) => d.addr === addr && d.port === port) ?? null;
  }

  /** A new server, or one from the trash with its counters; null when the address is no host's (ip_vs_add_dest). */
  addDest(s: Service, addr: number, port: number, o: DestOptions): Dest | null {
    const i = this.trash.findIndex(
      (d) =>
        d.addr === addr && d.port === port && d.svc.fwmark === s.fwmark && d.svc.proto === s.proto &&
        (s.fwmark !== 0 || (d.svc.addr === s.addr && d.svc.port === s.port)),
    ); // prettier-ignore
    let d: Dest;
    if (i >= 0) {
      d = this.trash.splice(i, 1)[0]!;
      if (d.svc !== s) {
        d.stats.zero(this.now);
        d.svc = s;
      }
    } else {
      const type = inetAddrType(this.net, addr);
      if (type !== RTN_LOCAL && type !== RTN_UNICAST) return null;
      d = new Dest(s, addr, port);
    }
    d.lastWeight = o.weight;
    this.update(d, o);
    d.available = true;
    d.stats.start(this.now);
    s.dests.unshift(d);
    s.sched?.added(s);
    return d;
  }

  editDest(s: Service, d: Dest, o: DestOptions): void {
    if (o.weight !== 0) d.lastWeight = o.weight;
    this.update(d, o);
    s.sched?.edited(s);
  }

  private update(d: Dest, o: DestOptions): void {
    d.weight = o.weight;
    d.fwd = o.fwd;
    d.dst = null;
    d.setThresholds(o.uThreshold, o.lThreshold);
  }

  delDest(s: Service, d: Dest): void {
    const index = s.dests.indexOf(d);
    this.unlinkDest(s, d);
    s.sched?.removed(s, d, index);
  }

  private unlinkDest(s: Service, d: Dest): void {
    const { sim } = this.net.kernel;
    d.available = false;
    s.dests.splice(s.dests.indexOf(d), 1);
    d.stats.stop(sim.now);
    if (this.trash.length === 0) sim.arm(this.trashTimer, sim.now + TRASH_PERIOD / 2);
    this.trash.unshift(d);
    d.idleStart = 0;
    if (this.sysctl('net.ipv4.vs.expire_nodest_conn', 0) !== 0) modTimer(sim, this.nodestTimer, jiffies(sim) + 1);
  }

  /** ip_vs_dest_trash_expire. */
  private expireTrash(): void {
    const { sim } = this.net.kernel;
    for (const d of [...this.trash]) {
      if (d.total + d.persistent + d.cached > 0) continue;
      if (d.idleStart === 0) d.idleStart = Math.max(1, sim.now);
      else if (sim.now >= d.idleStart + TRASH_PERIOD) this.trash.splice(this.trash.indexOf(d), 1);
    }
    if (this.trash.length > 0) sim.arm(this.trashTimer, sim.now + TRASH_PERIOD / 2);
  }

  /** Counters of a service and its servers, or of all, start from zero (ip_vs_zero_service). */
  zero(s: Service): void {
    for (const d of s.dests) d.stats.zero(this.now);
    s.stats.zero(this.now);
  }

  /** True when a server is reached through a tunnel at this address (ip_vs_find_tunnel). */
  findTunnel(addr: number): boolean {
    return this.services.some((s) => s.dests.some((d) => d.fwd === TUNNEL && d.addr === addr));
  }

  /** True when a server of NAT listens there (ip_vs_has_real_service). */
  hasRealService(proto: number, addr: number, port: number): boolean {
    for (const s of this.services) {
      if (s.proto !== proto && s.fwmark === 0) continue;
      for (const d of s.dests) if (d.addr === addr && d.port === port && d.fwd === 0) return true;
    }
    return false;
  }
}

/** The namespace's IPVS, created on first use. */
export function ipvs(net: Netns): Ipvs {
  return (net.ipvs ??= new Ipvs(net));
}
