/**
 * Packets on their way to a server: translated, unchanged, or in a tunnel (net/netfilter/ipvs/ip_vs_xmit.c).
 *
 *   NAT     new destination ─[LOCAL_OUT]▶ dstOutput          a server on this machine gets the packet through LOCAL_IN
 *   DR      same packet, the server's neighbour ─[LOCAL_OUT]▶ dstOutput
 *   TUN     outer header (IPIP) ─[LOCAL_OUT]▶ dstOutput
 *
 * Not here: GUE and GRE, IPv6, the path MTU of a local client of a tunnel.
 * @module
 */
import { put16, put32, u16, i32 } from '../../../wire/bytes.js';
import { replace16, replace32 } from '../../../wire/checksum.js';
import * as icmp from '../../../wire/icmp.js';
import { isLoopback, ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import * as udp from '../../../wire/udp.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_OUT, NF_ACCEPT, NF_STOLEN, nfHook } from '../core/nf-hook.js';
import { CT_NONE, type Skb } from '../core/skb.js';
import { type Dst, dstMtu, dstValid, RTCF_LOCAL } from '../ipv4/dst.js';
import { Flow, FLOWI_FLAG_KNOWN_NH } from '../ipv4/flow.js';
import { icmpSend } from '../ipv4/icmp.js';
import { sendCheck } from '../ipv4/ip-options.js';
import { dstOutput, selectIdent } from '../ipv4/ip-output.js';
import { isErr, routeOutput } from '../ipv4/route.js';
import { ecnEncapsulate } from '../tunnel/ip-tunnel.js';
import type { IpvsConn } from './conn.js';
import type { Ipvs } from './ctl.js';
import { notrack, updateConntrack } from './nfct.js';
import { DROUTE, LOCALNODE, MASQ, TUNNEL } from './service.js';

/** Where a route may lead (IP_VS_RT_MODE_*). */
export const RT_LOCAL = 1;
export const RT_NON_LOCAL = 2;
/** A packet for another machine may be turned to this one. */
export const RT_RDR = 4;
/** The packet's own destination is not the next hop. */
const RT_KNOWN_NH = 16;
const RT_TUNNEL = 32;

const flow = new Flow();

/** Which part of a packet decides what is said about its size. */
export const IS_PACKET = 0;
export const IS_ICMP = 1;

const MIN_MTU = 68;

/** Sends a packet of a connection to its server (cp->packet_xmit): NF_ACCEPT for a server on this machine, else the packet is gone. */
export function packetXmit(v: Ipvs, skb: Skb, c: IpvsConn, l4: number, what: number): number {
  if (c.fwd === MASQ) return natXmit(v, skb, c, l4);
  if (c.fwd === DROUTE) return drXmit(v, skb, c, what);
  if (c.fwd === TUNNEL) return tunnelXmit(v, skb, c, what);
  if (c.fwd === LOCALNODE) return sendOrCont(v.net, skb, c, true);
  return bypassXmit(v, skb, c, what);
}

/**
 * The route to a server (__ip_vs_get_out_rt): 1 when it is this machine (the packet's route stays), 0 when the packet has the
 * route, one TTL less and fits, -1 when it must be dropped; ICMP errors are sent here.
 */
export function getOutRt(v: Ipvs, skb: Skb, c: IpvsConn, daddr: number, mode: number, what: number): number {
  const { net } = v;
  const rt = routeTo(v, c, daddr, mode);
  if (isErr(rt)) {
    icmpSend(net, skb, icmp.DEST_UNREACH, icmp.HOST_UNREACH, 0);
    return -1;
  }
  const local = (rt.flags & RTCF_LOCAL) !== 0;
  if (crossesLocalRouteBoundary(skb, mode, local)) return -1;
  if (local) return 1;
  if (ipv4.ttl(skb.buf, skb.net) <= 1) {
    icmpSend(net, skb, icmp.TIME_EXCEEDED, 0, 0);
    return -1;
  }
  ipv4.decreaseTtl(skb.buf, skb.net);
  if (!mtuIsAdequate(v, skb, dstMtu(rt), mode, what)) return -1;
  skb.dst = rt;
  return 0;
}

/** The route that the server keeps while it holds (dest_dst), else a new one; its source address goes to `v.outSaddr`. */
function routeTo(v: Ipvs, c: IpvsConn, daddr: number, mode: number): Dst | number {
  const { dest } = c;
  if (dest !== null && dstValid(dest.dst)) {
    v.outSaddr = dest.dstSaddr;
    return dest.dst;
  }
  const fl = flow.to(daddr, 0);
  if ((mode & RT_KNOWN_NH) !== 0) fl.flags = FLOWI_FLAG_KNOWN_NH;
  const rt = routeOutput(v.net, fl);
  if (isErr(rt)) return rt;
  v.outSaddr = fl.saddr;
  if (dest !== null) {
    dest.dst = rt;
    dest.dstSaddr = fl.saddr;
  }
  return rt;
}

function crossesLocalRouteBoundary(skb: Skb, mode: number, toLocal: boolean): boolean {
  if (!toLocal) return (mode & RT_NON_LOCAL) === 0 || isLoopback(ipv4.src(skb.buf, skb.net));
  return (mode & RT_LOCAL) === 0 || ((mode & RT_RDR) === 0 && (skb.dst!.flags & RTCF_LOCAL) === 0);
}

/** ensure_mtu_is_adequate: what must not be cut has to fit, with the tunnel's header. */
function mtuIsAdequate(v: Ipvs, skb: Skb, routeMtu: number, mode: number, what: number): boolean {
  const tunnel = (mode & RT_TUNNEL) !== 0;
  const mtu = tunnel ? routeMtu - ipv4.HLEN : routeMtu;
  if (tunnel) {
    if (mtu < MIN_MTU) return false;
    if (v.sysctl('net.ipv4.vs.pmtu_disc', 1) === 0) return true;
  }
  if ((ipv4.frag(skb.buf, skb.net) & ipv4.DF) === 0 || skb.tail - skb.net <= mtu || what === IS_ICMP) return true;
  icmpSend(v.net, skb, icmp.DEST_UNREACH, icmp.FRAG_NEEDED, mtu);
  return false;
}

/** ip_vs_nat_xmit. */
function natXmit(v: Ipvs, skb: Skb, c: IpvsConn, l4: number): number {
  const { net } = v;
  const received = skb.dst!.isInput;
  const local = getOutRt(v, skb, c, c.daddr, RT_LOCAL | RT_NON_LOCAL | RT_RDR, IS_PACKET);
  if (local < 0) return lose(net, skb);
  if (local === 1 && isLoopback(c.daddr) && received) return lose(net, skb);
  if (c.proto === ipv4.TCP && skb.tail - l4 < tcp.HLEN) return lose(net, skb);
  rewrite(skb.buf, skb.net, l4, c.proto, false, c.daddr, c.dport);
  net.kernel.tracer?.nat(net, skb, 'DNAT', `${ntoa(c.vaddr)}:${c.vport}`, `${ntoa(c.daddr)}:${c.dport}`);
  skb.ignoreDf = true;
  return natSendOrCont(net, skb, c, local === 1);
}

/** ip_vs_nat_send_or_cont. */
export function natSendOrCont(net: Netns, skb: Skb, c: IpvsConn, local: boolean): number {
  skb.ipvs = true;
  if (c.nfct) updateConntrack(skb, c, true);
  else notrack(skb);
  return local ? NF_ACCEPT : send(net, skb);
}

/** ip_vs_send_or_cont. */
function sendOrCont(net: Netns, skb: Skb, c: IpvsConn, local: boolean): number {
  skb.ipvs = true;
  if (!c.nfct) notrack(skb);
  return local ? NF_ACCEPT : send(net, skb);
}

/** The packet cannot be sent and ends here; a sender on this machine is not told. */
export function lose(net: Netns, skb: Skb): number {
  drop(net, skb, 'NOT_SPECIFIED');
  return NF_STOLEN;
}

function send(net: Netns, skb: Skb): number {
  skb.head = skb.net;
  nfHook(LOCAL_OUT, net, skb, null, skb.dst!.dev, dstOutput);
  return NF_STOLEN;
}

/** ip_vs_dr_xmit: the server's neighbour gets the packet as it is. */
function drXmit(v: Ipvs, skb: Skb, c: IpvsConn, what: number): number {
  const local = getOutRt(v, skb, c, c.daddr, RT_LOCAL | RT_NON_LOCAL | RT_KNOWN_NH, what);
  if (local < 0) return lose(v.net, skb);
  if (local === 0) skb.ignoreDf = true;
  return sendOrCont(v.net, skb, c, local === 1);
}

/** ip_vs_bypass_xmit: the packet goes on to where it was sent. */
function bypassXmit(v: Ipvs, skb: Skb, c: IpvsConn, what: number): number {
  if (getOutRt(v, skb, c, ipv4.dst(skb.buf, skb.net), RT_NON_LOCAL, what) < 0) return lose(v.net, skb);
  skb.ignoreDf = true;
  return sendOrCont(v.net, skb, c, false);
}

/** ip_vs_tunnel_xmit: an outer IPv4 header with the inner TTL, TOS and DF; its ID is 0 where DF is set. */
function tunnelXmit(v: Ipvs, skb: Skb, c: IpvsConn, what: number): number {
  const { net } = v;
  const local = getOutRt(v, skb, c, c.daddr, RT_LOCAL | RT_NON_LOCAL | RT_TUNNEL, what);
  if (local < 0) return lose(net, skb);
  if (local === 1) return sendOrCont(net, skb, c, true);
  const saddr = v.outSaddr;
  sendCheck(skb);
  const innerTos = ipv4.tos(skb.buf, skb.net);
  const ttl = ipv4.ttl(skb.buf, skb.net);
  const df = v.sysctl('net.ipv4.vs.pmtu_disc', 1) === 0 ? 0 : ipv4.frag(skb.buf, skb.net) & ipv4.DF;
  skb.head = skb.net;
  skb.headroom(ipv4.HLEN + MAC_ROOM);
  skb.trans = skb.net;
  skb.push(ipv4.HLEN);
  skb.net = skb.mac = skb.head;
  skb.optLen = skb.optRr = skb.optTs = skb.optSrr = skb.optFlags = 0;
  if (skb.frags !== null) skb.frags = withHeader(skb.frags);
  const id = df !== 0 && !skb.ignoreDf ? 0 : selectIdent(net, saddr, c.daddr, ipv4.IPIP);
  const tos = ecnEncapsulate(innerTos, innerTos);
  ipv4.write(skb.buf, skb.net, tos, skb.tail - skb.net, id, df, ttl, ipv4.IPIP, saddr, c.daddr);
  skb.ignoreDf = true;
  skb.ipvs = true;
  if (c.nfct && skb.ct !== null && net.ct!.confirm(skb) !== NF_ACCEPT) return lose(net, skb);
  skb.ct?.put();
  skb.ct = null;
  skb.ctinfo = CT_NONE;
  skb.untracked = false;
  return send(net, skb);
}

/** Room that a link layer may ask for in front of the outer header. */
const MAC_ROOM = 32;

/** The first of the pieces of a packet has the inner header too. */
function withHeader(frags: Uint16Array): Uint16Array {
  const f = frags.slice();
  f[0]! += ipv4.HLEN;
  return f;
}

/** One end of a packet replaced, checksums adjusted (tcp_snat_handler and its like). */
export function rewrite(b: Uint8Array, ip: number, l4: number, proto: number, src: boolean, addr: number, port: number): void {
  const at = src ? ipv4.SRC : ipv4.DST;
  const old = i32(b, ip + at);
  const portAt = l4 + (src ? 0 : 2);
  if (proto === ipv4.UDP) {
    udp.replaceCsum32(b, l4, old, addr);
    udp.replaceCsum16(b, l4, u16(b, portAt), port);
  } else {
    const sum = replace32(u16(b, l4 + tcp.CSUM), old, addr);
    put16(b, l4 + tcp.CSUM, replace16(sum, u16(b, portAt), port));
  }
  put16(b, portAt, port);
  put16(b, ip + ipv4.CSUM, replace32(u16(b, ip + ipv4.CSUM), old, addr));
  put32(b, ip + at, addr);
} // prettier-ignore
