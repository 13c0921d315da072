/**
 * The router of an AWS Application Load Balancer, as the AWS Load Balancer Controller configures one for a group of Ingresses.
 *
 * Rules are tried in the order in which they were built, host before host; the last word has the listener's default action.
 * Upstream: pkg/ingress/group_loader.go, model_builder.go, model_build_listener.go; what the load balancer compares: the Elastic Load
 * Balancing user guide. Not here: IngressClassParams.
 * @module
 */
import { failAt, placeOf } from '../../api/meta.js';
import type { Ingress } from '../../api/types.js';
import { contains } from '../../networks.js';
import type { Backend, Objects, Route, Router, RouteRequest, Upstream } from '../types.js';
import { type AlbProtocol, annotation, check, integer, listenPorts, refuse } from './alb-annotations.js';
import { type Action, actionOf, type Condition, listenerRules, type Member, nameOf, NOT_FOUND, type Rule } from './alb-rules.js'; // prettier-ignore
import { claimed } from './classes.js';
import { addressesOf, serviceOf, slicesOf } from './endpoints.js';

export interface AlbOptions {
  readonly file: string;
  /** Annotations that the proxy reads itself, without their prefix. */
  readonly annotations: readonly string[];
  /** group.name, or namespace/name of an Ingress without one; '' where there is only one group. */
  readonly group: string;
}

export const ALB_DEFAULTS: AlbOptions = { file: '', annotations: [], group: '' };

const CONTROLLER = 'ingress.k8s.aws/alb';
const CLASS = 'alb';
const EXCLUDED = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** One port that the load balancer listens on. */
export interface AlbListener {
  readonly port: number;
  readonly protocol: AlbProtocol;
  readonly rules: readonly Rule[];
  readonly otherwise: Action;
}

export interface AlbRouter extends Router {
  readonly listeners: readonly AlbListener[];
}

/** The router of one load balancer. Throws InputError for objects that the controller refuses or podwire cannot take. */
export function albRouter(objects: Objects, options: Partial<AlbOptions> = {}): AlbRouter {
  return new Alb(objects, { ...ALB_DEFAULTS, ...options });
}

/** group.name, or the Ingress's own. */
const groupOf = (i: Ingress): string => annotation(i, 'group.name') ?? nameOf(i);

/** The Ingresses that are the controller's; the old annotation is looked at first. */
const own = (objects: Objects): Ingress[] => claimed(objects, { controller: CONTROLLER, first: 'annotation', annotated: (v) => v === CLASS }); // prettier-ignore

/** The names of the groups, each of which is a load balancer. */
export const albGroups = (objects: Objects): string[] => [...new Set(own(objects).map(groupOf))].sort();

class Alb implements AlbRouter {
  readonly listeners: readonly AlbListener[];
  private readonly objects: Objects;

  constructor(objects: Objects, o: AlbOptions) {
    this.objects = objects;
    const members = membersOf(objects, o);
    const ports = new Map<number, { protocol: AlbProtocol; members: Member[] }>();
    for (const m of members)
      for (const [port, protocol] of listenPorts(m.ingress, o.file)) {
        const before = ports.get(port) ?? { protocol, members: [] };
        if (before.protocol !== protocol) refuse(o.file, m.ingress, 'listen-ports', `conflicting protocol, ${nameOf(before.members[0]!.ingress)}: ${before.protocol} | ${nameOf(m.ingress)}: ${protocol}`); // prettier-ignore
        before.members.push(m);
        ports.set(port, before);
      }
    const ssl = sslRedirect(members, ports);
    this.listeners = [...ports].sort(([a], [b]) => a - b).map(([port, l]) => {
      if (ssl !== null && l.protocol === 'HTTP') return { port, protocol: l.protocol, rules: [], otherwise: ssl };
      return { port, protocol: l.protocol, rules: listenerRules(l.members, port, l.protocol), otherwise: otherwise(l.members) };
    }); // prettier-ignore
  }

  decide(r: RouteRequest): Route {
    const host = hostOf(r);
    const path = pathOf(r.target);
    const listener = this.listeners.find((l) => l.port === r.port);
    if (host === null || path === null || listener === undefined)
      return { kind: 'answer', status: 400, why: 'bad-request', body: null };
    const request = { r, host, path, query: r.target.includes('?') ? r.target.slice(r.target.indexOf('?') + 1) : '' };
    const index = listener.rules.findIndex((x) => x.conditions.every((c) => matches(c, request)));
    const rule = listener.rules[index];
    const words = rule === undefined ? 'default' : `rule ${index + 1}: ${rule.conditions.map(conditionText).join(' && ')}`; // prettier-ignore
    return perform(rule?.action ?? listener.otherwise, request, words, rule?.from ?? '');
  }

