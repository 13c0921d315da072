/**
 * The deployment controller: a ReplicaSet for every template, and the arithmetic of rolling updates and of scaling.
 *
 * Upstream: pkg/controller/deployment (sync.go, rolling.go, recreate.go), util.ResolveFenceposts. Not here: pauses, progress
 * deadlines, and the status, which kubectl's views derive from the pods.
 * @module
 */
import { keyOf, withMeta } from '../api-server/store.js';
import type { Deployment, Pod, PodTemplate, ReplicaSet } from '../api/types.js';
import { firstHash, isOwner, laterHash, replicaSetOf } from '../controllers/workloads.js';
import { type Loop, splitKey } from './loop.js';
import { isActive, isAvailable, ownedPods, timestamp, whenAvailable } from './pods.js';

const HASH = 'pod-template-hash';
const DESIRED = 'deployment.kubernetes.io/desired-replicas';
const MAX = 'deployment.kubernetes.io/max-replicas';
export const REVISION = 'deployment.kubernetes.io/revision';

export function deploymentController(loop: Loop): void {
  const owner = (o: { metadata: { namespace: string; ownerReferences: { kind: string; name: string }[] } } | null): string[] =>
    (o?.metadata.ownerReferences ?? []).filter((r) => r.kind === 'Deployment').map((r) => `${o!.metadata.namespace}/${r.name}`); // prettier-ignore
  const enqueue = loop.controller(
    (e) => {
      if (e.kind === 'Deployment' && e.object !== null) return [`${e.namespace}/${e.name}`];
      if (e.kind === 'ReplicaSet') return new Set([...owner(e.object), ...owner(e.before)]);
      if (e.kind !== 'Pod') return [];
      const set = (e.object ?? e.before)!.metadata.ownerReferences.find((r) => r.kind === 'ReplicaSet');
      return set === undefined ? [] : owner(loop.store.get('ReplicaSet', e.namespace, set.name));
    },
    (key) => {
      const d = loop.store.get('Deployment', ...splitKey(key));
      if (d !== null && d.metadata.deletionTimestamp === undefined) new Sync(loop, d, enqueue).run();
    },
  );
}

/** A number or a percentage of `of`, rounded as asked. */
const scaled = (v: number | string, of: number, round: (n: number) => number): number =>
  typeof v === 'number' ? v : round((Number.parseInt(v, 10) * of) / 100);

/** maxSurge and maxUnavailable in pods. */
export function fenceposts(d: Deployment): { surge: number; unavailable: number } {
  const { strategy, replicas } = d.spec;
  if (strategy.type === 'Recreate') return { surge: 0, unavailable: 0 };
  const surge = scaled(strategy.maxSurge, replicas, Math.ceil);
  const unavailable = scaled(strategy.maxUnavailable, replicas, Math.floor);
  return { surge, unavailable: Math.min(replicas, surge === 0 && unavailable === 0 ? 1 : unavailable) };
}

/** A template as text, without the label that tells ReplicaSets apart. */
export function templateText(t: PodTemplate): string {
  const sorted = (m: Record<string, string>): [string, string][] =>
    Object.entries(m).filter(([k]) => k !== HASH).sort((x, y) => (x[0] < y[0] ? -1 : 1)); // prettier-ignore
  return JSON.stringify([sorted(t.metadata.labels), sorted(t.metadata.annotations), t.spec]);
}

/** EqualIgnoreHash. */
export const sameTemplate = (a: PodTemplate, b: PodTemplate): boolean => templateText(a) === templateText(b);

const total = (all: readonly ReplicaSet[]): number => all.reduce((n, r) => n + r.spec.replicas, 0);
/** A whole number that an annotation holds, as strconv.ParseInt reads it; 0 for any other text, which anybody may write there. */
export const whole = (text: string | undefined): number => (/^[+-]?\d{1,15}$/.test(text ?? '') ? Number(text) : 0);
export const revisionOf = (r: ReplicaSet): number => whole(r.metadata.annotations[REVISION]);

/** A Deployment's ReplicaSets, oldest first. */
export const replicaSetsOf = (loop: Loop, d: Deployment): ReplicaSet[] =>
  loop.store.list('ReplicaSet').filter((r) => isOwner(d, r));

