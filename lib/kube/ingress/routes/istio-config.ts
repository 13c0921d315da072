/**
 * What istiod makes of Gateways, VirtualServices and Ingresses for one gateway: listeners, virtual hosts, routes in their order.
 *
 *   Ingress ─▶ a Gateway of its own and a VirtualService per host ─┐
 *   Gateway, VirtualService ───────────────────────────────────────┴─▶ server by server: hosts in common ─▶ routes, catch-all last
 *
 * Upstream: pilot/pkg/networking/core/gateway.go, route/route.go, pilot/pkg/config/kube/ingress. Not here: exportTo, Gateway API.
 * @module
 */
import type { HttpDestination, HttpMatch, HttpRoute, IstioGateway, IstioServer, StringMatch, VirtualService } from '../../api/istio-types.js'; // prettier-ignore
import type { Ingress, Service } from '../../api/types.js';
import type { Objects, Warn } from '../types.js';
import { claimed } from './classes.js';
import { serviceOf } from './endpoints.js';

/** One route of a virtual host. */
export interface EnvoyRoute {
  /** Null: every request. */
  readonly match: HttpMatch | null;
  /** A prefix ends at a slash (path_separated_prefix), as for Ingresses. */
  readonly separated: boolean;
  readonly http: HttpRoute;
  readonly vs: VirtualService;
}

export interface VirtualHost {
  readonly domain: string;
  routes: EnvoyRoute[];
  /** Plain requests are sent to https. */
  requireTls: boolean;
}

/** One route configuration: of all plain servers of a port, or of one server with TLS. */
export interface Listener {
  readonly port: number;
  readonly tls: boolean;
  /** With TLS: the names it serves, and its Secret's `namespace/name`. */
  readonly hosts: readonly string[];
  readonly secret: string;
  readonly virtualHosts: Map<string, VirtualHost>;
}

interface Bound {
  readonly gateway: IstioGateway;
  /** `namespace/name`. */
  readonly name: string;
  /** Where its Secrets are. */
  readonly namespace: string;
}

interface Rule {
  readonly vs: VirtualService;
  readonly separated: boolean;
}

