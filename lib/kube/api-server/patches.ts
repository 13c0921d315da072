/**
 * Objects as plain JSON, and the ways of changing them: JSON merge patch (RFC 7386), strategic merge patch, JSON patch (RFC
 * 6902), and the three-way merge of `kubectl apply`.
 *
 * Upstream: apimachinery's strategicpatch. A list whose elements have a key is merged element by element.
 * @module
 */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonMap = { [key: string]: Json };

export const isMap = (v: unknown): v is JsonMap => typeof v === 'object' && v !== null && !Array.isArray(v);
/** A field that is the object's own: `constructor` and `__proto__` are names like others. */
const own = (m: JsonMap, key: string): Json | undefined => (Object.hasOwn(m, key) ? m[key] : undefined);
const setOwn = (m: JsonMap, key: string, value: Json): void =>
  void Object.defineProperty(m, key, { value, enumerable: true, configurable: true, writable: true });
export const copy = <T>(v: T): T => structuredClone(v);

/** patchMergeKey of the lists that have one; `ports` is told apart by what its elements hold. */
const KEYS: Readonly<Record<string, string>> = {
  containers: 'name', initContainers: 'name', volumes: 'name', env: 'name', imagePullSecrets: 'name', conditions: 'type', taints: 'key',
  addresses: 'type', hostAliases: 'ip', volumeMounts: 'mountPath', ownerReferences: 'uid',
}; // prettier-ignore

function keyOf(field: string, list: Json[]): string | null {
  if (field === 'ports') return list.some((x) => isMap(x) && 'containerPort' in x) ? 'containerPort' : 'port';
  return Object.hasOwn(KEYS, field) ? KEYS[field]! : null;
}

/** RFC 7386. */
export function mergePatch(to: Json, patch: Json): Json {
  if (!isMap(patch)) return copy(patch);
  const out: JsonMap = isMap(to) ? { ...to } : {};
  for (const [k, v] of Object.entries(patch)) {
    if (v === null) delete out[k];
    else setOwn(out, k, mergePatch(own(out, k) ?? null, v));
  }
  return out;
}

/** A strategic merge patch with the directives `$patch: delete` and `$patch: replace`. */
export function strategicMerge(to: Json, patch: Json, field = ''): Json {
  if (Array.isArray(patch)) return mergeLists(Array.isArray(to) ? to : [], patch, field);
  if (!isMap(patch)) return copy(patch);
  if (patch['$patch'] === 'replace') return without(patch, '$patch');
  if (patch['$patch'] === 'delete') return {};
  const out: JsonMap = isMap(to) ? { ...to } : {};
  for (const [k, v] of Object.entries(patch)) {
    if (v === null) delete out[k];
    else setOwn(out, k, strategicMerge(own(out, k) ?? null, v, k));
  }
  return out;
}

function without(m: JsonMap, key: string): JsonMap {
  const out = copy(m);
  delete out[key];
  return out;
}

function mergeLists(to: Json[], patch: Json[], field: string): Json[] {
  const key = keyOf(field, [...patch, ...to]);
  if (key === null || ![...to, ...patch].every(isMap)) return copy(patch);
  const directive = (x: Json): Json => (isMap(x) ? (x['$patch'] ?? null) : null);
  if (patch.some((x) => directive(x) === 'replace')) return patch.filter((x) => directive(x) !== 'replace').map(copy);
  const out = [...to];
  for (const p of patch as JsonMap[]) {
    const i = out.findIndex((x) => isMap(x) && x[key] === p[key]);
    if (p['$patch'] === 'delete') {
      if (i >= 0) out.splice(i, 1);
    } else if (i >= 0) out[i] = strategicMerge(out[i]!, p);
    else out.push(copy(p));
  }
  return out;
}

