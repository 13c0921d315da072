/**
 * Flows of a datapath as text, both ways: `in_port(1),eth(src=…,dst=…)` and `set(tunnel(…)),2`.
 *
 * Upstream: Open vSwitch 3.1, lib/odp-util.c (odp_flow_from_string, odp_flow_format, odp_actions_from_string). Of the keys there are
 * in_port, tunnel and eth; of the actions output and set(tunnel).
 * @module
 */
import { aton, macBytes, macText, ntoa } from '../../wire/inet.js';
import type { Action } from '../linux/openvswitch/actions.js';
import { ETH, IN_PORT, newWords, TUN, TUN_PROTO, VLAN, type Words } from '../linux/openvswitch/flow-key.js';
import type { Flow } from '../linux/openvswitch/flow-table.js';
import { TUN_DST, TUN_FLAGS_TOS_TTL, TUN_ID, TUN_ID_HI, TUN_PORTS, TUN_SRC, TUN_WORDS, TUNNEL_CSUM, TUNNEL_DONT_FRAGMENT, TUNNEL_KEY } from '../linux/tunnel/tunnel-info.js'; // prettier-ignore

/** The text cannot be read: `rest` is what stands where reading ended. */
export class OdpSyntaxError extends Error {
  readonly rest: string;
  constructor(rest: string) {
    super(`syntax error at ${rest}`);
    this.rest = rest;
  }
}

/** What the kernel refuses with EINVAL, though the program could read it. */
export class OdpInvalid extends Error {}

/** What Open vSwitch has and podwire has not. */
export class OdpUnsupported extends Error {}

export interface Match {
  key: Words;
  mask: Words;
}

const KEYS = [
  'recirc_id', 'skb_priority', 'skb_mark', 'dp_hash', 'ct_state', 'ct_zone', 'ct_mark', 'ct_label', 'ct_tuple4', 'ct_tuple6', 'vlan', 'eth_type', 'mpls',
  'ipv4', 'ipv6', 'tcp', 'tcp_flags', 'udp', 'sctp', 'icmp', 'icmpv6', 'arp', 'nd', 'nd_ext', 'packet_type', 'nsh', 'encap',
]; // prettier-ignore
const ACTIONS = [
  'lb_output', 'trunc', 'recirc', 'userspace', 'push_vlan', 'pop_vlan', 'meter', 'sample', 'clone', 'push_nsh', 'pop_nsh', 'tnl_pop', 'ct',
  'ct_clear', 'tnl_push', 'push_eth', 'pop_eth', 'check_pkt_len', 'hash', 'push_mpls', 'pop_mpls', 'add_mpls',
]; // prettier-ignore
const NUMBER = /^[+-]?(?:0[xX][0-9a-fA-F]+|\d+)/;
const MAC = /^[0-9a-fA-F]{1,2}(?::[0-9a-fA-F]{1,2}){5}/;
const IP = /^\d{1,3}(?:\.\d{1,3}){3}/;

/** Bits of `flags(…)` in the order in which they are printed (FLOW_TNL_F_*), and the kernel's; `oam` is Geneve's. */
const FLAGS: readonly (readonly [string, number])[] = [['df', TUNNEL_DONT_FRAGMENT], ['csum', TUNNEL_CSUM], ['key', TUNNEL_KEY]]; // prettier-ignore
const ALL_FLAGS = FLAGS.reduce((n, [, bit]) => n | bit, 0);

/** Reads a text from left to right (ovs_scan). */
class Scanner {
  private readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get rest(): string {
    return this.text.slice(this.at);
  }

  get char(): string {
    return this.text[this.at] ?? '';
  }

