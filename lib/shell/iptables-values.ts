/**
 * Values of iptables' options: numbers, ports, addresses, names; and the words of a line.
 *
 * Errors are `RangeError`s with the text of iptables 1.8.9 where it has one.
 * @module
 */
import { aton, maskOf } from '../../wire/inet.js';

export const PROTOCOLS: Readonly<Record<string, number>> = {
  all: 0, icmp: 1, igmp: 2, ipencap: 4, ipip: 4, tcp: 6, udp: 17, gre: 47, esp: 50, ah: 51, ospf: 89, sctp: 132, udplite: 136,
}; // prettier-ignore
/** The names of iptables' -p; of several for one number, the one that it prints is first. */
export const RULE_PROTOCOLS: Readonly<Record<string, number>> = {
  ...PROTOCOLS, 'ipv6-icmp': 58, icmpv6: 58, 'mobility-header': 135, 'ipv6-mh': 135, mh: 135,
}; // prettier-ignore
/** The number of a protocol's name; undefined: it is none of `names`. */
export const protocolNumber = (names: Readonly<Record<string, number>>, name: string): number | undefined =>
  Object.hasOwn(names, name) ? names[name] : undefined;
export const CTSTATES = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'] as const;
/** --ctstatus and the bits of Conn.status. */
export const CTSTATUS = [['EXPECTED', 1], ['SEEN_REPLY', 2], ['ASSURED', 4], ['CONFIRMED', 8]] as const; // prettier-ignore
export const ADDRTYPES = [
  'UNSPEC', 'UNICAST', 'LOCAL', 'BROADCAST', 'ANYCAST', 'MULTICAST', 'BLACKHOLE', 'UNREACHABLE', 'PROHIBIT',
] as const; // prettier-ignore
export const TCP_FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'] as const;
export const ICMP_TYPES: Readonly<Record<string, readonly [number, number, number]>> = {
  any: [255, 0, 255], 'echo-reply': [0, 0, 255], pong: [0, 0, 255], 'destination-unreachable': [3, 0, 255],
  'network-unreachable': [3, 0, 0], 'host-unreachable': [3, 1, 1], 'protocol-unreachable': [3, 2, 2],
  'port-unreachable': [3, 3, 3], 'fragmentation-needed': [3, 4, 4], redirect: [5, 0, 255], 'echo-request': [8, 0, 255],
  ping: [8, 0, 255], 'time-exceeded': [11, 0, 255], 'ttl-exceeded': [11, 0, 255], 'parameter-problem': [12, 0, 255],
  'timestamp-request': [13, 0, 255], 'timestamp-reply': [14, 0, 255],
}; // prettier-ignore

/** Splits a line into words; double and single quotes and backslashes as iptables-restore understands them. */
export function splitLine(line: string): string[] {
  const words: string[] = [];
  let cur = '';
  let open = '';
  let any = false;
  for (let i = 0; i < line.length; i++) {
    const ch = line[i]!;
    if (ch === '\\' && open !== "'" && i + 1 < line.length) {
      cur += line[++i]!;
      any = true;
    } else if (open !== '') {
      if (ch === open) open = '';
      else cur += ch;
    } else if (ch === '"' || ch === "'") {
      open = ch;
      any = true;
    } else if (ch === ' ' || ch === '\t') {
      if (any) words.push(cur);
      cur = '';
      any = false;
    } else {
      cur += ch;
      any = true;
    }
  }
  if (open !== '') throw new RangeError('unterminated quoted string');
  if (any) words.push(cur);
  return words;
}

export function number(text: string, max = 0xffffffff): number {
  const n = /^(0x[0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(n <= max)) throw new RangeError(`invalid value "${text}" (expected a number up to ${max})`);
  return n;
}

/** `a.b.c.d[/len|/mask]` → address already masked, mask. */
export function address(text: string): [number, number] {
  const [a, m] = text.split('/') as [string, string?];
  const addr = aton(a);
  let mask: number | null = -1;
  if (m !== undefined) mask = /^\d+$/.test(m) && Number(m) <= 32 ? maskOf(Number(m)) : aton(m);
  if (mask === null) throw new RangeError(`invalid mask \`${m}' specified`);
  if (addr === null) throw new RangeError(`host/network \`${a}' not found`);
  return [addr & mask, mask];
}

export function port(text: string): number {
  const n = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(n <= 65535)) throw new RangeError(`invalid port/service \`${text}' specified`);
  return n;
}

export function ports(text: string, sep = ':'): [number, number] {
  const i = text.indexOf(sep);
  if (i < 0) {
    const p = port(text);
    return [p, p];
  }
  const lo = i === 0 ? 0 : port(text.slice(0, i));
  const hi = i === text.length - 1 ? 65535 : port(text.slice(i + 1));
  if (lo > hi) throw new RangeError(`invalid portrange (min > max): ${text}`);
  return [lo, hi];
}

export function protocol(text: string): number {
  const n = protocolNumber(RULE_PROTOCOLS, text.toLowerCase()) ?? (/^\d+$/.test(text) ? Number(text) : 256);
  if (n > 255) throw new RangeError(`unknown protocol "${text.toLowerCase()}" specified`);
  return n;
}

export function valueMask(text: string): [number, number] {
  const [v, m] = text.split('/') as [string, string?];
  return [number(v) | 0, m === undefined ? -1 : number(m) | 0];
}

export function bitsOfNames(text: string, names: readonly string[], what: string): number {
  let bits = 0;
  for (const w of text.split(',')) {
    const i = names.indexOf(w.toUpperCase());
    if (i < 0) throw new RangeError(`Bad ${what} "${w}"`);
    bits |= 1 << i;
  }
  return bits;
}

/** xtables_save_string: quoted unless every character is harmless. */
export function saveString(s: string): string {
  if (s !== '' && /^[A-Za-z0-9_\-]+$/.test(s)) return s;
  return `"${s.replace(/[\\"']/g, (c) => `\\${c}`)}"`;
}

const RATES = [['day', 864000000], ['hour', 36000000], ['min', 600000], ['sec', 10000]] as const; // prettier-ignore

/** A period in ten-thousandths of a second as the rate that -m limit prints (print_rate): the unit that loses nothing. */
export function limitRate(period: number): string {
  let i = 1;
  for (; i < RATES.length; i++)
    if (period > RATES[i]![1] || Math.floor(RATES[i]![1] / period) < RATES[i]![1] % period) break;
  const [name, mult] = RATES[i - 1]!;
  return `${Math.floor(mult / period)}/${name}`;
}

/** What iptables 1.8.9 has beyond what podwire does. */
const ELSEWHERE = {
  match:
    'ah bpf cgroup cluster connbytes connlabel connlimit cpu dccp devgroup ecn esp hashlimit helper ipcomp ipvs ' +
    'limit mac multiport nfacct osf physdev policy quota rateest realm recent sctp set socket ' +
    'statistic string time u32',
  target:
    'AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT ECN HMARK IDLETIMER LED LOG MARK MASQUERADE ' +
    'NFQUEUE NOTRACK RATEEST REDIRECT REJECT SECMARK SET SNAT SYNPROXY TCPOPTSTRIP TEE TPROXY TRACE ULOG',
} as const;

/** The refusal of an extension that was not found: iptables' own, or that podwire does not have it. */
export function unknownExtension(kind: 'match' | 'target', name: string): RangeError {
  if (ELSEWHERE[kind].split(' ').includes(name)) return new RangeError(`podwire: iptables: ${kind} ${name} is not supported yet`); // prettier-ignore
  return new RangeError(`Couldn't load ${kind} \`${name}':No such file or directory\n`);
}
