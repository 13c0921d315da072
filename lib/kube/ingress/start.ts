/**
 * Ingress controllers as programs over any Io: what each one listens on, and the Controller behind it.
 *
 * One entry in `CONTROLLERS` a controller; the adapters (program.ts for the engine, lib/cli/app-ingress.ts for real sockets) know
 * nothing else of them.
 * @module
 */
import type { Io, Layer, Listener } from '../../apps/l7/io.js';
import { Proxy } from '../../apps/l7/proxy.js';
import { proxyProtocol } from '../../apps/l7/proxy-protocol.js';
import { tlsServer } from '../../apps/tls/layer.js';
import { randomFrom } from '../../apps/tls/random.js';
import { defaultCertificate } from '../../apps/x509/authority.js';
import { EPOCH_SEC } from '../../../wire/pcap.js';
import { startAlb } from './alb/start.js';
import type { IngressArgs } from './args.js';
import { startIstio } from './istio-gateway/start.js';
import { nginxCertificates } from './nginx/certificates.js';
import { plainToHttps } from './nginx/pages.js';
import { DEFAULT_SERVER_PORT, NginxController, NginxDefaultServer } from './nginx/controller.js';
import { nginxRouter } from './routes/nginx.js';
import { traefikRouter } from './routes/traefik.js';
import { TraefikController } from './traefik/controller.js';
import type { Objects } from './types.js';

/** A controller that runs. */
export interface Running {
  /** The objects that it watches have changed. Throws InputError. */
  update(objects: Objects): void;
  close(): void;
}

/** Starts a controller; `failed` is told of ports that cannot be had. Throws InputError for objects it cannot take. */
export type Start = (
  io: Io,
  objects: Objects,
  a: IngressArgs,
  failed: (port: number, errno: number) => void,
) => Running;

export const CONTROLLERS: Readonly<Record<string, Start>> = {
  'ingress-nginx': ingressNginx,
  traefik,
  alb: startAlb,
  istio: startIstio,
};

const before = (a: IngressArgs): Layer[] => (a.proxyProtocol ? [proxyProtocol] : []);

function ingressNginx(
  io: Io,
  objects: Objects,
  a: IngressArgs,
  failed: (port: number, errno: number) => void,
): Running {
  const options = { warn: (text: string) => io.log(text) };
  const controller = new NginxController(io, nginxRouter(objects, options), { proxyProtocol: a.proxyProtocol });
  const open = [
    new Proxy(io, new NginxDefaultServer(io)).serve({ address: a.listen, port: DEFAULT_SERVER_PORT }, DEFAULT_SERVER_PORT, [], (e) => failed(DEFAULT_SERVER_PORT, e)), // prettier-ignore
  ];
  const proxy = new Proxy(io, controller);
  if (a.http > 0) open.push(proxy.serve({ address: a.listen, port: a.http }, 80, before(a), (e) => failed(a.http, e)));
  const made = defaultCertificate('ingress-nginx', randomFrom(io.rng('ingress-nginx default certificate')), EPOCH_SEC);
  let choose = nginxCertificates(objects, made, options.warn);
  let connections = 0;
  const tls = tlsServer(
    () => ({
      random: randomFrom(io.rng(`ingress-nginx tls ${++connections}`)),
      choose: (h) => choose(h.serverName),
      // The real one speaks HTTP/2 too and prefers it.
      alpn: ['http/1.1'],
      keyLog: (line) => io.secret(line),
    }),
    (f) => (f.plain === undefined ? null : plainToHttps(io.wall())),
  );
  if (a.https > 0) open.push(proxy.serve({ address: a.listen, port: a.https }, 443, [...before(a), tls], (e) => failed(a.https, e))); // prettier-ignore
  return {
    update: (now) => {
      controller.update(nginxRouter(now, options));
      choose = nginxCertificates(now, made, options.warn);
    },
    close: () => open.forEach((l) => l.close()),
  };
}

function traefik(io: Io, objects: Objects, a: IngressArgs, failed: (port: number, errno: number) => void): Running {
  const options = { warn: (text: string) => io.log(text) };
  const controller = new TraefikController(io, traefikRouter(objects, options), a.pod);
  const proxy = new Proxy(io, controller);
  const open: Listener[] = [];
  if (a.http > 0) open.push(proxy.serve({ address: a.listen, port: a.http }, 80, before(a), (e) => failed(a.http, e)));
  return {
    update: (now) => controller.update(traefikRouter(now, options)),
    close: () => open.forEach((l) => l.close()),
  };
}
