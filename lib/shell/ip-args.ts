/**
 * What every part of `ip` and `bridge` needs: words one by one, values in iproute2's forms, its error texts.
 * @module
 */
import { macBytes, maskOf } from '../../wire/inet.js';
import type { Kernel } from '../linux/core/kernel.js';
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';

export interface CommandResult {
  exit: number;
  out: string;
  err: string;
}

/** Ends a command with a text on stderr and an exit code; `out` is what it had printed before. */
export class IpError extends Error {
  readonly exit: number;
  out = '';
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

export const fail = (message: string, exit = 255): never => {
  throw new IpError(message, exit);
};
/** A word that fits nowhere (duparg2). */
export const garbage = (word: string, key = 'dev'): never =>
  fail(`Error: either "${key}" is duplicate, or "${word}" is a garbage.`);
/** A value that cannot be read (invarg). */
export const wrong = (word: string, why: string): never => fail(`Error: argument "${word}" is wrong: ${why}`);
/** What podwire does not do, said instead of done halfway. */
export const unsupported = (what: string): never => fail(`podwire: "${what}" is not supported yet`);

/** Texts of strerror. */
const ERRORS = {
  EPERM: 'Operation not permitted', ENOENT: 'No such file or directory', ESRCH: 'No such process', EEXIST: 'File exists',
  ENODEV: 'No such device', EINVAL: 'Invalid argument', EOPNOTSUPP: 'Operation not supported', EBUSY: 'Device or resource busy',
  EADDRNOTAVAIL: 'Cannot assign requested address', ENETUNREACH: 'Network is unreachable', EHOSTUNREACH: 'No route to host',
  EACCES: 'Permission denied', EADDRINUSE: 'Address already in use', ERANGE: 'Numerical result out of range', ELOOP: 'Too many levels of symbolic links',
} as const; // prettier-ignore
export type Errno = keyof typeof ERRORS;
export const strerror = (e: Errno): string => ERRORS[e];
/** The kernel refused with a bare error number. */
export const rtnl = (e: Errno, exit = 2): never => fail(`RTNETLINK answers: ${ERRORS[e]}`, exit);
/** The kernel refused with words of its own (extack). */
export const extack = (text: string, exit = 2): never => fail(`Error: ${text}.`, exit);

/** Options before the object. */
export interface IpContext {
  readonly kernel: Kernel;
  readonly net: Netns;
  details: boolean;
  brief: boolean;
  oneline: boolean;
  inet: boolean;
  stats: boolean;
}

/** iproute2's abbreviations: any beginning of `full`. */
export const matches = (word: string, ...full: string[]): boolean =>
  word !== '' && full.some((f) => f.startsWith(word));

/** The words of a command, read from left to right. */
export class Words {
  private readonly list: readonly string[];
  private at = 0;

  constructor(list: readonly string[]) {
    this.list = list;
  }

  get more(): boolean {
    return this.at < this.list.length;
  }

  /** The next word, without taking it; empty at the end. */
  get peek(): string {
    return this.list[this.at] ?? '';
  }

  take(): string {
    return this.list[this.at++] ?? '';
  }

  /** The value of the option just taken. */
  value(): string {
    if (!this.more) fail('Command line is not complete. Try option "help"');
    return this.take();
  }

  /** Everything not taken yet. */
  rest(): string[] {
    return this.list.slice(this.at);
  }
}

/** The device of a name, or iproute2's complaint. */
export const device = (net: Netns, name: string): Netdev => net.dev(name) ?? fail(`Cannot find device "${name}"`, 1);

/** `a.b.c.d` or its beginning (`10.1`), the rest zero; null when it is none. */
function dotted(text: string): number | null {
  if (!/^\d{1,3}(\.\d{1,3}){0,3}$/.test(text)) return null;
  const parts = text.split('.').map(Number);
  if (parts.some((p) => p > 255)) return null;
  while (parts.length < 4) parts.push(0);
  return parts.reduce((a, p) => (a << 8) | p, 0);
}

export interface Prefix {
  addr: number;
  prefix: number;
}

/** `a.b.c.d[/len|/mask]`, `default`, `any` or `all` (get_prefix). */
export function prefix(text: string): Prefix {
  if (text === 'default' || text === 'any' || text === 'all') return { addr: 0, prefix: 0 };
  const bad = (): never => fail(`Error: any valid prefix is expected rather than "${text}".`, 1);
  const [a, len, more] = text.split('/') as [string, string?, string?];
  if (text.includes(':')) return unsupported(`IPv6 prefix ${text}`);
  const addr = dotted(a) ?? bad();
  if (more !== undefined) bad();
  if (len === undefined) return { addr, prefix: 32 };
  if (/^\d+$/.test(len) && Number(len) <= 32) return { addr, prefix: Number(len) };
  const mask = len.includes('.') ? dotted(len) : null;
  if (mask === null) return bad();
  const bits = Math.clz32(~mask);
  return maskOf(bits) === mask ? { addr, prefix: bits } : bad();
}

/** An address; `family` is the word of the message: any valid address, or an inet one. */
export function address(text: string, family: 'inet' | 'any valid' = 'inet'): number {
  const value = /^\d{1,3}(\.\d{1,3}){3}$/.test(text) ? dotted(text) : null;
  const what = family === 'inet' ? 'inet address' : 'any valid address';
  return value ?? fail(`Error: ${what} is expected rather than "${text}".`, 1);
}

export const lladdr = (text: string): Uint8Array => macBytes(text) ?? fail(`"${text}" is invalid lladdr.`, 1);

/** An unsigned number in C's forms (decimal, 0x…, 0…), or null. */
export function unsigned(text: string, max = 0xffffffff): number | null {
  if (!/^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.test(text)) return null;
  const n = /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return n <= max ? n : null;
}

/** `on` or `off` of `ip link`. */
export const onOff = (word: string, value: string): boolean => {
  if (value !== 'on' && value !== 'off') fail(`Error: argument of "${word}" must be "on" or "off", not "${value}"`, 1);
  return value === 'on';
};

/** Names of numbers as /etc/iproute2 has them. */
class Names {
  private readonly byName: ReadonlyMap<string, number>;
  private readonly byNumber: ReadonlyMap<number, string>;

