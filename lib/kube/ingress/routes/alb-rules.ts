/**
 * Rules of an Application Load Balancer: their conditions, their actions, and the order that the controller gives them.
 *
 * Upstream: pkg/ingress/model_build_listener_rules.go, model_build_actions.go, enhanced_backend_builder.go, rule_optimizer.go.
 * @module
 */
import { quote } from '../../api/at.js';
import { failAt } from '../../api/meta.js';
import type { Ingress, IngressBackend } from '../../api/types.js';
import type { Objects, WeightedBackend } from '../types.js';
import { annotation, Json, refuse } from './alb-annotations.js';
import { serviceOf } from './endpoints.js';

export type Condition =
  | { readonly field: 'host'; readonly values: readonly string[] }
  | { readonly field: 'path'; readonly values: readonly string[] }
  | { readonly field: 'method'; readonly values: readonly string[] }
  | { readonly field: 'source'; readonly values: readonly string[] }
  | { readonly field: 'header'; readonly name: string; readonly values: readonly string[] }
  | { readonly field: 'query'; readonly pairs: readonly { readonly key: string | null; readonly value: string }[] };

export type Action =
  | { readonly type: 'forward'; readonly backends: readonly WeightedBackend[] }
  | { readonly type: 'fixed-response'; readonly status: number; readonly contentType: string; readonly body: string }
  | {
      readonly type: 'redirect';
      readonly status: 301 | 302;
      /** Null: as in the request. */
      readonly protocol: string | null;
      readonly host: string | null;
      readonly port: string | null;
      readonly path: string | null;
      readonly query: string | null;
    };

export interface Rule {
  readonly conditions: readonly Condition[];
  readonly action: Action;
  readonly from: string;
}

export const NOT_FOUND: Action = { type: 'fixed-response', status: 404, contentType: 'text/plain', body: '' };
const unavailable = (body: string): Action => ({
  type: 'fixed-response',
  status: 503,
  contentType: 'text/plain',
  body,
});

/** The port's name that makes a backend an annotation. */
const USE_ANNOTATION = 'use-annotation';

export interface Member {
  readonly ingress: Ingress;
  readonly file: string;
  readonly objects: Objects;
}

export const nameOf = (i: Ingress): string => `${i.metadata.namespace}/${i.metadata.name}`;

function targetType(m: Member, service: string): 'ip' | 'instance' {
  const s = serviceOf(m.objects, { namespace: m.ingress.metadata.namespace, service, port: { name: '', number: 0 } });
  const from = s !== null && annotation(s, 'target-type') !== undefined ? s : m.ingress;
  const v = annotation(from, 'target-type') ?? 'instance';
  return v === 'ip' || v === 'instance' ? v : refuse(m.file, from, 'target-type', `unknown targetType: ${v}`);
}

/** Forwards to Services; a single one that does not exist is answered for with 503. */
function forward(
  m: Member,
  targets: readonly { service: string; port: WeightedBackend['port']; weight: number }[],
): Action {
  // prettier-ignore
  const { namespace } = m.ingress.metadata;
  const backends = targets.map((t) => ({ namespace, service: t.service, port: t.port, weight: t.weight, target: targetType(m, t.service) })); // prettier-ignore
  for (const b of backends) {
    const s = serviceOf(m.objects, b);
    if (s === null && backends.length === 1) return unavailable('Backend service does not exist');
    if (s === null) return failAt(m.file, m.ingress, 'spec.rules', `services ${quote(b.service)} not found`);
    const port = s.spec.ports.find((p) => (b.port.name === '' ? p.port === b.port.number : p.name === b.port.name));
    if (port === undefined)
      return failAt(m.file, m.ingress, 'spec.rules', `unable to find port ${b.port.name || b.port.number} on service ${namespace}/${b.service}`); // prettier-ignore
    if (b.target === 'instance' && port.nodePort === 0 && s.spec.type !== 'NodePort' && s.spec.type !== 'LoadBalancer')
      return failAt(m.file, m.ingress, 'spec.rules', `service ${namespace}/${b.service}: TargetGroup port is empty. When using Instance targets, your service be must of type 'NodePort' or 'LoadBalancer'`); // prettier-ignore
  }
  return { type: 'forward', backends };
}

function forwardConfig(m: Member, json: Json): Action {
  const groups = json.fields('targetGroups').get('targetgroups')?.list() ?? [];
  if (groups.length === 0) json.fail('missing targetGroups');
  const targets = groups.map((g) => {
    const f = g.fields('serviceName', 'servicePort', 'weight');
    const [service, port, weight] = [f.get('servicename'), f.get('serviceport'), f.get('weight')];
    if (service === undefined || port === undefined) return json.fail('missing serviceName or servicePort');
    if (groups.length > 1 && weight === undefined) json.fail('weight must be set when route to multiple target groups');
    const w = weight?.number() ?? 1;
    if (w < 0 || w > 999) json.fail(`found the weight ${w}, expected 0 to 999`);
    return { service: service.text(), port: port.port(), weight: w };
  });
  return forward(m, targets);
}

