/**
 * iptables targets.
 *
 * Kernel counterparts: net/netfilter/xt_*.c, net/ipv4/netfilter/ipt_REJECT.c, nf_nat_masquerade.c, nf_nat_redirect.c.
 * @module
 */
import { pseudo, sum, valid } from '../../../wire/checksum.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import type { Netns } from '../core/netns.js';
import {
  FORWARD, LOCAL_IN, LOCAL_OUT, NF_ACCEPT, NF_DROP, POST_ROUTING, PRE_ROUTING,
} from '../core/nf-hook.js'; // prettier-ignore
import type { Skb } from '../core/skb.js';
import { inetSelectAddr } from '../ipv4/devinet.js';
import { nexthop } from '../ipv4/dst.js';
import { icmpSend } from '../ipv4/icmp.js';
import { type Conn, IPCT_MARK } from './ct-conn.js';
import { nfSendReset } from './nf-reject.js';
import { MANIP_DST, MANIP_SRC, type NatRange, natSetup, oneAddress } from './nat.js';
import { INV_PROTO, type Rule, type TableName, type Target, XT_CONTINUE, XT_RETURN, type XtCtx } from './xtables.js';

const bits = (...hooks: number[]): number => hooks.reduce((m, h) => m | (1 << h), 0);

function place(
  what: string,
  table: TableName,
  hooks: number,
  tables: readonly TableName[],
  allowed: number,
): string | null {
  if (!tables.includes(table)) return `${what}: only valid in table ${tables.join(', ')}, not ${table}`;
  return (hooks & ~allowed) !== 0 ? `${what}: used from a hook where it is not valid` : null;
}

/** ACCEPT, DROP and RETURN. */
export class VerdictTarget implements Target {
  readonly name: 'ACCEPT' | 'DROP' | 'RETURN';
  private readonly verdict: number;

  constructor(name: 'ACCEPT' | 'DROP' | 'RETURN') {
    this.name = name;
    this.verdict = name === 'ACCEPT' ? NF_ACCEPT : name === 'DROP' ? NF_DROP : XT_RETURN;
  }

  run(): number {
    return this.verdict;
  }

  check(_net: Netns, table: TableName): string | null {
    return this.name === 'DROP' && table === 'nat'
      ? 'The "nat" table is not intended for filtering, the use of DROP is therefore inhibited.'
      : null;
  }
}

/** --reject-with names and their ICMP codes (type 3). */
export const REJECT_CODES: Readonly<Record<string, number>> = {
  'icmp-net-unreachable': 0,
  'icmp-host-unreachable': 1,
  'icmp-proto-unreachable': 2,
  'icmp-port-unreachable': 3,
  'icmp-net-prohibited': 9,
  'icmp-host-prohibited': 10,
  'icmp-admin-prohibited': 13,
};

/** --reject-with of a TCP packet: answered by a reset. */
export const TCP_RESET = 'tcp-reset';

/** Only a packet with a right checksum is answered (nf_reject_verify_csum, nf_ip_checksum). */
function csumGood(skb: Skb, c: XtCtx): boolean {
  const b = skb.buf;
  if (skb.csumValid || NO_CSUM.includes(c.proto)) return true;
  if (c.proto === ipv4.UDP && (c.th + udp.HLEN > c.end || udp.csum(b, c.th) === 0)) return c.th + udp.HLEN <= c.end;
  const ports = c.proto === ipv4.TCP || c.proto === ipv4.UDP;
  const start = ports ? pseudo(ipv4.src(b, skb.net), ipv4.dst(b, skb.net), c.proto, c.end - c.th) : 0;
  return valid(sum(b, c.th, c.end, start));
}

/** GRE, ESP, AH, SCTP, UDP-Lite, DCCP: no checksum of the whole payload of this kind. */
const NO_CSUM = [47, 50, 51, 132, 136, 33];

/** -j REJECT with an ICMP error, or `tcp-reset`. */
export class RejectTarget implements Target {
  readonly name = 'REJECT';
  readonly with: string;

  constructor(reason: string) {
    this.with = reason;
  }

  run(skb: Skb, c: XtCtx): number {
    if (c.fragOff !== 0 || !csumGood(skb, c)) return NF_DROP;
    if (this.with === TCP_RESET) nfSendReset(c.net, skb);
    else icmpSend(c.net, skb, 3, REJECT_CODES[this.with]!, 0);
    return NF_DROP;
  }

  check(_net: Netns, table: TableName, hooks: number, r: Rule): string | null {
    if (this.with === TCP_RESET && (r.proto !== ipv4.TCP || (r.inv & INV_PROTO) !== 0))
      return 'REJECT: TCP_RESET invalid for non-tcp';
    return place('REJECT', table, hooks, ['filter'], bits(LOCAL_IN, FORWARD, LOCAL_OUT));
  }
}

/** -j DNAT and -j SNAT. */
export class NatTarget implements Target {
  readonly name: 'DNAT' | 'SNAT';
  readonly needsConntrack = true;
  readonly range: NatRange;
  /** Written as --random-fully. */
  fully = false;

  constructor(name: 'DNAT' | 'SNAT', range: NatRange) {
    this.name = name;
    this.range = range;
  }

