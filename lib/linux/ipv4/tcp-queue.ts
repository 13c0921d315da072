/**
 * What a socket has to send and has sent: ranges of the byte stream in two queues, the bytes themselves, and the order in
 * which segments went out.
 *
 * Kernel counterparts: struct tcp_skb_cb, sk_write_queue, tcp_rtx_queue, tsorted_sent_queue.
 * @module
 */
import type { Skb } from '../core/skb.js';
import type { TcpState } from './tcp-sock.js';

/** One entry of the write or the retransmit queue: a range of the byte stream (tcp_skb_cb). The bytes are in the socket. */
export class TxSeg {
  seq = 0;
  endSeq = 0;
  /** TCP header flags. */
  flags = 0;
  sacked = 0;
  /** Segments of `mss` bytes it goes out as; 0: not yet decided. */
  pcount = 0;
  mss = 0;
  /** Time of the latest transmission, and its time stamp. */
  sentUs = 0;
  sentMs = 0;
  /** tp->delivered when it was sent (tcp_rate.c). */
  delivered = 0;
  /** The packet of its latest transmission, as long as `skbId` is its number. */
  skb: Skb | null = null;
  skbId = 0;
  next: TxSeg | null = null;
  prev: TxSeg | null = null;
  /** In the list ordered by sending time (tsorted_sent_queue). */
  sorted = false;
  tsNext: TxSeg | null = null;
  tsPrev: TxSeg | null = null;

  /** Payload bytes: SYN and FIN take sequence space only. */
  get len(): number {
    return ((this.endSeq - this.seq) | 0) - (this.flags & 1) - ((this.flags >> 1) & 1);
  }
}

/** A doubly linked list of TxSeg in sequence order. */
export class TxQueue {
  head: TxSeg | null = null;
  tail: TxSeg | null = null;

  push(s: TxSeg): void {
    this.insertAfter(this.tail, s);
  }

  /** Inserts `s` behind `at`; null: at the head. */
  insertAfter(at: TxSeg | null, s: TxSeg): void {
    s.prev = at;
    s.next = at === null ? this.head : at.next;
    if (s.prev === null) this.head = s;
    else s.prev.next = s;
    if (s.next === null) this.tail = s;
    else s.next.prev = s;
  }

  remove(s: TxSeg): void {
    if (s.prev === null) this.head = s.next;
    else s.prev.next = s.next;
    if (s.next === null) this.tail = s.prev;
    else s.next.prev = s.prev;
    s.next = s.prev = null;
  }
}

/** Copies `n` bytes of the stream from sequence number `seq` on into `b` at `o`. */
export function copyTx(sk: TcpState, seq: number, n: number, b: Uint8Array, o: number): void {
  const from = sk.txOff + ((seq - sk.txBase) | 0);
  if (n > 64) b.set(sk.tx.subarray(from, from + n), o);
  else for (let i = 0; i < n; i++) b[o + i] = sk.tx[from + i]!;
}

/** Appends to the stream's bytes; what has been acknowledged makes room. */
export function appendTx(sk: TcpState, data: Uint8Array, from: number, n: number): void {
  if (sk.txOff + sk.txLen + n > sk.tx.length) {
    let size = sk.tx.length;
    while (size < sk.txLen + n) size *= 2;
    const to = size === sk.tx.length ? sk.tx : new Uint8Array(size);
    if (to === sk.tx) to.copyWithin(0, sk.txOff, sk.txOff + sk.txLen);
    else to.set(sk.tx.subarray(sk.txOff, sk.txOff + sk.txLen));
    sk.tx = to;
    sk.txOff = 0;
  }
  sk.tx.set(data.subarray(from, from + n), sk.txOff + sk.txLen);
  sk.txLen += n;
}

/** Forgets the bytes below `seq`. */
export function releaseTx(sk: TcpState, seq: number): void {
  const n = Math.min(sk.txLen, (seq - sk.txBase) | 0);
  if (n <= 0) return;
  sk.txOff += n;
  sk.txLen -= n;
  sk.txBase = (sk.txBase + n) | 0;
}

/** Takes a segment out of the list ordered by sending time. */
export function tsortedRemove(sk: TcpState, s: TxSeg): void {
  if (!s.sorted) return;
  s.sorted = false;
  if (s.tsPrev === null) sk.tsHead = s.tsNext;
  else s.tsPrev.tsNext = s.tsNext;
  if (s.tsNext === null) sk.tsTail = s.tsPrev;
  else s.tsNext.tsPrev = s.tsPrev;
  s.tsNext = s.tsPrev = null;
}

/** Puts a segment that was just sent at the end of that list. */
export function tsortedMoveTail(sk: TcpState, s: TxSeg): void {
  tsortedRemove(sk, s);
  s.sorted = true;
  s.tsPrev = sk.tsTail;
  if (sk.tsTail === null) sk.tsHead = s;
  else sk.tsTail.tsNext = s;
  sk.tsTail = s;
}
