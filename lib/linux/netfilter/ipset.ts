/**
 * ipset: named sets of addresses, ports and networks.
 *
 * Kernel counterpart: net/netfilter/ipset. Entries are kept under integer or short text keys; networks are looked up once
 * per prefix length in use, as ip_set_hash_gen.h does. Not here: counters, skbinfo, IPv6, MAC addresses, devices.
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import { maskOf } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import type { Netns } from '../core/netns.js';
import type { Skb } from '../core/skb.js';

export const SET_TYPES = [
  'hash:ip',
  'hash:net',
  'hash:ip,port',
  'hash:ip,port,ip',
  'hash:ip,port,net',
  'hash:net,port',
  'hash:net,net',
  'bitmap:port',
  'list:set',
] as const;
export type SetType = (typeof SET_TYPES)[number];

/** One element; what a type does not have is 0. */
export interface SetEntry {
  readonly ip: number;
  readonly proto: number;
  readonly port: number;
  readonly ip2: number;
  /** Prefix length of the (first) network dimension (32 for an address). */
  readonly cidr: number;
  /** Prefix length of the second network of hash:net,net. */
  readonly cidr2?: number;
  /** An exception of a set of networks. */
  readonly nomatch?: boolean;
  readonly comment?: string | undefined;
  /** Virtual time at which the element ends; absent or 0: never. */
  readonly expires?: number;
  /** Member of a list:set. */
  readonly set?: IpSet;
}

const BASE = 0x100000000;
/** Protocols that have ports or types get a number of their own; the others share 0 and are told apart in the second key. */
const PROTO_SLOT = new Uint8Array(256);
PROTO_SLOT[ipv4.TCP] = 1;
PROTO_SLOT[ipv4.UDP] = 2;
PROTO_SLOT[ipv4.SCTP] = 3;
PROTO_SLOT[ipv4.ICMP] = 4;

/** What a set holds and how, all that a swap exchanges. */
interface Contents {
  hashsize: number;
  maxelem: number;
  initval: number;
  from: number;
  to: number;
  map: Map<number, Map<number, SetEntry>>;
  members: SetEntry[];
  timeout: number;
  comments: boolean;
  prefixes: Int32Array<ArrayBuffer>;
  size: number;
}

export class IpSet implements Contents {
  name: string;
  type: SetType;
  hashsize = 1024;
  maxelem = 65536;
  initval = 0;
  /** bitmap:port. */
  from = 0;
  to = 65535;
  /** First key (ip, or ip:port) → second keys → element. */
  map = new Map<number, Map<number, SetEntry>>();
  /** Members of a list:set, in order. */
  members: SetEntry[] = [];
  /** Default timeout in seconds; -1: elements have none (`timeout` not given at creation). */
  timeout = -1;
  /** Elements may have a comment. */
  comments = false;
  private readonly clock: { readonly now: number };
  /** Sets that have this one as a member. */
  parents = 0;
  /** Elements by prefix length, for the network types. */
  prefixes = new Int32Array(33);
  size = 0;

  constructor(name: string, type: SetType, clock: { readonly now: number }) {
    this.name = name;
    this.type = type;
    this.clock = clock;
  }

  /** Changes places with another set in all but the name, so that rules that name one find the other (ip_set_swap). */
  swap(o: IpSet): void {
    const { hashsize, maxelem, initval, from, to, map, members, timeout, comments, prefixes, size } = this;
    const mine = { hashsize, maxelem, initval, from, to, map, members, timeout, comments, prefixes, size };
    this.take(o);
    o.take(mine);
  }

  private take(o: Contents): void {
    this.hashsize = o.hashsize;
    this.maxelem = o.maxelem;
    this.initval = o.initval;
    this.from = o.from;
    this.to = o.to;
    this.map = o.map;
    this.members = o.members;
    this.timeout = o.timeout;
    this.comments = o.comments;
    this.prefixes = o.prefixes;
    this.size = o.size;
  }

  get dimensions(): number {
    return this.type.split(',').length;
  }

  /** True for an element whose time has not come. */
  private live(e: SetEntry | undefined): e is SetEntry {
    return e !== undefined && ((e.expires ?? 0) === 0 || e.expires! > this.clock.now);
  }

  /** Removes what has ended (the kernel's collector comes by every third of the timeout). */
  private gc(): void {
    if (this.timeout < 0) return;
    for (const inner of this.map.values()) for (const e of inner.values()) if (!this.live(e)) this.del(e);
  }

