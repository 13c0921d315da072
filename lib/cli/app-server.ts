/** `podwire app agnhost|http-echo|nginx|whoami …` on real sockets. */
import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { strerror } from '../apps/errno.js';
import { bytesOf, textOf } from '../apps/l7/message.js';
import { Proxy } from '../apps/l7/proxy.js';
import { serverOf } from '../apps/servers/index.js';
import type { Place, Site } from '../apps/servers/site.js';
import { tellReady, visit } from './app-ready.js';
import { NodeIo } from './node-io.js';

/** `words`: what follows `app`. */
export function main(words: string[]): Promise<number> {
  const s = serverOf(words);
  return new Promise((resolve) => {
    if (s === null) {
      tellReady();
      setInterval(() => {}, 2 ** 30);
      return;
    }
    if ('error' in s) {
      process.stderr.write(`${s.error}\n`);
      return resolve(s.exit);
    }
    const place: Place = {
      hostname: s.hostname,
      addresses: () => {
        const all = Object.values(networkInterfaces()).flatMap((l) => l ?? []);
        return all.filter((a) => a.family === 'IPv4').map((a) => a.address);
      },
    };
    const fail = (port: number, errno: number): void => {
      process.stderr.write(`podwire app ${words[0]}: port ${port}: ${strerror(errno)}\n`);
      resolve(1);
    };
    const io = new NodeIo(1);
    const { site } = s;
    new Proxy(io, site.make(io, place)).serve({ address: 0, port: site.port }, site.port, [], (e) =>
      fail(site.port, e),
    );
    const udp = site.udp === undefined ? Promise.resolve() : datagrams(site.udp, place, fail);
    void Promise.all([io.listening(), udp])
      .then(() => warm(site.port))
      .then(tellReady);
  });
}

const WARM_UP = 8;

/** Exchanges over loopback before anybody looks: a fresh process is slow at its first ones. */
async function warm(port: number): Promise<void> {
  if (process.env['PODWIRE_READY_DIR'] === undefined) return;
  const text = 'GET / HTTP/1.1\r\nHost: warm\r\nConnection: close\r\n\r\n';
  for (let i = 0; i < WARM_UP; i++) await visit(port, (c) => c.write(text));
}

function datagrams(
  udp: NonNullable<Site['udp']>,
  place: Place,
  fail: (port: number, errno: number) => void,
): Promise<void> {
  const sock = createSocket('udp4');
  sock.on('message', (data, peer) => {
    const text = udp.answer(textOf(data), `${peer.address}:${peer.port}`, place);
    if (text !== null) sock.send(bytesOf(text), peer.port, peer.address);
  });
  sock.on('error', (e: NodeJS.ErrnoException) => fail(udp.port, -(e.errno ?? -5)));
  return new Promise((resolve) => void sock.bind(udp.port, '0.0.0.0', resolve));
}
