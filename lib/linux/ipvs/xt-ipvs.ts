/**
 * -m ipvs: what IPVS knows of a packet it has handled.
 *
 * Kernel counterpart: net/netfilter/xt_ipvs.c. The connection is found by the packet's present addresses, so after the
 * request has its server's address.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Skb } from '../core/skb.js';
import { isReply } from '../netfilter/conntrack.js';
import type { Match, XtCtx } from '../netfilter/xtables.js';

/** One `[!] --option value`; null in the match: not asked. */
export interface IpvsTest {
  value: number;
  inv: boolean;
}

/** Forwarding methods (IP_VS_CONN_F_FWD_MASK), in the order of their numbers. */
export const METHODS = ['MASQ', 'LOCAL', 'IPIP', 'GATE'] as const;

const holds = (t: IpvsTest | null, value: number): boolean => t === null || (t.value === value) !== t.inv;

export class IpvsMatch implements Match {
  readonly name = 'ipvs';
  /** `[!] --ipvs`: 0 not asked, 1 asked, -1 asked inverted; alone or not at all, as in the kernel. */
  property = 0;
  vproto: IpvsTest | null = null;
  vaddr: IpvsTest | null = null;
  vmask = -1;
  vport: IpvsTest | null = null;
  /** 1: REPLY, 0: ORIGINAL. */
  vdir = -1;
  vmethod: IpvsTest | null = null;
  vportctl: IpvsTest | null = null;

  /** True when another option than --ipvs is given. */
  get asksConnection(): boolean {
    return (
      this.vproto !== null || this.vaddr !== null || this.vport !== null || this.vdir >= 0 || this.vmethod !== null ||
      this.vportctl !== null
    ); // prettier-ignore
  }

  match(skb: Skb, c: XtCtx): boolean {
    if (!this.asksConnection) return skb.ipvs !== this.property < 0;
    if (!skb.ipvs || c.net.ipvs === null) return false;
    const b = skb.buf;
    const proto = ipv4.proto(b, skb.net);
    if (!holds(this.vproto, proto)) return false;
    if (proto !== ipv4.TCP && proto !== ipv4.UDP && proto !== ipv4.SCTP) return false;
    if (c.fragOff !== 0 || c.th + 4 > c.end) return false;
    const { conns } = c.net.ipvs;
    const cp = conns.outGet(proto, ipv4.src(b, skb.net), u16(b, c.th), ipv4.dst(b, skb.net), u16(b, c.th + 2));
    if (cp === null || !holds(this.vport, cp.vport)) return false;
    const { control } = cp;
    if (this.vportctl !== null && (control !== null && control.vport === this.vportctl.value) === this.vportctl.inv) {
      return false;
    }
    if (this.vdir >= 0 && (skb.ct === null || isReply(skb) !== (this.vdir === 1))) return false;
    if (!holds(this.vmethod, cp.fwd)) return false;
    return this.vaddr === null || ((cp.vaddr & this.vmask) === this.vaddr.value) !== this.vaddr.inv;
  }
}
