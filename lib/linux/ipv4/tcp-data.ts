/**
 * Received data: the receive queue, the window that grows, and when to acknowledge.
 *
 * Kernel counterpart: net/ipv4/tcp_input.c (tcp_data_queue, tcp_grow_window, __tcp_ack_snd_check). Not here:
 * pruning and collapsing of queues under memory pressure, urgent data.
 * @module
 */
import { after, before, FIN, PSH } from '../../../wire/tcp.js';
import { drop } from '../core/drop.js';
import { jiffies } from '../core/jiffies.js';
import type { Skb } from '../core/skb.js';
import { ecnCheckCe } from './tcp-ecn.js';
import { timeWait } from './tcp-minisocks.js';
import { dataQueueOfo, dsackSet, ofoQueue, purgeOfo, rcvSpuriousRetrans, sackRemove } from './tcp-ofo.js';
import { selectWindowFree, sendAck, sendDelayedAck, tcpFullSpace, tcpSpace } from './tcp-output.js';
import * as T from './tcp-sock.js';
import { setState, type TcpSock } from './tcp.js';

const COMP_SACK_NR = 44;
const FASTRETRANS_THRESH = 3;

/** Quick ACKs up to `max`, by how many the window holds (tcp_incr_quickack). */
function incrQuickack(sk: TcpSock, max: number): void {
  const n = Math.floor(sk.rcvWnd / (2 * sk.rcvMss));
  sk.quick = Math.max(sk.quick, Math.min(n === 0 ? 2 : n, max));
}

/** Acknowledge at once for a while (tcp_enter_quickack_mode). */
export function enterQuickackMode(sk: TcpSock, max: number): void {
  incrQuickack(sk, max);
  sk.pingpong = 0;
  sk.ato = T.ATO_MIN;
}

/** Guesses the peer's segment size (tcp_initialize_rcv_mss). */
export function initializeRcvMss(sk: TcpSock): void {
  const hint = Math.min(sk.advmss, sk.mssCache, sk.rcvWnd >> 1, T.MSS_DEFAULT);
  sk.rcvMss = Math.max(hint, T.MIN_MSS);
}

/** Window limits at the moment a connection is established (tcp_init_buffer_space). */
export function initBufferSpace(sk: TcpSock): void {
  sndbufExpand(sk);
  T.mstampRefresh(sk);
  sk.rcvqTime = sk.mstampUs;
  sk.rcvqSeq = sk.copiedSeq;
  const max = tcpFullSpace(sk);
  sk.windowClamp = Math.min(sk.windowClamp, max);
  if (sk.windowClamp > 2 * sk.advmss && sk.windowClamp + sk.advmss > max) {
    sk.windowClamp = Math.max(2 * sk.advmss, max - sk.advmss);
  }
  sk.rcvSsthresh = Math.min(sk.rcvSsthresh, sk.windowClamp);
  sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  sk.rcvqSpace = Math.min(sk.rcvSsthresh, sk.rcvWnd, T.INIT_CWND * sk.advmss);
}

/** Room for two windows of segments with their overhead (tcp_sndbuf_expand). */
export function sndbufExpand(sk: TcpSock): void {
  const mss = Math.max(sk.mssClamp, sk.mssCache) + 256 + 320;
  const per = 2 ** Math.ceil(Math.log2(mss)) + 256;
  const segs = Math.max(T.INIT_CWND, sk.cwnd, sk.reordering + 1);
  sk.sndBuf = Math.max(sk.sndBuf, Math.min(2 * segs * per, T.WMEM_MAX));
}

/** Lets the advertised window follow data that came with little overhead (tcp_grow_window). */
export function growWindow(sk: TcpSock, skb: Skb): void {
  const room = Math.min(sk.windowClamp, tcpSpace(sk)) - sk.rcvSsthresh;
  if (room <= 0) return;
  const len = skb.tail - skb.head;
  // On lo the data stays in pages: the head is not counted (truesize_adjust).
  let truesize = T.winFromSpace(skb.iif === sk.net.lo ? skb.truesize - T.TX_TRUESIZE : skb.truesize);
  let incr = 0;
  if (truesize <= len) incr = 2 * sk.advmss;
  else {
    let window = T.winFromSpace(T.RMEM_MAX) >> 1;
    truesize >>= 1;
    while (sk.rcvSsthresh <= window) {
      if (truesize <= len) {
        incr = 2 * sk.rcvMss;
        break;
      }
      truesize >>= 1;
      window >>= 1;
    }
  }
  if (incr === 0) return;
  sk.rcvSsthresh += Math.min(room, Math.max(incr, 2 * len));
  sk.quick |= 1;
}

