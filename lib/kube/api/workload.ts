/**
 * Deployment, ReplicaSet, StatefulSet and DaemonSet: YAML to defaulted objects (pkg/apis/apps/v1/defaults.go, validation).
 * @module
 */
import { type At, quote } from './at.js';
import { objectMeta } from './meta.js';
import { annotations, dnsSubdomain, labels } from './names.js';
import { podSpec } from './pod.js';
import { labelSelector, requirements, selects } from './selector.js';
import { unread } from './shape.js';
import type { DaemonSet, Deployment, LabelSelector, PodTemplate, ReplicaSet, StatefulSet } from './types.js';

const MAX = 2 ** 31 - 1;

/** The selector and the template it has to choose. */
function chosen(spec: At, kind: string): { selector: LabelSelector; template: PodTemplate } {
  const template = spec.req('template').only('metadata', 'spec');
  const tm = template.opt('metadata')?.only('labels', 'annotations', 'name', 'namespace', 'creationTimestamp') ?? null;
  const selector = labelSelector(spec.req('selector'));
  if (requirements(selector).length === 0)
    spec.req('selector').fail(`found an empty selector, expected one: empty selector is invalid for ${kind}`);
  const own = labels(tm?.opt('labels') ?? null);
  if (!selects(requirements(selector), own))
    (tm?.opt('labels') ?? template).fail('found labels that the selector does not choose, expected: `selector` matches template `labels`'); // prettier-ignore
  const policy = template.req('spec').opt('restartPolicy');
  if (policy !== null && policy.str() !== 'Always') policy.fail(`found ${quote(policy.str())}, expected "Always"`);
  const metadata = { labels: own, annotations: annotations(tm?.opt('annotations') ?? null) };
  return { selector, template: { metadata, spec: podSpec(template.req('spec')) } };
}

const int = (spec: At, key: string, or: number): number => spec.opt(key)?.int(0, MAX) ?? or;

/** A number of pods, or `N%` of them. */
function intOrPercent(at: At | null, or: number | string): number | string {
  if (at === null) return or;
  const v = at.plain();
  if (typeof v === 'number') return at.int(0, MAX);
  const text = at.str();
  if (!/^\d+%$/.test(text)) at.fail(`found ${quote(text)}, expected a whole number or a percentage (e.g '5%')`);
  return text;
}

const isZero = (v: number | string): boolean => Number.parseInt(String(v), 10) === 0;

export function deployment(at: At): Deployment {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.req('spec').only('replicas', 'selector', 'template', 'strategy', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds', 'paused'); // prettier-ignore
  // A rollout that makes no progress is only reported by the real controller.
  unread(spec, { progressDeadlineSeconds: 'int' });
  if (spec.opt('paused')?.bool() === true) spec.req('paused').fail('paused Deployments are not supported yet');
  const strategy = spec.opt('strategy')?.only('type', 'rollingUpdate') ?? null;
  const type = strategy?.opt('type')?.oneOf('RollingUpdate', 'Recreate') ?? 'RollingUpdate';
  const rolling = strategy?.opt('rollingUpdate')?.only('maxSurge', 'maxUnavailable') ?? null;
  if (type === 'Recreate')
    rolling?.fail("found rollingUpdate, expected none: may not be specified when strategy `type` is 'Recreate'");
  const maxSurge = intOrPercent(rolling?.opt('maxSurge') ?? null, '25%');
  const maxUnavailable = intOrPercent(rolling?.opt('maxUnavailable') ?? null, '25%');
  if (isZero(maxSurge) && isZero(maxUnavailable))
    rolling!.req('maxUnavailable').fail('found 0, expected more: may not be 0 when `maxSurge` is 0');
  return {
    kind: 'Deployment',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      replicas: int(spec, 'replicas', 1),
      ...chosen(spec, 'deployment'),
      strategy: { type, maxSurge, maxUnavailable },
      minReadySeconds: int(spec, 'minReadySeconds', 0),
      revisionHistoryLimit: int(spec, 'revisionHistoryLimit', 10),
    },
  };
}

export function replicaSet(at: At): ReplicaSet {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.req('spec').only('replicas', 'selector', 'template', 'minReadySeconds');
  return {
    kind: 'ReplicaSet',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      replicas: int(spec, 'replicas', 1),
      ...chosen(spec, 'replicaset'),
      minReadySeconds: int(spec, 'minReadySeconds', 0),
    },
  };
}

export function statefulSet(at: At): StatefulSet {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.req('spec').only('replicas', 'selector', 'template', 'serviceName', 'podManagementPolicy', 'updateStrategy', 'minReadySeconds', 'revisionHistoryLimit', 'ordinals', 'volumeClaimTemplates', 'persistentVolumeClaimRetentionPolicy'); // prettier-ignore
  // Storage changes no frame; old revisions are only looked at by `rollout undo`.
  unread(spec, {
    volumeClaimTemplates: 'list',
    persistentVolumeClaimRetentionPolicy: 'map',
    revisionHistoryLimit: 'int',
  });
  const update = spec.opt('updateStrategy')?.only('type', 'rollingUpdate') ?? null;
  const type = update?.opt('type')?.oneOf('RollingUpdate', 'OnDelete') ?? 'RollingUpdate';
  const rolling = update?.opt('rollingUpdate')?.only('partition', 'maxUnavailable') ?? null;
  rolling?.opt('maxUnavailable')?.fail('maxUnavailable of StatefulSets is not supported yet');
  return {
    kind: 'StatefulSet',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      replicas: int(spec, 'replicas', 1),
      ...chosen(spec, 'statefulset'),
      serviceName: spec.opt('serviceName')?.str() ?? '',
      podManagementPolicy: spec.opt('podManagementPolicy')?.oneOf('OrderedReady', 'Parallel') ?? 'OrderedReady',
      updateStrategy: { type, partition: rolling === null ? 0 : int(rolling, 'partition', 0) },
      minReadySeconds: int(spec, 'minReadySeconds', 0),
      ordinalsStart: spec.opt('ordinals')?.only('start').opt('start')?.int(0, MAX) ?? 0,
    },
  };
}

export function daemonSet(at: At): DaemonSet {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.req('spec').only('selector', 'template', 'updateStrategy', 'minReadySeconds', 'revisionHistoryLimit');
  unread(spec, { revisionHistoryLimit: 'int' });
  const update = spec.opt('updateStrategy')?.only('type', 'rollingUpdate') ?? null;
  const type = update?.opt('type')?.oneOf('RollingUpdate', 'OnDelete') ?? 'RollingUpdate';
  const rolling = update?.opt('rollingUpdate')?.only('maxSurge', 'maxUnavailable') ?? null;
  const maxSurge = intOrPercent(rolling?.opt('maxSurge') ?? null, 0);
  const maxUnavailable = intOrPercent(rolling?.opt('maxUnavailable') ?? null, 1);
  if (isZero(maxSurge) === isZero(maxUnavailable))
    (rolling ?? spec).fail(`found maxSurge ${maxSurge} and maxUnavailable ${maxUnavailable}, expected one of them to be 0 and the other not`); // prettier-ignore
  return {
    kind: 'DaemonSet',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      ...chosen(spec, 'daemonset'),
      updateStrategy: { type, maxSurge, maxUnavailable },
      minReadySeconds: int(spec, 'minReadySeconds', 0),
    },
  };
}
