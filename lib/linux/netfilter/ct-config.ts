/**
 * The settings of connection tracking: net.netfilter.nf_conntrack_*.
 *
 * Kernel counterparts: nf_conntrack_standalone.c (nf_ct_sysctl_table), the timeouts of nf_conntrack_proto_*.c.
 * @module
 */
import { SEC } from '../../sim/sim.js';

/** Places in `CtConfig.tcp` behind those of the states (enum tcp_conntrack). */
export const TCP_RETRANS = 10;
export const TCP_UNACK = 11;

/** What all namespaces share: nf_conntrack_max (0: unlimited) and the size of the hash table. */
export class CtLimits {
  max = 262144;
  buckets = 65536;
  /** Programs that listen to events in any namespace (nf_ctnetlink_has_listener). */
  listeners = 0;
}

/** One namespace's settings. Times are nanoseconds, flags 0 or 1. */
export class CtConfig {
  /** By state, then TCP_RETRANS and TCP_UNACK. */
  readonly tcp = [120, 120, 60, 432000, 120, 60, 30, 120, 10, 120, 300, 300].map((s) => s * SEC);
  /** By SCTP state, none first (ct-sctp.ts). */
  readonly sctp = [10, 10, 3, 3, 210, 3, 3, 3, 30].map((s) => s * SEC);
  udp = 30 * SEC;
  udpStream = 120 * SEC;
  icmp = 30 * SEC;
  generic = 600 * SEC;
  gre = 30 * SEC;
  greStream = 180 * SEC;
  /** Checksums are verified in PREROUTING. */
  checksum = 1;
  /** Connections count their packets and bytes. */
  acct = 0;
  /** 0: no events; 1: every connection has them; 2: those made while somebody listens. */
  events = 2;
  tcpLoose = 1;
  tcpBeLiberal = 0;
  tcpIgnoreInvalidRst = 0;
  tcpMaxRetrans = 3;
}

/** One sysctl of a namespace: what it reads, and how it is written (false: the value is refused). */
export interface CtSysctl {
  read(c: CtConfig): number;
  write(c: CtConfig, value: number): boolean;
}

const seconds = (
  list: (c: CtConfig) => { [k: string]: number } | number[] | CtConfig,
  key: string | number,
): CtSysctl => {
  const at = (c: CtConfig): Record<string | number, number> => list(c) as unknown as Record<string | number, number>;
  return {
    read: (c) => at(c)[key]! / SEC,
    write: (c, v) => {
      at(c)[key] = v * SEC;
      return true;
    },
  };
};

type Flag = 'checksum' | 'acct' | 'events' | 'tcpLoose' | 'tcpBeLiberal' | 'tcpIgnoreInvalidRst' | 'tcpMaxRetrans';

const upTo = (max: number, key: Flag): CtSysctl => ({
  read: (c) => c[key],
  write: (c, v) => {
    if (v < 0 || v > max) return false;
    c[key] = v;
    return true;
  },
});

const TCP_NAMES = [
  '', 'syn_sent', 'syn_recv', 'established', 'fin_wait', 'close_wait', 'last_ack', 'time_wait', 'close', '', 'max_retrans',
  'unacknowledged',
]; // prettier-ignore
const SCTP_NAMES = [
  '', 'closed', 'cookie_wait', 'cookie_echoed', 'established', 'shutdown_sent', 'shutdown_recd', 'shutdown_ack_sent',
  'heartbeat_sent',
]; // prettier-ignore

const PREFIX = 'net.netfilter.nf_conntrack_';

/** By dotted name. */
export const CT_SYSCTLS: ReadonlyMap<string, CtSysctl> = new Map<string, CtSysctl>([
  ...TCP_NAMES.flatMap((n, i): [string, CtSysctl][] =>
    n === '' ? [] : [[`${PREFIX}tcp_timeout_${n}`, seconds((c) => c.tcp, i)]],
  ),
  ...SCTP_NAMES.flatMap((n, i): [string, CtSysctl][] =>
    n === '' ? [] : [[`${PREFIX}sctp_timeout_${n}`, seconds((c) => c.sctp, i)]],
  ),
  [`${PREFIX}udp_timeout`, seconds((c) => c, 'udp')],
  [`${PREFIX}udp_timeout_stream`, seconds((c) => c, 'udpStream')],
  [`${PREFIX}icmp_timeout`, seconds((c) => c, 'icmp')],
  [`${PREFIX}generic_timeout`, seconds((c) => c, 'generic')],
  [`${PREFIX}gre_timeout`, seconds((c) => c, 'gre')],
  [`${PREFIX}gre_timeout_stream`, seconds((c) => c, 'greStream')],
  [`${PREFIX}checksum`, upTo(1, 'checksum')],
  [`${PREFIX}acct`, upTo(1, 'acct')],
  [`${PREFIX}events`, upTo(2, 'events')],
  [`${PREFIX}tcp_loose`, upTo(1, 'tcpLoose')],
  [`${PREFIX}tcp_be_liberal`, upTo(1, 'tcpBeLiberal')],
  [`${PREFIX}tcp_ignore_invalid_rst`, upTo(1, 'tcpIgnoreInvalidRst')],
  [`${PREFIX}tcp_max_retrans`, upTo(255, 'tcpMaxRetrans')],
]);
