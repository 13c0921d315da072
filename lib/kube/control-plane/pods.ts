/**
 * What every workload controller does with pods: creates them, begins their deletion, asks for their health.
 * @module
 */
import { SEC } from '../../sim/sim.js';
import { withMeta } from '../api-server/store.js';
import { EPOCH } from '../api/meta.js';
import type { ObjectMeta, Pod, ReplicaSet, StatefulSet } from '../api/types.js';
import { isOwner, MAX_PODS } from '../controllers/workloads.js';
import { unixSeconds } from '../coredns/cluster.js';
import type { Loop } from './loop.js';

/** RFC 3339 of a virtual time, in whole seconds as metav1.Time has them. */
export function timestamp(now: number): string {
  const s = unixSeconds(EPOCH) + Math.floor(now / SEC);
  const days = Math.floor(s / 86400);
  const pad = (n: number): string => String(n).padStart(2, '0');
  const [y, m, d] = civil(days);
  const t = s - days * 86400;
  return `${y}-${pad(m)}-${pad(d)}T${pad(Math.floor(t / 3600))}:${pad(Math.floor(t / 60) % 60)}:${pad(t % 60)}Z`;
}

/** The date of a day since 1970. */
function civil(days: number): [y: number, m: number, d: number] {
  const z = days + 719468;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const m = mp < 10 ? mp + 3 : mp - 9;
  return [yoe + era * 400 + (m <= 2 ? 1 : 0), m, doy - Math.floor((153 * mp + 2) / 5) + 1];
}

export const isTerminating = (o: { metadata: ObjectMeta }): boolean => o.metadata.deletionTimestamp !== undefined;

/** IsPodActive: neither ended nor being deleted. */
export const isActive = (p: Pod): boolean =>
  p.status.phase !== 'Succeeded' && p.status.phase !== 'Failed' && !isTerminating(p);

/** IsPodAvailable: ready for as long as the workload asks. */
export const isAvailable = (p: Pod, minReadySeconds: number, now: number): boolean =>
  p.status.ready && now - (p.status.readySinceNs ?? -Infinity) >= minReadySeconds * SEC;

/** Pods that a workload owns, oldest first. */
export const ownedPods = (loop: Loop, w: { kind: string; metadata: ObjectMeta }): Pod[] =>
  loop.store.list('Pod').filter((p) => isOwner(w, p));

/** Throws InputError where a cluster cannot have the `n` pods more that a workload wants: before any of them is made. */
export function checkRoom(loop: Loop, w: ReplicaSet | StatefulSet, n: number): void {
  if (n <= 0 || loop.store.count('Pod') + n <= MAX_PODS) return;
  loop.fail(`${w.kind} "${w.metadata.name}": found ${w.spec.replicas} replicas, expected at most ${MAX_PODS} pods in a cluster`); // prettier-ignore
}

/** Creates a pod that waits for its place. */
export function createPod(loop: Loop, p: Pod): void {
  const created = withMeta(p, { creationTimestamp: timestamp(loop.now) });
  loop.store.put({ ...created, status: { podIP: '', hostIP: '', phase: 'Pending', ready: false, restarts: 0 } });
}

export const graceOf = (p: Pod): number => p.spec.terminationGracePeriodSeconds ?? 30;

/**
 * DELETE of a pod: one that no kubelet has is gone at once; others are given a deletion timestamp, and kubelet ends them.
 * A shorter grace than before is taken, a longer one is not.
 */
export function deletePod(loop: Loop, p: Pod, graceSeconds: number = graceOf(p)): void {
  const { namespace, name } = p.metadata;
  if (p.spec.nodeName === '') return loop.store.remove('Pod', namespace, name);
  const at = loop.now + graceSeconds * SEC;
  const before = p.metadata.deletionAtNs;
  if (before !== undefined && before <= at) return;
  loop.store.put(withMeta(p, { deletionTimestamp: timestamp(at), deletionAtNs: at }));
}

/** Calls back once a pod that is ready now has been so for `minReadySeconds`, for controllers that wait for it. */
export function whenAvailable(loop: Loop, p: Pod, minReadySeconds: number, then: () => void): void {
  const since = p.status.readySinceNs;
  if (!p.status.ready || since === undefined || minReadySeconds === 0) return;
  if (since + minReadySeconds * SEC > loop.now) loop.at(since + minReadySeconds * SEC, then);
}
