/**
 * TCP over IPv4: receiving, connecting, answering without a socket, ICMP errors.
 *
 *   ipLocalDeliver ─▶ tcpV4Rcv ─┬─ connection ▶ tcpV4DoRcv (or its backlog)
 *                               ├─ request ▶ checkReq ▶ child
 *                               ├─ TIME_WAIT ▶ ACK, RST or a new SYN
 *                               ├─ listener ▶ connRequest
 *                               └─ nobody ▶ RST
 *
 * Kernel counterpart: net/ipv4/tcp_ipv4.c. Not here: MD5, early demux, SYN cookies.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import { drop } from '../core/drop.js';
import { usecsToJiffies } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import { PACKET_HOST, type Skb } from '../core/skb.js';
import { type Dst, dstMtu, RTCF_GROUP } from './dst.js';
import { Flow } from './flow.js';
import { ttlDefault } from './icmp.js';
import { acceptqFull, reqskAdd, reqskDrop, reqskFull, RequestSock } from './inet-connection-sock.js';
import {
  type HashSock, hashConnect, isTimewait, lookupEstablished, lookupListener, secureSeq, secureTsOff,
} from './inet-hashtables.js'; // prettier-ignore
import { learnFromError } from './icmp-rcv.js';
import { ipBuildAndSend } from './ip-output.js';
import { EHOSTUNREACH, ENETUNREACH, isErr, routeOutput, RTN_LOCAL } from './route.js';
import { updatePmtu } from './route-exception.js';
import { rtoFromRtt } from './tcp-ack.js';
import { rcvEstablished, rcvStateProcess } from './tcp-input.js';
import { checkReq, type TimewaitSock, timewaitStateProcess, TW_ACK, TW_RST, TW_SYN } from './tcp-minisocks.js';
import { ecnCreateRequest, ecnSendSyn } from './tcp-ecn.js';
import { dstAdvmss, selectInitialWindow, tcpFullSpace, transmitSeg } from './tcp-output.js';
import { simpleRetransmit } from './tcp-recovery.js';
import * as Q from './tcp-queue.js';
import * as T from './tcp-sock.js';
import { resetXmitTimer, retransmitTimer } from './tcp-timer.js';
import { tcpDoneWithError } from './tcp-close.js';
import { setState, type TcpSock } from './tcp.js';
import { syncMss } from './tcp-write.js';
import { initializeRcvMss } from './tcp-data.js';

const EMSGSIZE = 90;
const EPROTO = 71;

const flow = new Flow();

/** A delivered TCP packet (tcp_v4_rcv). */
export function tcpV4Rcv(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const o = skb.trans;
  if (skb.pktType !== PACKET_HOST) return drop(net, skb, 'NOT_SPECIFIED');
  const hlen = tcp.check(b, o, skb.tail);
  if (hlen < 0) return drop(net, skb, 'PKT_TOO_SMALL');
  const src = ipv4.src(b, skb.net);
  const dst = ipv4.dst(b, skb.net);
  if (!tcp.csumOk(b, o, skb.tail, src, dst)) return drop(net, skb, 'TCP_CSUM');
  const flags = tcp.flags(b, o);
  skb.tcpFlags = flags;
  skb.seq = tcp.seq(b, o);
  skb.endSeq = (skb.seq + ((flags >> 1) & 1) + (flags & 1) + skb.tail - o - hlen) | 0;
  const s = lookupEstablished(net, src, tcp.sport(b, o), dst, tcp.dport(b, o));
  if (s === null) return rcvListen(net, skb, 0);
  if (isTimewait(s)) return rcvTimewait(s, skb);
  if (s.state === T.NEW_SYN_RECV) return rcvRequest(s as RequestSock, skb);
  const sk = s as TcpSock;
  if (!sk.owned) return tcpV4DoRcv(sk, skb);
  skb.next = null;
  if (sk.backlogTail === null) sk.backlogHead = skb;
  else sk.backlogTail.next = skb;
  sk.backlogTail = skb;
}

