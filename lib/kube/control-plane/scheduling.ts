/**
 * The scheduler at work, and what taints do to pods that run.
 * @module
 */
import { withMeta } from '../api-server/store.js';
import { schedule, tolerates } from '../controllers/scheduler.js';
import type { Loop } from './loop.js';
import { deletePod, isTerminating } from './pods.js';

/** Places pods that wait, as they come and as nodes change; returns what `kubectl describe` would say of those that wait still. */
export function scheduler(loop: Loop): () => string[] {
  const { store } = loop;
  let warnings: string[] = [];
  const enqueue = loop.controller(
    (e) => {
      const waits = e.kind === 'Pod' && e.object?.kind === 'Pod' && e.object.spec.nodeName === '';
      const room = e.kind === 'Node' || (e.kind === 'Pod' && e.object === null);
      return waits || (room && store.list('Pod').some((p) => p.spec.nodeName === '')) ? ['pods'] : [];
    },
    () => {
      // schedule() writes into the pods it is given.
      const pods = store.list('Pod').map((p) => (p.spec.nodeName === '' ? { ...p } : p));
      const waiting = new Set(pods.filter((p) => p.spec.nodeName === ''));
      warnings = [];
      schedule(loop.scenario.file, store.list('Node'), pods, warnings);
      for (const p of waiting) if (p.spec.nodeName !== '') store.put(withMeta(p, {}));
    },
  );
  if (store.list('Pod').some((p) => p.spec.nodeName === '')) enqueue('pods');
  return () => (store.list('Pod').some((p) => p.spec.nodeName === '') ? warnings : []);
}

/** The taint eviction controller: NoExecute ends pods that do not tolerate it, at once. */
export function taintEviction(loop: Loop): void {
  const { store } = loop;
  loop.controller(
    (e) => (e.kind === 'Node' && e.object !== null ? [e.name] : []),
    (name) => {
      const taints = store.get('Node', '', name)?.spec.taints.filter((t) => t.effect === 'NoExecute') ?? [];
      for (const p of store.list('Pod')) {
        if (p.spec.nodeName !== name || isTerminating(p)) continue;
        if (taints.some((t) => !tolerates(p.spec.tolerations, t))) deletePod(loop, p);
      }
    },
  );
}
