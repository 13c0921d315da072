/**
 * iptables matches.
 *
 * Each class keeps its parameters as numbers and decides on bytes; the texts live in the shell. Kernel counterparts:
 * net/netfilter/xt_*.c of the same names.
 * @module
 */
import { equalAt, u16 } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Rng } from '../../sim/rng.js';
import { SEC } from '../../sim/sim.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, LOCAL_IN, LOCAL_OUT, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import { CT_ESTABLISHED, CT_ESTABLISHED_REPLY, CT_NEW, CT_RELATED, CT_RELATED_REPLY, type Skb } from '../core/skb.js';
import { inetAddrType } from '../ipv4/route.js';
import { isReply } from './conntrack.js';
import { type Conn, S_CONFIRMED, S_DST_NAT, S_SRC_NAT } from './ct-conn.js';
import type { IpSet } from './ipset.js';
import { INV_PROTO, type Match, type Rule, type TableName, type XtCtx } from './xtables.js';

const inRange = (v: number, min: number, max: number, inv: boolean): boolean => (v >= min && v <= max) !== inv;

/** xt_check_match: the match is for packets of one protocol. */
const needsProto = (name: string, r: Rule, proto: number): string | null =>
  r.proto === proto && (r.inv & INV_PROTO) === 0 ? null : `${name}: only valid for protocol ${proto}`;

/** -m tcp. */
export class TcpMatch implements Match {
  readonly name = 'tcp';
  spMin = 0;
  spMax = 65535;
  spInv = false;
  dpMin = 0;
  dpMax = 65535;
  dpInv = false;
  flagMask = 0;
  flagCmp = 0;
  flagInv = false;
  option = 0;
  optionInv = false;

  /** find_syn_match. */
  get asksSyn(): boolean {
    return (this.flagCmp & 2) !== 0 && !this.flagInv;
  }

  match(skb: Skb, c: XtCtx): boolean {
    if (c.fragOff !== 0) {
      if (c.fragOff === 1) c.hotdrop = true;
      return false;
    }
    const b = skb.buf;
    if (c.th + 20 > c.end) {
      c.hotdrop = true;
      return false;
    }
    if (!inRange(u16(b, c.th), this.spMin, this.spMax, this.spInv)) return false;
    if (!inRange(u16(b, c.th + 2), this.dpMin, this.dpMax, this.dpInv)) return false;
    if (((b[c.th + 13]! & this.flagMask) === this.flagCmp) === this.flagInv) return false;
    return this.option === 0 || hasOption(b, c.th, c.end, this.option) !== this.optionInv;
  }

  check(_net: Netns, _table: TableName, _hooks: number, rule: Rule): string | null {
    return needsProto(this.name, rule, ipv4.TCP);
  }
}

function hasOption(b: Uint8Array, th: number, end: number, kind: number): boolean {
  const stop = Math.min(end, th + ((b[th + 12]! >> 4) << 2));
  for (let i = th + 20; i < stop;) {
    if (b[i] === kind) return true;
    i += b[i]! < 2 ? 1 : Math.max(1, b[i + 1] ?? 1);
  }
  return false;
}

/** -m udp. */
export class UdpMatch implements Match {
  readonly name = 'udp';
  spMin = 0;
  spMax = 65535;
  spInv = false;
  dpMin = 0;
  dpMax = 65535;
  dpInv = false;

  match(skb: Skb, c: XtCtx): boolean {
    if (c.fragOff !== 0) return false;
    if (c.th + 8 > c.end) {
      c.hotdrop = true;
      return false;
    }
    return (
      inRange(u16(skb.buf, c.th), this.spMin, this.spMax, this.spInv) &&
      inRange(u16(skb.buf, c.th + 2), this.dpMin, this.dpMax, this.dpInv)
    );
  }

  check(_net: Netns, _table: TableName, _hooks: number, rule: Rule): string | null {
    return needsProto(this.name, rule, this.name === 'udp' ? ipv4.UDP : ipv4.SCTP);
  }
}

/** -m sctp, ports only. */
export class SctpMatch extends UdpMatch {
  override readonly name = 'sctp' as never;
}

