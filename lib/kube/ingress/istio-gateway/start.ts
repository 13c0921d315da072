/**
 * An Istio ingress gateway as a program.
 * @module
 */
import type { Io } from '../../../apps/l7/io.js';
import { Proxy } from '../../../apps/l7/proxy.js';
import { istioRouter } from '../routes/istio.js';
import type { IngressArgs } from '../args.js';
import type { Running } from '../start.js';
import type { Objects } from '../types.js';
import { IstioController } from './controller.js';

const DEPLOYMENT = 'istio-ingressgateway';

/** Plain HTTP on the program's port, which clients know as 80. */
export function startIstio(
  io: Io,
  objects: Objects,
  a: IngressArgs,
  failed: (port: number, errno: number) => void,
): Running {
  // prettier-ignore
  const options = { warn: (text: string) => io.log(text), namespace: a.namespace };
  const labels = { app: DEPLOYMENT, 'service.istio.io/canonical-name': DEPLOYMENT, 'service.istio.io/canonical-revision': 'latest' }; // prettier-ignore
  const workload = { pod: a.pod, namespace: a.namespace, deployment: DEPLOYMENT, labels };
  const controller = new IstioController(io, istioRouter(objects, options), { workload, timed: a.seed === null });
  const proxy = new Proxy(io, controller);
  const open = a.http > 0 ? [proxy.serve({ address: a.listen, port: a.http }, 80, [], (e) => failed(a.http, e))] : [];
  return {
    update: (now) => controller.update(istioRouter(now, options)),
    close: () => open.forEach((l) => l.close()),
  };
}
