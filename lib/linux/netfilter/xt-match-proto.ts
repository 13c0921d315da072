/**
 * Matches on the transport header: tcp, udp, sctp, icmp, multiport.
 *
 * Kernel counterparts: net/netfilter/xt_tcpudp.c, xt_sctp.c, xt_multiport.c, net/ipv4/netfilter/ip_tables.c (icmp).
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import { type Skb } from '../core/skb.js';
import { INV_PROTO, type Match, type Rule, type TableName, type XtCtx } from './xtables.js';

/** min..max with both ends, or outside of it. */
export const inRange = (v: number, min: number, max: number, inv: boolean): boolean => (v >= min && v <= max) !== inv;

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

  /** With `!` it matches all ports but one. */
  exactDport(): number {
    return this.dpMin === this.dpMax && !this.dpInv ? this.dpMin : -1;
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

  /** With `!` it matches all ports but one. */
  exactDport(): number {
    return this.dpMin === this.dpMax && !this.dpInv ? this.dpMin : -1;
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
