/**
 * The RST with which REJECT answers a segment in the name of its destination.
 *
 *   came by a bridge port ─▶ out of that port at once, MACs turned round: no hook sees it
 *   else ─▶ ipLocalOut
 *
 * Kernel counterpart: net/ipv4/netfilter/nf_reject_ipv4.c (nf_send_reset).
 * @module
 */
import { put16 } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import { devQueueXmit, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { CT_IS_REPLY, CT_NONE, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { tcpSetClosing } from './ct-tcp.js';
import { RTCF_GROUP } from '../ipv4/dst.js';
import { replyMark, ttlDefault } from '../ipv4/icmp.js';
import { ipLocalOut } from '../ipv4/ip-output.js';
import { ipRouteMeHarder } from '../ipv4/route.js';

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
  const r = net.kernel.skbs.alloc();
  const acked = (flags & tcp.ACK) !== 0;
  const next = (tcp.seq(b, t) + ((flags >> 1) & 1) + (flags & 1) + end - t - hlen) | 0;
  const [sport, dport] = [tcp.dport(b, t), tcp.sport(b, t)];
  const answer = acked ? tcp.RST : tcp.RST | tcp.ACK;
  tcp.write(r.buf, r.head, sport, dport, acked ? tcp.ack(b, t) : 0, acked ? 0 : next, tcp.HLEN, answer, 0);
  r.tail = r.head + tcp.HLEN;
  tcp.fillCsum(r.buf, r.head, r.tail, src, dst);
  r.trans = r.head;
  r.push(ipv4.HLEN);
  r.net = r.head;
  ipv4.write(r.buf, r.net, 0, r.tail - r.net, 0, ipv4.DF, ttlDefault(net), ipv4.TCP, src, dst);
  r.mark = replyMark(net, skb);
  if (ipRouteMeHarder(net, r) < 0) return net.kernel.skbs.free(r);
  if (skb.ct !== null) {
    r.ct = skb.ct;
    r.ct.refs++;
    r.ctinfo = skb.ctinfo < CT_IS_REPLY ? CT_RELATED_REPLY : CT_RELATED;
    tcpSetClosing(skb.ct);
  } else r.ctinfo = CT_NONE;
  if (skb.physin !== null) sendBack(skb.physin, skb, r);
  else ipLocalOut(net, r);
}

/** To the station that sent the bridged frame `skb`, as from the one it was meant for. */
function sendBack(port: Netdev, skb: Skb, r: Skb): void {
  r.push(eth.HLEN);
  r.mac = r.head;
  for (let i = 0; i < 6; i++) {
    r.buf[r.mac + eth.DST + i] = skb.buf[skb.mac + eth.SRC + i]!;
    r.buf[r.mac + eth.SRC + i] = skb.buf[skb.mac + eth.DST + i]!;
  }
  put16(r.buf, r.mac + eth.TYPE, eth.P_IP);
  devQueueXmit(port, r);
}
