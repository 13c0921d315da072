/**
 * Neighbours: who has which MAC, how sure we are, and the packets that wait for the answer.
 *
 *   NONE ─first packet▶ INCOMPLETE ─reply▶ REACHABLE ─time▶ STALE ─send▶ DELAY ─5 s▶ PROBE ─reply▶ REACHABLE
 *                          └─ 3 broadcasts unanswered ▶ FAILED ◀ 3 unicasts unanswered ─┘
 *
 * Kernel counterpart: net/core/neighbour.c with arp_tbl's parameters. The proxy queue is in arp.ts. Not here:
 * garbage collection below gc_thresh1 entries (there is none), the application's own solicitations.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import { isMulticast } from '../../../wire/inet.js';
import { Timer } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import { armAt } from '../core/jiffies.js';
import { ARPHRD_LOOPBACK, ARPHRD_TUNNEL, devQueueXmit, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import type { Conn } from '../netfilter/ct-conn.js';
import { arpSolicit } from './arp.js';
import { RTN_BROADCAST } from './fib.js';
import { icmpSend } from './icmp.js';
import { ProxyTable } from './pneigh.js';
import { inetAddrType } from './route.js';

export const NUD_NONE = 0x00;
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
const NUD_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;
const NUD_CONNECTED = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE;

const NAMES: Record<number, string> = {
  0: 'NONE', 1: 'INCOMPLETE', 2: 'REACHABLE', 4: 'STALE', 8: 'DELAY', 16: 'PROBE', 32: 'FAILED', 64: 'NOARP', 128: 'PERMANENT',
}; // prettier-ignore
/** The state's name as `ip neigh` prints it. */
export const nudName = (nud: number): string => NAMES[nud]!;

/** Entries that a namespace keeps (gc_thresh3). */
const MAX_ENTRIES = 1024;

/** What the kernel's skb of a packet of `n` bytes takes of the queue's limit (truesize of a linear skb). */
function truesize(n: number): number {
  const need = ((n + 16 + 63) & ~63) + 320;
  return (need <= 512 ? 512 : 2 ** (32 - Math.clz32(need - 1))) + 256;
}

export class Neigh {
  readonly table: NeighTable;
  readonly dev: Netdev;
  readonly addr: number;
  readonly mac = new Uint8Array(6);
  nud = NUD_NONE;
  probes = 0;
  /** Time of the last change of `mac`, and of the last proof of reachability. */
  updated = 0;
  confirmed = 0;
  used = 0;
  reachableNs = 0;
  /** A header has been cached (neigh->hh): a packet has gone out through this entry. */
  hh = false;
  /** It is in its table no more. */
  gone = false;
  readonly timer: Timer;
  queueHead: Skb | null = null;
  queueTail: Skb | null = null;
  queueBytes = 0;

  constructor(table: NeighTable, dev: Netdev, addr: number) {
    this.table = table;
    this.dev = dev;
    this.addr = addr;
    this.timer = new Timer(() => this.onTimer());
  }

  get valid(): boolean {
    return (this.nud & NUD_VALID) !== 0;
  }

  /** neigh_max_probes. */
  private get maxProbes(): number {
    const p = this.dev.neigh;
    return p.ucastSolicit + p.appSolicit + (this.nud === NUD_PROBE ? p.mcastResolicit : p.mcastSolicit);
  }

