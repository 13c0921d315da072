/**
 * Making, moving and ending devices (rtnl_newlink and friends).
 * @module
 */
import { Bridge, delPort } from '../bridge/bridge.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { devClose } from '../ipv4/devinet.js';
import { Dummy } from './dummy.js';
import { Veth } from './veth.js';

export { Veth } from './veth.js';

function register(dev: Netdev): void {
  const { kernel, net } = dev;
  const rng = kernel.rng('mac');
  for (let i = 0; i < 6; i++) dev.mac[i] = rng.u32() >>> 24;
  dev.mac[0] = (dev.mac[0]! & 0xfe) | 0x02;
  net.devs.push(dev);
  kernel.onDevice?.(dev);
}

/** A veth pair; the peer may live in another namespace. */
export function addVeth(netA: Netns, nameA: string, netB: Netns, nameB: string): [Veth, Veth] {
  // The peer is registered first (veth_newlink), so it has the lower ifindex.
  const b = new Veth(netB, nameB, netB.kernel.ifindex());
  const a = new Veth(netA, nameA, netA.kernel.ifindex());
  a.peer = b;
  b.peer = a;
  register(b);
  register(a);
  return [a, b];
}

export function addBridge(net: Netns, name: string): Bridge {
  const br = new Bridge(net, name, net.kernel.ifindex());
  register(br);
  return br;
}

export function addDummy(net: Netns, name: string): Dummy {
  const d = new Dummy(net, name, net.kernel.ifindex());
  d.noarp = true;
  register(d);
  return d;
}

/** Moves a device to another namespace: down, without addresses (dev_change_net_namespace). */
export function moveDevice(dev: Netdev, net: Netns): void {
  if (dev.brport !== null) delPort(dev);
  devClose(dev);
  dropAddresses(dev);
  dev.net.devs.splice(dev.net.devs.indexOf(dev), 1);
  dev.net = net;
  dev.conf = { ...net.confDefault };
  net.devs.push(dev);
  dev.kernel.onDevice?.(dev);
}

/** Deletes a device; a veth takes its peer along. */
export function deleteDevice(dev: Netdev): void {
  unregister(dev);
  if (dev instanceof Veth && dev.peer.net.devs.includes(dev.peer)) unregister(dev.peer);
}

function unregister(dev: Netdev): void {
  if (dev instanceof Bridge) for (const p of [...dev.ports]) delPort(p.dev);
  if (dev.brport !== null) delPort(dev);
  devClose(dev);
  dropAddresses(dev);
  const i = dev.net.devs.indexOf(dev);
  if (i >= 0) dev.net.devs.splice(i, 1);
}

function dropAddresses(dev: Netdev): void {
  dev.addrs.length = 0;
  for (const t of dev.net.fib.tables.values()) t.remove((r) => r.dev === dev);
}

/** `ip link set address`: a bridge keeps an address that was set (addr_assign_type NET_ADDR_SET). */
export function setMac(dev: Netdev, mac: Uint8Array): void {
  dev.mac.set(mac);
  if (dev instanceof Bridge) dev.macSet = true;
  else if (dev.brport !== null) (dev.brport.master as Bridge).recalculateMac();
}

export function renameDevice(dev: Netdev, name: string): void {
  dev.name = name;
}
