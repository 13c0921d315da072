/**
 * Aligns one actual frame with the expected one: wherever an equivalence holds, the copy gets the expected bytes, so
 * that what still differs afterwards is a real difference. Walks only as far as both frames have the same structure.
 * @module
 */
import { equalAt, hex, u16, u32 } from '../../wire/bytes.js';
import { fold, pseudo, sum } from '../../wire/checksum.js';
import * as icmp from '../../wire/icmp.js';
import { macText } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import type { EquivalenceName, EquivalenceOptions, Mappings } from './equivalence.js';
import { alignSyn, alignTcp, alignTcpId, type TcpPair } from './tcp-flows.js';

const MAX_DEPTH = 8;

class Aligner {
  private readonly e: Uint8Array;
  private readonly a: Uint8Array;
  private readonly n: Uint8Array;
  private readonly maps: Mappings;
  private readonly options: EquivalenceOptions;
  private readonly lo: boolean;
  private readonly pair: TcpPair;

  constructor(e: Uint8Array, a: Uint8Array, n: Uint8Array, iface: string, maps: Mappings, options: EquivalenceOptions) {
    this.e = e;
    this.a = a;
    this.n = n;
    this.lo = iface.endsWith('/lo');
    this.maps = maps;
    this.options = options;
    this.pair = {
      e,
      a,
      iface,
      maps,
      accept: (name, o, length) => {
        if (equalAt(e, o, a, o, length)) return false;
        maps.used(name);
        this.take(o, length);
        return true;
      },
      refuse: (o) => {
        if (n[o] === e[o]) n[o] = e[o]! ^ 0xff;
      },
    };
  }

  private take(o: number, length: number): void {
    for (let i = o; i < o + length; i++) this.n[i] = this.e[i]!;
  }

  /** Maps a 16-bit field; true when the bytes differed and were accepted. */
  private map16(name: EquivalenceName, key: string, o: number): boolean {
    const [x, y] = [u16(this.e, o), u16(this.a, o)];
    return this.map(name, key, x, y, o, 2);
  }

  /** Maps a run of bytes; true when they differed and were accepted. */
  private mapBytes(name: EquivalenceName, key: string, o: number, length: number): boolean {
    const [x, y] = [hex(this.e, o, o + length), hex(this.a, o, o + length)];
    return this.map(name, key, x, y, o, length);
  }

  /** Equal values that contradict an earlier mapping are a difference too: the copy is made to show it. */
  private map<T extends string | number>(
    name: EquivalenceName,
    key: string,
    x: T,
    y: T,
    o: number,
    n: number,
  ): boolean {
    if (!this.maps.pair(name, key, x, y)) {
      if (x === y) this.n[o] = this.e[o]! ^ 0xff;
      return false;
    }
    if (x === y) return false;
    this.take(o, n);
    return true;
  }

  /** Accepts differing checksums at `o` when the test holds for both frames. */
  private checksum(o: number, dirty: boolean, valid: (b: Uint8Array) => boolean): void {
    if (!dirty || equalAt(this.e, o, this.a, o, 2)) return;
    if (!valid(this.e) || !valid(this.a)) return;
    this.maps.used('checksum');
    this.take(o, 2);
  }

  /** A part of a datagram: its checksums differ by exactly what the mapped bytes differ by, so both are right or wrong. */
  private evens(o: number, end: number): boolean {
    return fold(sum(this.e, o, end)) % 0xffff === fold(sum(this.a, o, end)) % 0xffff;
  }

  ether(o: number, end: number, depth: number): boolean {
    const { e, a } = this;
    if (end - o < 14 || u16(e, o + 12) !== u16(a, o + 12)) return false;
    const type = u16(e, o + 12);
    let dirty = this.mac(o);
    if (this.mac(o + 6)) dirty = true;
    if (type === 0x0806 && end - o >= 42) for (const at of [o + 22, o + 32]) if (this.mac(at)) dirty = true;
    if (type === 0x0800 && this.ip(o + 14, end, depth, false)) dirty = true;
    return dirty;
  }

  /** See the equivalence `mac`. */
  private mac(o: number): boolean {
    const { e, a, maps } = this;
    const { fixedMacs } = this.options;
    if (fixedMacs === undefined) {
      if ((e[o]! & a[o]! & 3) === 2 && !equalAt(e, o, a, o, 6)) maps.note = 'mac: mapped only on request (--macs)';
      return false;
    }
    const [x, y] = [macText(e, o), macText(a, o)];
    const free = (b: Uint8Array, text: string): boolean => (b[o]! & 3) === 2 && !fixedMacs.has(text);
    if (free(e, x) && free(a, y)) return this.map('mac', '', x, y, o, 6);
    if (x !== y && (e[o]! & a[o]! & 3) === 2) maps.note = 'mac: the Lab sets one of them';
    return false;
  }

