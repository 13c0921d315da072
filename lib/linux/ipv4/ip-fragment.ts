/**
 * Putting fragments together again, for this machine itself and for conntrack.
 *
 * A queue holds the pieces of one datagram for 30 s; what overlaps ends it, what repeats is ignored. The datagram becomes
 * the skb that completed it, with the first piece's header. Kernel counterparts: net/ipv4/ip_fragment.c, inet_fragment.c.
 * @module
 */
import { put16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { SEC, Timer } from '../../sim/sim.js';
import { drop } from '../core/drop.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { IPSKB_FRAG_PMTU, type Skb } from '../core/skb.js';
import { icmpSend } from './icmp.js';
import type { InetPeer } from './inet-peer.js';
import { sendCheck } from './ip-options.js';
import { routeInput, RTN_LOCAL } from './route.js';

/** Who asks (enum ip_defrag_users): pieces of one datagram are kept apart by it. */
export const DEFRAG_LOCAL_DELIVER = 0;
export const DEFRAG_CONNTRACK_IN = 1;
export const DEFRAG_CONNTRACK_OUT = 2;
export const DEFRAG_CONNTRACK_BRIDGE_IN = 3;
export const DEFRAG_VS_IN = 4;
export const DEFRAG_VS_OUT = 5;
export const DEFRAG_VS_FWD = 6;

const FIRST_IN = 1;
const LAST_IN = 2;
const COMPLETE = FIRST_IN | LAST_IN;

/** What a combination of ECN code points becomes (ip_frag_ecn_table); 0xff: the datagram is dropped. */
const ECN = new Uint8Array(16);
for (const mix of [0b1010, 0b1100, 0b1110]) ECN[mix] = 3;
for (const mix of [0b0011, 0b0101, 0b0111, 0b1001, 0b1011, 0b1101, 0b1111]) ECN[mix] = 0xff;

/** The kernel's memory for a frame of this length (truesize). */
const truesize = (n: number): number =>
  n + 64 + 320 <= 512 ? 768 : n + 384 <= 1024 ? 1280 : n + 384 <= 2048 ? 2304 : 4352;

interface Piece {
  skb: Skb;
  offset: number;
  length: number;
}
/** Neighbouring pieces that came in order: a repetition inside it is recognized as such. */
interface Run {
  start: number;
  end: number;
}

const hashOf = (src: number, dst: number, id: number, proto: number): number =>
  Math.imul(src ^ Math.imul(dst, 0x9e3779b1) ^ ((id << 8) | proto), 0x85ebca6b);

class FragQueue {
  readonly table: FragTable;
  readonly src: number;
  readonly dst: number;
  readonly id: number;
  readonly proto: number;
  readonly user: number;
  /** Next queue of the same hash. */
  next: FragQueue | null = null;
  readonly peer: InetPeer | null;
  readonly timer: Timer;
  flags = 0;
  len = 0;
  meat = 0;
  memory = 0;
  rid = 0;
  ecn = 0;
  maxSize = 0;
  maxDfSize = 0;
  iif: Netdev | null = null;
  pieces: Piece[] = [];
  runs: Run[] = [];

  constructor(table: FragTable, skb: Skb, user: number, peer: InetPeer | null) {
    this.table = table;
    this.src = ipv4.src(skb.buf, skb.net);
    this.dst = ipv4.dst(skb.buf, skb.net);
    this.id = ipv4.id(skb.buf, skb.net);
    this.proto = ipv4.proto(skb.buf, skb.net);
    this.user = user;
    this.peer = peer;
    this.timer = new Timer(() => this.expire());
  }

  get hash(): number {
    return hashOf(this.src, this.dst, this.id, this.proto);
  }

  is(b: Uint8Array, o: number, user: number): boolean {
    return (
      this.id === ipv4.id(b, o) &&
      this.src === ipv4.src(b, o) &&
      this.dst === ipv4.dst(b, o) &&
      this.proto === ipv4.proto(b, o) &&
      this.user === user
    );
  }

  /** ip_frag_too_far: more than 64 other fragments of the same sender came in between; what was collected is stale. */
  tooFar(max: number): boolean {
    if (this.peer === null || max === 0) return false;
    const start = this.rid;
    this.rid = ++this.peer.rid;
    return this.pieces.length > 0 && this.rid - start > max;
  }

  /** inet_frag_queue_insert: 0 entered, 1 a repetition, 2 an overlap. */
  insert(skb: Skb, offset: number, end: number): 0 | 1 | 2 {
    const { runs } = this;
    const last = runs[runs.length - 1];
    let at = this.pieces.length;
    if (last === undefined) runs.push({ start: offset, end });
    else if (last.end < end) {
      if (offset < last.end) return 2;
      if (offset === last.end) last.end = end;
      else runs.push({ start: offset, end });
    } else {
      let i = 0;
      for (; i < runs.length; i++) {
        const r = runs[i]!;
        if (end <= r.start) break;
        if (offset >= r.end) continue;
        return offset >= r.start && end <= r.end ? 1 : 2;
      }
      runs.splice(i, 0, { start: offset, end });
      at = this.pieces.findIndex((p) => p.offset > offset);
    }
    this.pieces.splice(at, 0, { skb, offset, length: end - offset });
    return 0;
  }

  /** ip_expire: 30 s have passed; where the first piece is here its sender is told. */
  private expire(): void {
    const { net } = this.table;
    const head = (this.flags & FIRST_IN) !== 0 ? this.pieces.shift()!.skb : null;
    this.kill();
    if (head === null) return;
    if (this.iif !== null && this.iif.net === net) {
      head.dev = this.iif;
      const err = routeInput(net, head, this.iif);
      const conntrack = this.user === DEFRAG_CONNTRACK_IN || this.user === DEFRAG_CONNTRACK_BRIDGE_IN;
      const skip = conntrack && head.dst?.type !== RTN_LOCAL;
      if (err === 0 && !skip) icmpSend(net, head, 11, 1, 0);
    }
    drop(net, head, 'FRAG_REASM_TIMEOUT');
  }

  /** Ends the queue; what is in it is dropped. */
  kill(): void {
    this.table.forget(this);
    for (const p of this.pieces) drop(this.table.net, p.skb, 'FRAG_REASM_TIMEOUT');
    this.clear();
  }

  clear(): void {
    this.table.memory -= this.memory;
    this.pieces = [];
    this.runs = [];
    this.flags = this.len = this.meat = this.memory = this.ecn = 0;
    this.iif = null;
  }
}

/** The datagrams that a namespace is waiting to complete. */
export class FragTable {
  readonly net: Netns;
  private readonly queues = new Map<number, FragQueue>();
  /** Bytes held, as the kernel counts them. */
  memory = 0;

  constructor(net: Netns) {
    this.net = net;
  }

  /** ip_find: the queue of a fragment, made when missing; null when too much is held already. */
  find(skb: Skb, user: number): FragQueue | null {
    const b = skb.buf;
    const o = skb.net;
    const { sysctl, kernel, peers } = this.net;
    if (this.memory > (sysctl.get('net.ipv4.ipfrag_high_thresh') ?? 4 << 20)) return null;
    const hash = hashOf(ipv4.src(b, o), ipv4.dst(b, o), ipv4.id(b, o), ipv4.proto(b, o));
    const first = this.queues.get(hash) ?? null;
    for (let q = first; q !== null; q = q.next) if (q.is(b, o, user)) return q;
    const dist = sysctl.get('net.ipv4.ipfrag_max_dist') ?? 64;
    const q = new FragQueue(this, skb, user, dist === 0 ? null : peers.get(ipv4.src(b, o), kernel.sim.now));
    q.next = first;
    this.queues.set(hash, q);
    kernel.sim.arm(q.timer, kernel.sim.now + (sysctl.get('net.ipv4.ipfrag_time') ?? 30) * SEC);
    return q;
  }

  forget(q: FragQueue): void {
    this.net.kernel.sim.cancel(q.timer);
    let p = this.queues.get(q.hash) ?? null;
    if (p === q) {
      if (q.next === null) this.queues.delete(q.hash);
      else this.queues.set(q.hash, q.next);
      return;
    }
    while (p !== null && p.next !== q) p = p.next;
    if (p !== null) p.next = q.next;
  }

  /** The namespace ends. */
  destroy(): void {
    for (const first of [...this.queues.values()]) {
      for (let q: FragQueue | null = first; q !== null;) {
        const { next }: FragQueue = q;
        q.kill();
        q = next;
      }
    }
  }
}

/**
 * Takes a fragment (ip_defrag); `head` and `tail` bound the packet. True when `skb` now is the whole datagram and goes on;
 * false when it was kept or dropped.
 */
export function ipDefrag(net: Netns, skb: Skb, user: number): boolean {
  const q = net.frags.find(skb, user);
  if (q === null) {
    drop(net, skb, 'NOMEM');
    return false;
  }
  return queue(net, q, skb);
}

/** ip_frag_queue. */
function queue(net: Netns, q: FragQueue, skb: Skb): boolean {
  const b = skb.buf;
  const o = skb.net;
  if (q.tooFar(net.sysctl.get('net.ipv4.ipfrag_max_dist') ?? 64)) {
    for (const p of q.pieces) drop(net, p.skb, 'FRAG_TOO_FAR');
    q.clear();
    net.kernel.sim.arm(q.timer, net.kernel.sim.now + (net.sysctl.get('net.ipv4.ipfrag_time') ?? 30) * SEC);
  }
  const hlen = ipv4.headerLen(b, o);
  const word = ipv4.frag(b, o);
  const offset = (word & ipv4.OFFSET) << 3;
  let end = offset + skb.tail - o - hlen;
  if ((word & ipv4.MF) === 0) {
    if (end < q.len || ((q.flags & LAST_IN) !== 0 && end !== q.len)) return discard(net, q, skb);
    q.flags |= LAST_IN;
    q.len = end;
  } else {
    end &= ~7;
    if (end > q.len) {
      if ((q.flags & LAST_IN) !== 0) return discard(net, q, skb);
      q.len = end;
    }
  }
  if (end === offset) return discard(net, q, skb);
  skb.tail = o + hlen + end - offset;
  const r = q.insert(skb, offset, end);
  if (r === 1) {
    drop(net, skb, 'DUP_FRAG');
    return false;
  }
  if (r === 2) return discard(net, q, skb);
  entered(q, skb, offset, end - offset + hlen, word);
  if (q.flags !== COMPLETE || q.meat !== q.len) return false;
  return reassemble(net, q, skb);
}

function discard(net: Netns, q: FragQueue, skb: Skb): boolean {
  q.kill();
  drop(net, skb, 'FRAG_OVERLAP');
  return false;
}

function entered(q: FragQueue, skb: Skb, offset: number, size: number, word: number): void {
  const memory = truesize(size);
  q.memory += memory;
  q.table.memory += memory;
  q.iif = skb.dev;
  q.meat += size - ipv4.headerLen(skb.buf, skb.net);
  q.ecn |= 1 << (ipv4.tos(skb.buf, skb.net) & 3);
  if (offset === 0) q.flags |= FIRST_IN;
  if (size > q.maxSize) q.maxSize = size;
  if ((word & ipv4.DF) !== 0 && size > q.maxDfSize) q.maxDfSize = size;
}

/** ip_frag_reasm: `last` becomes the datagram. */
function reassemble(net: Netns, q: FragQueue, last: Skb): boolean {
  const { pieces } = q;
  const ecn = ECN[q.ecn]!;
  q.table.forget(q);
  q.clear();
  const { skbs } = net.kernel;
  const head = pieces[0]!.skb;
  const hlen = ipv4.headerLen(head.buf, head.net);
  const total = hlen + pieces[pieces.length - 1]!.offset + pieces[pieces.length - 1]!.length;
  if (ecn === 0xff || total > 65535) {
    for (const p of pieces) if (p.skb !== last) drop(net, p.skb, 'FRAG_OVERLAP');
    drop(net, last, 'PKT_TOO_BIG');
    return false;
  }
  const { dev } = last;
  if (head !== last) {
    // The other's bytes change place with it, so that both carry what they did.
    last.exchange(head);
    for (const p of pieces) p.skb = p.skb === head ? last : p.skb === last ? head : p.skb;
  }
  last.dev = dev;
  const frags = new Uint16Array(pieces.length);
  last.room(total);
  for (let i = 0; i < pieces.length; i++) {
    const { skb, length } = pieces[i]!;
    frags[i] = length;
    if (skb.llRoom < last.llRoom) last.llRoom = skb.llRoom;
    if (skb === last) continue;
    const from = skb.net + ipv4.headerLen(skb.buf, skb.net);
    last.buf.set(skb.buf.subarray(from, from + length), last.tail);
    last.tail += length;
    skbs.free(skb);
  }
  last.fragMax = q.maxSize;
  // Pieces for a socket are merged, those for conntrack stay apart.
  last.frags = q.user === DEFRAG_LOCAL_DELIVER ? null : frags;
  finish(q, last, total, ecn);
  return true;
}

function finish(q: FragQueue, skb: Skb, total: number, ecn: number): void {
  const b = skb.buf;
  const o = skb.net;
  const df = q.maxDfSize === q.maxSize;
  if (df) skb.ipFlags |= IPSKB_FRAG_PMTU;
  put16(b, o + ipv4.LEN, total);
  put16(b, o + ipv4.FRAG, df ? ipv4.DF : 0);
  b[o + ipv4.TOS] = ipv4.tos(b, o) | ecn;
  sendCheck(skb);
}
