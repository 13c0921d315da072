/**
 * UDP sockets and their receive path.
 *
 * Kernel counterpart: net/ipv4/udp.c. Not here: membership of groups, corking.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import { fold, pseudo, sum } from '../../../wire/checksum.js';
import type { Runnable } from '../../sim/sim.js';
import { type Cred, mayNotBind, ROOT } from '../core/cred.js';
import { drop } from '../core/drop.js';
import type { Netns } from '../core/netns.js';
import { resetCt, type Skb } from '../core/skb.js';
import { dstMtu, RTCF_BROADCAST, RTCF_GROUP } from './dst.js';
import { Flow } from './flow.js';
import { learnFromError } from './icmp-rcv.js';
import { icmpSend, ttlDefault } from './icmp.js';
import { dontFragment, ipBuildAndSend, PMTUDISC_DO, PMTUDISC_DONT, selectIdent } from './ip-output.js';
import { EACCES, inetAddrType, isErr, routeOutput, RTN_LOCAL } from './route.js';

export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const EMSGSIZE = 90;
export const ECONNREFUSED = 111;
export const EDESTADDRREQ = 89;
export const EINVAL = 22;
export const EPERM = 1;
const ENOBUFS = 105;
const EPROTO = 71;

export interface Datagram {
  data: Uint8Array;
  src: number;
  sport: number;
  dst: number;
  dport: number;
}

const PORT_LOW = 32768;
const PORT_HIGH = 60999;
const RCVBUF = 212992;

const flow = new Flow();

/** A SOCK_DGRAM socket. Ports and addresses are host-order numbers (int32). Calls return 0 or a negative errno. */
export class UdpSock implements Runnable {
  readonly net: Netns;
  /** Called from the run queue when a datagram or an error waits. */
  onReady: (() => void) | null = null;
  queued = false;
  addr = 0;
  port = 0;
  daddr = 0;
  dport = 0;
  /** IP_MTU_DISCOVER: PMTUDISC_*. */
  pmtudisc = 1;
  tos = 0;
  /** Who opened it; null: the kernel. */
  readonly cred: Cred | null;
  /** IP_RECVERR: errors that may pass (host unreachable) are reported too. */
  recverr = false;
  /** Takes datagrams in place of the queue (udp_sock.encap_rcv); `trans` at the UDP header. It ends the skb. */
  encapRcv: ((skb: Skb) => void) | null = null;
  private ident = 0;
  /** Of a connected socket: names its flow to tunnels (sk_txhash). */
  private txhash = 0;
  private error = 0;
  private readonly queue: Datagram[] = [];
  private queueBytes = 0;

  constructor(net: Netns, cred: Cred | null = ROOT) {
    this.net = net;
    this.cred = cred;
    if ((net.sysctl.get('net.ipv4.ip_no_pmtu_disc') ?? 0) !== 0) this.pmtudisc = PMTUDISC_DONT;
  }

  run(): void {
    this.onReady?.();
  }

  /** Binds; port 0 takes a random free one of ip_local_port_range. */
  bind(addr: number, port: number): number {
    if (addr !== 0 && inetAddrType(this.net, addr) !== RTN_LOCAL) return -EADDRNOTAVAIL;
    if (mayNotBind(this.net, this.cred, port)) return -EACCES;
    if (port === 0) port = this.freePort();
    else if (this.conflicts(addr, port)) return -EADDRINUSE;
    this.addr = addr;
    this.port = port;
    const list = this.net.socks.udp.get(port);
    if (list === undefined) this.net.socks.udp.set(port, [this]);
    else list.push(this);
    return 0;
  }

  private conflicts(addr: number, port: number): boolean {
    const list = this.net.socks.udp.get(port);
    return list !== undefined && list.some((s) => s.addr === 0 || addr === 0 || s.addr === addr);
  }

  private freePort(): number {
    const n = PORT_HIGH - PORT_LOW + 1;
    const start = this.net.kernel.rng('udp-port').below(n);
    for (let i = 0; i < n; i++) {
      const p = PORT_LOW + ((start + i) % n);
      if (!this.net.socks.udp.has(p)) return p;
    }
    return 0;
  }

