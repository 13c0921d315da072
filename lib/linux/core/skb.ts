/**
 * sk_buff: one frame in flight with its metadata, and the pool it comes from.
 *
 *   buf  |<- headroom ->|head (mac) ...|net ...|trans ...|tail
 *
 * `pull` and `push` move `head`; layers are absolute offsets into `buf`. Every skb ends in exactly one of: delivered,
 * transmitted, queued, dropped; whoever ends it calls `free`. Copies are made only where Linux copies or clones.
 *
 * Kernel counterpart: net/core/skbuff.c. Not here: fragments, GSO, partial checksums (podwire always completes them).
 * @module
 */
import type { Cred } from './cred.js';
import type { Dst } from '../ipv4/dst.js';
import type { Conn } from '../netfilter/ct-conn.js';
import type { Kernel } from './kernel.js';
import { TUN_NONE, TUN_WORDS } from '../tunnel/tunnel-info.js';
import type { Netdev } from './netdev.js';

export const HEADROOM = 128;

/** LL_RESERVED_SPACE of an Ethernet device: 14 bytes, rounded up as HH_DATA_MOD says. */
export const LL_ETHER = 16;
const SIZE = 2048;

/** skb->pkt_type (if_packet.h). */
export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;
export const PACKET_OUTGOING = 4;
/** This machine's own copy of what it sent to a group. */
export const PACKET_LOOPBACK = 5;

/** enum ip_conntrack_info. */
export const CT_ESTABLISHED = 0;
export const CT_RELATED = 1;
export const CT_NEW = 2;
export const CT_IS_REPLY = 3;
export const CT_ESTABLISHED_REPLY = 3;
export const CT_RELATED_REPLY = 4;
/** No conntrack entry: INVALID when `untracked` is false. */
export const CT_NONE = 7;

/** skb.ipFlags (IPSKB_*). */
export const IPSKB_FORWARDED = 1;
/** The pieces keep DF: the largest fragment that came had it. */
export const IPSKB_FRAG_PMTU = 2;
/** It goes out where it came in, and its sender could have sent it to the next hop. */
export const IPSKB_DOREDIRECT = 4;

/** Whoever counts what has not left this machine yet. */
export interface SkbOwner {
  /** tcp_wfree: so many bytes have gone. */
  uncharge(truesize: number): void;
}

