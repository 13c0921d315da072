/** `podwire app ingress`: an ingress controller on real sockets. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { strerror } from '../apps/errno.js';
import { loadManifests } from '../kube/api/manifest.js';
import type { KubeObject } from '../kube/api/types.js';
import { ingressArgs } from '../kube/ingress/args.js';
import { CONTROLLERS } from '../kube/ingress/start.js';
import { InputError } from '../sim/input-error.js';
import { tellReady } from './app-ready.js';
import { warmUp } from './ingress-warm-up.js';
import { NodeIo } from './node-io.js';
import { UsageError } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const a = ingressArgs(args, Object.keys(CONTROLLERS));
  if (typeof a === 'string') throw new UsageError(a);
  const objects = (): KubeObject[] => a.manifests.flatMap((f) => loadManifests(textOf(f), f));
  if (process.env['PODWIRE_READY_DIR'] !== undefined) await warmUp(a);
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

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') throw new InputError(file, 0, 0, 'no such file');
    throw e;
  }
}
