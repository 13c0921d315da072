/**
 * Raw ICMP sockets, as ping opens them: send echo requests, see every ICMP message of the namespace.
 *
 * Kernel counterpart: net/ipv4/raw.c for IPPROTO_ICMP only.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Runnable } from '../../sim/sim.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { ttlDefault } from './icmp.js';
import { ipBuildAndSend, selectIdent } from './ip-output.js';
import { routeOutput } from './route.js';

export interface IcmpMessage {
  src: number;
  dst: number;
  ttl: number;
  /** From the ICMP type byte on. */
  data: Uint8Array;
}

export class IcmpSock implements Runnable {
  readonly net: Netns;
  onReady: (() => void) | null = null;
  queued = false;
  private readonly queue: IcmpMessage[] = [];

  constructor(net: Netns) {
    this.net = net;
    net.socks.icmp.push(this);
  }

  run(): void {
    this.onReady?.();
  }

  /** The source address a packet to `daddr` would get, or a negative errno as `err`. */
  source(daddr: number): { src: number; err: number } {
    const skb = this.net.kernel.skbs.alloc();
    const err = routeOutput(this.net, skb, daddr, 0, null);
    const src = skb.rtSrc;
    this.net.kernel.skbs.free(skb);
    return { src, err };
  }

  /** Sends one echo request: 0 or a negative errno. */
  sendEcho(
    daddr: number,
    id: number,
    seq: number,
    payload: Uint8Array,
    opts: { ttl?: number; tos?: number; saddr?: number; df: boolean },
  ): number {
    const { net } = this;
    const skb = net.kernel.skbs.alloc();
    const err = routeOutput(net, skb, daddr, opts.saddr ?? 0, null);
    const n = icmp.HLEN + payload.length;
    const bad = err !== 0 ? err : n + ipv4.HLEN > skb.rtDev!.mtu ? -90 : 0;
    if (bad !== 0) {
      net.kernel.skbs.free(skb);
      return bad;
    }
    const src = skb.rtSrc;
    skb.room(n);
    skb.buf.set(payload, skb.head + icmp.HLEN);
    skb.tail = skb.head + n;
    icmp.write(skb.buf, skb.head, skb.tail, icmp.ECHO, 0, id * 0x10000 + seq);
    const ttl = opts.ttl ?? ttlDefault(net);
    const ident = selectIdent(net, src, daddr, ipv4.ICMP);
    ipBuildAndSend(net, skb, src, daddr, ipv4.ICMP, opts.tos ?? 0, ttl, ident, opts.df ? ipv4.DF : 0);
    net.kernel.sim.drain();
    return 0;
  }

  recv(): IcmpMessage | null {
    return this.queue.shift() ?? null;
  }

  close(): void {
    const list = this.net.socks.icmp;
    const i = list.indexOf(this);
    if (i >= 0) list.splice(i, 1);
    this.onReady = null;
  }

  deliver(m: IcmpMessage): void {
    this.queue.push(m);
    this.net.kernel.sim.wake(this);
  }
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
