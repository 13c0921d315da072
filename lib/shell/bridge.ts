/**
 * `bridge` of iproute2 6.1: `link show|set`, `fdb show|get|add|append|replace|del|flush`.
 *
 * VLANs, VXLAN entries and the flags `router`, `use`, `extern_learn`, `sticky` are refused.
 * @module
 */
import { macBytes, macText } from '../../wire/inet.js';
import { Bridge, type BrPort } from '../linux/bridge/bridge.js';
import { ntoa } from '../../wire/inet.js';
import { Vxlan } from '../linux/tunnel/vxlan.js';
import { fdbAdd, fdbDel } from '../linux/bridge/br-if.js';
import type { FdbEntry } from '../linux/bridge/fdb.js';
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import {
  address, type CommandResult, device, extack, fail, garbage, IpError, matches, rtnl, unsigned, unsupported, Words, wrong,
} from './ip-args.js'; // prettier-ignore
import { portOption } from './ip-link-bridge.js';
import { flagText, inDumpOrder, portState } from './ip-link-show.js';

interface Context {
  readonly net: Netns;
  details: boolean;
  stats: boolean;
}

/** Runs `bridge …` in a namespace. */
export function bridge(net: Netns, argv: readonly string[]): CommandResult {
  const c: Context = { net, details: false, stats: false };
  const w = new Words(argv.slice(1));
  try {
    while (w.peek.startsWith('-')) {
      const o = w.take().replace(/^--/, '-');
      if (matches(o, '-details')) c.details = true;
      else if (matches(o, '-statistics') || matches(o, '-stats')) c.stats = true;
      else unsupported(`bridge ${o}`);
    }
    const object = w.take();
    if (matches(object, 'link')) return { exit: 0, out: link(c, w), err: '' };
    if (matches(object, 'fdb')) return { exit: 0, out: fdb(c, w), err: '' };
    if (object === '' || matches(object, 'mdb', 'vlan', 'vni', 'monitor', 'help'))
      unsupported(`bridge ${object}`.trim());
    return fail(`Object "${object}" is unknown, try "bridge help".`);
  } catch (e) {
    if (e instanceof IpError) return { exit: e.exit, out: '', err: `${e.message}\n` };
    throw e;
  }
}

function link(c: Context, w: Words): string {
  const verb = w.take();
  if (matches(verb, 'set', 'change')) return linkSet(c, w);
  if (verb === '' || matches(verb, 'show', 'lst', 'list')) return linkShow(c, w);
  if (matches(verb, 'help')) return unsupported('bridge link help');
  return fail(`Command "${verb}" is unknown, try "bridge link help".`);
}

const bridgeDevice = (net: Netns, name: string): Netdev => net.dev(name) ?? fail(`Cannot find bridge device "${name}"`);

function linkSet(c: Context, w: Words): string {
  const todo: [string, string][] = [];
  let name: string | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'dev') name = w.value();
    else if (k === 'self' || k === 'nobackup_port') unsupported(`bridge link set ${k}`);
    else if (k !== 'master') todo.push([k, w.value()]);
  }
  if (name === null) return fail('Device is a required argument.');
  const port = bridgeDevice(c.net, name).brport as BrPort | null;
  if (port === null) return rtnl('EOPNOTSUPP', 255);
  for (const [k, v] of todo) {
    const bad = (x: string): never => fail(`Error: argument of "${k}" must be one of "off", "on", not "${x}"`, 234);
    if (!portOption(port, k, new Words([v]), bad)) unsupported(`bridge link set … ${k}`);
  }
  return '';
}

function linkShow(c: Context, w: Words): string {
  let dev: Netdev | null = null;
  let master: Netdev | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'dev') dev = bridgeDevice(c.net, w.value());
    else if (k === 'master') master = device(c.net, w.value());
    else unsupported(`bridge link show ${k}`);
  }
  if (c.stats) unsupported('bridge -s link');
  let out = '';
  for (const d of inDumpOrder(c.net)) {
    if (d.brport === null || (dev !== null && d !== dev) || (master !== null && d.brport.master !== master)) continue;
    out += linkText(c, d, d.brport as BrPort);
  }
  return out;
}

/** The message has no namespace for the device below: its number is looked up in this one. */
function below(net: Netns, d: Netdev): { suffix: string; mdown: boolean } {
  if (d.iflink === d.ifindex) return { suffix: '', mdown: false };
  const other = net.devs.find((x) => x.ifindex === d.iflink);
  return { suffix: `@${other?.name ?? `if${d.iflink}`}`, mdown: other !== undefined && !other.up };
}

