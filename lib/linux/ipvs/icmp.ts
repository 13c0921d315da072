/**
 * ICMP errors about packets of connections (ip_vs_core.c: ip_vs_in_icmp, ip_vs_out_icmp; ip_vs_xmit.c: ip_vs_icmp_xmit).
 *
 * An error is translated like the connection of the packet that it quotes; one about a tunnel's packet is told to the client.
 * Not here: schedule_icmp.
 * @module
 */
import { i32, put16, u16 } from '../../../wire/bytes.js';
import { fill } from '../../../wire/checksum.js';
import * as icmp from '../../../wire/icmp.js';
import { isLoopback } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { FORWARD, NF_ACCEPT, NF_DROP, NF_STOLEN } from '../core/nf-hook.js';
import type { Skb } from '../core/skb.js';
import { dstMtu, RTCF_LOCAL } from '../ipv4/dst.js';
import { icmpSend } from '../ipv4/icmp.js';
import { updatePmtu } from '../ipv4/route-exception.js';
import type { IpvsConn } from './conn.js';
import { countPacket, gatherFrags, routeMeHarder } from './core.js';
import type { Ipvs } from './ctl.js';
import { notrack, updateConntrack } from './nfct.js';
import { DIR_INPUT, DIR_OUTPUT } from './proto.js';
import { MASQ } from './service.js';
import { getOutRt, IS_ICMP, lose, natSendOrCont, packetXmit, RT_LOCAL, RT_NON_LOCAL, RT_RDR } from './xmit.js';

/** Not an error: the packet is looked at as any other. */
export const NOT_RELATED = -1;
/** The quotation is no packet of a connection. */
const NO_QUOTE = -1;

/** Offset of the packet that an error quotes, NO_QUOTE where it cannot be one; `at` is where its IPv4 header stands. */
function quoted(skb: Skb, at: number): number {
  const b = skb.buf;
  if (skb.tail < at + ipv4.HLEN || b[at]! >> 4 !== 4 || ipv4.headerLen(b, at) < ipv4.HLEN) return NO_QUOTE;
  const proto = ipv4.proto(b, at);
  if ((proto !== ipv4.UDP && proto !== ipv4.TCP) || (ipv4.frag(b, at) & ipv4.OFFSET) !== 0) return NO_QUOTE;
  return skb.tail < at + ipv4.headerLen(b, at) + 4 ? NO_QUOTE : at;
}

const isHandled = (type: number): boolean =>
  type === icmp.DEST_UNREACH || type === icmp.SOURCE_QUENCH || type === icmp.TIME_EXCEEDED;

/** An error of a server, or of a router on the way to it, about a request (ip_vs_out_icmp, handle_response_icmp). */
export function outIcmp(v: Ipvs, skb: Skb, hook: number): number {
  if (!gatherFrags(v.net, skb, hook)) return NF_STOLEN;
  const b = skb.buf;
  const o = skb.net + ipv4.headerLen(b, skb.net);
  if (skb.tail - o < icmp.HLEN) return NF_DROP;
  if (!isHandled(icmp.type(b, o))) return NOT_RELATED;
  const q = quoted(skb, o + icmp.HLEN);
  if (q < 0) return NF_ACCEPT;
  const l4 = q + ipv4.headerLen(b, q);
  const c = v.conns.outGet(ipv4.proto(b, q), ipv4.src(b, q), u16(b, l4), ipv4.dst(b, q), u16(b, l4 + 2));
  if (c === null) return NF_ACCEPT;
  if (c.fwd === MASQ) {
    if (!icmp.csumOk(b, o, skb.tail)) return NF_DROP;
    ipv4.setSrc(b, skb.net, c.vaddr);
    ipv4.setDst(b, q, c.vaddr);
    put16(b, l4 + 2, c.vport);
    finish(skb, o, q);
    if (!routeMeHarder(v, skb, hook)) return NF_DROP;
  }
  countPacket(v, c, skb, DIR_OUTPUT);
  skb.ipvs = true;
  if (c.nfct) updateConntrack(skb, c, false);
  else notrack(skb);
  return NF_ACCEPT;
}

