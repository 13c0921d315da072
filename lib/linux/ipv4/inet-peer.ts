/**
 * What a namespace remembers about each host it talks to: rate limits and how fast its fragments come.
 *
 * Kernel counterpart: net/ipv4/inetpeer.c. Not here: garbage collection by age; the oldest go when there are too many.
 * @module
 */
import { SEC } from '../../sim/sim.js';
import type { Netns } from '../core/netns.js';

/** inet_peer_threshold. */
const MAX_PEERS = 65664;
/** XRLIM_BURST_FACTOR. */
const BURST = 6;

/** One host (struct inet_peer). Tokens are ns: a second's worth lets one error out. */
export class InetPeer {
  rateTokens = 0;
  rateLast: number;
  /** Redirects sent that the host has not followed. */
  redirects = 0;
  /** Fragments seen. */
  rid = 0;

  constructor(now: number) {
    this.rateLast = now - 60 * SEC;
  }

  /** inet_peer_xrlim_allow: one message each `timeout`, six at once. */
  allow(now: number, timeout: number): boolean {
    this.rateTokens = Math.min(this.rateTokens + now - this.rateLast, BURST * timeout);
    this.rateLast = now;
    if (this.rateTokens < timeout) return false;
    this.rateTokens -= timeout;
    return true;
  }
}

/** The peers of a namespace, by address. */
export class PeerTable {
  private readonly peers = new Map<number, InetPeer>();

  /** The peer of an address, made on first use (inet_getpeer_v4). */
  get(addr: number, now: number): InetPeer {
    let p = this.peers.get(addr);
    if (p === undefined) {
      if (this.peers.size >= MAX_PEERS) for (const old of this.peers.keys()) { this.peers.delete(old); break; } // prettier-ignore
      p = new InetPeer(now);
      this.peers.set(addr, p);
    }
    return p;
  }
}

/** The namespace's limit on ICMP messages of the limited types (icmp_global_allow, icmp_global_consume). */
export class IcmpGlobal {
  private credit = 0;
  private stamp = Number.NEGATIVE_INFINITY;

  allow(now: number, perSecond: number, burst: number): boolean {
    if (this.credit > 0) return true;
    const delta = Math.min(now - this.stamp, SEC);
    if (delta < SEC / 50) return false;
    const add = Math.floor((perSecond * delta) / SEC);
    if (add === 0) return false;
    this.stamp = now;
    this.credit = Math.min(this.credit + add, burst);
    return true;
  }

  /** Takes 0, 1 or 2 at random, so that nobody can count what others are sent. */
  consume(net: Netns): void {
    this.credit -= net.kernel.rng('icmp-global').below(3);
  }
}
