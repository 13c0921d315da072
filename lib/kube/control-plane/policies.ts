/**
 * The agents of a CNI plugin that enforces network policy: they watch policies and what these choose by.
 *
 * A pod's address comes and goes with CNI ADD and DEL, which tell the plugin of themselves.
 * @module
 */
import type { WatchEvent } from '../api-server/store.js';
import type { CniPlugin } from '../cni/plugin.js';
import type { Emit } from './kubelet.js';
import type { Loop } from './loop.js';

export function policyAgents(loop: Loop, { policy }: CniPlugin, emit: Emit): void {
  if (policy === undefined) return;
  const { store } = loop;
  policy.watch(() => ({
    pods: store.list('Pod'),
    namespaces: store.list('Namespace'),
    accounts: store.list('ServiceAccount'),
    policies: [
      ...store.list('NetworkPolicy'),
      ...store.list('NetworkPolicy.projectcalico.org'),
      ...store.list('GlobalNetworkPolicy'),
    ],
  }));
  loop.controller(
    (e) => (concerns(e) ? ['policy'] : []),
    () => {
      for (const { node, commands } of policy.changed()) emit(`cni ${node}`, commands);
    },
  );
}

const CHOSEN_BY_LABEL: readonly string[] = ['Pod', 'Namespace', 'ServiceAccount'];

/** Policies, and labels that are new. */
function concerns(e: WatchEvent): boolean {
  if (e.kind.includes('NetworkPolicy')) return true;
  if (!CHOSEN_BY_LABEL.includes(e.kind) || e.object === null || e.before === null) return false;
  return JSON.stringify(e.object.metadata.labels) !== JSON.stringify(e.before.metadata.labels);
}
