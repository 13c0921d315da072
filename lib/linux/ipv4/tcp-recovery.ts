/**
 * Loss recovery: the states Open, Disorder, CWR, Recovery, Loss, how they are entered, left and undone.
 *
 * Kernel counterpart: net/ipv4/tcp_input.c (tcp_fastretrans_alert and below). Peers without SACK recover by
 * the retransmission timer and by three duplicate ACKs as in RFC 6582.
 * @module
 */
import { after, before } from '../../../wire/tcp.js';
import { jiffies, usecsToJiffies } from '../core/jiffies.js';
import {
  caSsthresh,
  caUndoCwnd,
  currentSsthresh,
  endCwndReduction,
  initCwndReduction,
  setCaState,
} from './tcp-cong.js';
import { ecnQueueCwr, ecnWithdrawCwr } from './tcp-ecn.js';
import { markLost, rackMarkLost, rackSkbTimeout } from './tcp-rack.js';
import * as F from './tcp-sack.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import { resetXmitTimer } from './tcp-timer.js';
import type { TcpSock } from './tcp.js';
import { currentMss, segLen, xmitRetransmitQueue } from './tcp-write.js';

export const REXMIT_NONE = 0;
export const REXMIT_LOST = 1;
export const REXMIT_NEW = 2;

/** What alert() decided: flags that remain, and what to send again. */
export const alertResult = { flag: 0, rexmit: REXMIT_NONE };

function initUndo(sk: TcpSock): void {
  sk.undoMarker = sk.sndUna === 0 ? 1 : sk.sndUna;
  sk.undoRetrans = sk.retransOut;
  if (sk.tlpActive && sk.tlpRetrans) sk.undoRetrans++;
  if (sk.undoRetrans === 0) sk.undoRetrans = -1;
}

/** Enters Loss: everything not delivered recently counts as lost, the window falls to one (tcp_enter_loss). */
export function enterLoss(sk: TcpSock): void {
  const fresh = sk.caState < T.CA_RECOVERY;
  const { head } = sk.rtxQueue;
  const reneg = head !== null && (head.sacked & T.SACKED_ACKED) !== 0;
  if (reneg) {
    sk.sackedOut = 0;
    sk.isSackReneg = true;
  } else if (!sk.sackOk) sk.sackedOut = 0;
  for (let s = head; s !== null; s = s.next) {
    if (reneg) s.sacked &= ~T.SACKED_ACKED;
    else if (s !== head && rackSkbTimeout(sk, s, 0) > 0) continue;
    markLost(sk, s);
  }
  sk.retransmitHint = null;
  if (
    sk.caState <= T.CA_DISORDER ||
    !after(sk.highSeq, sk.sndUna) ||
    (sk.caState === T.CA_LOSS && sk.retransmits === 0)
  ) {
    sk.priorSsthresh = currentSsthresh(sk);
    sk.priorCwnd = sk.cwnd;
    sk.ssthresh = caSsthresh(sk);
    initUndo(sk);
  }
  sk.cwnd = T.packetsInFlight(sk) + 1;
  sk.cwndCnt = 0;
  sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  if (sk.caState <= T.CA_DISORDER && sk.sackedOut >= 3) sk.reordering = Math.min(sk.reordering, 3);
  setCaState(sk, T.CA_LOSS);
  sk.highSeq = sk.sndNxt;
  sk.tlpActive = false;
  ecnQueueCwr(sk);
  sk.frto = fresh || sk.retransmits !== 0;
}

const anyRetransDone = (sk: TcpSock): boolean =>
  sk.retransOut !== 0 || (sk.rtxQueue.head !== null && (sk.rtxQueue.head.sacked & T.EVER_RETRANS) !== 0);

/** Enters Recovery, the fast one (tcp_enter_recovery). */
export function enterRecovery(sk: TcpSock, echo = false): void {
  if (!anyRetransDone(sk)) sk.retransStamp = 0;
  sk.priorSsthresh = 0;
  initUndo(sk);
  if (sk.caState !== T.CA_CWR && sk.caState !== T.CA_RECOVERY) {
    if (!echo) sk.priorSsthresh = currentSsthresh(sk);
    initCwndReduction(sk);
  }
  setCaState(sk, T.CA_RECOVERY);
}

