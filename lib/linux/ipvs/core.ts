/**
 * IPVS in the packet's way: the hooks, scheduling, replies (net/netfilter/ipvs/ip_vs_core.c).
 *
 *   request  LOCAL_IN 99 | LOCAL_OUT -98 ─▶ connection, new ones scheduled ─▶ packetXmit (xmit.ts)
 *   reply    FORWARD 100 | LOCAL_IN 98 | LOCAL_OUT -99 ─▶ source becomes the VIP where the request was translated
 *   errors   the same hooks and FORWARD 99 ─▶ icmp.ts
 *
 * Not here: SCTP, AH and ESP, application helpers, persistence engines, synchronisation, ignore_tunneled.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as icmp from '../../../wire/icmp.js';
import { ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import * as udp from '../../../wire/udp.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import {
  FORWARD, type HookFn, LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, NF_STOLEN, registerHook, unregisterHook,
} from '../core/nf-hook.js'; // prettier-ignore
import { PACKET_HOST, type Skb } from '../core/skb.js';
import { icmpSend } from '../ipv4/icmp.js';
import { DEFRAG_VS_FWD, DEFRAG_VS_IN, DEFRAG_VS_OUT, ipDefrag } from '../ipv4/ip-fragment.js';
import { RTCF_LOCAL } from '../ipv4/dst.js';
import { inetAddrType, ipRouteMeHarder, RTN_UNICAST } from '../ipv4/route.js';
import type { ConnFlags, ConnKey, IpvsConn } from './conn.js';
import { FTPDATA, FTPPORT, type Ipvs } from './ctl.js';
import { inIcmp, NOT_RELATED, outIcmp } from './icmp.js';
import { notrack, updateConntrack, usesOldConntrack } from './nfct.js';
import { CLOSE, DIR_INPUT, DIR_OUTPUT, FIN_WAIT, setState, TIME_WAIT } from './proto.js';
import { type Dest, MASQ, ONEPACKET, type Service } from './service.js';
import { IS_PACKET, lose, packetXmit, rewrite } from './xmit.js';

/** Reassembles what this hook sees in pieces (ip_vs_gather_frags): false when the packet is kept or gone. */
export function gatherFrags(net: Netns, skb: Skb, hook: number): boolean {
  if (!ipv4.isFragment(skb.buf, skb.net)) return true;
  skb.head = skb.net;
  return ipDefrag(net, skb, hook === LOCAL_IN ? DEFRAG_VS_IN : hook === FORWARD ? DEFRAG_VS_FWD : DEFRAG_VS_OUT);
}

/** Counts a packet to or from a server that is there (ip_vs_in_stats, ip_vs_out_stats). */
export function countPacket(v: Ipvs, c: IpvsConn, skb: Skb, dir: number): void {
  const { dest } = c;
  if (dest === null || !dest.available) return;
  const { now } = v.net.kernel.sim;
  const n = skb.tail - skb.net;
  dest.stats.packet(dir, n, now);
  dest.svc.stats.packet(dir, n, now);
}

/** ip_vs_in_hook: a packet that may be a client's. */
function vsIn(v: Ipvs, skb: Skb, hook: number): number {
  if (skb.ipvs || (skb.pktType !== PACKET_HOST && hook !== LOCAL_OUT)) return NF_ACCEPT;
  const b = skb.buf;
  const ip = skb.net;
  const proto = ipv4.proto(b, ip);
  if (proto === ipv4.ICMP) {
    const verdict = inIcmp(v, skb, hook);
    if (verdict !== NOT_RELATED) return verdict;
  }
  if ((proto !== ipv4.TCP && proto !== ipv4.UDP) || ipv4.isFragment(b, ip)) return NF_ACCEPT;
  const l4 = ip + ipv4.headerLen(b, ip);
  if (skb.tail - l4 < (proto === ipv4.TCP ? tcp.HLEN : udp.HLEN)) return NF_DROP;
  const sport = u16(b, l4);
  const dport = u16(b, l4 + 2);
  let c = v.conns.inGet(proto, ipv4.src(b, ip), sport, ipv4.dst(b, ip), dport);
  if (c !== null && proto === ipv4.TCP && (tcp.flags(b, l4) & tcp.SYN) !== 0) {
    const r = reuse(v, c, skb);
    if (r === STALE) return NF_DROP;
    if (r === ANEW) c = null;
  }
  if (c !== null && c.dest !== null && !c.dest.available) {
    if (v.sysctl('net.ipv4.vs.expire_nodest_conn', 0) === 0) return NF_DROP;
    const old = usesOldConntrack(c, skb);
    if (!old) c.nfct = false;
    v.conns.expireNow(c);
    if (old) return NF_DROP;
    c = null;
  }
  if (c === null) {
    const r = tryToSchedule(v, skb, hook, proto, l4);
    if (typeof r === 'number') return r;
    c = r;
  }
  countPacket(v, c, skb, DIR_INPUT);
  setState(v.timeouts, c, DIR_INPUT, b, l4, skb.tail);
  const verdict = packetXmit(v, skb, c, l4, IS_PACKET);
  v.conns.put(c);
  return verdict;
}

