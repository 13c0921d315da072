/**
 * The table of testdata/routes.txt: its blocks, and the manifests that a block stands for.
 * @module
 */
import { stringify } from 'yaml';

export const CONTROLLERS = ['nginx', 'traefik', 'alb', 'istio', 'vs'] as const;
export type Controller = (typeof CONTROLLERS)[number];

export interface CasePath {
  readonly host: string;
  readonly type: string;
  readonly path: string;
  readonly service: string;
  /** The name of its port; '' for number 80. */
  readonly port: string;
}

export interface CaseIngress {
  readonly name: string;
  /** Seconds after the others; the oldest has the least. */
  age: number;
  tls: string[];
  fallback: string;
  readonly annotations: Record<string, string>;
  readonly paths: CasePath[];
}

export interface CaseRequest {
  readonly line: number;
  readonly tls: boolean;
  readonly host: string;
  readonly target: string;
  readonly outcome: string;
  readonly differences: Map<Controller, { outcome: string; reason: string }>;
}

export interface Block {
  readonly title: string;
  readonly ingresses: CaseIngress[];
  readonly requests: CaseRequest[];
}

const TYPES = ['Exact', 'Prefix', 'ImplementationSpecific'];

function ingressOf(words: readonly string[]): CaseIngress {
  const out: CaseIngress = { name: words[1]!, age: 0, tls: [], fallback: '', annotations: {}, paths: [] };
  let key = '';
  for (const w of words.slice(2)) {
    if (['age', 'tls', 'default'].includes(w)) key = w;
    else if (key === 'age') out.age = Number(w);
    else if (key === 'tls') out.tls.push(w);
    else out.fallback = w;
  }
  return out;
}

/** The blocks of the table. Throws for a line that is none of its kinds. */
export function blocks(text: string): Block[] {
  const out: Block[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd();
    if (line === '' || line.startsWith('#')) continue;
    const block = out.at(-1);
    if (line.startsWith('== ')) out.push({ title: line.slice(3), ingresses: [], requests: [] });
    else if (line.startsWith('ingress ')) block!.ingresses.push(ingressOf(line.split(' ')));
    else if (line.startsWith('@ ')) annotate(block!.ingresses.at(-1)!, line.slice(2));
    else if (line.startsWith('  ')) differ(block!.requests.at(-1)!, line.trim(), i + 1);
    else add(block!, line, i + 1);
  }
  return out;
}

function annotate(i: CaseIngress, text: string): void {
  const cut = text.indexOf(': ');
  i.annotations[text.slice(0, cut)] = text.slice(cut + 2).replace(/^(["'])(.*)\1$/, '$2');
}

function differ(q: CaseRequest, text: string, line: number): void {
  const [, controller = '', outcome = '', reason = ''] = /^(\S+) (.*?): (.*)$/.exec(text) ?? [];
  if (!(CONTROLLERS as readonly string[]).includes(controller)) throw new Error(`line ${line}: no controller: ${text}`);
  q.differences.set(controller as Controller, { outcome, reason });
}

function add(block: Block, text: string, line: number): void {
  const words = text.split(' ');
  if (TYPES.includes(words[1] ?? '')) {
    const [host = '', type = '', path = '', target = ''] = words;
    const [service = '', port = ''] = target.split(':');
    block.ingresses.at(-1)!.paths.push({ host: host === '-' ? '' : host, type, path: path === '-' ? '' : path, service, port }); // prettier-ignore
    return;
  }
  const m = /^(https:)?(\S+) (\S+) = (.+)$/.exec(text);
  if (m === null) throw new Error(`line ${line}: neither a path nor a request: ${text}`);
  block.requests.push({ line, tls: m[1] !== undefined, host: m[2]!, target: m[3]!, outcome: m[4]!, differences: new Map() }); // prettier-ignore
}

/** The IngressClass of a controller. */
const CLASS: Record<string, string> = {
  nginx: 'k8s.io/ingress-nginx',
  traefik: 'traefik.io/ingress-controller',
  alb: 'ingress.k8s.aws/alb',
  istio: 'istio.io/ingress-controller',
};

const services = (b: Block): string[] => {
  const all = b.ingresses.flatMap((i) => [...i.paths.filter((p) => p.port === '').map((p) => p.service), i.fallback]);
  return [...new Set(all)].filter((s) => s !== '' && s !== 'missing');
};

const backend = (service: string, port: string): object => ({
  service: { name: service, port: port === '' ? { number: 80 } : { name: port } },
});

function ingressObject(i: CaseIngress, className: string): object {
  const hosts = [...new Set(i.paths.map((p) => p.host))];
  const path = (p: CasePath): object => ({ ...(p.path === '' ? {} : { path: p.path }), pathType: p.type, backend: backend(p.service, p.port) }); // prettier-ignore
  const rules = hosts.map((host) => ({ ...(host === '' ? {} : { host }), http: { paths: i.paths.filter((p) => p.host === host).map(path) } })); // prettier-ignore
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name: i.name,
      creationTimestamp: `2026-01-01T00:00:0${i.age}Z`,
      annotations: {
        ...i.annotations,
        ...(className === 'alb'
          ? { 'alb.ingress.kubernetes.io/group.name': 'g', 'alb.ingress.kubernetes.io/target-type': 'ip' }
          : {}),
      },
    },
    spec: {
      ingressClassName: className,
      ...(i.fallback === '' ? {} : { defaultBackend: backend(i.fallback, '') }),
      ...(i.tls.length === 0 ? {} : { tls: [{ hosts: i.tls, secretName: 'cert' }] }),
      ...(rules.length === 0 ? {} : { rules }),
    },
  };
}

/** A VirtualService for each Ingress and host, with its paths in their order. */
function virtualServices(b: Block): object[] {
  const gateway = { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'gw' }, spec: { selector: { istio: 'ingressgateway' }, servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }] } }; // prettier-ignore
  const out: object[] = [gateway];
  for (const i of b.ingresses)
    for (const [n, host] of [...new Set(i.paths.map((p) => p.host))].entries()) {
      const http = i.paths.filter((p) => p.host === host).map((p) => ({
        ...(p.path === '' ? {} : { match: [{ uri: { [p.type === 'Exact' ? 'exact' : 'prefix']: p.path } }] }),
        route: [{ destination: { host: p.service } }],
      })); // prettier-ignore
      const metadata = { name: `${i.name}-${n}`, creationTimestamp: `2026-01-01T00:00:0${i.age}Z` };
      out.push({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata, spec: { hosts: [host === '' ? '*' : host], gateways: ['gw'], http } }); // prettier-ignore
    }
  return out;
}

/** The manifests of a block for one controller. */
export function manifests(b: Block, c: Controller): string {
  const docs: object[] = [];
  for (const name of services(b)) {
    const ready = name !== 'empty';
    docs.push({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { type: 'NodePort', clusterIP: '10.96.0.10', selector: { app: name }, ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] } }); // prettier-ignore
    docs.push({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.244.1.2'], conditions: { ready, serving: ready, terminating: false } }],
      ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    });
  }
  if (c === 'alb') docs.push({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec: { podCIDR: '10.244.1.0/24' }, status: { addresses: [{ type: 'InternalIP', address: '192.168.56.11' }], conditions: [{ type: 'Ready', status: 'True' }] } }); // prettier-ignore
  if (c === 'vs') docs.push(...virtualServices(b));
  else {
    docs.push({ apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: c }, spec: { controller: CLASS[c] } }); // prettier-ignore
    docs.push(...b.ingresses.map((i) => ingressObject(i, c)));
  }
  return docs.map((d) => stringify(d, { lineWidth: 0 })).join('---\n');
}
