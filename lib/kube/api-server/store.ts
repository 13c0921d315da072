/**
 * What the API server keeps: objects by kind, namespace and name, with a revision for every write, watches in the order of the
 * writes, and the whole history, so that any instant can be asked for afterwards.
 *
 * Upstream: apiserver's etcd3 store and watch cache. Objects are never changed in place: a write puts a new one.
 * @module
 */
import { placeAt } from '../api/meta.js';
import type { KubeObject, ObjectMeta } from '../api/types.js';

export type Kind = KubeObject['kind'];
export type OfKind<K extends Kind> = Extract<KubeObject, { kind: K }>;

/** One write, as a watch tells it: `object` null: deleted; `before` null: created. */
export interface WatchEvent {
  kind: Kind;
  namespace: string;
  name: string;
  object: KubeObject | null;
  before: KubeObject | null;
}

interface Write {
  at: number;
  kind: Kind;
  key: string;
  object: KubeObject | null;
}

export const keyOf = (o: { metadata: ObjectMeta }): string => `${o.metadata.namespace}/${o.metadata.name}`;

/** An object with other fields in place of its own; it keeps its place in the manifests. */
export function withMeta<T extends KubeObject>(o: T, changes: Partial<ObjectMeta>): T {
  const out = { ...o, metadata: { ...o.metadata, ...changes } };
  placeAt(out, o);
  return out;
}

export class Store {
  private readonly now: () => number;
  private readonly kinds = new Map<Kind, Map<string, KubeObject>>();
  private readonly first = new Map<Kind, Map<string, KubeObject>>();
  private readonly writes: Write[] = [];
  private readonly watchers: ((e: WatchEvent) => void)[] = [];
  private revision = 1000;
  /** What `at` was asked for last, and how many writes that takes: steps ask forwards. */
  private past: { time: number; kinds: Map<Kind, Map<string, KubeObject>>; read: number } | null = null;

  /** Begins with the objects of a settled cluster; `now` is the virtual clock. */
  constructor(objects: readonly KubeObject[], now: () => number) {
    this.now = now;
    for (const o of objects) {
      this.of(this.kinds, o.kind).set(keyOf(o), o);
      this.of(this.first, o.kind).set(keyOf(o), o);
    }
  }

  /** Calls back at every write, in their order. */
  watch(each: (e: WatchEvent) => void): void {
    this.watchers.push(each);
  }

  /** Objects of a kind, oldest first. */
  list<K extends Kind>(kind: K): OfKind<K>[] {
    return [...this.of(this.kinds, kind).values()] as OfKind<K>[];
  }

  count(kind: Kind): number {
    return this.of(this.kinds, kind).size;
  }

  get<K extends Kind>(kind: K, namespace: string, name: string): OfKind<K> | null {
    return (this.of(this.kinds, kind).get(`${namespace}/${name}`) as OfKind<K> | undefined) ?? null;
  }

  /** Creates an object or puts it in the place of the one of its name. */
  put(o: KubeObject): void {
    const all = this.of(this.kinds, o.kind);
    const before = all.get(keyOf(o)) ?? null;
    const object = withMeta(o, { resourceVersion: String(++this.revision) });
    all.set(keyOf(o), object);
    this.written(object.kind, object.metadata, object, before);
  }

  /** Deletes an object; nothing happens when it is gone already. */
  remove(kind: Kind, namespace: string, name: string): void {
    const all = this.of(this.kinds, kind);
    const before = all.get(`${namespace}/${name}`);
    if (before === undefined) return;
    all.delete(`${namespace}/${name}`);
    this.revision++;
    this.written(kind, before.metadata, null, before);
  }

  /** All objects as they were at a time; writes at that very time count. */
  at(time: number): KubeObject[] {
    if (this.past === null || time < this.past.time) this.past = { time, kinds: this.begin(), read: 0 };
    const { past } = this;
    past.time = time;
    for (; past.read < this.writes.length && this.writes[past.read]!.at <= time; past.read++) {
      const w = this.writes[past.read]!;
      const all = this.of(past.kinds, w.kind);
      if (w.object === null) all.delete(w.key);
      else all.set(w.key, w.object);
    }
    return [...past.kinds.values()].flatMap((m) => [...m.values()]);
  }

  private begin(): Map<Kind, Map<string, KubeObject>> {
    return new Map([...this.first].map(([k, m]) => [k, new Map(m)]));
  }

  /** Every object there ever was, as it was last. */
  ever(): KubeObject[] {
    const kinds = this.begin();
    for (const w of this.writes) if (w.object !== null) this.of(kinds, w.kind).set(w.key, w.object);
    return [...kinds.values()].flatMap((m) => [...m.values()]);
  }

  private written(kind: Kind, m: ObjectMeta, object: KubeObject | null, before: KubeObject | null): void {
    this.writes.push({ at: this.now(), kind, key: `${m.namespace}/${m.name}`, object });
    for (const w of this.watchers) w({ kind, namespace: m.namespace, name: m.name, object, before });
  }

  private of(kinds: Map<Kind, Map<string, KubeObject>>, kind: Kind): Map<string, KubeObject> {
    let all = kinds.get(kind);
    if (all === undefined) kinds.set(kind, (all = new Map()));
    return all;
  }
}
