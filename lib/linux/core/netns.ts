/**
 * struct net: one network namespace and everything that exists once per namespace.
 * @module
 */
import type { Fib } from '../ipv4/fib.js';
import { IcmpGlobal, PeerTable } from '../ipv4/inet-peer.js';
import type { FragTable } from '../ipv4/ip-fragment.js';
import type { NeighTable } from '../ipv4/neighbour.js';
import type { Sockets } from '../ipv4/sock.js';
import type { IpSets } from '../netfilter/ipset.js';
import type { Conntrack } from '../netfilter/conntrack.js';
import type { XtTables } from '../netfilter/xtables.js';
import type { Ipvs } from '../ipvs/ctl.js';
import type { DropReason } from './drop.js';
import type { Kernel } from './kernel.js';
import type { InDevConf, Netdev } from './netdev.js';
import type { HookEntry } from './nf-hook.js';

/** Kernel defaults of /proc/sys/net/ipv4/conf/default (6.1, not a distribution's). */
export const CONF_DEFAULT: Readonly<InDevConf> = {
  forwarding: 0,
  rp_filter: 0,
  arp_ignore: 0,
  arp_announce: 0,
  arp_notify: 0,
  arp_accept: 0,
  arp_filter: 0,
  proxy_arp: 0,
  proxy_arp_pvlan: 0,
  route_localnet: 0,
  send_redirects: 1,
  accept_redirects: 1,
  accept_local: 0,
  accept_source_route: 1,
  secure_redirects: 1,
  shared_media: 1,
  src_valid_mark: 0,
  drop_unicast_in_l2_multicast: 0,
  drop_gratuitous_arp: 0,
  log_martians: 0,
};

export class Netns {
  readonly kernel: Kernel;
  readonly name: string;
  readonly devs: Netdev[] = [];
  readonly hooks: HookEntry[][] = [[], [], [], [], []];
  readonly drops = new Map<DropReason, number>();
  /** conf/all and conf/default: a new namespace starts with those of the first one (devinet_init_net). */
  confAll: InDevConf;
  confDefault: InDevConf;
  /** Switches of conf/default that were written: new devices keep them (state). */
  readonly confDefaultSet = new Set<string>();
  /** net.bridge.bridge-nf-call-iptables. */
  bridgeNfCallIptables = 1;
  /** Plain integer sysctls by dotted name, defaults from sysctl.ts. */
  readonly sysctl = new Map<string, number>();
  readonly peers = new PeerTable();
  readonly icmpGlobal = new IcmpGlobal();
  frags!: FragTable;
  fib!: Fib;
  neigh!: NeighTable;
  socks!: Sockets;
  lo!: Netdev;
  /** Created on first use by the module that owns it; null means: never configured. */
  xt: XtTables | null = null;
  ct: Conntrack | null = null;
  ipsets: IpSets | null = null;
  ipvs: Ipvs | null = null;
  /** Ids by which this namespace knows others, in order of first sight (net->netns_ids). */
  readonly nsids: (Netns | null)[] = [];
  private lastIndex = 0;
  /** Per-destination hashed IP ID generator state (ip_idents). */
  readonly ipIds = new Map<number, number>();

  constructor(kernel: Kernel, name: string) {
    this.kernel = kernel;
    this.name = name;
    const first = kernel.netns.get('root');
    this.confAll = { ...(first?.confAll ?? { ...CONF_DEFAULT, accept_source_route: 0 }) };
    this.confDefault = { ...(first?.confDefault ?? CONF_DEFAULT) };
  }

  dev(name: string): Netdev | null {
    for (const d of this.devs) if (d.name === name) return d;
    return null;
  }

  /** A free interface number (dev_new_index): each namespace counts for itself. */
  newIndex(): number {
    do this.lastIndex++;
    while (this.devs.some((d) => d.ifindex === this.lastIndex));
    return this.lastIndex;
  }

  /** The id of another namespace here, given on first sight (peernet2id_alloc). */
  nsid(peer: Netns): number {
    let id = this.nsids.indexOf(peer);
    if (id >= 0) return id;
    id = this.nsids.indexOf(null);
    if (id < 0) id = this.nsids.length;
    this.nsids[id] = peer;
    return id;
  }

  /** net.ipv4.ip_forward reads as conf/all/forwarding. */
  get ipForward(): boolean {
    return this.confAll.forwarding !== 0;
  }
}
