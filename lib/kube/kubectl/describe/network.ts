/**
 * `kubectl describe` of Services, endpoints and Ingresses.
 * @module
 */
import { at, int, type JsonMap, list, map, str, strings } from '../json.js';
import { ingressAddresses } from '../resources.js';
import { labelText } from '../text.js';
import type { Writer } from '../writer.js';

const NONE = '<none>';
const UNSET = '<unset>';
const SERVICE_NAME = 'kubernetes.io/service-name';

/** What a describer may ask the API server for. */
export interface Lookup {
  list(kind: string): JsonMap[];
}

const within = (ns: string, all: JsonMap[]): JsonMap[] => all.filter((o) => str(o, 'metadata.namespace') === ns);

/** formatEndpointSlices: the ready endpoints of one port, the first three. */
function endpoints(slices: JsonMap[], port: string): string {
  if (slices.length === 0) return NONE;
  const shown: string[] = [];
  let count = 0;
  let more = false;
  const add = (e: JsonMap, text: string): void => {
    if (shown.length === 3) more = true;
    if (at(e, 'conditions.ready') === false) return;
    if (!more) shown.push(text);
    count++;
  };
  for (const s of slices) {
    const ports = list(s, 'ports');
    const address = (e: JsonMap): string => strings(e, 'addresses')[0] ?? '';
    const host = (ip: string): string => (ip.includes(':') ? `[${ip}]` : ip);
    if (ports.length === 0) for (const e of list(s, 'endpoints')) add(e, address(e));
    for (const p of ports.filter((x) => str(x, 'name') === port))
      for (const e of list(s, 'endpoints')) add(e, `${host(address(e))}:${int(p, 'port')}`);
  }
  return more ? `${shown.join(',')} + ${count - 3} more...` : shown.join(',');
}

const slicesOf = (ns: string, service: string, api: Lookup): JsonMap[] =>
  within(ns, api.list('EndpointSlice')).filter((s) => map(s, 'metadata.labels')[SERVICE_NAME] === service);

function head(w: Writer, o: JsonMap): void {
  w.line(0, 'Name:', str(o, 'metadata.name'));
  w.line(0, 'Namespace:', str(o, 'metadata.namespace'));
  w.labels('Labels', map(o, 'metadata.labels'));
  w.annotations('Annotations', map(o, 'metadata.annotations'));
}

function servicePorts(w: Writer, o: JsonMap, slices: JsonMap[]): void {
  for (const p of list(o, 'spec.ports')) {
    const name = str(p, 'name') || UNSET;
    w.line(0, 'Port:', name, `${int(p, 'port')}/${str(p, 'protocol')}`);
    w.line(0, 'TargetPort:', `${str(p, 'targetPort')}/${str(p, 'protocol')}`);
    if (int(p, 'nodePort') !== 0) w.line(0, 'NodePort:', name, `${int(p, 'nodePort')}/${str(p, 'protocol')}`);
    w.line(0, 'Endpoints:', endpoints(slices, str(p, 'name')));
  }
}

/** describeService, without its events. */
export function describeService(w: Writer, o: JsonMap, api: Lookup): void {
  const spec = map(o, 'spec');
  const give = (title: string, value: string): void => (value === '' ? undefined : w.line(0, title, value));
  head(w, o);
  w.line(0, 'Selector:', labelText(map(spec, 'selector')));
  w.line(0, 'Type:', str(spec, 'type'));
  give('IP Family Policy:', str(spec, 'ipFamilyPolicy'));
  w.line(0, 'IP Families:', strings(spec, 'ipFamilies').join(',') || NONE);
  w.line(0, 'IP:', str(spec, 'clusterIP'));
  w.line(0, 'IPs:', strings(spec, 'clusterIPs').join(',') || NONE);
  give('External IPs:', strings(spec, 'externalIPs').join(','));
  give('Desired LoadBalancer IP:', str(spec, 'loadBalancerIP'));
  give('External Name:', str(spec, 'externalName'));
  const mode = (i: JsonMap): string => (str(i, 'ipMode') === '' ? '' : ` (${str(i, 'ipMode')})`);
  const ingress = list(o, 'status.loadBalancer.ingress').map((i) => str(i, 'ip') === '' ? str(i, 'hostname') : `${str(i, 'ip')}${mode(i)}`); // prettier-ignore
  if (ingress.length > 0) w.line(0, 'LoadBalancer Ingress:', ingress.join(', '));
  servicePorts(w, o, slicesOf(str(o, 'metadata.namespace'), str(o, 'metadata.name'), api));
  w.line(0, 'Session Affinity:', str(spec, 'sessionAffinity'));
  give('External Traffic Policy:', str(spec, 'externalTrafficPolicy'));
  give('Internal Traffic Policy:', str(spec, 'internalTrafficPolicy'));
  give('HealthCheck NodePort:', int(spec, 'healthCheckNodePort') === 0 ? '' : String(int(spec, 'healthCheckNodePort')));
  give('LoadBalancer Source Ranges:', strings(spec, 'loadBalancerSourceRanges').join(','));
}

/** describeEndpoints, without its events. */
export function describeEndpoints(w: Writer, o: JsonMap): void {
  head(w, o);
  w.line(0, 'Subsets:');
  for (const s of list(o, 'subsets')) {
    const ips = (k: string): string => list(s, k).map((a) => str(a, 'ip')).join(',') || NONE; // prettier-ignore
    w.line(1, 'Addresses:', ips('addresses'));
    w.line(1, 'NotReadyAddresses:', ips('notReadyAddresses'));
    const ports = list(s, 'ports');
    if (ports.length > 0) {
      w.line(1, 'Ports:');
      w.line(2, 'Name', 'Port', 'Protocol');
      w.line(2, '----', '----', '--------');
    }
    for (const p of ports) w.line(2, str(p, 'name') || UNSET, String(int(p, 'port')), str(p, 'protocol'));
    w.line(0);
  }
}

