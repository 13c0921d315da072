/**
 * `kubectl apply`, `create` and `replace`.
 * @module
 */
import { copy, isMap, type Json, type JsonMap, threeWay } from '../../api-server/patches.js';
import { Refused } from '../../api-server/server.js';
import { placeOf } from '../../api/meta.js';
import type { KubeObject } from '../../api/types.js';
import { derivedMeta } from '../../controllers/names.js';
import { forEach, fromFiles, KubectlError, Unsupported, nameOf, type Session } from './run.js';

/** What was applied last, by kind, namespace and name; a scenario's own manifests count as applied. */
export class LastApplied {
  private readonly all = new Map<string, Json>();

  constructor(objects: readonly KubeObject[]) {
    for (const o of objects) {
      const place = placeOf(o);
      if (place !== null && place.req('kind').str() === o.kind) this.set(o, place.plain() as Json);
    }
  }

  private key(o: KubeObject): string {
    return `${o.kind}/${o.metadata.namespace}/${o.metadata.name}`;
  }

  get(o: KubeObject, form: Json): Json {
    return this.all.get(this.key(o)) ?? form;
  }

  set(o: KubeObject, plain: Json): void {
    this.all.set(this.key(o), plain);
  }
}

const exists = (s: Session, o: KubeObject): KubeObject | null =>
  s.loop.store.get(o.kind, o.metadata.namespace, o.metadata.name);

export function apply(s: Session, last: LastApplied): void {
  const fine = forEach(s, fromFiles(s), ({ object: o, plain, file }) => {
    const before = exists(s, o);
    const modified = plain as JsonMap;
    if (before === null) {
      creating(s, o, file);
      s.out(`${nameOf(o)} created\n`);
    } else {
      const form = s.api.formOf(before);
      const changed = s.api.update(o.kind, o.metadata.namespace, o.metadata.name, (live) =>
        threeWay(live, last.get(o, form), named(modified, o)),
      );
      s.out(`${nameOf(o)} ${changed ? 'configured' : 'unchanged'}\n`);
    }
    last.set(o, copy(modified));
  });
  s.exit(fine ? 0 : 1);
}

/** A manifest without a namespace says nothing of one. */
function named(plain: JsonMap, o: KubeObject): JsonMap {
  const meta = isMap(plain['metadata']) ? plain['metadata'] : {};
  const ns = o.metadata.namespace;
  return ns === '' || ns === 'default' ? plain : { ...plain, metadata: { ...meta, namespace: ns } };
}

function creating(s: Session, o: KubeObject, file: string): void {
  try {
    s.api.create(o);
  } catch (e) {
    if (!(e instanceof Refused) || e.reason === 'Invalid') throw e;
    const from = file === '-' ? 'STDIN' : file;
    throw new KubectlError(`Error from server (${e.reason}): error when creating "${from}": ${e.message}`);
  }
}

export function create(s: Session): void {
  const [what, name, ...more] = s.request.words;
  if (what !== undefined) return s.exit(createNamed(s, what, name, more) ? 0 : 1);
  const fine = forEach(s, fromFiles(s), ({ object: o, file }) => {
    creating(s, o, file);
    s.out(`${nameOf(o)} created\n`);
  });
  s.exit(fine ? 0 : 1);
}

function createNamed(s: Session, what: string, name: string | undefined, more: string[]): boolean {
  if (what !== 'namespace' && what !== 'ns')
    throw new Unsupported(`podwire's kubectl: create ${what} is not supported yet; use create -f`);
  if (name === undefined || more.length > 0)
    throw new KubectlError(`error: exactly one NAME is required, got ${name === undefined ? 0 : more.length + 1}`);
  return forEach(s, [name], () => {
    const labels = { 'kubernetes.io/metadata.name': name };
    const o: KubeObject = { kind: 'Namespace', metadata: derivedMeta(name, '', labels) };
    s.api.create(o);
    s.out(`${nameOf(o)} created\n`);
  });
}

export function replace(s: Session): void {
  const fine = forEach(s, fromFiles(s), ({ object: o, plain, file }) => {
    try {
      s.api.update(o.kind, o.metadata.namespace, o.metadata.name, () => named(plain as JsonMap, o));
    } catch (e) {
      if (!(e instanceof Refused) || e.reason === 'Invalid') throw e;
      throw new KubectlError(`Error from server (${e.reason}): error when replacing "${file}": ${e.message}`);
    }
    s.out(`${nameOf(o)} replaced\n`);
  });
  s.exit(fine ? 0 : 1);
}
