/**
 * An AWS Application Load Balancer as a program.
 * @module
 */
import type { Io } from '../../../apps/l7/io.js';
import { Proxy } from '../../../apps/l7/proxy.js';
import { InputError } from '../../../sim/input-error.js';
import type { IngressArgs } from '../args.js';
import { type AlbRouter, albRouter } from '../routes/alb.js';
import type { Running } from '../start.js';
import type { Objects } from '../types.js';
import { AlbController } from './controller.js';

/** Listens on the ports of the Ingresses' listen-ports; a later change of these ports is an error. */
export function startAlb(
  io: Io,
  objects: Objects,
  a: IngressArgs,
  failed: (port: number, errno: number) => void,
): Running {
  // prettier-ignore
  const router = albRouter(objects, { group: a.group });
  const ports = portsOf(router);
  if (router.listeners.some((l) => l.protocol === 'HTTPS')) throw new InputError('', 0, 0, 'alb: HTTPS listeners are not supported yet'); // prettier-ignore
  const controller = new AlbController(io, router);
  const proxy = new Proxy(io, controller);
  const open = router.listeners.map(({ port }) => proxy.serve({ address: a.listen, port }, port, [], (e) => failed(port, e))); // prettier-ignore
  return {
    update: (now) => {
      const next = albRouter(now, { group: a.group });
      if (portsOf(next) !== ports) throw new InputError('', 0, 0, `alb: found the listeners ${portsOf(next)}, expected ${ports}: new ones are not opened yet`); // prettier-ignore
      controller.update(next);
    },
    close: () => open.forEach((l) => l.close()),
  };
}

const portsOf = (r: AlbRouter): string => r.listeners.map((l) => `${l.protocol} ${l.port}`).join(', ');
