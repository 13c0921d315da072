/**
 * Which of several next hops a packet takes.
 *
 * The kernel hashes addresses (policy 0) or addresses, protocol and ports (policy 1) with SipHash under a key drawn at
 * boot, and takes the first hop whose share of the 31-bit range reaches the hash. podwire does the same with another keyed
 * hash whose key is drawn from the Lab's seed: which flow takes which path is random in both.
 *
 * Kernel counterparts: net/ipv4/route.c (fib_multipath_hash), fib_semantics.c (fib_rebalance, fib_select_multipath).
 * Not here: policies 2 and 3, next-hop objects.
 * @module
 */
import * as icmp from '../../../wire/icmp.js';
import { u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import type { PathHop, Route } from './fib.js';
import type { Flow } from './flow.js';

/** fib_rebalance: each hop's share of the hash range by its weight; hops of devices that are down have none. */
export function rebalance(paths: readonly PathHop[]): void {
  let total = 0;
  for (const p of paths) if (p.dev !== null && p.dev.up) total += p.weight;
  let sum = 0;
  for (const p of paths) {
    if (p.dev === null || !p.dev.up) {
      p.upperBound = -1;
      continue;
    }
    sum += p.weight;
    p.upperBound = Math.floor((sum * 0x80000000 + Math.floor(total / 2)) / total) - 1;
  }
}

const KEYS = new WeakMap<object, number>();
function key(net: Netns): number {
  let k = KEYS.get(net.kernel);
  if (k === undefined) KEYS.set(net.kernel, (k = net.kernel.rng('multipath').u32() | 0));
  return k;
}

function mix(h: number, word: number): number {
  h = Math.imul(h ^ word, 0x85ebca6b);
  return h ^ (h >>> 13);
}

/** 31 bits of hash over up to four words; addresses and ports are put in order first, as the kernel's are. */
function hash(net: Netns, a: number, b: number, proto: number, p: number, q: number): number {
  let h = key(net);
  h = mix(h, a);
  h = mix(Math.imul(h, 5), b);
  h = mix(Math.imul(h, 5), (p << 16) | q);
  h = mix(Math.imul(h, 5), proto);
  h = Math.imul(h ^ (h >>> 16), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 1;
}

/** flow_hash_from_keys orders addresses, and ports with them, so that both directions of a flow hash alike. */
function ordered(net: Netns, src: number, dst: number, proto: number, sport: number, dport: number): number {
  const swap = dst >>> 0 < src >>> 0 || (src === dst && dport < sport);
  return swap ? hash(net, dst, src, proto, dport, sport) : hash(net, src, dst, proto, sport, dport);
}

const policy = (net: Netns): number => net.sysctl.get('net.ipv4.fib_multipath_hash_policy') ?? 0;

/** The hash of a packet that is forwarded: an ICMP error goes where what it quotes would go (policy 0). */
export function skbHash(net: Netns, skb: Skb): number {
  const b = skb.buf;
  let o = skb.net;
  const th = o + ipv4.headerLen(b, o);
  const proto = ipv4.proto(b, o);
  const first = (ipv4.frag(b, o) & ipv4.OFFSET) === 0;
  if (policy(net) === 1) {
    const ports = !ipv4.isFragment(b, o) && (proto === ipv4.TCP || proto === ipv4.UDP) && th + 4 <= skb.tail;
    return ordered(
      net, ipv4.src(b, o), ipv4.dst(b, o), proto, ports ? u16(b, th) : 0, ports ? u16(b, th + 2) : 0,
    ); // prettier-ignore
  }
  if (proto === ipv4.ICMP && first && th + icmp.HLEN + ipv4.HLEN <= skb.tail && icmp.isError(icmp.type(b, th))) {
    o = th + icmp.HLEN;
  }
  return ordered(net, ipv4.src(b, o), ipv4.dst(b, o), 0, 0, 0);
}

/** The next hop for a 31-bit hash (fib_select_multipath). */
export function selectMultipath(paths: readonly PathHop[], h: number): PathHop {
  for (let i = 0; i < paths.length; i++) if (h <= paths[i]!.upperBound) return paths[i]!;
  return paths[0]!;
}

/** The next hop of a packet of this machine (fib_select_path); `r` has several. */
export function selectPath(net: Netns, r: Route, fl: Flow): PathHop {
  const { saddr, daddr } = fl;
  const l4 = policy(net) === 1;
  const h = l4 ? ordered(net, saddr, daddr, fl.proto, fl.sport, fl.dport) : ordered(net, saddr, daddr, 0, 0, 0);
  return selectMultipath(r.paths!, h);
}
