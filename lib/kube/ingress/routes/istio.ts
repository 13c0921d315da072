/**
 * The router of an Istio gateway: Envoy's choice of a virtual host and a route, and what the route does.
 *
 * Upstream: envoy source/common/router/config_impl.cc. A destination that is no Service, or no port of it, is a cluster that does not
 * exist: 503 without a body.
 * @module
 */
import type { HeaderOperations, HttpDestination, HttpMatch, NamedMatch, StringMatch } from '../../api/istio-types.js';
import { GoRegexp } from '../../coredns/go-regexp.js';
import type { Backend, HeaderChanges, IstioRoute, Objects, Route, Router, RouteRequest, Upstream, WeightedBackend } from '../types.js'; // prettier-ignore
import { addressesOf, serviceOf, slicesOf } from './endpoints.js';
import { envoyPath } from './envoy-path.js';
import { destinationService, type EnvoyRoute, istioListeners, type IstioOptions, type Listener, type VirtualHost } from './istio-config.js'; // prettier-ignore

export const ISTIO_DEFAULTS: IstioOptions = {
  file: '',
  warn: () => {},
  namespace: 'istio-system',
  labels: { app: 'istio-ingressgateway', istio: 'ingressgateway' },
};

/** What a retry is made for unless the VirtualService says otherwise. */
const RETRY_ON = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'];

export interface IstioRouter extends Router {
  readonly listeners: readonly Listener[];
}

/** The router of one gateway. Throws InputError for objects that it cannot take exactly. */
export function istioRouter(objects: Objects, options: Partial<IstioOptions> = {}): IstioRouter {
  return new Istio(objects, { ...ISTIO_DEFAULTS, ...options });
}

/** A request as routes see it. */
interface Seen {
  readonly r: RouteRequest;
  /** The Host field as it came. */
  readonly authority: string;
  readonly path: string;
  /** With its `?`, or ''. */
  readonly query: string;
  readonly scheme: 'http' | 'https';
}

const answer = (status: number, why: 'no-route' | 'bad-request' | 'no-service'): Route => ({ kind: 'answer', status, why, body: null }); // prettier-ignore

class Istio implements IstioRouter {
  readonly listeners: readonly Listener[];
  private readonly objects: Objects;
  private readonly regexes = new Map<string, GoRegexp>();

  constructor(objects: Objects, o: IstioOptions) {
    this.objects = objects;
    this.listeners = istioListeners(objects, o);
  }

