/**
 * TCP's timers: retransmission with its loss probe and window probe, delayed ACK, FIN_WAIT2 and keepalive,
 * compressed ACKs.
 *
 * Kernel counterpart: net/ipv4/tcp_timer.c. Not here: user timeout, limits on orphans.
 * @module
 */
import { jiffies, modTimer, usecsToJiffies } from '../core/jiffies.js';
import { enterLoss } from './tcp-recovery.js';
import { rackReoTimeout } from './tcp-rack.js';
import { timeWait } from './tcp-minisocks.js';
import { sendAck, sendActiveReset } from './tcp-output.js';
import * as T from './tcp-sock.js';
import { sendLossProbe, sendProbe0, writeWakeup } from './tcp-probe.js';
import { retransmitSkb } from './tcp-write.js';
import { tcpDone, tcpDoneWithError } from './tcp-close.js';
import type { TcpSock } from './tcp.js';

export const ETIMEDOUT = 110;
/** Jiffies until a probe that could not be sent is tried again. */
const RESOURCE_PROBE_INTERVAL = 50;

/** Arms the one retransmission timer for `what`, `when` jiffies ahead (inet_csk_reset_xmit_timer). */
export function resetXmitTimer(sk: TcpSock, what: number, when: number): void {
  const { sim } = sk.net.kernel;
  sk.pending = what;
  sk.timeoutJ = jiffies(sim) + Math.min(when, T.RTO_MAX);
  modTimer(sim, sk.writeTimer, sk.timeoutJ);
}

/** Nothing is waited for any more (inet_csk_clear_xmit_timer). */
export function clearXmitTimer(sk: TcpSock): void {
  sk.pending = T.TIME_NONE;
  sk.net.kernel.sim.cancel(sk.writeTimer);
}

/** Stops every timer of a socket that ends. */
export function clearTimers(sk: TcpSock): void {
  const { sim } = sk.net.kernel;
  sk.pending = T.TIME_NONE;
  sk.ackPending = 0;
  sim.cancel(sk.writeTimer);
  sim.cancel(sk.delackTimer);
  sim.cancel(sk.keepaliveTimer);
  sim.cancel(sk.compressedAckTimer);
}

/** Microseconds until the RTO of the oldest segment in flight (tcp_rto_delta_us). */
export function rtoDeltaUs(sk: TcpSock): number {
  const s = sk.rtxQueue.head;
  return s === null ? sk.rto * 10000 : s.sentUs + sk.rto * 10000 - sk.mstampUs;
}

/** Starts the RTO anew after progress (tcp_rearm_rto). */
export function rearmRto(sk: TcpSock): void {
  if (sk.packetsOut === 0) return clearXmitTimer(sk);
  let rto = sk.rto;
  if (sk.pending === T.TIME_REO_TIMEOUT || sk.pending === T.TIME_LOSS_PROBE) {
    rto = usecsToJiffies(Math.max(1, rtoDeltaUs(sk)));
  }
  resetXmitTimer(sk, T.TIME_RETRANS, rto);
}

/** tcp_probe0_when. */
export function probe0When(sk: TcpSock): number {
  const base = Math.max(sk.rto, T.RTO_MIN);
  return Math.min(base * 2 ** Math.min(10, sk.backoff), T.RTO_MAX);
}

/** The retransmission timer fired (tcp_write_timer_handler). */
export function writeTimer(sk: TcpSock): void {
  const { sim } = sk.net.kernel;
  if (sk.state === T.CLOSE || sk.state === T.LISTEN || sk.pending === T.TIME_NONE) return;
  if (sk.timeoutJ > jiffies(sim)) return modTimer(sim, sk.writeTimer, sk.timeoutJ);
  T.mstampRefresh(sk);
  const what = sk.pending;
  if (what === T.TIME_REO_TIMEOUT) rackReoTimeout(sk);
  else if (what === T.TIME_LOSS_PROBE) sendLossProbe(sk);
  else {
    sk.pending = T.TIME_NONE;
    if (what === T.TIME_RETRANS) retransmitTimer(sk);
    else probeTimer(sk);
  }
}

/** How long `boundary` doublings of `base` last, in ms (tcp_model_timeout). */
function modelTimeoutMs(boundary: number, base: number): number {
  const thresh = 31 - Math.clz32(Math.floor(T.RTO_MAX / base));
  const ticks =
    boundary <= thresh
      ? (2 ** (boundary + 1) - 1) * base
      : (2 ** (thresh + 1) - 1) * base + (boundary - thresh) * T.RTO_MAX;
  return ticks * 10;
}

function retransmitsTimedOut(sk: TcpSock, boundary: number): boolean {
  if (sk.retransmits === 0) return false;
  const base = sk.state === T.SYN_SENT || sk.state === T.SYN_RECV ? T.TIMEOUT_INIT : T.RTO_MIN;
  return ((T.timeStamp(sk) - sk.retransStamp) | 0) - modelTimeoutMs(boundary, base) >= 0;
}

const orphanRetries = (sk: TcpSock, alive: boolean): number => (sk.errSoft !== 0 && !alive ? 0 : alive ? 8 : 0);

/** tcp_write_timeout: true when the socket has given up. */
function writeTimeout(sk: TcpSock): boolean {
  let expired = false;
  let until: number;
  if (sk.state === T.SYN_SENT || sk.state === T.SYN_RECV) {
    until = sk.sysctl('tcp_syn_retries', 6);
    expired = sk.retransmits >= until;
  } else {
    until = sk.sysctl('tcp_retries2', 15);
    if (sk.dead) until = orphanRetries(sk, sk.rto < T.RTO_MAX);
  }
  if (!expired && !retransmitsTimedOut(sk, until)) {
    // Perhaps the path is broken: tunnels get another source port, and with it another path (sk_rethink_txhash).
    sk.txhash = T.txRndhash(sk.net);
    return false;
  }
  writeErr(sk);
  return true;
}

