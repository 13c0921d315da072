/**
 * Istio's Gateway and VirtualService: YAML to objects, validated as Istio's webhook does (pkg/config/validation).
 *
 * Not here, and refused: routes of TCP and TLS, subsets, delegates, mirrors, faults, CORS, matches by workload, mutual and passed-through
 * TLS of a gateway.
 * @module
 */
import { parseDuration } from '../../lab/lab.js';
import { GoRegexp, RegexpError } from '../coredns/go-regexp.js';
import type { At } from './at.js';
import { choice, failChild, invalid, required, textOf, unsupported } from './field-error.js';
import type { HeaderOperations, HttpDestination, HttpMatch, HttpRedirect, HttpRoute, IstioGateway, IstioServer, NamedMatch, StringMatch, VirtualService } from './istio-types.js'; // prettier-ignore
import { objectMeta } from './meta.js';
import { dnsLabel, dnsSubdomain, labels, portNumber, subdomainPart } from './names.js';

/** The versions of networking.istio.io, which mean the same. */
export const ISTIO_APIS = ['v1', 'v1beta1', 'v1alpha3'].map((v) => `networking.istio.io/${v}`);

/** Fields that there are, and that podwire does not do: an error that says so. */
function no(at: At | null, ...keys: string[]): void {
  for (const k of keys) at?.opt(k)?.fail(`${k} is not supported yet`);
}

/** Every key is known: those that are read, and those that only `no` knows. */
function fields(at: At, read: readonly string[], unread: readonly string[] = []): At {
  at.only(...read, ...unread);
  no(at, ...unread);
  return at;
}

const texts = (at: At | null): string[] => at?.list().map((x) => x.str()) ?? [];

/** A duration in nanoseconds, 0 when it is absent. */
function duration(at: At | null): number {
  if (at === null) return 0;
  return parseDuration(at.str()) ?? at.fail('found no duration, expected one like 5s or 500ms');
}

/** A host name that may be `*` or begin with `*.`. */
function wildcardHost(at: At, v: string): string {
  const name = v.toLowerCase();
  if (name === '*') return name;
  subdomainPart(at, name.replace(/^\*\./, ''));
  return name;
}

/** A host of a server, with the namespace before it that may be there. */
function serverHost(at: At): string {
  const [first = '', ...rest] = at.str().split('/');
  if (rest.length === 0) return wildcardHost(at, first);
  if (rest.length > 1) invalid(at, 'must be namespace/hostname');
  if (first !== '*' && first !== '.') subdomainPart(at, first);
  return `${first}/${wildcardHost(at, rest[0]!)}`;
}

function server(at: At): IstioServer {
  fields(at, ['port', 'hosts', 'tls', 'name'], ['bind', 'defaultEndpoint']);
  const port = at.opt('port') ?? required(at, 'port');
  fields(port, ['number', 'protocol', 'name', 'targetPort']);
  port.opt('targetPort')?.fail('targetPort has no impact on Gateways');
  if (textOf(port, 'name') === '') required(port, 'name', 'port name must be set');
  const number = portNumber(port.opt('number') ?? required(port, 'number'));
  const protocol = (port.opt('protocol') ?? required(port, 'protocol')).str().toUpperCase();
  if (protocol !== 'HTTP' && protocol !== 'HTTPS')
    return port.req('protocol').fail(`found ${JSON.stringify(protocol)}, expected HTTP or HTTPS (no other protocol is supported yet)`); // prettier-ignore
  const hosts = at.opt('hosts')?.list() ?? [];
  if (hosts.length === 0) required(at, 'hosts', 'server config must contain at least one host');
  const tls = at.opt('tls');
  if (tls !== null) fields(tls, ['httpsRedirect', 'mode', 'credentialName'], ['serverCertificate', 'privateKey', 'caCertificates', 'caCrl', 'subjectAltNames', 'credentialNames', 'caCertCredentialName', 'tlsCertificates', 'verifyCertificateSpki', 'verifyCertificateHash', 'minProtocolVersion', 'maxProtocolVersion', 'cipherSuites']); // prettier-ignore
  const httpsRedirect = tls?.opt('httpsRedirect')?.bool() ?? false;
  if (protocol === 'HTTPS' && tls === null)
    required(at, 'tls', 'server must have TLS settings for HTTPS/TLS protocols');
  if (protocol === 'HTTP' && tls !== null && (tls.has('mode') || tls.has('credentialName')))
    tls.fail('server cannot have TLS settings for plain text HTTP ports');
  if (protocol === 'HTTPS' && textOf(tls!, 'mode') !== 'SIMPLE')
    failChild(tls!, 'mode', 'expected SIMPLE (no other mode is supported yet)');
  if (protocol === 'HTTPS' && textOf(tls!, 'credentialName') === '') required(tls!, 'credentialName');
  return {
    port: { number, name: port.req('name').str(), protocol },
    hosts: hosts.map(serverHost),
    httpsRedirect,
    credentialName: protocol === 'HTTPS' ? dnsSubdomain(tls!.req('credentialName')) : '',
  };
}