  run(skb: Skb): number {
    return natSetup(skb.ct!, this.range, this.name === 'SNAT' ? MANIP_SRC : MANIP_DST);
  }

  check(_net: Netns, table: TableName, hooks: number): string | null {
    const allowed = this.name === 'SNAT' ? bits(POST_ROUTING, LOCAL_IN) : bits(PRE_ROUTING, LOCAL_OUT);
    return place(this.name, table, hooks, ['nat'], allowed);
  }
}

/** Ports and randomness of MASQUERADE and REDIRECT. */
export interface PortRange {
  readonly proto: boolean;
  readonly minPort: number;
  readonly maxPort: number;
  readonly random: boolean;
  /** Written as --random-fully. */
  readonly fully: boolean;
}

/** -j MASQUERADE: the address of the output device towards the next hop (nf_nat_masquerade_ipv4). */
export class MasqueradeTarget implements Target {
  readonly name = 'MASQUERADE';
  readonly needsConntrack = true;
  readonly ports: PortRange;

  constructor(ports: PortRange) {
    this.ports = ports;
  }

  run(skb: Skb, c: XtCtx): number {
    const ct = skb.ct!;
    if (ct.orig.src === 0) return NF_ACCEPT;
    const dev = c.out!;
    const addr = inetSelectAddr(dev, nexthop(skb.dst!, ipv4.dst(skb.buf, skb.net)), 0);
    if (addr === 0) return NF_DROP;
    ct.masqIndex = dev.ifindex;
    return natSetup(ct, { ...oneAddress(addr), ...this.ports }, MANIP_SRC);
  }

  check(_net: Netns, table: TableName, hooks: number): string | null {
    return place('MASQUERADE', table, hooks, ['nat'], bits(POST_ROUTING));
  }
}

/** -j REDIRECT: to this machine (nf_nat_redirect_ipv4). */
export class RedirectTarget implements Target {
  readonly name = 'REDIRECT';
  readonly needsConntrack = true;
  readonly ports: PortRange;

  constructor(ports: PortRange) {
    this.ports = ports;
  }

  run(skb: Skb, c: XtCtx): number {
    let addr = 0x7f000001;
    if (c.hook !== LOCAL_OUT) {
      const first = c.in?.addrs.find((a) => !a.secondary);
      if (first === undefined) return NF_DROP;
      addr = first.addr;
    }
    return natSetup(skb.ct!, { ...oneAddress(addr), ...this.ports }, MANIP_DST);
  }

  check(_net: Netns, table: TableName, hooks: number): string | null {
    return place('REDIRECT', table, hooks, ['nat'], bits(PRE_ROUTING, LOCAL_OUT));
  }
}

/** -j MARK: mark = (mark & ~mask) ^ value. */
export class MarkTarget implements Target {
  readonly name = 'MARK';
  readonly value: number;
  readonly mask: number;

  constructor(value: number, mask: number) {
    this.value = value;
    this.mask = mask;
  }

  run(skb: Skb): number {
    skb.mark = (skb.mark & ~this.mask) ^ this.value;
    return XT_CONTINUE;
  }
}

/** -j CONNMARK --set-xmark, --save-mark, --restore-mark. */
export class ConnmarkTarget implements Target {
  readonly name = 'CONNMARK';
  readonly needsConntrack = true;
  readonly mode: 'set' | 'save' | 'restore';
  readonly ctMark: number;
  readonly ctMask: number;
  readonly nfMask: number;

  constructor(mode: 'set' | 'save' | 'restore', ctMark: number, ctMask: number, nfMask: number) {
    this.mode = mode;
    this.ctMark = ctMark;
    this.ctMask = ctMask;
    this.nfMask = nfMask;
  }

  run(skb: Skb): number {
    const { ct } = skb;
    if (ct === null) return XT_CONTINUE;
    if (this.mode === 'set') setMark(ct, (ct.mark & ~this.ctMask) ^ this.ctMark);
    else if (this.mode === 'save') setMark(ct, (ct.mark & ~this.ctMask) ^ (skb.mark & this.nfMask));
    else skb.mark = (skb.mark & ~this.nfMask) ^ (ct.mark & this.ctMask);
    return XT_CONTINUE;
  }
}

function setMark(ct: Conn, mark: number): void {
  if (ct.mark === mark) return;
  ct.mark = mark;
  ct.event(IPCT_MARK);
}

/** -j LOG: the kernel log is no part of podwire; the tracer sees the rule. */
export class LogTarget implements Target {
  readonly name = 'LOG';
  readonly prefix: string;
  readonly level: number;

  constructor(prefix: string, level: number) {
    this.prefix = prefix;
    this.level = level;
  }

  run(): number {
    return XT_CONTINUE;
  }
}

/** -j NOTRACK and -j CT --notrack; alone they do not start tracking (xt_ct_tg_check). */
export class NotrackTarget implements Target {
  readonly name: 'CT' | 'NOTRACK';

  constructor(name: 'CT' | 'NOTRACK') {
    this.name = name;
  }

  run(skb: Skb): number {
    if (skb.ct === null) skb.untracked = true;
    return XT_CONTINUE;
  }

  check(_net: Netns, table: TableName, hooks: number): string | null {
    return place(this.name, table, hooks, ['raw'], bits(PRE_ROUTING, LOCAL_OUT));
  }
}