  upstreams(b: Backend): readonly Upstream[] {
    const s = serviceOf(this.objects, b);
    const p = s?.spec.ports.find((x) => (b.port.name === '' ? x.port === b.port.number : x.name === b.port.name));
    if (s === null || p === undefined) return [];
    if (b.target === 'instance') return this.instances(p.nodePort);
    const ports = (slice: { ports: { name: string; port: number }[] }): number[] =>
      slice.ports.filter((x) => x.name === p.name).map((x) => x.port);
    return addressesOf(slicesOf(this.objects, s), ports, (c) => c.ready);
  }

  /** Every ready node's address and the NodePort. */
  private instances(nodePort: number): Upstream[] {
    return this.objects.flatMap((o) => {
      if (o.kind !== 'Node' || !o.status.ready || o.metadata.labels[EXCLUDED] !== undefined) return [];
      const address = o.status.addresses.find((a) => a.type === 'InternalIP')?.address;
      return address === undefined ? [] : [{ address, port: nodePort }];
    });
  }
}

/** The Ingresses of the group, by group.order, then by namespace/name. */
function membersOf(objects: Objects, o: AlbOptions): Member[] {
  const groups = albGroups(objects);
  const other = own(objects).find((i) => groupOf(i) !== groups[0]);
  if (other !== undefined && o.group === '')
    failAt(o.file, other, 'metadata.name', `found the load balancers ${groups.join(', ')}, expected one: give the name of its group, or the Ingresses a group.name`); // prettier-ignore
  const list = own(objects).filter((i) => o.group === '' || groupOf(i) === o.group);
  for (const c of objects)
    if (c.kind === 'IngressClass' && c.spec.controller === CONTROLLER && placeOf(c)?.opt('spec')?.opt('parameters'))
      failAt(o.file, c, 'spec.parameters', 'IngressClassParams are not supported yet');
  for (const i of list) check(i, o.file, o.annotations);
  for (const s of objects) if (s.kind === 'Service') check(s, o.file, o.annotations);
  const order = (i: Ingress): number => integer(i, o.file, 'group.order', -1000, 1000) ?? 0;
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return list
    .sort((a, b) => order(a) - order(b) || compare(nameOf(a), nameOf(b)))
    .map((ingress) => ({ ingress, file: o.file, objects }));
}

/** buildSSLRedirectConfig: the default action of every HTTP listener; null: none. */
function sslRedirect(members: readonly Member[], ports: ReadonlyMap<number, { protocol: AlbProtocol }>): Action | null {
  let found: number | null = null;
  for (const { ingress, file } of members) {
    const port = integer(ingress, file, 'ssl-redirect', 1, 65535);
    if (port === undefined) continue;
    const bad = (message: string): never => refuse(file, ingress, 'ssl-redirect', message);
    if (found !== null && found !== port) bad(`conflicting sslRedirect port: [${found} ${port}]`);
    if (!ports.has(port)) bad(`listener does not exist for SSLRedirect port: ${port}`);
    if (ports.get(port)!.protocol !== 'HTTPS') bad(`listener protocol non-SSL for SSLRedirect port: ${port}`);
    found = port;
  }
  if (found === null) return null;
  return { type: 'redirect', status: 301, protocol: 'HTTPS', port: String(found), host: null, path: null, query: null };
}

/** buildListenerDefaultActions */
function otherwise(members: readonly Member[]): Action {
  const own = members.filter((m) => m.ingress.spec.defaultBackend !== null);
  if (own.length > 1) failAt(own[1]!.file, own[1]!.ingress, 'spec.defaultBackend', `multiple ingress defined default backend: [${own.map((m) => nameOf(m.ingress)).join(' ')}]`); // prettier-ignore
  return own.length === 0 ? NOT_FOUND : actionOf(own[0]!, own[0]!.ingress.spec.defaultBackend!);
}

interface Parsed {
  readonly r: RouteRequest;
  /** In lower case, without port. */
  readonly host: string;
  readonly path: string;
  readonly query: string;
}

function hostOf(r: RouteRequest): string | null {
  const absolute = /^[A-Za-z]+:\/\/([^/?]*)/.exec(r.target)?.[1];
  const value = absolute ?? r.fields.find(([n]) => n.toLowerCase() === 'host')?.[1] ?? '';
  const name = value.replace(/:\d*$/, '').toLowerCase();
  return name === '' || /[\s/]/.test(name) ? null : name;
}