/** Reads an Istio Gateway. Throws InputError. */
export function istioGateway(at: At): IstioGateway {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const metadata = objectMeta(at, true, dnsSubdomain);
  const spec = at.opt('spec') ?? required(at, 'spec');
  fields(spec, ['servers', 'selector']);
  const list = spec.opt('servers')?.list() ?? [];
  if (list.length === 0) required(spec, 'servers', 'gateway must have at least one server');
  const servers = list.map(server);
  list.forEach((s, i) => {
    if (servers.findIndex((x) => x.port.name === servers[i]!.port.name) < i)
      s.req('port').req('name').fail(`port names in servers must be unique: duplicate name ${servers[i]!.port.name}`);
  });
  return { kind: 'Gateway.networking.istio.io', metadata, spec: { selector: labels(spec.opt('selector')), servers } };
}

const MAX_REGEX = 1024;

function regex(at: At): string {
  const v = at.str();
  if (v === '') invalid(at, 'regex string match should not be empty');
  if (v.length > MAX_REGEX) at.fail('regex is too large, max length allowed is 1024');
  try {
    new GoRegexp(v);
    new GoRegexp(`^(?:${v})$`); // what a gateway matches whole texts with
  } catch (e) {
    if (!(e instanceof RegexpError)) throw e;
    at.fail(`${e.message}; Istio uses RE2 style regex-based match (https://github.com/google/re2/wiki/Syntax)`);
  }
  return v;
}

function stringMatch(
  at: At | null,
  emptyPrefix: 'empty prefix' | 'no empty prefix' = 'no empty prefix',
): StringMatch | null {
  // prettier-ignore
  if (at === null) return null;
  at.only('exact', 'prefix', 'regex');
  const kinds = (['exact', 'prefix', 'regex'] as const).filter((k) => at.opt(k) !== null);
  if (kinds.length > 1) at.fail(`found ${kinds.join(' and ')}, expected one of them`);
  const kind = kinds[0];
  if (kind === undefined) return null;
  const value = at.req(kind);
  if (kind === 'regex') return { kind, value: value.str() === '*' ? '*' : regex(value) };
  if (kind === 'prefix' && value.str() === '' && emptyPrefix !== 'empty prefix')
    invalid(value, 'prefix string match should not be empty');
  return { kind, value: value.str() };
}

/** Matches by name; one without a value, or with the regex `*`, asks only that the name is there. */
function named(at: At | null): NamedMatch[] {
  return (at?.entries() ?? []).map(({ key, keyAt, at: value }) => {
    if (key === '') keyAt.fail('header name cannot be empty');
    if (key.startsWith('@')) keyAt.fail('matches by claims of a token are not supported yet');
    const m = value.isNull ? null : stringMatch(value);
    return [key, m?.kind === 'regex' && m.value === '*' ? null : m];
  });
}

const MATCH = ['name', 'uri', 'scheme', 'method', 'authority', 'headers', 'port', 'gateways', 'queryParams', 'ignoreUriCase', 'withoutHeaders', 'statPrefix']; // prettier-ignore

