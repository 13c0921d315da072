/** `podwire app http --port PORT [--body TEXT]` on a real socket. */
import { createServer, type Socket } from 'node:net';
import { httpArgs } from '../apps/http-server.js';
import { HttpSession, plainSite } from '../apps/http-session.js';
import { BACKLOG } from '../apps/tcp-server.js';
import { tellReadyWarm } from './app-ready.js';
import { UsageError } from './usage.js';

export function main(args: string[]): Promise<number> {
  const a = httpArgs(args);
  if (typeof a === 'string') throw new UsageError(a);
  return new Promise((resolve) => {
    const serve = (c: Socket): void => {
      const session = new HttpSession(plainSite(a.body));
      c.on('data', (d) => {
        const r = session.data(d);
        if (r.bytes.length > 0) c.write(r.bytes);
        if (r.close) c.end();
      });
      c.on('error', () => c.destroy());
    };
    const server = createServer(serve);
    server.on('error', (e) => {
      process.stderr.write(`podwire app http: ${e.message}\n`);
      resolve(1);
    });
    server.listen(a.port, '0.0.0.0', BACKLOG, () => tellReadyWarm(serve, 'GET / HTTP/1.1\r\n\r\n'));
  });
}
