/**
 * `ip link`: devices made, changed, ended and shown. Kinds: bridge, dummy, ipip, veth, vxlan.
 * @module
 */
import { Bridge, type BrPort } from '../linux/bridge/bridge.js';
import { addPort, adjustMtu, delPort, setMac } from '../linux/bridge/br-if.js';
import { ARPHRD_LOOPBACK, ARPHRD_TUNNEL, type Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import {
  addBridge,
  addDummy,
  addIpTunnel,
  addVeth,
  addVxlan,
  deleteDevice,
  moveDevice,
  renameDevice,
} from '../linux/device/devices.js';
import { InternalDev } from '../linux/openvswitch/datapath.js';
import { IpTunnel } from '../linux/tunnel/ipip.js';
import { Vxlan, VXLAN_HEADROOM } from '../linux/tunnel/vxlan.js';
import { devClose, devOpen, setMtu } from '../linux/ipv4/devinet.js';
import { linkSelected } from './ip-addr.js';
import {
  device, extack, fail, garbage, type IpContext, lladdr, matches, onOff, rtnl, unsigned, unsupported, Words, wrong,
} from './ip-args.js'; // prettier-ignore
import { ipipConflict, ipipOptions, vxlanConflict, vxlanOptions } from './ip-link-tunnel.js';
import { setBridgeOptions, setSlaveOptions } from './ip-link-bridge.js';
import { inDumpOrder, linkText } from './ip-link-show.js';

/** `ip link …`: what it prints. */
export function ipLink(c: IpContext, w: Words): string {
  const verb = w.take();
  if (verb === '' || matches(verb, 'show', 'lst', 'list')) return show(c, w);
  if (matches(verb, 'add')) return add(c, w);
  if (matches(verb, 'set', 'change')) return set(c, w);
  if (matches(verb, 'delete')) return del(c, w);
  if (matches(verb, 'replace', 'xstats', 'afstats', 'property', 'help')) return unsupported(`ip link ${verb}`);
  return fail(`Command "${verb}" is unknown, try "ip link help".`);
}

/** Attributes of a device as words give them; null: not given. */
interface LinkWords {
  name: string | null;
  /** `name NEW`, which `set` takes for a rename. */
  rename: string | null;
  netns: Netns | null;
  mac: Uint8Array | null;
  mtu: number | null;
  txqlen: number | null;
  alias: string | null;
  up: boolean | null;
  arp: boolean | null;
  multicast: boolean | null;
  allmulti: boolean | null;
  promisc: boolean | null;
  /** A bridge, or false for `nomaster`. */
  master: Netdev | false | null;
}

const SWITCHES: Readonly<Record<string, 'arp' | 'multicast' | 'allmulti' | 'promisc'>> = {
  arp: 'arp', multicast: 'multicast', allmulticast: 'allmulti', promisc: 'promisc',
}; // prettier-ignore
const REFUSED = [
  'index', 'link', 'xdp', 'xdpgeneric', 'xdpdrv', 'xdpoffload', 'trailers', 'carrier', 'vf', 'vrf', 'dynamic', 'group', 'mode',
  'state', 'numtxqueues', 'numrxqueues', 'addrgenmode', 'link-netns', 'link-netnsid', 'protodown', 'protodown_reason',
  'gso_max_size', 'gso_max_segs', 'gro_max_size', 'parentdev',
]; // prettier-ignore

const netnsOf = (c: IpContext, v: string): Netns =>
  c.kernel.netns.get(v === '1' ? 'root' : v) ?? wrong(v, 'Invalid "netns" value\n');

/** Reads attributes up to `type` or the end (iplink_parse). */
function parse(c: IpContext, w: Words): LinkWords {
  const l: LinkWords = { name: null, rename: null, netns: null, mac: null, mtu: null, txqlen: null, alias: null, up: null, arp: null, multicast: null, allmulti: null, promisc: null, master: null }; // prettier-ignore
  while (w.more && !(w.peek !== '' && matches(w.peek, 'type') && w.peek.length > 1)) {
    const k = w.take();
    const flag = SWITCHES[k];
    if (k === 'up') l.up = true;
    else if (k === 'down') l.up = false;
    else if (k === 'name') l.rename = ifname(w.value(), 'name');
    else if (matches(k, 'address')) l.mac = lladdr(w.value());
    else if (matches(k, 'broadcast') || k === 'brd') unsupported(`ip link … ${k}`);
    else if (k === 'qlen' || matches(k, 'txqueuelen', 'txqlen')) l.txqlen = number(w.value(), 'txqueuelen');
    else if (k === 'mtu') l.mtu = number(w.value(), 'mtu');
    else if (k === 'netns') l.netns = netnsOf(c, w.value());
    else if (flag !== undefined) l[flag] = onOff(k, w.value());
    else if (matches(k, 'master')) {
      const v = w.value();
      l.master = c.net.dev(v) ?? wrong(v, 'Device does not exist\n');
    } else if (matches(k, 'nomaster')) l.master = false;
    else if (matches(k, 'alias')) l.alias = w.value();
    else if (REFUSED.includes(k)) unsupported(`ip link … ${k}`);
    else {
      const v = k === 'dev' ? w.value() : k;
      if (l.name !== null) garbage(v);
      l.name = ifname(v, 'dev', 127);
    }
  }
  return l;
}

function number(v: string, what: string): number {
  return unsigned(v) ?? wrong(v, `Invalid "${what}" value\n`);
}

function ifname(v: string, what: string, max = 15): string {
  return v !== '' && v.length <= max && !/[/\s]/.test(v) ? v : wrong(v, `"${what}" not a valid ifname`);
}

/** The kernel's own look at a new name (IFLA_IFNAME policy, dev_valid_name). */
function newName(net: Netns, name: string): string {
  if (name.length > 15) extack('Attribute failed policy validation');
  if (name === '.' || name === '..' || name.includes(':')) rtnl('EINVAL');
  if (net.dev(name) !== null) rtnl('EEXIST');
  return name;
}

/** A name of the kernel's choice, `KIND0` and so on (__dev_alloc_name). */
function freeName(net: Netns, kind: string, taken = ''): string {
  let i = 0;
  while (net.dev(`${kind}${i}`) !== null || `${kind}${i}` === taken) i++;
  return `${kind}${i}`;
}

/** Kinds that Linux 6.1 has beyond those made here. */
const LINK_KINDS =
  'amt bareudp batadv bond can dsa erspan geneve gre gretap gtp hsr ifb ip6erspan ip6gre ip6gretap ip6tnl ipoib ipvlan ipvtap ' +
  'macsec macvlan macvtap netdevsim nlmon openvswitch rmnet sit team tun vcan virt_wifi vlan vrf vti vxcan wireguard xfrm';

function add(c: IpContext, w: Words): string {
  const l = parse(c, w);
  if (!w.more) return fail('Not enough information: "type" argument is required');
  w.take();
  const kind = w.value();
  const net = l.netns ?? c.net;
  // `name` and the bare word mean the same here.
  const wanted = l.rename ?? l.name;
  if (kind === 'veth') return addPair(c, w, net, l, wanted);
  if (kind === 'vxlan' || kind === 'ipip') return addTunnel(c, w, net, l, kind, wanted);
  if (LINK_KINDS.split(' ').includes(kind)) unsupported(`ip link add … type ${kind}`);
  if (kind !== 'bridge' && kind !== 'dummy') return extack('Unknown device type');
  if (kind === 'dummy' && w.more) fail(`podwire: "ip link add … type dummy ${w.peek}" is not supported yet`);
  const name = newName(net, wanted ?? freeName(net, kind));
  check(l, kind);
  const d = kind === 'bridge' ? addBridge(net, name) : addDummy(net, name);
  if (d instanceof Bridge) {
    try {
      setBridgeOptions(d, w);
    } catch (e) {
      deleteDevice(d);
      throw e;
    }
  }
  init(d, l);
  return '';
}

function addTunnel(
  c: IpContext,
  w: Words,
  net: Netns,
  l: LinkWords,
  kind: 'vxlan' | 'ipip',
  wanted: string | null,
): string {
  const name = newName(net, wanted ?? freeName(net, kind === 'ipip' ? 'tunl' : kind));
  if (kind === 'ipip') {
    const p = ipipOptions(c, w);
    if (net !== c.net) unsupported('ip link add … netns … type ipip');
    ipipConflict(net, p);
    init(addIpTunnel(net, name, p), l);
    return '';
  }
  const { cfg, remote } = vxlanOptions(c, w);
  if (net !== c.net) unsupported('ip link add … netns … type vxlan');
  vxlanConflict(net, cfg);
  check(l, kind);
  const d = addVxlan(net, name, cfg, remote);
  const most = cfg.lower === null ? 65535 : cfg.lower.mtu - VXLAN_HEADROOM;
  init(d, l.mtu !== null && l.mtu > most ? { ...l, mtu: most } : l);
  return '';
}

function addPair(c: IpContext, w: Words, net: Netns, l: LinkWords, wanted: string | null): string {
  let p: LinkWords = { ...l, name: null, rename: null, netns: null, mac: null, mtu: null, up: null, master: null };
  if (w.more) {
    const k = w.take();
    if (k !== 'peer') fail(`veth: unknown option "${k}"?`, 1);
    p = parse(c, w);
    if (w.more) garbage(w.peek);
  }
  const peerNet = p.netns ?? net;
  check(l, 'veth');
  check(p, 'veth');
  // The peer is made first, and takes its name first.
  const peerName = newName(peerNet, p.rename ?? p.name ?? freeName(peerNet, 'veth'));
  const taken = peerNet === net ? peerName : '';
  const name = newName(net, wanted ?? freeName(net, 'veth', taken));
  if (name === taken) rtnl('EEXIST');
  const [a, b] = addVeth(net, name, peerNet, peerName);
  init(b, p);
  init(a, l);
  return '';
}

function check(l: LinkWords, kind: string): void {
  if (l.mtu !== null && kind !== 'dummy') checkMtu(l.mtu);
  if (l.mac !== null) checkMac(l.mac);
  if (l.alias !== null) unsupported('ip link add … alias');
}

function checkMtu(mtu: number): void {
  if (mtu < 68) extack('mtu less than device minimum');
  if (mtu > 65535) extack('mtu greater than device maximum');
}

function checkMac(mac: Uint8Array): void {
  if ((mac[0]! & 1) !== 0 || mac.every((x) => x === 0)) rtnl('EADDRNOTAVAIL');
}

/** Attributes of a new device (rtnl_create_link, rtnl_configure_link). */
function init(d: Netdev, l: LinkWords): void {
  if (l.mac !== null) setMac(d, l.mac);
  if (l.mtu !== null) setMtu(d, l.mtu);
  if (l.txqlen !== null) d.txqlen = l.txqlen;
  if (l.master instanceof Bridge) addPort(l.master, d);
  else if (l.master) rtnl('EOPNOTSUPP');
  applyFlags(d, l);
}

function applyFlags(d: Netdev, l: LinkWords): void {
  if (l.arp !== null) d.noarp = !l.arp;
  if (l.multicast !== null) d.multicast = l.multicast;
  if (l.allmulti !== null) d.allmulti = l.allmulti;
  if (l.promisc !== null) d.promisc = l.promisc;
  if (l.up === true) {
    if (devOpen(d) !== 0) rtnl('EADDRINUSE');
    if (d instanceof Bridge) d.gcStart = d.kernel.sim.now + 1e8;
  } else if (l.up === false) devClose(d);
}

function set(c: IpContext, w: Words): string {
  const l = parse(c, w);
  if (l.name === null) return fail('Not enough information: "dev" argument is required.');
  const d = device(c.net, l.name);
  let options: ((x: Netdev) => void) | null = null;
  if (w.more) {
    w.take();
    const kind = w.value();
    if (kind === 'bridge_slave') options = (x) => setSlaveOptions(x.brport as BrPort | null, w);
    else if (kind === 'bridge' && d instanceof Bridge) options = () => setBridgeOptions(d, w);
    else unsupported(`ip link set … type ${kind}`);
  }
  change(d, l);
  options?.(d);
  return '';
}

/** The changes in the kernel's order (do_setlink): namespace, address, MTU, name, alias, master, flags, queue. */
function change(d: Netdev, l: LinkWords): void {
  if (l.netns !== null && l.netns !== d.net) {
    if (d instanceof Vxlan || (d instanceof IpTunnel && !d.fallback)) unsupported(`ip link set ${d.name} netns`);
    // NETIF_F_NETNS_LOCAL
    if (d.type === ARPHRD_LOOPBACK || d.type === ARPHRD_TUNNEL || d instanceof Bridge || d instanceof InternalDev)
      rtnl('EINVAL');
    if (l.netns.dev(d.name) !== null) rtnl('EEXIST');
    moveDevice(d, l.netns);
  }
  if (l.mac !== null) {
    if (!d.isEthernet) rtnl('EOPNOTSUPP');
    checkMac(l.mac);
    setMac(d, l.mac);
  }
  if (l.mtu !== null) {
    if (d.kind === 'veth' || d.kind === 'bridge') checkMtu(l.mtu);
    setMtu(d, l.mtu);
    if (d instanceof Bridge) d.mtuSet = true;
    else if (d.brport !== null) adjustMtu((d.brport as BrPort).master);
  }
  if (l.rename !== null && l.rename !== d.name) {
    if (d.up) rtnl('EBUSY');
    renameDevice(d, newName(d.net, l.rename));
  }
  if (l.alias !== null) d.alias = l.alias;
  if (l.master !== null) setMaster(d, l.master);
  applyFlags(d, l);
  if (l.txqlen !== null) d.txqlen = l.txqlen;
}

/** do_set_master and br_add_if's conditions. */
function setMaster(d: Netdev, master: Netdev | false): void {
  if (d.brport !== null && d.brport.master === master) return;
  // A datapath has no ndo_del_slave.
  if (d.vport !== null) rtnl('EOPNOTSUPP');
  if (d.brport !== null) delPort(d);
  if (master === false) return;
  if (!(master instanceof Bridge)) return rtnl('EOPNOTSUPP');
  if (!d.isEthernet) rtnl('EINVAL');
  if (d instanceof Bridge) extack('Can not enslave a bridge to a bridge');
  addPort(master, d);
}

function del(c: IpContext, w: Words): string {
  const l = parse(c, w);
  if (l.name === null) return fail('Not enough information: "dev" argument is required.');
  const d = device(c.net, l.name);
  if (d.type === ARPHRD_LOOPBACK || d instanceof InternalDev) rtnl('EOPNOTSUPP');
  if (d instanceof IpTunnel && d.fallback) return '';
  if (w.more) {
    w.take();
    const kind = w.value();
    if (kind !== d.kind) rtnl('EINVAL');
  }
  deleteDevice(d);
  return '';
}

function show(c: IpContext, w: Words): string {
  if (c.stats) unsupported('ip -s link');
  const f = { dev: null as Netdev | null, up: false, master: null as Netdev | null, kind: null as string | null, slave: null as string | null }; // prettier-ignore
  let name: string | null = null;
  while (w.more) {
    const k = w.take();
    if (k === 'up') f.up = true;
    else if (k === 'master') {
      const v = w.value();
      f.master = c.net.dev(v) ?? wrong(v, 'Device does not exist\n');
    } else if (k === 'type') {
      const v = w.value();
      if (v.endsWith('_slave')) f.slave = v.slice(0, -6);
      else f.kind = v;
    } else if (['group', 'vrf', 'nomaster', 'novf'].includes(k)) unsupported(`ip link show ${k}`);
    else {
      const v = k === 'dev' ? w.value() : k;
      if (name !== null) garbage(v);
      name = v;
    }
  }
  if (name !== null) f.dev = c.net.dev(name) ?? fail(`Device "${name}" does not exist.`, 1);
  return inDumpOrder(c.net)
    .filter((d) => linkSelected(f, d))
    .map((d) => linkText(c, d))
    .join('');
}
