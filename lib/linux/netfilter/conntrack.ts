/**
 * Connection tracking: both directions of every connection in one hash table (ct-hash.ts).
 *
 *   PRE_ROUTING, LOCAL_OUT (-200)  look up or create        LOCAL_IN, POST_ROUTING (last)  confirm: insert into the table
 *
 * A namespace has it only once a rule needs it (`conntrackUse`). Entries carry the time at which they end; whoever meets an
 * ended one removes it, so there is no timer per entry. The established path allocates nothing.
 * Kernel counterparts: nf_conntrack_core.c, nf_conntrack_proto.c, _proto_udp.c, _proto_icmp.c, _proto_generic.c, _ecache.c.
 * Not here: zones, helpers and expectations; the time at which the kernel's collector removes what has ended.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import { SEC } from '../../sim/sim.js';
import { CtConfig, CtLimits } from './ct-config.js';
import type { Netns } from '../core/netns.js';
import {
  LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING, PRI_CONNTRACK, PRI_CONNTRACK_CONFIRM, registerHook,
  unregisterHook,
} from '../core/nf-hook.js'; // prettier-ignore
import {
  CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_IS_REPLY, CT_NEW, CT_NONE, CT_RELATED, CT_RELATED_REPLY, type Skb,
} from '../core/skb.js'; // prettier-ignore
import {
  Conn, CT_FULL, CT_INVALID, CT_OK, CT_REPEAT, CtStats, IPCT_ASSURED, IPCT_NEW, IPCT_REPLY, S_ASSURED, S_CONFIRMED, S_DYING,
  S_FIXED_TIMEOUT, S_NAT_CLASH, S_NAT_MASK, S_SEEN_REPLY,
} from './ct-conn.js'; // prettier-ignore
import { CtHash } from './ct-hash.js';
import { sctpPacket, sctpValid } from './ct-sctp.js';
import { tcpNew, tcpPacket, tcpValid } from './ct-tcp.js';
import { invertTuple, readTuple, Tuple, type TupleHash } from './ct-tuple.js';
import { defragUse } from './nf-defrag.js';

const UDP_STREAM_AGE = 2 * SEC;
const CLASH_TIMEOUT = 1 * SEC;

/** Whether packets of one instant race as on several CPUs, and whether losers are saved as in 6.1 (lib/apps/fault.ts). */
export type ConntrackRace = 'off' | 'resolve' | 'drop';

/** The table of one namespace. */
export class Conntrack {
  readonly net: Netns;
  count = 0;
  readonly config = new CtConfig();
  readonly limits: CtLimits;
  readonly stats = new CtStats();
  /** Who is told of events (nfnetlink_send). */
  readonly listeners: ((ct: Conn, events: number) => void)[] = [];
  /** Called for an entry that leaves the table (NAT forgets its by-source link). */
  onRemove: ((ct: Conn) => void) | null = null;
  hooked = false;
  race: ConntrackRace = 'off';
  private readonly hash = new CtHash();
  private readonly probe = new Tuple();
  private readonly inner = new Tuple();

  constructor(net: Netns, limits: CtLimits) {
    this.net = net;
    this.limits = limits;
  }

  /** The direction that equals `t`, or null; ended entries met on the way are removed (__nf_conntrack_find_get). */
  find(t: Tuple): TupleHash | null {
    const { now } = this.net.kernel.sim;
    let h: TupleHash | null = this.hash.chain(t);
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
    const taken = h !== null && h.ct !== ignored && !h.ct.orig.equals(ignored.orig);
    if (taken) this.stats.found++;
    return taken;
  }

  /** All live entries, oldest first. */
  list(): Conn[] {
    const found = this.hash.live(this.net.kernel.sim.now);
    return found.sort((a, b) => a.created - b.created || a.orig.src - b.orig.src || a.orig.sport - b.orig.sport);
  }

