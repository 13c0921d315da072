/**
 * `ip addr`: addresses of devices, shown and changed. Peer addresses, lifetimes and flags are refused.
 * @module
 */
import { isLoopback, maskOf, ntoa } from '../../wire/inet.js';
import type { InAddr, Netdev } from '../linux/core/netdev.js';
import { addAddress, delAddress } from '../linux/ipv4/devinet.js';
import {
  address, device, fail, garbage, type IpContext, matches, prefix, type Prefix, rtnl, SCOPES, unsupported, type Words, wrong,
} from './ip-args.js'; // prettier-ignore
import { briefText, detailText, headText, inDumpOrder, lladdrLine, netnsText } from './ip-link-show.js';

/** `ip addr …`: what it prints. */
export function ipAddr(c: IpContext, w: Words): string {
  const verb = w.take();
  if (verb === '' || matches(verb, 'show', 'lst', 'list')) return show(c, w);
  if (matches(verb, 'add')) return modify(c, w, 'add');
  if (matches(verb, 'change') || verb === 'chg') return modify(c, w, 'change');
  if (matches(verb, 'replace')) return modify(c, w, 'replace');
  if (matches(verb, 'delete')) return modify(c, w, 'del');
  if (matches(verb, 'flush')) return flush(c, w);
  if (matches(verb, 'save', 'restore', 'showdump', 'help')) return unsupported(`ip addr ${verb}`);
  return fail(`Command "${verb}" is unknown, try "ip address help".`);
}

interface AddressWords {
  local: Prefix | null;
  brd: string | null;
  scope: number | null;
  label: string | null;
  dev: string | null;
}

function words(w: Words): AddressWords {
  const a: AddressWords = { local: null, brd: null, scope: null, label: null, dev: null };
  while (w.more) {
    const k = w.take();
    if (k === 'dev') a.dev = w.value();
    else if (matches(k, 'broadcast') || k === 'brd') a.brd = w.value();
    else if (k === 'scope') {
      const v = w.value();
      a.scope = SCOPES.number(v, 255) ?? wrong(v, 'invalid scope value.');
    } else if (k === 'label') a.label = w.value();
    else if (
      [
        'peer',
        'remote',
        'anycast',
        'metric',
        'valid_lft',
        'preferred_lft',
        'noprefixroute',
        'nodad',
        'home',
        'autojoin',
        'mngtmpaddr',
        'optimistic',
      ].includes(k)
    )
      unsupported(`ip addr … ${k}`); // prettier-ignore
    else {
      const text = k === 'local' ? w.value() : k;
      if (a.local !== null) garbage(text, 'local');
      a.local = prefix(text);
    }
  }
  return a;
}

function modify(c: IpContext, w: Words, verb: 'add' | 'change' | 'replace' | 'del'): string {
  const a = words(w);
  if (a.dev === null) return fail('Not enough information: "dev" argument is required.', 1);
  const dev = device(c.net, a.dev);
  if (verb === 'del') return remove(dev, a);
  if (a.local === null) return rtnl('EOPNOTSUPP');
  const { addr, prefix: bits } = a.local;
  let brd: number | null = null;
  if (a.brd === '+') brd = addr | ~maskOf(bits);
  else if (a.brd === '-') brd = addr & maskOf(bits);
  else if (a.brd !== null) brd = address(a.brd);
  const near = dev.addrs.filter((x) => x.prefix === bits && ((x.addr ^ addr) & maskOf(bits)) === 0);
  if (near.some((x) => x.addr === addr)) {
    if (verb === 'add') rtnl('EEXIST');
    return ''; // Only the lifetimes of an address can be replaced.
  }
  const scope = a.scope ?? (isLoopback(addr) ? 254 : 0);
  if (near.some((x) => x.scope !== scope)) rtnl('EINVAL');
  addAddress(dev, addr, bits, brd, scope, a.label ?? dev.name);
  return '';
}

/** inet_rtm_deladdr: the first address that fits what was given. */
function remove(dev: Netdev, a: AddressWords): string {
  const { local } = a;
  const hit = dev.addrs.find(
    (x) =>
      (local === null || (x.addr === local.addr && x.prefix === local.prefix)) &&
      (a.label === null || x.label === a.label),
  );
  if (hit === undefined) return rtnl('EADDRNOTAVAIL');
  delAddress(dev, hit.addr, hit.prefix);
  return '';
}

interface Filter {
  dev: Netdev | null;
  inet: boolean;
  up: boolean;
  to: Prefix | null;
  scope: number | null;
  label: string | null;
  master: Netdev | null;
  kind: string | null;
  slave: string | null;
  /** Only secondary (true) or primary (false) addresses. */
  secondary: boolean | null;
}

