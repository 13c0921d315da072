/**
 * Ingresses and IngressClasses: YAML to objects, validated as the API server does (pkg/apis/networking/validation).
 * @module
 */
import type { At } from './at.js';
import { invalid, invalidChild, required, textOf, tooLong, unsupported } from './field-error.js';
import { objectMeta } from './meta.js';
import {
  address,
  dns1035Label,
  dnsLabel,
  dnsSubdomain,
  portName,
  portNumber,
  subdomainPart,
  wildcardSubdomain,
} from './names.js';
import type { Ingress, IngressBackend, IngressClass } from './types.js';

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';
const IS_DEFAULT = 'ingressclass.kubernetes.io/is-default-class';

/** IsValidPathSegmentName. */
function pathSegment(at: At): void {
  const v = at.str();
  if (v === '.' || v === '..') invalid(at, `may not be '${v}'`);
  if (v.includes('/')) invalid(at, "may not contain '/'");
  if (v.includes('%')) invalid(at, "may not contain '%'");
}

/** A reference to an object of any kind: its group, kind and name. */
function reference(at: At): { apiGroup: string; kind: string; name: string } {
  const group = at.opt('apiGroup');
  if (group !== null) dnsSubdomain(group);
  for (const key of ['kind', 'name']) {
    if (textOf(at, key) === '') required(at, key);
    pathSegment(at.req(key));
  }
  return { apiGroup: textOf(at, 'apiGroup'), kind: textOf(at, 'kind'), name: textOf(at, 'name') };
}

function backend(at: At): IngressBackend {
  const [resource, service] = [at.opt('resource'), at.opt('service')];
  if (resource !== null && service !== null) invalid(at, 'cannot set both resource and service backends', '');
  if (resource !== null) return { service: null, resource: reference(resource) };
  if (service === null) return invalid(at, 'resource or service backend is required', '');
  if (textOf(service, 'name') === '') required(service, 'name');
  const name = dns1035Label(service.req('name'));
  const port = service.opt('port');
  const number = Number(port?.opt('number')?.plain() ?? 0);
  const named = port === null ? '' : textOf(port, 'name');
  if (named !== '' && number !== 0) invalid(at, 'cannot set both port name & port number', '');
  if (named !== '') portName(port!.req('name'));
  else if (number !== 0) portNumber(port!.req('number'));
  else at.fail('Required value: port name or number is required');
  return { service: { name, port: { name: named, number } }, resource: null };
}

const SEQUENCES = ['//', '/./', '/../', '%2f', '%2F'];
const SUFFIXES = ['/..', '/.'];

type Path = Ingress['spec']['rules'][number]['paths'][number];

function path(at: At): Path {
  const type = at.opt('pathType');
  if (type === null) return required(at, 'pathType', 'pathType must be specified');
  const pathType = type.str() as Path['pathType'];
  const text = textOf(at, 'path');
  const bad = (detail: string): never => invalidChild(at, 'path', detail, text);
  const absolute = text.startsWith('/');
  if (pathType === 'Exact' || pathType === 'Prefix') {
    if (!absolute) bad('must be an absolute path');
    for (const s of SEQUENCES) if (text.includes(s)) bad(`must not contain '${s}'`);
    for (const s of SUFFIXES) if (text.endsWith(s)) bad(`cannot end with '${s}'`);
  } else if (pathType === 'ImplementationSpecific') {
    if (text !== '' && !absolute) bad('must be an absolute path');
  } else unsupported(type, ['Exact', 'ImplementationSpecific', 'Prefix']);
  const b = at.opt('backend');
  if (b === null) return invalidChild(at, 'backend', 'resource or service backend is required', '');
  return { path: text, pathType, backend: backend(b) };
}

const host = (at: At): string => (at.str().includes('*') ? wildcardSubdomain(at) : dnsSubdomain(at));

function rule(at: At): Ingress['spec']['rules'][number] {
  const h = at.opt('host');
  const name = textOf(at, 'host');
  if (/^\d+(\.\d+){3}$/.test(name) || /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(name))
    invalid(h!, 'must be a DNS name, not an IP address');
  if (name !== '') host(h!);
  const http = at.opt('http');
  if (http === null) return { host: name, paths: [] };
  const list = http.opt('paths')?.list() ?? [];
  if (list.length === 0) required(http, 'paths');
  return { host: name, paths: list.map(path) };
}

function tls(at: At): Ingress['spec']['tls'][number] {
  const hosts = (at.opt('hosts')?.list() ?? []).map(host);
  const secretName = textOf(at, 'secretName');
  if (secretName !== '') dnsSubdomain(at.req('secretName'));
  return { hosts, secretName };
}

