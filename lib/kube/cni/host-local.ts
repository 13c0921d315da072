/**
 * The reference IPAM plugin `host-local`: a node's podCIDR or a range of it, first to last, without its gateway.
 *
 * Upstream: containernetworking/plugins, plugins/ipam/host-local. Its allocator goes on after the address it gave last
 * (`last_reserved_ip`) and begins again at the start of the range, so that an address is not used again at once.
 * @module
 */
import { aton, maskOf, ntoa } from '../../../wire/inet.js';
import type { Machine } from '../scenario.js';
import type { IpamRange } from './config.js';
import type { Ipam } from './plugin.js';

interface Range {
  /** For messages. */
  text: string;
  net: number;
  /** Offsets in the network: the first and the last that may be given, the one that was given last, the gateway's. */
  start: number;
  end: number;
  last: number;
  gateway: number;
  taken: Map<number, string>;
}

export class HostLocal implements Ipam {
  private readonly given: Map<string, IpamRange>;
  private readonly ranges = new Map<string, Range>();

  /** `ranges` by their subnets, which are podCIDRs; a node without one has its whole podCIDR. */
  constructor(ranges: readonly IpamRange[] = []) {
    this.given = new Map(ranges.map((r) => [r.subnet, r]));
  }

  rangeOf(node: Machine): string {
    return this.range(node).text;
  }

  /** The gateway of a node's pods: the first address of the podCIDR unless another is given. */
  gateway(node: Machine): string {
    const r = this.range(node);
    return ntoa((r.net + r.gateway) | 0);
  }

  reserve(node: Machine, address: string, owner: string): string {
    const r = this.range(node);
    const offset = (aton(address)! - r.net) >>> 0;
    const by = r.taken.get(offset);
    if (by !== undefined) return `one that is free: it is ${by}`;
    if (offset < r.start || offset > r.end) return `an address in ${r.text} of ${node.name}`;
    r.taken.set(offset, owner);
    return '';
  }

  allocate(node: Machine, owner: string): string | null {
    const r = this.range(node);
    const size = r.end - r.start + 1;
    for (let i = 1; i <= size; i++) {
      const offset = r.start + ((r.last - r.start + i) % size);
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
    const last = 2 ** (32 - Number(bits)) - 1;
    const given = this.given.get(node.podCIDR);
    const offset = (a: string): number => (aton(a)! - net) >>> 0;
    const gateway = given === undefined ? 1 : offset(given.gateway);
    const [start, end] = given === undefined ? [1, last - 1] : [offset(given.rangeStart), offset(given.rangeEnd)];
    const text = given === undefined ? node.podCIDR : `${given.rangeStart}-${given.rangeEnd}`;
    const taken = new Map([
      [0, 'the network'],
      [gateway, 'the gateway'],
      [last, 'the broadcast address'],
    ]);
    const r = { text, net, start, end, last: start - 1, gateway, taken };
    this.ranges.set(node.name, r);
    return r;
  }
}
