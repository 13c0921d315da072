/**
 * The windows of a tracked TCP connection: which segments can belong to it.
 *
 * After Guido van Rooij's "Real Stateful TCP Packet Filtering in IP Filter", as the kernel has it: a segment must touch the
 * receiver's window, its acknowledgement must be of data seen and not too old. Sequence numbers are int32.
 * Kernel counterpart: nf_conntrack_proto_tcp.c (tcp_in_window, tcp_options, tcp_sack). Not here: sequence number adjustment.
 * @module
 */
import { i32, u16 } from '../../../wire/bytes.js';
import * as tcp from '../../../wire/tcp.js';

/** Flags of one direction (IP_CT_TCP_FLAG_*). */
export const F_WINDOW_SCALE = 1;
export const F_SACK_PERM = 2;
export const F_CLOSE_INIT = 4;
export const F_BE_LIBERAL = 8;
export const F_DATA_UNACKNOWLEDGED = 16;
export const F_MAXACK_SET = 32;
/** Flags of the connection (IP_CT_EXP_CHALLENGE_ACK, IP_CT_TCP_SIMULTANEOUS_OPEN). */
export const F_CHALLENGE_ACK = 64;
export const F_SIMULTANEOUS_OPEN = 128;

/** What tcpInWindow says. */
export const WINDOW_ACCEPT = 0;
/** Part of the connection, but nothing is learned from it. */
export const WINDOW_IGNORE = 1;
export const WINDOW_INVALID = 2;

const MAXACKWINCONST = 66000;
const MAX_WSCALE = 14;

/** One direction (struct ip_ct_tcp_state). */
export class TcpSeen {
  /** Highest seq + len sent. */
  end = 0;
  /** Highest that the other side allows: ack + window. */
  maxend = 0;
  /** Largest window offered (unsigned), 0: nothing seen. */
  maxwin = 0;
  /** Highest acknowledgement sent. */
  maxack = 0;
  scale = 0;
  flags = 0;

  reset(): void {
    this.end = this.maxend = this.maxwin = this.maxack = this.scale = 0;
    this.flags &= F_BE_LIBERAL;
  }
}

/** TCP's part of a connection (struct ip_ct_tcp). */
export class TcpTrack {
  readonly seen: readonly [TcpSeen, TcpSeen] = [new TcpSeen(), new TcpSeen()];
  state = 0;
  /** Of the last packet: direction, kind (ct-tcp.ts), numbers. */
  lastDir = 0;
  lastIndex = 0;
  lastSeq = 0;
  lastAck = 0;
  lastEnd = 0;
  lastWin = 0;
  retrans = 0;
  lastWscale = 0;
  lastFlags = 0;
}

/** seq + len with SYN and FIN counted (segment_seq_plus_len). */
export function segmentEnd(b: Uint8Array, th: number, end: number): number {
  const f = b[th + tcp.FLAGS]!;
  return (tcp.seq(b, th) + end - th - tcp.headerLen(b, th) + ((f >> 1) & 1) + (f & 1)) | 0;
}

/** Notes window scale and SACK permission of a SYN (tcp_options); a header without options changes nothing. */
export function readSynOptions(b: Uint8Array, th: number, s: TcpSeen): void {
  const stop = th + tcp.headerLen(b, th);
  if (stop === th + tcp.HLEN) return;
  s.scale = 0;
  s.flags &= F_BE_LIBERAL;
  for (let i = th + tcp.HLEN; i < stop;) {
    const kind = b[i]!;
    if (kind === tcp.OPT_EOL) return;
    if (kind === tcp.OPT_NOP) {
      i++;
      continue;
    }
    if (stop - i < 2) return;
    const n = b[i + 1]!;
    if (n < 2 || n > stop - i) return;
    if (kind === tcp.OPT_SACK_PERM && n === 2) s.flags |= F_SACK_PERM;
    else if (kind === tcp.OPT_WSCALE && n === 3) {
      s.scale = Math.min(b[i + 2]!, MAX_WSCALE);
      s.flags |= F_WINDOW_SCALE;
    }
    i += n;
  }
}

/** The highest right edge of the SACK blocks, or `ack` (tcp_sack). */
function highestSack(b: Uint8Array, th: number, ack: number): number {
  const stop = th + tcp.headerLen(b, th);
  let sack = ack;
  for (let i = th + tcp.HLEN; i < stop;) {
    const kind = b[i]!;
    if (kind === tcp.OPT_EOL) return sack;
    if (kind === tcp.OPT_NOP) {
      i++;
      continue;
    }
    if (stop - i < 2) return sack;
    const n = b[i + 1]!;
    if (n < 2 || n > stop - i) return sack;
    if (kind === tcp.OPT_SACK && n >= 10 && (n - 2) % 8 === 0) {
      for (let k = i + 6; k < i + n; k += 8) if (tcp.after(i32(b, k), sack)) sack = i32(b, k);
      return sack;
    }
    i += n;
  }
  return sack;
}

/** The first SYN of a direction (tcp_init_sender). Scaling holds only when both sides offer it. */
function initSender(s: TcpSeen, r: TcpSeen, b: Uint8Array, th: number, end: number, dir: number): void {
  s.end = s.maxend = end;
  s.maxwin = Math.max(1, u16(b, th + tcp.WINDOW));
  readSynOptions(b, th, s);
  if (dir === 1 && (s.flags & r.flags & F_WINDOW_SCALE) === 0) s.scale = r.scale = 0;
}

