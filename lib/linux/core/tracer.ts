/**
 * What the code that decides tells about its decisions, on request: the explainer is the executor.
 *
 * `Kernel.tracer` is null in normal runs; every call stands behind that test and costs nothing then.
 * @module
 */
import type { Dst } from '../ipv4/dst.js';
import type { Neigh } from '../ipv4/neighbour.js';
import type { Flow } from '../openvswitch/flow-table.js';
import type { Netdev } from './netdev.js';
import type { Netns } from './netns.js';
import type { Skb } from './skb.js';

export interface Tracer {
  /** A rule of a table matched (or the policy decided: `rule` null). `verdict` as iptables prints the target. */
  rule(net: Netns, skb: Skb, table: string, chain: string, rule: number | null, verdict: string): void;
  /** A conntrack entry was found or created; `state` is NEW, ESTABLISHED, RELATED, INVALID. */
  conntrack(net: Netns, skb: Skb, state: string): void;
  /** NAT rewrote the packet: addresses before and after, as `ip:port`. */
  nat(net: Netns, skb: Skb, kind: 'SNAT' | 'DNAT', before: string, after: string): void;
  /** A received packet was routed, or one of this machine leaves by this route. */
  route(net: Netns, skb: Skb, dst: Dst): void;
  /** The neighbour entry that gives the frame its address, or that the packet waits in. */
  neighbour(net: Netns, skb: Skb, n: Neigh): void;
  /** A tunnel device puts an outer header on, or has taken it off: `text` says by which entry, to whom or from whom. */
  tunnel(net: Netns, skb: Skb, dev: Netdev, text: string): void;
  /** The bridge chose ports: `text` like `fdb 02:00:00:00:00:01 dev veth1`, `flood`. */
  bridge(net: Netns, skb: Skb, dev: Netdev, text: string): void;
  /** A frame that `from` received met a flow of the datapath `dev`, or none. */
  flow(net: Netns, skb: Skb, dev: Netdev, from: Netdev, flow: Flow | null): void;
  drop(net: Netns, skb: Skb, reason: string): void;
}
