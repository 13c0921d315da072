/**
 * How one try of `dig` reaches its server: a connected UDP socket with DF clear, or a TCP connection.
 * @module
 */
import { UdpSock } from '../linux/ipv4/udp.js';
import { DnsTcpClient } from './dns-tcp-client.js';
import type { Proc } from './program.js';

/** What libisc allows a TCP segment: IPv6's least MTU without headers. */
const MAXSEG = 1220;

export interface Link {
  /** Connects: 0 or a negative errno. `ready` is called once a query can be sent. */
  open(source: number, sourcePort: number, server: number, port: number): number;
  send(query: Uint8Array): void;
  close(): void;
}

export interface LinkEvents {
  ready(): void;
  /** A message came; true: it was the answer. */
  reply(m: Uint8Array): boolean;
  /** An errno, or 0: the server has ended the connection. */
  failed(errno: number): void;
}

export function udpLink(p: Proc, on: LinkEvents): Link {
  const sock = new UdpSock(p.net, p.cred);
  sock.pmtudisc = 0;
  sock.onReady = () => {
    for (let d = sock.recv(); d !== null; d = sock.recv()) if (on.reply(d.data)) return;
    const e = sock.takeError();
    if (e !== 0) on.failed(e);
  };
  return {
    open(source, sourcePort, server, port) {
      const bad = (source !== 0 || sourcePort !== 0 ? sock.bind(source, sourcePort) : 0) || sock.connect(server, port);
      if (bad === 0) on.ready();
      return bad;
    },
    send(query) {
      const e = sock.send(query);
      if (e !== 0) on.failed(-e);
    },
    close: () => sock.close(),
  };
}

export function tcpLink(p: Proc, on: LinkEvents): Link {
  const client = new DnsTcpClient(p.net, p.cred, false, {
    connected: () => on.ready(),
    message: (m) => void on.reply(m),
    ended: (errno) => on.failed(errno),
  });
  client.maxseg(MAXSEG);
  return {
    open: (source, sourcePort, server, port) =>
      (source !== 0 || sourcePort !== 0 ? client.bind(source, sourcePort) : 0) || client.connect(server, port),
    send: (query) => client.send([query]),
    close: () => client.close(),
  };
}
