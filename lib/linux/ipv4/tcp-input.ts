/**
 * A segment for a socket: header prediction, validation, the state machine of RFC 9293.
 *
 *   tcpV4Rcv ─▶ tcpV4DoRcv ─┬─ ESTABLISHED ▶ rcvEstablished ─┐
 *                           └─ others ▶ rcvStateProcess ─────┴─▶ tcpAck (tcp-ack.ts) ─▶ dataQueue (tcp-data.ts)
 *
 * Kernel counterpart: net/ipv4/tcp_input.c. Not here: Fast Open, urgent data.
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import { drop } from '../core/drop.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Skb } from '../core/skb.js';
import * as A from './tcp-ack.js';
import { updatePacingRate } from './tcp-cong.js';
import * as D from './tcp-data.js';
import { timeWait, updateMetrics } from './tcp-minisocks.js';
import { sendDupack } from './tcp-ofo.js';
import * as F from './tcp-sack.js';
import * as T from './tcp-sock.js';
import { initTransfer, synSent, tryUndoSpuriousSyn } from './tcp-synsent.js';
import { finTime } from './tcp-timer.js';
import { ECONNREFUSED } from './udp.js';
import { tcpDone, tcpDoneWithError, tcpShutdown } from './tcp-close.js';
import { setState, type TcpSock } from './tcp.js';

const { after, before } = tcp;
export const EPIPE = 32;
export const ECONNRESET = 104;
const PAWS_24DAYS = 24 * 86400;

const segment = (): A.AckSegment => ({ seq: 0, endSeq: 0, ack: 0, flags: 0, window: 0 });
/** Options and numbers of the segment being handled, one pair per nesting: what a call sends may be answered inside it. */
const optsAt = [new tcp.Options()];
const segAt = [segment()];
let depth = -1;
let opts = optsAt[0]!;
let g = segAt[0]!;

function enter(): void {
  depth++;
  if (depth === segAt.length) {
    segAt.push(segment());
    optsAt.push(new tcp.Options());
  }
  g = segAt[depth]!;
  opts = optsAt[depth]!;
}

function leave(): void {
  depth--;
  g = segAt[Math.max(0, depth)]!;
  opts = optsAt[Math.max(0, depth)]!;
}

/** Reads what the handlers need from the segment at `skb.trans`; its range stands in the skb already (tcp_v4_fill_cb). */
function loadSegment(skb: Skb): void {
  g.seq = skb.seq;
  g.endSeq = skb.endSeq;
  g.ack = tcp.ack(skb.buf, skb.trans);
  g.flags = skb.tcpFlags;
  g.window = tcp.window(skb.buf, skb.trans);
}

/** Options of a segment in an established connection (tcp_fast_parse_options). */
function fastParse(sk: TcpSock, skb: Skb): void {
  tcp.parseOptions(skb.buf, skb.trans, opts);
  sk.sawTstamp = opts.sawTstamp && sk.tstampOk;
  if (!sk.sawTstamp) return;
  sk.rcvTsval = opts.tsval;
  sk.rcvTsecr = opts.tsecr === 0 ? 0 : (opts.tsecr - sk.tsOffset) | 0;
}

const seconds = (sk: TcpSock): number => Math.floor(sk.net.kernel.sim.now / 1e9) + 1;

/** True when the time stamp is not older than `win` (tcp_paws_check). */
const pawsCheck = (sk: TcpSock, win: number): boolean =>
  ((sk.tsRecent - sk.rcvTsval) | 0) <= win || seconds(sk) >= sk.tsRecentStamp + PAWS_24DAYS || sk.tsRecent === 0;

/** A duplicate ACK may carry an older time stamp (tcp_disordered_ack). */
function disorderedAck(sk: TcpSock): boolean {
  if ((g.flags & tcp.ACK) === 0 || g.seq !== g.endSeq || g.seq !== sk.rcvNxt || g.ack !== sk.sndUna) return false;
  if (A.mayUpdateWindow(sk, g.ack, g.seq, g.window * 2 ** sk.sndWscale)) return false;
  return ((sk.tsRecent - sk.rcvTsval) | 0) <= Math.floor((sk.rto * 1024) / 100);
}

