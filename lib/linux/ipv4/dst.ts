/**
 * dst_entry and rtable: where a packet goes. One object stands for every packet that takes the same next hop.
 *
 * Made by route.ts and kept in the next hop, the exception, the device or the namespace it belongs to, so that the data path
 * finds it there. Sockets and IPVS keep one too and ask `dstValid` before they use it.
 * Kernel counterparts: include/net/dst.h, include/net/route.h.
 * @module
 */
import type { Netdev } from '../core/netdev.js';
import type { Fib, Route } from './fib.js';
import type { FibRule } from './fib-rules.js';
import type { Neigh } from './neighbour.js';

/** Dst.input: what a received packet with this route comes to (dst->input). */
export const INPUT_DISCARD = 0;
export const INPUT_LOCAL = 1;
export const INPUT_FORWARD = 2;
/** There is no route: the sender may be told (ip_error). */
export const INPUT_ERROR = 3;

/** Dst.flags. The destination is this machine, also. */
export const RTCF_LOCAL = 1;
export const RTCF_BROADCAST = 2;
export const RTCF_MULTICAST = 4;
export const RTCF_GROUP = RTCF_BROADCAST | RTCF_MULTICAST;

/** The largest MTU of any route (IP_MAX_MTU). */
const MAX_MTU = 0xffff;
const LOCKED_MTU = 576;

export class Dst {
  /** The way out; lo for what is delivered here. */
  readonly dev: Netdev;
  /** RTN_*. */
  readonly type: number;
  /** RTCF_*. */
  readonly flags: number;
  /** Decided for a received packet (rt_is_input). */
  readonly isInput: boolean;
  /** INPUT_*. */
  readonly input: number;
  /** Negative errno of INPUT_ERROR, else 0. */
  readonly error: number;
  /** The tables it was made of, and their genid then (rt_genid). */
  private readonly fib: Fib;
  readonly genid: number;
  /** Next hop, 0: the packet's own destination is on the link (rt_gw4). An exception may change it. */
  gw = 0;
  /** Through a gateway (rt_uses_gateway). */
  usesGateway = false;
  /** MTU of the route (RTAX_MTU), 0: the device's. */
  mtu = 0;
  /** The MTU is fixed: packets go without DF (rt_mtu_locked, and the lock of RTAX_MTU). */
  mtuLocked = false;
  /** Path MTU, 0: not known, and the virtual time it is believed until. */
  pmtu = 0;
  expires = 0;
  /** The route of the tables that it was made of, null: none of them. */
  route: Route | null = null;
  /** The rule that led to it when it was last looked up; null: there are no rules but the kernel's own. */
  rule: FibRule | null = null;
  /** The neighbour that took the last packet, as long as it is in its table; null: none yet. */
  neigh: Neigh | null = null;
  /** An exception was found that this object knows nothing of (DST_OBSOLETE_KILL). */
  obsolete = false;

  constructor(dev: Netdev, type: number, flags: number, isInput: boolean, input: number, error = 0) {
    this.dev = dev;
    this.type = type;
    this.flags = flags;
    this.isInput = isInput;
    this.input = input;
    this.error = error;
    this.fib = dev.net.fib;
    this.genid = this.fib.genid;
  }

  /** The tables have not changed since, and no exception has been found (ipv4_dst_check, rt_cache_valid). */
  get valid(): boolean {
    return !this.obsolete && this.genid === this.fib.genid;
  }
}

/** True while a kept route is still the one a look-up would find. */
export const dstValid = (d: Dst | null): d is Dst => d !== null && d.valid;

/** Whose neighbour gets a packet to `daddr` (rt_nexthop). */
export const nexthop = (d: Dst, daddr: number): number => (d.gw !== 0 ? d.gw : daddr);

/** Most bytes of a packet that this machine sends (ipv4_mtu). */
export const dstMtu = (d: Dst): number => dstMtuMaybeForward(d, false);

/**
 * The same for a packet that may be `forwarding`: those do not follow a path MTU unless ip_forward_use_pmtu or a lock says so
 * (ip_dst_mtu_maybe_forward).
 */
export function dstMtuMaybeForward(d: Dst, forwarding: boolean): number {
  const { dev } = d;
  if (d.pmtu !== 0 && dev.kernel.sim.now <= d.expires) {
    if (!forwarding || d.mtuLocked || (dev.net.sysctl.get('net.ipv4.ip_forward_use_pmtu') ?? 0) !== 0) return d.pmtu;
  }
  let { mtu } = d;
  if (mtu === 0) {
    ({ mtu } = dev);
    if (d.mtuLocked && d.usesGateway && mtu > LOCKED_MTU) mtu = LOCKED_MTU;
  }
  return mtu < MAX_MTU ? mtu : MAX_MTU;
}
