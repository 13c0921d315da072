/**
 * Names of the revisions of StatefulSets and DaemonSets.
 * @module
 */
import type { DaemonSet, StatefulSet } from '../api/types.js';
import { firstRevision, laterHash } from '../controllers/workloads.js';

/** The controller-revision-hash of a template: the first one is named after its owner alone. */
export class Revisions {
  private readonly seen = new Map<string, string[]>();

  constructor(all: readonly (StatefulSet | DaemonSet)[]) {
    for (const w of all) this.of(w);
  }

  of(w: StatefulSet | DaemonSet): string {
    const key = `${w.kind}/${w.metadata.namespace}/${w.metadata.name}`;
    const text = JSON.stringify(w.spec.template);
    const texts = this.seen.get(key) ?? [];
    this.seen.set(key, texts);
    if (!texts.includes(text)) texts.push(text);
    const n = texts.indexOf(text);
    return n === 0 ? firstRevision(w) : laterHash(w, n + 1);
  }
}
