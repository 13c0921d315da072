/** A dummy device (drivers/net/dummy.c): frames sent to it are captured and vanish. */
import { Netdev } from '../core/netdev.js';
import type { Skb } from '../core/skb.js';

export class Dummy extends Netdev {
  override readonly kind = 'dummy';

  override xmit(skb: Skb): number {
    this.kernel.skbs.free(skb);
    return 0;
  }
}