  /** One IPv4 packet, perhaps `quoted` (and then perhaps cut short); true when a mapping changed any byte of it. */
  ip(o: number, end: number, depth: number, quoted: boolean): boolean {
    const { e, a } = this;
    if (depth >= MAX_DEPTH || end - o < ipv4.HLEN || e[o] !== a[o] || e[o]! >> 4 !== 4) return false;
    const hlen = ipv4.headerLen(e, o);
    const total = ipv4.totalLen(e, o);
    if (hlen < 20 || total < hlen || o + hlen > end || (!quoted && o + total > end)) return false;
    if (!equalAt(e, o + 2, a, o + 2, 2) || e[o + ipv4.PROTO] !== a[o + ipv4.PROTO]) return false;
    const proto = ipv4.proto(e, o);
    let dirty = false;
    // Mapped even when TTL or addresses differ, so that the field that is wrong is the one that is named.
    if (proto === ipv4.TCP && !ipv4.isFragment(e, o) && o + hlen + 4 <= end) {
      alignSyn(this.pair, this.maps.tcp, o, o + hlen, end);
      dirty = alignTcpId(this.pair, this.maps.tcp, o, o + hlen);
    } else if (ipv4.id(e, o) !== 0 && ipv4.id(a, o) !== 0) {
      dirty = this.map16('ip-id', `${proto}/${total}`, o + ipv4.ID);
    }
    if (this.timestamps(o + ipv4.HLEN, o + hlen)) dirty = true;
    // What an error quotes may have lost its checksum to an address that a router recorded in it.
    this.checksum(o + ipv4.CSUM, dirty, quoted ? () => this.evens(o, o + hlen) : (b) => ipv4.csumOk(b, o));
    if (!equalAt(e, o + 6, a, o + 6, 2) || !equalAt(e, o + 12, this.n, o + 12, hlen - 12)) return dirty;
    const at = o + hlen;
    const stop = Math.min(end, o + total);
    if ((ipv4.frag(e, o) & ipv4.OFFSET) !== 0) return dirty;
    const all = stop === o + total && !ipv4.isFragment(e, o);
    let inner = false;
    if (proto === ipv4.ICMP) inner = this.icmp(at, stop, all, depth);
    else if (proto === ipv4.IPIP) inner = this.ip(at, stop, depth + 1, quoted);
    else if (proto === ipv4.UDP) inner = this.l4(o, at, stop, all, 6, depth, quoted);
    else if (proto === ipv4.TCP) inner = this.l4(o, at, stop, all, 16, depth, quoted);
    return dirty || inner;
  }

  /** See the equivalence `ip-timestamp`; the options between `o` and `end`. */
  private timestamps(o: number, end: number): boolean {
    const { e, a, maps } = this;
    let dirty = false;
    for (let len = 1; o < end; o += len) {
      const kind = e[o]!;
      len = kind <= 1 ? 1 : (e[o + 1] ?? 0);
      if (kind === 0 || len < 1 || o + len > end || !equalAt(e, o, a, o, Math.min(4, len))) break;
      if (kind !== 68 || len < 4) continue;
      const step = (e[o + 3]! & 15) === 0 ? 4 : 8;
      let [before, last] = [0, 0];
      for (let at = o + step; at + 4 <= o + Math.min(len, e[o + 2]! - 1); at += step) {
        const [x, y] = [u32(e, at), u32(a, at)];
        if (x === 0 || y === 0 || !maps.sameTime(x, y)) break;
        // From hop to hop as in ping's own lines: it never falls, and takes no more than 30 ms longer than expected.
        if (last !== 0 && (y < last || Math.abs(y - last - (x - before)) > HOP_MS)) break;
        [before, last] = [x, y];
        if (x === y) continue;
        maps.used('ip-timestamp');
        this.take(at, 4);
        dirty = true;
      }
    }
    return dirty;
  }

  private icmp(o: number, end: number, whole: boolean, depth: number): boolean {
    const { e, a } = this;
    if (end - o < icmp.HLEN || !equalAt(e, o, a, o, 2)) return false;
    const type = icmp.type(e, o);
    let dirty = false;
    if (type === icmp.ECHO || type === icmp.ECHOREPLY) {
      const key = `${icmp.id(e, o)}/${icmp.seq(e, o)}`;
      dirty = this.map16('icmp-echo-id', '', o + icmp.ID);
      if (end - o >= icmp.HLEN + 16 && this.mapBytes('ping-timestamp', key, o + icmp.HLEN, 16)) dirty = true;
    } else if (icmp.isError(type)) dirty = this.ip(o + icmp.HLEN, end, depth + 1, true);
    this.checksum(o + icmp.CSUM, dirty, (b) => (whole ? icmp.csumOk(b, o, end) : this.evens(o, end)));
    return dirty;
  }

