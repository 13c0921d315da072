/**
 * Addresses of devices and the routes that follow from them.
 *
 * Kernel counterparts: net/ipv4/devinet.c, fib_frontend.c (fib_add_ifaddr, fib_netdev_event).
 * @module
 */
import { maskOf } from '../../../wire/inet.js';
import { ARPHRD_LOOPBACK, type InAddr, type Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import {
  RTN_BROADCAST, RTN_LOCAL, RTN_UNICAST, type Route, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, TABLE_LOCAL, TABLE_MAIN,
} from './fib.js'; // prettier-ignore
import { arpNotify } from './arp.js';

const kernelRoute = (table: number, type: number, dst: number, prefix: number, dev: Netdev, scope: number, src: number): Route => ({
  type, dst, prefix, tos: 0, metric: 0, gw: 0, dev, scope, src, proto: 'kernel', onlink: false, table,
}); // prettier-ignore

/** Adds an address (inet_insert_ifa). False when it exists. A /31 or /32 has no broadcast address. */
export function addAddress(
  dev: Netdev,
  addr: number,
  prefix: number,
  broadcast: number | null,
  scope: number,
): boolean {
  if (dev.addrs.some((a) => a.addr === addr && a.prefix === prefix)) return false;
  const mask = maskOf(prefix);
  const secondary = dev.addrs.some((a) => a.prefix === prefix && ((a.addr ^ addr) & mask) === 0);
  const ifa: InAddr = { addr, prefix, broadcast: broadcast ?? 0, scope, secondary, label: dev.name };
  dev.addrs.push(ifa);
  const fib = dev.net.fib;
  fib.local.add(kernelRoute(TABLE_LOCAL, RTN_LOCAL, addr, 32, dev, SCOPE_HOST, addr));
  if (dev.up) addPrefixRoutes(dev, ifa);
  dev.net.neigh.addressChanged();
  return true;
}

/** Removes an address with its routes. False when it does not exist. */
export function delAddress(dev: Netdev, addr: number, prefix: number): boolean {
  const i = dev.addrs.findIndex((a) => a.addr === addr && a.prefix === prefix);
  if (i < 0) return false;
  const [ifa] = dev.addrs.splice(i, 1);
  const fib = dev.net.fib;
  fib.local.remove((r) => r.type === RTN_LOCAL && r.dst === addr && r.dev === dev);
  delPrefixRoutes(dev, ifa!);
  fib.main.remove((r) => r.src === addr && r.dev === dev);
  for (const other of dev.addrs) {
    if (other.prefix === prefix && ((other.addr ^ addr) & maskOf(prefix)) === 0) {
      other.secondary = false;
      if (dev.up) addPrefixRoutes(dev, other);
      break;
    }
  }
  dev.net.neigh.addressChanged();
  return true;
}

function addPrefixRoutes(dev: Netdev, ifa: InAddr): void {
  const { fib } = dev.net;
  const net = ifa.addr & maskOf(ifa.prefix);
  if (ifa.broadcast !== 0 && ifa.broadcast !== -1) {
    fib.local.add(kernelRoute(TABLE_LOCAL, RTN_BROADCAST, ifa.broadcast, 32, dev, SCOPE_LINK, ifa.addr));
  }
  if (ifa.secondary) return;
  if (dev.type === ARPHRD_LOOPBACK) {
    fib.local.add(kernelRoute(TABLE_LOCAL, RTN_LOCAL, net, ifa.prefix, dev, SCOPE_HOST, ifa.addr));
  } else if (ifa.prefix < 32) {
    fib.main.add(kernelRoute(TABLE_MAIN, RTN_UNICAST, net, ifa.prefix, dev, SCOPE_LINK, ifa.addr));
    if (ifa.prefix < 31) {
      const last = net | ~maskOf(ifa.prefix);
      fib.local.add(kernelRoute(TABLE_LOCAL, RTN_BROADCAST, last, 32, dev, SCOPE_LINK, ifa.addr));
    }
  }
}

function delPrefixRoutes(dev: Netdev, ifa: InAddr): void {
  const net = ifa.addr & maskOf(ifa.prefix);
  dev.net.fib.main.remove((r) => r.dev === dev && r.proto === 'kernel' && r.dst === net && r.prefix === ifa.prefix);
  dev.net.fib.local.remove((r) => r.dev === dev && r.type === RTN_BROADCAST && r.src === ifa.addr);
}

/** `ip link set up` (dev_open): the loopback address, prefix routes, a gratuitous ARP where arp_notify asks for it. */
export function devOpen(dev: Netdev): void {
  if (dev.up) return;
  dev.up = true;
  if (dev.type === ARPHRD_LOOPBACK && dev.addrs.length === 0) addAddress(dev, 0x7f000001, 8, 0, SCOPE_HOST);
  for (const ifa of dev.addrs) {
    dev.net.fib.local.add(kernelRoute(TABLE_LOCAL, RTN_LOCAL, ifa.addr, 32, dev, SCOPE_HOST, ifa.addr));
    addPrefixRoutes(dev, ifa);
  }
  arpNotify(dev);
}

/** `ip link set down` (dev_close): every route through the device goes, the addresses stay. */
export function devClose(dev: Netdev): void {
  if (!dev.up) return;
  dev.up = false;
  const { fib, neigh } = dev.net;
  for (const t of fib.tables.values()) t.remove((r) => r.dev === dev && !(r.type === RTN_LOCAL && r.prefix === 32));
  neigh.flushDevice(dev);
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

/** True when the address is one of `dev` in the subnet that holds `addr` (inet_addr_onlink). */
export function addrOnlink(dev: Netdev, addr: number): boolean {
  for (const a of dev.addrs) if (((a.addr ^ addr) & maskOf(a.prefix)) === 0) return true;
  return false;
}

/** Any non-loopback address of the namespace, for errors that need a source. */
export function anyAddress(net: Netns): number {
  for (const d of net.devs) for (const a of d.addrs) if (a.scope === SCOPE_UNIVERSE) return a.addr;
  return 0;
}