/** No connection matches: a listener or nobody. `isn` of a SYN that follows a TIME_WAIT, 0: none. */
function rcvListen(net: Netns, skb: Skb, isn: number): void {
  const sk = lookupListener(net, ipv4.dst(skb.buf, skb.net), tcp.dport(skb.buf, skb.trans));
  if (sk === null) {
    if (skb.dst!.type === RTN_LOCAL) tcpSendReset(net, skb);
    return drop(net, skb, 'NO_SOCKET');
  }
  const f = skb.tcpFlags;
  if ((f & tcp.ACK) !== 0) {
    tcpSendReset(net, skb);
    return drop(net, skb, 'NOT_SPECIFIED');
  }
  if ((f & tcp.RST) !== 0) return drop(net, skb, 'TCP_RESET');
  if ((f & (tcp.SYN | tcp.FIN)) !== tcp.SYN) return drop(net, skb, 'TCP_FLAGS');
  connRequest(sk, skb, isn);
  net.kernel.skbs.free(skb);
}

/** Hands a segment to its socket (tcp_v4_do_rcv). */
export function tcpV4DoRcv(sk: TcpSock, skb: Skb): void {
  if (sk.state === T.ESTABLISHED) return rcvEstablished(sk, skb);
  if (!rcvStateProcess(sk, skb)) return;
  tcpSendReset(sk.net, skb);
  sk.net.kernel.skbs.free(skb);
}

function rcvRequest(r: RequestSock, skb: Skb): void {
  const { net, listener } = r;
  if (listener.state !== T.LISTEN) {
    reqskDrop(r);
    return rcvListen(net, skb, 0);
  }
  const sk = checkReq(r, skb);
  if (sk === null) return net.kernel.skbs.free(skb);
  if (sk === listener) {
    tcpSendReset(net, skb);
    return drop(net, skb, 'NOT_SPECIFIED');
  }
  tcpV4DoRcv(sk, skb);
  if (sk.state !== T.SYN_RECV) listener.wake();
}

function rcvTimewait(tw: TimewaitSock, skb: Skb): void {
  const { net } = tw;
  const what = timewaitStateProcess(tw, skb);
  if (what === TW_SYN && lookupListener(net, tw.saddr, tw.sport) !== null) {
    const isn = (tw.sndNxt + 65537) | 0;
    tw.kill();
    return rcvListen(net, skb, isn === 0 ? 1 : isn);
  }
  if (what === TW_ACK || what === TW_SYN) timewaitAck(tw, skb);
  else if (what === TW_RST) {
    tcpSendReset(net, skb);
    tw.kill();
  }
  drop(net, skb, 'NOT_SPECIFIED');
}

/** Sends a bare segment that answers `skb` without a socket (ip_send_unicast_reply): ID 0, DF. */
function sendReply(
  net: Netns,
  skb: Skb,
  seq: number,
  ack: number,
  flags: number,
  window: number,
  ts: boolean,
  tsval: number,
  tsecr: number,
  tos: number,
): void {
  // prettier-ignore
  const { skbs } = net.kernel;
  const src = ipv4.dst(skb.buf, skb.net);
  const dst = ipv4.src(skb.buf, skb.net);
  const [sport, dport] = [tcp.dport(skb.buf, skb.trans), tcp.sport(skb.buf, skb.trans)];
  const d = routeOutput(net, flow.to(dst, src).ports(ipv4.TCP, sport, dport));
  if (isErr(d)) return;
  const r = skbs.alloc();
  r.dst = d;
  const hlen = ts ? 32 : 20;
  tcp.write(r.buf, r.head, sport, dport, seq, ack, hlen, flags, window);
  if (ts) tcp.putTstamp(r.buf, r.head + tcp.HLEN, tsval, tsecr);
  r.tail = r.head + hlen;
  tcp.fillCsum(r.buf, r.head, r.tail, src, dst);
  ipBuildAndSend(net, r, src, dst, ipv4.TCP, tos & 0xfc, ttlDefault(net), 0, ipv4.DF);
}

/** RST for a segment that fits nowhere; the segment stays the caller's (tcp_v4_send_reset). */
export function tcpSendReset(net: Netns, skb: Skb): void {
  const f = skb.tcpFlags;
  if ((f & tcp.RST) !== 0) return;
  const tos = ipv4.tos(skb.buf, skb.net);
  if ((f & tcp.ACK) !== 0) {
    sendReply(net, skb, tcp.ack(skb.buf, skb.trans), 0, tcp.RST, 0, false, 0, 0, tos);
  } else sendReply(net, skb, 0, skb.endSeq, tcp.RST | tcp.ACK, 0, false, 0, 0, tos);
}

const rawTime = (net: Netns): number => Math.floor(net.kernel.sim.now / 1e6) | 0;

