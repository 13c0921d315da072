/** `podwire app echo --udp PORT | --tcp PORT`: answers what it reads with its own bytes. */
import { TcpSock } from '../linux/ipv4/tcp.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import type { Proc, Program } from './program.js';
import { type Handler, listenTcp } from './tcp-server.js';

const ECHO: Handler = { data: (bytes) => ({ bytes, close: false }) };

/** Transport and port of `--udp PORT` or `--tcp PORT`, or null. */
export function echoArgs(args: readonly string[]): { udp: boolean; port: number } | null {
  const [flag, port] = args;
  const n = Number(port);
  if ((flag !== '--udp' && flag !== '--tcp') || args.length !== 2 || !/^\d+$/.test(port ?? '')) return null;
  return n < 1 || n > 65535 ? null : { udp: flag === '--udp', port: n };
}

export const echoServer: Program = (p) => {
  const a = echoArgs(p.argv.slice(3));
  if (a === null) {
    p.err(`podwire: app echo: found "${p.argv.slice(3).join(' ')}", expected --udp PORT or --tcp PORT\n`);
    return p.exit(2);
  }
  const inUse = (): void => {
    p.err(`podwire app echo: port ${a.port} is in use\n`);
    p.exit(1);
  };
  if (a.udp) return udpEcho(p, a.port, inUse);
  const server = listenTcp(new TcpSock(p.net), 0, a.port, () => ECHO);
  if (typeof server === 'number') return inUse();
  p.onKill = () => server.close();
};

function udpEcho(p: Proc, port: number, inUse: () => void): void {
  const sock = new UdpSock(p.net);
  if (sock.bind(0, port) !== 0) return inUse();
  sock.onReady = () => {
    sock.takeError();
    for (let d = sock.recv(); d !== null; d = sock.recv()) sock.send(d.data, d.src, d.sport);
  };
  p.onKill = () => sock.close();
}
