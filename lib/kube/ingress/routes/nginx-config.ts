/**
 * The servers and locations that ingress-nginx makes of Ingresses.
 *
 *   Ingresses, oldest first ─▶ a server per host, `/` to the default backend ─▶ its paths ─▶ sorted ─▶ updateServerLocations
 *
 * Upstream: internal/ingress/controller/controller.go (createServers, getBackendServers), location.go, template.go (buildLocation).
 * Not here: canaries (their annotations are refused), custom default backends, TLS pass-through.
 * @module
 */
import { failAt } from '../../api/meta.js';
import type { Ingress, IngressBackend } from '../../api/types.js';
import type { Backend, Warn } from '../types.js';
import type { NginxAnnotations } from './nginx-annotations.js';

/** The name of the server for every other host. */
export const DEFAULT_SERVER = '_';

export interface NginxIngress {
  readonly ingress: Ingress;
  readonly anns: NginxAnnotations;
}

export interface Location {
  /** As the location block will have it. */
  path: string;
  exact: boolean;
  /** Null: the controller's default backend. */
  backend: Backend | null;
  /** `/` of a host that no rule has claimed yet. */
  fallback: boolean;
  /** Null: the default server's own. */
  from: NginxIngress | null;
  /** Redirects and rewrites do not apply: the catch-all that an Ingress without rules configures. */
  plain: boolean;
}

export interface Server {
  readonly host: string;
  aliases: readonly string[];
  /** It has a certificate, be it the default one. */
  certificate: boolean;
  locations: Location[];
  /** Every location is a regular expression. */
  regex: boolean;
}

/** The rewrite-target in force at a location; '' for none. */
export const targetOf = (l: Location): string => (l.plain ? '' : (l.from?.anns.rewriteTarget ?? ''));
const needsRewrite = (l: Location): boolean => targetOf(l) !== '' && targetOf(l) !== l.path;
const usesRegex = (l: Location): boolean => !l.plain && (l.from?.anns.useRegex ?? false);

/** A rule's backend; null: a resource, which the controller passes over. */
export const backendOf = (i: Ingress, b: IngressBackend): Backend | null =>
  b.service === null ? null : { namespace: i.metadata.namespace, service: b.service.name, port: b.service.port };

const hostOf = (host: string): string => (host === '' ? DEFAULT_SERVER : host);

/** inspector.ValidatePathType: the admission webhook's check. */
const STRICT = /^\/[A-Za-z0-9._\-/]*$/;

function validate(i: Ingress, file: string): void {
  for (const [r, rule] of i.spec.rules.entries())
    for (const [p, { path, pathType }] of rule.paths.entries())
      if (path !== '' && pathType !== 'ImplementationSpecific' && !STRICT.test(path))
        failAt(file, i, `spec.rules[${r}].http.paths[${p}].path`, `admission webhook "validate.nginx.ingress.kubernetes.io" denied the request: ingress contains invalid paths: path ${path} cannot be used with pathType ${pathType}`); // prettier-ignore
}

function createServers(list: readonly NginxIngress[]): Map<string, Server> {
  const servers = new Map<string, Server>();
  const root = (backend: Backend | null, from: NginxIngress | null): Location => ({ path: '/', exact: false, backend, fallback: true, from, plain: from === null }); // prettier-ignore
  const server = (host: string, location: Location): Server => ({ host, aliases: [], certificate: host === DEFAULT_SERVER, locations: [location], regex: false }); // prettier-ignore
  const catchAll = server(DEFAULT_SERVER, root(null, null));
  servers.set(DEFAULT_SERVER, catchAll);
  for (const one of list) {
    const { spec } = one.ingress;
    const own = spec.defaultBackend === null ? null : backendOf(one.ingress, spec.defaultBackend);
    const first = catchAll.locations[0]!;
    if (own !== null && first.fallback && spec.rules.length === 0)
      Object.assign(first, { fallback: false, backend: own, from: one });
    for (const { host } of spec.rules) {
      const name = hostOf(host);
      if (!servers.has(name)) servers.set(name, server(name, root(own, one)));
    }
  }
  return servers;
}

