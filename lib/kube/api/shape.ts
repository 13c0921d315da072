/**
 * Values that are not read further: still of the right shape, so that a slip is found where it stands.
 * @module
 */
import { type At, quote } from './at.js';

/** `quantities`: a map of resource names to quantities; `resources`: limits and requests of them; a list: one of those words. */
export type Shape = 'string' | 'int' | 'bool' | 'list' | 'map' | 'quantities' | 'resources' | string[];

const QUANTITY = /^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;
const STANDARD = /^(cpu|memory|storage|ephemeral-storage|hugepages-.+)$/;

/** Checks the shapes of the fields that are present. Throws InputError. */
export function unread(at: At, fields: Record<string, Shape>): void {
  for (const [key, shape] of Object.entries(fields)) {
    const x = at.opt(key);
    if (x !== null) check(x, shape);
  }
}

function check(at: At, shape: Shape): void {
  if (Array.isArray(shape)) at.oneOf(...shape);
  else if (shape === 'string') at.str();
  else if (shape === 'int') at.int(-(2 ** 31), 2 ** 31 - 1);
  else if (shape === 'bool') at.bool();
  else if (shape === 'list') at.list();
  else if (shape === 'map') at.entries();
  else if (shape === 'quantities') quantities(at);
  else {
    at.only('limits', 'requests', 'claims');
    unread(at, { limits: 'quantities', requests: 'quantities', claims: 'list' });
  }
}

function quantities(at: At): void {
  for (const e of at.entries()) {
    if (!STANDARD.test(e.key) && !e.key.includes('/'))
      e.keyAt.fail(`found ${quote(e.key)}, expected a standard resource type or a fully qualified one`);
    const v = e.at.plain();
    const text = typeof v === 'number' ? String(v) : e.at.str();
    if (e.key.includes('/') && /[.mun]/.test(text)) e.at.fail(`found ${quote(text)}, expected a whole number`);
    if (!QUANTITY.test(text)) e.at.fail(`found ${quote(text)}, expected a quantity like 100m or 64Mi`);
  }
}
