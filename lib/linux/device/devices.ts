/**
 * Making, moving and ending devices (rtnl_newlink and friends).
 * @module
 */
import { delPort } from '../bridge/br-if.js';
import { Bridge } from '../bridge/bridge.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { devClose, losesDev } from '../ipv4/devinet.js';
import { Datapath, InternalDev, type Vport } from '../openvswitch/datapath.js';
import { IpTunnel, type IpTunnelParms } from '../tunnel/ipip.js';
import { Vxlan, type VxlanConfig } from '../tunnel/vxlan.js';
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
  const b = new Veth(netB, nameB, netB.newIndex());
  b.peer = b;
  register(b);
  const a = new Veth(netA, nameA, netA.newIndex());
  a.peer = b;
  b.peer = a;
  register(a);
  seePeer(a);
  seePeer(b);
  a.linkWatch();
  return [a, b];
}

/** A notification about a veth names its peer's namespace, which gets an id here (rtnl_fill_link_netnsid). */
function seePeer(v: Veth): void {
  if (v.peer.net !== v.net) v.net.nsid(v.peer.net);
}

export function addBridge(net: Netns, name: string): Bridge {
  const br = new Bridge(net, name, net.newIndex());
  register(br);
  for (const fdb of br.fdbs) fdb.addLocal(br.mac, null, net.kernel.sim.now);
  return br;
}

export function addDummy(net: Netns, name: string): Dummy {
  const d = new Dummy(net, name, net.newIndex());
  d.noarp = true;
  d.multicast = false;
  register(d);
  return d;
}

/** A device of a datapath's own. */
export function addInternalDev(net: Netns, name: string): InternalDev {
  const d = new InternalDev(net, name, net.newIndex());
  register(d);
  return d;
}

/** `ovs-dpctl add-dp`: a datapath with its local port (ovs_dp_cmd_new). */
export const addDatapath = (net: Netns, name: string): Datapath => new Datapath(addInternalDev(net, name));

/** Ends a datapath: its internal devices go, the others leave it (__dp_destroy). */
export function deleteDatapath(dp: Datapath): void {
  for (const p of [...dp.ports.values()]) if (p.no !== 0) deletePort(p);
  unregister(dp.local);
}

/** `ovs-dpctl del-if` (ovs_dp_detach_port). */
export function deletePort(p: Vport): void {
  p.detach();
  if (p.internal) unregister(p.dev);
}

export function addVxlan(net: Netns, name: string, cfg: VxlanConfig, remote: number): Vxlan {
  const d = new Vxlan(net, name, cfg, remote);
  register(d);
  return d;
}

export function addIpTunnel(net: Netns, name: string, parms: IpTunnelParms): IpTunnel {
  const d = new IpTunnel(net, name, parms, false);
  net.devs.push(d);
  net.kernel.onDevice?.(d);
  return d;
}

/** Moves a device to another namespace: down, without addresses (dev_change_net_namespace). */
export function moveDevice(dev: Netdev, net: Netns): void {
  endTunnelsOn(dev);
  if (dev.brport !== null) delPort(dev);
  dev.vport?.detach();
  devClose(dev);
  dropAddresses(dev);
  dev.left();
  dev.net.devs.splice(dev.net.devs.indexOf(dev), 1);
  if (dev.net !== net) dev.net.nsid(net);
  dev.net = net;
  if (net.devs.some((d) => d.ifindex === dev.ifindex)) dev.ifindex = net.newIndex();
  dev.activated = false;
  dev.qdisc = null;
  dev.dsts = [];
  dev.conf = { ...net.confDefault };
  dev.neigh = { ...dev.kernel.neighDefault };
  dev.confSet = new Set(net.confDefaultSet);
  net.devs.push(dev);
  if (dev instanceof Veth) {
    seePeer(dev);
    seePeer(dev.peer);
  }
  dev.kernel.onDevice?.(dev);
}

/** Deletes a device; a veth takes its peer along. */
export function deleteDevice(dev: Netdev): void {
  unregister(dev);
  if (dev instanceof Veth && dev.peer.net.devs.includes(dev.peer)) unregister(dev.peer);
}

function unregister(dev: Netdev): void {
  endTunnelsOn(dev);
  if (dev instanceof Bridge) for (const p of [...dev.ports]) delPort(p.dev);
  if (dev.brport !== null) delPort(dev);
  dev.vport?.detach();
  devClose(dev);
  dropAddresses(dev);
  dev.left();
  dev.registered = false;
  const i = dev.net.devs.indexOf(dev);
  if (i >= 0) dev.net.devs.splice(i, 1);
}

/** A vxlan ends with the device it stands on, also when that only leaves the namespace (vxlan_handle_lowerdev_unregister). */
function endTunnelsOn(dev: Netdev): void {
  for (const d of [...dev.net.devs]) if (d instanceof Vxlan && d.cfg.lower === dev) deleteDevice(d);
}

/** inetdev_destroy: addresses, routes and neighbours go, also of a device that was down. */
function dropAddresses(dev: Netdev): void {
  dev.addrs.length = 0;
  dev.net.neigh.flushDevice(dev);
  for (const t of dev.net.fib.tables.values()) t.remove((r) => losesDev(r, dev));
}

export function renameDevice(dev: Netdev, name: string): void {
  dev.name = name;
  dev.kernel.onDevice?.(dev);
}
