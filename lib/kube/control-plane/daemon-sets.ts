/**
 * The daemonset controller: one pod on every node that is fit for it; a rolling update ends as many as may be missing.
 *
 * Upstream: pkg/controller/daemon (manage, rollingUpdate). It goes through nodes in the order of a Go map; here it is that of
 * the nodes. Not here: maxSurge.
 * @module
 */
import { failAt } from '../api/meta.js';
import type { DaemonSet, Node, Pod } from '../api/types.js';
import { daemonPod, wantsDaemon } from '../controllers/workloads.js';
import { type Loop, splitKey } from './loop.js';
import { createPod, deletePod, isAvailable, isTerminating, ownedPods, whenAvailable } from './pods.js';

const REVISION = 'controller-revision-hash';

export function daemonSetController(loop: Loop): void {
  const { store } = loop;
  let made = 0;
  const enqueue = loop.controller(
    (e) => {
      if (e.kind === 'DaemonSet' && e.object !== null) return [`${e.namespace}/${e.name}`];
      if (e.kind === 'Node') return store.list('DaemonSet').map((d) => `${d.metadata.namespace}/${d.metadata.name}`);
      if (e.kind !== 'Pod') return [];
      const owners = (e.object ?? e.before)!.metadata.ownerReferences;
      return owners.filter((r) => r.kind === 'DaemonSet').map((r) => `${e.namespace}/${r.name}`);
    },
    (key) => {
      const d = store.get('DaemonSet', ...splitKey(key));
      if (d === null || isTerminating(d)) return;
      const pods = ownedPods(loop, d);
      for (const p of pods) whenAvailable(loop, p, d.spec.minReadySeconds, () => enqueue(key));
      const nodes = store.list('Node');
      const revision = loop.revisions.of(d);
      for (const n of nodes) {
        const here = pods.filter((p) => nodeOf(p) === n.metadata.name);
        const wanted = wantsDaemon(d, n);
        if (wanted && here.length === 0) {
          const names = loop.namesOf(d.metadata.namespace);
          createPod(loop, daemonPod(d, n, revision, `${n.metadata.name}/${++made}`, names));
        }
        const live = here.filter((p) => !isTerminating(p));
        // Taints without NoExecute let running pods stay (shouldContinueRunning).
        for (const p of wanted ? live.slice(1) : live.filter(() => !staysOn(d, n))) deletePod(loop, p);
      }
      if (d.spec.updateStrategy.type === 'RollingUpdate') update(loop, d, nodes, revision);
    },
  );
}

/** Where a daemon pod is or will be. */
const nodeOf = (p: Pod): string =>
  p.spec.nodeName !== '' ? p.spec.nodeName : (p.spec.nodeAffinity?.[0]?.matchFields[0]?.values[0] ?? '');

/** Whether a pod that runs on a node may stay: only NoExecute taints and the node's labels end it. */
const staysOn = (d: DaemonSet, n: Node): boolean =>
  wantsDaemon(d, { ...n, spec: { ...n.spec, unschedulable: false, taints: n.spec.taints.filter((t) => t.effect === 'NoExecute') } }); // prettier-ignore

function update(loop: Loop, d: DaemonSet, nodes: Node[], revision: string): void {
  const pods = ownedPods(loop, d);
  const places = nodes.filter((n) => wantsDaemon(d, n));
  const { maxUnavailable: v, maxSurge } = d.spec.updateStrategy;
  if (Number.parseInt(String(maxSurge), 10) > 0 && pods.some((p) => p.metadata.labels[REVISION] !== revision))
    failAt(loop.scenario.file, d, 'spec.updateStrategy.rollingUpdate.maxSurge', `found ${maxSurge}, expected 0 where a step changes the template (not supported yet)`); // prettier-ignore
  const most = typeof v === 'number' ? v : Math.ceil((Number.parseInt(v, 10) * places.length) / 100);
  let missing = 0;
  const replace: Pod[] = [];
  const candidates: Pod[] = [];
  for (const n of places) {
    const here = pods.filter((p) => nodeOf(p) === n.metadata.name && !isTerminating(p));
    const ready = (p: Pod): boolean => isAvailable(p, d.spec.minReadySeconds, loop.now);
    const [p] = here;
    if (p === undefined || here.length > 1) missing++;
    else if (p.metadata.labels[REVISION] === revision) missing += ready(p) ? 0 : 1;
    else if (!ready(p)) {
      replace.push(p);
      missing++;
    } else candidates.push(p);
  }
  for (const p of [...replace, ...candidates.slice(0, Math.max(0, most - missing))]) deletePod(loop, p);
}
