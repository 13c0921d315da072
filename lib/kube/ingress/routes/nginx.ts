/**
 * The router of ingress-nginx: the server and location that nginx finds, then what its Lua does before the proxy.
 *
 * Upstream: ngx_http_find_virtual_server, ngx_http_core_find_location, rootfs/etc/nginx/lua/lua_ingress.lua (rewrite). Not here:
 * `$` before a line feed at the end of a path, which PCRE's has and RE2's has not.
 * @module
 */
import { failAt } from '../../api/meta.js';
import { GoRegexp, RegexpError } from '../../coredns/go-regexp.js';
import type { Backend, Objects, Route, Router, RouteRequest, Upstream, Warn } from '../types.js';
import { byAge, claimed } from './classes.js';
import { addressesOf, serviceOf, slicesOf } from './endpoints.js';
import { nginxAnnotations } from './nginx-annotations.js';
import { DEFAULT_SERVER, type Location, locationText, nameOf, type NginxIngress, nginxServers, type Server, targetOf } from './nginx-config.js'; // prettier-ignore
import { nginxEscape, nginxHost, type NginxUri, nginxUri } from './nginx-uri.js';

export interface NginxOptions {
  /** Messages name this file where an object has no place of its own. */
  readonly file: string;
  readonly warn: Warn;
  /** Annotations that the proxy reads itself, without their prefix. */
  readonly annotations: readonly string[];
  /** --watch-ingress-without-class */
  readonly withoutClass: boolean;
}

export const NGINX_DEFAULTS: NginxOptions = { file: '', warn: () => {}, annotations: [], withoutClass: false };

/** spec.controller of its IngressClasses (--controller-class), and the old annotation's value (--ingress-class). */
const CONTROLLER = 'k8s.io/ingress-nginx';
const CLASS = 'nginx';

/** A location that nginx looks through, compiled. */
interface Compiled {
  readonly location: Location;
  readonly server: Server;
  readonly text: string;
  /** Of regular servers. */
  readonly regex: GoRegexp | null;
  /** What the rewrite directive looks for; null: no rewrite. */
  readonly rewrite: GoRegexp | null;
}

interface CompiledServer {
  readonly server: Server;
  readonly list: readonly Compiled[];
  readonly exact: ReadonlyMap<string, Compiled>;
  readonly prefixes: readonly Compiled[];
  /** app-root of the first location that has one; '' for none. */
  readonly appRoot: string;
}

const BAD: Route = { kind: 'answer', status: 400, why: 'bad-request', body: null };

/** The Ingresses of an ingress-nginx, oldest first, and the servers that it makes of them. Throws InputError. */
export function nginxModel(
  objects: Objects,
  options: Partial<NginxOptions> = {},
): { ingresses: readonly NginxIngress[]; servers: Map<string, Server> } {
  // prettier-ignore
  const o = { ...NGINX_DEFAULTS, ...options };
  const annotated = (v: string): boolean => v === CLASS || (v === '' && o.withoutClass);
  const list = claimed(objects, { controller: CONTROLLER, first: 'class', annotated });
  // Those of one second stand in the reverse order of their names (sortIngressSlice).
  const ingresses = byAge(list, (a, b) => (a > b ? -1 : 1)).map((ingress) => ({ ingress, anns: nginxAnnotations(ingress, o.file, o.annotations) })); // prettier-ignore
  return { ingresses, servers: nginxServers(ingresses, o.file, o.warn) };
}

/** The router of an ingress-nginx with its defaults. Throws InputError for objects that it cannot take exactly. */
export function nginxRouter(objects: Objects, options: Partial<NginxOptions> = {}): Router {
  return new NginxRouter(objects, options);
}

class NginxRouter implements Router {
  private readonly objects: Objects;
  private readonly ingresses: readonly NginxIngress[];
  private readonly byHost = new Map<string, CompiledServer>();
  /** Wildcard hosts by what follows `*.`. */
  private readonly wildcards = new Map<string, CompiledServer>();
  private readonly certificates = new Set<string>();
  private readonly known = new Map<string, readonly Upstream[]>();

