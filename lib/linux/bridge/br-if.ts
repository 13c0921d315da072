/**
 * Ports of a bridge, its own address and the local entries that follow from them.
 *
 * Kernel counterparts: net/bridge/br_if.c, br_fdb.c, br_stp_if.c (br_stp_recalculate_bridge_id).
 * @module
 */
import * as eth from '../../../wire/ethernet.js';
import type { Netdev } from '../core/netdev.js';
import { arpNotify } from '../ipv4/arp.js';
import { setMtu } from '../ipv4/devinet.js';
import { Bridge, BrPort } from './bridge.js';
import type { Fdb, FdbEntry, FdbKind } from './fdb.js';

const ZERO = new Uint8Array(6);

const compareMac = (a: Uint8Array, b: Uint8Array): number => {
  for (let i = 0; i < 6; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
};

/** `ip link set DEV master BRIDGE` (br_add_if). */
export function addPort(br: Bridge, dev: Netdev): BrPort {
  let no = 1;
  while (br.ports.some((p) => p.no === no)) no++;
  const port = new BrPort(dev, br, no);
  dev.brport = port;
  br.ports.unshift(port);
  for (const fdb of br.fdbs) fdb.addLocal(dev.mac, port, br.kernel.sim.now);
  recalculateId(br);
  adjustMtu(br);
  br.linkWatch();
  return port;
}

/** `ip link set DEV nomaster` (br_del_if). */
export function delPort(dev: Netdev): void {
  const port = dev.brport as BrPort | null;
  if (port === null) return;
  dev.brport = null;
  const br = port.master;
  br.ports = br.ports.filter((p) => p !== port);
  for (const fdb of br.fdbs) {
    for (const e of fdb.list()) if (e.port === port && e.local) deleteLocal(br, fdb, e);
    fdb.remove((e) => e.port === port);
  }
  recalculateId(br);
  adjustMtu(br);
  br.linkWatch();
}

/** A bridge whose MTU was not set has the smallest of its ports (br_mtu_auto_adjust). */
export function adjustMtu(br: Bridge): void {
  if (br.mtuSet) return;
  setMtu(br, br.ports.length === 0 ? 1500 : Math.min(...br.ports.map((p) => p.dev.mtu)));
}

/** A local entry goes, or stays for another port or the bridge that has the same address (fdb_delete_local). */
function deleteLocal(br: Bridge, fdb: Fdb, e: FdbEntry): void {
  const other = br.ports.find((p) => p !== e.port && compareMac(p.dev.mac, e.mac) === 0);
  if (other !== undefined) e.port = other;
  else if (e.port !== null && compareMac(br.mac, e.mac) === 0) e.port = null;
  else fdb.remove((x) => x === e);
}

/** Lowest port MAC unless one was set (br_stp_recalculate_bridge_id). */
function recalculateId(br: Bridge): void {
  if (br.macSet) return;
  let low = br.ports.length === 0 ? ZERO : br.ports[0]!.dev.mac;
  for (const p of br.ports) if (compareMac(p.dev.mac, low) < 0) low = p.dev.mac;
  if (compareMac(br.id, low) !== 0) changeBridgeMac(br, low.slice());
}

/** The bridge's new address, its entry moves along (br_stp_change_bridge_id). */
function changeBridgeMac(br: Bridge, mac: Uint8Array): void {
  for (const fdb of br.fdbs) {
    const e = fdb.entry(br.mac, 0);
    if (e !== null && e.local && e.port === null && !e.user) deleteLocal(br, fdb, e);
    fdb.addLocal(mac, null, br.kernel.sim.now);
  }
  br.id.set(mac);
  br.mac.set(mac);
  changedAddress(br);
}

/** NETDEV_CHANGEADDR: what was known behind the device is forgotten (neigh_changeaddr), its own addresses are announced. */
function changedAddress(dev: Netdev): void {
  dev.net.neigh.flushDevice(dev);
  if (dev.up) arpNotify(dev);
}

/** `ip link set address`: a bridge keeps an address that was set; a port's may become the bridge's (br_fdb_changeaddr). */
export function setMac(dev: Netdev, mac: Uint8Array): void {
  const port = dev.brport as BrPort | null;
  if (port !== null) {
    const br = port.master;
    for (const fdb of br.fdbs) {
      for (const e of fdb.list()) if (e.port === port && e.local && !e.user) deleteLocal(br, fdb, e);
      fdb.addLocal(mac, port, br.kernel.sim.now);
    }
  }
  if (dev instanceof Bridge) {
    dev.macSet = true;
    if (compareMac(dev.mac, mac) !== 0) changeBridgeMac(dev, mac.slice());
    else changedAddress(dev);
  } else {
    dev.mac.set(mac);
    changedAddress(dev);
  }
  if (port !== null) recalculateId(port.master);
}

/** What `bridge fdb add|append|replace … master` asks for. */
export interface FdbRequest {
  kind: FdbKind;
  /** NLM_F_CREATE, NLM_F_EXCL. */
  create: boolean;
  exclusive: boolean;
}

export type FdbError = 'EINVAL' | 'EEXIST' | 'ENOENT';

/** `bridge fdb add MAC dev DEV master`, or on the bridge itself (br_fdb_add). Null when done. */
export function fdbAdd(dev: Netdev, mac: Uint8Array, r: FdbRequest): FdbError | null {
  const port = dev.brport as BrPort | null;
  const br = dev instanceof Bridge ? dev : port === null ? null : port.master;
  if (br === null || (dev === br && r.kind !== 'permanent')) return 'EINVAL';
  const { now } = br.kernel.sim;
  for (const fdb of br.fdbs) {
    const e = fdb.entry(mac, 0);
    if (e === null) {
      if (!r.create) return 'ENOENT';
      fdb.set(mac.slice(), dev === br ? null : port, r.kind, true, now);
      continue;
    }
    if (r.exclusive) return 'EEXIST';
    if (e.port !== (dev === br ? null : port) || e.kind !== r.kind) e.updated = now;
    e.port = dev === br ? null : port;
    e.kind = r.kind;
    e.local = r.kind === 'permanent';
    e.user = true;
    e.used = now;
  }
  return null;
}

/** `bridge fdb del MAC dev DEV master` (br_fdb_delete). False when there was none. */
export function fdbDel(dev: Netdev, mac: Uint8Array): boolean {
  const port = dev.brport as BrPort | null;
  const br = dev instanceof Bridge ? dev : port === null ? null : port.master;
  if (br === null) return false;
  const at = dev === br ? null : port;
  let n = 0;
  for (const fdb of br.fdbs) n += fdb.remove((e) => eth.macIs(mac, 0, e.mac) && e.port === at);
  return n > 0;
}
