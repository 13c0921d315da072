/**
 * One line per frame in the manner of `tcpdump -n`. Reads the bytes directly, so that printing needs no parser.
 * @module
 */
import * as arp from './arp.js';
import { u16, u32 } from './bytes.js';
import * as ethernet from './ethernet.js';
import * as icmp from './icmp.js';
import { macText, ntoa } from './inet.js';
import * as ipv4 from './ipv4.js';

const VXLAN_PORTS = [4789, 6784, 8472];
const MAX_DEPTH = 8;
const DNS_TYPES: Record<number, string> = {
  1: 'A', 2: 'NS', 5: 'CNAME', 6: 'SOA', 12: 'PTR', 15: 'MX', 16: 'TXT', 28: 'AAAA', 33: 'SRV', 41: 'OPT', 255: 'ANY',
}; // prettier-ignore
const RCODES = ['', ' FormErr', ' ServFail', ' NXDomain', ' NotImp', ' Refused'];

/** The line for a frame of link type 1 (Ethernet) or 101 (raw IP). Any bytes have a line. */
export function print(b: Uint8Array, linktype = 1): string {
  if (linktype === 101) return ip(b, 0, b.length, 0);
  if (linktype !== 1) return `link type ${linktype}, length ${b.length}`;
  return ether(b, 0, b.length, 0);
}

function ether(b: Uint8Array, o: number, end: number, depth: number): string {
  if (end - o < ethernet.HLEN) return `[|ether] length ${end - o}`;
  let type = ethernet.type(b, o);
  let at = o + ethernet.HLEN;
  let tag = '';
  if (type === ethernet.P_8021Q && end - at >= 4) {
    tag = `vlan ${u16(b, at) & 0xfff}, `;
    type = u16(b, at + 2);
    at += 4;
  }
  if (type === ethernet.P_IP) return tag + ip(b, at, end, depth);
  if (type === ethernet.P_ARP) return tag + arpLine(b, at, end);
  const from = macText(b, o + ethernet.SRC);
  const to = macText(b, o + ethernet.DST);
  return `${tag}${from} > ${to}, ethertype 0x${type.toString(16).padStart(4, '0')}, length ${end - o}`;
}

function arpLine(b: Uint8Array, o: number, end: number): string {
  if (arp.check(b, o, end) < 0) return `ARP [|arp] length ${end - o}`;
  const sip = ntoa(arp.sip(b, o));
  const tip = ntoa(arp.tip(b, o));
  if (arp.op(b, o) === arp.REQUEST) return `ARP who-has ${tip} tell ${sip}`;
  if (arp.op(b, o) === arp.REPLY) return `ARP reply ${sip} is-at ${macText(b, o + arp.SHA)}`;
  return `ARP op ${arp.op(b, o)} ${sip} > ${tip}`;
}

/** One IPv4 packet; `end` may cut it short, as in an ICMP error. */
function ip(b: Uint8Array, o: number, end: number, depth: number): string {
  if (end - o < ipv4.HLEN || b[o]! >> 4 !== 4) return `IP [|ip] length ${end - o}`;
  const hlen = ipv4.headerLen(b, o);
  const total = ipv4.totalLen(b, o);
  if (hlen < ipv4.HLEN || total < hlen) return `IP bad header length ${hlen}, total length ${total}`;
  const at = o + hlen;
  const stop = Math.min(end, o + total);
  const src = ntoa(ipv4.src(b, o));
  const dst = ntoa(ipv4.dst(b, o));
  const plain = `IP ${src} > ${dst}: `;
  const frag = ipv4.frag(b, o);
  const length = total - hlen;
  const proto = ipv4.proto(b, o);
  if (ipv4.isFragment(b, o)) {
    const more = frag & ipv4.MF ? '+' : '';
    return `${plain}frag id ${ipv4.id(b, o)} proto ${proto} (${length}@${(frag & ipv4.OFFSET) * 8}${more})`;
  }
  if (depth >= MAX_DEPTH || at > stop) return `${plain}proto ${proto}, length ${length}`;
  if (proto === ipv4.ICMP) return plain + icmpText(b, at, stop, depth);
  if (proto === ipv4.IPIP) return plain + ip(b, at, stop, depth + 1);
  if ((proto !== ipv4.UDP && proto !== ipv4.TCP) || stop - at < 8) return `${plain}proto ${proto}, length ${length}`;
  const head = `IP ${src}.${u16(b, at)} > ${dst}.${u16(b, at + 2)}: `;
  return head + (proto === ipv4.UDP ? udpText(b, at, stop, depth) : tcpText(b, at, stop, length));
}

function udpText(b: Uint8Array, o: number, end: number, depth: number): string {
  const length = u16(b, o + 4) - 8;
  if ((u16(b, o) === 53 || u16(b, o + 2) === 53) && end - o >= 20) return dnsText(b, o + 8, end, length);
  if (VXLAN_PORTS.includes(u16(b, o + 2)) && end - o > 16) {
    return `VXLAN, vni ${u32(b, o + 12) >>> 8}, ${ether(b, o + 16, end, depth + 1)}`;
  }
  return `UDP, length ${length}`;
}

