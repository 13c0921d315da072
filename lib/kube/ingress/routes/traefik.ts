/**
 * The router of Traefik's Ingress provider: rules as text, the longest first, whatever their hosts.
 *
 * Upstream: pkg/provider/kubernetes/ingress/kubernetes.go, pkg/muxer/http, pkg/server/server_entrypoint_tcp.go. Not here: middlewares,
 * TLS options, the v2 syntax (their annotations are refused). Routers of equal priority stand in the order of a Go map there, that
 * is in a random one; here in the order of the objects.
 * @module
 */
import { quote } from '../../api/at.js';
import { failAt } from '../../api/meta.js';
import type { Ingress, IngressBackend, Service, ServicePort } from '../../api/types.js';
import { GoRegexp, RegexpError } from '../../coredns/go-regexp.js';
import type { Backend, Objects, Route, Router, RouteRequest, Upstream, Warn } from '../types.js';
import { claimed } from './classes.js';
import { addressesOf, serviceOf, slicesOf } from './endpoints.js';
import { goUrl, joinPath, normalizePath, requestUri, routingPath } from './go-url.js';

export interface TraefikOptions {
  readonly file: string;
  readonly warn: Warn;
  /** Annotations that the proxy reads itself, without `traefik.ingress.kubernetes.io/`, in lower case. */
  readonly annotations: readonly string[];
  /** providers.kubernetesIngress.ingressClass, '' for none: then every class is taken, and Ingresses without one. */
  readonly ingressClass: string;
  readonly strictPrefixMatching: boolean;
  readonly allowEmptyServices: boolean;
  /** entryPoints.web.http.encodedCharacters and sanitizePath stay at their defaults. The entry point of 443 has http.tls. */
  readonly tlsEntryPoint: boolean;
}

/** Of the program without flags, but for the entry points, which are the Helm chart's: web (80) and websecure (443, with TLS). */
export const TRAEFIK_DEFAULTS: TraefikOptions = {
  file: '',
  warn: () => {},
  annotations: [],
  ingressClass: '',
  strictPrefixMatching: false,
  allowEmptyServices: false,
  tlsEntryPoint: true,
};

const PREFIX = 'traefik.ingress.kubernetes.io/';
const DEFAULT_CLASS = 'traefik';
/** math.MinInt32: the router of an Ingress that has only a default backend. */
const LAST = -(2 ** 31);

type Matcher = 'Path' | 'PathPrefix' | 'PathRegexp';
const MATCHERS: readonly string[] = ['Path', 'PathPrefix', 'PathRegexp'];

interface RouterConfig {
  readonly priority: number;
  /** Names of entry points; empty: all. */
  readonly entryPoints: readonly string[];
  readonly pathMatcher: Matcher;
  /** Routers with TLS serve TLS only. */
  readonly tls: boolean;
}

interface Rule {
  readonly text: string;
  readonly priority: number;
  readonly config: RouterConfig;
  readonly backend: Backend;
  readonly from: string;
  matches(host: string, path: string): boolean;
}

const ROUTER = ['router.entrypoints', 'router.priority', 'router.pathmatcher', 'router.tls'];
const SERVICE = ['service.nativelb', 'service.serversscheme'];

/** Annotations with the prefix, names in lower case; others than `known` are refused. */
function read(o: Ingress | Service, file: string, known: readonly string[]): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, value] of Object.entries(o.metadata.annotations)) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length).toLowerCase();
    if (!known.includes(name)) failAt(file, o, 'metadata.annotations', `${key}: this annotation is not supported yet`);
    out.set(name, value);
  }
  return out;
}

function flag(o: Ingress | Service, file: string, name: string, value: string | undefined): boolean {
  if (value === undefined || /^(0|f|false)$/i.test(value)) return false;
  if (/^(1|t|true)$/i.test(value)) return true;
  return failAt(file, o, 'metadata.annotations', `${PREFIX}${name}: found ${quote(value)}, expected true or false`);
}

function routerConfig(i: Ingress, o: TraefikOptions): RouterConfig {
  const a = read(i, o.file, [...ROUTER, ...o.annotations]);
  const bad = (name: string, expected: string): never =>
    failAt(o.file, i, 'metadata.annotations', `${PREFIX}${name}: found ${quote(a.get(name)!)}, expected ${expected}`);
  const priority = a.get('router.priority') ?? '0';
  if (!/^-?\d{1,15}$/.test(priority)) bad('router.priority', 'a number of at most 15 digits');
  const matcher = a.get('router.pathmatcher') ?? 'PathPrefix';
  if (!MATCHERS.includes(matcher)) bad('router.pathmatcher', MATCHERS.join(', '));
  const entryPoints = (a.get('router.entrypoints') ?? '').split(',').map((e) => e.trim()).filter((e) => e !== ''); // prettier-ignore
  for (const e of entryPoints) if (e !== 'web' && e !== 'websecure') bad('router.entrypoints', 'web or websecure');
  return {
    priority: Number(priority),
    entryPoints,
    pathMatcher: matcher as Matcher,
    tls: flag(i, o.file, 'router.tls', a.get('router.tls')),
  };
}

