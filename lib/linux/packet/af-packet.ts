/**
 * Packet sockets (AF_PACKET, SOCK_DGRAM) of one protocol on one device: what arrives for the protocol, and frames of one's own.
 *
 * Kernel counterpart: net/packet/af_packet.c. Such a socket stands beside the protocol's own handler, behind the bridge: it sees
 * each frame once, also one for another machine, and none that this machine sends. Not here: ETH_P_ALL, SOCK_RAW, rings, fan-out.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import type { Runnable } from '../../sim/sim.js';
import { devQueueXmit, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';

const ENXIO = 6;
const ENETDOWN = 100;
/** Frames that wait in a socket: rmem_default over the truesize of a small one. */
const MAX_QUEUE = 277;

/** A frame without its link header, as recvfrom() gives it. */
export interface PacketMessage {
  /** PACKET_* of skb.ts: to whom the frame was addressed. */
  pktType: number;
  data: Uint8Array;
}

export class PacketSock implements Runnable {
  onReady: (() => void) | null = null;
  queued = false;
  readonly net: Netns;
  readonly protocol: number;
  private dev: Netdev | null = null;
  private error = 0;
  private readonly queue: PacketMessage[] = [];

  constructor(net: Netns, protocol: number) {
    this.net = net;
    this.protocol = protocol;
  }

  run(): void {
    this.onReady?.();
  }

  /** Listens on a device (packet_bind). One that is down gives an error instead of frames. */
  bind(dev: Netdev): void {
    this.dev = dev;
    (dev.packetSocks ??= []).push(this);
    if (!dev.up) this.error = ENETDOWN;
  }

  /** Sends `data` behind a link header to `to` (packet_snd): 0 or a negative errno. */
  send(data: Uint8Array, to: Uint8Array): number {
    const { dev } = this;
    if (dev === null) return -ENXIO;
    if (!dev.up) return -ENETDOWN;
    const { skbs, sim } = dev.kernel;
    const skb = skbs.alloc();
    const o = skb.head + eth.HLEN;
    eth.write(skb.buf, skb.head, to, dev.mac, this.protocol);
    skb.room(eth.HLEN + data.length);
    skb.buf.set(data, o);
    skb.net = o;
    skb.tail = o + data.length;
    skb.protocol = this.protocol;
    const err = devQueueXmit(dev, skb);
    sim.drain();
    return err < 0 ? err : 0;
  }

  /** The next frame, or null. */
  recv(): PacketMessage | null {
    return this.queue.shift() ?? null;
  }

  /** The pending error as a positive errno, cleared; 0: none. */
  takeError(): number {
    const e = this.error;
    this.error = 0;
    return e;
  }

  close(): void {
    this.unbind();
    this.onReady = null;
  }

  /** The device has left the namespace (packet_notifier), or the socket is closed: it hears and sends nothing more. */
  unbind(): void {
    const { dev } = this;
    this.dev = null;
    const others = dev?.packetSocks?.filter((s) => s !== this) ?? [];
    if (dev !== null) dev.packetSocks = others.length > 0 ? others : null;
  }

  /** A frame of a device it listens on (packet_rcv); the skb stays the caller's. */
  deliver(skb: Skb): void {
    if (skb.protocol !== this.protocol || this.queue.length >= MAX_QUEUE) return;
    this.queue.push({ pktType: skb.pktType, data: skb.buf.slice(skb.net, skb.tail) });
    this.net.kernel.sim.wake(this);
  }

  /** The device went down (packet_notifier). */
  netDown(): void {
    this.error = ENETDOWN;
    this.net.kernel.sim.wake(this);
  }
}
