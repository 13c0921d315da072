/**
 * The garbage collector, in the background: what a deleted object owned goes, unless it was orphaned before. And the namespace
 * controller: a namespace that is being deleted goes when nothing is left in it.
 * @module
 */
import { KINDS } from '../api-server/kinds.js';
import type { Kind } from '../api-server/store.js';
import { type Loop } from './loop.js';
import { deletePod, isTerminating } from './pods.js';

const OWNERS: readonly Kind[] = ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet'];
const IN_NAMESPACES = KINDS.filter((k) => k.namespaced && k.kind !== 'Pod').map((k) => k.kind);

export function garbageCollector(loop: Loop): void {
  const { store } = loop;
  loop.controller(
    (e) => (e.object === null && OWNERS.includes(e.kind) ? [`${e.kind}/${e.namespace}/${e.name}`] : []),
    (key) => {
      const [kind, namespace, name] = key.split('/') as [Kind, string, string];
      if (store.get(kind, namespace, name) !== null) return;
      const owned = (o: { metadata: { namespace: string; ownerReferences: { kind: string; name: string }[] } }): boolean =>
        o.metadata.namespace === namespace && o.metadata.ownerReferences.some((r) => r.kind === kind && r.name === name); // prettier-ignore
      for (const r of store.list('ReplicaSet')) if (owned(r)) store.remove('ReplicaSet', namespace, r.metadata.name);
      for (const p of store.list('Pod')) if (owned(p) && !isTerminating(p)) deletePod(loop, p);
    },
  );
}

export function namespaceController(loop: Loop): void {
  const { store } = loop;
  loop.controller(
    (e) => {
      if (e.kind === 'Namespace') return e.object !== null && isTerminating(e.object) ? [e.name] : [];
      const ns = store.get('Namespace', '', e.namespace);
      return ns !== null && isTerminating(ns) ? [e.namespace] : [];
    },
    (name) => {
      for (const kind of IN_NAMESPACES)
        for (const o of store.list(kind)) if (o.metadata.namespace === name) store.remove(kind, name, o.metadata.name);
      const pods = store.list('Pod').filter((p) => p.metadata.namespace === name);
      for (const p of pods) if (!isTerminating(p)) deletePod(loop, p);
      if (store.list('Pod').every((p) => p.metadata.namespace !== name)) store.remove('Namespace', '', name);
    },
  );
}