  eat(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  /** What stands here of a form, or null. */
  scan(form: RegExp): string | null {
    const m = form.exec(this.rest);
    if (m === null) return null;
    this.at += m[0].length;
    return m[0];
  }

  skip(): void {
    while (this.char !== '' && ', \t\r\n'.includes(this.char)) this.at++;
  }
}

/** Raised within an attribute, whose beginning the message names. */
class Bad extends Error {}
const bad = (): never => {
  throw new Bad();
};

/** `VALUE[/MASK]` of one form: both in the words that `read` makes of a text. */
function masked<T>(s: Scanner, form: RegExp, read: (t: string) => T | null, all: T): { value: T; mask: T } {
  const text = s.scan(form);
  const value = text === null ? null : read(text);
  if (value === null) return bad();
  const before = s.at;
  if (s.eat('/')) {
    const m = s.scan(form);
    const mask = m === null ? null : read(m);
    if (mask !== null) return { value, mask };
    s.at = before;
  }
  return { value, mask: all };
}

const big = (t: string): bigint => BigInt.asUintN(64, /^[+-]/.test(t) ? (t[0] === '-' ? -BigInt(t.slice(1)) : BigInt(t.slice(1))) : BigInt(t)); // prettier-ignore
const number = (bits: number) => (s: Scanner): { value: number; mask: number } => {
  const limit = 2 ** bits - 1;
  return masked(s, NUMBER, (t) => Number(BigInt.asUintN(bits, big(t))), limit);
}; // prettier-ignore
const u8 = number(8);
const u16 = number(16);
const u32 = number(32);

/** The members of `NAME(member=value,…)` behind its parenthesis; each has its reader. */
function members(s: Scanner, readers: Readonly<Record<string, () => void>>): void {
  for (;;) {
    const name = Object.keys(readers).find((k) => s.eat(k));
    if (name !== undefined) readers[name]!();
    if (s.eat(')')) return;
    if (name === undefined || !s.eat(',')) bad();
  }
}

/** A 32-bit member of a tunnel key, in a word of its own or a part of one. */
function put(m: Match, word: number, shift: number, v: { value: number; mask: number }): void {
  m.key[TUN + word]! |= v.value << shift;
  m.mask[TUN + word]! |= v.mask << shift;
}

interface TunnelRead {
  ttl: boolean;
  flags: boolean;
}

/** `tunnel(`, read already, up to its `)`. */
function tunnelKey(s: Scanner, m: Match, names: TunnelRead): void {
  const ip = (word: number) => () => put(m, word, 0, masked(s, IP, aton, -1));
  const flag = (n: number): void => put(m, TUN_FLAGS_TOS_TTL, 16, { value: n, mask: n });
  m.key[TUN_PROTO] = 1;
  m.mask[TUN_PROTO] = -1;
  members(s, {
    'tun_id=': () => {
      const { value, mask } = masked(s, NUMBER, big, 0xffffffffffffffffn);
      put(m, TUN_ID_HI, 0, { value: Number(value >> 32n), mask: Number(mask >> 32n) });
      put(m, TUN_ID, 0, { value: Number(value & 0xffffffffn), mask: Number(mask & 0xffffffffn) });
      flag(TUNNEL_KEY);
    },
    'src=': ip(TUN_SRC),
    'dst=': ip(TUN_DST),
    'tos=': () => put(m, TUN_FLAGS_TOS_TTL, 8, u8(s)),
    'ttl=': () => {
      names.ttl = true;
      put(m, TUN_FLAGS_TOS_TTL, 0, u8(s));
    },
    'tp_src=': () => put(m, TUN_PORTS, 16, u16(s)),
    'tp_dst=': () => put(m, TUN_PORTS, 0, u16(s)),
    'flags(': () => {
      names.flags = true;
      tunnelFlags(s, m);
    },
  });
}

/** `df|csum|key`, `+key-df` or nothing, up to the parenthesis. */
function tunnelFlags(s: Scanner, m: Match): void {
  const bit = (name: string): number => FLAGS.find(([n]) => n === name)?.[1] ?? bad();
  if (s.char === '+' || s.char === '-') {
    while (!s.eat(')')) {
      const set = s.scan(/^[+-]/) ?? bad();
      const b = bit(s.scan(/^[a-z]+/) ?? bad());
      put(m, TUN_FLAGS_TOS_TTL, 16, { value: set === '+' ? b : 0, mask: b });
    }
    return;
  }
  const text = s.scan(/^[a-z|]*/)!;
  const value = text === '' ? 0 : text.split('|').reduce((n, name) => n | bit(name), 0);
  // That there is a key follows from tun_id (tun_flags_to_attr).
  put(m, TUN_FLAGS_TOS_TTL, 16, { value: value & ~TUNNEL_KEY, mask: ALL_FLAGS & ~TUNNEL_KEY });
  if (!s.eat(')')) bad();
}

function ethKey(s: Scanner, m: Match): void {
  const mac = (word: number, half: number) => (): void => {
    const { value, mask } = masked(s, MAC, macBytes, new Uint8Array(6).fill(0xff));
    const write = (w: Words, b: Uint8Array): void => {
      for (let i = 0; i < 6; i++) {
        const at = half * 6 + i;
        w[word + (at >> 2)]! |= b[i]! << (24 - (at & 3) * 8);
      }
    };
    write(m.key, value);
    write(m.mask, mask);
  };
  members(s, { 'src=': mac(ETH, 0), 'dst=': mac(ETH, 1) });
}

/** One attribute (parse_odp_key_mask_attr). */
function attribute(s: Scanner, m: Match, ports: ReadonlyMap<string, number>): void {
  const start = s.rest;
  const single = (v: { value: number; mask: number }): number => (s.eat(')') ? v.value : bad());
  if (s.eat('in_port(')) {
    const name = /^[^)]*/.exec(s.rest)![0];
    const known = NUMBER.test(name) ? undefined : ports.get(name);
    if (known !== undefined) s.eat(name);
    const v = known === undefined ? u32(s) : { value: known, mask: 0xffffffff };
    const no = single(v);
    if (v.mask === 0) return;
    if (no >= 65535) throw new OdpInvalid();
    m.key[IN_PORT] = no;
    m.mask[IN_PORT] = -1;
  } else if (s.eat('tunnel(')) {
    const names = { ttl: false, flags: false };
    tunnelKey(s, m, names);
    if (!names.ttl || m.key[TUN + TUN_DST] === 0) throw new OdpInvalid();
  } else if (s.eat('eth(')) ethKey(s, m);
  else {
    const name = /^([a-z_0-9]+)\(/.exec(start)?.[1];
    if (name !== undefined && KEYS.includes(name)) throw new OdpUnsupported(name);
    bad();
  }
}

/** A flow's key and mask. `ports`: numbers by name. Throws OdpSyntaxError, OdpInvalid or OdpUnsupported. */
export function parseFlow(text: string, ports: ReadonlyMap<string, number>): Match {
  const s = new Scanner(text);
  const m: Match = { key: newWords(), mask: newWords() };
  m.mask[VLAN] = -1;
  let ethernet = false;
  for (;;) {
    s.skip();
    if (s.char === '') break;
    const { rest } = s;
    ethernet ||= rest.startsWith('eth(');
    try {
      attribute(s, m, ports);
    } catch (e) {
      if (e instanceof Bad) throw new OdpSyntaxError(rest);
      throw e;
    }
  }
  // Every flow of Ethernet frames says so (match_validate).
  if (!ethernet) throw new OdpInvalid();
  return m;
}

/** Actions, the empty list for an empty text: drop. Throws OdpSyntaxError, OdpInvalid or OdpUnsupported. */
export function parseActions(text: string): Action[] {
  // An action of its own since Linux 6.7; before that, to drop is to do nothing.
  if (text.toLowerCase() === 'drop') throw new OdpInvalid();
  const s = new Scanner(text);
  const out: Action[] = [];
  for (;;) {
    s.skip();
    if (s.char === '') return out;
    const { rest } = s;
    try {
      out.push(action(s));
    } catch (e) {
      if (e instanceof Bad) throw new OdpSyntaxError(rest);
      throw e;
    }
    if (s.char !== '' && !', \t\r\n'.includes(s.char)) throw new OdpSyntaxError(rest);
  }
}

function action(s: Scanner): Action {
  const { rest } = s;
  const port = s.scan(NUMBER);
  if (port !== null) {
    const no = Number(BigInt.asUintN(32, big(port)));
    if (no >= 65535) throw new OdpInvalid();
    return { output: no };
  }
  if (s.eat('set(tunnel(')) {
    const m: Match = { key: newWords(), mask: newWords() };
    const names = { ttl: false, flags: false };
    tunnelKey(s, m, names);
    if (!s.eat(')')) bad();
    // Without flags(…) key and mask are of one size, and the program makes a masked action of it, which the kernel refuses.
    if (!names.flags || !names.ttl || m.key[TUN + TUN_DST] === 0) throw new OdpInvalid();
    return { tunnel: m.key.slice(TUN, TUN + TUN_WORDS) };
  }
  const name = /^(set\([a-z_0-9]+|[a-z_]+)/.exec(rest)?.[1]?.replace('set(', 'set ');
  if (name !== undefined && (ACTIONS.includes(name) || KEYS.includes(name.slice(4)) || name === 'set eth'))
    throw new OdpUnsupported(name);
  return bad();
}

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
const slash = (mask: number, all: number, text: string): string => (mask === all ? '' : `/${text}`);

/** `name=value[/mask],` of a member that is matched, or of an action's (`mask` null). */
function member(name: string, word: number, mask: number | null, all: number, text: (n: number) => string, masks = text): string {
  return mask === 0 ? '' : `${name}=${text(word)}${mask === null ? '' : slash(mask, all, masks(mask))},`;
} // prettier-ignore

/** The members of a tunnel key in the kernel's order (ip_tun_to_nlattr); `mask` null: an action's, where what is zero is absent. */
function tunnelText(w: Int32Array, mask: Int32Array | null): string {
  const id = (x: Int32Array): bigint => (BigInt(x[TUN_ID_HI]! >>> 0) << 32n) | BigInt(x[TUN_ID]! >>> 0);
  const part = (word: number, shift: number, bits: number, x: Int32Array): number => (x[word]! >>> shift) & (2 ** bits - 1);
  const dec = String;
  const small = (name: string, word: number, shift: number, bits: number, text: (n: number) => string): string => {
    const v = part(word, shift, bits, w);
    if (v === 0 && mask === null && name !== 'ttl') return '';
    return member(name, v, mask === null ? null : part(word, shift, bits, mask), 2 ** bits - 1, text, hex);
  };
  const ip = (name: string, word: number): string =>
    w[word] === 0 ? '' : member(name, w[word]!, mask === null ? null : mask[word]!, -1, ntoa);
  const flags = (x: Int32Array): number => x[TUN_FLAGS_TOS_TTL]! >>> 16;
  const ids = mask === null ? (flags(w) & TUNNEL_KEY) !== 0 : id(mask) !== 0n;
  const all = 0xffffffffffffffffn;
  const idMask = mask === null || id(mask) === all ? '' : `/0x${id(mask).toString(16)}`;
  return (
    (ids ? `tun_id=0x${id(w).toString(16)}${idMask},` : '') +
    ip('src', TUN_SRC) +
    ip('dst', TUN_DST) +
    small('tos', TUN_FLAGS_TOS_TTL, 8, 8, hex) +
    small('ttl', TUN_FLAGS_TOS_TTL, 0, 8, dec) +
    small('tp_src', TUN_PORTS, 16, 16, dec) +
    small('tp_dst', TUN_PORTS, 0, 16, dec) +
    flagsText(flags(w), mask === null ? null : flags(mask))
  );
} // prettier-ignore

/** format_tun_flags. */
function flagsText(value: number, mask: number | null): string {
  const set = FLAGS.filter(([, b]) => (value & b) !== 0).map(([n]) => n).join('|'); // prettier-ignore
  if (mask === null) return `flags(${set === '' ? '0' : set})`;
  if (mask === 0) return '';
  return `flags(${FLAGS.filter(([, b]) => (mask & b) !== 0).map(([n, b]) => `${(value & b) !== 0 ? '+' : '-'}${n}`).join('')})`; // prettier-ignore
}

function macMember(name: string, key: Words, mask: Words, half: number): string {
  const bytes = (w: Words): Uint8Array =>
    Uint8Array.from({ length: 6 }, (_, i) => w[ETH + ((half * 6 + i) >> 2)]! >>> (24 - ((half * 6 + i) & 3) * 8));
  const m = bytes(mask);
  if (m.every((x) => x === 0)) return '';
  return `${name}=${macText(bytes(key))}${m.every((x) => x === 0xff) ? '' : `/${macText(m)}`},`;
}

const chomp = (s: string): string => s.replace(/,$/, '');

/** A flow's key as `dump-flows` prints it (odp_flow_format). */
export function keyText(flow: Flow): string {
  const { unmasked: key, mask } = flow;
  const m = mask.words;
  const out: string[] = [];
  const tun = (w: Words): Int32Array => w.subarray(TUN, TUN + TUN_WORDS);
  if (key[TUN_PROTO] !== 0) out.push(`tunnel(${chomp(tunnelText(tun(key), tun(m)))})`);
  if (m[IN_PORT] !== 0) out.push(`in_port(${key[IN_PORT]})`);
  out.push(`eth(${chomp(macMember('src', key, m, 0) + macMember('dst', key, m, 1))})`);
  // That no Ethernet type is asked for (ETH_P_802_2 under an empty mask).
  out.push('eth_type(0/0x0000)');
  return out.join(',');
}

/** Actions as `dump-flows` prints them (format_odp_actions). */
export const actionsText = (actions: readonly Action[]): string =>
  actions.length === 0
    ? 'drop'
    : actions.map((a) => ('tunnel' in a ? `set(tunnel(${tunnelText(a.tunnel, null)}))` : String(a.output))).join(',');

/** A flow in one line, without its statistics. */
export const flowText = (flow: Flow): string => `${keyText(flow)} → ${actionsText(flow.actions)}`;

/** dpif_flow_stats_format: `now` in ns. */
export function statsText(flow: Flow, now: number): string {
  const used = flow.used < 0 ? 'never' : `${((now - flow.used) / 1e9).toFixed(3)}s`;
  const letters = 'S2F1P8R4U32.16E64C128N256'.match(/\D\d+/g)!;
  const flags = letters.filter((l) => (flow.tcpFlags & Number(l.slice(1))) !== 0).map((l) => l[0]).join(''); // prettier-ignore
  return `packets:${flow.packets}, bytes:${flow.bytes}, used:${used}${flags === '' ? '' : `, flags:${flags}`}`;
}