function match(at: At): HttpMatch {
  fields(at, MATCH, ['sourceLabels', 'sourceNamespace']);
  const present = (key: string, empty?: 'empty prefix'): StringMatch | null => {
    const m = stringMatch(at.opt(key), empty);
    if (m?.kind === 'regex' && m.value === '*') regex(at.req(key).req('regex'));
    return m;
  };
  const port = at.opt('port');
  return {
    uri: present('uri', 'empty prefix'),
    scheme: present('scheme'),
    method: present('method'),
    authority: present('authority'),
    headers: named(at.opt('headers')),
    withoutHeaders: named(at.opt('withoutHeaders')),
    queryParams: named(at.opt('queryParams')),
    port: port === null || port.plain() === 0 ? 0 : portNumber(port),
    gateways: texts(at.opt('gateways')),
    ignoreUriCase: at.opt('ignoreUriCase')?.bool() ?? false,
  };
}

const HEADER = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function operations(at: At | null): HeaderOperations {
  if (at === null) return { set: [], add: [], remove: [] };
  at.only('set', 'add', 'remove');
  const name = (where: At, v: string): string => {
    if (/^(:authority|host)$/i.test(v)) return where.fail('changes of the authority are not supported yet here; use rewrite.authority'); // prettier-ignore
    return HEADER.test(v) ? v : invalid(where, 'is not a valid header name', v);
  };
  const pairs = (key: string): [string, string][] =>
    (at.opt(key)?.entries() ?? []).map(({ key: k, keyAt, at: value }): [string, string] => {
      if (value.str().includes('%')) value.fail('found "%": variables of Envoy are not supported yet');
      return [name(keyAt, k), value.str()];
    }).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); // prettier-ignore
  return {
    set: pairs('set'),
    add: pairs('add'),
    remove: (at.opt('remove')?.list() ?? []).map((r) => name(r, r.str())),
  };
}

function destination(at: At, several: boolean): HttpDestination {
  at.only('destination', 'weight', 'headers');
  const d = at.opt('destination') ?? required(at, 'destination');
  fields(d, ['host', 'port'], ['subset']);
  if (textOf(d, 'host') === '') required(d, 'host', 'destination host must not be empty');
  const host = d.req('host').str();
  subdomainPart(d.req('host'), host);
  const port = d.opt('port')?.only('number').opt('number') ?? null;
  const weight = at.opt('weight')?.int(0, 2 ** 31 - 1) ?? 0;
  const headers = at.opt('headers')?.only('request', 'response') ?? null;
  return {
    host,
    port: port === null ? 0 : portNumber(port),
    weight: several ? weight : 1,
    request: operations(headers?.opt('request') ?? null),
    response: operations(headers?.opt('response') ?? null),
  };
}

const REDIRECT_CODES = [301, 302, 303, 307, 308];

function redirect(at: At | null): HttpRedirect | null {
  if (at === null) return null;
  fields(at, ['uri', 'authority', 'scheme', 'port', 'derivePort', 'redirectCode'], ['prefixRewrite']);
  const derive = at.opt('derivePort');
  const port = at.opt('port');
  const code = at.opt('redirectCode')?.int(0, 399) ?? 0;
  if (code !== 0 && !REDIRECT_CODES.includes(code)) unsupported(at.req('redirectCode'), REDIRECT_CODES.map(String));
  const out: HttpRedirect = {
    uri: textOf(at, 'uri'),
    authority: textOf(at, 'authority'),
    scheme: choice(at.opt('scheme'), ['http', 'https', ''], ''),
    port: port === null ? 0 : portNumber(port),
    derivePort: derive === null ? null : derive.oneOf('FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'),
    code: code === 0 ? 301 : code,
  };
  if (out.uri === '' && out.authority === '' && out.scheme === '' && port === null && derive === null)
    at.fail('redirect must specify URI, authority, scheme, or port');
  return out;
}

function rewrite(at: At | null): HttpRoute['rewrite'] {
  if (at === null) return null;
  fields(at, ['uri', 'authority'], ['uriRegexRewrite']);
  const [uri, authority] = [textOf(at, 'uri'), textOf(at, 'authority')];
  if (uri === '' && authority === '') at.fail('rewrite must specify at least one of URI, UriRegexRewrite, or authority'); // prettier-ignore
  return { uri, authority };
}

