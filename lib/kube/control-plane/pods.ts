/**
 * What every workload controller does with pods: creates them, begins their deletion, asks for their health.
 * @module
 */
import { EPOCH_SEC } from '../../../wire/pcap.js';
import { rfc3339 } from '../../sim/calendar.js';
import { SEC } from '../../sim/sim.js';
import { withMeta } from '../api-server/store.js';
import type { ObjectMeta, Pod, ReplicaSet, StatefulSet } from '../api/types.js';
import { isOwner, MAX_PODS } from '../controllers/workloads.js';
import type { Loop } from './loop.js';

/** RFC 3339 of a virtual time, in whole seconds as metav1.Time has them. */
export const timestamp = (now: number): string => rfc3339(EPOCH_SEC + Math.floor(now / SEC));

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
  loop.store.put(
    withMeta(p, { deletionTimestamp: timestamp(at), deletionAtNs: at, deletionGraceSeconds: graceSeconds }),
  );
}

/** Calls back once a pod that is ready now has been so for `minReadySeconds`, for controllers that wait for it. */
export function whenAvailable(loop: Loop, p: Pod, minReadySeconds: number, then: () => void): void {
  const since = p.status.readySinceNs;
  if (!p.status.ready || since === undefined || minReadySeconds === 0) return;
  if (since + minReadySeconds * SEC > loop.now) loop.at(since + minReadySeconds * SEC, then);
}
