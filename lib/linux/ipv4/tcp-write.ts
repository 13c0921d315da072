/**
 * The write queue and the retransmit queue: what goes out when, in which pieces.
 *
 * Kernel counterpart: net/ipv4/tcp_output.c (tcp_write_xmit and its tests, tcp_fragment, tcp_retransmit_skb).
 * Not here: MTU probing, pacing.
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import { cwndValidate } from './tcp-cong.js';
import { establishedOptions, transmitSeg } from './tcp-output.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import { scheduleLossProbe } from './tcp-probe.js';
import { rearmRto, resetXmitTimer } from './tcp-timer.js';
import type { TcpSock } from './tcp.js';

const { after, before } = tcp;
const EBUSY = 16;
const SYN_ECN = tcp.SYN | tcp.ECE | tcp.CWR;

/** Payload per segment for a path MTU, options not counted (tcp_mtu_to_mss, tcp_sync_mss). */
export function syncMss(sk: TcpSock, pmtu: number): number {
  let mss = Math.min(pmtu - 40, sk.mssClamp);
  mss = Math.max(mss, 48);
  mss -= sk.tcpHeaderLen - tcp.HLEN;
  mss = boundToHalfWnd(sk, mss);
  sk.pmtuCookie = pmtu;
  sk.mssCache = mss;
  return mss;
}

/** Never more than half the largest window the peer has offered (tcp_bound_to_half_wnd). */
export function boundToHalfWnd(sk: TcpSock, size: number): number {
  const cutoff = sk.maxWindow > T.MSS_DEFAULT ? sk.maxWindow >> 1 : sk.maxWindow;
  return cutoff !== 0 && size > cutoff ? Math.max(cutoff, 68 - sk.tcpHeaderLen) : size;
}

/** Payload of a full segment sent now (tcp_current_mss). */
export function currentMss(sk: TcpSock): number {
  let mss = sk.mssCache;
  if (sk.dstMtu !== 0 && sk.dstMtu !== sk.pmtuCookie) mss = syncMss(sk, sk.dstMtu);
  return mss - (tcp.HLEN + establishedOptions(sk) - sk.tcpHeaderLen);
}

/** How many segments of `mss` bytes an entry is (tcp_set_skb_tso_segs). */
export function setTsoSegs(s: Q.TxSeg, mss: number): void {
  s.pcount = s.len <= mss ? 1 : Math.ceil(s.len / mss);
  s.mss = s.len <= mss ? 0 : mss;
}

/** Bytes of one segment of an entry (tcp_skb_seglen). */
export const segLen = (s: Q.TxSeg): number => (s.pcount <= 1 ? s.len : s.mss);

/** Cuts an entry after `len` bytes; the rest stands behind it in the same queue (tcp_fragment, tso_fragment). */
export function fragment(sk: TcpSock, queue: Q.TxQueue, s: Q.TxSeg, len: number, mss: number): Q.TxSeg {
  const rest = new Q.TxSeg();
  rest.seq = (s.seq + len) | 0;
  rest.endSeq = s.endSeq;
  s.endSeq = rest.seq;
  rest.flags = s.flags;
  s.flags &= ~(tcp.FIN | tcp.PSH);
  rest.sacked = s.sacked;
  rest.sentUs = s.sentUs;
  rest.sentMs = s.sentMs;
  rest.delivered = s.delivered;
  sk.wmemQueued += T.TX_TRUESIZE;
  const old = s.pcount;
  setTsoSegs(s, mss);
  setTsoSegs(rest, mss);
  if (!before(sk.sndNxt, rest.endSeq)) adjustPcount(sk, s, old - s.pcount - rest.pcount);
  queue.insertAfter(s, rest);
  if (queue === sk.rtxQueue && s.sorted) tsortedInsertAfter(sk, s, rest);
  return rest;
}

