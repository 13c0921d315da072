/**
 * What iputils' `ping` prints of ICMP messages and IPv4 options (pr_icmph, pr_iph, pr_options).
 * @module
 */
import { i32, u16 } from '../../wire/bytes.js';
import * as icmp from '../../wire/icmp.js';
import { ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';

const UNREACHABLE = [
  'Destination Net Unreachable', 'Destination Host Unreachable', 'Destination Protocol Unreachable',
  'Destination Port Unreachable', 'Frag needed and DF set', 'Source Route Failed', 'Destination Net Unknown',
  'Destination Host Unknown', 'Source Host Isolated', 'Destination Net Prohibited', 'Destination Host Prohibited',
  'Destination Net Unreachable for Type of Service', 'Destination Host Unreachable for Type of Service', 'Packet filtered',
  'Precedence Violation', 'Precedence Cutoff',
]; // prettier-ignore
const REDIRECTS = ['Network', 'Host', 'Type of Service and Network', 'Type of Service and Host'];

/** How an address is printed: with its name where names are looked up. */
export type AddressText = (address: number) => string;

/** What an ICMP message says; `info` is the MTU, the gateway or the pointer. */
export function icmpText(type: number, code: number, info: number, name: AddressText): string {
  switch (type) {
    case icmp.DEST_UNREACH:
      if (code === icmp.FRAG_NEEDED) return `Frag needed and DF set (mtu = ${info >>> 0})`;
      return UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`;
    case icmp.SOURCE_QUENCH:
      return 'Source Quench';
    case icmp.REDIRECT: {
      const what = REDIRECTS[code] === undefined ? `Redirect, Bad Code: ${code}` : `Redirect ${REDIRECTS[code]}`;
      return `${what}(New nexthop: ${name(info)})`;
    }
    case icmp.TIME_EXCEEDED:
      if (code > 1) return `Time exceeded, Bad Code: ${code}`;
      return code === 0 ? 'Time to live exceeded' : 'Frag reassembly time exceeded';
    case icmp.PARAMETERPROB:
      return `Parameter problem: pointer = ${info}`;
    default:
      return `Bad ICMP type: ${type}`;
  }
}

/** An IPv4 header as -v prints it: 16-bit fields as they lie in a little-endian machine's memory. */
export function headerText(b: Uint8Array, o: number, options: OptionsText, name: AddressText): string {
  const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');
  const le = (at: number): number => b[o + at]! | (b[o + at + 1]! << 8);
  const frag = le(ipv4.FRAG);
  const ihl = b[o]! & 15;
  return (
    'Vr HL TOS  Len   ID Flg  off TTL Pro  cks      Src      Dst Data\n' +
    ` ${hex(b[o]! >> 4, 1)}  ${hex(ihl, 1)}  ${hex(b[o + 1]!, 2)} ${hex(le(ipv4.LEN), 4)} ${hex(le(4), 4)}` +
    `   ${hex(frag >> 13, 1)} ${hex(frag & 0x1fff, 4)}  ${hex(b[o + ipv4.TTL]!, 2)}  ${hex(b[o + ipv4.PROTO]!, 2)} ${hex(le(ipv4.CSUM), 4)}` +
    ` ${ntoa(ipv4.src(b, o))}  ${ntoa(ipv4.dst(b, o))} \n` +
    options.text(b.subarray(o + ipv4.HLEN), ihl * 4 - ipv4.HLEN, name)
  );
}

/** Addresses that the options of a message name, in the order in which they are printed. */
export function optionAddresses(d: Uint8Array, length: number): number[] {
  const list: number[] = [];
  new OptionsText(true).text(d, length, (a) => {
    list.push(a);
    return '';
  });
  return list;
}

/** Prints options; a route that came before is not told again. */
export class OptionsText {
  private route = new Uint8Array(0);
  /** -f: every route in full. */
  private readonly always: boolean;

  constructor(always: boolean) {
    this.always = always;
  }

  /** The options in the first `length` bytes of `d`. */
  text(d: Uint8Array, length: number, name: AddressText): string {
    let s = '';
    for (let o = 0; o < length;) {
      const kind = d[o]!;
      if (kind === 0) break;
      if (kind === 1) {
        s += '\nNOP';
        o++;
        continue;
      }
      const len = d[o + 1] ?? 0;
      if (len < 2 || len > length - o) break;
      if (kind === 131 || kind === 137) s += sourceRoute(d, o, name);
      else if (kind === 7) s += this.recordRoute(d, o, name);
      else if (kind === 68) s += timestamps(d, o, name);
      else s += `\nunknown option ${kind.toString(16)}`;
      o += len;
    }
    return s;
  }

  private recordRoute(d: Uint8Array, o: number, name: AddressText): string {
    const n = Math.min(d[o + 1]!, d[o + 2]!) - 4;
    if (n <= 0) return '';
    const now = d.slice(o + 2, o + 2 + n);
    if (!this.always && now.length === this.route.length && now.every((x, i) => x === this.route[i])) {
      return '\t(same route)';
    }
    this.route = now;
    let s = '\nRR: ';
    for (let at = 0; at < n; at += 4) s += `\t${hop(d, o + 3 + at, name)}\n`;
    return s;
  }
}

const hop = (d: Uint8Array, o: number, name: AddressText): string => (i32(d, o) === 0 ? '0.0.0.0' : name(i32(d, o)));

function sourceRoute(d: Uint8Array, o: number, name: AddressText): string {
  let s = `\n${d[o] === 137 ? 'S' : 'L'}SRR: `;
  for (let j = d[o + 1]!, at = o + 2; j > 4; j -= 4, at += 4) s += `\t${hop(d, at, name)}\n`;
  return s;
}

function timestamps(d: Uint8Array, o: number, name: AddressText): string {
  let left = Math.min(d[o + 1]!, d[o + 2]!) - 5;
  if (left <= 0) return '';
  const flags = d[o + 3]!;
  let s = '\nTS: ';
  let [standard, other] = [0, 0];
  for (let at = o + 4; left > 0;) {
    if ((flags & 15) !== 0) {
      s += `\t${hop(d, at, name)}`;
      at += 4;
      left -= 4;
      if (left <= 0) break;
    }
    const t = u16(d, at) * 0x10000 + u16(d, at + 2);
    at += 4;
    left -= 4;
    if (t >= 0x80000000) {
      const ms = t - 0x80000000;
      s += other === 0 ? `\t${ms} absolute not-standard` : `\t${ms - other} not-standard`;
      other = ms;
    } else {
      s += standard === 0 ? `\t${t} absolute` : `\t${t - standard}`;
      standard = t;
    }
    s += '\n';
  }
  return flags >> 4 === 0 ? s : `${s}Unrecorded hops: ${flags >> 4}\n`;
}