  /** neigh_timer_handler. */
  private onTimer(): void {
    const { sim } = this.dev.kernel;
    switch (this.nud) {
      case NUD_REACHABLE:
        if (sim.now < this.confirmed + this.reachableNs) {
          armAt(sim, this.timer, this.confirmed + this.reachableNs);
          return;
        }
        this.updated = sim.now;
        if (sim.now <= this.used + this.dev.neigh.delayProbeNs) {
          this.nud = NUD_DELAY;
          armAt(sim, this.timer, sim.now + this.dev.neigh.delayProbeNs);
        } else this.nud = NUD_STALE;
        return;
      case NUD_DELAY:
        this.updated = sim.now;
        if (sim.now <= this.confirmed + this.dev.neigh.delayProbeNs) {
          this.nud = NUD_REACHABLE;
          this.reachableNs = this.table.reachableTime(this.dev);
          armAt(sim, this.timer, Math.max(sim.now, this.confirmed + this.reachableNs));
          return;
        }
        this.nud = NUD_PROBE;
        this.probes = 0;
        this.probe();
        return;
      case NUD_PROBE:
      case NUD_INCOMPLETE:
        if (this.probes >= this.maxProbes) this.invalidate();
        else this.probe();
        return;
      default:
    }
  }

  private probe(): void {
    const { sim } = this.dev.kernel;
    armAt(sim, this.timer, sim.now + this.dev.neigh.retransNs);
    arpSolicit(this, this.queueTail);
    this.probes++;
  }

  /** neigh_invalidate: every waiting packet gets its error (arp_error_report). */
  invalidate(): void {
    const { net } = this.dev;
    this.nud = NUD_FAILED;
    this.updated = this.dev.kernel.sim.now;
    for (let skb = this.takeQueue(); skb !== null;) {
      const next = skb.next;
      skb.next = null;
      skb.waiting = false;
      skb.head = skb.net;
      icmpSend(net, skb, 3, 1, 0);
      drop(net, skb, 'NEIGH_FAILED');
      skb = next;
    }
  }

  /** neigh_event_send: true when the packet may go out now; otherwise it was queued. null only asks for the address. */
  eventSend(skb: Skb | null): boolean {
    const { sim } = this.dev.kernel;
    if ((this.nud & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE)) !== 0) return true;
    if (this.nud === NUD_STALE) {
      this.nud = NUD_DELAY;
      this.updated = sim.now;
      armAt(sim, this.timer, sim.now + this.dev.neigh.delayProbeNs);
      return true;
    }
    const first = this.nud !== NUD_INCOMPLETE;
    if (first) {
      this.nud = NUD_INCOMPLETE;
      // Requests by unicast make no sense before there is an address.
      this.probes = this.dev.neigh.ucastSolicit;
      this.updated = sim.now;
    }
    if (skb !== null) {
      if (this.dev.kernel.tracer !== null) this.dev.kernel.tracer.neighbour(this.dev.net, skb, this);
      this.enqueue(skb);
    }
    if (first) this.probe();
    return false;
  }

  private enqueue(skb: Skb): void {
    const size = truesize(skb.len);
    const limit = this.dev.neigh.unresQlenBytes;
    while (this.queueBytes + size > limit && this.queueHead !== null) {
      const old = this.queueHead;
      this.queueHead = old.next;
      if (this.queueHead === null) this.queueTail = null;
      this.queueBytes -= truesize(old.len);
      old.next = null;
      drop(this.dev.net, old, 'NEIGH_QUEUEFULL');
    }
    skb.next = null;
    skb.waiting = true;
    if (this.queueTail === null) this.queueHead = skb;
    else this.queueTail.next = skb;
    this.queueTail = skb;
    this.queueBytes += size;
  }

  private takeQueue(): Skb | null {
    const head = this.queueHead;
    this.queueHead = this.queueTail = null;
    this.queueBytes = 0;
    return head;
  }

  /**
   * neigh_update with NEIGH_UPDATE_F_OVERRIDE when `override`: a request or reply told that `addr` is at `mac`.
   * `b[o..o+6)` holds the MAC.
   */
  update(b: Uint8Array, o: number, nud: number, override: boolean): void {
    const { sim } = this.dev.kernel;
    if ((this.nud & (NUD_PERMANENT | NUD_NOARP)) !== 0) return;
    const same = eth.macIs(b, o, this.mac) && this.valid;
    if (nud === NUD_REACHABLE) this.confirmed = sim.now;
    if (this.valid && !same && !override) return;
    if (same && nud === NUD_STALE) return;
    const wasValid = this.valid;
    if (!same || this.nud !== nud) this.updated = sim.now;
    if (!same) {
      for (let i = 0; i < 6; i++) this.mac[i] = b[o + i]!;
      if (nud !== NUD_REACHABLE) this.confirmed = sim.now - 2 * this.dev.neigh.baseReachableNs;
    }
    this.nud = nud;
    sim.cancel(this.timer);
    if (nud === NUD_REACHABLE) {
      this.reachableNs = this.table.reachableTime(this.dev);
      armAt(sim, this.timer, sim.now + this.reachableNs);
    }
    if (!wasValid) this.flush();
  }

  /** Sends what waited, in order. */
  flush(): void {
    for (let skb = this.takeQueue(); skb !== null;) {
      const next = skb.next;
      skb.next = null;
      skb.waiting = false;
      skb.head = skb.net;
      neighOutput(this, skb);
      skb = next;
    }
  }

  /** A higher layer saw progress (dst_confirm). */
  confirm(): void {
    this.confirmed = this.dev.kernel.sim.now;
  }

  /** True when a different MAC may replace this one: older than locktime (arp_process). */
  get unlocked(): boolean {
    return this.dev.kernel.sim.now > this.updated + this.dev.neigh.locktimeNs;
  }

  /** Ends the entry; what waits is dropped. */
  destroy(): void {
    this.gone = true;
    this.dev.kernel.sim.cancel(this.timer);
    for (let skb = this.takeQueue(); skb !== null;) {
      const next = skb.next;
      drop(this.dev.net, skb, 'NEIGH_DEAD');
      skb = next;
    }
    this.nud = NUD_FAILED;
  }
}