export interface IstioOptions {
  readonly file: string;
  readonly warn: Warn;
  /** The gateway's namespace and the labels of its Pods. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

const CONTROLLER = 'istio.io/ingress-controller';
const CLASS = 'istio';
const NO_CHANGES = { set: [], add: [], remove: [] };
const ANY: HttpMatch = { uri: null, scheme: null, method: null, authority: null, headers: [], withoutHeaders: [], queryParams: [], port: 0, gateways: [], ignoreUriCase: false }; // prettier-ignore

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** sortConfigByCreationTime */
const byAge = <T extends { metadata: Ingress['metadata'] }>(list: readonly T[]): T[] =>
  [...list].sort(({ metadata: a }, { metadata: b }) =>
    compare(a.creationTimestamp, b.creationTimestamp) || compare(`${a.name}.${a.namespace}`, `${b.name}.${b.namespace}`)); // prettier-ignore

/** The Gateway of an Ingress: plain HTTP for every host, TLS for those of its secrets (convertIngressV1alpha3). */
function gatewayOf(i: Ingress, o: IstioOptions): Bound {
  const servers: IstioServer[] = i.spec.tls.filter((t) => t.secretName !== '').map((t, n) => ({
    port: { number: 443, name: `https-443-ingress-${n}`, protocol: 'HTTPS' },
    hosts: t.hosts.length === 0 ? ['*'] : t.hosts,
    httpsRedirect: false,
    credentialName: t.secretName,
  })); // prettier-ignore
  servers.push({ port: { number: 80, name: 'http-80-ingress', protocol: 'HTTP' }, hosts: ['*'], httpsRedirect: false, credentialName: '' }); // prettier-ignore
  const gateway: IstioGateway = { kind: 'Gateway.networking.istio.io', metadata: i.metadata, spec: { selector: {}, servers } }; // prettier-ignore
  return { gateway, name: ownName(i), namespace: o.namespace };
}

const ownName = (i: Ingress): string => `ingress/${i.metadata.namespace}/${i.metadata.name}`;

/** createFallbackStringMatch: ImplementationSpecific. Null: every path. */
function fallbackMatch(path: string): StringMatch | null {
  if (['', '*', '/*', '.*'].includes(path)) return null;
  if (path.endsWith('.*') || path.endsWith('/*')) return { kind: 'prefix', value: path.slice(0, -2) };
  return { kind: 'exact', value: path };
}

type Path = Ingress['spec']['rules'][number]['paths'][number];

function uriOf(p: Path): StringMatch | null {
  if (p.pathType === 'ImplementationSpecific') return fallbackMatch(p.path);
  return { kind: p.pathType === 'Exact' ? 'exact' : 'prefix', value: p.path };
}

/** One path as a route; null: no Service, or no port of that name. */
function ingressRoute(i: Ingress, p: Path, objects: Objects): HttpRoute | null {
  const b = p.backend.service;
  if (b === null) return null;
  const { namespace } = i.metadata;
  const s = serviceOf(objects, { namespace, service: b.name, port: b.port });
  const port = b.port.number > 0 ? b.port.number : s?.spec.ports.find((x) => x.name === b.port.name)?.port;
  if (port === undefined) return null;
  const destination: HttpDestination = { host: `${b.name}.${namespace}.svc.cluster.local`, port, weight: 1, request: NO_CHANGES, response: NO_CHANGES }; // prettier-ignore
  const uri = uriOf(p);
  return { name: '', match: uri === null ? [] : [{ ...ANY, uri }], route: [destination], redirect: null, directResponse: null, rewrite: null, timeoutNs: 0, retries: null, request: NO_CHANGES, response: NO_CHANGES }; // prettier-ignore
}

/** Longest first, Exact before Prefix; without a match last. */
function sorted(routes: HttpRoute[]): HttpRoute[] {
  const size = (r: HttpRoute): number => r.match[0]?.uri?.value.length ?? 0;
  const exact = (r: HttpRoute): number => (r.match[0]?.uri?.kind === 'exact' ? 0 : 1);
  return routes.sort((a, b) => size(b) - size(a) || exact(a) - exact(b));
}

/** A VirtualService per host of the Ingresses, oldest rule first, bound to the Gateway of the first. */
function virtualServicesOf(list: readonly Ingress[], objects: Objects, warn: Warn): Rule[] {
  const byHost = new Map<string, { first: Ingress; routes: HttpRoute[] }>();
  const age = [...list].sort(({ metadata: a }, { metadata: b }) =>
    compare(a.creationTimestamp, b.creationTimestamp) || compare(a.name, b.name) || compare(a.namespace, b.namespace)); // prettier-ignore
  for (const i of age) {
    if (i.spec.defaultBackend !== null) warn(`Ingress ${i.metadata.namespace}/${i.metadata.name}: Istio ignores its defaultBackend`); // prettier-ignore
    for (const rule of i.spec.rules) {
      if (rule.paths.length === 0) continue;
      const host = rule.host === '' ? '*' : rule.host;
      const known = byHost.get(host) ?? { first: i, routes: [] };
      byHost.set(host, known);
      for (const p of rule.paths) {
        const route = ingressRoute(i, p, objects);
        if (route !== null) known.routes.push(route);
      }
    }
  }
  return [...byHost].map(([host, { first, routes }]) => {
    const spec = { hosts: [host], gateways: [ownName(first)], http: sorted(routes) };
    return { vs: { kind: 'VirtualService', metadata: first.metadata, spec }, separated: true };
  });
}

/** SubsetOf of host names. */
function subset(a: string, b: string): boolean {
  if (!b.startsWith('*')) return a === b;
  if (a.startsWith('*')) return a.length >= b.length && a.slice(1).endsWith(b.slice(1));
  return a.endsWith(b.slice(1));
}

/** The hosts that a server and a VirtualService have in common: the narrower ones. */
function common(server: IstioServer, gatewayNamespace: string, vs: VirtualService): string[] {
  const out = new Set<string>();
  for (const given of server.hosts) {
    const [ns, name] = given.includes('/') ? (given.split('/') as [string, string]) : ['*', given];
    const wanted = ns === '.' ? gatewayNamespace : ns;
    if (wanted !== '*' && wanted !== vs.metadata.namespace) continue;
    for (const h of vs.spec.hosts) {
      if (subset(name, h)) out.add(name);
      else if (subset(h, name)) out.add(h);
    }
  }
  return [...out];
}

/** IsCatchAllRoute */
function isCatchAll(m: HttpMatch | null): boolean {
  if (m === null) return true;
  const uri = m.uri === null || (m.uri.kind === 'prefix' && m.uri.value === '/') || (m.uri.kind === 'regex' && m.uri.value === '.*'); // prettier-ignore
  return uri && m.method === null && m.authority === null && m.scheme === null &&
    m.headers.length + m.withoutHeaders.length + m.queryParams.length === 0; // prettier-ignore
}

/** BuildHTTPRoutesForVirtualService: up to the first that matches everything. */
function routesOf({ vs, separated }: Rule, port: number, gateway: string): EnvoyRoute[] {
  const out: EnvoyRoute[] = [];
  for (const http of vs.spec.http) {
    for (const match of http.match.length === 0 ? [null] : http.match) {
      if (match !== null && match.port !== 0 && match.port !== port) continue;
      if (match !== null && match.gateways.length > 0 && !match.gateways.some((g) => fullName(g, vs) === gateway)) continue; // prettier-ignore
      out.push({ match, separated, http, vs });
      if (isCatchAll(match)) return out;
    }
  }
  return out;
}

/** A gateway's name as a VirtualService writes it, with its namespace. */
const fullName = (name: string, vs: VirtualService): string =>
  name.includes('/') ? name : `${vs.metadata.namespace}/${name}`;

/** Adds what one server serves. */
function serve(l: Listener, server: IstioServer, bound: Bound, rules: readonly Rule[]): void {
  const host = (domain: string): VirtualHost => {
    const known = l.virtualHosts.get(domain) ?? { domain, routes: [], requireTls: false };
    l.virtualHosts.set(domain, known);
    return known;
  };
  for (const rule of rules) {
    if (!rule.vs.spec.gateways.some((g) => fullName(g, rule.vs) === bound.name)) continue;
    const routes = routesOf(rule, server.port.number, bound.name);
    if (routes.length === 0) continue;
    for (const domain of common(server, bound.gateway.metadata.namespace, rule.vs)) host(domain).routes.push(...routes);
  }
  if (server.httpsRedirect) for (const h of server.hosts) host(h.replace(/^.*\//, '')).requireTls = true;
}

/** The listeners of a gateway. */
export function istioListeners(objects: Objects, o: IstioOptions): Listener[] {
  const ingresses = claimed(objects, { controller: CONTROLLER, first: 'annotation', annotated: (v) => v === CLASS });
  const own = objects.filter((x): x is IstioGateway => x.kind === 'Gateway.networking.istio.io');
  const chosen = byAge(own).filter((g) => Object.entries(g.spec.selector).every(([k, v]) => o.labels[k] === v));
  const bound: Bound[] = [
    ...byAge(ingresses).map((i) => gatewayOf(i, o)),
    ...chosen.map((gateway) => ({ gateway, name: `${gateway.metadata.namespace}/${gateway.metadata.name}`, namespace: o.namespace })), // prettier-ignore
  ];
  const given = byAge(objects.filter((x): x is VirtualService => x.kind === 'VirtualService'));
  const rules: Rule[] = [...virtualServicesOf(ingresses, objects, o.warn), ...given.map((vs) => ({ vs, separated: false }))]; // prettier-ignore
  const out: Listener[] = [];
  for (const b of bound) for (const s of b.gateway.spec.servers) addServer(out, b, s, rules, o.warn);
  for (const l of out) for (const v of l.virtualHosts.values()) v.routes = [...v.routes.filter((r) => !isCatchAll(r.match)), ...v.routes.filter((r) => isCatchAll(r.match))]; // prettier-ignore
  return out.sort((a, b) => a.port - b.port);
}

/** Plain servers of a port are one; a server with TLS stands for itself, and its hosts are no other's. */
function addServer(out: Listener[], b: Bound, s: IstioServer, rules: readonly Rule[], warn: Warn): void {
  const tls = s.port.protocol === 'HTTPS';
  const others = out.filter((l) => l.port === s.port.number);
  const hosts = s.hosts.map((h) => h.replace(/^.*\//, ''));
  const clash = others.some((l) => l.tls !== tls || (tls && l.hosts.some((h) => hosts.includes(h))));
  if (clash)
    return warn(`Gateway ${b.name}: the server ${s.port.name} is left out: an older one has its port or hosts`);
  const known = tls ? undefined : others[0];
  const l = known ?? { port: s.port.number, tls, hosts, secret: tls ? `${b.namespace}/${s.credentialName}` : '', virtualHosts: new Map<string, VirtualHost>() }; // prettier-ignore
  if (known === undefined) out.push(l);
  serve(l, s, b, rules);
}

/** The Service that a destination names: by its full name, or by the name alone in the VirtualService's namespace; null: none. */
export function destinationService(d: HttpDestination, vs: VirtualService, objects: Objects): Service | null {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc\.cluster\.local$/.exec(d.host) ?? [null, d.host, vs.metadata.namespace]; // prettier-ignore
  if (name!.includes('.')) return null;
  return serviceOf(objects, { namespace: namespace!, service: name!, port: { name: '', number: 0 } });
}
