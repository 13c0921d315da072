/**
 * The options of tunnel devices, `ip link add … type vxlan|ipip …` and `ip tunnel`, and how `ip -d link` prints them.
 * @module
 */
import { isMulticast, ntoa } from '../../wire/inet.js';
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { addIpTunnel, deleteDevice } from '../linux/device/devices.js';
import { IpTunnel, type IpTunnelParms } from '../linux/tunnel/ipip.js';
import { VXLAN_DEFAULTS, type Vxlan, type VxlanConfig } from '../linux/tunnel/vxlan.js';
import { SEC } from '../sim/sim.js';
import { address, device, extack, fail, type IpContext, matches, rtnl, tosValue, unsigned, unsupported, type Words, wrong } from './ip-args.js'; // prettier-ignore

const VXLAN_REFUSED = [
  'group', 'flowlabel', 'maxaddress', 'proxy', 'noproxy', 'rsc', 'norsc', 'l2miss', 'nol2miss', 'l3miss', 'nol3miss',
  'remcsumtx', 'noremcsumtx', 'remcsumrx', 'noremcsumrx', 'noexternal', 'gbp', 'gpe', 'vnifilter', 'udp6zerocsumtx',
]; // prettier-ignore

/** Options of a new VXLAN device, and the far end it starts with (0: none). */
export function vxlanOptions(c: IpContext, w: Words): { cfg: VxlanConfig; remote: number } {
  const cfg: VxlanConfig = { ...VXLAN_DEFAULTS };
  let remote = 0;
  let vni: number | null = null;
  let port = false;
  while (w.more) {
    const k = w.take();
    const num = (max: number): number => {
      const v = w.value();
      return unsigned(v, max) ?? wrong(v, `invalid ${k}`);
    };
    if (k === 'id' || k === 'vni') vni = num(0xffffff);
    else if (k === 'remote') remote = unicast(w.value());
    else if (k === 'local') cfg.local = unicast(w.value());
    else if (k === 'dev') cfg.lower = device(c.net, w.value());
    else if (k === 'ttl' || k === 'hoplimit') cfg.ttl = ttl(w, 'auto');
    else if (k === 'tos' || k === 'dsfield') cfg.tos = tos(w);
    else if (k === 'df') cfg.df = dontFragment(w.value());
    else if (k === 'ageing') cfg.ageingNs = w.peek === 'none' ? (w.take(), 0) : num(0x7fffffff) * SEC;
    else if (k === 'port' || k === 'srcport') {
      cfg.portMin = num(65535);
      cfg.portMax = num(65535);
    } else if (k === 'dstport') {
      cfg.dstPort = num(65535);
      port = true;
    } else if (k === 'learning') cfg.learning = true;
    else if (k === 'nolearning') cfg.learning = false;
    else if (k === 'udpcsum') cfg.udpCsum = true;
    else if (k === 'noudpcsum') cfg.udpCsum = false;
    else if (k === 'external') cfg.external = true;
    else if (k === 'udp6zerocsumrx') cfg.zeroCsum6Rx = true;
    else if (k === 'noudp6zerocsumrx') cfg.zeroCsum6Rx = false;
    else if (k === 'noudp6zerocsumtx') continue;
    else if (VXLAN_REFUSED.includes(k)) unsupported(`ip link add … type vxlan ${k}`);
    else fail(`vxlan: unknown command "${k}"?`);
  }
  if (cfg.external && vni !== null) fail("vxlan: both 'external' and vni cannot be specified");
  if (cfg.external && remote !== 0) unsupported('ip link add … type vxlan external remote');
  if (!cfg.external && vni === null) return fail('vxlan: missing virtual network identifier');
  cfg.vni = vni ?? 0;
  // Without a port iproute2 warns on stderr and goes on.
  if (!port) unsupported('ip link add … type vxlan without dstport');
  if (cfg.dstPort === 0) cfg.dstPort = 8472;
  return { cfg, remote };
}

/** What the kernel refuses (vxlan_config_validate). */
export function vxlanConflict(net: Netns, cfg: VxlanConfig): void {
  const twin = net.devs.some((d) => d.kind === 'vxlan' && (d as Vxlan).cfg.vni === cfg.vni && (d as Vxlan).cfg.dstPort === cfg.dstPort); // prettier-ignore
  if (twin) extack('A VXLAN device with the specified VNI already exists');
}

function unicast(text: string): number {
  const a = address(text);
  return isMulticast(a) ? unsupported(`multicast address ${text} of a tunnel`) : a;
}

/** A TTL of a device's own, or 0 for the word `none` that stands for what it does without. */
function ttl(w: Words, none: 'auto' | 'inherit'): number {
  const v = w.value();
  if (v === none) return 0;
  if (v === 'inherit') unsupported('ip link add … type vxlan ttl inherit');
  return unsigned(v, 255) ?? wrong(v, 'invalid TTL');
}

function tos(w: Words): number {
  const v = w.value();
  return v === 'inherit' ? 1 : (tosValue(v) ?? wrong(v, 'bad TOS value'));
}

