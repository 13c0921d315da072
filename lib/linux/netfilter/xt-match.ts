/**
 * iptables matches.
 *
 * Each class keeps its parameters as numbers and decides on bytes; the texts live in the shell. Kernel counterparts:
 * net/netfilter/xt_*.c of the same names.
 * @module
 */
import { equalAt } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Rng } from '../../sim/rng.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, LOCAL_IN, LOCAL_OUT, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import { type Skb } from '../core/skb.js';
import { inetAddrType } from '../ipv4/route.js';
import type { IpSet } from './ipset.js';
import { type Match, type TableName, type XtCtx } from './xtables.js';

/** -m comment: always true. */
export class CommentMatch implements Match {
  readonly name = 'comment';
  readonly pure = true;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  match(): boolean {
    return true;
  }
}

/** -m mark. */
export class MarkMatch implements Match {
  readonly name = 'mark';
  readonly pure = true;
  value = 0;
  mask = -1;
  inv = false;

  match(skb: Skb): boolean {
    return ((skb.mark & this.mask) === this.value) !== this.inv;
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
  readonly pure = true;
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
  readonly pure = true;
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
