/**
 * RACK (RFC 8985): a segment is lost when one sent later has been delivered and a reordering time has passed.
 *
 * Kernel counterpart: net/ipv4/tcp_recovery.c.
 * @module
 */
import { after } from '../../../wire/tcp.js';
import { usecsToJiffies } from '../core/jiffies.js';
import { cwndReduction } from './tcp-cong.js';
import { enterRecovery } from './tcp-recovery.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import { rearmRto, resetXmitTimer } from './tcp-timer.js';
import type { TcpSock } from './tcp.js';
import { xmitRetransmitQueue } from './tcp-write.js';

const RECOVERY_THRESH = 16;

const sentAfter = (t1: number, t2: number, seq1: number, seq2: number): boolean =>
  t1 > t2 || (t1 === t2 && after(seq1, seq2));

function reoWnd(sk: TcpSock): number {
  if (sk.reordSeen === 0 && (sk.caState >= T.CA_RECOVERY || sk.sackedOut >= sk.reordering)) return 0;
  return Math.min((sk.rttMinUs >>> 2) * sk.rackReoWndSteps, sk.srttUs >> 3);
}

/** Time left until `s` counts as lost, given a reordering window (tcp_rack_skb_timeout). */
export const rackSkbTimeout = (sk: TcpSock, s: Q.TxSeg, wnd: number): number =>
  sk.rackRttUs + wnd - T.sinceUs(sk, s.sentUs);

/** Marks a segment lost (tcp_mark_skb_lost). */
export function markLost(sk: TcpSock, s: Q.TxSeg): void {
  if ((s.sacked & T.SACKED_ACKED) !== 0) return;
  const hint = sk.retransmitHint;
  if (hint === null ? sk.retransOut >= sk.lostOut : ((s.seq - hint.seq) | 0) < 0) sk.retransmitHint = s;
  if ((s.sacked & T.LOST) !== 0) {
    if ((s.sacked & T.SACKED_RETRANS) !== 0) {
      s.sacked &= ~T.SACKED_RETRANS;
      sk.retransOut -= s.pcount;
      sk.lost += s.pcount;
    }
    return;
  }
  sk.lostOut += s.pcount;
  s.sacked |= T.LOST;
  sk.lost += s.pcount;
}

/** Marks what must be lost; returns the µs after which to look again, 0: never (tcp_rack_detect_loss). */
function detectLoss(sk: TcpSock): number {
  let wait = 0;
  const wnd = reoWnd(sk);
  for (let s = sk.tsHead, next: Q.TxSeg | null; s !== null; s = next) {
    next = s.tsNext;
    if ((s.sacked & T.LOST) !== 0 && (s.sacked & T.SACKED_RETRANS) === 0) continue;
    if (!sentAfter(sk.rackMstamp, s.sentUs, sk.rackEndSeq, s.endSeq)) break;
    const left = rackSkbTimeout(sk, s, wnd);
    if (left <= 0) {
      markLost(sk, s);
      Q.tsortedRemove(sk, s);
    } else wait = Math.max(wait, left);
  }
  return wait;
}

/** After an ACK (tcp_rack_mark_lost): true when a reordering timer was armed. */
export function rackMarkLost(sk: TcpSock): boolean {
  if (!sk.rackAdvanced) return false;
  sk.rackAdvanced = false;
  const wait = detectLoss(sk);
  if (wait > 0) resetXmitTimer(sk, T.TIME_REO_TIMEOUT, Math.min(usecsToJiffies(wait + 2000), sk.rto));
  return wait > 0;
}

/** A segment was delivered: the latest sending time moves on (tcp_rack_advance). */
export function rackAdvance(sk: TcpSock, sacked: number, endSeq: number, sentUs: number): void {
  const rtt = T.sinceUs(sk, sentUs);
  if (rtt < sk.rttMinUs && (sacked & T.RETRANS) !== 0) return;
  sk.rackAdvanced = true;
  sk.rackRttUs = rtt;
  if (sentAfter(sentUs, sk.rackMstamp, endSeq, sk.rackEndSeq)) {
    sk.rackMstamp = sentUs;
    sk.rackEndSeq = endSeq;
  }
}

/** The reordering timer fired (tcp_rack_reo_timeout). */
export function rackReoTimeout(sk: TcpSock): void {
  const prior = T.packetsInFlight(sk);
  const { lost } = sk;
  detectLoss(sk);
  if (prior !== T.packetsInFlight(sk)) {
    if (sk.caState !== T.CA_RECOVERY) {
      enterRecovery(sk);
      cwndReduction(sk, 1, sk.lost - lost, false);
    }
    xmitRetransmitQueue(sk);
  }
  if (sk.pending !== T.TIME_RETRANS) rearmRto(sk);
}

/** D-SACKs widen the reordering window (tcp_rack_update_reo_wnd); `priorDelivered` 0: nothing was delivered. */
export function rackUpdateReoWnd(sk: TcpSock, priorDelivered: number): void {
  if (priorDelivered === 0) return;
  if (priorDelivered < sk.rackLastDelivered) sk.rackDsackSeen = false;
  if (sk.rackDsackSeen) {
    sk.rackReoWndSteps = Math.min(255, sk.rackReoWndSteps + 1);
    sk.rackDsackSeen = false;
    sk.rackLastDelivered = sk.delivered;
    sk.rackReoWndPersist = RECOVERY_THRESH;
  } else if (sk.rackReoWndPersist === 0) sk.rackReoWndSteps = 1;
}
