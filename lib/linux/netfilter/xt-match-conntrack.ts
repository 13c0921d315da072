/**
 * Matches on the connection of a packet: conntrack, state, connmark.
 *
 * Kernel counterparts: net/netfilter/xt_conntrack.c, xt_state.c, xt_connmark.c.
 * @module
 */
import { SEC } from '../../sim/sim.js';
import type { Skb } from '../core/skb.js';
import { isReply } from './conntrack.js';
import { type Conn, S_CONFIRMED } from './ct-conn.js';
import { ctStates, stateBit } from './xt-ct-state.js';
import { type Match } from './xtables.js';
import { inRange } from './xt-match-proto.js';

export { ST_DNAT, ST_ESTABLISHED, ST_INVALID, ST_NEW, ST_RELATED, ST_SNAT, ST_UNTRACKED } from './xt-ct-state.js';

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

  onlyStates(): { states: number; inv: boolean } | null {
    const more =
      this.dir !== 0 || this.proto !== 0 || this.status !== null || this.expire !== null ||
      this.origSrc !== null || this.origDst !== null || this.replSrc !== null || this.replDst !== null ||
      this.origSport !== null || this.origDport !== null || this.replSport !== null || this.replDport !== null; // prettier-ignore
    return more || this.states === 0 ? null : { states: this.states, inv: this.statesInv };
  }

  match(skb: Skb): boolean {
    const { ct } = skb;
    if (this.states !== 0 && ((ctStates(skb) & this.states) !== 0) === this.statesInv) return false;
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