/** Learns the peer's segment size from what arrives (tcp_measure_rcv_mss). */
function measureRcvMss(sk: TcpSock, skb: Skb): void {
  const last = sk.lastSegSize;
  let len = skb.tail - skb.head;
  sk.lastSegSize = 0;
  if (len >= sk.rcvMss) {
    sk.rcvMss = Math.min(len, sk.advmss);
    if ((skb.tcpFlags & PSH) !== 0) sk.ackPending |= T.ACK_PUSHED;
    return;
  }
  len += skb.head - skb.trans;
  if (len >= T.MSS_DEFAULT + 20 || (len >= T.MIN_MSS + 20 && (skb.tcpFlags & (FIN | PSH | 0x26)) === 0)) {
    len -= sk.tcpHeaderLen;
    sk.lastSegSize = len;
    if (len === last) {
      sk.rcvMss = len;
      return;
    }
  }
  if ((sk.ackPending & T.ACK_PUSHED) !== 0) sk.ackPending |= T.ACK_PUSHED2;
  sk.ackPending |= T.ACK_PUSHED;
}

function rcvRttUpdate(sk: TcpSock, sampleUs: number, windowed: boolean): void {
  const old = sk.rcvRttUs;
  const m = sampleUs * 8;
  if (old === 0 || m < old) sk.rcvRttUs = m;
  else if (!windowed) sk.rcvRttUs = old - (old >> 3) + sampleUs;
}

/** A window's worth of data takes about one round trip (tcp_rcv_rtt_measure). */
function rcvRttMeasure(sk: TcpSock): void {
  if (sk.rcvRttTime !== 0) {
    if (before(sk.rcvNxt, sk.rcvRttSeq)) return;
    rcvRttUpdate(sk, Math.max(1, sk.mstampUs - sk.rcvRttTime), true);
  }
  sk.rcvRttSeq = (sk.rcvNxt + sk.rcvWnd) | 0;
  sk.rcvRttTime = sk.mstampUs;
}

/** Round trip as the receiver sees it in echoed time stamps, in whole milliseconds (tcp_rcv_rtt_measure_ts). */
export function rcvRttMeasureTs(sk: TcpSock, len: number): void {
  if (sk.rcvTsecr === sk.rcvRttLastTsecr) return;
  sk.rcvRttLastTsecr = sk.rcvTsecr;
  if (len < sk.rcvMss) return;
  const delta = (T.timeStamp(sk) - sk.rcvTsecr) | 0;
  if (delta >= 0 && delta < 2147483) rcvRttUpdate(sk, Math.max(1, delta) * 1000, false);
}

/** In-order data arrived: the acknowledgement engine learns (tcp_event_data_recv). */
export function eventDataRecv(sk: TcpSock, skb: Skb): void {
  sk.ackPending |= T.ACK_SCHED;
  measureRcvMss(sk, skb);
  rcvRttMeasure(sk);
  const now = jiffies(sk.net.kernel.sim);
  if (sk.ato === 0) {
    incrQuickack(sk, T.MAX_QUICKACKS);
    sk.ato = T.ATO_MIN;
  } else {
    const m = now - sk.lrcvtimeJ;
    if (m <= T.ATO_MIN >> 1) sk.ato = (sk.ato >> 1) + (T.ATO_MIN >> 1);
    else if (m < sk.ato) sk.ato = Math.min((sk.ato >> 1) + m, sk.rto);
    else if (m > sk.rto) incrQuickack(sk, T.MAX_QUICKACKS);
  }
  sk.lrcvtimeJ = now;
  if (ecnCheckCe(sk, skb)) enterQuickackMode(sk, 2);
  if (skb.tail - skb.head >= 128) growWindow(sk, skb);
}

