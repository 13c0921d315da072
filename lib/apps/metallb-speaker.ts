/**
 * `podwire app metallb-speaker --node NAME --address ADDRESS [--interface DEV] [--peer NAME=ADDRESS]… [--delay SECONDS] --config FILE`: the
 * speaker of MetalLB's layer 2 mode on one node.
 *
 * FILE has a line for each address that is announced: the address, and the names of the nodes that may, best first (an empty
 * file is one that is being written). A speaker
 * announces what no node before it that is alive stands for: a gratuitous ARP request and reply at once and every 1.1 s
 * until 5 s have passed, and an answer to whoever asks. The file is read again every 100 ms, as the real one watches objects.
 *
 * Who is alive is found out as by memberlist (its LAN profile): one peer is asked every second; one that has not answered
 * within that second is under suspicion, and dead after 4 s more without a sign of life. These messages are no memberlist
 * messages, whose bytes are encrypted under a random key: `ping N` and `ack N` on the same UDP port 7946, nothing
 * indirect, no gossip. The nodes ask one after the other, by their place among them, so that it has an order.
 *
 * Upstream: metallb v0.16 internal/layer2 (announcer.go, arp.go), hashicorp/memberlist config.go, suspicion.go.
 * On the recording kernel lib/lab/kernel-speaker.ts does the same in Perl.
 * @module
 */
import * as arp from '../../wire/arp.js';
import * as eth from '../../wire/ethernet.js';
import { aton } from '../../wire/inet.js';
import type { Netdev } from '../linux/core/netdev.js';
import { PACKET_BROADCAST, PACKET_HOST } from '../linux/core/skb.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import { PacketSock } from '../linux/packet/af-packet.js';
import { MS, SEC, Timer } from '../sim/sim.js';
import type { Proc, Program } from './program.js';

const PORT = 7946;
const PROBE = SEC;
const SUSPICION = 4 * SEC;
const WATCH = 100 * MS;
/** Gratuitous rounds. */
const ROUND = 1100 * MS;
const ROUNDS_END = 5 * SEC;
/** What the Ethernet library pads a frame's data to. */
const PADDED = 46;

const USAGE = '--node NAME --address ADDRESS [--interface DEV] [--peer NAME=ADDRESS]… [--delay SECONDS] --config FILE';

interface Options {
  node: string;
  address: number;
  device: string;
  peers: { name: string; address: number }[];
  config: string;
  /** Before it does anything. */
  delayNs: number;
}

function options(args: readonly string[]): Options | null {
  const o = new Map<string, string>();
  const peers: Options['peers'] = [];
  for (let i = 0; i < args.length; i += 2) {
    const [name, value] = [args[i]!, args[i + 1] ?? ''];
    if (name === '--peer') {
      const [peer, text = ''] = value.split('=');
      const address = aton(text);
      if (address === null || peer === '') return null;
      peers.push({ name: peer!, address });
    } else if (
      !['--node', '--address', '--interface', '--config', '--delay'].includes(name) ||
      value === '' ||
      o.has(name)
    )
      return null; // prettier-ignore
    else o.set(name, value);
  }
  const [node, config] = [o.get('--node'), o.get('--config')];
  const address = aton(o.get('--address') ?? '');
  const delay = o.get('--delay') ?? '0';
  if (node === undefined || config === undefined || address === null || !/^\d{1,3}(\.\d{1,3})?$/.test(delay)) return null; // prettier-ignore
  return { node, address, device: o.get('--interface') ?? 'eth0', peers, config, delayNs: Number(delay) * SEC };
}

/** Lines of the file: address and nodes; what is no such line is passed over. */
function announcements(text: string): { ip: number; nodes: string[] }[] {
  return text.split('\n').flatMap((line) => {
    const [first = '', ...nodes] = line.trim().split(/\s+/);
    const ip = aton(first);
    return ip === null ? [] : [{ ip, nodes }];
  });
}

interface Peer {
  name: string;
  address: number;
  /** When it was put under suspicion; -1: it is not. */
  since: number;
  dead: boolean;
}

class Speaker {
  private readonly p: Proc;
  private readonly o: Options;
  private readonly dev: Netdev;
  private readonly arpSock: PacketSock;
  private readonly udp: UdpSock;
  private readonly peers: Peer[];
  /** Addresses announced: when that began, and how many rounds have been sent. */
  private readonly mine = new Map<number, { since: number; rounds: number }>();
  private readonly probes: Timer;
  private readonly watch: Timer;
  /** Rounds that are due. */
  private readonly spam: Timer;
  /** The peer that was asked last and has not answered. */
  private asked: Peer | null = null;
  private turn = 0;
  private looked = false;
  private seq = 0;

  constructor(p: Proc, o: Options, dev: Netdev) {
    this.p = p;
    this.o = o;
    this.dev = dev;
    this.peers = o.peers.map((x) => ({ ...x, since: -1, dead: false }));
    this.arpSock = new PacketSock(p.net, eth.P_ARP);
    this.udp = new UdpSock(p.net, p.cred);
    this.probes = new Timer(() => this.probe());
    this.watch = new Timer(() => this.look());
    this.spam = new Timer(() => this.rounds());
  }