function tsortedInsertAfter(sk: TcpSock, at: Q.TxSeg, s: Q.TxSeg): void {
  s.sorted = true;
  s.tsPrev = at;
  s.tsNext = at.tsNext;
  if (at.tsNext === null) sk.tsTail = s;
  else at.tsNext.tsPrev = s;
  at.tsNext = s;
}

/** An entry that was sent counts `decr` segments less now (tcp_adjust_pcount). */
function adjustPcount(sk: TcpSock, s: Q.TxSeg, decr: number): void {
  if (decr === 0) return;
  sk.packetsOut -= decr;
  if ((s.sacked & T.SACKED_ACKED) !== 0) sk.sackedOut -= decr;
  if ((s.sacked & T.SACKED_RETRANS) !== 0) sk.retransOut -= decr;
  if ((s.sacked & T.LOST) !== 0) sk.lostOut -= decr;
}

const minshall = (sk: TcpSock): boolean => after(sk.sndSml, sk.sndUna) && !after(sk.sndSml, sk.sndNxt);

/** True when Nagle's rule, as Minshall changed it, holds a partial segment back (tcp_nagle_check). */
const nagleHolds = (sk: TcpSock, partial: boolean, nonagle: number): boolean =>
  partial && nonagle === 0 && sk.packetsOut !== 0 && minshall(sk);

/** Segments the congestion window allows now, at most half of it at once (tcp_cwnd_test). */
function cwndTest(sk: TcpSock, s: Q.TxSeg): number {
  if ((s.flags & tcp.FIN) !== 0 && s.pcount === 1) return 1;
  const inFlight = T.packetsInFlight(sk);
  if (inFlight >= sk.cwnd) return 0;
  return Math.min(Math.max(sk.cwnd >> 1, 1), sk.cwnd - inFlight);
}

/** Most segments of one burst: about a millisecond's worth, more where the round trip is short (tcp_tso_autosize). */
function tsoSegs(sk: TcpSock, mss: number): number {
  const r = sk.rttMinUs >>> 9;
  const bytes = Math.floor(sk.pacingRate / 1024) + (r < 32 ? T.GSO_MAX_SIZE >>> r : 0);
  return Math.max(2, Math.floor(Math.min(bytes, T.GSO_MAX_SIZE) / mss));
}

/** tcp_mss_split_point: how many bytes of `s` go out now. */
function splitPoint(sk: TcpSock, s: Q.TxSeg, mss: number, segs: number, nonagle: number): number {
  const window = (T.wndEnd(sk) - s.seq) | 0;
  const most = mss * segs;
  if (most <= window && s !== sk.writeQueue.tail) return most;
  const needed = Math.min(s.len, window);
  if (most <= needed) return most;
  const partial = needed % mss;
  return nagleHolds(sk, partial !== 0, nonagle) ? needed - partial : needed;
}

/** tcp_tso_should_defer: 0 send, 1 wait for the congestion window, 2 for the peer's window, 3 for more data. */
function tsoDefer(sk: TcpSock, s: Q.TxSeg, maxSegs: number): number {
  if (sk.caState >= T.CA_RECOVERY) return 0;
  const newest = sk.tsTail === null ? 0 : sk.tsTail.sentUs;
  if (sk.mstampUs - newest > 1000) return 0;
  const sendWin = (T.wndEnd(sk) - s.seq) | 0;
  const congWin = (sk.cwnd - T.packetsInFlight(sk)) * sk.mssCache;
  const limit = Math.min(sendWin, congWin);
  if (limit >= maxSegs * sk.mssCache) return 0;
  if (s !== sk.writeQueue.tail && limit >= s.len) return 0;
  const chunk = Math.floor(Math.min(sk.sndWnd, sk.cwnd * sk.mssCache) / 3);
  if (limit >= chunk) return 0;
  const head = sk.rtxQueue.head;
  if (head === null) return 0;
  // What measured round trips have beyond the virtual clock (sinceUs) is not waited for.
  const srtt = Math.max(0, (sk.srttUs >> 3) - T.LEAST_RTT_US);
  if (head.sentUs + srtt - sk.mstampUs > Math.min(srtt >> 1, 1000)) return 0;
  if (congWin < sendWin) {
    if (congWin <= s.len) return 1;
  } else if (sendWin <= s.len) return 2;
  return (s.flags & tcp.FIN) !== 0 ? 0 : 3;
}

