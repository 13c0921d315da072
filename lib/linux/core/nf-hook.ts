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

/** Verdicts. */
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
/** The hook keeps (or has ended) the skb. */
export const NF_STOLEN = 2;

export const PRI_RAW = -300;
export const PRI_CONNTRACK = -200;
export const PRI_MANGLE = -150;
export const PRI_NAT_DST = -100;
export const PRI_FILTER = 0;
export const PRI_SECURITY = 50;
export const PRI_NAT_SRC = 100;
export const PRI_CONNTRACK_CONFIRM = 2147483647;

export type Okfn = (net: Netns, skb: Skb) => void;
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

/** Runs a hook's entries in order; the packet goes on with `okfn` when all accept (NF_HOOK). */
export function nfHook(
  hook: number,
  net: Netns,
  skb: Skb,
  indev: Netdev | null,
  outdev: Netdev | null,
  okfn: Okfn,
): void {
  const list = net.hooks[hook]!;
  for (let i = 0; i < list.length; i++) {
    const v = list[i]!.fn(net, skb, hook, indev, outdev);
    if (v === NF_ACCEPT) continue;
    if (v === NF_DROP) drop(net, skb, 'NETFILTER_DROP');
    return;
  }
  okfn(net, skb);
}
