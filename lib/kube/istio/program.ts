/**
 * The sidecar as a program of the emulator.
 * @module
 */
import { strerror } from '../../apps/errno.js';
import { EngineIo } from '../../apps/l7/engine-io.js';
import type { Program } from '../../apps/program.js';
import { InputError } from '../../sim/input-error.js';
import { istioProxyArgs } from './args.js';
import { type Mesh, parseMesh } from './mesh.js';
import { INBOUND_PORT, OUTBOUND_PORT } from './redirect.js';
import { Sidecar } from './sidecar.js';
import { meshTls } from './tls.js';

/** The mesh as the file says it, read again when its text is another; the last good one where it is none. */
export function meshReader(read: () => string | null, file: string, log: (line: string) => void): () => Mesh {
  let known: string | null = null;
  let mesh: Mesh | null = null;
  return () => {
    const text = read();
    if (mesh !== null && (text === known || text === null)) return mesh;
    try {
      if (text === null) throw new InputError(file, 0, 0, 'no such file');
      const next = parseMesh(text, file);
      known = text;
      return (mesh = next);
    } catch (e) {
      if (!(e instanceof InputError) || mesh === null) throw e;
      known = text;
      log(e.message);
      return mesh;
    }
  };
}

/** `podwire app istio-proxy …` inside a Lab. */
export const istioProxy: Program = (p): void => {
  const a = istioProxyArgs(p.argv.slice(p.argv.indexOf('istio-proxy') + 1));
  const io = new EngineIo(p, typeof a === 'string' ? 0 : a.seed);
  // A process that ends takes its other listener along.
  const fail = (text: string): void => {
    io.closeAll();
    p.err(`${text}\n`);
    p.exit(1);
  };
  if (typeof a === 'string') return fail(a);
  try {
    const mesh = meshReader(() => p.files.read(a.mesh), a.mesh, (l) => io.log(l)); // prettier-ignore
    if (!Object.hasOwn(mesh().workloads, a.pod)) return fail(`istio-proxy: ${a.mesh} knows no pod ${a.pod}`);
    const sidecar = new Sidecar(io, mesh, a.pod, meshTls(io, mesh, a.pod));
    for (const port of [INBOUND_PORT, OUTBOUND_PORT] as const)
      io.listen({ address: 0, port }, sidecar.accept(port), (e) => fail(`istio-proxy: port ${port}: ${strerror(e)}`));
    p.onKill = () => io.closeAll();
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    fail(e.message);
  }
};
