/**
 * The bridge: learn, look up, forward, flood, pass up.
 *
 *   port RX ─▶ brHandleFrame ─(br_netfilter)▶ brHandleFrameFinish ─┬─ known ─▶ brForward ─▶ port TX
 *                                                                  ├─ group, unknown ─▶ brFlood (newest port first)
 *                                                                  └─ for us, group ─▶ brPassFrameUp ─▶ RX on the bridge device
 *
 * Kernel counterparts: net/bridge/br_input.c, br_forward.c, br_device.c, br_if.c. Not here: STP, VLAN filtering, multicast
 * snooping (group frames are flooded, as Linux does without a querier).
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import { type BridgeHandler, devQueueXmit, Netdev, netifReceiveSkb, RX } from '../core/netdev.js';
import { deliverSkb } from '../core/netdev.js';
import { PACKET_HOST, type Skb } from '../core/skb.js';
import { brNfForward, brNfPreRouting, brNfSlowFinish } from './br-netfilter.js';
import { Fdb, type FdbKind } from './fdb.js';

export class BrPort implements BridgeHandler {
  readonly dev: Netdev;
  readonly master: Bridge;
  hairpin = false;
  learning = true;
  flood = true;
  isolated = false;

  constructor(dev: Netdev, master: Bridge) {
    this.dev = dev;
    this.master = master;
  }

  /** br_handle_frame: a frame came in on this port; `head` at the network header. */
  rx(skb: Skb): void {
    const br = this.master;
    const b = skb.buf;
    if (!br.up) return drop(br.net, skb, 'DEV_READY');
    if (eth.isGroup(b, skb.mac + eth.SRC)) return drop(br.net, skb, 'DEV_HDR');
    if (b[skb.mac] === 0x01 && b[skb.mac + 1] === 0x80 && b[skb.mac + 2] === 0xc2) return drop(br.net, skb, 'DEV_HDR');
    if (eth.macIs(b, skb.mac, br.mac)) skb.pktType = PACKET_HOST;
    skb.physin = this.dev;
    if (skb.protocol === eth.P_IP && br.net.bridgeNfCallIptables !== 0) brNfPreRouting(br, skb);
    else brHandleFrameFinish(br, this, skb);
  }
}

export class Bridge extends Netdev {
  override readonly kind = 'bridge';
  /** Newest first: the kernel's port list grows at its head. */
  ports: BrPort[] = [];
  readonly fdb = new Fdb();
  ageingNs = 300 * SEC;
  macSet = false;

  override get carrier(): boolean {
    return this.up && this.ports.some((p) => p.dev.carrier);
  }

  /** br_dev_xmit: the host sends through the bridge device; `head` at the link header. */
  override xmit(skb: Skb): void {
    skb.mac = skb.head;
    skb.net = skb.head + eth.HLEN;
    skb.head = skb.net;
    if (skb.brDnat) return brNfSlowFinish(this, skb);
    skb.physin = skb.physin !== null && skb.physin.brport !== null ? skb.physin : null;
    skb.physout = null;
    if (!eth.isGroup(skb.buf, skb.mac)) {
      const e = this.fdb.find(skb.buf, skb.mac, this.kernel.sim.now, this.ageingNs);
      if (e !== null && e.port !== null && !e.local) return brForward(e.port, skb, null);
      if (e !== null) return drop(this.net, skb, 'BRIDGE_NO_PORT');
    }
    brFlood(this, skb, null, false);
  }

  /** Lowest port MAC unless one was set (br_stp_recalculate_bridge_id); refreshes the local entries. */
  recalculateMac(): void {
    if (!this.macSet && this.ports.length > 0) {
      let low = this.ports[0]!.dev.mac;
      for (const p of this.ports) if (compareMac(p.dev.mac, low) < 0) low = p.dev.mac;
      this.mac.set(low);
    }
    this.fdb.remove((e) => e.local);
    const { now } = this.kernel.sim;
    for (const p of this.ports) this.fdb.set(p.dev.mac.slice(), p, 'permanent', true, now);
    this.fdb.set(this.mac.slice(), null, 'permanent', true, now);
  }

  /** The database as `bridge fdb` sees it. */
  fdbEntries(): { mac: string; port: BrPort | null; kind: FdbKind; usedNs: number }[] {
    const text = (m: Uint8Array): string => Array.from(m, (x) => x.toString(16).padStart(2, '0')).join(':');
    const { now } = this.kernel.sim;
    return this.fdb
      .list()
      .filter((e) => e.kind !== 'dynamic' || e.updated + this.ageingNs > now)
      .map((e) => ({ mac: text(e.mac), port: e.port, kind: e.kind, usedNs: now - e.updated }));
  }
}

