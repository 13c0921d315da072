/**
 * Connection tracking: both directions of every connection in one hash table.
 *
 *   PRE_ROUTING, LOCAL_OUT (-200)  look up or create        LOCAL_IN, POST_ROUTING (last)  confirm: insert into the table
 *
 * A namespace has it only once a rule needs it (`conntrackUse`). Entries carry the time at which they end; whoever meets an
 * ended one removes it, so there is no timer per entry. The established path allocates nothing.
 * Kernel counterparts: nf_conntrack_core.c, nf_conntrack_proto.c, _proto_udp.c, _proto_icmp.c, _proto_generic.c.
 * Not here: zones, helpers and expectations, accounting, defragmentation.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import { SEC } from '../../sim/sim.js';
import type { Netns } from '../core/netns.js';
import {
  LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING, PRI_CONNTRACK, PRI_CONNTRACK_CONFIRM, registerHook,
  unregisterHook,
} from '../core/nf-hook.js'; // prettier-ignore
import {
  CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_IS_REPLY, CT_NEW, CT_NONE, CT_RELATED, CT_RELATED_REPLY, type Skb,
} from '../core/skb.js'; // prettier-ignore
import { tcpNew, tcpPacket, tcpValid } from './ct-tcp.js';
import { hashTuple, invertTuple, readTuple, Tuple, TupleHash } from './ct-tuple.js';

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
export const S_NAT_CLASH = 1 << 15;

/** What a protocol says about a packet of a known connection. */
export const CT_OK = 0;
export const CT_INVALID = 1;
export const CT_KILL = 2;
export const CT_REPEAT = 3;
const CT_FULL = 4;

const UDP_STREAM_AGE = 2 * SEC;
const ICMP_TIMEOUT = 30 * SEC;
const GENERIC_TIMEOUT = 600 * SEC;
const CLASH_TIMEOUT = 1 * SEC;
const MIN_BUCKETS = 256;

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
  tcpState = 0;
  tcpLast = 0;
  tcpLastDir = 0;
  tcpCloseInit = 0;
  tcpUnack = false;

  constructor(table: Conntrack) {
    this.table = table;
    this.orig = new TupleHash(this, false);
    this.reply = new TupleHash(this, true);
  }
}

/** The table of one namespace. */
export class Conntrack {
  readonly net: Netns;
  count = 0;
  /** nf_conntrack_max; 0 means unlimited. */
  max = 262144;
  tcpEstablished = 432000 * SEC;
  tcpCloseWait = 60 * SEC;
  udpTimeout = 30 * SEC;
  udpStreamTimeout = 120 * SEC;
  /** Called for an entry that leaves the table (NAT forgets its by-source link). */
  onRemove: ((ct: Conn) => void) | null = null;
  hooked = false;
  private buckets: (TupleHash | null)[] = new Array<TupleHash | null>(MIN_BUCKETS).fill(null);
  private readonly probe = new Tuple();
  private readonly inner = new Tuple();

  constructor(net: Netns) {
    this.net = net;
  }

  /** The direction that equals `t`, or null; ended entries met on the way are removed (__nf_conntrack_find_get). */
  find(t: Tuple): TupleHash | null {
    const { now } = this.net.kernel.sim;
    let h: TupleHash | null = this.buckets[hashTuple(t) & (this.buckets.length - 1)]!;
    while (h !== null) {
      const next: TupleHash | null = h.next;
      if (h.ct.expires <= now) {
        // Removing unlinks both directions of the connection; `next` may be its other one.
        const ct: Conn = h.ct;
        this.remove(ct);
        h = next !== null && next.ct === ct ? next.next : next;
        continue;
      }
      if (h.src === t.src && h.dst === t.dst && h.sport === t.sport && h.dport === t.dport && h.proto === t.proto)
        return h;
      h = next;
    }
    return null;
  }

  /** True when another live connection uses this tuple (nf_conntrack_tuple_taken). */
  taken(t: Tuple, ignored: Conn): boolean {
    const h = this.find(t);
    // Equal originals are the same flow: the clash is resolved when they are confirmed.
    return h !== null && h.ct !== ignored && !h.ct.orig.equals(ignored.orig);
  }

