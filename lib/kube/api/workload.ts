/**
 * Deployment, ReplicaSet, StatefulSet and DaemonSet: YAML to defaulted objects (pkg/apis/apps/v1/defaults.go, validation).
 * @module
 */
import type { At } from './at.js';
import { forbidden, invalid, invalidChild, required, textOf, unsupported } from './field-error.js';
import { objectMeta } from './meta.js';
import { annotations, dnsLabel, dnsSubdomain, labels, notNegative } from './names.js';
import { podSpec } from './pod.js';
import { labelSelector, requirements, selects } from './selector.js';
import type { DaemonSet, Deployment, LabelSelector, PodTemplate, ReplicaSet, StatefulSet } from './types.js';

const PERCENT = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"; // prettier-ignore
const MISMATCH = '`selector` does not match template `labels`';
const NO_MATCH = `Invalid value: null: ${MISMATCH}`;

/** spec; absent is as empty, so that the first field that it needs is missed. */
const specOf = (at: At): At => at.opt('spec') ?? at.failAbsent('spec.selector', 'Required value');

/** The selector and the template it has to choose. */
function chosen(spec: At, kind: string): { selector: LabelSelector; template: PodTemplate } {
  const given = spec.opt('selector');
  if (given === null && kind !== 'daemonset') required(spec, 'selector');
  const selectorAt = given ?? spec;
  const selector = given === null ? { matchLabels: {}, matchExpressions: [] } : labelSelector(given);
  // ValidateReplicaSetSpec has the Deployment's word.
  const word = kind === 'replicaset' ? 'deployment' : kind;
  if (given !== null && requirements(selector).length === 0)
    invalid(selectorAt, `empty selector is invalid for ${word}`, {});
  const template = spec.opt('template') ?? spec.failAbsent('template.metadata.labels', NO_MATCH);
  const tm = template.opt('metadata');
  const labelsAt = tm?.opt('labels') ?? null;
  const own = labelsAt?.strings() ?? {};
  if (given === null || !selects(requirements(selector), own))
    labelsAt === null ? template.failAbsent('metadata.labels', NO_MATCH) : invalid(labelsAt, MISMATCH);
  labels(labelsAt?.called(`${template.path}.labels`) ?? null);
  const metadata = { labels: own, annotations: annotations(tm?.opt('annotations') ?? null) };
  const specAt = template.opt('spec') ?? template.failAbsent('spec.containers', 'Required value');
  const pod = podSpec(specAt);
  const policy = textOf(specAt, 'restartPolicy');
  if (policy !== '' && policy !== 'Always') unsupported(specAt.req('restartPolicy'), ['Always']);
  return { selector, template: { metadata, spec: pod } };
}

/** A number of pods or seconds. */
function number(spec: At, key: string, initial: number): number {
  const at = spec.opt(key);
  return at === null ? initial : notNegative(at);
}

/** A number of pods, or `N%` of them (ValidatePositiveIntOrPercent). */
function intOrPercent(at: At | null, initial: number | string): number | string {
  if (at === null) return initial;
  if (at.jsonType === 'number') return notNegative(at);
  return /^[0-9]+%$/.test(at.str()) ? at.str() : invalid(at, PERCENT);
}

const isZero = (v: number | string): boolean => Number.parseInt(String(v), 10) === 0;

/** ValidateDeploymentStrategy */
function strategy(at: At | null): Deployment['spec']['strategy'] {
  const type = at === null || textOf(at, 'type') === '' ? 'RollingUpdate' : textOf(at, 'type');
  const rolling = at?.opt('rollingUpdate') ?? null;
  if (type === 'Recreate' && rolling !== null)
    forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'");
  if (type !== 'Recreate' && type !== 'RollingUpdate') {
    const of = (k: string): unknown => rolling?.opt(k)?.plain() ?? 0;
    const update = rolling === null ? null : { MaxUnavailable: of('maxUnavailable'), MaxSurge: of('maxSurge') };
    unsupported(at!.req('type').called(at!.path), ['Recreate', 'RollingUpdate'], { Type: type, RollingUpdate: update });
  }
  const maxUnavailable = intOrPercent(rolling?.opt('maxUnavailable') ?? null, '25%');
  const maxSurge = intOrPercent(rolling?.opt('maxSurge') ?? null, '25%');
  if (isZero(maxSurge) && isZero(maxUnavailable))
    invalid(rolling!.req('maxUnavailable'), 'may not be 0 when `maxSurge` is 0');
  return { type: type as 'Recreate' | 'RollingUpdate', maxSurge, maxUnavailable };
}

