/**
 * From a TCP socket to IP: the window to advertise, options, header, and the segments that carry no data of the stream.
 *
 * Kernel counterpart: net/ipv4/tcp_output.c (the write queue is in tcp-write.ts). Not here: urgent data, Fast Open, MD5.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import { jiffies, modTimer, usecsToJiffies } from '../core/jiffies.js';
import type { Skb } from '../core/skb.js';
import { RTCF_GROUP } from './dst.js';
import { ttlDefault } from './icmp.js';
import { ipBuildAndSend } from './ip-output.js';
import { EHOSTUNREACH, isErr } from './route.js';
import { txStart } from './tcp-cong.js';
import { ecnSend } from './tcp-ecn.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import type { TcpSock } from './tcp.js';

const align = (v: number, shift: number): number => Math.ceil(v / (1 << shift)) * (1 << shift);
const roundDown = (v: number, shift: number): number => Math.floor(v / (1 << shift)) * (1 << shift);

/** What a receive buffer still holds, as window (tcp_space); the whole of it (tcp_full_space). */
export const tcpSpace = (sk: TcpSock): number => T.winFromSpace(sk.rcvBuf - sk.rmemAlloc);
export const tcpFullSpace = (sk: TcpSock): number => T.winFromSpace(sk.rcvBuf);

/** The window this socket could offer now, not yet bound by what it has offered before (__tcp_select_window). */
export function selectWindowFree(sk: TcpSock): number {
  let mss = sk.rcvMss;
  let free = tcpSpace(sk);
  const allowed = tcpFullSpace(sk);
  const full = Math.min(sk.windowClamp, allowed);
  if (mss > full) mss = full;
  if (mss <= 0) return 0;
  if (free < full >> 1) {
    sk.quick = 0;
    free = roundDown(free, sk.rcvWscale);
    if (free < allowed >> 4 || free < mss) return 0;
  }
  if (free > sk.rcvSsthresh) free = sk.rcvSsthresh;
  if (sk.rcvWscale !== 0) return align(free, sk.rcvWscale);
  let window = sk.rcvWnd;
  if (window <= free - mss || window > free) window = free - (free % mss);
  else if (mss === full && free > window + (full >> 1)) window = free;
  return window;
}

/** The window field of the next segment; the right edge never moves left (tcp_select_window). */
function selectWindow(sk: TcpSock): number {
  const cur = T.receiveWindow(sk);
  let win = selectWindowFree(sk);
  if (win < cur) win = align(cur, sk.rcvWscale);
  sk.rcvWnd = win;
  sk.rcvWup = sk.rcvNxt;
  win = Math.min(win, 65535 * 2 ** sk.rcvWscale) >>> sk.rcvWscale;
  if (win === 0) sk.predFlags = 0;
  return win;
}

/** First window and scale for a buffer of `space` bytes (tcp_select_initial_window); `clamp` 0: none. */
export function selectInitialWindow(
  space: number,
  mss: number,
  clamp: number,
  wscaleOk: boolean,
): { rcvWnd: number; clamp: number; wscale: number } {
  if (clamp === 0) clamp = 65535 << 14;
  space = Math.min(clamp, space);
  if (space > mss) space -= space % mss;
  const rcvWnd = Math.min(space, 65535);
  let wscale = 0;
  if (wscaleOk) {
    const most = Math.min(Math.max(space, T.RMEM_MAX), clamp);
    wscale = Math.max(0, Math.min(14, 31 - Math.clz32(most) - 15));
  }
  return { rcvWnd, clamp: Math.min(65535 * 2 ** wscale, clamp), wscale };
}

/** SACK blocks the next segment carries, the duplicate one included. */
function effSacks(sk: TcpSock): number {
  const room = tcp.MAX_OPTIONS - (sk.tstampOk ? T.TSTAMP_ALIGNED : 0) - 4;
  return Math.min(sk.numSacks + (sk.dsack ? 1 : 0), room >> 3);
}

/** Bytes of options on a segment sent now (tcp_established_options). */
export function establishedOptions(sk: TcpSock): number {
  const n = effSacks(sk);
  return (sk.tstampOk ? T.TSTAMP_ALIGNED : 0) + (n > 0 ? 4 + 8 * n : 0);
}

