/**
 * IPv4 output: local packets enter at ipLocalOut, forwarded ones at dstOutput; both leave through a neighbour.
 *
 *   ipLocalOut ─[LOCAL_OUT]▶ dstOutput ─[POST_ROUTING]▶ ipFinishOutput ─ fits? ─▶ neighOutput
 *                                                            └─ too long ─▶ ipFragment ─▶ one neighOutput a piece
 *
 * What goes to a group that this machine is in, or to all, comes back to it as a copy (mcOutput).
 *
 * Kernel counterpart: net/ipv4/ip_output.c.
 * @module
 */
import { put16 } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Softirq } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import { deliverSkb } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_OUT, nfHook, type Okfn, POST_ROUTING } from '../core/nf-hook.js';
import { IPSKB_FORWARDED, IPSKB_FRAG_PMTU, PACKET_LOOPBACK, type Skb } from '../core/skb.js';
import { dstMtu, dstMtuMaybeForward, nexthop, RTCF_GROUP, RTCF_LOCAL } from './dst.js';
import { icmpSend } from './icmp.js';
import { buildOptions, fragmentOptions, type ReplyOptions, sendCheck } from './ip-options.js';
import { neighOutput } from './neighbour.js';

const EMSGSIZE = 90;
const ENOBUFS = 105;

/** IP_MTU_DISCOVER: never DF, DF on what fits, always DF. */
export const PMTUDISC_DONT = 0;
export const PMTUDISC_WANT = 1;
export const PMTUDISC_DO = 2;

/**
 * The DF bit for a routed packet of `length` bytes at its birth (__ip_make_skb); unless it has to go whole, this machine may
 * cut it.
 */
export function dontFragment(skb: Skb, pmtudisc: number, length: number): number {
  skb.ignoreDf = pmtudisc !== PMTUDISC_DO;
  if (pmtudisc === PMTUDISC_DO) return ipv4.DF;
  const d = skb.dst!;
  return pmtudisc === PMTUDISC_WANT && !d.mtuLocked && length <= dstMtu(d) ? ipv4.DF : 0;
}

/**
 * Sends a packet of this machine; it is routed (skb.dst) and `head` stands at the IPv4 header (ip_send_skb). Returns 0 or a
 * negative errno: -EPERM for what netfilter drops, -ENOBUFS for what the device drops.
 */
export function ipLocalOut(net: Netns, skb: Skb): number {
  skb.local = true;
  skb.net = skb.head;
  const { dev } = skb.dst!;
  skb.dev = dev;
  if (skb.llRoom < dev.llReserved) skb.llRoom = dev.llReserved;
  if (net.kernel.tracer !== null) net.kernel.tracer.route(net, skb, skb.dst!);
  const err = nfHook(LOCAL_OUT, net, skb, null, dev, dstOutput);
  return err > 0 ? -ENOBUFS : err;
}

/** ip_output: POST_ROUTING, then the neighbour. */
export function dstOutput(net: Netns, skb: Skb): number {
  const indev = skb.local ? null : skb.dev;
  const { dev, flags } = skb.dst!;
  skb.dev = dev;
  if ((flags & RTCF_GROUP) !== 0 && (flags & RTCF_LOCAL) !== 0 && dev !== net.lo) mcOutput(net, skb);
  return nfHook(POST_ROUTING, net, skb, indev, dev, ipFinishOutput);
}

/** ip_mc_output: a copy for this machine, which passes POST_ROUTING too. */
function mcOutput(net: Netns, skb: Skb): void {
  const copy = net.kernel.skbs.copy(skb);
  copy.dev = skb.dev;
  nfHook(POST_ROUTING, net, copy, null, copy.dev, loopbackXmit);
}

/** dev_loopback_xmit: received by the device that the original leaves by, before that leaves; no capture sees it. */
function loopbackXmit(net: Netns, skb: Skb): number {
  skb.head = skb.mac = skb.net;
  skb.pktType = PACKET_LOOPBACK;
  skb.protocol = eth.P_IP;
  skb.local = false;
  net.kernel.sim.raise(LOOPBACK, skb);
  net.kernel.sim.drain();
  return 0;
}