  /** All live entries, oldest first. */
  list(): Conn[] {
    const { now } = this.net.kernel.sim;
    const found: Conn[] = [];
    for (const b of this.buckets) {
      for (let h = b; h !== null; h = h.next) {
        const one = h.reply ? (h.ct.status & S_NAT_CLASH) !== 0 : true;
        if (one && h.ct.expires > now) found.push(h.ct);
      }
    }
    return found.sort((a, b) => a.created - b.created || a.orig.src - b.orig.src || a.orig.sport - b.orig.sport);
  }

  /** Takes an entry out of the table (nf_ct_delete). */
  remove(ct: Conn): void {
    if ((ct.status & (S_CONFIRMED | S_DYING)) === S_CONFIRMED) {
      if ((ct.status & S_NAT_CLASH) === 0) this.unlink(ct.orig);
      this.unlink(ct.reply);
      this.count--;
    }
    ct.status |= S_DYING;
    this.onRemove?.(ct);
  }

  /** PRE_ROUTING and LOCAL_OUT (nf_conntrack_in). */
  in(skb: Skb, hook: number): number {
    if (skb.ct !== null || skb.untracked) return NF_ACCEPT;
    skb.ctinfo = CT_NONE;
    const b = skb.buf;
    const o = skb.net;
    if (hook === LOCAL_OUT && ipv4.isFragment(b, o)) return NF_ACCEPT;
    const end = Math.min(skb.tail, o + ipv4.totalLen(b, o));
    const th = o + ipv4.headerLen(b, o);
    const proto = ipv4.proto(b, o);
    if (proto === ipv4.ICMP) {
      if (!this.icmpIn(skb, th, end, hook) || skb.ct !== null) {
        this.told(skb);
        return NF_ACCEPT;
      }
    }
    if (!readTuple(this.probe, b, o, end)) {
      this.told(skb);
      return NF_ACCEPT;
    }
    if (proto === ipv4.TCP) {
      if (!tcpValid(b, o, th, end, hook)) return this.told(skb);
    } else if (proto === ipv4.UDP) {
      if (udp.check(b, th, end) < 0) return this.told(skb);
      // nf_ip_checksum sums to the end of the packet, whatever the length field says.
      if (hook === PRE_ROUTING && !udp.csumOk(b, th, end, this.probe.src, this.probe.dst)) return this.told(skb);
    }
    for (;;) {
      const r = this.resolve(skb, b, th, proto);
      if (r === CT_FULL) return NF_DROP;
      if (r !== CT_REPEAT) break;
      skb.ct = null;
      skb.ctinfo = CT_NONE;
    }
    return this.told(skb);
  }

  /** LOCAL_IN and POST_ROUTING, last (__nf_conntrack_confirm). */
  confirm(skb: Skb): number {
    const { ct } = skb;
    if (ct === null || (ct.status & S_CONFIRMED) !== 0) return NF_ACCEPT;
    if (skb.ctinfo >= CT_IS_REPLY) return NF_ACCEPT;
    if ((ct.status & S_DYING) !== 0) return NF_DROP;
    const clash = this.find(ct.orig) ?? this.find(ct.reply);
    if (clash !== null) return this.resolveClash(skb, ct, clash.ct);
    ct.status |= S_CONFIRMED;
    this.link(ct.orig);
    this.link(ct.reply);
    this.count++;
    if (this.count * 2 > this.buckets.length) this.grow();
    return NF_ACCEPT;
  }

  /** Which entry a packet that lost an insertion race ends with (nf_ct_resolve_clash). */
  private resolveClash(skb: Skb, ct: Conn, winner: Conn): number {
    if (ct.orig.proto !== ipv4.UDP) return this.lost(ct);
    if (winner.orig.equals(ct.orig) && winner.reply.equals(ct.reply)) {
      this.lost(ct);
      skb.ct = winner;
      return NF_ACCEPT;
    }
    if (this.find(ct.reply) !== null) return this.lost(ct);
    ct.status |= S_CONFIRMED | S_NAT_CLASH | S_SEEN_REPLY;
    ct.expires = this.net.kernel.sim.now + CLASH_TIMEOUT;
    this.link(ct.reply);
    this.count++;
    return NF_ACCEPT;
  }