function timewaitAck(tw: TimewaitSock, skb: Skb): void {
  const tsval = (rawTime(tw.net) + tw.tsOffset) | 0;
  const win = tw.rcvWnd >>> tw.rcvWscale;
  sendReply(tw.net, skb, tw.sndNxt, tw.rcvNxt, tcp.ACK, win, tw.tsRecent !== 0, tsval, tw.tsRecent, tw.tos);
}

/** ACK of a request for a segment outside its window (tcp_v4_reqsk_send_ack). */
export function reqskSendAck(r: RequestSock, skb: Skb): void {
  const tsval = (rawTime(r.net) + r.tsOffset) | 0;
  const tos = ipv4.tos(skb.buf, skb.net);
  const win = r.rcvWnd >>> r.rcvWscale;
  sendReply(r.net, skb, (r.sntIsn + 1) | 0, r.rcvNxt, tcp.ACK, win, r.tsRecent !== 0, tsval, r.tsRecent, tos);
}

const opts = new tcp.Options();

/** A SYN for a listener (tcp_conn_request). */
function connRequest(sk: TcpSock, skb: Skb, isn: number): void {
  const { net } = sk;
  if ((skb.dst!.flags & RTCF_GROUP) !== 0) return;
  if ((reqskFull(sk) && isn === 0) || acceptqFull(sk)) return;
  const b = skb.buf;
  const [saddr, daddr] = [ipv4.dst(b, skb.net), ipv4.src(b, skb.net)];
  const r = new RequestSock(sk, saddr, sk.sport, daddr, tcp.sport(b, skb.trans));
  tcp.parseOptions(b, skb.trans, opts);
  r.tstampOk = opts.sawTstamp && sk.sysctl('tcp_timestamps', 1) !== 0;
  r.sackOk = opts.sackPerm && sk.sysctl('tcp_sack', 1) !== 0;
  r.wscaleOk = opts.wscale >= 0 && sk.sysctl('tcp_window_scaling', 1) !== 0;
  r.sndWscale = Math.max(0, opts.wscale);
  r.mss = opts.mss === 0 ? T.MSS_DEFAULT : opts.mss;
  r.tsRecent = r.tstampOk ? opts.tsval : 0;
  r.rcvIsn = skb.seq;
  r.rcvNxt = (skb.seq + 1) | 0;
  r.tsOffset = r.tstampOk ? secureTsOff(net, saddr, daddr) : 0;
  r.ecnOk = ecnCreateRequest(sk, skb.tcpFlags, ipv4.tos(b, skb.net));
  r.txhash = T.txRndhash(net);
  r.sntIsn = isn !== 0 ? isn : secureSeq(net, saddr, daddr, r.sport, r.dport);
  const d = requestRoute(r);
  if (isErr(d)) return;
  const mss = dstAdvmss(dstMtu(d));
  const w = selectInitialWindow(tcpFullSpace(sk), mss - (r.tstampOk ? T.TSTAMP_ALIGNED : 0), 0, r.wscaleOk);
  r.rcvWnd = w.rcvWnd;
  r.windowClamp = w.clamp;
  r.rcvWscale = w.wscale;
  reqskAdd(r);
  sendSynack(r);
}

/** inet_csk_route_req. */
function requestRoute(r: RequestSock): Dst | number {
  const fl = flow.to(r.daddr, r.saddr).ports(ipv4.TCP, r.sport, r.dport);
  fl.uid = r.listener.uid;
  return routeOutput(r.net, fl);
}

/** SYN-ACK of a request (tcp_v4_send_synack, tcp_make_synack): ID 0, DF. */
export function sendSynack(r: RequestSock): void {
  const { net } = r;
  const { skbs, sim } = net.kernel;
  const d = requestRoute(r);
  if (isErr(d)) return;
  const skb = skbs.alloc();
  skb.dst = d;
  if (r.sntSynack === 0) r.sntSynack = Math.floor(sim.now / 1000);
  const o = skb.head;
  const tsval = (rawTime(net) + r.tsOffset) | 0;
  const mss = dstAdvmss(dstMtu(d));
  const ws = r.wscaleOk ? r.rcvWscale : -1;
  const end = tcp.putSynOptions(skb.buf, o + tcp.HLEN, mss, r.sackOk, r.tstampOk, tsval, r.tsRecent, ws);
  const flags = tcp.SYN | tcp.ACK | (r.ecnOk ? tcp.ECE : 0);
  tcp.write(skb.buf, o, r.sport, r.dport, r.sntIsn, r.rcvNxt, end - o, flags, Math.min(r.rcvWnd, 65535));
  skb.tail = end;
  tcp.fillCsum(skb.buf, o, end, r.saddr, r.daddr);
  skb.cred = r.listener.cred;
  skb.hash = r.txhash;
  ipBuildAndSend(net, skb, r.saddr, r.daddr, ipv4.TCP, r.listener.tos, ttlDefault(net), 0, ipv4.DF);
}