/** `id+ A? name.` for a query, `id q: A? name. n/n/n` for a reply. */
function dnsText(b: Uint8Array, o: number, end: number, length: number): string {
  const flags = u16(b, o + 2);
  let at = o + 12;
  let name = '';
  while (at < end && b[at]! > 0 && b[at]! < 64 && at + 1 + b[at]! <= end) {
    for (let i = 1; i <= b[at]!; i++) name += printable(b[at + i]!);
    name += '.';
    at += b[at]! + 1;
  }
  const type = at + 3 <= end ? u16(b, at + 1) : 0;
  const question = u16(b, o + 4) > 0 ? `${DNS_TYPES[type] ?? `Type${type}`}? ${name || '.'}` : 'no question';
  if ((flags & 0x8000) === 0) return `${u16(b, o)}${flags & 0x100 ? '+' : ''} ${question} (${length})`;
  const rcode = RCODES[flags & 15] ?? ` rcode ${flags & 15}`;
  const counts = `${u16(b, o + 6)}/${u16(b, o + 8)}/${u16(b, o + 10)}`;
  const marks = `${flags & 0x400 ? '*' : ''}${flags & 0x200 ? '|' : ''}${flags & 0x80 ? '' : '-'}`;
  return `${u16(b, o)}${rcode}${marks} q: ${question} ${counts} (${length})`;
}

const printable = (c: number): string => (c > 32 && c < 127 ? String.fromCharCode(c) : '?');

const TCP_FLAGS: readonly (readonly [number, string])[] = [
  [2, 'S'],
  [1, 'F'],
  [4, 'R'],
  [8, 'P'],
  [32, 'U'],
  [64, 'E'],
  [128, 'W'],
  [16, '.'],
];

function tcpText(b: Uint8Array, o: number, end: number, length: number): string {
  if (end - o < 20) return 'tcp';
  const bits = b[o + 13]!;
  const flags = TCP_FLAGS.map(([bit, c]) => (bits & bit ? c : '')).join('') || 'none';
  const data = length - (b[o + 12]! >> 4) * 4;
  const seq = u32(b, o + 4);
  const range = data > 0 || bits & 7 ? `, seq ${seq}${data > 0 ? `:${(seq + data) >>> 0}` : ''}` : '';
  const ack = bits & 16 ? `, ack ${u32(b, o + 8)}` : '';
  return `Flags [${flags}]${range}${ack}, win ${u16(b, o + 14)}, length ${data}`;
}

const UNREACH: Record<number, string> = {
  0: 'net X unreachable',
  1: 'host X unreachable',
  9: 'net X unreachable - prohibited',
  10: 'host X unreachable - prohibited',
  13: 'host X unreachable - admin prohibited filter',
};

function icmpText(b: Uint8Array, o: number, end: number, depth: number): string {
  const length = end - o;
  if (length < icmp.HLEN) return `ICMP [|icmp] length ${length}`;
  const type = icmp.type(b, o);
  const code = icmp.code(b, o);
  if (type === icmp.ECHO || type === icmp.ECHOREPLY) {
    const what = type === icmp.ECHO ? 'request' : 'reply';
    return `ICMP echo ${what}, id ${icmp.id(b, o)}, seq ${icmp.seq(b, o)}, length ${length}`;
  }
  const q = o + icmp.HLEN;
  if (!icmp.isError(type) || end - q < ipv4.HLEN) return `ICMP type ${type} code ${code}, length ${length}`;
  const quoted = ` (${ip(b, q, end, depth + 1)})`;
  const to = ntoa(ipv4.dst(b, q));
  const what = (): string => {
    if (type === icmp.TIME_EXCEEDED) return code === 0 ? 'time exceeded in-transit' : 'ip reassembly time exceeded';
    if (type === icmp.REDIRECT) return `redirect ${to} to ${code === 1 ? 'host' : 'net'} ${ntoa(u32(b, o + 4) | 0)}`;
    if (type !== icmp.DEST_UNREACH) return `type ${type} code ${code}`;
    const l4 = q + ipv4.headerLen(b, q);
    const proto = ipv4.proto(b, q);
    if (code === icmp.PORT_UNREACH && l4 + 4 <= end) {
      const name = proto === ipv4.UDP ? 'udp' : proto === ipv4.TCP ? 'tcp' : `protocol ${proto}`;
      return `${to} ${name} port ${u16(b, l4 + 2)} unreachable`;
    }
    if (code === icmp.PROT_UNREACH) return `${to} protocol ${proto} unreachable`;
    if (code === icmp.FRAG_NEEDED) return `${to} unreachable - need to frag (mtu ${u16(b, o + 6)})`;
    return UNREACH[code]?.replace('X', to) ?? `${to} unreachable - code ${code}`;
  };
  return `ICMP ${what()}, length ${length}${quoted}`;
}