/** -m icmp; type 255 is any. */
export class IcmpMatch implements Match {
  readonly name = 'icmp';
  type = 255;
  codeMin = 0;
  codeMax = 255;
  inv = false;

  match(skb: Skb, c: XtCtx): boolean {
    if (c.fragOff !== 0) return false;
    if (c.th + 8 > c.end) {
      c.hotdrop = true;
      return false;
    }
    if (this.type === 255) return !this.inv;
    const t = skb.buf[c.th]!;
    const code = skb.buf[c.th + 1]!;
    return (t === this.type && code >= this.codeMin && code <= this.codeMax) !== this.inv;
  }

  check(_net: Netns, _table: TableName, _hooks: number, rule: Rule): string | null {
    return needsProto(this.name, rule, ipv4.ICMP);
  }
}

/** -m comment: always true. */
export class CommentMatch implements Match {
  readonly name = 'comment';
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  match(): boolean {
    return true;
  }
}

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

/** -m mark. */
export class MarkMatch implements Match {
  readonly name = 'mark';
  value = 0;
  mask = -1;
  inv = false;

  match(skb: Skb): boolean {
    return ((skb.mark & this.mask) === this.value) !== this.inv;
  }
}

/** -m connmark. */
export class ConnmarkMatch implements Match {
  readonly name = 'connmark';
  readonly needsConntrack = true;
  value = 0;
  mask = -1;
  inv = false;

  match(skb: Skb): boolean {
    return skb.ct !== null && ((skb.ct.mark & this.mask) === this.value) !== this.inv;
  }
}

/** -m statistic. `probability` is in units of 2^-31. */
export class StatisticMatch implements Match {
  readonly name = 'statistic';
  readonly mode: 'random' | 'nth';
  probability = 0;
  every = 0;
  packet = 0;
  inv = false;
  private count = 0;
  private rng: Rng | null = null;

  constructor(mode: 'random' | 'nth') {
    this.mode = mode;
  }

  /** Puts the nth counter where the first match is packet `packet` (counted from 0). */
  start(): void {
    this.count = this.every - this.packet - 1;
  }

  match(skb: Skb): boolean {
    if (this.mode === 'random') {
      const rng = (this.rng ??= skb.kernel.rng('statistic'));
      return (rng.u32() & 0x7fffffff) < this.probability !== this.inv;
    }
    this.count = this.count + 1 >= this.every ? 0 : this.count + 1;
    return (this.count === 0) !== this.inv;
  }
}

/** -m addrtype: bit masks of 1 << RTN_*. */
export class AddrtypeMatch implements Match {
  readonly name = 'addrtype';
  srcTypes = 0;
  dstTypes = 0;
  srcInv = false;
  dstInv = false;
  limitIn = false;
  limitOut = false;

  match(skb: Skb, c: XtCtx): boolean {
    const dev = this.limitIn ? c.in : this.limitOut ? c.out : null;
    const b = skb.buf;
    if (this.srcTypes !== 0 && ofType(c.net, dev, ipv4.src(b, skb.net), this.srcTypes) === this.srcInv) return false;
    return this.dstTypes === 0 || ofType(c.net, dev, ipv4.dst(b, skb.net), this.dstTypes) !== this.dstInv;
  }

  check(_net: Netns, _table: TableName, hooks: number): string | null {
    if (this.limitIn && (hooks & ((1 << POST_ROUTING) | (1 << LOCAL_OUT))) !== 0) {
      return 'addrtype: --limit-iface-in is not valid in POSTROUTING and OUTPUT';
    }
    if (this.limitOut && (hooks & ((1 << PRE_ROUTING) | (1 << LOCAL_IN))) !== 0) {
      return 'addrtype: --limit-iface-out is not valid in PREROUTING and INPUT';
    }
    return null;
  }
}

/** inet_dev_addr_type: with a device, only its own addresses are LOCAL. */
function ofType(net: Netns, dev: Netdev | null, addr: number, types: number): boolean {
  let t = inetAddrType(net, addr);
  if (dev !== null && t === 2 && !dev.addrs.some((a) => a.addr === addr)) t = 1;
  return ((1 << t) & types) !== 0;
}

