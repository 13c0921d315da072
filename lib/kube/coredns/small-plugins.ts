/**
 * CoreDNS's small plugins: any, bufsize, header, loadbalance, local, minimal, whoami.
 * @module
 */
import {
  AA,
  addressRr,
  type DnsMessage,
  nameRr,
  RA,
  RCODE,
  RD,
  type Rr,
  soaRr,
  srvRr,
  TYPE,
} from '../../../wire/dns.js';
import { aton6 } from '../../../wire/inet6.js';
import type { Directive, Place, Token } from './corefile-lexer.js';
import { type Handler, optOf, type Plugin, setRcode } from './handler.js';
import { kindOf } from './reply-kind.js';
import { below, longestZone } from './zones.js';

/** `any`: a query of type ANY gets an HINFO record that says so (RFC 8482). */
export const anyPlugin: Plugin =
  (next): Handler =>
  (r, out) => {
    const { name, type } = r.q.question[0]!;
    if (type !== TYPE.ANY) return next(r, out);
    const text = (s: string): number[] => [s.length, ...Array.from(s, (c) => c.charCodeAt(0))];
    const data = [Uint8Array.from([...text('ANY obsoleted'), ...text('See RFC 8482')])];
    out.write({ ...setRcode(r.q, 0), answer: [{ name, type: TYPE.HINFO, cls: 1, ttl: 8482, data }] });
  };

/** Reads `bufsize [SIZE]`. */
export function bufsizeConfig(d: Directive, place: Place): number {
  const [size] = place.args(d, 0, 1);
  if (size === undefined) return 1232;
  const n = /^\d+$/.test(size.text) ? Number(size.text) : 0;
  return n < 512 || n > 4096 ? place.argErr(d) : n;
}
/** `bufsize`: the client takes no more than this, whatever its OPT says. */
export const bufsizePlugin =
  (size: number): Plugin =>
  (next): Handler =>
  (r, out) => {
    const opt = optOf(r.q);
    if (opt !== undefined && opt.cls > size)
      r.q.additional = r.q.additional.map((x) => (x === opt ? { ...x, cls: size } : x));
    next(r, out);
  };

export interface HeaderConfig {
  query: [mask: number, on: boolean][];
  response: [mask: number, on: boolean][];
}
/** Reads `header { query|response set|clear FLAG… }`. */
export function headerConfig(d: Directive, place: Place): HeaderConfig {
  const c: HeaderConfig = { query: [], response: [] };
  const bad = (t: Token, what: string): never => place.fail(t, `setting up rule: ${what}`);
  for (const { words } of d.block ?? []) {
    const first = words[0]!.text.toLowerCase();
    const short = first === 'set' || first === 'clear';
    if (!short && first !== 'query' && first !== 'response')
      bad(words[0]!, `invalid selector=${first} should be query or response`);
    const action = short ? words[0]! : words[1];
    if (action === undefined) return bad(words[0]!, 'no flag action provided');
    const flags = words.slice(short ? 1 : 2);
    if (flags.length === 0) bad(action, 'invalid length for flags, at least one should be provided');
    const on = action.text.toLowerCase();
    if (on !== 'set' && on !== 'clear') bad(action, `unknown flag action=${on}, should be set or clear`);
    for (const f of flags) {
      const mask = new Map([['aa', AA], ['ra', RA], ['rd', RD]]).get(f.text.toLowerCase()); // prettier-ignore
      if (mask === undefined) return bad(f, `unknown/unsupported flag=${f.text.toLowerCase()}`);
      (first === 'query' ? c.query : c.response).push([mask, on === 'set']);
    }
  }
  return c.query.length + c.response.length > 0 ? c : place.argErr(d);
}
/** `header`: flags set and cleared, of queries and of replies. */
export const headerPlugin = (c: HeaderConfig): Plugin => {
  const apply = (flags: number, rules: HeaderConfig['query']): number =>
    rules.reduce((f, [mask, on]) => (on ? f | mask : f & ~mask), flags);
  return (next): Handler =>
    (r, out) => {
      r.q.flags = apply(r.q.flags, c.query);
      next(r, { ...out, write: (m) => out.write({ ...m, flags: apply(m.flags, c.response) }) });
    };
};

