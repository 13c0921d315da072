/** A veth pair (drivers/net/veth.c): what one end sends the other receives, cleaned at the namespace border. */
import { drop } from '../core/drop.js';
import { Netdev, netifRx } from '../core/netdev.js';
import { scrub, type Skb } from '../core/skb.js';

export class Veth extends Netdev {
  override readonly kind = 'veth';
  peer!: Veth;

  override get carrier(): boolean {
    return this.up && this.peer.up;
  }

  override get iflink(): number {
    return this.peer.ifindex;
  }

  override get follower(): Veth {
    return this.peer;
  }

  override xmit(skb: Skb): void {
    if (!this.peer.up) {
      drop(this.net, skb, 'DEV_READY');
      return;
    }
    scrub(skb);
    netifRx(this.peer, skb);
  }
}
