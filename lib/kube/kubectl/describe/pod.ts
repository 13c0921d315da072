/**
 * `kubectl describe pod`, and the pod templates of workloads.
 * @module
 */
import { byBytes, sortedKeys, sprint, quoteGo } from '../go-values.js';
import { at, int, type JsonMap, list, map, str, strings } from '../json.js';
import { milliOf, parseQuantity, valueOf } from '../../api/quantity.js';
import { selectorOf } from '../text.js';
import { rfc1123, type Writer } from '../writer.js';
import { volumes } from './volumes.js';

const NONE = '<none>';
const truth = (v: boolean): string => (v ? 'True' : 'False');

/** The controller among the owners, as `Kind/name`. */
export function controllerOf(o: JsonMap): string {
  const c = list(o, 'metadata.ownerReferences').find((r) => r['controller'] === true);
  return c === undefined ? '' : `${str(c, 'kind')}/${str(c, 'name')}`;
}

function state(w: Writer, name: string, s: JsonMap): void {
  if (at(s, 'running') !== undefined) {
    w.line(2, `${name}:`, 'Running');
    w.line(3, 'Started:', rfc1123(str(s, 'running.startedAt')));
  } else if (at(s, 'terminated') !== undefined) {
    w.line(2, `${name}:`, 'Terminated');
    if (str(s, 'terminated.reason') !== '') w.line(3, 'Reason:', str(s, 'terminated.reason'));
    if (str(s, 'terminated.message') !== '') w.line(3, 'Message:', str(s, 'terminated.message'));
    w.line(3, 'Exit Code:', String(int(s, 'terminated.exitCode')));
    if (int(s, 'terminated.signal') > 0) w.line(3, 'Signal:', String(int(s, 'terminated.signal')));
    w.line(3, 'Started:', rfc1123(str(s, 'terminated.startedAt')));
    w.line(3, 'Finished:', rfc1123(str(s, 'terminated.finishedAt')));
  } else {
    w.line(2, `${name}:`, 'Waiting');
    if (str(s, 'waiting.reason') !== '') w.line(3, 'Reason:', str(s, 'waiting.reason'));
  }
}

function ports(w: Writer, c: JsonMap): void {
  const line = (title: string, key: string): void => {
    const text = list(c, 'ports').map((p) => `${int(p, key)}/${str(p, 'protocol')}`).join(', '); // prettier-ignore
    w.line(2, `${title}${text.includes(',') ? 's' : ''}:`, text || NONE);
  };
  line('Port', 'containerPort');
  line('Host Port', 'hostPort');
}

function probe(p: JsonMap): string {
  const n = (k: string): number => int(p, k);
  const attributes = `delay=${n('initialDelaySeconds')}s timeout=${n('timeoutSeconds')}s period=${n('periodSeconds')}s #success=${n('successThreshold')} #failure=${n('failureThreshold')}`; // prettier-ignore
  if (at(p, 'exec') !== undefined) return `exec ${sprint(strings(p, 'exec.command'))} ${attributes}`;
  if (at(p, 'httpGet') !== undefined) {
    const host = str(p, 'httpGet.host');
    const path = str(p, 'httpGet.path');
    const url = encodeURI(path.startsWith('/') ? path : `/${path}`).replaceAll('%25', '%');
    const authority = `${host.includes(':') ? `[${host}]` : host}:${str(p, 'httpGet.port')}`;
    return `http-get ${str(p, 'httpGet.scheme').toLowerCase()}://${authority}${url} ${attributes}`;
  }
  if (at(p, 'tcpSocket') !== undefined) return `tcp-socket ${str(p, 'tcpSocket.host')}:${str(p, 'tcpSocket.port')} ${attributes}`; // prettier-ignore
  if (at(p, 'grpc') !== undefined) return `grpc <pod>:${int(p, 'grpc.port')} ${str(p, 'grpc.service')} ${attributes}`;
  return `unknown ${attributes}`;
}

/** ExtractFieldPathAsString; empty without a pod. */
function fieldOf(pod: JsonMap | null, path: string): string {
  if (pod === null) return '';
  const key = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (key !== null) return str({ m: map(pod, `metadata.${key[1]}`)[key[2]!] ?? '' }, 'm');
  if (path === 'metadata.labels' || path === 'metadata.annotations') {
    const m = map(pod, path);
    return sortedKeys(m).map((k) => `${k}=${quoteGo(String(m[k]))}`).join('\n'); // prettier-ignore
  }
  // Only these are read from the object itself; the others kubectl leaves empty.
  return ['metadata.name', 'metadata.namespace', 'metadata.uid'].includes(path) ? str(pod, path) : '';
}

