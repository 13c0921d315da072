/**
 * The flows of a weaver that has seen every station talk to every other: commands for each node's datapath.
 *
 * weaver, the router of Weave Net, listens for frames that meet no flow, forwards them itself and leaves a flow for the next ones. Here
 * nobody listens: the flows of a network that has been running for a while are there from the beginning, and a pod brings its own before
 * its gratuitous ARP. On both kernels that is the same text and no race. What differs from a real node is only where weaver would
 * decide anew: the first frame of each pair (it takes the same way, some milliseconds later), frames to stations that nobody has heard
 * of (weaver floods them, here they are lost), and flows that nobody used for five minutes (weaver deletes them, and misses again).
 *
 * Upstream: weaveworks/weave, router/fastdp.go (bridge, Forward, tunnelIDFor), network_router.go. The order of a broadcast's outputs
 * follows a Go map there; here port 0 comes first, then the bridge or the peers in the order of the nodes.
 * @module
 */
import { InputError } from '../../../sim/input-error.js';
import { MAX_TEXT } from '../../../lab/yaml.js';
import type { Peer } from './peers.js';
import { tunnelID } from './peers.js';

/** Vports in the order of their making: the datapath's own device, the way to the bridge, the tunnel. */
const LOCAL = 0;
const BRIDGE = 1;
const TUNNEL = 2;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

interface Line {
  flow: string;
  actions: string;
}

const to = (from: Peer, peer: Peer): string =>
  `set(tunnel(tun_id=${tunnelID(from, peer)},src=${from.address},dst=${peer.address},ttl=64,flags(df|key))),${TUNNEL}`;
const local = (src: string, dst: string): string => `in_port(${BRIDGE}),eth(src=${src},dst=${dst})`;
const tunnelled = (from: Peer, at: Peer, src: string, dst: string): string =>
  `tunnel(tun_id=${tunnelID(from, at)},src=${from.address},dst=${at.address},ttl=0/0),in_port(${TUNNEL}),eth(src=${src},dst=${dst})`;

export class WeaveFlows {
  private readonly peers: readonly Peer[];
  /** MAC addresses behind each node's bridge, its own first. */
  private readonly stations = new Map<string, string[]>();
  /** Nodes whose datapath is there; what the others are to get waits. */
  private readonly ready = new Set<string>();
  private readonly waiting = new Map<string, string[]>();
  private readonly file: string;
  /** Characters of all commands so far: flows grow with the pairs of stations. */
  private written = 0;

  /** `file`: the scenario's, for messages. */
  constructor(peers: readonly Peer[], file: string) {
    this.peers = peers;
    this.file = file;
    for (const p of peers) this.stations.set(p.node, []);
    for (const p of peers) this.add(p.node, p.name);
  }

  /** A node's datapath exists from here on. */
  start(node: string): void {
    this.ready.add(node);
  }

  /** A station appears behind a node's bridge. */
  add(node: string, mac: string): void {
    this.each(node, mac, (n, { flow, actions }) => this.queue(n, `add ${flow} ${actions}`));
    this.stations.get(node)!.push(mac);
  }

  /** A station is gone: weaver would let its flows expire. */
  remove(node: string, mac: string): void {
    const list = this.stations.get(node)!;
    list.splice(list.indexOf(mac), 1);
    this.each(node, mac, (n, { flow }) => this.queue(n, `delete ${flow}`));
  }

  /** The commands that wait, one for each node that is ready. */
  flush(): string[] {
    const out: string[] = [];
    for (const [node, lines] of this.waiting) {
      if (!this.ready.has(node)) continue;
      out.push([`ip netns exec ${node} ovs-dpctl add-flows datapath - <<'EOF'`, ...lines, 'EOF'].join('\n'));
      this.waiting.delete(node);
    }
    return out;
  }

  private queue(node: string, line: string): void {
    this.written += line.length + 1;
    if (this.written > MAX_TEXT)
      throw new InputError(
        this.file,
        0,
        0,
        `Weave's flows have more than ${MAX_TEXT} characters, expected fewer pods on different nodes`,
      );
    const list = this.waiting.get(node);
    if (list === undefined) this.waiting.set(node, [line]);
    else list.push(line);
  }

  /** Every flow in which a station has a part, on every node. */
  private each(node: string, mac: string, what: (node: string, line: Line) => void): void {
    const own = this.peers.find((p) => p.node === node)!;
    const others = this.peers.filter((p) => p !== own);
    const all = [String(LOCAL), ...others.map((p) => to(own, p))].join(',');
    what(node, { flow: local(mac, BROADCAST), actions: all });
    for (const p of others) {
      what(p.node, { flow: tunnelled(own, p, mac, BROADCAST), actions: `${LOCAL},${BRIDGE}` });
      for (const station of this.stations.get(p.node)!) {
        what(node, { flow: local(mac, station), actions: to(own, p) });
        what(node, { flow: tunnelled(p, own, station, mac), actions: String(BRIDGE) });
        what(p.node, { flow: local(station, mac), actions: to(p, own) });
        what(p.node, { flow: tunnelled(own, p, mac, station), actions: String(BRIDGE) });
      }
    }
  }
}
