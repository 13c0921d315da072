/**
 * The state of a packet's connection as rules ask for it.
 *
 * Kernel counterpart: net/netfilter/xt_conntrack.c (XT_CONNTRACK_STATE_*).
 * @module
 */
import { CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_NEW, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { S_DST_NAT, S_SRC_NAT } from './ct-conn.js';

/** Bits of --ctstate and --state. */
export const ST_INVALID = 1;
export const ST_NEW = 2;
export const ST_RELATED = 4;
export const ST_ESTABLISHED = 8;
export const ST_UNTRACKED = 16;
export const ST_SNAT = 32;
export const ST_DNAT = 64;

/** The one state of a packet, without what NAT adds. */
export function stateBit(skb: Skb): number {
  if (skb.untracked) return ST_UNTRACKED;
  if (skb.ct === null) return ST_INVALID;
  switch (skb.ctinfo) {
    case CT_NEW:
      return ST_NEW;
    case CT_ESTABLISHED:
    case CT_ESTABLISHED_REPLY:
      return ST_ESTABLISHED;
    case CT_RELATED:
    case CT_RELATED_REPLY:
      return ST_RELATED;
    default:
      return ST_INVALID;
  }
}

/** Its state, and whether its connection is translated (the bits of --ctstate). */
export function ctStates(skb: Skb): number {
  let bit = stateBit(skb);
  if (skb.ct !== null) {
    if ((skb.ct.status & S_SRC_NAT) !== 0) bit |= ST_SNAT;
    if ((skb.ct.status & S_DST_NAT) !== 0) bit |= ST_DNAT;
  }
  return bit;
}
