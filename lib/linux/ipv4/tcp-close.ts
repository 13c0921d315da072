/**
 * The end of a connection: close and shutdown of a process, the state's end, and what a dead socket still holds.
 *
 * Kernel counterparts: net/ipv4/tcp.c, net/ipv4/inet_connection_sock.c (inet_csk_destroy_sock, inet_csk_listen_stop).
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Skb } from '../core/skb.js';
import { reqskDrop } from './inet-connection-sock.js';
import { putPort } from './inet-hashtables.js';
import { timeWait } from './tcp-minisocks.js';
import { purgeOfo } from './tcp-ofo.js';
import { sendActiveReset } from './tcp-output.js';
import * as T from './tcp-sock.js';
import * as timers from './tcp-timer.js';
import { sendFin, unlinkRtx } from './tcp-write.js';
import { setState, type TcpSock } from './tcp.js';

/** Ends every queue of a socket. */
function purge(sk: TcpSock): void {
  for (let s = sk.rtxQueue.head; s !== null; s = sk.rtxQueue.head) unlinkRtx(sk, s);
  for (let s = sk.writeQueue.head; s !== null; s = sk.writeQueue.head) sk.writeQueue.remove(s);
  sk.wmemQueued = sk.packetsOut = sk.backoff = 0;
  sk.retransmitHint = sk.highestSack = null;
  sk.txLen = 0;
}

/** The connection is over (tcp_done). */
export function tcpDone(sk: TcpSock): void {
  setState(sk, T.CLOSE);
  timers.clearTimers(sk);
  sk.shutdown_ = T.RCV_SHUTDOWN | T.SEND_SHUTDOWN;
  if (sk.dead) destroy(sk);
  else sk.wake();
}

/** The connection is over for a reason the process will read (tcp_done_with_error). */
export function tcpDoneWithError(sk: TcpSock, err: number): void {
  sk.err = err;
  purge(sk);
  tcpDone(sk);
}

/** Frees what a dead socket still holds (inet_csk_destroy_sock). */
function destroy(sk: TcpSock): void {
  purge(sk);
  purgeOfo(sk);
  putPort(sk.net, sk.sport, sk);
  timers.clearTimers(sk);
  flushReceive(sk);
}

/** Drops the receive queue; true when it held bytes nobody has read. */
function flushReceive(sk: TcpSock): boolean {
  let unread = false;
  for (let s = sk.rcvHead; s !== null;) {
    const { next }: Skb = s;
    if (tcp.after((s.endSeq - (s.tcpFlags & tcp.FIN)) | 0, sk.copiedSeq)) unread = true;
    sk.net.kernel.skbs.free(s);
    s = next;
  }
  sk.rcvHead = sk.rcvTail = null;
  sk.rmemAlloc = 0;
  return unread;
}

/** The state after closing this direction; true when a FIN is due (tcp_close_state). */
function closeState(sk: TcpSock): boolean {
  switch (sk.state) {
    case T.ESTABLISHED:
    case T.SYN_RECV:
      setState(sk, T.FIN_WAIT1);
      return true;
    case T.CLOSE_WAIT:
      setState(sk, T.LAST_ACK);
      return true;
    case T.SYN_SENT:
      setState(sk, T.CLOSE);
      return false;
    default:
      return false;
  }
}

/** FIN if one is due (tcp_shutdown). */
export function tcpShutdown(sk: TcpSock): void {
  if (sk.state !== T.ESTABLISHED && sk.state !== T.SYN_SENT && sk.state !== T.CLOSE_WAIT) return;
  if (closeState(sk)) sendFin(sk);
}

/** inet_csk_listen_stop: children nobody accepted are reset, requests forgotten. */
function listenStop(sk: TcpSock): void {
  for (const c of sk.acceptQueue.splice(0)) {
    c.parent = null;
    c.lock();
    if (c.state !== T.CLOSE && c.state !== T.FIN_WAIT2) {
      setState(c, T.CLOSE);
      sendActiveReset(c);
    }
    c.dead = true;
    c.owned = false;
    destroy(c);
  }
  for (const r of [...sk.requests]) reqskDrop(r);
}

/** A connection whose peer would go on without a RST (tcp_need_reset). */
const needReset = (state: number): boolean =>
  state === T.ESTABLISHED ||
  state === T.CLOSE_WAIT ||
  state === T.FIN_WAIT1 ||
  state === T.FIN_WAIT2 ||
  state === T.SYN_RECV;

/** The process lets the socket go (__tcp_close): FIN, or RST where data is unread or lingers for no time. */
export function tcpClose(sk: TcpSock): void {
  const { sim } = sk.net.kernel;
  sk.shutdown_ = T.RCV_SHUTDOWN | T.SEND_SHUTDOWN;
  if (sk.state === T.LISTEN) {
    setState(sk, T.CLOSE);
    listenStop(sk);
  } else {
    const unread = flushReceive(sk);
    if (sk.state !== T.CLOSE) {
      if (unread || (sk.linger0 && needReset(sk.state))) {
        setState(sk, T.CLOSE);
        sendActiveReset(sk);
      } else if (closeState(sk)) sendFin(sk);
    }
  }
  sk.dead = true;
  sk.cred = null;
  const before = sk.state;
  sk.flushBacklog();
  if ((before as number) !== T.CLOSE && sk.state === T.CLOSE) return;
  if (sk.state === T.FIN_WAIT2) {
    const tmo = timers.finTime(sk);
    if (tmo <= T.TIMEWAIT_LEN) return timeWait(sk, T.FIN_WAIT2, tmo);
    modTimer(sim, sk.keepaliveTimer, jiffies(sim) + tmo - T.TIMEWAIT_LEN);
  }
  if (sk.state === T.CLOSE) destroy(sk);
}
