/**
 * What a flow does with its packets: out of a port, or a tunnel key for the next port that is a tunnel. No action: drop.
 *
 * Kernel counterpart: net/openvswitch/actions.c, vport.c (ovs_vport_send). Not here: everything else that datapaths can do.
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import { drop } from '../core/drop.js';
import type { Skb } from '../core/skb.js';
import { TUN_TX } from '../tunnel/tunnel-info.js';
import type { Datapath } from './datapath.js';

/** OVS_ACTION_ATTR_OUTPUT; OVS_ACTION_ATTR_SET of a tunnel key, in the words of tunnel/tunnel-info.ts. */
export type Action = { readonly output: number } | { readonly tunnel: Int32Array };

/** OVS_RECURSION_LIMIT: a tunnel's own route may lead back into the datapath. */
const RECURSION_LIMIT = 5;

/** Does a flow's actions with a packet and ends it (ovs_execute_actions); `head` at the Ethernet header. */
export function executeActions(dp: Datapath, skb: Skb, actions: readonly Action[]): void {
  const { kernel } = dp;
  if (kernel.execActionsLevel >= RECURSION_LIMIT) return drop(dp.net, skb, 'NOT_SPECIFIED');
  kernel.execActionsLevel++;
  const last = actions.length - 1;
  let done = false;
  for (let i = 0; i <= last; i++) {
    const a = actions[i]!;
    if ('tunnel' in a) {
      skb.tun.set(a.tunnel);
      skb.tunMode = TUN_TX;
    } else if (i === last) {
      output(dp, skb, a.output);
      done = true;
    } else output(dp, kernel.skbs.copy(skb), a.output);
  }
  if (!done) kernel.skbs.free(skb);
  kernel.execActionsLevel--;
}

/** do_output, ovs_vport_send: a frame longer than the device's MTU is dropped. */
function output(dp: Datapath, skb: Skb, no: number): void {
  const port = dp.port(no);
  if (port === null || !port.dev.carrier) return drop(dp.net, skb, 'NOT_SPECIFIED');
  if (skb.tail - skb.head - eth.HLEN > port.dev.mtu) return drop(dp.net, skb, 'PKT_TOO_BIG');
  port.send(skb);
}