/** Go's %q of a text without control characters. */
const goQuote = (s: string): string => `"${s.replace(/[\\"]/g, '\\$&')}"`;
const bytes = (s: string): number => new TextEncoder().encode(s).length;

/** DomainMatchHostExpression, without and with the last dot of either. */
function hostMatches(host: string, expression: string): boolean {
  const one = (h: string, e: string): boolean => (e.startsWith('*') ? h.replace(/^[^.]*/, '*') === e : h === e);
  if (host === '') return false;
  return one(host, expression) || (host.endsWith('.') && one(host.slice(0, -1), expression));
}

/** RequestDecorator: the Host field without its port, in lower case. */
const canonicalHost = (host: string): string => {
  const name = /^\[[^\]]*\](?=:\d*$|$)/.exec(host)?.[0];
  if (name !== undefined) return name.slice(1, -1).toLowerCase();
  return (host.split(':').length === 2 ? host.replace(/:[^:]*$/, '') : host).trim().toLowerCase();
};

const BAD: Route = { kind: 'answer', status: 400, why: 'bad-request', body: null };
const NONE: Route = { kind: 'answer', status: 404, why: 'no-route', body: null };

/** The router of a Traefik. Throws InputError for objects that it cannot take exactly. */
export function traefikRouter(objects: Objects, options: Partial<TraefikOptions> = {}): Router {
  return new TraefikRouter(objects, { ...TRAEFIK_DEFAULTS, ...options });
}

class TraefikRouter implements Router {
  private readonly objects: Objects;
  private readonly o: TraefikOptions;
  private readonly rules: Rule[] = [];
  private readonly services = new Map<string, readonly Upstream[] | null>();
  private fallback = false;

  constructor(objects: Objects, o: TraefikOptions) {
    this.objects = objects;
    this.o = o;
    const annotated = (v: string): boolean => v === o.ingressClass || (o.ingressClass === '' && v === DEFAULT_CLASS);
    const classes = objects.filter((x) => x.kind !== 'IngressClass' || o.ingressClass === '' || x.metadata.name === o.ingressClass); // prettier-ignore
    for (const i of claimed(classes, { controller: null, first: 'class', annotated })) this.addIngress(i);
    this.rules.sort((a, b) => b.priority - a.priority);
  }

  private addIngress(i: Ingress): void {
    const config = routerConfig(i, this.o);
    const { rules, defaultBackend } = i.spec;
    if (rules.length === 0 && defaultBackend !== null) this.addDefault(i, config, defaultBackend);
    for (const rule of rules)
      for (const p of rule.paths) {
        const backend = this.served(i, p.backend);
        if (backend === null) continue;
        const kind: Matcher = p.pathType === 'Exact' ? 'Path' : p.pathType === 'Prefix' ? 'PathPrefix' : config.pathMatcher; // prettier-ignore
        this.add(i, config, backend, rule.host, kind, p.path);
      }
    if (rules.length > 0 && defaultBackend !== null) this.o.warn(`Ingress ${nameOf(i)}: Traefik ignores the defaultBackend of an Ingress that has rules`); // prettier-ignore
  }

  private addDefault(i: Ingress, config: RouterConfig, b: IngressBackend): void {
    if (this.fallback) return this.o.warn(`Ingress ${nameOf(i)}: The default backend already exists.`);
    const backend = this.served(i, b);
    if (backend === null) return;
    this.fallback = true;
    const text = 'PathPrefix("/")';
    this.rules.push({ text, priority: LAST, config, backend, from: nameOf(i), matches: (_, path) => path.startsWith('/') }); // prettier-ignore
  }

  /** A rule's backend; null where Traefik leaves the path out: no such Service or port, or no endpoint. */
  private served(i: Ingress, b: IngressBackend): Backend | null {
    if (b.service === null) return null;
    const backend: Backend = { namespace: i.metadata.namespace, service: b.service.name, port: b.service.port };
    const all = this.servers(backend);
    if (all !== null && (all.length > 0 || this.o.allowEmptyServices)) return backend;
    this.o.warn(`Ingress ${nameOf(i)}: ${all === null ? 'Cannot create service' : 'Skipping service: no endpoints found'}: ${backend.service}`); // prettier-ignore
    return null;
  }

  private add(i: Ingress, config: RouterConfig, backend: Backend, host: string, kind: Matcher, path: string): void {
    const parts: string[] = host === '' ? [] : [`Host(${goQuote(host)})`];
    const tests: ((host: string, path: string) => boolean)[] = host === '' ? [] : [(h) => hostMatches(h, host)];
    if (path !== '') {
      const { text, matches } = this.pathRule(i, kind, path);
      parts.push(text);
      tests.push((_, p) => matches(p));
    }
    // A rule without text parses to nothing: the router is in error and answers no one.
    if (parts.length === 0) return this.o.warn(`Ingress ${nameOf(i)}: a rule with neither host nor path is left out`);
    const text = parts.join(' && ');
    const priority = config.priority === 0 ? bytes(text) : config.priority;
    if (this.rules.some((r) => r.text === text && r.priority === priority))
      this.o.warn(`Ingress ${nameOf(i)}: ${text} is the rule of another path, too; Traefik takes either`);
    this.rules.push({ text, priority, config, backend, from: nameOf(i), matches: (h, p) => tests.every((t) => t(h, p)) }); // prettier-ignore
  }

