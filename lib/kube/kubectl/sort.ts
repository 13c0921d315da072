/**
 * `--sort-by`: rows in the order of what a JSONPath finds in each (kubectl, pkg/cmd/get/sorter.go).
 * @module
 */
import { parseQuantity } from '../api/quantity.js';
import { byBytes, type GoValue, type JsonMap, typeName } from './go-values.js';
import { JsonPath, JsonPathError } from './jsonpath.js';

/** RelaxedJSONPathExpression: `a.b`, `.a.b`, `{a.b}` and `{.a.b}` all mean `{.a.b}`; null for other texts. */
export function relaxed(path: string): string | null {
  if (path === '') return '';
  const m = /^\{\.?([^{}]+)\}$|^\.?([^{}]+)$/.exec(path);
  return m === null ? null : `{.${m[1] ?? m[2]}}`;
}

/** isLess, of values as they stand in maps: null first. */
function less(a: GoValue, b: GoValue): boolean {
  if (a === null || b === null) return a === null && b !== null;
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a !== 'string' || typeof b !== 'string') throw new JsonPathError(`unsortable type: ${typeName(typeof a === typeof b ? a : b)}`); // prettier-ignore
  const [x, y] = [parseQuantity(a), parseQuantity(b)];
  return x === null || y === null ? byBytes(a, b) < 0 : x.nanos < y.nanos;
}

/** Go sorts up to twelve by insertion: stable, and what lacks the field goes before everything, its like included. */
const INSERTION = 12;

/**
 * Sorts objects in place. Throws JsonPathError for a path that is none or that none of the objects has.
 */
export function sortObjects(objects: JsonMap[], path: string): void {
  const expression = relaxed(path) ?? path;
  const finder = new JsonPath(expression, true);
  const keyed = objects.map((o) => ({ o, key: finder.find(o)[0]?.[0] }));
  if (objects.length > 0 && keyed.every((k) => k.key === undefined))
    throw new JsonPathError(`couldn't find any field with path "${expression}" in the list of objects`);
  type Keyed = (typeof keyed)[number];
  const before = (a: Keyed, b: Keyed): boolean => a.key === undefined || (b.key !== undefined && less(a.key, b.key));
  if (keyed.length <= INSERTION) {
    for (let i = 1; i < keyed.length; i++)
      for (let j = i; j > 0 && before(keyed[j]!, keyed[j - 1]!); j--)
        [keyed[j], keyed[j - 1]] = [keyed[j - 1]!, keyed[j]!];
  } else
    keyed.sort((a, b) => {
      if (a.key === undefined || b.key === undefined) return Number(b.key === undefined) - Number(a.key === undefined);
      return less(a.key, b.key) ? -1 : less(b.key, a.key) ? 1 : 0;
    });
  keyed.forEach((k, i) => (objects[i] = k.o));
}
