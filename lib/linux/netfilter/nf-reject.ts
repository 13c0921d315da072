/**
 * The RST with which REJECT answers a segment in the name of its destination.
 *
 * Kernel counterpart: net/ipv4/netfilter/nf_reject_ipv4.c (nf_send_reset).
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import type { Netns } from '../core/netns.js';
import { CT_IS_REPLY, CT_NONE, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { tcpSetClosing } from './ct-tcp.js';
import { RTCF_GROUP } from '../ipv4/dst.js';
import { Flow } from '../ipv4/flow.js';
import { ttlDefault } from '../ipv4/icmp.js';
import { ipBuildAndSend } from '../ipv4/ip-output.js';
import { isErr, routeOutput } from '../ipv4/route.js';

const flow = new Flow();

/** Answers the TCP packet `skb` with a reset; it belongs to the connection that conntrack knows. The packet stays. */
export function nfSendReset(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const t = skb.net + ipv4.headerLen(b, skb.net);
  const end = Math.min(skb.tail, skb.net + ipv4.totalLen(b, skb.net));
  const hlen = tcp.check(b, t, end);
  if (hlen < 0 || ipv4.isFragment(b, skb.net) || ipv4.proto(b, skb.net) !== ipv4.TCP) return;
  const flags = tcp.flags(b, t);
  if ((flags & tcp.RST) !== 0 || (skb.dst!.flags & RTCF_GROUP) !== 0) return;
  const src = ipv4.dst(b, skb.net);
  const dst = ipv4.src(b, skb.net);
  const { skbs } = net.kernel;
  const d = routeOutput(net, flow.to(dst, 0));
  if (isErr(d)) return;
  const r = skbs.alloc();
  r.dst = d;
  const acked = (flags & tcp.ACK) !== 0;
  const next = (tcp.seq(b, t) + ((flags >> 1) & 1) + (flags & 1) + end - t - hlen) | 0;
  const [sport, dport] = [tcp.dport(b, t), tcp.sport(b, t)];
  const answer = acked ? tcp.RST : tcp.RST | tcp.ACK;
  tcp.write(r.buf, r.head, sport, dport, acked ? tcp.ack(b, t) : 0, acked ? 0 : next, tcp.HLEN, answer, 0);
  r.tail = r.head + tcp.HLEN;
  tcp.fillCsum(r.buf, r.head, r.tail, src, dst);
  if (skb.ct !== null) {
    r.ct = skb.ct;
    r.ct.refs++;
    r.ctinfo = skb.ctinfo < CT_IS_REPLY ? CT_RELATED_REPLY : CT_RELATED;
    tcpSetClosing(skb.ct);
  } else r.ctinfo = CT_NONE;
  ipBuildAndSend(net, r, src, dst, ipv4.TCP, 0, ttlDefault(net), 0, ipv4.DF);
}
