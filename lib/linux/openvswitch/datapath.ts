/**
 * An Open vSwitch datapath in the kernel: ports, and flows that say what becomes of their frames. What meets no flow would be asked
 * of a program in user space; without one that listens it is lost.
 *
 *   netdev RX ─▶ Vport.rx ─┐                                    ┌─ output ─▶ netdev TX, or RX of an internal port
 *   internal port TX ──────┴▶ receive ─▶ flow table ─▶ actions ─┴─ set(tunnel) ─▶ output ─▶ VXLAN device (external) TX
 *
 * Kernel counterparts: net/openvswitch/datapath.c, vport-netdev.c, vport-internal_dev.c. A tunnel is an ordinary VXLAN device with
 * `external` as a port, what the vport type vxlan makes of itself too. Not here: upcalls, recirculation, meters, conntrack.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import { drop } from '../core/drop.js';
import type { Kernel } from '../core/kernel.js';
import { devQueueXmit, Netdev, netifRx, type PortHandler } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { scrub, type Skb } from '../core/skb.js';
import { flowHash } from '../tunnel/flow-hash.js';
import { executeActions } from './actions.js';
import { extract, newWords, tcpFlags } from './flow-key.js';
import { FlowTable } from './flow-table.js';

/** A port of a datapath (struct vport): its device has another master, or is the datapath's own (internal). */
export class Vport implements PortHandler {
  readonly dp: Datapath;
  readonly dev: Netdev;
  readonly no: number;

  constructor(dp: Datapath, dev: Netdev, no: number) {
    this.dp = dp;
    this.dev = dev;
    this.no = no;
  }

  /** The device that `ip link` shows as master: the datapath's local port (get_dpdev). */
  get master(): Netdev {
    return this.dp.local;
  }

  get internal(): boolean {
    return this.dev instanceof InternalDev;
  }

  /** netdev_port_receive: `head` at the network header. */
  rx(skb: Skb): void {
    skb.head = skb.mac;
    this.dp.receive(this, skb);
  }

  /** `head` at the Ethernet header. */
  send(skb: Skb): void {
    if (this.dev instanceof InternalDev) this.dev.receive(skb);
    else devQueueXmit(this.dev, skb);
  }

  /** ovs_dp_detach_port: its device goes on without the datapath. */
  detach(): void {
    this.dp.ports.delete(this.no);
    this.dev.vport = null;
  }
}

/** A port that is a device of this machine and nothing else (internal_dev). */
export class InternalDev extends Netdev {
  override readonly kind = 'openvswitch';
  port!: Vport;

  /** internal_dev_xmit. */
  override xmit(skb: Skb): number {
    skb.mac = skb.head;
    this.port.dp.receive(this.port, skb);
    return 0;
  }

  /** internal_dev_recv. */
  receive(skb: Skb): void {
    if (!this.up) return drop(this.net, skb, 'DEV_READY');
    scrub(skb);
    netifRx(this, skb);
  }
}

/** OVSP_LOCAL. */
const LOCAL = 0;
const MAX_PORTS = 65535;

export class Datapath {
  readonly kernel: Kernel;
  readonly net: Netns;
  readonly ports = new Map<number, Vport>();
  readonly flows = new FlowTable();
  /** Port 0, after which the datapath is named. */
  readonly local: InternalDev;
  hits = 0;
  missed = 0;
  lost = 0;
  private readonly key = newWords();

  constructor(local: InternalDev) {
    this.kernel = local.kernel;
    this.net = local.net;
    this.local = local;
    local.port = new Vport(this, local, LOCAL);
    this.ports.set(LOCAL, local.port);
  }

  port(no: number): Vport | null {
    return this.ports.get(no) ?? null;
  }

  /** The lowest free number from 1 on, or -1. */
  freePort(): number {
    for (let no = 1; no < MAX_PORTS; no++) if (!this.ports.has(no)) return no;
    return -1;
  }

  /** Makes a device a port (netdev_link): its frames go here from now on. The caller has looked whether it may. */
  attach(dev: Netdev, no: number): Vport {
    const port = new Vport(this, dev, no);
    this.ports.set(no, port);
    if (dev instanceof InternalDev) dev.port = port;
    else dev.vport = port;
    return port;
  }

  /** ovs_dp_process_packet: `mac` and `head` at the Ethernet header. */
  receive(from: Vport, skb: Skb): void {
    const { tracer } = this.kernel;
    extract(skb, from.no, this.key);
    const flow = this.flows.lookup(this.key, flowHash(skb, skb.mac + eth.HLEN, eth.type(skb.buf, skb.mac) === eth.P_IP));
    if (tracer !== null) tracer.flow(this.net, skb, this.local, from.dev, flow);
    if (flow === null) {
      this.missed++;
      this.lost++;
      return drop(this.net, skb, 'NOT_SPECIFIED');
    }
    this.hits++;
    flow.packets++;
    flow.bytes += skb.tail - skb.head;
    flow.used = this.kernel.sim.now;
    flow.tcpFlags |= tcpFlags(skb);
    executeActions(this, skb, flow.actions);
  } // prettier-ignore
}

/** The datapath of a name in a namespace, or null. */
export function datapathOf(net: Netns, name: string): Datapath | null {
  const d = net.dev(name);
  return d instanceof InternalDev && d.port.no === LOCAL ? d.port.dp : null;
}

/** Every datapath of a namespace, in the order of its making. */
export const datapaths = (net: Netns): Datapath[] =>
  net.devs.flatMap((d) => (d instanceof InternalDev && d.port.no === LOCAL ? [d.port.dp] : []));
