/**
 * Netfilter hooks: who looks at a packet at each of the five points of IPv4, in which order.
 *
 *   ipRcv ─[PRE_ROUTING]▶ route ─┬─▶ [LOCAL_IN]▶ sockets ─▶ route ─[LOCAL_OUT]▶ ┐
 *                                └─▶ [FORWARD]▶ ───────────────────────────────┴─[POST_ROUTING]▶ neighbour
 *
 * The continuation stands in the call: `nfHook(FORWARD, net, skb, in, out, ipForwardFinish)`.
 * Kernel counterpart: net/netfilter/core.c, include/linux/netfilter.h.
 * @module
 */
import { drop } from './drop.js';
import type { Netdev } from './netdev.js';
import type { Netns } from './netns.js';
import type { Skb } from './skb.js';

export const PRE_ROUTING = 0;
export const LOCAL_IN = 1;
export const FORWARD = 2;
export const LOCAL_OUT = 3;
export const POST_ROUTING = 4;
export const HOOK_NAMES = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const;

/** Verdicts. A negative one drops too, with that errno for the sender (NF_DROP_ERR). */
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
/** The hook keeps (or has ended) the skb. */
export const NF_STOLEN = 2;

export const PRI_CONNTRACK_DEFRAG = -400;
export const PRI_RAW = -300;
export const PRI_CONNTRACK = -200;
export const PRI_MANGLE = -150;
export const PRI_NAT_DST = -100;
export const PRI_FILTER = 0;
export const PRI_SECURITY = 50;
export const PRI_NAT_SRC = 100;
export const PRI_CONNTRACK_CONFIRM = 2147483647;

const EPERM = 1;

/** Where a packet goes on: 0, NET_XMIT_DROP, or a negative errno for a local sender. */
export type Okfn = (net: Netns, skb: Skb) => number;
export type HookFn = (net: Netns, skb: Skb, hook: number, indev: Netdev | null, outdev: Netdev | null) => number;

export interface HookEntry {
  readonly priority: number;
  readonly fn: HookFn;
}

/** Registers `fn` at a hook (nf_register_net_hook): lower priority first, a later registration before its equals. */
export function registerHook(net: Netns, hook: number, priority: number, fn: HookFn): void {
  const list = net.hooks[hook]!;
  let i = 0;
  while (i < list.length && list[i]!.priority < priority) i++;
  net.hooks[hook] = [...list.slice(0, i), { priority, fn }, ...list.slice(i)];
}

/** Removes `fn` from a hook; harmless when absent. */
export function unregisterHook(net: Netns, hook: number, fn: HookFn): void {
  net.hooks[hook] = net.hooks[hook]!.filter((e) => e.fn !== fn);
}

/**
 * Runs a hook's entries in order; the packet goes on with `okfn` when all accept (NF_HOOK). Returns what `okfn` does, -EPERM
 * or its own errno for a drop, 0 for a packet that a hook keeps.
 */
export function nfHook(
  hook: number,
  net: Netns,
  skb: Skb,
  indev: Netdev | null,
  outdev: Netdev | null,
  okfn: Okfn,
): number {
  return nfHookFrom(0, hook, net, skb, indev, outdev, okfn);
}

/** The same from entry `i` on: where a packet that a hook kept comes back (nf_reinject, nf_hook_slow). */
export function nfHookFrom(
  i: number,
  hook: number,
  net: Netns,
  skb: Skb,
  indev: Netdev | null,
  outdev: Netdev | null,
  okfn: Okfn,
): number {
  const list = net.hooks[hook]!;
  for (; i < list.length; i++) {
    const v = list[i]!.fn(net, skb, hook, indev, outdev);
    if (v === NF_ACCEPT) continue;
    if (v === NF_STOLEN) return 0;
    drop(net, skb, 'NETFILTER_DROP');
    return v === NF_DROP ? -EPERM : v;
  }
  return okfn(net, skb);
}
