/**
 * `podwire app ingress …` as a program of the emulator.
 * @module
 */
import { strerror } from '../../apps/errno.js';
import { EngineIo } from '../../apps/l7/engine-io.js';
import type { Proc, Program } from '../../apps/program.js';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from '../api/manifest.js';
import type { KubeObject } from '../api/types.js';
import { ingressArgs } from './args.js';
import { CONTROLLERS } from './start.js';

export const ingressProgram: Program = (p: Proc): void => {
  const a = ingressArgs(p.argv.slice(3), Object.keys(CONTROLLERS));
  const fail = (text: string): void => {
    p.err(`${text}\n`);
    p.exit(1);
  };
  if (typeof a === 'string') return fail(a);
  const objects = (): KubeObject[] =>
    a.manifests.flatMap((f) => {
      const text = p.files.read(f);
      if (text === null) throw new InputError(f, 0, 0, 'no such file');
      return loadManifests(text, f);
    });
  const io = new EngineIo(p, a.seed);
  try {
    const running = CONTROLLERS[a.controller]!(io, objects(), a, (port, errno) => {
      fail(`ingress: port ${port}: ${strerror(errno)}`);
      io.closeAll();
    });
    // What the watches of the real program tell it comes as a changed file and a signal.
    p.onHup = () => running.update(objects());
    p.onKill = () => io.closeAll();
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    fail(e.message);
  }
};
