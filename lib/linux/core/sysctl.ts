/**
 * The sysctls podwire has, by dotted name, with the kernel's defaults.
 *
 * Those with a field of their own are read and written there; the others live in Netns.sysctl and are read by their users.
 * @module
 */
import { conntrack } from '../netfilter/conntrack.js';
import { type NeighParms, neighParmRead, neighParmWrite } from './neigh-parms.js';
import { CT_SYSCTLS } from '../netfilter/ct-config.js';
import type { InDevConf } from './netdev.js';
import type { Netns } from './netns.js';

/** Plain integers that the code reads from Netns.sysctl. */
const PLAIN: Record<string, number> = {
  'net.ipv4.ip_default_ttl': 64,
  'net.ipv4.ip_no_pmtu_disc': 0,
  'net.ipv4.ip_forward_use_pmtu': 0,
  'net.ipv4.ip_unprivileged_port_start': 1024,
  'net.ipv4.fwmark_reflect': 0,
  'net.ipv4.fib_multipath_hash_policy': 0,
  'net.ipv4.route.min_pmtu': 552,
  'net.ipv4.route.mtu_expires': 600,
  'net.ipv4.ipfrag_time': 30,
  'net.ipv4.ipfrag_high_thresh': 4194304,
  'net.ipv4.ipfrag_low_thresh': 3145728,
  'net.ipv4.ipfrag_max_dist': 64,
  'net.ipv4.icmp_echo_ignore_all': 0,
  'net.ipv4.icmp_echo_ignore_broadcasts': 1,
  'net.ipv4.icmp_errors_use_inbound_ifaddr': 0,
  'net.ipv4.icmp_ratelimit': 1000,
  'net.ipv4.icmp_ratemask': 6168,
  'net.ipv4.icmp_msgs_per_sec': 1000,
  'net.ipv4.icmp_msgs_burst': 50,
  'net.ipv4.tcp_early_demux': 1,
  'net.ipv4.tcp_syn_retries': 6,
  'net.ipv4.tcp_synack_retries': 5,
  'net.ipv4.tcp_retries2': 15,
  'net.ipv4.tcp_fin_timeout': 60,
  'net.ipv4.tcp_ecn': 2,
  'net.ipv4.tcp_ecn_fallback': 1,
  'net.ipv4.tcp_keepalive_time': 7200,
  'net.ipv4.tcp_keepalive_intvl': 75,
  'net.ipv4.tcp_keepalive_probes': 9,
  'net.ipv4.tcp_timestamps': 1,
  'net.ipv4.tcp_sack': 1,
  'net.ipv4.tcp_window_scaling': 1,
  'net.core.somaxconn': 4096,
  'net.ipv4.vs.conntrack': 0,
  'net.ipv4.vs.conn_reuse_mode': 1,
  'net.ipv4.vs.expire_nodest_conn': 0,
  'net.ipv4.vs.expire_quiescent_template': 0,
  'net.ipv4.vs.sloppy_tcp': 0,
  'net.ipv4.vs.snat_reroute': 1,
  'net.ipv4.vs.pmtu_disc': 1,
  'net.ipv4.vs.nat_icmp_send': 0,
  'net.ipv4.vs.cache_bypass': 0,
  'net.ipv4.vs.lblcr_expiration': 86400,
  'net.ipv4.vs.drop_entry': 0,
  'net.ipv4.vs.drop_packet': 0,
  'net.ipv4.vs.secure_tcp': 0,
  'net.ipv4.vs.am_droprate': 10,
  'net.ipv4.vs.amemthresh': 1024,
  'net.ipv4.vs.sync_persist_mode': 0,
  'net.ipv4.vs.sync_ports': 1,
  'net.ipv4.vs.sync_retries': 0,
  'net.ipv4.vs.sync_sock_size': 0,
  'net.ipv4.vs.sync_version': 1,
  'net.ipv4.vs.backup_only': 0,
  'net.ipv4.vs.schedule_icmp': 0,
  'net.ipv4.vs.ignore_tunneled': 0,
  'net.ipv4.vs.run_estimation': 1,
  'net.ipv4.vs.lblc_expiration': 86400,
};