function resourceField(c: JsonMap, ref: JsonMap): string {
  const resource = str(ref, 'resource');
  const [kind = '', ...rest] = resource.split('.');
  const name = rest.join('.');
  if (!['limits', 'requests'].includes(kind) || !/^(cpu|memory|ephemeral-storage|hugepages-.+)$/.test(name)) return '';
  const parsed = parseQuantity(str(ref, 'divisor') || '0');
  const divisor = parsed === null || parsed.nanos === 0n ? parseQuantity('1')! : parsed;
  const q = parseQuantity(String(map(map(c, 'resources'), kind)[name] ?? '0'))!;
  const n = name === 'cpu' ? milliOf(q) / milliOf(divisor) : valueOf(q) / valueOf(divisor);
  const value = String(Math.ceil(n));
  return value === '0' && (resource === 'limits.cpu' || resource === 'limits.memory') ? 'node allocatable' : value;
}

const isOptional = (o: JsonMap): string => String(o['optional'] === true);

function environment(w: Writer, c: JsonMap, pod: JsonMap | null): void {
  const from = list(c, 'envFrom');
  if (from.length > 0) w.line(2, 'Environment Variables from:');
  for (const e of from) {
    const [kind, ref] = at(e, 'configMapRef') !== undefined ? ['ConfigMap', map(e, 'configMapRef')] : at(e, 'secretRef') !== undefined ? ['Secret', map(e, 'secretRef')] : ['', {}]; // prettier-ignore
    const prefix = str(e, 'prefix') === '' ? '' : ` with prefix '${str(e, 'prefix')}'`;
    w.line(3, str(ref, 'name'), `${kind}${prefix}`, `Optional: ${isOptional(ref)}`);
  }
  const all = list(c, 'env');
  w.line(2, ...(all.length === 0 ? ['Environment:', NONE] : ['Environment:']));
  for (const e of all) {
    const name = `${str(e, 'name')}:`;
    const v = map(e, 'valueFrom');
    const field = map(v, 'fieldRef');
    const resource = map(v, 'resourceFieldRef');
    const key = (ref: JsonMap, words: string): void => w.line(3, name, `<set to the key '${str(ref, 'key')}' ${words} '${str(ref, 'name')}'>`, `Optional: ${isOptional(ref)}`); // prettier-ignore
    if (at(e, 'valueFrom') === undefined)
      str(e, 'value').split('\n').forEach((s, i) => w.line(3, i === 0 ? name : '', s)); // prettier-ignore
    else if (at(v, 'fieldRef') !== undefined)
      w.line(3, name, `${fieldOf(pod, str(field, 'fieldPath'))} (${str(field, 'apiVersion')}:${str(field, 'fieldPath')})`); // prettier-ignore
    else if (at(v, 'resourceFieldRef') !== undefined)
      w.line(3, name, `${resourceField(c, resource)} (${str(resource, 'resource')})`); // prettier-ignore
    else if (at(v, 'secretKeyRef') !== undefined) key(map(v, 'secretKeyRef'), 'in secret');
    else if (at(v, 'configMapKeyRef') !== undefined) key(map(v, 'configMapKeyRef'), 'of config map');
  }
}

function mounts(w: Writer, c: JsonMap): void {
  const all = list(c, 'volumeMounts').sort((a, b) => byBytes(str(a, 'mountPath'), str(b, 'mountPath')));
  w.line(2, ...(all.length === 0 ? ['Mounts:', NONE] : ['Mounts:']));
  for (const m of all) {
    const flags = [m['readOnly'] === true ? 'ro' : 'rw', ...(str(m, 'subPath') === '' ? [] : [`path=${quoteGo(str(m, 'subPath'))}`])]; // prettier-ignore
    w.line(3, `${str(m, 'mountPath')} from ${str(m, 'name')} (${flags.join(',')})`);
  }
  const devices = list(c, 'volumeDevices').sort((a, b) => byBytes(str(a, 'devicePath'), str(b, 'devicePath')));
  if (devices.length > 0) w.line(2, ...(all.length === 0 ? ['Devices:', NONE] : ['Devices:']));
  for (const d of devices) w.line(3, `${str(d, 'devicePath')} from ${str(d, 'name')}`);
}

function resources(w: Writer, r: JsonMap, level: number): void {
  for (const [title, key] of [
    ['Limits:', 'limits'],
    ['Requests:', 'requests'],
  ] as const) {
    // prettier-ignore
    const q = map(r, key);
    if (Object.keys(q).length > 0) w.line(level, title);
    for (const k of sortedKeys(q)) w.line(level + 1, `${k}:`, String(q[k]));
  }
}