  start(): boolean {
    const { sim } = this.p.net.kernel;
    if (this.udp.bind(this.o.address, PORT) !== 0) return false;
    this.arpSock.onReady = () => this.arp();
    this.arpSock.bind(this.dev);
    this.udp.onReady = () => this.hear();
    this.p.onKill = () => this.close();
    // The place among all nodes, as a part of the second.
    const before = this.peers.filter((x) => x.name < this.o.node).length;
    const begin = sim.now + this.o.delayNs;
    sim.arm(this.probes, begin + (PROBE * (before + 1)) / (this.peers.length + 1));
    sim.arm(this.watch, begin);
    return true;
  }

  private close(): void {
    for (const t of [this.probes, this.watch, this.spam]) this.p.net.kernel.sim.cancel(t);
    this.arpSock.close();
    this.udp.close();
  }

  /** Reads the file, ends suspicions, and begins or ends announcements. */
  private look(): void {
    const { sim } = this.p.net.kernel;
    // Between two probes, so that it is clear what comes first.
    sim.arm(this.watch, sim.now + (this.looked ? WATCH : WATCH / 2));
    this.looked = true;
    for (const x of this.peers) if (x.since >= 0 && sim.now - x.since >= SUSPICION) x.dead = true;
    const dead = new Set(this.peers.filter((x) => x.dead).map((x) => x.name));
    const text = this.p.files.read(this.o.config) ?? '';
    if (text === '') return;
    const wanted = announcements(text);
    const own = new Set(wanted.filter((w) => w.nodes.find((n) => !dead.has(n)) === this.o.node).map((w) => w.ip));
    for (const ip of this.mine.keys()) if (!own.has(ip)) this.mine.delete(ip);
    for (const ip of own) {
      if (this.mine.has(ip)) continue;
      this.mine.set(ip, { since: sim.now, rounds: 0 });
      this.round(ip);
    }
    this.arm();
  }

  /** The timer stands at the next round of any address. */
  private arm(): void {
    const { sim } = this.p.net.kernel;
    let next = Infinity;
    for (const { since, rounds } of this.mine.values())
      if (rounds * ROUND < ROUNDS_END) next = Math.min(next, since + rounds * ROUND);
    sim.cancel(this.spam);
    if (next < Infinity) sim.arm(this.spam, next);
  }

  private rounds(): void {
    const { now } = this.p.net.kernel.sim;
    for (const [ip, { since, rounds }] of this.mine)
      if (rounds * ROUND < ROUNDS_END && since + rounds * ROUND <= now) this.round(ip);
    this.arm();
  }

  private round(ip: number): void {
    this.mine.get(ip)!.rounds++;
    for (const op of [arp.REQUEST, arp.REPLY]) this.send(op, ip, eth.BROADCAST, ip);
  }

  private send(op: number, ip: number, to: Uint8Array, target: number): void {
    const b = new Uint8Array(PADDED);
    arp.write(b, 0, op, this.dev.mac, ip, to, target);
    this.arpSock.send(b, to);
  }

  /** Answers requests for the addresses that it announces. */
  private arp(): void {
    this.arpSock.takeError();
    for (let m = this.arpSock.recv(); m !== null; m = this.arpSock.recv()) {
      const b = m.data;
      if (m.pktType !== PACKET_HOST && m.pktType !== PACKET_BROADCAST) continue;
      if (arp.check(b, 0, b.length) < 0 || arp.op(b, 0) !== arp.REQUEST || !this.mine.has(arp.tip(b, 0))) continue;
      this.send(arp.REPLY, arp.tip(b, 0), b.slice(arp.SHA, arp.SHA + 6), arp.sip(b, 0));
    }
  }

  /** Once a second: who was asked and has not answered is under suspicion; the next one is asked. */
  private probe(): void {
    const { sim } = this.p.net.kernel;
    sim.arm(this.probes, sim.now + PROBE);
    if (this.asked !== null && this.asked.since < 0) this.asked.since = sim.now;
    const alive = this.peers.filter((x) => !x.dead);
    const x = alive[this.turn++ % alive.length] ?? null;
    this.asked = x;
    if (x === null) return;
    this.udp.send(new TextEncoder().encode(`ping ${++this.seq}`), x.address, PORT);
  }

  /** A message of a peer: it is alive. */
  private hear(): void {
    this.udp.takeError();
    for (let d = this.udp.recv(); d !== null; d = this.udp.recv()) {
      const { src } = d;
      const x = this.peers.find((y) => y.address === src);
      const m = /^(ping|ack) (\d+)$/.exec(new TextDecoder().decode(d.data));
      if (x === undefined || m === null) continue;
      x.since = -1;
      x.dead = false;
      if (m[1] === 'ping') this.udp.send(new TextEncoder().encode(`ack ${m[2]!}`), src, PORT);
      else if (this.asked === x) this.asked = null;
    }
  }
}

export const metallbSpeaker: Program = (p) => {
  const o = options(p.argv.slice(3));
  if (o === null) {
    p.err(`podwire: app metallb-speaker: found "${p.argv.slice(3).join(' ')}", expected ${USAGE}\n`);
    return p.exit(2);
  }
  const dev = p.net.dev(o.device);
  if (dev === null || !new Speaker(p, o, dev).start()) {
    p.err(`podwire app metallb-speaker: ${dev === null ? `no device ${o.device}` : `port ${PORT} is taken`}\n`);
    return p.exit(1);
  }
};
