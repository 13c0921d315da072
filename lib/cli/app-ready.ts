/** Tells whoever started an app (PODWIRE_READY_DIR) that its sockets are open. */
import { writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';

export function tellReady(): void {
  const dir = process.env['PODWIRE_READY_DIR'];
  if (dir !== undefined) writeFileSync(join(dir, String(process.pid)), '');
}

/** One connection to a server on loopback, for its first ones are slow; over when it is closed, however that comes. */
export function visit(port: number, begin: (c: Socket) => void): Promise<void> {
  return new Promise((resolve) => {
    const c = connect(port, '127.0.0.1', () => begin(c));
    c.on('data', () => {}).on('error', () => c.destroy());
    c.on('close', () => resolve());
  });
}

/**
 * Like tellReady, after one exchange over a Unix socket: the first connection of a fresh process takes tens of
 * milliseconds, long enough for delayed ACKs that a recording should not show.
 */
export function tellReadyWarm(serve: (c: Socket) => void, hello: string): void {
  if (process.env['PODWIRE_READY_DIR'] === undefined) return;
  let left = 3;
  const path = `\0podwire-${process.pid}`;
  const server = createServer(serve);
  const once = (): void => {
    if (left-- === 0) {
      server.close();
      return tellReady();
    }
    const c = connect(path, () => c.write(hello));
    c.once('data', () => c.end());
    c.on('error', () => c.destroy());
    c.on('close', once);
  };
  server.on('error', tellReady);
  server.listen(path, once);
}