/** Of IPVS, what only the default is supported of. */
const VS_FIXED =
  /^net\.ipv4\.vs\.(drop_entry|drop_packet|secure_tcp|am_droprate|amemthresh|sync_\w+|backup_only|schedule_icmp|ignore_tunneled|run_estimation|lblc_expiration)$/;

/** Shared by all namespaces: written in the first one only (nf_conntrack_standalone_init_sysctl). */
const CT_MAX = 'net.netfilter.nf_conntrack_max';
const CT_BUCKETS = 'net.netfilter.nf_conntrack_buckets';
const CT_COUNT = 'net.netfilter.nf_conntrack_count';
/** Of the machine: only `root` has it (net_core_table). */
const FB_TUNNELS = 'net.core.fb_tunnels_only_for_init_net';

/** Least and greatest value of those that refuse others. */
const LIMITS: Record<string, readonly [number, number]> = {
  'net.ipv4.ip_default_ttl': [1, 255],
  'net.ipv4.ip_no_pmtu_disc': [0, 255],
  'net.ipv4.ip_forward_use_pmtu': [0, 255],
  'net.ipv4.ip_unprivileged_port_start': [0, 65535],
  'net.ipv4.fwmark_reflect': [0, 255],
  'net.ipv4.fib_multipath_hash_policy': [0, 3],
  'net.ipv4.route.min_pmtu': [68, 2147483647],
  'net.ipv4.ipfrag_max_dist': [0, 2147483647],
  'net.ipv4.icmp_echo_ignore_all': [0, 1],
  'net.ipv4.icmp_echo_ignore_broadcasts': [0, 1],
  'net.ipv4.icmp_errors_use_inbound_ifaddr': [0, 1],
  'net.ipv4.icmp_msgs_per_sec': [0, 2147483647],
  'net.ipv4.icmp_msgs_burst': [0, 2147483647],
  [FB_TUNNELS]: [0, 2],
};

/** True without effect here: IPv6 is off on the machine; any value is accepted. */
const INERT = [/^net\.ipv6\.conf\.[^.]+\.(accept_ra|accept_dad|disable_ipv6)$/];

function confOf(net: Netns, key: string): { conf: InDevConf; name: keyof InDevConf; dev: string } | null {
  const m = /^net\.ipv4\.conf\.(.+)\.([a-z_]+)$/.exec(key);
  if (m === null) return null;
  const conf = m[1] === 'all' ? net.confAll : m[1] === 'default' ? net.confDefault : net.dev(m[1]!)?.conf;
  return conf !== undefined && m[2]! in conf ? { conf, name: m[2] as keyof InDevConf, dev: m[1]! } : null;
}

/** Devices' own, and the machine's default, which only `root` has. */
function neighOf(net: Netns, key: string): { parms: NeighParms; file: string; isDefault: boolean } | null {
  const m = /^net\.ipv4\.neigh\.(.+)\.([a-z_]+)$/.exec(key);
  if (m === null) return null;
  const isDefault = m[1] === 'default';
  if (isDefault && net.name !== 'root') return null;
  const parms = isDefault ? net.kernel.neighDefault : net.dev(m[1]!)?.neigh;
  return parms === undefined ? null : { parms, file: m[2]!, isDefault };
}

/** The value as text, or null when there is no such sysctl. Keys may be dotted or slashed. */
export function sysctlRead(net: Netns, key: string): string | null {
  const k = key.includes('/') ? key.replaceAll('.', '\u0000').replaceAll('/', '.').replaceAll('\u0000', '/') : key;
  if (k === 'net.ipv4.ip_forward') return String(net.confAll.forwarding);
  if (k === 'net.bridge.bridge-nf-call-iptables') return String(net.bridgeNfCallIptables);
  const c = confOf(net, k);
  if (c !== null) return String(c.conf[c.name]);
  const n = neighOf(net, k);
  if (n !== null) {
    const value = neighParmRead(n.parms, n.file);
    return value === null ? null : String(value);
  }
  const own = CT_SYSCTLS.get(k);
  if (own !== undefined) return String(own.read(conntrack(net).config));
  if (k === CT_MAX) return String(conntrack(net).limits.max);
  if (k === CT_BUCKETS) return String(conntrack(net).limits.buckets);
  if (k === CT_COUNT) return String(conntrack(net).count);
  if (k === FB_TUNNELS) return net.name === 'root' ? String(net.kernel.fbTunnelsOnlyForInitNet) : null;
  if (k in PLAIN) return String(net.sysctl.get(k) ?? PLAIN[k]);
  if (INERT.some((r) => r.test(k))) return String(net.sysctl.get(k) ?? (k.startsWith('net.ipv6.') ? 1 : 0));
  return null;
}

