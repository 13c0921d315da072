/**
 * `kubectl delete`: asks for the deletion of each object, then waits until they are gone.
 * @module
 */
import { namesOf, typeOf } from '../../api-server/kinds.js';
import { Refused } from '../../api-server/server.js';
import { withMeta } from '../../api-server/store.js';
import type { KubeObject } from '../../api/types.js';
import { deletePod, graceOf, isTerminating, timestamp } from '../../control-plane/pods.js';
import { isOwner } from '../../controllers/workloads.js';
import { flag, forEach, fromFiles, isOn, KubectlError, named, numberFlag, type Session } from './run.js';

export function remove(s: Session): void {
  const grace = graceFlag(s);
  const ignore = isOn(s, 'ignore-not-found');
  const wanted = targets(s, ignore);
  if (wanted.objects.length === 0 && wanted.fine && !ignore) s.out('No resources found\n');
  const asked: KubeObject[] = [];
  const fine = forEach(s, wanted.objects, (o) => {
    const now = s.loop.store.get(o.kind, o.metadata.namespace, o.metadata.name);
    if (now === null) {
      if (ignore) return;
      s.api.get(o.kind, o.metadata.namespace, o.metadata.name);
    }
    deleting(s, now!, grace);
    asked.push(now!);
    const where = namesOf(o.kind).namespaced ? ` from ${o.metadata.namespace} namespace` : '';
    const how = grace === 0 && isOn(s, 'force') ? 'force deleted' : 'deleted';
    s.out(`${typeOf(namesOf(o.kind))} "${o.metadata.name}" ${how}${where}\n`);
  });
  const code = fine && wanted.fine ? 0 : 1;
  if (flag(s, 'wait') === 'false' || isOn(s, 'force')) return s.exit(code);
  whenGone(s, asked, () => s.exit(code));
}

function targets(s: Session, ignore: boolean): { objects: KubeObject[]; fine: boolean } {
  if (flag(s, 'filename') !== null) return { objects: fromFiles(s).map((x) => x.object), fine: true };
  if (!ignore) return named(s, s.request.words);
  const quiet: Session = { ...s, err: () => {} };
  return { ...named(quiet, s.request.words), fine: true };
}

/** Seconds; null: each object's own. */
function graceFlag(s: Session): number | null {
  const given = numberFlag(s, 'grace-period');
  const force = isOn(s, 'force');
  if (isOn(s, 'now')) {
    if (given !== null) throw new KubectlError('error: --now and --grace-period cannot be specified together');
    return 1;
  }
  if (force && given !== null && given > 0)
    throw new KubectlError('error: --force and --grace-period greater than 0 cannot be specified together');
  if (force) {
    s.err('Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n'); // prettier-ignore
    return 0;
  }
  // Without --force, 0 is taken for 1.
  return given === null || given < 0 ? null : Math.max(1, given);
}

/** DELETE of one object. */
export function deleting(s: Session, o: KubeObject, grace: number | null): void {
  const { store, now } = s.loop;
  const { namespace, name } = o.metadata;
  if (o.kind === 'Pod') {
    if (grace === 0) store.remove('Pod', namespace, name);
    else deletePod(s.loop, o, grace ?? graceOf(o));
    return;
  }
  if (o.kind === 'Node') throw new Refused('Forbidden', `nodes "${name}" is forbidden: podwire's machines stay`);
  if (o.kind === 'Namespace') {
    if (['default', 'kube-system', 'kube-public'].includes(name))
      throw new Refused('Forbidden', `namespaces "${name}" is forbidden: this namespace may not be deleted`);
    if (!isTerminating(o)) store.put(withMeta(o, { deletionTimestamp: timestamp(now) }));
    return;
  }
  if (flag(s, 'cascade') === 'orphan') orphan(s, o);
  store.remove(o.kind, namespace, name);
}

function orphan(s: Session, o: KubeObject): void {
  for (const kind of ['ReplicaSet', 'Pod'] as const)
    for (const x of s.loop.store.list(kind)) if (isOwner(o, x)) s.loop.store.put(withMeta(x, { ownerReferences: [] }));
}

/** Calls back once none of the objects is there any more; one made anew under the name is another. */
export function whenGone(s: Session, objects: readonly KubeObject[], then: () => void): void {
  const left = new Map(objects.map((o) => [`${o.kind}/${o.metadata.namespace}/${o.metadata.name}`, o]));
  for (const [k, o] of left)
    if (s.loop.store.get(o.kind, o.metadata.namespace, o.metadata.name) === null) left.delete(k);
  if (left.size === 0) return then();
  s.loop.store.watch((e) => {
    if (e.object !== null || !left.delete(`${e.kind}/${e.namespace}/${e.name}`) || left.size > 0) return;
    then();
  });
}
