/**
 * The flows of a datapath: one hash table per mask, masks in the order of their first flow, and the cache that remembers which mask
 * a flow of packets met.
 *
 * Kernel counterpart: net/openvswitch/flow_table.c. A packet takes the first flow that it meets; flows that overlap under several
 * masks are the writer's fault. Not here: the order of masks by use (ovs_flow_masks_rebalance, every 4 s; it swaps
 * unused ones, too), which only the numbers of `ovs-dpctl show` depend on; flow identifiers.
 * @module
 */
import type { Action } from './actions.js';
import { KEY_WORDS, type Words } from './flow-key.js';

/** struct sw_flow. */
export interface Flow {
  /** As it was given, which tells two flows apart; and under its mask, which packets are compared with. */
  readonly unmasked: Words;
  readonly key: Words;
  readonly mask: Mask;
  actions: readonly Action[];
  packets: number;
  bytes: number;
  /** ns; -1: never. */
  used: number;
  /** TCP flags of all its packets. */
  tcpFlags: number;
}

/** struct sw_flow_mask with the flows that have it. */
export interface Mask {
  readonly words: Words;
  readonly flows: Map<number, Flow[]>;
  count: number;
}

/** MC_DEFAULT_HASH_ENTRIES, MC_HASH_SEGS, MC_HASH_SHIFT. */
export const CACHE_SIZE = 256;
const SEGMENTS = 4;
const SHIFT = 8;

function hashOf(key: Words, mask: Words): number {
  let h = 0;
  for (let i = 0; i < KEY_WORDS; i++) {
    h = Math.imul(h ^ (key[i]! & mask[i]!), 0x9e3779b1);
    h ^= h >>> 15;
  }
  return h;
}

const equalMasked = (flow: Words, key: Words, mask: Words): boolean => {
  for (let i = 0; i < KEY_WORDS; i++) if (flow[i] !== (key[i]! & mask[i]!)) return false;
  return true;
};
const equal = (a: Words, b: Words): boolean => {
  for (let i = 0; i < KEY_WORDS; i++) if (a[i] !== b[i]) return false;
  return true;
};

export class FlowTable {
  /** Without holes: a mask goes with its last flow (tbl_mask_array_del_mask moves the last one into its place). */
  readonly masks: Mask[] = [];
  count = 0;
  /** Masks looked at, and look-ups whose cached mask was right, ever (dp_megaflow_stats). */
  maskHits = 0;
  cacheHits = 0;
  private readonly cacheHash = new Int32Array(CACHE_SIZE);
  private readonly cacheMask = new Int32Array(CACHE_SIZE);

  /** All flows, by their masks. */
  list(): Flow[] {
    return this.masks.flatMap((m) => [...m.flows.values()].flat());
  }

  /** The flow of a packet's key, null: none. `hash` is the packet's, not 0 (ovs_flow_tbl_lookup_stats). */
  lookup(key: Words, hash: number): Flow | null {
    let victim = -1;
    for (let seg = 0, h = hash; seg < SEGMENTS; seg++, h >>>= SHIFT) {
      const i = h & (CACHE_SIZE - 1);
      if (this.cacheHash[i] === hash) return this.cached(key, i);
      if (victim < 0 || this.cacheHash[i]! >>> 0 < this.cacheHash[victim]! >>> 0) victim = i;
    }
    // What the cache proposed here belongs to somebody else, and does not count.
    const hits = this.cacheHits;
    const flow = this.search(key, victim);
    if (flow !== null) this.cacheHash[victim] = hash;
    this.cacheHits = hits;
    return flow;
  }

  private cached(key: Words, i: number): Flow | null {
    const flow = this.search(key, i);
    if (flow === null) this.cacheHash[i] = 0;
    return flow;
  }

  /** flow_lookup: the mask of cache entry `entry` first, which becomes the one that was right. */
  private search(key: Words, entry: number): Flow | null {
    const first = this.cacheMask[entry]!;
    const proposed = this.masks[first];
    if (proposed !== undefined) {
      const flow = this.find(proposed, key);
      if (flow !== null) {
        this.cacheHits++;
        return flow;
      }
    }
    for (let i = 0; i < this.masks.length; i++) {
      if (i === first) continue;
      const flow = this.find(this.masks[i]!, key);
      if (flow === null) continue;
      this.cacheMask[entry] = i;
      return flow;
    }
    return null;
  }

  /** masked_flow_lookup. */
  private find(mask: Mask, key: Words): Flow | null {
    this.maskHits++;
    return bucketFind(mask, key);
  }

  /** A flow that takes packets of this key, null: none; nothing is counted (ovs_flow_tbl_lookup). */
  taking(key: Words): Flow | null {
    for (const m of this.masks) {
      const f = bucketFind(m, key);
      if (f !== null) return f;
    }
    return null;
  }

  /** The flow that was given with this key (ovs_flow_tbl_lookup_exact). */
  exact(unmasked: Words): Flow | null {
    for (const m of this.masks) {
      const f = bucketFind(m, unmasked);
      if (f !== null && equal(f.unmasked, unmasked)) return f;
    }
    return null;
  }

  insert(unmasked: Words, mask: Words, actions: readonly Action[]): Flow {
    let m = this.masks.find((x) => equal(x.words, mask));
    if (m === undefined) this.masks.push((m = { words: mask.slice(), flows: new Map(), count: 0 }));
    const key = unmasked.map((w, i) => w & mask[i]!);
    const flow: Flow = { unmasked: unmasked.slice(), key, mask: m, actions, packets: 0, bytes: 0, used: -1, tcpFlags: 0 };
    const h = hashOf(key, mask);
    const bucket = m.flows.get(h);
    if (bucket === undefined) m.flows.set(h, [flow]);
    else bucket.push(flow);
    m.count++;
    this.count++;
    return flow;
  } // prettier-ignore

  remove(flow: Flow): void {
    const { mask } = flow;
    const h = hashOf(flow.key, mask.words);
    const bucket = mask.flows.get(h)!;
    if (bucket.length === 1) mask.flows.delete(h);
    else bucket.splice(bucket.indexOf(flow), 1);
    this.count--;
    if (--mask.count > 0) return;
    const last = this.masks.pop()!;
    if (last !== mask) this.masks[this.masks.indexOf(mask)] = last;
  }

  /** Every flow goes (ovs_flow_tbl_flush); the cache stays. */
  flush(): void {
    for (const f of this.list()) this.remove(f);
  }
}

function bucketFind(mask: Mask, key: Words): Flow | null {
  const bucket = mask.flows.get(hashOf(key, mask.words));
  if (bucket === undefined) return null;
  for (let i = 0; i < bucket.length; i++) if (equalMasked(bucket[i]!.key, key, mask.words)) return bucket[i]!;
  return null;
}
