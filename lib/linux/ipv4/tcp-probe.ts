/**
 * Probes: of the tail of what was sent (loss probe, RFC 8985), and of a window the peer has shut.
 *
 * Kernel counterpart: net/ipv4/tcp_output.c (tcp_send_loss_probe, tcp_write_wakeup, tcp_send_probe0).
 * @module
 */
import * as tcp from '../../../wire/tcp.js';
import { usecsToJiffies } from '../core/jiffies.js';
import { transmitSeg, xmitProbe } from './tcp-output.js';
import * as T from './tcp-sock.js';
import { clearXmitTimer, probe0When, rearmRto, resetXmitTimer, rtoDeltaUs } from './tcp-timer.js';
import type { TcpSock } from './tcp.js';
import { currentMss, eventNewDataSent, fragment, retransmitOne, setTsoSegs, writeXmit } from './tcp-write.js';

const { after, before } = tcp;

/** Arms the tail loss probe: two round trips, 200 ms more when one segment is out (tcp_schedule_loss_probe). */
export function scheduleLossProbe(sk: TcpSock, advancingRto: boolean): boolean {
  if (sk.packetsOut === 0 || !sk.sackOk || (sk.caState !== T.CA_OPEN && sk.caState !== T.CA_CWR)) return false;
  let timeout = T.TIMEOUT_INIT;
  if (sk.srttUs !== 0) timeout = usecsToJiffies((sk.srttUs >> 2) + (sk.packetsOut === 1 ? 200000 : 2000));
  const rtoUs = advancingRto ? sk.rto * 10000 : rtoDeltaUs(sk);
  if (rtoUs > 0) timeout = Math.min(timeout, usecsToJiffies(rtoUs));
  resetXmitTimer(sk, T.TIME_LOSS_PROBE, timeout);
  return true;
}

/** The probe timer fired: send new data if there is any, else the last segment again (tcp_send_loss_probe). */
export function sendLossProbe(sk: TcpSock): void {
  const mss = currentMss(sk);
  if (!sk.tlpActive && tryLossProbe(sk, mss)) {
    sk.tlpActive = true;
    sk.tlpHighSeq = sk.sndNxt;
    sk.pending = T.TIME_NONE;
  }
  rearmRto(sk);
}

function tryLossProbe(sk: TcpSock, mss: number): boolean {
  sk.tlpRetrans = false;
  const head = sk.writeQueue.head;
  const prior = sk.packetsOut;
  if (head !== null && !after(head.len > mss ? (head.seq + mss) | 0 : head.endSeq, T.wndEnd(sk))) {
    writeXmit(sk, mss, T.NAGLE_OFF, 2);
    return sk.packetsOut > prior;
  }
  let s = sk.rtxQueue.tail;
  if (s === null) {
    sk.pending = T.TIME_NONE;
    return false;
  }
  if (s.pcount > 1 && s.len > (s.pcount - 1) * mss) s = fragment(sk, sk.rtxQueue, s, (s.pcount - 1) * mss, mss);
  if (retransmitOne(sk, s, 1) !== 0) return false;
  sk.tlpRetrans = true;
  return true;
}

/** A probe of a shut window, or the part of the data that fits (tcp_write_wakeup). */
export function writeWakeup(sk: TcpSock): number {
  if (sk.state === T.CLOSE) return -1;
  const s = sk.writeQueue.head;
  if (s === null || !before(s.seq, T.wndEnd(sk))) return xmitProbe(sk);
  const mss = currentMss(sk);
  let size = (T.wndEnd(sk) - s.seq) | 0;
  if (before(sk.pushedSeq, s.endSeq)) sk.pushedSeq = s.endSeq;
  s.flags |= tcp.PSH;
  if (size < ((s.endSeq - s.seq) | 0) || s.len > mss) {
    size = Math.min(size, mss);
    fragment(sk, sk.writeQueue, s, size, mss);
    s.flags |= tcp.PSH;
  } else if (s.pcount === 0) setTsoSegs(s, mss);
  const err = transmitSeg(sk, s);
  if (err === 0) eventNewDataSent(sk, s);
  return err;
}

/** Probes a shut window and doubles the wait (tcp_send_probe0). */
export function sendProbe0(sk: TcpSock): void {
  const err = writeWakeup(sk);
  if (sk.packetsOut !== 0 || sk.writeQueue.head === null) {
    sk.probesOut = sk.backoff = 0;
    return;
  }
  sk.probesOut++;
  if (err <= 0 && sk.backoff < 15) sk.backoff++;
  resetXmitTimer(sk, T.TIME_PROBE0, probe0When(sk));
}

/** The window has opened, or not enough: stop or restart the probes (tcp_ack_probe). */
export function ackProbe(sk: TcpSock): void {
  const head = sk.writeQueue.head;
  if (head === null) return;
  if (!after(head.endSeq, T.wndEnd(sk))) {
    sk.backoff = 0;
    clearXmitTimer(sk);
  } else resetXmitTimer(sk, T.TIME_PROBE0, probe0When(sk));
}