const STATUS: ReadonlyMap<string, 301 | 302> = new Map([['HTTP_301', 301], ['HTTP_302', 302]]); // prettier-ignore
const CONTENT = ['text/plain', 'text/css', 'text/html', 'application/javascript', 'application/json'];

function redirectConfig(json: Json): Action {
  const f = json.fields('host', 'path', 'port', 'protocol', 'query', 'statusCode');
  const code = f.get('statuscode')?.text() ?? json.fail('statusCode is required');
  const status = STATUS.get(code) ?? json.fail(`found the statusCode ${quote(code)}, expected HTTP_301 or HTTP_302`);
  const text = (key: string): string | null => f.get(key)?.text() ?? null;
  return { type: 'redirect', status, protocol: text('protocol'), host: text('host'), port: text('port'), path: text('path'), query: text('query') }; // prettier-ignore
}

function fixedConfig(json: Json): Action {
  const f = json.fields('contentType', 'messageBody', 'statusCode');
  const code = f.get('statuscode')?.text() ?? json.fail('statusCode is required');
  if (!/^[245]\d\d$/.test(code)) json.fail(`found the statusCode ${quote(code)}, expected 2XX, 4XX or 5XX`);
  const contentType = f.get('contenttype')?.text() ?? 'text/plain';
  if (!CONTENT.includes(contentType)) json.fail(`found the contentType ${quote(contentType)}, expected one of: ${CONTENT.join(', ')}`); // prettier-ignore
  const body = f.get('messagebody')?.text() ?? '';
  if (body.length > 1024) json.fail('found a messageBody of more than 1024 characters');
  return { type: 'fixed-response', status: Number(code), contentType, body };
}

function annotatedAction(m: Member, name: string): Action {
  const json = Json.of(m.ingress, m.file, `actions.${name}`);
  if (json === null) return unavailable('Backend action does not exist');
  const f = json.fields('type', 'forwardConfig', 'redirectConfig', 'fixedResponseConfig');
  const type = f.get('type')?.text() ?? '';
  const need = (key: string): Json => f.get(key.toLowerCase()) ?? json.fail(`missing ${key}`);
  if (type === 'forward') return forwardConfig(m, need('forwardConfig'));
  if (type === 'redirect') return redirectConfig(need('redirectConfig'));
  if (type === 'fixed-response') return fixedConfig(need('fixedResponseConfig'));
  return json.fail(`unknown action type: ${type}`);
}

/** What a backend of an Ingress does. */
export function actionOf(m: Member, b: IngressBackend): Action {
  if (b.service === null) return failAt(m.file, m.ingress, 'spec', 'missing required "service" field');
  const { name, port } = b.service;
  return port.name === USE_ANNOTATION ? annotatedAction(m, name) : forward(m, [{ service: name, port, weight: 1 }]);
}

const strings = (json: Json | undefined, fail: (m: string) => never): string[] => {
  const all = json?.list().map((v) => v.text()) ?? [];
  return all.length === 0 ? fail('values cannot be empty') : all;
};

const OCTET = '(\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])';
const CIDR = new RegExp(`^${OCTET}(\\.${OCTET}){3}/(\\d|[12]\\d|3[0-2])$`);

/** One condition of a `conditions.NAME` annotation. */
function condition(json: Json): Condition {
  const configs = { hostHeaderConfig: 'host-header', pathPatternConfig: 'path-pattern', httpHeaderConfig: 'http-header', httpRequestMethodConfig: 'http-request-method', queryStringConfig: 'query-string', sourceIPConfig: 'source-ip' }; // prettier-ignore
  const f = json.fields('field', ...Object.keys(configs));
  const field = f.get('field')?.text() ?? '';
  const name = Object.entries(configs).find(([, v]) => v === field)?.[0] ?? json.fail(`unknown condition field: ${field}`); // prettier-ignore
  const config = f.get(name.toLowerCase()) ?? json.fail(`missing ${name}`);
  if (field === 'query-string') {
    const pairs = (config.fields('values').get('values')?.list() ?? []).map((p) => {
      const kv = p.fields('key', 'value');
      return { key: kv.get('key')?.text() ?? null, value: kv.get('value')?.text() ?? json.fail('value cannot be empty') };
    }); // prettier-ignore
    return pairs.length === 0 ? json.fail('values cannot be empty') : { field: 'query', pairs };
  }
  if (field === 'http-header') {
    const h = config.fields('httpHeaderName', 'values');
    return { field: 'header', name: h.get('httpheadername')?.text() ?? json.fail('missing httpHeaderName'), values: strings(h.get('values'), json.fail) }; // prettier-ignore
  }
  const kind = { 'host-header': 'host', 'path-pattern': 'path', 'http-request-method': 'method', 'source-ip': 'source' } as const; // prettier-ignore
  const values = strings(config.fields('values').get('values'), json.fail);
  if (field === 'source-ip') for (const v of values) if (!CIDR.test(v)) json.fail(`found ${quote(v)}, expected an IPv4 network like 10.0.0.0/8`); // prettier-ignore
  return { field: kind[field as keyof typeof kind], values };
}

