/**
 * TCP in conntrack: the state table and its timeouts.
 *
 * Kernel counterpart: net/netfilter/nf_conntrack_proto_tcp.c. Not here: window tracking (nothing is INVALID for its sequence
 * numbers, as with nf_conntrack_tcp_be_liberal).
 * @module
 */
import { pseudo, sum } from '../../../wire/checksum.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { SEC } from '../../sim/sim.js';
import { PRE_ROUTING } from '../core/nf-hook.js';
import { type Conn, CT_KILL, CT_OK, CT_INVALID, CT_REPEAT, S_ASSURED, S_CONFIRMED, S_SEEN_REPLY } from './conntrack.js';

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

/** Seconds a connection stays in each state without a packet. */
export const TCP_TIMEOUTS: readonly number[] = [120, 120, 60, 432000, 120, 60, 30, 120, 10, 120];
const TIMEOUT_UNACK = 300 * SEC;

const SYN = 0;
const SYNACK = 1;
const FIN = 2;
const ACK = 3;
const RST = 4;

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
  return (f & F_ACK) !== 0 ? ACK : 5;
}

/** Header, flag combination and (in PREROUTING) checksum are right (tcp_error). */
export function tcpValid(b: Uint8Array, net: number, th: number, end: number, hook: number): boolean {
  if (end - th < 20) return false;
  const doff = (b[th + 12]! >> 4) << 2;
  if (doff < 20 || th + doff > end) return false;
  if (
    hook === PRE_ROUTING &&
    sum(b, th, end, pseudo(ipv4.src(b, net), ipv4.dst(b, net), ipv4.TCP, end - th)) !== 0xffff
  ) {
    return false;
  }
  return VALID[b[th + 13]! & (F_FIN | F_SYN | F_RST | F_ACK | F_URG)] === 1;
}

/** State of a connection whose first packet this is, or IV (tcp_new); nf_conntrack_tcp_loose is 1. */
export function tcpNew(ct: Conn, b: Uint8Array, th: number): boolean {
  const state = ORIGINAL[flagIndex(b[th + 13]!)]![NO]!;
  if (state >= IV) return false;
  ct.tcpUnack = state === ES;
  return true;
}

/** Advances the state with one packet (nf_conntrack_tcp_packet). */
export function tcpPacket(ct: Conn, b: Uint8Array, th: number, reply: boolean, now: number): number {
  const flags = b[th + 13]!;
  const index = flagIndex(flags);
  const old = ct.tcpState;
  const state = (reply ? REPLY : ORIGINAL)[index]![old]!;
  if (state === IV) return CT_INVALID;
  const dirBit = reply ? 2 : 1;
  if (state === IG) {
    ct.tcpLast = index;
    ct.tcpLastDir = dirBit;
    return CT_OK;
  }
  if (state === SS && old >= TW) {
    // A new connection over the remains of an old one: look up again without it.
    if ((ct.tcpCloseInit & dirBit) !== 0 || (ct.tcpLastDir === dirBit && ct.tcpLast === RST)) return CT_REPEAT;
    ct.tcpLast = index;
    ct.tcpLastDir = dirBit;
    return CT_OK;
  }
  ct.tcpLast = index;
  ct.tcpLastDir = dirBit;
  if (old !== state && state === FW) ct.tcpCloseInit |= dirBit;
  ct.tcpState = state;
  if ((ct.status & S_SEEN_REPLY) === 0) {
    if (index === RST && (ct.status & S_CONFIRMED) !== 0) return CT_KILL;
  } else if ((ct.status & S_ASSURED) === 0 && (old === SR || old === ES) && state === ES) {
    ct.status |= S_ASSURED;
  }
  if (reply) ct.tcpUnack = false;
  let t = TCP_TIMEOUTS[state]! * SEC;
  if (state === ES) t = ct.table.tcpEstablished;
  else if (state === CW) t = ct.table.tcpCloseWait;
  ct.expires = now + (ct.tcpUnack && t > TIMEOUT_UNACK ? TIMEOUT_UNACK : t);
  return CT_OK;
}
