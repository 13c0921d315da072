/**
 * Options of the IPv4 header: checked when a packet is routed, filled in when it goes on, copied into what answers it.
 *
 * Kernel counterpart: net/ipv4/ip_options.c. Not here: CIPSO labels (taken as an unknown option), router alert sockets.
 * @module
 */
import { i32, put32 } from '../../../wire/bytes.js';
import { fill } from '../../../wire/checksum.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import { PACKET_HOST, Skb } from '../core/skb.js';
import { inetSelectAddr } from './devinet.js';
import { type Dst, nexthop } from './dst.js';
import { RTN_LOCAL, RTN_UNICAST, SCOPE_UNIVERSE } from './fib.js';
import { Flow, FLOWI_FLAG_ANYSRC } from './flow.js';
import { computeSpecDst, inetAddrType, isErr, routeInputTo, routeOutput } from './route.js';

const flow = new Flow();

const END = 0;
const NOOP = 1;
const RR = 7;
const TIMESTAMP = 68;
const LSRR = 131;
const SSRR = 137;
const RA = 148;
const COPY = 0x80;

const EPERM = 1;
const EINVAL = 22;

const TS_ONLY = 0;
const TS_ADDR = 1;
const TS_PRESPEC = 3;

/** skb.optFlags. */
export const OPT_CHANGED = 1;
export const OPT_RR_ADDR = 2;
export const OPT_TS_TIME = 4;
export const OPT_TS_ADDR = 8;
export const OPT_STRICT = 16;
export const OPT_SRR_HIT = 32;

/** compileOptions() found nothing wrong. */
export const OPTIONS_OK = -1;

/** Milliseconds since midnight UT (inet_current_timestamp); the machine is booted at midnight. */
export const currentTimestamp = (net: Netns): number => Math.floor(net.kernel.sim.now / 1e6) % 86400000;

/**
 * Checks the options of a routed packet, records this machine where they ask for it and notes in skb.opt* what is left to
 * do (__ip_options_compile). OPTIONS_OK, or the offset in the header of what is wrong.
 */
export function compileOptions(net: Netns, skb: Skb): number {
  const b = skb.buf;
  const ip = skb.net;
  const end = ip + ipv4.headerLen(b, ip);
  skb.optLen = end - ip - ipv4.HLEN;
  skb.optRr = skb.optTs = skb.optSrr = skb.optFlags = 0;
  for (let o = ip + ipv4.HLEN; o < end;) {
    const kind = b[o]!;
    if (kind === END) {
      for (o++; o < end; o++) {
        if (b[o] !== END) {
          b[o] = END;
          skb.optFlags |= OPT_CHANGED;
        }
      }
      break;
    }
    if (kind === NOOP) {
      o++;
      continue;
    }
    const len = o + 1 < end ? b[o + 1]! : 0;
    if (len < 2 || o + len > end) return o - ip;
    const bad = compileOne(net, skb, kind, o, len);
    if (bad !== OPTIONS_OK) return bad - ip;
    o += len;
  }
  return OPTIONS_OK;
}

/** One option: OPTIONS_OK or the place in the buffer that is wrong. */
function compileOne(net: Netns, skb: Skb, kind: number, o: number, len: number): number {
  const b = skb.buf;
  switch (kind) {
    case SSRR:
    case LSRR:
      if (len < 3) return o + 1;
      if (b[o + 2]! < 4) return o + 2;
      if (skb.optSrr !== 0) return o;
      if (kind === SSRR) skb.optFlags |= OPT_STRICT;
      skb.optSrr = o - skb.net;
      return OPTIONS_OK;
    case RR:
      return compileRecordRoute(net, skb, o, len);
    case TIMESTAMP:
      return compileTimestamp(net, skb, o, len);
    case RA:
      return len < 4 ? o + 1 : OPTIONS_OK;
    default:
      return OPTIONS_OK;
  }
}

function compileRecordRoute(net: Netns, skb: Skb, o: number, len: number): number {
  const b = skb.buf;
  if (skb.optRr !== 0) return o;
  if (len < 3) return o + 1;
  const ptr = b[o + 2]!;
  if (ptr < 4) return o + 2;
  if (ptr <= len) {
    if (ptr + 3 > len) return o + 2;
    if (skb.dst !== null) {
      put32(b, o + ptr - 1, computeSpecDst(net, skb));
      skb.optFlags |= OPT_CHANGED;
    }
    b[o + 2] = ptr + 4;
    skb.optFlags |= OPT_RR_ADDR;
  }
  skb.optRr = o - skb.net;
  return OPTIONS_OK;
}