function retries(at: At | null): HttpRoute['retries'] {
  if (at === null) return null;
  fields(at, ['attempts', 'retryOn'], ['perTryTimeout', 'retryRemoteLocalities', 'retryIgnorePreviousHosts', 'backoff']); // prettier-ignore
  return {
    // They follow each other at once here, and each takes time: the real API has no bound.
    attempts: at.opt('attempts')?.int(0, 100) ?? 0,
    retryOn: textOf(at, 'retryOn'),
  };
}

function directResponse(at: At | null): HttpRoute['directResponse'] {
  if (at === null) return null;
  at.only('status', 'body');
  const body = at.opt('body');
  if (body !== null) fields(body, ['string'], ['bytes']);
  return { status: (at.opt('status') ?? required(at, 'status')).int(200, 599), body: body === null ? '' : textOf(body, 'string') }; // prettier-ignore
}

const ROUTE = ['name', 'match', 'route', 'redirect', 'directResponse', 'rewrite', 'timeout', 'retries', 'headers'];
const NOT_YET = ['delegate', 'fault', 'mirror', 'mirrorPercent', 'mirrorPercentage', 'mirrors', 'corsPolicy'];

function route(at: At): HttpRoute {
  fields(at, ROUTE, NOT_YET);
  const list = at.opt('route')?.list() ?? [];
  const headers = at.opt('headers')?.only('request', 'response') ?? null;
  const out: HttpRoute = {
    name: textOf(at, 'name'),
    match: (at.opt('match')?.list() ?? []).map(match),
    route: list.map((r) => destination(r, list.length > 1)),
    redirect: redirect(at.opt('redirect')),
    directResponse: directResponse(at.opt('directResponse')),
    rewrite: rewrite(at.opt('rewrite')),
    timeoutNs: duration(at.opt('timeout')),
    retries: retries(at.opt('retries')),
    request: operations(headers?.opt('request') ?? null),
    response: operations(headers?.opt('response') ?? null),
  };
  const kinds = ['route', 'redirect', 'directResponse'].filter((k) => at.opt(k) !== null);
  if (kinds.length > 1) at.fail(`HTTP route cannot contain both ${kinds.join(' and ')}`);
  if (out.redirect === null && out.directResponse === null && list.length === 0)
    at.fail('HTTP route, redirect or direct_response is required');
  if (out.rewrite !== null && list.length === 0) at.req('rewrite').fail(`HTTP route rule cannot contain both rewrite and ${kinds[0]}`); // prettier-ignore
  if (list.length > 1 && out.route.every((d) => d.weight === 0)) at.req('route').fail('total destination weight = 0');
  return out;
}

function gatewayName(at: At): string {
  const v = at.str();
  if (v === 'mesh') return v;
  const parts = v.split('/');
  if (parts.length > 2) invalid(at, 'must be namespace/name');
  if (parts.length === 1) dnsLabel(at);
  else for (const p of parts) subdomainPart(at, p);
  return v;
}

/** Reads a VirtualService. Throws InputError. */
export function virtualService(at: At): VirtualService {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const metadata = objectMeta(at, true, dnsSubdomain);
  const spec = at.opt('spec') ?? required(at, 'spec');
  fields(spec, ['hosts', 'gateways', 'http'], ['tls', 'tcp', 'exportTo']);
  const hosts = (spec.opt('hosts')?.list() ?? []).map((h) => wildcardHost(h, h.str()));
  if (hosts.length === 0) required(spec, 'hosts', 'a VirtualService without hosts is a delegate, which is not supported yet'); // prettier-ignore
  const gateways = (spec.opt('gateways')?.list() ?? []).map(gatewayName);
  const mesh = gateways.length === 0 || gateways.includes('mesh');
  if (mesh && hosts.includes('*')) spec.req('hosts').fail('wildcard host * is not allowed for virtual services bound to the mesh gateway'); // prettier-ignore
  const http = (spec.opt('http')?.list() ?? []).map(route);
  if (http.length === 0) required(spec, 'http', 'http, tcp or tls must be provided in virtual service');
  return { kind: 'VirtualService', metadata, spec: { hosts, gateways, http } };
}
