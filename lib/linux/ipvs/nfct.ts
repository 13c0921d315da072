/**
 * IPVS and connection tracking: packets leave it, or (vs.conntrack=1) its entries learn where the reply comes from.
 *
 * Kernel counterparts: net/netfilter/ipvs/ip_vs_nfct.c, ip_vs_notrack of include/net/ip_vs.h. Not here: expectations.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import { CT_IS_REPLY, CT_NONE, type Skb } from '../core/skb.js';
import { S_CONFIRMED, S_DYING } from '../netfilter/ct-conn.js';
import { Tuple } from '../netfilter/ct-tuple.js';
import type { IpvsConn } from './conn.js';
import { MASQ } from './service.js';

/** The packet is not tracked any more (ip_vs_notrack). */
export function notrack(skb: Skb): void {
  if (skb.ct === null) return;
  skb.ct.put();
  skb.ct = null;
  skb.ctinfo = CT_NONE;
  skb.untracked = true;
}

/** True when the entry is tracked and the packet belongs to an older conntrack entry (ip_vs_conn_uses_old_conntrack). */
export const usesOldConntrack = (c: IpvsConn, skb: Skb): boolean =>
  c.nfct && skb.ct !== null && (skb.ct.status & S_CONFIRMED) !== 0;

/**
 * A conntrack entry that is not in the table yet expects the reply from the server, or (`toServer` false, the server
 * began) the client to talk to the virtual address (ip_vs_update_conntrack).
 */
export function updateConntrack(skb: Skb, c: IpvsConn, toServer: boolean): void {
  const { ct } = skb;
  if (ct === null || (ct.status & (S_CONFIRMED | S_DYING)) !== 0) return;
  if (c.fwd !== MASQ || c.onePacket || skb.ctinfo >= CT_IS_REPLY) return;
  const { reply } = ct;
  const ports = reply.proto !== ipv4.ICMP;
  if (toServer) {
    reply.src = c.daddr;
    if (ports) reply.sport = c.dport;
  } else {
    reply.dst = c.vaddr;
    if (ports) reply.dport = c.vport;
  }
}

const probe = new Tuple();

/** The connection has ended: so does its conntrack entry (ip_vs_conn_drop_conntrack). */
export function dropConntrack(net: Netns, c: IpvsConn): void {
  if (c.cport === 0 || net.ct === null) return;
  probe.proto = c.proto;
  probe.src = c.caddr;
  probe.sport = c.cport;
  probe.dst = c.vaddr;
  probe.dport = c.vport;
  const h = net.ct.find(probe);
  if (h !== null) net.ct.remove(h.ct);
}