function linkText(c: Context, d: Netdev, p: BrPort): string {
  const { suffix, mdown } = below(c.net, d);
  let s = `${d.ifindex}: ${d.name}${suffix}: <${flagText(d, mdown)}> mtu ${d.mtu} master ${p.master.name} `;
  s += `state ${portState(p)} priority ${p.priority} cost ${p.cost} `;
  if (c.details) {
    const on = (b: boolean): string => (b ? 'on' : 'off');
    s +=
      `\n    hairpin ${on(p.hairpin)} guard off root_block off fastleave off learning ${on(p.learning)} flood ${on(p.flood)} ` +
      `mcast_flood ${on(p.mcastFlood)} bcast_flood ${on(p.bcastFlood)} mcast_router 1 mcast_to_unicast off ` +
      `neigh_suppress off vlan_tunnel off isolated ${on(p.isolated)} locked off `;
  }
  return `${s}\n`;
}

function fdb(c: Context, w: Words): string {
  const verb = w.take();
  if (verb === '' || matches(verb, 'show', 'lst', 'list')) return fdbShow(c, w);
  if (matches(verb, 'add')) return fdbModify(c, w, 'add');
  if (matches(verb, 'append')) return fdbModify(c, w, 'append');
  if (matches(verb, 'replace')) return fdbModify(c, w, 'replace');
  if (matches(verb, 'delete')) return fdbModify(c, w, 'delete');
  if (matches(verb, 'get')) return fdbGet(c, w);
  if (matches(verb, 'flush')) return fdbFlush(c, w);
  if (matches(verb, 'help')) return unsupported('bridge fdb help');
  return fail(`Command "${verb}" is unknown, try "bridge fdb help".`);
}

interface FdbWords {
  mac: string | null;
  dev: string | null;
  self: boolean;
  master: boolean;
  permanent: boolean;
  stat: boolean;
  dynamic: boolean;
  /** Far end of a VXLAN entry. */
  dst: number | null;
  port: number | null;
  vni: number | null;
  via: string | null;
}

const REFUSED = ['nhid', 'src_vni', 'router', 'vlan', 'use', 'extern_learn', 'sticky'];

function fdbWords(w: Words): FdbWords {
  const f: FdbWords = { mac: null, dev: null, self: false, master: false, permanent: false, stat: false, dynamic: false, dst: null, port: null, vni: null, via: null }; // prettier-ignore
  while (w.more) {
    const k = w.take();
    if (k === 'dev') f.dev = w.value();
    else if (k === 'self') f.self = true;
    else if (matches(k, 'master')) f.master = true;
    else if (matches(k, 'local', 'permanent')) f.permanent = true;
    else if (matches(k, 'temp', 'static')) f.stat = true;
    else if (matches(k, 'dynamic')) f.dynamic = true;
    else if (k === 'dst') f.dst = address(w.value());
    else if (k === 'port') f.port = number(w.value(), 65535, 'port');
    else if (k === 'vni') f.vni = number(w.value(), 0xffffff, 'vni');
    else if (k === 'via') f.via = w.value();
    else if (REFUSED.includes(k)) unsupported(`bridge fdb … ${k}`);
    else {
      const v = k === 'to' ? w.value() : k;
      if (f.mac !== null) garbage(v, 'to');
      f.mac = v;
    }
  }
  return f;
}

const number = (v: string, max: number, what: string): number => unsigned(v, max) ?? fail(`invalid ${what}: ${v}`);

/** Entries of a VXLAN device's own database (vxlan_fdb_add, vxlan_fdb_delete). */
function vxlanModify(c: Context, d: Vxlan, mac: Uint8Array, f: FdbWords, verb: string): string {
  const { now } = c.net.kernel.sim;
  const via = f.via === null ? null : device(c.net, f.via);
  const old = d.fdb.entries.find((x) => sameMac(x.mac, mac));
  if (verb === 'delete') {
    if (old === undefined) return rtnl('ENOENT', 255);
    if (f.dst === null) d.fdb.remove((x) => x === old);
    else d.fdb.removeRemote(old, { ip: f.dst, port: f.port, vni: f.vni, via });
    return '';
  }
  if (f.dst === null) return rtnl('EINVAL', 255);
  const state = f.stat ? 'static' : f.dynamic ? 'reachable' : 'permanent';
  const r = { ip: f.dst, port: f.port, vni: f.vni, via };
  const many = (mac[0]! & 1) !== 0 || mac.every((x) => x === 0);
  if (old !== undefined && verb === 'add') return rtnl('EEXIST', 255);
  if (verb === 'replace' && many) return extack('Cannot replace non-unicast fdb entries', 255);
  if (old === undefined || (verb === 'append' && many)) d.fdb.append(mac, r, state, now);
  else if (verb === 'replace') {
    old.state = state;
    old.remotes.splice(0, old.remotes.length, r);
    old.updated = now;
  }
  return '';
}