const sackScratch = new Int32Array(8);

function putEstablishedOptions(sk: TcpSock, b: Uint8Array, p: number): void {
  const n = effSacks(sk);
  if (sk.tstampOk) p = tcp.putTstamp(b, p, (T.timeStamp(sk) + sk.tsOffset) | 0, sk.tsRecent);
  if (n === 0) return;
  const d = sk.dsack ? 2 : 0;
  if (d > 0) sackScratch.set(sk.duplicateSack);
  for (let i = d; i < 2 * n; i++) sackScratch[i] = sk.selectiveAcks[i - d]!;
  tcp.putSack(b, p, sackScratch, n);
  sk.dsack = false;
}

/** The least MSS that is offered, whatever the MTU (net.ipv4.route.min_adv_mss). */
const MIN_ADVMSS = 256;

/** MSS to offer in a SYN: what the route's MTU takes (ipv4_default_advmss). */
export const dstAdvmss = (mtu: number): number => Math.max(Math.min(mtu, 65535) - 40, MIN_ADVMSS);

/** Hands a finished segment (`head` at the TCP header) to IP (ip_queue_xmit): 0 or a negative errno. */
function ipQueueXmit(sk: TcpSock, skb: Skb): number {
  const { net } = sk;
  const d = sk.route();
  if (isErr(d) || (d.flags & RTCF_GROUP) !== 0) {
    net.kernel.skbs.free(skb);
    return -EHOSTUNREACH;
  }
  skb.dst = d;
  if (d.dev === net.lo) skb.tailroom = 0;
  skb.dstConfirm = sk.dstConfirm;
  sk.dstConfirm = false;
  skb.cred = sk.cred;
  if (skb.truesize !== 0) {
    skb.owner = sk;
    skb.charge = skb.truesize;
    sk.wmemAlloc += skb.truesize;
  }
  skb.hash = sk.txhash;
  const id = sk.inetId;
  sk.inetId = (id + 1) & 0xffff;
  const df = d.mtuLocked ? 0 : ipv4.DF;
  return ipBuildAndSend(net, skb, sk.saddr, sk.daddr, ipv4.TCP, sk.tos, ttlDefault(net), id, df);
}

/** Bookkeeping of an acknowledgement that went out (tcp_event_ack_sent). */
function eventAckSent(sk: TcpSock): void {
  if (sk.compressedAck !== 0) {
    sk.compressedAck = 0;
    sk.net.kernel.sim.cancel(sk.compressedAckTimer);
  }
  if (sk.quick !== 0 && (sk.ackPending & T.ACK_SCHED) !== 0) {
    if (--sk.quick === 0) sk.ato = T.ATO_MIN;
  }
  sk.ackPending = 0;
  sk.net.kernel.sim.cancel(sk.delackTimer);
}

/** Bookkeeping of data that goes out; an answer within the ACK timeout makes the socket interactive (tcp_event_data_sent). */
function eventDataSent(sk: TcpSock, segments: number): void {
  const now = jiffies(sk.net.kernel.sim);
  if (T.packetsInFlight(sk) === 0) txStart(sk, now);
  sk.lsndtimeJ = now;
  if (now - sk.lrcvtimeJ < sk.ato) sk.pingpong = 1;
  sk.dataSegsOut += segments;
}

/** kmalloc's bucket for an skb head that holds `n` bytes before its 320 bytes of shared info. */
const kmallocSize = (n: number): number => 2 ** Math.ceil(Math.log2(((n + 63) & ~63) + 320));

/**
 * What a segment of `n` bytes takes of the receiver's buffer, and the room behind its data where the next may be copied:
 * an skb cut from a burst has a fresh head; a single one keeps the truesize it had before its data was made linear
 * (skb_segment, __skb_linearize: scatter-gather is off on the recording machine). On lo nothing is made linear.
 */
function chargeSegment(skb: Skb, n: number, burst: boolean): void {
  const used = 256 + n;
  if (burst) {
    const size = kmallocSize(used);
    skb.truesize = size + 256;
    skb.tailroom = size - 320 - used;
    return;
  }
  skb.truesize = T.TX_TRUESIZE + n;
  skb.tailroom = used <= 704 ? 704 - used : kmallocSize(used + 128) - 320 - used;
}

