/**
 * kubectl's verbs that change a cluster: run against the API server, at an instant of the virtual clock.
 * @module
 */
import { isMap, type Json, jsonPatch, mergePatch, strategicMerge } from '../../api-server/patches.js';
import { Refused } from '../../api-server/server.js';
import { documents } from '../../api/at.js';
import { isLabelValue } from '../../api/names.js';
import type { KubeObject } from '../../api/types.js';
import { InputError } from '../../../sim/input-error.js';
import { apply, create, type LastApplied, replace } from './apply.js';
import { remove } from './delete.js';
import { cordon, drain, taint } from './nodes.js';
import { rollout, set } from './rollout.js';
import { flag, forEach, fromFiles, isOn, isQualifiedName, KubectlError, named, nameOf, numberFlag, serverError, type Session } from './run.js'; // prettier-ignore

export { LastApplied } from './apply.js';
export { type ChangeError, type ChangeRequest, parseChange } from './args.js';
export { type Session, Unsupported } from './run.js';

/** Runs a changing verb: prints and ends through the session, later too. Throws InputError for manifests that are none, Unsupported. */
export function change(s: Session, last: LastApplied): void {
  try {
    verbs(s, last);
  } catch (e) {
    if (e instanceof KubectlError) s.err(`${e.message}\n`);
    else if (e instanceof Refused) s.err(`${serverError(e)}\n`);
    else throw e;
    s.exit(1);
  }
}

function verbs(s: Session, last: LastApplied): void {
  switch (s.request.verb) {
    case 'apply':
      return apply(s, last);
    case 'create':
      return create(s);
    case 'replace':
      return replace(s);
    case 'delete':
      return remove(s);
    case 'scale':
      return scale(s);
    case 'rollout':
      return rollout(s);
    case 'label':
      return mark(s, 'labels');
    case 'annotate':
      return mark(s, 'annotations');
    case 'patch':
      return patch(s);
    case 'cordon':
      return cordon(s, true);
    case 'uncordon':
      return cordon(s, false);
    case 'drain':
      return drain(s);
    case 'taint':
      return taint(s);
    case 'set':
      return set(s);
  }
}

function scale(s: Session): void {
  const replicas = numberFlag(s, 'replicas');
  if (replicas === null || replicas < 0)
    throw new KubectlError(
      'error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0',
    );
  const current = numberFlag(s, 'current-replicas') ?? -1;
  const of = flag(s, 'filename') === null ? named(s, s.request.words) : { objects: fromFiles(s).map((x) => x.object), fine: true }; // prettier-ignore
  if (of.objects.length === 0) {
    if (of.fine) throw new KubectlError('error: no objects passed to scale');
    return s.exit(1);
  }
  const done = forEach(s, of.objects, (o) => {
    const { kind, metadata } = o;
    if (kind !== 'Deployment' && kind !== 'ReplicaSet' && kind !== 'StatefulSet')
      throw new KubectlError('Error from server (NotFound): the server could not find the requested resource');
    const now = s.api.get(kind, metadata.namespace, metadata.name);
    if (current >= 0 && now.spec.replicas !== current)
      throw new KubectlError(`error: Expected replicas to be ${current}, was ${now.spec.replicas}`);
    s.api.update(kind, metadata.namespace, metadata.name, (form) => {
      const spec = isMap(form['spec']) ? form['spec'] : {};
      return { ...form, spec: { ...spec, replicas } };
    });
    s.out(`${nameOf(o)} scaled\n`);
  });
  s.exit(of.fine && done ? 0 : 1);
}

/** `kubectl label` and `annotate`: `KEY=VALUE` and `KEY-`. */
function mark(s: Session, field: 'labels' | 'annotations'): void {
  const word = field === 'labels' ? 'label' : 'annotation';
  const [first, ...more] = s.request.words;
  const specs = more.filter((w) => w.includes('=') || w.endsWith('-'));
  if (specs.length === 0) throw new KubectlError(`error: at least one ${word} update is required`);
  for (const w of specs) checkMark(w, word);
  const { objects, fine } = named(s, [first ?? '', ...more.filter((w) => !specs.includes(w))]);
  const done = forEach(s, objects, (o) => marked(s, o, field, specs));
  s.exit(fine && done ? 0 : 1);
}

function checkMark(spec: string, word: string): void {
  const at = spec.indexOf('=');
  const [key, value] = at < 0 ? [spec.slice(0, -1), ''] : [spec.slice(0, at), spec.slice(at + 1)];
  if (!isQualifiedName(key) || (word === 'label' && !isLabelValue(value)))
    throw new KubectlError(`error: invalid ${word} ${at < 0 || !isQualifiedName(key) ? 'spec' : 'value'}: "${spec}"`);
}

function marked(s: Session, o: KubeObject, field: 'labels' | 'annotations', specs: string[]): void {
  const next = { ...o.metadata[field] };
  let [set, gone] = [false, false];
  for (const w of specs) {
    const at = w.indexOf('=');
    const key = at < 0 ? w.slice(0, -1) : w.slice(0, at);
    if (at < 0) {
      if (!Object.hasOwn(next, key)) s.out(`${field === 'labels' ? 'label' : 'annotation'} "${key}" not found.\n`);
      else gone = true;
      delete next[key];
      continue;
    }
    const value = w.slice(at + 1);
    if (Object.hasOwn(next, key) && next[key] !== value && !isOn(s, 'overwrite'))
      throw new KubectlError(`error: '${key}' already has a value (${next[key]}), and --overwrite is false`);
    set ||= next[key] !== value;
    next[key] = value;
  }
  const done = field === 'labels' ? 'labeled' : 'annotated';
  if (!set && !gone) return s.out(`${nameOf(o)} ${field === 'labels' ? 'not labeled' : done}\n`);
  s.api.mark(o, field, next);
  s.out(`${nameOf(o)} ${set || field === 'annotations' ? done : 'unlabeled'}\n`);
}

function patch(s: Session): void {
  const text = flag(s, 'patch');
  if (text === null)
    throw new KubectlError('error: must specify --patch or --patch-file containing the contents of the patch');
  const type = flag(s, 'type') ?? 'strategic';
  if (!['json', 'merge', 'strategic'].includes(type))
    throw new KubectlError(`error: --type must be one of [json merge strategic], not "${type}"`);
  const body = parsed(text);
  const { objects, fine } = named(s, s.request.words);
  if (objects.length === 0 && fine) throw new KubectlError('error: no objects passed to patch');
  const done = forEach(s, objects, (o) => {
    const changed = s.api.update(o.kind, o.metadata.namespace, o.metadata.name, (form) => {
      if (type === 'json') return operated(form, body, o);
      return type === 'merge' ? mergePatch(form, body) : strategicMerge(form, body);
    });
    s.out(`${nameOf(o)} patched${changed ? '' : ' (no change)'}\n`);
  });
  s.exit(fine && done ? 0 : 1);
}

function operated(form: Json, body: Json, o: KubeObject): Json {
  try {
    return jsonPatch(form, body);
  } catch (e) {
    throw new KubectlError(`The request is invalid: the server rejected our request due to an error in our request: ${o.metadata.name}: ${(e as Error).message}`); // prettier-ignore
  }
}

/** A patch as YAML or JSON. */
function parsed(text: string): Json {
  try {
    return (documents(text, 'the patch')[0]?.plain() ?? null) as Json;
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    throw new KubectlError(`error: unable to parse "${text}": ${e.reason}`);
  }
}
