/**
 * Connection requests of a listener: a SYN has come, the answer is on its way, no socket exists yet.
 *
 * Kernel counterparts: net/ipv4/inet_connection_sock.c, include/net/request_sock.h. Not here: SYN cookies (a listener whose
 * request queue overflows drops SYNs), TCP_DEFER_ACCEPT, Fast Open.
 * @module
 */
import { Timer } from '../../sim/sim.js';
import { jiffies, modTimer } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import { ehashInsert, ehashRemove } from './inet-hashtables.js';
import { sendSynack } from './tcp-ipv4.js';
import * as T from './tcp-sock.js';
import type { TcpSock } from './tcp.js';

const SYNACK_RETRIES = 5;

/** tcp_request_sock. */
export class RequestSock {
  readonly state = T.NEW_SYN_RECV;
  readonly net: Netns;
  readonly listener: TcpSock;
  readonly saddr: number;
  readonly sport: number;
  readonly daddr: number;
  readonly dport: number;
  hashNext: unknown = null;
  hashed = false;
  rcvIsn = 0;
  sntIsn = 0;
  rcvNxt = 0;
  /** The peer's MSS. */
  mss = T.MSS_DEFAULT;
  tsRecent = 0;
  tsOffset = 0;
  tstampOk = false;
  sackOk = false;
  wscaleOk = false;
  sndWscale = 0;
  rcvWscale = 0;
  rcvWnd = 0;
  windowClamp = 0;
  numTimeout = 0;
  numRetrans = 0;
  /** First SYN-ACK's time in µs. */
  sntSynack = 0;
  /** The last ACK of the handshake came while the accept queue was full. */
  acked = false;
  lastOowAckJ = 0;
  txhash = 0;
  ecnOk = false;
  readonly timer: Timer;

  constructor(listener: TcpSock, saddr: number, sport: number, daddr: number, dport: number) {
    this.net = listener.net;
    this.listener = listener;
    this.saddr = saddr;
    this.sport = sport;
    this.daddr = daddr;
    this.dport = dport;
    this.timer = new Timer(() => timeout(this));
  }
}

/** True when no further child fits into the accept queue (sk_acceptq_is_full). */
export const acceptqFull = (sk: TcpSock): boolean => sk.acceptQueue.length > sk.maxAckBacklog;

/** True when no further request fits (inet_csk_reqsk_queue_is_full). */
export const reqskFull = (sk: TcpSock): boolean => sk.requests.size > sk.maxAckBacklog;

const timeoutOf = (r: RequestSock): number => Math.min(T.TIMEOUT_INIT * 2 ** r.numTimeout, T.RTO_MAX);

/** Registers a request and starts its timer (inet_csk_reqsk_queue_hash_add). */
export function reqskAdd(r: RequestSock): void {
  r.listener.requests.add(r);
  ehashInsert(r.net, r);
  const { sim } = r.net.kernel;
  modTimer(sim, r.timer, jiffies(sim) + T.TIMEOUT_INIT);
}

/** Ends a request (inet_csk_reqsk_queue_drop). */
export function reqskDrop(r: RequestSock): void {
  r.listener.requests.delete(r);
  ehashRemove(r.net, r);
  r.net.kernel.sim.cancel(r.timer);
}

/** Sends the SYN-ACK again, as a flow that tunnels may take elsewhere (tcp_rtx_synack). */
function rtxSynack(r: RequestSock): void {
  r.numRetrans++;
  r.txhash = T.txRndhash(r.net);
  sendSynack(r);
}

/** Sends the SYN-ACK again (inet_rtx_syn_ack) and restarts the timer, for a SYN that came again. */
export function reqskResend(r: RequestSock): void {
  rtxSynack(r);
  const { sim } = r.net.kernel;
  modTimer(sim, r.timer, jiffies(sim) + timeoutOf(r));
}

/** No answer to the SYN-ACK: again, up to five times (reqsk_timer_handler). */
function timeout(r: RequestSock): void {
  const sk = r.listener;
  let retries = sk.sysctl('tcp_synack_retries', SYNACK_RETRIES);
  if (sk.requests.size * 2 > Math.max(8, sk.maxAckBacklog)) {
    let young = 0;
    for (const q of sk.requests) if (q.numTimeout === 0) young += 2;
    for (; retries > 2 && sk.requests.size >= young; retries--) young *= 2;
  }
  if (sk.state !== T.LISTEN || r.numTimeout >= retries) return reqskDrop(r);
  rtxSynack(r);
  r.numTimeout++;
  const { sim } = r.net.kernel;
  modTimer(sim, r.timer, jiffies(sim) + timeoutOf(r));
}
