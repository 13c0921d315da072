/**
 * Small stand-ins for sockets: TIME_WAIT, and the step from a request to a connection.
 *
 * Kernel counterparts: net/ipv4/tcp_minisocks.c, inet_timewait_sock.c, tcp_metrics.c (round-trip times only).
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import { Timer } from '../../sim/sim.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { acceptqFull, reqskDrop, reqskResend, type RequestSock } from './inet-connection-sock.js';
import { bindHash, ehashInsert, ehashRemove, putPort } from './inet-hashtables.js';
import { ackUpdateRtt, oowAllowed } from './tcp-ack.js';
import { initializeRcvMss } from './tcp-data.js';
import { reqskSendAck, tcpSendReset } from './tcp-ipv4.js';
import { ECN_OK } from './tcp-ecn.js';
import { dstAdvmss } from './tcp-output.js';
import * as F from './tcp-sack.js';
import * as T from './tcp-sock.js';
import { tcpDone } from './tcp-close.js';
import { TcpSock } from './tcp.js';
import { syncMss } from './tcp-write.js';

const { after, before } = tcp;

/** What tcp_timewait_state_process decides. */
export const TW_SUCCESS = 0;
export const TW_RST = 1;
export const TW_ACK = 2;
export const TW_SYN = 3;

/** inet_timewait_sock: the four numbers and what an answer needs. */
export class TimewaitSock {
  readonly state = T.TIME_WAIT;
  readonly net: Netns;
  readonly saddr: number;
  readonly sport: number;
  readonly daddr: number;
  readonly dport: number;
  readonly bindAddr: number;
  readonly reuse: boolean;
  readonly tos: number;
  hashNext: unknown = null;
  hashed = false;
  substate: number;
  rcvNxt: number;
  readonly sndNxt: number;
  readonly rcvWnd: number;
  readonly rcvWscale: number;
  tsRecent: number;
  tsRecentStamp: number;
  readonly tsOffset: number;
  lastOowAckJ = 0;
  readonly timer = new Timer(() => this.kill());

  constructor(sk: TcpSock, substate: number) {
    this.net = sk.net;
    this.saddr = sk.saddr;
    this.sport = sk.sport;
    this.daddr = sk.daddr;
    this.dport = sk.dport;
    this.bindAddr = sk.bindAddr;
    this.reuse = sk.reuse;
    this.tos = sk.tos;
    this.substate = substate;
    this.rcvNxt = sk.rcvNxt;
    this.sndNxt = sk.sndNxt;
    this.rcvWnd = T.receiveWindow(sk);
    this.rcvWscale = sk.rcvWscale;
    this.tsRecent = sk.tsRecent;
    this.tsRecentStamp = sk.tsRecentStamp;
    this.tsOffset = sk.tsOffset;
  }

  /** Ends it (inet_twsk_kill). */
  kill(): void {
    ehashRemove(this.net, this);
    putPort(this.net, this.sport, this);
    this.net.kernel.sim.cancel(this.timer);
  }

  reschedule(ticks: number): void {
    const { sim } = this.net.kernel;
    modTimer(sim, this.timer, jiffies(sim) + ticks);
  }
}

/** Replaces a socket by its TIME_WAIT (or orphaned FIN_WAIT2) remainder (tcp_time_wait). */
export function timeWait(sk: TcpSock, substate: number, ticks: number): void {
  const tw = new TimewaitSock(sk, substate);
  const rto = sk.rto * 4 - (sk.rto >> 1);
  updateMetrics(sk);
  ehashRemove(sk.net, sk);
  bindHash(sk.net, tw.sport, tw, false);
  putPort(sk.net, sk.sport, sk);
  ehashInsert(sk.net, tw);
  tw.reschedule(substate === T.TIME_WAIT ? T.TIMEWAIT_LEN : Math.max(ticks, rto));
  tcpDone(sk);
}

/** Remembers the peer's round-trip time for later connections (tcp_update_metrics). */
export function updateMetrics(sk: TcpSock): void {
  const m = sk.net.socks.tcp.metrics;
  sk.dstConfirm = true;
  if (sk.backoff !== 0 || sk.srttUs === 0) {
    if (m.has(sk.daddr)) m.set(sk.daddr, 0);
    return;
  }
  const old = m.get(sk.daddr) ?? 0;
  const diff = old - sk.srttUs;
  m.set(sk.daddr, diff <= 0 ? sk.srttUs : old - (diff >> 3));
}

const opts = new tcp.Options();

function inWindow(seq: number, end: number, start: number, stop: number): boolean {
  return seq === start || (after(end, start) && before(seq, stop)) || (seq === stop && seq === end);
}

