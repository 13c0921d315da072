/**
 * Matches that look at the packet alone, at its socket, or at the way back: length, ttl, tos, dscp, pkttype, iprange, tcpmss,
 * owner, rpfilter.
 *
 * Kernel counterparts: net/netfilter/xt_{length,hl,dscp,pkttype,iprange,tcpmss,owner}.c, net/ipv4/netfilter/ipt_rpfilter.c.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_OUT, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import type { Skb } from '../core/skb.js';
import { Flow } from '../ipv4/flow.js';
import { RTN_LOCAL, RTN_UNICAST, usesDev } from '../ipv4/route.js';
import type { Match, TableName, XtCtx } from './xtables.js';

/** -m length: bytes of the IPv4 packet. */
export class LengthMatch implements Match {
  readonly name = 'length';
  readonly pure = true;
  min = 0;
  max = 0xffff;
  inv = false;

  match(skb: Skb, c: XtCtx): boolean {
    const n = c.end - skb.net;
    return (n >= this.min && n <= this.max) !== this.inv;
  }
}

/** -m ttl. */
export class TtlMatch implements Match {
  readonly name = 'ttl';
  readonly pure = true;
  mode: 'eq' | 'ne' | 'lt' | 'gt' = 'eq';
  ttl = 0;

  match(skb: Skb): boolean {
    const t = ipv4.ttl(skb.buf, skb.net);
    if (this.mode === 'lt') return t < this.ttl;
    if (this.mode === 'gt') return t > this.ttl;
    return (t === this.ttl) === (this.mode === 'eq');
  }
}

/** -m tos and -m dscp (whose value stands in the upper six bits). */
export class TosMatch implements Match {
  readonly name: 'tos' | 'dscp';
  readonly pure = true;
  value = 0;
  mask = 0xff;
  inv = false;

  constructor(name: 'tos' | 'dscp') {
    this.name = name;
  }

  match(skb: Skb): boolean {
    return ((ipv4.tos(skb.buf, skb.net) & this.mask) === this.value) !== this.inv;
  }
}

/** -m pkttype: PACKET_*. */
export class PkttypeMatch implements Match {
  readonly name = 'pkttype';
  readonly pure = true;
  type = 0;
  inv = false;

  match(skb: Skb): boolean {
    return (skb.pktType === this.type) !== this.inv;
  }
}

/** One range of -m iprange. */
export interface AddrRange {
  readonly min: number;
  readonly max: number;
  readonly inv: boolean;
}

const within = (r: AddrRange | null, a: number): boolean =>
  r === null || (a >>> 0 >= r.min >>> 0 && a >>> 0 <= r.max >>> 0) !== r.inv;

/** -m iprange. */
export class IprangeMatch implements Match {
  readonly name = 'iprange';
  readonly pure = true;
  src: AddrRange | null = null;
  dst: AddrRange | null = null;

  match(skb: Skb): boolean {
    return within(this.src, ipv4.src(skb.buf, skb.net)) && within(this.dst, ipv4.dst(skb.buf, skb.net));
  }
}

/** Offset of the MSS option's value, or -1. */
export function mssOption(b: Uint8Array, th: number, hlen: number): number {
  for (let i = tcp.HLEN; i <= hlen - 4; i += b[th + i]! < 2 ? 1 : b[th + i + 1]! || 1) {
    if (b[th + i] === tcp.OPT_MSS && b[th + i + 1] === 4) return th + i + 2;
  }
  return -1;
}

/** -m tcpmss. */
export class TcpmssMatch implements Match {
  readonly name = 'tcpmss';
  min = 0;
  max = 0;
  inv = false;

  match(skb: Skb, c: XtCtx): boolean {
    const b = skb.buf;
    const hlen = c.th + tcp.HLEN > c.end ? 0 : tcp.headerLen(b, c.th);
    if (hlen < tcp.HLEN || c.th + hlen > c.end) {
      c.hotdrop = true;
      return false;
    }
    const at = mssOption(b, c.th, hlen);
    if (at < 0) return this.inv;
    const v = u16(b, at);
    return (v >= this.min && v <= this.max) !== this.inv;
  }
}

const flow = new Flow();

/** A range of user or group numbers. */
export interface IdRange {
  readonly min: number;
  readonly max: number;
  readonly inv: boolean;
}

/** -m owner: who holds the socket a packet of this machine comes from; nobody's is nobody's. */
export class OwnerMatch implements Match {
  readonly name = 'owner';
  readonly pure = true;
  uid: IdRange | null = null;
  gid: IdRange | null = null;

  match(skb: Skb): boolean {
    return ownerIs(this.uid, skb.cred?.uid ?? -1) && ownerIs(this.gid, skb.cred?.gid ?? -1);
  }

  check(_net: Netns, _table: TableName, hooks: number): string | null {
    return (hooks & ~((1 << LOCAL_OUT) | (1 << POST_ROUTING))) !== 0
      ? 'owner: only valid in OUTPUT and POSTROUTING'
      : null;
  }
}

const ownerIs = (r: IdRange | null, id: number): boolean =>
  r === null || (id >= 0 && id >= r.min && id <= r.max) !== r.inv;

/** -m rpfilter: the source would be reached by the device the packet came from. */
export class RpfilterMatch implements Match {
  readonly name = 'rpfilter';
  loose = false;
  validmark = false;
  acceptLocal = false;
  invert = false;

  match(skb: Skb, c: XtCtx): boolean {
    const src = ipv4.src(skb.buf, skb.net);
    const dst = ipv4.dst(skb.buf, skb.net);
    if (c.in === c.net.lo || c.in === null) return !this.invert;
    if (src >>> 24 === 0 && (dst === -1 || (dst & 0xffffff00) === (0xe0000000 | 0))) return !this.invert;
    return this.reverse(skb, c, src, dst) !== this.invert;
  }

  private reverse(skb: Skb, c: XtCtx, src: number, dst: number): boolean {
    const group = dst >>> 28 === 14 || dst === -1 || dst >>> 24 === 0;
    const fl = flow.to(src, group ? 0 : dst);
    fl.tos = ipv4.tos(skb.buf, skb.net) & 0x1e;
    fl.mark = this.validmark ? skb.mark : 0;
    const r = c.net.fib.lookup(fl);
    if (r === null || (r.type !== RTN_UNICAST && (r.type !== RTN_LOCAL || !this.acceptLocal))) return false;
    return this.loose || usesDev(r, c.in!);
  }

  check(_net: Netns, table: TableName, hooks: number): string | null {
    if (table !== 'mangle' && table !== 'raw') return `rpfilter: only valid in 'raw' or 'mangle' table, not '${table}'`;
    return (hooks & ~(1 << PRE_ROUTING)) !== 0 ? 'rpfilter: only valid in PREROUTING' : null;
  }
}