type Path = Ingress['spec']['rules'][number]['paths'][number];

/** buildPathPatterns */
function patterns(m: Member, p: Path): string[] {
  if (p.pathType === 'ImplementationSpecific') return [p.path];
  if (p.pathType === 'Prefix' && p.path === '/') return ['/*'];
  if (/[*?]/.test(p.path)) failAt(m.file, m.ingress, 'spec.rules', `${p.pathType.toLowerCase()} path shouldn't contain wildcards: ${p.path}`); // prettier-ignore
  const stem = p.path.replace(/\/$/, '');
  return p.pathType === 'Exact' ? [p.path] : [stem, `${stem}/*`];
}

/** buildRuleConditions: the annotation's others first, then every host, then every path. */
function conditions(m: Member, host: string, p: Path): Condition[] {
  const json = p.backend.service === null ? null : Json.of(m.ingress, m.file, `conditions.${p.backend.service.name}`);
  const given = json?.list().map(condition) ?? [];
  const hosts = host === '' ? [] : [host];
  const paths = p.path === '' ? [] : patterns(m, p);
  for (const c of given) {
    if (c.field === 'host') hosts.push(...c.values);
    if (c.field === 'path') paths.push(...c.values);
  }
  const out: Condition[] = given.filter((c) => c.field !== 'host' && c.field !== 'path');
  if (hosts.length > 0) out.push({ field: 'host', values: hosts });
  if (paths.length > 0) out.push({ field: 'path', values: paths });
  return out.length > 0 ? out : [{ field: 'path', values: ['/*'] }];
}

/** sortIngressPaths: Exact, then Prefix with the longest first, then the others; each as they stand. */
function sorted(paths: readonly Path[]): Path[] {
  const of = (type: Path['pathType']): Path[] => paths.filter((p) => p.pathType === type);
  return [...of('Exact'), ...of('Prefix').sort((a, b) => b.path.length - a.path.length), ...of('ImplementationSpecific')]; // prettier-ignore
}

/** The rules of a listener, by their priority. `members`: the Ingresses of its group, in the group's order. */
export function listenerRules(members: readonly Member[], port: number, protocol: string): Rule[] {
  const all = members.flatMap((m) =>
    m.ingress.spec.rules.flatMap(
      (r) =>
      sorted(r.paths).map((p): Rule => ({ conditions: conditions(m, r.host, p), action: actionOf(m, p.backend), from: nameOf(m.ingress) })), // prettier-ignore
    ),
  );
  const out: Rule[] = [];
  for (const r of all) {
    if (isInfinite(r, port, protocol)) continue;
    if (!out.some((before) => before.action.type === 'redirect' && covers(before.conditions, r.conditions)))
      out.push(r);
  }
  return out;
}

const valuesOf = (list: readonly Condition[], field: 'host' | 'path'): string[] =>
  list.flatMap((c) => (c.field === field ? c.values : []));

/** isInfiniteRedirectRule: a redirect to what it would match again. */
function isInfinite({ action: a, conditions: c }: Rule, port: number, protocol: string): boolean {
  if (a.type !== 'redirect') return false;
  const same = (v: string | null, ...equal: string[]): boolean => v === null || equal.includes(v);
  return (
    same(a.host, '#{host}', ...valuesOf(c, 'host')) &&
    same(a.path, '/#{path}', ...valuesOf(c, 'path')) &&
    same(a.port, '#{port}', String(port)) &&
    same(a.protocol, '#{protocol}', protocol) &&
    same(a.query, '#{query}')
  );
}

/** isSupersetConditions */
function covers(left: readonly Condition[], right: readonly Condition[]): boolean {
  if (left.some((c) => c.field !== 'host' && c.field !== 'path')) return false;
  const within = (field: 'host' | 'path'): boolean => {
    const [l, r] = [valuesOf(left, field), valuesOf(right, field)];
    if (l.length === 0 || (field === 'path' && l.includes('/*'))) return true;
    return r.length > 0 && r.every((v) => l.includes(v));
  };
  return within('host') && within('path');
}
