/**
 * An incoming acknowledgement: what leaves the retransmit queue, round-trip time, windows, what may be sent now.
 *
 * Kernel counterpart: net/ipv4/tcp_input.c (tcp_ack, tcp_clean_rtx_queue, tcp_rtt_estimator).
 * @module
 */
import { after, before, type Options, SYN } from '../../../wire/tcp.js';
import { jiffies, usecsToJiffies } from '../core/jiffies.js';
import { caAcked, congControl, slowStartAfterIdle } from './tcp-cong.js';
import { fastPathCheck } from './tcp-data.js';
import { ecnAcceptCwr, ecnEcho } from './tcp-ecn.js';
import { sendAck } from './tcp-output.js';
import { ackProbe, scheduleLossProbe } from './tcp-probe.js';
import { rackAdvance, rackUpdateReoWnd } from './tcp-rack.js';
import {
  alertResult, fastretransAlert, processTlpAck, removeRenoSacks, REXMIT_NEW, REXMIT_NONE, spuriousRetrans,
} from './tcp-recovery.js'; // prettier-ignore
import * as F from './tcp-sack.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import { rearmRto } from './tcp-timer.js';
import { checkSpace, type TcpSock } from './tcp.js';
import {
  currentMss, pushPending, syncMss, trimHead, unlinkRtx, xmitRetransmitQueue,
} from './tcp-write.js'; // prettier-ignore

const RTO_MIN_US = 200000;
const st = new F.SackState();

/** The fields of the segment an ACK came in; one object, ACKs are handled one at a time. */
export interface AckSegment {
  seq: number;
  endSeq: number;
  ack: number;
  flags: number;
  window: number;
}

/** Jacobson's estimator with the kernel's gains (tcp_rtt_estimator). */
function rttEstimator(sk: TcpSock, rttUs: number): void {
  let m = rttUs;
  let srtt = sk.srttUs;
  if (srtt !== 0) {
    m -= srtt >> 3;
    srtt += m;
    if (m < 0) {
      m = -m - (sk.mdevUs >> 2);
      if (m > 0) m >>= 3;
    } else m -= sk.mdevUs >> 2;
    sk.mdevUs += m;
    if (sk.mdevUs > sk.mdevMaxUs) {
      sk.mdevMaxUs = sk.mdevUs;
      if (sk.mdevMaxUs > sk.rttvarUs) sk.rttvarUs = sk.mdevMaxUs;
    }
    if (after(sk.sndUna, sk.rttSeq)) {
      if (sk.mdevMaxUs < sk.rttvarUs) sk.rttvarUs -= (sk.rttvarUs - sk.mdevMaxUs) >> 2;
      sk.rttSeq = sk.sndNxt;
      sk.mdevMaxUs = RTO_MIN_US;
    }
  } else {
    srtt = m << 3;
    sk.mdevUs = m << 1;
    sk.rttvarUs = sk.mdevMaxUs = Math.max(sk.mdevUs, RTO_MIN_US);
    sk.rttSeq = sk.sndNxt;
  }
  sk.srttUs = Math.max(1, srtt);
}

/** RTO from the estimates, without backoff (__tcp_set_rto). */
export const rtoFromRtt = (sk: TcpSock): number => Math.min(usecsToJiffies((sk.srttUs >> 3) + sk.rttvarUs), T.RTO_MAX);

/** A sample for the estimators (tcp_ack_update_rtt); -1: none. False when there was nothing to learn. */
export function ackUpdateRtt(sk: TcpSock, flag: number, seqRtt: number, sackRtt: number, caRtt: number): boolean {
  if (seqRtt < 0) seqRtt = sackRtt;
  if (seqRtt < 0 && sk.sawTstamp && sk.rcvTsecr !== 0 && (flag & F.FLAG_ACKED) !== 0) {
    const delta = (T.timeStamp(sk) - sk.rcvTsecr) | 0;
    if (delta >= 0 && delta < 2147483) seqRtt = caRtt = Math.max(1, delta) * 1000;
  }
  ackRtt = caRtt;
  if (seqRtt < 0) return false;
  if ((flag & F.FLAG_ACK_MAYBE_DELAYED) === 0 || caRtt <= sk.rttMinUs) sk.rttMinUs = Math.min(sk.rttMinUs, caRtt);
  rttEstimator(sk, seqRtt);
  sk.rto = rtoFromRtt(sk);
  sk.backoff = 0;
  return true;
}

