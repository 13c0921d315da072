/**
 * Conntrack sees whole datagrams only: fragments wait for each other before anything looks at them.
 *
 * Kernel counterpart: net/ipv4/netfilter/nf_defrag_ipv4.c. Not here: zones, sockets with IP_NODEFRAG.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import { LOCAL_OUT, NF_ACCEPT, NF_STOLEN, PRE_ROUTING, PRI_CONNTRACK_DEFRAG, registerHook, unregisterHook } from '../core/nf-hook.js'; // prettier-ignore
import type { Skb } from '../core/skb.js';
import {
  DEFRAG_CONNTRACK_BRIDGE_IN, DEFRAG_CONNTRACK_IN, DEFRAG_CONNTRACK_OUT, ipDefrag,
} from '../ipv4/ip-fragment.js'; // prettier-ignore

/** ipv4_conntrack_defrag: the datagram leaves in pieces no larger than those it came in, in spite of DF. */
function defrag(net: Netns, skb: Skb, hook: number): number {
  if (skb.untracked || !ipv4.isFragment(skb.buf, skb.net)) return NF_ACCEPT;
  const bridged = hook === PRE_ROUTING && skb.physin !== null && !skb.brPrerouted;
  const user = bridged ? DEFRAG_CONNTRACK_BRIDGE_IN : hook === PRE_ROUTING ? DEFRAG_CONNTRACK_IN : DEFRAG_CONNTRACK_OUT;
  if (!ipDefrag(net, skb, user)) return NF_STOLEN;
  skb.ignoreDf = true;
  return NF_ACCEPT;
}

/** Starts or ends it (nf_defrag_ipv4_enable, nf_defrag_ipv4_disable). */
export function defragUse(net: Netns, needed: boolean): void {
  for (const hook of [PRE_ROUTING, LOCAL_OUT]) {
    if (needed) registerHook(net, hook, PRI_CONNTRACK_DEFRAG, defrag);
    else unregisterHook(net, hook, defrag);
  }
}
