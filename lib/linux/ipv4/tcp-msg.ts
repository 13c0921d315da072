/**
 * send() and recv(): bytes into the write queue, bytes out of the receive queue.
 *
 * Kernel counterpart: net/ipv4/tcp.c (tcp_sendmsg, tcp_recvmsg).
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import type { Skb } from '../core/skb.js';
import { slowStartAfterIdle } from './tcp-cong.js';
import { cleanupRbuf, rcvSpaceAdjust } from './tcp-data.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import { EAGAIN, ENOTCONN, EPIPE, type TcpSock } from './tcp.js';
import { boundToHalfWnd, currentMss, pushPending, writeXmit } from './tcp-write.js';

/** Bytes one queue entry may hold (tcp_xmit_size_goal). */
const sizeGoal = (sk: TcpSock, mss: number): number =>
  Math.max(mss, Math.floor(boundToHalfWnd(sk, T.GSO_MAX_SIZE) / mss) * mss);

const forcedPush = (sk: TcpSock): boolean => tcp.after(sk.writeSeq, (sk.pushedSeq + (sk.maxWindow >>> 1)) | 0);

function markPush(sk: TcpSock, s: Q.TxSeg): void {
  s.flags |= tcp.PSH;
  sk.pushedSeq = sk.writeSeq;
}

/** tcp_skb_entail: a new entry at the end of the write queue. */
function entail(sk: TcpSock): Q.TxSeg {
  const s = new Q.TxSeg();
  s.seq = s.endSeq = sk.writeSeq;
  s.flags = tcp.ACK;
  sk.wmemQueued += T.TX_TRUESIZE;
  sk.writeQueue.push(s);
  slowStartAfterIdle(sk);
  return s;
}

/** tcp_sendmsg. */
export function sendmsg(sk: TcpSock, data: Uint8Array): number {
  if (sk.err !== 0) return -sk.takeError();
  if (sk.state === T.SYN_SENT || sk.state === T.SYN_RECV) return -EAGAIN;
  if ((sk.shutdown_ & T.SEND_SHUTDOWN) !== 0 || (sk.state !== T.ESTABLISHED && sk.state !== T.CLOSE_WAIT))
    return -EPIPE;
  let copied = 0;
  const mss = currentMss(sk);
  const goal = sizeGoal(sk, mss);
  while (copied < data.length) {
    let s = sk.writeQueue.tail;
    let room = s === null ? 0 : goal - s.len;
    if (room <= 0) {
      if (sk.wmemQueued >= sk.sndBuf) {
        sk.noSpace = true;
        if (copied === 0) return -EAGAIN;
        break;
      }
      s = entail(sk);
      room = goal;
    }
    const n = Math.min(room, data.length - copied);
    if (copied === 0) s!.flags &= ~tcp.PSH;
    Q.appendTx(sk, data, copied, n);
    sk.wmemQueued += n;
    sk.writeSeq = (sk.writeSeq + n) | 0;
    s!.endSeq = (s!.endSeq + n) | 0;
    s!.pcount = 0;
    copied += n;
    if (copied === data.length || s!.len < goal) continue;
    if (forcedPush(sk)) {
      markPush(sk, s!);
      pushPending(sk, mss, T.NAGLE_PUSH);
    } else if (s === sk.writeQueue.head) writeXmit(sk, mss, T.NAGLE_PUSH, 1);
  }
  const tail = sk.writeQueue.tail;
  if (tail !== null) {
    markPush(sk, tail);
    pushPending(sk, mss, copied < data.length ? T.NAGLE_PUSH : sk.nonagle);
  }
  return copied;
}

/** tcp_recvmsg. */
export function recvmsg(sk: TcpSock, max: number): Uint8Array | number {
  const { skbs } = sk.net.kernel;
  const avail = Math.min(max, (sk.rcvNxt - sk.copiedSeq) | 0);
  const out = new Uint8Array(Math.max(0, avail));
  let n = 0;
  for (let s = sk.rcvHead; s !== null; s = sk.rcvHead) {
    const offset = (sk.copiedSeq - s.seq) | 0;
    const len = s.tail - s.head;
    const take = Math.min(max - n, len - offset);
    if (take > 0) {
      out.set(s.buf.subarray(s.head + offset, s.head + offset + take), n);
      n += take;
      sk.copiedSeq = (sk.copiedSeq + take) | 0;
      rcvSpaceAdjust(sk);
    }
    if (offset + Math.max(0, take) < len) break;
    const fin = (s.tcpFlags & tcp.FIN) !== 0;
    if (fin && n > 0 && take <= 0) break;
    eatSkb(sk, s, skbs);
    if (fin) {
      sk.copiedSeq = (sk.copiedSeq + 1) | 0;
      break;
    }
  }
  if (n > 0) {
    cleanupRbuf(sk, n);
    return n === out.length ? out : out.subarray(0, n);
  }
  if (sk.done) return out.subarray(0, 0);
  if (sk.err !== 0) return -sk.takeError();
  if ((sk.shutdown_ & T.RCV_SHUTDOWN) !== 0) return out.subarray(0, 0);
  if (sk.state === T.CLOSE) return -ENOTCONN;
  return -EAGAIN;
}

/** Unlinks a read skb; what shares its buffer takes over its charge (tcp_eat_recv_skb). */
function eatSkb(sk: TcpSock, s: Skb, skbs: { free(s: Skb): void }): void {
  sk.rcvHead = s.next;
  if (s.next === null) sk.rcvTail = null;
  if (s.next !== null && s.next.truesize === 0) s.next.truesize = s.truesize;
  else sk.rmemAlloc -= s.truesize;
  s.next = null;
  skbs.free(s);
}
