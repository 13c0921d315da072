/**
 * NAT: which address and port a connection gets, and the rewriting of its packets.
 *
 *   PRE_ROUTING, LOCAL_OUT (-100): destination     LOCAL_IN, POST_ROUTING (100): source
 *
 * The nat table is asked once per connection and direction of change; a connection without an answer gets a null binding,
 * which may still move a port that is taken. Kernel counterparts: nf_nat_core.c, nf_nat_proto.c, nf_nat_masquerade.c.
 * @module
 */
import { put16, u16 } from '../../../wire/bytes.js';
import { fill, replace16, replace32 } from '../../../wire/checksum.js';
import * as icmp from '../../../wire/icmp.js';
import { ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as sctp from '../../../wire/sctp.js';
import * as udp from '../../../wire/udp.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import { CT_IS_REPLY, CT_NEW, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { ipRouteMeHarder } from '../ipv4/route.js';
import { type Conntrack } from './conntrack.js';
import { type Conn, S_CONFIRMED, S_DST_NAT, S_DST_NAT_DONE, S_NAT_MASK, S_SRC_NAT, S_SRC_NAT_DONE } from './ct-conn.js';
import { invertTuple, Tuple } from './ct-tuple.js';

export const MANIP_SRC = 0;
export const MANIP_DST = 1;

/** The range of a nat target (nf_nat_range2). Addresses and ports are inclusive; `proto` says that ports are given. */
export interface NatRange {
  readonly ips: boolean;
  readonly minAddr: number;
  readonly maxAddr: number;
  readonly proto: boolean;
  readonly minPort: number;
  readonly maxPort: number;
  readonly random: boolean;
  readonly persistent: boolean;
  /** Port whose distance is kept within the range (NF_NAT_RANGE_PROTO_OFFSET), -1: none. */
  readonly base?: number;
}

const maniptype = (hook: number): number => (hook === POST_ROUTING || hook === LOCAL_IN ? MANIP_SRC : MANIP_DST);

/** Bob Jenkins' jhash2 as the kernel computes it over 32-bit words. */
export function jhash2(words: readonly number[], initval: number): number {
  let n = words.length;
  let a = (0xdeadbeef + (n << 2) + initval) | 0;
  let b = a;
  let c = a;
  let i = 0;
  const rol = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
  while (n > 3) {
    a = (a + words[i]!) | 0;
    b = (b + words[i + 1]!) | 0;
    c = (c + words[i + 2]!) | 0;
    a = (a - c) ^ rol(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rol(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rol(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rol(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rol(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rol(b, 4);
    b = (b + a) | 0;
    n -= 3;
    i += 3;
  }
  if (n === 0) return c >>> 0;
  if (n >= 3) c = (c + words[i + 2]!) | 0;
  if (n >= 2) b = (b + words[i + 1]!) | 0;
  a = (a + words[i]!) | 0;
  c = ((c ^ b) - rol(b, 14)) | 0;
  a = ((a ^ c) - rol(c, 11)) | 0;
  b = ((b ^ a) - rol(a, 25)) | 0;
  c = ((c ^ b) - rol(b, 16)) | 0;
  a = ((a ^ c) - rol(c, 4)) | 0;
  b = ((b ^ a) - rol(a, 14)) | 0;
  c = ((c ^ b) - rol(b, 24)) | 0;
  return c >>> 0;
}

const swab = (a: number): number => (a << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24) | 0;

/** Connections by original protocol, source address and source port: same source, same mapping. */
class BySource {
  private readonly heads: (Conn | null)[] = new Array<Conn | null>(4096).fill(null);

  private slot(proto: number, src: number, sport: number): number {
    const h = Math.imul(src ^ Math.imul(sport, 0x9e3779b1) ^ proto, 0x85ebca6b);
    return (h ^ (h >>> 16)) & 4095;
  }

  first(t: Tuple): Conn | null {
    return this.heads[this.slot(t.proto, t.src, t.sport)]!;
  }

  add(ct: Conn): void {
    const i = this.slot(ct.orig.proto, ct.orig.src, ct.orig.sport);
    ct.bySource = this.heads[i]!;
    this.heads[i] = ct;
  }

  remove(ct: Conn): void {
    const i = this.slot(ct.orig.proto, ct.orig.src, ct.orig.sport);
    let p = this.heads[i]!;
    if (p === ct) this.heads[i] = ct.bySource;
    else {
      while (p !== null && p.bySource !== ct) p = p.bySource!;
      if (p !== null) p.bySource = ct.bySource;
    }
    ct.bySource = null;
  }
}

const tables = new WeakMap<Conntrack, BySource>();

function bySource(ct: Conntrack): BySource {
  let t = tables.get(ct);
  if (t === undefined) {
    t = new BySource();
    tables.set(ct, t);
    const made = t;
    ct.onRemove = (c): void => {
      if ((c.status & S_SRC_NAT_DONE) !== 0) made.remove(c);
    };
  }
  return t;
}

const inverse = new Tuple();

/** True when the reply to `t` would belong to another connection (nf_nat_used_tuple). */
function used(t: Tuple, ct: Conn): boolean {
  invertTuple(inverse, t);
  return ct.table.taken(inverse, ct);
}

function portInRange(t: Tuple, manip: number, r: NatRange): boolean {
  const p = t.proto === ipv4.ICMP ? t.sport : manip === MANIP_SRC ? t.sport : t.dport;
  return p >= r.minPort && p <= r.maxPort;
}

function srcInRange(t: Tuple, r: NatRange): boolean {
  if (r.ips && (t.src >>> 0 < r.minAddr >>> 0 || t.src >>> 0 > r.maxAddr >>> 0)) return false;
  return !r.proto || portInRange(t, MANIP_SRC, r);
}

/** The mapping another connection of the same source has, when it suits (find_appropriate_src). */
function findAppropriateSrc(out: Tuple, orig: Tuple, r: NatRange, ct: Conn): boolean {
  const { now } = ct.table.net.kernel.sim;
  for (let c = bySource(ct.table).first(orig); c !== null; c = c.bySource) {
    if (c.orig.src !== orig.src || c.orig.sport !== orig.sport || c.orig.proto !== orig.proto) continue;
    if ((c.status & S_CONFIRMED) !== 0 && c.expires <= now) continue;
    invertTuple(out, c.reply);
    out.dst = orig.dst;
    out.dport = orig.dport;
    if (srcInRange(out, r)) return true;
  }
  return false;
}

const words = [0, 0, 0, 0];

/** The address of a range for this connection (find_best_ips_proto). */
function bestAddress(t: Tuple, r: NatRange, manip: number): void {
  if (!r.ips) return;
  let addr = r.minAddr;
  if (r.minAddr !== r.maxAddr) {
    words[0] = swab(t.src);
    const j = jhash2(words, r.persistent ? 0 : swab(t.dst));
    const size = (r.maxAddr >>> 0) - (r.minAddr >>> 0) + 1;
    addr = ((r.minAddr >>> 0) + Math.floor((j * size) / 0x100000000)) | 0;
  }
  if (manip === MANIP_SRC) t.src = addr;
  else t.dst = addr;
}

/** Searches a free port or identifier from a random start (nf_nat_l4proto_unique_tuple). */
function uniquePort(t: Tuple, r: NatRange, manip: number, ct: Conn): void {
  const isIcmp = t.proto === ipv4.ICMP;
  if (!isIcmp && t.proto !== ipv4.TCP && t.proto !== ipv4.UDP && t.proto !== ipv4.SCTP) return;
  const useSrc = isIcmp || manip === MANIP_SRC;
  let min: number;
  let size: number;
  if (r.proto) {
    min = r.minPort;
    size = r.maxPort - r.minPort + 1;
  } else if (isIcmp) {
    min = 0;
    size = 65536;
  } else if (manip === MANIP_DST) {
    return;
  } else if (t.sport < 512) {
    min = 1;
    size = 511;
  } else if (t.sport < 1024) {
    min = 600;
    size = 1023 - 600 + 1;
  } else {
    min = 1024;
    size = 65536 - 1024;
  }
  const rng = ct.table.net.kernel.rng('nat-port');
  let attempts = Math.min(size, 128);
  const base = r.base ?? -1;
  let off = base >= 0 ? ((useSrc ? t.sport : t.dport) - base) & 0xffff : rng.u16();
  for (;;) {
    for (let i = 0; i < attempts; i++, off = (off + 1) & 0xffff) {
      const p = min + (off % size);
      if (useSrc) t.sport = p;
      else t.dport = p;
      if (!used(t, ct)) return;
    }
    if (attempts >= size || attempts < 16) return;
    attempts = attempts >> 1;
    off = rng.u16();
  }
}

const curr = new Tuple();
const chosen = new Tuple();

/** get_unique_tuple: `chosen` for `curr`. */
function uniqueTuple(r: NatRange, ct: Conn, manip: number): void {
  if (manip === MANIP_SRC && !r.random) {
    if (srcInRange(curr, r)) {
      if (!used(curr, ct)) {
        chosen.copy(curr);
        return;
      }
    } else {
      chosen.proto = curr.proto;
      if (findAppropriateSrc(chosen, curr, r, ct) && !used(chosen, ct)) return;
    }
  }
  chosen.copy(curr);
  bestAddress(chosen, r, manip);
  if (!r.random) {
    if (r.proto) {
      if ((r.base ?? -1) < 0 && portInRange(chosen, manip, r) && (r.minPort === r.maxPort || !used(chosen, ct))) return;
    } else if (!used(chosen, ct)) {
      return;
    }
  }
  uniquePort(chosen, r, manip, ct);
}

/** Binds a connection to a range (nf_nat_setup_info). */
export function natSetup(ct: Conn, r: NatRange, manip: number): number {
  if ((ct.status & S_CONFIRMED) !== 0) return NF_ACCEPT;
  invertTuple(curr, ct.reply);
  uniqueTuple(r, ct, manip);
  if (!chosen.equals(curr)) {
    invertTuple(ct.reply, chosen);
    ct.status |= manip === MANIP_SRC ? S_SRC_NAT : S_DST_NAT;
  }
  if (manip === MANIP_SRC) {
    bySource(ct.table).add(ct);
    ct.status |= S_SRC_NAT_DONE;
  } else {
    ct.status |= S_DST_NAT_DONE;
  }
  return NF_ACCEPT;
}

/** A range of one address, the one the connection has already (nf_nat_alloc_null_binding). */
function nullBinding(ct: Conn, manip: number): void {
  const a = manip === MANIP_SRC ? ct.reply.dst : ct.reply.src;
  natSetup(ct, oneAddress(a), manip);
}

/** A range of one address without ports. */
export const oneAddress = (a: number): NatRange => ({
  ips: true, minAddr: a, maxAddr: a, proto: false, minPort: 0, maxPort: 0, random: false, persistent: false,
}); // prettier-ignore

/** True when this direction of change has been decided for the connection (nf_nat_initialized). */
export const natDone = (ct: Conn, manip: number): boolean =>
  (ct.status & (manip === MANIP_SRC ? S_SRC_NAT_DONE : S_DST_NAT_DONE)) !== 0;

/** Asks the nat table's chain; NF_ACCEPT to go on. */
export type NatRules = (net: Netns, skb: Skb, hook: number, indev: Netdev | null, outdev: Netdev | null) => number;

/** The nat hook (nf_nat_inet_fn and its four wrappers). */
export function natHook(
  net: Netns,
  skb: Skb,
  hook: number,
  indev: Netdev | null,
  outdev: Netdev | null,
  rules: NatRules,
): number {
  const { ct } = skb;
  if (ct === null) return NF_ACCEPT;
  const manip = maniptype(hook);
  const info = skb.ctinfo;
  if (info === CT_NEW || info === CT_RELATED || info === CT_RELATED_REPLY) {
    if (info !== CT_NEW && ipv4.proto(skb.buf, skb.net) === ipv4.ICMP) {
      if (!icmpTranslate(net, skb, ct, manip)) return NF_DROP;
      return hook === LOCAL_OUT ? reroute(net, skb, ct) : NF_ACCEPT;
    }
    if (!natDone(ct, manip)) {
      const v = rules(net, skb, hook, indev, outdev);
      if (v !== NF_ACCEPT) return v;
      if (!natDone(ct, manip)) nullBinding(ct, manip);
    } else if (oifChanged(ct, hook, info, outdev)) {
      ct.table.remove(ct);
      return NF_DROP;
    }
  } else if (oifChanged(ct, hook, info, outdev)) {
    ct.table.remove(ct);
    return NF_DROP;
  }
  const daddr = ipv4.dst(skb.buf, skb.net);
  natPacket(net, skb, ct, manip);
  if (hook === PRE_ROUTING && ipv4.dst(skb.buf, skb.net) !== daddr) skb.dst = null;
  return hook === LOCAL_OUT ? reroute(net, skb, ct) : NF_ACCEPT;
}

function oifChanged(ct: Conn, hook: number, info: number, outdev: Netdev | null): boolean {
  return (
    ct.masqIndex !== 0 &&
    hook === POST_ROUTING &&
    info < CT_IS_REPLY &&
    outdev !== null &&
    outdev.ifindex !== ct.masqIndex
  );
}

function reroute(net: Netns, skb: Skb, ct: Conn): number {
  const reply = skb.ctinfo >= CT_IS_REPLY;
  const here = reply ? ct.reply : ct.orig;
  const other = reply ? ct.orig : ct.reply;
  if (here.dst === other.src) return NF_ACCEPT;
  const err = ipRouteMeHarder(net, skb);
  return err === 0 ? NF_ACCEPT : err;
}

/** True when packets of this direction are changed at this hook. */
function applies(ct: Conn, manip: number, reply: boolean): boolean {
  let bit = manip === MANIP_SRC ? S_SRC_NAT : S_DST_NAT;
  if (reply) bit ^= S_NAT_MASK;
  return (ct.status & bit) !== 0;
}

const target = new Tuple();

/** Rewrites a packet as its connection says (nf_nat_packet). */
function natPacket(net: Netns, skb: Skb, ct: Conn, manip: number): void {
  const reply = skb.ctinfo >= CT_IS_REPLY;
  if (!applies(ct, manip, reply)) return;
  invertTuple(target, reply ? ct.orig : ct.reply);
  const { tracer } = net.kernel;
  const before = tracer === null ? '' : endpoint(skb, manip);
  manipPacket(skb.buf, skb.net, skb.tail, target, manip);
  if (tracer !== null) tracer.nat(net, skb, manip === MANIP_SRC ? 'SNAT' : 'DNAT', before, endpoint(skb, manip));
}

function endpoint(skb: Skb, manip: number): string {
  const b = skb.buf;
  const th = skb.net + ipv4.headerLen(b, skb.net);
  const proto = ipv4.proto(b, skb.net);
  const a = ntoa(manip === MANIP_SRC ? ipv4.src(b, skb.net) : ipv4.dst(b, skb.net));
  if (proto === ipv4.ICMP) return `${a}:${icmp.id(b, th)}`;
  return proto === ipv4.TCP || proto === ipv4.UDP ? `${a}:${u16(b, th + (manip === MANIP_SRC ? 0 : 2))}` : a;
}

/** New source or destination for the IPv4 packet at `o` (nf_nat_ipv4_manip_pkt). `end` bounds a quoted packet. */
function manipPacket(b: Uint8Array, o: number, end: number, t: Tuple, manip: number): void {
  const src = manip === MANIP_SRC;
  const oldAddr = src ? ipv4.src(b, o) : ipv4.dst(b, o);
  const newAddr = src ? t.src : t.dst;
  const th = o + ipv4.headerLen(b, o);
  if ((ipv4.frag(b, o) & ipv4.OFFSET) === 0) {
    const port = src ? t.sport : t.dport;
    switch (ipv4.proto(b, o)) {
      case ipv4.UDP:
        if (th + 8 > end) break;
        udp.replaceCsum32(b, th, oldAddr, newAddr);
        if (src) udp.setSport(b, th, port);
        else udp.setDport(b, th, port);
        break;
      case ipv4.TCP: {
        const at = th + (src ? 0 : 2);
        if (th + 8 > end) break;
        // An error quotes 8 bytes at least: without the whole header there is no checksum to change.
        if (th + 20 <= end) {
          const c = replace16(replace32(u16(b, th + 16), oldAddr, newAddr), u16(b, at), port);
          put16(b, th + 16, c);
        }
        put16(b, at, port);
        break;
      }
      case ipv4.SCTP:
        if (th + 8 > end) break;
        sctp.setPort(b, th, end, src ? sctp.SPORT : sctp.DPORT, port);
        break;
      case ipv4.ICMP: {
        const ty = b[th]!;
        const query = ty === icmp.ECHO || ty === icmp.ECHOREPLY || (ty >= icmp.TIMESTAMP && ty <= icmp.ADDRESSREPLY);
        if (query && th + 8 <= end && icmp.id(b, th) !== t.sport) icmp.setId(b, th, t.sport);
        break;
      }
      default:
    }
  }
  if (src) ipv4.setSrc(b, o, newAddr);
  else ipv4.setDst(b, o, newAddr);
}

/** Translates an ICMP error and the packet it quotes (nf_nat_icmp_reply_translation). False: drop. */
function icmpTranslate(net: Netns, skb: Skb, ct: Conn, manip: number): boolean {
  const b = skb.buf;
  const th = skb.net + ipv4.headerLen(b, skb.net);
  const end = Math.min(skb.tail, skb.net + ipv4.totalLen(b, skb.net));
  if (end - th < icmp.HLEN + ipv4.HLEN) return false;
  if (icmp.type(b, th) === icmp.REDIRECT) {
    // A redirect would make the two ends talk without translation; a connection that is not bound yet may get one.
    if (!natDone(ct, MANIP_SRC) || !natDone(ct, MANIP_DST) || (ct.status & S_NAT_MASK) !== 0) return false;
  }
  const reply = skb.ctinfo >= CT_IS_REPLY;
  if (!applies(ct, manip, reply)) return true;
  // The quoted packet travelled the other way: its opposite end is changed back.
  const quoted = reply ? ct.orig : ct.reply;
  const { tracer } = net.kernel;
  const before = tracer === null ? '' : endpoint(skb, manip);
  manipPacket(b, th + icmp.HLEN, end, quoted, manip === MANIP_SRC ? MANIP_DST : MANIP_SRC);
  fill(b, th, end, th + icmp.CSUM);
  invertTuple(target, quoted);
  if (manip === MANIP_SRC) ipv4.setSrc(b, skb.net, target.src);
  else ipv4.setDst(b, skb.net, target.dst);
  if (tracer !== null) tracer.nat(net, skb, manip === MANIP_SRC ? 'SNAT' : 'DNAT', before, endpoint(skb, manip));
  return true;
}

/**
 * Forgets the masqueraded connections of a device that went down (masq_device_event, `addr` 0), or those that have the
 * address it lost (masq_inet_event).
 */
export function masqFlush(net: Netns, ifindex: number, addr: number): void {
  if (net.ct === null) return;
  for (const ct of net.ct.list()) {
    if (ct.masqIndex === ifindex && (addr === 0 || ct.reply.dst === addr)) ct.table.remove(ct);
  }
}