const sequenceOk = (sk: TcpSock): boolean =>
  !before(g.endSeq, sk.rcvWup) && !after(g.seq, (sk.rcvNxt + T.receiveWindow(sk)) | 0);

/** RST one below rcv_nxt after a FIN (tcp_reset_check). */
const resetCheck = (sk: TcpSock): boolean =>
  g.seq === ((sk.rcvNxt - 1) | 0) && (sk.state === T.CLOSE_WAIT || sk.state === T.LAST_ACK || sk.state === T.CLOSING);

/** True when the sequence number of an RST ends the connection: the next one, or the right edge of what is sacked. */
function resetExact(sk: TcpSock): boolean {
  if (g.seq === sk.rcvNxt || resetCheck(sk)) return true;
  if (!sk.sackOk || sk.numSacks === 0) return false;
  let max = sk.selectiveAcks[1]!;
  for (let k = 1; k < sk.numSacks; k++)
    if (after(sk.selectiveAcks[2 * k + 1]!, max)) max = sk.selectiveAcks[2 * k + 1]!;
  return g.seq === max;
}

/** The peer has reset the connection (tcp_reset). */
export function tcpReset(sk: TcpSock): void {
  if (sk.state === T.CLOSE) return;
  const err = sk.state === T.SYN_SENT ? ECONNREFUSED : sk.state === T.CLOSE_WAIT ? EPIPE : ECONNRESET;
  tcpDoneWithError(sk, err);
}

/** PAWS, sequence numbers, RST and SYN (tcp_validate_incoming): false when the segment has been dealt with. */
function validateIncoming(sk: TcpSock, skb: Skb): boolean {
  const { net } = sk;
  const now = jiffies(net.kernel.sim);
  const rst = (g.flags & tcp.RST) !== 0;
  const syn = (g.flags & tcp.SYN) !== 0;
  const limited = g.seq === g.endSeq || syn;
  fastParse(sk, skb);
  if (sk.sawTstamp && !pawsCheck(sk, 1) && !disorderedAck(sk) && !rst) {
    if (!limited || A.oowAllowed(sk, now)) sendDupack(sk, skb);
    drop(net, skb, 'TCP_RFC7323_PAWS');
    return false;
  }
  if (!sequenceOk(sk)) {
    if (rst && resetCheck(sk)) return reset(sk, skb);
    if (!rst && syn) return synChallenge(sk, skb);
    if (!rst && (!limited || A.oowAllowed(sk, now))) sendDupack(sk, skb);
    drop(net, skb, 'TCP_INVALID_SEQUENCE');
    return false;
  }
  if (rst) {
    if (resetExact(sk)) return reset(sk, skb);
    A.sendChallengeAck(sk);
    drop(net, skb, 'TCP_RESET');
    return false;
  }
  if (syn) {
    const crossed =
      sk.state === T.SYN_RECV && !sk.dead && sk.parent === null && (g.flags & tcp.ACK) !== 0 &&
      ((g.seq + 1) | 0) === g.endSeq && g.endSeq === sk.rcvNxt && g.ack === sk.sndNxt; // prettier-ignore
    if (!crossed) return synChallenge(sk, skb);
  }
  return true;
}

function reset(sk: TcpSock, skb: Skb): boolean {
  tcpReset(sk);
  sk.net.kernel.skbs.free(skb);
  return false;
}

function synChallenge(sk: TcpSock, skb: Skb): boolean {
  A.sendChallengeAck(sk);
  drop(sk.net, skb, 'TCP_INVALID_SYN');
  return false;
}

/** True when header prediction handles the segment. */
function predicted(sk: TcpSock, skb: Skb): boolean {
  const b = skb.buf;
  const o = skb.trans;
  const word = ((b[o + 12]! << 24) | (b[o + 13]! << 16) | g.window) & 0xf0f7ffff;
  if (word !== sk.predFlags || g.seq !== sk.rcvNxt || before(g.ack, sk.sndUna) || after(g.ack, sk.sndNxt)) return false;
  if (sk.tcpHeaderLen !== 32) return true;
  fastParse(sk, skb);
  return sk.sawTstamp && ((sk.rcvTsval - sk.tsRecent) | 0) >= 0;
}

