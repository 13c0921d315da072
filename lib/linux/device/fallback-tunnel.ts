/** `tunl0`, the ipip module's device of every namespace (net/ipv4/ipip.c): here only listed, it cannot be brought up. */
import { drop } from '../core/drop.js';
import { ARPHRD_TUNNEL, Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';

export class FallbackTunnel extends Netdev {
  override readonly kind = 'ipip';

  constructor(net: Netns) {
    super(net, 'tunl0', net.newIndex());
    this.type = ARPHRD_TUNNEL;
    this.mtu = 1480;
    this.noarp = true;
    this.multicast = false;
  }

  override get iflink(): number {
    return 0;
  }

  override xmit(skb: Skb): void {
    drop(this.net, skb, 'DEV_READY');
  }
}
