/**
 * Where a connection was to go before DNAT or REDIRECT on this machine: SO_ORIGINAL_DST.
 *
 * Kernel counterpart: nf_conntrack_proto.c (getorigdst).
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import type { TcpState } from '../ipv4/tcp-sock.js';
import { conntrack } from './conntrack.js';
import { Tuple } from './ct-tuple.js';

const probe = new Tuple();

/** The destination of the connection's first packet; null where no connection of the socket's numbers is tracked (ENOENT). */
export function originalDst(sk: TcpState): { address: number; port: number } | null {
  probe.src = sk.saddr;
  probe.sport = sk.sport;
  probe.dst = sk.daddr;
  probe.dport = sk.dport;
  probe.proto = ipv4.TCP;
  const ct = conntrack(sk.net).find(probe)?.ct;
  return ct === undefined ? null : { address: ct.orig.dst, port: ct.orig.dport };
}
