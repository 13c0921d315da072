/**
 * Endpoints and EndpointSlices written by hand: YAML to objects, validated as the API server does.
 * @module
 */
import { type At, quote } from './at.js';
import { appProtocol, objectMeta } from './meta.js';
import { addressOfEither, dnsLabel, dnsSubdomain, labelValue, plainAddress } from './names.js';
import { protocol } from './pod.js';
import type { Endpoint, Endpoints, EndpointSlice } from './types.js';

function targetRef(at: At | null): Endpoint['targetRef'] {
  at?.only('apiVersion', 'kind', 'name', 'namespace', 'uid', 'resourceVersion', 'fieldPath');
  return at === null
    ? null
    : {
        kind: at.opt('kind')?.str() ?? '',
        name: at.opt('name')?.str() ?? '',
        namespace: at.opt('namespace')?.str() ?? '',
      };
}

function v6(at: At): string {
  const v = addressOfEither(at);
  if (!v.includes(':')) at.fail(`found ${v}, expected an IPv6 address`);
  return v;
}

const optional = (at: At | null, read: (at: At) => string): string => (at === null || at.str() === '' ? '' : read(at));

function endpoint(e: At, type: EndpointSlice['addressType']): Endpoint {
  e.only('addresses', 'conditions', 'hostname', 'nodeName', 'zone', 'hints', 'targetRef', 'deprecatedTopology');
  const c = e.opt('conditions')?.only('ready', 'serving', 'terminating') ?? null;
  const hints = e.opt('hints')?.only('forZones', 'forNodes') ?? null;
  const names = (k: string, read: (at: At) => string): string[] => {
    const list = (hints?.opt(k)?.list() ?? []).map((z) => read(z.only('name').req('name')));
    if (new Set(list).size < list.length) hints!.req(k).fail('found a name twice, expected it once');
    return list;
  };
  const addresses = e.req('addresses').list();
  if (addresses.length === 0) e.req('addresses').fail('found no address, expected at least one');
  if (addresses.length > 100) e.req('addresses').fail(`found ${addresses.length} addresses, expected at most 100`);
  return {
    addresses: addresses.map((a) => ({ IPv4: plainAddress, IPv6: v6, FQDN: dnsSubdomain })[type](a)),
    conditions: {
      ready: c?.opt('ready')?.bool() ?? true,
      serving: c?.opt('serving')?.bool() ?? true,
      terminating: c?.opt('terminating')?.bool() ?? false,
    },
    hostname: e.opt('hostname') === null ? '' : dnsLabel(e.req('hostname')),
    nodeName: e.opt('nodeName') === null ? '' : dnsSubdomain(e.req('nodeName')),
    zone: e.opt('zone')?.str() ?? '',
    hints: { forZones: names('forZones', labelValue), forNodes: names('forNodes', dnsSubdomain) },
    targetRef: targetRef(e.opt('targetRef')),
  };
}

/** Reads an EndpointSlice; a missing port number means every port, which kube-proxy leaves out. */
export function slice(at: At): EndpointSlice {
  at.only('apiVersion', 'kind', 'metadata', 'addressType', 'endpoints', 'ports');
  const type = at.req('addressType').oneOf('IPv4', 'IPv6', 'FQDN');
  const list = at.opt('endpoints')?.list() ?? [];
  if (list.length > 1000) at.req('endpoints').fail(`found ${list.length} endpoints, expected at most 1000`);
  const names = new Set<string>();
  return {
    kind: 'EndpointSlice',
    metadata: objectMeta(at, true, dnsSubdomain),
    addressType: type,
    endpoints: list.map((e) => endpoint(e, type)),
    ports: (at.opt('ports')?.list() ?? []).map((p) => {
      p.only('name', 'protocol', 'port', 'appProtocol');
      appProtocol(p.opt('appProtocol'));
      const name = optional(p.opt('name'), dnsLabel);
      if (names.has(name)) (p.opt('name') ?? p).fail(`duplicate name ${quote(name)}`);
      names.add(name);
      return {
        name,
        protocol: p.opt('protocol')?.oneOf('TCP', 'UDP', 'SCTP') ?? 'TCP',
        port: p.opt('port')?.int(1, 65535) ?? 0,
      };
    }),
  };
}

export function endpoints(at: At): Endpoints {
  at.only('apiVersion', 'kind', 'metadata', 'subsets');
  const addresses = (list: At | null): Endpoints['subsets'][number]['addresses'] =>
    (list?.list() ?? []).map((a) => ({
      ip: plainAddress(a.only('ip', 'hostname', 'nodeName', 'targetRef').req('ip')),
      hostname: optional(a.opt('hostname'), dnsLabel),
      nodeName: a.opt('nodeName') === null ? '' : dnsSubdomain(a.req('nodeName')),
      targetRef: targetRef(a.opt('targetRef')),
    }));
  return {
    kind: 'Endpoints',
    metadata: objectMeta(at, true, dnsSubdomain),
    subsets: (at.opt('subsets')?.list() ?? []).map((s) => {
      const ready = addresses(s.only('addresses', 'notReadyAddresses', 'ports').opt('addresses'));
      const notReady = addresses(s.opt('notReadyAddresses'));
      if (ready.length + notReady.length === 0)
        s.fail('found no address, expected some: must specify `addresses` or `notReadyAddresses`');
      const ports = s.opt('ports')?.list() ?? [];
      return {
        addresses: ready,
        notReadyAddresses: notReady,
        ports: ports.map((p) => {
          p.only('name', 'protocol', 'port', 'appProtocol');
          appProtocol(p.opt('appProtocol'));
          const name = optional(p.opt('name'), dnsLabel);
          if (name === '' && ports.length > 1) p.fail('missing "name": every one of several ports is named');
          return { name, protocol: protocol(p.opt('protocol')), port: p.req('port').int(1, 65535) };
        }),
      };
    }),
  };
}