  /** Adds an element; false when it is there already. */
  add(e: SetEntry): boolean {
    this.gc();
    if (this.type === 'list:set') {
      if (this.members.some((m) => m.set === e.set)) return false;
      this.members.push(e);
      e.set!.parents++;
      this.size++;
      return true;
    }
    const k = this.key1(e.ip, e.cidr, e.proto, e.port);
    let inner = this.map.get(k);
    if (inner === undefined) this.map.set(k, (inner = new Map()));
    const k2 = this.key2(e.ip2, this.cidrOf2(e), e.proto);
    if (inner.has(k2)) return false;
    inner.set(k2, e);
    this.prefixes[e.cidr]!++;
    this.size++;
    return true;
  }

  /** Removes an element; false when it is not there. */
  del(e: SetEntry): boolean {
    if (this.type === 'list:set') {
      const i = this.members.findIndex((m) => m.set === e.set);
      if (i < 0) return false;
      this.members.splice(i, 1);
      e.set!.parents--;
      this.size--;
      return true;
    }
    const k = this.key1(e.ip, e.cidr, e.proto, e.port);
    const inner = this.map.get(k);
    if (inner === undefined || !inner.delete(this.key2(e.ip2, this.cidrOf2(e), e.proto))) return false;
    if (inner.size === 0) this.map.delete(k);
    this.prefixes[e.cidr]!--;
    this.size--;
    return true;
  }

  has(e: SetEntry): boolean {
    if (this.type === 'list:set') return this.members.some((m) => m.set === e.set);
    const inner = this.map.get(this.key1(e.ip, e.cidr, e.proto, e.port));
    return this.live(inner?.get(this.key2(e.ip2, this.cidrOf2(e), e.proto)));
  }

  /** What the second key says of prefix lengths: both of hash:net,net. */
  private cidrOf2(e: SetEntry): number {
    return this.type === 'hash:net,net' ? e.cidr * 33 + (e.cidr2 ?? 32) : e.cidr;
  }

  /** `ipset test`: an address is in a set of networks that holds one around it. */
  tests(e: SetEntry): boolean {
    if (this.has(e)) return e.nomatch === true || !this.isException(e);
    if (this.type !== 'hash:net' || e.cidr !== 32) return false;
    for (let c = 31; c >= 1; c--) {
      const at = { ...e, ip: e.ip & maskOf(c), cidr: c };
      if (this.prefixes[c] !== 0 && this.has(at)) return !this.isException(at);
    }
    return false;
  }

  private isException(e: SetEntry): boolean {
    const inner = this.map.get(this.key1(e.ip, e.cidr, e.proto, e.port));
    return inner?.get(this.key2(e.ip2, this.cidrOf2(e), e.proto))?.nomatch === true;
  }

  flush(): void {
    for (const m of this.members) m.set!.parents--;
    this.members = [];
    this.map.clear();
    this.prefixes.fill(0);
    this.size = 0;
  }

  /** Elements in insertion order (bitmap: by port). The kernel lists hashes in the order of a random hash. */
  entries(): SetEntry[] {
    this.gc();
    if (this.type === 'list:set') return [...this.members];
    const out: SetEntry[] = [];
    for (const inner of this.map.values()) for (const e of inner.values()) out.push(e);
    if (this.type === 'bitmap:port') out.sort((a, b) => a.port - b.port);
    return out;
  }

  /** -m set: `dirs` tells for each dimension whether the source is taken. */
  testPacket(skb: Skb, th: number, end: number, fragOff: number, dirs: readonly boolean[]): boolean {
    const b = skb.buf;
    const ip = dirs[0]! ? ipv4.src(b, skb.net) : ipv4.dst(b, skb.net);
    switch (this.type) {
      case 'hash:ip':
        return this.live(this.map.get(ip)?.get(0));
      case 'hash:net':
        for (let c = 32; c >= 0; c--) {
          if (this.prefixes[c] === 0) continue;
          const e = this.map.get(ip & maskOf(c))?.get(c);
          if (this.live(e)) return e.nomatch !== true;
        }
        return false;
      case 'hash:net,net':
        return this.testNets(ip, dirs[1]! ? ipv4.src(b, skb.net) : ipv4.dst(b, skb.net));
      case 'list:set':
        // A list matches where one of its sets does.
        for (let i = 0; i < this.members.length; i++) {
          if (this.members[i]!.set!.testPacket(skb, th, end, fragOff, dirs)) return true;
        }
        return false;
      case 'bitmap:port': {
        const proto = ipv4.proto(b, skb.net);
        if (fragOff !== 0 || (proto !== ipv4.TCP && proto !== ipv4.UDP) || th + 4 > end) return false;
        return this.live(this.map.get(u16(b, th + (dirs[0]! ? 0 : 2)))?.get(0));
      }
      default:
        return this.testPort(b, skb.net, th, end, fragOff, ip, dirs);
    }
  }

