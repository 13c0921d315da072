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
import { macText } from '../../../wire/inet.js';
import { SEC } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import { type BridgeHandler, deliverSkb, devQueueXmit, Netdev, RX } from '../core/netdev.js';
import { PACKET_HOST, type Skb } from '../core/skb.js';
import { Dst, INPUT_DISCARD } from '../ipv4/dst.js';
import { RTN_UNSPEC } from '../ipv4/fib.js';
import { brNfForward, brNfPreRouting, brNfSlowFinish } from './br-netfilter.js';
import { Fdb } from './fdb.js';

const NO_MAC = new Uint8Array(6);
const VLAN_HLEN = 4;

export class BrPort implements BridgeHandler {
  readonly dev: Netdev;
  readonly master: Bridge;
  /** Port number, the lowest free one from 1 on. */
  readonly no: number;
  /** Its carrier has come, and linkwatch has not told the bridge yet: nothing passes (BR_STATE_DISABLED). */
  waiting = false;
  hairpin = false;
  learning = true;
  flood = true;
  mcastFlood = true;
  bcastFlood = true;
  isolated = false;
  /** Path cost and priority of the spanning tree: shown, of no effect without STP. */
  cost = 2;
  priority = 32;

  constructor(dev: Netdev, master: Bridge, no: number) {
    this.dev = dev;
    this.master = master;
    this.no = no;
  }

  /** br_stp_disable_port: what was learned behind the port is forgotten. */
  disable(): void {
    this.master.fdb.remove((e) => e.port === this && e.kind === 'dynamic');
  }

  /** br_handle_frame: a frame came in on this port; `head` at the network header. */
  rx(skb: Skb): void {
    const br = this.master;
    const b = skb.buf;
    if (!br.up) return drop(br.net, skb, 'DEV_READY');
    if (this.waiting) return drop(br.net, skb, 'NOT_SPECIFIED');
    if (eth.isGroup(b, skb.mac + eth.SRC) || eth.macIs(b, skb.mac + eth.SRC, NO_MAC)) {
      return drop(br.net, skb, 'DEV_HDR');
    }
    // Link-local groups are not bridged, but the spanning tree's own is while the bridge has no STP.
    if (eth.isLinkLocal(b, skb.mac) && b[skb.mac + 5] !== 0) return drop(br.net, skb, 'DEV_HDR');
    if (eth.macIs(b, skb.mac, br.mac)) skb.pktType = PACKET_HOST;
    if (skb.protocol === eth.P_IP && br.callsIptables) brNfPreRouting(br, this, skb);
    else brHandleFrameFinish(br, this, skb);
  }
}

export class Bridge extends Netdev {
  override readonly kind = 'bridge';
  /** Newest first: the kernel's port list grows at its head. */
  ports: BrPort[] = [];
  readonly fdb = new Fdb(0);
  /** Entries of VLAN 1 beside those of `fdb`: listed, never looked up without VLAN filtering. */
  readonly fdbs: readonly Fdb[] = [this.fdb, new Fdb(1, this.fdb)];
  ageingNs = 300 * SEC;
  macSet = false;
  /** The MTU was set, and follows the ports no more. */
  mtuSet = false;
  /** Bridge ID without its priority: zero until there is a port or an address was set. */
  readonly id = new Uint8Array(6);
  /** Options that are kept and shown; they would act with STP only. In centiseconds. */
  forwardDelay = 1500;
  helloTime = 200;
  maxAge = 2000;
  priority = 32768;
  /** nf_call_iptables of this bridge, beside net.bridge.bridge-nf-call-iptables. */
  nfCallIptables = false;
  /** Time at which the ageing timer last began, for `ip -d link`. */
  gcStart = 0;
  /** The route that bridged packets have while they visit iptables (fake_rtable). */
  readonly fakeRtable = new Dst(this, RTN_UNSPEC, 0, false, INPUT_DISCARD);

  override get carrier(): boolean {
    if (!this.up) return false;
    for (let i = 0; i < this.ports.length; i++) if (this.ports[i]!.dev.carrier) return true;
    return false;
  }

  override stopped(): void {
    this.qdisc?.reset();
    for (const p of this.ports) p.disable();
  }

  /** The last port with a carrier took the bridge's with it: what was resolved through it is forgotten (arp_netdev_event). */
  override linkWatch(): void {
    const before = this.operstate;
    this.updateOperstate();
    if (this.up && before === 'UP' && this.operstate !== 'UP') this.carrierLost();
  }

  /** br_dev_xmit: the host sends through the bridge device; `head` at the link header. */
  override xmit(skb: Skb): number {
    this.devXmit(skb);
    return 0;
  }

