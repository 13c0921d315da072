/**
 * What the charts of ingress controllers install, as manifests.
 * @module
 */
import type { IngressController } from './install.js';

export interface Chart {
  /** '': it has no pods that matter here. */
  readonly namespace: string;
  /** The IngressClass's name unless the Scenario says another. */
  readonly class: string;
  manifests(c: IngressController): string;
}

export const CHARTS: Readonly<Record<string, Chart>> = {
  'ingress-nginx': { namespace: 'ingress-nginx', class: 'nginx', manifests: ingressNginx },
  traefik: { namespace: 'traefik', class: 'traefik', manifests: traefik },
  istio: { namespace: 'istio-system', class: 'istio', manifests: istio },
  alb: { namespace: '', class: 'alb', manifests: (c) => ingressClass(c.class, 'ingress.k8s.aws/alb', false) },
};

interface Port {
  /** Of the container and, with `port`, of the Service. */
  name: string;
  container: number;
  /** 0: not in the Service. */
  port: number;
}

const labels = (pairs: Readonly<Record<string, string>>): string =>
  `{ ${Object.entries(pairs).map(([k, v]) => `${k}: ${v}`).join(', ')} }`; // prettier-ignore

const namespace = (name: string): string => `apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: { kubernetes.io/metadata.name: ${name} } }
`;

/** Names of the containers, by namespace. */
const CONTAINERS: Readonly<Record<string, string>> = { 'ingress-nginx': 'controller', traefik: 'traefik', 'istio-system': 'istio-proxy' }; // prettier-ignore

function deployment(
  c: IngressController,
  name: string,
  ns: string,
  own: string,
  image: string,
  ports: readonly Port[],
): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${ns}, labels: ${own} }
spec:
  replicas: ${c.replicas}
  selector: { matchLabels: ${own} }
  template:
    metadata: { labels: ${own} }
    spec:
      ${c.node === '' ? 'nodeSelector: { kubernetes.io/os: linux }' : `nodeName: ${c.node}`}
      containers:
      - name: ${CONTAINERS[ns]}
        image: ${image}
        ports: [ ${ports.map((p) => `{ name: ${p.name}, containerPort: ${p.container}, protocol: TCP }`).join(', ')} ]
`;
}

function service(c: IngressController, name: string, ns: string, own: string, ports: readonly Port[]): string {
  const { type, externalTrafficPolicy, loadBalancerIP } = c.service;
  const list = ports.filter((p) => p.port > 0);
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${ns}, labels: ${own} }
spec:
  type: ${type}
${type === 'ClusterIP' ? '' : `  externalTrafficPolicy: ${externalTrafficPolicy}\n`}  selector: ${own}
  ports: [ ${list.map((p) => `{ name: ${p.name}, port: ${p.port}, targetPort: ${p.name}, protocol: TCP }`).join(', ')} ]
${loadBalancerIP === '' ? '' : `status: { loadBalancer: { ingress: [ { ip: ${loadBalancerIP} } ] } }\n`}`;
}

const ingressClass = (name: string, controller: string, isDefault: boolean): string => `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: ${name}${isDefault ? ', annotations: { ingressclass.kubernetes.io/is-default-class: "true" }' : ''} }
spec: { controller: ${controller} }
`;

/** Chart ingress-nginx 4.15: the controller, its Service, the admission webhook's Service, the class. */
function ingressNginx(c: IngressController): string {
  const ns = 'ingress-nginx';
  const own = labels({
    'app.kubernetes.io/component': 'controller',
    'app.kubernetes.io/instance': ns,
    'app.kubernetes.io/name': ns,
  });
  const ports = [
    { name: 'http', container: 80, port: 80 },
    { name: 'https', container: 443, port: 443 },
    { name: 'webhook', container: 8443, port: 0 },
  ];
  return [
    namespace(ns),
    service(c, 'ingress-nginx-controller', ns, own, ports),
    `apiVersion: v1
kind: Service
metadata: { name: ingress-nginx-controller-admission, namespace: ${ns}, labels: ${own} }
spec: { type: ClusterIP, selector: ${own}, ports: [ { name: https-webhook, port: 443, targetPort: webhook } ] }
`,
    deployment(c, 'ingress-nginx-controller', ns, own, 'registry.k8s.io/ingress-nginx/controller:v1.15.1', ports),
    ingressClass(c.class, 'k8s.io/ingress-nginx', false),
  ].join('---\n');
}

/** Chart traefik 37: entry points web (8000) and websecure (8443), the class, which is the default one. */
function traefik(c: IngressController): string {
  const ns = 'traefik';
  const own = labels({ 'app.kubernetes.io/instance': 'traefik-traefik', 'app.kubernetes.io/name': 'traefik' });
  const ports = [
    { name: 'metrics', container: 9100, port: 0 },
    { name: 'traefik', container: 8080, port: 0 },
    { name: 'web', container: 8000, port: 80 },
    { name: 'websecure', container: 8443, port: 443 },
  ];
  return [
    namespace(ns),
    service(c, 'traefik', ns, own, ports),
    deployment(c, 'traefik', ns, own, 'docker.io/traefik:v3.7.9', ports),
    ingressClass(c.class, 'traefik.io/ingress-controller', true),
  ].join('---\n');
}

/**
 * What `istioctl install` makes of the default profile: the ingress gateway and its Service. No IngressClass is made: Ingresses are
 * Istio's by the annotation `kubernetes.io/ingress.class: istio`, or by a class that the Scenario writes.
 */
function istio(c: IngressController): string {
  const ns = 'istio-system';
  const name = 'istio-ingressgateway';
  const own = labels({ app: name, istio: 'ingressgateway' });
  const ports = [
    { name: 'status-port', container: 15021, port: 15021 },
    { name: 'http2', container: 8080, port: 80 },
    { name: 'https', container: 8443, port: 443 },
  ];
  return [
    namespace(ns),
    service(c, name, ns, own, ports),
    deployment(c, name, ns, own, 'docker.io/istio/proxyv2:1.30.3', ports),
  ].join('---\n');
}
