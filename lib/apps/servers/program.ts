/** The workload servers as programs of the emulator. @module */
import { ntoa } from '../../../wire/inet.js';
import { UdpSock } from '../../linux/ipv4/udp.js';
import { strerror } from '../errno.js';
import { EngineIo } from '../l7/engine-io.js';
import { bytesOf, textOf } from '../l7/message.js';
import { Proxy } from '../l7/proxy.js';
import type { Proc, Program } from '../program.js';
import { serverOf } from './index.js';
import type { Place, Site } from './site.js';

/** `podwire app agnhost|http-echo|nginx|whoami …`. */
export const siteServer: Program = (p) => {
  const s = serverOf(p.argv.slice(2));
  // What serves nothing stays there, as the real image does.
  if (s === null) return void (p.onKill = () => {});
  if ('error' in s) {
    p.err(`${s.error}\n`);
    return p.exit(s.exit);
  }
  const place: Place = {
    hostname: s.hostname,
    addresses: () => p.net.devs.flatMap((d) => d.addrs.map((a) => ntoa(a.addr))),
  };
  const io = new EngineIo(p, null);
  const fail = (port: number, errno: number): void => {
    p.err(`podwire app ${p.argv[2]}: port ${port}: ${strerror(errno)}\n`);
    io.closeAll();
    udp?.close();
    p.exit(1);
  };
  let udp: UdpSock | null = null;
  if (s.site.udp !== undefined) udp = datagrams(p, s.site.udp, place, fail);
  p.onKill = () => {
    io.closeAll();
    udp?.close();
  };
  new Proxy(io, s.site.make(io, place)).serve({ address: 0, port: s.site.port }, s.site.port, [], (e) =>
    fail(s.site.port, e),
  );
};

function datagrams(
  p: Proc,
  udp: NonNullable<Site['udp']>,
  place: Place,
  fail: (port: number, errno: number) => void,
): UdpSock | null {
  const sock = new UdpSock(p.net);
  const e = sock.bind(0, udp.port);
  if (e !== 0) {
    sock.close();
    fail(udp.port, -e);
    return null;
  }
  sock.onReady = () => {
    sock.takeError();
    for (let d = sock.recv(); d !== null; d = sock.recv()) {
      const text = udp.answer(textOf(d.data), `${ntoa(d.src)}:${d.sport}`, place);
      if (text !== null) sock.send(bytesOf(text), d.src, d.sport);
    }
  };
  return sock;
}