/** -m multiport; `ports` holds pairs min, max. */
export class MultiportMatch implements Match {
  readonly name = 'multiport';
  readonly which: 'sports' | 'dports' | 'ports';
  readonly ports: readonly number[];
  readonly inv: boolean;

  constructor(which: 'sports' | 'dports' | 'ports', ports: readonly number[], inv: boolean) {
    this.which = which;
    this.ports = ports;
    this.inv = inv;
  }

  match(skb: Skb, c: XtCtx): boolean {
    if (c.fragOff !== 0) return false;
    if (c.th + 4 > c.end) {
      c.hotdrop = true;
      return false;
    }
    const s = u16(skb.buf, c.th);
    const d = u16(skb.buf, c.th + 2);
    let hit = false;
    for (let i = 0; i < this.ports.length && !hit; i += 2) {
      const min = this.ports[i]!;
      const max = this.ports[i + 1]!;
      if (this.which !== 'dports' && s >= min && s <= max) hit = true;
      if (this.which !== 'sports' && d >= min && d <= max) hit = true;
    }
    return hit !== this.inv;
  }
}

/** -m set --match-set. */
export class SetMatch implements Match {
  readonly name = 'set';
  readonly set: IpSet;
  /** Direction of each dimension: true is src. */
  readonly dirs: readonly boolean[];
  readonly inv: boolean;

  constructor(set: IpSet, dirs: readonly boolean[], inv: boolean) {
    this.set = set;
    this.dirs = dirs;
    this.inv = inv;
  }

  match(skb: Skb, c: XtCtx): boolean {
    return this.set.testPacket(skb, c.th, c.end, c.fragOff, this.dirs) !== this.inv;
  }
}

/** -m physdev. */
export class PhysdevMatch implements Match {
  readonly name = 'physdev';
  in = '';
  inInv = false;
  out = '';
  outInv = false;
  /** 0 not asked, 1 asked, -1 asked inverted. */
  isIn = 0;
  isOut = 0;
  isBridged = 0;

  match(skb: Skb, c: XtCtx): boolean {
    const { physin } = skb;
    if (physin === null) {
      // Not from a bridge port: only what is asked inverted can hold.
      if (this.isBridged > 0 || this.isIn > 0 || this.isOut > 0) return false;
      if (this.in !== '' && !this.inInv) return false;
      return !(this.out !== '' && !this.outInv);
    }
    const physout = skb.physout;
    if (this.isBridged !== 0 && (physout !== null && c.hook !== PRE_ROUTING) !== this.isBridged > 0) return false;
    if (this.isIn < 0) return false;
    if (this.isOut !== 0 && (physout !== null) !== this.isOut > 0) return false;
    if (this.in !== '' && wild(this.in, physin.name) === this.inInv) return false;
    return this.out === '' || (physout !== null && wild(this.out, physout.name) !== this.outInv);
  }

  check(_net: Netns, _table: TableName, hooks: number): string | null {
    const bridgedOnly = this.isBridged > 0;
    if ((this.out !== '' || this.isOut !== 0) && !bridgedOnly && (hooks & (1 << LOCAL_OUT)) !== 0) {
      return 'physdev: --physdev-out and --physdev-is-out are only supported for bridged traffic';
    }
    return null;
  }
}

const wild = (pattern: string, name: string): boolean =>
  pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;

/** -m mac --mac-source. */
export class MacMatch implements Match {
  readonly name = 'mac';
  readonly mac: Uint8Array;
  readonly inv: boolean;

  constructor(mac: Uint8Array, inv: boolean) {
    this.mac = mac;
    this.inv = inv;
  }

  match(skb: Skb, c: XtCtx): boolean {
    if (c.in === null || !c.in.isEthernet || skb.net - skb.mac < eth.HLEN) return false;
    return equalAt(skb.buf, skb.mac + 6, this.mac, 0, 6) !== this.inv;
  }

  check(_net: Netns, _table: TableName, hooks: number): string | null {
    const allowed = (1 << PRE_ROUTING) | (1 << LOCAL_IN) | (1 << FORWARD);
    return (hooks & ~allowed) !== 0 ? 'mac: only valid in PREROUTING, INPUT and FORWARD' : null;
  }
}
