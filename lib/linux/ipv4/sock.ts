/**
 * The sockets of one namespace: ports in use and who listens to raw ICMP.
 * @module
 */
import { TcpTables } from './inet-hashtables.js';
import type { IcmpSock } from './raw.js';
import type { UdpSock } from './udp.js';

export class Sockets {
  /** UDP sockets by local port. */
  readonly udp = new Map<number, UdpSock[]>();
  readonly icmp: IcmpSock[] = [];
  readonly tcp = new TcpTables();
}
