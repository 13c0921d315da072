/**
 * Proxy neighbours: single addresses that a router answers ARP requests for.
 *
 * Kernel counterpart: net/core/neighbour.c (pneigh_lookup, pneigh_delete, pneigh_ifdown_and_unlock).
 * @module
 */
import type { Netdev } from '../core/netdev.js';

export interface ProxyNeigh {
  readonly addr: number;
  /** The device on which it is answered for; null: on any. */
  readonly dev: Netdev | null;
}

const BUCKETS = 16;

/** Where the kernel keeps an address (pneigh_hash, on a little-endian machine). */
function bucketOf(addr: number): number {
  let h = (addr >>> 24) | ((addr >>> 8) & 0xff00) | ((addr << 8) & 0xff0000) | (addr << 24);
  h ^= h >>> 16;
  h ^= h >>> 8;
  h ^= h >>> 4;
  return h & (BUCKETS - 1);
}

export class ProxyTable {
  /** In the order in which the kernel lists them. */
  private list: ProxyNeigh[] = [];

  /** True for a request that came by `dev` for an address of the table. */
  has(dev: Netdev, addr: number): boolean {
    for (let i = 0; i < this.list.length; i++) {
      const p = this.list[i]!;
      if (p.addr === addr && (p.dev === null || p.dev === dev)) return true;
    }
    return false;
  }

  /** Adds an entry unless one answers for it already. */
  add(addr: number, dev: Netdev | null): void {
    if (this.list.some((p) => p.addr === addr && (p.dev === dev || p.dev === null))) return;
    // A bucket's latest entry stands first.
    const at = this.list.findIndex((p) => bucketOf(p.addr) >= bucketOf(addr));
    this.list.splice(at < 0 ? this.list.length : at, 0, { addr, dev });
  }

  /** Removes an entry; false when there is none. */
  delete(addr: number, dev: Netdev | null): boolean {
    const i = this.list.findIndex((p) => p.addr === addr && p.dev === dev);
    if (i < 0) return false;
    this.list.splice(i, 1);
    return true;
  }

  /** The device went down; without carrier permanent entries stay, and all are. */
  forget(dev: Netdev): void {
    if (this.list.length > 0) this.list = this.list.filter((p) => p.dev !== dev);
  }

  entries(): readonly ProxyNeigh[] {
    return this.list;
  }
}