/** SYN-ACK of a socket whose SYN crossed the peer's (tcp_send_synack). */
export function tcpSendSynack(sk: TcpSock): void {
  const s = sk.rtxQueue.head;
  if (s === null) return;
  s.flags |= tcp.ACK;
  transmitSeg(sk, s);
}

/** True when the four numbers are free, or held by a TIME_WAIT that may be taken over (tcp_twsk_unique). */
function tupleUnique(sk: TcpSock, port: number, chosen: boolean): boolean {
  const s: HashSock | null = lookupEstablished(sk.net, sk.daddr, sk.dport, sk.saddr, port);
  if (s === null) return true;
  if (!isTimewait(s) || s.tsRecentStamp === 0) return false;
  if (!chosen) {
    const loopback = s.daddr >>> 24 === 127 || s.saddr >>> 24 === 127;
    const now = Math.floor(sk.net.kernel.sim.now / 1e9) + 1;
    if (!loopback || s.substate === T.FIN_WAIT2 || now <= s.tsRecentStamp) return false;
  }
  const seq = (s.sndNxt + 65537) | 0;
  sk.writeSeq = seq === 0 ? 1 : seq;
  sk.tsRecent = s.tsRecent;
  sk.tsRecentStamp = s.tsRecentStamp;
  s.kill();
  return true;
}

/** connect(): routes, takes a port, sends the SYN (tcp_v4_connect): 0 or a negative errno. */
export function tcpV4Connect(sk: TcpSock, addr: number, port: number): number {
  const { net } = sk;
  const fl = flow.to(addr, sk.saddr).ports(ipv4.TCP, sk.sport, port);
  fl.uid = sk.uid;
  const d = routeOutput(net, fl);
  if (isErr(d)) return d;
  if ((d.flags & RTCF_GROUP) !== 0) return -ENETUNREACH;
  if (sk.saddr === 0) sk.saddr = fl.saddr;
  sk.daddr = addr === 0 ? 0x7f000001 : addr;
  sk.dport = port;
  setState(sk, T.SYN_SENT);
  const chosen = sk.sport !== 0;
  const bad = hashConnect(net, sk, (p) => tupleUnique(sk, p, chosen));
  // The port was not known before (ip_route_newports).
  sk.dst = null;
  const rt = bad !== 0 ? bad : sk.route();
  if (isErr(rt)) {
    setState(sk, T.CLOSE);
    sk.daddr = sk.dport = 0;
    return rt;
  }
  if (sk.writeSeq === 0) sk.writeSeq = secureSeq(net, sk.saddr, sk.daddr, sk.sport, port);
  sk.tsOffset = secureTsOff(net, sk.saddr, sk.daddr);
  sk.inetId = net.kernel.rng('ip-id').u16();
  sk.txhash = T.txRndhash(net);
  connectSyn(sk);
  return 0;
}

/** An MSS as far as the program allows it (tcp_mss_clamp). */
const mssClamp = (sk: TcpSock, mss: number): number => (sk.userMss !== 0 && sk.userMss < mss ? sk.userMss : mss);

/** Prepares the socket and sends its SYN (tcp_connect_init, tcp_connect). */
function connectSyn(sk: TcpSock): void {
  sk.tcpHeaderLen = sk.sysctl('tcp_timestamps', 1) !== 0 ? 32 : 20;
  if (sk.userMss !== 0) sk.mssClamp = sk.userMss;
  sk.maxWindow = 0;
  syncMss(sk, sk.dstMtu);
  sk.advmss = mssClamp(sk, dstAdvmss(sk.dstMtu));
  initializeRcvMss(sk);
  const mss = sk.advmss - (sk.tsRecentStamp !== 0 ? sk.tcpHeaderLen - 20 : 0);
  const w = selectInitialWindow(tcpFullSpace(sk), mss, 0, sk.sysctl('tcp_window_scaling', 1) !== 0);
  sk.rcvWnd = sk.rcvSsthresh = w.rcvWnd;
  sk.windowClamp = w.clamp;
  sk.rcvWscale = w.wscale;
  sk.sndUna = sk.sndSml = sk.sndNxt = sk.writeSeq;
  sk.rto = T.TIMEOUT_INIT;
  const s = new Q.TxSeg();
  s.seq = sk.writeSeq;
  s.endSeq = sk.writeSeq = (sk.writeSeq + 1) | 0;
  s.flags = tcp.SYN | ecnSendSyn(sk);
  s.pcount = 1;
  sk.wmemQueued += T.TX_TRUESIZE;
  T.mstampRefresh(sk);
  sk.retransStamp = T.timeStamp(sk);
  sk.packetsOut = 1;
  sk.rtxQueue.push(s);
  sk.txBase = sk.writeSeq;
  sk.sndNxt = sk.pushedSeq = sk.writeSeq;
  transmitSeg(sk, s);
  s.sentUs = sk.mstampUs;
  resetXmitTimer(sk, T.TIME_RETRANS, sk.rto);
}