/** A segment for an established connection (tcp_rcv_established). */
export function rcvEstablished(sk: TcpSock, skb: Skb): void {
  enter();
  established(sk, skb);
  leave();
}

function established(sk: TcpSock, skb: Skb): void {
  T.mstampRefresh(sk);
  sk.sawTstamp = false;
  loadSegment(skb);
  opts.sacks = 0;
  const hlen = tcp.headerLen(skb.buf, skb.trans);
  if (predicted(sk, skb)) {
    opts.sacks = 0;
    if (hlen === 32 && sk.rcvNxt === sk.rcvWup) A.storeTsRecent(sk);
    if (skb.tail - skb.trans === hlen) {
      A.tcpAck(sk, g, opts, 0);
      sk.net.kernel.skbs.free(skb);
      A.dataSndCheck(sk);
      sk.rcvRttLastTsecr = sk.rcvTsecr;
      return;
    }
    return fastData(sk, skb, hlen);
  }
  if ((g.flags & (tcp.ACK | tcp.RST | tcp.SYN)) === 0) return drop(sk.net, skb, 'TCP_FLAGS');
  if (!validateIncoming(sk, skb)) return;
  const r = A.tcpAck(sk, g, opts, F.FLAG_SLOWPATH | F.FLAG_UPDATE_TS_RECENT);
  if (r < 0) return drop(sk.net, skb, r === A.ACK_TOO_OLD ? 'TCP_TOO_OLD_ACK' : 'TCP_ACK_UNSENT_DATA');
  D.rcvRttMeasureTs(sk, (g.endSeq - g.seq) | 0);
  skb.head = skb.trans + hlen;
  D.dataQueue(sk, skb);
  if (sk.state === T.CLOSE) return;
  A.dataSndCheck(sk);
  if ((sk.ackPending & T.ACK_SCHED) !== 0) D.ackSndCheck(sk, true);
}

/** In-order data with a predicted header. */
function fastData(sk: TcpSock, skb: Skb, hlen: number): void {
  D.rcvRttMeasureTs(sk, (g.endSeq - g.seq) | 0);
  skb.head = skb.trans + hlen;
  D.queueRcv(sk, skb);
  D.eventDataRecv(sk, skb);
  if (g.ack !== sk.sndUna) {
    A.tcpAck(sk, g, opts, F.FLAG_DATA);
    A.dataSndCheck(sk);
    if ((sk.ackPending & T.ACK_SCHED) === 0) return sk.wake();
  } else sk.sndWl1 = g.seq;
  D.ackSndCheck(sk, false);
  sk.wake();
}

/** SYN-RECV: the acknowledgement of our SYN-ACK establishes the connection. */
function establish(sk: TcpSock): void {
  sk.delivered++;
  if (sk.srttUs === 0) A.ackUpdateRtt(sk, F.FLAG_SYN_ACKED, -1, -1, -1);
  if (sk.tstampOk) sk.advmss -= T.TSTAMP_ALIGNED;
  tryUndoSpuriousSyn(sk);
  sk.retransStamp = 0;
  initTransfer(sk);
  sk.copiedSeq = sk.rcvNxt;
  setState(sk, T.ESTABLISHED);
  sk.wake();
  sk.sndUna = g.ack;
  sk.sndWnd = g.window * 2 ** sk.sndWscale;
  sk.sndWl1 = g.seq;
  sk.lsndtimeJ = jiffies(sk.net.kernel.sim);
  updatePacingRate(sk);
  D.initializeRcvMss(sk);
  D.fastPathOn(sk);
  if ((sk.shutdown_ & T.SEND_SHUTDOWN) !== 0) tcpShutdown(sk);
}

