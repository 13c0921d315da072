/**
 * IPVS in NAT mode: services, scheduling, the way of requests and replies.
 *
 *   request  LOCAL_IN 99 | LOCAL_OUT -98 ─▶ connection ─▶ new destination ─[LOCAL_OUT]▶ dstOutput
 *   reply    FORWARD 100 | LOCAL_IN 98 | LOCAL_OUT -99 ─▶ source becomes the VIP
 *
 * Kernel counterpart: net/netfilter/ipvs (ip_vs_core.c, ip_vs_xmit.c, ip_vs_ctl.c). Not here: direct routing, tunnels,
 * firewall marks, one-packet scheduling, synchronisation.
 * @module
 */
import { i32, put16, put32, u16 } from '../../../wire/bytes.js';
import { replace16, replace32 } from '../../../wire/checksum.js';
import * as icmp from '../../../wire/icmp.js';
import { isLoopback, ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, NF_STOLEN, nfHook, registerHook } from '../core/nf-hook.js';
import { CT_IS_REPLY, CT_NONE, PACKET_HOST, type Skb } from '../core/skb.js';
import { icmpSend } from '../ipv4/icmp.js';
import { dstOutput } from '../ipv4/ip-output.js';
import { inetAddrType, ipRouteMeHarder, routeOutput, RTN_LOCAL } from '../ipv4/route.js';
import { S_CONFIRMED } from '../netfilter/ct-conn.js';
import { ConnTable, CLOSE, type IpvsConn, NONE, TIME_WAIT } from './conn.js';
import type { Scheduler } from './scheduler.js';
import { Dest, Service, type Template } from './service.js';

const TCP_FLAGS = 13;
const TCP_CSUM = 16;
const SYN = 2;

/** IPVS of one namespace (struct netns_ipvs). */
export class Ipvs {
  readonly net: Netns;
  readonly services = new Map<string, Service>();
  /** The same by virtual address, for the data path. */
  private readonly byAddr = new Map<number, Service[]>();
  readonly conns = new ConnTable();
  /** Destinations of deleted servers that connections still use, found again by a re-added server. */
  private readonly trash = new Map<string, Dest>();

  constructor(net: Netns) {
    this.net = net;
  }

  sysctl(name: string, byDefault: number): number {
    return this.net.sysctl.get(`net.ipv4.vs.${name}`) ?? byDefault;
  }

  lookup(proto: number, addr: number, port: number): Service | null {
    const list = this.byAddr.get(addr);
    if (list === undefined) return null;
    for (let i = 0; i < list.length; i++) if (list[i]!.port === port && list[i]!.proto === proto) return list[i]!;
    return null;
  }

  /** A new service, null when it exists (ip_vs_add_service). */
  addService(proto: number, addr: number, port: number, sched: Scheduler): Service | null {
    const k = key(proto, addr, port);
    if (this.services.has(k)) return null;
    const s = new Service(proto, addr, port, sched);
    this.services.set(k, s);
    this.byAddr.set(addr, [...(this.byAddr.get(addr) ?? []), s]);
    return s;
  }

  /** Replaces the scheduler of a service (ip_vs_edit_service); `changed` runs in any case. */
  editService(s: Service, sched: Scheduler): void {
    if (s.sched.name !== sched.name) s.sched = sched;
    s.sched.changed(s);
  }

  delService(s: Service): void {
    for (const d of [...s.dests]) this.delDest(s, d);
    this.services.delete(key(s.proto, s.addr, s.port));
    const rest = this.byAddr.get(s.addr)!.filter((x) => x !== s);
    if (rest.length > 0) this.byAddr.set(s.addr, rest);
    else this.byAddr.delete(s.addr);
  }

  flush(): void {
    for (const s of [...this.services.values()]) this.delService(s);
  }

  findDest(s: Service, addr: number, port: number): Dest | null {
    return s.dests.find((d) => d.addr === addr && d.port === port) ?? null;
  }

