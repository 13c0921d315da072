/**
 * `ip neigh`: the ARP table of a namespace. `managed`, `router`, `extern_learn` and `get` are refused.
 *
 * The kernel lists its hash table in the order of a hash drawn at boot; here it is the order of creation.
 * @module
 */
import { macText, maskOf, ntoa } from '../../wire/inet.js';
import type { Netdev } from '../linux/core/netdev.js';
import {
  type Neigh, NUD_DELAY, NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_NONE, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE,
  nudName,
} from '../linux/ipv4/neighbour.js'; // prettier-ignore
import {
  address, device, extack, fail, garbage, type IpContext, lladdr, matches, prefix, rtnl, unsupported, type Words, wrong,
} from './ip-args.js'; // prettier-ignore

const STATES: readonly (readonly [string, number])[] = [
  ['permanent', NUD_PERMANENT], ['reachable', NUD_REACHABLE], ['noarp', NUD_NOARP], ['none', NUD_NONE], ['stale', NUD_STALE],
  ['incomplete', NUD_INCOMPLETE], ['delay', NUD_DELAY], ['probe', NUD_PROBE], ['failed', NUD_FAILED],
]; // prettier-ignore
const SHORT = ['permanent', 'reachable', 'failed'];

const state = (word: string): number | null =>
  STATES.find(([name]) => word === name || (SHORT.includes(name) && matches(word, name)))?.[1] ?? null;

/** `ip neigh …`: what it prints. */
export function ipNeigh(c: IpContext, w: Words): string {
  const verb = w.take();
  if (verb === '' || matches(verb, 'show', 'lst', 'list')) return show(c, w, false);
  if (matches(verb, 'add')) return modify(c, w, 'add');
  if (matches(verb, 'change') || verb === 'chg') return modify(c, w, 'change');
  if (matches(verb, 'replace')) return modify(c, w, 'replace');
  if (matches(verb, 'delete')) return modify(c, w, 'delete');
  if (matches(verb, 'flush')) return show(c, w, true);
  if (matches(verb, 'get', 'help')) return unsupported(`ip neigh ${verb}`);
  return fail(`Command "${verb}" is unknown, try "ip neigh help".`);
}

function modify(c: IpContext, w: Words, verb: 'add' | 'change' | 'replace' | 'delete'): string {
  let to: number | null = null;
  let name: string | null = null;
  let ll: string | null = null;
  let nud: number = NUD_PERMANENT;
  let proxy = false;
  while (w.more) {
    const k = w.take();
    if (matches(k, 'lladdr')) ll = w.value();
    else if (k === 'nud') {
      const v = w.value();
      nud = state(v) ?? wrong(v, 'nud state is bad');
    } else if (k === 'dev') name = w.value();
    else if (matches(k, 'proxy')) {
      const a = w.value();
      if (to !== null) fail(`Error: duplicate "address": "${a}" is the second value.`);
      to = address(a, 'any valid');
      proxy = true;
    } else if (matches(k, 'extern_learn', 'protocol') || ['router', 'use', 'managed'].includes(k))
      unsupported(`ip neigh ${verb} ${k}`);
    else {
      const a = k === 'to' ? w.value() : k;
      if (to !== null) garbage(a, 'to');
      to = address(a, 'any valid');
    }
  }
  if (to === null || (name === null && !proxy)) return fail('Device and destination are required arguments.');
  const mac = ll === null || ll === 'null' ? null : lladdr(ll);
  if (proxy && nud !== NUD_PERMANENT) unsupported(`ip neigh ${verb} proxy … nud ${nudName(nud)}`);
  if (proxy) return modifyProxy(c, name === null ? null : device(c.net, name), to, verb);
  const dev = device(c.net, name!);
  if (verb === 'delete') {
    if (!c.net.neigh.delete(dev, to)) rtnl('ENOENT');
    return '';
  }
  return enter(c, dev, to, mac, nud, verb);
}

/** An address to answer for; one that is there stays (neigh_add and neigh_delete with NTF_PROXY). */
function modifyProxy(c: IpContext, dev: Netdev | null, to: number, verb: string): string {
  const { proxies } = c.net.neigh;
  if (verb === 'delete' && !proxies.delete(to, dev)) rtnl('ENOENT');
  if (verb !== 'delete') proxies.add(to, dev);
  return '';
}