const seconds = (net: Netns): number => Math.floor(net.kernel.sim.now / 1e9) + 1;

/** tcp_paws_reject for a remembered time stamp; an RST is let through after 60 s. */
function pawsReject(net: Netns, recent: number, stamp: number, rst: boolean): boolean {
  if (((recent - opts.tsval) | 0) <= 0 || recent === 0) return false;
  return !(rst && seconds(net) >= stamp + 60);
}

/** A segment for TIME_WAIT (tcp_timewait_state_process): one of TW_*. */
export function timewaitStateProcess(tw: TimewaitSock, skb: Skb): number {
  const { net } = tw;
  const flags = skb.tcpFlags;
  const rst = (flags & tcp.RST) !== 0;
  opts.sawTstamp = false;
  if (tcp.headerLen(skb.buf, skb.trans) > 20 && tw.tsRecentStamp !== 0) tcp.parseOptions(skb.buf, skb.trans, opts);
  const paws = opts.sawTstamp && pawsReject(net, tw.tsRecent, tw.tsRecentStamp, rst);
  if (tw.substate === T.FIN_WAIT2) return finWait2(tw, skb, paws);
  if (!paws && skb.seq === tw.rcvNxt && (skb.seq === skb.endSeq || rst)) {
    if (rst) {
      tw.kill();
      return TW_SUCCESS;
    }
    tw.reschedule(T.TIMEWAIT_LEN);
    if (opts.sawTstamp) {
      tw.tsRecent = opts.tsval;
      tw.tsRecentStamp = seconds(net);
    }
    return TW_SUCCESS;
  }
  const syn = (flags & (tcp.SYN | tcp.RST | tcp.ACK)) === tcp.SYN;
  if (syn && !paws && (after(skb.seq, tw.rcvNxt) || (opts.sawTstamp && ((tw.tsRecent - opts.tsval) | 0) < 0))) {
    return TW_SYN;
  }
  if (rst) return TW_SUCCESS;
  if (paws || (flags & tcp.ACK) !== 0) tw.reschedule(T.TIMEWAIT_LEN);
  return answerRated(tw, skb);
}

function answerRated(tw: TimewaitSock, skb: Skb): number {
  const data = skb.seq !== skb.endSeq && (skb.tcpFlags & tcp.SYN) === 0;
  return data || oowAllowed(tw, jiffies(tw.net.kernel.sim)) ? TW_ACK : TW_SUCCESS;
}

/** The half-closed remainder repeats the checks of a full socket. */
function finWait2(tw: TimewaitSock, skb: Skb, paws: boolean): number {
  const flags = skb.tcpFlags;
  if (paws || !inWindow(skb.seq, skb.endSeq, tw.rcvNxt, (tw.rcvNxt + tw.rcvWnd) | 0)) return answerRated(tw, skb);
  if ((flags & tcp.RST) !== 0) {
    tw.kill();
    return TW_SUCCESS;
  }
  if ((flags & tcp.SYN) !== 0 && !before(skb.seq, tw.rcvNxt)) return TW_RST;
  if ((flags & tcp.ACK) === 0 || !after(skb.endSeq, tw.rcvNxt) || skb.endSeq === skb.seq) return TW_SUCCESS;
  if ((flags & tcp.FIN) === 0 || skb.endSeq !== ((tw.rcvNxt + 1) | 0)) return TW_RST;
  tw.substate = T.TIME_WAIT;
  tw.rcvNxt = skb.endSeq;
  if (opts.sawTstamp) {
    tw.tsRecent = opts.tsval;
    tw.tsRecentStamp = seconds(tw.net);
  }
  tw.reschedule(T.TIMEWAIT_LEN);
  return TW_ACK;
}

