/**
 * The congestion window: slow start, CUBIC with HyStart (the kernel's default), proportional rate reduction.
 *
 * Kernel counterparts: net/ipv4/tcp_cubic.c, tcp_cong.c, and the window's part of tcp_input.c and tcp_output.c. HyStart's
 * ack-train test needs real time between ACKs: on podwire's clock it never fires. Not here: other algorithms, pacing.
 * @module
 */
import { after, before } from '../../../wire/tcp.js';
import { jiffies, usecsToJiffies } from '../core/jiffies.js';
import { ecnQueueCwr } from './tcp-ecn.js';
import * as T from './tcp-sock.js';
import type { TcpSock } from './tcp.js';

/** Slots of sk.ca (struct bictcp). */
const CNT = 0;
const LAST_MAX = 1;
const LAST_CWND = 2;
const LAST_TIME = 3;
const ORIGIN = 4;
const K = 5;
const DELAY_MIN = 6;
const EPOCH = 7;
const ACK_CNT = 8;
const TCP_CWND = 9;
const SAMPLES = 10;
const FOUND = 11;
const END_SEQ = 12;
const CURR_RTT = 13;

const BETA = 717;
const SCALE = 1024;
const BETA_SCALE = 15;
const RTT_SCALE = 410;
const CUBE_FACTOR = Math.floor(2 ** 40 / RTT_SCALE);
const LOW_WINDOW = 16;
const MIN_SAMPLES = 8;

const inSlowStart = (sk: TcpSock): boolean => sk.cwnd < sk.ssthresh;

/** The window that a loss now would leave untouched (tcp_current_ssthresh). */
export const currentSsthresh = (sk: TcpSock): number =>
  sk.caState === T.CA_CWR || sk.caState === T.CA_RECOVERY
    ? sk.ssthresh
    : Math.max(sk.ssthresh, (sk.cwnd >> 1) + (sk.cwnd >> 2));

/** Start of a connection (cubictcp_init). */
export function caInit(sk: TcpSock): void {
  caReset(sk);
}

function caReset(sk: TcpSock): void {
  sk.ca.fill(0);
  hystartReset(sk);
}

function hystartReset(sk: TcpSock): void {
  sk.ca[END_SEQ] = sk.sndNxt;
  sk.ca[CURR_RTT] = 0xffffffff;
  sk.ca[SAMPLES] = 0;
}

/** Changes the state of loss recovery (tcp_set_ca_state, cubictcp_state). */
export function setCaState(sk: TcpSock, state: number): void {
  if (state === T.CA_LOSS) caReset(sk);
  sk.caState = state;
}

/** Slow-start threshold after a loss (cubictcp_recalc_ssthresh). */
export function caSsthresh(sk: TcpSock): number {
  sk.ca[EPOCH] = 0;
  const last = sk.ca[LAST_MAX]!;
  sk.ca[LAST_MAX] = sk.cwnd < last ? Math.floor((sk.cwnd * (SCALE + BETA)) / (2 * SCALE)) : sk.cwnd;
  return Math.max(Math.floor((sk.cwnd * BETA) / SCALE), 2);
}

/** First data after an idle time: the cubic curve waits (CA_EVENT_TX_START). */
export function txStart(sk: TcpSock, now: number): void {
  const delta = now - sk.lsndtimeJ;
  if (sk.ca[EPOCH] !== 0 && delta > 0) sk.ca[EPOCH] = Math.min(now, sk.ca[EPOCH]! + delta);
}

/** Integer cube root, as exact as the kernel's to the curve's resolution. */
const cubicRoot = (a: number): number => Math.floor(Math.cbrt(a));

