/**
 * TCP's numbers that no two runs share: sequence numbers, time stamps and IP IDs, each related to the expected run's by a
 * constant of its flow and direction, learned where it is first seen and checked ever after.
 * @module
 */
import { i32, u16 } from '../../wire/bytes.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import type { Mappings } from './equivalence.js';

/** One direction of a connection, by the expected frame's addresses and ports. */
interface Direction {
  /** Actual minus expected sequence number. */
  seq: number | null;
  /** The expected initial sequence number, once a SYN was seen. */
  isn: number | null;
  /** Actual minus expected IP ID, modulo 2^16. */
  id: number | null;
}

export class TcpFlows {
  private readonly dirs = new Map<string, Direction>();
  /** Latest time stamps by interface and direction. */
  private readonly latest = new Map<string, [e: number, a: number]>();
  /** Time stamps of all earlier frames: the expected value and what stood in its place. */
  private readonly stamps = new Map<number, Set<number>>();

  private dir(key: string): Direction {
    let d = this.dirs.get(key);
    if (d === undefined) this.dirs.set(key, (d = { seq: null, isn: null, id: null }));
    return d;
  }

  /** True when the IP IDs at `o` (both not zero) are as far apart as in the direction's first segment. */
  id(key: string, e: Uint8Array, a: Uint8Array, o: number, maps: Mappings): boolean {
    const d = this.dir(key);
    const diff = (u16(a, o) - u16(e, o)) & 0xffff;
    if (d.id === null) d.id = diff;
    else if (d.id !== diff) {
      maps.note = `ip-id: ${u16(e, o)} stands for ${(u16(e, o) + d.id) & 0xffff} in this TCP direction`;
      return false;
    }
    return true;
  }

  /** True once the direction's IDs are known to be a counter. */
  counts(key: string): boolean {
    return this.dirs.get(key)?.id != null;
  }

  /** A SYN starts a connection: what is known of these ports belongs to an earlier one. */
  syn(key: string, reverse: string, eSeq: number, aSeq: number, alone: boolean, maps: Mappings): boolean {
    const d = this.dir(key);
    if (d.isn === eSeq) return true;
    if (!maps.pair('tcp-seq', 'isn', eSeq >>> 0, aSeq >>> 0)) return false;
    const fresh = d.isn !== null;
    if (fresh) this.dirs.delete(key);
    if (fresh && alone) this.dirs.delete(reverse);
    const n = this.dir(key);
    n.isn = eSeq;
    n.seq = (aSeq - eSeq) | 0;
    return true;
  }

  /** True when a sequence number of the direction `key` is where it must be. */
  seq(key: string, e: number, a: number, maps: Mappings): boolean {
    const d = this.dir(key);
    const diff = (a - e) | 0;
    if (d.seq === null) d.seq = diff;
    else if (d.seq !== diff) {
      maps.note = `tcp-seq: ${e >>> 0} stands for ${(e + d.seq) >>> 0} in this direction`;
      return false;
    }
    return true;
  }

  /** True when a time stamp does not fall behind the direction's latest on this interface. */
  tsval(iface: string, key: string, e: number, a: number, maps: Mappings): boolean {
    if (e === 0 || a === 0) return e === a;
    const k = `${iface} ${key}`;
    const last = this.latest.get(k);
    if (last !== undefined && ((e - last[0]) | 0) >= 0 && ((a - last[1]) | 0) < 0) {
      maps.note = 'tcp-tsval: falls behind an earlier one of this direction';
      return false;
    }
    if (last === undefined || ((e - last[0]) | 0) >= 0) this.latest.set(k, [e, a]);
    const set = this.stamps.get(e);
    if (set === undefined) this.stamps.set(e, new Set([a]));
    else set.add(a);
    return true;
  }

  /** True when an echo is that of the frame which the expected run echoes. */
  tsecr(e: number, a: number, maps: Mappings): boolean {
    if (e === 0 || a === 0) return e === a;
    const set = this.stamps.get(e);
    if (set === undefined || set.has(a)) return true;
    maps.note = 'tcp-tsecr: does not echo the time stamp of the same earlier frame';
    return false;
  }
}

/** What the aligner lends: both frames, and a way to accept the expected bytes. */
export interface TcpPair {
  e: Uint8Array;
  a: Uint8Array;
  iface: string;
  maps: Mappings;
  /** Overwrites `n` bytes at `o` of the copy; false when they were equal. */
  accept(name: 'tcp-seq' | 'tcp-timestamp' | 'ip-id', o: number, n: number): boolean;
  /** Makes equal bytes at `o` a difference: they contradict what is known. */
  refuse(o: number): void;
}

