/**
 * What the API server adds to an object that it stores: the defaults of each kind, written as a table of functions.
 *
 * Upstream: pkg/apis/core/v1/defaults.go, pkg/apis/apps/v1/defaults.go, the strategies' PrepareForCreate, and the admission
 * plugins DefaultTolerationSeconds, Priority and ServiceAccount (the account's name; no token is mounted).
 * @module
 */
import { toBase64 } from './base64.js';
import { parseQuantity, quantityText } from './quantity.js';

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
type Obj = { [key: string]: Value };

const isObj = (v: Value | undefined): v is Obj => typeof v === 'object' && v !== null && !Array.isArray(v);
const obj = (o: Obj, key: string): Obj | null => (isObj(o[key]) ? (o[key] as Obj) : null);
const list = (o: Obj, key: string): Obj[] => (Array.isArray(o[key]) ? (o[key] as Value[]).filter(isObj) : []);
const unset = (v: Value | undefined): boolean => v === undefined || v === null || v === '' || v === 0;

/** Sets a field that is absent or zero. */
function fill(o: Obj, defaults: Obj): void {
  for (const [k, v] of Object.entries(defaults)) if (unset(o[k])) o[k] = v;
}

/** Sets a field that is absent: of pointer type, so that zero is a value. */
function ensure(o: Obj, key: string, value: Value): void {
  if (o[key] === undefined || o[key] === null) o[key] = value;
}

/** Maps of strings: empty values count, an empty map does not. */
const STRING_MAPS = new Set(['labels', 'annotations', 'nodeSelector', 'matchLabels', 'data', 'binaryData', 'stringData', 'limits', 'requests', 'capacity', 'allocatable']); // prettier-ignore
/** Fields of value type that vanish when false or zero. */
const ZEROS = new Set(['hostNetwork', 'hostPID', 'hostIPC', 'stdin', 'stdinOnce', 'tty', 'readOnly', 'unschedulable', 'publishNotReadyAddresses', 'paused', 'initialDelaySeconds', 'hostPort', 'nodePort', 'minReadySeconds', 'healthCheckNodePort']); // prettier-ignore
/** Lists that stay when empty. */
const LISTS = new Set(['endpoints', 'containers']);

/** Drops what Go's encoder leaves out. */
function prune(o: Obj, service: boolean): void {
  for (const [k, v] of Object.entries(o)) {
    const map = STRING_MAPS.has(k) || (service && k === 'selector');
    if (v === null || v === '' || (ZEROS.has(k) && (v === false || v === 0))) delete o[k];
    else if (Array.isArray(v)) {
      if (v.length === 0 && !LISTS.has(k)) delete o[k];
      for (const x of v) if (isObj(x)) prune(x, false);
    } else if (isObj(v)) {
      if (!map) prune(v, o['kind'] === 'Service');
      else if (Object.keys(v).length === 0) delete o[k];
      else for (const [n, x] of Object.entries(v)) if (x === null) v[n] = '';
    }
  }
}

/** A map of quantities in their canonical forms. */
function quantities(o: Obj | null): void {
  for (const [k, v] of Object.entries(o ?? {})) {
    const q = parseQuantity(String(v));
    if (q !== null) o![k] = quantityText(q);
  }
}

function resources(c: Obj, pod: boolean): void {
  ensure(c, 'resources', {});
  const r = obj(c, 'resources');
  if (r === null) return;
  quantities(obj(r, 'limits'));
  quantities(obj(r, 'requests'));
  const limits = obj(r, 'limits');
  if (pod && limits !== null) r['requests'] = { ...limits, ...obj(r, 'requests') };
}

function httpGet(action: Obj | null): void {
  if (action !== null) fill(action, { path: '/', scheme: 'HTTP' });
}