/** Why podwire cannot give effect to a value that the kernel would take; null when it can. */
export function sysctlRefusal(key: string, value: number): string | null {
  const k = key.replaceAll('/', '.');
  if (/^net\.ipv6\..*\.disable_ipv6$/.test(k) && value === 0) return `${key}=0: the machine has no IPv6`;
  if (k === 'net.ipv4.fib_multipath_hash_policy' && value > 1) return `${key}=${value} is not supported yet`;
  if (VS_FIXED.test(k) && value !== PLAIN[k]) return `${key}=${value} is not supported yet`;
  return null;
}

/** False for a value that the kernel refuses with EINVAL. */
export function sysctlAllows(key: string, value: number): boolean {
  const limits = LIMITS[key.replaceAll('/', '.')];
  return limits === undefined || (value >= limits[0] && value <= limits[1]);
}

function limit(net: Netns, key: string, value: number): boolean {
  if (net.name !== 'root' || value < 0) return false;
  if (key === CT_MAX) conntrack(net).limits.max = value;
  else conntrack(net).limits.buckets = value;
  return true;
}

/** Writes an integer. False when there is no such sysctl, or the value is none for it. */
export function sysctlWrite(net: Netns, key: string, value: number): boolean {
  if (sysctlRead(net, key) === null) return false;
  const k = key.includes('/') ? key.replaceAll('/', '.') : key;
  const c = confOf(net, k);
  const n = neighOf(net, k);
  if (k === 'net.ipv4.ip_forward' || (c !== null && c.dev === 'all' && c.name === 'forwarding')) {
    // inet_forward_change: all, default and every device.
    for (const conf of [net.confAll, net.confDefault, ...net.devs.map((d) => d.conf)]) conf.forwarding = value;
    net.confAll.accept_redirects = value === 0 ? 1 : 0;
    net.fib.genid++;
  } else if (k === 'net.bridge.bridge-nf-call-iptables') net.bridgeNfCallIptables = value;
  else if (c !== null) writeConf(net, c, value);
  else if (n !== null) {
    neighParmWrite(n.parms, n.file, value);
    // neigh_copy_dflt_parms: the devices of `root` follow.
    if (n.isDefault) for (const d of net.devs) neighParmWrite(d.neigh, n.file, value);
  } else if (CT_SYSCTLS.has(k)) return CT_SYSCTLS.get(k)!.write(conntrack(net).config, value);
  else if (k === CT_MAX || k === CT_BUCKETS) return limit(net, k, value);
  else if (k === CT_COUNT) return false;
  else if (k === FB_TUNNELS) net.kernel.fbTunnelsOnlyForInitNet = value;
  else net.sysctl.set(k, value);
  return true;
}

/** devinet_conf_proc: conf/default reaches the devices whose switch nobody has set and that have had no address. */
function writeConf(net: Netns, c: { conf: InDevConf; name: keyof InDevConf; dev: string }, value: number): void {
  const old = c.conf[c.name];
  c.conf[c.name] = value;
  // devinet_conf_proc, devinet_sysctl_forward: kept routes that this decided are looked up again.
  if (
    c.name === 'forwarding' ||
    ((c.name === 'route_localnet' || c.name === 'accept_local') && old !== 0 && value === 0)
  ) {
    net.fib.genid++;
  }
  if (c.dev === 'all') return;
  const dev = net.dev(c.dev);
  if (c.dev !== 'default') {
    dev!.confSet.add(c.name);
    return;
  }
  net.confDefaultSet.add(c.name);
  for (const d of net.devs) if (!d.confSet.has(c.name) && !d.confSet.has('*')) d.conf[c.name] = value;
}
