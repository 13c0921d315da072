/**
 * `kubectl describe node`.
 * @module
 */
import { byBytes, type JsonMap, sortedKeys } from '../go-values.js';
import { addQuantity, milliOf, parseQuantity, type Quantity, quantityText, valueOf } from '../../api/quantity.js';
import { at, list, map, str, strings } from '../json.js';
import { nodeRoles } from '../resources.js';
import { rfc1123, type Writer } from '../writer.js';

type Amounts = Record<string, Quantity>;
const ZERO: Quantity = { nanos: 0n, format: 'decimal' };
const amounts = (o: JsonMap): Amounts => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, parseQuantity(String(v)) ?? ZERO])); // prettier-ignore

function add(to: Amounts, more: Amounts): void {
  for (const [k, q] of Object.entries(more)) to[k] = Object.hasOwn(to, k) ? addQuantity(to[k]!, q) : q;
}

function raise(to: Amounts, other: Amounts): void {
  for (const [k, q] of Object.entries(other)) if (!Object.hasOwn(to, k) || q.nanos > to[k]!.nanos) to[k] = q;
}

/** PodRequestsAndLimits: the containers' sum, or what the init containers need at once if that is more. */
function podAmounts(pod: JsonMap, kind: 'requests' | 'limits'): Amounts {
  const of = (c: JsonMap): Amounts => amounts(map(c, `resources.${kind}`));
  const sum: Amounts = {};
  for (const c of list(pod, 'spec.containers')) add(sum, of(c));
  const sidecars: Amounts = {};
  const init: Amounts = {};
  for (const c of list(pod, 'spec.initContainers')) {
    const step: Amounts = {};
    if (str(c, 'restartPolicy') === 'Always') {
      add(sum, of(c));
      add(sidecars, of(c));
    } else add(step, of(c));
    add(step, sidecars);
    raise(init, step);
  }
  raise(sum, init);
  const overhead = amounts(map(pod, 'spec.overhead'));
  if (kind === 'requests') add(sum, overhead);
  else
    for (const [k, q] of Object.entries(overhead)) if ((sum[k]?.nanos ?? 0n) !== 0n) sum[k] = addQuantity(sum[k]!, q);
  return sum;
}

/** Go's conversion of a fraction to int64; what is no number becomes the smallest one on amd64. */
const percent = (part: number, whole: number): string => {
  const f = (part / whole) * 100;
  return Number.isFinite(f) ? String(Math.trunc(f)) : '-9223372036854775808';
};

const measure = (name: string, q: Quantity): number => (name === 'cpu' ? milliOf(q) : valueOf(q));
const amount = (a: Amounts, k: string): Quantity => a[k] ?? ZERO;

function pods(w: Writer, all: JsonMap[], allocatable: Amounts, age: (time: string) => string): void {
  w.line(0, 'Non-terminated Pods:', `(${all.length} in total)`);
  w.line(1, 'Namespace', 'Name', '', 'CPU Requests', 'CPU Limits', 'Memory Requests', 'Memory Limits', 'Age');
  w.line(1, '---------', '----', '', '------------', '----------', '---------------', '-------------', '---');
  for (const p of all) {
    const [requests, limits] = [podAmounts(p, 'requests'), podAmounts(p, 'limits')];
    const cell = (a: Amounts, k: string): string => `${quantityText(amount(a, k))} (${percent(measure(k, amount(a, k)), measure(k, amount(allocatable, k)))}%)`; // prettier-ignore
    w.line(1, str(p, 'metadata.namespace'), str(p, 'metadata.name'), '', cell(requests, 'cpu'), cell(limits, 'cpu'), cell(requests, 'memory'), cell(limits, 'memory'), age(str(p, 'metadata.creationTimestamp'))); // prettier-ignore
  }
}

function allocated(w: Writer, all: JsonMap[], allocatable: Amounts): void {
  const [requests, limits]: Amounts[] = [{}, {}] as Amounts[];
  for (const p of all) {
    add(requests!, podAmounts(p, 'requests'));
    add(limits!, podAmounts(p, 'limits'));
  }
  w.put(0, 'Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n');
  w.line(1, 'Resource', 'Requests', 'Limits');
  w.line(1, '--------', '--------', '------');
  const names = sortedKeys(allocatable);
  for (const k of ['cpu', 'memory', 'ephemeral-storage', ...names.filter((n) => n.startsWith('hugepages-'))]) {
    const whole = measure(k, amount(allocatable, k));
    const cell = (a: Amounts): string => `${quantityText(amount(a, k))} (${whole === 0 ? '0' : percent(measure(k, amount(a, k)), whole)}%)`; // prettier-ignore
    w.line(1, k, cell(requests!), cell(limits!));
  }
  for (const k of names.filter((n) => !/^(cpu|memory|ephemeral-storage|pods|hugepages-.*)$/.test(n)))
    w.line(1, k, quantityText(amount(requests!, k)), quantityText(amount(limits!, k)));
}

