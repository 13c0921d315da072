/**
 * ipset: named sets of addresses, ports and networks.
 *
 * Kernel counterpart: net/netfilter/ipset. Entries are kept under integer or short text keys; networks are looked up once
 * per prefix length in use, as ip_set_hash_gen.h does. Not here: timeouts, counters, comments, nomatch, IPv6, lists.
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
  'bitmap:port',
] as const;
export type SetType = (typeof SET_TYPES)[number];

/** One element; what a type does not have is 0. */
export interface SetEntry {
  readonly ip: number;
  readonly proto: number;
  readonly port: number;
  readonly ip2: number;
  /** Prefix length of the network dimension (32 for an address). */
  readonly cidr: number;
}

const BASE = 0x100000000;
/** Protocols that have ports or types get a number of their own; the others share 0 and are told apart in the second key. */
const PROTO_SLOT = new Uint8Array(256);
PROTO_SLOT[ipv4.TCP] = 1;
PROTO_SLOT[ipv4.UDP] = 2;
PROTO_SLOT[ipv4.SCTP] = 3;
PROTO_SLOT[ipv4.ICMP] = 4;

export class IpSet {
  name: string;
  readonly type: SetType;
  hashsize = 1024;
  maxelem = 65536;
  initval = 0;
  /** bitmap:port. */
  from = 0;
  to = 65535;
  /** First key (ip, or ip:port) → second keys → element. */
  private readonly map = new Map<number, Map<number, SetEntry>>();
  /** Elements by prefix length, for the network types. */
  private readonly prefixes = new Int32Array(33);
  size = 0;

  constructor(name: string, type: SetType) {
    this.name = name;
    this.type = type;
  }

  get dimensions(): number {
    return this.type.split(',').length;
  }

  /** Adds an element; false when it is there already. */
  add(e: SetEntry): boolean {
    const k = this.key1(e.ip, e.cidr, e.proto, e.port);
    let inner = this.map.get(k);
    if (inner === undefined) this.map.set(k, (inner = new Map()));
    const k2 = this.key2(e.ip2, e.cidr, e.proto);
    if (inner.has(k2)) return false;
    inner.set(k2, e);
    this.prefixes[e.cidr]!++;
    this.size++;
    return true;
  }

  /** Removes an element; false when it is not there. */
  del(e: SetEntry): boolean {
    const k = this.key1(e.ip, e.cidr, e.proto, e.port);
    const inner = this.map.get(k);
    if (inner === undefined || !inner.delete(this.key2(e.ip2, e.cidr, e.proto))) return false;
    if (inner.size === 0) this.map.delete(k);
    this.prefixes[e.cidr]!--;
    this.size--;
    return true;
  }

  has(e: SetEntry): boolean {
    const inner = this.map.get(this.key1(e.ip, e.cidr, e.proto, e.port));
    return inner !== undefined && inner.has(this.key2(e.ip2, e.cidr, e.proto));
  }

  /** `ipset test`: an address is in a set of networks that holds one around it. */
  tests(e: SetEntry): boolean {
    if (this.has(e)) return true;
    if (this.type !== 'hash:net' || e.cidr !== 32) return false;
    for (let c = 31; c >= 1; c--) {
      if (this.prefixes[c] !== 0 && this.has({ ...e, ip: e.ip & maskOf(c), cidr: c })) return true;
    }
    return false;
  }

  flush(): void {
    this.map.clear();
    this.prefixes.fill(0);
    this.size = 0;
  }

  /** Elements in insertion order (bitmap: by port). The kernel lists hashes in the order of a random hash. */
  entries(): SetEntry[] {
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
        return this.map.has(ip);
      case 'hash:net':
        for (let c = 32; c >= 0; c--) {
          if (this.prefixes[c] !== 0 && this.map.get(ip & maskOf(c))?.has(c) === true) return true;
        }
        return false;
      case 'bitmap:port': {
        const proto = ipv4.proto(b, skb.net);
        if (fragOff !== 0 || (proto !== ipv4.TCP && proto !== ipv4.UDP) || th + 4 > end) return false;
        return this.map.has(u16(b, th + (dirs[0]! ? 0 : 2)));
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
    const inner = this.map.get(this.key1(ip, 32, proto, port));
    if (inner === undefined) return false;
    if (this.type === 'hash:ip,port') return inner.has(this.key2(0, 32, proto));
    const ip2 = dirs[2]! ? ipv4.src(b, net) : ipv4.dst(b, net);
    if (this.type === 'hash:ip,port,ip') return inner.has(this.key2(ip2, 32, proto));
    for (let c = 32; c >= 0; c--) {
      if (this.prefixes[c] !== 0 && inner.has(this.key2(ip2 & maskOf(c), c, proto))) return true;
    }
    return false;
  }

  /** First key: an address, a port, or address, port and protocol (below 2^53). */
  private key1(ip: number, cidr: number, proto: number, port: number): number {
    switch (this.type) {
      case 'hash:ip':
        return ip;
      case 'hash:net':
        return ip & maskOf(cidr);
      case 'bitmap:port':
        return port;
      default:
        return (ip >>> 0) + (port + PROTO_SLOT[proto]! * 65536) * BASE;
    }
  }

  /** Second key: what is left of the element. */
  private key2(ip2: number, cidr: number, proto: number): number {
    switch (this.type) {
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

/** The sets of one namespace, in order of creation. */
export class IpSets {
  readonly sets = new Map<string, IpSet>();
}

/** The namespace's sets, created on first use. */
export function ipsets(net: Netns): IpSets {
  return (net.ipsets ??= new IpSets());
}
