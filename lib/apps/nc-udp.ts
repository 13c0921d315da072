/**
 * `nc -u`, OpenBSD netcat's UDP side: a connected client, or a server that connects to its first peer.
 *
 * As the real one: a client without -w stays; with -w N it ends after N s of silence; ECONNREFUSED ends it
 * at once. The exit code is 0 in both cases.
 * @module
 */
import { EADDRINUSE, UdpSock } from '../linux/ipv4/udp.js';
import { SEC, Timer } from '../sim/sim.js';
import { strerror } from './errno.js';
import type { NcOptions } from './nc.js';
import type { Proc } from './program.js';

/** Sends standard input to `addr:port` and prints what comes. */
export function ncUdpClient(p: Proc, o: NcOptions, addr: number, port: number): void {
  const sock = new UdpSock(p.net, p.cred);
  const bad = o.source !== 0 || o.port !== 0 ? sock.bind(o.source, o.port) : 0;
  if (bad !== 0 || sock.connect(addr, port) !== 0) {
    sock.close();
    return p.exit(1);
  }
  talk(p, sock, o.wait);
}

/** Waits for the first datagram, then talks with its sender. */
export function ncUdpServer(p: Proc, o: NcOptions): void {
  const port = o.port !== 0 ? o.port : Number(o.words[o.words.length - 1]);
  const sock = new UdpSock(p.net, p.cred);
  const bad = port > 0 && port < 65536 ? sock.bind(o.source, port) : -EADDRINUSE;
  if (bad !== 0) {
    p.err(`nc: ${strerror(-bad)}\n`);
    return p.exit(1);
  }
  p.onKill = () => sock.close();
  sock.onReady = () => {
    const d = sock.recv();
    if (d === null) return;
    sock.connect(d.src, d.sport);
    p.out(new TextDecoder().decode(d.data));
    talk(p, sock, o.wait);
  };
}

/** readwrite(): standard input to the socket in 16 KiB pieces, what comes to standard output. */
function talk(p: Proc, sock: UdpSock, wait: number): void {
  const { sim } = p.net.kernel;
  const end = (code: number): void => {
    sim.cancel(idle);
    sock.close();
    p.exit(code);
  };
  const idle = new Timer(() => end(0));
  const touch = (): void => {
    if (wait >= 0) sim.arm(idle, sim.now + wait * SEC);
  };
  p.onKill = () => sock.close();
  sock.onReady = () => {
    // POLLERR closes the socket's side; with standard input at its end that is all, and no failure.
    if (sock.takeError() !== 0) return end(0);
    for (let d = sock.recv(); d !== null; d = sock.recv()) p.out(new TextDecoder().decode(d.data));
    touch();
  };
  touch();
  for (let o = 0; o < p.stdin.length; o += 16384) {
    if (sock.send(p.stdin.slice(o, o + 16384)) !== 0) break;
  }
}