function fdbModify(c: Context, w: Words, verb: 'add' | 'append' | 'replace' | 'delete'): string {
  const f = fdbWords(w);
  if (f.dev === null || f.mac === null) return fail('Device and address are required arguments.');
  const mac = macBytes(f.mac) ?? fail(`Invalid mac address ${f.mac}`);
  const dev = c.net.dev(f.dev) ?? fail(`Cannot find device "${f.dev}"`);
  const self = f.self || !f.master;
  if (f.master && dev.brport === null) rtnl('EOPNOTSUPP', 255);
  const kind = f.permanent ? 'permanent' : f.dynamic ? 'dynamic' : f.stat ? 'static' : 'permanent';
  if (dev instanceof Vxlan && self) {
    if (f.master) unsupported('bridge fdb … self master of a VXLAN device');
    return vxlanModify(c, dev, mac, f, verb);
  }
  if (f.dst !== null || f.port !== null || f.vni !== null || f.via !== null) return rtnl('EOPNOTSUPP', 255);
  if (mac.every((x) => x === 0)) unsupported('bridge fdb … 00:00:00:00:00:00');
  // On a bridge itself `self` means the bridge's own entries.
  const own = self && !(dev instanceof Bridge);
  if (verb === 'delete') {
    if (f.master && !fdbDel(dev, mac)) rtnl('ENOENT', 255);
    if (self && !(own ? ucDel(dev, mac) : fdbDel(dev, mac))) rtnl('ENOENT', 255);
    return '';
  }
  const request = { kind, create: true, exclusive: verb === 'add' } as const;
  const error = f.master ? fdbAdd(dev, mac, request) : null;
  if (error !== null) rtnl(error, 255);
  if (!self) return '';
  if (own) return ucAdd(dev, mac, kind);
  const e = fdbAdd(dev, mac, request);
  return e === null ? '' : rtnl(e, 255);
}

const sameMac = (a: Uint8Array, b: Uint8Array): boolean => a.every((x, i) => x === b[i]);

/** ndo_dflt_fdb_add: an address more that the device itself takes. */
function ucAdd(dev: Netdev, mac: Uint8Array, kind: string): string {
  if (!dev.isEthernet) rtnl('EINVAL', 255);
  if (kind !== 'permanent') rtnl('EINVAL', 255);
  if ((mac[0]! & 1) !== 0) unsupported('bridge fdb add of a group address');
  if (dev.uc.some((m) => sameMac(m, mac))) rtnl('EEXIST', 255);
  dev.uc.push(mac);
  return '';
}

function ucDel(dev: Netdev, mac: Uint8Array): boolean {
  const i = dev.uc.findIndex((m) => sameMac(m, mac));
  if (i >= 0) dev.uc.splice(i, 1);
  return i >= 0;
}

interface Row {
  mac: string;
  /** `dst IP …` of a VXLAN entry. */
  far?: string;
  dev: Netdev;
  vid: number;
  master: Bridge | null;
  state: string;
  entry: FdbEntry | null;
}

/** What a device has of its own: added addresses, then the groups it joined (ndo_dflt_fdb_dump). */
function ownRows(d: Netdev): Row[] {
  if (!d.isEthernet) return [];
  const row = (mac: string): Row => ({ mac, dev: d, vid: 0, master: null, state: 'permanent', entry: null });
  if (d instanceof Vxlan) return vxlanRows(d);
  const groups = d.up ? ['33:33:00:00:00:01', '01:00:5e:00:00:01'] : ['33:33:00:00:00:01'];
  return [...d.uc.map((m) => macText(m)), ...groups].map(row);
}

/** A VXLAN device dumps its own entries only (vxlan_fdb_dump). */
function vxlanRows(d: Vxlan): Row[] {
  return d.fdb.entries.flatMap((e) =>
    e.remotes.map((r): Row => {
      const port = r.port !== null && r.port !== d.cfg.dstPort ? `port ${r.port} ` : '';
      const vni = r.vni !== null && r.vni !== d.cfg.vni ? `vni ${r.vni} ` : '';
      const via = r.via === null ? '' : `via ${r.via.name} `;
      const state = e.state === 'reachable' ? '' : e.state;
      return { mac: macText(e.mac), far: `dst ${ntoa(r.ip)} ${port}${vni}${via}`, dev: d, vid: 0, master: null, state, entry: null };
    }),
  ); // prettier-ignore
}

