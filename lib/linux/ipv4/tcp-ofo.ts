/**
 * Data that came too early: the out-of-order queue and the SACK blocks that report it.
 *
 * Kernel counterpart: net/ipv4/tcp_input.c (tcp_data_queue_ofo, tcp_ofo_queue, tcp_sack_new_ofo_skb, tcp_dsack_set).
 * @module
 */
import { after, before, FIN } from '../../../wire/tcp.js';
import { drop } from '../core/drop.js';
import type { Skb } from '../core/skb.js';
import { enterQuickackMode, growWindow, queueRcv, tcpFin } from './tcp-data.js';
import { ecnCheckCe } from './tcp-ecn.js';
import { sendAck } from './tcp-output.js';
import * as T from './tcp-sock.js';
import type { TcpSock } from './tcp.js';

const NUM_SACKS = 4;
const SACK_BLOCKS_EXPECTED = 2;

/** Drops everything out of order. */
export function purgeOfo(sk: TcpSock): void {
  for (let s = sk.ofoHead; s !== null;) {
    const { next }: Skb = s;
    sk.rmemAlloc -= s.truesize;
    sk.net.kernel.skbs.free(s);
    s = next;
  }
  sk.ofoHead = sk.ofoTail = null;
}

function sackExtend(a: Int32Array, o: number, seq: number, end: number): boolean {
  if (after(seq, a[o + 1]!) || after(a[o]!, end)) return false;
  if (before(seq, a[o]!)) a[o] = seq;
  if (after(end, a[o + 1]!)) a[o + 1] = end;
  return true;
}

export function dsackSet(sk: TcpSock, seq: number, end: number): void {
  if (!sk.sackOk) return;
  sk.dsack = true;
  sk.duplicateSack[0] = seq;
  sk.duplicateSack[1] = end;
}

function dsackExtend(sk: TcpSock, seq: number, end: number): void {
  if (!sk.dsack) dsackSet(sk, seq, end);
  else sackExtend(sk.duplicateSack, 0, seq, end);
}

/** A segment that came again and was reported before: our ACKs do not arrive, perhaps another path carries them. */
export function rcvSpuriousRetrans(sk: TcpSock, seq: number): void {
  if (sk.sackOk && seq === sk.duplicateSack[0]) sk.txhash = T.txRndhash(sk.net);
}

/** Acknowledges a segment that was not wanted, with a D-SACK if it held known data (tcp_send_dupack). */
export function sendDupack(sk: TcpSock, skb: Skb): void {
  if (skb.endSeq !== skb.seq && before(skb.seq, sk.rcvNxt)) {
    enterQuickackMode(sk, T.MAX_QUICKACKS);
    rcvSpuriousRetrans(sk, skb.seq);
    dsackSet(sk, skb.seq, after(skb.endSeq, sk.rcvNxt) ? sk.rcvNxt : skb.endSeq);
  }
  sendAck(sk);
}

function compressSendAck(sk: TcpSock): void {
  if (sk.compressedAck === 0) return;
  sk.net.kernel.sim.cancel(sk.compressedAckTimer);
  sk.compressedAck = 0;
  sendAck(sk);
}

/** New out-of-order data goes into the SACK blocks, the latest first (tcp_sack_new_ofo_skb). */
function sackNewOfo(sk: TcpSock, seq: number, end: number): void {
  const a = sk.selectiveAcks;
  let i = 0;
  for (; i < sk.numSacks; i++) {
    if (!sackExtend(a, 2 * i, seq, end)) continue;
    if (i >= SACK_BLOCKS_EXPECTED) compressSendAck(sk);
    const [s, e] = [a[2 * i]!, a[2 * i + 1]!];
    a.copyWithin(2, 0, 2 * i);
    a[0] = s;
    a[1] = e;
    for (let k = 1; k < sk.numSacks;) {
      if (sackExtend(a, 0, a[2 * k]!, a[2 * k + 1]!)) removeSack(sk, k);
      else k++;
    }
    return;
  }
  if (i >= SACK_BLOCKS_EXPECTED) compressSendAck(sk);
  if (sk.numSacks < NUM_SACKS) sk.numSacks++;
  a.copyWithin(2, 0, 2 * (sk.numSacks - 1));
  a[0] = seq;
  a[1] = end;
}