/** An error of a client, or of a router on the way to it, about a reply (ip_vs_in_icmp). */
export function inIcmp(v: Ipvs, skb: Skb, hook: number): number {
  if (!gatherFrags(v.net, skb, hook)) return NF_STOLEN;
  const b = skb.buf;
  const o = skb.net + ipv4.headerLen(b, skb.net);
  if (skb.tail - o < icmp.HLEN) return NF_DROP;
  if (!isHandled(icmp.type(b, o))) return NOT_RELATED;
  const outer = o + icmp.HLEN;
  if (skb.tail >= outer + ipv4.HLEN && ipv4.proto(b, outer) === ipv4.IPIP) return tunnelError(v, skb, o, outer);
  const q = quoted(skb, outer);
  if (q < 0) return NF_ACCEPT;
  const l4 = q + ipv4.headerLen(b, q);
  const c = v.conns.inGet(ipv4.proto(b, q), ipv4.dst(b, q), u16(b, l4 + 2), ipv4.src(b, q), u16(b, l4));
  if (c === null) return NF_ACCEPT;
  if (!icmp.csumOk(b, o, skb.tail)) return NF_DROP;
  countPacket(v, c, skb, DIR_INPUT);
  return icmpXmit(v, skb, c, hook, o, q);
}

/** ip_vs_icmp_xmit: the error goes to the server. */
function icmpXmit(v: Ipvs, skb: Skb, c: IpvsConn, hook: number, o: number, q: number): number {
  const b = skb.buf;
  const l4 = q + ipv4.headerLen(b, q);
  if (c.fwd !== MASQ) return packetXmit(v, skb, c, l4, IS_ICMP);
  const received = skb.dst!.isInput;
  const mode = hook !== FORWARD ? RT_LOCAL | RT_NON_LOCAL | RT_RDR : RT_NON_LOCAL;
  const local = getOutRt(v, skb, c, c.daddr, mode, IS_ICMP);
  if (local < 0 || (local === 1 && isLoopback(c.daddr) && received)) return lose(v.net, skb);
  ipv4.setDst(b, skb.net, c.daddr);
  ipv4.setSrc(b, q, c.daddr);
  put16(b, l4, c.dport);
  finish(skb, o, q);
  skb.ignoreDf = true;
  return natSendOrCont(v.net, skb, c, local === 1);
}

/** The checksums that ip_vs_nat_icmp makes anew: of the quoted header and of the whole message. */
function finish(skb: Skb, o: number, q: number): void {
  const b = skb.buf;
  put16(b, q + ipv4.CSUM, 0);
  fill(b, q, q + ipv4.headerLen(b, q), q + ipv4.CSUM);
  icmp.write(b, o, skb.tail, icmp.type(b, o), icmp.code(b, o), i32(b, o + icmp.REST));
  skb.csumValid = true;
}

/** An error about a packet that IPVS put into a tunnel: the client is told, about its own packet. */
function tunnelError(v: Ipvs, skb: Skb, o: number, outer: number): number {
  const { net } = v;
  const b = skb.buf;
  const hlen = ipv4.headerLen(b, outer);
  if (b[outer]! >> 4 !== 4 || hlen < ipv4.HLEN) return NF_ACCEPT;
  if ((ipv4.frag(b, outer) & ipv4.OFFSET) !== 0 || (skb.dst!.flags & RTCF_LOCAL) === 0) return NF_ACCEPT;
  if (!v.findTunnel(ipv4.dst(b, outer))) return NF_ACCEPT;
  const q = quoted(skb, outer + hlen);
  if (q < 0) return NF_ACCEPT;
  const l4 = q + ipv4.headerLen(b, q);
  const c = v.conns.inGet(ipv4.proto(b, q), ipv4.src(b, q), u16(b, l4), ipv4.dst(b, q), u16(b, l4 + 2));
  if (c === null) return NF_ACCEPT;
  if (!icmp.csumOk(b, o, skb.tail)) return NF_DROP;
  const type = icmp.type(b, o);
  const code = icmp.code(b, o);
  let info = i32(b, o + icmp.REST);
  let tell = true;
  if (type === icmp.DEST_UNREACH && code === icmp.FRAG_NEEDED) {
    let mtu = learnPmtu(v, c, skb, outer, u16(b, o + 6));
    if ((ipv4.frag(b, q) & ipv4.DF) === 0) tell = false;
    if (mtu > 68 + ipv4.HLEN) mtu -= ipv4.HLEN;
    info = mtu;
  }
  if (tell) {
    skb.head = skb.net = q;
    skb.optLen = skb.optRr = skb.optTs = skb.optSrr = skb.optFlags = 0;
    icmpSend(net, skb, type, code, info);
    countPacket(v, c, skb, DIR_OUTPUT);
  }
  net.kernel.skbs.free(skb);
  return NF_STOLEN;
}

/** Remembers the path MTU of the outer packet and returns the one that counts: that of the route the server keeps. */
function learnPmtu(v: Ipvs, c: IpvsConn, skb: Skb, outer: number, mtu: number): number {
  const b = skb.buf;
  updatePmtu(v.net, ipv4.dst(b, outer), ipv4.src(b, outer), ipv4.tos(b, outer), 0, mtu);
  const dst = c.dest === null ? null : c.dest.dst;
  return dst === null ? mtu : dstMtu(dst);
}
