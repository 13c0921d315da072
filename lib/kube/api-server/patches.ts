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
    else out[k] = mergePatch(out[k] ?? null, v);
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
    else out[k] = strategicMerge(out[k] ?? null, v, k);
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
  if (isMap(last)) for (const k of Object.keys(last)) if (!(k in modified)) delete out[k];
  for (const [k, v] of Object.entries(modified)) {
    if (v === null) delete out[k];
    else out[k] = threeWay(out[k] ?? null, isMap(last) ? (last[k] ?? null) : null, v, k);
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
    operate(out, op['op'], op['path'], op['value'] ?? null);
  }
  return out;
}

function operate(root: Json, op: string, path: string, value: Json): void {
  const steps = path.split('/').slice(1).map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~')); // prettier-ignore
  const last = steps.pop();
  let at: Json = root;
  for (const s of steps) at = child(at, s, path);
  if (last === undefined || !(Array.isArray(at) || isMap(at))) throw new Error(`${op} operation does not apply: doc is missing path: "${path}": missing value`); // prettier-ignore
  const there = Array.isArray(at) ? Number(last) < at.length : last in at;
  if (op === 'test') {
    if (JSON.stringify(there ? (at as JsonMap)[last] : null) !== JSON.stringify(value)) throw new Error(`testing value ${path} failed: test failed`); // prettier-ignore
    return;
  }
  if (op !== 'add' && op !== 'replace' && op !== 'remove') throw new Error(`Unexpected kind: ${op}`);
  if (op !== 'add' && !there) throw new Error(`${op} operation does not apply: doc is missing key: ${path}: missing value`); // prettier-ignore
  if (Array.isArray(at)) {
    const i = last === '-' ? at.length : Number(last);
    if (op === 'remove') at.splice(i, 1);
    else at.splice(i, op === 'replace' ? 1 : 0, copy(value));
  } else if (op === 'remove') delete at[last];
  else at[last] = copy(value);
}

function child(at: Json, step: string, path: string): Json {
  const v = Array.isArray(at) ? at[Number(step)] : isMap(at) ? at[step] : undefined;
  if (v === undefined) throw new Error(`operation does not apply: doc is missing path: "${path}": missing value`);
  return v;
}