function compileTimestamp(net: Netns, skb: Skb, o: number, len: number): number {
  const b = skb.buf;
  if (skb.optTs !== 0) return o;
  if (len < 4) return o + 1;
  const ptr = b[o + 2]!;
  if (ptr < 5) return o + 2;
  const flag = b[o + 3]! & 15;
  if (ptr <= len) {
    if (ptr + 3 > len) return o + 2;
    let at = -1;
    if (flag === TS_ONLY) {
      at = o + ptr - 1;
      skb.optFlags |= OPT_TS_TIME;
      b[o + 2] = ptr + 4;
    } else if (flag === TS_ADDR || flag === TS_PRESPEC) {
      if (ptr + 7 > len) return o + 2;
      if (flag === TS_ADDR && skb.dst !== null) {
        put32(b, o + ptr - 1, computeSpecDst(net, skb));
        at = o + ptr + 3;
      }
      if (flag === TS_ADDR) skb.optFlags |= OPT_TS_ADDR;
      const others = flag === TS_PRESPEC && inetAddrType(net, i32(b, o + ptr - 1)) === RTN_UNICAST;
      if (!others) {
        if (flag === TS_PRESPEC) at = o + ptr + 3;
        skb.optFlags |= OPT_TS_TIME;
        b[o + 2] = ptr + 8;
      }
    }
    if (at >= 0) {
      put32(b, at, currentTimestamp(net));
      skb.optFlags |= OPT_CHANGED;
    }
  } else if (flag !== TS_PRESPEC) {
    const overflow = b[o + 3]! >> 4;
    if (overflow === 15) return o + 3;
    b[o + 3] = flag | ((overflow + 1) << 4);
    skb.optFlags |= OPT_CHANGED;
  }
  skb.optTs = o - skb.net;
  return OPTIONS_OK;
}

/** What ip_options_rcv_srr says: go on, drop, or answer with a parameter problem at `problem`. */
export interface SourceRouteVerdict {
  drop: boolean;
  problem: number;
}
const GO_ON: SourceRouteVerdict = { drop: false, problem: 0 };
const DROP: SourceRouteVerdict = { drop: true, problem: 0 };

/** A packet with a source route reached the place it was sent to (ip_options_rcv_srr): the next stop becomes the destination. */
export function receiveSourceRoute(net: Netns, skb: Skb): SourceRouteVerdict {
  const b = skb.buf;
  const o = skb.net + skb.optSrr;
  const rt = skb.dst;
  if (rt === null) return GO_ON;
  if (skb.pktType !== PACKET_HOST) return DROP;
  if (rt.type === RTN_UNICAST) return (skb.optFlags & OPT_STRICT) === 0 ? GO_ON : { drop: true, problem: 16 };
  if (rt.type !== RTN_LOCAL) return DROP;
  const space = b[o + 1]!;
  let ptr = b[o + 2]!;
  for (; ptr <= space; ptr += 4) {
    if (ptr + 3 > space) return { drop: true, problem: skb.optSrr + 2 };
    skb.optNext = i32(b, o + ptr - 1);
    if (routeInputTo(net, skb, skb.dev!, skb.optNext) !== 0) return DROP;
    const { type } = skb.dst as Dst;
    if (type === RTN_UNICAST) break;
    if (type !== RTN_LOCAL) return DROP;
    put32(b, skb.net + ipv4.DST, skb.optNext);
    skb.optFlags |= OPT_CHANGED;
  }
  if (ptr <= space) skb.optFlags |= OPT_SRR_HIT | OPT_CHANGED;
  return GO_ON;
}

/** The address this machine writes into the options of a packet it forwards (ip_rt_get_source). */
function routeSource(net: Netns, skb: Skb): number {
  const daddr = ipv4.dst(skb.buf, skb.net);
  const rt = skb.dst!;
  const fl = flow.to(daddr, 0);
  fl.mark = skb.mark;
  fl.oif = rt.dev;
  fl.tos = ipv4.tos(skb.buf, skb.net);
  fl.flags = FLOWI_FLAG_ANYSRC;
  return isErr(routeOutput(net, fl)) ? inetSelectAddr(rt.dev, nexthop(rt, daddr), SCOPE_UNIVERSE) : fl.saddr;
}

