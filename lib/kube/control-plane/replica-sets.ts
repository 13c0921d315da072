/**
 * The replicaset controller: as many pods as a ReplicaSet wants, adopted, created or deleted in upstream's order.
 *
 * Upstream: pkg/controller/replicaset, ActivePodsWithRanks for which pods go first. Equal ones are told apart by their UID
 * there, which is random; here the youngest goes first.
 * @module
 */
import { withMeta } from '../api-server/store.js';
import { requirements, selects } from '../api/selector.js';
import type { Pod, ReplicaSet } from '../api/types.js';
import { isOwner, replica } from '../controllers/workloads.js';
import type { Loop } from './loop.js';
import { splitKey } from './loop.js';
import { checkRoom, createPod, deletePod, isActive, ownedPods } from './pods.js';

export function replicaSetController(loop: Loop): void {
  const { store } = loop;
  /** Pods that each ReplicaSet has made so far, for names. */
  const made = new Map<string, number>();
  for (const rs of store.list('ReplicaSet')) made.set(keyOf(rs), ownedPods(loop, rs).length);
  const candidates = (p: Pod | null): string[] => {
    if (p === null) return [];
    const owner = p.metadata.ownerReferences.find((r) => r.kind === 'ReplicaSet');
    if (owner !== undefined) return [`${p.metadata.namespace}/${owner.name}`];
    if (p.metadata.ownerReferences.length > 0) return [];
    const mine = store.list('ReplicaSet').filter((rs) => matches(rs, p));
    return mine.map(keyOf);
  };
  loop.controller(
    (e) => {
      if (e.kind === 'ReplicaSet' && e.object !== null) return [`${e.namespace}/${e.name}`];
      if (e.kind !== 'Pod') return [];
      return new Set([...candidates(e.object as Pod | null), ...candidates(e.before as Pod | null)]);
    },
    (key) => {
      const rs = store.get('ReplicaSet', ...splitKey(key));
      if (rs === null || rs.metadata.deletionTimestamp !== undefined) return;
      const pods = claim(loop, rs).filter(isActive);
      const diff = pods.length - rs.spec.replicas;
      checkRoom(loop, rs, -diff);
      for (let i = diff; i < 0; i++) {
        const n = made.get(key) ?? 0;
        made.set(key, n + 1);
        createPod(loop, replica(rs, n, loop.namesOf(rs.metadata.namespace)));
      }
      if (diff > 0) for (const p of inDeletionOrder(loop, rs, pods).slice(0, diff)) deletePod(loop, p);
    },
  );
}

const keyOf = (o: { metadata: { namespace: string; name: string } }): string =>
  `${o.metadata.namespace}/${o.metadata.name}`;

const matches = (rs: ReplicaSet, p: Pod): boolean =>
  p.metadata.namespace === rs.metadata.namespace && selects(requirements(rs.spec.selector), p.metadata.labels);

/** ClaimPods: those it owns and still selects, and orphans that it selects; what it no longer selects is let go. */
function claim(loop: Loop, rs: ReplicaSet): Pod[] {
  const out: Pod[] = [];
  for (const p of loop.store.list('Pod')) {
    if (p.metadata.namespace !== rs.metadata.namespace) continue;
    if (isOwner(rs, p)) {
      if (matches(rs, p)) out.push(p);
      else if (p.metadata.deletionTimestamp === undefined) loop.store.put(withMeta(p, { ownerReferences: [] }));
    } else if (p.metadata.ownerReferences.length === 0 && matches(rs, p) && isActive(p)) {
      const adopted = withMeta(p, { ownerReferences: [{ kind: 'ReplicaSet', name: rs.metadata.name }] });
      loop.store.put(adopted);
      out.push(adopted);
    }
  }
  return out;
}

/** Ready pods of the same Deployment (or ReplicaSet) on each node: the more there are, the sooner one goes. */
function ranks(loop: Loop, rs: ReplicaSet): Map<string, number> {
  const owner = rs.metadata.ownerReferences.find((r) => r.kind === 'Deployment');
  const related =
    owner === undefined
      ? [rs]
      : loop.store.list('ReplicaSet').filter((r) => isOwner({ kind: 'Deployment', metadata: { ...rs.metadata, name: owner.name } }, r)); // prettier-ignore
  const out = new Map<string, number>();
  for (const r of related)
    for (const p of ownedPods(loop, r))
      if (isActive(p) && p.status.ready) out.set(p.spec.nodeName, (out.get(p.spec.nodeName) ?? 0) + 1);
  return out;
}

const PHASES = ['Pending', 'Unknown', 'Running'];
const COST = 'controller.kubernetes.io/pod-deletion-cost';

/** GetDeletionCostFromPodAnnotations: an int32 without `+` or zeros before it, else 0. */
const costOf = (text: string): number =>
  /^(0|-?[1-9]\d{0,9})$/.test(text) && Number(text) === (Number(text) | 0) ? Number(text) : 0;

/** ActivePodsWithRanks, sorted. */
export function inDeletionOrder(loop: Loop, rs: ReplicaSet, pods: readonly Pod[]): Pod[] {
  const rank = ranks(loop, rs);
  /** Times are compared by the logarithm of what has passed since (LogarithmicScaleDown). */
  const ready = (p: Pod): number => {
    const since = p.status.readySinceNs;
    return since === undefined ? 64 : Math.floor(Math.log2(Math.max(1, loop.now - since)));
  };
  const keys = new Map<Pod, number[]>();
  pods.forEach((p, i) => {
    const cost = costOf(p.metadata.annotations[COST] ?? '0');
    const node = p.spec.nodeName;
    keys.set(p, [
      node === '' ? 0 : 1, PHASES.indexOf(p.status.phase), p.status.ready ? 1 : 0, cost,
      -(rank.get(node) ?? 0), ready(p), -p.status.restarts, -i,
    ]); // prettier-ignore
  });
  return [...pods].sort((a, b) => {
    const [x, y] = [keys.get(a)!, keys.get(b)!];
    const i = x.findIndex((v, k) => v !== y[k]);
    return i < 0 ? 0 : x[i]! - y[i]!;
  });
}