function probe(p: Obj | null): void {
  if (p === null) return;
  fill(p, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
  httpGet(obj(p, 'httpGet'));
  const grpc = obj(p, 'grpc');
  if (grpc !== null) ensure(grpc, 'service', '');
}

/** True for an image whose tag is `latest` or that has neither tag nor digest. */
function isLatest(image: string): boolean {
  const [name = '', digest] = image.split('@');
  const tag = /:([^/:]*)$/.exec(name)?.[1];
  return tag === undefined ? digest === undefined : tag === 'latest';
}

function container(c: Obj, pod: boolean, hostNetwork: boolean): void {
  fill(c, {
    imagePullPolicy: isLatest(String(c['image'] ?? '')) ? 'Always' : 'IfNotPresent',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
  });
  resources(c, pod);
  for (const p of list(c, 'ports')) {
    fill(p, { protocol: 'TCP' });
    if (pod && hostNetwork) fill(p, { hostPort: p['containerPort']! });
  }
  for (const e of list(c, 'env')) {
    const ref = obj(obj(e, 'valueFrom') ?? {}, 'fieldRef');
    if (ref !== null) fill(ref, { apiVersion: 'v1' });
    const resource = obj(obj(e, 'valueFrom') ?? {}, 'resourceFieldRef');
    if (resource !== null) resource['divisor'] = quantityText(parseQuantity(String(resource['divisor'] ?? '0')) ?? { nanos: 0n, format: 'decimal' }); // prettier-ignore
  }
  for (const k of ['livenessProbe', 'readinessProbe', 'startupProbe']) probe(obj(c, k));
  for (const k of ['postStart', 'preStop']) httpGet(obj(obj(obj(c, 'lifecycle') ?? {}, k) ?? {}, 'httpGet'));
}

const fieldRefs = (items: Obj[]): void => {
  for (const i of items) if (obj(i, 'fieldRef') !== null) fill(obj(i, 'fieldRef')!, { apiVersion: 'v1' });
};

function volume(v: Obj): void {
  const sources = Object.keys(v).filter((k) => k !== 'name');
  if (sources.length === 0) v['emptyDir'] = {};
  for (const k of ['secret', 'configMap', 'downwardAPI', 'projected'])
    if (isObj(v[k])) ensure(v[k], 'defaultMode', 420);
  fieldRefs(list(obj(v, 'downwardAPI') ?? {}, 'items'));
  for (const s of list(obj(v, 'projected') ?? {}, 'sources')) {
    fieldRefs(list(obj(s, 'downwardAPI') ?? {}, 'items'));
    const token = obj(s, 'serviceAccountToken');
    if (token !== null) ensure(token, 'expirationSeconds', 3600);
  }
  const path = obj(v, 'hostPath');
  if (path !== null) ensure(path, 'type', '');
  const size = obj(v, 'emptyDir')?.['sizeLimit'];
  if (size !== undefined) obj(v, 'emptyDir')!['sizeLimit'] = quantityText(parseQuantity(String(size))!);
}

/** SetDefaults_PodSpec and what it holds; `pod`: of a Pod, not of a template. */
function podSpec(s: Obj, pod: boolean): void {
  fill(s, { dnsPolicy: 'ClusterFirst', restartPolicy: 'Always', schedulerName: 'default-scheduler' });
  ensure(s, 'securityContext', {});
  ensure(s, 'terminationGracePeriodSeconds', 30);
  if (unset(s['serviceAccountName']) !== unset(s['serviceAccount']))
    fill(s, { serviceAccountName: s['serviceAccount'] ?? '', serviceAccount: s['serviceAccountName'] ?? '' });
  quantities(obj(s, 'overhead'));
  const hostNetwork = s['hostNetwork'] === true;
  for (const c of [...list(s, 'containers'), ...list(s, 'initContainers')]) container(c, pod, hostNetwork);
  for (const v of list(s, 'volumes')) volume(v);
  if (pod) admitted(s);
}

/** What admission adds to a Pod, and SetDefaults_Pod. */
function admitted(s: Obj): void {
  ensure(s, 'enableServiceLinks', true);
  fill(s, { serviceAccountName: 'default', serviceAccount: 'default', preemptionPolicy: 'PreemptLowerPriority' });
  ensure(s, 'priority', 0);
  const all = list(s, 'tolerations');
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    const known = all.some((t) => (t['key'] === key || unset(t['key'])) && (t['effect'] === 'NoExecute' || unset(t['effect']))); // prettier-ignore
    if (!known) all.push({ effect: 'NoExecute', key, operator: 'Exists', tolerationSeconds: 300 });
  }
  if (all.length > 0) s['tolerations'] = all;
}

const template = (spec: Obj): void => {
  const t = obj(spec, 'template');
  if (t !== null && isObj(t['spec'])) podSpec(t['spec'], false);
};

function deployment(s: Obj): void {
  ensure(s, 'replicas', 1);
  ensure(s, 'strategy', {});
  const strategy = obj(s, 'strategy')!;
  fill(strategy, { type: 'RollingUpdate' });
  if (strategy['type'] === 'RollingUpdate') {
    ensure(strategy, 'rollingUpdate', {});
    ensure(obj(strategy, 'rollingUpdate')!, 'maxUnavailable', '25%');
    ensure(obj(strategy, 'rollingUpdate')!, 'maxSurge', '25%');
  }
  ensure(s, 'revisionHistoryLimit', 10);
  ensure(s, 'progressDeadlineSeconds', 600);
  template(s);
}

function daemonSet(s: Obj): void {
  ensure(s, 'updateStrategy', {});
  const strategy = obj(s, 'updateStrategy')!;
  fill(strategy, { type: 'RollingUpdate' });
  if (strategy['type'] === 'RollingUpdate') {
    ensure(strategy, 'rollingUpdate', {});
    ensure(obj(strategy, 'rollingUpdate')!, 'maxUnavailable', 1);
    ensure(obj(strategy, 'rollingUpdate')!, 'maxSurge', 0);
  }
  ensure(s, 'revisionHistoryLimit', 10);
  template(s);
}