/** Before a forwarded packet leaves: the address of the way out (ip_forward_options). */
export function forwardOptions(net: Netns, skb: Skb): void {
  const b = skb.buf;
  const ip = skb.net;
  let changed = (skb.optFlags & OPT_CHANGED) !== 0;
  if ((skb.optFlags & OPT_RR_ADDR) !== 0) {
    const o = ip + skb.optRr;
    put32(b, o + b[o + 2]! - 5, routeSource(net, skb));
    changed = true;
  }
  if ((skb.optFlags & OPT_SRR_HIT) !== 0) {
    const o = ip + skb.optSrr;
    const space = b[o + 1]!;
    let ptr = b[o + 2]!;
    while (ptr + 3 <= space && i32(b, o + ptr - 1) !== skb.optNext) ptr += 4;
    if (ptr + 3 <= space) {
      changed = true;
      put32(b, ip + ipv4.DST, skb.optNext);
      put32(b, o + ptr - 1, routeSource(net, skb));
      b[o + 2] = ptr + 4;
    }
    if ((skb.optFlags & OPT_TS_ADDR) !== 0) {
      const t = ip + skb.optTs;
      put32(b, t + b[t + 2]! - 9, routeSource(net, skb));
      changed = true;
    }
  }
  if (changed) {
    skb.optFlags &= ~OPT_CHANGED;
    sendCheck(skb);
  }
}

/** ip_send_check: the header's checksum anew. */
export function sendCheck(skb: Skb): void {
  fill(skb.buf, skb.net, skb.net + ipv4.headerLen(skb.buf, skb.net), skb.net + ipv4.CSUM);
}

/** Options that are not for every fragment become no-operations (ip_options_fragment). */
export function fragmentOptions(skb: Skb): void {
  const b = skb.buf;
  const end = skb.net + ipv4.headerLen(b, skb.net);
  for (let o = skb.net + ipv4.HLEN; o < end;) {
    const kind = b[o]!;
    if (kind === END) return;
    if (kind === NOOP) {
      o++;
      continue;
    }
    const len = o + 1 < end ? b[o + 1]! : 0;
    if (len < 2 || o + len > end) return;
    if ((kind & COPY) === 0) b.fill(NOOP, o, o + len);
    o += len;
  }
  skb.optRr = skb.optTs = 0;
  skb.optFlags &= ~(OPT_RR_ADDR | OPT_TS_ADDR | OPT_TS_TIME);
}

/** Options for an answer (struct ip_options of a reply). */
export interface ReplyOptions {
  readonly data: Uint8Array;
  len: number;
  rr: number;
  ts: number;
  flags: number;
  srr: number;
  /** First stop of a reversed source route. */
  faddr: number;
}

const reply: ReplyOptions = { data: new Uint8Array(40), len: 0, rr: 0, ts: 0, flags: 0, srr: 0, faddr: 0 };

/**
 * The options of a received packet turned round for what answers it (__ip_options_echo); null when they cannot be. The
 * result is overwritten by the next call.
 */
export function echoOptions(net: Netns, skb: Skb): ReplyOptions | null {
  reply.len = reply.rr = reply.ts = reply.flags = reply.srr = reply.faddr = 0;
  if (skb.optLen === 0) return reply;
  if (skb.optRr !== 0 && !echoRecordRoute(skb)) return null;
  if (skb.optTs !== 0 && !echoTimestamp(net, skb)) return null;
  if (skb.optSrr !== 0) echoSourceRoute(skb);
  while ((reply.len & 3) !== 0) reply.data[reply.len++] = END;
  return reply;
}

function echoRecordRoute(skb: Skb): boolean {
  const b = skb.buf;
  const o = skb.net + skb.optRr;
  const len = b[o + 1]!;
  const ptr = b[o + 2]!;
  reply.rr = reply.len + ipv4.HLEN;
  reply.data.set(b.subarray(o, o + len), reply.len);
  if ((skb.optFlags & OPT_RR_ADDR) !== 0 && ptr <= len) {
    if (ptr + 3 > len) return false;
    reply.data[reply.len + 2] = ptr + 4;
    reply.flags |= OPT_RR_ADDR;
  }
  reply.len += len;
  return true;
}