const compareMac = (a: Uint8Array, b: Uint8Array): number => {
  for (let i = 0; i < 6; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
};

/** br_handle_frame_finish: after the bridge's PRE_ROUTING. */
export function brHandleFrameFinish(br: Bridge, port: BrPort, skb: Skb): void {
  const b = skb.buf;
  const { now } = br.kernel.sim;
  if (port.learning) br.fdb.learn(b, skb.mac + eth.SRC, port, now);
  if (eth.isGroup(b, skb.mac)) {
    brFlood(br, br.kernel.skbs.copy(skb), port, true);
    brPassFrameUp(br, skb);
    return;
  }
  const e = br.fdb.find(b, skb.mac, now, br.ageingNs);
  if (e === null) {
    if (br.kernel.tracer !== null) br.kernel.tracer.bridge(br.net, skb, br, 'unknown address, flood');
    brFlood(br, skb, port, false);
  } else if (e.local || e.port === null) brPassFrameUp(br, skb);
  else {
    if (br.kernel.tracer !== null) br.kernel.tracer.bridge(br.net, skb, br, `fdb: ${e.port.dev.name}`);
    brForward(e.port, skb, port);
  }
}

/** br_pass_frame_up: the bridge device receives the frame itself. */
export function brPassFrameUp(br: Bridge, skb: Skb): void {
  if (!br.up) return drop(br.net, skb, 'DEV_READY');
  br.rxPackets++;
  if (br.tap !== null) br.tap.frame(br.kernel.sim.now, RX, skb.buf, skb.mac, skb.tail, skb.id);
  skb.dev = br;
  skb.iif = br;
  if (br.brport !== null) netifReceiveSkb(br, skb);
  else deliverSkb(br, skb);
}

/** should_deliver: not back to where it came from (unless hairpin), not between isolated ports. */
function shouldDeliver(to: BrPort, from: BrPort | null): boolean {
  if (!to.dev.up) return false;
  if (from === null) return true;
  if (from === to && !to.hairpin) return false;
  return !(from.isolated && to.isolated && from !== to);
}

/** br_forward: to one port. `from` is null for frames of the host. */
function brForward(to: BrPort, skb: Skb, from: BrPort | null): void {
  if (!shouldDeliver(to, from)) return drop(to.master.net, skb, from === to ? 'BRIDGE_HAIRPIN' : 'BRIDGE_NO_PORT');
  deliver(to, skb, from);
}

function deliver(to: BrPort, skb: Skb, from: BrPort | null): void {
  if (from !== null && skb.protocol === eth.P_IP && to.master.net.bridgeNfCallIptables !== 0) {
    skb.physout = to.dev;
    brNfForward(to.master, skb);
  } else brQueuePushXmit(to.dev, skb);
}

/** br_dev_queue_push_xmit. */
export function brQueuePushXmit(dev: Netdev, skb: Skb): void {
  skb.head = skb.mac;
  devQueueXmit(dev, skb);
}

/** br_flood: a copy to every port that may have it, newest first; the last takes the original. */
function brFlood(br: Bridge, skb: Skb, from: BrPort | null, group: boolean): void {
  let prev: BrPort | null = null;
  for (let i = 0; i < br.ports.length; i++) {
    const p = br.ports[i]!;
    if (!shouldDeliver(p, from) || (!p.flood && !group && !eth.isGroup(skb.buf, skb.mac))) continue;
    if (prev !== null) deliver(prev, br.kernel.skbs.copy(skb), from);
    prev = p;
  }
  if (prev === null) br.kernel.skbs.free(skb);
  else deliver(prev, skb, from);
}

/** `ip link set DEV master BRIDGE` (br_add_if). */
export function addPort(br: Bridge, dev: Netdev): BrPort {
  const port = new BrPort(dev, br);
  dev.brport = port;
  br.ports.unshift(port);
  br.recalculateMac();
  return port;
}

/** `ip link set DEV nomaster` (br_del_if). */
export function delPort(dev: Netdev): void {
  const port = dev.brport as BrPort | null;
  if (port === null) return;
  dev.brport = null;
  const br = port.master;
  br.ports = br.ports.filter((p) => p !== port);
  br.fdb.remove((e) => e.port === port);
  br.recalculateMac();
}

/** `bridge fdb add MAC dev DEV`: on a port, or on the bridge itself (local). */
export function fdbAdd(dev: Netdev, mac: Uint8Array, kind: FdbKind): boolean {
  const port = dev.brport as BrPort | null;
  const br = port !== null ? port.master : dev instanceof Bridge ? dev : null;
  if (br === null) return false;
  br.fdb.set(mac.slice(), port, kind, kind === 'permanent', br.kernel.sim.now);
  return true;
}

/** `bridge fdb del MAC dev DEV`. */
export function fdbDel(dev: Netdev, mac: Uint8Array): boolean {
  const port = dev.brport as BrPort | null;
  const br = port !== null ? port.master : dev instanceof Bridge ? dev : null;
  return br !== null && br.fdb.remove((e) => eth.macIs(mac, 0, e.mac) && e.port === port) > 0;
}