/** The ARP table of one namespace. */
export class NeighTable {
  private readonly net: Netns;
  private readonly byAddr = new Map<number, Neigh[]>();
  /** Addresses that this machine answers for (`ip neigh add proxy`). */
  readonly proxies = new ProxyTable();
  private count = 0;

  constructor(net: Netns) {
    this.net = net;
  }

  lookup(dev: Netdev, addr: number): Neigh | null {
    const list = this.byAddr.get(addr);
    if (list === undefined) return null;
    for (let i = 0; i < list.length; i++) if (list[i]!.dev === dev) return list[i]!;
    return null;
  }

  /** The entry, created when missing (__neigh_create with arp_constructor's special addresses). */
  create(dev: Netdev, addr: number): Neigh {
    const old = this.lookup(dev, addr);
    if (old !== null) return old;
    const n = new Neigh(this, dev, addr);
    n.updated = n.used = this.net.kernel.sim.now;
    n.confirmed = this.net.kernel.sim.now - 2 * dev.neigh.baseReachableNs;
    if (isMulticast(addr)) {
      n.nud = NUD_NOARP;
      n.mac.set([0x01, 0x00, 0x5e, (addr >>> 16) & 0x7f, (addr >>> 8) & 255, addr & 255]);
    } else if (dev.type === ARPHRD_LOOPBACK || dev.noarp) {
      n.nud = NUD_NOARP;
      n.mac.set(dev.mac);
    } else if (addr === -1 || inetAddrType(this.net, addr) === RTN_BROADCAST) {
      n.nud = NUD_NOARP;
      n.mac.fill(0xff);
    }
    if (this.count >= MAX_ENTRIES) this.evict();
    this.count++;
    const list = this.byAddr.get(addr);
    if (list === undefined) this.byAddr.set(addr, [n]);
    else list.push(n);
    return n;
  }

  /**
   * Makes room in a full table: the oldest entry that nobody entered by hand goes. (The kernel refuses the new one when
   * there is nothing unused; a table this full is not observed in Labs.)
   */
  private evict(): void {
    for (const list of this.byAddr.values()) {
      const old = list.find((n) => (n.nud & NUD_PERMANENT) === 0);
      if (old === undefined) continue;
      this.delete(old.dev, old.addr);
      return;
    }
  }