/** Appends to the receive queue (tcp_queue_rcv); data that fits behind the last skb's costs no further buffer. */
export function queueRcv(sk: TcpSock, skb: Skb): void {
  const t = sk.rcvTail;
  const len = skb.tail - skb.head;
  sk.rcvNxt = skb.endSeq;
  if (t !== null && skb.seq === t.endSeq && len <= t.tailroom) {
    skb.tailroom = t.tailroom - len;
    skb.truesize = 0;
  }
  sk.rmemAlloc += skb.truesize;
  skb.next = null;
  if (t === null) sk.rcvHead = skb;
  else t.next = skb;
  sk.rcvTail = skb;
}

/** Turns header prediction on where nothing stands against it (tcp_fast_path_check). */
export function fastPathCheck(sk: TcpSock): void {
  if (sk.ofoHead === null && sk.rcvWnd !== 0 && sk.rmemAlloc < sk.rcvBuf) fastPathOn(sk);
}

/** What a predicted header must look like (tcp_fast_path_on). */
export function fastPathOn(sk: TcpSock): void {
  sk.predFlags = (sk.tcpHeaderLen << 26) | 0x100000 | (sk.sndWnd >>> sk.sndWscale) | 0;
}

/** The peer has finished sending (tcp_fin). */
export function tcpFin(sk: TcpSock): void {
  sk.ackPending |= T.ACK_SCHED;
  sk.shutdown_ |= T.RCV_SHUTDOWN;
  sk.done = true;
  switch (sk.state) {
    case T.SYN_RECV:
    case T.ESTABLISHED:
      setState(sk, T.CLOSE_WAIT);
      sk.pingpong = 1;
      break;
    case T.FIN_WAIT1:
      sendAck(sk);
      setState(sk, T.CLOSING);
      break;
    case T.FIN_WAIT2:
      sendAck(sk);
      timeWait(sk, T.TIME_WAIT, 0);
      break;
    default:
  }
  purgeOfo(sk);
  sk.numSacks = 0;
  sk.dsack = false;
  if (!sk.dead) sk.wake();
}

/** Takes a segment's data (tcp_data_queue); the skb is the socket's from here on. `head` at the payload. */
export function dataQueue(sk: TcpSock, skb: Skb): void {
  const { net } = sk;
  if (skb.seq === skb.endSeq) return net.kernel.skbs.free(skb);
  sk.dsack = false;
  if (skb.seq === sk.rcvNxt) {
    if (T.receiveWindow(sk) === 0) return outOfWindow(sk, skb, 'TCP_ZEROWINDOW');
    return queueAndOut(sk, skb);
  }
  if (!after(skb.endSeq, sk.rcvNxt)) {
    rcvSpuriousRetrans(sk, skb.seq);
    dsackSet(sk, skb.seq, skb.endSeq);
    return outOfWindow(sk, skb, 'TCP_OLD_DATA');
  }
  if (!before(skb.seq, (sk.rcvNxt + T.receiveWindow(sk)) | 0)) return outOfWindow(sk, skb, 'TCP_OVERWINDOW');
  if (before(skb.seq, sk.rcvNxt)) {
    dsackSet(sk, skb.seq, sk.rcvNxt);
    if (T.receiveWindow(sk) === 0) return outOfWindow(sk, skb, 'TCP_ZEROWINDOW');
    return queueAndOut(sk, skb);
  }
  dataQueueOfo(sk, skb);
}

function outOfWindow(sk: TcpSock, skb: Skb, reason: 'TCP_ZEROWINDOW' | 'TCP_OLD_DATA' | 'TCP_OVERWINDOW'): void {
  enterQuickackMode(sk, T.MAX_QUICKACKS);
  sk.ackPending |= T.ACK_SCHED;
  drop(sk.net, skb, reason);
}

function queueAndOut(sk: TcpSock, skb: Skb): void {
  if (sk.rcvHead !== null && sk.rmemAlloc > sk.rcvBuf) {
    sk.quick = 0;
    if (sk.rcvBuf < T.RMEM_MAX) sk.rcvBuf = Math.min(sk.rmemAlloc, T.RMEM_MAX);
    if (sk.rmemAlloc > sk.rcvBuf) {
      sk.rcvSsthresh = Math.min(sk.windowClamp, 2 * sk.advmss);
      return drop(sk.net, skb, 'PROTO_MEM');
    }
  }
  const fin = (skb.tcpFlags & FIN) !== 0;
  const len = skb.tail - skb.head;
  queueRcv(sk, skb);
  if (len > 0) eventDataRecv(sk, skb);
  if (fin) tcpFin(sk);
  if (sk.ofoHead !== null) {
    ofoQueue(sk);
    if (sk.ofoHead === null) sk.ackPending |= T.ACK_NOW;
  }
  if (sk.numSacks !== 0) sackRemove(sk);
  fastPathCheck(sk);
  if (!sk.dead) sk.wake();
}

