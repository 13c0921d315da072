/**
 * struct tcp_sock: every field of one TCP socket, and the small records that hang on it. Behaviour is elsewhere:
 * tcp.ts (calls), tcp-input*.ts, tcp-output.ts, tcp-write.ts, tcp-timer.ts, tcp-ipv4.ts, tcp-minisocks.ts.
 *
 * Times: `…Us` are microseconds, `…J` jiffies, time stamps (tsval) milliseconds; sequence numbers int32.
 * Kernel counterparts: include/linux/tcp.h, include/net/inet_connection_sock.h.
 * @module
 */
import { Timer } from '../../sim/sim.js';
import type { Cred } from '../core/cred.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import type { Dst } from './dst.js';
import type { RequestSock } from './inet-connection-sock.js';
import { TxQueue, type TxSeg } from './tcp-queue.js';
import type { TcpSock } from './tcp.js';

export const ESTABLISHED = 1;
export const SYN_SENT = 2;
export const SYN_RECV = 3;
export const FIN_WAIT1 = 4;
export const FIN_WAIT2 = 5;
export const TIME_WAIT = 6;
export const CLOSE = 7;
export const CLOSE_WAIT = 8;
export const LAST_ACK = 9;
export const LISTEN = 10;
export const CLOSING = 11;
export const NEW_SYN_RECV = 12;
/** States as `ss` prints them. */
export const STATE_NAMES = [
  '', 'ESTAB', 'SYN-SENT', 'SYN-RECV', 'FIN-WAIT-1', 'FIN-WAIT-2', 'TIME-WAIT', 'UNCONN', 'CLOSE-WAIT', 'LAST-ACK', 'LISTEN',
  'CLOSING', 'SYN-RECV',
]; // prettier-ignore

export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;

export const CA_OPEN = 0;
export const CA_DISORDER = 1;
export const CA_CWR = 2;
export const CA_RECOVERY = 3;
export const CA_LOSS = 4;

/** icsk_pending: what the retransmission timer stands for. */
export const TIME_NONE = 0;
export const TIME_RETRANS = 1;
export const TIME_PROBE0 = 3;
export const TIME_LOSS_PROBE = 5;
export const TIME_REO_TIMEOUT = 6;

/** icsk_ack.pending. */
export const ACK_SCHED = 1;
export const ACK_TIMER = 2;
export const ACK_PUSHED = 4;
export const ACK_PUSHED2 = 8;
export const ACK_NOW = 16;

/** TxSeg.sacked. */
export const SACKED_ACKED = 1;
export const SACKED_RETRANS = 2;
export const LOST = 4;
export const EVER_RETRANS = 0x80;
export const RETRANS = SACKED_RETRANS | EVER_RETRANS;

export const NAGLE_OFF = 1;
export const NAGLE_PUSH = 4;

export const MSS_DEFAULT = 536;
export const MIN_MSS = 88;
export const MAX_QUICKACKS = 16;
export const RTO_MIN = 20;
export const RTO_MAX = 12000;
export const TIMEOUT_INIT = 100;
export const DELACK_MIN = 4;
export const DELACK_MAX = 20;
export const ATO_MIN = 4;
export const TIMEWAIT_LEN = 6000;
export const INIT_CWND = 10;
export const INFINITE_SSTHRESH = 0x7fffffff;
export const TSTAMP_ALIGNED = 12;
/** sizeof(struct sk_buff) with its head and shared info for one empty stream skb (SKB_TRUESIZE). */
export const TX_TRUESIZE = 1280;
export const GSO_MAX_SIZE = 65536;
/** net.ipv4.tcp_rmem[2], tcp_wmem[2]: the machine's, not settable here. */
export const RMEM_MAX = 6291456;
export const WMEM_MAX = 4194304;

/**
 * A packet's way takes the kernel some time and podwire none: the least round trip that estimators see, so that what they
 * derive (RTO 210 ms, loss probes) is what the kernel derives.
 */
export const LEAST_RTT_US = 100;