function container(w: Writer, c: JsonMap, status: JsonMap | undefined, pod: JsonMap | null, nested: boolean): void {
  w.line(1, `${nested ? ' ' : ''}${str(c, 'name')}:`);
  if (status !== undefined) w.line(2, 'Container ID:', str(status, 'containerID'));
  w.line(2, 'Image:', str(c, 'image'));
  if (status !== undefined) w.line(2, 'Image ID:', str(status, 'imageID'));
  ports(w, c);
  const seccomp = str(c, 'securityContext.seccompProfile.type');
  if (seccomp !== '') w.line(2, 'SeccompProfile:', seccomp);
  if (seccomp === 'Localhost')
    w.line(3, 'LocalhostProfile:', str(c, 'securityContext.seccompProfile.localhostProfile'));
  for (const [title, key] of [
    ['Command:', 'command'],
    ['Args:', 'args'],
  ] as const) {
    // prettier-ignore
    const words = strings(c, key);
    if (words.length > 0) w.line(2, title);
    for (const s of words.flatMap((x) => x.split('\n'))) w.line(3, s);
  }
  if (status !== undefined) {
    state(w, 'State', map(status, 'state'));
    if (at(status, 'lastState.terminated') !== undefined) state(w, 'Last State', map(status, 'lastState'));
    w.line(2, 'Ready:', truth(status['ready'] === true));
    w.line(2, 'Restart Count:', String(int(status, 'restartCount')));
  }
  resources(w, map(c, 'resources'), 2);
  for (const [title, key] of [
    ['Liveness:', 'livenessProbe'],
    ['Readiness:', 'readinessProbe'],
    ['Startup:', 'startupProbe'],
  ] as const)
    // prettier-ignore
    if (at(c, key) !== undefined) w.line(2, title, probe(map(c, key)));
  environment(w, c, pod);
  mounts(w, c);
}

/** Containers under a title; `pod` null in a template, which stands a level deeper. */
function containers(w: Writer, title: string, all: JsonMap[], statuses: JsonMap[], pod: JsonMap | null): void {
  const nested = pod === null;
  w.put(0, `${nested ? '  ' : ''}${title}:${all.length === 0 ? ' <none>' : ''}\n`);
  for (const c of all) container(w, c, statuses.filter((s) => str(s, 'name') === str(c, 'name')).at(-1), pod, nested);
}

function spread(w: Writer, spec: JsonMap, indent: string): void {
  const all = list(spec, 'topologySpreadConstraints').sort((a, b) => byBytes(str(a, 'topologyKey'), str(b, 'topologyKey'))); // prettier-ignore
  if (all.length === 0) return;
  w.put(0, `${indent}Topology Spread Constraints:\t`);
  all.forEach((t, i) => {
    const selector = at(t, 'labelSelector') === undefined ? '' : ` for selector ${selectorOf(map(t, 'labelSelector'))}`;
    w.put(0, `${i === 0 ? '' : `${indent}\t`}${str(t, 'topologyKey')}:${str(t, 'whenUnsatisfiable')} when max skew ${int(t, 'maxSkew')} is exceeded${selector}\n`); // prettier-ignore
  });
}

function tolerations(w: Writer, title: string, spec: JsonMap): void {
  const all = list(spec, 'tolerations').sort((a, b) => byBytes(str(a, 'key'), str(b, 'key')));
  const text = (t: JsonMap): string => {
    const [key, value, effect] = [str(t, 'key'), str(t, 'value'), str(t, 'effect')];
    const exists = str(t, 'operator') === 'Exists' && value === '';
    const seconds = at(t, 'tolerationSeconds') === undefined ? '' : ` for ${int(t, 'tolerationSeconds')}s`;
    return `${key}${value === '' ? '' : `=${value}`}${effect === '' ? '' : `:${effect}`}${exists ? (key !== '' || effect !== '' ? ' op=Exists' : 'op=Exists') : ''}${seconds}`; // prettier-ignore
  };
  w.lines(title, all.map(text));
}

