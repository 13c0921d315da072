/**
 * The client's side of the handshake, and the moment a connection is established.
 *
 * Kernel counterpart: net/ipv4/tcp_input.c (tcp_rcv_synsent_state_process, tcp_init_transfer).
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import { drop } from '../core/drop.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Skb } from '../core/skb.js';
import * as A from './tcp-ack.js';
import { caInit } from './tcp-cong.js';
import * as D from './tcp-data.js';
import { ecnRcvSyn, ecnRcvSynack } from './tcp-ecn.js';
import { tcpReset } from './tcp-input.js';
import { tcpSendSynack } from './tcp-ipv4.js';
import { sendAck } from './tcp-output.js';
import * as F from './tcp-sack.js';
import * as T from './tcp-sock.js';
import { resetXmitTimer, startKeepalive } from './tcp-timer.js';
import { setState, type TcpSock } from './tcp.js';
import { syncMss } from './tcp-write.js';

const { after, before } = tcp;

/** Established: window, buffers and congestion control start (tcp_init_transfer). */
export function initTransfer(sk: TcpSock): void {
  const crtt = sk.net.socks.tcp.metrics.get(sk.daddr) ?? 0;
  sk.dstConfirm = true;
  sk.ssthresh = T.INFINITE_SSTHRESH;
  if (crtt > sk.srttUs) {
    const rtt = Math.floor(crtt / 80000);
    sk.rto = rtt + Math.max(2 * rtt, T.RTO_MIN);
  } else if (sk.srttUs === 0) {
    sk.rttvarUs = sk.mdevUs = sk.mdevMaxUs = 3e6;
    sk.rto = 300;
  }
  sk.cwnd = sk.totalRetrans > 1 && sk.undoMarker !== 0 ? 1 : T.INIT_CWND;
  sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  caInit(sk);
  D.initBufferSpace(sk);
}

/** Agreed options of the peer's SYN or SYN-ACK. */
function takeSynOptions(sk: TcpSock, opts: tcp.Options): void {
  sk.sackOk = opts.sackPerm && sk.sysctl('tcp_sack', 1) !== 0;
  sk.wscaleOk = opts.wscale >= 0 && sk.sysctl('tcp_window_scaling', 1) !== 0;
  sk.sndWscale = sk.wscaleOk ? opts.wscale : 0;
  const mss = sk.userMss === 0 ? opts.mss : Math.min(opts.mss, sk.userMss);
  sk.mssClamp = mss === 0 ? T.MSS_DEFAULT : mss;
  sk.sawTstamp = opts.sawTstamp && sk.sysctl('tcp_timestamps', 1) !== 0;
  sk.rcvTsval = opts.tsval;
  sk.rcvTsecr = opts.tsecr === 0 ? 0 : (opts.tsecr - sk.tsOffset) | 0;
}

function startTstamps(sk: TcpSock): void {
  sk.tstampOk = sk.sawTstamp;
  sk.tcpHeaderLen = sk.sawTstamp ? 32 : 20;
  if (sk.sawTstamp) A.storeTsRecent(sk);
}

/** The SYN was spurious if the answer echoes the first one's time stamp (tcp_try_undo_spurious_syn). */
export function tryUndoSpuriousSyn(sk: TcpSock): void {
  if (sk.undoMarker !== 0 && sk.retransStamp !== 0 && sk.sawTstamp && sk.retransStamp === sk.rcvTsecr)
    sk.undoMarker = 0;
}

/** SYN-SENT: 1 to send a reset, 0 handled, -1 go on with sending (tcp_rcv_synsent_state_process). */
export function synSent(sk: TcpSock, skb: Skb, g: A.AckSegment, opts: tcp.Options): number {
  const { skbs } = sk.net.kernel;
  tcp.parseOptions(skb.buf, skb.trans, opts);
  if ((g.flags & tcp.ACK) !== 0) {
    if (!after(g.ack, sk.sndUna) || after(g.ack, sk.sndNxt)) {
      if (sk.retransmits === 0) resetXmitTimer(sk, T.TIME_RETRANS, 2);
      return 1;
    }
    const ecr = opts.sawTstamp && opts.tsecr !== 0 ? (opts.tsecr - sk.tsOffset) | 0 : 0;
    if (ecr !== 0 && (before(ecr, sk.retransStamp) || after(ecr, T.timeStamp(sk)))) return 1;
    if ((g.flags & tcp.RST) !== 0) {
      tcpReset(sk);
      skbs.free(skb);
      return 0;
    }
    if ((g.flags & tcp.SYN) === 0) {
      drop(sk.net, skb, 'TCP_FLAGS');
      return 0;
    }
    return synAckReceived(sk, skb, g, opts);
  }
  if ((g.flags & tcp.RST) !== 0) {
    drop(sk.net, skb, 'TCP_RESET');
    return 0;
  }
  if ((g.flags & tcp.SYN) !== 0) {
    crossedSyn(sk, g, opts);
    skbs.free(skb);
    return 0;
  }
  drop(sk.net, skb, 'TCP_FLAGS');
  return 0;
}

function synAckReceived(sk: TcpSock, skb: Skb, g: A.AckSegment, opts: tcp.Options): number {
  takeSynOptions(sk, opts);
  ecnRcvSynack(sk, g.flags);
  sk.sndWl1 = g.seq;
  tryUndoSpuriousSyn(sk);
  A.tcpAck(sk, g, opts, F.FLAG_SLOWPATH);
  sk.rcvNxt = sk.rcvWup = (g.seq + 1) | 0;
  sk.sndWnd = g.window;
  if (!sk.wscaleOk) {
    sk.sndWscale = sk.rcvWscale = 0;
    sk.windowClamp = Math.min(sk.windowClamp, 65535);
  }
  startTstamps(sk);
  if (sk.tstampOk) sk.advmss -= T.TSTAMP_ALIGNED;
  syncMss(sk, sk.pmtuCookie);
  D.initializeRcvMss(sk);
  sk.copiedSeq = sk.rcvNxt;
  setState(sk, T.ESTABLISHED);
  sk.lrcvtimeJ = sk.lsndtimeJ = jiffies(sk.net.kernel.sim);
  initTransfer(sk);
  startKeepalive(sk);
  if (sk.sndWscale === 0) D.fastPathOn(sk);
  else sk.predFlags = 0;
  if (!sk.dead) sk.wake();
  if (T.inPingpong(sk)) {
    sk.ackPending |= T.ACK_SCHED;
    D.enterQuickackMode(sk, T.MAX_QUICKACKS);
    sk.ackPending |= T.ACK_TIMER;
    sk.ackTimeoutJ = jiffies(sk.net.kernel.sim) + T.DELACK_MAX;
    modTimer(sk.net.kernel.sim, sk.delackTimer, sk.ackTimeoutJ);
    sk.net.kernel.skbs.free(skb);
    return 0;
  }
  sendAck(sk);
  return -1;
}

/** Both sides have sent a SYN (simultaneous open). */
function crossedSyn(sk: TcpSock, g: A.AckSegment, opts: tcp.Options): void {
  takeSynOptions(sk, opts);
  setState(sk, T.SYN_RECV);
  startTstamps(sk);
  sk.rcvNxt = sk.copiedSeq = sk.rcvWup = (g.seq + 1) | 0;
  sk.sndWnd = sk.maxWindow = g.window;
  sk.sndWl1 = g.seq;
  ecnRcvSyn(sk, g.flags);
  syncMss(sk, sk.pmtuCookie);
  D.initializeRcvMss(sk);
  tcpSendSynack(sk);
}