/** `src:port>dst:port` and its reverse, from the expected packet at `ip` with its transport header at `o`. */
export function flowKeys(e: Uint8Array, ip: number, o: number): [key: string, reverse: string] {
  const from = `${ipv4.src(e, ip)}:${u16(e, o)}`;
  const to = `${ipv4.dst(e, ip)}:${u16(e, o + 2)}`;
  return [`${from}>${to}`, `${to}>${from}`];
}

function take(p: TcpPair, ok: boolean, name: 'tcp-seq' | 'tcp-timestamp' | 'ip-id', o: number, n: number): boolean {
  if (ok) return p.accept(name, o, n);
  p.refuse(o);
  return false;
}

/** A new connection on known ports forgets what it knows of the old one, IP IDs too. */
export function alignSyn(p: TcpPair, flows: TcpFlows, ip: number, o: number, end: number): void {
  const { e, a, maps } = p;
  if (end - o < tcp.HLEN || (tcp.flags(e, o) & tcp.SYN) === 0) return;
  const [key, reverse] = flowKeys(e, ip, o);
  flows.syn(key, reverse, tcp.seq(e, o), tcp.seq(a, o), (tcp.flags(e, o) & tcp.ACK) === 0, maps);
}

/** Aligns the IP ID of a TCP packet at `ip`; zero stays zero. True when bytes were accepted. */
export function alignTcpId(p: TcpPair, flows: TcpFlows, ip: number, o: number): boolean {
  const { e, a, maps } = p;
  const [x, y] = [ipv4.id(e, ip), ipv4.id(a, ip)];
  const [key] = flowKeys(e, ip, o);
  // A counter passes zero too; a zero that starts a direction is a packet without a socket.
  if ((x === 0 || y === 0) && (x === y || !flows.counts(key))) return false;
  return take(p, flows.id(key, e, a, ip + ipv4.ID, maps), 'ip-id', ip + ipv4.ID, 2);
}

/** Aligns sequence numbers and options of the segment at `o`, which may be cut short at `end`. */
export function alignTcp(p: TcpPair, flows: TcpFlows, ip: number, o: number, end: number): boolean {
  const { e, a, maps } = p;
  const [key, reverse] = flowKeys(e, ip, o);
  if (end - o < 8) return false;
  const flags = end - o >= 14 ? tcp.flags(e, o) : 0;
  const [es, as] = [tcp.seq(e, o), tcp.seq(a, o)];
  let dirty = false;
  const bare = (flags & tcp.RST) !== 0 && es === 0;
  if (bare) {
    if (as !== 0) return false;
  } else {
    const syn = (flags & tcp.SYN) !== 0 && end - o >= 14;
    const started = !syn || flows.syn(key, reverse, es, as, (flags & tcp.ACK) === 0, maps);
    dirty = take(p, started && flows.seq(key, es, as, maps), 'tcp-seq', o + tcp.SEQ, 4);
  }
  if (end - o < tcp.HLEN) return dirty;
  // Where flags differ the rest is aligned all the same, so that the flags are what is named.
  if ((flags & tcp.flags(a, o) & tcp.ACK) !== 0) {
    const ok = flows.seq(reverse, tcp.ack(e, o), tcp.ack(a, o), maps);
    if (take(p, ok, 'tcp-seq', o + tcp.ACKNO, 4)) dirty = true;
  }
  const stop = Math.min(end, o + tcp.headerLen(e, o));
  for (let at = o + tcp.OPTIONS; at < stop && e[at] === a[at];) {
    const kind = e[at]!;
    if (kind === tcp.OPT_EOL) break;
    if (kind === tcp.OPT_NOP) {
      at++;
      continue;
    }
    const n = e[at + 1]!;
    if (n < 2 || n !== a[at + 1] || at + n > stop) break;
    if (option(p, flows, key, reverse, kind, n, at)) dirty = true;
    at += n;
  }
  return dirty;
}

function option(
  p: TcpPair,
  flows: TcpFlows,
  key: string,
  reverse: string,
  kind: number,
  n: number,
  at: number,
): boolean {
  const { e, a, maps, iface } = p;
  let dirty = false;
  if (kind === tcp.OPT_TIMESTAMP && n === 10) {
    const val = flows.tsval(iface, key, i32(e, at + 2), i32(a, at + 2), maps);
    if (take(p, val, 'tcp-timestamp', at + 2, 4)) dirty = true;
    const ecr = flows.tsecr(i32(e, at + 6), i32(a, at + 6), maps);
    if (take(p, ecr, 'tcp-timestamp', at + 6, 4)) dirty = true;
  } else if (kind === tcp.OPT_SACK) {
    for (let q = at + 2; q + 4 <= at + n; q += 4) {
      if (take(p, flows.seq(reverse, i32(e, q), i32(a, q), maps), 'tcp-seq', q, 4)) dirty = true;
    }
  }
  return dirty;
}