/** neigh_add: NLM_F_EXCL of `add`, no NLM_F_CREATE of `change`. */
function enter(c: IpContext, dev: Netdev, to: number, mac: Uint8Array | null, nud: number, verb: string): string {
  const old = c.net.neigh.lookup(dev, to);
  if (old === null && verb === 'change') rtnl('ENOENT');
  if (old !== null && verb === 'add') rtnl('EEXIST');
  const valid = (nud & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)) !== 0;
  if (valid && mac === null && (old === null || !old.valid)) extack('No link layer address given');
  if (nud === NUD_INCOMPLETE || nud === NUD_DELAY || nud === NUD_PROBE)
    unsupported(`ip neigh ${verb} nud ${nudName(nud)}`);
  c.net.neigh.set(dev, to, mac, nud);
  return '';
}

interface Filter {
  dev: Netdev | null;
  master: Netdev | null;
  states: number;
  to: { addr: number; prefix: number } | null;
  proxy: boolean;
}

function filter(c: IpContext, w: Words, flush: boolean): Filter {
  const f: Filter = { dev: null, master: null, states: 0xff & ~NUD_NOARP, to: null, proxy: false };
  if (flush) f.states &= ~NUD_PERMANENT;
  let given = false;
  let name: string | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'dev') name = w.value();
    else if (k === 'master') {
      const v = w.value();
      f.master = c.net.dev(v) ?? wrong(v, 'Device does not exist');
    } else if (k === 'nud') {
      const v = w.value();
      const s = v === 'all' ? (flush ? 0xff & ~NUD_NOARP : 0x1ff) : (state(v) ?? wrong(v, 'nud state is bad'));
      f.states = (given ? f.states : 0) | (s === 0 ? 0x100 : s);
      given = true;
    } else if (k === 'proxy' && !flush) f.proxy = true;
    else if (k === 'unused' || k === 'proxy' || k === 'nomaster' || k === 'vrf' || matches(k, 'protocol'))
      unsupported(`ip neigh show ${k}`);
    else f.to = prefix(k === 'to' ? w.value() : k);
  }
  if (name !== null) f.dev = device(c.net, name);
  return f;
}

function show(c: IpContext, w: Words, flush: boolean): string {
  if (flush && !w.more) fail('Flush requires arguments.', 1);
  if (c.stats) unsupported('ip -s neigh');
  const f = filter(c, w, flush);
  let out = '';
  if (f.proxy) return showProxies(c, f);
  for (const n of c.net.neigh.list()) {
    if (!selected(f, n)) continue;
    if (flush) c.net.neigh.delete(n.dev, n.addr);
    else out += text(c, f, n);
  }
  return out;
}

function showProxies(c: IpContext, f: Filter): string {
  let out = '';
  for (const p of c.net.neigh.proxies.entries()) {
    if ((f.dev !== null && p.dev !== f.dev) || (f.to !== null && ((p.addr ^ f.to.addr) & maskOf(f.to.prefix)) !== 0)) {
      continue;
    }
    const named = f.dev === null && p.dev !== null;
    if (c.brief) {
      out += `${ntoa(p.addr).padEnd(39)} ${named ? `${p.dev!.name.padEnd(16)} ` : ''}\n`;
      continue;
    }
    const dev = named ? `dev ${p.dev!.name} ` : '';
    out += `${ntoa(p.addr)} ${dev}proxy \n`;
  }
  return out;
}

function selected(f: Filter, n: Neigh): boolean {
  if (f.dev !== null && n.dev !== f.dev) return false;
  if (f.master !== null && n.dev.master !== f.master) return false;
  if (((n.nud === NUD_NONE ? 0x100 : n.nud) & f.states) === 0) return false;
  return f.to === null || ((n.addr ^ f.to.addr) & maskOf(f.to.prefix)) === 0;
}

function text(c: IpContext, f: Filter, n: Neigh): string {
  const mac = n.valid ? macText(n.mac) : null;
  if (c.brief) {
    const dev = f.dev === null ? `${n.dev.name.padEnd(16)} ` : '';
    return `${ntoa(n.addr).padEnd(39)} ${dev}${mac ?? ''}\n`;
  }
  return `${line(n, f.dev === null ? `dev ${n.dev.name} ` : '')}\n`;
}

function line(n: Neigh, dev: string): string {
  const ll = n.valid ? `lladdr ${macText(n.mac)} ` : '';
  return `${ntoa(n.addr)} ${dev}${ll}${n.nud === NUD_NONE ? '' : `${nudName(n.nud)} `}`;
}

/** An entry as `ip neigh` has it, without the blank at its end. */
export const neighLine = (n: Neigh): string => line(n, `dev ${n.dev.name} `).trimEnd();
