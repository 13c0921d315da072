/** A veth pair (drivers/net/veth.c): what one end sends the other receives, cleaned as at a namespace border. */
import { drop } from '../core/drop.js';
import { NET_XMIT_DROP, Netdev, netifRx } from '../core/netdev.js';
import * as eth from '../../../wire/ethernet.js';
import { scrub, scrubXnet, type Skb } from '../core/skb.js';

/** A VLAN tag is granted on top of the MTU. */
const VLAN_HLEN = 4;

export class Veth extends Netdev {
  override readonly kind = 'veth';
  peer!: Veth;

  override get carrier(): boolean {
    return this.up && this.peer.up;
  }

  override get iflink(): number {
    return this.peer.ifindex;
  }

  override stopped(): void {
    super.stopped();
    if (this.peer.up) this.peer.carrierLost();
  }

  override linkWatch(): void {
    this.updateOperstate();
    super.linkWatch();
    if (this.peer === this) return;
    this.peer.updateOperstate();
    this.peer.brport?.master.linkWatch();
  }

  /** Both ends have a carrier now; their bridges hear of it from a work queue (linkwatch_fire_event). */
  override open(): number {
    if (!this.peer.up || this.peer === this) return 0;
    for (const end of [this.brport, this.peer.brport]) if (end !== null) end.waiting = true;
    return 0;
  }

  override carrierSeen(): void {
    super.carrierSeen();
    if (this.peer.brport !== null) this.peer.brport.waiting = false;
  }

  override xmit(skb: Skb): number {
    const { peer } = this;
    // is_skb_forwardable: the receiving end bounds the length by its own MTU.
    if (!peer.up || skb.tail - skb.head > peer.mtu + eth.HLEN + VLAN_HLEN) {
      this.txDropped++;
      drop(this.net, skb, peer.up ? 'PKT_TOO_BIG' : 'DEV_READY');
      return NET_XMIT_DROP;
    }
    if (peer.net === this.net) scrub(skb);
    else scrubXnet(skb);
    netifRx(peer, skb);
    return 0;
  }
}
