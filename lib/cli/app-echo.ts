/** `podwire app echo --udp PORT | --tcp PORT` on a real socket; `--stray` needs a Lab. */
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import { ECHO_USAGE, echoArgs } from '../apps/echo.js';
import { BACKLOG } from '../apps/tcp-server.js';
import { tellReady, tellReadyWarm } from './app-ready.js';
import { UsageError } from './usage.js';

export function main(args: string[]): Promise<number> {
  const a = echoArgs(args);
  if (a === null) throw new UsageError(`app echo: found "${args.join(' ')}", ${ECHO_USAGE}`);
  if (a.stray > 0)
    throw new UsageError('app echo: --stray works in a Lab only, a real socket cannot send such a segment');
  return new Promise((resolve) => {
    const fail = (e: Error): void => {
      process.stderr.write(`podwire app echo: ${e.message}\n`);
      resolve(1);
    };
    if (a.udp) {
      const sock = createSocket('udp4');
      sock.on('message', (data, peer) => sock.send(data, peer.port, peer.address));
      sock.on('error', fail);
      sock.bind(a.port, '0.0.0.0', tellReady);
      return;
    }
    const serve = (c: Socket): void => {
      c.on('data', (d) => void c.write(d));
      c.on('error', () => c.destroy());
    };
    const server = createServer(serve);
    server.on('error', fail);
    server.listen(a.port, '0.0.0.0', BACKLOG, () => tellReadyWarm(serve, 'x'));
  });
}
