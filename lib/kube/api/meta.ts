/**
 * metadata: read, validated, defaulted; and the place in the manifest that every object came from.
 * @module
 */
import { InputError } from '../../sim/input-error.js';
import type { At } from './at.js';
import { annotations, dnsLabel, labels, qualifiedName } from './names.js';
import type { ObjectMeta } from './types.js';

/** Creation time of objects that carry none: the virtual clock's epoch. */
export const EPOCH = '2024-01-01T00:00:00Z';

/** Written by the API server or for it; nothing podwire does depends on them. */
const UNREAD = ['resourceVersion', 'generation', 'generateName', 'managedFields', 'finalizers', 'selfLink', 'deletionGracePeriodSeconds']; // prettier-ignore

const places = new WeakMap<ObjectMeta, At>();

/** The manifest's place of an object; null for what a controller made of nothing. */
export const placeOf = (o: { metadata: ObjectMeta }): At | null => places.get(o.metadata) ?? null;

/** Says that a derived object stands where another one was written (the pods of a Deployment). */
export function placeAt(o: { metadata: ObjectMeta }, from: { metadata: ObjectMeta }): void {
  const at = places.get(from.metadata);
  if (at !== undefined) places.set(o.metadata, at);
}

/** Throws an InputError at an object's field, as deep as the manifest has it. */
export function failAt(file: string, o: { kind: string; metadata: ObjectMeta }, path: string, message: string): never {
  const at = placeOf(o);
  const text = `${o.kind} "${o.metadata.name}": ${message}`;
  if (at === null) throw new InputError(file, 0, 0, `${text} (${path})`);
  return at.deep(path).fail(text);
}

const TIME = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3])(:[0-5]\d){2}(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/; // prettier-ignore

function time(at: At): string {
  const v = at.str();
  if (!TIME.test(v)) at.fail(`found "${v}", expected a time like ${EPOCH}`);
  return v;
}

/** Reads metadata; `name` validates the name as the kind wants it. Cluster-scoped kinds have the namespace ''. */
export function objectMeta(at: At, namespaced: boolean, name: (at: At) => string): ObjectMeta {
  const m = at.req('metadata').only('name', 'namespace', 'uid', 'labels', 'annotations', 'creationTimestamp', 'deletionTimestamp', 'ownerReferences', ...UNREAD); // prettier-ignore
  const n = name(m.req('name'));
  const nsAt = m.opt('namespace');
  if (!namespaced && nsAt !== null && nsAt.str() !== '')
    nsAt.fail(`found "${nsAt.str()}", expected none: not allowed on this type`);
  const ns = !namespaced ? '' : nsAt === null || nsAt.str() === '' ? 'default' : dnsLabel(nsAt);
  const deleted = m.opt('deletionTimestamp');
  const created = m.opt('creationTimestamp');
  const meta: ObjectMeta = {
    name: n,
    namespace: ns,
    uid: m.opt('uid')?.str() ?? `${at.req('kind').str()}/${ns}/${n}`,
    labels: labels(m.opt('labels')),
    annotations: annotations(m.opt('annotations')),
    creationTimestamp: created === null ? EPOCH : time(created),
    ownerReferences: (m.opt('ownerReferences')?.list() ?? []).map((r) => ({
      kind: r.only('apiVersion', 'kind', 'name', 'uid', 'controller', 'blockOwnerDeletion').req('kind').str(),
      name: r.req('name').str(),
    })),
    ...(deleted === null ? {} : { deletionTimestamp: time(deleted) }),
  };
  places.set(meta, at);
  return meta;
}

/** appProtocol: a qualified name for proxies of layer 7; no packet depends on it. */
export function appProtocol(at: At | null): void {
  if (at !== null && at.str() !== '') qualifiedName(at, at.str());
}
