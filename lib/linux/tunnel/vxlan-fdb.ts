/**
 * The forwarding database of a VXLAN device: inner MAC to the tunnel's far ends.
 *
 * Kernel counterpart: drivers/net/vxlan/vxlan_core.c (vxlan_fdb_*). An aged entry is not found.
 * @module
 */
import { macIs } from '../../../wire/ethernet.js';
import type { Netdev } from '../core/netdev.js';

/** A far end (struct vxlan_rdst); `port` and `vni` null: the device's own. */
export interface Rdst {
  ip: number;
  port: number | null;
  vni: number | null;
  via: Netdev | null;
}

export interface VxlanFdbEntry {
  readonly mac: Uint8Array;
  state: 'permanent' | 'static' | 'reachable' | 'stale';
  /** In the order they were appended. */
  readonly remotes: Rdst[];
  updated: number;
  used: number;
}

const sameEnd = (x: Rdst, y: Rdst): boolean => x.ip === y.ip && x.port === y.port && x.vni === y.vni && x.via === y.via;

export class VxlanFdb {
  /** In order of creation. */
  readonly entries: VxlanFdbEntry[] = [];

  /** The live entry of the MAC at `b[o]`, or null. */
  find(b: Uint8Array, o: number, now: number, ageingNs: number): VxlanFdbEntry | null {
    for (let i = 0; i < this.entries.length; i++) {
      const e = this.entries[i]!;
      if (!macIs(b, o, e.mac)) continue;
      if (ageingNs > 0 && (e.state === 'reachable' || e.state === 'stale') && e.used + ageingNs <= now) {
        this.entries.splice(i, 1);
        return null;
      }
      return e;
    }
    return null;
  }

  /** Adds a far end, unless the entry has it already. */
  append(mac: Uint8Array, r: Rdst, state: VxlanFdbEntry['state'], now: number): void {
    let e = this.entries.find((x) => macIs(mac, 0, x.mac));
    if (e === undefined) {
      e = { mac: mac.slice(), state, remotes: [], updated: now, used: now };
      this.entries.push(e);
    }
    if (!e.remotes.some((x) => sameEnd(x, r))) e.remotes.push(r);
  }

  /** Takes a far end away, and the entry with its last one; nothing when there is none such (__vxlan_fdb_delete). */
  removeRemote(e: VxlanFdbEntry, r: Rdst): void {
    const i = e.remotes.findIndex((x) => sameEnd(x, r));
    if (i >= 0) e.remotes.splice(i, 1);
    if (e.remotes.length === 0) this.remove((x) => x === e);
  }

  /** The sender of an inner frame is behind `ip` (vxlan_snoop). Entries made by hand stay as they are. */
  snoop(b: Uint8Array, o: number, ip: number, now: number): void {
    const e = this.entries.find((x) => macIs(b, o, x.mac));
    if (e === undefined) {
      const remotes = [{ ip, port: null, vni: null, via: null }];
      this.entries.push({ mac: b.slice(o, o + 6), state: 'reachable', remotes, updated: now, used: now });
      return;
    }
    e.used = now;
    if (e.remotes[0]!.ip === ip || e.state === 'permanent' || e.state === 'static') return;
    e.remotes[0]!.ip = ip;
    e.updated = now;
  }

  remove(test: (e: VxlanFdbEntry) => boolean): number {
    const before = this.entries.length;
    for (let i = before - 1; i >= 0; i--) if (test(this.entries[i]!)) this.entries.splice(i, 1);
    return before - this.entries.length;
  }
}