function statefulSet(s: Obj): void {
  fill(s, { podManagementPolicy: 'OrderedReady' });
  ensure(s, 'updateStrategy', {});
  const strategy = obj(s, 'updateStrategy')!;
  if (unset(strategy['type'])) {
    strategy['type'] = 'RollingUpdate';
    ensure(strategy, 'rollingUpdate', {});
  }
  const rolling = obj(strategy, 'rollingUpdate');
  if (strategy['type'] === 'RollingUpdate' && rolling !== null) ensure(rolling, 'partition', 0);
  ensure(s, 'persistentVolumeClaimRetentionPolicy', {});
  fill(obj(s, 'persistentVolumeClaimRetentionPolicy')!, { whenDeleted: 'Retain', whenScaled: 'Retain' });
  ensure(s, 'replicas', 1);
  ensure(s, 'revisionHistoryLimit', 10);
  template(s);
}

function service(o: Obj): void {
  const s = obj(o, 'spec')!;
  fill(s, { sessionAffinity: 'None', type: 'ClusterIP' });
  if (s['sessionAffinity'] === 'None') delete s['sessionAffinityConfig'];
  else if (obj(obj(s, 'sessionAffinityConfig') ?? {}, 'clientIP')?.['timeoutSeconds'] === undefined)
    s['sessionAffinityConfig'] = { clientIP: { timeoutSeconds: 10800 } };
  for (const p of list(s, 'ports')) fill(p, { protocol: 'TCP', targetPort: p['port']! });
  const type = s['type'];
  const external = Array.isArray(s['externalIPs']) && s['externalIPs'].length > 0;
  if (type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && external))
    fill(s, { externalTrafficPolicy: 'Cluster' });
  if (type !== 'ExternalName') {
    ensure(s, 'internalTrafficPolicy', 'Cluster');
    ensure(s, 'ipFamilies', ['IPv4']);
    ensure(s, 'ipFamilyPolicy', 'SingleStack');
  }
  if (type === 'LoadBalancer') ensure(s, 'allocateLoadBalancerNodePorts', true);
  ensure(o, 'status', {});
  ensure(obj(o, 'status')!, 'loadBalancer', {});
  for (const i of list(obj(obj(o, 'status')!, 'loadBalancer')!, 'ingress'))
    if (!unset(i['ip'])) ensure(i, 'ipMode', 'VIP');
}

function secret(o: Obj): void {
  fill(o, { type: 'Opaque' });
  const plain = obj(o, 'stringData');
  delete o['stringData'];
  if (plain === null) return;
  const encoded = Object.entries(plain).map(([k, v]) => [k, toBase64(String(v))]);
  o['data'] = { ...obj(o, 'data'), ...(Object.fromEntries(encoded) as Obj) };
}

function node(o: Obj): void {
  const status = obj(o, 'status') ?? {};
  quantities(obj(status, 'capacity'));
  quantities(obj(status, 'allocatable'));
  if (obj(status, 'capacity') !== null) ensure(status, 'allocatable', { ...obj(status, 'capacity') });
}

const protocols = (ports: Obj[]): void => ports.forEach((p) => fill(p, { protocol: 'TCP' }));

const KINDS: Record<string, (o: Obj) => void> = {
  Pod: (o) => podSpec(obj(o, 'spec')!, true),
  Deployment: (o) => deployment(obj(o, 'spec')!),
  ReplicaSet: (o) => {
    ensure(obj(o, 'spec')!, 'replicas', 1);
    template(obj(o, 'spec')!);
  },
  DaemonSet: (o) => daemonSet(obj(o, 'spec')!),
  StatefulSet: (o) => statefulSet(obj(o, 'spec')!),
  Service: service,
  Secret: secret,
  Node: node,
  Endpoints: (o) => list(o, 'subsets').forEach((s) => protocols(list(s, 'ports'))),
  EndpointSlice: (o) => {
    ensure(o, 'endpoints', null);
    ensure(o, 'ports', null);
    for (const e of list(o, 'endpoints')) ensure(e, 'conditions', {});
    for (const p of list(o, 'ports')) {
      fill(p, { protocol: 'TCP' });
      ensure(p, 'name', '');
    }
  },
  IngressClass: (o) => {
    const parameters = obj(obj(o, 'spec') ?? {}, 'parameters');
    if (parameters !== null) ensure(parameters, 'scope', 'Cluster');
  },
  NetworkPolicy: (o) => {
    ensure(o, 'spec', {});
    const s = obj(o, 'spec')!;
    ensure(s, 'podSelector', {});
    for (const r of [...list(s, 'ingress'), ...list(s, 'egress')]) protocols(list(r, 'ports'));
    ensure(s, 'policyTypes', list(s, 'egress').length > 0 ? ['Ingress', 'Egress'] : ['Ingress']);
  },
  Ingress: (o) => {
    ensure(o, 'status', {});
    ensure(obj(o, 'status')!, 'loadBalancer', {});
  },
};

/** Completes an object as the API server stores it. The object is changed. */
export function setDefaults<T extends object>(o: T): T {
  const value = o as unknown as Obj;
  prune(value, false);
  const kind = String(value['kind']);
  if (Object.hasOwn(KINDS, kind)) KINDS[kind]!(value);
  return o;
}