let ackRtt = -1;
let firstAckt = 0;
let lastAckt = 0;
let reord = 0;

/** One entry, or its front, has been acknowledged; returns the flags that follow. */
function segAcked(sk: TcpSock, s: Q.TxSeg, startSeq: number, count: number): number {
  let flag = 0;
  const { sacked } = s;
  if ((sacked & T.RETRANS) !== 0) {
    if ((sacked & T.SACKED_RETRANS) !== 0) sk.retransOut -= count;
    flag |= F.FLAG_RETRANS_DATA_ACKED;
  } else if ((sacked & T.SACKED_ACKED) === 0) {
    lastAckt = s.sentUs;
    if (firstAckt < 0) firstAckt = lastAckt;
    if (before(startSeq, reord)) reord = startSeq;
    if (!after(s.endSeq, sk.highSeq)) flag |= F.FLAG_ORIG_SACK_ACKED;
  }
  if ((sacked & T.SACKED_ACKED) !== 0) sk.sackedOut -= count;
  else if (sk.sackOk) {
    sk.delivered += count;
    if (!spuriousRetrans(sk, s)) rackAdvance(sk, sacked, s.endSeq, s.sentUs);
  }
  if ((sacked & T.LOST) !== 0) sk.lostOut -= count;
  sk.packetsOut -= count;
  F.rateDelivered(st, s);
  if ((s.flags & SYN) === 0) return flag | F.FLAG_DATA_ACKED;
  sk.retransStamp = 0;
  return flag | F.FLAG_SYN_ACKED;
}

/** Takes what is acknowledged out of the retransmit queue (tcp_clean_rtx_queue); returns flags. */
function cleanRtxQueue(sk: TcpSock, priorFack: number, priorUna: number): number {
  const priorSacked = sk.sackedOut;
  let flag = 0;
  let acked = 0;
  let full = true;
  firstAckt = lastAckt = -1;
  reord = sk.sndNxt;
  let s = sk.rtxQueue.head;
  while (s !== null) {
    const start = s.seq;
    let count = s.pcount;
    if (after(s.endSeq, sk.sndUna)) {
      if (s.pcount === 1 || !after(sk.sndUna, s.seq)) break;
      trimHead(sk, s);
      count -= s.pcount;
      if (count === 0) break;
      full = false;
    }
    flag |= segAcked(sk, s, start, count);
    acked += count;
    if (!full) break;
    const { next }: Q.TxSeg = s;
    if (s === sk.retransmitHint) sk.retransmitHint = null;
    if (s === sk.highestSack) sk.highestSack = next;
    unlinkRtx(sk, s);
    s = next;
  }
  Q.releaseTx(sk, sk.sndUna);
  if (s !== null && (s.sacked & T.SACKED_ACKED) !== 0) flag |= F.FLAG_SACK_RENEGING;
  return flag | rttAfterClean(sk, flag, s, acked, full, priorSacked, priorFack, priorUna);
}

function rttAfterClean(
  sk: TcpSock,
  flag: number,
  left: Q.TxSeg | null,
  acked: number,
  full: boolean,
  priorSacked: number,
  priorFack: number,
  priorUna: number,
): number {
  let more = 0;
  let seqRtt = -1;
  let caRtt = -1;
  let sackRtt = -1;
  if (firstAckt >= 0 && (flag & F.FLAG_RETRANS_DATA_ACKED) === 0) {
    seqRtt = T.sinceUs(sk, firstAckt);
    caRtt = T.sinceUs(sk, lastAckt);
    const one = acked === 1 && full && priorSacked === 0 && ((sk.sndUna - priorUna) | 0) < sk.mssCache;
    if (
      one &&
      st.priorDelivered + 1 === sk.delivered &&
      ((flag | st.flag) & (F.FLAG_CA_ALERT | F.FLAG_SYN_ACKED)) === 0
    ) {
      more |= F.FLAG_ACK_MAYBE_DELAYED;
    }
  }
  if (st.firstSackt !== 0) {
    sackRtt = T.sinceUs(sk, st.firstSackt);
    caRtt = T.sinceUs(sk, st.lastSackt);
  }
  const updated = ackUpdateRtt(sk, flag | more, seqRtt, sackRtt, caRtt);
  if ((flag & F.FLAG_ACKED) !== 0) {
    more |= F.FLAG_SET_XMIT_TIMER;
    if (!sk.sackOk) removeRenoSacks(sk, acked);
    else if (before(reord, priorFack)) F.checkSackReordering(sk, reord);
  } else if (left !== null && updated && sackRtt >= 0 && sackRtt > T.sinceUs(sk, left.sentUs)) {
    more |= F.FLAG_SET_XMIT_TIMER;
  }
  if (acked > 0) caAcked(sk, ackRtt);
  return more;
}

