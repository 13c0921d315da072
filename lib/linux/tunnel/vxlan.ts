/**
 * VXLAN: Ethernet in UDP, one segment over many machines.
 *
 *   vx0 (tap: the inner frame) ─▶ FDB ─▶ one datagram per far end ─[LOCAL_OUT]▶ uplink
 *   uplink ─▶ UDP socket of the device ─▶ vxlanRcv ─▶ vx0 (tap) ─▶ bridge port | ARP | IPv4
 *
 * Kernel counterpart: drivers/net/vxlan/vxlan_core.c. Not here: multicast groups, GPE and GBP, proxy, rsc, l2miss and
 * l3miss, IPv6, the frag-needed answer for bridged frames that are too big.
 * @module
 */
import { i32, u16 } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import { macText, ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import * as vxlan from '../../../wire/vxlan.js';
import { drop } from '../core/drop.js';
import { ethTypeTrans, Netdev, netifRx } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { scrub, type Skb } from '../core/skb.js';
import { Flow } from '../ipv4/flow.js';
import { ttlDefault } from '../ipv4/icmp.js';
import { isErr, routeOutput } from '../ipv4/route.js';
import { UdpSock } from '../ipv4/udp.js';
import { SEC } from '../../sim/sim.js';
import { flowHash } from './flow-hash.js';
import { ecnDecapsulate, ecnEncapsulate, ipTunnelXmit } from './ip-tunnel.js';
import {
  TUN_DST, TUN_FLAGS_TOS_TTL, TUN_ID, TUN_ID_HI, TUN_NONE, TUN_PORTS, TUN_RX, TUN_SRC, TUN_TX, TUNNEL_CSUM, TUNNEL_DONT_FRAGMENT,
  TUNNEL_KEY,
} from './tunnel-info.js'; // prettier-ignore
import { type Rdst, VxlanFdb, type VxlanFdbEntry } from './vxlan-fdb.js';

/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
export const VXLAN_HEADROOM = 50;
const EADDRINUSE = 98;
const ZERO_MAC = new Uint8Array(6);

export interface VxlanConfig {
  vni: number;
  local: number;
  /** Lower device, null: whatever the route says. */
  lower: Netdev | null;
  dstPort: number;
  /** Source ports, 0 and 0: the namespace's local range. */
  portMin: number;
  portMax: number;
  ttl: number;
  tos: number;
  learning: boolean;
  udpCsum: boolean;
  ageingNs: number;
  df: boolean;
  /** `external`: far end, VNI, TTL and TOS come with each packet (VXLAN_F_COLLECT_METADATA). */
  external: boolean;
  /** Over IPv6 only, which is not here: shown, of no effect. */
  zeroCsum6Rx: boolean;
}

export const VXLAN_DEFAULTS: Readonly<VxlanConfig> = {
  vni: 0, local: 0, lower: null, dstPort: 8472, portMin: 0, portMax: 0, ttl: 0, tos: 0, learning: true, udpCsum: true,
  ageingNs: 300 * SEC, df: false, external: false,
  zeroCsum6Rx: false,
}; // prettier-ignore

interface Outer {
  dst: number;
  src: number;
  port: number;
  vni: number;
  via: Netdev | null;
  tos: number;
  ttl: number;
  csum: boolean;
  df: boolean;
}

/** The devices of one UDP port of a namespace share its socket. */
interface VxlanSock {
  sock: UdpSock;
  devs: Vxlan[];
}
const SOCKS = new WeakMap<Netns, Map<number, VxlanSock>>();

export class Vxlan extends Netdev {
  override readonly kind = 'vxlan';
  readonly cfg: VxlanConfig;
  readonly fdb = new VxlanFdb();
  /** The outer headers of the datagram that is being made. */
  private readonly outer: Outer = {
    dst: 0,
    src: 0,
    port: 0,
    vni: 0,
    via: null,
    tos: 0,
    ttl: 0,
    csum: false,
    df: false,
  };
  /** The namespace the datagrams travel in: that of the device's birth. */
  readonly link: Netns;

  constructor(net: Netns, name: string, cfg: VxlanConfig, remote: number) {
    super(net, name, net.newIndex());
    this.cfg = cfg;
    this.link = net;
    if (cfg.lower !== null) this.mtu = cfg.lower.mtu - VXLAN_HEADROOM;
    if (remote !== 0) {
      const r = { ip: remote, port: null, vni: null, via: cfg.lower };
      this.fdb.append(ZERO_MAC, r, 'permanent', net.kernel.sim.now);
    }
  }

  /** Opens the UDP port (vxlan_open, vxlan_sock_add): 0, or -EADDRINUSE when another socket has it. */
  override open(): number {
    const socks = SOCKS.get(this.link) ?? new Map<number, VxlanSock>();
    SOCKS.set(this.link, socks);
    let s = socks.get(this.cfg.dstPort);
    // vxlan_find_sock: a socket serves devices of one kind.
    if (s !== undefined && s.devs.some((d) => d.cfg.external !== this.cfg.external)) return -EADDRINUSE;
    if (s === undefined) {
      const sock = new UdpSock(this.link);
      const err = sock.bind(0, this.cfg.dstPort);
      if (err !== 0) return err;
      s = { sock, devs: [] };
      const { devs } = s;
      sock.encapRcv = (skb) => vxlanRcv(this.link, skb, devs);
      socks.set(this.cfg.dstPort, s);
    }
    if (!s.devs.includes(this)) s.devs.push(this);
    return 0;
  }

  /** vxlan_stop: the last device of a port closes it; what was learned is forgotten. */
  override stopped(): void {
    super.stopped();
    const socks = SOCKS.get(this.link);
    const s = socks?.get(this.cfg.dstPort);
    if (s !== undefined) {
      const i = s.devs.indexOf(this);
      if (i >= 0) s.devs.splice(i, 1);
      if (s.devs.length === 0) {
        s.sock.close();
        socks!.delete(this.cfg.dstPort);
      }
    }
    this.fdb.remove((e) => e.state === 'reachable' || e.state === 'stale');
  }

  /** vxlan_xmit: the first far end gets the frame itself, after the copies for the others. */
  override xmit(skb: Skb): number {
    this.devXmit(skb);
    return 0;
  }

  private devXmit(skb: Skb): void {
    const { sim } = this.kernel;
    const { ageingNs } = this.cfg;
    if (this.cfg.external) return this.xmitKey(skb);
    let f = this.fdb.find(skb.buf, skb.head + eth.DST, sim.now, ageingNs);
    if (f === null) f = this.fdb.find(ZERO_MAC, 0, sim.now, ageingNs);
    else f.used = sim.now;
    if (f === null) return drop(this.net, skb, 'NOT_SPECIFIED');
    for (let i = 1; i < f.remotes.length; i++) this.xmitOne(this.kernel.skbs.copy(skb), f, f.remotes[i]!);
    this.xmitOne(skb, f, f.remotes[0]!);
  }

  /** ETH_HLEN, and needed_headroom of vxlan_config_apply. */
  override get llReserved(): number {
    return 80;
  }

  /** vxlan_xmit_one to a far end of the FDB. */
  private xmitOne(skb: Skb, f: VxlanFdbEntry, r: Rdst): void {
    const { cfg, outer } = this;
    if (r.ip === 0) return drop(this.net, skb, 'NOT_SPECIFIED');
    outer.dst = r.ip;
    outer.src = cfg.local;
    outer.port = r.port ?? cfg.dstPort;
    outer.vni = r.vni ?? cfg.vni;
    outer.via = r.via ?? cfg.lower;
    outer.tos = cfg.tos;
    outer.ttl = cfg.ttl;
    outer.csum = cfg.udpCsum;
    outer.df = cfg.df;
    this.encapsulate(skb, f);
  }

  /** vxlan_xmit_one as the packet's own tunnel key says; without one it is dropped. */
  private xmitKey(skb: Skb): void {
    const { tun, tunMode } = skb;
    const { outer } = this;
    if (tunMode !== TUN_TX) return drop(this.net, skb, 'NOT_SPECIFIED');
    const word = tun[TUN_FLAGS_TOS_TTL]!;
    skb.tunMode = TUN_NONE;
    outer.dst = tun[TUN_DST]!;
    outer.src = tun[TUN_SRC]!;
    outer.port = tun[TUN_PORTS]! & 0xffff || this.cfg.dstPort;
    outer.vni = tun[TUN_ID]! & 0xffffff;
    outer.via = null;
    outer.tos = (word >>> 8) & 0xfc;
    outer.ttl = word & 0xff;
    outer.csum = ((word >>> 16) & TUNNEL_CSUM) !== 0;
    outer.df = ((word >>> 16) & TUNNEL_DONT_FRAGMENT) !== 0;
    this.encapsulate(skb, null);
  }

  /** `f`: the entry that it goes by, null: the packet's own key. */
  private encapsulate(skb: Skb, f: VxlanFdbEntry | null): void {
    const { outer, link: net } = this;
    const b = skb.buf;
    const inner = skb.head + eth.HLEN;
    const isIp = eth.type(b, skb.head) === eth.P_IP && skb.tail - inner >= ipv4.HLEN;
    const innerTos = isIp ? ipv4.tos(b, inner) : 0;
    const tos = ecnEncapsulate(outer.tos === 1 ? innerTos : outer.tos, innerTos);
    const sport = this.sourcePort(skb, inner, isIp);
    const fl = flow.to(outer.dst, outer.src).ports(ipv4.UDP, sport, outer.port);
    fl.oif = outer.via;
    fl.mark = skb.mark;
    const rt = routeOutput(net, fl);
    if (isErr(rt)) return drop(this.net, skb, 'IP_OUTNOROUTES');
    if (rt.dev === this) return drop(this.net, skb, 'NOT_SPECIFIED');
    const { saddr } = fl;
    if (net.kernel.tracer !== null) {
      const by = f === null ? 'key' : `fdb ${macText(f.mac)}`;
      const text = `${by} dst ${ntoa(outer.dst)}: into VXLAN, vni ${outer.vni}, from ${ntoa(saddr)}`;
      net.kernel.tracer.tunnel(this.net, skb, this, text);
    }
    skb.headroom(vxlan.HLEN + udp.HLEN);
    skb.push(vxlan.HLEN);
    vxlan.write(skb.buf, skb.head, outer.vni);
    skb.push(udp.HLEN);
    udp.write(skb.buf, skb.head, skb.tail, sport, outer.port, saddr, outer.dst);
    if (!outer.csum) skb.buf[skb.head + udp.CSUM] = skb.buf[skb.head + udp.CSUM + 1] = 0;
    const ttl = outer.ttl === 0 ? ttlDefault(net) : outer.ttl;
    skb.local = true;
    skb.dst = rt;
    if (skb.llRoom < this.llReserved) skb.llRoom = this.llReserved; // skb_cow_head
    if (this.net !== net) skb.mark = 0;
    ipTunnelXmit(net, skb, saddr, outer.dst, ipv4.UDP, tos, ttl, outer.df ? ipv4.DF : 0);
  }

  /** udp_flow_src_port: by the flow's hash, the same for both directions, so that one flow takes one path. */
  private sourcePort(skb: Skb, inner: number, isIp: boolean): number {
    const { cfg } = this;
    const min = cfg.portMin < cfg.portMax ? cfg.portMin : 32768;
    const max = cfg.portMin < cfg.portMax ? cfg.portMax : 60999;
    let h = flowHash(skb, inner, isIp);
    h ^= h << 16;
    return min + Math.floor(((h >>> 0) * (max - min)) / 0x100000000);
  }
}

const flow = new Flow();

/** udp_tun_rx_dst: the outer headers become the packet's tunnel key. */
function noteKey(skb: Skb, vni: number): void {
  const b = skb.buf;
  const o = skb.net;
  const csum = u16(b, skb.trans + udp.CSUM) === 0 ? 0 : TUNNEL_CSUM;
  skb.tun[TUN_ID_HI] = 0;
  skb.tun[TUN_ID] = vni;
  skb.tun[TUN_SRC] = ipv4.src(b, o);
  skb.tun[TUN_DST] = ipv4.dst(b, o);
  skb.tun[TUN_FLAGS_TOS_TTL] = ((TUNNEL_KEY | csum) << 16) | (ipv4.tos(b, o) << 8) | ipv4.ttl(b, o);
  skb.tun[TUN_PORTS] = i32(b, skb.trans);
  skb.tunMode = TUN_RX;
}

/** A datagram reached the port of some VXLAN devices (vxlan_rcv): `trans` at its UDP header. */
function vxlanRcv(net: Netns, skb: Skb, devs: readonly Vxlan[]): void {
  const b = skb.buf;
  const o = skb.trans + udp.HLEN;
  const vni = vxlan.check(b, o, skb.tail);
  if (vni < 0) return drop(net, skb, 'NOT_SPECIFIED');
  let dev: Vxlan | null = null;
  for (let i = 0; i < devs.length; i++) if (devs[i]!.cfg.external || devs[i]!.cfg.vni === vni) dev = devs[i]!;
  if (dev === null || skb.tail - o - vxlan.HLEN < eth.HLEN) return drop(net, skb, 'NOT_SPECIFIED');
  const outerSrc = ipv4.src(b, skb.net);
  const outerTos = ipv4.tos(b, skb.net);
  if (dev.cfg.external) noteKey(skb, vni);
  const { tunMode } = skb;
  scrub(skb);
  skb.tunMode = tunMode;
  if (dev.net !== net) skb.mark = 0;
  skb.head = o + vxlan.HLEN;
  ethTypeTrans(dev, skb);
  if (eth.macIs(b, skb.mac + eth.SRC, dev.mac)) return drop(net, skb, 'NOT_SPECIFIED');
  if (dev.cfg.learning) dev.fdb.snoop(b, skb.mac + eth.SRC, outerSrc, net.kernel.sim.now);
  if (skb.protocol === eth.P_IP && skb.tail - skb.net >= ipv4.HLEN && !ecnDecapsulate(outerTos, b, skb.net)) {
    return drop(net, skb, 'NOT_SPECIFIED');
  }
  skb.head = skb.mac;
  if (net.kernel.tracer !== null)
    net.kernel.tracer.tunnel(dev.net, skb, dev, `out of VXLAN, vni ${vni}, of ${ntoa(outerSrc)}`);
  netifRx(dev, skb);
}
