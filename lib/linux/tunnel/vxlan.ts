/**
 * VXLAN: Ethernet in UDP, one segment over many machines.
 *
 *   vx0 (tap: the inner frame) ─▶ FDB ─▶ one datagram per far end ─[LOCAL_OUT]▶ uplink
 *   uplink ─▶ UDP socket of the device ─▶ vxlanRcv ─▶ vx0 (tap) ─▶ bridge port | ARP | IPv4
 *
 * Kernel counterpart: drivers/net/vxlan/vxlan_core.c. Not here: multicast groups, GPE and GBP, proxy, rsc, l2miss and
 * l3miss, collect metadata, IPv6, the frag-needed answer for bridged frames that are too big.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
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
import { ecnDecapsulate, ecnEncapsulate, ipTunnelXmit } from './ip-tunnel.js';
import { type Rdst, VxlanFdb, type VxlanFdbEntry } from './vxlan-fdb.js';

/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
export const VXLAN_HEADROOM = 50;
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
}

export const VXLAN_DEFAULTS: Readonly<VxlanConfig> = {
  vni: 0, local: 0, lower: null, dstPort: 8472, portMin: 0, portMax: 0, ttl: 0, tos: 0, learning: true, udpCsum: true,
  ageingNs: 300 * SEC, df: false,
}; // prettier-ignore

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
    let f = this.fdb.find(skb.buf, skb.head + eth.DST, sim.now, ageingNs);
    if (f === null) f = this.fdb.find(ZERO_MAC, 0, sim.now, ageingNs);
    else f.used = sim.now;
    if (f === null) return drop(this.net, skb, 'NOT_SPECIFIED');
    for (let i = 1; i < f.remotes.length; i++) this.xmitOne(this.kernel.skbs.copy(skb), f, f.remotes[i]!);
    this.xmitOne(skb, f, f.remotes[0]!);
  }

  /** vxlan_xmit_one. */
  private xmitOne(skb: Skb, f: VxlanFdbEntry, r: Rdst): void {
    const { cfg, link: net } = this;
    const b = skb.buf;
    const inner = skb.head + eth.HLEN;
    const isIp = eth.type(b, skb.head) === eth.P_IP && skb.tail - inner >= ipv4.HLEN;
    if (r.ip === 0) return drop(this.net, skb, 'NOT_SPECIFIED');
    const innerTos = isIp ? ipv4.tos(b, inner) : 0;
    const tos = ecnEncapsulate(cfg.tos === 1 ? innerTos : cfg.tos, innerTos);
    const sport = this.sourcePort(skb, inner, isIp);
    const fl = flow.to(r.ip, cfg.local).ports(ipv4.UDP, sport, r.port ?? cfg.dstPort);
    fl.oif = r.via ?? cfg.lower;
    fl.mark = skb.mark;
    const rt = routeOutput(net, fl);
    if (isErr(rt)) return drop(this.net, skb, 'IP_OUTNOROUTES');
    if (rt.dev === this) return drop(this.net, skb, 'NOT_SPECIFIED');
    const { saddr } = fl;
    if (net.kernel.tracer !== null) {
      const text = `fdb ${macText(f.mac)} dst ${ntoa(r.ip)}: into VXLAN, vni ${r.vni ?? cfg.vni}, from ${ntoa(saddr)}`;
      net.kernel.tracer.tunnel(this.net, skb, this, text);
    }
    skb.headroom(vxlan.HLEN + udp.HLEN);
    skb.push(vxlan.HLEN);
    vxlan.write(skb.buf, skb.head, r.vni ?? cfg.vni);
    skb.push(udp.HLEN);
    udp.write(skb.buf, skb.head, skb.tail, sport, r.port ?? cfg.dstPort, saddr, r.ip);
    if (!cfg.udpCsum) skb.buf[skb.head + udp.CSUM] = skb.buf[skb.head + udp.CSUM + 1] = 0;
    const ttl = cfg.ttl === 0 ? ttlDefault(net) : cfg.ttl;
    skb.local = true;
    skb.dst = rt;
    if (this.net !== net) skb.mark = 0;
    ipTunnelXmit(net, skb, saddr, r.ip, ipv4.UDP, tos, ttl, cfg.df ? ipv4.DF : 0);
  }

  /** udp_flow_src_port: by the flow's hash, the same for both directions, so that one flow takes one path. */
  private sourcePort(skb: Skb, inner: number, isIp: boolean): number {
    const { cfg } = this;
    const min = cfg.portMin < cfg.portMax ? cfg.portMin : 32768;
    const max = cfg.portMin < cfg.portMax ? cfg.portMax : 60999;
    let h = skb.hash !== 0 ? skb.hash : flowHash(skb.buf, inner, skb.tail, isIp);
    h ^= h << 16;
    return min + Math.floor(((h >>> 0) * (max - min)) / 0x100000000);
  }
}

const flow = new Flow();

/** A hash of addresses and ports without regard to direction; the kernel's is keyed per boot. */
function flowHash(b: Uint8Array, o: number, end: number, isIp: boolean): number {
  if (!isIp) return 0x5bd1e995;
  const src = ipv4.src(b, o);
  const dst = ipv4.dst(b, o);
  const proto = ipv4.proto(b, o);
  const th = o + ipv4.headerLen(b, o);
  let ports = 0;
  if (!ipv4.isFragment(b, o) && (proto === ipv4.UDP || proto === ipv4.TCP) && th + 4 <= end) {
    const [x, y] = [u16(b, th), u16(b, th + 2)];
    ports = x < y ? (x << 16) | y : (y << 16) | x;
  }
  let h = Math.imul((src ^ dst) + 0x9e3779b1, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 15)) + ((src + dst) | 0), 0xc2b2ae35);
  h = Math.imul((h ^ (h >>> 13)) + ports, 0x27d4eb2f);
  return Math.imul((h ^ (h >>> 15)) + proto, 0x165667b1) || 1;
}

/** A datagram reached the port of some VXLAN devices (vxlan_rcv): `trans` at its UDP header. */
function vxlanRcv(net: Netns, skb: Skb, devs: readonly Vxlan[]): void {
  const b = skb.buf;
  const o = skb.trans + udp.HLEN;
  const vni = vxlan.check(b, o, skb.tail);
  if (vni < 0) return drop(net, skb, 'NOT_SPECIFIED');
  let dev: Vxlan | null = null;
  for (let i = 0; i < devs.length; i++) if (devs[i]!.cfg.vni === vni) dev = devs[i]!;
  if (dev === null || skb.tail - o - vxlan.HLEN < eth.HLEN) return drop(net, skb, 'NOT_SPECIFIED');
  const outerSrc = ipv4.src(b, skb.net);
  const outerTos = ipv4.tos(b, skb.net);
  scrub(skb);
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