const KEEP = 0;
const ANEW = 1;
const STALE = 2;

/** A SYN meets an entry: it stays, is scheduled anew, or must be sent again because conntrack still knows the old one. */
function reuse(v: Ipvs, c: IpvsConn, skb: Skb): number {
  const mode = v.sysctl('net.ipv4.vs.conn_reuse_mode', 1);
  const weightless = v.sysctl('net.ipv4.vs.expire_nodest_conn', 0) !== 0 && c.dest !== null && c.dest.weight === 0;
  if (!weightless && (mode === 0 || !newConnExpected(c, mode))) return KEEP;
  const old = usesOldConntrack(c, skb);
  if (!weightless && c.controls > 0 && old) return KEEP;
  if (!old) c.nfct = false;
  if (c.controls === 0) v.conns.expireNow(c);
  return old ? STALE : ANEW;
}

/** is_new_conn_expected. */
function newConnExpected(c: IpvsConn, mode: number): boolean {
  if (c.control !== null || c.proto !== ipv4.TCP) return false;
  return c.state === TIME_WAIT || c.state === CLOSE || ((mode & 2) !== 0 && c.state === FIN_WAIT && c.noOutput);
}

/** A new connection for a packet that starts one, or a verdict (ip_vs_try_to_schedule, tcp_conn_schedule, udp_conn_schedule). */
function tryToSchedule(v: Ipvs, skb: Skb, hook: number, proto: number, l4: number): IpvsConn | number {
  const { net } = v;
  const b = skb.buf;
  if (proto === ipv4.TCP) {
    const flags = tcp.flags(b, l4);
    const starts = (flags & tcp.SYN) !== 0 || v.sysctl('net.ipv4.vs.sloppy_tcp', 0) !== 0;
    if ((flags & tcp.RST) !== 0 || !starts) return NF_ACCEPT;
  }
  const saddr = ipv4.src(b, skb.net);
  const daddr = ipv4.dst(b, skb.net);
  const sport = u16(b, l4);
  const dport = u16(b, l4 + 2);
  const svc = v.lookup(skb.mark, proto, daddr, dport);
  if (svc === null || sport === FTPDATA) return NF_ACCEPT;
  // Replies of a server on this machine are nobody's requests.
  const fromHere = hook === LOCAL_OUT || skb.dev === net.lo;
  if (fromHere && v.conns.inGet(proto, daddr, dport, saddr, sport) !== null) return NF_ACCEPT;
  const k = { proto, caddr: saddr, cport: sport, vaddr: daddr, vport: dport };
  return schedule(v, svc, k) ?? leave(v, svc, skb, hook, k, l4);
}

/** The server of a new connection, entered in the table (ip_vs_schedule, ip_vs_sched_persist); null when there is none. */
export function schedule(v: Ipvs, svc: Service, k: ConnKey): IpvsConn | null {
  const { now } = v.net.kernel.sim;
  if (svc.persistent > 0) return schedulePersistent(v, svc, k, now);
  if (svc.fwmark === 0 && k.vport !== svc.port) return null;
  const dest = svc.sched?.pick(svc, k.caddr, k.cport, k.vaddr, now) ?? null;
  if (dest === null) return null;
  const c = v.conns.create(k, dest.addr, dest.port !== 0 ? dest.port : k.vport, dest, flagsOf(v, svc, k));
  countConn(svc, dest, now);
  return c;
}

