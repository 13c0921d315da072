/**
 * The reference IPAM plugin `host-local`: a node's podCIDR, first to last, the address after the gateway first.
 *
 * Upstream: containernetworking/plugins, plugins/ipam/host-local. Its allocator goes on after the address it gave last
 * (`last_reserved_ip`) and begins again at the end of the range, so that an address is not used again at once.
 * @module
 */
import { aton, maskOf, ntoa } from '../../../wire/inet.js';
import type { Machine } from '../scenario.js';
import type { Ipam } from './plugin.js';

interface Range {
  net: number;
  /** Of the last address of the network. */
  size: number;
  /** Offset that was given last. */
  last: number;
  taken: Map<number, string>;
}

export class HostLocal implements Ipam {
  private readonly ranges = new Map<string, Range>();

  rangeOf(node: Machine): string {
    return node.podCIDR;
  }

  reserve(node: Machine, address: string, owner: string): string {
    const r = this.range(node);
    const offset = (aton(address)! - r.net) >>> 0;
    if (offset >= r.size) return `an address in ${node.podCIDR} of ${node.name}`;
    const by = r.taken.get(offset);
    if (by !== undefined) return `one that is free: it is ${by}`;
    r.taken.set(offset, owner);
    return '';
  }

  allocate(node: Machine, owner: string): string | null {
    const r = this.range(node);
    for (let i = 1; i < r.size; i++) {
      const offset = (r.last + i) % r.size;
      if (r.taken.has(offset)) continue;
      r.taken.set(offset, owner);
      r.last = offset;
      return ntoa((r.net + offset) | 0);
    }
    return null;
  }

  release(node: Machine, address: string): void {
    const r = this.range(node);
    r.taken.delete((aton(address)! - r.net) >>> 0);
  }

  private range(node: Machine): Range {
    const known = this.ranges.get(node.name);
    if (known !== undefined) return known;
    const [base, bits] = node.podCIDR.split('/') as [string, string];
    const net = aton(base)! & maskOf(Number(bits));
    const size = 2 ** (32 - Number(bits));
    const taken = new Map([
      [0, 'the network'],
      [1, 'the gateway'],
      [size - 1, 'the broadcast address'],
    ]);
    const r = { net, size, last: 1, taken };
    this.ranges.set(node.name, r);
    return r;
  }
}