/** The fields of a full socket; TcpSock adds the calls. */
export class TcpState {
  readonly net: Netns;
  state = CLOSE;
  /** Our address and port, the peer's address and port. */
  saddr = 0;
  sport = 0;
  daddr = 0;
  dport = 0;
  /** bind() fixed the address or the port. */
  bindAddr = 0;
  bindPort = 0;
  reuse = false;
  /** SO_LINGER is on, with no time. */
  linger0 = false;
  tos = 0;
  /** User that routing rules ask for (sk_uid). */
  uid = 0;
  /** Who holds it open (sk_socket->file->f_cred); null: nobody, it waits for accept() or has been closed. */
  cred: Cred | null = null;
  /** IP identification of the next packet (inet_id). */
  inetId = 0;
  /** Seconds of silence before probes and between them, 0: no SO_KEEPALIVE. */
  keepidle = 0;
  keepintvl = 0;
  /** What is agreed and pending of explicit congestion notification (tcp-ecn.ts). */
  ecnFlags = 0;
  /** Names the flow to tunnels (sk_txhash). */
  txhash = 0;
  hashNext: unknown = null;
  hashed = false;
  /** A call of the socket's process is under way; packets wait in the backlog (sock_owned_by_user). */
  owned = false;
  backlogHead: Skb | null = null;
  backlogTail: Skb | null = null;
  err = 0;
  errSoft = 0;
  shutdown_ = 0;
  /** No process holds it any more (SOCK_DEAD). */
  dead = false;
  /** FIN received or reset (SOCK_DONE). */
  done = false;

  // listening
  maxAckBacklog = 0;
  readonly acceptQueue: TcpSock[] = [];
  readonly requests = new Set<RequestSock>();
  parent: TcpSock | null = null;

  // receiving
  rcvNxt = 0;
  copiedSeq = 0;
  rcvWup = 0;
  rcvWnd = 0;
  rcvSsthresh = 0;
  windowClamp = 0;
  rcvWscale = 0;
  rcvBuf = 131072;
  rmemAlloc = 0;
  rcvHead: Skb | null = null;
  rcvTail: Skb | null = null;
  ofoHead: Skb | null = null;
  ofoTail: Skb | null = null;
  numSacks = 0;
  readonly selectiveAcks = new Int32Array(8);
  dsack = false;
  readonly duplicateSack = new Int32Array(2);
  predFlags = 0;
  advmss = 0;
  tcpHeaderLen = 20;
  rcvRttUs = 0;
  rcvRttSeq = 0;
  rcvRttTime = 0;
  rcvRttLastTsecr = 0;
  rcvqSpace = 0;
  rcvqSeq = 0;
  rcvqTime = 0;

  // acknowledging (icsk_ack)
  ackPending = 0;
  quick = 0;
  pingpong = 0;
  ato = 0;
  ackTimeoutJ = 0;
  lrcvtimeJ = 0;
  lastSegSize = 0;
  rcvMss = 0;
  compressedAck = 0;
  compressedAckRcvNxt = 0;
  dupAckCounter = 0;
  lastOowAckJ = 0;

  // options
  tstampOk = false;
  sackOk = false;
  wscaleOk = false;
  sndWscale = 0;
  sawTstamp = false;
  rcvTsval = 0;
  rcvTsecr = 0;
  tsRecent = 0;
  tsRecentStamp = 0;
  tsOffset = 0;
  mssClamp = MSS_DEFAULT;
  /** TCP_MAXSEG of the program, 0: none. */
  userMss = 0;

  // sending
  sndUna = 0;
  sndNxt = 0;
  writeSeq = 0;
  pushedSeq = 0;
  sndSml = 0;
  sndWnd = 0;
  sndWl1 = 0;
  maxWindow = 0;
  mssCache = MSS_DEFAULT;
  pmtuCookie = 0;
  /** The route to the peer as it was last looked up (sk_dst_cache); `route` of tcp.ts checks it. */
  dst: Dst | null = null;
  mtuInfo = 0;
  nonagle = 0;
  readonly writeQueue = new TxQueue();
  readonly rtxQueue = new TxQueue();
  tsHead: TxSeg | null = null;
  tsTail: TxSeg | null = null;
  /** Bytes from `txBase` (the sequence number of tx[txOff]) on. */
  tx = new Uint8Array(4096);
  txOff = 0;
  txLen = 0;
  txBase = 0;
  sndBuf = 16384;
  wmemQueued = 0;
  /** Bytes of packets that have not left this machine (sk_wmem_alloc), and what waits for them (sk_tsq_flags). */
  wmemAlloc = 1;
  tsqThrottled = false;
  tsqQueued = false;
  tsqDeferred = false;
  noSpace = false;
  dstConfirm = false;
  bytesAcked = 0;
  dataSegsOut = 0;
  lsndtimeJ = 0;

