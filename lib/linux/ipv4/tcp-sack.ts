/**
 * What SACK blocks say about our retransmit queue.
 *
 * Kernel counterpart: net/ipv4/tcp_input.c (tcp_sacktag_write_queue and below). The kernel's caches and its merging of
 * sacked entries are left out: they save work and change no decision.
 * @module
 */
import { after, before, type Options } from '../../../wire/tcp.js';
import { rackAdvance } from './tcp-rack.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import type { TcpSock } from './tcp.js';
import { fragment } from './tcp-write.js';

export const FLAG_DATA = 0x01;
export const FLAG_WIN_UPDATE = 0x02;
export const FLAG_DATA_ACKED = 0x04;
export const FLAG_RETRANS_DATA_ACKED = 0x08;
export const FLAG_SYN_ACKED = 0x10;
export const FLAG_DATA_SACKED = 0x20;
export const FLAG_ECE = 0x40;
export const FLAG_LOST_RETRANS = 0x80;
export const FLAG_SLOWPATH = 0x100;
export const FLAG_ORIG_SACK_ACKED = 0x200;
export const FLAG_SND_UNA_ADVANCED = 0x400;
export const FLAG_DSACKING_ACK = 0x800;
export const FLAG_SET_XMIT_TIMER = 0x1000;
export const FLAG_SACK_RENEGING = 0x2000;
export const FLAG_UPDATE_TS_RECENT = 0x4000;
export const FLAG_NO_CHALLENGE_ACK = 0x8000;
export const FLAG_ACK_MAYBE_DELAYED = 0x10000;
export const FLAG_DSACK_TLP = 0x20000;
export const FLAG_ACKED = FLAG_DATA_ACKED | FLAG_SYN_ACKED;
export const FLAG_NOT_DUP = FLAG_DATA | FLAG_WIN_UPDATE | FLAG_ACKED;
export const FLAG_CA_ALERT = FLAG_DATA_SACKED | FLAG_ECE | FLAG_DSACKING_ACK;
export const FLAG_FORWARD_PROGRESS = FLAG_ACKED | FLAG_DATA_SACKED;

const MAX_REORDERING = 300;

/** What one ACK brought to light; one object serves every socket, ACKs are handled one at a time. */
export class SackState {
  flag = 0;
  firstSackt = 0;
  lastSackt = 0;
  reord = 0;
  sackDelivered = 0;
  /** rs->prior_delivered: 0, nothing delivered yet. */
  priorDelivered = 0;
  priorDeliveredSentUs = 0;

  reset(): void {
    this.flag = this.firstSackt = this.lastSackt = this.sackDelivered = 0;
    this.priorDelivered = this.priorDeliveredSentUs = 0;
  }
}

/** Sequence number above which nothing is sacked (tcp_highest_sack_seq). */
export const highestSackSeq = (sk: TcpSock): number =>
  sk.sackedOut === 0 ? sk.sndUna : sk.highestSack === null ? sk.sndNxt : sk.highestSack.seq;

/** tcp_check_sack_reordering. */
export function checkSackReordering(sk: TcpSock, lowSeq: number): void {
  const fack = highestSackSeq(sk);
  if (!before(lowSeq, fack)) return;
  const metric = (fack - lowSeq) | 0;
  const mss = sk.mssCache;
  if (metric > sk.reordering * mss && mss !== 0) {
    sk.reordering = Math.min(Math.floor((metric + mss - 1) / mss), MAX_REORDERING);
  }
  sk.reordSeen++;
}

/** Notes what was known delivered when the latest delivered segment was sent (tcp_rate_skb_delivered). */
export function rateDelivered(st: SackState, s: Q.TxSeg): void {
  if (st.priorDelivered === 0 || s.sentUs >= st.priorDeliveredSentUs) {
    st.priorDelivered = Math.max(1, s.delivered);
    st.priorDeliveredSentUs = s.sentUs;
  }
}

function dsackSeen(sk: TcpSock, start: number, end: number, st: SackState): number {
  if (!before(start, end)) return 0;
  const len = (end - start) | 0;
  if (len > sk.maxWindow) return 0;
  let dup = 1;
  if (len > sk.mssCache) dup = Math.ceil(len / sk.mssCache);
  else if (sk.tlpActive && sk.tlpHighSeq === end) st.flag |= FLAG_DSACK_TLP;
  sk.dsackDups += dup;
  if (sk.dsackDups > sk.totalRetrans) return 0;
  sk.dsackSeen = true;
  if (sk.reordSeen !== 0 && (st.flag & FLAG_DSACK_TLP) === 0) sk.rackDsackSeen = true;
  st.flag |= FLAG_DSACKING_ACK;
  st.sackDelivered += dup;
  return dup;
}

/** True when the first block reports a duplicate (tcp_check_dsack). */
function checkDsack(sk: TcpSock, ack: number, o: Options, priorUna: number, st: SackState): boolean {
  const [s0, e0] = [o.sack[0]!, o.sack[1]!];
  if (!before(s0, ack)) {
    if (o.sacks < 2 || after(e0, o.sack[3]!) || before(s0, o.sack[2]!)) return false;
  }
  const dup = dsackSeen(sk, s0, e0, st);
  if (dup === 0) return false;
  if (sk.undoMarker !== 0 && sk.undoRetrans > 0 && !after(e0, priorUna) && after(e0, sk.undoMarker)) {
    sk.undoRetrans = Math.max(0, sk.undoRetrans - dup);
  }
  return true;
}

