/**
 * One measurement: rounds without and with captures in turn, by the CPU time of the process, and what was captured checked.
 * @module
 */
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { EN10MB, RAW } from '../../../wire/pcap.js';
import { FileTap } from '../../capture/file-tap.js';
import { CaptureClock } from '../../capture/tap.js';
import type { Kernel } from '../../linux/core/kernel.js';
import { ARPHRD_LOOPBACK, ARPHRD_TUNNEL, type Netdev } from '../../linux/core/netdev.js';
import type { Traffic } from './traffic.js';
import { type Verified, verify } from './verify.js';

export type Flows = 'known' | 'new';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Figures {
  /** Packets (or connections) that one round sends. */
  sent: number;
  rounds: number;
  /** Packets that the client's device sends and receives for each of them. */
  packets: number;
  /** Interfaces that see them, and frames that all of them see for each packet. */
  interfaces: number;
  framesPerPacket: number;
  /** Per second of CPU time. */
  packetsPerSecond: Spread;
  capturedPacketsPerSecond: Spread;
  capturedFramesPerSecond: Spread;
  nsPerHop: Spread;
  capturedNsPerHop: Spread;
  /** Allocated on the heap and outside of it, without captures. */
  bytesPerPacket: number;
  /** Largest resident set of the process, bytes. */
  peakMemory: number;
  verified: Verified;
}

export interface MeasureOptions {
  flows: Flows;
  /** Packets of a round. */
  packets: number;
  rounds: number;
  /** Where the captures go. */
  dir: string;
  /** The client's namespace, whose eth0 counts packets. */
  client: string;
}

/** Nanoseconds of CPU time that the process has used. */
export function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1e3;
}

/** Median, least and largest of some numbers. */
export function spread(list: readonly number[]): Spread {
  const s = [...list].sort((a, b) => a - b);
  const mid = s.length >> 1;
  const median = s.length % 2 === 1 ? s[mid]! : (s[mid - 1]! + s[mid]!) / 2;
  return { median, min: s[0]!, max: s.at(-1)! };
}

const WARMUP = 3;
const BATCHES = 30;

/** Frames that devices have seen (loopbacks aside). */
const framesOf = (d: Netdev): number => d.rxPackets + d.txPackets;

/** The taps of one kernel: files that are written to only while captures are on. */
class Captures {
  readonly devs: Netdev[];
  private readonly taps: FileTap[];
  private readonly expected: number[];
  private before: number[] = [];

  constructor(kernel: Kernel, dir: string) {
    this.devs = [...kernel.netns.values()].flatMap((n) => n.devs).filter((d) => d.type !== ARPHRD_LOOPBACK);
    const clock = new CaptureClock();
    this.taps = this.devs.map(
      (d) => new FileTap(clock, join(dir, d.net.name, `${d.name}.pcap`), d.type === ARPHRD_TUNNEL ? RAW : EN10MB),
    );
    this.expected = this.devs.map(() => 0);
  }

  on(): void {
    this.before = this.devs.map(framesOf);
    this.devs.forEach((d, i) => (d.tap = this.taps[i]!));
  }

  off(): void {
    this.devs.forEach((d, i) => {
      d.tap = null;
      this.expected[i]! += framesOf(d) - this.before[i]!;
    });
  }

  /** Closes the files and reads them again. */
  verified(): Verified {
    for (const t of this.taps) t.close();
    const files = this.devs.map((d, i) => ({ iface: `${d.net.name}/${d.name}`, path: this.taps[i]!.path, frames: this.expected[i]! })); // prettier-ignore
    return verify(files);
  }
}

/** Measures one kind of traffic on a kernel that is set up; its own captures are taken off. Throws Error when packets are lost. */
export function measure(kernel: Kernel, traffic: Traffic, o: MeasureOptions): Figures {
  const captures = new Captures(kernel, o.dir);
  for (const d of captures.devs) d.tap = null;
  const client = kernel.netns.get(o.client)!.dev('eth0')!;
  const send = o.flows === 'known' ? () => traffic.known(o.packets) : () => traffic.fresh();
  /** One round: its CPU time and the packets and frames it took. */
  const round = (): { ns: number; packets: number; frames: number } => {
    if (o.flows === 'new') traffic.prepare(o.packets);
    const packets = framesOf(client);
    const frames = captures.devs.reduce((n, d) => n + framesOf(d), 0);
    const t = cpuNs();
    const got = send();
    const ns = Math.max(1, cpuNs() - t);
    if (got !== o.packets) throw new Error(`BUG: bench: sent ${o.packets}, ${got} arrived`);
    return {
      ns,
      packets: framesOf(client) - packets,
      frames: captures.devs.reduce((n, d) => n + framesOf(d), 0) - frames,
    };
  };
  for (let i = 0; i < WARMUP; i++) round();
  captures.on();
  round();
  captures.off();
  const bare: ReturnType<typeof round>[] = [];
  const captured: ReturnType<typeof round>[] = [];
  let interfaces = 0;
  for (let i = 0; i < o.rounds; i++) {
    const seen = captures.devs.map(framesOf);
    bare.push(round());
    interfaces = captures.devs.filter((d, k) => framesOf(d) - seen[k]! >= o.packets).length;
    captures.on();
    captured.push(round());
    captures.off();
  }
  const last = bare.at(-1)!;
  const bytesPerPacket = allocated(traffic, o) / (last.packets / o.packets);
  const per = (list: typeof bare, f: (r: (typeof bare)[number]) => number): Spread => spread(list.map(f));
  return {
    sent: o.packets,
    rounds: o.rounds,
    packets: last.packets / o.packets,
    interfaces,
    framesPerPacket: last.frames / last.packets,
    packetsPerSecond: per(bare, (r) => (r.packets / r.ns) * 1e9),
    capturedPacketsPerSecond: per(captured, (r) => (r.packets / r.ns) * 1e9),
    capturedFramesPerSecond: per(captured, (r) => (r.frames / r.ns) * 1e9),
    nsPerHop: per(bare, (r) => r.ns / r.frames),
    capturedNsPerHop: per(captured, (r) => r.ns / r.frames),
    bytesPerPacket,
    peakMemory: process.resourceUsage().maxRSS * 1024,
    verified: captures.verified(),
  };
}

function heapBytes(): number {
  const h = getHeapStatistics();
  return h.used_heap_size + h.external_memory;
}

/** Bytes allocated for one packet sent: the median of small batches, of which few meet a collection. */
function allocated(traffic: Traffic, o: MeasureOptions): number {
  const n = Math.max(1, Math.min(500, o.packets));
  const found: number[] = [];
  for (let i = 0; i < BATCHES; i++) {
    if (o.flows === 'new') traffic.prepare(n);
    const before = heapBytes();
    if (o.flows === 'known') traffic.known(n);
    else traffic.fresh();
    const bytes = heapBytes() - before;
    if (bytes >= 0) found.push(bytes / n);
  }
  return found.length === 0 ? 0 : spread(found).median;
}