const flagsOf = (v: Ipvs, svc: Service, k: ConnKey): ConnFlags => ({
  template: false,
  onePacket: (svc.flags & ONEPACKET) !== 0 && k.proto === ipv4.UDP,
  nfct: v.sysctl('net.ipv4.vs.conntrack', 0) !== 0,
});

function countConn(svc: Service, dest: Dest, now: number): void {
  dest.stats.conn(now);
  svc.stats.conn(now);
}

/** ip_vs_sched_persist: the server of the client's template, or of a new one. */
function schedulePersistent(v: Ipvs, svc: Service, k: ConnKey, now: number): IpvsConn | null {
  const client = k.caddr & svc.netmask;
  const own = k.vport === svc.port;
  const vport = own && svc.port !== FTPPORT ? k.vport : 0;
  const marked = !own && svc.fwmark !== 0;
  const key = { proto: marked ? 0 : k.proto, caddr: client, cport: 0, vaddr: marked ? svc.fwmark | 0 : k.vaddr, vport };
  const flags = flagsOf(v, svc, k);
  let t = v.conns.templateGet(key.proto, key.caddr, key.vaddr, key.vport);
  if (t !== null && !templateUsable(v, t)) {
    v.conns.invalidate(t);
    t = null;
  }
  if (t === null) {
    const d = svc.sched?.pick(svc, k.caddr, k.cport, k.vaddr, now) ?? null;
    if (d === null) return null;
    t = v.conns.create(key, d.addr, own && svc.port !== FTPPORT ? d.port : 0, d, { ...flags, template: true, onePacket: false });
    t.timeout = svc.persistent * SEC;
  }
  const dest = t.dest!;
  const dport = k.vport === svc.port && dest.port !== 0 ? dest.port : k.vport;
  const c = v.conns.create(k, dest.addr, dport, dest, flags);
  c.control = t;
  t.controls++;
  v.conns.put(t);
  countConn(svc, dest, now);
  return c;
} // prettier-ignore

/** ip_vs_check_template. */
function templateUsable(v: Ipvs, t: IpvsConn): boolean {
  const d = t.dest;
  if (d === null || !d.available) return false;
  return d.weight !== 0 || v.sysctl('net.ipv4.vs.expire_quiescent_template', 0) === 0;
}

/** No server: the sender is told so; with cache_bypass what was only marked goes where it was sent to (ip_vs_leave). */
function leave(v: Ipvs, svc: Service, skb: Skb, hook: number, k: ConnKey, l4: number): number {
  const { net } = v;
  const bypass = svc.fwmark !== 0 && v.sysctl('net.ipv4.vs.cache_bypass', 0) !== 0;
  if (bypass && inetAddrType(net, k.vaddr) === RTN_UNICAST) {
    const c = v.conns.create(k, 0, 0, null, flagsOf(v, svc, k));
    setState(v.timeouts, c, DIR_INPUT, skb.buf, l4, skb.tail);
    const verdict = packetXmit(v, skb, c, l4, IS_PACKET);
    v.conns.put(c);
    return verdict;
  }
  if (svc.port === FTPPORT && k.vport !== FTPPORT) return NF_ACCEPT;
  icmpSend(net, skb, icmp.DEST_UNREACH, icmp.PORT_UNREACH, 0);
  if (hook === LOCAL_OUT) return NF_DROP;
  drop(net, skb, 'IPVS_NO_DEST');
  return NF_STOLEN;
}