const ecrBefore = (sk: TcpSock, when: number): boolean =>
  sk.sawTstamp && sk.rcvTsecr !== 0 && before(sk.rcvTsecr, when);

/** True when the segment was acknowledged by a copy sent before its retransmission (tcp_skb_spurious_retrans). */
export const spuriousRetrans = (sk: TcpSock, s: Q.TxSeg): boolean =>
  (s.sacked & T.RETRANS) !== 0 && ecrBefore(sk, s.sentMs);

function packetDelayed(sk: TcpSock): boolean {
  if (sk.retransStamp !== 0) return ecrBefore(sk, sk.retransStamp);
  if (!sk.sackOk && !before(sk.sndUna, sk.highSeq)) return false;
  return sk.state !== T.SYN_SENT;
}

const mayUndo = (sk: TcpSock): boolean => sk.undoMarker !== 0 && (sk.undoRetrans === 0 || packetDelayed(sk));

function undoCwndReduction(sk: TcpSock, unmark: boolean): void {
  if (unmark) {
    for (let s = sk.rtxQueue.head; s !== null; s = s.next) s.sacked &= ~T.LOST;
    sk.lostOut = 0;
    sk.retransmitHint = null;
  }
  if (sk.priorSsthresh !== 0) {
    sk.cwnd = caUndoCwnd(sk);
    if (sk.priorSsthresh > sk.ssthresh) {
      sk.ssthresh = sk.priorSsthresh;
      ecnWithdrawCwr(sk);
    }
  }
  sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  sk.undoMarker = 0;
  sk.rackAdvanced = true;
}

/** A peer without SACK holds the state until something above high_seq is acknowledged. */
function renoHolds(sk: TcpSock): boolean {
  if (sk.sackOk || sk.sndUna !== sk.highSeq) return false;
  if (!anyRetransDone(sk)) sk.retransStamp = 0;
  return true;
}

function tryUndoRecovery(sk: TcpSock): boolean {
  if (mayUndo(sk)) undoCwndReduction(sk, false);
  else if (sk.rackReoWndPersist !== 0) sk.rackReoWndPersist--;
  if (renoHolds(sk)) return true;
  setCaState(sk, T.CA_OPEN);
  sk.isSackReneg = false;
  return false;
}

function tryUndoDsack(sk: TcpSock): boolean {
  if (sk.undoMarker === 0 || sk.undoRetrans !== 0) return false;
  sk.rackReoWndPersist = Math.min(16, sk.rackReoWndPersist + 1);
  undoCwndReduction(sk, false);
  return true;
}

function tryUndoLoss(sk: TcpSock, frto: boolean): boolean {
  if (!frto && !mayUndo(sk)) return false;
  undoCwndReduction(sk, true);
  sk.retransmits = 0;
  if (renoHolds(sk)) return true;
  if (frto || sk.sackOk) {
    setCaState(sk, T.CA_OPEN);
    sk.isSackReneg = false;
  }
  return true;
}

/** Open, or Disorder while something is sacked or sent again (tcp_try_keep_open). */
export function tryKeepOpen(sk: TcpSock): void {
  const state = sk.sackedOut + sk.lostOut > 0 || anyRetransDone(sk) ? T.CA_DISORDER : T.CA_OPEN;
  if (sk.caState === state) return;
  setCaState(sk, state);
  sk.highSeq = sk.sndNxt;
}

/** The peer echoes congestion: a reduction that nothing undoes (tcp_enter_cwr). */
function enterCwr(sk: TcpSock): void {
  sk.priorSsthresh = 0;
  if (sk.caState >= T.CA_CWR) return;
  sk.undoMarker = 0;
  initCwndReduction(sk);
  setCaState(sk, T.CA_CWR);
}

function tryToOpen(sk: TcpSock): void {
  if (!anyRetransDone(sk)) sk.retransStamp = 0;
  if ((alertResult.flag & F.FLAG_ECE) !== 0) enterCwr(sk);
  if (sk.caState !== T.CA_CWR) tryKeepOpen(sk);
}