  decide(r: RouteRequest): Route {
    const at = envoyPath(r.target);
    const absolute = /^[A-Za-z]+:\/\/([^/?#]*)/.exec(r.target)?.[1];
    const authority = absolute ?? r.fields.find(([n]) => n.toLowerCase() === 'host')?.[1] ?? '';
    if (at === null || authority === '') return answer(400, 'bad-request');
    const listener = this.listenerOf(r);
    const host = listener === null ? null : virtualHost(listener, authority.replace(/:\d*$/, '').toLowerCase());
    if (host === null) return answer(404, 'no-route');
    const seen: Seen = { r, authority, ...at, scheme: r.tls ? 'https' : 'http' };
    if (host.requireTls && !r.tls)
      return { kind: 'redirect', status: 301, location: `https://${authority}${at.path}${at.query}`, why: 'ssl-redirect' }; // prettier-ignore
    const route = host.routes.find((x) => this.matches(x, seen));
    return route === undefined ? answer(404, 'no-route') : this.perform(route, seen);
  }

  /** By the port, and with TLS by the server name: exact, the longest wildcard, `*`. */
  private listenerOf(r: RouteRequest): Listener | null {
    const all = this.listeners.filter((l) => l.port === r.port && l.tls === r.tls);
    if (!r.tls) return all[0] ?? null;
    const name = r.sni?.toLowerCase() ?? '';
    const fits = (h: string): boolean => (h.startsWith('*') ? h === '*' || name.endsWith(h.slice(1)) : h === name);
    const weight = (h: string): number => (h.startsWith('*') ? h.length : 1000);
    const found = all.flatMap((l) => l.hosts.filter(fits).map((h) => ({ l, weight: weight(h) })));
    return found.sort((a, b) => b.weight - a.weight)[0]?.l ?? null;
  }

  private matches({ match: m, separated }: EnvoyRoute, q: Seen): boolean {
    if (m === null) return true;
    const field = (name: string): string | null => {
      const values = q.r.fields.filter(([n]) => n.toLowerCase() === name.toLowerCase()).map(([, v]) => v);
      return values.length === 0 ? null : values.join(',');
    };
    const params = new Map(q.query.slice(1).split('&').map((p) => [p.replace(/=.*$/s, ''), p.includes('=') ? p.slice(p.indexOf('=') + 1) : '']).reverse() as [string, string][]); // prettier-ignore
    return (
      this.uri(m, separated, q.path) &&
      this.is(m.method, q.r.method) &&
      this.is(m.authority, q.authority) &&
      this.is(m.scheme, q.scheme) &&
      m.headers.every((h) => this.has(h, field(h[0]))) &&
      m.withoutHeaders.every((h) => !this.has(h, h[1] === null ? field(h[0]) : (field(h[0]) ?? ''))) &&
      m.queryParams.every((p) => this.has(p, params.get(p[0]) ?? null))
    );
  }

  private uri(m: HttpMatch, separated: boolean, path: string): boolean {
    if (m.uri === null) return true;
    if (m.uri.kind === 'regex') return this.is(m.uri, path);
    const fold = (v: string): string => (m.ignoreUriCase ? v.toLowerCase() : v);
    const [p, v] = [fold(path), fold(m.uri.value)];
    if (m.uri.kind === 'exact') return p === v;
    if (!separated || v === '/') return p.startsWith(v);
    const stem = v.replace(/\/$/, '');
    return p === stem || p.startsWith(`${stem}/`);
  }

  private has([, match]: NamedMatch, value: string | null): boolean {
    return value !== null && (match === null || this.is(match, value));
  }

  /** A regular expression matches the whole text. */
  private is(m: StringMatch | null, value: string): boolean {
    if (m === null) return true;
    if (m.kind !== 'regex') return m.kind === 'exact' ? value === m.value : value.startsWith(m.value);
    let regex = this.regexes.get(m.value);
    if (regex === undefined) this.regexes.set(m.value, (regex = new GoRegexp(`^(?:${m.value})$`)));
    return regex.match(value) !== null;
  }

  private perform(e: EnvoyRoute, q: Seen): Route {
    const { http, vs } = e;
    if (http.redirect !== null) return redirected(e, q);
    if (http.directResponse !== null) {
      const { status, body } = http.directResponse;
      return { kind: 'answer', status, why: 'rule', body: { type: 'text/plain', text: body } };
    }
    const several = http.route.length > 1;
    const used = several ? http.route.filter((d) => d.weight > 0) : http.route;
    const backends = used.map((d) => this.backend(d, e, q.r.port, several));
    if (backends.length === 1 && backends[0] === null) return answer(503, 'no-service');
    const target = q.path + q.query;
    const uri = http.rewrite?.uri ?? '';
    return {
      kind: 'forward',
      backends: backends.map((b, i) => b ?? { namespace: '', service: used[i]!.host, port: { name: '', number: 0 }, weight: used[i]!.weight }), // prettier-ignore
      target: uri === '' ? target : rewritten(e, q, uri),
      rule: this.operation(e, q.r.port, backends),
      from: `${vs.metadata.namespace}/${vs.metadata.name}`,
      istio: routeOf(e, uri === '' ? null : target, several),
    };
  }

  /** A destination's Service and port; null: there is no such cluster. */
  private backend(d: HttpDestination, e: EnvoyRoute, listenPort: number, several: boolean): WeightedBackend | null {
    const s = destinationService(d, e.vs, this.objects);
    if (s === null || s.spec.type === 'ExternalName') return null;
    const number = d.port !== 0 ? d.port : s.spec.ports.length === 1 ? s.spec.ports[0]!.port : listenPort;
    if (!s.spec.ports.some((p) => p.port === number)) return null;
    const { name, namespace } = s.metadata;
    const headers = several ? { headers: changes(d) } : {};
    return { namespace, service: name, port: { name: '', number }, weight: d.weight, ...headers };
  }

  /** GetRouteOperation: `host:port` and the path, of the cluster where there is one. */
  private operation(e: EnvoyRoute, port: number, backends: readonly (WeightedBackend | null)[]): string {
    const uri = e.match?.uri ?? null;
    const separated = e.separated && uri?.kind === 'prefix' && uri.value !== '/';
    const path = uri === null || separated ? '/*' : uri.kind === 'prefix' ? `${uri.value}*` : uri.value;
    const [b] = backends;
    if (backends.length > 1 || b === null || b === undefined) return `${e.vs.metadata.name}:${port}${path}`;
    return `${b.service}.${b.namespace}.svc.cluster.local:${b.port.number}${path}`;
  }

  upstreams(b: Backend): readonly Upstream[] {
    const s = serviceOf(this.objects, b);
    const p = s?.spec.ports.find((x) => x.port === b.port.number);
    if (s === null || p === undefined) return [];
    const ports = (slice: { ports: { name: string; port: number }[] }): number[] =>
      slice.ports.filter((x) => x.name === p.name).map((x) => x.port);
    return addressesOf(slicesOf(this.objects, s), ports, (c) => c.ready);
  }
}

/** The domain of a host: exact, the longest `*.suffix`, `*`. */
function virtualHost(l: Listener, host: string): VirtualHost | null {
  const exact = l.virtualHosts.get(host);
  if (exact !== undefined) return exact;
  for (let dot = host.indexOf('.', 1); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    const wild = l.virtualHosts.get(`*${host.slice(dot)}`);
    if (wild !== undefined) return wild;
  }
  return l.virtualHosts.get('*') ?? null;
}

const edit = (o: HeaderOperations): HeaderChanges['request'] => ({ set: o.set, add: o.add, remove: o.remove });
const changes = (x: { request: HeaderOperations; response: HeaderOperations }): HeaderChanges => ({ request: edit(x.request), response: edit(x.response) }); // prettier-ignore

/** The changes of a single destination are the route's own. */
function routeOf({ http }: EnvoyRoute, originalPath: string | null, several: boolean): IstioRoute {
  const own = several ? [] : http.route;
  const join = (key: 'request' | 'response'): HeaderOperations => {
    const all = [http[key], ...own.map((d) => d[key])];
    return { set: all.flatMap((x) => x.set), add: all.flatMap((x) => x.add), remove: all.flatMap((x) => x.remove) };
  };
  const r = http.retries;
  const on = r === null || r.retryOn === '' ? RETRY_ON : r.retryOn.split(',').map((x) => x.trim());
  return {
    authority: http.rewrite !== null && http.rewrite.authority !== '' ? http.rewrite.authority : null,
    originalPath,
    headers: { request: join('request'), response: join('response') },
    timeoutNs: http.timeoutNs,
    retries: { attempts: r === null ? 2 : r.attempts, retryOn: on },
  };
}

/** prefix_rewrite: what the match covers is replaced; an exact path or a regular expression covers the whole path. */
function rewritten({ match, separated }: EnvoyRoute, q: Seen, uri: string): string {
  const m = match?.uri ?? { kind: 'prefix', value: '/' };
  const prefix = separated && m.value !== '/' ? m.value.replace(/\/$/, '') : m.value;
  return uri + q.path.slice(m.kind === 'prefix' ? prefix.length : q.path.length) + q.query;
}

/** RouteEntryImplBase::newUri */
function redirected({ http }: EnvoyRoute, q: Seen): Route {
  const r = http.redirect!;
  const scheme = r.scheme === '' ? q.scheme : r.scheme;
  let port = r.derivePort === 'FROM_REQUEST_PORT' ? q.r.port : r.port;
  if ((port === 80 && scheme === 'http') || (port === 443 && scheme === 'https')) port = 0;
  const host = r.authority !== '' ? r.authority : requestHost(q, scheme, port);
  const path = r.uri === '' ? q.path + q.query : r.uri.includes('?') ? r.uri : r.uri + q.query;
  return { kind: 'redirect', status: r.code, location: `${scheme}://${host}${port === 0 ? '' : `:${port}`}${path}`, why: 'rule' }; // prettier-ignore
}

/** processRequestHost: the port goes where there is a new one, or where it was the old scheme's own. */
function requestHost(q: Seen, scheme: string, port: number): string {
  const cut = /^(.*):(\d*)$/s.exec(q.authority);
  if (cut === null) return q.authority;
  const own = q.scheme === 'https' ? '443' : '80';
  return port !== 0 || (scheme !== q.scheme && cut[2] === own) ? cut[1]! : q.authority;
}
