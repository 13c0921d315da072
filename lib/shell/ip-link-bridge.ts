/**
 * The options of a bridge and of its ports: `ip link … type bridge|bridge_slave …` and `bridge link set`.
 *
 * Options that would act through STP, VLAN filtering or multicast snooping take only the value they have.
 * @module
 */
import type { Bridge, BrPort } from '../linux/bridge/bridge.js';
import { fail, rtnl, unsigned, unsupported, type Words, wrong } from './ip-args.js';

/** Options of a bridge that cannot be changed, with the value that is accepted. */
const FIXED: Readonly<Record<string, number>> = {
  stp_state: 0, vlan_filtering: 0, vlan_stats_enabled: 0, vlan_stats_per_port: 0, group_fwd_mask: 0, mcast_snooping: 0,
  no_linklocal_learn: 0, mcast_vlan_snooping: 0, mcast_querier: 0, mcast_stats_enabled: 0, nf_call_ip6tables: 0,
  nf_call_arptables: 0, vlan_default_pvid: 1,
}; // prettier-ignore

/** Reads and applies the options of a bridge. */
export function setBridgeOptions(b: Bridge, w: Words): void {
  while (w.more) {
    const k = w.take();
    const fixed = FIXED[k];
    if (fixed === undefined && !['forward_delay', 'hello_time', 'max_age', 'ageing_time', 'priority', 'nf_call_iptables', 'fdb_flush'].includes(k)) {
      unsupported(`ip link … type bridge ${k}`);
    } // prettier-ignore
    if (k === 'fdb_flush') {
      for (const fdb of b.fdbs) fdb.remove((e) => e.kind === 'dynamic');
      continue;
    }
    const v = w.value();
    const n = unsigned(v) ?? wrong(v, `invalid ${k}`);
    if (fixed !== undefined) {
      if (n !== fixed) unsupported(`ip link … type bridge ${k} ${v}`);
    } else bridgeOption(b, k, n);
  }
}

function bridgeOption(b: Bridge, k: string, n: number): void {
  switch (k) {
    case 'forward_delay': b.forwardDelay = n; break;
    case 'hello_time': b.helloTime = n >= 100 && n <= 1000 ? n : rtnl('ERANGE'); break;
    case 'max_age': b.maxAge = n >= 600 && n <= 4000 ? n : rtnl('ERANGE'); break;
    case 'ageing_time': b.ageingNs = n * 1e7; break;
    case 'priority': b.priority = n <= 65535 ? n : wrong(String(n), 'invalid priority'); break;
    default: b.nfCallIptables = n !== 0;
  } // prettier-ignore
}

type Flag = 'hairpin' | 'learning' | 'flood' | 'isolated' | 'mcastFlood' | 'bcastFlood';
const FLAGS: Readonly<Record<string, Flag>> = {
  hairpin: 'hairpin', learning: 'learning', flood: 'flood', isolated: 'isolated', mcast_flood: 'mcastFlood', bcast_flood: 'bcastFlood',
}; // prettier-ignore
/** Flags that stay off. */
const OFF = [
  'guard', 'root_block', 'fastleave', 'proxy_arp', 'proxy_arp_wifi', 'mcast_fast_leave', 'mcast_to_unicast', 'neigh_suppress',
  'vlan_tunnel', 'locked', 'learning_sync',
]; // prettier-ignore

/** One option of a port; false when it is not known. `bad` says what to do with a value that is neither on nor off. */
export function portOption(p: BrPort, k: string, w: Words, bad: (value: string) => never): boolean {
  const onOff = (): boolean => {
    const v = w.value();
    return v === 'on' ? true : v === 'off' ? false : bad(v);
  };
  const flag = FLAGS[k];
  if (flag !== undefined) p[flag] = onOff();
  else if (OFF.includes(k)) {
    if (onOff()) unsupported(`bridge port option ${k} on`);
  } else if (k === 'cost' || k === 'priority') {
    const v = w.value();
    const n = unsigned(v) ?? wrong(v, `invalid ${k}`);
    if (k === 'cost') p.cost = n >= 1 && n <= 65535 ? n : rtnl('ERANGE');
    else p.priority = n <= 63 ? n : rtnl('ERANGE');
  } else return false;
  return true;
}

/** `ip link set DEV type bridge_slave …`. */
export function setSlaveOptions(p: BrPort | null, w: Words): void {
  if (p === null) return rtnl('EOPNOTSUPP');
  while (w.more) {
    const k = w.take();
    const bad = (v: string): never => fail(`Error: argument of "${k}" must be "on" or "off", not "${v}"`);
    if (!portOption(p, k, w, bad)) unsupported(`ip link set … type bridge_slave ${k}`);
  }
}
