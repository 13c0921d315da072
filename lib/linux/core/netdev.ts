/**
 * net_device: a name, an address, two directions and a place to listen.
 *
 *   devQueueXmit ─▶ qdisc ─▶ tap (TX) ─▶ xmit (driver)     netifRx ─▶ softirq ring ─▶ tap (RX) ─▶ bridge port | ARP | IPv4
 *
 * Kernel counterpart: net/core/dev.c. Queueing disciplines: sched/. Not here: multiqueue, offloads.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import { drop } from './drop.js';
import type { Kernel } from './kernel.js';
import type { Dst } from '../ipv4/dst.js';
import type { NeighParms } from './neigh-parms.js';
import type { Netns } from './netns.js';
import type { Qdisc } from '../sched/sch-generic.js';
import { LL_ETHER, PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, type Skb } from './skb.js';

export const RX = 1;
export const TX = 2;

/** Where a capture listens. `start..end` are the bytes that tcpdump would write. */
export interface Tap {
  frame(now: number, direction: 1 | 2, buf: Uint8Array, start: number, end: number, packetId: number): void;
}

export const ARPHRD_ETHER = 1;
export const ARPHRD_LOOPBACK = 772;
export const ARPHRD_TUNNEL = 768;

/** An IPv4 address of a device (in_ifaddr). */
export interface InAddr {
  addr: number;
  prefix: number;
  broadcast: number;
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  scope: number;
  secondary: boolean;
  label: string;
}

/** Per-device IPv4 switches (/proc/sys/net/ipv4/conf/DEV), effective values are computed by the readers. */
export interface InDevConf {
  forwarding: number;
  rp_filter: number;
  arp_ignore: number;
  arp_announce: number;
  arp_notify: number;
  arp_accept: number;
  arp_filter: number;
  proxy_arp: number;
  proxy_arp_pvlan: number;
  route_localnet: number;
  send_redirects: number;
  accept_redirects: number;
  accept_local: number;
  accept_source_route: number;
  secure_redirects: number;
  shared_media: number;
  src_valid_mark: number;
  drop_unicast_in_l2_multicast: number;
  drop_gratuitous_arp: number;
  log_martians: number;
}

export abstract class Netdev {
  readonly kernel: Kernel;
  net: Netns;
  name: string;
  ifindex: number;
  readonly mac = new Uint8Array(6);
  mtu = 1500;
  up = false;
  /** False once it has been deleted (reg_state). */
  registered = true;
  /** `promisc on` and `allmulticast on` of the user; a bridge port is promiscuous besides. */
  promisc = false;
  allmulti = false;
  /** IFF_MULTICAST. */
  multicast = true;
  alias = '';
  txqlen = 1000;
  /** Went up since it came to this namespace: it has its queueing discipline (noqueue). */
  activated = false;
  /** The queueing discipline that `tc` has put at the root, null: noqueue (or noop, before the device first goes up). */
  qdisc: Qdisc | null = null;
  /** Addresses added with `bridge fdb add MAC dev DEV self` (dev_uc_add). */
  readonly uc: Uint8Array[] = [];
  /** ARPHRD_*. */
  type = ARPHRD_ETHER;
  /** IFF_NOARP: no neighbour resolution. */
  noarp = false;
  /** IF_OPER_* while the device is up, as of the last change of its carrier. */
  operstate: 'UNKNOWN' | 'DOWN' | 'LOWERLAYERDOWN' | 'UP' = 'UNKNOWN';
  /** `ip -d link` kind: veth, bridge, dummy, vxlan, ipip; empty for lo. */
  abstract readonly kind: string;
  tap: Tap | null = null;
  /** The bridge port this device is enslaved as (structurally bridge/bridge.ts BrPort), or null. */
  brport: BridgeHandler | null = null;
  /** The port of an Open vSwitch datapath this device is (openvswitch/datapath.ts Vport), or null. */
  vport: PortHandler | null = null;
  /** Packet sockets bound to this device (dev->ptype_specific), null: none. */
  packetSocks: PacketHandler[] | null = null;
  addrs: InAddr[] = [];
  /** Routes out of this device that no next hop stands for, by RTCF_*. */
  dsts: (Dst | undefined)[] = [];
  conf: InDevConf;
  neigh: NeighParms;
  /** Switches of `conf` that no write to conf/default changes any more (in_device.cnf.state). */
  confSet: Set<string>;
  rxPackets = 0;
  txPackets = 0;
  /** Frames that the driver could not send. */
  txDropped = 0;

