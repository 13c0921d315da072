/**
 * ICMP: answering echoes, reporting errors with the kernel's rules on when, from which address and how often.
 *
 * Kernel counterpart: net/ipv4/icmp.c. What is received is handled in icmp-rcv.ts. Not here: extended echo (RFC 8335).
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import { isMulticast } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { MS } from '../../sim/sim.js';
import { ARPHRD_LOOPBACK } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { CT_IS_REPLY, CT_RELATED, CT_RELATED_REPLY, PACKET_HOST, type Skb } from '../core/skb.js';
import { inetSelectAddr } from './devinet.js';
import { type Dst, dstMtu, RTCF_GROUP, RTCF_LOCAL } from './dst.js';
import { SCOPE_LINK } from './fib.js';
import { Flow } from './flow.js';
import { echoOptions } from './ip-options.js';
import { ipBuildWithOptions, selectIdent } from './ip-output.js';
import { computeSpecDst, isErr, routeOutput } from './route.js';

/** The least any host has to take (RFC 791): errors are no longer. */
const MAX_LEN = 576;
/** Source when the machine has no address (INADDR_DUMMY, RFC 7600). */
const DUMMY = 0xc0000008 | 0;
const RATEMASK = 0x1818;

const flow = new Flow();

export const ttlDefault = (net: Netns): number => net.sysctl.get('net.ipv4.ip_default_ttl') ?? 64;

/** IP4_REPLY_MARK: the mark that an answer to `skb` takes over. */
export const replyMark = (net: Netns, skb: Skb): number =>
  (net.sysctl.get('net.ipv4.fwmark_reflect') ?? 0) !== 0 ? skb.mark : 0;

/**
 * Answers a delivered ICMP message with `e`, whose data stands behind an empty ICMP header (icmp_reply): same TOS, options
 * turned round, from the address that was spoken to. `e` ends here.
 */
export function icmpReply(net: Netns, req: Skb, e: Skb, type: number, code: number, rest: number): void {
  const { skbs } = net.kernel;
  const to = ipv4.src(req.buf, req.net);
  const tos = ipv4.tos(req.buf, req.net);
  const opt = echoOptions(net, req);
  if (opt === null) return skbs.free(e);
  const limited = rateLimited(net, type, 0);
  if (limited && !globalAllows(net)) return skbs.free(e);
  e.mark = replyMark(net, req);
  const saddr = computeSpecDst(net, req);
  const fl = flow.to(opt.srr !== 0 ? opt.faddr : to, saddr).ports(ipv4.ICMP, 0, 0);
  fl.tos = tos;
  fl.mark = e.mark;
  const d = routeOutput(net, fl);
  if (isErr(d) || (limited && !peerAllows(net, d, to))) return skbs.free(e);
  e.dst = d;
  icmp.write(e.buf, e.head, e.tail, type, code, rest);
  const src = fl.saddr;
  e.ignoreDf = true;
  ipBuildWithOptions(net, e, opt, src, to, ipv4.ICMP, tos, ttlDefault(net), selectIdent(net, src, to, ipv4.ICMP), 0);
}

/**
 * Sends an ICMP error about `skb` (icmp_send); the packet stays the caller's. Silent where RFC 1122 3.2.2 and the rate limits
 * say so. `info` is the second word: MTU for 3/4, gateway for redirects, place << 24 for parameter problems.
 */
