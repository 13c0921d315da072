/**
 * `kubectl describe` of Deployments, ReplicaSets, StatefulSets, DaemonSets, and of Namespaces, ConfigMaps and Secrets.
 *
 * Keys of ConfigMaps and Secrets are in order here; Go walks them in random order.
 * @module
 */
import { fromBase64 } from '../../api/base64.js';
import { marshal, sortedKeys } from '../go-values.js';
import { at, int, type JsonMap, list, map, str, strings } from '../json.js';
import { labelText, selectorMatches, selectorOf } from '../text.js';
import { rfc1123, type Writer } from '../writer.js';
import type { Lookup } from './network.js';
import { controllerOf, podTemplate } from './pod.js';

const created = (o: JsonMap): string => rfc1123(str(o, 'metadata.creationTimestamp'));
const name = (w: Writer, o: JsonMap): void => {
  w.line(0, 'Name:', str(o, 'metadata.name'));
  w.line(0, 'Namespace:', str(o, 'metadata.namespace'));
};
const labels = (w: Writer, o: JsonMap): void => {
  w.labels('Labels', map(o, 'metadata.labels'));
  w.annotations('Annotations', map(o, 'metadata.annotations'));
};

/** The pods that an object controls, by their phases. */
function podsStatus(o: JsonMap, api: Lookup): string {
  const mine = api.list('Pod').filter((p) => list(p, 'metadata.ownerReferences').some((r) => r['controller'] === true && str(r, 'uid') === str(o, 'metadata.uid')) && str(p, 'metadata.namespace') === str(o, 'metadata.namespace') && selectorMatches(map(o, 'spec.selector'), map(p, 'metadata.labels'))); // prettier-ignore
  const count = (phase: string): number => mine.filter((p) => str(p, 'status.phase') === phase).length;
  return `${count('Running')} Running / ${count('Pending')} Waiting / ${count('Succeeded')} Succeeded / ${count('Failed')} Failed`; // prettier-ignore
}

function conditions(w: Writer, o: JsonMap): void {
  const all = list(o, 'status.conditions');
  if (all.length === 0) return;
  w.put(0, 'Conditions:\n  Type\tStatus\tReason\n');
  w.line(1, '----', '------', '------');
  for (const c of all) w.line(1, `${str(c, 'type')} `, str(c, 'status'), str(c, 'reason'));
}

/** A template as it is compared with that of a ReplicaSet. */
function plainTemplate(o: JsonMap): string {
  const t = structuredClone(map(o, 'spec.template'));
  delete map(t, 'metadata.labels')['pod-template-hash'];
  return marshal(t);
}

/** describeDeployment, without its events. */
export function describeDeployment(w: Writer, o: JsonMap, api: Lookup): void {
  const n = (path: string): number => int(o, path);
  name(w, o);
  w.line(0, 'CreationTimestamp:', created(o));
  labels(w, o);
  w.line(0, 'Selector:', selectorOf(map(o, 'spec.selector')));
  w.line(0, 'Replicas:', `${n('spec.replicas')} desired | ${n('status.updatedReplicas')} updated | ${n('status.replicas')} total | ${n('status.availableReplicas')} available | ${n('status.unavailableReplicas')} unavailable`); // prettier-ignore
  w.line(0, 'StrategyType:', str(o, 'spec.strategy.type'));
  w.line(0, 'MinReadySeconds:', String(n('spec.minReadySeconds')));
  const rolling = map(o, 'spec.strategy.rollingUpdate');
  if (Object.keys(rolling).length > 0)
    w.line(0, 'RollingUpdateStrategy:', `${str(rolling, 'maxUnavailable')} max unavailable, ${str(rolling, 'maxSurge')} max surge`); // prettier-ignore
  podTemplate(w, map(o, 'spec.template'));
  conditions(w, o);
  const owned = api.list('ReplicaSet').filter((r) => list(r, 'metadata.ownerReferences').some((x) => x['controller'] === true && str(x, 'uid') === str(o, 'metadata.uid'))); // prettier-ignore
  const wanted = plainTemplate(o);
  const current = owned.find((r) => plainTemplate(r) === wanted);
  const show = (all: JsonMap[]): string => all.map((r) => `${str(r, 'metadata.name')} (${int(r, 'status.replicas')}/${int(r, 'spec.replicas')} replicas created)`).join(', ') || '<none>'; // prettier-ignore
  const old = owned.filter((r) => r !== current);
  if (owned.length === 0) return;
  w.line(0, 'OldReplicaSets:', show(old));
  w.line(0, 'NewReplicaSet:', show(current === undefined ? [] : [current]));
}

/** describeReplicaSet, without its events. */
export function describeReplicaSet(w: Writer, o: JsonMap, api: Lookup): void {
  name(w, o);
  w.line(0, 'Selector:', selectorOf(map(o, 'spec.selector')));
  labels(w, o);
  if (controllerOf(o) !== '') w.line(0, 'Controlled By:', controllerOf(o));
  w.line(0, 'Replicas:', `${int(o, 'status.replicas')} current / ${int(o, 'spec.replicas')} desired`);
  w.line(0, 'Pods Status:', podsStatus(o, api));
  podTemplate(w, map(o, 'spec.template'));
  conditions(w, o);
}