/** Sends one segment without stream data (__tcp_transmit_skb for pure ACKs, RST and probes). */
function transmitBare(sk: TcpSock, seq: number, flags: number): number {
  const { kernel } = sk.net;
  const skb = kernel.skbs.alloc();
  const hlen = tcp.HLEN + establishedOptions(sk);
  flags |= ecnSend(sk, false);
  tcp.write(skb.buf, skb.head, sk.sport, sk.dport, seq, sk.rcvNxt, hlen, flags, selectWindow(sk));
  putEstablishedOptions(sk, skb.buf, skb.head + tcp.HLEN);
  skb.tail = skb.head + hlen;
  tcp.fillCsum(skb.buf, skb.head, skb.tail, sk.saddr, sk.daddr);
  if ((flags & tcp.ACK) !== 0) eventAckSent(sk);
  const err = ipQueueXmit(sk, skb);
  if (sk.owned) kernel.sim.drain();
  return err;
}

/**
 * Sends the segments of one queue entry (tcp_transmit_skb): headers alike but for sequence number and IP ID, FIN and PSH on
 * the last one only, as a GSO skb is cut behind the socket. 0 or a negative errno.
 */
export function transmitSeg(sk: TcpSock, s: Q.TxSeg): number {
  const { kernel } = sk.net;
  const { skbs } = kernel;
  const syn = (s.flags & tcp.SYN) !== 0;
  const len = s.len;
  const pcount = Math.max(1, s.pcount);
  if (pcount > 1) s.flags |= tcp.PSH;
  const hlen = tcp.HLEN + (syn ? synOptionsLen(sk) : establishedOptions(sk));
  const window = syn ? Math.min(sk.rcvWnd, 65535) : selectWindow(sk);
  const hadDsack = sk.dsack;
  const ecn = syn ? 0 : ecnSend(sk, len > 0 && !tcp.before(s.seq, sk.sndNxt));
  let err = 0;
  for (let i = 0; i < pcount && err === 0; i++) {
    const from = i * s.mss;
    const n = i === pcount - 1 ? len - from : s.mss;
    const skb = skbs.alloc();
    skb.room(hlen + n);
    const b = skb.buf;
    const o = skb.head;
    let flags = i === pcount - 1 ? s.flags : s.flags & ~(tcp.FIN | tcp.PSH);
    flags |= i === 0 ? ecn : ecn & ~tcp.CWR;
    tcp.write(b, o, sk.sport, sk.dport, (s.seq + from) | 0, sk.rcvNxt, hlen, flags, window);
    if (syn) putOwnSynOptions(sk, s, b, o + tcp.HLEN);
    else {
      sk.dsack = hadDsack;
      putEstablishedOptions(sk, b, o + tcp.HLEN);
    }
    if (n > 0) Q.copyTx(sk, ((s.seq + from) | 0) + (syn ? 1 : 0), n, b, o + hlen);
    skb.tail = o + hlen + n;
    tcp.fillCsum(b, o, skb.tail, sk.saddr, sk.daddr);
    chargeSegment(skb, n, pcount > 1);
    if (i === 0 && (s.flags & tcp.ACK) !== 0) eventAckSent(sk);
    if (i === 0 && len > 0) eventDataSent(sk, pcount);
    s.skb = skb;
    s.skbId = skb.id;
    err = ipQueueXmit(sk, skb);
  }
  if (err === 0) {
    s.sentUs = sk.mstampUs;
    s.sentMs = T.timeStamp(sk);
    s.delivered = sk.delivered;
    Q.tsortedMoveTail(sk, s);
  }
  if (sk.owned) kernel.sim.drain();
  return err;
}

/**
 * Sends what a program with a raw socket makes of the last data segment: the same headers, IP ID included, at sequence
 * number `seq`. The socket itself knows nothing of it.
 */
