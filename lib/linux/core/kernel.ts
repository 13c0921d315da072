/**
 * One machine's kernel: the clock, the skb pool, every network namespace, the seeded generators.
 *
 * All namespaces of a Lab share it, as they do on the machine that judges us.
 * @module
 */
import { Rng } from '../../sim/rng.js';
import { Sim } from '../../sim/sim.js';
import type { Netdev } from './netdev.js';
import { NEIGH_DEFAULT, type NeighParms } from './neigh-parms.js';
import { Netns } from './netns.js';
import { type Skb, SkbPool } from './skb.js';
import type { Tracer } from './tracer.js';

/** Entry points of the protocols, filled by ipv4/af-inet.ts (inet_init); breaks the import circle. */
export interface Protocols {
  ipRcv(net: Netns, skb: Skb, dev: Netdev): void;
  arpRcv(net: Netns, skb: Skb, dev: Netdev): void;
  /** A delivered packet of protocol 4, `trans` at the inner header. */
  ipipRcv(net: Netns, skb: Skb): void;
}

export class Kernel {
  readonly sim = new Sim();
  readonly skbs: SkbPool;
  readonly seed: number;
  readonly netns = new Map<string, Netns>();
  /** Set by `inetInit`. */
  proto: Protocols;
  /** net.ipv4.neigh.default. */
  readonly neighDefault: NeighParms = { ...NEIGH_DEFAULT };
  /** net.core.fb_tunnels_only_for_init_net: 0: every namespace is made with a `tunl0`; else only `root` has one. */
  fbTunnelsOnlyForInitNet = 0;
  /** Transmissions within one another now (softnet_data.xmit.recursion). */
  xmitDepth = 0;
  /** Datapaths' actions within one another now (exec_actions_level). */
  execActionsLevel = 0;
  tracer: Tracer | null = null;
  /** Called for every new device, so that captures can attach. */
  onDevice: ((dev: Netdev) => void) | null = null;
  private readonly rngs = new Map<string, Rng>();
  private nextPid = 1000;
  /** The last handle that a queueing discipline was given (autohandle). */
  qdiscHandle = 0x8000;

  constructor(seed: number, proto: Protocols) {
    this.seed = seed;
    this.proto = proto;
    this.skbs = new SkbPool(this);
  }

  /** The generator of one purpose; keep the result, the look-up is by name. */
  rng(purpose: string): Rng {
    let r = this.rngs.get(purpose);
    if (r === undefined) {
      r = new Rng(this.seed, purpose);
      this.rngs.set(purpose, r);
    }
    return r;
  }

  pid(): number {
    return this.nextPid++;
  }
}
