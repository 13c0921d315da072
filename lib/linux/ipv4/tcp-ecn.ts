/**
 * Explicit congestion notification (RFC 3168): who agrees to it, marks on what is sent, echoes of marks that came.
 *
 * Kernel counterpart: the tcp_ecn_* functions of net/ipv4/tcp_input.c and tcp_output.c. Not here: routes with the ecn feature,
 * congestion control that needs ECN, AccECN.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import { CWR, ECE } from '../../../wire/tcp.js';
import type { Skb } from '../core/skb.js';
import type { TcpSock } from './tcp.js';

/** tp->ecn_flags. */
export const ECN_OK = 1;
const ECN_QUEUE_CWR = 2;
const ECN_DEMAND_CWR = 4;
const ECN_SEEN = 8;

/** The ECN bits of IP's TOS. */
const ECN_MASK = 3;
const ECT_0 = 2;
const CE = 3;

/** Flags a SYN carries besides SYN (tcp_ecn_send_syn): with tcp_ecn 1 it asks for ECN. */
export function ecnSendSyn(sk: TcpSock): number {
  const ask = sk.sysctl('tcp_ecn', 2) === 1;
  sk.ecnFlags = ask ? ECN_OK : 0;
  return ask ? ECE | CWR : 0;
}

/** Whether a SYN's flags and TOS ask a listener for ECN, and this namespace agrees (tcp_ecn_create_request). */
export const ecnCreateRequest = (sk: TcpSock, flags: number, tos: number): boolean =>
  (flags & (ECE | CWR)) === (ECE | CWR) && (tos & ECN_MASK) === 0 && sk.sysctl('tcp_ecn', 2) !== 0;

/** The answer to our SYN agrees, or does not (tcp_ecn_rcv_synack). */
export function ecnRcvSynack(sk: TcpSock, flags: number): void {
  if ((flags & (ECE | CWR)) !== ECE) sk.ecnFlags &= ~ECN_OK;
}

/** The peer's SYN crossed ours (tcp_ecn_rcv_syn). */
export function ecnRcvSyn(sk: TcpSock, flags: number): void {
  if ((flags & (ECE | CWR)) !== (ECE | CWR)) sk.ecnFlags &= ~ECN_OK;
}

/** Marks the socket's packets for a segment about to go out, `fresh`: new data; returns flags to add (tcp_ecn_send). */
export function ecnSend(sk: TcpSock, fresh: boolean): number {
  if ((sk.ecnFlags & ECN_OK) === 0) return 0;
  let flags = 0;
  sk.tos &= ~ECN_MASK;
  if (fresh) {
    sk.tos |= ECT_0;
    if ((sk.ecnFlags & ECN_QUEUE_CWR) !== 0) flags |= CWR;
    sk.ecnFlags &= ~ECN_QUEUE_CWR;
  }
  return (sk.ecnFlags & ECN_DEMAND_CWR) !== 0 ? flags | ECE : flags;
}

/** The window has been reduced: the next new data says so (tcp_ecn_queue_cwr); or that was undone. */
export function ecnQueueCwr(sk: TcpSock): void {
  if ((sk.ecnFlags & ECN_OK) !== 0) sk.ecnFlags |= ECN_QUEUE_CWR;
}
export function ecnWithdrawCwr(sk: TcpSock): void {
  sk.ecnFlags &= ~ECN_QUEUE_CWR;
}

/** The peer says that it has reduced its window: no more echoes; true to acknowledge at once (tcp_ecn_accept_cwr). */
export function ecnAcceptCwr(sk: TcpSock, flags: number, hasData: boolean): boolean {
  if ((flags & CWR) === 0) return false;
  sk.ecnFlags &= ~ECN_DEMAND_CWR;
  return hasData;
}

/** True when an ACK echoes congestion (tcp_ecn_rcv_ecn_echo). */
export const ecnEcho = (sk: TcpSock, flags: number): boolean => (flags & ECE) !== 0 && (sk.ecnFlags & ECN_OK) !== 0;

/** Data came with these marks; true to acknowledge quickly for a while (tcp_ecn_check_ce). */
export function ecnCheckCe(sk: TcpSock, skb: Skb): boolean {
  if ((sk.ecnFlags & ECN_OK) === 0) return false;
  const mark = ipv4.tos(skb.buf, skb.net) & ECN_MASK;
  if (mark === 0) return (sk.ecnFlags & ECN_SEEN) !== 0;
  sk.ecnFlags |= ECN_SEEN;
  if (mark !== CE || (sk.ecnFlags & ECN_DEMAND_CWR) !== 0) return false;
  sk.ecnFlags |= ECN_DEMAND_CWR;
  return true;
}