  /** Connects: routes, fixes the source address, draws the IP ID counter (ip4_datagram_connect). */
  connect(addr: number, port: number): number {
    const { kernel } = this.net;
    const fl = flow.to(addr, this.addr).ports(ipv4.UDP, this.port, port);
    fl.uid = this.cred?.uid ?? 0;
    const d = routeOutput(this.net, fl);
    const src = fl.saddr;
    if (isErr(d)) return d;
    if ((d.flags & RTCF_BROADCAST) !== 0) return -EACCES;
    if (this.port === 0) {
      const b = this.bind(0, 0);
      if (b !== 0) return b;
    }
    this.addr = src;
    this.daddr = addr === 0 ? 0x7f000001 : addr;
    this.dport = port;
    this.ident = kernel.rng('ip-id').u16();
    this.txhash = kernel.rng('txhash').u32() | 0 || 1;
    return 0;
  }

  /** Sends one datagram; `saddr` is IP_PKTINFO's source. */
  send(data: Uint8Array, daddr = 0, dport = 0, saddr = 0): number {
    const { net } = this;
    const { kernel } = net;
    if (this.error !== 0) return -this.takeError();
    const connected = daddr === 0 && this.dport !== 0;
    const to = connected ? this.daddr : daddr;
    const port = connected ? this.dport : dport;
    if (port === 0) return -EDESTADDRREQ;
    if (this.port === 0) {
      const b = this.bind(0, 0);
      if (b !== 0) return b;
    }
    const fl = flow.to(to, saddr !== 0 ? saddr : this.addr).ports(ipv4.UDP, this.port, port);
    fl.tos = this.tos;
    fl.uid = this.cred?.uid ?? 0;
    const d = routeOutput(net, fl);
    if (isErr(d)) return d;
    const length = data.length + ipv4.HLEN + udp.HLEN;
    if (length > (this.pmtudisc === PMTUDISC_DO ? dstMtu(d) : 65535)) return -EMSGSIZE;
    const skb = kernel.skbs.alloc();
    skb.dst = d;
    const src = fl.saddr;
    skb.room(udp.HLEN + data.length);
    skb.buf.set(data, skb.head + udp.HLEN);
    skb.tail = skb.head + udp.HLEN + data.length;
    udp.write(skb.buf, skb.head, skb.tail, this.port, port, src, to);
    let id = 0;
    skb.cred = this.cred;
    skb.hash = this.txhash;
    if (this.dport !== 0) id = this.ident = (this.ident + 1) & 0xffff;
    else if (this.pmtudisc !== PMTUDISC_DO) id = selectIdent(net, src, to, ipv4.UDP);
    const df = dontFragment(skb, this.pmtudisc, length);
    const sent = ipBuildAndSend(net, skb, src, to, ipv4.UDP, this.tos, ttlDefault(net), id, df);
    kernel.sim.drain();
    return sent === -ENOBUFS && !this.recverr ? 0 : sent;
  }

  /** The next datagram, or null. */
  recv(): Datagram | null {
    const d = this.queue.shift();
    if (d === undefined) return null;
    this.queueBytes -= d.data.length;
    return d;
  }

  /** The pending error as a positive errno (SO_ERROR), cleared; 0: none. */
  takeError(): number {
    const e = this.error;
    this.error = 0;
    return e;
  }

  close(): void {
    const list = this.net.socks.udp.get(this.port);
    if (list !== undefined) {
      const rest = list.filter((s) => s !== this);
      if (rest.length === 0) this.net.socks.udp.delete(this.port);
      else this.net.socks.udp.set(this.port, rest);
    }
    this.onReady = null;
    this.queue.length = 0;
  }

  /** Called by the receive path. False when the buffer is full. */
  deliver(d: Datagram): boolean {
    if (this.queueBytes + d.data.length > RCVBUF) return false;
    this.queue.push(d);
    this.queueBytes += d.data.length;
    this.net.kernel.sim.wake(this);
    return true;
  }

  fail(errno: number): void {
    this.error = errno;
    this.net.kernel.sim.wake(this);
  }
}

/** Whether a socket's addresses and its peer fit a datagram to its port. */
const accepts = (s: UdpSock, saddr: number, sport: number, daddr: number): boolean =>
  (s.addr === 0 || s.addr === daddr) && (s.dport === 0 || (s.dport === sport && s.daddr === saddr));

