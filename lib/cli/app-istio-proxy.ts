/** `podwire app istio-proxy`: the sidecar on real sockets, behind the rules that istio-init writes. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { strerror } from '../apps/errno.js';
import { istioProxyArgs } from '../kube/istio/args.js';
import { meshReader } from '../kube/istio/program.js';
import { INBOUND_PORT, OUTBOUND_PORT } from '../kube/istio/redirect.js';
import { Sidecar } from '../kube/istio/sidecar.js';
import { meshTls } from '../kube/istio/tls.js';
import { warmUp } from '../kube/istio/warm.js';
import { tellReady } from './app-ready.js';
import { NodeIo, type OriginalDst } from './node-io.js';
import { originalDstReader } from './original-dst.js';
import { UsageError } from './usage.js';

/** How often a fresh process is tried before it says that it is ready. */
const WARM = 20;

export function main(args: string[]): Promise<number> {
  const a = istioProxyArgs(args);
  if (typeof a === 'string') throw new UsageError(a);
  let table: OriginalDst;
  try {
    table = originalDstReader();
  } catch (e) {
    process.stderr.write(`istio-proxy: ${(e as Error).message}: needs to know where a connection was to go; run it as root, or with --groups 0 of setpriv\n`); // prettier-ignore
    return Promise.resolve(1);
  }
  const io = new NodeIo(a.seed ?? randomInt(2 ** 31), table);
  const read = (): string | null => {
    try {
      return readFileSync(a.mesh, 'utf8');
    } catch {
      return null;
    }
  };
  const mesh = meshReader(read, a.mesh, (l) => io.log(l));
  if (mesh().workloads[a.pod] === undefined) throw new UsageError(`istio-proxy: ${a.mesh} knows no pod ${a.pod}`);
  const sidecar = new Sidecar(io, mesh, a.pod, meshTls(io, mesh, a.pod));
  if (process.env['PODWIRE_READY_DIR'] !== undefined) for (let i = 0; i < WARM; i++) warmUp();
  return new Promise((resolve) => {
    for (const port of [INBOUND_PORT, OUTBOUND_PORT] as const) {
      const failed = (errno: number): void => {
        process.stderr.write(`istio-proxy: port ${port}: ${strerror(errno)}\n`);
        resolve(1);
      };
      io.listen({ address: 0, port }, sidecar.accept(port), failed);
    }
    void io.listening().then(() => tellReady());
  });
}