  /** Takes an entry out of the table (nf_ct_delete). */
  remove(ct: Conn): void {
    if ((ct.status & (S_CONFIRMED | S_DYING)) === S_CONFIRMED) {
      if ((ct.status & S_NAT_CLASH) === 0) this.hash.unlink(ct.orig);
      this.hash.unlink(ct.reply);
      this.count--;
      ct.destroyed();
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
    if (proto === ipv4.ICMP && !this.icmpIn(skb, th, end, hook)) {
      this.stats.error++;
      return this.told(skb);
    }
    // An error belongs to the connection of what it quotes.
    if (skb.ct !== null) return this.told(skb);
    if (!readTuple(this.probe, b, o, end) || !this.wellFormed(skb, th, end, proto, hook)) return this.invalid(skb);
    for (;;) {
      const r = this.resolve(skb, b, th, end, proto);
      if (r === CT_OK) return this.told(skb);
      skb.ct = null;
      skb.ctinfo = CT_NONE;
      if (r === CT_FULL) {
        this.stats.drop++;
        return NF_DROP;
      }
      if (r !== CT_REPEAT) return this.invalid(skb);
    }
  }

  private invalid(skb: Skb): number {
    this.stats.invalid++;
    return this.told(skb);
  }

  /** Header and checksum of the transport are right (tcp_error, udp_error, sctp_error). */
  private wellFormed(skb: Skb, th: number, end: number, proto: number, hook: number): boolean {
    const b = skb.buf;
    const verify = hook === PRE_ROUTING && this.config.checksum !== 0;
    let good = true;
    if (proto === ipv4.TCP) good = tcpValid(b, skb.net, th, end, verify);
    else if (proto === ipv4.SCTP) return sctpValid(b, th, end, verify);
    else if (proto !== ipv4.UDP) return true;
    else if (udp.check(b, th, end) < 0) return false;
    // nf_ip_checksum sums to the end of the packet, whatever the length field says.
    else good = !verify || udp.csumOk(b, th, end, this.probe.src, this.probe.dst);
    if (verify && good && (proto === ipv4.TCP || udp.csum(b, th) !== 0)) skb.csumValid = true;
    return good;
  }

  /** LOCAL_IN and POST_ROUTING, last (__nf_conntrack_confirm). */
  confirm(skb: Skb): number {
    const { ct } = skb;
    if (ct === null) return NF_ACCEPT;
    const v = (ct.status & S_CONFIRMED) !== 0 ? NF_ACCEPT : this.insert(skb, ct);
    if (v === NF_ACCEPT) skb.ct!.deliver();
    return v;
  }

  private insert(skb: Skb, ct: Conn): number {
    if (skb.ctinfo >= CT_IS_REPLY) return NF_ACCEPT;
    if ((ct.status & S_DYING) !== 0) {
      this.stats.insertFailed++;
      return NF_DROP;
    }
    const clash = this.find(ct.orig) ?? this.find(ct.reply);
    if (clash !== null) return this.resolveClash(skb, ct, clash.ct);
    ct.status |= S_CONFIRMED;
    this.hash.link(ct.orig);
    this.hash.link(ct.reply);
    this.count++;
    ct.event(IPCT_NEW);
    if (this.hash.crowded(this.count)) this.grow();
    return NF_ACCEPT;
  }

  /** Which entry a packet that lost an insertion race ends with (nf_ct_resolve_clash). */
  private resolveClash(skb: Skb, ct: Conn, winner: Conn): number {
    // Protocols without a state of their own allow it (nf_conntrack_l4proto.allow_clash).
    if (ct.orig.proto === ipv4.TCP || ct.orig.proto === ipv4.ICMP || ct.orig.proto === ipv4.SCTP) return this.lost(ct);
    const natted = this.race === 'drop' && (ct.status & S_NAT_MASK) !== 0;
    if (!natted && winner.orig.equals(ct.orig) && winner.reply.equals(ct.reply)) {
      this.forget(ct);
      winner.refs++;
      skb.ct = winner;
      this.stats.clashResolve++;
      return NF_ACCEPT;
    }
    if (natted || this.find(ct.reply) !== null) return this.lost(ct);
    ct.status |= S_CONFIRMED | S_NAT_CLASH | S_FIXED_TIMEOUT;
    ct.expires = this.net.kernel.sim.now + CLASH_TIMEOUT;
    this.hash.link(ct.reply);
    this.count++;
    this.stats.clashResolve++;
    return NF_ACCEPT;
  }

  private lost(ct: Conn): number {
    this.forget(ct);
    this.stats.drop++;
    this.stats.insertFailed++;
    return NF_DROP;
  }

  /** Ends an entry that was never in the table (nf_conntrack_free): its last packet is gone, or it lost against another. */
  forget(ct: Conn): void {
    if ((ct.status & (S_CONFIRMED | S_DYING)) !== 0) return;
    ct.status |= S_DYING;
    this.onRemove?.(ct);
  }

  /** Finds or creates the connection of `probe`, attaches it and lets the protocol judge (resolve_normal_ct). */
  private resolve(skb: Skb, b: Uint8Array, th: number, end: number, proto: number): number {
    const { now } = this.net.kernel.sim;
    let h = this.find(this.probe);
    if (h !== null && this.race !== 'off' && isRacing(h, proto, now)) h = null;
    let ct: Conn;
    if (h === null) {
      const { max } = this.limits;
      if (max > 0 && this.count >= max && !this.earlyDrop()) return CT_FULL;
      const fresh = this.create(b, th, end, proto, now);
      if (fresh === null) return CT_INVALID;
      ct = fresh;
      skb.ctinfo = CT_NEW;
    } else {
      ct = h.ct;
      skb.ctinfo = h.reply ? CT_ESTABLISHED_REPLY : (ct.status & S_SEEN_REPLY) !== 0 ? CT_ESTABLISHED : CT_NEW;
    }
    const reply = skb.ctinfo === CT_ESTABLISHED_REPLY;
    skb.ct = ct;
    ct.refs++;
    const r = this.packet(ct, b, th, end, reply, now);
    if (r === CT_INVALID) return r;
    if (ct.acct !== null) {
      ct.acct[reply ? 2 : 0]!++;
      ct.acct[reply ? 3 : 1]! += end - skb.net;
    }
    if (r !== CT_OK) this.remove(ct);
    if (r === CT_REPEAT) return r;
    if (reply && (ct.status & S_SEEN_REPLY) === 0) {
      ct.status |= S_SEEN_REPLY;
      ct.event(IPCT_REPLY);
    }
    return CT_OK;
  }

  /** What the protocol says (nf_conntrack_handle_packet). */
  private packet(ct: Conn, b: Uint8Array, th: number, end: number, reply: boolean, now: number): number {
    const { config } = this;
    switch (ct.orig.proto) {
      case ipv4.TCP:
        return tcpPacket(ct, b, th, end, reply, now, config);
      case ipv4.SCTP:
        return sctpPacket(ct, b, th, end, reply, now, config);
      case ipv4.UDP:
        return streamPacket(ct, now, config.udp, config.udpStream, true);
      case ipv4.GRE:
        return streamPacket(ct, now, config.gre, config.greStream, false);
      case ipv4.ICMP:
        ct.refresh(now + config.icmp);
        return CT_OK;
      default:
        ct.refresh(now + config.generic);
        return CT_OK;
    }
  }

  /** A new, unconfirmed connection; null when its first packet cannot start one (init_conntrack). */
  private create(b: Uint8Array, th: number, end: number, proto: number, now: number): Conn | null {
    const ct = new Conn(this);
    if (proto === ipv4.TCP && !tcpNew(ct, b, th, end, this.config)) return null;
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
    if (hook === PRE_ROUTING && this.config.checksum !== 0) {
      if (!icmp.csumOk(b, th, end)) return false;
      skb.csumValid = true;
    }
    const t = icmp.type(b, th);
    if (t > 18) return false;
    if (!icmp.isError(t)) return true;
    const io = th + icmp.HLEN;
    if (end - io < ipv4.HLEN || !readTuple(this.inner, b, io, end) || !invertTuple(this.inner, this.inner))
      return false;
    const h = this.find(this.inner);
    if (h === null || h.dst !== ipv4.dst(b, skb.net)) return false;
    skb.ct = h.ct;
    h.ct.refs++;
    skb.ctinfo = h.reply ? CT_RELATED_REPLY : CT_RELATED;
    return true;
  }

  private told(skb: Skb): number {
    const { tracer } = this.net.kernel;
    if (tracer !== null) tracer.conntrack(this.net, skb, ctStateName(skb));
    return NF_ACCEPT;
  }

  private grow(): void {
    if (!this.hash.fresh) this.purge(this.net.kernel.sim.now);
    if (this.hash.crowded(this.count)) this.hash.grow();
  }

  /** Removes what has ended (gc_worker). */
  private purge(now: number): void {
    for (const ct of this.hash.ended(now)) this.remove(ct);
  }

  /** Makes room in a full table: ended entries, else one that is not ASSURED within 8 buckets (early_drop). */
  private earlyDrop(): boolean {
    this.purge(this.net.kernel.sim.now);
    if (this.count < this.limits.max) return true;
    const victims = this.hash.unassured(this.probe);
    for (const ct of victims) this.remove(ct);
    this.stats.earlyDrop += victims.length;
    return victims.length > 0;
  }
}

/**
 * A short timeout; a long one and ASSURED for traffic both ways, of UDP only when it goes on for more than 2 s
 * (nf_conntrack_udp_packet, nf_conntrack_gre_packet).
 */
function streamPacket(ct: Conn, now: number, short: number, long: number, aged: boolean): number {
  if ((ct.status & S_SEEN_REPLY) === 0 || (aged && now <= ct.created + UDP_STREAM_AGE)) ct.refresh(now + short);
  else {
    ct.refresh(now + long);
    if ((ct.status & (S_NAT_CLASH | S_ASSURED)) === 0) {
      ct.status |= S_ASSURED;
      ct.event(IPCT_ASSURED);
    }
  }
  return CT_OK;
}

/** True for an entry of this very instant that no answer has met: another CPU would not have seen it yet. */
const isRacing = (h: TupleHash, proto: number, now: number): boolean =>
  proto === ipv4.UDP && !h.reply && h.ct.created === now && (h.ct.status & S_SEEN_REPLY) === 0;

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
  if (net.ct !== null) return net.ct;
  const root = net.kernel.netns.get('root');
  const limits = root === undefined || root === net ? new CtLimits() : conntrack(root).limits;
  return (net.ct = new Conntrack(net, limits));
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
  defragUse(net, needed);
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