function filter(c: IpContext, w: Words): Filter {
  const f: Filter = { dev: null, inet: c.inet, up: false, to: null, scope: null, label: null, master: null, kind: null, slave: null, secondary: null }; // prettier-ignore
  let name: string | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'to') {
      f.to = prefix(w.value());
      f.inet = true;
    } else if (k === 'scope') {
      const v = w.value();
      f.scope = v === 'all' ? null : (SCOPES.number(v, 255) ?? wrong(v, 'invalid "scope"\n'));
    } else if (k === 'up') f.up = true;
    else if (k === 'primary' || k === '-secondary') f.secondary = false;
    else if (k === 'secondary' || k === '-primary') f.secondary = true;
    else if (k === 'label') f.label = w.value();
    else if (k === 'master') {
      const v = w.value();
      f.master = c.net.dev(v) ?? wrong(v, 'Device does not exist');
    } else if (k === 'type') {
      const v = w.value();
      if (v.endsWith('_slave')) f.slave = v.slice(0, -6);
      else f.kind = v;
    } else if (['group', 'vrf', 'nomaster', 'dynamic', 'permanent', 'tentative', 'deprecated', 'temporary'].includes(k))
      unsupported(`ip addr show ${k}`); // prettier-ignore
    else {
      const v = k === 'dev' ? w.value() : k;
      if (name !== null) garbage(v);
      name = v;
    }
  }
  if (name !== null) f.dev = c.net.dev(name) ?? fail(`Device "${name}" does not exist.`, 1);
  return f;
}

/** Whether `ip link`'s and `ip addr`'s filters let a device through. */
export function linkSelected(f: Pick<Filter, 'dev' | 'up' | 'master' | 'kind' | 'slave'>, d: Netdev): boolean {
  if (f.dev !== null && d !== f.dev) return false;
  if (f.up && !d.up) return false;
  if (f.master !== null && d.master !== f.master) return false;
  if (f.kind !== null && d.kind !== f.kind) return false;
  return f.slave === null || (f.slave === 'bridge' && d.brport !== null);
}

const addrSelected = (f: Filter, a: InAddr): boolean =>
  (f.to === null || ((a.addr ^ f.to.addr) & maskOf(f.to.prefix)) === 0) &&
  (f.scope === null || a.scope === f.scope) &&
  (f.label === null || a.label === f.label) &&
  (f.secondary === null || a.secondary === f.secondary);

function show(c: IpContext, w: Words): string {
  if (c.stats) unsupported('ip -s addr');
  const f = filter(c, w);
  let out = '';
  for (const d of inDumpOrder(c.net)) {
    const addrs = d.addrs.filter((a) => addrSelected(f, a));
    if (addrs.length === 0 && (f.inet || d.addrs.length > 0)) continue;
    if (!linkSelected(f, d)) continue;
    if (c.brief) out += `${briefText(d, false)}${addrs.map((a) => `${ntoa(a.addr)}/${a.prefix} `).join('')}\n`;
    else out += c.oneline || f.label !== null ? '' : linkPart(c, d, f.inet);
    if (!c.brief) for (const a of addrs) out += addressText(c, d, a);
  }
  return out;
}

function linkPart(c: IpContext, d: Netdev, inet: boolean): string {
  const ll = inet && !c.details ? '' : `\n    ${lladdrLine(d)}`;
  const alias = d.alias === '' || inet ? '' : `\n    alias ${d.alias}`;
  return `${headText(d, false)}${ll}${netnsText(d)}${c.details ? detailText(d, '\n', false) : ''}${alias}\n`;
}

function addressText(c: IpContext, d: Netdev, a: InAddr): string {
  const brd = a.broadcast === 0 ? '' : ` brd ${ntoa(a.broadcast)}`;
  const start = c.oneline ? `${d.ifindex}: ${d.name}    ` : '    ';
  const end = c.oneline ? '\\' : '\n';
  return (
    `${start}inet ${ntoa(a.addr)}/${a.prefix}${brd} scope ${SCOPES.name(a.scope)} ${a.secondary ? 'secondary ' : ''}` +
    `${a.label}${end}       valid_lft forever preferred_lft forever\n`
  );
}

function flush(c: IpContext, w: Words): string {
  if (!w.more) fail('Flush requires arguments.', 1);
  const f = filter(c, w);
  for (const d of inDumpOrder(c.net)) {
    if (!linkSelected(f, d)) continue;
    for (const a of [...d.addrs]) if (addrSelected(f, a)) delAddress(d, a.addr, a.prefix);
  }
  return '';
}
