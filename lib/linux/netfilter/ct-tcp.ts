/**
 * TCP in conntrack: the state table, what it lets pass without believing it, and the timeouts.
 *
 * Kernel counterpart: net/netfilter/nf_conntrack_proto_tcp.c; its windows are in ct-tcp-window.ts. Not here: SYN proxy, early
 * drop of connections that are closing.
 * @module
 */
import { pseudo, sum } from '../../../wire/checksum.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { u16 } from '../../../wire/bytes.js';
import * as tcp from '../../../wire/tcp.js';
import type { CtConfig } from './ct-config.js';
import { TCP_RETRANS, TCP_UNACK } from './ct-config.js';
import {
  type Conn, CT_INVALID, CT_KILL, CT_OK, CT_REPEAT, IPCT_ASSURED, IPCT_PROTOINFO, S_ASSURED, S_FIXED_TIMEOUT,
  S_SEEN_REPLY,
} from './ct-conn.js'; // prettier-ignore
import {
  F_BE_LIBERAL, F_CHALLENGE_ACK, F_CLOSE_INIT, F_DATA_UNACKNOWLEDGED, F_MAXACK_SET, F_SACK_PERM, F_SIMULTANEOUS_OPEN,
  F_WINDOW_SCALE, readSynOptions, segmentEnd, tcpInWindow, TcpSeen, TcpTrack, WINDOW_IGNORE, WINDOW_INVALID,
} from './ct-tcp-window.js'; // prettier-ignore

export const TCP_STATES = [
  'NONE', 'SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT', 'CLOSE', 'SYN_SENT2',
] as const; // prettier-ignore
const NO = 0;
const SS = 1;
const SR = 2;
const ES = 3;
const FW = 4;
const CW = 5;
const LA = 6;
const TW = 7;
const CL = 8;
const S2 = 9;
const IV = 10;
const IG = 11;

/** Kinds of segments (enum tcp_bit_set). */
const SYN = 0;
const SYNACK = 1;
const FIN = 2;
const ACK = 3;
const RST = 4;
const NONE = 5;