/** `loadbalance`: CNAMEs, other records, addresses and MX in this order, the last two each in an order drawn anew. */
export const loadbalancePlugin = (random: () => number): Plugin => {
  const shuffle = (list: Rr[]): Rr[] => {
    const a = list.slice();
    const swap = (i: number, j: number): void => {
      [a[i], a[j]] = [a[j]!, a[i]!];
    };
    if (a.length === 2 && random() % 2 === 0) swap(0, 1);
    if (a.length > 2) for (let j = 0; j < a.length; j++) swap(j, j + (random() % (a.length - j)));
    return a;
  };
  const section = (list: Rr[]): Rr[] => {
    const of = (...types: number[]): Rr[] => list.filter((x) => types.includes(x.type));
    const rest = list.filter((x) => ![TYPE.CNAME, TYPE.A, TYPE.AAAA, TYPE.MX].some((t) => t === x.type));
    return [...of(TYPE.CNAME), ...rest, ...shuffle(of(TYPE.A, TYPE.AAAA)), ...shuffle(of(TYPE.MX))];
  };
  const order = (m: DnsMessage): DnsMessage => {
    const type = m.question[0]?.type;
    if ((m.flags & 15) !== 0 || type === TYPE.AXFR || type === TYPE.IXFR) return m;
    const { answer, authority, additional } = m;
    return { ...m, answer: section(answer), authority: section(authority), additional: section(additional) };
  };
  return (next): Handler =>
    (r, out) =>
      next(r, { ...out, write: (m) => out.write(order(m)) });
};

const LOCAL_ZONES = ['localhost.', '0.in-addr.arpa.', '127.in-addr.arpa.', '255.in-addr.arpa.'];
const LOCAL_TTL = 604800;
const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = aton6('::1')!;
/** `local`: localhost and its reverse zones. */
export const localPlugin: Plugin =
  (next): Handler =>
  (r, out) => {
    const { name, type } = r.q.question[0]!;
    const lower = name.toLowerCase();
    const m = setRcode(r.q, 0);
    const soa = (zone: string): Rr => soaRr(zone, LOCAL_TTL, 'localhost.', 'root.localhost.', [1, 0, 0, 0, LOCAL_TTL]);
    const below1 = lower.length > 10 && lower.startsWith('localhost.');
    const zone = longestZone(LOCAL_ZONES, name);
    if (!below1 && zone === null) return next(r, out);
    const home = below1 || lower === 'localhost.';
    if (home && type === TYPE.A) m.answer = [addressRr(name, LOCAL_TTL, LOOPBACK4)];
    else if (home && type === TYPE.AAAA) m.answer = [addressRr(name, LOCAL_TTL, LOOPBACK6)];
    else if (below1) m.authority = [soa(name)];
    else if (LOCAL_ZONES.includes(lower)) {
      if (type === TYPE.SOA) m.answer = [soa(name)];
      else if (type === TYPE.NS) m.answer = [nameRr(name, TYPE.NS, LOCAL_TTL, 'localhost.')];
      else m.authority = [soa(name)];
    } else if (lower === '1.0.0.127.in-addr.arpa.') {
      if (type === TYPE.PTR) m.answer = [nameRr(name, TYPE.PTR, LOCAL_TTL, 'localhost.')];
      else m.authority = [soa(name.slice(below(name, zone!)))];
    } else {
      m.authority = [soa(name.slice(below(name, zone!)))];
      m.flags |= RCODE.NXDOMAIN;
    }
    out.write(m);
  };

/** `minimal`: an answer goes out without authority and additional records. */
export const minimalPlugin: Plugin =
  (next): Handler =>
  (r, out) =>
    next(r, {
      write: (m) => out.write(kindOf(m) === 'success' ? { ...m, authority: [], additional: [] } : m),
      fail: () => out.fail(RCODE.SERVFAIL),
    });

/** `whoami`: the client's address and port as additional records. */
export const whoamiPlugin: Plugin = (): Handler => (r, out) => {
  const { name, cls } = r.q.question[0]!;
  const { address, port, transport } = r.client;
  const m = setRcode(r.q, 0);
  const srv = srvRr(name === '.' ? `_${transport}.` : `_${transport}.${name}`, 0, 0, 0, port, '.');
  out.write({ ...m, flags: m.flags | AA, additional: [addressRr(name, 0, address), srv].map((x) => ({ ...x, cls })) });
};