  constructor(objects: Objects, options: Partial<NginxOptions>) {
    this.objects = objects;
    const { ingresses, servers } = nginxModel(objects, options);
    this.ingresses = ingresses;
    for (const s of servers.values()) this.add(compiled(s, options.file ?? ''));
  }

  private add(c: CompiledServer): void {
    const { host, aliases, certificate } = c.server;
    if (host.startsWith('*.')) this.wildcards.set(host.slice(2), c);
    else this.byHost.set(host, c);
    for (const a of aliases) if (!this.byHost.has(a)) this.byHost.set(a, c);
    if (certificate) this.certificates.add(host);
  }

  decide(r: RouteRequest): Route {
    const uri = nginxUri(r.target);
    if (uri === null) return BAD;
    const field = r.fields.find(([n]) => n.toLowerCase() === 'host')?.[1] ?? null;
    const given = uri.host ?? field;
    const host = given === null ? null : nginxHost(given);
    if (given !== null && host === null) return BAD;
    const server = this.serverOf(host);
    if (server.appRoot !== '' && uri.path === '/')
      return redirect(302, `${r.tls ? 'https' : 'http'}://${field ?? ''}${server.appRoot}`, 'rule');
    const found = find(server, uri.path);
    if (found === 'slash') {
      const location = `${r.tls ? 'https' : 'http'}://${host ?? DEFAULT_SERVER}${nginxEscape(`${uri.path}/`)}`;
      return redirect(301, location + (uri.args === '' ? '' : `?${uri.args}`), 'slash');
    }
    if (found === null) return { kind: 'answer', status: 404, why: 'no-route', body: null };
    if (this.toHttps(found.location, r, host ?? DEFAULT_SERVER)) return redirect(308, httpsLocation(found.location, r, field ?? host ?? DEFAULT_SERVER), 'ssl-redirect'); // prettier-ignore
    const target = found.rewrite === null ? r.target : rewritten(found, uri);
    const sent = found.rewrite === null && uri.host !== null ? originForm(r.target) : target;
    const { backend, from } = found.location;
    if (backend === null) return { kind: 'default-backend', target: sent };
    return { kind: 'forward', backends: [{ ...backend, weight: 1 }], target: sent, rule: found.text, from: nameOf(from) }; // prettier-ignore
  }

  private serverOf(host: string | null): CompiledServer {
    const none = this.byHost.get(DEFAULT_SERVER)!;
    if (host === null) return none;
    const exact = this.byHost.get(host);
    if (exact !== undefined) return exact;
    // ~^(?<subdomain>[\w-]+)\.foo\.com$
    const label = /^[\w-]+\./.exec(host);
    return (label === null ? undefined : this.wildcards.get(host.slice(label[0].length))) ?? none;
  }

  /** redirect_to_https(); a certificate is looked for by the host, then by its wildcard, whatever server answers. */
  private toHttps(l: Location, r: RouteRequest, host: string): boolean {
    if (r.tls || l.plain || l.from === null) return false;
    const { anns } = l.from;
    if (anns.forceSslRedirect) return true;
    if (!anns.sslRedirect) return false;
    return this.certificates.has(host) || this.certificates.has(host.replace(/^[^.]+\./, '*.'));
  }

  upstreams(b: Backend): readonly Upstream[] {
    const key = `${b.namespace}/${b.service}/${b.port.name || b.port.number}`;
    let found = this.known.get(key);
    if (found === undefined) this.known.set(key, (found = this.lookup(b)));
    return found;
  }

  /** createUpstreams: as the first Ingress that names the backend wants it. */
  private lookup(b: Backend): readonly Upstream[] {
    const s = serviceOf(this.objects, b);
    if (s === null || s.spec.type === 'ExternalName') return [];
    if (this.first(b)?.anns.serviceUpstream === true) {
      const port = b.port.name === '' ? b.port.number : s.spec.ports.find((p) => p.name === b.port.name)?.port;
      const { clusterIP } = s.spec;
      if (port !== undefined && clusterIP !== '' && clusterIP !== 'None') return [{ address: clusterIP, port }];
    }
    const wanted = b.port.name || String(b.port.number);
    const p = s.spec.ports.find((x) => String(x.port) === wanted || String(x.targetPort) === wanted || x.name === wanted); // prettier-ignore
    if (p === undefined) return [];
    return addressesOf(
      slicesOf(this.objects, s),
      (slice) => {
        if (slice.ports.length === 0) return typeof p.targetPort === 'number' ? [p.targetPort] : [];
        return slice.ports.filter((x) => x.protocol === 'TCP').flatMap((x) => {
          if (p.name === '' || p.name === x.name) return [x.port];
          return typeof p.targetPort === 'number' ? [p.targetPort] : [];
        }); // prettier-ignore
      },
      (c) => c.ready,
    );
  }

