/**
 * `kubectl rollout restart`, `undo` and `status`, and `kubectl set image`.
 * @module
 */
import { isMap, type JsonMap } from '../../api-server/patches.js';
import type { DaemonSet, Deployment, KubeObject, StatefulSet } from '../../api/types.js';
import { REVISION, replicaSetsOf, revisionOf, sameTemplate } from '../../control-plane/deployments.js';
import type { Loop } from '../../control-plane/loop.js';
import { isActive, isAvailable, ownedPods, timestamp } from '../../control-plane/pods.js';
import { flag, forEach, KubectlError, Unsupported, named, nameOf, numberFlag, type Session } from './run.js';

type Rolled = Deployment | StatefulSet | DaemonSet;
const isRolled = (o: KubeObject): o is Rolled => ['Deployment', 'StatefulSet', 'DaemonSet'].includes(o.kind);

export function rollout(s: Session): void {
  const [what = '', ...words] = s.request.words;
  if (!['restart', 'undo', 'status'].includes(what))
    throw new Unsupported(`podwire's kubectl: rollout ${what} is not supported yet`);
  if (words.length === 0) throw new KubectlError('error: required resource not specified');
  const { objects, fine } = named(s, words);
  if (what === 'status') return status(s, objects);
  const done = forEach(s, objects, (o) => {
    if (what === 'restart') restart(s, o);
    else undo(s, o);
  });
  s.exit(fine && done ? 0 : 1);
}

const mapAt = (m: JsonMap, key: string): JsonMap => {
  if (!isMap(m[key])) m[key] = {};
  return m[key] as JsonMap;
};

function restart(s: Session, o: KubeObject): void {
  if (!isRolled(o)) throw new KubectlError(`error: ${o.kind.toLowerCase()}s "${o.metadata.name}" restarting is not supported`); // prettier-ignore
  s.api.update(o.kind, o.metadata.namespace, o.metadata.name, (form) => {
    const meta = mapAt(mapAt(mapAt(form, 'spec'), 'template'), 'metadata');
    mapAt(meta, 'annotations')['kubectl.kubernetes.io/restartedAt'] = timestamp(s.loop.now);
    return form;
  });
  s.out(`${nameOf(o)} restarted\n`);
}

/** The template of an earlier ReplicaSet, by its revision or the one before the present. */
function undo(s: Session, o: KubeObject): void {
  if (o.kind !== 'Deployment')
    throw new Unsupported(`podwire's kubectl: rollout undo of a ${o.kind} is not supported yet`);
  const to = numberFlag(s, 'to-revision') ?? 0;
  const all = replicaSetsOf(s.loop, o).sort((a, b) => revisionOf(a) - revisionOf(b));
  const rs = to === 0 ? all.at(-2) : all.find((r) => r.metadata.annotations[REVISION] === String(to));
  if (rs === undefined)
    throw new KubectlError(to === 0 ? `error: no rollout history found for deployment "${o.metadata.name}"` : `error: unable to find specified revision ${to} in history`); // prettier-ignore
  if (sameTemplate(rs.spec.template, o.spec.template))
    return s.out(`${nameOf(o)} skipped rollback (current template already matches revision ${revisionOf(rs)})\n`);
  s.api.update(o.kind, o.metadata.namespace, o.metadata.name, (live) => {
    mapAt(live, 'spec')['template'] = s.api.templateOf(rs);
    return live;
  });
  s.out(`${nameOf(o)} rolled back\n`);
}

interface Counts {
  wanted: number;
  all: number;
  updated: number;
  available: number;
}

function count(loop: Loop, o: Rolled): Counts {
  const min = o.spec.minReadySeconds;
  const of = (pods: ReturnType<typeof ownedPods>, wanted: number, fresh: (p: (typeof pods)[number]) => boolean): Counts => {
    const active = pods.filter(isActive);
    return {
      wanted,
      all: active.length,
      updated: active.filter(fresh).length,
      available: active.filter((p) => isAvailable(p, min, loop.now)).length,
    };
  }; // prettier-ignore
  if (o.kind === 'Deployment') {
    const sets = replicaSetsOf(loop, o);
    const rs = sets.find((r) => sameTemplate(r.spec.template, o.spec.template));
    const mine = rs === undefined ? new Set<unknown>() : new Set<unknown>(ownedPods(loop, rs));
    return of(sets.flatMap((r) => ownedPods(loop, r)), o.spec.replicas, (p) => mine.has(p)); // prettier-ignore
  }
  const pods = ownedPods(loop, o);
  const newest = loop.revisions.of(o);
  const wanted = o.kind === 'StatefulSet' ? o.spec.replicas : pods.length;
  return of(pods, wanted, (p) => p.metadata.labels['controller-revision-hash'] === newest);
}

