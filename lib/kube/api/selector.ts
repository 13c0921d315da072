/**
 * Label selectors: reading, matching, printing, and kubectl's `-l` language (apimachinery, labels.Selector).
 * @module
 */
import { type At, quote } from './at.js';
import { forbidden, invalidChild, required, textOf } from './field-error.js';
import { isLabelValue, labels, labelValue, qualifiedName } from './names.js';
import type { LabelSelector, Requirement } from './types.js';

/** Reads metav1.LabelSelector with the API server's validation. */
export function labelSelector(at: At): LabelSelector {
  return {
    matchLabels: labels(at.opt('matchLabels')),
    matchExpressions: (at.opt('matchExpressions')?.list() ?? []).map((e) =>
      requirement(e, 'In', 'NotIn', 'Exists', 'DoesNotExist'),
    ),
  };
}

/** One `{ key, operator, values }`, as ValidateLabelSelectorRequirement and ValidateNodeSelectorRequirement have it. */
export function requirement(e: At, ...operators: Requirement['operator'][]): Requirement {
  const forNodes = operators.includes('Gt');
  const operator = textOf(e, 'operator') as Requirement['operator'];
  const list = e.opt('values')?.list() ?? [];
  const values = list.map((v) => v.text());
  if ((operator === 'In' || operator === 'NotIn') && values.length === 0)
    required(e, 'values', "must be specified when `operator` is 'In' or 'NotIn'");
  if ((operator === 'Exists' || operator === 'DoesNotExist') && values.length > 0)
    forbidden(e.req('values'), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  if ((operator === 'Gt' || operator === 'Lt') && forNodes && values.length !== 1)
    required(e, 'values', "must be specified single value when `operator` is 'Lt' or 'Gt'");
  if (!operators.includes(operator)) invalidChild(e, 'operator', 'not a valid selector operator', operator);
  if (textOf(e, 'key') === '') invalidChild(e, 'key', 'name part must be non-empty', '');
  const key = qualifiedName(e.req('key'));
  for (const v of list) labelValue(v);
  if ((operator === 'Gt' || operator === 'Lt') && !/^-?\d+$/.test(values[0]!))
    e.req('values').fail(`found ${quote(values[0]!)}, expected a whole number for operator ${operator}`);
  return { key, operator, values };
}

/** True when labels meet one requirement; absent keys meet NotIn and DoesNotExist only. */
export function meets(r: Requirement, own: Record<string, string>): boolean {
  const v = Object.hasOwn(own, r.key) ? own[r.key]! : null;
  switch (r.operator) {
    case 'In':
      return v !== null && r.values.includes(v);
    case 'NotIn':
      return v === null || !r.values.includes(v);
    case 'Exists':
      return v !== null;
    case 'DoesNotExist':
      return v === null;
    case 'Gt':
      return v !== null && /^-?\d+$/.test(v) && BigInt(v) > BigInt(r.values[0]!);
    case 'Lt':
      return v !== null && /^-?\d+$/.test(v) && BigInt(v) < BigInt(r.values[0]!);
  }
}

const equal = (key: string, value: string): Requirement => ({ key, operator: 'In', values: [value] });

/** The requirements of a LabelSelector or of a map selector. */
export const requirements = (s: LabelSelector): Requirement[] => [
  ...Object.entries(s.matchLabels).map(([k, v]) => equal(k, v)),
  ...s.matchExpressions,
];

/** labels.Selector.Matches; an empty selector selects everything. */
export const selects = (rs: readonly Requirement[], own: Record<string, string>): boolean =>
  rs.every((r) => meets(r, own));

/** A Service's or node's map selector. */
export const mapSelector = (map: Record<string, string>): Requirement[] =>
  Object.entries(map).map(([k, v]) => equal(k, v));

const byKey = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** labels.Selector.String: requirements by key, sets in `key in (a,b)` form, `=` for a single wanted value of matchLabels. */
export function selectorText(s: LabelSelector): string {
  const set = (r: Requirement): string => `(${[...r.values].sort(byKey).join(',')})`;
  const one = (r: Requirement): string =>
    r.operator === 'Exists'
      ? r.key
      : r.operator === 'DoesNotExist'
        ? `!${r.key}`
        : `${r.key} ${r.operator === 'In' ? 'in' : 'notin'} ${set(r)}`;
  const all = [
    ...Object.entries(s.matchLabels).map(([key, v]) => ({ key, text: `${key}=${v}` })),
    ...s.matchExpressions.map((r) => ({ key: r.key, text: one(r) })),
  ];
  return all.sort((a, b) => byKey(a.key, b.key)).map((x) => x.text).join(','); // prettier-ignore
}

/**
 * Parses `-l`: `a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`, separated by commas. Null: not of that form.
 */
export function parseSelector(text: string): Requirement[] | null {
  const out: Requirement[] = [];
  let rest = text.trim();
  const key = '[A-Za-z0-9][A-Za-z0-9_./-]*';
  const value = '[A-Za-z0-9_.-]*';
  const form = new RegExp(
    `^(?:!\\s*(${key})|(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)|(${key})\\s*(==|=|!=)\\s*(${value})|(${key}))\\s*(,|$)`,
  );
  while (rest !== '') {
    const m = form.exec(rest);
    if (m === null) return null;
    if (m[1] !== undefined) out.push({ key: m[1], operator: 'DoesNotExist', values: [] });
    else if (m[2] !== undefined) {
      const values = m[4]!.split(',').map((x) => x.trim());
      out.push({ key: m[2], operator: m[3] === 'in' ? 'In' : 'NotIn', values });
    } else if (m[5] !== undefined) out.push({ key: m[5], operator: m[6] === '!=' ? 'NotIn' : 'In', values: [m[7]!] });
    else out.push({ key: m[8]!, operator: 'Exists', values: [] });
    const end = m[9] === ',';
    rest = rest.slice(m[0].length).trim();
    if (end && rest === '') return null;
    if (out.some((r) => r.values.some((v) => !isLabelValue(v)))) return null;
  }
  return out;
}