function dontFragment(v: string): boolean {
  if (v === 'unset') return false;
  return v === 'set' ? true : unsupported(`ip link add … type vxlan df ${v}`);
}

/** Options of a new IPIP device. */
export function ipipOptions(c: IpContext, w: Words): IpTunnelParms {
  const p: IpTunnelParms = { local: 0, remote: 0, ttl: 0, tos: 0, pmtudisc: true, link: null, ioctl: false };
  while (w.more) {
    const k = w.take();
    if (k === 'remote') p.remote = anyOr(w.value());
    else if (k === 'local') p.local = anyOr(w.value());
    else if (k === 'dev') p.link = device(c.net, w.value());
    else if (k === 'ttl' || k === 'hoplimit') p.ttl = ttl(w, 'inherit');
    else if (k === 'tos' || k === 'tclass' || matches(k, 'dsfield')) p.tos = tos(w);
    else if (k === 'nopmtudisc') p.pmtudisc = false;
    else if (k === 'pmtudisc') p.pmtudisc = true;
    else if (k === 'mode') {
      const v = w.value();
      if (v !== 'ipip' && v !== 'ipv4/ipv4' && v !== 'ip4ip4') unsupported(`ip link add … type ipip mode ${v}`);
    } else unsupported(`ip link add … type ipip ${k}`);
  }
  if (p.ttl !== 0 && !p.pmtudisc) rtnl('EINVAL');
  return p;
}

const anyOr = (v: string): number => (v === 'any' ? 0 : unicast(v));

/** Two tunnels of the same ends cannot be told apart (ip_tunnel_newlink). */
export function ipipConflict(net: Netns, p: IpTunnelParms): void {
  const same = (d: Netdev): boolean =>
    d instanceof IpTunnel && d.parms.local === p.local && d.parms.remote === p.remote && d.parms.link === p.link;
  if (net.devs.some(same)) rtnl('EEXIST');
}

const any = (a: number): string => (a === 0 ? 'any' : ntoa(a));
const tosWord = (t: number): string => (t === 0 ? '' : t === 1 ? 'tos inherit ' : `tos 0x${t.toString(16)} `);

export function ipipText(d: IpTunnel): string {
  const p = d.parms;
  const dev = p.link === null ? '' : `dev ${p.link.name} `;
  return `ipip ${p.ioctl ? 'ipip' : 'any'} remote ${any(p.remote)} local ${any(p.local)} ${dev}ttl ${p.ttl === 0 ? 'inherit' : p.ttl} ${tosWord(p.tos)}${p.pmtudisc ? 'pmtudisc' : 'nopmtudisc'} `; // prettier-ignore
}

export function vxlanText(d: Vxlan): string {
  const c = d.cfg;
  const first = d.fdb.entries.find((e) => e.mac.every((x) => x === 0))?.remotes[0];
  return [
    `vxlan ${c.external ? 'external ' : ''}id ${c.vni}`,
    first === undefined ? '' : `remote ${ntoa(first.ip)}`,
    c.local === 0 ? '' : `local ${ntoa(c.local)}`,
    c.lower === null ? '' : `dev ${c.lower.name}`,
    `srcport ${c.portMin} ${c.portMax}`,
    `dstport ${c.dstPort}`,
    c.learning ? '' : 'nolearning',
    tosWord(c.tos).trim(),
    `ttl ${c.ttl === 0 ? 'auto' : c.ttl}`,
    c.df ? 'df set' : '',
    `ageing ${c.ageingNs === 0 ? 'none' : c.ageingNs / SEC}`,
    `${c.udpCsum ? '' : 'no'}udpcsum`,
    `noudp6zerocsumtx ${c.zeroCsum6Rx ? '' : 'no'}udp6zerocsumrx `,
  ].filter((s) => s !== '').join(' '); // prettier-ignore
}

/** `ip tunnel add|del|show …`, for mode ipip. */
export function ipTunnel(c: IpContext, w: Words): string {
  const verb = w.take();
  if (matches(verb, 'add')) {
    const name = w.peek === 'name' ? (w.take(), w.value()) : w.value();
    if (c.net.dev(name) !== null) return fail('add tunnel "tunl0" failed: File exists', 1);
    const p = ipipOptions(c, w);
    if (c.net.devs.some((d) => d instanceof IpTunnel && d.parms.local === p.local && d.parms.remote === p.remote))
      return fail('add tunnel "tunl0" failed: File exists', 1);
    addIpTunnel(c.net, name, { ...p, ioctl: true });
    return '';
  }
  if (matches(verb, 'delete')) {
    const name = w.peek === 'name' ? (w.take(), w.value()) : w.value();
    const d = device(c.net, name);
    if (!(d instanceof IpTunnel) || d.fallback)
      return fail(`delete tunnel "${name}" failed: Operation not permitted`, 1);
    deleteDevice(d);
    return '';
  }
  return unsupported(`ip tunnel ${verb}`.trim());
}
