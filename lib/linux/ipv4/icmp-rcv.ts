/**
 * ICMP received: echo and timestamp requests answered, errors told to those they concern.
 *
 * Kernel counterpart: net/ipv4/icmp.c (icmp_rcv, icmp_echo, icmp_timestamp, icmp_unreach, icmp_redirect), raw.c (raw_err).
 * Not here: address masks and information requests (Linux discards them too), sockets of type SOCK_DGRAM for ICMP.
 * @module
 */
import { i32, put32, u16 } from '../../../wire/bytes.js';
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { RTCF_GROUP } from './dst.js';
import { icmpReply } from './icmp.js';
import { currentTimestamp } from './ip-options.js';
import { rawErr } from './raw.js';
import { doRedirect, updatePmtu } from './route-exception.js';
import { tcpV4Err } from './tcp-ipv4.js';
import { udpErr } from './udp.js';

/** Handles a delivered ICMP message (icmp_rcv): skb.trans at the ICMP header. */
export function icmpRcv(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const t = skb.trans;
  if (!icmp.csumOk(b, t, skb.tail)) return drop(net, skb, 'ICMP_CSUM');
  if (skb.tail - t < icmp.HLEN) return drop(net, skb, 'PKT_TOO_SMALL');
  const type = icmp.type(b, t);
  if (type > icmp.ADDRESSREPLY) return drop(net, skb, 'UNHANDLED_PROTO');
  if ((skb.dst!.flags & RTCF_GROUP) !== 0) {
    const asks = type === icmp.ECHO || type === icmp.TIMESTAMP;
    const ignore = (net.sysctl.get('net.ipv4.icmp_echo_ignore_broadcasts') ?? 1) !== 0;
    if (asks ? ignore : type !== icmp.ADDRESS && type !== icmp.ADDRESSREPLY) return drop(net, skb, 'INVALID_PROTO');
  }
  switch (type) {
    case icmp.ECHO:
      if ((net.sysctl.get('net.ipv4.icmp_echo_ignore_all') ?? 0) === 0) echo(net, skb);
      break;
    case icmp.TIMESTAMP:
      timestamp(net, skb);
      break;
    case icmp.DEST_UNREACH:
    case icmp.SOURCE_QUENCH:
    case icmp.TIME_EXCEEDED:
    case icmp.PARAMETERPROB:
    case icmp.REDIRECT:
      error(net, skb, type);
      break;
    default:
  }
  net.kernel.skbs.free(skb);
}

/** The reply to an echo request: same data, addresses turned round (icmp_echo). */
function echo(net: Netns, req: Skb): void {
  const e = net.kernel.skbs.alloc();
  const n = req.tail - req.trans;
  e.room(n);
  e.buf.set(req.buf.subarray(req.trans, req.tail), e.head);
  e.tail = e.head + n;
  icmpReply(net, req, e, icmp.ECHOREPLY, icmp.code(req.buf, req.trans), i32(req.buf, req.trans + icmp.REST));
}

/** Milliseconds since midnight: when it was received and sent (icmp_timestamp). */
function timestamp(net: Netns, req: Skb): void {
  if (req.tail - req.trans < icmp.HLEN + 4) return;
  const e = net.kernel.skbs.alloc();
  const now = currentTimestamp(net);
  put32(e.buf, e.head + icmp.HLEN, i32(req.buf, req.trans + icmp.HLEN));
  put32(e.buf, e.head + icmp.HLEN + 4, now);
  put32(e.buf, e.head + icmp.HLEN + 8, now);
  e.tail = e.head + icmp.HLEN + 12;
  icmpReply(net, req, e, icmp.TIMESTAMPREPLY, 0, i32(req.buf, req.trans + icmp.REST));
}

/** Checks an error and hands it to whom it concerns (icmp_unreach, icmp_redirect, icmp_socket_deliver). */
function error(net: Netns, skb: Skb, type: number): void {
  const b = skb.buf;
  const t = skb.trans;
  const inner = t + icmp.HLEN;
  const code = icmp.code(b, t);
  if (skb.tail - inner < ipv4.HLEN) return;
  const hlen = ipv4.headerLen(b, inner);
  if (type !== icmp.REDIRECT && hlen < ipv4.HLEN) return;
  if (type === icmp.DEST_UNREACH && code > 15) return;
  if (type === icmp.TIME_EXCEEDED && code === 1) return;
  const fragNeeded = type === icmp.DEST_UNREACH && code === icmp.FRAG_NEEDED;
  const noPmtuDisc = net.sysctl.get('net.ipv4.ip_no_pmtu_disc') ?? 0;
  if (fragNeeded && noPmtuDisc >= 2) return;
  let info = 0;
  if (fragNeeded && noPmtuDisc === 0) info = u16(b, t + 6);
  else if (type === icmp.REDIRECT) info = i32(b, t + icmp.REST);
  else if (type === icmp.PARAMETERPROB) info = b[t + icmp.REST]!;
  if (skb.tail - inner < hlen + 8) return;
  const proto = ipv4.proto(b, inner);
  rawErr(net, skb, inner, type, code, info);
  if (proto === ipv4.UDP) udpErr(net, skb, inner, type, code, info);
  else if (proto === ipv4.TCP) tcpV4Err(net, skb, inner, type, code, info);
  else if (proto === ipv4.ICMP) icmpErr(net, skb, inner, type, code, info);
}

/** icmp_err: an answer of this machine itself was too long or took the long way; requests are their sockets' business. */
function icmpErr(net: Netns, skb: Skb, inner: number, type: number, code: number, info: number): void {
  if (icmp.type(skb.buf, inner + ipv4.headerLen(skb.buf, inner)) !== icmp.ECHOREPLY) return;
  learnFromError(net, skb, inner, type, code, info);
}

/** What every transport learns from an error about its packet at `inner`: path MTU and redirects. */
export function learnFromError(net: Netns, skb: Skb, inner: number, type: number, code: number, info: number): void {
  const b = skb.buf;
  const daddr = ipv4.dst(b, inner);
  const saddr = ipv4.src(b, inner);
  const tos = ipv4.tos(b, inner);
  if (type === icmp.DEST_UNREACH && code === icmp.FRAG_NEEDED) updatePmtu(net, daddr, saddr, tos, 0, info);
  else if (type === icmp.REDIRECT) doRedirect(net, skb, ipv4.src(b, skb.net), info, daddr, saddr, tos, 0);
}