/** Addresses that a controller has published. */
function status(at: At): Ingress['status'] {
  const list = at.opt('status')?.opt('loadBalancer')?.opt('ingress')?.list() ?? [];
  const ingress = list.map((i) => ({
    ip: textOf(i, 'ip') === '' ? '' : address(i.req('ip')),
    hostname: textOf(i, 'hostname') === '' ? '' : dnsSubdomain(i.req('hostname')),
  }));
  return { loadBalancer: { ingress } };
}

/** Reads an Ingress. Throws InputError. */
export function ingress(at: At): Ingress {
  const metadata = objectMeta(at, true, dnsSubdomain);
  const spec = at.opt('spec');
  const rules = spec?.opt('rules')?.list() ?? [];
  const fallback = spec?.opt('defaultBackend') ?? null;
  if (rules.length === 0 && fallback === null)
    return invalidChild(at, 'spec', 'either `defaultBackend` or `rules` must be specified', spec?.opt('rules')?.plain() ?? null); // prettier-ignore
  const defaultBackend = fallback === null ? null : backend(fallback);
  const read = rules.map(rule);
  const secrets = (spec!.opt('tls')?.list() ?? []).map(tls);
  const classAt = spec!.opt('ingressClassName');
  const ingressClassName = classAt === null ? null : dnsSubdomain(classAt);
  const old = metadata.annotations[CLASS_ANNOTATION];
  if (old !== undefined && ingressClassName !== null && old !== ingressClassName)
    at.failPlain(`annotations.${CLASS_ANNOTATION}: Invalid value: ${JSON.stringify(old)}: must match \`ingressClassName\` when both are specified`); // prettier-ignore
  return { kind: 'Ingress', metadata, spec: { ingressClassName, defaultBackend, rules: read, tls: secrets }, status: status(at) }; // prettier-ignore
}

const MAX_CONTROLLER = 250;
const PATH_TEXT = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
const PATH = new RegExp(`^${PATH_TEXT}$`);

/** IsDomainPrefixedPath. */
function controller(spec: At): string {
  const at = spec.opt('controller');
  const v = textOf(spec, 'controller');
  if (at !== null && new TextEncoder().encode(v).length > MAX_CONTROLLER) tooLong(at, MAX_CONTROLLER);
  if (v === '') return required(spec, 'controller');
  const cut = v.indexOf('/');
  if (cut <= 0 || cut === v.length - 1) invalid(at!, 'must be a domain-prefixed path (such as "acme.io/foo")');
  subdomainPart(at!, v.slice(0, cut));
  const rest = v.slice(cut + 1);
  if (!PATH.test(rest)) invalid(at!, `Invalid path (regex used for validation is '${PATH_TEXT}')`, rest);
  return v;
}

/** Reads an IngressClass. Throws InputError. */
export function ingressClass(at: At): IngressClass {
  const metadata = objectMeta(at, false, dnsSubdomain);
  const spec = at.opt('spec');
  if (spec === null) return at.failAbsent('spec.controller', 'Required value');
  const name = controller(spec);
  const p = spec.opt('parameters');
  if (p !== null) {
    reference(p);
    const scope = p.opt('scope')?.str() ?? 'Cluster';
    const ns = p.opt('namespace');
    if (scope !== 'Cluster' && scope !== 'Namespace') unsupported(p.req('scope'), ['Cluster', 'Namespace']);
    if (scope === 'Namespace' && ns === null) required(p, 'namespace', "`parameters.scope` is set to 'Namespace'");
    if (scope === 'Namespace') dnsLabel(ns!);
    if (scope === 'Cluster' && ns !== null) ns.fail("Forbidden: `parameters.scope` is set to 'Cluster'");
  }
  return { kind: 'IngressClass', metadata, spec: { controller: name } };
}

/** The name of the newest class marked as the default, the first by name among equals (admission plugin DefaultIngressClass); null: none. */
export function defaultClassOf(classes: readonly IngressClass[]): string | null {
  const marked = classes.filter((c) => c.metadata.annotations[IS_DEFAULT] === 'true');
  const key = (c: IngressClass): string => c.metadata.creationTimestamp;
  marked.sort((a, b) => (key(a) === key(b) ? (a.metadata.name < b.metadata.name ? -1 : 1) : key(a) > key(b) ? -1 : 1));
  return marked[0]?.metadata.name ?? null;
}

/** The name of an Ingress's class: its own, the old annotation's, or that of the default class. Null: none. */
export const classOf = (i: Ingress, classes: readonly IngressClass[]): string | null =>
  i.spec.ingressClassName ?? i.metadata.annotations[CLASS_ANNOTATION] ?? defaultClassOf(classes);