/** errno of an ICMP unreachable code (icmp_err_convert). */
const UNREACH_ERRNO = [101, 113, 92, 111, 90, 95, 101, 112, 64, 101, 113, 101, 113, 113, 113, 113];

/** An ICMP error quotes a segment of ours at `inner` (tcp_v4_err); `info` is the MTU of 3/4. */
export function tcpV4Err(net: Netns, skb: Skb, inner: number, type: number, code: number, info: number): void {
  const b = skb.buf;
  const t = inner + ipv4.headerLen(b, inner);
  if (skb.tail - t < 8) return;
  const s = lookupEstablished(net, ipv4.dst(b, inner), tcp.dport(b, t), ipv4.src(b, inner), tcp.sport(b, t));
  if (s === null || isTimewait(s)) return;
  const seq = tcp.seq(b, t);
  if (s.state === T.NEW_SYN_RECV) {
    const r = s as RequestSock;
    if (seq === r.sntIsn && (type === 12 || type === 11 || (type === 3 && code <= 1))) reqskDrop(r);
    return;
  }
  const sk = s as TcpSock;
  if (sk.state === T.CLOSE || tcp.before(seq, sk.sndUna) || tcp.after(seq, sk.sndNxt)) return;
  if (type === 3 && code === 4) return mtuReduced(sk, info);
  if (type === icmp.REDIRECT && !sk.owned) return learnFromError(net, skb, inner, type, code, info);
  let err = 0;
  if (type === 12) err = EPROTO;
  else if (type === 11) err = EHOSTUNREACH;
  else if (type === 3 && code < UNREACH_ERRNO.length) {
    err = UNREACH_ERRNO[code]!;
    if (code <= 1) rtoRevert(sk, seq);
  } else return;
  if (sk.state === T.SYN_SENT || sk.state === T.SYN_RECV) {
    if (!sk.owned) return tcpDoneWithError(sk, err);
    // The error queue wakes the process that is in connect(): SO_ERROR tells it the soft error.
    sk.errSoft = err;
    sk.wake();
    return;
  }
  sk.errSoft = err;
}

/** The path carries less: remember it, cut smaller segments, send again (tcp_v4_mtu_reduced). */
export function mtuReduced(sk: TcpSock, mtu: number): void {
  if (sk.owned) {
    sk.mtuInfo = mtu;
    return;
  }
  updatePmtu(sk.net, sk.daddr, sk.saddr, sk.tos, 0, mtu);
  sk.route();
  if (mtu < sk.dstMtu) sk.errSoft = EMSGSIZE;
  if (sk.pmtuCookie <= sk.dstMtu) return;
  T.mstampRefresh(sk);
  syncMss(sk, sk.dstMtu);
  simpleRetransmit(sk);
}

/** RFC 6069: an unreachable that answers our retransmission takes one backoff back (tcp_ld_RTO_revert). */
function rtoRevert(sk: TcpSock, seq: number): void {
  if (sk.owned || seq !== sk.sndUna || sk.retransmits === 0 || sk.backoff === 0) return;
  const s = sk.rtxQueue.head;
  if (s === null) return;
  sk.backoff--;
  sk.rto = Math.min((sk.srttUs !== 0 ? rtoFromRtt(sk) : T.TIMEOUT_INIT) * 2 ** sk.backoff, T.RTO_MAX);
  T.mstampRefresh(sk);
  const left = sk.rto - usecsToJiffies(sk.mstampUs - s.sentUs);
  if (left > 0) resetXmitTimer(sk, T.TIME_RETRANS, left);
  else retransmitTimer(sk);
}
