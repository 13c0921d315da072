/** `podwire app ingress`: an ingress controller on real sockets. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { strerror } from '../apps/errno.js';
import { loadManifests } from '../kube/api/manifest.js';
import type { KubeObject } from '../kube/api/types.js';
import { type IngressArgs, ingressArgs } from '../kube/ingress/args.js';
import { CONTROLLERS } from '../kube/ingress/start.js';
import { InputError } from '../sim/input-error.js';
import { tellReady } from './app-ready.js';
import { NodeIo } from './node-io.js';
import { UsageError } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const a = ingressArgs(args, Object.keys(CONTROLLERS));
  if (typeof a === 'string') throw new UsageError(a);
  const objects = (): KubeObject[] => a.manifests.flatMap((f) => loadManifests(textOf(f), f));
  if (process.env['PODWIRE_READY_DIR'] !== undefined) await warm(a, objects());
  const io = new NodeIo(a.seed ?? randomInt(2 ** 31));
  return new Promise((resolve) => {
    const running = CONTROLLERS[a.controller]!(io, objects(), a, (port, errno) => {
      process.stderr.write(`podwire app ingress: port ${port}: ${strerror(errno)}\n`);
      resolve(1);
    });
    process.on('SIGHUP', () => {
      try {
        running.update(objects());
      } catch (e) {
        if (!(e instanceof InputError)) throw e;
        process.stderr.write(`${e.message}\n`);
      }
    });
    void io.listening().then(() => tellReady());
  });
}

const LOOPBACK = 0x7f000001;
/** A port that no Lab is likely to use, before its first step. */
const WARM_PORT = 58080;
const WARM_UP = 3;

/**
 * Some exchanges with another instance: a fresh process takes tens of milliseconds for its first ones, long enough for delayed ACKs
 * that a recording should not show.
 */
async function warm(a: IngressArgs, objects: KubeObject[]): Promise<void> {
  const io = new NodeIo(1);
  const quiet = { ...a, listen: LOOPBACK, http: WARM_PORT, https: 0, proxyProtocol: false };
  const running = CONTROLLERS[a.controller]!(io, objects, quiet, () => {});
  await io.listening();
  for (let i = 0; i < WARM_UP; i++) await hello();
  running.close();
  io.closeAll();
}

/** One request whose answer ends the connection. */
function hello(): Promise<void> {
  return new Promise((resolve) => {
    const c = connect(WARM_PORT, '127.0.0.1', () =>
      c.write('GET / HTTP/1.1\r\nHost: warm\r\nConnection: close\r\n\r\n'),
    );
    c.on('data', () => {}).on('error', () => c.destroy());
    c.on('close', () => resolve());
  });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') throw new InputError(file, 0, 0, 'no such file');
    throw e;
  }
}
