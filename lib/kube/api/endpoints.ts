/**
 * Endpoints and EndpointSlices written by hand: YAML to objects, validated as the API server does.
 * @module
 */
import type { At } from './at.js';
import { protocol } from './container.js';
import { choice, duplicate, invalid, invalidChild, required, textOf, tooMany } from './field-error.js';
import { appProtocol, objectMeta } from './meta.js';
import { addressOfEither, BAD_IP, dnsLabel, dnsSubdomain, labelValue, plainAddress, portNumber, SUBDOMAIN_ERROR } from './names.js'; // prettier-ignore
import type { Endpoint, Endpoints, EndpointSlice } from './types.js';

const targetRef = (at: At | null): Endpoint['targetRef'] =>
  at === null ? null : { kind: textOf(at, 'kind'), name: textOf(at, 'name'), namespace: textOf(at, 'namespace') };

function v6(at: At): string {
  const v = addressOfEither(at);
  if (!v.includes(':')) invalid(at.called(at.path.replace(/\[\d+\]$/, '')), 'must be an IPv6 address');
  return v;
}

const optional = (at: At | null, read: (at: At) => string): string => (at === null || at.str() === '' ? '' : read(at));

function endpoint(e: At, type: EndpointSlice['addressType']): Endpoint {
  const c = e.opt('conditions');
  const hints = e.opt('hints');
  const names = (k: string, read: (at: At) => string, missing: (at: At, key: string) => string): string[] => {
    const seen = new Set<string>();
    return (hints?.opt(k)?.list() ?? []).map((z) => {
      const name = textOf(z, 'name');
      if (seen.has(name)) duplicate(z.req('name'));
      seen.add(name);
      return name === '' ? missing(z, 'name') : read(z.req('name'));
    });
  };
  const addresses = e.opt('addresses')?.list() ?? [];
  if (addresses.length === 0) required(e, 'addresses', 'must contain at least 1 address');
  if (addresses.length > 100) tooMany(e.req('addresses'), addresses.length, 100);
  return {
    addresses: addresses.map((a) => ADDRESS[type](a)),
    conditions: {
      ready: c?.opt('ready')?.bool() ?? true,
      serving: c?.opt('serving')?.bool() ?? true,
      terminating: c?.opt('terminating')?.bool() ?? false,
    },
    hostname: e.opt('hostname') === null ? '' : dnsLabel(e.req('hostname')),
    nodeName: e.opt('nodeName') === null ? '' : dnsSubdomain(e.req('nodeName')),
    zone: textOf(e, 'zone'),
    hints: {
      forZones: names(
        'forZones',
        (z) => labelValue(z),
        () => '',
      ),
      forNodes: names('forNodes', dnsSubdomain, (z, key) => invalidChild(z, key, SUBDOMAIN_ERROR, '')),
    },
    targetRef: targetRef(e.opt('targetRef')),
  };
}

/** An IPv4 address of an EndpointSlice, which no legacy form may have. */
function v4(at: At): string {
  const v = at.text();
  if (v.includes(':')) invalid(at.called(at.path.replace(/\[\d+\]$/, '')), 'must be an IPv4 address');
  return plainAddress(at);
}

const ADDRESS = { IPv4: v4, IPv6: v6, FQDN: dnsSubdomain };

function slicePort(p: At): EndpointSlice['ports'][number] {
  const name = optional(p.opt('name'), dnsLabel);
  const one = p.opt('protocol');
  appProtocol(p.opt('appProtocol'));
  const port = p.opt('port');
  return { name, protocol: choice(one, ['SCTP', 'TCP', 'UDP'], 'TCP'), port: port === null ? 0 : Number(port.plain()) };
}

/** Reads an EndpointSlice; a missing port number means every port, which kube-proxy leaves out. */
export function slice(at: At): EndpointSlice {
  const typeAt = at.opt('addressType');
  if (typeAt === null || typeAt.str() === '') required(at, 'addressType');
  const type = choice(typeAt, ['FQDN', 'IPv4', 'IPv6'], 'IPv4');
  const list = at.opt('endpoints')?.list() ?? [];
  if (list.length > 1000) tooMany(at.req('endpoints'), list.length, 1000);
  const names = new Set<string>();
  return {
    kind: 'EndpointSlice',
    metadata: objectMeta(at, true, dnsSubdomain),
    addressType: type,
    endpoints: list.map((e) => endpoint(e, type)),
    ports: (at.opt('ports')?.list() ?? []).map((p) => {
      const port = slicePort(p);
      if (names.has(port.name)) duplicate(p.opt('name') ?? p, port.name);
      names.add(port.name);
      return port;
    }),
  };
}

type Subset = Endpoints['subsets'][number];

function subset(s: At): Subset {
  const addresses = (key: string): Subset['addresses'] =>
    (s.opt(key)?.list() ?? []).map((a) => ({
      ip: endpointIP(a),
      hostname: optional(a.opt('hostname'), dnsLabel),
      nodeName: a.opt('nodeName') === null ? '' : dnsSubdomain(a.req('nodeName')),
      targetRef: targetRef(a.opt('targetRef')),
    }));
  const [ready, notReady] = [s.opt('addresses')?.list() ?? [], s.opt('notReadyAddresses')?.list() ?? []];
  if (ready.length + notReady.length === 0) s.fail('Required value: must specify `addresses` or `notReadyAddresses`');
  const ports = s.opt('ports')?.list() ?? [];
  return {
    addresses: addresses('addresses'),
    notReadyAddresses: addresses('notReadyAddresses'),
    ports: ports.map((p) => {
      const name = textOf(p, 'name');
      if (name === '' && ports.length > 1) required(p, 'name');
      if (name !== '') dnsLabel(p.req('name'));
      const port = p.opt('port') ?? p.failAbsent('port', 'Invalid value: 0: must be between 1 and 65535, inclusive');
      appProtocol(p.opt('appProtocol'));
      return { name, protocol: protocol(p.opt('protocol')), port: portNumber(port) };
    }),
  };
}

function endpointIP(a: At): string {
  const at = a.opt('ip') ?? a.failAbsent('ip', `Invalid value: "": ${BAD_IP}`);
  return plainAddress(at);
}

export const endpoints = (at: At): Endpoints => ({
  kind: 'Endpoints',
  metadata: objectMeta(at, true, dnsSubdomain),
  subsets: (at.opt('subsets')?.list() ?? []).map(subset),
});