  constructor(net: Netns, name: string, ifindex: number) {
    this.kernel = net.kernel;
    this.net = net;
    this.name = name;
    this.ifindex = ifindex;
    this.conf = { ...net.confDefault };
    this.neigh = { ...net.kernel.neighDefault };
    this.confSet = new Set(net.confDefaultSet);
  }

  /** The driver's ndo_start_xmit: takes the skb, `head` at the link header. */
  abstract xmit(skb: Skb): number;

  /** ndo_open, as the device goes up: 0 or a negative errno, with which it stays down. */
  open(): number {
    return 0;
  }

  /** True when up and frames can pass (netif_carrier_ok); veth: the peer is up too. */
  get carrier(): boolean {
    return this.up;
  }

  /** Number of the device this one stands on (dev_get_iflink): its own, 0 for none, a veth's peer. */
  get iflink(): number {
    return this.ifindex;
  }

  /** Went down (ndo_stop): a bridge port is disabled. */
  stopped(): void {
    this.qdisc?.reset();
    this.brport?.disable();
    if (this.packetSocks !== null) for (const s of this.packetSocks) s.netDown();
  }

  /** Leaves its namespace (NETDEV_UNREGISTER), for another one or for good: packet sockets let go of it. */
  left(): void {
    if (this.packetSocks !== null) for (const s of [...this.packetSocks]) s.unbind();
  }

  /** Still up, but the other side is gone: neighbours go unless permanent (neigh_carrier_down). */
  carrierLost(): void {
    this.qdisc?.reset();
    this.brport?.disable();
    this.net.neigh.carrierDown(this);
    this.net.fib.genid++;
  }

  /** The carrier may have changed here or below (linkwatch_do_dev): the states that follow from it are drawn anew. */
  linkWatch(): void {
    this.brport?.master.linkWatch();
  }

  /** linkwatch_event: what waits for a carrier that came up with this device goes on. */
  carrierSeen(): void {
    if (this.brport !== null) this.brport.waiting = false;
  }

  /** rfc2863_policy, for devices that have a carrier of their own. */
  protected updateOperstate(): void {
    this.operstate = this.carrier ? 'UP' : this.ifindex === this.iflink ? 'DOWN' : 'LOWERLAYERDOWN';
  }

  get isEthernet(): boolean {
    return this.type === ARPHRD_ETHER;
  }

  /** Bytes that Linux keeps free before the network header of what it makes for this device (LL_RESERVED_SPACE). */
  get llReserved(): number {
    return LL_ETHER;
  }

  /** The device it is enslaved to, null: none. */
  get master(): Netdev | null {
    return this.brport?.master ?? this.vport?.master ?? null;
  }

  /** Runs in the softirq for a frame this device has received. */
  softirq(skb: Skb): void {
    netifReceiveSkb(this, skb);
  }
}

/** What a bridge does with a frame that arrives on one of its ports (rx_handler). */
export interface BridgeHandler {
  readonly master: Netdev;
  /** Nothing passes until linkwatch has told the bridge of the carrier. */
  waiting: boolean;
  rx(skb: Skb): void;
  /** The port has no carrier any more (br_stp_disable_port). */
  disable(): void;
}

/** What a datapath does with a frame that arrives on one of its ports (rx_handler). */
export interface PortHandler {
  readonly master: Netdev;
  rx(skb: Skb): void;
  /** The device leaves the datapath. */
  detach(): void;
}

/** A packet socket as its device sees it (structurally packet/af-packet.ts PacketSock). */
export interface PacketHandler {
  /** A frame for a protocol: copied, if it is the socket's. */
  deliver(skb: Skb): void;
  netDown(): void;
  unbind(): void;
}

/** The driver dropped the frame (netdevice.h). */
export const NET_XMIT_DROP = 1;
/** Devices that stand on devices, such as tunnels whose route leads back into them. */
const XMIT_RECURSION_LIMIT = 8;
const ENETDOWN = 100;