/** FIN-WAIT-1 with our FIN acknowledged; true when the segment is used up, 'reset' when the peer must be told. */
function finWait1(sk: TcpSock): boolean | 'reset' {
  if (sk.sndUna !== sk.writeSeq) return false;
  setState(sk, T.FIN_WAIT2);
  sk.shutdown_ |= T.SEND_SHUTDOWN;
  sk.dstConfirm = true;
  if (!sk.dead) {
    sk.wake();
    return false;
  }
  const fin = g.flags & tcp.FIN;
  if (g.endSeq !== g.seq && after((g.endSeq - fin) | 0, sk.rcvNxt)) {
    tcpDone(sk);
    return 'reset';
  }
  const tmo = finTime(sk);
  const { sim } = sk.net.kernel;
  if (tmo > T.TIMEWAIT_LEN) modTimer(sim, sk.keepaliveTimer, jiffies(sim) + tmo - T.TIMEWAIT_LEN);
  else if (fin !== 0 || sk.owned) modTimer(sim, sk.keepaliveTimer, jiffies(sim) + tmo);
  else {
    timeWait(sk, T.FIN_WAIT2, tmo);
    return true;
  }
  return false;
}

/** What the acknowledgement does to the state; true when the segment is used up. */
function ackStates(sk: TcpSock): boolean | 'reset' {
  if (sk.state === T.SYN_RECV) establish(sk);
  else if (sk.state === T.FIN_WAIT1) return finWait1(sk);
  else if (sk.state === T.CLOSING && sk.sndUna === sk.writeSeq) {
    timeWait(sk, T.TIME_WAIT, 0);
    return true;
  } else if (sk.state === T.LAST_ACK && sk.sndUna === sk.writeSeq) {
    updateMetrics(sk);
    tcpDone(sk);
    return true;
  }
  return false;
}

/** A segment in any state but ESTABLISHED and TIME_WAIT (tcp_rcv_state_process): true to answer with a reset. */
export function rcvStateProcess(sk: TcpSock, skb: Skb): boolean {
  enter();
  const answer = stateProcess(sk, skb);
  leave();
  return answer;
}

function stateProcess(sk: TcpSock, skb: Skb): boolean {
  const { net } = sk;
  T.mstampRefresh(sk);
  sk.sawTstamp = false;
  loadSegment(skb);
  if (sk.state === T.CLOSE) {
    drop(net, skb, 'TCP_CLOSE');
    return false;
  }
  if (sk.state === T.SYN_SENT) {
    const r = synSent(sk, skb, g, opts);
    if (r >= 0) return r === 1;
    net.kernel.skbs.free(skb);
    A.dataSndCheck(sk);
    return false;
  }
  if ((g.flags & (tcp.ACK | tcp.RST | tcp.SYN)) === 0) {
    drop(net, skb, 'TCP_FLAGS');
    return false;
  }
  if (!validateIncoming(sk, skb)) return false;
  const r = A.tcpAck(sk, g, opts, F.FLAG_SLOWPATH | F.FLAG_UPDATE_TS_RECENT | F.FLAG_NO_CHALLENGE_ACK);
  if (r <= 0) {
    if (sk.state === T.SYN_RECV) return true;
    if (r < 0) {
      A.sendChallengeAck(sk);
      drop(net, skb, r === A.ACK_TOO_OLD ? 'TCP_TOO_OLD_ACK' : 'TCP_ACK_UNSENT_DATA');
      return false;
    }
  }
  const used = ackStates(sk);
  if (used === 'reset') return true;
  if (used) {
    net.kernel.skbs.free(skb);
    return false;
  }
  return segmentText(sk, skb);
}

/** The data of a segment by state (step 7); true to answer with a reset. */
function segmentText(sk: TcpSock, skb: Skb): boolean {
  const late = sk.state === T.CLOSE_WAIT || sk.state === T.CLOSING || sk.state === T.LAST_ACK;
  if (!late || before(g.seq, sk.rcvNxt)) {
    if (sk.state !== T.ESTABLISHED && (sk.shutdown_ & T.RCV_SHUTDOWN) !== 0) {
      if (g.endSeq !== g.seq && after((g.endSeq - (g.flags & tcp.FIN)) | 0, sk.rcvNxt)) {
        tcpReset(sk);
        return true;
      }
    }
    skb.head = skb.trans + tcp.headerLen(skb.buf, skb.trans);
    D.dataQueue(sk, skb);
  } else drop(sk.net, skb, 'NOT_SPECIFIED');
  if (sk.state !== T.CLOSE) {
    A.dataSndCheck(sk);
    if ((sk.ackPending & T.ACK_SCHED) !== 0) D.ackSndCheck(sk, true);
  }
  return false;
}