/** The best socket for a datagram (compute_score): connected before bound to an address before wildcard. */
function lookup(net: Netns, saddr: number, sport: number, daddr: number, dport: number): UdpSock | null {
  const list = net.socks.udp.get(dport);
  if (list === undefined) return null;
  let best: UdpSock | null = null;
  let top = -1;
  for (let i = 0; i < list.length; i++) {
    const s = list[i]!;
    if (!accepts(s, saddr, sport, daddr)) continue;
    const score = (s.addr !== 0 ? 4 : 0) + (s.dport !== 0 ? 8 : 0);
    if (score > top) {
      top = score;
      best = s;
    }
  }
  return best;
}

/** Delivers a datagram to its socket, or answers port unreachable (__udp4_lib_rcv). */
export function udpRcv(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const t = skb.trans;
  const n = udp.check(b, t, skb.tail);
  if (n < 0) return drop(net, skb, 'PKT_TOO_SMALL');
  const src = ipv4.src(b, skb.net);
  const dst = ipv4.dst(b, skb.net);
  if (udp.csum(b, t) !== 0 && fold(sum(b, t, t + n, pseudo(src, dst, ipv4.UDP, n))) !== 0xffff) {
    return drop(net, skb, 'UDP_CSUM');
  }
  if ((skb.dst!.flags & RTCF_GROUP) !== 0) return groupDeliver(net, skb, src, dst, n);
  const s = lookup(net, src, udp.sport(b, t), dst, udp.dport(b, t));
  if (s === null) {
    resetCt(skb); // so that conntrack, where it sees the error, finds the connection by what it quotes
    icmpSend(net, skb, 3, 3, 0);
    return drop(net, skb, 'NO_SOCKET');
  }
  if (s.encapRcv !== null) {
    s.encapRcv(skb);
    return;
  }
  const data = b.slice(t + udp.HLEN, t + n);
  if (!s.deliver({ data, src, sport: udp.sport(b, t), dst, dport: udp.dport(b, t) })) {
    return drop(net, skb, 'SOCKET_RCVBUFF');
  }
  net.kernel.skbs.free(skb);
}

/** A broadcast is for every socket that would take it (__udp4_lib_mcast_deliver); `n` bytes of datagram. */
function groupDeliver(net: Netns, skb: Skb, src: number, dst: number, n: number): void {
  const b = skb.buf;
  const t = skb.trans;
  const [sport, dport] = [udp.sport(b, t), udp.dport(b, t)];
  const list = net.socks.udp.get(dport)?.filter((s) => accepts(s, src, sport, dst)) ?? [];
  if (list.length === 0) return drop(net, skb, 'NO_SOCKET');
  for (const s of list) {
    if (s.encapRcv !== null) s.encapRcv(net.kernel.skbs.copy(skb));
    else s.deliver({ data: b.slice(t + udp.HLEN, t + n), src, sport, dst, dport });
  }
  net.kernel.skbs.free(skb);
}

/** An ICMP error quotes a datagram of ours at `inner`: its socket learns of it (__udp4_lib_err). */
export function udpErr(net: Netns, skb: Skb, inner: number, type: number, code: number, info: number): void {
  const b = skb.buf;
  const t = inner + ipv4.headerLen(b, inner);
  const s = lookup(net, ipv4.dst(b, inner), udp.dport(b, t), ipv4.src(b, inner), udp.sport(b, t));
  if (s === null) return;
  learnFromError(net, skb, inner, type, code, info);
  if (s.dport === 0) return;
  if (type === icmp.DEST_UNREACH && code === icmp.FRAG_NEEDED && s.pmtudisc === PMTUDISC_DONT) return;
  if (type === icmp.PARAMETERPROB) s.fail(EPROTO);
  else if (type === icmp.DEST_UNREACH && code < FATAL.length) {
    if (FATAL[code] !== 0) s.fail(FATAL[code]!);
    else if (s.recverr) s.fail(SOFT[code]!);
  }
}

/** errno of the unreachable codes that end a connected socket's call, 0 for the others (icmp_err_convert[].fatal). */
const FATAL = [0, 0, 92, ECONNREFUSED, EMSGSIZE, 0, 101, 112, 64, 101, 113, 0, 0, 113, 113, 113];
/** errno of the other ones, which only a socket with IP_RECVERR learns. */
const SOFT = [101, 113, 0, 0, 0, 95, 0, 0, 0, 0, 0, 101, 113];