  reachableTime(dev: Netdev): number {
    const { neigh } = dev;
    if (neigh.reachableNs === 0) {
      const draw = this.net.kernel.rng('neigh-reachable').below(neigh.baseReachableNs / 1e6) * 1e6;
      neigh.reachableNs = neigh.baseReachableNs / 2 + draw;
    }
    return neigh.reachableNs;
  }

  /** Every entry, in order of creation. */
  list(): Neigh[] {
    return [...this.byAddr.values()].flat();
  }

  /** `ip neigh add|change|replace`: an entry in a given state, with a new address or (null) the one it has (neigh_add). */
  set(dev: Netdev, addr: number, mac: Uint8Array | null, nud: number): void {
    const { sim } = this.net.kernel;
    const n = this.create(dev, addr);
    const waiting = (n.nud & (NUD_INCOMPLETE | NUD_PROBE)) !== 0;
    sim.cancel(n.timer);
    n.updated = sim.now;
    if (mac !== null) n.mac.set(mac);
    if (nud === NUD_FAILED && waiting) return n.invalidate();
    n.nud = nud;
    if (nud === NUD_REACHABLE) {
      n.confirmed = sim.now;
      n.reachableNs = this.reachableTime(dev);
      armAt(sim, n.timer, sim.now + n.reachableNs);
    }
    if (n.valid) n.flush();
  }

  /** `ip neigh del`. False when there is none. */
  delete(dev: Netdev, addr: number): boolean {
    const list = this.byAddr.get(addr);
    const n = this.lookup(dev, addr);
    if (n === null || list === undefined) return false;
    n.destroy();
    this.count--;
    if (list.length === 1) this.byAddr.delete(addr);
    else list.splice(list.indexOf(n), 1);
    return true;
  }

  /** By connection: how many of its packets wait for an address, each holding its entry (skb->_nfct). */
  waiting(): Map<Conn, number> {
    const out = new Map<Conn, number>();
    for (const list of this.byAddr.values())
      for (const n of list)
        for (let s = n.queueHead; s !== null; s = s.next) if (s.ct !== null) out.set(s.ct, (out.get(s.ct) ?? 0) + 1);
    return out;
  }

  /** Device down: its entries go (neigh_ifdown). */
  flushDevice(dev: Netdev): void {
    this.proxies.forget(dev);
    for (const n of this.list()) if (n.dev === dev) this.delete(dev, n.addr);
  }

  /** The device lost its carrier (neigh_carrier_down): all but permanent entries go. */
  carrierDown(dev: Netdev): void {
    for (const n of this.list()) if (n.dev === dev && n.nud !== NUD_PERMANENT) this.delete(dev, n.addr);
  }

  /** An address came or went: broadcast entries may have become wrong. */
  addressChanged(): void {
    for (const n of this.list()) if (n.nud === NUD_NOARP && n.dev.isEthernet) this.delete(n.dev, n.addr);
  }
}

/**
 * Sends an IPv4 packet to a neighbour (neigh_output, neigh_resolve_output): `head` at the IPv4 header. Resolves first
 * when need be; the packet then waits in the entry. Returns 0 or NET_XMIT_DROP.
 */
export function neighOutput(n: Neigh, skb: Skb): number {
  const { dev } = n;
  if (dev.type === ARPHRD_TUNNEL) return devQueueXmit(dev, skb);
  if ((n.nud & NUD_CONNECTED) === 0 || !n.hh) {
    // neigh_hh_output, the way with a cached header, does not note the use.
    n.used = dev.kernel.sim.now;
    if (!n.eventSend(skb)) return 0;
    n.hh = true;
  }
  if (dev.kernel.tracer !== null) dev.kernel.tracer.neighbour(dev.net, skb, n);
  skb.push(eth.HLEN);
  eth.write(skb.buf, skb.head, n.mac, dev.mac, eth.P_IP);
  return devQueueXmit(dev, skb);
}
