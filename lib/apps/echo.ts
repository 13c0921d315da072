/** `podwire app echo --udp PORT`: answers every datagram with its own bytes. */
import { UdpSock } from '../linux/ipv4/udp.js';
import type { Program } from './program.js';

export const echoServer: Program = (p) => {
  const [, , , flag, port] = p.argv;
  const n = Number(port);
  if (flag !== '--udp' || !Number.isInteger(n) || n < 1 || n > 65535 || p.argv.length !== 5) {
    p.err(`podwire: app echo: found "${p.argv.slice(3).join(' ')}", expected --udp PORT (TCP is not supported yet)\n`);
    return p.exit(2);
  }
  const sock = new UdpSock(p.net);
  if (sock.bind(0, n) !== 0) {
    p.err(`podwire: app echo: port ${n} is in use\n`);
    return p.exit(1);
  }
  sock.onReady = () => {
    sock.takeError();
    for (let d = sock.recv(); d !== null; d = sock.recv()) sock.send(d.data, d.src, d.sport);
  };
  p.onKill = () => sock.close();
};