/** tcp_is_sackblock_valid. */
function blockValid(sk: TcpSock, dsack: boolean, start: number, end: number): boolean {
  if (after(end, sk.sndNxt) || !before(start, end) || !before(start, sk.sndNxt)) return false;
  if (after(start, sk.sndUna)) return true;
  if (!dsack || sk.undoMarker === 0 || after(end, sk.sndUna)) return false;
  if (!before(start, sk.undoMarker)) return true;
  return after(end, sk.undoMarker) && !before(start, (end - sk.maxWindow) | 0);
}

/** True when `s` lies in the block; an entry of several segments is cut to fit (tcp_match_skb_to_sack). */
function matches(sk: TcpSock, s: Q.TxSeg, start: number, end: number): boolean {
  const whole = !after(start, s.seq) && !before(end, s.endSeq);
  if (whole || s.pcount <= 1 || !after(s.endSeq, start)) return whole;
  const { mss } = s;
  const inSack = !after(start, s.seq);
  let len = inSack ? (end - s.seq) | 0 : Math.max(mss, (start - s.seq) | 0);
  if (inSack && len < mss) return false;
  if (len > mss) {
    const cut = len - (len % mss);
    len = !inSack && cut < len ? cut + mss : cut;
  }
  if (len >= s.len && !inSack) return false;
  fragment(sk, sk.rtxQueue, s, len, mss);
  return inSack;
}

/** Tags one entry as delivered (tcp_sacktag_one). */
function tagOne(sk: TcpSock, s: Q.TxSeg, dup: boolean, st: SackState): void {
  if (dup && (s.sacked & T.RETRANS) !== 0) {
    if (sk.undoMarker !== 0 && sk.undoRetrans > 0 && after(s.endSeq, sk.undoMarker)) {
      sk.undoRetrans = Math.max(0, sk.undoRetrans - s.pcount);
    }
    if ((s.sacked & T.SACKED_ACKED) !== 0 && before(s.seq, st.reord)) st.reord = s.seq;
  }
  if (!after(s.endSeq, sk.sndUna)) return;
  if ((s.sacked & T.SACKED_ACKED) === 0) {
    rackAdvance(sk, s.sacked, s.endSeq, s.sentUs);
    if ((s.sacked & T.SACKED_RETRANS) !== 0) {
      if ((s.sacked & T.LOST) !== 0) {
        s.sacked &= ~(T.LOST | T.SACKED_RETRANS);
        sk.lostOut -= s.pcount;
        sk.retransOut -= s.pcount;
      }
    } else {
      if ((s.sacked & T.RETRANS) === 0) {
        if (before(s.seq, highestSackSeq(sk)) && before(s.seq, st.reord)) st.reord = s.seq;
        if (!after(s.endSeq, sk.highSeq)) st.flag |= FLAG_ORIG_SACK_ACKED;
        if (st.firstSackt === 0) st.firstSackt = s.sentUs;
        st.lastSackt = s.sentUs;
      }
      if ((s.sacked & T.LOST) !== 0) {
        s.sacked &= ~T.LOST;
        sk.lostOut -= s.pcount;
      }
    }
    s.sacked |= T.SACKED_ACKED;
    st.flag |= FLAG_DATA_SACKED;
    sk.sackedOut += s.pcount;
    st.sackDelivered += s.pcount;
  }
  if (dup && (s.sacked & T.SACKED_RETRANS) !== 0) {
    s.sacked &= ~T.SACKED_RETRANS;
    sk.retransOut -= s.pcount;
  }
}

function walk(sk: TcpSock, start: number, end: number, dup: boolean, st: SackState): void {
  for (let s = sk.rtxQueue.head; s !== null && before(s.seq, end); s = s.next) {
    if (!after(s.endSeq, start) || !matches(sk, s, start, end)) continue;
    tagOne(sk, s, dup, st);
    rateDelivered(st, s);
    if ((s.sacked & T.SACKED_ACKED) !== 0) Q.tsortedRemove(sk, s);
    if (!before(s.seq, highestSackSeq(sk))) sk.highestSack = s.next;
  }
}

const blocks = new Int32Array(8);

/** Tags the queue with the blocks of one ACK; returns flags (tcp_sacktag_write_queue). */
export function sacktagWriteQueue(sk: TcpSock, ack: number, o: Options, priorUna: number, st: SackState): number {
  st.flag = 0;
  st.reord = sk.sndNxt;
  if (sk.sackedOut === 0) sk.highestSack = sk.rtxQueue.head;
  const dup = checkDsack(sk, ack, o, priorUna, st);
  if (before(ack, (priorUna - sk.maxWindow) | 0)) return 0;
  if (sk.packetsOut === 0) return st.flag;
  let n = 0;
  let first = -1;
  for (let i = 0; i < o.sacks; i++) {
    const [start, end] = [o.sack[2 * i]!, o.sack[2 * i + 1]!];
    if (!blockValid(sk, i === 0 && dup, start, end) || !after(end, priorUna)) continue;
    let at = n++;
    for (; at > 0 && after(blocks[2 * at - 2]!, start); at--) {
      blocks[2 * at] = blocks[2 * at - 2]!;
      blocks[2 * at + 1] = blocks[2 * at - 1]!;
    }
    blocks[2 * at] = start;
    blocks[2 * at + 1] = end;
    if (i === 0) first = at;
    else if (first >= at) first++;
  }
  for (let i = 0; i < n; i++) walk(sk, blocks[2 * i]!, blocks[2 * i + 1]!, dup && i === first, st);
  if (sk.caState !== T.CA_LOSS || sk.undoMarker !== 0) checkSackReordering(sk, st.reord);
  return st.flag;
}
