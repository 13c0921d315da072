/**
 * struct flowi4: the question a route look-up answers.
 *
 * Every module that asks keeps one and fills it anew each time; what the answer adds (the source address) has to be read
 * before the next question.
 * @module
 */
import type { Netdev } from '../core/netdev.js';

/** Any source will do, also one that this machine does not have. */
export const FLOWI_FLAG_ANYSRC = 1;
/** The next hop has to be in the route: the packet's own destination is another one (IPVS direct routing). */
export const FLOWI_FLAG_KNOWN_NH = 2;

export class Flow {
  daddr = 0;
  /** 0 lets routeOutput choose, which then writes it here. */
  saddr = 0;
  tos = 0;
  mark = 0;
  /** Output device asked for, null: any. */
  oif: Netdev | null = null;
  /** Receiving device, null: the packet is this machine's own. */
  iif: Netdev | null = null;
  proto = 0;
  sport = 0;
  dport = 0;
  /** User of the program that sends; a packet on its way has root's. */
  uid = 0;
  flags = 0;

  /** The way from `saddr` (0: not chosen yet) to `daddr`; everything else is forgotten. */
  to(daddr: number, saddr: number): this {
    this.daddr = daddr;
    this.saddr = saddr;
    this.tos = this.mark = this.proto = this.sport = this.dport = this.uid = this.flags = 0;
    this.oif = this.iif = null;
    return this;
  }

  /** Protocol and ports; ICMP's type and code stand where the destination port would (flowi_uli). */
  ports(proto: number, sport: number, dport: number): this {
    this.proto = proto;
    this.sport = sport;
    this.dport = dport;
    return this;
  }
}