/** DescribePodTemplate. */
export function podTemplate(w: Writer, t: JsonMap): void {
  const spec = map(t, 'spec');
  w.line(0, 'Pod Template:');
  w.labels('  Labels', map(t, 'metadata.labels'));
  if (Object.keys(map(t, 'metadata.annotations')).length > 0) w.annotations('  Annotations', map(t, 'metadata.annotations')); // prettier-ignore
  if (str(spec, 'serviceAccountName') !== '') w.line(1, 'Service Account:', str(spec, 'serviceAccountName'));
  const init = list(spec, 'initContainers');
  if (init.length > 0) containers(w, 'Init Containers', init, [], null);
  containers(w, 'Containers', list(spec, 'containers'), [], null);
  volumes(w, list(spec, 'volumes'), '  ');
  spread(w, spec, '  ');
  if (str(spec, 'priorityClassName') !== '') w.line(1, 'Priority Class Name:', str(spec, 'priorityClassName'));
  w.labels('  Node-Selectors', map(spec, 'nodeSelector'));
  tolerations(w, '  Tolerations', spec);
}

function status(w: Writer, o: JsonMap, age: (time: string) => string): void {
  const phase = str(o, 'status.phase');
  const deleted = str(o, 'metadata.deletionTimestamp');
  if (deleted !== '' && phase !== 'Failed' && phase !== 'Succeeded') {
    w.line(0, 'Status:', `Terminating (lasts ${age(deleted)})`);
    w.line(0, 'Termination Grace Period:', `${int(o, 'metadata.deletionGracePeriodSeconds')}s`);
  } else w.line(0, 'Status:', phase);
  if (str(o, 'status.reason') !== '') w.line(0, 'Reason:', str(o, 'status.reason'));
  if (str(o, 'status.message') !== '') w.line(0, 'Message:', str(o, 'status.message'));
  const seccomp = str(o, 'spec.securityContext.seccompProfile.type');
  if (seccomp !== '') w.line(0, 'SeccompProfile:', seccomp);
  if (seccomp === 'Localhost') w.line(0, 'LocalhostProfile:', str(o, 'spec.securityContext.seccompProfile.localhostProfile')); // prettier-ignore
  w.line(0, 'IP:', str(o, 'status.podIP'));
  const ips = list(o, 'status.podIPs');
  w.line(0, ...(ips.length === 0 ? ['IPs:', NONE] : ['IPs:']));
  for (const ip of ips) w.line(1, 'IP:', str(ip, 'ip'));
}

/** describePod, without its events. */
export function describePod(w: Writer, o: JsonMap, age: (time: string) => string): void {
  const spec = map(o, 'spec');
  const give = (title: string, value: string): void => (value === '' ? undefined : w.line(0, title, value));
  w.line(0, 'Name:', str(o, 'metadata.name'));
  w.line(0, 'Namespace:', str(o, 'metadata.namespace'));
  give('Priority:', at(spec, 'priority') === undefined ? '' : String(int(spec, 'priority')));
  give('Priority Class Name:', str(spec, 'priorityClassName'));
  give('Runtime Class Name:', str(spec, 'runtimeClassName'));
  give('Service Account:', str(spec, 'serviceAccountName'));
  w.line(0, 'Node:', str(spec, 'nodeName') === '' ? NONE : `${str(spec, 'nodeName')}/${str(o, 'status.hostIP')}`);
  if (str(o, 'status.startTime') !== '') w.line(0, 'Start Time:', rfc1123(str(o, 'status.startTime')));
  w.labels('Labels', map(o, 'metadata.labels'));
  w.annotations('Annotations', map(o, 'metadata.annotations'));
  status(w, o, age);
  give('Controlled By:', controllerOf(o));
  give('NominatedNodeName:', str(o, 'status.nominatedNodeName'));
  if (at(spec, 'resources') !== undefined) {
    w.line(0, 'Resources:');
    resources(w, map(spec, 'resources'), 1);
  }
  const init = list(spec, 'initContainers');
  if (init.length > 0) containers(w, 'Init Containers', init, list(o, 'status.initContainerStatuses'), o);
  containers(w, 'Containers', list(spec, 'containers'), list(o, 'status.containerStatuses'), o);
  const conditions = list(o, 'status.conditions');
  const gates = list(spec, 'readinessGates');
  if (gates.length > 0) w.put(0, 'Readiness Gates:\n  Type\tStatus\n');
  for (const g of gates) {
    const c = conditions.find((x) => str(x, 'type') === str(g, 'conditionType'));
    w.line(1, `${str(g, 'conditionType')} `, `${c === undefined ? NONE : str(c, 'status')} `);
  }
  if (conditions.length > 0) w.put(0, 'Conditions:\n  Type\tStatus\n');
  for (const c of conditions) w.line(1, `${str(c, 'type')} `, `${str(c, 'status')} `);
  volumes(w, list(spec, 'volumes'), '');
  w.line(0, 'QoS Class:', str(o, 'status.qosClass'));
  w.labels('Node-Selectors', map(spec, 'nodeSelector'));
  tolerations(w, 'Tolerations', spec);
  spread(w, spec, '');
}