function removeSack(sk: TcpSock, k: number): void {
  sk.selectiveAcks.copyWithin(2 * k, 2 * k + 2, 2 * sk.numSacks);
  sk.numSacks--;
}

/** RCV.NXT has moved on: blocks below it go (tcp_sack_remove). */
export function sackRemove(sk: TcpSock): void {
  if (sk.ofoHead === null) {
    sk.numSacks = 0;
    return;
  }
  for (let k = 0; k < sk.numSacks;) {
    if (!before(sk.rcvNxt, sk.selectiveAcks[2 * k]!)) removeSack(sk, k);
    else k++;
  }
}

/** Moves what has become in order to the receive queue (tcp_ofo_queue). */
export function ofoQueue(sk: TcpSock): void {
  const dsackHigh = sk.rcvNxt;
  for (let s = sk.ofoHead; s !== null && !after(s.seq, sk.rcvNxt); s = sk.ofoHead) {
    if (before(s.seq, dsackHigh)) dsackExtend(sk, s.seq, before(s.endSeq, dsackHigh) ? s.endSeq : dsackHigh);
    sk.ofoHead = s.next;
    if (sk.ofoHead === null) sk.ofoTail = null;
    s.next = null;
    sk.rmemAlloc -= s.truesize;
    if (!after(s.endSeq, sk.rcvNxt)) {
      drop(sk.net, s, 'TCP_OFO_DROP');
      continue;
    }
    const fin = (s.tcpFlags & FIN) !== 0;
    queueRcv(sk, s);
    if (fin) {
      tcpFin(sk);
      return;
    }
  }
}

/** Inserts an out-of-order segment, cutting off what it covers (tcp_data_queue_ofo). */
export function dataQueueOfo(sk: TcpSock, skb: Skb): void {
  if (ecnCheckCe(sk, skb)) enterQuickackMode(sk, 2);
  sk.predFlags = 0;
  sk.ackPending |= T.ACK_SCHED;
  const { seq, endSeq } = skb;
  if (sk.ofoHead === null) {
    if (sk.sackOk) {
      sk.numSacks = 1;
      sk.selectiveAcks[0] = seq;
      sk.selectiveAcks[1] = endSeq;
    }
    linkOfo(sk, null, skb);
  } else if (insertOfo(sk, skb)) {
    if (sk.sackOk) sackNewOfo(sk, seq, endSeq);
  } else {
    dsackSet(sk, seq, endSeq);
    if (sk.sackOk) sackNewOfo(sk, seq, endSeq);
    return drop(sk.net, skb, 'TCP_OFOMERGE');
  }
  if (sk.sackOk) growWindow(sk, skb);
  sk.rmemAlloc += skb.truesize;
}

function linkOfo(sk: TcpSock, prev: Skb | null, skb: Skb): void {
  skb.next = prev === null ? sk.ofoHead : prev.next;
  if (prev === null) sk.ofoHead = skb;
  else prev.next = skb;
  if (skb.next === null) sk.ofoTail = skb;
}

/** False when all of it is there already. */
function insertOfo(sk: TcpSock, skb: Skb): boolean {
  let prev: Skb | null = null;
  for (let s = sk.ofoHead; s !== null && !before(skb.seq, s.seq); s = s.next) {
    if (before(skb.seq, s.endSeq)) {
      if (!after(skb.endSeq, s.endSeq)) return false;
      if (after(skb.seq, s.seq)) dsackSet(sk, skb.seq, s.endSeq);
      else break;
    }
    prev = s;
  }
  linkOfo(sk, prev, skb);
  for (let s = skb.next; s !== null && after(skb.endSeq, s.seq); s = skb.next) {
    if (before(skb.endSeq, s.endSeq)) {
      dsackExtend(sk, s.seq, skb.endSeq);
      break;
    }
    dsackExtend(sk, s.seq, s.endSeq);
    skb.next = s.next;
    if (skb.next === null) sk.ofoTail = skb;
    sk.rmemAlloc -= s.truesize;
    s.next = null;
    drop(sk.net, s, 'TCP_OFOMERGE');
  }
  return true;
}