  /** A new server, or one from the trash with its counters (ip_vs_add_dest). */
  addDest(s: Service, addr: number, port: number, weight: number): Dest {
    const k = `${key(s.proto, s.addr, s.port)} ${addr} ${port}`;
    this.conns.sweep(this.net.kernel.sim.now);
    const d = this.trash.get(k) ?? new Dest(addr, port, weight);
    this.trash.delete(k);
    d.weight = d.lastWeight = weight;
    d.available = true;
    s.dests.unshift(d);
    s.sched.added(s, d);
    s.sched.changed(s);
    return d;
  }

  editDest(s: Service, d: Dest, weight: number): void {
    d.weight = weight;
    if (weight !== 0) d.lastWeight = weight;
    s.sched.changed(s);
  }

  delDest(s: Service, d: Dest): void {
    s.sched.removing(s, d);
    s.dests.splice(s.dests.indexOf(d), 1);
    d.available = false;
    this.conns.sweep(this.net.kernel.sim.now);
    if (d.active + d.inactive > 0) this.trash.set(`${key(s.proto, s.addr, s.port)} ${d.addr} ${d.port}`, d);
    s.sched.changed(s);
  }

  /** ip_vs_in: a packet that may be a client's. */
  in(skb: Skb, hook: number): number {
    const { net } = this;
    if (skb.ipvs || (skb.pktType !== PACKET_HOST && hook !== LOCAL_OUT)) return NF_ACCEPT;
    const b = skb.buf;
    const ip = skb.net;
    const proto = ipv4.proto(b, ip);
    if (proto === ipv4.ICMP) return this.icmp(skb, hook, false);
    const l4 = transport(skb, proto);
    if (l4 < 0) return NF_ACCEPT;
    const { now } = net.kernel.sim;
    const saddr = ipv4.src(b, ip);
    const daddr = ipv4.dst(b, ip);
    const flags = proto === ipv4.TCP ? b[l4 + TCP_FLAGS]! : 0;
    let c = this.conns.inGet(proto, saddr, u16(b, l4), daddr, u16(b, l4 + 2), now);
    if (c !== null && (flags & SYN) !== 0) {
      const weightless = this.sysctl('expire_nodest_conn', 0) !== 0 && c.dest.weight === 0;
      if (
        weightless ||
        (this.sysctl('conn_reuse_mode', 1) !== 0 && c.template === null && (c.state === TIME_WAIT || c.state === CLOSE))
      ) {
        if (this.expireNow(c, skb)) return NF_DROP;
        c = null;
      }
    }
    if (c !== null && !c.dest.available) {
      if (this.sysctl('expire_nodest_conn', 0) === 0) return NF_DROP;
      if (this.expireNow(c, skb)) return NF_DROP;
      c = null;
    }
    if (c === null) {
      if (proto === ipv4.TCP && (flags & SYN) === 0) return NF_ACCEPT;
      const svc = this.lookup(proto, daddr, u16(b, l4 + 2));
      if (svc === null) return NF_ACCEPT;
      c = this.schedule(svc, saddr, u16(b, l4), now);
      if (c === null) {
        icmpSend(net, skb, icmp.DEST_UNREACH, icmp.PORT_UNREACH, 0);
        drop(net, skb, 'IPVS_NO_DEST');
        return NF_STOLEN;
      }
    }
    this.conns.transition(c, false, flags, now);
    return this.natXmit(skb, c, l4, hook);
  }

  /** Ends an entry so that the packet is scheduled anew; true when its old conntrack entry forbids that. */
  private expireNow(c: IpvsConn, skb: Skb): boolean {
    const oldCt = c.nfct && skb.ct !== null && (skb.ct.status & S_CONFIRMED) !== 0;
    this.conns.remove(c);
    // ip_vs_conn_drop_conntrack: the client's next try starts a new entry too.
    if (oldCt) skb.ct!.table.remove(skb.ct!);
    return oldCt;
  }