/** tcp_process_loss: F-RTO, undo, or more retransmissions. */
function processLoss(sk: TcpSock, flag: number, dupack: number): number {
  const recovered = !before(sk.sndUna, sk.highSeq);
  if ((flag & F.FLAG_SND_UNA_ADVANCED) !== 0 && tryUndoLoss(sk, false)) return REXMIT_NONE;
  if (sk.frto) {
    if ((flag & F.FLAG_ORIG_SACK_ACKED) !== 0 && tryUndoLoss(sk, true)) return REXMIT_NONE;
    if (after(sk.sndNxt, sk.highSeq)) {
      if ((flag & F.FLAG_DATA_SACKED) !== 0 || dupack !== 0) sk.frto = false;
    } else if ((flag & F.FLAG_SND_UNA_ADVANCED) !== 0 && !recovered) {
      sk.highSeq = sk.sndNxt;
      if (sk.writeQueue.head !== null && after(T.wndEnd(sk), sk.sndNxt)) return REXMIT_NEW;
      sk.frto = false;
    }
  }
  if (recovered) {
    tryUndoRecovery(sk);
    return REXMIT_NONE;
  }
  if (!sk.sackOk) {
    if (after(sk.sndNxt, sk.highSeq) && dupack !== 0) addRenoSack(sk, dupack);
    else if ((flag & F.FLAG_SND_UNA_ADVANCED) !== 0) sk.sackedOut = 0;
  }
  return REXMIT_LOST;
}

/** A duplicate ACK of a peer without SACK counts as a sacked segment (tcp_add_reno_sack). */
function addRenoSack(sk: TcpSock, n: number): void {
  if (n === 0) return;
  const prior = sk.sackedOut;
  sk.sackedOut += n;
  const holes = Math.min(Math.max(sk.lostOut, 1), sk.packetsOut);
  if (sk.sackedOut + holes > sk.packetsOut) {
    sk.sackedOut = sk.packetsOut - holes;
    sk.reordering = Math.min(sk.packetsOut, 300);
    sk.reordSeen++;
  }
  if (sk.sackedOut > prior) sk.delivered += sk.sackedOut - prior;
}

/** A cumulative ACK of a peer without SACK eats duplicate ACKs (tcp_remove_reno_sacks). */
export function removeRenoSacks(sk: TcpSock, acked: number): void {
  if (acked <= 0) return;
  sk.delivered += Math.max(acked - sk.sackedOut, 1);
  sk.sackedOut = acked - 1 >= sk.sackedOut ? 0 : sk.sackedOut - (acked - 1);
}

function tryUndoPartial(sk: TcpSock, priorUna: number): boolean {
  if (sk.undoMarker === 0 || !packetDelayed(sk)) return false;
  F.checkSackReordering(sk, priorUna);
  if (sk.retransOut !== 0) return true;
  if (!anyRetransDone(sk)) sk.retransStamp = 0;
  undoCwndReduction(sk, true);
  tryKeepOpen(sk);
  return false;
}

function identifyLoss(sk: TcpSock): void {
  const { head } = sk.rtxQueue;
  if (head === null) return;
  if (!sk.sackOk) {
    const advanced = (alertResult.flag & F.FLAG_SND_UNA_ADVANCED) !== 0;
    if ((sk.caState < T.CA_RECOVERY && sk.sackedOut >= sk.reordering) || (sk.caState === T.CA_RECOVERY && advanced)) {
      if ((head.sacked & T.LOST) === 0) markLost(sk, head);
    }
    return;
  }
  const prior = sk.retransOut;
  if (rackMarkLost(sk)) alertResult.flag &= ~F.FLAG_SET_XMIT_TIMER;
  if (prior > sk.retransOut) alertResult.flag |= F.FLAG_LOST_RETRANS;
}