function conditions(w: Writer, o: JsonMap): void {
  const all = list(o, 'status.conditions');
  if (all.length === 0) return;
  w.put(0, 'Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n');
  w.line(1, '----', '------', '-----------------', '------------------', '------', '-------');
  for (const c of all)
    w.line(1, `${str(c, 'type')} `, `${str(c, 'status')} `, `${rfc1123(str(c, 'lastHeartbeatTime'))} `, `${rfc1123(str(c, 'lastTransitionTime'))} `, `${str(c, 'reason')} `, str(c, 'message')); // prettier-ignore
}

const INFO: [title: string, key: string][] = [
  ['Machine ID', 'machineID'], ['System UUID', 'systemUUID'], ['Boot ID', 'bootID'], ['Kernel Version', 'kernelVersion'], ['OS Image', 'osImage'],
  ['Operating System', 'operatingSystem'], ['Architecture', 'architecture'], ['Container Runtime Version', 'containerRuntimeVersion'],
  ['Kubelet Version', 'kubeletVersion'], ['Kube-Proxy Version', 'kubeProxyVersion'],
]; // prettier-ignore

/** describeNode, without its events. `all`: every pod. Nodes have no leases. */
export function describeNode(w: Writer, o: JsonMap, all: JsonMap[], age: (time: string) => string): void {
  const name = str(o, 'metadata.name');
  w.line(0, 'Name:', name);
  w.line(0, 'Roles:', nodeRoles(o));
  w.labels('Labels', map(o, 'metadata.labels'));
  w.annotations('Annotations', map(o, 'metadata.annotations'));
  w.line(0, 'CreationTimestamp:', rfc1123(str(o, 'metadata.creationTimestamp')));
  const key = (t: JsonMap): string => `${str(t, 'effect')},${str(t, 'key')}`;
  const taints = list(o, 'spec.taints').sort((a, b) => byBytes(key(a), key(b)));
  w.lines('Taints', taints.map((t) => `${str(t, 'key')}${str(t, 'value') === '' ? '' : `=${str(t, 'value')}`}:${str(t, 'effect')}`)); // prettier-ignore
  w.line(0, 'Unschedulable:', String(at(o, 'spec.unschedulable') === true));
  w.line(0, 'Lease:', `Failed to get lease: leases.coordination.k8s.io "${name}" not found`);
  conditions(w, o);
  w.line(0, 'Addresses:');
  for (const a of list(o, 'status.addresses')) w.line(1, `${str(a, 'type')}:`, str(a, 'address'));
  for (const [title, path] of [
    ['Capacity:', 'status.capacity'],
    ['Allocatable:', 'status.allocatable'],
  ] as const) {
    // prettier-ignore
    const r = map(o, path);
    if (Object.keys(r).length > 0) w.line(0, title);
    for (const k of sortedKeys(r)) w.line(1, `${k}:`, String(r[k]));
  }
  w.line(0, 'System Info:');
  for (const [title, k] of INFO) w.line(1, `${title}:`, str(o, `status.nodeInfo.${k}`));
  if (str(o, 'spec.podCIDR') !== '') w.line(0, 'PodCIDR:', str(o, 'spec.podCIDR'));
  if (strings(o, 'spec.podCIDRs').length > 0) w.line(0, 'PodCIDRs:', strings(o, 'spec.podCIDRs').join(','));
  if (str(o, 'spec.providerID') !== '') w.line(0, 'ProviderID:', str(o, 'spec.providerID'));
  const mine = all.filter((p) => str(p, 'spec.nodeName') === name && !['Succeeded', 'Failed'].includes(str(p, 'status.phase'))); // prettier-ignore
  const has = at(o, 'status.allocatable') !== undefined ? 'status.allocatable' : 'status.capacity';
  const allocatable = amounts(map(o, has));
  pods(w, mine, allocatable, age);
  allocated(w, mine, allocatable);
}
