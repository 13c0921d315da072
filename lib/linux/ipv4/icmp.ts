/**
 * ICMP: answering echoes, reporting errors with the kernel's rules on when, from which address and how often.
 *
 * Kernel counterpart: net/ipv4/icmp.c. Not here: timestamp replies, PMTU discovery from 3/4, redirects received.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as icmp from '../../../wire/icmp.js';
import { isMulticast } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { CT_IS_REPLY, CT_RELATED, CT_RELATED_REPLY, PACKET_HOST, type Skb } from '../core/skb.js';
import { RTN_LOCAL } from './fib.js';
import { ipBuildAndSend, selectIdent } from './ip-output.js';
import { inetAddrType, ROUTE_BROADCAST, ROUTE_MULTICAST, routeOutput } from './route.js';
import { tcpV4Err } from './tcp-ipv4.js';
import { udpErr } from './udp.js';

const MAX_LEN = 576;
const RATEMASK = 0x1818;
const BURST = 6;

/** A per-destination token bucket (inet_peer's rate_tokens); credit in ns, one token a second. */
interface Bucket {
  last: number;
  credit: number;
}

/** Handles a delivered ICMP message (icmp_rcv). */
export function icmpRcv(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const t = skb.trans;
  if (skb.tail - t < icmp.HLEN) return drop(net, skb, 'PKT_TOO_SMALL');
  if (!icmp.csumOk(b, t, skb.tail)) return drop(net, skb, 'ICMP_CSUM');
  const type = icmp.type(b, t);
  const group = skb.rtType === ROUTE_BROADCAST || skb.rtType === ROUTE_MULTICAST;
  if (type === icmp.ECHO) {
    if (!group && (net.sysctl.get('net.ipv4.icmp_echo_ignore_all') ?? 0) === 0) icmpEcho(net, skb);
  } else if (icmp.isError(type) && skb.tail - t >= icmp.HLEN + ipv4.HLEN) {
    icmpUnreach(net, skb, type);
  }
  net.kernel.skbs.free(skb);
}

/** The reply to an echo request: same data, addresses turned round (icmp_echo, icmp_reply). */
function icmpEcho(net: Netns, req: Skb): void {
  const skb = net.kernel.skbs.alloc();
  const n = req.tail - req.trans;
  const src = ipv4.src(req.buf, req.net);
  const dst = ipv4.dst(req.buf, req.net);
  skb.mark = 0;
  if (routeOutput(net, skb, src, dst, null) !== 0) return net.kernel.skbs.free(skb);
  skb.room(n);
  skb.buf.set(req.buf.subarray(req.trans, req.tail), skb.head);
  skb.tail = skb.head + n;
  icmp.write(
    skb.buf,
    skb.head,
    skb.tail,
    icmp.ECHOREPLY,
    icmp.code(req.buf, req.trans),
    0x10000 * icmp.id(req.buf, req.trans) + icmp.seq(req.buf, req.trans),
  );
  ipBuildAndSend(
    net,
    skb,
    dst,
    src,
    ipv4.ICMP,
    ipv4.tos(req.buf, req.net),
    ttlDefault(net),
    selectIdent(net, dst, src, 1),
    0,
  );
}

/** Tells the transport whose packet an error quotes (icmp_unreach, icmp_socket_deliver). */
function icmpUnreach(net: Netns, skb: Skb, type: number): void {
  const inner = skb.trans + icmp.HLEN;
  if (ipv4.headerLen(skb.buf, inner) < ipv4.HLEN) return;
  const proto = ipv4.proto(skb.buf, inner);
  const code = icmp.code(skb.buf, skb.trans);
  if (proto === ipv4.UDP) udpErr(net, skb, inner, type, code);
  else if (proto === ipv4.TCP) tcpV4Err(net, skb, inner, type, code, u16(skb.buf, skb.trans + 6));
}

export const ttlDefault = (net: Netns): number => net.sysctl.get('net.ipv4.ip_default_ttl') ?? 64;

/**
 * Sends an ICMP error about `skb` (icmp_send); the packet stays the caller's. Silent where RFC 1122 3.2.2 and the rate limits
 * say so. `info` is the second word: MTU for 3/4, gateway for redirects.
 */
export function icmpSend(net: Netns, skb: Skb, type: number, code: number, info: number): void {
  const b = skb.buf;
  const ip = skb.net;
  const src = ipv4.src(b, ip);
  const dst = ipv4.dst(b, ip);
  if (skb.pktType !== PACKET_HOST || skb.rtType === ROUTE_BROADCAST || skb.rtType === ROUTE_MULTICAST) return;
  if ((ipv4.frag(b, ip) & ipv4.OFFSET) !== 0) return;
  if (src === 0 || isMulticast(src) || inetAddrType(net, src) > RTN_LOCAL) return;
  const h = ip + ipv4.headerLen(b, ip);
  if (ipv4.proto(b, ip) === ipv4.ICMP && (h >= skb.tail || icmp.mayBeError(icmp.type(b, h)))) return;
  const e = net.kernel.skbs.alloc();
  const fromLocal = inetAddrType(net, dst) === RTN_LOCAL ? dst : 0;
  if (routeOutput(net, e, src, fromLocal, null) !== 0) return net.kernel.skbs.free(e);
  if (!rateAllows(net, e, type, code, src)) return net.kernel.skbs.free(e);
  const saddr = e.rtSrc;
  const limit = Math.min(e.rtDev!.mtu, MAX_LEN) - ipv4.HLEN - icmp.HLEN;
  const quoted = Math.min(skb.tail - ip, limit);
  e.room(icmp.HLEN + quoted);
  e.buf.set(b.subarray(ip, ip + quoted), e.head + icmp.HLEN);
  e.tail = e.head + icmp.HLEN + quoted;
  icmp.write(e.buf, e.head, e.tail, type, code, info);
  if (skb.ct !== null) {
    // nf_ct_attach: the error belongs to the connection of the packet it quotes, even before that is confirmed.
    e.ct = skb.ct;
    e.ctinfo = skb.ctinfo >= CT_IS_REPLY ? CT_RELATED : CT_RELATED_REPLY;
  }
  const tos = (ipv4.tos(b, ip) & 0x1e) | 0xc0;
  ipBuildAndSend(net, e, saddr, src, ipv4.ICMP, tos, ttlDefault(net), selectIdent(net, saddr, src, 1), 0);
}

/** icmpv4_xrlim_allow: types of the mask, one a second with a burst of six to each destination; nothing over lo. */
function rateAllows(net: Netns, e: Skb, type: number, code: number, dst: number): boolean {
  if (((1 << type) & RATEMASK) === 0 || (type === 3 && code === 4) || e.rtDev === net.lo) return true;
  const { now } = net.kernel.sim;
  const bucket = buckets(net).get(dst);
  if (bucket === undefined) {
    buckets(net).set(dst, { last: now, credit: (BURST - 1) * SEC });
    return true;
  }
  bucket.credit = Math.min(BURST * SEC, bucket.credit + now - bucket.last);
  bucket.last = now;
  if (bucket.credit < SEC) return false;
  bucket.credit -= SEC;
  return true;
}

const BUCKETS = new WeakMap<Netns, Map<number, Bucket>>();
function buckets(net: Netns): Map<number, Bucket> {
  let m = BUCKETS.get(net);
  if (m === undefined) BUCKETS.set(net, (m = new Map()));
  return m;
}