  /** ip_vs_schedule and ip_vs_sched_persist: the destination of a new connection, entered in the table. */
  schedule(svc: Service, caddr: number, cport: number, now: number): IpvsConn | null {
    this.conns.sweep(now);
    let template: Template | null = null;
    let dest: Dest | null;
    if (svc.persistent > 0) {
      const client = caddr & svc.netmask;
      template = svc.templates.get(client) ?? null;
      if (template !== null && !this.templateUsable(template, now)) template = null;
      if (template === null) {
        dest = svc.sched.pick(svc, caddr, cport, svc.addr);
        if (dest === null) return null;
        template = { dest, client, timeout: svc.persistent * SEC, expires: 0, controls: 0, lastEnd: 0, assured: false };
        svc.templates.set(client, template);
      }
      template.expires = now + template.timeout;
      dest = template.dest;
    } else {
      dest = svc.sched.pick(svc, caddr, cport, svc.addr);
    }
    if (dest === null) return null;
    const c: IpvsConn = {
      proto: svc.proto, caddr, cport, vaddr: svc.addr, vport: svc.port, dest, template,
      nfct: this.sysctl('conntrack', 0) !== 0, state: NONE, inactive: svc.proto !== ipv4.TCP,
      expires: Number.POSITIVE_INFINITY, dead: false,
    }; // prettier-ignore
    this.conns.add(c);
    return c;
  }

  /** ip_vs_check_template. */
  private templateUsable(t: Template, now: number): boolean {
    if (!this.conns.templateAlive(t, now)) return false;
    return t.dest.available && !(t.dest.weight === 0 && this.sysctl('expire_quiescent_template', 0) !== 0);
  }

  /** ip_vs_nat_xmit: route, TTL, MTU, new destination, then out through LOCAL_OUT; a local server is just accepted. */
  private natXmit(skb: Skb, c: IpvsConn, l4: number, hook: number): number {
    const { net } = this;
    const local = inetAddrType(net, c.dest.addr) === RTN_LOCAL;
    if (local && isLoopback(c.dest.addr) && hook === LOCAL_IN) return NF_DROP;
    if (!local && !this.routeTo(skb, c)) return NF_DROP;
    const before = `${ntoa(c.vaddr)}:${c.vport}`;
    rewrite(skb.buf, skb.net, l4, c.proto, false, c.dest.addr, c.dest.port);
    net.kernel.tracer?.nat(net, skb, 'DNAT', before, `${ntoa(c.dest.addr)}:${c.dest.port}`);
    return this.sendOrCont(skb, c, local);
  }

  /** __ip_vs_get_out_rt for a server elsewhere: false when the packet must be dropped. */
  private routeTo(skb: Skb, c: IpvsConn): boolean {
    const { net } = this;
    const { mark } = skb;
    if (isLoopback(ipv4.src(skb.buf, skb.net))) return false; // crosses_local_route_boundary
    skb.mark = 0; // the server's route is looked up without the packet's mark
    const err = routeOutput(net, skb, c.dest.addr, 0, null);
    skb.mark = mark;
    if (err !== 0) return false;
    if (ipv4.ttl(skb.buf, skb.net) <= 1) {
      icmpSend(net, skb, icmp.TIME_EXCEEDED, 0, 0);
      return false;
    }
    ipv4.decreaseTtl(skb.buf, skb.net);
    const { mtu } = skb.rtDev!;
    if ((ipv4.frag(skb.buf, skb.net) & ipv4.DF) !== 0 && skb.tail - skb.net > mtu) {
      icmpSend(net, skb, icmp.DEST_UNREACH, icmp.FRAG_NEEDED, mtu);
      return false;
    }
    return true;
  }