/** bictcp_update: how many ACKs raise the window by one. */
function cubicUpdate(sk: TcpSock, acked: number): void {
  const { ca, cwnd } = sk;
  const now = jiffies(sk.net.kernel.sim);
  ca[ACK_CNT] = ca[ACK_CNT]! + acked;
  if (ca[LAST_CWND] === cwnd && now - ca[LAST_TIME]! <= 3) return;
  if (ca[EPOCH] === 0 || now !== ca[LAST_TIME]) {
    ca[LAST_CWND] = cwnd;
    ca[LAST_TIME] = now;
    if (ca[EPOCH] === 0) {
      ca[EPOCH] = now;
      ca[ACK_CNT] = acked;
      ca[TCP_CWND] = cwnd;
      const above = ca[LAST_MAX]! > cwnd;
      ca[K] = above ? cubicRoot(CUBE_FACTOR * (ca[LAST_MAX]! - cwnd)) : 0;
      ca[ORIGIN] = above ? ca[LAST_MAX]! : cwnd;
    }
    const t = Math.floor(((now - ca[EPOCH]! + usecsToJiffies(ca[DELAY_MIN]!)) * 1024) / 100);
    const offs = Math.abs(t - ca[K]!);
    const delta = Math.floor((RTT_SCALE * offs * offs * offs) / 2 ** 40);
    const target = t < ca[K]! ? ca[ORIGIN]! - delta : ca[ORIGIN]! + delta;
    ca[CNT] = target > cwnd ? Math.floor(cwnd / (target - cwnd)) : 100 * cwnd;
    if (ca[LAST_MAX] === 0 && ca[CNT]! > 20) ca[CNT] = 20;
  }
  const delta = (cwnd * BETA_SCALE) >> 3;
  while (ca[ACK_CNT]! > delta) {
    ca[ACK_CNT] = ca[ACK_CNT]! - delta;
    ca[TCP_CWND] = ca[TCP_CWND]! + 1;
  }
  if (ca[TCP_CWND]! > cwnd) ca[CNT] = Math.min(ca[CNT]!, Math.floor(cwnd / (ca[TCP_CWND]! - cwnd)));
  ca[CNT] = Math.max(ca[CNT]!, 2);
}

/** tcp_is_cwnd_limited. */
const isCwndLimited = (sk: TcpSock): boolean => sk.isCwndLimited || (inSlowStart(sk) && sk.cwnd < 2 * sk.maxPacketsOut);

function congAvoid(sk: TcpSock, acked: number): void {
  if (!isCwndLimited(sk)) return;
  if (inSlowStart(sk)) {
    const cwnd = Math.min(sk.cwnd + acked, sk.ssthresh);
    acked -= cwnd - sk.cwnd;
    sk.cwnd = cwnd;
    if (acked === 0) return;
  }
  cubicUpdate(sk, acked);
  const w = sk.ca[CNT]!;
  if (sk.cwndCnt >= w) {
    sk.cwndCnt = 0;
    sk.cwnd++;
  }
  sk.cwndCnt += acked;
  if (sk.cwndCnt >= w) {
    const delta = Math.floor(sk.cwndCnt / w);
    sk.cwndCnt -= delta * w;
    sk.cwnd += delta;
  }
}

/** A round-trip sample: HyStart leaves slow start when the delay rises (cubictcp_acked). */
export function caAcked(sk: TcpSock, rttUs: number): void {
  if (rttUs < 0) return;
  const { ca } = sk;
  if (ca[EPOCH] !== 0 && jiffies(sk.net.kernel.sim) - ca[EPOCH]! < 100) return;
  const delay = Math.max(1, rttUs);
  if (ca[DELAY_MIN] === 0 || ca[DELAY_MIN]! > delay) ca[DELAY_MIN] = delay;
  if (ca[FOUND] !== 0 || !inSlowStart(sk)) return;
  if (after(sk.sndUna, ca[END_SEQ]!)) hystartReset(sk);
  if (sk.cwnd < LOW_WINDOW) return;
  ca[CURR_RTT] = Math.min(ca[CURR_RTT]!, delay);
  if (ca[SAMPLES]! < MIN_SAMPLES) ca[SAMPLES] = ca[SAMPLES]! + 1;
  else if (ca[CURR_RTT]! > ca[DELAY_MIN]! + Math.max(4000, Math.min(16000, ca[DELAY_MIN]! / 8))) {
    ca[FOUND] = 1;
    sk.ssthresh = sk.cwnd;
  }
}

/** The window an undone reduction goes back to (tcp_reno_undo_cwnd). */
export const caUndoCwnd = (sk: TcpSock): number => Math.max(sk.cwnd, sk.priorCwnd);

/** Twice what the window carries in a round trip, 1.2 times near the end of slow start (tcp_update_pacing_rate). */
export function updatePacingRate(sk: TcpSock): void {
  const ratio = sk.cwnd < sk.ssthresh >> 1 ? 200 : 120;
  const rate = sk.mssCache * 80000 * ratio * Math.max(sk.cwnd, sk.packetsOut);
  sk.pacingRate = Math.floor(sk.srttUs === 0 ? rate : rate / sk.srttUs);
}

