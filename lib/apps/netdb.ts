/**
 * Names and addresses as glibc's programs look them up: getaddrinfo, gethostbyname2, gethostbyaddr over "hosts: files dns"
 * (nss/files-hosts, resolv/nss_dns, sysdeps/posix/getaddrinfo.c; glibc 2.36, IPv6 disabled in the kernel).
 * @module
 */
import { dataName, type DnsMessage, plainData, TYPE } from '../../wire/dns.js';
import { addressBytes, addressText, aton6 } from '../../wire/inet6.js';
import { Flow } from '../linux/ipv4/flow.js';
import { isErr, routeOutput } from '../linux/ipv4/route.js';
import type { Proc } from './program.js';
import { type Status, type StubResolver, typeOf } from './resolver.js';

export interface Host {
  canonical: string;
  aliases: string[];
  addresses: Uint8Array[];
}
/** `host` is null unless the status is `ok`. */
export type HostFound = (status: Status, host: Host | null) => void;

/** int32 of what inet_aton takes: one to four parts, decimal, octal or hexadecimal; null for anything else. */
export function inetAton(text: string): number | null {
  const parts = text.split('.');
  if (parts.length > 4 || !parts.every((x) => /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.test(x))) return null;
  const nums = parts.map((x) => (/^0[0-7]+$/.test(x) ? Number.parseInt(x, 8) : Number(x)));
  const last = nums.pop()!;
  if (nums.some((n) => n > 255) || last >= 256 ** (4 - nums.length)) return null;
  return nums.reduce((a, n, i) => a | (n << (24 - 8 * i)), 0) | last;
}

const v4 = (a: number): Uint8Array => Uint8Array.of(a >>> 24, (a >>> 16) & 255, (a >>> 8) & 255, a & 255);