  /** ip_vs_nat_send_or_cont. */
  private sendOrCont(skb: Skb, c: IpvsConn, local: boolean): number {
    skb.ipvs = true;
    this.updateConntrack(skb, c, false);
    if (local) return NF_ACCEPT;
    skb.head = skb.net;
    nfHook(LOCAL_OUT, this.net, skb, null, skb.rtDev, dstOutput);
    return NF_STOLEN;
  }

  /** ip_vs_notrack, or ip_vs_update_conntrack: an unconfirmed entry expects the reply from the server. */
  private updateConntrack(skb: Skb, c: IpvsConn, output: boolean): void {
    const { ct } = skb;
    if (ct === null) return;
    if (!c.nfct) {
      ct.put();
      skb.ct = null;
      skb.ctinfo = CT_NONE;
      skb.untracked = true;
      return;
    }
    if (output || (ct.status & S_CONFIRMED) !== 0 || skb.ctinfo >= CT_IS_REPLY) return;
    ct.reply.src = c.dest.addr;
    if (ct.reply.sport !== 0) ct.reply.sport = c.dest.port;
  }

  /** ip_vs_out: a packet that may be a server's reply. */
  out(skb: Skb, hook: number): number {
    if (skb.ipvs) return NF_ACCEPT;
    const { net } = this;
    const b = skb.buf;
    const ip = skb.net;
    const proto = ipv4.proto(b, ip);
    if (proto === ipv4.ICMP) return this.icmp(skb, hook, true);
    const l4 = transport(skb, proto);
    if (l4 < 0) return NF_ACCEPT;
    const { now } = net.kernel.sim;
    const c = this.conns.outGet(proto, ipv4.dst(b, ip), u16(b, l4 + 2), ipv4.src(b, ip), u16(b, l4), now);
    if (c === null) return NF_ACCEPT;
    rewrite(b, ip, l4, proto, true, c.vaddr, c.vport);
    net.kernel.tracer?.nat(net, skb, 'SNAT', `${ntoa(c.dest.addr)}:${c.dest.port}`, `${ntoa(c.vaddr)}:${c.vport}`);
    if (!this.reroute(skb, hook)) return NF_DROP;
    this.conns.transition(c, true, proto === ipv4.TCP ? b[l4 + TCP_FLAGS]! : 0, now);
    skb.ipvs = true;
    this.updateConntrack(skb, c, true);
    return NF_ACCEPT;
  }

  /** ip_vs_route_me_harder (snat_reroute). */
  private reroute(skb: Skb, hook: number): boolean {
    if (hook === LOCAL_IN || this.sysctl('snat_reroute', 1) === 0) return true;
    if (skb.rtDev === this.net.lo) return true;
    return ipRouteMeHarder(this.net, skb) === 0;
  }

  /** ip_vs_in_icmp and ip_vs_out_icmp: an error about a packet of a connection is translated like that connection. */
  private icmp(skb: Skb, hook: number, output: boolean): number {
    const { net } = this;
    const b = skb.buf;
    const o = skb.net + ipv4.headerLen(b, skb.net);
    const q = o + icmp.HLEN;
    if (ipv4.isFragment(b, skb.net) || skb.tail < q + ipv4.HLEN) return NF_ACCEPT;
    const t = icmp.type(b, o);
    if (t !== icmp.DEST_UNREACH && t !== icmp.SOURCE_QUENCH && t !== icmp.TIME_EXCEEDED) return NF_ACCEPT;
    if (b[q]! >> 4 !== 4 || ipv4.headerLen(b, q) < ipv4.HLEN) return NF_ACCEPT;
    const proto = ipv4.proto(b, q);
    const l4 = q + ipv4.headerLen(b, q);
    if ((proto !== ipv4.UDP && proto !== ipv4.TCP) || skb.tail < l4 + 4) return NF_ACCEPT;
    if ((ipv4.frag(b, q) & ipv4.OFFSET) !== 0) return NF_ACCEPT;
    const { now } = net.kernel.sim;
    const src = ipv4.src(b, q);
    const dst = ipv4.dst(b, q);
    // The quoted packet travelled the other way: a server quotes the request, a client quotes the reply.
    const c = output
      ? this.conns.outGet(proto, src, u16(b, l4), dst, u16(b, l4 + 2), now)
      : this.conns.inGet(proto, dst, u16(b, l4 + 2), src, u16(b, l4), now);
    if (c === null) return NF_ACCEPT;
    if (!icmp.csumOk(b, o, skb.tail)) return NF_DROP;
    const local = inetAddrType(net, c.dest.addr) === RTN_LOCAL;
    if (!output && !local && !this.routeTo(skb, c)) return NF_DROP;
    if (output) {
      ipv4.setSrc(b, skb.net, c.vaddr);
      ipv4.setDst(b, q, c.vaddr);
      put16(b, l4 + 2, c.vport);
    } else {
      ipv4.setDst(b, skb.net, c.dest.addr);
      ipv4.setSrc(b, q, c.dest.addr);
      put16(b, l4, c.dest.port);
    }
    icmp.write(b, o, skb.tail, t, icmp.code(b, o), i32(b, o + icmp.REST));
    if (!output) return this.sendOrCont(skb, c, local);
    if (!this.reroute(skb, hook)) return NF_DROP;
    skb.ipvs = true;
    this.updateConntrack(skb, c, true);
    return NF_ACCEPT;
  }
}

