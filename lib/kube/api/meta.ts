/**
 * metadata: read, validated, defaulted; and the place in the manifest that every object came from.
 * @module
 */
import { EPOCH_SEC } from '../../../wire/pcap.js';
import { rfc3339 } from '../../sim/calendar.js';
import { InputError } from '../../sim/input-error.js';
import type { At } from './at.js';
import { forbidden, invalidChild, required, textOf } from './field-error.js';
import { annotations, dnsLabel, labels, qualifiedName } from './names.js';
import type { ObjectMeta } from './types.js';

/** Creation time of objects that carry none: the virtual clock's epoch. */
export const EPOCH = rfc3339(EPOCH_SEC);

/** What a reference to an owner says, and what is said when it does not. */
const OWNER = { apiVersion: 'version must not be empty', kind: 'must not be empty', name: 'must not be empty', uid: 'must not be empty' }; // prettier-ignore

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

function ownerReference(item: At): { kind: string; name: string } {
  // ValidateOwnerReferences' own path, without the index.
  const r = item.called(item.path.replace(/\[\d+\]$/, ''));
  for (const [k, why] of Object.entries(OWNER)) {
    if (textOf(r, k) === '') invalidChild(r, k, why, '');
  }
  return { kind: r.req('kind').str(), name: r.req('name').str() };
}

/** Throws an InputError at an object's field, in the API server's words: `message` begins with the path that it names. */
export function failInvalid(
  file: string,
  o: { kind: string; metadata: ObjectMeta },
  path: string,
  message: string,
): never {
  const text = `The ${o.kind} "${o.metadata.name}" is invalid: ${message}`;
  const at = placeOf(o);
  if (at === null) throw new InputError(file, 0, 0, text);
  return at.deep(path).failPlain(text);
}

/** Reads metadata; `name` validates the name as the kind wants it. Cluster-scoped kinds have the namespace ''. */
export function objectMeta(at: At, namespaced: boolean, name: (at: At) => string): ObjectMeta {
  const m = at.opt('metadata');
  if (m === null) return at.failAbsent('metadata.name', 'Required value: name or generateName is required');
  if (textOf(m, 'name') === '') {
    m.opt('generateName')?.fail('generateName is not supported yet; give "name"');
    required(m, 'name', 'name or generateName is required');
  }
  const n = name(m.req('name'));
  const nsAt = textOf(m, 'namespace') === '' ? null : m.req('namespace');
  if (!namespaced && nsAt !== null) forbidden(nsAt, 'not allowed on this type');
  const ns = !namespaced ? '' : nsAt === null ? 'default' : dnsLabel(nsAt);
  const deleted = m.opt('deletionTimestamp');
  const created = m.opt('creationTimestamp');
  const meta: ObjectMeta = {
    name: n,
    namespace: ns,
    uid: m.opt('uid')?.str() ?? `${at.req('kind').str()}/${ns}/${n}`,
    labels: labels(m.opt('labels')),
    annotations: annotations(m.opt('annotations')),
    creationTimestamp: created === null ? EPOCH : created.str(),
    ownerReferences: (m.opt('ownerReferences')?.list() ?? []).map(ownerReference),
    ...(deleted === null ? {} : { deletionTimestamp: deleted.str() }),
  };
  places.set(meta, at);
  return meta;
}

/** appProtocol: a qualified name for proxies of layer 7; no packet depends on it. */
export function appProtocol(at: At | null): void {
  if (at !== null) qualifiedName(at);
}