/** The path that rules are compared with: RFC 3986 6.2.2, unreserved characters decoded and dot segments removed. */
function pathOf(target: string): string | null {
  const rest = target.replace(/^[A-Za-z]+:\/\/[^/?]*/, '').replace(/\?.*$/s, '');
  const raw = rest === '' ? '/' : rest;
  if (!raw.startsWith('/') || /%(?![0-9A-Fa-f]{2})/.test(raw)) return null;
  const decoded = raw.replace(/%([0-9A-Fa-f]{2})/g, (e, h: string) => {
    const c = String.fromCharCode(parseInt(h, 16));
    return /[A-Za-z0-9\-._~]/.test(c) ? c : e;
  });
  const out: string[] = [];
  const segments = decoded.split('/').slice(1);
  for (const [i, s] of segments.entries()) {
    if (s === '..') out.pop();
    if (s !== '.' && s !== '..') out.push(s);
    else if (i === segments.length - 1) out.push('');
  }
  return `/${out.join('/')}`;
}

/** `*`: any run of characters; `?`: one. In time linear in the text for each star. */
export function glob(pattern: string, text: string): boolean {
  let [p, t, star, mark] = [0, 0, -1, 0];
  while (t < text.length) {
    if (pattern[p] === '*') [star, mark] = [p++, t];
    else if (pattern[p] === '?' || (p < pattern.length && pattern[p] === text[t])) [p, t] = [p + 1, t + 1];
    else if (star >= 0) [p, t] = [star + 1, ++mark];
    else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

const loose = (pattern: string, text: string): boolean => glob(pattern.toLowerCase(), text.toLowerCase());

function matches(c: Condition, q: Parsed): boolean {
  if (c.field === 'query') return queryMatches(c.pairs, q.query);
  if (c.field === 'host') return c.values.some((v) => loose(v, q.host));
  if (c.field === 'path') return c.values.some((v) => glob(v, q.path));
  if (c.field === 'method') return c.values.includes(q.r.method);
  if (c.field === 'source') return c.values.some((v) => contains(v, q.r.source));
  const name = c.name.toLowerCase();
  return q.r.fields.some(([n, value]) => n.toLowerCase() === name && c.values.some((v) => loose(v, value)));
}

function queryMatches(
  pairs: readonly { readonly key: string | null; readonly value: string }[],
  query: string,
): boolean {
  // prettier-ignore
  const given = query.split('&').map((x) => (x.includes('=') ? [x.slice(0, x.indexOf('=')), x.slice(x.indexOf('=') + 1)] : [x, ''])); // prettier-ignore
  return pairs.some((p) => given.some(([k = '', v = '']) => (p.key === null || loose(p.key, k)) && loose(p.value, v)));
}

const conditionText = (c: Condition): string =>
  c.field === 'query'
    ? `query ${c.pairs.map((p) => (p.key === null ? p.value : `${p.key}=${p.value}`)).join('|')}`
    : `${c.field === 'header' ? `header ${c.name}` : c.field} ${c.values.join('|')}`;

function perform(a: Action, q: Parsed, rule: string, from: string): Route {
  if (a.type === 'forward') return { kind: 'forward', backends: a.backends, target: q.r.target, rule, from };
  if (a.type === 'fixed-response') {
    const type = a.contentType.startsWith('text/') ? `${a.contentType}; charset=utf-8` : a.contentType;
    const why = rule === 'default' ? 'no-route' : a.status === 503 ? 'no-service' : 'rule';
    return { kind: 'answer', status: a.status, why, body: { type, text: a.body } };
  }
  const own = { protocol: q.r.tls ? 'https' : 'http', host: q.host, port: String(q.r.port), path: q.path.slice(1), query: q.query }; // prettier-ignore
  const fill = (v: string): string => v.replace(/#\{(protocol|host|port|path|query)\}/g, (_, k: keyof typeof own) => own[k]); // prettier-ignore
  const query = fill(a.query ?? '#{query}');
  const origin = `${fill(a.protocol ?? '#{protocol}').toLowerCase()}://${fill(a.host ?? '#{host}')}:${fill(a.port ?? '#{port}')}`; // prettier-ignore
  const location = `${origin}${fill(a.path ?? '/#{path}')}${query === '' ? '' : `?${query}`}`;
  return { kind: 'redirect', status: a.status, location, why: rule === 'default' ? 'ssl-redirect' : 'rule' };
}