/** Bytes that may wait below a socket whatever its rate (tcp_limit_output_bytes). */
const LIMIT_OUTPUT = 1 << 20;

/** Two bursts, or a millisecond's worth, wait on this machine already: the rest goes when they have left (tcp_small_queue_check). */
function smallQueueFull(sk: TcpSock, s: Q.TxSeg, factor: number): boolean {
  const rate = Math.floor(sk.pacingRate / 1024);
  const limit = Math.min(Math.max(2 * (T.TX_TRUESIZE + s.len), rate), LIMIT_OUTPUT) * 2 ** factor;
  if (sk.wmemAlloc <= limit || sk.rtxQueue.head === sk.rtxQueue.tail) return false;
  sk.tsqThrottled = true;
  return true;
}

/** Sends what was held back (tcp_tsq_write). */
export function tsqWrite(sk: TcpSock): void {
  const sends =
    sk.state === T.ESTABLISHED || sk.state === T.FIN_WAIT1 || sk.state === T.CLOSING || sk.state === T.CLOSE_WAIT || sk.state === T.LAST_ACK; // prettier-ignore
  if (!sends) return;
  if (sk.lostOut > sk.retransOut && sk.cwnd > T.packetsInFlight(sk)) {
    T.mstampRefresh(sk);
    xmitRetransmitQueue(sk);
  }
  writeXmit(sk, currentMss(sk), sk.nonagle, 0);
}

/** The head of the write queue has gone out (tcp_event_new_data_sent). */
export function eventNewDataSent(sk: TcpSock, s: Q.TxSeg): void {
  const prior = sk.packetsOut;
  sk.sndNxt = s.endSeq;
  sk.writeQueue.remove(s);
  sk.rtxQueue.push(s);
  if (sk.highestSack === null) sk.highestSack = s;
  sk.packetsOut += s.pcount;
  if (prior === 0 || sk.pending === T.TIME_LOSS_PROBE) rearmRto(sk);
}

/**
 * Sends from the write queue what windows and Nagle allow (tcp_write_xmit). `pushOne` 1: at most one entry, 2: also beyond
 * the congestion window (a loss probe). True when nothing is in flight although something waits.
 */
export function writeXmit(sk: TcpSock, mss: number, nonagle: number, pushOne: number): boolean {
  let sent = 0;
  let cwndLimited = false;
  T.mstampRefresh(sk);
  const maxSegs = tsoSegs(sk, mss);
  for (let s = sk.writeQueue.head; s !== null; s = sk.writeQueue.head) {
    if (s.pcount === 0 || (s.pcount > 1 && s.mss !== mss)) setTsoSegs(s, mss);
    let quota = cwndTest(sk, s);
    if (quota === 0) {
      if (pushOne !== 2) break;
      quota = 1;
    }
    const first = s.len > mss ? (s.seq + mss) | 0 : s.endSeq;
    if (after(first, T.wndEnd(sk))) break;
    if (s.pcount === 1) {
      const rule = s === sk.writeQueue.tail ? nonagle : T.NAGLE_PUSH;
      if ((s.flags & tcp.FIN) === 0 && nagleHolds(sk, s.len < mss, rule)) break;
    } else if (pushOne === 0) {
      const wait = tsoDefer(sk, s, maxSegs);
      if (wait === 1) cwndLimited = true;
      if (wait !== 0) break;
    }
    const limit = s.pcount > 1 ? splitPoint(sk, s, mss, Math.min(quota, maxSegs), nonagle) : mss;
    if (s.len > limit) fragment(sk, sk.writeQueue, s, limit, mss);
    if (smallQueueFull(sk, s, 0)) break;
    if (s.endSeq === s.seq) break;
    if (transmitSeg(sk, s) !== 0) break;
    eventNewDataSent(sk, s);
    if (s.len < s.pcount * mss) sk.sndSml = s.endSeq;
    sent += s.pcount;
    if (pushOne !== 0) break;
  }
  if (T.packetsInFlight(sk) >= sk.cwnd) cwndLimited = true;
  if (sent > 0 || cwndLimited) cwndValidate(sk, cwndLimited);
  if (sent > 0) {
    if (sk.caState === T.CA_CWR || sk.caState === T.CA_RECOVERY) sk.prrOut += sent;
    if (pushOne !== 2) scheduleLossProbe(sk, false);
    return false;
  }
  return sk.packetsOut === 0 && sk.writeQueue.head !== null;
}