const LOOPBACK: Softirq<Skb> = {
  softirq: (skb) => {
    skb.iif = skb.dev;
    deliverSkb(skb.dev!, skb);
  },
};

/** __ip_finish_output: whole, or in pieces where it is too long or came in pieces. */
export function ipFinishOutput(net: Netns, skb: Skb): number {
  const mtu = dstMtuMaybeForward(skb.dst!, (skb.ipFlags & IPSKB_FORWARDED) !== 0);
  if (skb.tail - skb.net <= mtu && skb.fragMax === 0) return ipFinishOutput2(net, skb);
  if ((ipv4.frag(skb.buf, skb.net) & ipv4.DF) !== 0 && (!skb.ignoreDf || skb.fragMax > mtu)) {
    icmpSend(net, skb, 3, 4, mtu);
    drop(net, skb, 'PKT_TOO_BIG');
    return -EMSGSIZE;
  }
  return ipFragment(net, skb, mtu, ipFinishOutput2);
}

/** ip_finish_output2: the next hop's neighbour takes the packet. */
function ipFinishOutput2(net: Netns, skb: Skb): number {
  skb.head = skb.net;
  const d = skb.dst!;
  const to = nexthop(d, ipv4.dst(skb.buf, skb.net));
  let n = d.neigh;
  if (n === null || n.addr !== to || n.gone) n = d.neigh = net.neigh.create(d.dev, to);
  if (skb.dstConfirm) n.confirm();
  return neighOutput(n, skb);
}

/**
 * Cuts a packet and hands each piece to `output` (ip_do_fragment): along the pieces it is made of where they fit and have
 * room for the device's headers (what came over Ethernet has none for a tunnel's), else
 * into the largest multiples of 8 that `mtu` (or the largest fragment it came in) takes. The packet ends here; a piece that
 * fails is the last.
 */
export function ipFragment(net: Netns, skb: Skb, mtu: number, output: Okfn): number {
  const hlen = ipv4.headerLen(skb.buf, skb.net);
  if (skb.fragMax !== 0 && skb.fragMax < mtu) mtu = skb.fragMax;
  if (mtu < hlen + 8) {
    drop(net, skb, 'PKT_TOO_BIG');
    return -EMSGSIZE;
  }
  const room = mtu - hlen;
  const whole = skb.tail - skb.net - hlen;
  const { frags } = skb;
  const { llReserved } = skb.dst!.dev;
  const along = frags !== null && skb.llRoom >= llReserved && fits(skb, frags, room, whole);
  const word = ipv4.frag(skb.buf, skb.net);
  const flags = (skb.ipFlags & IPSKB_FRAG_PMTU) !== 0 && !along ? ipv4.DF : 0;
  const start = word & ipv4.OFFSET;
  let err = 0;
  for (let at = 0, i = 0; at < whole && err === 0; i++) {
    const left = whole - at;
    const n = along ? frags[i]! : left > room ? room & ~7 : left;
    const more = at + n < whole || (word & ipv4.MF) !== 0 ? ipv4.MF : 0;
    const piece = cut(net, skb, hlen, at, n, (start + (at >> 3)) | more | flags);
    if (!along) piece.llRoom = llReserved;
    if (at === 0 && start === 0 && hlen > ipv4.HLEN) fragmentOptions(skb);
    at += n;
    err = output(net, piece);
    // A process lets the softirq run after each piece (local_bh_enable); within the softirq this does nothing.
    net.kernel.sim.drain();
  }
  net.kernel.skbs.free(skb);
  return err;
}

/** True when the packet can go out in the pieces it is made of. */
function fits(skb: Skb, frags: Uint16Array, room: number, whole: number): boolean {
  if (ipv4.isFragment(skb.buf, skb.net)) return false;
  let sum = 0;
  for (let i = 0; i < frags.length; i++) {
    const n = frags[i]!;
    if (n > room || ((n & 7) !== 0 && i < frags.length - 1)) return false;
    sum += n;
  }
  return sum === whole;
}

