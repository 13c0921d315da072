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
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { dstMtu } from './dst.js';
import { Flow } from './flow.js';
import { learnFromError } from './icmp-rcv.js';
import { ttlDefault } from './icmp.js';
import { dontFragment, ipBuildAndSend, ipLocalOut, PMTUDISC_DO, selectIdent } from './ip-output.js';
import { isErr, routeOutput } from './route.js';

const EMSGSIZE = 90;
const ENOBUFS = 105;
/** IPPROTO_RAW. */
const RAW = 255;

const flow = new Flow();

export interface IcmpMessage {
  src: number;
  dst: number;
  ttl: number;
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
  /** MTU of the path that the last packet was to take. */
  mtu = 0;
  /** User of the program that opened it. */
  uid = 0;
  private readonly queue: IcmpMessage[] = [];
  private readonly errors: IcmpErrorMessage[] = [];

  constructor(net: Netns) {
    this.net = net;
    net.socks.icmp.push(this);
  }

  run(): void {
    this.onReady?.();
  }

  /** The source address a packet to `daddr` would get (ping asks with a UDP socket), or a negative errno as `err`. */
  source(daddr: number, saddr = 0): { src: number; err: number } {
    const fl = flow.to(daddr, saddr).ports(ipv4.UDP, 0, 1025);
    fl.uid = this.uid;
    const d = routeOutput(this.net, fl);
    return { src: fl.saddr, err: isErr(d) ? d : 0 };
  }

  /**
   * Sends one echo request: 0 or a negative errno. With PMTUDISC_DO a packet longer than the path takes is -EMSGSIZE, and
   * `mtu` then says what would fit.
   */
  sendEcho(
    daddr: number,
    id: number,
    seq: number,
    payload: Uint8Array,
    opts: { ttl?: number; tos?: number; saddr?: number; pmtudisc: number },
  ): number {
    const { net } = this;
    const tos = opts.tos ?? 0;
    const fl = flow.to(daddr, opts.saddr ?? 0).ports(ipv4.ICMP, 0, icmp.ECHO << 8);
    fl.tos = tos;
    fl.uid = this.uid;
    const d = routeOutput(net, fl);
    if (isErr(d)) return d;
    const n = icmp.HLEN + payload.length;
    this.mtu = dstMtu(d);
    const force = opts.pmtudisc === PMTUDISC_DO;
    if (n + ipv4.HLEN > (force ? this.mtu : 0xffff)) return -EMSGSIZE;
    const src = fl.saddr;
    const skb = net.kernel.skbs.alloc();
    skb.dst = d;
    skb.uid = this.uid;
    skb.room(n);
    skb.buf.set(payload, skb.head + icmp.HLEN);
    skb.tail = skb.head + n;
    icmp.write(skb.buf, skb.head, skb.tail, icmp.ECHO, 0, id * 0x10000 + seq);
    const ttl = opts.ttl ?? ttlDefault(net);
    const df = dontFragment(skb, opts.pmtudisc, n + ipv4.HLEN);
    const ident = force ? 0 : selectIdent(net, src, daddr, ipv4.ICMP);
    const sent = ipBuildAndSend(net, skb, src, daddr, ipv4.ICMP, tos, ttl, ident, df);
    net.kernel.sim.drain();
    return sent;
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

/** Copies a delivered packet to the raw sockets of its protocol (raw_local_deliver). True when one took it. */
export function rawDeliver(net: Netns, skb: Skb, proto: number): boolean {
  if (proto !== ipv4.ICMP || net.socks.icmp.length === 0) return false;
  const data = skb.buf.slice(skb.trans, skb.tail);
  for (const s of net.socks.icmp) {
    s.deliver({
      src: ipv4.src(skb.buf, skb.net),
      dst: ipv4.dst(skb.buf, skb.net),
      ttl: ipv4.ttl(skb.buf, skb.net),
      data,
    });
  }
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
  for (const s of net.socks.icmp) s.fail(m);
}
