/**
 * NAT of a packet: the hooks that ask the nat table about a connection's first one and rewrite every one, and the quotes of
 * ICMP errors. What a connection is changed to is decided in nat.ts.
 *
 * Kernel counterparts: net/netfilter/nf_nat_proto.c, nf_nat_core.c (nf_nat_inet_fn).
 * @module
 */
import { put16, u16 } from '../../../wire/bytes.js';
import { fill, replace16, replace32 } from '../../../wire/checksum.js';
import * as icmp from '../../../wire/icmp.js';
import { ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as sctp from '../../../wire/sctp.js';
import * as udp from '../../../wire/udp.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import { CT_IS_REPLY, CT_NEW, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { ipRouteMeHarder } from '../ipv4/route.js';
import { type Conn, S_DST_NAT, S_NAT_MASK, S_SRC_NAT } from './ct-conn.js';
import { invertTuple, Tuple } from './ct-tuple.js';
import { MANIP_DST, MANIP_SRC, natDone, nullBinding } from './nat.js';

const maniptype = (hook: number): number => (hook === POST_ROUTING || hook === LOCAL_IN ? MANIP_SRC : MANIP_DST);

/** Asks the nat table's chain; NF_ACCEPT to go on. */
export type NatRules = (net: Netns, skb: Skb, hook: number, indev: Netdev | null, outdev: Netdev | null) => number;

/** The nat hook (nf_nat_inet_fn and its four wrappers). */
export function natHook(
  net: Netns,
  skb: Skb,
  hook: number,
  indev: Netdev | null,
  outdev: Netdev | null,
  rules: NatRules,
): number {
  const { ct } = skb;
  if (ct === null) return NF_ACCEPT;
  const manip = maniptype(hook);
  const info = skb.ctinfo;
  if (info === CT_NEW || info === CT_RELATED || info === CT_RELATED_REPLY) {
    if (info !== CT_NEW && ipv4.proto(skb.buf, skb.net) === ipv4.ICMP) {
      if (!icmpTranslate(net, skb, ct, manip)) return NF_DROP;
      return hook === LOCAL_OUT ? reroute(net, skb, ct) : NF_ACCEPT;
    }
    if (!natDone(ct, manip)) {
      const v = rules(net, skb, hook, indev, outdev);
      if (v !== NF_ACCEPT) return v;
      if (!natDone(ct, manip)) nullBinding(ct, manip);
    } else if (oifChanged(ct, hook, info, outdev)) {
      ct.table.remove(ct);
      return NF_DROP;
    }
  } else if (oifChanged(ct, hook, info, outdev)) {
    ct.table.remove(ct);
    return NF_DROP;
  }
  const daddr = ipv4.dst(skb.buf, skb.net);
  natPacket(net, skb, ct, manip);
  if (hook === PRE_ROUTING && ipv4.dst(skb.buf, skb.net) !== daddr) skb.dst = null;
  return hook === LOCAL_OUT ? reroute(net, skb, ct) : NF_ACCEPT;
}

function oifChanged(ct: Conn, hook: number, info: number, outdev: Netdev | null): boolean {
  return (
    ct.masqIndex !== 0 &&
    hook === POST_ROUTING &&
    info < CT_IS_REPLY &&
    outdev !== null &&
    outdev.ifindex !== ct.masqIndex
  );
}

function reroute(net: Netns, skb: Skb, ct: Conn): number {
  const reply = skb.ctinfo >= CT_IS_REPLY;
  const here = reply ? ct.reply : ct.orig;
  const other = reply ? ct.orig : ct.reply;
  if (here.dst === other.src) return NF_ACCEPT;
  const err = ipRouteMeHarder(net, skb);
  return err === 0 ? NF_ACCEPT : err;
}

/** True when packets of this direction are changed at this hook. */
function applies(ct: Conn, manip: number, reply: boolean): boolean {
  let bit = manip === MANIP_SRC ? S_SRC_NAT : S_DST_NAT;
  if (reply) bit ^= S_NAT_MASK;
  return (ct.status & bit) !== 0;
}

const target = new Tuple();

/** Rewrites a packet as its connection says (nf_nat_packet). */
function natPacket(net: Netns, skb: Skb, ct: Conn, manip: number): void {
  const reply = skb.ctinfo >= CT_IS_REPLY;
  if (!applies(ct, manip, reply)) return;
  invertTuple(target, reply ? ct.orig : ct.reply);
  const { tracer } = net.kernel;
  const before = tracer === null ? '' : endpoint(skb, manip);
  manipPacket(skb.buf, skb.net, skb.tail, target, manip);
  if (tracer !== null) tracer.nat(net, skb, manip === MANIP_SRC ? 'SNAT' : 'DNAT', before, endpoint(skb, manip));
}

function endpoint(skb: Skb, manip: number): string {
  const b = skb.buf;
  const th = skb.net + ipv4.headerLen(b, skb.net);
  const proto = ipv4.proto(b, skb.net);
  const a = ntoa(manip === MANIP_SRC ? ipv4.src(b, skb.net) : ipv4.dst(b, skb.net));
  if (proto === ipv4.ICMP) return `${a}:${icmp.id(b, th)}`;
  return proto === ipv4.TCP || proto === ipv4.UDP ? `${a}:${u16(b, th + (manip === MANIP_SRC ? 0 : 2))}` : a;
}

/** New source or destination for the IPv4 packet at `o` (nf_nat_ipv4_manip_pkt). `end` bounds a quoted packet. */
function manipPacket(b: Uint8Array, o: number, end: number, t: Tuple, manip: number): void {
  const src = manip === MANIP_SRC;
  const oldAddr = src ? ipv4.src(b, o) : ipv4.dst(b, o);
  const newAddr = src ? t.src : t.dst;
  const th = o + ipv4.headerLen(b, o);
  if ((ipv4.frag(b, o) & ipv4.OFFSET) === 0) {
    const port = src ? t.sport : t.dport;
    switch (ipv4.proto(b, o)) {
      case ipv4.UDP:
        if (th + 8 > end) break;
        udp.replaceCsum32(b, th, oldAddr, newAddr);
        if (src) udp.setSport(b, th, port);
        else udp.setDport(b, th, port);
        break;
      case ipv4.TCP: {
        const at = th + (src ? 0 : 2);
        if (th + 8 > end) break;
        // An error quotes 8 bytes at least: without the whole header there is no checksum to change.
        if (th + 20 <= end) {
          const c = replace16(replace32(u16(b, th + 16), oldAddr, newAddr), u16(b, at), port);
          put16(b, th + 16, c);
        }
        put16(b, at, port);
        break;
      }
      case ipv4.SCTP:
        if (th + 8 > end) break;
        sctp.setPort(b, th, end, src ? sctp.SPORT : sctp.DPORT, port);
        break;
      case ipv4.ICMP: {
        const ty = b[th]!;
        const query = ty === icmp.ECHO || ty === icmp.ECHOREPLY || (ty >= icmp.TIMESTAMP && ty <= icmp.ADDRESSREPLY);
        if (query && th + 8 <= end && icmp.id(b, th) !== t.sport) icmp.setId(b, th, t.sport);
        break;
      }
      default:
    }
  }
  if (src) ipv4.setSrc(b, o, newAddr);
  else ipv4.setDst(b, o, newAddr);
}

/** Translates an ICMP error and the packet it quotes (nf_nat_icmp_reply_translation). False: drop. */
function icmpTranslate(net: Netns, skb: Skb, ct: Conn, manip: number): boolean {
  const b = skb.buf;
  const th = skb.net + ipv4.headerLen(b, skb.net);
  const end = Math.min(skb.tail, skb.net + ipv4.totalLen(b, skb.net));
  if (end - th < icmp.HLEN + ipv4.HLEN) return false;
  if (icmp.type(b, th) === icmp.REDIRECT) {
    // A redirect would make the two ends talk without translation; a connection that is not bound yet may get one.
    if (!natDone(ct, MANIP_SRC) || !natDone(ct, MANIP_DST) || (ct.status & S_NAT_MASK) !== 0) return false;
  }
  const reply = skb.ctinfo >= CT_IS_REPLY;
  if (!applies(ct, manip, reply)) return true;
  // The quoted packet travelled the other way: its opposite end is changed back.
  const quoted = reply ? ct.orig : ct.reply;
  const { tracer } = net.kernel;
  const before = tracer === null ? '' : endpoint(skb, manip);
  manipPacket(b, th + icmp.HLEN, end, quoted, manip === MANIP_SRC ? MANIP_DST : MANIP_SRC);
  fill(b, th, end, th + icmp.CSUM);
  invertTuple(target, quoted);
  if (manip === MANIP_SRC) ipv4.setSrc(b, skb.net, target.src);
  else ipv4.setDst(b, skb.net, target.dst);
  if (tracer !== null) tracer.nat(net, skb, manip === MANIP_SRC ? 'SNAT' : 'DNAT', before, endpoint(skb, manip));
  return true;
}
