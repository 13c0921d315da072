/**
 * Raw sockets: ICMP as ping opens them (send echo requests, see every ICMP message of the namespace), and packets sent with
 * their whole header.
 *
 * Kernel counterpart: net/ipv4/raw.c, receiving for IPPROTO_ICMP only.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Runnable } from '../../sim/sim.js';
import { ROOT } from '../core/cred.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { type Dst, dstMtu, RTCF_BROADCAST } from './dst.js';
import { Flow } from './flow.js';
import { learnFromError } from './icmp-rcv.js';
import { ttlDefault } from './icmp.js';
import { type ReplyOptions, socketOptions } from './ip-options.js';
import {
  dontFragment, ipBuildAndSend, ipBuildWithOptions, ipLocalOut, PMTUDISC_DO, PMTUDISC_DONT, PMTUDISC_WANT, selectIdent,
} from './ip-output.js'; // prettier-ignore
import {
  EACCES, inetAddrType, isErr, routeOutput, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST,
} from './route.js'; // prettier-ignore

const EMSGSIZE = 90;
const EADDRNOTAVAIL = 99;
const ENOBUFS = 105;
/** IPPROTO_RAW. */
const RAW = 255;

const flow = new Flow();

export interface IcmpMessage {
  /** When it came (SO_TIMESTAMP), ns. */
  at: number;
  src: number;
  ttl: number;
  /** Of the IPv4 header. */
  options: Uint8Array;
  /** From the ICMP type byte on. */
  data: Uint8Array;
}

/** An entry of the socket's error queue (IP_RECVERR): what an ICMP error said about an echo request of this socket. */
export interface IcmpErrorMessage {
  /** Who sent it. */
  src: number;
  type: number;
  code: number;
  /** MTU of 3/4, gateway of a redirect, place of a parameter problem. */
  info: number;
  /** Where the request had gone to, its identifier and sequence number. */
  dst: number;
  id: number;
  seq: number;
}

export class IcmpSock implements Runnable {
  readonly net: Netns;
  onReady: (() => void) | null = null;
  queued = false;
  /** MTU of the path that the last packet was to take, less the options: what -EMSGSIZE is about. */
  mtu = 0;
  /** IP_TTL and IP_MULTICAST_TTL; -1: the system's, and 1 for groups. */
  ttl = -1;
  tos = 0;
  mark = 0;
  pmtudisc: number;
  /** SO_BROADCAST. */
  broadcast = false;
  private dev: Netdev | null = null;
  private addr = 0;
  private options: ReplyOptions | null = null;
  private readonly queue: IcmpMessage[] = [];
  private readonly errors: IcmpErrorMessage[] = [];

  constructor(net: Netns) {
    this.net = net;
    this.pmtudisc = (net.sysctl.get('net.ipv4.ip_no_pmtu_disc') ?? 0) !== 0 ? PMTUDISC_DONT : PMTUDISC_WANT;
    net.socks.icmp.push(this);
  }

  run(): void {
    this.onReady?.();
  }

  /** SO_BINDTODEVICE: sends and receives by this device only; null: by any. */
  bindToDevice(dev: Netdev | null): void {
    this.dev = dev;
  }

  /** Sends from and receives for one address only (raw_bind): 0 or a negative errno. */
  bind(addr: number): number {
    const type = inetAddrType(this.net, addr);
    if (addr !== 0 && type !== RTN_LOCAL && type !== RTN_MULTICAST && type !== RTN_BROADCAST) return -EADDRNOTAVAIL;
    this.addr = addr;
    return 0;
  }

  /** IP_OPTIONS for what it sends (ip_options_get): 0 or a negative errno. */
  setOptions(data: Uint8Array): number {
    const o = socketOptions(this.net, data);
    if (typeof o === 'number') return o;
    this.options = o;
    return 0;
  }

  /** The source address of a datagram to `daddr` and whether that is a broadcast, or a negative errno as `err`. */
  source(daddr: number): { src: number; err: number; broadcast: boolean } {
    const d = routeOutput(this.net, this.flow(flow.to(daddr, 0).ports(ipv4.UDP, 0, 1025)));
    if (isErr(d)) return { src: 0, err: d, broadcast: false };
    return { src: flow.saddr, err: 0, broadcast: (d.flags & RTCF_BROADCAST) !== 0 };
  }

  /**
   * Sends one ICMP message (raw_sendmsg): 0 or a negative errno. A packet longer than the path takes is -EMSGSIZE where it may
   * not be cut, and `mtu` says what would fit; 0: no error is queued for it.
   */
  send(daddr: number, message: Uint8Array): number {
    const { net, options } = this;
    this.mtu = 0;
    if (message.length > 0xffff) return -EMSGSIZE;
    const d = this.route(daddr, message.length);
    if (isErr(d)) return d;
    const src = flow.saddr;
    const skb = net.kernel.skbs.alloc();
    skb.dst = d;
    skb.mark = this.mark;
    skb.cred = ROOT;
    skb.oif = this.dev;
    skb.room(message.length);
    skb.buf.set(message, skb.head);
    skb.tail = skb.head + message.length;
    const hlen = ipv4.HLEN + (options?.len ?? 0);
    const df = dontFragment(skb, this.pmtudisc, message.length + hlen);
    const ident = this.pmtudisc === PMTUDISC_DO ? 0 : selectIdent(net, src, daddr, ipv4.ICMP);
    const ttl = this.ttl >= 0 ? this.ttl : d.type === RTN_MULTICAST ? 1 : ttlDefault(net);
    const sent =
      options === null
        ? ipBuildAndSend(net, skb, src, daddr, ipv4.ICMP, this.tos, ttl, ident, df)
        : ipBuildWithOptions(net, skb, options, src, daddr, ipv4.ICMP, this.tos, ttl, ident, df);
    net.kernel.sim.drain();
    return sent;
  }

