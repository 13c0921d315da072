/**
 * Names of the revisions of StatefulSets and DaemonSets.
 * @module
 */
import type { DaemonSet, StatefulSet } from '../api/types.js';
import { firstRevision, templateHash } from '../controllers/workloads.js';

/** The controller-revision-hash of a template: the first one is named after its owner alone. */
export class Revisions {
  private readonly first = new Map<string, string>();

  constructor(all: readonly (StatefulSet | DaemonSet)[]) {
    for (const w of all) this.of(w);
  }

  of(w: StatefulSet | DaemonSet): string {
    const key = `${w.kind}/${w.metadata.namespace}/${w.metadata.name}`;
    const text = JSON.stringify(w.spec.template);
    if (!this.first.has(key)) this.first.set(key, text);
    return this.first.get(key) === text ? firstRevision(w) : templateHash(w, w.spec.template, 10);
  }
}