/** One piece: the header and `n` bytes of data from `at`. */
function cut(net: Netns, skb: Skb, hlen: number, at: number, n: number, word: number): Skb {
  const piece = net.kernel.skbs.derive(skb);
  piece.room(hlen + n);
  const o = piece.head;
  piece.mac = piece.net = o;
  if (skb.net - skb.mac === eth.HLEN) {
    // A bridged packet keeps its link header.
    piece.mac = o - eth.HLEN;
    piece.buf.set(skb.buf.subarray(skb.mac, skb.net), piece.mac);
  }
  piece.trans = o + hlen;
  piece.frags = null;
  piece.fragMax = 0;
  piece.buf.set(skb.buf.subarray(skb.net, skb.net + hlen), o);
  piece.buf.set(skb.buf.subarray(skb.net + hlen + at, skb.net + hlen + at + n), o + hlen);
  piece.tail = o + hlen + n;
  put16(piece.buf, o + ipv4.LEN, hlen + n);
  put16(piece.buf, o + ipv4.FRAG, word);
  sendCheck(piece);
  return piece;
}

/**
 * The hashed IP identification generator (__ip_select_ident): one counter per (daddr, saddr, protocol), random start.
 * Within one tick the kernel steps by one, later by a random amount; podwire always steps by one.
 */
export function selectIdent(net: Netns, saddr: number, daddr: number, proto: number): number {
  const key = (Math.imul(daddr, 0x9e3779b1) ^ Math.imul(saddr, 0x85ebca6b) ^ proto) | 0;
  const id = net.ipIds.get(key) ?? net.kernel.rng('ip-id').u16();
  net.ipIds.set(key, (id + 1) & 0xffff);
  return id === 0 ? 1 : id;
}

/**
 * Finishes an IPv4 packet at its birth: `head` stands at the transport header, the routing decision is in skb.dst.
 * Pushes and fills the IP header and sends it: 0 or a negative errno.
 */
export function ipBuildAndSend(
  net: Netns,
  skb: Skb,
  saddr: number,
  daddr: number,
  proto: number,
  tos: number,
  ttl: number,
  id: number,
  frag: number,
): number {
  skb.trans = skb.head;
  skb.push(ipv4.HLEN);
  skb.net = skb.head;
  ipv4.write(skb.buf, skb.net, tos, skb.tail - skb.net, id, frag, ttl, proto, saddr, daddr);
  if (skb.tail - skb.net > dstMtu(skb.dst!)) appended(skb, ipv4.HLEN);
  return ipLocalOut(net, skb);
}

/** The same with options; `daddr` is the final destination, a reversed source route's first stop stands in the header. */
export function ipBuildWithOptions(
  net: Netns,
  skb: Skb,
  opt: ReplyOptions,
  saddr: number,
  daddr: number,
  proto: number,
  tos: number,
  ttl: number,
  id: number,
  frag: number,
): number {
  const hlen = ipv4.HLEN + opt.len;
  skb.trans = skb.head;
  skb.push(hlen);
  skb.net = skb.head;
  const to = opt.srr !== 0 ? opt.faddr : daddr;
  ipv4.write(skb.buf, skb.net, tos, skb.tail - skb.net, id, frag, ttl, proto, saddr, to);
  skb.buf[skb.net] = 0x40 | (hlen >> 2);
  buildOptions(net, skb, opt, daddr, saddr);
  sendCheck(skb);
  if (skb.tail - skb.net > dstMtu(skb.dst!)) appended(skb, hlen);
  return ipLocalOut(net, skb);
}

/** A datagram over the MTU is put together of pieces that fit it (__ip_append_data), and stays one until it leaves. */
function appended(skb: Skb, hlen: number): void {
  const room = (dstMtu(skb.dst!) - hlen) & ~7;
  const whole = skb.tail - skb.net - hlen;
  if (room < 8) return;
  const frags = new Uint16Array(Math.ceil(whole / room)).fill(room);
  frags[frags.length - 1] = whole - room * (frags.length - 1);
  skb.frags = frags;
}