  /** The way of a message of `length` bytes, or a negative errno. */
  private route(daddr: number, length: number): Dst | number {
    const d = routeOutput(this.net, this.flow(flow.to(daddr, this.addr).ports(ipv4.ICMP, 0, icmp.ECHO << 8)));
    if (isErr(d)) return d;
    if ((d.flags & RTCF_BROADCAST) !== 0 && !this.broadcast) return -EACCES;
    const optLen = this.options?.len ?? 0;
    const room = (this.pmtudisc === PMTUDISC_DO ? dstMtu(d) : 0xffff) - ipv4.HLEN - optLen;
    if (length <= room) return d;
    this.mtu = dstMtu(d) - optLen;
    return -EMSGSIZE;
  }

  /** What every question of this socket has in common. */
  private flow(fl: Flow): Flow {
    fl.oif = this.dev;
    fl.tos = this.tos;
    fl.mark = this.mark;
    fl.uid = ROOT.uid;
    return fl;
  }

  recv(): IcmpMessage | null {
    return this.queue.shift() ?? null;
  }

  /** The next error, or null. */
  recvError(): IcmpErrorMessage | null {
    return this.errors.shift() ?? null;
  }

  close(): void {
    const list = this.net.socks.icmp;
    const i = list.indexOf(this);
    if (i >= 0) list.splice(i, 1);
    this.onReady = null;
  }

  /** Whether a packet from or for `addr`, that came by `dev`, is its business (raw_v4_match). */
  matches(addr: number, dev: Netdev | null): boolean {
    return (this.addr === 0 || this.addr === addr) && (this.dev === null || this.dev === dev);
  }

  fail(m: IcmpErrorMessage): void {
    if (this.errors.length >= MAX_QUEUE) return;
    this.errors.push(m);
    this.net.kernel.sim.wake(this);
  }

  deliver(m: IcmpMessage): void {
    if (this.queue.length >= MAX_QUEUE) return;
    this.queue.push(m);
    this.net.kernel.sim.wake(this);
  }
}

/** Bytes of errors and messages a socket keeps, in messages (rmem_default over a small frame's truesize). */
const MAX_QUEUE = 277;

/**
 * Sends a whole IPv4 packet as it is, from any source, to `daddr` (raw_send_hdrinc): 0 or a negative errno. Its checksum and ID
 * have to be filled in.
 */
export function rawSendHdrinc(net: Netns, packet: Uint8Array, daddr: number): number {
  const { skbs, sim } = net.kernel;
  const d = routeOutput(net, flow.to(daddr, 0).ports(RAW, 0, 0));
  if (isErr(d)) return d;
  const skb = skbs.alloc();
  skb.dst = d;
  skb.room(packet.length);
  skb.buf.set(packet, skb.head);
  skb.tail = skb.head + packet.length;
  skb.protocol = 0x0800;
  skb.trans = skb.head + ipv4.headerLen(packet, 0);
  const sent = ipLocalOut(net, skb);
  sim.drain();
  sim.preempt();
  return sent === -ENOBUFS ? 0 : sent;
}

/** The device a packet counts as received by: on lo the one that has the address it is for (inet_iif). */
function inetIif(net: Netns, skb: Skb, dst: number): Netdev | null {
  return skb.dev === net.lo ? (net.fib.local.lookup(dst, 0, null)?.dev ?? skb.dev) : skb.dev;
}

/** Copies a delivered packet to the raw sockets of its protocol (raw_local_deliver). True when one took it. */
export function rawDeliver(net: Netns, skb: Skb, proto: number): boolean {
  if (proto !== ipv4.ICMP || net.socks.icmp.length === 0) return false;
  const src = ipv4.src(skb.buf, skb.net);
  const dst = ipv4.dst(skb.buf, skb.net);
  const m = {
    at: net.kernel.sim.now,
    src,
    ttl: ipv4.ttl(skb.buf, skb.net),
    options: skb.buf.slice(skb.net + ipv4.HLEN, skb.trans),
    data: skb.buf.slice(skb.trans, skb.tail),
  };
  const dev = inetIif(net, skb, dst);
  for (const s of net.socks.icmp) if (s.matches(dst, dev)) s.deliver(m);
  return true;
}

/**
 * An ICMP error quotes a packet at `inner` that a raw socket may have sent (raw_icmp_error): path MTU and redirects are
 * learned, other errors go to the sockets' error queues.
 */
export function rawErr(net: Netns, skb: Skb, inner: number, type: number, code: number, info: number): void {
  const b = skb.buf;
  if (ipv4.proto(b, inner) !== ipv4.ICMP || net.socks.icmp.length === 0) return;
  learnFromError(net, skb, inner, type, code, info);
  if (type === icmp.REDIRECT) return;
  const t = inner + ipv4.headerLen(b, inner);
  if (icmp.type(b, t) !== icmp.ECHO) return;
  const m = {
    src: ipv4.src(b, skb.net),
    type,
    code,
    info,
    dst: ipv4.dst(b, inner),
    id: icmp.id(b, t),
    seq: icmp.seq(b, t),
  };
  const src = ipv4.src(b, inner);
  for (const s of net.socks.icmp) if (s.matches(src, skb.dev)) s.fail(m);
}
