/**
 * What every changing verb of kubectl shares: the session in which it runs, the objects its words name, its files.
 * @module
 */
import { findKind, type KindNames, namesOf, typeOf } from '../../api-server/kinds.js';
import { type ApiServer, Refused } from '../../api-server/server.js';
import { documents } from '../../api/at.js';
import { readObjects } from '../../api/manifest.js';
import { parseSelector, selects } from '../../api/selector.js';
import type { KubeObject } from '../../api/types.js';
import type { Loop } from '../../control-plane/loop.js';
import type { ChangeRequest } from './args.js';

/** A failure in kubectl's own words; exit code 1. */
export class KubectlError extends Error {}

/** What kubectl knows and podwire does not: an error of the scenario. */
export class Unsupported extends Error {}

/** One run of kubectl: what it prints and how it ends, now or at a later time of the clock. */
export interface Session {
  request: ChangeRequest;
  api: ApiServer;
  loop: Loop;
  out(text: string): void;
  err(text: string): void;
  exit(code: number): void;
  /** Text of `-f FILE`, and the name and the place it has in messages; `-` is the step's own input. Throws InputError. */
  file(path: string): { text: string; file: string; line: number };
}

/** `Error from server (NotFound): …`; Invalid stands alone. */
export const serverError = (e: Refused): string =>
  e.reason === 'Invalid' ? e.message : `Error from server (${e.reason}): ${e.message}`;

export const flag = (s: Session, name: string): string | null => s.request.flags.get(name) ?? null;
export const isOn = (s: Session, name: string): boolean => s.request.flags.get(name) === 'true';

/** The name of a label, an annotation or a taint. */
export const isQualifiedName = (v: string): boolean =>
  /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(v);

/** `deployment.apps/web`. */
export const nameOf = (o: KubeObject): string => `${typeOf(namesOf(o.kind))}/${o.metadata.name}`;

/** The whole number of a flag; null when it was not given. */
export function numberFlag(s: Session, name: string): number | null {
  const v = flag(s, name);
  if (v === null) return null;
  if (!/^-?\d+$/.test(v))
    throw new KubectlError(`error: invalid argument "${v}" for "--${name}" flag: strconv.ParseInt: parsing "${v}": invalid syntax`); // prettier-ignore
  return Number(v);
}

function kindOf(type: string): KindNames {
  const k = findKind(type);
  if (k === null) throw new KubectlError(`error: the server doesn't have a resource type "${type.split('.')[0]}"`);
  return k;
}

/** Runs `each` for objects one after the other; what the server refuses is said and the rest goes on. Exit code 1 then. */
export function forEach<T>(s: Session, list: readonly T[], each: (x: T) => void): boolean {
  let fine = true;
  for (const x of list) {
    try {
      each(x);
    } catch (e) {
      if (e instanceof Refused) s.err(`${serverError(e)}\n`);
      else if (e instanceof KubectlError) s.err(`${e.message}\n`);
      else throw e;
      fine = false;
    }
  }
  return fine;
}

/** What `TYPE NAME…`, `TYPE/NAME…`, a selector or `--all` name: those that exist, and whether one was missing (said). */
export function named(s: Session, words: readonly string[]): { objects: KubeObject[]; fine: boolean } {
  const refs = references(words);
  const selector = flag(s, 'selector');
  const { request, loop } = s;
  const inside = (k: KindNames, o: KubeObject): boolean => !k.namespaced || o.metadata.namespace === request.namespace;
  if (selector !== null || isOn(s, 'all')) {
    if (refs.some((r) => r.name !== null)) throw new KubectlError(selector !== null ? 'error: name cannot be provided when a selector is specified' : 'error: setting \'all\' parameter but found a non empty selector. '); // prettier-ignore
    const rs = parseSelector(selector ?? '');
    if (rs === null) throw new KubectlError(`Error from server (BadRequest): unable to parse requirement: found '${selector}'`); // prettier-ignore
    const objects = refs.flatMap((r) =>
      loop.store.list(r.kind.kind).filter((o) => inside(r.kind, o) && selects(rs, o.metadata.labels)),
    );
    return { objects, fine: true };
  }
  if (refs.length === 0 || refs.some((r) => r.name === null))
    throw new KubectlError('error: resource(s) were provided, but no name was specified');
  const objects: KubeObject[] = [];
  const fine = forEach(s, refs, (r) => {
    objects.push(s.api.get(r.kind.kind, r.kind.namespaced ? request.namespace : '', r.name!));
  });
  return { objects, fine };
}

function references(words: readonly string[]): { kind: KindNames; name: string | null }[] {
  if (words.some((w) => w.includes('/'))) {
    return words.map((w) => {
      const [type = '', name = '', more] = w.split('/');
      if (!w.includes('/'))
        throw new KubectlError("error: there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'"); // prettier-ignore
      if (type === '' || name === '' || more !== undefined)
        throw new KubectlError('error: arguments in resource/name form must have a single resource and name');
      return { kind: kindOf(type), name };
    });
  }
  const [types, ...names] = words;
  const kinds = (types ?? '').split(',').filter((t) => t !== '').map(kindOf); // prettier-ignore
  if (names.length === 0) return kinds.map((kind) => ({ kind, name: null }));
  return kinds.flatMap((kind) => names.map((name) => ({ kind, name })));
}

/** The objects of `-f`, each with the JSON that its manifest is. Throws InputError for a manifest that is none. */
export function fromFiles(s: Session): { object: KubeObject; plain: unknown; file: string }[] {
  const files = flag(s, 'filename');
  if (files === null) throw new KubectlError(s.request.verb === 'scale' ? '' : 'error: must specify one of -f and -k');
  const seen = new Set<string>();
  return files.split('\n').flatMap((path) => {
    const { text, file, line } = s.file(path);
    // Blank lines before the text give its errors the lines that it has in the file.
    return documents('\n'.repeat(Math.max(0, line - 1)) + text, file).flatMap((doc) => {
      const items = doc.req('kind').str() === 'List' ? doc.req('items').list() : [doc];
      return items.flatMap((at) => readObjects(at, seen).map(known).map((object) => ({ object: inNamespace(s, object, at.opt('metadata')?.opt('namespace') ?? null), plain: at.plain(), file: path }))); // prettier-ignore
    });
  });
}

/** A custom resource's names are those of its definition, which the store does not read. */
function known(o: KubeObject): KubeObject {
  if (o.kind === 'CustomResource') throw new Unsupported(`podwire's kubectl: changes of custom resources ("${o.metadata.name}") are not supported yet`); // prettier-ignore
  return o;
}

/** `-n` is where objects without a namespace go. */
function inNamespace(s: Session, o: KubeObject, given: unknown): KubeObject {
  const { namespace } = s.request;
  if (o.metadata.namespace === '' || o.metadata.namespace === namespace) return o;
  if (given !== null) {
    if (namespace === 'default') return o;
    throw new KubectlError(`error: the namespace from the provided object "${o.metadata.namespace}" does not match the namespace "${namespace}". You must pass '--namespace=${o.metadata.namespace}' to perform this operation.`); // prettier-ignore
  }
  o.metadata.namespace = namespace;
  return o;
}
