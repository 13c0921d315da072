/**
 * ipamd of aws-node: a node's ENIs, the addresses or /28 prefixes that EC2 gives them, and who has which.
 *
 * Upstream: aws/amazon-vpc-cni-k8s, pkg/ipamd/ipamd.go (isDatastorePoolTooLow, increaseDatastorePool) and
 * pkg/ipamd/datastore/data_store.go (AssignPodIPv4Address, getUnusedIP). Its pools are Go maps, whose order is random: podwire
 * takes the ENI with the lowest device number and there the lowest address. The pool manager looks every five seconds and an ENI
 * takes some more; here both are done at once. Not here: giving addresses and ENIs back to EC2 (tryFreeENI,
 * tryUnassignCidrsFromAll), trunk and excluded ENIs, network cards but the first, custom networking.
 * @module
 */
import { aton, ntoa } from '../../../../wire/inet.js';
import type { Machine } from '../../scenario.js';
import type { AwsVpcConfig } from './config.js';
import { PREFIX_SIZE, type Subnet, subnetsOf } from './ec2.js';
import type { CniCluster, Ipam } from '../plugin.js';

export interface Eni {
  /** 0: the primary one. */
  device: number;
  subnet: Subnet;
  /** Its primary address. */
  address: number;
  /** First addresses of what EC2 gave it for pods, in the order of giving. */
  blocks: number[];
}

/** A node's datastore. */
interface Pool {
  enis: Eni[];
  /** By address: whose it is. */
  assigned: Map<number, string>;
  /** By address that a pod had: when it may have another (ns). */
  cooling: Map<number, number>;
}

/** Kubelet's maxPods where EKS sets none for the instance type; a pool of so many addresses is large enough. */
const MAX_PODS = 110;

export class Ipamd implements Ipam {
  private readonly config: AwsVpcConfig;
  private readonly subnets: Map<string, Subnet>;
  private readonly nodes: readonly Machine[];
  private readonly pools = new Map<string, Pool>();
  private readonly maxEni: number;
  /** Blocks that an ENI may have: all but its primary address. */
  private readonly perEni: number;
  /** Addresses of a block. */
  private readonly size: number;
  private settled = false;

  constructor(cluster: Pick<CniCluster, 'nodes' | 'hosts'>, config: AwsVpcConfig) {
    const { MAX_ENI, ENABLE_PREFIX_DELEGATION } = config.env;
    this.config = config;
    this.nodes = cluster.nodes;
    this.subnets = subnetsOf([...cluster.nodes, ...cluster.hosts]);
    this.maxEni = Math.min(MAX_ENI < 0 ? Infinity : MAX_ENI, config.maximumNetworkInterfaces);
    this.perEni = config.ipv4AddressesPerInterface - 1;
    this.size = ENABLE_PREFIX_DELEGATION ? PREFIX_SIZE : 1;
  }

  rangeOf(node: Machine): string {
    return `${this.subnets.get(node.name)!.text} (${this.maxEni * this.perEni * this.size} addresses on ${this.maxEni} ENIs at most)`;
  }

  /** The node's ENIs, the primary one first. */
  enisOf(node: Machine): readonly Eni[] {
    this.settle();
    return this.pool(node).enis;
  }

  /** The ENI that an address of a pod belongs to. */
  eniOf(node: Machine, address: string): Eni {
    const a = aton(address)!;
    return this.pool(node).enis.find((e) => e.blocks.some((b) => (a - b) >>> 0 < this.size))!;
  }

  /** An address asked for is what EC2 gives the first ENI that has room. */
  reserve(node: Machine, address: string, owner: string): string {
    const [a, subnet, pool] = [aton(address)!, this.subnets.get(node.name)!, this.pool(node)];
    const by = pool.assigned.get(a);
    if (by !== undefined) return `one that is free: it is ${by}`;
    if (!subnet.has(a)) return `an address in ${subnet.text} of ${node.name}`;
    const first = a & -this.size;
    if (!pool.enis.some((e) => e.blocks.includes(first))) {
      if (!subnet.isFree(first, this.size)) return `one that is free: in ${subnet.text} it is another machine's or the VPC's own`;
      const room = pool.enis.find((e) => e.blocks.length < this.perEni);
      if (this.spare(subnet) < this.size + (room === undefined ? 1 : 0)) return `fewer: ${subnet.text} has none left for the node's ENIs`;
      const eni = room ?? this.attach(node, null);
      if (eni === null) return `one of at most ${this.perEni} ${this.size === 1 ? 'addresses' : 'prefixes'} on each of ${this.maxEni} ENIs`;
      subnet.take(first, this.size);
      eni.blocks.push(first);
    }
    pool.assigned.set(a, owner);
    return '';
  } // prettier-ignore

  /** AssignPodIPv4Address, and the pool manager's look after it. */
  allocate(node: Machine, owner: string, now = 0): string | null {
    this.settle();
    const pool = this.pool(node);
    const found = this.unused(pool, now);
    if (found === null) return null;
    pool.assigned.set(found, owner);
    this.replenish(node);
    return ntoa(found);
  }