/** One syncDeployment. */
class Sync {
  private readonly loop: Loop;
  private readonly d: Deployment;
  private readonly enqueue: (key: string) => void;
  private all: ReplicaSet[];

  constructor(loop: Loop, d: Deployment, enqueue: (key: string) => void) {
    this.loop = loop;
    this.d = d;
    this.enqueue = enqueue;
    this.all = replicaSetsOf(loop, d);
  }

  run(): void {
    const { d } = this;
    for (const r of this.all)
      for (const p of ownedPods(this.loop, r))
        whenAvailable(this.loop, p, d.spec.minReadySeconds, () => this.enqueue(keyOf(d)));
    const scaling = this.all.some((r) => r.spec.replicas > 0 && (r.metadata.annotations[DESIRED] ?? String(r.spec.replicas)) !== String(d.spec.replicas)); // prettier-ignore
    if (scaling) this.scale();
    else if (d.spec.strategy.type === 'Recreate') this.recreate();
    else this.roll();
    this.cleanUp();
  }

  /** The ReplicaSet of the Deployment's template, made if need be; its revision becomes the highest (getNewReplicaSet). */
  private newest(): ReplicaSet {
    const { d, loop } = this;
    const revision = Math.max(0, ...this.old().map(revisionOf)) + 1;
    const own = this.all.find((r) => sameTemplate(r.spec.template, d.spec.template));
    if (own !== undefined) {
      if (revisionOf(own) >= revision) return own;
      const next = withMeta(own, { annotations: { ...own.metadata.annotations, [REVISION]: String(revision) } });
      return this.put(next);
    }
    const first = this.all.length === 0;
    const hash = laterHash(d, revision);
    const made = replicaSetOf(d, first ? firstHash(d) : hash, 0, revision);
    const rs = withMeta(made, { creationTimestamp: timestamp(loop.now) });
    rs.spec.replicas = this.wanted(rs);
    return this.put(this.annotated(rs));
  }

  private old(): ReplicaSet[] {
    return this.all.filter((r) => !sameTemplate(r.spec.template, this.d.spec.template));
  }

  private put(r: ReplicaSet): ReplicaSet {
    this.loop.store.put(r);
    this.all = replicaSetsOf(this.loop, this.d);
    return this.loop.store.get('ReplicaSet', r.metadata.namespace, r.metadata.name)!;
  }

  private annotated(r: ReplicaSet): ReplicaSet {
    const { replicas } = this.d.spec;
    const most = String(replicas + fenceposts(this.d).surge);
    return withMeta(r, { annotations: { ...r.metadata.annotations, [DESIRED]: String(replicas), [MAX]: most } });
  }

  /** scaleReplicaSet. */
  private resize(r: ReplicaSet, replicas: number): void {
    const next = this.annotated(r);
    const same = next.metadata.annotations[DESIRED] === r.metadata.annotations[DESIRED] && next.metadata.annotations[MAX] === r.metadata.annotations[MAX]; // prettier-ignore
    if (r.spec.replicas !== replicas || !same) this.put({ ...next, spec: { ...next.spec, replicas } });
  }

  /** NewRSNewReplicas. */
  private wanted(rs: ReplicaSet): number {
    const { replicas, strategy } = this.d.spec;
    if (strategy.type === 'Recreate') return replicas;
    const most = replicas + fenceposts(this.d).surge;
    const now = total(this.all);
    return now >= most ? rs.spec.replicas : rs.spec.replicas + Math.min(most - now, replicas - rs.spec.replicas);
  }

  private available(r: ReplicaSet): number {
    const fit = (p: Pod): boolean => isActive(p) && isAvailable(p, this.d.spec.minReadySeconds, this.loop.now);
    return ownedPods(this.loop, r).filter(fit).length;
  }

  private roll(): void {
    const rs = this.newest();
    const { replicas } = this.d.spec;
    if (rs.spec.replicas !== replicas) {
      const to = rs.spec.replicas > replicas ? replicas : this.wanted(rs);
      if (to !== rs.spec.replicas) return this.resize(rs, to);
    }
    this.shrinkOld(rs);
  }