  /** Ends an entry that was never in the table. */
  private lost(ct: Conn): number {
    ct.status |= S_DYING;
    this.onRemove?.(ct);
    return NF_DROP;
  }

  /** Finds or creates the connection of `probe`, attaches it and lets the protocol judge (resolve_normal_ct). */
  private resolve(skb: Skb, b: Uint8Array, th: number, proto: number): number {
    const { now } = this.net.kernel.sim;
    const h = this.find(this.probe);
    let ct: Conn;
    if (h === null) {
      if (this.max > 0 && this.count >= this.max && !this.earlyDrop()) return CT_FULL;
      const fresh = this.create(b, th, proto, now);
      if (fresh === null) return CT_INVALID;
      ct = fresh;
      skb.ctinfo = CT_NEW;
    } else {
      ct = h.ct;
      skb.ctinfo = h.reply ? CT_ESTABLISHED_REPLY : (ct.status & S_SEEN_REPLY) !== 0 ? CT_ESTABLISHED : CT_NEW;
    }
    const reply = skb.ctinfo === CT_ESTABLISHED_REPLY;
    skb.ct = ct;
    if (proto === ipv4.UDP) udpPacket(ct, now);
    else if (proto === ipv4.TCP) {
      const r = tcpPacket(ct, b, th, reply, now);
      if (r === CT_KILL) this.remove(ct);
      else if (r === CT_REPEAT) {
        this.remove(ct);
        return CT_REPEAT;
      } else if (r === CT_INVALID) {
        skb.ct = null;
        skb.ctinfo = CT_NONE;
        return CT_INVALID;
      }
    } else ct.expires = now + (proto === ipv4.ICMP ? ICMP_TIMEOUT : GENERIC_TIMEOUT);
    if (reply) ct.status |= S_SEEN_REPLY;
    return CT_OK;
  }

  /** A new, unconfirmed connection; null when its first packet cannot start one (init_conntrack). */
  private create(b: Uint8Array, th: number, proto: number, now: number): Conn | null {
    const ct = new Conn(this);
    if (proto === ipv4.TCP && !tcpNew(ct, b, th)) return null;
    if (proto === ipv4.ICMP) {
      const t = this.probe.dport >> 8;
      if (t !== icmp.ECHO && t !== icmp.TIMESTAMP && t !== icmp.INFO_REQUEST && t !== icmp.ADDRESS) return null;
    }
    ct.orig.copy(this.probe);
    if (!invertTuple(ct.reply, ct.orig)) return null;
    ct.created = now;
    return ct;
  }

  /** Length, checksum and type of an ICMP packet; an error is attached to what it quotes. False: INVALID. */
  private icmpIn(skb: Skb, th: number, end: number, hook: number): boolean {
    const b = skb.buf;
    if (end - th < icmp.HLEN) return false;
    if (hook === PRE_ROUTING && !icmp.csumOk(b, th, end)) return false;
    const t = icmp.type(b, th);
    if (t > 18) return false;
    if (!icmp.isError(t)) return true;
    const io = th + icmp.HLEN;
    if (end - io < ipv4.HLEN || !readTuple(this.inner, b, io, end) || !invertTuple(this.inner, this.inner))
      return false;
    const h = this.find(this.inner);
    if (h === null || h.dst !== ipv4.dst(b, skb.net)) return false;
    skb.ct = h.ct;
    skb.ctinfo = h.reply ? CT_RELATED_REPLY : CT_RELATED;
    return true;
  }

  private told(skb: Skb): number {
    const { tracer } = this.net.kernel;
    if (tracer !== null) tracer.conntrack(this.net, skb, ctStateName(skb));
    return NF_ACCEPT;
  }

  private link(h: TupleHash): void {
    const i = hashTuple(h) & (this.buckets.length - 1);
    h.next = this.buckets[i]!;
    this.buckets[i] = h;
  }