  /** UnassignPodIPAddress: nobody has the address for a while. */
  release(node: Machine, address: string, now = 0): void {
    const pool = this.pool(node);
    pool.assigned.delete(aton(address)!);
    pool.cooling.set(aton(address)!, now + this.config.env.IP_COOLDOWN_PERIOD * 1e9);
  }

  private pool(node: Machine): Pool {
    let pool = this.pools.get(node.name);
    if (pool === undefined) {
      const subnet = this.subnets.get(node.name)!;
      const primary = { device: 0, subnet, address: aton(node.addresses[0]!.split('/')[0]!)!, blocks: [] };
      pool = { enis: [primary], assigned: new Map(), cooling: new Map() };
      this.pools.set(node.name, pool);
    }
    return pool;
  }

  /** Addresses of a subnet that are free when every ENI has its own. */
  private spare(subnet: Subnet): number {
    const enis = [...this.pools.values()].flatMap((p) => p.enis);
    return subnet.free - enis.filter((e) => e.subnet === subnet && e.address === 0).length;
  }

  /** The ipamd of every node starts: all addresses that were asked for are known. */
  private settle(): void {
    if (this.settled) return;
    this.settled = true;
    for (const node of this.nodes) {
      for (const e of this.pool(node).enis) if (e.device > 0) e.address = e.subnet.allocate()!;
      this.replenish(node);
    }
  }

  /** An address that is free: of one block, one that has been used before goes first (getUnusedIP). */
  private unused(pool: Pool, now: number): number | null {
    for (const e of pool.enis)
      for (const block of [...e.blocks].sort((a, b) => (a >>> 0) - (b >>> 0))) {
        const free = Array.from({ length: this.size }, (_, i) => (block + i) | 0).filter((a) => !pool.assigned.has(a));
        const used = free.find((a) => (pool.cooling.get(a) ?? Infinity) < now);
        const found = used ?? free.find((a) => !pool.cooling.has(a));
        if (found === undefined) continue;
        pool.cooling.delete(found);
        return found;
      }
    return null;
  }

  /** The pool manager, until the pool is large enough or nothing more is to be had. */
  private replenish(node: Machine): void {
    while (this.isLow(node) && this.increase(node));
  }

  private stats(node: Machine): { total: number; available: number; freeBlocks: number } {
    const { enis, assigned } = this.pool(node);
    const blocks = enis.flatMap((e) => e.blocks);
    const idle = (block: number): boolean => {
      for (let i = 0; i < this.size; i++) if (assigned.has((block + i) | 0)) return false;
      return true;
    };
    const total = blocks.length * this.size;
    return { total, available: total - assigned.size, freeBlocks: blocks.filter(idle).length };
  }

  /** Blocks that WARM_IP_TARGET and MINIMUM_IP_TARGET ask for (datastoreTargetState); null: neither is set. */
  private short(node: Machine): number | null {
    const { WARM_IP_TARGET, MINIMUM_IP_TARGET } = this.config.env;
    if (WARM_IP_TARGET === 0 && MINIMUM_IP_TARGET === 0) return null;
    const { total, available } = this.stats(node);
    return Math.ceil(Math.max(WARM_IP_TARGET - available, MINIMUM_IP_TARGET - total, 0) / this.size);
  }

  /** isDatastorePoolTooLow. */
  private isLow(node: Machine): boolean {
    const { total, available } = this.stats(node);
    if (total >= MAX_PODS) return false;
    const short = this.short(node);
    if (short !== null) return short > 0;
    const { WARM_ENI_TARGET, WARM_PREFIX_TARGET } = this.config.env;
    const [warm, unit] = this.size === 1 ? [WARM_ENI_TARGET, this.perEni] : [WARM_PREFIX_TARGET, this.size];
    return available < unit * warm || (warm === 0 && available === 0);
  }

  /** increaseDatastorePool: more for an ENI that has room, or one more ENI; false: neither can be. */
  private increase(node: Machine): boolean {
    const subnet = this.subnets.get(node.name)!;
    const { enis } = this.pool(node);
    const short = this.short(node);
    const warm = Math.max(1, this.config.env.WARM_PREFIX_TARGET - this.stats(node).freeBlocks);
    const wanted = short ?? (this.size === 1 ? this.perEni : warm);
    const eni = enis.find((e) => e.blocks.length < this.perEni) ?? this.attach(node, subnet);
    if (eni === null) return false;
    const room = Math.min(this.perEni - eni.blocks.length, wanted);
    for (let i = 0; i < room; i++) {
      const first = subnet.allocate(this.size);
      if (first === null) return i > 0;
      eni.blocks.push(first);
    }
    return room > 0;
  }

  /** A further ENI, with an address from `from`, or with none yet; null: there may be none. */
  private attach(node: Machine, from: Subnet | null): Eni | null {
    const { enis } = this.pool(node);
    if (enis.length >= this.maxEni) return null;
    const address = from === null ? 0 : from.allocate();
    if (address === null) return null;
    const eni = { device: enis.length, subnet: this.subnets.get(node.name)!, address, blocks: [] };
    enis.push(eni);
    return eni;
  }
}