/** The socket of a request whose handshake is complete (tcp_create_openreq_child, tcp_v4_syn_recv_sock). */
function createChild(r: RequestSock, skb: Skb): TcpSock {
  const sk = r.listener;
  const c = new TcpSock(r.net, null);
  const now = jiffies(r.net.kernel.sim);
  c.saddr = r.saddr;
  c.sport = r.sport;
  c.daddr = r.daddr;
  c.dport = r.dport;
  c.bindAddr = sk.bindAddr;
  c.reuse = sk.reuse;
  c.tos = sk.tos;
  c.uid = sk.uid;
  c.txhash = r.txhash;
  c.ecnFlags = r.ecnOk ? ECN_OK : 0;
  c.nonagle = sk.nonagle;
  c.parent = sk;
  c.state = T.SYN_RECV;
  c.rcvWup = c.copiedSeq = c.rcvNxt = (r.rcvIsn + 1) | 0;
  c.sndSml = c.sndUna = c.sndNxt = c.writeSeq = c.pushedSeq = c.txBase = (r.sntIsn + 1) | 0;
  c.sndWl1 = r.rcvIsn;
  c.lrcvtimeJ = c.lsndtimeJ = now;
  c.totalRetrans = r.numRetrans;
  c.tstampOk = r.tstampOk;
  c.sackOk = r.sackOk;
  c.wscaleOk = r.wscaleOk;
  c.windowClamp = r.windowClamp;
  c.rcvSsthresh = c.rcvWnd = r.rcvWnd;
  if (r.wscaleOk) {
    c.sndWscale = r.sndWscale;
    c.rcvWscale = r.rcvWscale;
  } else c.windowClamp = Math.min(c.windowClamp, 65535);
  c.sndWnd = c.maxWindow = tcp.window(skb.buf, skb.trans) * 2 ** c.sndWscale;
  c.tsRecent = r.tsRecent;
  c.tsRecentStamp = r.tstampOk ? seconds(r.net) : 0;
  c.tcpHeaderLen = r.tstampOk ? 32 : 20;
  if (r.numTimeout !== 0) {
    c.undoMarker = r.sntIsn === 0 ? 1 : r.sntIsn;
    c.retransStamp = Math.floor(r.sntSynack / 1000) | 0;
  }
  c.tsOffset = r.tsOffset;
  const len = skb.tail - skb.trans;
  if (len >= T.MSS_DEFAULT + c.tcpHeaderLen) c.lastSegSize = len - c.tcpHeaderLen;
  c.mssClamp = r.mss;
  c.inetId = r.net.kernel.rng('ip-id').u16();
  c.route();
  syncMss(c, c.dstMtu);
  c.advmss = dstAdvmss(c.dstMtu);
  initializeRcvMss(c);
  return c;
}

/** A segment for a request (tcp_check_req): the new socket, the listener (to reset), or null when it was dealt with. */
export function checkReq(r: RequestSock, skb: Skb): TcpSock | null {
  const { net, listener } = r;
  const now = jiffies(net.kernel.sim);
  let flags = skb.tcpFlags & (tcp.RST | tcp.SYN | tcp.ACK);
  opts.sawTstamp = false;
  if (tcp.headerLen(skb.buf, skb.trans) > 20) tcp.parseOptions(skb.buf, skb.trans, opts);
  const age = Math.floor((T.TIMEOUT_INIT * 2 ** r.numTimeout) / 100);
  const paws = opts.sawTstamp && pawsReject(net, r.tsRecent, seconds(net) - age, (flags & tcp.RST) !== 0);
  const tsval = opts.sawTstamp ? opts.tsval : 0;
  if (skb.seq === r.rcvIsn && flags === tcp.SYN && !paws) {
    if (oowAllowed(r, now)) reqskResend(r);
    return null;
  }
  const ack = tcp.ack(skb.buf, skb.trans);
  if ((flags & (tcp.ACK | tcp.RST)) === tcp.ACK && ack !== ((r.sntIsn + 1) | 0)) return listener;
  if (paws || !inWindow(skb.seq, skb.endSeq, r.rcvNxt, (r.rcvNxt + r.rcvWnd) | 0)) {
    const data = skb.seq !== skb.endSeq && (flags & tcp.SYN) === 0;
    if ((flags & tcp.RST) === 0 && (data || oowAllowed(r, now))) reqskSendAck(r, skb);
    return null;
  }
  if (skb.seq === r.rcvIsn) flags &= ~tcp.SYN;
  if ((flags & tcp.RST) !== 0 && skb.seq !== r.rcvNxt) {
    if (oowAllowed(r, now)) reqskSendAck(r, skb);
    return null;
  }
  if ((flags & (tcp.RST | tcp.SYN)) !== 0) {
    if ((flags & tcp.RST) === 0) tcpSendReset(net, skb);
    reqskDrop(r);
    return null;
  }
  if ((flags & tcp.ACK) === 0) return null;
  if (acceptqFull(listener)) {
    r.acked = true;
    return null;
  }
  const child = createChild(r, skb);
  if (tsval !== 0 && !after(skb.seq, r.rcvNxt)) child.tsRecent = tsval;
  reqskDrop(r);
  bindHash(net, child.sport, child, true);
  ehashInsert(net, child);
  T.mstampRefresh(child);
  const rtt = r.numRetrans === 0 ? T.sinceUs(child, r.sntSynack) : -1;
  ackUpdateRtt(child, F.FLAG_SYN_ACKED, rtt, -1, rtt);
  listener.acceptQueue.push(child);
  return child;
}
