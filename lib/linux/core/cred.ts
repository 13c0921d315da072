/**
 * Who a program runs as, as far as the network asks (struct cred: fsuid and fsgid of an open socket's file).
 * @module
 */
export interface Cred {
  readonly uid: number;
  readonly gid: number;
}

/** The user that may do everything. */
export const ROOT: Cred = { uid: 0, gid: 0 };

/** First port that everybody may bind (net.ipv4.ip_unprivileged_port_start). */
const UNPRIVILEGED = 1024;

/** True when binding `port` needs CAP_NET_BIND_SERVICE and `cred` has it not (inet_port_requires_bind_service). */
export const mayNotBind = (
  net: { readonly sysctl: ReadonlyMap<string, number> },
  cred: Cred | null,
  port: number,
): boolean =>
  cred !== null &&
  cred.uid !== 0 &&
  port !== 0 &&
  port < (net.sysctl.get('net.ipv4.ip_unprivileged_port_start') ?? UNPRIVILEGED);
