/**
 * One tracked connection, and what is known of it (struct nf_conn).
 *
 * Kernel counterparts: include/net/netfilter/nf_conntrack.h, nf_conntrack_ecache.c, nf_conntrack_acct.c.
 * @module
 */
import type { Conntrack } from './conntrack.js';
import type { TcpTrack } from './ct-tcp-window.js';
import { TupleHash } from './ct-tuple.js';

/** Conn.status bits (enum ip_conntrack_status). */
export const S_SEEN_REPLY = 1 << 1;
export const S_ASSURED = 1 << 2;
export const S_CONFIRMED = 1 << 3;
export const S_SRC_NAT = 1 << 4;
export const S_DST_NAT = 1 << 5;
export const S_NAT_MASK = S_SRC_NAT | S_DST_NAT;
export const S_SRC_NAT_DONE = 1 << 7;
export const S_DST_NAT_DONE = 1 << 8;
export const S_DYING = 1 << 9;
export const S_FIXED_TIMEOUT = 1 << 10;
export const S_NAT_CLASH = 1 << 12;

/** What has happened to a connection since its last event (enum ip_conntrack_events). */
export const IPCT_NEW = 1 << 0;
export const IPCT_DESTROY = 1 << 2;
export const IPCT_REPLY = 1 << 3;
export const IPCT_ASSURED = 1 << 4;
export const IPCT_PROTOINFO = 1 << 5;
export const IPCT_MARK = 1 << 7;

/** What a protocol says about a packet of a known connection. */
export const CT_OK = 0;
export const CT_INVALID = 1;
export const CT_KILL = 2;
export const CT_REPEAT = 3;
/** No room in the table. */
export const CT_FULL = 4;

/** One tracked connection (struct nf_conn). */
export class Conn {
  readonly table: Conntrack;
  readonly orig: TupleHash;
  readonly reply: TupleHash;
  status = 0;
  /** Virtual time at which the entry ends. */
  expires = 0;
  created = 0;
  mark = 0;
  /** Device that MASQUERADE took the address of (ifindex), 0: none. */
  masqIndex = 0;
  /** Next of the same NAT by-source bucket. */
  bySource: Conn | null = null;
  tcp: TcpTrack | null = null;
  /** SCTP state (ct-sctp.ts). */
  sctpState = 0;
  /** Packets and bytes of both directions; null: not counted. */
  acct: Float64Array | null = null;
  /** Packets in flight that belong to it, as long as it is not in the table. */
  refs = 0;
  /** Events not told yet (ecache); -1: this connection has none. */
  private events = -1;

  constructor(table: Conntrack) {
    this.table = table;
    this.orig = new TupleHash(this, false);
    this.reply = new TupleHash(this, true);
    const { events, acct } = table.config;
    if (events === 1 || (events === 2 && table.limits.listeners > 0)) this.events = 0;
    if (acct !== 0) this.acct = new Float64Array(4);
  }

  /** Notes an event, told when the packet is through (nf_conntrack_event_cache). */
  event(bits: number): void {
    if (this.events >= 0) this.events |= bits;
  }

  /** Tells what was noted (nf_ct_deliver_cached_events). */
  deliver(): void {
    const { events } = this;
    if (events <= 0 || (this.status & (S_CONFIRMED | S_DYING)) !== S_CONFIRMED) return;
    this.events = 0;
    for (const tell of this.table.listeners) tell(this, events);
  }

  /**
   * One packet of this connection ends or leaves it (nf_conntrack_put). An entry that never came into the table ends with
   * its last packet, so that no address or port it was bound to stays taken.
   */
  put(): void {
    if ((this.status & (S_CONFIRMED | S_DYING)) === 0 && --this.refs <= 0) this.table.forget(this);
  }

  /** Sets the end, unless it is fixed (nf_ct_refresh). */
  refresh(at: number): void {
    if ((this.status & S_FIXED_TIMEOUT) === 0) this.expires = at;
  }

  /** Says that the entry has left the table. */
  destroyed(): void {
    if (this.events < 0) return;
    for (const tell of this.table.listeners) tell(this, IPCT_DESTROY);
  }
}

/** What went wrong, as /proc/net/stat/nf_conntrack counts it. */
export class CtStats {
  found = 0;
  invalid = 0;
  insert = 0;
  insertFailed = 0;
  drop = 0;
  earlyDrop = 0;
  error = 0;
  clashResolve = 0;
}
