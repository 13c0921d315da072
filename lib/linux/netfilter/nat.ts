/**
 * NAT: which address and port a connection gets, and the rewriting of its packets.
 *
 *   PRE_ROUTING, LOCAL_OUT (-100): destination     LOCAL_IN, POST_ROUTING (100): source
 *
 * The nat table is asked once per connection and direction of change; a connection without an answer gets a null binding,
 * which may still move a port that is taken. Kernel counterparts: nf_nat_core.c, nf_nat_proto.c, nf_nat_masquerade.c.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import { NF_ACCEPT } from '../core/nf-hook.js';
import { type Conntrack } from './conntrack.js';
import { type Conn, S_CONFIRMED, S_DST_NAT, S_DST_NAT_DONE, S_SRC_NAT, S_SRC_NAT_DONE } from './ct-conn.js';
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

/** Connections by original protocol, source address and source port: same source, same mapping. It grows with them. */
class BySource {
  private heads: (Conn | null)[] = new Array<Conn | null>(4096).fill(null);
  private count = 0;

  private slot(t: Tuple): number {
    const h = Math.imul(t.src ^ Math.imul(t.sport, 0x9e3779b1) ^ t.proto, 0x85ebca6b);
    return (h ^ (h >>> 16)) & (this.heads.length - 1);
  }

  first(t: Tuple): Conn | null {
    return this.heads[this.slot(t)]!;
  }

  add(ct: Conn): void {
    if (++this.count > this.heads.length) this.grow();
    const i = this.slot(ct.orig);
    ct.bySource = this.heads[i]!;
    this.heads[i] = ct;
  }

  /** Twice as many places; within one the newest stays the first. */
  private grow(): void {
    const old = this.heads;
    this.heads = new Array<Conn | null>(old.length * 2).fill(null);
    for (const head of old) {
      const list: Conn[] = [];
      for (let c = head; c !== null; c = c.bySource) list.push(c);
      for (const c of list.reverse()) {
        const i = this.slot(c.orig);
        c.bySource = this.heads[i]!;
        this.heads[i] = c;
      }
    }
  }

  remove(ct: Conn): void {
    const i = this.slot(ct.orig);
    let p = this.heads[i]!;
    this.count--;
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
export function nullBinding(ct: Conn, manip: number): void {
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
