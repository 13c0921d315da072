/**
 * A sidecar tried without a network, so that its first real connection is as fast as any.
 * @module
 */
import type { ConnHandler } from '../../apps/l7/io.js';
import { bytesOf } from '../../apps/l7/message.js';
import { MemoryIo } from './memory-io.js';
import type { Mesh, Workload } from './mesh.js';
import { INBOUND_PORT, OUTBOUND_PORT } from './redirect.js';
import { Sidecar } from './sidecar.js';
import { meshTls } from './tls.js';

const workload = (address: string): Workload => ({
  address, serviceAccount: 'default', sidecar: true, mtls: 'STRICT', portMtls: {}, owner: '', workloadName: 'a', labels: {},
}); // prettier-ignore

const MESH: Mesh = {
  domain: 'cluster.local',
  seed: 1,
  services: [
    { host: 'b.default.svc.cluster.local', addresses: ['10.96.0.1'], ports: [{ port: 80, protocol: 'http', endpoints: [{ address: '10.0.0.2', port: 80, workload: 'default/b' }] }] },
  ],
  workloads: { 'default/a': workload('10.0.0.1'), 'default/b': workload('10.0.0.2') },
}; // prettier-ignore

const QUIET: ConnHandler = { data: () => {}, eof: () => {}, closed: () => {} };

/** One request through two sidecars with mTLS; the bytes that came back. */
export function warmUp(): number {
  let b: Sidecar;
  const io = new MemoryIo(1, (_to, source) =>
    source === 0
      ? b.accept(INBOUND_PORT)
      : (conn) => ({ ...QUIET, data: () => conn.send(bytesOf('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.')) }),
  );
  b = new Sidecar(
    io,
    () => MESH,
    'default/b',
    meshTls(io, () => MESH, 'default/b'),
  );
  const a = new Sidecar(
    io,
    () => MESH,
    'default/a',
    meshTls(io, () => MESH, 'default/a'),
  );
  let n = 0;
  const to = { address: 0x0a600001, port: 80 };
  const c = io.call(a.accept(OUTBOUND_PORT), to, { ...QUIET, data: (d) => void (n += d.length) });
  c.send(bytesOf('GET / HTTP/1.1\r\nHost: b\r\n\r\n'));
  io.run();
  return n;
}
