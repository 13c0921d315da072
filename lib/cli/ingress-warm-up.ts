/**
 * Exchanges through another instance of an ingress controller before the recording kernel looks: a fresh process takes tens of
 * milliseconds for its first ones, long enough for delayed ACKs that a recording should not show.
 * @module
 */
import { goSite } from '../apps/servers/go-site.js';
import { Proxy } from '../apps/l7/proxy.js';
import { loadManifests } from '../kube/api/manifest.js';
import type { KubeObject } from '../kube/api/types.js';
import type { IngressArgs } from '../kube/ingress/args.js';
import { CONTROLLERS } from '../kube/ingress/start.js';
import { visit } from './app-ready.js';
import { NodeIo } from './node-io.js';

const LOOPBACK = 0x7f000001;
/** Ports that no Lab is likely to use, before its first step. */
const PORT = 58080;
const BACKEND = 58081;
const TIMES = 8;
/** What the controllers call themselves in IngressClasses. */
const CLASS: Readonly<Record<string, string>> = {
  'ingress-nginx': 'k8s.io/ingress-nginx',
  traefik: 'traefik.io/ingress-controller',
};

/** Returns when everything is closed again; TIME_WAIT sockets on loopback are all that is left. */
export async function warmUp(a: IngressArgs): Promise<void> {
  const io = new NodeIo(1);
  const backend = new Proxy(
    io,
    goSite(io, () => ({ body: 'warm' })),
  ).serve({ address: LOOPBACK, port: BACKEND }, BACKEND);
  const quiet = { ...a, listen: LOOPBACK, http: PORT, https: 0, proxyProtocol: false };
  const running = CONTROLLERS[a.controller]!(io, objects(a.controller), quiet, () => {});
  await io.listening();
  for (let i = 0; i < TIMES; i++) await hello(i % 2 === 0 ? 'warm.example' : 'nobody.example');
  running.close();
  backend.close();
  io.closeAll();
}

/** One host, one Service, one endpoint: the loopback address, which no manifest may name. */
function objects(controller: string): KubeObject[] {
  const own = CLASS[controller];
  if (own === undefined) return [];
  const all = loadManifests(
    `{ apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: { name: warm }, spec: { controller: ${own} } }
---
{ apiVersion: v1, kind: Service, metadata: { name: warm }, spec: { clusterIP: 10.0.0.1, ports: [ { port: 80, targetPort: ${BACKEND} } ] } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: warm, labels: { kubernetes.io/service-name: warm } }
addressType: IPv4
endpoints: [ { addresses: [ 10.0.0.2 ] } ]
ports: [ { name: "", port: ${BACKEND}, protocol: TCP } ]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: warm }
spec:
  ingressClassName: warm
  rules: [ { host: warm.example, http: { paths: [ { path: /, pathType: Prefix, backend: { service: { name: warm, port: { number: 80 } } } } ] } } ]
`,
    'warm-up',
  );
  for (const o of all) if (o.kind === 'EndpointSlice') for (const e of o.endpoints) e.addresses = ['127.0.0.1'];
  return all;
}

/** One request whose answer ends the connection. */
function hello(host: string): Promise<void> {
  const text = `POST /warm HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nwarm`;
  return visit(PORT, (c) => c.write(text));
}