  // timers
  pending = TIME_NONE;
  timeoutJ = 0;
  rto = TIMEOUT_INIT;
  backoff = 0;
  retransmits = 0;
  totalRetrans = 0;
  probesOut = 0;
  rcvTstampJ = 0;
  readonly writeTimer: Timer;
  readonly delackTimer: Timer;
  readonly keepaliveTimer: Timer;
  readonly compressedAckTimer: Timer;

  // round-trip time
  mstampUs = 0;
  srttUs = 0;
  mdevUs = 1e6;
  mdevMaxUs = 0;
  rttvarUs = 0;
  rttSeq = 0;
  rttMinUs = 0xffffffff;
  /** Bytes a second that the window carries (sk_pacing_rate); paces nothing, but sizes bursts. */
  pacingRate = Number.MAX_SAFE_INTEGER;

  // congestion and loss
  caState = CA_OPEN;
  cwnd = INIT_CWND;
  cwndCnt = 0;
  cwndUsed = 0;
  cwndStampJ = 0;
  cwndUsageSeq = 0;
  maxPacketsOut = 0;
  isCwndLimited = false;
  ssthresh = INFINITE_SSTHRESH;
  priorCwnd = 0;
  priorSsthresh = 0;
  prrDelivered = 0;
  prrOut = 0;
  packetsOut = 0;
  sackedOut = 0;
  lostOut = 0;
  retransOut = 0;
  lost = 0;
  delivered = 0;
  highSeq = 0;
  undoMarker = 0;
  undoRetrans = -1;
  retransStamp = 0;
  retransmitHint: TxSeg | null = null;
  /** First segment not known to be sacked from above (highest_sack); null: snd_nxt. */
  highestSack: TxSeg | null = null;
  reordering = 3;
  reordSeen = 0;
  frto = false;
  isSackReneg = false;
  tlpHighSeq = 0;
  tlpActive = false;
  tlpRetrans = false;
  dsackDups = 0;
  dsackSeen = false;
  rackMstamp = 0;
  rackRttUs = 0;
  rackEndSeq = 0;
  rackAdvanced = false;
  rackReoWndSteps = 1;
  rackReoWndPersist = 0;
  rackDsackSeen = false;
  rackLastDelivered = 0;
  readonly recvSackCache = new Int32Array(8);
  readonly ca = new Float64Array(16);

  constructor(net: Netns, fire: readonly [() => void, () => void, () => void, () => void]) {
    this.net = net;
    this.writeTimer = new Timer(fire[0]);
    this.delackTimer = new Timer(fire[1]);
    this.keepaliveTimer = new Timer(fire[2]);
    this.compressedAckTimer = new Timer(fire[3]);
  }
}

/** Segments believed to be in the network (tcp_packets_in_flight). */
export const packetsInFlight = (sk: TcpState): number => sk.packetsOut - sk.sackedOut - sk.lostOut + sk.retransOut;

/** Bytes the peer may still send by what we advertised last (tcp_receive_window). */
export const receiveWindow = (sk: TcpState): number => Math.max(0, (sk.rcvWup + sk.rcvWnd - sk.rcvNxt) | 0);

/** End of the window the peer advertised (tcp_wnd_end). */
export const wndEnd = (sk: TcpState): number => (sk.sndUna + sk.sndWnd) | 0;

/** tcp_win_from_space with tcp_adv_win_scale 1. */
export const winFromSpace = (space: number): number => space - (space >> 1);

/** A flow hash that is not 0 (net_tx_rndhash). */
export const txRndhash = (net: Netns): number => net.kernel.rng('txhash').u32() | 0 || 1;

export const inPingpong = (sk: TcpState): boolean => sk.pingpong >= 1;

/**
 * Refreshes the socket's clock (tcp_mstamp_refresh). It moves on by a microsecond at least, as the kernel's does while it
 * works: what is sent later has a later time.
 */
export function mstampRefresh(sk: TcpState): void {
  sk.mstampUs = Math.max(Math.floor(sk.net.kernel.sim.now / 1000), sk.mstampUs + 1);
}

/** Microseconds since `stamp`, at least LEAST_RTT_US. */
export const sinceUs = (sk: TcpState, stamp: number): number => Math.max(LEAST_RTT_US, sk.mstampUs - stamp);

/** The millisecond clock behind time stamps, without the connection's offset (tcp_time_stamp). */
export const timeStamp = (sk: TcpState): number => Math.floor(sk.net.kernel.sim.now / 1e6) | 0;
