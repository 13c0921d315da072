/**
 * Weave's IPAM: every peer owns a part of the range and gives its lowest free address. The first is its bridge's.
 *
 * Upstream: weaveworks/weave, ipam/allocate.go, ipam/space. Not here: a peer that asks others for space, once its own is used up.
 * @module
 */
import { aton, ntoa } from '../../../../wire/inet.js';
import { networkOf } from '../../networks.js';
import type { Machine } from '../../scenario.js';
import type { Ipam } from '../plugin.js';
import type { Peer } from './peers.js';

export class WeaveIpam implements Ipam {
  private readonly peers: ReadonlyMap<string, Peer>;
  /** The first and last address of the whole range, which nobody gets (CIDR.HostRange). */
  private readonly ends: readonly number[];
  private readonly taken = new Map<number, string>();
  private readonly bridges = new Map<string, string>();

  constructor(peers: readonly Peer[], range: string) {
    this.peers = new Map(peers.map((p) => [p.node, p]));
    const { net, mask } = networkOf(range);
    this.ends = [net, net | ~mask];
    for (const p of peers) {
      const a = this.lowest(p, 'that of the bridge weave');
      if (a !== null) this.bridges.set(p.node, a);
    }
  }

  /** The address of a node's bridge, its pods' gateway; empty: its part of the range is too small for one. */
  bridgeOf(node: Machine): string {
    return this.bridges.get(node.name) ?? '';
  }

  rangeOf(node: Machine): string {
    const { start, size } = this.peers.get(node.name)!;
    return `${ntoa(start)}-${ntoa((start + Math.max(0, size - 1)) | 0)}`;
  }

  reserve(node: Machine, address: string, owner: string): string {
    const a = aton(address)!;
    const { start, size } = this.peers.get(node.name)!;
    const by = this.taken.get(a);
    if (by !== undefined) return `one that is free: it is ${by}`;
    if ((a - start) >>> 0 >= size || this.ends.includes(a)) return `an address in ${this.rangeOf(node)} of ${node.name}`;
    this.taken.set(a, owner);
    return '';
  } // prettier-ignore

  allocate(node: Machine, owner: string): string | null {
    return this.lowest(this.peers.get(node.name)!, owner);
  }

  release(_node: Machine, address: string): void {
    this.taken.delete(aton(address)!);
  }

  private lowest({ start, size }: Peer, owner: string): string | null {
    for (let i = 0; i < size && i <= this.taken.size + 2; i++) {
      const a = (start + i) | 0;
      if (this.taken.has(a) || this.ends.includes(a)) continue;
      this.taken.set(a, owner);
      return ntoa(a);
    }
    return null;
  }
}