/** Acknowledge now, later, or (many duplicates) as one (__tcp_ack_snd_check). */
export function ackSndCheck(sk: TcpSock, ofoPossible: boolean): void {
  const twoSegments = ((sk.rcvNxt - sk.rcvWup) | 0) > sk.rcvMss && selectWindowFree(sk) >= sk.rcvWnd;
  if (twoSegments || (sk.quick !== 0 && !T.inPingpong(sk)) || (sk.ackPending & T.ACK_NOW) !== 0) return sendAck(sk);
  if (!ofoPossible || sk.ofoHead === null) return sendDelayedAck(sk);
  if (!sk.sackOk || sk.compressedAck >= COMP_SACK_NR) return sendAck(sk);
  if (sk.compressedAckRcvNxt !== sk.rcvNxt) {
    sk.compressedAckRcvNxt = sk.rcvNxt;
    sk.dupAckCounter = 0;
  }
  if (sk.dupAckCounter < FASTRETRANS_THRESH) {
    sk.dupAckCounter++;
    return sendAck(sk);
  }
  sk.compressedAck++;
  const { sim } = sk.net.kernel;
  if (sk.compressedAckTimer.slot >= 0) return;
  const rtt = sk.srttUs !== 0 && sk.srttUs < sk.rcvRttUs ? sk.srttUs : sk.rcvRttUs;
  sim.arm(sk.compressedAckTimer, sim.now + Math.min(1e6, Math.floor((rtt * 125) / 20)));
}

/** The process has read `copied` bytes: perhaps an acknowledgement, perhaps a wider window (tcp_cleanup_rbuf). */
export function cleanupRbuf(sk: TcpSock, copied: number): void {
  let now = false;
  if ((sk.ackPending & T.ACK_SCHED) !== 0) {
    const pushed = (sk.ackPending & T.ACK_PUSHED2) !== 0 || ((sk.ackPending & T.ACK_PUSHED) !== 0 && !T.inPingpong(sk));
    now = ((sk.rcvNxt - sk.rcvWup) | 0) > sk.rcvMss || (copied > 0 && pushed && sk.rmemAlloc === 0);
  }
  if (copied > 0 && !now && (sk.shutdown_ & T.RCV_SHUTDOWN) === 0) {
    const window = T.receiveWindow(sk);
    if (2 * window <= sk.windowClamp) {
      const next = selectWindowFree(sk);
      if (next !== 0 && next >= 2 * window) now = true;
    }
  }
  if (now) sendAck(sk);
}

/** Grows the receive buffer with what the process reads per round trip (tcp_rcv_space_adjust). */
export function rcvSpaceAdjust(sk: TcpSock): void {
  T.mstampRefresh(sk);
  if (sk.rcvRttUs === 0 || sk.mstampUs - sk.rcvqTime < sk.rcvRttUs >> 3) return;
  const copied = (sk.copiedSeq - sk.rcvqSeq) | 0;
  if (copied > sk.rcvqSpace) {
    let win = copied * 2 + 16 * sk.advmss;
    win += 2 * Math.floor((win * (copied - sk.rcvqSpace)) / sk.rcvqSpace);
    let rcvmem = ((sk.advmss + 256 + 63) & ~63) + 576;
    while (T.winFromSpace(rcvmem) < sk.advmss) rcvmem += 128;
    const buf = Math.min(Math.floor(win / sk.advmss) * rcvmem, T.RMEM_MAX);
    if (buf > sk.rcvBuf) {
      sk.rcvBuf = buf;
      sk.windowClamp = T.winFromSpace(buf);
    }
    sk.rcvqSpace = copied;
  }
  sk.rcvqSeq = sk.copiedSeq;
  sk.rcvqTime = sk.mstampUs;
}
