/** The loopback device (drivers/net/loopback.c): what is sent is received, captured once, on receive. */
import { ARPHRD_LOOPBACK, Netdev, netifRx } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';
import { ROUTE_FORWARD, ROUTE_LOCAL, ROUTE_OUTPUT, RTCF_LOCAL } from '../ipv4/route.js';

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
    // The routing decision goes along: a packet that leaves by lo is for this machine, whatever its addresses.
    if (skb.rtType === ROUTE_OUTPUT || skb.rtType === ROUTE_FORWARD) skb.rtType = ROUTE_LOCAL;
    skb.rtFlags |= RTCF_LOCAL;
    skb.local = false;
    netifRx(this, skb);
    return 0;
  }
}