/** What the status viewers say; true: it is over. */
function viewed(loop: Loop, o: Rolled): [text: string, over: boolean] {
  const c = count(loop, o);
  const { name } = o.metadata;
  if (o.kind === 'Deployment') {
    const wait = `Waiting for deployment "${name}" rollout to finish:`;
    if (c.updated < c.wanted) return [`${wait} ${c.updated} out of ${c.wanted} new replicas have been updated...\n`, false]; // prettier-ignore
    if (c.all > c.updated) return [`${wait} ${c.all - c.updated} old replicas are pending termination...\n`, false];
    if (c.available < c.updated) return [`${wait} ${c.available} of ${c.updated} updated replicas are available...\n`, false]; // prettier-ignore
    return [`deployment "${name}" successfully rolled out\n`, true];
  }
  if (o.kind === 'DaemonSet') {
    const wait = `Waiting for daemon set "${name}" rollout to finish:`;
    if (c.updated < c.wanted) return [`${wait} ${c.updated} out of ${c.wanted} new pods have been updated...\n`, false];
    if (c.available < c.wanted) return [`${wait} ${c.available} of ${c.wanted} updated pods are available...\n`, false];
    return [`daemon set "${name}" successfully rolled out\n`, true];
  }
  if (c.available < c.wanted) return [`Waiting for ${c.wanted - c.available} pods to be ready...\n`, false];
  const least = c.wanted - o.spec.updateStrategy.partition;
  if (c.updated < least) return [`Waiting for partitioned roll out to finish: ${c.updated} out of ${least} new pods have been updated...\n`, false]; // prettier-ignore
  return [`partitioned roll out complete: ${c.updated} new pods have been updated...\n`, true];
}

function status(s: Session, objects: KubeObject[]): void {
  const [o, ...more] = objects;
  if (o === undefined) return s.exit(1);
  if (!isRolled(o) || more.length > 0) throw new KubectlError(`error: no status viewer has been implemented for ${o.kind}`); // prettier-ignore
  if (o.kind !== 'Deployment' && o.spec.updateStrategy.type !== 'RollingUpdate')
    throw new KubectlError('error: rollout status is only available for RollingUpdate strategy type');
  let said = '';
  let over = false;
  const look = (): void => {
    const now = s.loop.store.get(o.kind, o.metadata.namespace, o.metadata.name) as Rolled | null;
    if (over) return;
    if (now === null) {
      over = true;
      s.err('error: object has been deleted\n');
      return s.exit(1);
    }
    const [text, done] = viewed(s.loop, now);
    if (text !== said) s.out(text);
    said = text;
    over = done || flag(s, 'watch') === 'false';
    if (over) s.exit(0);
  };
  // Controllers act a moment after the write; kubectl waits for the generation they have seen.
  s.loop.controller(
    (e) => (e.kind === 'Pod' || e.kind === o.kind || e.kind === 'ReplicaSet' ? ['look'] : []),
    look,
  )('look');
}

/** `kubectl set image TYPE/NAME CONTAINER=IMAGE…`; `*` is every container. */
export function set(s: Session): void {
  const [what, ...rest] = s.request.words;
  if (what !== 'image') throw new Unsupported(`podwire's kubectl: set ${what ?? ''} is not supported yet`);
  const images = rest
    .filter((w) => w.includes('='))
    .map((w) => [w.slice(0, w.indexOf('=')), w.slice(w.indexOf('=') + 1)]);
  const { objects, fine } = named(s, rest.filter((w) => !w.includes('='))); // prettier-ignore
  if (images.length === 0) throw new KubectlError('error: at least one image update is required');
  const done = forEach(s, objects, (o) => {
    const changed = s.api.update(o.kind, o.metadata.namespace, o.metadata.name, (form) => {
      const spec = mapAt(form, 'spec');
      const pod = o.kind === 'Pod' ? spec : mapAt(mapAt(spec, 'template'), 'spec');
      const containers = (pod['containers'] ?? []) as JsonMap[];
      for (const [name, image] of images) {
        const hit = containers.filter((c) => name === '*' || c['name'] === name);
        if (hit.length === 0) throw new KubectlError(`error: unable to find container named "${name}"`);
        for (const c of hit) c['image'] = image!;
      }
      return form;
    });
    if (changed) s.out(`${nameOf(o)} image updated\n`);
  });
  s.exit(fine && done ? 0 : 1);
}