/** Pushes what waits; arms the window probe when the window is shut (__tcp_push_pending_frames). */
export function pushPending(sk: TcpSock, mss: number, nonagle: number): void {
  if (sk.state === T.CLOSE) return;
  if (writeXmit(sk, mss, nonagle, 0) && sk.packetsOut === 0 && sk.pending === T.TIME_NONE) {
    resetXmitTimer(sk, T.TIME_PROBE0, Math.max(sk.rto, T.RTO_MIN));
  }
}

/** After an ACK: send what has become possible (tcp_data_snd_check without the writer's wake-up). */
export function pushPendingFrames(sk: TcpSock): void {
  if (sk.writeQueue.head !== null) pushPending(sk, currentMss(sk), sk.nonagle);
}

/** Queues the FIN, on the last unsent data if there is any (tcp_send_fin). */
export function sendFin(sk: TcpSock): void {
  const tail = sk.writeQueue.tail;
  if (tail !== null) {
    tail.flags |= tcp.FIN;
    tail.endSeq = (tail.endSeq + 1) | 0;
    sk.writeSeq = (sk.writeSeq + 1) | 0;
  } else {
    const s = new Q.TxSeg();
    s.seq = sk.writeSeq;
    s.endSeq = sk.writeSeq = (sk.writeSeq + 1) | 0;
    s.flags = tcp.ACK | tcp.FIN;
    s.pcount = 1;
    sk.wmemQueued += T.TX_TRUESIZE;
    sk.writeQueue.push(s);
  }
  pushPending(sk, currentMss(sk), T.NAGLE_OFF);
}

/** Merges following entries into `to` while they fit into `space` bytes (tcp_retrans_try_collapse). */
function tryCollapse(sk: TcpSock, to: Q.TxSeg, space: number): void {
  if ((to.flags & tcp.SYN) !== 0 || to.pcount > 1) return;
  space -= to.len;
  for (let s = to.next; s !== null; s = to.next) {
    if (s.pcount > 1 || (s.sacked & T.SACKED_ACKED) !== 0) return;
    space -= s.len;
    if (space < 0 || after(s.endSeq, T.wndEnd(sk))) return;
    to.endSeq = s.endSeq;
    to.flags |= s.flags;
    to.sacked |= s.sacked & T.EVER_RETRANS;
    if (sk.retransmitHint === s) sk.retransmitHint = to;
    if (sk.highestSack === s) sk.highestSack = to;
    adjustPcount(sk, s, s.pcount);
    unlinkRtx(sk, s);
    sk.wmemQueued += s.len;
  }
}

/** Ends an entry of the retransmit queue (tcp_rtx_queue_unlink_and_free). */
export function unlinkRtx(sk: TcpSock, s: Q.TxSeg): void {
  Q.tsortedRemove(sk, s);
  sk.rtxQueue.remove(s);
  sk.wmemQueued -= T.TX_TRUESIZE + s.len;
}