/** Lines of /etc/hosts as [address, names]. */
function hostsLines(p: Proc): [Uint8Array, string[]][] {
  const out: [Uint8Array, string[]][] = [];
  for (const line of (p.files.read('/etc/hosts') ?? '').split('\n')) {
    const [ip = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const a = addressBytes(ip);
    if (a !== null && names.length > 0) out.push([a, names]);
  }
  return out;
}

/** An IPv6 line as one of IPv4 (nss/nss_files/files-hosts.c): ::1 is 127.0.0.1, a mapped address the one in it; null: none. */
function asV4(a: Uint8Array): Uint8Array | null {
  if (a.length === 4) return a;
  const head = a.subarray(0, 10).every((x) => x === 0);
  if (head && a[10] === 0xff && a[11] === 0xff) return a.slice(12);
  return head && a[10] === 0 && a[11] === 0 && a[12] === 0 && a[13] === 0 && a[14] === 0 && a[15] === 1
    ? v4(0x7f000001)
    : null;
}

/** /etc/hosts with `multi on`: the addresses of every line that names `name`, the names of all of them. */
function fromFiles(p: Proc, name: string, length: number): Host | null {
  const wanted = name.replace(/\.$/, '').toLowerCase();
  let host: Host | null = null;
  for (const [address, names] of hostsLines(p)) {
    const a = length === 4 ? asV4(address) : address;
    if (a === null || a.length !== length || !names.some((n) => n.toLowerCase() === wanted)) continue;
    if (host === null) host = { canonical: names[0]!, aliases: names.slice(1), addresses: [a] };
    else {
      host.addresses.push(a);
      host.aliases.push(...names);
    }
  }
  return host;
}

/** Addresses of one type in a reply, with the names passed on the way. */
function hostOf(m: DnsMessage, type: number): Host {
  const bare = (n: string): string => n.replace(/\.$/, '');
  let canonical = bare(m.question[0]!.name);
  const aliases: string[] = [];
  for (const r of m.answer) {
    if (r.type !== TYPE.CNAME) continue;
    aliases.push(canonical);
    canonical = bare(dataName(r) ?? '.');
  }
  return { canonical, aliases, addresses: m.answer.filter((r) => r.type === type).map(plainData) };
}

/** `gethostbyname2`: one family, /etc/hosts before DNS. */
export function getHostByName(p: Proc, r: StubResolver, name: string, family: 4 | 6, done: HostFound): void {
  if (r.libc === 'musl') return getAddrInfo(p, r, name, [family], done);
  if (/^[0-9][0-9.]*$/.test(name) && !name.endsWith('.')) {
    const a = family === 4 ? inetAton(name) : null;
    return a === null ? done('notfound', null) : done('ok', { canonical: name, aliases: [], addresses: [v4(a)] });
  }
  const local = fromFiles(p, name, family === 4 ? 4 : 16);
  if (local !== null) return done('ok', local);
  r.search(name, [typeOf(family)], (status, [m]) => {
    const host = status === 'ok' ? hostOf(m!, typeOf(family)) : null;
    if (host !== null && host.addresses.length === 0) done('nodata', null);
    else done(status, host);
  });
}

/** `gethostbyaddr`: /etc/hosts before a PTR query. */
export function getHostByAddr(p: Proc, r: StubResolver, address: Uint8Array, done: HostFound): void {
  const text = addressText(address);
  const line = hostsLines(p).find(([a]) => addressText(a) === text);
  if (line !== undefined) {
    return done('ok', { canonical: line[1][0]!, aliases: line[1].slice(1), addresses: [address] });
  }
  r.search(reverseName(address), [TYPE.PTR], (status, [m]) => {
    const names = status === 'ok' ? m!.answer.filter((x) => x.type === TYPE.PTR).map((x) => dataName(x) ?? '.') : [];
    const [canonical, ...aliases] = names.map((n) => n.replace(/\.$/, ''));
    if (canonical === undefined) return done(status === 'ok' ? 'nodata' : status, null);
    done('ok', { canonical, aliases, addresses: [address] });
  });
}

/** The name under in-addr.arpa or ip6.arpa, with its final dot. */
export function reverseName(address: Uint8Array): string {
  if (address.length === 4) return `${Array.from(address).reverse().join('.')}.in-addr.arpa.`;
  const nibbles = Array.from(address, (x) => [x >> 4, x & 15]).flat();
  return `${nibbles.reverse().map((x) => x.toString(16)).join('.')}.ip6.arpa.`; // prettier-ignore
}

/**
 * `getaddrinfo`: `families` [4, 6] asks for A and AAAA together; with AI_ADDRCONFIG and no IPv6 address it is [4].
 * IPv4 and IPv6 addresses come sorted as they would be tried (RFC 3484).
 */
export function getAddrInfo(
  p: Proc,
  r: StubResolver,
  name: string,
  families: readonly (4 | 6)[],
  done: HostFound,
): void {
  const a = inetAton(name);
  const numeric = a !== null ? v4(a) : aton6(name);
  if (numeric !== null) {
    const fits = families.includes(numeric.length === 4 ? 4 : 6);
    return fits ? done('ok', { canonical: name, aliases: [], addresses: [numeric] }) : done('notfound', null);
  }
  const local = families.map((f) => fromFiles(p, name, f === 4 ? 4 : 16)).filter((h) => h !== null);
  if (local.length > 0) {
    return done('ok', {
      ...local[0]!,
      addresses: ordered(
        p,
        r,
        local.flatMap((h) => h.addresses),
      ),
    });
  }
  ask(r, name, families, FIRST_BUFFER, (status, messages) => {
    if (status !== 'ok') return done(status, null);
    const hosts = families.flatMap((f) => messages.map((m) => hostOf(m, typeOf(f))));
    const addresses = ordered(
      p,
      r,
      hosts.flatMap((h) => h.addresses),
    );
    const named = hosts.find((h) => h.addresses.length > 0);
    if (named === undefined) done('nodata', null);
    else done('ok', { ...named, addresses });
  });
}

/** Bytes that getaddrinfo gives nss_dns for the result at first; twice as many at each further try. */
const FIRST_BUFFER = 1024;
const ADDRTUPLE = 40;

/** Searches again, from the start and over the network, as long as the result of A and AAAA does not fit the buffer (ERANGE). */
function ask(
  r: StubResolver,
  name: string,
  families: readonly (4 | 6)[],
  buffer: number,
  done: (status: Status, messages: DnsMessage[]) => void,
): void {
  r.search(name, families.map(typeOf), (status, messages) => {
    if (r.libc === 'glibc' && status === 'ok' && families.length > 1 && tupleBytes(messages) > buffer)
      ask(r, name, families, 2 * buffer, done);
    else done(status, messages);
  });
}

/** What gethostbyname4_r stores: the name asked for and those it stands for, and a gaih_addrtuple for each address. */
function tupleBytes(messages: readonly DnsMessage[]): number {
  const records = messages.flatMap((m) => m.answer);
  const size = (text: string): number => Math.max(1, text.length - 1) + 1;
  const first = records[0];
  let names = first === undefined ? 0 : size(first.name);
  for (const x of messages[0]?.answer ?? []) if (x.type === TYPE.CNAME) names += size(dataName(x) ?? '.');
  const addresses = records.filter((x) => x.type === TYPE.A || x.type === TYPE.AAAA).length;
  return ((names + 7) & ~7) + ADDRTUPLE * addresses;
}

/** musl leaves IPv4 addresses in the order of the answer when there are no others. */
function ordered(p: Proc, r: StubResolver, list: Uint8Array[]): Uint8Array[] {
  return r.libc === 'musl' && list.every((b) => b.length === 4) ? list : sort(p, list);
}

/** RFC 3484 as getaddrinfo applies it: reachable first, then those of their source's scope, then of the smaller scope. */
function sort(p: Proc, list: Uint8Array[]): Uint8Array[] {
  if (list.length < 2) return list;
  const scope = (a: number): number => (a >>> 24 === 127 || a >>> 16 === 0xa9fe ? 2 : 14);
  const keyed = list.map((bytes) => {
    if (bytes.length !== 4) return { bytes, key: [1, 0, 0] };
    const to = bytes.reduce((x, y) => (x << 8) | y, 0);
    const fl = new Flow().to(to, 0);
    const unreachable = isErr(routeOutput(p.net, fl));
    const src = fl.saddr;
    return { bytes, key: [unreachable ? 1 : 0, !unreachable && scope(src) !== scope(to) ? 1 : 0, scope(to)] };
  });
  keyed.sort((x, y) => x.key[0]! - y.key[0]! || x.key[1]! - y.key[1]! || x.key[2]! - y.key[2]!);
  return keyed.map((x) => x.bytes);
}
