/**
 * The API server's validation errors (apimachinery, util/validation/field): what is wrong with a value, in its words.
 *
 * Each function throws the InputError of a place; the place's path and the text are those of field.Error.
 * @module
 */
import type { At } from './at.js';

/** Longest value that a message repeats. */
const SHOWN = 400;

/** A value as messages show it: JSON, cut where it is long. */
export function shown(v: unknown): string {
  const text = typeof v === 'number' || typeof v === 'boolean' ? String(v) : JSON.stringify(v);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

/** field.Invalid; `value`: what stands there unless given. */
export const invalid = (at: At, detail: string, value: unknown = at.plain()): never =>
  at.fail(`Invalid value: ${shown(value)}: ${detail}`);

/** field.Required, of a field that is absent or empty. */
export const required = (at: At, key: string, detail = ''): never =>
  failChild(at, key, `Required value${detail === '' ? '' : `: ${detail}`}`);

/** Fails at a field, or where it would be. */
export const failChild = (at: At, key: string, message: string): never =>
  at.opt(key)?.fail(message) ?? at.failAbsent(key, message);

/** field.Invalid of a field that may be absent. */
export const invalidChild = (at: At, key: string, detail: string, value: unknown): never =>
  failChild(at, key, `Invalid value: ${shown(value)}: ${detail}`);

/** field.NotSupported: not one of the values that there are, in the order of the API server's list. */
export const unsupported = (at: At, values: readonly string[], value: unknown = at.plain()): never =>
  at.fail(`Unsupported value: ${shown(value)}: supported values: ${values.map((v) => JSON.stringify(v)).join(', ')}`);

/** field.Duplicate */
export const duplicate = (at: At, value: unknown = at.plain()): never => at.fail(`Duplicate value: ${shown(value)}`);

/** field.Forbidden */
export const forbidden = (at: At, detail: string): never => at.fail(`Forbidden: ${detail}`);

/** field.TooMany */
export const tooMany = (at: At, found: number, max: number): never =>
  at.fail(`Too many: ${found}: must have at most ${max} items`);

/** field.TooLong */
export const tooLong = (at: At, max: number): never => at.fail(`Too long: may not be more than ${max} bytes`);

/** The text of an optional field; '' when it is absent. */
export const textOf = (at: At, key: string): string => at.opt(key)?.str() ?? '';

/** One of the values of an optional field, `initial` when it is absent. */
export function choice<const T extends string>(at: At | null, values: readonly T[], initial: NoInfer<T>): T {
  if (at === null) return initial;
  const v = at.text() as T;
  return values.includes(v) ? v : unsupported(at, values);
}
