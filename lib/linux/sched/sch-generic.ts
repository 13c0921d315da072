/**
 * Queueing disciplines: what stands between dev_queue_xmit and the driver (and the captures, which sit behind it).
 *
 *   devQueueXmit ─▶ enqueue ─▶ (time) ─▶ devHardStartXmit ─▶ tap (TX) ─▶ xmit
 *
 * Every device of a Lab has none of its own (IFF_NO_QUEUE: noqueue); `tc qdisc` puts one at the root. It may drop, hold,
 * copy or change frames. Kernel counterparts: net/sched/sch_generic.c, sch_api.c. Not here: classes, filters, ingress.
 * @module
 */
import type { Kernel } from '../core/kernel.js';
import { devHardStartXmit, type Netdev } from '../core/netdev.js';
import type { Skb } from '../core/skb.js';

/** The root queueing discipline of a device. */
export abstract class Qdisc {
  readonly dev: Netdev;
  /** Major number: `8001:` is 0x8001. */
  readonly handle: number;
  /** gnet_stats of what was dequeued, and of the queue. */
  bytes = 0;
  packets = 0;
  drops = 0;
  requeues = 0;
  backlog = 0;
  qlen = 0;
  abstract readonly kind: string;

  constructor(dev: Netdev, handle: number) {
    this.dev = dev;
    this.handle = handle;
  }

  /**
   * Takes a complete frame of the device; `head` at the link header. Returns 0, or NET_XMIT_DROP when there was no room:
   * the sender hears of that, not of a loss on the way.
   */
  abstract enqueue(skb: Skb): number;

  /** Drops what waits (qdisc_reset): the device went down, lost its carrier or gets another discipline. */
  reset(): void {}
}

/** `noqueue` set by hand. */
export class Noqueue extends Qdisc {
  override readonly kind = 'noqueue';

  override enqueue(skb: Skb): number {
    return devHardStartXmit(this.dev, skb);
  }
}

/** `pfifo_fast`: a driver of a Lab never stops its queue, so that nothing ever waits in it. */
export class PfifoFast extends Qdisc {
  override readonly kind = 'pfifo_fast';

  override enqueue(skb: Skb): number {
    this.packets++;
    this.bytes += skb.tail - skb.head;
    devHardStartXmit(this.dev, skb);
    return 0;
  }
}

/** A free handle (qdisc_alloc_handle); one counter serves the whole machine. */
export function allocHandle(kernel: Kernel, dev: Netdev): number {
  do {
    kernel.qdiscHandle++;
    if (kernel.qdiscHandle === 0xffff) kernel.qdiscHandle = 0x8000;
  } while (dev.qdisc?.handle === kernel.qdiscHandle);
  return kernel.qdiscHandle;
}

/** Puts `q` (null: the default) at the root of a device; what waits in the old one is dropped (qdisc_graft). */
export function graft(dev: Netdev, q: Qdisc | null): void {
  dev.qdisc?.reset();
  dev.qdisc = q;
}