/** ip_vs_out_hook: a packet that may be a server's reply. */
function vsOut(v: Ipvs, skb: Skb, hook: number): number {
  if (skb.ipvs) return NF_ACCEPT;
  const { net } = v;
  const proto = ipv4.proto(skb.buf, skb.net);
  if (proto === ipv4.ICMP) {
    const verdict = outIcmp(v, skb, hook);
    if (verdict !== NOT_RELATED) return verdict;
  }
  if (proto !== ipv4.TCP && proto !== ipv4.UDP) return NF_ACCEPT;
  if (!gatherFrags(net, skb, hook)) return NF_STOLEN;
  const b = skb.buf;
  const ip = skb.net;
  const l4 = ip + ipv4.headerLen(b, ip);
  if (skb.tail - l4 < 4) return NF_ACCEPT;
  const c = v.conns.outGet(proto, ipv4.dst(b, ip), u16(b, l4 + 2), ipv4.src(b, ip), u16(b, l4));
  if (c !== null) return handleResponse(v, skb, c, l4, hook);
  if (v.sysctl('net.ipv4.vs.nat_icmp_send', 0) === 0) return NF_ACCEPT;
  if (!v.hasRealService(proto, ipv4.src(b, ip), u16(b, l4))) return NF_ACCEPT;
  if (proto === ipv4.TCP && (skb.tail - l4 < tcp.HLEN || (tcp.flags(b, l4) & tcp.RST) !== 0)) return NF_ACCEPT;
  icmpSend(net, skb, icmp.DEST_UNREACH, icmp.PORT_UNREACH, 0);
  return NF_DROP;
}

/** handle_response. */
function handleResponse(v: Ipvs, skb: Skb, c: IpvsConn, l4: number, hook: number): number {
  const { net } = v;
  if (c.fwd === MASQ) {
    if (skb.tail - l4 < (c.proto === ipv4.TCP ? tcp.HLEN : udp.HLEN)) return lose(net, skb);
    rewrite(skb.buf, skb.net, l4, c.proto, true, c.vaddr, c.vport);
    net.kernel.tracer?.nat(net, skb, 'SNAT', `${ntoa(c.daddr)}:${c.dport}`, `${ntoa(c.vaddr)}:${c.vport}`);
    if (!routeMeHarder(v, skb, hook)) {
      v.conns.put(c);
      return lose(net, skb);
    }
  }
  countPacket(v, c, skb, DIR_OUTPUT);
  setState(v.timeouts, c, DIR_OUTPUT, skb.buf, l4, skb.tail);
  skb.ipvs = true;
  if (c.nfct) updateConntrack(skb, c, false);
  else notrack(skb);
  v.conns.put(c);
  return NF_ACCEPT;
}

/** A reply to another machine is routed again as this machine's own (ip_vs_route_me_harder, snat_reroute). */
export function routeMeHarder(v: Ipvs, skb: Skb, hook: number): boolean {
  if (hook === LOCAL_IN || (skb.dst!.flags & RTCF_LOCAL) !== 0) return true;
  return v.sysctl('net.ipv4.vs.snat_reroute', 1) === 0 || ipRouteMeHarder(v.net, skb) === 0;
}

const inFn: HookFn = (net, skb, hook) => vsIn(net.ipvs!, skb, hook);
const outFn: HookFn = (net, skb, hook) => vsOut(net.ipvs!, skb, hook);
/** ip_vs_forward_icmp: errors of clients about replies, on their way to a VIP that is not local. */
const icmpFn: HookFn = (net, skb, hook) => {
  if (ipv4.proto(skb.buf, skb.net) !== ipv4.ICMP) return NF_ACCEPT;
  const verdict = inIcmp(net.ipvs!, skb, hook);
  return verdict === NOT_RELATED ? NF_ACCEPT : verdict;
};

const HOOKS: readonly (readonly [number, number, HookFn])[] = [
  [LOCAL_IN, 98, outFn],
  [LOCAL_IN, 99, inFn],
  [LOCAL_OUT, -99, outFn],
  [LOCAL_OUT, -98, inFn],
  [FORWARD, 99, icmpFn],
  [FORWARD, 100, outFn],
];

/** The first service of a namespace (ip_vs_register_hooks). */
export function registerHooks(v: Ipvs): void {
  for (const [hook, priority, fn] of HOOKS) registerHook(v.net, hook, priority, fn);
}

/** The last one is gone. */
export function unregisterHooks(v: Ipvs): void {
  for (const [hook, , fn] of HOOKS) unregisterHook(v.net, hook, fn);
}