  constructor(list: Readonly<Record<string, number>>) {
    this.byName = new Map(Object.entries(list));
    this.byNumber = new Map(Object.entries(list).map(([k, v]) => [v, k]));
  }

  number(text: string, max: number): number | null {
    return this.byName.get(text) ?? unsigned(text, max);
  }

  name(n: number): string {
    return this.byNumber.get(n) ?? String(n);
  }
}

/** IP protocols by name, as /etc/protocols has them. */
const IP_PROTOCOLS: Readonly<Record<string, number>> = {
  ip: 0, hopopt: 0, icmp: 1, igmp: 2, ggp: 3, ipencap: 4, st: 5, tcp: 6, egp: 8, igp: 9, pup: 12, udp: 17, hmp: 20, 'xns-idp':
  22, rdp: 27, 'iso-tp4': 29, dccp: 33, xtp: 36, ddp: 37, 'idpr-cmtp': 38, ipv6: 41, 'ipv6-route': 43, 'ipv6-frag': 44, idrp:
  45, rsvp: 46, gre: 47, esp: 50, ah: 51, skip: 57, 'ipv6-icmp': 58, 'ipv6-nonxt': 59, 'ipv6-opts': 60, rspf: 73, vmtp: 81,
  eigrp: 88, ospf: 89, 'ax.25': 93, ipip: 94, etherip: 97, encap: 98, pim: 103, ipcomp: 108, vrrp: 112, l2tp: 115, isis: 124,
  sctp: 132, fc: 133, 'mobility-header': 135, udplite: 136, 'mpls-in-ip': 137, manet: 138, hip: 139, shim6: 140, wesp: 141,
  rohc: 142, ethernet: 143
}; // prettier-ignore

/** An IP protocol's number from its name or number (inet_proto_a2n), null: neither. */
export const ipProtocol = (v: string): number | null =>
  unsigned(v, 255) ?? (Object.hasOwn(IP_PROTOCOLS, v) ? IP_PROTOCOLS[v]! : null);

/** Its name, or `ipproto-N` (inet_proto_n2a). */
export const ipProtocolName = (n: number): string =>
  Object.keys(IP_PROTOCOLS).find((k) => IP_PROTOCOLS[k] === n) ?? `ipproto-${n}`;

export const TABLES = new Names({ unspec: 0, default: 253, main: 254, local: 255 });
export const SCOPES = new Names({ global: 0, site: 200, link: 253, host: 254, nowhere: 255 });
export const PROTOS = new Names({
  unspec: 0, redirect: 1, kernel: 2, boot: 3, static: 4, gated: 8, ra: 9, mrt: 10, zebra: 11, bird: 12, dnrouted: 13,
  xorp: 14, ntk: 15, dhcp: 16, keepalived: 18, babel: 42, openr: 99, bgp: 186, isis: 187, ospf: 188, rip: 189, eigrp: 192,
}); // prettier-ignore

/** The protocol of a route or rule in the form that is printed; null when it is none. */
export function protocolName(text: string): string | null {
  const n = PROTOS.number(text, 255);
  return n === null ? null : PROTOS.name(n);
}

/** A TOS in hexadecimal, as iproute2 reads it; null when it is none. */
export function tosValue(text: string): number | null {
  const n = /^(0[xX])?[0-9a-fA-F]{1,2}$/.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  return n <= 255 ? n : null;
}
export const tosText = (tos: number): string => `0x${tos.toString(16).padStart(2, '0')}`;