const before = tcp.before;
const after = tcp.after;

/** The oldest acknowledgement that still counts, less one. */
const lowestAck = (s: TcpSeen, r: TcpSeen): number => (r.end - Math.max(s.maxwin, MAXACKWINCONST) - 1) | 0;

/**
 * Judges a segment of direction `dir` and learns from it (tcp_in_window): WINDOW_*. `isAck` tells that it is a bare
 * acknowledgement (for counting retransmissions), `restart` that a SYN may begin the direction anew.
 */
export function tcpInWindow(
  t: TcpTrack,
  dir: number,
  isAck: boolean,
  b: Uint8Array,
  th: number,
  packetEnd: number,
  liberal: boolean,
): number {
  const s = t.seen[dir]!;
  const r = t.seen[1 - dir]!;
  const f = b[th + tcp.FLAGS]!;
  let seq = tcp.seq(b, th);
  let ack = tcp.ack(b, th);
  let end = segmentEnd(b, th, packetEnd);
  const winRaw = u16(b, th + tcp.WINDOW);
  let sack = (r.flags & F_SACK_PERM) !== 0 ? highestSack(b, th, ack) : ack;
  const syn = (f & tcp.SYN) !== 0;
  const opening = t.state === 1 || t.state === 2;
  if (s.maxwin === 0 && !syn) pickUp(s, r, end, winRaw, sack);
  else if (syn && (s.maxwin === 0 || (after(end, s.end) && opening))) {
    const first = s.maxwin === 0;
    initSender(s, r, b, th, end, dir);
    // Both sides open at once.
    if ((f & tcp.ACK) === 0 && (first || dir === 1)) return WINDOW_ACCEPT;
  }
  const acked = (f & tcp.ACK) !== 0;
  if (!acked || ((f & tcp.RST) !== 0 && ack === 0)) ack = sack = r.end;
  if ((f & tcp.RST) !== 0 && seq === 0 && t.state === 1) seq = end = s.end;
  const verdict = judge(s, r, seq, sack, end, liberal);
  if (verdict >= 0) return verdict;
  learn(s, r, acked, ack, sack, end, syn ? winRaw : winRaw * 2 ** s.scale);
  if (isAck) countRetrans(t, dir, seq, ack, end, winRaw);
  return WINDOW_ACCEPT;
}

/** In the middle of a connection: what is not known is taken from the segment. */
function pickUp(s: TcpSeen, r: TcpSeen, end: number, win: number, sack: number): void {
  s.end = end;
  s.maxwin = Math.max(1, win * 2 ** s.scale);
  s.maxend = (end + s.maxwin) | 0;
  if (r.maxwin === 0) r.end = r.maxend = sack;
  // Likely the answer to a keepalive.
  else if (sack === ((r.end + 1) | 0)) r.end = sack;
}

/** A verdict, or -1 for a segment to learn from. */
function judge(s: TcpSeen, r: TcpSeen, seq: number, sack: number, end: number, liberal: boolean): number {
  const inWindow = r.maxwin === 0 || after(end, (s.end - r.maxwin - 1) | 0);
  if (!before(seq, (s.maxend + 1) | 0)) {
    // More than the receiver allowed, but otherwise right: the answer to it will be.
    const over = (end - s.maxend + 1) >>> 0;
    const excess = r.maxwin !== 0 && inWindow && over <= r.maxwin;
    if (excess && after(sack, lowestAck(s, r)) && before(sack, (r.end + 1) | 0)) {
      s.end = end;
      s.flags |= F_DATA_UNACKNOWLEDGED;
      return liberal ? WINDOW_ACCEPT : WINDOW_IGNORE;
    }
    return liberal ? WINDOW_ACCEPT : WINDOW_INVALID;
  }
  if (!before(sack, (r.end + 1) | 0)) return liberal ? WINDOW_ACCEPT : WINDOW_INVALID;
  if (!inWindow || !after(sack, lowestAck(s, r))) return liberal ? WINDOW_ACCEPT : WINDOW_IGNORE;
  return -1;
}

function learn(s: TcpSeen, r: TcpSeen, acked: boolean, ack: number, sack: number, end: number, win: number): void {
  const swin = (win + (sack - ack)) >>> 0;
  if (s.maxwin < swin) s.maxwin = swin;
  if (after(end, s.end)) {
    s.end = end;
    s.flags |= F_DATA_UNACKNOWLEDGED;
  }
  if (acked && ((s.flags & F_MAXACK_SET) === 0 || after(ack, s.maxack))) {
    s.maxack = ack;
    s.flags |= F_MAXACK_SET;
  }
  if (r.maxwin !== 0 && after(end, s.maxend)) r.maxwin = (r.maxwin + ((end - s.maxend) | 0)) >>> 0;
  if (after((sack + win) | 0, (r.maxend - 1) | 0)) r.maxend = (sack + win + (win === 0 ? 1 : 0)) | 0;
  if (ack === r.end) r.flags &= ~F_DATA_UNACKNOWLEDGED;
}

function countRetrans(t: TcpTrack, dir: number, seq: number, ack: number, end: number, win: number): void {
  if (t.lastDir === dir && t.lastSeq === seq && t.lastAck === ack && t.lastEnd === end && t.lastWin === win) {
    t.retrans = (t.retrans + 1) & 255;
    return;
  }
  t.lastDir = dir;
  t.lastSeq = seq;
  t.lastAck = ack;
  t.lastEnd = end;
  t.lastWin = win;
  t.retrans = 0;
}
