/**
 * Calico's IPAM: a node takes blocks of addresses, one when it needs one, and hands out those of a block in turn.
 *
 * An address that is given back goes to the end of its block's list. Upstream: projectcalico/calico v3.31, libcalico-go/lib/ipam. There a block is
 * any free one of the pool, found by a hash of the node's name; here it is the next of the node's podCIDR. Not here: blocks that
 * are given back, strict affinity, borrowing for pods that ask for no address.
 * @module
 */
import { aton, maskOf, ntoa } from '../../../../wire/inet.js';
import { quote } from '../../api/at.js';
import { networkOf } from '../../networks.js';
import type { Machine } from '../../scenario.js';
import type { Ipam } from '../plugin.js';

const UNICAST_MAC = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i;

interface Block {
  net: number;
  /** Whose block it is. */
  node: string;
  /** Offsets that may be given, the next one first. */
  free: number[];
  taken: Map<number, string>;
}

export class BlockIpam implements Ipam {
  /** Grows whenever a node has got a block, or an address of another node's block. */
  version = 0;
  private readonly nodes: readonly Machine[];
  private readonly bits: number;
  /** Every node has a tunnel address: its first. */
  private readonly tunnels: boolean;
  private readonly blocks = new Map<number, Block>();
  private readonly own = new Map<string, Block[]>();
  /** By node: addresses that are of another's block. */
  private readonly borrowed = new Map<string, Set<string>>();

  constructor(nodes: readonly Machine[], blockSize: number, tunnels: boolean) {
    this.nodes = nodes;
    this.bits = blockSize;
    this.tunnels = tunnels;
    for (const n of nodes) this.of(n);
  }

  rangeOf(node: Machine): string {
    return node.podCIDR;
  }

  /** The blocks of a node, and single addresses it has of others', as networks. */
  networksOf(node: Machine): { blocks: string[]; borrowed: string[] } {
    const blocks = this.of(node).map((b) => `${ntoa(b.net)}/${this.bits}`);
    return { blocks, borrowed: [...(this.borrowed.get(node.name) ?? [])].map((a) => `${a}/32`) };
  }

  /** The address of a node's tunnel device, where there are tunnels. */
  tunnelAddress(node: Machine): string {
    return ntoa(this.of(node)[0]!.net);
  }

  /** cni.projectcalico.org/ipAddrs, a JSON list of one; what is none is asked for as it is, and refused. */
  asked(annotations: Record<string, string>): string {
    const text = annotations['cni.projectcalico.org/ipAddrs'] ?? '';
    return /^\[\s*"([^"]*)"\s*\]$/.exec(text)?.[1] ?? text;
  }

  /** cni.projectcalico.org/hwAddr: it becomes a word of a command. */
  refused(annotations: Record<string, string>): string {
    const mac = annotations['cni.projectcalico.org/hwAddr'];
    if (mac === undefined || (UNICAST_MAC.test(mac) && mac !== '00:00:00:00:00:00')) return '';
    return `found cni.projectcalico.org/hwAddr ${quote(mac)}, expected the MAC address of a device like 0a:58:0a:00:01:02`;
  }

  reserve(node: Machine, address: string, owner: string): string {
    const a = aton(address);
    const block = a === null ? null : this.blockOf(a);
    if (a === null || block === null)
      return `an address in ${node.podCIDR} of ${node.name}, or of another node's podCIDR`;
    const by = block.taken.get(a - block.net);
    if (by !== undefined) return `one that is free: it is ${by}`;
    block.free.splice(block.free.indexOf(a - block.net), 1);
    block.taken.set(a - block.net, owner);
    if (block.node !== node.name) this.borrow(node, address);
    return '';
  }

  allocate(node: Machine, owner: string): string | null {
    const block = this.of(node).find((b) => b.free.length > 0) ?? this.claim(node);
    if (block === null) return null;
    const offset = block.free.shift()!;
    block.taken.set(offset, owner);
    return ntoa((block.net + offset) | 0);
  }

  release(node: Machine, address: string): void {
    const a = aton(address)!;
    const block = this.blockOf(a)!;
    // CNI DEL has done it already.
    if (!block.taken.delete(a - block.net)) return;
    block.free.push(a - block.net);
    if (this.borrowed.get(node.name)?.delete(address) === true) this.version++;
  }

  private borrow(node: Machine, address: string): void {
    const had = this.borrowed.get(node.name);
    if (had === undefined) this.borrowed.set(node.name, new Set([address]));
    else had.add(address);
    this.version++;
  }

  /** A node's blocks; with tunnels, the first is taken at its start. */
  private of(node: Machine): Block[] {
    const known = this.own.get(node.name);
    if (known !== undefined) return known;
    const list: Block[] = [];
    this.own.set(node.name, list);
    if (this.tunnels) this.claim(node)!.taken.set(this.own.get(node.name)![0]!.free.shift()!, "the tunnel's");
    return list;
  }

  /** The node's next block: the first of its podCIDR that it has not got. */
  private claim(node: Machine): Block | null {
    const { net, mask } = networkOf(node.podCIDR);
    for (let at = net >>> 0; at <= (net | ~mask) >>> 0; at += 2 ** (32 - this.bits))
      if (!this.blocks.has(at | 0)) return this.take(node.name, at | 0);
    return null;
  }

  private take(node: string, net: number): Block {
    const block: Block = {
      net,
      node,
      free: Array.from({ length: 2 ** (32 - this.bits) }, (_, i) => i),
      taken: new Map(),
    };
    this.blocks.set(net, block);
    this.own.get(node)!.push(block);
    this.version++;
    return block;
  }

  /** The block of an address, claimed now if need be; null: no node's. */
  private blockOf(address: number): Block | null {
    const net = address & maskOf(this.bits);
    const known = this.blocks.get(net);
    if (known !== undefined) return known;
    const node = this.nodes.find((n) => {
      const { net: first, mask } = networkOf(n.podCIDR);
      return (net & mask) === first;
    });
    return node === undefined ? null : this.take(node.name, net);
  }
}