  private first(b: Backend): NginxIngress | undefined {
    const same = (x: { service: { name: string; port: Backend['port'] } | null } | null): boolean =>
      x?.service?.name === b.service && x.service.port.name === b.port.name && x.service.port.number === b.port.number;
    return this.ingresses.find(({ ingress: { metadata, spec } }) =>
        metadata.namespace === b.namespace &&
        (same(spec.defaultBackend) || spec.rules.some((rule) => rule.paths.some((p) => same(p.backend))))); // prettier-ignore
  }
}

const redirect = (status: number, location: string, why: 'slash' | 'ssl-redirect' | 'rule'): Route => ({ kind: 'redirect', status, location, why }); // prettier-ignore

/** `https://` and the Host field without its port, then the target; one slash at the end is cut. */
function httpsLocation(l: Location, r: RouteRequest, host: string): string {
  const keep = l.from?.anns.preserveTrailingSlash === true;
  return `https://${host.replace(/:.*$/s, '')}${keep ? r.target : r.target.replace(/\/$/, '')}`;
}

const originForm = (target: string): string => {
  const rest = target.replace(/^[A-Za-z]+:\/\/[^/?#]*/, '');
  return rest.startsWith('/') ? rest : `/${rest}`;
};

function compile(pattern: string, l: Location, file: string): GoRegexp {
  const i = l.from!.ingress;
  try {
    if (/[^\x20-\x7e]/.test(l.path)) throw new RegexpError('found a character that is not ASCII');
    return new GoRegexp(pattern);
  } catch (e) {
    if (!(e instanceof RegexpError)) throw e;
    return failAt(file, i, 'spec.rules', `path ${JSON.stringify(l.path)} is no regular expression that podwire knows: ${e.message}`);
  } // prettier-ignore
}

function compiled(server: Server, file: string): CompiledServer {
  const list = server.locations.map((location): Compiled => {
    const target = targetOf(location);
    const text = locationText(location, server);
    return {
      location,
      server,
      text,
      regex: server.regex && location.from !== null ? compile(`(?i)^${location.path}`, location, file) : null,
      rewrite: target === '' || target === location.path ? null : compile(`(?i)${location.path}`, location, file),
    };
  });
  const roots = list.filter((c) => !c.location.plain && c.location.from !== null).map((c) => c.location.from!.anns.appRoot); // prettier-ignore
  return {
    server,
    list,
    exact: new Map(list.filter((c) => c.location.exact).map((c) => [c.location.path, c])),
    prefixes: list.filter((c) => !c.location.exact),
    appRoot: roots.find((a) => a !== '') ?? '',
  };
}

/** ngx_http_core_find_location; `slash`: the path lacks only the last slash of a location (auto_redirect). */
function find(s: CompiledServer, path: string): Compiled | 'slash' | null {
  if (s.server.regex) return s.list.find((c) => c.regex === null || c.regex.match(path) !== null) ?? null;
  const exact = s.exact.get(path);
  if (exact !== undefined) return exact;
  const slashed = `${path}/`;
  if (s.exact.has(slashed) || s.prefixes.some((c) => c.location.path === slashed)) return 'slash';
  return s.prefixes.find((c) => path.startsWith(c.location.path)) ?? null;
}

/** `rewrite "(?i)path" target break`: the path is written anew, and escaped; the arguments stay. */
function rewritten(c: Compiled, uri: NginxUri): string {
  const groups = c.rewrite!.match(uri.path);
  const path = groups === null ? uri.path : targetOf(c.location).replace(/\$([1-9])/g, (_, n: string) => groups[Number(n)] ?? ''); // prettier-ignore
  return nginxEscape(path) + (uri.args === '' ? '' : `?${uri.args}`);
}
