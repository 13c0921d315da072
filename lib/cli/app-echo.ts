/** `podwire app echo --udp PORT` on a real socket. */
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from './usage.js';

export function main(args: string[]): Promise<number> {
  const port = Number(args[1]);
  if (args[0] !== '--udp' || args.length !== 2 || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new UsageError(`app echo: found "${args.join(' ')}", expected --udp PORT (TCP is not supported yet)`);
  }
  const sock = createSocket('udp4');
  return new Promise((resolve) => {
    sock.on('message', (data, peer) => sock.send(data, peer.port, peer.address));
    sock.on('error', (e) => {
      process.stderr.write(`podwire: app echo: ${e.message}\n`);
      resolve(1);
    });
    sock.bind(port, '0.0.0.0', () => {
      const dir = process.env['PODWIRE_READY_DIR'];
      if (dir !== undefined) writeFileSync(join(dir, String(process.pid)), '');
    });
  });
}