/** Raises or reduces the window after an ACK (tcp_cong_control); `mayRaise` as tcp_may_raise_cwnd says. */
export function congControl(
  sk: TcpSock,
  ackedSacked: number,
  losses: number,
  unaAdvanced: boolean,
  mayRaise: boolean,
): void {
  if (sk.caState === T.CA_CWR || sk.caState === T.CA_RECOVERY) cwndReduction(sk, ackedSacked, losses, unaAdvanced);
  else if (mayRaise) {
    congAvoid(sk, ackedSacked);
    sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  }
  updatePacingRate(sk);
}

/** Enters a reduction: the new threshold, and the counters of RFC 6937 (tcp_init_cwnd_reduction). */
export function initCwndReduction(sk: TcpSock): void {
  sk.highSeq = sk.sndNxt;
  sk.tlpActive = false;
  sk.cwndCnt = 0;
  sk.priorCwnd = sk.cwnd;
  sk.prrDelivered = sk.prrOut = 0;
  sk.ssthresh = caSsthresh(sk);
  ecnQueueCwr(sk);
}

/** RFC 6937 (tcp_cwnd_reduction). */
export function cwndReduction(sk: TcpSock, ackedSacked: number, losses: number, unaAdvanced: boolean): void {
  if (ackedSacked <= 0 || sk.priorCwnd === 0) return;
  const inFlight = T.packetsInFlight(sk);
  const delta = sk.ssthresh - inFlight;
  sk.prrDelivered += ackedSacked;
  let count: number;
  if (delta < 0) {
    count = Math.floor((sk.ssthresh * sk.prrDelivered + sk.priorCwnd - 1) / sk.priorCwnd) - sk.prrOut;
  } else {
    count = Math.max(sk.prrDelivered - sk.prrOut, ackedSacked);
    if (unaAdvanced && losses === 0) count++;
    count = Math.min(delta, count);
  }
  sk.cwnd = inFlight + Math.max(count, sk.prrOut !== 0 ? 0 : 1);
}

/** tcp_end_cwnd_reduction. */
export function endCwndReduction(sk: TcpSock): void {
  if (sk.ssthresh < T.INFINITE_SSTHRESH && (sk.caState === T.CA_CWR || sk.undoMarker !== 0)) {
    sk.cwnd = sk.ssthresh;
    sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  }
}

/** Notes whether the window was used fully, and shrinks one that was not for an RTO (tcp_cwnd_validate). */
export function cwndValidate(sk: TcpSock, limited: boolean): void {
  if (!before(sk.sndUna, sk.cwndUsageSeq) || limited || (!sk.isCwndLimited && sk.packetsOut > sk.maxPacketsOut)) {
    sk.isCwndLimited = limited;
    sk.maxPacketsOut = sk.packetsOut;
    sk.cwndUsageSeq = sk.sndNxt;
  }
  const now = jiffies(sk.net.kernel.sim);
  if (isCwndLimited(sk)) {
    sk.cwndUsed = 0;
    sk.cwndStampJ = now;
    return;
  }
  sk.cwndUsed = Math.max(sk.cwndUsed, sk.packetsOut);
  if (now - sk.cwndStampJ < sk.rto) return;
  if (sk.caState === T.CA_OPEN && !sk.noSpace) {
    const used = Math.max(sk.cwndUsed, T.INIT_CWND);
    if (used < sk.cwnd) {
      sk.ssthresh = currentSsthresh(sk);
      sk.cwnd = (sk.cwnd + used) >> 1;
    }
    sk.cwndUsed = 0;
  }
  sk.cwndStampJ = now;
}

/** After an idle time longer than the RTO the window starts again (tcp_slow_start_after_idle_check). */
export function slowStartAfterIdle(sk: TcpSock): void {
  if (sk.packetsOut !== 0) return;
  let delta = jiffies(sk.net.kernel.sim) - sk.lsndtimeJ;
  if (delta <= sk.rto) return;
  const restart = Math.min(T.INIT_CWND, sk.cwnd);
  sk.ssthresh = currentSsthresh(sk);
  for (delta -= sk.rto; delta > 0 && sk.cwnd > restart; delta -= sk.rto) sk.cwnd >>= 1;
  sk.cwnd = Math.max(sk.cwnd, restart);
  sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  sk.cwndUsed = 0;
}