  private devXmit(skb: Skb): void {
    skb.mac = skb.head;
    skb.net = skb.head + eth.HLEN;
    skb.head = skb.net;
    if (skb.brDnat) return brNfSlowFinish(this, skb);
    skb.physout = null;
    if (!eth.isGroup(skb.buf, skb.mac)) {
      const e = this.fdb.find(skb.buf, skb.mac, this.kernel.sim.now, this.ageingNs);
      if (e !== null && e.port !== null) {
        if (this.kernel.tracer !== null) this.kernel.tracer.bridge(this.net, skb, this, fdbText(e.mac, e.port));
        return brForward(e.port, skb, null);
      }
      if (e !== null) return drop(this.net, skb, 'BRIDGE_NO_PORT');
    }
    brFlood(this, skb, null);
  }

  /** Frames visit iptables (br_nf_pre_routing). */
  get callsIptables(): boolean {
    return this.nfCallIptables || this.net.bridgeNfCallIptables !== 0;
  }
}

const fdbText = (mac: Uint8Array, port: BrPort): string => `fdb ${macText(mac)} dev ${port.dev.name}`;

/** br_handle_frame_finish: after the bridge's PRE_ROUTING. */
export function brHandleFrameFinish(br: Bridge, port: BrPort, skb: Skb): void {
  const b = skb.buf;
  const { now } = br.kernel.sim;
  if (port.learning) br.fdb.learn(b, skb.mac + eth.SRC, port, now);
  if (eth.isGroup(b, skb.mac)) {
    brFlood(br, br.kernel.skbs.copy(skb), port);
    brPassFrameUp(br, skb);
    return;
  }
  const e = br.fdb.find(b, skb.mac, now, br.ageingNs);
  // A promiscuous bridge sees what it forwards, after it was forwarded.
  const own = br.promisc && (e === null || !(e.local || e.port === null)) ? br.kernel.skbs.copy(skb) : null;
  if (e === null) {
    if (br.kernel.tracer !== null) br.kernel.tracer.bridge(br.net, skb, br, 'unknown address, flood');
    brFlood(br, skb, port);
  } else if (e.local || e.port === null) brPassFrameUp(br, skb);
  else {
    e.used = now;
    if (br.kernel.tracer !== null) br.kernel.tracer.bridge(br.net, skb, br, fdbText(e.mac, e.port));
    brForward(e.port, skb, port);
  }
  if (own !== null) brPassFrameUp(br, own);
}

/** br_pass_frame_up: the bridge device receives the frame itself. */
export function brPassFrameUp(br: Bridge, skb: Skb): void {
  if (!br.up) return drop(br.net, skb, 'DEV_READY');
  br.rxPackets++;
  if (br.tap !== null) br.tap.frame(br.kernel.sim.now, RX, skb.buf, skb.mac, skb.tail, skb.id);
  skb.dev = br;
  skb.iif = br;
  if (skb.dst === br.fakeRtable) skb.dst = null;
  deliverSkb(br, skb);
}

/** should_deliver: not back to where it came from (unless hairpin), not between isolated ports. */
function shouldDeliver(to: BrPort, from: BrPort | null): boolean {
  if (!to.dev.carrier || to.waiting) return false;
  if (from === null) return true;
  if (from === to && !to.hairpin) return false;
  return !(from.isolated && to.isolated);
}

/** br_forward: to one port. `from` is null for frames of the host. */
function brForward(to: BrPort, skb: Skb, from: BrPort | null): void {
  if (!shouldDeliver(to, from)) return drop(to.master.net, skb, from === to ? 'BRIDGE_HAIRPIN' : 'BRIDGE_NO_PORT');
  deliver(to, skb, from);
}

function deliver(to: BrPort, skb: Skb, from: BrPort | null): void {
  if (from !== null && skb.protocol === eth.P_IP && to.master.callsIptables) {
    skb.physout = to.dev;
    brNfForward(to.master, skb);
  } else brQueuePushXmit(to.dev, skb);
}

/** br_dev_queue_push_xmit: what the port cannot carry is dropped, not fragmented. */
export function brQueuePushXmit(dev: Netdev, skb: Skb): void {
  skb.head = skb.mac;
  if (skb.tail - skb.head > dev.mtu + eth.HLEN + VLAN_HLEN) return drop(dev.net, skb, 'PKT_TOO_BIG');
  devQueueXmit(dev, skb);
}

/** br_flood: a copy to every port that may have it, newest first; the last takes the original. */
function brFlood(br: Bridge, skb: Skb, from: BrPort | null): void {
  const group = eth.isGroup(skb.buf, skb.mac);
  const all = group && eth.isBroadcast(skb.buf, skb.mac);
  let prev: BrPort | null = null;
  for (let i = 0; i < br.ports.length; i++) {
    const p = br.ports[i]!;
    if (!shouldDeliver(p, from)) continue;
    if (group ? from !== null && !(all ? p.bcastFlood : p.mcastFlood) : !p.flood) continue;
    if (prev !== null) deliver(prev, br.kernel.skbs.copy(skb), from);
    prev = p;
  }
  if (prev === null) br.kernel.skbs.free(skb);
  else deliver(prev, skb, from);
}