const key = (proto: number, addr: number, port: number): string => `${proto} ${addr} ${port}`;

/** Offset of a whole TCP or UDP header that follows, or -1. */
function transport(skb: Skb, proto: number): number {
  if (proto !== ipv4.UDP && proto !== ipv4.TCP) return -1;
  if (ipv4.isFragment(skb.buf, skb.net)) return -1;
  const l4 = skb.net + ipv4.headerLen(skb.buf, skb.net);
  return skb.tail < l4 + (proto === ipv4.TCP ? 20 : udp.HLEN) ? -1 : l4;
}

/** One end of a packet replaced, checksums adjusted (tcp_snat_handler and its like). */
function rewrite(b: Uint8Array, ip: number, l4: number, proto: number, src: boolean, addr: number, port: number): void {
  const at = src ? ipv4.SRC : ipv4.DST;
  const old = i32(b, ip + at);
  const portAt = l4 + (src ? 0 : 2);
  if (proto === ipv4.UDP) {
    udp.replaceCsum32(b, l4, old, addr);
    udp.replaceCsum16(b, l4, u16(b, portAt), port);
  } else {
    put16(b, l4 + TCP_CSUM, replace16(replace32(u16(b, l4 + TCP_CSUM), old, addr), u16(b, portAt), port));
  }
  put16(b, portAt, port);
  put16(b, ip + ipv4.CSUM, replace32(u16(b, ip + ipv4.CSUM), old, addr));
  put32(b, ip + at, addr);
}

/** The namespace's IPVS, created with its hooks on first use. */
export function ipvs(net: Netns): Ipvs {
  if (net.ipvs !== null) return net.ipvs;
  const v = new Ipvs(net);
  net.ipvs = v;
  const inFn = (_n: Netns, skb: Skb, hook: number): number => v.in(skb, hook);
  const outFn = (_n: Netns, skb: Skb, hook: number): number => v.out(skb, hook);
  // ip_vs_forward_icmp: errors of clients about replies, on their way to a VIP that is not local.
  const icmpFn = (_n: Netns, skb: Skb, hook: number): number =>
    ipv4.proto(skb.buf, skb.net) === ipv4.ICMP ? v.in(skb, hook) : NF_ACCEPT;
  registerHook(net, LOCAL_IN, 98, outFn);
  registerHook(net, LOCAL_IN, 99, inFn);
  registerHook(net, LOCAL_OUT, -99, outFn);
  registerHook(net, LOCAL_OUT, -98, inFn);
  registerHook(net, FORWARD, 99, icmpFn);
  registerHook(net, FORWARD, 100, outFn);
  return v;
}