/** describeEndpointSliceV1, without its events. */
export function describeEndpointSlice(w: Writer, o: JsonMap): void {
  head(w, o);
  w.line(0, 'AddressType:', str(o, 'addressType'));
  const ports = list(o, 'ports');
  if (ports.length === 0) w.line(0, 'Ports: <unset>');
  else {
    w.line(0, 'Ports:');
    w.line(1, 'Name', 'Port', 'Protocol');
    w.line(1, '----', '----', '--------');
  }
  for (const p of ports) w.line(1, str(p, 'name') || UNSET, at(p, 'port') === undefined ? UNSET : String(int(p, 'port')), str(p, 'protocol')); // prettier-ignore
  const all = list(o, 'endpoints');
  w.line(0, all.length === 0 ? 'Endpoints: <none>' : 'Endpoints:');
  for (const e of all) {
    const given = (k: string): string => (at(e, k) === undefined ? UNSET : String(at(e, k)));
    w.line(1, '- Addresses:', strings(e, 'addresses').join(', ') || NONE);
    w.line(2, 'Conditions:');
    w.line(3, 'Ready:', given('conditions.ready'));
    w.line(2, 'Hostname:', given('hostname'));
    if (at(e, 'targetRef') !== undefined)
      w.line(2, 'TargetRef:', `${str(e, 'targetRef.kind')}/${str(e, 'targetRef.name')}`);
    w.line(2, 'NodeName:', given('nodeName'));
    w.line(2, 'Zone:', given('zone'));
  }
}

function backend(ns: string, b: JsonMap, api: Lookup): string {
  if (at(b, 'service') !== undefined) {
    const name = str(b, 'service.name');
    const number = int(b, 'service.port.number');
    const text = `${name}:${number !== 0 ? number : str(b, 'service.port.name')}`;
    const service = within(ns, api.list('Service')).find((s) => str(s, 'metadata.name') === name);
    if (service === undefined) return `${text} (<error: services "${name}" not found>)`;
    let port = '';
    for (const p of list(service, 'spec.ports')) {
      const same = number !== 0 ? int(p, 'port') === number : str(b, 'service.port.name') !== '' && str(p, 'name') === str(b, 'service.port.name'); // prettier-ignore
      if (same) port = str(p, 'name');
    }
    return `${text} (${endpoints(slicesOf(ns, name, api), port)})`;
  }
  if (at(b, 'resource') === undefined) return '';
  const group = at(b, 'resource.apiGroup') === undefined ? NONE : str(b, 'resource.apiGroup');
  return `APIGroup: ${group}, Kind: ${str(b, 'resource.kind')}, Name: ${str(b, 'resource.name')}`;
}

/** describeIngressV1, without its events. */
export function describeIngress(w: Writer, o: JsonMap, api: Lookup): void {
  const ns = str(o, 'metadata.namespace');
  w.line(0, 'Name:', str(o, 'metadata.name'));
  w.labels('Labels', map(o, 'metadata.labels'));
  w.line(0, 'Namespace:', ns);
  w.line(0, 'Address:', ingressAddresses(o));
  w.line(0, 'Ingress Class:', at(o, 'spec.ingressClassName') === undefined ? NONE : str(o, 'spec.ingressClassName'));
  const fallback = at(o, 'spec.defaultBackend') === undefined ? '<default>' : backend(ns, map(o, 'spec.defaultBackend'), api); // prettier-ignore
  w.line(0, 'Default backend:', fallback);
  const tls = list(o, 'spec.tls');
  if (tls.length > 0) w.line(0, 'TLS:');
  for (const t of tls) {
    const hosts = strings(t, 'hosts').join(',');
    w.line(1, str(t, 'secretName') === '' ? `SNI routes ${hosts}` : `${str(t, 'secretName')} terminates ${hosts}`);
  }
  w.put(0, 'Rules:\n  Host\tPath\tBackends\n');
  w.line(1, '----', '----', '--------');
  const rules = list(o, 'spec.rules').filter((r) => at(r, 'http') !== undefined);
  for (const r of rules) {
    w.line(1, str(r, 'host') || '*', '');
    for (const p of list(r, 'http.paths')) w.line(2, '', `${str(p, 'path')} `, backend(ns, map(p, 'backend'), api));
  }
  if (rules.length === 0) w.line(1, '*', '*', fallback);
  w.annotations('Annotations', map(o, 'metadata.annotations'));
}

/** describeIngressClassV1, without its events. */
export function describeIngressClass(w: Writer, o: JsonMap): void {
  w.line(0, 'Name:', str(o, 'metadata.name'));
  w.labels('Labels', map(o, 'metadata.labels'));
  w.annotations('Annotations', map(o, 'metadata.annotations'));
  w.line(0, 'Controller:', str(o, 'spec.controller'));
  if (at(o, 'spec.parameters') === undefined) return;
  w.line(0, 'Parameters:');
  if (at(o, 'spec.parameters.apiGroup') !== undefined) w.line(1, 'APIGroup:', str(o, 'spec.parameters.apiGroup'));
  w.line(1, 'Kind:', str(o, 'spec.parameters.kind'));
  w.line(1, 'Name:', str(o, 'spec.parameters.name'));
}