  private unlink(h: TupleHash): void {
    const i = hashTuple(h) & (this.buckets.length - 1);
    let p = this.buckets[i]!;
    if (p === h) this.buckets[i] = h.next;
    else {
      while (p !== null && p.next !== h) p = p.next!;
      if (p !== null) p.next = h.next;
    }
  }

  private grow(): void {
    const old = this.buckets;
    const { now } = this.net.kernel.sim;
    this.purge(now);
    if (this.count * 2 <= old.length) return;
    this.buckets = new Array<TupleHash | null>(old.length * 4).fill(null);
    for (const b of old) {
      for (let h = b; h !== null;) {
        const { next } = h;
        this.link(h);
        h = next;
      }
    }
  }

  /** Removes what has ended (gc_worker). */
  private purge(now: number): void {
    const dead: Conn[] = [];
    for (const b of this.buckets)
      for (let h = b; h !== null; h = h.next) if (h.reply && h.ct.expires <= now) dead.push(h.ct);
    for (const ct of dead) this.remove(ct);
  }

  /** Makes room in a full table: ended entries, else one that is not ASSURED within 8 buckets (early_drop). */
  private earlyDrop(): boolean {
    this.purge(this.net.kernel.sim.now);
    if (this.count < this.max) return true;
    let i = hashTuple(this.probe) & (this.buckets.length - 1);
    for (let k = 0; k < 8; k++) {
      for (let h = this.buckets[i]!; h !== null; h = h.next!) {
        if ((h.ct.status & S_ASSURED) === 0) {
          this.remove(h.ct);
          return true;
        }
      }
      i = (i + 1) & (this.buckets.length - 1);
    }
    return false;
  }
}

/** udpTimeout, or udpStreamTimeout and ASSURED once traffic both ways goes on for more than 2 s (nf_conntrack_udp_packet). */
function udpPacket(ct: Conn, now: number): void {
  if ((ct.status & S_SEEN_REPLY) !== 0 && now > ct.created + UDP_STREAM_AGE) {
    ct.expires = now + ct.table.udpStreamTimeout;
    if ((ct.status & S_NAT_CLASH) === 0) ct.status |= S_ASSURED;
  } else {
    ct.expires = now + ct.table.udpTimeout;
  }
}

/** The state name `-m conntrack --ctstate` uses. */
export function ctStateName(skb: Skb): string {
  if (skb.untracked) return 'UNTRACKED';
  if (skb.ct === null) return 'INVALID';
  if (skb.ctinfo === CT_NEW) return 'NEW';
  return skb.ctinfo === CT_RELATED || skb.ctinfo === CT_RELATED_REPLY ? 'RELATED' : 'ESTABLISHED';
}

/** True for a packet of the reply direction (CTINFO2DIR). */
export const isReply = (skb: Skb): boolean => skb.ctinfo >= CT_IS_REPLY;

/** The namespace's table, created on first use; tracking starts with `conntrackUse`. */
export function conntrack(net: Netns): Conntrack {
  return (net.ct ??= new Conntrack(net));
}

const inFn = (net: Netns, skb: Skb, hook: number): number => net.ct!.in(skb, hook);
const confirmFn = (net: Netns, skb: Skb): number => net.ct!.confirm(skb);

/**
 * Starts tracking in a namespace (nf_ct_netns_get) when a rule or target there needs it, and ends it (nf_ct_netns_put) when
 * none does any more: known connections then stay in the table but no packet meets them.
 */
export function conntrackUse(net: Netns, needed: boolean): void {
  const ct = conntrack(net);
  if (ct.hooked === needed) return;
  ct.hooked = needed;
  if (!needed) {
    for (const hook of [PRE_ROUTING, LOCAL_OUT]) unregisterHook(net, hook, inFn);
    for (const hook of [LOCAL_IN, POST_ROUTING]) unregisterHook(net, hook, confirmFn);
    return;
  }
  registerHook(net, PRE_ROUTING, PRI_CONNTRACK, inFn);
  registerHook(net, LOCAL_OUT, PRI_CONNTRACK, inFn);
  registerHook(net, LOCAL_IN, PRI_CONNTRACK_CONFIRM, confirmFn);
  registerHook(net, POST_ROUTING, PRI_CONNTRACK_CONFIRM, confirmFn);
}
