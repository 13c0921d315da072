/**
 * struct neigh_parms: how a device resolves its neighbours, /proc/sys/net/ipv4/neigh/DEV.
 *
 * New devices of every namespace start with the machine's default, which only the namespace `root` can see and change.
 * Kernel counterpart: net/core/neighbour.c (neigh_parms_alloc, neigh_sysctl_register). Not here: garbage collection.
 * @module
 */
import { MS, SEC } from '../../sim/sim.js';

export interface NeighParms {
  /** Unicast and broadcast requests before an entry fails. */
  ucastSolicit: number;
  mcastSolicit: number;
  /** Broadcast requests after the unicast ones of a known address; requests that a program would have to send. */
  mcastResolicit: number;
  appSolicit: number;
  baseReachableNs: number;
  retransNs: number;
  delayProbeNs: number;
  locktimeNs: number;
  /** Bytes (truesize) that may wait for one neighbour. */
  unresQlenBytes: number;
  /** The longest time a proxy's answer waits, and how many may. */
  proxyDelayNs: number;
  proxyQlen: number;
  /** Drawn from baseReachableNs when first used; 0: not yet. */
  reachableNs: number;
}

export const NEIGH_DEFAULT: Readonly<NeighParms> = {
  ucastSolicit: 3,
  mcastSolicit: 3,
  mcastResolicit: 0,
  appSolicit: 0,
  baseReachableNs: 30 * SEC,
  retransNs: SEC,
  delayProbeNs: 5 * SEC,
  locktimeNs: SEC,
  unresQlenBytes: 212992,
  proxyDelayNs: 0.8 * SEC,
  proxyQlen: 64,
  reachableNs: 0,
};

/** File name to field and unit in ns (1 for a plain number); 100 ticks a second for what counts in ticks (USER_HZ). */
const FILES: Readonly<Record<string, readonly [keyof NeighParms, number]>> = {
  ucast_solicit: ['ucastSolicit', 1],
  mcast_solicit: ['mcastSolicit', 1],
  mcast_resolicit: ['mcastResolicit', 1],
  app_solicit: ['appSolicit', 1],
  proxy_delay: ['proxyDelayNs', SEC / 100],
  proxy_qlen: ['proxyQlen', 1],
  base_reachable_time: ['baseReachableNs', SEC],
  base_reachable_time_ms: ['baseReachableNs', MS],
  retrans_time: ['retransNs', SEC / 100],
  retrans_time_ms: ['retransNs', MS],
  delay_first_probe_time: ['delayProbeNs', SEC],
  locktime: ['locktimeNs', SEC / 100],
  unres_qlen_bytes: ['unresQlenBytes', 1],
};

/** A value as the file shows it, or null when there is no such file. */
export function neighParmRead(p: NeighParms, file: string): number | null {
  const f = FILES[file];
  return f === undefined ? null : Math.floor(p[f[0]] / f[1]);
}

/** Writes a value; the reachable time is drawn anew when its base changes. */
export function neighParmWrite(p: NeighParms, file: string, value: number): void {
  const [field, unit] = FILES[file]!;
  p[field] = value * unit;
  if (field === 'baseReachableNs') p.reachableNs = 0;
}
