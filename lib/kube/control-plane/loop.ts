/**
 * What every controller is made of: a queue of keys filled by watches, worked off a little later, each key once.
 *
 * Upstream: client-go's informers and work queues. A controller reads the store as it is when its turn comes.
 * @module
 */
import { Sim } from '../../sim/sim.js';
import { InputError } from '../../sim/input-error.js';
import type { At } from '../api/at.js';
import { Store, type WatchEvent } from '../api-server/store.js';
import type { EndpointSlice, KubeObject, Service } from '../api/types.js';
import type { Scenario } from '../scenario.js';
import { REACTION } from './delays.js';
import { Revisions } from './revisions.js';

/** What an informer knows. */
export interface Seen {
  services: Service[];
  slices: EndpointSlice[];
}

/** The clock, the store, and the queues of the controllers. */
export class Loop {
  readonly sim = new Sim();
  readonly store: Store;
  readonly scenario: Scenario;
  readonly revisions: Revisions;
  /** The step that changed the cluster last: where it stands is said of what the control plane may not do. */
  place: At | null = null;
  /** Names of pods that were ever used, by namespace: a generated name is not drawn twice. */
  private readonly names = new Map<string, Set<string>>();

  constructor(scenario: Scenario, objects: readonly KubeObject[]) {
    this.scenario = scenario;
    this.store = new Store(objects, () => this.sim.now);
    this.revisions = new Revisions([...this.store.list('StatefulSet'), ...this.store.list('DaemonSet')]);
    for (const p of this.store.list('Pod')) this.namesOf(p.metadata.namespace).add(p.metadata.name);
  }

  get now(): number {
    return this.sim.now;
  }

  /**
   * A controller: `keys` says which of its keys a write concerns; `sync` is called once for each, REACTION after the first
   * write that named it.
   */
  controller(keys: (e: WatchEvent) => Iterable<string>, sync: (key: string) => void): (key: string) => void {
    const queued = new Set<string>();
    const enqueue = (key: string): void => {
      if (queued.has(key)) return;
      queued.add(key);
      this.sim.after(REACTION, () => {
        queued.delete(key);
        sync(key);
      });
    };
    this.store.watch((e) => {
      for (const k of keys(e)) enqueue(k);
    });
    return enqueue;
  }

  /**
   * Services and EndpointSlices as an informer hears of them: `heard` is called REACTION after a write that `concerns` it, with
   * what was there then.
   */
  informer(concerns: (e: WatchEvent) => boolean, heard: (seen: Seen) => void): void {
    this.store.watch((e) => {
      if (!concerns(e)) return;
      const seen = { services: this.store.list('Service'), slices: this.store.list('EndpointSlice') };
      this.sim.after(REACTION, () => heard(seen));
    });
  }

  /** Runs something at a time of the clock, now at the earliest. */
  at(time: number, run: () => void): void {
    this.sim.after(Math.max(0, time - this.sim.now), run);
  }

  /** Throws the InputError of a change that goes beyond what podwire runs. */
  fail(message: string): never {
    if (this.place === null) throw new InputError(this.scenario.file, 0, 0, message);
    return this.place.fail(message);
  }

  namesOf(namespace: string): Set<string> {
    let set = this.names.get(namespace);
    if (set === undefined) this.names.set(namespace, (set = new Set()));
    return set;
  }
}

/** `namespace/name` in two. */
export const splitKey = (key: string): [namespace: string, name: string] => {
  const i = key.indexOf('/');
  return [key.slice(0, i), key.slice(i + 1)];
};