  private testPort(
    b: Uint8Array,
    net: number,
    th: number,
    end: number,
    fragOff: number,
    ip: number,
    dirs: readonly boolean[],
  ): boolean {
    // prettier-ignore
    const proto = ipv4.proto(b, net);
    let port = 0;
    if (proto === ipv4.TCP || proto === ipv4.UDP || proto === ipv4.SCTP) {
      if (fragOff !== 0 || th + 4 > end) return false;
      port = u16(b, th + (dirs[1]! ? 0 : 2));
    } else if (proto === ipv4.ICMP) {
      if (fragOff !== 0 || th + 4 > end) return false;
      port = u16(b, th);
    }
    if (this.type === 'hash:net,port') return this.testNetPort(ip, port, proto);
    const inner = this.map.get(this.key1(ip, 32, proto, port));
    if (inner === undefined) return false;
    if (this.type === 'hash:ip,port') return this.live(inner.get(this.key2(0, 32, proto)));
    const ip2 = dirs[2]! ? ipv4.src(b, net) : ipv4.dst(b, net);
    if (this.type === 'hash:ip,port,ip') return this.live(inner.get(this.key2(ip2, 32, proto)));
    for (let c = 32; c >= 0; c--) {
      if (this.prefixes[c] === 0) continue;
      const e = inner.get(this.key2(ip2 & maskOf(c), c, proto));
      if (this.live(e)) return e.nomatch !== true;
    }
    return false;
  }

  private testNetPort(ip: number, port: number, proto: number): boolean {
    for (let c = 32; c >= 0; c--) {
      if (this.prefixes[c] === 0) continue;
      const e = this.map.get(this.key1(ip, c, proto, port))?.get(this.key2(0, c, proto));
      if (this.live(e)) return e.nomatch !== true;
    }
    return false;
  }

  /** The longest first network, then the longest second one, decides. */
  private testNets(ip: number, ip2: number): boolean {
    for (let c = 32; c >= 0; c--) {
      if (this.prefixes[c] === 0) continue;
      const inner = this.map.get(ip & maskOf(c));
      if (inner === undefined) continue;
      for (let d = 32; d >= 0; d--) {
        const e = inner.get(this.key2(ip2 & maskOf(d), c * 33 + d, 0));
        if (this.live(e)) return e.nomatch !== true;
      }
    }
    return false;
  }

  /** First key: an address, a port, or address, port and protocol (below 2^53). */
  private key1(ip: number, cidr: number, proto: number, port: number): number {
    switch (this.type) {
      case 'hash:ip':
        return ip;
      case 'hash:net':
      case 'hash:net,net':
        return ip & maskOf(cidr);
      case 'bitmap:port':
        return port;
      case 'hash:net,port':
        return ((ip & maskOf(cidr)) >>> 0) + (port + PROTO_SLOT[proto]! * 65536) * BASE;
      default:
        return (ip >>> 0) + (port + PROTO_SLOT[proto]! * 65536) * BASE;
    }
  }

  /** Second key: what is left of the element. */
  private key2(ip2: number, cidr: number, proto: number): number {
    switch (this.type) {
      case 'hash:net,net':
        return (ip2 >>> 0) + cidr * BASE;
      case 'hash:net':
        return cidr;
      case 'hash:ip':
      case 'bitmap:port':
        return 0;
      default:
        return (ip2 >>> 0) + cidr * BASE + proto * BASE * 64;
    }
  }
}

/** Revision, bytes of an empty set and of one element, as 6.1 has them. */
const SIZES: Readonly<Record<SetType, readonly [number, number, number]>> = {
  'hash:ip': [5, 192, 4],
  'hash:ip,port': [6, 192, 8],
  'hash:ip,port,ip': [6, 200, 12],
  'hash:ip,port,net': [8, 456, 12],
  'hash:net': [7, 448, 8],
  'hash:net,port': [8, 448, 8],
  'hash:net,net': [3, 584, 16],
  'bitmap:port': [3, 72, 0],
  'list:set': [3, 80, 48],
};

export const revision = (s: IpSet): number => SIZES[s.type][0];

/** "Size in memory": hash buckets begin with room for two elements; that two share one is left out. */
export function memorySize(s: IpSet): number {
  const [, base, data] = SIZES[s.type];
  const round = (n: number): number => (n + 7) & ~7;
  if (s.type === 'bitmap:port') return base + 8 * Math.ceil((s.to - s.from + 1) / 64);
  const ext = (s.timeout >= 0 ? 8 : 0) + (s.comments ? 8 : 0);
  const one = ext === 0 ? data : round(data) + ext;
  let text = 0;
  for (const e of s.entries()) if (e.comment !== undefined) text += 17 + e.comment.length;
  return base + s.size * (s.type === 'list:set' ? one : 32 + 2 * one) + text;
}

/** The sets of one namespace, in order of creation. */
export class IpSets {
  readonly sets = new Map<string, IpSet>();
}

/** The namespace's sets, created on first use. */
export function ipsets(net: Netns): IpSets {
  return (net.ipsets ??= new IpSets());
}