export class Skb {
  readonly kernel: Kernel;
  buf: Uint8Array;
  /** First byte of the frame as the current layer sees it. */
  head = 0;
  tail = 0;
  /** Offsets of the Ethernet, IPv4 and transport headers. */
  mac = 0;
  net = 0;
  trans = 0;
  /** Receiving device, later the sending one (skb->dev). */
  dev: Netdev | null = null;
  /** Device the packet entered the stack by (skb->skb_iif). */
  iif: Netdev | null = null;
  pktType = PACKET_HOST;
  protocol = 0;
  mark = 0;
  ct: Conn | null = null;
  ctinfo = CT_NONE;
  untracked = false;
  /** Set on packets that IPVS has handled (skb->ipvs_property). */
  ipvs = false;
  /** Bridge ports of a bridged packet (nf_bridge_info), null elsewhere. */
  physin: Netdev | null = null;
  physout: Netdev | null = null;
  /** br_netfilter: PREROUTING has run in the bridge hook; the IP layer skips it once. */
  brPrerouted = false;
  /** br_netfilter: destination before the bridge's PREROUTING, to notice a DNAT. */
  brOrigDst = 0;
  /** br_netfilter: largest fragment the packet was put together of (nf_bridge->frag_max_size), 0: it came whole. */
  brFragMax = 0;
  /** br_netfilter: original source MAC kept for a bridged DNAT through the neighbour (see br-netfilter.ts). */
  brDnat = false;
  /** br_netfilter: the packet type was OTHERHOST before the hook. */
  brOtherhost = false;
  readonly brMac: Uint8Array = new Uint8Array(6);
  /** Routing decision (skb_dst), null: none yet. */
  dst: Dst | null = null;
  /** What `tun` says of the packet: TUN_NONE, TUN_RX or TUN_TX (metadata_dst, which stands in for a route). */
  tunMode = TUN_NONE;
  readonly tun: Int32Array = new Int32Array(TUN_WORDS);
  /** The sender lets this machine split the packet in spite of DF (skb->ignore_df). */
  ignoreDf = false;
  /** IPSKB_* (IPCB(skb)->flags). */
  ipFlags = 0;
  /** Largest fragment the packet arrived in (IPCB(skb)->frag_max_size), 0: it arrived whole. */
  fragMax = 0;
  /** Data lengths of the pieces a packet is made of (frag_list), null: one piece. */
  frags: Uint16Array | null = null;
  /** Bytes that Linux has before its network header, at least: LL_RESERVED_SPACE of the device it, or each of `frags`, was made for. */
  llRoom = LL_ETHER;
  /** Options of the IPv4 header as compiled (IPCB(skb)->opt): length, and offsets of what has to be filled in. */
  optLen = 0;
  optRr = 0;
  optTs = 0;
  optSrr = 0;
  /** OPT_* of ip-options.ts. */
  optFlags = 0;
  /** The next stop that a source route names (opt->nexthop). */
  optNext = 0;
  /** Sent by a local socket. */
  local = false;
  /** Who holds the socket that sent it (skb->sk, its file's f_cred); null: nobody, or the kernel itself. */
  cred: Cred | null = null;
  /** The device that socket is bound to (sk_bound_dev_if), null: none. */
  oif: Netdev | null = null;
  /** Waits in a queue of this machine (a neighbour's, a queueing discipline's): a socket does not send it again. */
  waiting = false;
  /** Its sender saw progress: every neighbour it is sent to counts as confirmed, also on the machines it passes. */
  dstConfirm = false;
  /** When a queueing discipline lets it go (netem_skb_cb.time_to_send), ns. */
  sendAt = 0;
  /** TCP's own words on a received segment (tcp_skb_cb): the stream range it holds and its flags. */
  seq = 0;
  endSeq = 0;
  tcpFlags = 0;
  /** What the kernel's skb would take of a socket's receive buffer (truesize). */
  truesize = 0;
  /** Bytes its buffer would have free behind the data (skb_tailroom). */
  tailroom = 0;
  /** Its checksum has been verified (skb->csum_valid); true also when other headers stand before it since. */
  csumValid = false;
  /** The socket whose send buffer pays for it (skb->sk with tcp_wfree), null: none. */
  owner: SkbOwner | null = null;
  charge = 0;
  /** Flow hash of the sending socket (skb->hash with l4_hash), 0: none. */
  hash = 0;
  /** One number for a packet at all its hops; copies keep it. */
  id = 0;
  /** Next in a queue (neighbour). */
  next: Skb | null = null;
  /** Handed out by the pool and not freed yet. */
  alive = false;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.buf = new Uint8Array(SIZE);
  }

  get len(): number {
    return this.tail - this.head;
  }

  /** Grows towards the front (skb_push). */
  push(n: number): void {
    this.head -= n;
    if (this.head < 0) throw new Error(`BUG: skb headroom exhausted by ${-this.head} bytes`);
  }

  /** Shrinks from the front (skb_pull). */
  pull(n: number): void {
    this.head += n;
  }

  /** Cuts the end so that `n` bytes remain from `head` (pskb_trim). */
  trim(n: number): void {
    if (this.head + n < this.tail) this.tail = this.head + n;
  }

  /** Changes places with another skb in everything but identity (skb_morph both ways). */
  exchange(o: Skb): void {
    const swap = <K extends keyof this>(k: K): void => {
      const v = this[k];
      this[k] = (o as this)[k];
      (o as this)[k] = v;
    };
    for (const k of EXCHANGED) swap(k as keyof this);
  }

  /** Makes sure that `n` more bytes fit before `head` (skb_cow_head): everything moves back when they do not. */
  headroom(n: number): void {
    if (this.head >= n) return;
    const by = HEADROOM;
    this.room(by);
    this.buf.copyWithin(by, 0, this.tail);
    this.head += by;
    this.tail += by;
    this.mac += by;
    this.net += by;
    this.trans += by;
  }

  /** Makes sure that `n` more bytes fit behind `tail`. */
  room(n: number): void {
    if (this.tail + n <= this.buf.length) return;
    const grown = new Uint8Array(1 << (32 - Math.clz32(this.tail + n)));
    grown.set(this.buf.subarray(0, this.tail));
    this.buf = grown;
  }
}

const EXCHANGED = [
  'buf', 'head', 'tail', 'mac', 'net', 'trans', 'iif', 'pktType', 'protocol', 'mark', 'physin', 'physout', 'brOtherhost', 'brOrigDst',
  'optLen', 'optRr', 'optTs', 'optSrr', 'optFlags', 'optNext', 'id',
] as const; // prettier-ignore

/** A free list of skbs. Buffers that have grown are kept. */
export class SkbPool {
  private readonly kernel: Kernel;
  private free_: Skb[] = [];
  private nextId = 1;
  /** skbs handed out and not yet freed; a leak shows here. */
  live = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  /** How many packets there have been: the id of the latest one. */
  get made(): number {
    return this.nextId - 1;
  }

  /** An empty skb whose `head` and `tail` stand at the headroom, with a new packet id. */
  alloc(): Skb {
    const s = this.take();
    s.id = this.nextId++;
    s.head = s.tail = s.mac = s.net = s.trans = HEADROOM;
    return s;
  }

  /** A copy with its own bytes; conntrack, mark, route and packet id are shared (skb_clone/skb_copy). */
  copy(from: Skb): Skb {
    const s = this.derive(from);
    if (s.buf.length < from.tail) s.buf = new Uint8Array(from.buf.length);
    s.buf.set(from.buf.subarray(from.head, from.tail), from.head);
    if (from.mac < from.head) s.buf.set(from.buf.subarray(from.mac, from.head), from.mac);
    s.head = from.head;
    s.tail = from.tail;
    s.mac = from.mac;
    s.net = from.net;
    s.trans = from.trans;
    return s;
  }

