/**
 * Addresses of devices and the routes that follow from them.
 *
 * Kernel counterparts: net/ipv4/devinet.c, fib_frontend.c (fib_add_ifaddr, fib_netdev_event).
 * @module
 */
import { maskOf } from '../../../wire/inet.js';
import type { Softirq } from '../../sim/sim.js';
import { ARPHRD_LOOPBACK, type InAddr, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import {
  newRoute, RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST, type Route, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, TABLE_LOCAL, TABLE_MAIN,
} from './fib.js'; // prettier-ignore
import { masqFlush } from '../netfilter/nat.js';
import { arpNotify } from './arp.js';
import { rebalance } from './multipath.js';
import { updateMtu } from './route-exception.js';

const kernelRoute = (table: number, type: number, dst: number, prefix: number, dev: Netdev, scope: number, src: number): Route =>
  newRoute({
    type, dst, prefix, tos: 0, metric: 0, gw: 0, dev, scope, src, proto: 'kernel', onlink: false, table,
    mtu: 0, mtuLock: false, paths: null,
  }); // prettier-ignore

/** Addresses of `dev` that share the subnet of `addr/prefix`. */
const sameSubnet = (dev: Netdev, addr: number, prefix: number): InAddr[] =>
  dev.addrs.filter((a) => a.prefix === prefix && ((a.addr ^ addr) & maskOf(prefix)) === 0);

/**
 * Adds an address (inet_insert_ifa): behind the primaries of its scope or a wider one, a secondary at the end. False when
 * it exists. Without `broadcast` there is none.
 */
export function addAddress(
  dev: Netdev,
  addr: number,
  prefix: number,
  broadcast: number | null,
  scope: number,
  label = dev.name,
): boolean {
  const near = sameSubnet(dev, addr, prefix);
  if (near.some((a) => a.addr === addr)) return false;
  const ifa: InAddr = { addr, prefix, broadcast: broadcast ?? 0, scope, secondary: near.length > 0, label };
  let at = dev.addrs.length;
  if (!ifa.secondary) {
    at = 0;
    dev.addrs.forEach((a, i) => {
      if (!a.secondary && scope <= a.scope) at = i + 1;
    });
  }
  dev.addrs.splice(at, 0, ifa);
  // ipv4_devconf_setall: from here on conf/default is for others.
  dev.confSet.add('*');
  addAddressRoutes(dev, ifa);
  dev.net.neigh.addressChanged();
  return true;
}

/**
 * Removes an address with its routes; a primary takes the secondaries of its subnet along (promote_secondaries is 0).
 * False when it does not exist.
 */
export function delAddress(dev: Netdev, addr: number, prefix: number): boolean {
  const ifa = dev.addrs.find((a) => a.addr === addr && a.prefix === prefix);
  if (ifa === undefined) return false;
  const gone = ifa.secondary ? [ifa] : sameSubnet(dev, addr, prefix);
  dev.addrs = dev.addrs.filter((a) => !gone.includes(a));
  const { fib } = dev.net;
  if (!ifa.secondary) {
    const net = addr & maskOf(prefix);
    const type = dev.type === ARPHRD_LOOPBACK ? RTN_LOCAL : RTN_UNICAST;
    const table = type === RTN_LOCAL ? fib.local : fib.main;
    table.remove((r) => r.dev === dev && r.proto === 'kernel' && r.dst === net && r.prefix === prefix);
  }
  for (const a of gone) {
    if (!dev.addrs.some((x) => x.addr === a.addr)) {
      fib.local.remove((r) => r.type === RTN_LOCAL && r.prefix === 32 && r.dst === a.addr && r.dev === dev);
    }
    // fib_sync_down_addr: routes of main that prefer an address which is no more.
    if (!dev.net.devs.some((d) => d.addrs.some((x) => x.addr === a.addr))) fib.main.remove((r) => r.src === a.addr);
  }
  const needed = dev.addrs.flatMap(broadcasts);
  fib.local.remove((r) => r.dev === dev && r.type === RTN_BROADCAST && !needed.includes(r.dst));
  dev.net.neigh.addressChanged();
  for (const a of gone) masqFlush(dev.net, dev.ifindex, a.addr);
  if (dev.addrs.length === 0) disableIp(dev);
  return true;
}

/** The last address went (fib_disable_ip): no route leads through the device, no neighbour is known there. */
function disableIp(dev: Netdev): void {
  for (const t of dev.net.fib.tables.values()) t.remove((r) => r.dev === dev);
  dev.net.neigh.flushDevice(dev);
}

/** The broadcast addresses an address brings with it. */
function broadcasts(ifa: InAddr): number[] {
  const list = ifa.broadcast !== 0 && ifa.broadcast !== -1 ? [ifa.broadcast] : [];
  if (!ifa.secondary && ifa.prefix < 31) list.push(ifa.addr | ~maskOf(ifa.prefix));
  return list;
}

/** The routes of an address (fib_add_ifaddr): a secondary's prefer the address of its primary. */
function addAddressRoutes(dev: Netdev, ifa: InAddr): void {
  const { fib } = dev.net;
  const src = sameSubnet(dev, ifa.addr, ifa.prefix).find((a) => !a.secondary)!.addr;
  fib.local.add(kernelRoute(TABLE_LOCAL, RTN_LOCAL, ifa.addr, 32, dev, SCOPE_HOST, src));
  if (!dev.up) return;
  for (const b of broadcasts(ifa)) {
    fib.local.add(kernelRoute(TABLE_LOCAL, RTN_BROADCAST, b, 32, dev, SCOPE_LINK, src));
  }
  if (ifa.secondary || ifa.prefix === 32) return;
  const net = ifa.addr & maskOf(ifa.prefix);
  if (dev.type === ARPHRD_LOOPBACK) {
    fib.local.add(kernelRoute(TABLE_LOCAL, RTN_LOCAL, net, ifa.prefix, dev, SCOPE_HOST, src));
  } else fib.main.add(kernelRoute(TABLE_MAIN, RTN_UNICAST, net, ifa.prefix, dev, SCOPE_LINK, src));
}

/** `ip link set up` (dev_open): the loopback address, prefix routes, a gratuitous ARP where arp_notify asks for it. */
export function devOpen(dev: Netdev): number {
  if (dev.up) return 0;
  const err = dev.open();
  if (err !== 0) return err;
  dev.up = true;
  dev.net.fib.genid++;
  dev.activated = true;
  dev.linkWatch();
  if (dev.type === ARPHRD_LOOPBACK) addAddress(dev, 0x7f000001, 8, 0, SCOPE_HOST);
  for (const ifa of dev.addrs) addAddressRoutes(dev, ifa);
  syncUp(dev);
  arpNotify(dev);
  dev.kernel.sim.raise(LINKWATCH, dev);
  return 0;
}

/** The work queue of link_watch.c: it runs after what the command itself has sent, a gratuitous ARP most of all. */
const LINKWATCH: Softirq<Netdev> = { softirq: (dev) => dev.carrierSeen() };

/** `ip link set mtu` (dev_set_mtu, fib_sync_mtu): path MTUs that were learned over the device follow it. */
export function setMtu(dev: Netdev, mtu: number): void {
  const old = dev.mtu;
  if (mtu === old) return;
  dev.mtu = mtu;
  for (const t of dev.net.fib.tables.values()) {
    for (const r of t.routes) {
      if (r.paths === null && r.dev === dev) updateMtu(r, mtu, old);
      else if (r.paths !== null) for (const p of r.paths) if (p.dev === dev) updateMtu(p, mtu, old);
    }
  }
  dev.net.fib.genid++;
}

/** True when a route has no next hop left without `dev`, which is down; the others share its part (fib_sync_down_dev). */
export function losesDev(r: Route, dev: Netdev): boolean {
  if (r.paths === null) return r.dev === dev;
  if (!r.paths.some((p) => p.dev === dev)) return false;
  rebalance(r.paths);
  return r.paths.every((p) => p.upperBound < 0);
}

/** The device is back: next hops on it count again (fib_sync_up). */
function syncUp(dev: Netdev): void {
  for (const t of dev.net.fib.tables.values()) {
    for (const r of t.routes) if (r.paths !== null && r.paths.some((p) => p.dev === dev)) rebalance(r.paths);
  }
}

/** `ip link set down` (dev_close): the routes through the device go but those of host scope, the addresses stay. */
export function devClose(dev: Netdev): void {
  if (!dev.up) return;
  dev.up = false;
  dev.net.fib.genid++;
  dev.stopped();
  dev.linkWatch();
  const { fib, neigh } = dev.net;
  for (const t of fib.tables.values()) t.remove((r) => r.scope < SCOPE_HOST && losesDev(r, dev));
  neigh.flushDevice(dev);
  masqFlush(dev.net, dev.ifindex, 0);
}

/**
 * A source address on `dev` for `dst` (inet_select_addr): the first primary address in the subnet of `dst`, else the first
 * primary of a suitable scope, else one of another device of the namespace; 0 when there is none.
 */
export function inetSelectAddr(dev: Netdev, dst: number, scope: number): number {
  let first = 0;
  for (const a of dev.addrs) {
    if (a.secondary || a.scope > scope) continue;
    if (dst === 0 || ((a.addr ^ dst) & maskOf(a.prefix)) === 0) return a.addr;
    if (first === 0) first = a.addr;
  }
  if (first !== 0) return first;
  for (const other of dev.net.devs) {
    for (const a of other.addrs) {
      if (!a.secondary && a.scope !== SCOPE_LINK && a.scope <= scope) return a.addr;
    }
  }
  return 0;
}

/** True when one subnet of `dev` holds `a` and, unless it is 0, `b` (inet_addr_onlink). */
export function addrOnlink(dev: Netdev, a: number, b: number): boolean {
  for (const i of dev.addrs) {
    const mask = maskOf(i.prefix);
    if (((i.addr ^ a) & mask) === 0 && (b === 0 || ((i.addr ^ b) & mask) === 0)) return true;
  }
  return false;
}

/** Any non-loopback address of the namespace, for errors that need a source. */
export function anyAddress(net: Netns): number {
  for (const d of net.devs) for (const a of d.addrs) if (a.scope === SCOPE_UNIVERSE) return a.addr;
  return 0;
}