function claims(w: Writer, all: JsonMap[]): void {
  if (all.length === 0) return w.line(0, 'Volume Claims:', '<none>');
  w.line(0, 'Volume Claims:');
  for (const c of all) {
    const beta = 'volume.beta.kubernetes.io/storage-class';
    const annotations = map(c, 'metadata.annotations');
    w.line(1, 'Name:', str(c, 'metadata.name'));
    w.line(1, 'StorageClass:', typeof annotations[beta] === 'string' ? annotations[beta] : str(c, 'spec.storageClassName')); // prettier-ignore
    for (const [title, m] of [['Labels', map(c, 'metadata.labels')], ['Annotations', annotations]] as const) // prettier-ignore
      w.lines(title, sortedKeys(m).map((k) => `${k}=${String(m[k])}`), '  '); // prettier-ignore
    w.line(1, 'Capacity:', str(map(c, 'spec.resources.requests'), 'storage') || '<default>');
    w.line(1, 'Access Modes:', `[${strings(c, 'spec.accessModes').join(' ')}]`);
  }
}

/** describeStatefulSet, without its events. */
export function describeStatefulSet(w: Writer, o: JsonMap, api: Lookup): void {
  name(w, o);
  w.line(0, 'CreationTimestamp:', created(o));
  w.line(0, 'Selector:', selectorOf(map(o, 'spec.selector')));
  labels(w, o);
  w.line(0, 'Replicas:', `${int(o, 'spec.replicas')} desired | ${int(o, 'status.replicas')} total`);
  w.line(0, 'Update Strategy:', str(o, 'spec.updateStrategy.type'));
  if (at(o, 'spec.updateStrategy.rollingUpdate.partition') !== undefined) {
    w.line(1, 'Partition:', String(int(o, 'spec.updateStrategy.rollingUpdate.partition')));
    const max = str(o, 'spec.updateStrategy.rollingUpdate.maxUnavailable');
    if (max !== '') w.line(1, 'MaxUnavailable:', max);
  }
  w.line(0, 'Pods Status:', podsStatus(o, api));
  podTemplate(w, map(o, 'spec.template'));
  claims(w, list(o, 'spec.volumeClaimTemplates'));
}

const SCHEDULED: [title: string, key: string][] = [
  ['Desired Number of Nodes Scheduled', 'desiredNumberScheduled'], ['Current Number of Nodes Scheduled', 'currentNumberScheduled'],
  ['Number of Nodes Scheduled with Up-to-date Pods', 'updatedNumberScheduled'], ['Number of Nodes Scheduled with Available Pods', 'numberAvailable'],
  ['Number of Nodes Misscheduled', 'numberMisscheduled'],
]; // prettier-ignore

/** describeDaemonSet, without its events. */
export function describeDaemonSet(w: Writer, o: JsonMap, api: Lookup): void {
  name(w, o);
  w.line(0, 'Selector:', selectorOf(map(o, 'spec.selector')));
  w.line(0, 'Node-Selector:', labelText(map(o, 'spec.template.spec.nodeSelector')));
  labels(w, o);
  for (const [title, key] of SCHEDULED) w.line(0, `${title}: ${int(o, `status.${key}`)}`);
  w.line(0, 'Pods Status:', podsStatus(o, api));
  podTemplate(w, map(o, 'spec.template'));
}

/** describeNamespace: podwire has neither quotas nor limit ranges. */
export function describeNamespace(w: Writer, o: JsonMap): void {
  w.line(0, 'Name:', str(o, 'metadata.name'));
  labels(w, o);
  w.line(0, 'Status:', str(o, 'status.phase'));
  w.put(0, '\nNo resource quota.\n\nNo LimitRange resource.\n');
}

const decoded = (v: unknown): Uint8Array => fromBase64(String(v));

/** describeSecret. */
export function describeSecret(w: Writer, o: JsonMap): void {
  name(w, o);
  labels(w, o);
  w.put(0, `\nType:\t${str(o, 'type')}\n\nData\n====\n`);
  const data = map(o, 'data');
  const shown = str(o, 'type') === 'kubernetes.io/service-account-token' ? 'token' : '';
  for (const k of sortedKeys(data))
    w.line(0, `${k}:`, k === shown ? new TextDecoder().decode(decoded(data[k])) : `${decoded(data[k]).length} bytes`);
}

/** ConfigMaps, without their events. */
export function describeConfigMap(w: Writer, o: JsonMap): void {
  name(w, o);
  labels(w, o);
  w.put(0, '\nData\n====\n');
  const data = map(o, 'data');
  for (const k of sortedKeys(data)) w.put(0, `${k}:\n----\n${String(data[k])}\n\n`);
  w.put(0, '\nBinaryData\n====\n');
  const binary = map(o, 'binaryData');
  for (const k of sortedKeys(binary)) w.put(0, `${k}: ${decoded(binary[k]).length} bytes\n`);
  w.put(0, '\n');
}