/** Sends an entry again, at most `segs` segments of it (__tcp_retransmit_skb): 0 or a negative errno. */
export function retransmitOne(sk: TcpSock, s: Q.TxSeg, segs: number): number {
  if (s.skb !== null && s.skb.id === s.skbId && s.skb.waiting) return -EBUSY;
  if (before(s.seq, sk.sndUna)) {
    if ((s.flags & tcp.SYN) !== 0) {
      s.flags &= ~tcp.SYN;
      s.seq = (s.seq + 1) | 0;
    }
    if (before(s.seq, sk.sndUna)) trimHead(sk, s);
  }
  const mss = currentMss(sk);
  let avail = (T.wndEnd(sk) - s.seq) | 0;
  if (avail <= 0) {
    if (s.seq !== sk.sndUna) return -11;
    avail = mss;
  }
  let len = mss * segs;
  if (len > avail) {
    len = avail - (avail % mss);
    if (len === 0) len = avail;
  }
  if (s.len > len) fragment(sk, sk.rtxQueue, s, len, mss);
  else {
    const old = s.pcount;
    setTsoSegs(s, mss);
    adjustPcount(sk, s, old - s.pcount);
    avail = Math.min(avail, mss);
    if (s.len < avail) tryCollapse(sk, s, avail);
  }
  // RFC 3168 6.1.1.1: a SYN that got no answer goes without ECN.
  if ((s.flags & SYN_ECN) === SYN_ECN && sk.sysctl('tcp_ecn_fallback', 1) !== 0) s.flags &= ~(tcp.ECE | tcp.CWR);
  sk.totalRetrans += s.pcount;
  const err = transmitSeg(sk, s);
  s.sacked |= T.EVER_RETRANS;
  return err;
}

/** Drops the acknowledged front of an entry (tcp_trim_head). */
export function trimHead(sk: TcpSock, s: Q.TxSeg): void {
  const mss = s.mss;
  sk.wmemQueued -= (sk.sndUna - s.seq) | 0;
  s.seq = sk.sndUna;
  if (s.pcount > 1) setTsoSegs(s, mss);
}

/** Sends an entry again and counts it as retransmitted (tcp_retransmit_skb). */
export function retransmitSkb(sk: TcpSock, s: Q.TxSeg, segs: number): number {
  const err = retransmitOne(sk, s, segs);
  if (err === 0) {
    s.sacked |= T.RETRANS;
    sk.retransOut += s.pcount;
  }
  if (sk.retransStamp === 0) sk.retransStamp = s.sentMs;
  if (sk.undoRetrans < 0) sk.undoRetrans = 0;
  sk.undoRetrans += s.pcount;
  return err;
}

/** Sends again what is marked lost, as far as the congestion window goes (tcp_xmit_retransmit_queue). */
export function xmitRetransmitQueue(sk: TcpSock): void {
  if (sk.packetsOut === 0) return;
  const head = sk.rtxQueue.head;
  let hole: Q.TxSeg | null = null;
  let rearm = false;
  const maxSegs = tsoSegs(sk, currentMss(sk));
  for (let s = sk.retransmitHint ?? head; s !== null; s = s.next) {
    if (hole === null) sk.retransmitHint = s;
    const segs = Math.min(sk.cwnd - T.packetsInFlight(sk), maxSegs);
    if (segs <= 0) break;
    if (sk.retransOut >= sk.lostOut) break;
    if ((s.sacked & T.LOST) === 0) {
      if (hole === null && (s.sacked & (T.SACKED_RETRANS | T.SACKED_ACKED)) === 0) hole = s;
      continue;
    }
    if ((s.sacked & (T.SACKED_ACKED | T.SACKED_RETRANS)) !== 0) continue;
    if (smallQueueFull(sk, s, 1)) break;
    if (retransmitSkb(sk, s, segs) !== 0) break;
    if (sk.caState === T.CA_CWR || sk.caState === T.CA_RECOVERY) sk.prrOut += s.pcount;
    if (s === head && sk.pending !== T.TIME_REO_TIMEOUT) rearm = true;
  }
  if (rearm) resetXmitTimer(sk, T.TIME_RETRANS, sk.rto);
}