/** Rows SYN, SYN+ACK, FIN, ACK, RST, none; columns the present state. */
const ORIGINAL: readonly (readonly number[])[] = [
  [SS, SS, IG, IG, IG, IG, IG, SS, SS, S2],
  [IV, IV, SR, IV, IV, IV, IV, IV, IV, SR],
  [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
  [ES, IV, ES, ES, CW, CW, TW, TW, CL, IV],
  [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
  [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];
const REPLY: readonly (readonly number[])[] = [
  [IV, S2, IV, IV, IV, IV, IV, SS, IV, S2],
  [IV, SR, IG, IG, IG, IG, IG, IG, IG, SR],
  [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
  [IV, IG, SR, ES, CW, CW, TW, TW, CL, IG],
  [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
  [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];

const F_FIN = 1;
const F_SYN = 2;
const F_RST = 4;
const F_ACK = 16;
const F_URG = 32;
const VALID_FLAGS = [
  F_SYN, F_SYN | F_URG, F_SYN | F_ACK, F_RST, F_RST | F_ACK, F_FIN | F_ACK, F_FIN | F_ACK | F_URG, F_ACK, F_ACK | F_URG,
]; // prettier-ignore
const VALID = new Uint8Array(64);
for (const f of VALID_FLAGS) VALID[f] = 1;

function flagIndex(f: number): number {
  if ((f & F_RST) !== 0) return RST;
  if ((f & F_SYN) !== 0) return (f & F_ACK) !== 0 ? SYNACK : SYN;
  if ((f & F_FIN) !== 0) return FIN;
  return (f & F_ACK) !== 0 ? ACK : NONE;
}

/** Header, flag combination and (where `verify`) checksum are right (tcp_error). */
export function tcpValid(b: Uint8Array, net: number, th: number, end: number, verify: boolean): boolean {
  if (end - th < 20) return false;
  const doff = (b[th + 12]! >> 4) << 2;
  if (doff < 20 || th + doff > end) return false;
  if (verify && sum(b, th, end, pseudo(ipv4.src(b, net), ipv4.dst(b, net), ipv4.TCP, end - th)) !== 0xffff)
    return false;
  return VALID[b[th + 13]! & (F_FIN | F_SYN | F_RST | F_ACK | F_URG)] === 1;
}

/** Begins a connection with its first packet (tcp_new); false when that cannot begin one. */
export function tcpNew(ct: Conn, b: Uint8Array, th: number, end: number, cfg: CtConfig): boolean {
  const state = ORIGINAL[flagIndex(b[th + 13]!)]![NO]!;
  if (state >= IV) return false;
  if (state !== SS && cfg.tcpLoose === 0) return false;
  const t = new TcpTrack();
  const s = t.seen[0];
  s.end = segmentEnd(b, th, end);
  s.maxwin = Math.max(1, u16(b, th + tcp.WINDOW));
  s.maxend = s.end;
  if (state === SS) readSynOptions(b, th, s);
  else {
    s.maxend = (s.end + s.maxwin) | 0;
    // Its history is lost: window scaling is unknown.
    s.flags = t.seen[1].flags = F_SACK_PERM | F_BE_LIBERAL;
  }
  t.lastIndex = NONE;
  ct.tcp = t;
  return true;
}

/** Advances the state with one packet of `reply`'s direction (nf_conntrack_tcp_packet). */
export function tcpPacket(
  ct: Conn,
  b: Uint8Array,
  th: number,
  end: number,
  reply: boolean,
  now: number,
  cfg: CtConfig,
): number {
  const t = ct.tcp!;
  const dir = reply ? 1 : 0;
  const index = flagIndex(b[th + 13]!);
  let old = t.state;
  let state = (reply ? REPLY : ORIGINAL)[index]![old]!;
  if (state === IV) return CT_INVALID;
  if (state === SS && old >= TW) {
    // A new connection over the remains of an old one: look up again without it.
    const closed = ((t.seen[0].flags | t.seen[1].flags) & F_CLOSE_INIT) !== 0;
    if (closed || (t.lastDir === dir && t.lastIndex === RST)) return CT_REPEAT;
    state = IG;
  }
  let check = true;
  if (state === IG) {
    if (!answersIgnoredSyn(t, b, th, dir, index)) return ignore(t, b, th, end, dir, index, old);
    old = SS;
    state = SR;
  } else if (state === TW && old === LA && challengeAck(t, dir, index)) {
    t.lastFlags &= ~F_CHALLENGE_ACK;
    return CT_OK;
  } else if (state === S2) t.lastFlags |= F_SIMULTANEOUS_OPEN;
  else if (state === SR && dir === 1 && index === ACK && (t.lastFlags & F_SIMULTANEOUS_OPEN) !== 0) state = ES;
  else if (state === CL && index === RST) {
    const r = reset(ct, t, b, th, dir, old, cfg);
    if (r === RST_INVALID) return CT_INVALID;
    if (r === RST_KEEP) state = old;
    else check = r !== RST_BELIEVED;
    if (check && r !== RST_CHECK && resetOfIgnored(ct, t, b, th, dir, old)) check = false;
  }
  if (check) {
    const liberal = cfg.tcpBeLiberal !== 0 || (t.seen[dir]!.flags & F_BE_LIBERAL) !== 0;
    const w = tcpInWindow(t, dir, index === ACK, b, th, end, liberal);
    if (w === WINDOW_IGNORE) return CT_OK;
    if (w === WINDOW_INVALID) {
      outOfWindow(ct, t, dir, index, now, cfg);
      return CT_INVALID;
    }
  }
  return accept(ct, t, dir, index, old, state, now, cfg);
}

/** The server answers a SYN that was ignored: both ends are in sync, and now conntrack is too. */
function answersIgnoredSyn(t: TcpTrack, b: Uint8Array, th: number, dir: number, index: number): boolean {
  if (index !== SYNACK || t.lastIndex !== SYN || t.lastDir === dir || tcp.ack(b, th) !== t.lastEnd) return false;
  const s = t.seen[t.lastDir]!;
  s.end = s.maxend = t.lastEnd;
  s.maxwin = t.lastWin === 0 ? 1 : t.lastWin;
  s.scale = t.lastWscale;
  t.lastFlags &= ~F_CHALLENGE_ACK;
  s.flags = t.lastFlags;
  t.seen[dir]!.reset();
  return true;
}

const scratch = new TcpSeen();

/** Lets a packet pass that says nothing yet, but is remembered. */
function ignore(t: TcpTrack, b: Uint8Array, th: number, end: number, dir: number, index: number, old: number): number {
  t.lastIndex = index;
  t.lastDir = dir;
  t.lastSeq = tcp.seq(b, th);
  t.lastEnd = segmentEnd(b, th, end);
  t.lastWin = u16(b, th + tcp.WINDOW);
  if (index === SYN && dir === 0) {
    scratch.flags = scratch.scale = 0;
    readSynOptions(b, th, scratch);
    t.lastFlags = scratch.flags & (F_WINDOW_SCALE | F_SACK_PERM);
    t.lastWscale = (scratch.flags & F_WINDOW_SCALE) !== 0 ? scratch.scale : 0;
    // The answer may be a challenge ACK, which would look like the last one.
    if (old === LA) t.lastFlags |= F_CHALLENGE_ACK;
  }
  if (old === SS && index === ACK && dir === 1) t.lastAck = tcp.ack(b, th);
  return CT_OK;
}

const challengeAck = (t: TcpTrack, dir: number, index: number): boolean =>
  index === ACK && t.lastDir !== dir && t.lastIndex === SYN && (t.lastFlags & F_CHALLENGE_ACK) !== 0;

/** What becomes of a reset: its window is looked at, it is believed as it is, it is INVALID, or the state stays. */
const RST_CHECK = 0;
const RST_BELIEVED = 1;
const RST_INVALID = 2;
const RST_KEEP = 3;
const RST_MORE = 4;

/** A reset must have the number the other side acknowledged last (RFC 5961). */
function reset(ct: Conn, t: TcpTrack, b: Uint8Array, th: number, dir: number, old: number, cfg: CtConfig): number {
  if (old === FW || old === LA || old === TW || old === CL || old === CW) return RST_BELIEVED;
  const o = t.seen[1 - dir]!;
  if ((o.flags & F_MAXACK_SET) === 0 || t.lastIndex === SYN) return RST_MORE;
  const seq = tcp.seq(b, th);
  // nf_conntrack_tcp_established
  const established = old === ES && (ct.status & S_ASSURED) !== 0;
  if (seq === 0 && !established) return RST_CHECK;
  if (tcp.before(seq, o.maxack) && cfg.tcpIgnoreInvalidRst === 0) return RST_INVALID;
  if (!established || seq === o.maxack) return RST_CHECK;
  if (t.lastIndex === ACK && t.lastDir === dir && seq === t.lastEnd) return RST_CHECK;
  return RST_KEEP;
}

/** A reset that answers a SYN or ACK which conntrack had let through. */
function resetOfIgnored(ct: Conn, t: TcpTrack, b: Uint8Array, th: number, dir: number, old: number): boolean {
  const ofSyn = (ct.status & S_SEEN_REPLY) !== 0 && t.lastIndex === SYN && t.lastDir !== dir;
  const ofAck = (ct.status & S_ASSURED) === 0 && t.lastIndex === ACK;
  if ((ofSyn || ofAck) && tcp.ack(b, th) === t.lastEnd) return true;
  return old === SS && t.lastIndex === ACK && t.lastDir === 1 && tcp.seq(b, th) === t.lastAck;
}

/** FIN or RST out of window on both sides: the connection does not stay for days (nf_tcp_handle_invalid). */
function outOfWindow(ct: Conn, t: TcpTrack, dir: number, index: number, now: number, cfg: CtConfig): void {
  if ((ct.status & S_ASSURED) === 0 || (ct.status & S_FIXED_TIMEOUT) !== 0) return;
  if (index !== RST && index !== FIN) return;
  if (t.lastDir === dir || (t.lastIndex !== FIN && t.lastIndex !== RST)) {
    t.lastIndex = index;
    t.lastDir = dir;
    return;
  }
  const left = ct.expires - now;
  if (left >= 120e9 && left > cfg.tcp[TCP_UNACK]!) ct.expires = now + cfg.tcp[TCP_UNACK]!;
}

/** A packet in its window: the new state and its timeout. */
function accept(
  ct: Conn,
  t: TcpTrack,
  dir: number,
  index: number,
  old: number,
  state: number,
  now: number,
  cfg: CtConfig,
): number {
  t.lastIndex = index;
  t.lastDir = dir;
  t.state = state;
  if (old !== state) {
    if (state === FW) t.seen[dir]!.flags |= F_CLOSE_INIT;
    ct.event(IPCT_PROTOINFO);
  }
  let timeout = timeoutOf(t, state, index, cfg);
  if ((ct.status & S_SEEN_REPLY) === 0) {
    if (index === RST) return CT_KILL;
    // A SYN sent again does not keep the entry.
    if (index === SYN && old === SS) return CT_OK;
    if (state === ES) timeout = Math.min(timeout, cfg.tcp[TCP_UNACK]!);
  } else if ((ct.status & S_ASSURED) === 0 && (old === SR || old === ES) && state === ES) {
    ct.status |= S_ASSURED;
    ct.event(IPCT_ASSURED);
  }
  ct.refresh(now + timeout);
  return CT_OK;
}

function timeoutOf(t: TcpTrack, state: number, index: number, cfg: CtConfig): number {
  const normal = cfg.tcp[state]!;
  const retrans = cfg.tcp[TCP_RETRANS]!;
  const unack = cfg.tcp[TCP_UNACK]!;
  if (t.retrans >= cfg.tcpMaxRetrans && normal > retrans) return retrans;
  if (index === RST) return cfg.tcp[CL]!;
  if (((t.seen[0].flags | t.seen[1].flags) & F_DATA_UNACKNOWLEDGED) !== 0 && normal > unack) return unack;
  return t.lastWin === 0 && normal > retrans ? retrans : normal;
}

/** The other side is told that the connection is over (nf_conntrack_tcp_set_closing): CLOSE, with its timeout. */
export function tcpSetClosing(ct: Conn): void {
  const t = ct.tcp;
  if (t === null) return;
  const old = t.state;
  t.state = CL;
  if (old === CL || (ct.status & S_FIXED_TIMEOUT) !== 0) return;
  ct.expires = ct.table.net.kernel.sim.now + ct.table.config.tcp[CL]!;
}