/** tcp_may_update_window. */
export const mayUpdateWindow = (sk: TcpSock, ack: number, seq: number, win: number): boolean =>
  after(ack, sk.sndUna) || after(seq, sk.sndWl1) || (seq === sk.sndWl1 && win > sk.sndWnd);

function sndUnaUpdate(sk: TcpSock, ack: number): void {
  sk.bytesAcked += (ack - sk.sndUna) | 0;
  sk.sndUna = ack;
}

/** tcp_ack_update_window. */
function ackUpdateWindow(sk: TcpSock, g: AckSegment): number {
  let flag = 0;
  const win = (g.flags & SYN) !== 0 ? g.window : g.window * 2 ** sk.sndWscale;
  if (mayUpdateWindow(sk, g.ack, g.seq, win)) {
    flag = F.FLAG_WIN_UPDATE;
    sk.sndWl1 = g.seq;
    if (sk.sndWnd !== win) {
      sk.sndWnd = win;
      sk.predFlags = 0;
      fastPathCheck(sk);
      if (sk.writeQueue.head !== null) slowStartAfterIdle(sk);
      if (win > sk.maxWindow) {
        sk.maxWindow = win;
        syncMss(sk, sk.pmtuCookie);
      }
    }
  }
  sndUnaUpdate(sk, g.ack);
  return flag;
}

/** True when the last answer to a segment outside the window is half a second or more ago (__tcp_oow_rate_limited). */
export function oowAllowed(sk: { lastOowAckJ: number }, now: number): boolean {
  if (sk.lastOowAckJ !== 0 && now - sk.lastOowAckJ < 50) return false;
  sk.lastOowAckJ = now;
  return true;
}

/** Challenge ACK (RFC 5961), limited per socket; the limit per namespace is off in this kernel (tcp_send_challenge_ack). */
export function sendChallengeAck(sk: TcpSock): void {
  if (oowAllowed(sk, jiffies(sk.net.kernel.sim))) sendAck(sk);
}

function storeTsRecent(sk: TcpSock): void {
  sk.tsRecent = sk.rcvTsval;
  sk.tsRecentStamp = Math.floor(sk.net.kernel.sim.now / 1e9) + 1;
}

/** Remembers the peer's time stamp (tcp_store_ts_recent), unless it is older or beyond what was acknowledged. */
export function replaceTsRecent(sk: TcpSock, seq: number): void {
  if (sk.sawTstamp && !after(seq, sk.rcvWup) && ((sk.tsRecent - sk.rcvTsval) | 0) <= 0) storeTsRecent(sk);
}

export { storeTsRecent };

/** 1: handled, 0: old, below 0: not acceptable (the segment is dropped). */
export const ACK_TOO_OLD = -1;
export const ACK_UNSENT = -2;