/**
 * Sends a complete frame (dev_queue_xmit): `head` stands at the link header. A device that is down or without carrier has
 * no queueing discipline (noop_qdisc): the frame ends before any capture sees it. Returns 0 or NET_XMIT_DROP.
 */
export function devQueueXmit(dev: Netdev, skb: Skb): number {
  skb.dev = dev;
  skb.mac = skb.head;
  if (!dev.carrier) {
    drop(dev.net, skb, 'DEV_READY');
    return 0; // NET_XMIT_CN, which is no error to the sender
  }
  if (dev.qdisc !== null) return dev.qdisc.enqueue(skb);
  if (dev.kernel.xmitDepth > XMIT_RECURSION_LIMIT) {
    drop(dev.net, skb, 'NOT_SPECIFIED');
    return -ENETDOWN;
  }
  return devHardStartXmit(dev, skb);
}

/** Gives a frame to the driver, and to the captures before (dev_hard_start_xmit). Returns 0 or NET_XMIT_DROP. */
export function devHardStartXmit(dev: Netdev, skb: Skb): number {
  const { kernel } = dev;
  dev.txPackets++;
  if (dev.tap !== null && dev.type !== ARPHRD_LOOPBACK) {
    dev.tap.frame(kernel.sim.now, TX, skb.buf, skb.head, skb.tail, skb.id);
  }
  kernel.xmitDepth++;
  const err = dev.xmit(skb);
  kernel.xmitDepth--;
  return err;
}

/** Queues a received frame for the softirq (netif_rx); `head` stands at the link header. */
export function netifRx(dev: Netdev, skb: Skb): void {
  skb.dev = dev;
  dev.kernel.sim.raise(dev, skb);
}

/** eth_type_trans: packet type from the destination MAC, protocol, `head` to the network header. */
export function ethTypeTrans(dev: Netdev, skb: Skb): void {
  skb.mac = skb.head;
  skb.dev = dev;
  if (eth.isGroup(skb.buf, skb.mac)) {
    skb.pktType = eth.isBroadcast(skb.buf, skb.mac) ? PACKET_BROADCAST : PACKET_MULTICAST;
  } else {
    skb.pktType = eth.macIs(skb.buf, skb.mac, dev.mac) ? PACKET_HOST : PACKET_OTHERHOST;
  }
  skb.protocol = eth.type(skb.buf, skb.mac);
  skb.head += eth.HLEN;
  skb.net = skb.head;
}

/** The receive path behind the backlog (__netif_receive_skb_core). */
export function netifReceiveSkb(dev: Netdev, skb: Skb): void {
  const net = dev.net;
  if (!dev.up) {
    drop(net, skb, 'DEV_READY');
    return;
  }
  dev.rxPackets++;
  if (dev.tap !== null) dev.tap.frame(dev.kernel.sim.now, RX, skb.buf, skb.head, skb.tail, skb.id);
  skb.iif = dev;
  if (dev.type === ARPHRD_TUNNEL) {
    skb.protocol = eth.P_IP;
    skb.pktType = PACKET_HOST;
    skb.mac = skb.net = skb.head;
  } else {
    if (skb.tail - skb.head < eth.HLEN) {
      drop(net, skb, 'PKT_TOO_SMALL');
      return;
    }
    ethTypeTrans(dev, skb);
    if (dev.brport !== null) {
      dev.brport.rx(skb);
      return;
    }
    if (dev.vport !== null) {
      dev.vport.rx(skb);
      return;
    }
  }
  deliverSkb(dev, skb);
}

/** Hands a frame to its protocol: `head` at the network header (deliver_skb). */
export function deliverSkb(dev: Netdev, skb: Skb): void {
  const net = dev.net;
  if (dev.packetSocks !== null) for (let i = 0; i < dev.packetSocks.length; i++) dev.packetSocks[i]!.deliver(skb);
  if (skb.protocol === eth.P_IP) net.kernel.proto.ipRcv(net, skb, dev);
  else if (skb.protocol === eth.P_ARP) net.kernel.proto.arpRcv(net, skb, dev);
  else drop(net, skb, 'UNHANDLED_PROTO');
}
