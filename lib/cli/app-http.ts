/** `podwire app http --port PORT …` on a real socket; SSLKEYLOGFILE gets the keys of TLS, as of curl. */
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { httpArgs, httpCredentials, httpSession, tlsPurpose } from '../apps/http-server.js';
import { BACKLOG } from '../apps/tcp-server.js';
import { randomFrom } from '../apps/tls/random.js';
import type { RandomSource } from '../apps/tls/types.js';
import { Rng } from '../sim/rng.js';
import { tellReadyWarm } from './app-ready.js';
import { logSecret, secureRandom } from './secrets.js';
import { UsageError } from './usage.js';

/** Text of a file, or null. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

export function main(args: string[]): Promise<number> {
  const a = httpArgs(args);
  if (typeof a === 'string') throw new UsageError(a);
  const random = (n: number): RandomSource =>
    a.seed === null ? secureRandom : randomFrom(new Rng(a.seed, tlsPurpose(a.port, n)));
  const credentials = httpCredentials(a, random(0), read);
  if (typeof credentials === 'string') throw new UsageError(`app http: ${credentials}`);
  let connections = 0;
  return new Promise((resolve) => {
    const serve = (c: Socket): void => {
      const session = httpSession(a, credentials, random(++connections), logSecret);
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
    server.listen(a.port, '0.0.0.0', BACKLOG, () => {
      const warm = (c: Socket): void => {
        serve(c);
        connections = 0;
      };
      tellReadyWarm(warm, 'GET / HTTP/1.1\r\n\r\n');
    });
  });
}
