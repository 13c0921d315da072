/**
 * States and idle times of connections (net/netfilter/ipvs/ip_vs_proto_tcp.c, ip_vs_proto_udp.c, ip_vs_proto.c).
 * Not here: SCTP (its packets pass by), AH and ESP, the tables of secure_tcp.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import { SEC } from '../../sim/sim.js';
import { ASSURED, type IpvsConn } from './conn.js';

export const NONE = 0;
const ESTABLISHED = 1;
export const FIN_WAIT = 4;
export const TIME_WAIT = 5;
export const CLOSE = 6;
const NAMES = [
  'NONE', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT', 'TIME_WAIT', 'CLOSE', 'CLOSE_WAIT', 'LAST_ACK', 'LISTEN',
  'SYNACK',
] as const; // prettier-ignore
const ACTIVE = [false, true, true, true, false, false, false, false, false, false, true];

/** Who sent the packet. */
export const DIR_INPUT = 0;
export const DIR_OUTPUT = 1;

/** Next state by packet kind (syn, fin, ack, rst) and old state; input is client to server. */
const INPUT = [
  [3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3],
  [6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 5],
  [1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1],
  [6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 3],
];
const OUTPUT = [
  [2, 1, 2, 3, 2, 2, 2, 2, 2, 9, 3],
  [5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5],
  [1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1],
  [6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6],
];
/** Where the server's packets go another way. */
const INPUT_ONLY = [
  [3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3],
  [6, 4, 2, 5, 4, 5, 6, 7, 8, 9, 5],
  [1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1],
  [6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 6],
];

/** Idle times in seconds; `ipvsadm --set` changes three of them. */
export class Timeouts {
  readonly tcp = [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120];
  udp = 300;

  /** tcp, tcpfin, udp. */
  get(): [number, number, number] {
    return [this.tcp[ESTABLISHED]!, this.tcp[FIN_WAIT]!, this.udp];
  }

  /** ip_vs_set_timeout: 0 leaves what was. */
  set(tcpTimeout: number, tcpFin: number, udp: number): void {
    if (tcpTimeout !== 0) this.tcp[ESTABLISHED] = tcpTimeout;
    if (tcpFin !== 0) this.tcp[FIN_WAIT] = tcpFin;
    if (udp !== 0) this.udp = udp;
  }
}

/** The packet's effect on state and idle time (ip_vs_set_state). `l4` is the transport header in `b`. */
export function setState(t: Timeouts, c: IpvsConn, dir: number, b: Uint8Array, l4: number, end: number): void {
  if (c.proto === ipv4.TCP) {
    if (end - l4 >= tcp.HLEN) setTcpState(t, c, dir, tcp.flags(b, l4));
    return;
  }
  c.timeout = t.udp * SEC;
  if (dir === DIR_OUTPUT) assure(c);
}

/** set_tcp_state; `flags` is the header's byte of flags. */
export function setTcpState(t: Timeouts, c: IpvsConn, dir: number, flags: number): void {
  let table = dir === DIR_OUTPUT ? OUTPUT : INPUT;
  if (c.noOutput) {
    if (dir === DIR_OUTPUT) c.noOutput = false;
    else table = INPUT_ONLY;
  }
  const kind = (flags & tcp.RST) !== 0 ? 3 : (flags & tcp.SYN) !== 0 ? 0 : (flags & tcp.FIN) !== 0 ? 1 : (flags & tcp.ACK) !== 0 ? 2 : -1; // prettier-ignore
  const state = kind < 0 ? CLOSE : table[kind]![c.state]!;
  if (state !== c.state) {
    if (c.dest !== null && c.inactive === ACTIVE[state]!) {
      c.dest.active += c.inactive ? 1 : -1;
      c.inactive = !c.inactive;
    }
    if (state === ESTABLISHED) assure(c);
  }
  c.state = state;
  c.timeout = t.tcp[state]! * SEC;
}

/** ip_vs_control_assure_ct. */
function assure(c: IpvsConn): void {
  if (c.control !== null && c.control.template) c.control.state = ASSURED;
}

/** The state as /proc/net/ip_vs_conn prints it (ip_vs_state_name). */
export function stateName(c: IpvsConn): string {
  if (c.template) return c.state === ASSURED ? 'ASSURED' : 'NONE';
  return c.proto === ipv4.TCP ? NAMES[c.state]! : 'UDP';
}
