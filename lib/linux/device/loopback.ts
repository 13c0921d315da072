/** The loopback device (drivers/net/loopback.c): what is sent is received, captured once, on receive. */
import { ARPHRD_LOOPBACK, Netdev, netifRx } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';

export class Loopback extends Netdev {
  override readonly kind = '';

  constructor(net: Netns) {
    super(net, 'lo', net.newIndex());
    this.type = ARPHRD_LOOPBACK;
    this.mtu = 65536;
    this.noarp = true;
    this.multicast = false;
  }

  override xmit(skb: Skb): number {
    // The routing decision goes along (skb_dst_force): what this machine sends by lo is for itself, whatever its addresses.
    skb.local = false;
    netifRx(this, skb);
    return 0;
  }
}
