/**
 * `ip link` and the link part of `ip addr`: one device as iproute2 6.1 prints it.
 * @module
 */
import { macText, ntoa } from '../../wire/inet.js';
import type { BrPort } from '../linux/bridge/bridge.js';
import { Bridge } from '../linux/bridge/bridge.js';
import { ARPHRD_LOOPBACK, ARPHRD_TUNNEL, type Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { Veth } from '../linux/device/veth.js';
import { InternalDev } from '../linux/openvswitch/datapath.js';
import { IpTunnel } from '../linux/tunnel/ipip.js';
import { Vxlan } from '../linux/tunnel/vxlan.js';
import type { IpContext } from './ip-args.js';
import { ipipText, vxlanText } from './ip-link-tunnel.js';

/** The order of a dump: the kernel's table of 256 buckets by number, the newest first in each. */
export const inDumpOrder = (net: Netns): Netdev[] =>
  [...net.devs].sort((a, b) => (a.ifindex & 255) - (b.ifindex & 255) || b.ifindex - a.ifindex);

/** IF_OPER_* as it is shown. */
export const operstate = (d: Netdev): string => (d.up ? d.operstate : 'DOWN');

/** The device below, in another namespace or this one. */
function peerOf(d: Netdev): Netdev | null {
  if (d instanceof IpTunnel) return d.parms.link;
  return d instanceof Veth && d.peer !== d ? d.peer : null;
}

/** `<UP,…>` without brackets, in iproute2's order. */
export function flagText(d: Netdev, mdown: boolean): string {
  const state = operstate(d);
  const running = d.up && (state === 'UP' || state === 'UNKNOWN');
  const all: [string, boolean][] = [
    ['NO-CARRIER', d.up && !running],
    ['LOOPBACK', d.type === ARPHRD_LOOPBACK],
    ['BROADCAST', d.isEthernet],
    ['POINTOPOINT', d instanceof IpTunnel && d.parms.remote !== 0],
    ['MULTICAST', d.multicast],
    ['NOARP', d.noarp && d.type !== ARPHRD_LOOPBACK],
    ['ALLMULTI', d.allmulti],
    ['PROMISC', d.promisc],
    ['UP', d.up],
    ['LOWER_UP', d.up && running],
    ['M-DOWN', mdown],
  ];
  return all
    .filter(([, on]) => on)
    .map(([name]) => name)
    .join(',');
}

/** `va@if3`, `va@vb` or `va`, and whether the device below is down. */
export function nameAndLink(d: Netdev): { name: string; mdown: boolean } {
  const peer = peerOf(d);
  if (d.iflink === 0) return { name: `${d.name}@NONE`, mdown: false };
  if (peer === null) return { name: d.name, mdown: false };
  if (peer.net !== d.net || !d.net.devs.includes(peer)) return { name: `${d.name}@if${peer.ifindex}`, mdown: false };
  return { name: `${d.name}@${peer.name}`, mdown: !peer.up };
}

const lladdrText = (d: Netdev): string => (d instanceof IpTunnel ? ntoa(d.parms.local) : macText(d.mac));

/** `DEV STATE MAC <FLAGS>` of `ip -br`; `link` false for `ip -br addr`, whose line goes on. */
export function briefText(d: Netdev, link: boolean): string {
  const { name, mdown } = nameAndLink(d);
  const start = `${name.padEnd(16)} ${operstate(d).padEnd(14)} `;
  return link ? `${start}${lladdrText(d)} <${flagText(d, mdown)}> \n` : start;
}

/** The discipline that stands at the root: without one of `tc` none, and none at all before the device is first up. */
const qdiscName = (d: Netdev): string => d.qdisc?.kind ?? (d.activated ? 'noqueue' : 'noop');

/** First line of a device; `link` for `ip link`, which names the mode. */
export function headText(d: Netdev, link: boolean): string {
  const { name, mdown } = nameAndLink(d);
  const master = d.master === null ? '' : `master ${d.master.name} `;
  return (
    `${d.ifindex}: ${name}: <${flagText(d, mdown)}> mtu ${d.mtu} qdisc ${qdiscName(d)} ${master}` +
    `state ${operstate(d)} ${link ? 'mode DEFAULT ' : ''}group default ${d.txqlen === 0 ? '' : `qlen ${d.txqlen}`}`
  );
}

/** `link/ether MAC brd …` or `link/ipip ADDRESS peer ADDRESS`, without indentation. */
export function lladdrLine(d: Netdev): string {
  const type = d.type === ARPHRD_LOOPBACK ? 'loopback' : d.type === ARPHRD_TUNNEL ? 'ipip' : 'ether';
  if (d instanceof IpTunnel && d.parms.remote !== 0) return `link/ipip ${lladdrText(d)} peer ${ntoa(d.parms.remote)}`;
  const brd = d.type === ARPHRD_TUNNEL ? '0.0.0.0' : d.isEthernet ? 'ff:ff:ff:ff:ff:ff' : '00:00:00:00:00:00';
  return `link/${type} ${lladdrText(d)} brd ${brd}`;
}

/** ` link-netns NAME` of a device whose peer lives elsewhere. */
export function netnsText(d: Netdev): string {
  const peer = peerOf(d);
  if (peer === null || peer.net === d.net) return '';
  const named = peer.net.name !== 'root' && d.kernel.netns.get(peer.net.name) === peer.net;
  return named ? ` link-netns ${peer.net.name}` : ` link-netnsid ${d.net.nsid(peer.net)}`;
}

/** One device as `ip [-d] [-o] link` prints it. */
export function linkText(c: IpContext, d: Netdev): string {
  if (c.brief) return briefText(d, true);
  const nl = c.oneline ? '\\' : '\n';
  let s = `${headText(d, true)}${nl}    ${lladdrLine(d)}${netnsText(d)}`;
  if (c.details) s += detailText(d, nl, true);
  return `${s}${d.alias === '' ? '' : `${nl}    alias ${d.alias}`}\n`;
}

/** What `-d` adds; `link` false within `ip addr`. */
export function detailText(d: Netdev, nl: string, link: boolean): string {
  const ether = ['veth', 'bridge', 'vxlan', 'openvswitch'].includes(d.kind);
  const promiscuity = Number(d.promisc) + Number(d.master !== null || d instanceof InternalDev);
  const allmulti = Number(d.allmulti) + Number(d.brport !== null);
  const ioctl = d instanceof IpTunnel && d.parms.ioctl;
  const [least, most] = ether ? [68, 65535] : ioctl ? [68, 65515] : [0, 0];
  let s = ` promiscuity ${promiscuity}  allmulti ${allmulti} minmtu ${least} maxmtu ${most} `;
  if (d.kind !== '') s += `${nl}    ${kindText(d)}`;
  if (d.brport !== null) s += `${nl}    ${slaveText(d.brport as BrPort)}`;
  if (d.vport !== null) s += `${nl}    openvswitch_slave `;
  if (link) s += d instanceof IpTunnel && d.fallback && !d.activated ? '' : 'addrgenmode eui64 ';
  return `${s}numtxqueues 1 gso_max_size 65536 gso_max_segs 65535 tso_max_size ${tsoMax(d)} tso_max_segs 65535 gro_max_size 65536 `;
}

/** Largest segmentation a device takes; a bridge has that of its ports (br_set_gso_limits), a VXLAN of the device below. */
function tsoMax(d: Netdev): number {
  if (d instanceof Bridge) return d.ports.length === 0 ? 65536 : Math.min(...d.ports.map((p) => tsoMax(p.dev)));
  if (d instanceof Vxlan) return d.cfg.lower === null ? 65536 : tsoMax(d.cfg.lower);
  return d.kind === 'veth' || d.kind === '' ? 524280 : 65536;
}

const bridgeId = (b: Bridge): string =>
  `${b.priority.toString(16).padStart(4, '0')}.${Array.from(b.id, (x) => x.toString(16)).join(':')}`;
const timer = (name: string, ns: number): string => `${name} ${(ns / 1e9).toFixed(2).padStart(7)} `;

function kindText(d: Netdev): string {
  if (d instanceof IpTunnel) return ipipText(d);
  if (d instanceof Vxlan) return vxlanText(d);
  if (!(d instanceof Bridge)) return `${d.kind} `;
  return bridgeText(d);
}

/** The options of a bridge: those podwire has, and the kernel's defaults of those it refuses to change. */
function bridgeText(b: Bridge): string {
  const id = bridgeId(b);
  const { now } = b.kernel.sim;
  const gc = b.ageingNs === 0 ? 0 : b.ageingNs - ((now - b.gcStart) % b.ageingNs);
  return (
    `bridge forward_delay ${b.forwardDelay} hello_time ${b.helloTime} max_age ${b.maxAge} ageing_time ${b.ageingNs / 1e7} ` +
    `stp_state 0 priority ${b.priority} vlan_filtering 0 vlan_protocol 802.1Q bridge_id ${id} designated_root ${id} ` +
    `root_port 0 root_path_cost 0 topology_change 0 topology_change_detected 0 ` +
    `${timer('hello_timer', 0)}${timer('tcn_timer', 0)}${timer('topology_change_timer', 0)}${timer('gc_timer', gc)}` +
    `vlan_default_pvid 1 vlan_stats_enabled 0 vlan_stats_per_port 0 group_fwd_mask 0 group_address 01:80:c2:00:00:00 ` +
    `mcast_snooping 0 no_linklocal_learn 0 mcast_vlan_snooping 0 mcast_router 1 mcast_query_use_ifaddr 0 mcast_querier 0 ` +
    `mcast_hash_elasticity 16 mcast_hash_max 4096 mcast_last_member_count 2 mcast_startup_query_count 2 ` +
    `mcast_last_member_interval 100 mcast_membership_interval 26000 mcast_querier_interval 25500 mcast_query_interval 12500 ` +
    `mcast_query_response_interval 1000 mcast_startup_query_interval 3125 mcast_stats_enabled 0 mcast_igmp_version 2 ` +
    `mcast_mld_version 1 nf_call_iptables ${Number(b.nfCallIptables)} nf_call_ip6tables 0 nf_call_arptables 0 `
  );
}

function slaveText(p: BrPort): string {
  const on = (b: boolean): string => (b ? 'on' : 'off');
  const id = (p.priority << 10) | p.no;
  const bridge = bridgeId(p.master);
  return (
    `bridge_slave state ${portState(p)} priority ${p.priority} cost ${p.cost} hairpin ${on(p.hairpin)} guard off ` +
    `root_block off fastleave off learning ${on(p.learning)} flood ${on(p.flood)} port_id 0x${id.toString(16)} ` +
    `port_no 0x${p.no.toString(16)} designated_port ${id} designated_cost 0 designated_bridge ${bridge} ` +
    `designated_root ${bridge} ${timer('hold_timer', 0)}${timer('message_age_timer', 0)}${timer('forward_delay_timer', 0)}` +
    `topology_change_ack 0 config_pending 0 proxy_arp off proxy_arp_wifi off mcast_router 1 mcast_fast_leave off ` +
    `mcast_flood ${on(p.mcastFlood)} bcast_flood ${on(p.bcastFlood)} mcast_to_unicast off neigh_suppress off ` +
    `group_fwd_mask 0 group_fwd_mask_str 0x0 vlan_tunnel off isolated ${on(p.isolated)} locked off `
  );
}

/** Without STP a port forwards as soon as it and the bridge run (br_stp_enable_port). */
export const portState = (p: BrPort): string => (p.dev.carrier && p.master.up ? 'forwarding' : 'disabled');
