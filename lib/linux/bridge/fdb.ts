/**
 * The forwarding database of one bridge: MAC to port, learned, static or local.
 *
 * Keyed by the last four bytes as int32 with a chain behind, so that a look-up allocates nothing.
 * Kernel counterpart: net/bridge/br_fdb.c. Expiry is lazy: an aged entry is not found.
 * @module
 */
import { i32 } from '../../../wire/bytes.js';
import { macIs } from '../../../wire/ethernet.js';
import type { BrPort } from './bridge.js';

export type FdbKind = 'permanent' | 'static' | 'dynamic';

export interface FdbEntry {
  readonly mac: Uint8Array;
  /** null: the bridge itself. */
  port: BrPort | null;
  kind: FdbKind;
  /** Frames to this MAC are for the bridge device (BR_FDB_LOCAL). */
  local: boolean;
  /** Entered by a command (BR_FDB_ADDED_BY_USER). */
  user: boolean;
  updated: number;
  used: number;
  /** Rises with each entry of the bridge: the kernel lists the newest first. */
  readonly seq: number;
  next: FdbEntry | null;
}

export class Fdb {
  /** 0, or 1 for the entries of the default VLAN, which exist beside the others even without VLAN filtering. */
  readonly vid: number;
  private readonly table = new Map<number, FdbEntry>();
  private readonly count: { n: number };

  constructor(vid: number, beside: Fdb | null = null) {
    this.vid = vid;
    this.count = beside === null ? { n: 0 } : beside.count;
  }

  /** The live entry of the MAC at `b[o]`, or null. */
  find(b: Uint8Array, o: number, now: number, ageing: number): FdbEntry | null {
    const e = this.entry(b, o);
    return e !== null && e.kind === 'dynamic' && e.updated + ageing <= now ? null : e;
  }

  /** The entry of the MAC at `b[o]`, aged or not. */
  entry(b: Uint8Array, o: number): FdbEntry | null {
    let e = this.table.get(i32(b, o + 2)) ?? null;
    while (e !== null && !macIs(b, o, e.mac)) e = e.next;
    return e;
  }

  /** br_fdb_update: the source of a frame is behind `port`. Local entries stay, static ones follow the station. */
  learn(b: Uint8Array, o: number, port: BrPort, now: number): void {
    const e = this.entry(b, o);
    if (e === null) this.set(b.slice(o, o + 6), port, 'dynamic', false, now);
    else if (!e.local) {
      e.port = port;
      e.updated = now;
    }
  }

  /** Enters an address in place of what was there (fdb_create). */
  set(mac: Uint8Array, port: BrPort | null, kind: FdbKind, user: boolean, now: number): void {
    const old = this.entry(mac, 0);
    if (old !== null) this.remove((e) => e === old);
    const key = i32(mac, 2);
    const next = this.table.get(key) ?? null;
    const local = kind === 'permanent';
    this.table.set(key, { mac, port, kind, local, user, updated: now, used: now, seq: ++this.count.n, next });
  }

  /** An address of a port or of the bridge itself; one that is local already stays as it is (fdb_add_local). */
  addLocal(mac: Uint8Array, port: BrPort | null, now: number): void {
    const e = this.entry(mac, 0);
    if (e === null || !e.local) this.set(mac.slice(), port, 'permanent', false, now);
  }

  /** Removes the entries that satisfy `test`; returns how many. */
  remove(test: (e: FdbEntry) => boolean): number {
    let n = 0;
    for (const [key, head] of this.table) {
      const keep: FdbEntry[] = [];
      for (let e: FdbEntry | null = head; e !== null; e = e.next) {
        if (test(e)) n++;
        else keep.push(e);
      }
      if (keep.length === 0) this.table.delete(key);
      else {
        keep.forEach((e, i) => (e.next = keep[i + 1] ?? null));
        this.table.set(key, keep[0]!);
      }
    }
    return n;
  }

  list(): FdbEntry[] {
    const all: FdbEntry[] = [];
    for (const head of this.table.values()) for (let e: FdbEntry | null = head; e !== null; e = e.next) all.push(e);
    return all;
  }
}