/** `kubectl apply`: what the manifest says, less what its last version said and it no longer does. */
export function threeWay(live: Json, last: Json, modified: Json, field = ''): Json {
  if (Array.isArray(modified)) {
    const key = keyOf(field, [...modified, ...(Array.isArray(live) ? live : [])]);
    if (key === null || !Array.isArray(live) || ![...modified, ...live].every(isMap)) return copy(modified);
    const of = (list: Json, k: Json): Json => (Array.isArray(list) ? ((list as JsonMap[]).find((x) => x[key] === k) ?? null) : null); // prettier-ignore
    const kept = (live as JsonMap[]).filter((x) => of(modified, x[key] ?? null) !== null || of(last, x[key] ?? null) === null); // prettier-ignore
    const merged = kept.map((x) => {
      const m = of(modified, x[key] ?? null);
      return m === null ? x : threeWay(x, of(last, x[key] ?? null), m);
    });
    const added = (modified as JsonMap[]).filter((m) => of(live, m[key] ?? null) === null);
    return [...merged, ...added.map(copy)];
  }
  if (!isMap(modified)) return copy(modified);
  const out: JsonMap = isMap(live) ? { ...live } : {};
  if (isMap(last)) for (const k of Object.keys(last)) if (!Object.hasOwn(modified, k)) delete out[k];
  for (const [k, v] of Object.entries(modified)) {
    if (v === null) delete out[k];
    else setOwn(out, k, threeWay(own(out, k) ?? null, isMap(last) ? (own(last, k) ?? null) : null, v, k));
  }
  return out;
}

/** RFC 6902; throws an Error that says what does not hold. */
export function jsonPatch(to: Json, operations: Json): Json {
  if (!Array.isArray(operations)) throw new Error('found no list of operations');
  const out = copy(to);
  for (const op of operations) {
    if (!isMap(op) || typeof op['op'] !== 'string' || typeof op['path'] !== 'string')
      throw new Error('found an operation without "op" and "path"');
    operate(out, op['op'], op['path'], op);
  }
  return out;
}

function operate(root: Json, op: string, path: string, said: JsonMap): void {
  const value = said['value'] ?? null;
  if (op === 'test') {
    if (!equal(valueAt(root, path) ?? null, value)) throw new Error(`testing value ${path} failed: test failed`);
  } else if (op === 'add') place(root, op, path, value);
  else if (op === 'replace') {
    const [at, last] = holder(root, op, path);
    found(at, last, op, path);
    setOwn(at as JsonMap, last, copy(value));
  } else if (op === 'remove') take(root, op, path);
  else if (op === 'copy' || op === 'move') {
    if (typeof said['from'] !== 'string') throw new Error(`${op} operation does not decode from`);
    const from = said['from'];
    if (valueAt(root, from) === undefined) throw missing(op, from);
    place(root, op, path, op === 'copy' ? copy(valueAt(root, from)!) : take(root, op, from));
  } else throw new Error(`Unexpected kind: ${op}`);
}

const missing = (op: string, path: string): Error =>
  new Error(`${op} operation does not apply: doc is missing path: "${path}": missing value`);

/** The steps of a JSON pointer (RFC 6901). */
const steps = (path: string): string[] => path.split('/').slice(1).map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~')); // prettier-ignore

function child(at: Json, step: string): Json | undefined {
  if (Array.isArray(at)) return /^(0|[1-9]\d*)$/.test(step) ? at[Number(step)] : undefined;
  return isMap(at) ? own(at, step) : undefined;
}

function valueAt(root: Json, path: string): Json | undefined {
  let at: Json | undefined = root;
  for (const s of steps(path)) at = at === undefined ? undefined : child(at, s);
  return at;
}

/** The list or map that holds what a path names, and its last step. */
function holder(root: Json, op: string, path: string): [at: Json[] | JsonMap, last: string] {
  const last = steps(path).at(-1);
  const at = valueAt(root, path.slice(0, Math.max(0, path.lastIndexOf('/'))));
  if (last === undefined || !(Array.isArray(at) || isMap(at))) throw missing(op, path);
  return [at, last];
}

function found(at: Json, last: string, op: string, path: string): Json {
  const value = child(at, last);
  if (value === undefined)
    throw new Error(`${op} operation does not apply: doc is missing key: ${path}: missing value`);
  return value;
}

/** Takes out what a path names. */
function take(root: Json, op: string, path: string): Json {
  const [at, last] = holder(root, op, path);
  const value = found(at, last, op, path);
  if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
  return value;
}

/** Puts a value where a path says: in a list, before what stands there. */
function place(root: Json, op: string, path: string, value: Json): void {
  const [at, last] = holder(root, op, path);
  if (!Array.isArray(at)) return setOwn(at, last, copy(value));
  const i = last === '-' ? at.length : /^(0|[1-9]\d*)$/.test(last) ? Number(last) : Infinity;
  if (i > at.length)
    throw new Error(`${op} operation does not apply: doc is missing path: "${path}": invalid array index`);
  at.splice(i, 0, copy(value));
}

/** Equal as JSON: the order of fields does not count. */
function equal(a: Json, b: Json): boolean {
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((x, i) => equal(x, b[i]!));
  if (!isMap(a) || !isMap(b)) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && equal(a[k]!, b[k]!));
}
