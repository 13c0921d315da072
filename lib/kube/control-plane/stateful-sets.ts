/**
 * The statefulset controller: pods by their ordinals, made upwards, ended and updated downwards, one at a time unless Parallel.
 *
 * Upstream: pkg/controller/statefulset, updateStatefulSet. A pod that is being deleted is made again only once it is gone.
 * @module
 */
import type { Pod, StatefulSet } from '../api/types.js';
import { ordinalPod } from '../controllers/workloads.js';
import { type Loop, splitKey } from './loop.js';
import { checkRoom, createPod, deletePod, isAvailable, isTerminating, ownedPods, whenAvailable } from './pods.js';

const REVISION = 'controller-revision-hash';

export function statefulSetController(loop: Loop): void {
  const { store } = loop;
  const enqueue = loop.controller(
    (e) => {
      if (e.kind === 'StatefulSet' && e.object !== null) return [`${e.namespace}/${e.name}`];
      if (e.kind !== 'Pod') return [];
      const owners = (e.object ?? e.before)!.metadata.ownerReferences;
      return owners.filter((r) => r.kind === 'StatefulSet').map((r) => `${e.namespace}/${r.name}`);
    },
    (key) => {
      const s = store.get('StatefulSet', ...splitKey(key));
      if (s === null || isTerminating(s)) return;
      const pods = ownedPods(loop, s);
      for (const p of pods) whenAvailable(loop, p, s.spec.minReadySeconds, () => enqueue(key));
      sync(loop, s, pods, loop.revisions.of(s));
    },
  );
}

const ordinalOf = (p: Pod): number => Number(p.metadata.name.slice(p.metadata.name.lastIndexOf('-') + 1));

function sync(loop: Loop, s: StatefulSet, pods: Pod[], revision: string): void {
  const { replicas, ordinalsStart: start, podManagementPolicy, minReadySeconds } = s.spec;
  checkRoom(loop, s, replicas - pods.length);
  const ordered = podManagementPolicy === 'OrderedReady';
  const healthy = (p: Pod): boolean => p.status.phase === 'Running' && p.status.ready && !isTerminating(p);
  const by = new Map(pods.map((p) => [ordinalOf(p), p]));
  const wanted = Array.from({ length: replicas }, (_, i) => start + i);
  const condemned = [...by.keys()].filter((n) => n < start || n >= start + replicas).sort((a, b) => b - a);
  for (const n of wanted) {
    const p = by.get(n);
    if (p === undefined) {
      // Below the partition the current revision would be made again; it is that of the pods that are there.
      const old = pods.find((x) => ordinalOf(x) < s.spec.updateStrategy.partition)?.metadata.labels[REVISION];
      createPod(loop, ordinalPod(s, n, n < start + s.spec.updateStrategy.partition ? (old ?? revision) : revision));
      if (ordered) return;
    } else if (ordered && (isTerminating(p) || !healthy(p) || !isAvailable(p, minReadySeconds, loop.now))) return;
  }
  const sick = [...wanted, ...[...condemned].reverse()].find((n) => by.get(n) !== undefined && !healthy(by.get(n)!));
  for (const n of condemned) {
    const p = by.get(n)!;
    if (isTerminating(p)) {
      if (ordered) return;
      continue;
    }
    if (ordered && !healthy(p) && n !== sick) return;
    deletePod(loop, p);
    if (ordered) return;
  }
  if (s.spec.updateStrategy.type === 'OnDelete') return;
  for (const n of [...wanted].reverse()) {
    if (n < start + s.spec.updateStrategy.partition) return;
    const p = by.get(n);
    if (p === undefined) return;
    if (p.metadata.labels[REVISION] !== revision && !isTerminating(p)) return deletePod(loop, p);
    if (!healthy(p)) return;
  }
}
