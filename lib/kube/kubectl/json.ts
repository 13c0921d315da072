/**
 * Reads of JSON objects by path: what is absent or of another type reads as empty.
 * @module
 */
import { type Json, type JsonMap, isMap } from './go-values.js';

export type { Json, JsonMap } from './go-values.js';

/** The value at a dotted path; undefined when it is absent or null. */
export function at(o: JsonMap, path: string): Json | undefined {
  let v: Json | undefined = o;
  for (const k of path.split('.')) v = isMap(v) && Object.hasOwn(v, k) ? v[k] : undefined;
  return v ?? undefined;
}

export const str = (o: JsonMap, path: string): string => {
  const v = at(o, path);
  return typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '';
};

export const int = (o: JsonMap, path: string): number => {
  const v = at(o, path);
  return typeof v === 'number' ? v : 0;
};

export const map = (o: JsonMap, path: string): JsonMap => {
  const v = at(o, path);
  return isMap(v) ? v : {};
};

/** The maps in a list. */
export const list = (o: JsonMap, path: string): JsonMap[] => {
  const v = at(o, path);
  return Array.isArray(v) ? v.filter(isMap) : [];
};

/** The texts in a list. */
export const strings = (o: JsonMap, path: string): string[] => {
  const v = at(o, path);
  return Array.isArray(v) ? v.filter((x): x is string => typeof x === 'string') : [];
};