  /** An empty skb that goes where `from` goes and belongs to what `from` belongs to (ip_copy_metadata). */
  derive(from: Skb): Skb {
    const s = this.take();
    s.head = s.tail = s.mac = s.net = s.trans = HEADROOM;
    s.dev = from.dev;
    s.iif = from.iif;
    s.pktType = from.pktType;
    s.protocol = from.protocol;
    s.mark = from.mark;
    s.ct = from.ct;
    if (s.ct !== null) s.ct.refs++;
    s.ctinfo = from.ctinfo;
    s.untracked = from.untracked;
    s.ipvs = from.ipvs;
    s.physin = from.physin;
    s.physout = from.physout;
    s.brPrerouted = from.brPrerouted;
    s.brOrigDst = from.brOrigDst;
    s.brFragMax = from.brFragMax;
    s.brDnat = from.brDnat;
    s.brOtherhost = from.brOtherhost;
    s.brMac.set(from.brMac);
    s.dst = from.dst;
    s.tunMode = from.tunMode;
    if (s.tunMode !== TUN_NONE) s.tun.set(from.tun);
    s.ignoreDf = from.ignoreDf;
    s.ipFlags = from.ipFlags;
    s.fragMax = from.fragMax;
    s.frags = from.frags;
    s.llRoom = from.llRoom;
    s.optLen = from.optLen;
    s.optRr = from.optRr;
    s.optTs = from.optTs;
    s.optSrr = from.optSrr;
    s.optFlags = from.optFlags;
    s.optNext = from.optNext;
    s.local = from.local;
    s.cred = from.cred;
    s.oif = from.oif;
    s.dstConfirm = from.dstConfirm;
    s.truesize = from.truesize;
    s.tailroom = from.tailroom;
    s.hash = from.hash;
    s.csumValid = from.csumValid;
    s.id = from.id;
    return s;
  }

  /** Ends an skb; its bytes may be reused at once. */
  free(s: Skb): void {
    if (!s.alive) throw new Error(`BUG: skb of packet ${s.id} freed twice`);
    s.alive = false;
    this.live--;
    s.dev = s.iif = s.oif = s.physin = s.physout = null;
    s.dst = null;
    if (s.owner !== null) orphan(s);
    if (s.ct !== null) s.ct.put();
    s.ct = null;
    s.frags = null;
    s.next = null;
    this.free_.push(s);
  }

  private take(): Skb {
    this.live++;
    const s = this.free_.pop() ?? new Skb(this.kernel);
    s.alive = true;
    s.pktType = PACKET_HOST;
    s.protocol = 0;
    s.mark = 0;
    s.tunMode = TUN_NONE;
    s.llRoom = LL_ETHER;
    s.ctinfo = CT_NONE;
    s.untracked = false;
    s.ipvs = false;
    s.brPrerouted = false;
    s.brOrigDst = 0;
    s.brFragMax = 0;
    s.brDnat = false;
    s.brOtherhost = false;
    s.ignoreDf = false;
    s.local = false;
    s.cred = null;
    s.waiting = false;
    s.dstConfirm = false;
    s.truesize = 0;
    s.tailroom = 0;
    s.hash = 0;
    s.csumValid = false;
    clearCb(s);
    return s;
  }
}

/** Forgets what IPv4 noted on a packet, as every IPv4 receive does (memset of IPCB). */
export function clearCb(s: Skb): void {
  s.ipFlags = 0;
  s.fragMax = 0;
  s.optLen = 0;
  s.optRr = 0;
  s.optTs = 0;
  s.optSrr = 0;
  s.optFlags = 0;
  s.optNext = 0;
}

/** Forgets its connection, and that it is to have none (nf_reset_ct). */
export function resetCt(s: Skb): void {
  if (s.ct !== null) s.ct.put();
  s.ct = null;
  s.ctinfo = CT_NONE;
  s.untracked = false;
}

/** What a packet forgets on its way through a tunnel or a veth (skb_scrub_packet): conntrack, route, bridge state. */
export function scrub(s: Skb): void {
  scrubButRoute(s);
  s.dst = null;
  s.tunMode = TUN_NONE;
  s.local = false;
}

/** `scrub` for a packet that has its next route already (iptunnel_xmit). */
export function scrubButRoute(s: Skb): void {
  s.pktType = PACKET_HOST;
  s.iif = null;
  resetCt(s);
  s.physin = s.physout = null;
  s.brPrerouted = false;
  s.brFragMax = 0;
  s.brDnat = false;
  s.brOtherhost = false;
  s.ignoreDf = false;
  s.frags = null;
  s.cred = null;
  s.oif = null;
}

/** `scrub` at the border of a namespace, where the mark and IPVS's note are lost too (xnet). */
export function scrubXnet(s: Skb): void {
  scrub(s);
  s.mark = 0;
  s.ipvs = false;
}

/** Whoever sent it no longer pays for it (skb_orphan). */
export function orphan(s: Skb): void {
  const { owner } = s;
  if (owner === null) return;
  s.owner = null;
  owner.uncharge(s.charge);
}