export function deployment(at: At): Deployment {
  const spec = specOf(at);
  if (spec.opt('paused')?.bool() === true) spec.req('paused').fail('paused Deployments are not supported yet');
  const replicas = number(spec, 'replicas', 1);
  const rollout = strategy(spec.opt('strategy'));
  const minReadySeconds = number(spec, 'minReadySeconds', 0);
  const revisionHistoryLimit = number(spec, 'revisionHistoryLimit', 10);
  // A rollout that makes no progress is only reported by the real controller.
  if (number(spec, 'progressDeadlineSeconds', 600) <= minReadySeconds)
    invalidChild(spec, 'progressDeadlineSeconds', 'must be greater than minReadySeconds', number(spec, 'progressDeadlineSeconds', 600)); // prettier-ignore
  return {
    kind: 'Deployment',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: { replicas, ...chosen(spec, 'deployment'), strategy: rollout, minReadySeconds, revisionHistoryLimit },
  };
}

export function replicaSet(at: At): ReplicaSet {
  const spec = specOf(at);
  return {
    kind: 'ReplicaSet',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      replicas: number(spec, 'replicas', 1),
      ...chosen(spec, 'replicaset'),
      minReadySeconds: number(spec, 'minReadySeconds', 0),
    },
  };
}

/** validateStatefulSet's spec.updateStrategy */
function statefulStrategy(at: At | null): StatefulSet['spec']['updateStrategy'] {
  const type = at === null || textOf(at, 'type') === '' ? 'RollingUpdate' : textOf(at, 'type');
  const rolling = at?.opt('rollingUpdate') ?? null;
  rolling?.opt('maxUnavailable')?.fail('maxUnavailable of StatefulSets is not supported yet');
  const partition = rolling === null ? 0 : number(rolling, 'partition', 0);
  if (type !== 'RollingUpdate' && type !== 'OnDelete') {
    const update = rolling === null ? null : { Partition: partition, MaxUnavailable: null };
    invalid(at!.req('type').called(at!.path), "must be 'RollingUpdate' or 'OnDelete'", { Type: type, RollingUpdate: update }); // prettier-ignore
  }
  return { type: type as 'RollingUpdate' | 'OnDelete', partition };
}

export function statefulSet(at: At): StatefulSet {
  const spec = specOf(at);
  const management = spec.opt('podManagementPolicy');
  const policy = management === null || management.str() === '' ? 'OrderedReady' : management.str();
  if (policy !== 'OrderedReady' && policy !== 'Parallel') invalid(management!, "must be 'OrderedReady' or 'Parallel'");
  const updateStrategy = statefulStrategy(spec.opt('updateStrategy'));
  // Storage changes no frame; old revisions are only looked at by `rollout undo`: neither is read.
  return {
    kind: 'StatefulSet',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      replicas: number(spec, 'replicas', 1),
      ...chosen(spec, 'statefulset'),
      serviceName: textOf(spec, 'serviceName') === '' ? '' : dnsLabel(spec.req('serviceName')),
      podManagementPolicy: policy as 'OrderedReady' | 'Parallel',
      updateStrategy,
      minReadySeconds: number(spec, 'minReadySeconds', 0),
      ordinalsStart: spec.opt('ordinals') === null ? 0 : number(spec.req('ordinals'), 'start', 0),
    },
  };
}

/** ValidateDaemonSetUpdateStrategy */
function daemonStrategy(at: At | null): DaemonSet['spec']['updateStrategy'] {
  const type = at === null || textOf(at, 'type') === '' ? 'RollingUpdate' : textOf(at, 'type');
  const rolling = at?.opt('rollingUpdate') ?? null;
  const surge = rolling?.opt('maxSurge') ?? null;
  const unavailable = rolling?.opt('maxUnavailable') ?? null;
  const maxSurge = intOrPercent(surge, 0);
  const maxUnavailable = intOrPercent(unavailable, 1);
  if (type !== 'RollingUpdate' && type !== 'OnDelete') {
    const update = rolling === null ? null : { MaxUnavailable: maxUnavailable, MaxSurge: maxSurge };
    unsupported(at!.req('type').called(at!.path), ['RollingUpdate', 'OnDelete'], { Type: type, RollingUpdate: update });
  }
  if (isZero(maxUnavailable) && isZero(maxSurge))
    required(rolling!, 'maxUnavailable', 'cannot be 0 when maxSurge is 0');
  if (!isZero(maxUnavailable) && !isZero(maxSurge)) invalid(surge!, 'may not be set when maxUnavailable is non-zero');
  return { type: type as 'RollingUpdate' | 'OnDelete', maxSurge, maxUnavailable };
}

export function daemonSet(at: At): DaemonSet {
  const spec = at.opt('spec') ?? at.failAbsent('spec.template.metadata.labels', NO_MATCH);
  number(spec, 'revisionHistoryLimit', 10);
  return {
    kind: 'DaemonSet',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: {
      ...chosen(spec, 'daemonset'),
      updateStrategy: daemonStrategy(spec.opt('updateStrategy')),
      minReadySeconds: number(spec, 'minReadySeconds', 0),
    },
  };
}