/** Aliases and certificates: of the first Ingress of a host that has them. */
function secure(list: readonly NginxIngress[], servers: ReadonlyMap<string, Server>): void {
  for (const { ingress, anns } of list)
    for (const { host } of ingress.spec.rules) {
      const s = servers.get(hostOf(host))!;
      if (s.aliases.length === 0) s.aliases = anns.aliases;
      if (ingress.spec.tls.length > 0) s.certificate = true;
    }
  for (const s of servers.values()) s.aliases = s.aliases.filter((a) => a !== s.host && !servers.has(a));
}

/** One path of a rule: a new location, or the fallback's own, or nothing where an older Ingress has it. */
function addPath(s: Server, made: Location, warn: Warn): void {
  for (const l of s.locations) {
    if (l.path !== made.path) continue;
    if (l.exact !== made.exact) break;
    if (l.fallback) Object.assign(l, made);
    else if (l.from !== made.from)
      warn(`Ingress ${nameOf(made.from)}: host "${s.host}" and path "${made.path}" is already defined in ingress ${nameOf(l.from)}, which is older`); // prettier-ignore
    return;
  }
  s.locations.push(made);
}

/** `namespace/name` of what a location comes from. */
export const nameOf = (from: NginxIngress | null): string =>
  from === null ? DEFAULT_SERVER : `${from.ingress.metadata.namespace}/${from.ingress.metadata.name}`;

function addPaths(list: readonly NginxIngress[], servers: ReadonlyMap<string, Server>, warn: Warn): void {
  for (const from of list)
    for (const rule of from.ingress.spec.rules) {
      const s = servers.get(hostOf(rule.host))!;
      for (const p of rule.paths) {
        const backend = backendOf(from.ingress, p.backend);
        if (backend === null) continue;
        const path = p.path === '' ? '/' : p.path;
        addPath(s, { path, exact: p.pathType === 'Exact', backend, fallback: false, from, plain: false }, warn);
      }
    }
}

/** updateServerLocations: a prefix becomes `path/` and, where no Exact has the same text, `= path`. */
function updated(locations: readonly Location[]): Location[] {
  const exact = new Set(locations.filter((l) => l.exact).map((l) => l.path));
  return locations.flatMap((l) => {
    if (l.path === '/' || l.exact || needsRewrite(l) || usesRegex(l)) return [l];
    const prefix = { ...l, path: l.path.endsWith('/') ? l.path : `${l.path}/` };
    return exact.has(l.path) ? [prefix] : [prefix, { ...l, exact: true }];
  });
}

/** Longest first; among equals the greater text first. */
const bySize = (a: Location, b: Location): number =>
  b.path.length - a.path.length || (a.path > b.path ? -1 : a.path < b.path ? 1 : 0);

/** A location block's own text: `= "/a"`, `"/a/"` or `~* "^/a"`. */
export function locationText(l: Location, s: Server): string {
  const quoted = `"${s.regex ? '^' : ''}${l.path.replace(/[\\"]/g, '\\$&')}"`;
  return s.regex ? `~* ${quoted}` : l.exact ? `= ${quoted}` : quoted;
}

function unique(s: Server, file: string): void {
  if (s.regex) return;
  const seen = new Set<string>();
  for (const l of s.locations) {
    const text = locationText(l, s);
    if (seen.has(text)) failAt(file, l.from!.ingress, 'spec.rules', `nginx: [emerg] duplicate location "${l.path}" of host ${s.host}: nginx would refuse the whole configuration`); // prettier-ignore
    seen.add(text);
  }
}

/**
 * The servers by host name, `_` among them. `list`: the controller's Ingresses, oldest first. Throws InputError for what the
 * admission webhook or nginx itself would refuse.
 */
export function nginxServers(list: readonly NginxIngress[], file: string, warn: Warn): Map<string, Server> {
  for (const { ingress } of list) validate(ingress, file);
  const servers = createServers(list);
  secure(list, servers);
  addPaths(list, servers, warn);
  for (const s of servers.values()) {
    s.locations = updated(s.locations.sort(bySize));
    s.regex = s.locations.some((l) => needsRewrite(l) || usesRegex(l));
    unique(s, file);
  }
  return servers;
}