/** Handles the acknowledgement of one segment (tcp_ack). */
export function tcpAck(sk: TcpSock, g: AckSegment, o: Options, flag: number): number {
  const priorUna = sk.sndUna;
  st.reset();
  if (before(g.ack, priorUna)) return oldAck(sk, g, o, flag);
  if (after(g.ack, sk.sndNxt)) return ACK_UNSENT;
  if (after(g.ack, priorUna)) {
    flag |= F.FLAG_SND_UNA_ADVANCED;
    sk.retransmits = 0;
  }
  const priorFack = sk.sackOk ? F.highestSackSeq(sk) : sk.sndUna;
  const { delivered, lost, packetsOut: priorPackets } = sk;
  if ((flag & F.FLAG_UPDATE_TS_RECENT) !== 0) replaceTsRecent(sk, g.seq);
  if ((flag & (F.FLAG_SLOWPATH | F.FLAG_SND_UNA_ADVANCED)) === F.FLAG_SND_UNA_ADVANCED) {
    sk.sndWl1 = g.seq;
    sndUnaUpdate(sk, g.ack);
    flag |= F.FLAG_WIN_UPDATE;
  } else {
    if (g.seq !== g.endSeq) flag |= F.FLAG_DATA;
    flag |= ackUpdateWindow(sk, g);
    if (o.sacks > 0 && sk.sackOk) flag |= F.sacktagWriteQueue(sk, g.ack, o, priorUna, st);
    if (ecnEcho(sk, g.flags) && (g.flags & SYN) === 0) flag |= F.FLAG_ECE;
    sk.delivered += st.sackDelivered;
  }
  if (ecnAcceptCwr(sk, g.flags, g.seq !== g.endSeq)) sk.ackPending |= T.ACK_NOW;
  sk.errSoft = 0;
  sk.probesOut = 0;
  sk.rcvTstampJ = jiffies(sk.net.kernel.sim);
  if (priorPackets === 0) return noQueue(sk, g, flag, priorUna);
  flag |= cleanRtxQueue(sk, priorFack, priorUna);
  rackUpdateReoWnd(sk, st.priorDelivered);
  if (sk.tlpActive) processTlpAck(sk, g.ack, flag);
  let rexmit = REXMIT_NONE;
  if ((flag & F.FLAG_NOT_DUP) === 0 || (flag & F.FLAG_CA_ALERT) !== 0 || sk.caState !== T.CA_OPEN) {
    const dup = (flag & (F.FLAG_SND_UNA_ADVANCED | F.FLAG_NOT_DUP | F.FLAG_DSACKING_ACK)) === 0 ? 1 : 0;
    fastretransAlert(sk, priorUna, dup, flag);
    flag = alertResult.flag;
    rexmit = alertResult.rexmit;
  }
  if ((flag & F.FLAG_SET_XMIT_TIMER) !== 0 && !scheduleLossProbe(sk, true)) rearmRto(sk);
  if ((flag & F.FLAG_FORWARD_PROGRESS) !== 0 || (flag & F.FLAG_NOT_DUP) === 0) sk.dstConfirm = true;
  const mayRaise = (flag & (sk.reordering > 3 ? F.FLAG_FORWARD_PROGRESS : F.FLAG_DATA_ACKED)) !== 0;
  const advanced = (flag & F.FLAG_SND_UNA_ADVANCED) !== 0;
  congControl(sk, sk.delivered - delivered, sk.lost - lost, advanced, mayRaise);
  xmitRecovery(sk, rexmit);
  return 1;
}

/** Nothing was in flight: a window update, or late news (the no_queue part of tcp_ack). */
function noQueue(sk: TcpSock, g: AckSegment, flag: number, priorUna: number): number {
  if ((flag & F.FLAG_DSACKING_ACK) !== 0) fastretransAlert(sk, priorUna, 0, flag);
  ackProbe(sk);
  if (sk.tlpActive) processTlpAck(sk, g.ack, flag);
  return 1;
}

/** An acknowledgement below SND.UNA: only its SACK blocks count (the old_ack part of tcp_ack). */
function oldAck(sk: TcpSock, g: AckSegment, o: Options, flag: number): number {
  const priorUna = sk.sndUna;
  if (before(g.ack, (priorUna - Math.min(sk.maxWindow, sk.bytesAcked)) | 0)) {
    if ((flag & F.FLAG_NO_CHALLENGE_ACK) === 0) sendChallengeAck(sk);
    return ACK_TOO_OLD;
  }
  if ((flag & F.FLAG_UPDATE_TS_RECENT) !== 0) replaceTsRecent(sk, g.seq);
  if (o.sacks > 0 && sk.sackOk) {
    flag |= F.sacktagWriteQueue(sk, g.ack, o, priorUna, st);
    sk.delivered += st.sackDelivered;
    fastretransAlert(sk, priorUna, 0, flag);
    xmitRecovery(sk, alertResult.rexmit);
  }
  return 0;
}

/** tcp_xmit_recovery. */
function xmitRecovery(sk: TcpSock, rexmit: number): void {
  if (rexmit === REXMIT_NONE || sk.state === T.SYN_SENT) return;
  if (rexmit === REXMIT_NEW) {
    pushPending(sk, currentMss(sk), T.NAGLE_OFF);
    if (after(sk.sndNxt, sk.highSeq)) return;
    sk.frto = false;
  }
  xmitRetransmitQueue(sk);
}

/** After an ACK: send what waits and wake a writer that waits (tcp_data_snd_check). */
export function dataSndCheck(sk: TcpSock): void {
  if (sk.writeQueue.head !== null) pushPending(sk, currentMss(sk), sk.nonagle);
  checkSpace(sk);
}
