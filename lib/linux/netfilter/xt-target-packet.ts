/**
 * Targets that change a field of the packet (TOS, DSCP, TTL, TCPMSS), map networks (NETMAP), or tell a program (NFLOG).
 *
 * Kernel counterparts: net/netfilter/xt_{DSCP,HL,TCPMSS,NETMAP,NFLOG}.c.
 * @module
 */
import { put16, put32, u16 } from '../../../wire/bytes.js';
import { replace16, replace32 } from '../../../wire/checksum.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import type { Netns } from '../core/netns.js';
import { FORWARD, LOCAL_OUT, NF_DROP, POST_ROUTING, PRE_ROUTING } from '../core/nf-hook.js';
import type { Skb } from '../core/skb.js';
import { dstMtu } from '../ipv4/dst.js';
import { Flow } from '../ipv4/flow.js';
import { isErr, routeOutput } from '../ipv4/route.js';
import { MANIP_DST, MANIP_SRC, natSetup, oneAddress } from './nat.js';
import { mssOption } from './xt-match-packet.js';
import { TcpMatch } from './xt-match-proto.js';
import { type Rule, type TableName, type Target, XT_CONTINUE, type XtCtx } from './xtables.js';

const mangleOnly = (name: string, table: TableName): string | null =>
  table === 'mangle' ? null : `${name}: only valid in table mangle, not ${table}`;

/** -j TOS and -j DSCP: tos = (tos & ~mask) ^ value; DSCP keeps the two bits of ECN. */
export class TosTarget implements Target {
  readonly name: 'TOS' | 'DSCP';
  readonly value: number;
  readonly mask: number;

  constructor(name: 'TOS' | 'DSCP', value: number, mask: number) {
    this.name = name;
    this.value = value;
    this.mask = mask;
  }

  run(skb: Skb): number {
    const old = ipv4.tos(skb.buf, skb.net);
    const tos = ((old & ~this.mask) ^ this.value) & 255;
    if (tos !== old) ipv4.setTos(skb.buf, skb.net, tos);
    return XT_CONTINUE;
  }

  check(_net: Netns, table: TableName): string | null {
    return mangleOnly(this.name, table);
  }
}

/** -j TTL. */
export class TtlTarget implements Target {
  readonly name = 'TTL';
  readonly mode: 'set' | 'inc' | 'dec';
  readonly ttl: number;

  constructor(mode: 'set' | 'inc' | 'dec', ttl: number) {
    this.mode = mode;
    this.ttl = ttl;
  }

  run(skb: Skb): number {
    const b = skb.buf;
    const o = skb.net;
    const old = ipv4.ttl(b, o);
    const sum = this.mode === 'inc' ? old + this.ttl : old - this.ttl;
    const ttl = this.mode === 'set' ? this.ttl : Math.max(0, Math.min(255, sum));
    if (ttl === old) return XT_CONTINUE;
    put16(b, o + ipv4.CSUM, replace16(u16(b, o + ipv4.CSUM), old << 8, ttl << 8));
    b[o + ipv4.TTL] = ttl;
    return XT_CONTINUE;
  }

  check(_net: Netns, table: TableName): string | null {
    return mangleOnly('TTL', table);
  }
}

/** -j TCPMSS: a smaller MSS option in a SYN; `mss` 0 takes what the paths of both directions carry. */
export class TcpmssTarget implements Target {
  readonly name = 'TCPMSS';
  readonly mss: number;

  constructor(mss: number) {
    this.mss = mss;
  }

  run(skb: Skb, c: XtCtx): number {
    if (c.fragOff !== 0) return XT_CONTINUE;
    const b = skb.buf;
    const t = c.th;
    const hlen = t + tcp.HLEN > c.end ? 0 : tcp.headerLen(b, t);
    if (hlen < tcp.HLEN || t + hlen > c.end) return NF_DROP;
    let mss = this.mss;
    if (mss === 0) {
      const mtu = Math.min(dstMtu(skb.dst!), reverseMtu(c.net, ipv4.src(b, skb.net)));
      if (mtu <= ipv4.HLEN + tcp.HLEN) return NF_DROP;
      mss = (mtu - ipv4.HLEN - tcp.HLEN) & 0xffff;
    }
    const at = mssOption(b, t, hlen);
    if (at >= 0) lower(b, t, at, mss);
    // No room for the option in front of data, or in a full header.
    else if (t + hlen === c.end && hlen < 60) insert(skb, c, t, Math.min(mss, 536));
    return XT_CONTINUE;
  }