  private pathRule(i: Ingress, kind: Matcher, path: string): { text: string; matches: (path: string) => boolean } {
    if (kind === 'PathRegexp') {
      const regex = compile(i, this.o.file, path);
      return { text: `PathRegexp(${goQuote(path)})`, matches: (p) => regex.match(p) !== null };
    }
    if (kind === 'Path') return { text: `Path(${goQuote(path)})`, matches: (p) => p === path };
    if (!this.o.strictPrefixMatching || path === '/')
      return { text: `PathPrefix(${goQuote(path)})`, matches: (p) => p.startsWith(path) };
    const stem = path.replace(/\/$/, '');
    return {
      text: `(Path(${goQuote(stem)}) || PathPrefix(${goQuote(`${stem}/`)}))`,
      matches: (p) => p === stem || p.startsWith(`${stem}/`),
    };
  }

  decide(r: RouteRequest): Route {
    const parsed = goUrl(r.target);
    if (parsed === null || parsed.rawPath.includes('#')) return BAD;
    const url = joinPath(normalizePath(parsed));
    const host = canonicalHost(parsed.host ?? r.fields.find(([n]) => n.toLowerCase() === 'host')?.[1] ?? '');
    const path = routingPath(url);
    const entryPoint = r.tls ? 'websecure' : 'web';
    const rule = this.rules.find(
      ({ config, matches }) =>
        (r.tls ? config.tls || this.o.tlsEntryPoint : !config.tls) && serves(config, entryPoint) && matches(host, path),
    );
    if (rule === undefined) return NONE;
    const sent = { ...url, rawQuery: url.rawQuery.replaceAll(';', '&') };
    return { kind: 'forward', backends: [{ ...rule.backend, weight: 1 }], target: requestUri(sent), rule: rule.text, from: rule.from }; // prettier-ignore
  }

  upstreams(b: Backend): readonly Upstream[] {
    const s = serviceOf(this.objects, b);
    const p = s === null ? null : portOf(s, b);
    return s === null || p === null ? [] : this.addresses(s, p, (c) => c.serving && !c.terminating);
  }

  /** The servers of a backend, those on their way out among them; null: no such Service or port. */
  private servers(b: Backend): readonly Upstream[] | null {
    const key = `${b.namespace}/${b.service}/${b.port.name || b.port.number}`;
    const known = this.services.get(key);
    if (known !== undefined) return known;
    const s = serviceOf(this.objects, b);
    const p = s === null || s.spec.type === 'ExternalName' ? null : portOf(s, b);
    const found = s === null || p === null ? null : this.addresses(s, p, (c) => c.serving);
    this.services.set(key, found);
    return found;
  }

  private addresses(
    s: Service,
    p: ServicePort,
    takes: (c: { serving: boolean; terminating: boolean }) => boolean,
  ): Upstream[] {
    // prettier-ignore
    const a = read(s, this.o.file, [...SERVICE, ...this.o.annotations]);
    const scheme = a.get('service.serversscheme') ?? (p.port === 443 || p.name.startsWith('https') ? 'https' : 'http');
    if (scheme !== 'http') failAt(this.o.file, s, 'spec.ports', `Traefik speaks ${scheme} to this port, which is not supported yet`); // prettier-ignore
    if (flag(s, this.o.file, 'service.nativelb', a.get('service.nativelb')))
      return s.spec.clusterIP === 'None' ? [] : [{ address: s.spec.clusterIP, port: p.port }];
    const seen = new Set<string>();
    const all = addressesOf(
      slicesOf(this.objects, s),
      (slice) => slice.ports.filter((x) => x.name === p.name).slice(0, 1).map((x) => x.port).filter((x) => x !== 0), // prettier-ignore
      takes,
    );
    return all.filter(({ address }) => !seen.has(address) && seen.add(address));
  }
}

const serves = (c: RouterConfig, entryPoint: string): boolean =>
  c.entryPoints.length === 0 || c.entryPoints.includes(entryPoint);
const nameOf = (i: Ingress): string => `${i.metadata.namespace}/${i.metadata.name}`;

/** loadService: the Service's port that a backend means. */
const portOf = (s: Service, b: Backend): ServicePort | null =>
  s.spec.ports.find((p) => b.port.number === p.port || (b.port.name === p.name && p.name !== '')) ?? null;

function compile(i: Ingress, file: string, path: string): GoRegexp {
  try {
    return new GoRegexp(path);
  } catch (e) {
    if (!(e instanceof RegexpError)) throw e;
    return failAt(file, i, 'spec.rules', `PathRegexp(${goQuote(path)}): ${e.message}`);
  }
}