  /** UDP or TCP at `o` (the checksum at `o + cs`), in the IP packet at `ip`. */
  private l4(ip: number, o: number, end: number, whole: boolean, cs: number, depth: number, quoted: boolean): boolean {
    const { e, a } = this;
    if (end - o < 8) return false;
    const proto = ipv4.proto(e, ip);
    const tunnel = proto === ipv4.UDP && equalAt(e, o + 2, a, o + 2, 2) && this.isVxlan(o, end);
    let dirty = tunnel ? this.vxlanPort(o, end) : this.ports(proto, o);
    if (proto === ipv4.TCP && alignTcp(this.pair, this.maps.tcp, ip, o, end)) dirty = true;
    if (proto === ipv4.TCP && whole && this.isDns(o) && this.dnsStream(o, end)) dirty = true;
    if (proto === ipv4.UDP && whole && u16(e, o + 4) === u16(a, o + 4)) {
      if (this.isDns(o)) {
        if (this.dns(o + 8, end)) dirty = true;
      } else if (this.isVxlan(o, end)) {
        if (this.ether(o + 16, end, depth + 1)) dirty = true;
      }
    }
    const at = o + cs;
    if (at + 2 > end || u16(e, at) === u16(a, at)) return dirty;
    const length = ipv4.totalLen(e, ip) - ipv4.headerLen(e, ip);
    const start = (b: Uint8Array): number => pseudo(ipv4.src(b, ip), ipv4.dst(b, ip), proto, length);
    const valid = (b: Uint8Array): boolean => whole && u16(b, at) !== 0 && sum(b, o, end, start(b)) === 0xffff;
    const partial = u16(e, at) === start(e);
    const flow = `${proto} ${hex(e, ip + ipv4.DST, ip + ipv4.DST + 4)} ${hex(e, o, o + 4)}`;
    const apart = onesDifference(u16(e, at), u16(a, at));
    if (this.lo && partial && !quoted) this.maps.partialSums.set(flow, apart);
    const translated = quoted && this.maps.partialSums.get(flow) === apart;
    if ((((this.lo || quoted) && partial) || translated) && valid(a)) {
      this.maps.used('lo-partial-checksum');
      this.take(at, 2);
      return true;
    }
    // What an error quotes may have had its addresses and ports translated without its checksum (ip_vs_nat_icmp): wrong
    // in both runs, and by as much.
    const like = (b: Uint8Array): boolean => (u16(b, at) !== 0 || proto === ipv4.TCP) && this.evens(o, end);
    this.checksum(at, dirty, whole && !quoted ? valid : like);
    return dirty;
  }

  /** See the equivalence `port`: exactly one port may differ, and it must have been introduced as a source port. */
  private ports(proto: number, o: number): boolean {
    const { e, a, maps } = this;
    const same = [u16(e, o) === u16(a, o), u16(e, o + 2) === u16(a, o + 2)];
    const key = String(proto);
    for (const k of [0, 1]) if (same[k]) this.map16('port', key, o + 2 * k);
    if (same[0] === same[1]) return false;
    const at = same[0] ? o + 2 : o;
    const [x, y] = [u16(e, at), u16(a, at)];
    const [low, high] = this.options.natPorts === true ? [1024, 65535] : [32768, 60999];
    if (x < low || x > high || y < low || y > high) {
      maps.note = `port: mapped only within ${low}-${high}`;
      return false;
    }
    if (at !== o && !maps.known('port', key, x, y)) {
      maps.note = 'port: not seen as a source port before';
      return false;
    }
    return this.map16('port', key, at);
  }

  /** A VXLAN header with an Ethernet frame of IPv4 or ARP behind it, whatever the port: NAT may have changed that. */
  private isVxlan(o: number, end: number): boolean {
    const { e, a } = this;
    if (end - o < 8 + 8 + 14 || !equalAt(e, o + 8, a, o + 8, 8)) return false;
    if (u16(e, o + 8) !== 0x0800 || u16(e, o + 10) !== 0 || e[o + 15] !== 0) return false;
    return u16(e, o + 28) === 0x0800 || u16(e, o + 28) === 0x0806;
  }

