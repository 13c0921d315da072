/**
 * Matches on the connection of a packet: conntrack, state, connmark.
 *
 * Kernel counterparts: net/netfilter/xt_conntrack.c, xt_state.c, xt_connmark.c.
 * @module
 */
import { SEC } from '../../sim/sim.js';
import { CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_NEW, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { isReply } from './conntrack.js';
import { type Conn, S_CONFIRMED, S_DST_NAT, S_SRC_NAT } from './ct-conn.js';
import { type Match } from './xtables.js';
import { inRange } from './xt-match-proto.js';

/** Bits of --ctstate and --state. */
export const ST_INVALID = 1;
export const ST_NEW = 2;
export const ST_RELATED = 4;
export const ST_ESTABLISHED = 8;
export const ST_UNTRACKED = 16;
export const ST_SNAT = 32;
export const ST_DNAT = 64;

function stateBit(skb: Skb): number {
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

/** -m state. */
export class StateMatch implements Match {
  readonly name = 'state';
  readonly pure = true;
  readonly needsConntrack = true;
  states = 0;
  inv = false;

  match(skb: Skb): boolean {
    return ((stateBit(skb) & this.states) !== 0) !== this.inv;
  }
}

/** One address test of -m conntrack. */
export interface CtAddr {
  addr: number;
  mask: number;
  inv: boolean;
}

/** One port test of -m conntrack. */
export interface CtPort {
  min: number;
  max: number;
  inv: boolean;
}

/** -m conntrack. */
export class ConntrackMatch implements Match {
  readonly name = 'conntrack';
  readonly pure = true;
  readonly needsConntrack = true;
  states = 0;
  statesInv = false;
  proto = 0;
  protoInv = false;
  origSrc: CtAddr | null = null;
  origDst: CtAddr | null = null;
  replSrc: CtAddr | null = null;
  replDst: CtAddr | null = null;
  origSport: CtPort | null = null;
  origDport: CtPort | null = null;
  replSport: CtPort | null = null;
  replDport: CtPort | null = null;
  /** Bits of Conn.status, 0 for NONE; null: not asked. */
  status: number | null = null;
  statusInv = false;
  /** Seconds left. */
  expire: CtPort | null = null;
  /** 0 not asked, 1 ORIGINAL, 2 REPLY. */
  dir = 0;

  match(skb: Skb): boolean {
    const { ct } = skb;
    if (this.states !== 0) {
      let bit = stateBit(skb);
      if (ct !== null) {
        if ((ct.status & S_SRC_NAT) !== 0) bit |= ST_SNAT;
        if ((ct.status & S_DST_NAT) !== 0) bit |= ST_DNAT;
      }
      if (((bit & this.states) !== 0) === this.statesInv) return false;
    }
    // Without an entry only the state counts, and nothing else is looked at.
    if (ct === null) return this.states !== 0;
    if (this.dir !== 0 && isReply(skb) !== (this.dir === 2)) return false;
    const { orig, reply } = ct;
    if (!addrOk(this.origSrc, orig.src) || !addrOk(this.origDst, orig.dst)) return false;
    if (!addrOk(this.replSrc, reply.src) || !addrOk(this.replDst, reply.dst)) return false;
    if (this.proto !== 0 && (orig.proto === this.proto) === this.protoInv) return false;
    if (!portOk(this.origSport, orig.sport) || !portOk(this.origDport, orig.dport)) return false;
    if (!portOk(this.replSport, reply.sport) || !portOk(this.replDport, reply.dport)) return false;
    if (this.status !== null && ((ct.status & this.status) !== 0) === this.statusInv) return false;
    return this.expire === null || portOk(this.expire, secondsLeft(ct, skb.kernel.sim.now));
  }
}

/** Before it is in the table an entry has no time left to speak of (nf_ct_expires). */
function secondsLeft(ct: Conn, now: number): number {
  return (ct.status & S_CONFIRMED) === 0 ? 0 : Math.max(0, Math.floor((ct.expires - now) / SEC));
}

const addrOk = (t: CtAddr | null, a: number): boolean => t === null || ((a & t.mask) === t.addr) !== t.inv;
const portOk = (t: CtPort | null, p: number): boolean => t === null || inRange(p, t.min, t.max, t.inv);

/** -m connmark. */
export class ConnmarkMatch implements Match {
  readonly name = 'connmark';
  readonly pure = true;
  readonly needsConntrack = true;
  value = 0;
  mask = -1;
  inv = false;

  match(skb: Skb): boolean {
    return skb.ct !== null && ((skb.ct.mark & this.mask) === this.value) !== this.inv;
  }
}