export function sendCopyAt(sk: TcpSock, seq: number, data: Uint8Array): void {
  const { net } = sk;
  const d = sk.route();
  if (isErr(d)) return;
  const skb = net.kernel.skbs.alloc();
  skb.dst = d;
  const hlen = tcp.HLEN + establishedOptions(sk);
  skb.room(hlen + data.length);
  tcp.write(skb.buf, skb.head, sk.sport, sk.dport, seq, sk.rcvNxt, hlen, tcp.ACK | tcp.PSH, selectWindow(sk));
  putEstablishedOptions(sk, skb.buf, skb.head + tcp.HLEN);
  skb.tail = skb.head + hlen + data.length;
  skb.buf.set(data, skb.head + hlen);
  tcp.fillCsum(skb.buf, skb.head, skb.tail, sk.saddr, sk.daddr);
  const id = (sk.inetId - 1) & 0xffff;
  ipBuildAndSend(net, skb, sk.saddr, sk.daddr, ipv4.TCP, sk.tos, ttlDefault(net), id, ipv4.DF);
  net.kernel.sim.drain();
}

const synOptionsLen = (sk: TcpSock): number =>
  4 + (sk.sysctl('tcp_timestamps', 1) !== 0 ? 12 : sk.sysctl('tcp_sack', 1) !== 0 ? 4 : 0) + (sk.sysctl('tcp_window_scaling', 1) !== 0 ? 4 : 0); // prettier-ignore

function putOwnSynOptions(sk: TcpSock, s: Q.TxSeg, b: Uint8Array, p: number): void {
  const synack = (s.flags & tcp.ACK) !== 0;
  const ts = sk.sysctl('tcp_timestamps', 1) !== 0 && (!synack || sk.tstampOk);
  const ws = sk.sysctl('tcp_window_scaling', 1) !== 0 && (!synack || sk.wscaleOk) ? sk.rcvWscale : -1;
  const tsval = (T.timeStamp(sk) + sk.tsOffset) | 0;
  tcp.putSynOptions(b, p, sk.advmss, sk.sysctl('tcp_sack', 1) !== 0, ts, tsval, sk.tsRecent, ws);
}

/** SND.NXT, or the window's end where the peer has shrunk it (tcp_acceptable_seq). */
function acceptableSeq(sk: TcpSock): number {
  const end = T.wndEnd(sk);
  if (!tcp.before(end, sk.sndNxt) || (sk.wscaleOk && ((sk.sndNxt - end) | 0) < 1 << sk.rcvWscale)) return sk.sndNxt;
  return end;
}

/** Acknowledges everything received, at once (tcp_send_ack). */
export function sendAck(sk: TcpSock): void {
  if (sk.state === T.CLOSE) return;
  transmitBare(sk, acceptableSeq(sk), tcp.ACK);
}

/** RST of a connection this side gives up (tcp_send_active_reset). */
export function sendActiveReset(sk: TcpSock): void {
  T.mstampRefresh(sk);
  transmitBare(sk, acceptableSeq(sk), tcp.ACK | tcp.RST);
}

/** An empty segment below the window, to be answered by an ACK (tcp_xmit_probe_skb). */
export function xmitProbe(sk: TcpSock): number {
  return transmitBare(sk, (sk.sndUna - 1) | 0, tcp.ACK);
}

/** Schedules an acknowledgement 40 to 200 ms ahead, never later than one already scheduled (tcp_send_delayed_ack). */
export function sendDelayedAck(sk: TcpSock): void {
  const { sim } = sk.net.kernel;
  const now = jiffies(sim);
  let ato = sk.ato;
  if (ato > T.DELACK_MIN) {
    let max = 50;
    if (T.inPingpong(sk) || (sk.ackPending & T.ACK_PUSHED) !== 0) max = T.DELACK_MAX;
    if (sk.srttUs !== 0) max = Math.min(max, Math.max(usecsToJiffies(sk.srttUs >> 3), T.DELACK_MIN));
    ato = Math.min(ato, max);
  }
  ato = Math.min(ato, T.DELACK_MAX);
  let timeout = now + ato;
  if ((sk.ackPending & T.ACK_TIMER) !== 0) {
    if (sk.ackTimeoutJ <= now + (ato >> 2)) return sendAck(sk);
    if (timeout >= sk.ackTimeoutJ) timeout = sk.ackTimeoutJ;
  }
  sk.ackPending |= T.ACK_SCHED | T.ACK_TIMER;
  sk.ackTimeoutJ = timeout;
  modTimer(sim, sk.delackTimer, timeout);
}