  /** See the equivalence `vxlan-port`: the inner flow and its direction are the key. */
  private vxlanPort(o: number, end: number): boolean {
    const { e, a, maps } = this;
    const [x, y] = [u16(e, o), u16(a, o)];
    const ip = o + 8 + 8 + 14;
    let key = 'no IPv4';
    if (ip + ipv4.HLEN <= end && u16(e, ip - 2) === 0x0800) {
      const proto = ipv4.proto(e, ip);
      const th = ip + ipv4.headerLen(e, ip);
      const ports = !ipv4.isFragment(e, ip) && (proto === ipv4.UDP || proto === ipv4.TCP) && th + 4 <= end;
      key = `${proto} ${hex(e, ip + ipv4.SRC, ip + ipv4.SRC + 8)} ${ports ? hex(e, th, th + 4) : ''}`;
    }
    if (Math.min(x, y) < 32768 || Math.max(x, y) > 60999) {
      maps.note = 'vxlan-port: mapped only within 32768-60999';
      return false;
    }
    const dirty = this.map16('vxlan-port', key, o);
    if (maps.known('vxlan-port', key, x, y)) maps.tunnelPorts.add(`${x} ${y}`);
    return dirty;
  }

  /** One of the ports at `o` carries DNS, in both runs. */
  private isDns(o: number): boolean {
    const dns = this.options.dnsPorts ?? [53];
    const is = (p: number): boolean => u16(this.e, p) === u16(this.a, p) && dns.includes(u16(this.e, p));
    return is(o) || is(o + 2);
  }

  /** The messages that begin in a segment, each behind its length; the last one may go on in the next. */
  private dnsStream(o: number, end: number): boolean {
    const { e, a } = this;
    let dirty = false;
    let at = o + tcp.headerLen(e, o);
    // One question, as every message has: what goes on in the middle of one is not taken for another.
    while (at + 14 <= end && u16(e, at) === u16(a, at) && u16(e, at + 6) === 1) {
      if (this.dns(at + 2, Math.min(end, at + 2 + u16(e, at)))) dirty = true;
      at += 2 + u16(e, at);
    }
    return dirty;
  }

  private dns(o: number, end: number): boolean {
    const { e, a } = this;
    if (end - o < 12) return false;
    let at = o + 12;
    for (let i = u16(e, o + 4); i > 0 && at > 0; i--) at = this.name(at, end, 4);
    if (at < 0 || !equalAt(e, o + 2, a, o + 2, 2) || !equalAt(e, o + 4, a, o + 4, at - o - 4)) return false;
    let dirty = this.map16('dns-id', hex(e, o + 12, at), o);
    const records = u16(e, o + 6) + u16(e, o + 8) + u16(e, o + 10);
    for (let i = 0; i < records && at > 0; i++) {
      const r = this.name(at, end, 10);
      if (r < 0) break;
      const next = r + u16(e, r - 2);
      if (next > end) break;
      // OPT (RFC 6891), option 10: COOKIE
      for (let p = r; u16(e, r - 10) === 41 && p + 4 <= next; p += 4 + u16(e, p + 2)) {
        const cookie = u16(e, p) === 10 && u16(e, p + 2) >= 8 && p + 12 <= next && equalAt(e, p, a, p, 4);
        if (cookie && this.mapBytes('dns-cookie', '', p + 4, 8)) dirty = true;
      }
      at = next;
    }
    return dirty;
  }

  /** Offset after the name at `o` and `more` fixed bytes, or -1. */
  private name(o: number, end: number, more: number): number {
    const { e } = this;
    let at = o;
    while (at < end && e[at] !== 0 && e[at]! < 0xc0) at += 1 + e[at]!;
    at += at < end && e[at] !== 0 ? 2 : 1;
    return at + more <= end ? at + more : -1;
  }
}

/** How much longer one hop may take in one of the runs, ms. */
const HOP_MS = 30;

/** `x - y` of two checksum fields in ones' complement, never 0xffff. */
const onesDifference = (x: number, y: number): number => (x - y + 0xffff) % 0xffff;

/** The actual frame with every accepted equivalence written over by the expected bytes. Lengths must be equal. */
export function align(
  expected: Uint8Array,
  actual: Uint8Array,
  linktype: number,
  iface: string,
  maps: Mappings,
  options: EquivalenceOptions,
): Uint8Array {
  const n = actual.slice();
  const aligner = new Aligner(expected, actual, n, iface, maps, options);
  if (linktype === 1) aligner.ether(0, n.length, 0);
  else if (linktype === 101) aligner.ip(0, n.length, 0, false);
  return n;
}