  check(_net: Netns, _table: TableName, hooks: number, rule: Rule): string | null {
    if (!rule.matches.some((m) => m instanceof TcpMatch && m.asksSyn)) return 'TCPMSS: Only works on TCP SYN packets';
    const allowed = (1 << FORWARD) | (1 << LOCAL_OUT) | (1 << POST_ROUTING);
    if (this.mss !== 0 || (hooks & ~allowed) === 0) return null;
    return 'TCPMSS: path-MTU clamping only supported in FORWARD, OUTPUT and POSTROUTING hooks';
  }
}

const flow = new Flow();

/** MTU of the way back to the sender (tcpmss_reverse_mtu); without a route there is no limit. */
function reverseMtu(net: Netns, saddr: number): number {
  const d = routeOutput(net, flow.to(saddr, 0));
  return isErr(d) ? 0xffffffff : dstMtu(d);
}

/** Never raises an MSS. */
function lower(b: Uint8Array, t: number, at: number, mss: number): void {
  const old = u16(b, at);
  if (old <= mss) return;
  put16(b, at, mss);
  put16(b, t + tcp.CSUM, replace16(u16(b, t + tcp.CSUM), old, mss));
}

function insert(skb: Skb, c: XtCtx, t: number, mss: number): void {
  skb.room(4);
  const b = skb.buf;
  const len = c.end - t;
  b.copyWithin(t + tcp.HLEN + 4, t + tcp.HLEN, c.end);
  put32(b, t + tcp.HLEN, (tcp.OPT_MSS << 24) | (4 << 16) | mss);
  let csum = replace16(u16(b, t + tcp.CSUM), len, len + 4);
  csum = replace32(csum, 0, (tcp.OPT_MSS << 24) | (4 << 16) | mss);
  const word = u16(b, t + tcp.DOFF);
  b[t + tcp.DOFF]! += 0x10;
  put16(b, t + tcp.CSUM, replace16(csum, word, u16(b, t + tcp.DOFF)));
  const total = ipv4.totalLen(b, skb.net);
  put16(b, skb.net + ipv4.LEN, total + 4);
  put16(b, skb.net + ipv4.CSUM, replace16(u16(b, skb.net + ipv4.CSUM), total, total + 4));
  skb.tail += 4;
  c.end += 4;
}

/** -j NETMAP: the network part of the address becomes another, the host part stays. */
export class NetmapTarget implements Target {
  readonly name = 'NETMAP';
  readonly needsConntrack = true;
  readonly addr: number;
  readonly mask: number;

  constructor(addr: number, mask: number) {
    this.addr = addr;
    this.mask = mask;
  }

  run(skb: Skb, c: XtCtx): number {
    const dst = c.hook === PRE_ROUTING || c.hook === LOCAL_OUT;
    const old = dst ? ipv4.dst(skb.buf, skb.net) : ipv4.src(skb.buf, skb.net);
    return natSetup(skb.ct!, oneAddress((old & ~this.mask) | this.addr), dst ? MANIP_DST : MANIP_SRC);
  }

  check(_net: Netns, table: TableName): string | null {
    return table === 'nat' ? null : `NETMAP: only valid in table nat, not ${table}`;
  }
}

/** -j NFLOG: for a program that listens to the group; nobody does here. */
export class NflogTarget implements Target {
  readonly name = 'NFLOG';
  readonly group: number;
  readonly prefix: string;

  constructor(group: number, prefix: string) {
    this.group = group;
    this.prefix = prefix;
  }

  run(): number {
    return XT_CONTINUE;
  }
}