/** State left because high_seq was acknowledged; true when nothing more is to be done. */
function exitStates(sk: TcpSock): boolean {
  if (sk.caState === T.CA_OPEN) sk.retransStamp = 0;
  else if (!before(sk.sndUna, sk.highSeq)) {
    if (sk.caState === T.CA_CWR && sk.sndUna !== sk.highSeq) {
      endCwndReduction(sk);
      setCaState(sk, T.CA_OPEN);
    } else if (sk.caState === T.CA_RECOVERY) {
      if (!sk.sackOk) sk.sackedOut = 0;
      if (tryUndoRecovery(sk)) return true;
      endCwndReduction(sk);
    }
  }
  return false;
}

/** An ACK was unusual, or the state is not Open (tcp_fastretrans_alert); the outcome is in `alertResult`. */
export function fastretransAlert(sk: TcpSock, priorUna: number, dupack: number, flag: number): void {
  alertResult.flag = flag;
  alertResult.rexmit = REXMIT_NONE;
  const advanced = (flag & F.FLAG_SND_UNA_ADVANCED) !== 0;
  if (sk.packetsOut === 0 && sk.sackedOut !== 0) sk.sackedOut = 0;
  const echo = (flag & F.FLAG_ECE) !== 0;
  if (echo) sk.priorSsthresh = 0;
  if ((flag & F.FLAG_SACK_RENEGING) !== 0 && advanced) {
    resetXmitTimer(sk, T.TIME_RETRANS, Math.max(usecsToJiffies(sk.srttUs >> 4), 1));
    alertResult.flag &= ~F.FLAG_SET_XMIT_TIMER;
    return;
  }
  if (exitStates(sk)) return;
  if (sk.caState === T.CA_RECOVERY) {
    if (!advanced) {
      if (!sk.sackOk) addRenoSack(sk, dupack);
    } else if (tryUndoPartial(sk, priorUna)) return;
    if (tryUndoDsack(sk)) tryToOpen(sk);
    identifyLoss(sk);
    if ((sk.caState as number) !== T.CA_RECOVERY) {
      if (sk.lostOut === 0) return;
      enterRecovery(sk, echo);
    }
    alertResult.rexmit = REXMIT_LOST;
    return;
  }
  if (sk.caState === T.CA_LOSS) {
    alertResult.rexmit = processLoss(sk, flag, dupack);
    identifyLoss(sk);
    if ((sk.caState as number) !== T.CA_OPEN && (alertResult.flag & F.FLAG_LOST_RETRANS) === 0) return;
  }
  if (!sk.sackOk) {
    if (advanced) sk.sackedOut = 0;
    addRenoSack(sk, dupack);
  }
  if (sk.caState <= T.CA_DISORDER) tryUndoDsack(sk);
  identifyLoss(sk);
  if (sk.lostOut === 0) return tryToOpen(sk);
  enterRecovery(sk, echo);
  alertResult.rexmit = REXMIT_LOST;
}

/** The end of a loss probe's episode (tcp_process_tlp_ack). */
export function processTlpAck(sk: TcpSock, ack: number, flag: number): void {
  if (before(ack, sk.tlpHighSeq)) return;
  if (!sk.tlpRetrans || (flag & F.FLAG_DSACK_TLP) !== 0) sk.tlpActive = false;
  else if (after(ack, sk.tlpHighSeq)) {
    initCwndReduction(sk);
    setCaState(sk, T.CA_CWR);
    endCwndReduction(sk);
    tryKeepOpen(sk);
  } else if ((flag & (F.FLAG_SND_UNA_ADVANCED | F.FLAG_NOT_DUP | F.FLAG_DATA_SACKED)) === 0) sk.tlpActive = false;
}

/** The path MTU has shrunk: what no longer fits is sent again at once (tcp_simple_retransmit). */
export function simpleRetransmit(sk: TcpSock): void {
  const mss = currentMss(sk);
  for (let s = sk.rtxQueue.head; s !== null; s = s.next) if (segLen(s) > mss) markLost(sk, s);
  if (sk.lostOut === 0) return;
  if (sk.caState !== T.CA_LOSS) {
    sk.highSeq = sk.sndNxt;
    sk.ssthresh = currentSsthresh(sk);
    sk.priorSsthresh = sk.undoMarker = 0;
    setCaState(sk, T.CA_LOSS);
  }
  xmitRetransmitQueue(sk);
}
