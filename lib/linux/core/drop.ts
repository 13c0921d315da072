/**
 * The end of a packet that is not delivered: one reason, counted per namespace, told to the tracer.
 *
 * Names follow the kernel's SKB_DROP_REASON_* (include/net/dropreason-core.h).
 * @module
 */
import type { Netns } from './netns.js';
import type { Skb } from './skb.js';

export const REASONS = [
  'NOT_SPECIFIED', 'NO_SOCKET', 'PKT_TOO_SMALL', 'UDP_CSUM', 'TCP_CSUM', 'SOCKET_FILTER', 'OTHERHOST', 'IP_CSUM',
  'IP_INHDR', 'IP_RPFILTER', 'UNICAST_IN_L2_MULTICAST', 'NETFILTER_DROP', 'IP_OUTNOROUTES', 'IP_INNOROUTES',
  'IP_INADDRERRORS', 'NEIGH_CREATEFAIL', 'NEIGH_FAILED', 'NEIGH_QUEUEFULL', 'NEIGH_DEAD', 'DEV_HDR', 'DEV_READY',
  'PKT_TOO_BIG', 'ICMP_CSUM', 'UNHANDLED_PROTO', 'IP_NOPROTO', 'NOMEM', 'BRIDGE_NO_PORT', 'BRIDGE_HAIRPIN',
  'TTL_EXCEEDED', 'IPVS_NO_DEST', 'ARP_IGNORED', 'SOCKET_RCVBUFF', 'CONSUMED',
  'TCP_FLAGS', 'TCP_ZEROWINDOW', 'TCP_OLD_DATA', 'TCP_OVERWINDOW', 'TCP_OFOMERGE', 'TCP_OFO_DROP', 'TCP_RFC7323_PAWS',
  'TCP_INVALID_SEQUENCE', 'TCP_RESET', 'TCP_INVALID_SYN', 'TCP_CLOSE', 'TCP_TOO_OLD_ACK', 'TCP_ACK_UNSENT_DATA', 'PROTO_MEM',
  'FRAG_REASM_TIMEOUT', 'FRAG_TOO_FAR', 'DUP_FRAG', 'FRAG_OVERLAP', 'INVALID_PROTO', 'IP_OPTIONS',
  'QDISC_DROP',
] as const; // prettier-ignore
export type DropReason = (typeof REASONS)[number];

/** Drops a packet for a reason and frees it. */
export function drop(net: Netns, skb: Skb, reason: DropReason): void {
  net.drops.set(reason, (net.drops.get(reason) ?? 0) + 1);
  if (net.kernel.tracer !== null) net.kernel.tracer.drop(net, skb, reason);
  net.kernel.skbs.free(skb);
}