function echoTimestamp(net: Netns, skb: Skb): boolean {
  const b = skb.buf;
  const o = skb.net + skb.optTs;
  const d = reply.data;
  const at = reply.len;
  const len = b[o + 1]!;
  let ptr = b[o + 2]!;
  reply.ts = at + ipv4.HLEN;
  d.set(b.subarray(o, o + len), at);
  if (ptr <= len) {
    if ((skb.optFlags & OPT_TS_ADDR) !== 0) {
      if (ptr + 3 > len) return false;
      reply.flags |= OPT_TS_ADDR;
      ptr += 4;
    }
    if ((skb.optFlags & OPT_TS_TIME) !== 0) {
      if (ptr + 3 > len) return false;
      if ((d[at + 3]! & 15) !== TS_PRESPEC) {
        reply.flags |= OPT_TS_TIME;
        ptr += 4;
      } else if (ptr + 7 <= len && inetAddrType(net, i32(d, at + ptr - 1)) !== RTN_UNICAST) {
        reply.flags |= OPT_TS_TIME;
        ptr += 8;
      }
    }
    d[at + 2] = ptr;
  }
  reply.len += len;
  return true;
}

function echoSourceRoute(skb: Skb): void {
  const b = skb.buf;
  const o = skb.net + skb.optSrr;
  const d = reply.data;
  let from = Math.min(b[o + 2]!, b[o + 1]! + 1) - 4;
  let to = 0;
  if (from > 3) {
    reply.faddr = i32(b, o + from - 1);
    for (from -= 4, to = 4; from > 3; from -= 4, to += 4) {
      for (let i = 0; i < 4; i++) d[reply.len + to - 1 + i] = b[o + from - 1 + i]!;
    }
    if (i32(b, o + from + 3) === ipv4.src(b, skb.net)) to -= 4;
  }
  if (to <= 3) return;
  d[reply.len] = b[o]!;
  d[reply.len + 1] = to + 3;
  d[reply.len + 2] = 4;
  reply.srr = reply.len + ipv4.HLEN;
  reply.len += to + 3;
}

/** Options that a program gives its socket, as every packet of it carries them (ip_options_get), or a negative errno. */
export function socketOptions(net: Netns, data: Uint8Array): ReplyOptions | number {
  const len = (data.length + 3) & ~3;
  if (len > 40) return -EINVAL;
  const skb = new Skb(net.kernel);
  const at = skb.head + ipv4.HLEN;
  skb.net = skb.head;
  skb.buf.fill(END, skb.head, at + len);
  skb.buf[skb.head] = 0x40 | ((ipv4.HLEN + len) >> 2);
  skb.buf.set(data, at);
  const ok = compileOptions(net, skb) === OPTIONS_OK;
  const o: ReplyOptions = {
    data: skb.buf.slice(at, at + len), len, rr: skb.optRr, ts: skb.optTs, flags: skb.optFlags, srr: skb.optSrr, faddr: 0,
  }; // prettier-ignore
  if (!ok) return -EINVAL;
  // A source route takes CAP_NET_RAW, which iputils' ping has put down by then.
  return o.srr !== 0 ? -EPERM : o;
}

/** Writes reply options behind a new header at skb.net (ip_options_build): source and time are this machine's. */
export function buildOptions(net: Netns, skb: Skb, opt: ReplyOptions, daddr: number, saddr: number): void {
  const b = skb.buf;
  const ip = skb.net;
  b.set(opt.data.subarray(0, opt.len), ip + ipv4.HLEN);
  if (opt.srr !== 0) put32(b, ip + opt.srr + b[ip + opt.srr + 1]! - 4, daddr);
  if ((opt.flags & OPT_RR_ADDR) !== 0) put32(b, ip + opt.rr + b[ip + opt.rr + 2]! - 5, saddr);
  if ((opt.flags & OPT_TS_ADDR) !== 0) put32(b, ip + opt.ts + b[ip + opt.ts + 2]! - 9, saddr);
  if ((opt.flags & OPT_TS_TIME) !== 0) put32(b, ip + opt.ts + b[ip + opt.ts + 2]! - 5, currentTimestamp(net));
  skb.optLen = opt.len;
}