export function icmpSend(net: Netns, skb: Skb, type: number, code: number, info: number): void {
  const b = skb.buf;
  const ip = skb.net;
  const src = ipv4.src(b, ip);
  const rt = skb.dst;
  if (skb.pktType !== PACKET_HOST || (rt !== null && (rt.flags & RTCF_GROUP) !== 0)) return;
  if ((ipv4.frag(b, ip) & ipv4.OFFSET) !== 0) return;
  if (isMulticast(src) || src === -1 || src >>> 24 === 0) return;
  if (icmp.isError(type) && quotesError(skb)) return;
  const limited = !(skb.dev !== null && skb.dev.type === ARPHRD_LOOPBACK) && rateLimited(net, type, code);
  if (limited && !globalAllows(net)) return;
  const tos = (ipv4.tos(b, ip) & 0x1e) | 0xc0;
  const opt = echoOptions(net, skb);
  if (opt === null) return;
  const { skbs } = net.kernel;
  const e = skbs.alloc();
  e.mark = replyMark(net, skb);
  const fl = flow.to(opt.srr !== 0 ? opt.faddr : src, sourceOf(net, skb)).ports(ipv4.ICMP, 0, (type << 8) | code);
  fl.tos = tos;
  fl.mark = e.mark;
  const d = routeOutput(net, fl);
  if (isErr(d) || (limited && !peerAllows(net, d, src))) return skbs.free(e);
  e.dst = d;
  const saddr = fl.saddr !== 0 ? fl.saddr : DUMMY;
  const room = Math.min(dstMtu(d), MAX_LEN) - ipv4.HLEN - opt.len - icmp.HLEN;
  if (room <= ipv4.HLEN) return skbs.free(e);
  const quoted = Math.min(skb.tail - ip, room);
  e.room(icmp.HLEN + quoted);
  e.buf.set(b.subarray(ip, ip + quoted), e.head + icmp.HLEN);
  e.tail = e.head + icmp.HLEN + quoted;
  icmp.write(e.buf, e.head, e.tail, type, code, info);
  attachConn(e, skb);
  ipBuildWithOptions(
    net,
    e,
    opt,
    saddr,
    src,
    ipv4.ICMP,
    tos,
    ttlDefault(net),
    selectIdent(net, saddr, src, ipv4.ICMP),
    0,
  );
}

/** The address an error comes from: the offender's destination if that is this machine, else what the route back chooses (0). */
function sourceOf(net: Netns, skb: Skb): number {
  const d = skb.dst;
  if (d !== null && (d.flags & RTCF_LOCAL) !== 0) return ipv4.dst(skb.buf, skb.net);
  const inbound = (net.sysctl.get('net.ipv4.icmp_errors_use_inbound_ifaddr') ?? 0) !== 0;
  if (!inbound || d === null || !d.isInput || skb.iif === null) return 0;
  return inetSelectAddr(skb.iif, ipv4.src(skb.buf, skb.net), SCOPE_LINK);
}

/** True for a packet that is an ICMP error itself, or of a type that nobody knows. */
function quotesError(skb: Skb): boolean {
  const b = skb.buf;
  if (ipv4.proto(b, skb.net) !== ipv4.ICMP) return false;
  const h = skb.net + ipv4.headerLen(b, skb.net);
  return h >= skb.tail || icmp.mayBeError(icmp.type(b, h));
}

/** The error belongs to the connection of the packet it is about, the other way round (nf_ct_attach). */
function attachConn(e: Skb, skb: Skb): void {
  if (skb.ct === null) return;
  e.ct = skb.ct;
  e.ct.refs++;
  e.ctinfo = skb.ctinfo >= CT_IS_REPLY ? CT_RELATED : CT_RELATED_REPLY;
}

/** True for the types that icmp_ratemask limits; never "fragmentation needed" (icmpv4_mask_allow). */
function rateLimited(net: Netns, type: number, code: number): boolean {
  if (type > icmp.ADDRESSREPLY || (type === icmp.DEST_UNREACH && code === icmp.FRAG_NEEDED)) return false;
  return ((1 << type) & (net.sysctl.get('net.ipv4.icmp_ratemask') ?? RATEMASK)) !== 0;
}

function globalAllows(net: Netns): boolean {
  const { sysctl } = net;
  const perSecond = sysctl.get('net.ipv4.icmp_msgs_per_sec') ?? 1000;
  return net.icmpGlobal.allow(net.kernel.sim.now, perSecond, sysctl.get('net.ipv4.icmp_msgs_burst') ?? 50);
}

/** icmpv4_xrlim_allow: one a second to each destination, six at once; nothing is limited over lo. */
function peerAllows(net: Netns, d: Dst, dst: number): boolean {
  const { now } = net.kernel.sim;
  const ms = net.sysctl.get('net.ipv4.icmp_ratelimit') ?? 1000;
  if (d.dev !== net.lo && ms > 0 && !net.peers.get(dst, now).allow(now, ms * MS)) return false;
  net.icmpGlobal.consume(net);
  return true;
}
