/**
 * IPv4 in IPv4: `tunl0`, the catch-all device of every namespace, and tunnels with given ends.
 *
 *   route ─▶ tunl0 (tap: the inner packet) ─▶ outer header ─[LOCAL_OUT]▶ uplink
 *   uplink ─[PRE_ROUTING, LOCAL_IN]▶ ipipRcv ─▶ tunl0 (tap) ─[PRE_ROUTING]▶ …
 *
 * Kernel counterparts: net/ipv4/ipip.c, ip_tunnel.c. Not here: keys, FOU/GUE, error counting, path MTU exceptions of the
 * inner route.
 * @module
 */
import { put32 } from '../../../wire/bytes.js';
import { isMulticast, ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { drop } from '../core/drop.js';
import { ARPHRD_TUNNEL, Netdev, netifRx } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { scrub, type Skb } from '../core/skb.js';
import { dstMtu, nexthop } from '../ipv4/dst.js';
import { Flow } from '../ipv4/flow.js';
import { icmpSend } from '../ipv4/icmp.js';
import { isErr, routeOutput } from '../ipv4/route.js';
import { S_SRC_NAT } from '../netfilter/ct-conn.js';
import { ecnDecapsulate, ecnEncapsulate, ipTunnelXmit } from './ip-tunnel.js';

const flow = new Flow();

/** Ends and header fields of a tunnel (struct ip_tunnel_parm); 0 stands for any, or for inherited. */
export interface IpTunnelParms {
  local: number;
  remote: number;
  ttl: number;
  tos: number;
  pmtudisc: boolean;
  link: Netdev | null;
  /** Made by the old system call (`ip tunnel`), which names the protocol and bounds the MTU. */
  ioctl: boolean;
}

export class IpTunnel extends Netdev {
  override readonly kind = 'ipip';
  readonly parms: IpTunnelParms;
  /** True for `tunl0`, which takes what no other tunnel does. */
  readonly fallback: boolean;

  constructor(net: Netns, name: string, parms: IpTunnelParms, fallback: boolean) {
    super(net, name, net.newIndex());
    this.parms = parms;
    this.fallback = fallback;
    this.type = ARPHRD_TUNNEL;
    this.mtu = parms.link === null ? 1480 : parms.link.mtu - ipv4.HLEN;
    this.noarp = true;
    this.multicast = false;
  }

  override get iflink(): number {
    return this.parms.link?.ifindex ?? 0;
  }

  /** needed_headroom of ip_tunnel_bind_dev, with LL_MAX_HEADER where no device below is named. */
  override get llReserved(): number {
    return this.parms.link === null ? 64 : 48;
  }

  /** ipip_tunnel_xmit, ip_tunnel_xmit: `head` at the inner IPv4 header, its route in skb.dst. */
  override xmit(skb: Skb): number {
    this.tunnelXmit(skb);
    return 0;
  }

  private tunnelXmit(skb: Skb): void {
    const { net, parms } = this;
    const b = skb.buf;
    const o = skb.head;
    const innerTos = ipv4.tos(b, o);
    const tos = ecnEncapsulate((parms.tos & 1) !== 0 ? innerTos : parms.tos, innerTos);
    const ttl = parms.ttl === 0 ? ipv4.ttl(b, o) : parms.ttl;
    const df = ipv4.frag(b, o) & ipv4.DF;
    const daddr = parms.remote !== 0 ? parms.remote : nexthop(skb.dst!, ipv4.dst(b, o));
    if (daddr === 0 || isMulticast(daddr)) return drop(net, skb, 'NOT_SPECIFIED');
    const fl = flow.to(daddr, parms.local).ports(ipv4.IPIP, 0, 0);
    fl.oif = parms.link;
    fl.mark = skb.mark;
    const rt = routeOutput(net, fl);
    if (isErr(rt)) return drop(net, skb, 'IP_OUTNOROUTES');
    if (rt.dev === this) return drop(net, skb, 'NOT_SPECIFIED');
    const { saddr } = fl;
    const mtu = parms.pmtudisc || df !== 0 ? dstMtu(rt) - ipv4.HLEN : this.mtu;
    if (df !== 0 && skb.tail - o > mtu) {
      icmpNdoSend(net, skb, mtu);
      return drop(net, skb, 'PKT_TOO_BIG');
    }
    if (net.kernel.tracer !== null)
      net.kernel.tracer.tunnel(net, skb, this, `into IPIP to ${ntoa(daddr)}, from ${ntoa(saddr)}`);
    skb.local = true;
    skb.dst = rt;
    if (skb.llRoom < this.llReserved) skb.llRoom = this.llReserved; // skb_cow_head
    ipTunnelXmit(net, skb, saddr, daddr, ipv4.IPIP, tos, ttl, df | (parms.pmtudisc ? ipv4.DF : 0));
  }
}

/** `tunl0`. */
export const fallbackTunnel = (net: Netns): IpTunnel =>
  new IpTunnel(net, 'tunl0', { local: 0, remote: 0, ttl: 0, tos: 0, pmtudisc: false, link: null, ioctl: false }, true);

/** ICMP "fragmentation needed" from a device: to the address before source NAT (icmp_ndo_send). */
function icmpNdoSend(net: Netns, skb: Skb, mtu: number): void {
  const { ct } = skb;
  const o = skb.head;
  skb.net = o;
  if (ct === null || (ct.status & S_SRC_NAT) === 0) return icmpSend(net, skb, 3, 4, mtu);
  const saddr = ipv4.src(skb.buf, o);
  put32(skb.buf, o + ipv4.SRC, ct.orig.src);
  icmpSend(net, skb, 3, 4, mtu);
  put32(skb.buf, o + ipv4.SRC, saddr);
}

/** The tunnel that takes a packet, the most particular first (ip_tunnel_lookup); devices that are down take none. */
function lookup(net: Netns, link: Netdev | null, saddr: number, daddr: number): IpTunnel | null {
  let best: IpTunnel | null = null;
  let top = 0;
  for (const d of net.devs) {
    if (!(d instanceof IpTunnel) || !d.up) continue;
    const { local, remote, link: bound } = d.parms;
    if ((remote !== 0 && remote !== saddr) || (local !== 0 && local !== daddr) || (bound !== null && bound !== link))
      continue;
    const score = (remote !== 0 ? 8 : 0) + (local !== 0 ? 4 : 0) + (bound !== null ? 2 : 0) + (d.fallback ? 0 : 1);
    if (best === null || score > top) [best, top] = [d, score];
  }
  return best;
}

/** A packet of protocol 4 for this machine (ipip_rcv, ip_tunnel_rcv); without a tunnel the sender is told so. */
export function ipipRcv(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const t = lookup(net, skb.dev, ipv4.src(b, skb.net), ipv4.dst(b, skb.net));
  if (t === null) {
    icmpSend(net, skb, 3, 3, 0);
    return drop(net, skb, 'IP_NOPROTO');
  }
  const outerTos = ipv4.tos(b, skb.net);
  const outerSrc = ipv4.src(b, skb.net);
  if (skb.tail - skb.trans < ipv4.HLEN) return drop(net, skb, 'PKT_TOO_SMALL');
  if (!ecnDecapsulate(outerTos, b, skb.trans)) return drop(net, skb, 'NOT_SPECIFIED');
  skb.head = skb.mac = skb.net = skb.trans;
  scrub(skb);
  if (net.kernel.tracer !== null) net.kernel.tracer.tunnel(net, skb, t, `out of IPIP, of ${ntoa(outerSrc)}`);
  netifRx(t, skb);
}