const writeErr = (sk: TcpSock): void => tcpDoneWithError(sk, sk.errSoft !== 0 ? sk.errSoft : ETIMEDOUT);

/** Sends the oldest segment again and doubles the timeout (tcp_retransmit_timer). */
export function retransmitTimer(sk: TcpSock): void {
  if (sk.packetsOut === 0 || sk.rtxQueue.head === null) return;
  const shut = sk.sndWnd === 0 && !sk.dead && sk.state !== T.SYN_SENT && sk.state !== T.SYN_RECV;
  if (shut) {
    const since = (T.timeStamp(sk) - sk.retransStamp) | 0;
    if (sk.timeoutJ - sk.rcvTstampJ > 2 * T.RTO_MAX && since > 20 * T.RTO_MAX) return writeErr(sk);
    enterLoss(sk);
    retransmitSkb(sk, sk.rtxQueue.head, 1);
  } else {
    if (writeTimeout(sk)) return;
    enterLoss(sk);
    sk.retransmits++;
    if (retransmitSkb(sk, sk.rtxQueue.head, 1) > 0) return resetXmitTimer(sk, T.TIME_RETRANS, 50);
    sk.backoff++;
  }
  sk.rto = Math.min(sk.rto * 2, T.RTO_MAX);
  resetXmitTimer(sk, T.TIME_RETRANS, sk.rto);
}

/** tcp_probe_timer. */
function probeTimer(sk: TcpSock): void {
  if (sk.packetsOut !== 0 || sk.writeQueue.head === null) {
    sk.probesOut = 0;
    return;
  }
  let max = sk.sysctl('tcp_retries2', 15);
  if (sk.dead) {
    const alive = Math.min(sk.rto * 2 ** sk.backoff, T.RTO_MAX) < T.RTO_MAX;
    max = orphanRetries(sk, alive);
    if (!alive && sk.backoff >= max) return writeErr(sk);
  }
  if (sk.probesOut >= max) writeErr(sk);
  else sendProbe0(sk);
}

/** The delayed-ACK timer fired (tcp_delack_timer_handler). */
export function delackTimer(sk: TcpSock): void {
  const { sim } = sk.net.kernel;
  if (sk.state === T.CLOSE || sk.state === T.LISTEN || (sk.ackPending & T.ACK_TIMER) === 0) return;
  if (sk.ackTimeoutJ > jiffies(sim)) return modTimer(sim, sk.delackTimer, sk.ackTimeoutJ);
  sk.ackPending &= ~T.ACK_TIMER;
  if ((sk.ackPending & T.ACK_SCHED) === 0) return;
  if (T.inPingpong(sk)) {
    sk.pingpong = 0;
    sk.ato = T.ATO_MIN;
  } else sk.ato = Math.min(sk.ato * 2, sk.rto);
  T.mstampRefresh(sk);
  sendAck(sk);
}

/** Several duplicate ACKs were held back as one (tcp_compressed_ack_kick). */
export function compressedAckTimer(sk: TcpSock): void {
  if (sk.compressedAck === 0) return;
  sk.compressedAck--;
  T.mstampRefresh(sk);
  sendAck(sk);
}

/** FIN_WAIT2 of a closed socket has lasted its time, or a connection has been silent for long (tcp_keepalive_timer). */
export function keepaliveTimer(sk: TcpSock): void {
  T.mstampRefresh(sk);
  if (sk.state !== T.FIN_WAIT2 || !sk.dead) return keepalive(sk);
  const more = finTime(sk) - T.TIMEWAIT_LEN;
  if (more > 0) return timeWait(sk, T.FIN_WAIT2, more);
  sendActiveReset(sk);
  tcpDone(sk);
}

/** Waits for silence of a socket with SO_KEEPALIVE to grow long (inet_csk_reset_keepalive_timer). */
export function startKeepalive(sk: TcpSock, ticks = sk.keepidle * 100): void {
  if (sk.keepidle === 0) return;
  const { sim } = sk.net.kernel;
  modTimer(sim, sk.keepaliveTimer, jiffies(sim) + ticks);
}

/** Nothing has been heard for a while: asks whether the peer is there, gives up after so many probes (tcp_keepalive_timer). */
function keepalive(sk: TcpSock): void {
  if (sk.keepidle === 0 || sk.state === T.CLOSE || sk.state === T.SYN_SENT || sk.state === T.LISTEN) return;
  if (sk.packetsOut !== 0 || sk.writeQueue.head !== null) return startKeepalive(sk);
  const idle = sk.keepidle * 100;
  const now = jiffies(sk.net.kernel.sim);
  const silent = now - Math.max(sk.lrcvtimeJ, sk.rcvTstampJ);
  if (silent < idle) return startKeepalive(sk, idle - silent);
  if (sk.probesOut >= sk.sysctl('tcp_keepalive_probes', 9)) {
    sendActiveReset(sk);
    return writeErr(sk);
  }
  const sent = writeWakeup(sk) <= 0;
  if (sent) sk.probesOut++;
  startKeepalive(sk, sent ? sk.keepintvl * 100 : RESOURCE_PROBE_INTERVAL);
}

/** Jiffies a closed socket stays in FIN_WAIT2 (tcp_fin_time). */
export const finTime = (sk: TcpSock): number =>
  Math.max(sk.sysctl('tcp_fin_timeout', 60) * 100, sk.rto * 4 - (sk.rto >> 1));