/** Entries of a bridge at one of its ports, or (null) of its own: newest first. */
function bridgeRows(b: Bridge, port: BrPort | null): Row[] {
  const { now } = b.kernel.sim;
  return b.fdbs
    .flatMap((f) => f.list().map((entry) => ({ entry, vid: f.vid })))
    .filter(({ entry: e }) => e.port === port && (e.kind !== 'dynamic' || e.updated + b.ageingNs > now))
    .sort((x, y) => y.entry.seq - x.entry.seq)
    .map(({ entry: e, vid }) => ({
      mac: macText(e.mac), dev: port === null ? b : port.dev, vid, master: b, state: e.kind === 'dynamic' ? '' : e.kind, entry: e,
    })); // prettier-ignore
}

function allRows(c: Context, br: Bridge | null): Row[] {
  const rows: Row[] = [];
  for (const d of inDumpOrder(c.net)) {
    const port = d.brport as BrPort | null;
    if (br !== null && d !== br && port?.master !== br) continue;
    if (port !== null) rows.push(...bridgeRows(port.master, port));
    rows.push(...ownRows(d));
    if (d instanceof Bridge) rows.push(...bridgeRows(d, null));
  }
  return rows;
}

function rowText(c: Context, r: Row, dev: boolean): string {
  const { sim } = c.net.kernel;
  let s = `${r.mac} ${dev ? `dev ${r.dev.name} ` : ''}${r.vid === 0 ? '' : `vlan ${r.vid} `}`;
  s += r.far ?? '';
  if (c.stats && r.entry !== null) {
    const age = (t: number): number => Math.floor((sim.now - t) / 1e9);
    s += `used ${age(r.entry.used)}/${age(r.entry.updated)} `;
  }
  return `${s}${r.master === null ? 'self ' : `master ${r.master.name} `}${r.state}\n`;
}

const STATES: Readonly<Record<string, string>> = { permanent: 'permanent', static: 'static', temp: 'static', reachable: '', dynamic: '' }; // prettier-ignore

function fdbShow(c: Context, w: Words): string {
  let dev: Netdev | null = null;
  let br: Netdev | null = null;
  let state: string | null = null;
  let dynamic = false;
  while (w.more) {
    const k = w.take();
    if (k === 'brport' || k === 'dev') {
      const v = w.value();
      dev = c.net.dev(v) ?? fail(`Cannot find device "${v}"`);
    } else if (k === 'br') br = bridgeDevice(c.net, w.value());
    else if (k === 'state') {
      const v = w.value();
      state = STATES[v] ?? wrong(v, 'invalid state');
    } else if (k === 'dynamic') dynamic = true;
    else if (k === 'vlan') unsupported('bridge fdb show vlan');
  }
  if (br !== null && !(br instanceof Bridge)) return '';
  return allRows(c, br)
    .filter((r) => dev === null || r.dev === dev)
    .filter((r) => (state === null || r.state === state) && !(dynamic && r.state === 'permanent'))
    .map((r) => rowText(c, r, dev === null))
    .join('');
}

function fdbGet(c: Context, w: Words): string {
  let mac: string | null = null;
  let br: Netdev | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'br') br = bridgeDevice(c.net, w.value());
    else if (['brport', 'dev', 'vni', 'vlan', 'self', 'master', 'dynamic'].includes(k))
      unsupported(`bridge fdb get ${k}`);
    else mac = k === 'to' ? w.value() : k;
  }
  if (br === null || mac === null) return fail('Device or master and address are required arguments.');
  const bytes = macBytes(mac) ?? fail(`Invalid mac address ${mac}`);
  if (!(br instanceof Bridge)) return rtnl('EOPNOTSUPP', 254);
  const hit = allRows(c, br).find((r) => r.vid === 0 && r.master === br && r.mac === macText(bytes));
  return hit === undefined ? extack('Fdb entry not found', 254) : rowText(c, hit, true);
}

/** `bridge fdb flush dev BRIDGE`: every entry, local ones too (br_fdb_delete_bulk). */
function fdbFlush(c: Context, w: Words): string {
  const f = fdbWords(w);
  if (f.dev === null) return fail('Device is a required argument.');
  if (f.master || f.permanent || f.stat || f.dynamic || f.mac !== null) unsupported('bridge fdb flush with a filter');
  const d = c.net.dev(f.dev) ?? fail(`Cannot find device "${f.dev}"`);
  if (!(d instanceof Bridge)) return rtnl('EOPNOTSUPP', 255);
  for (const x of d.fdbs) x.remove(() => true);
  return '';
}