  /** reconcileOldReplicaSets: pods that are not healthy first, then as many as may be missing. */
  private shrinkOld(rs: ReplicaSet): void {
    if (total(this.old()) === 0) return;
    const least = this.d.spec.replicas - fenceposts(this.d).unavailable;
    let left = total(this.all) - least - (rs.spec.replicas - this.available(rs));
    if (left <= 0) return;
    for (const r of this.old()) {
      const sick = Math.min(left, r.spec.replicas - this.available(r));
      if (left <= 0 || sick <= 0) continue;
      this.resize(r, r.spec.replicas - sick);
      left -= sick;
    }
    // Upstream counts with the statuses it has read, which do not know yet of what was just asked for.
    let spare = this.all.reduce((n, r) => n + this.available(r), 0) - least;
    for (const r of this.old()) {
      const n = Math.min(r.spec.replicas, spare);
      if (n <= 0) continue;
      this.resize(r, r.spec.replicas - n);
      spare -= n;
    }
  }

  private recreate(): void {
    const old = this.old();
    const active = old.filter((r) => r.spec.replicas > 0);
    for (const r of active) this.resize(r, 0);
    if (active.length > 0) return;
    const runs = (p: Pod): boolean => p.status.phase !== 'Succeeded' && p.status.phase !== 'Failed';
    if (old.some((r) => ownedPods(this.loop, r).some(runs))) return;
    const rs = this.newest();
    this.resize(rs, this.d.spec.replicas);
  }

  /** scale(): all to the one that is active, or each by its share. */
  private scale(): void {
    const { replicas } = this.d.spec;
    // No ReplicaSet is made here: with a new template in the same write, the old one is scaled first, and then rolled over.
    const rs = this.all.length > this.old().length ? this.newest() : undefined;
    const active = this.all.filter((r) => r.spec.replicas > 0);
    if (active.length <= 1) return this.resize(active[0]!, replicas);
    const desired = rs?.metadata.annotations[DESIRED] === String(replicas);
    if (rs !== undefined && desired && rs.spec.replicas === replicas && this.available(rs) === replicas) {
      for (const r of this.old()) if (r.spec.replicas > 0) this.resize(r, 0);
      return;
    }
    if (this.d.spec.strategy.type === 'RollingUpdate') this.share(active);
  }

  private share(active: ReplicaSet[]): void {
    const { replicas } = this.d.spec;
    const most = replicas === 0 ? 0 : replicas + fenceposts(this.d).surge;
    const add = most - total(active);
    const age = (r: ReplicaSet): number => this.all.indexOf(r);
    // The larger first; among equals the newer grows and the older shrinks first.
    const list = [...active].sort((a, b) => b.spec.replicas - a.spec.replicas || (add > 0 ? age(b) - age(a) : age(a) - age(b))); // prettier-ignore
    let added = 0;
    const sizes = list.map((r) => {
      const before = Math.max(0, whole(r.metadata.annotations[MAX])) || total(active);
      const fraction = Math.round((r.spec.replicas * most) / before) - r.spec.replicas;
      const n = add === 0 ? 0 : add > 0 ? Math.min(fraction, add - added) : Math.max(fraction, add - added);
      added += n;
      return r.spec.replicas + n;
    });
    if (add !== 0) sizes[0] = Math.max(0, sizes[0]! + add - added);
    list.forEach((r, i) => this.resize(r, sizes[i]!));
  }

  /** cleanupDeployment, once a rollout is over: old ReplicaSets beyond revisionHistoryLimit are deleted. */
  private cleanUp(): void {
    const { replicas, revisionHistoryLimit } = this.d.spec;
    const rs = this.all.find((r) => sameTemplate(r.spec.template, this.d.spec.template));
    if (rs === undefined || rs.spec.replicas !== replicas || this.available(rs) !== replicas || total(this.old()) > 0) return; // prettier-ignore
    const old = this.old().sort((a, b) => revisionOf(a) - revisionOf(b));
    const empty = (r: ReplicaSet): boolean => ownedPods(this.loop, r).length === 0;
    for (const r of old.slice(0, Math.max(0, old.length - revisionHistoryLimit)).filter(empty))
      this.loop.store.remove('ReplicaSet', r.metadata.namespace, r.metadata.name);
  }
}
