/**
 * Labels and selectors as apimachinery prints them.
 * @module
 */
import { byBytes, type JsonMap, sortedKeys } from './go-values.js';
import { list, map, str, strings } from './json.js';

/** labels.FormatLabels. */
export const labelText = (l: JsonMap): string =>
  sortedKeys(l).map((k) => `${k}=${String(l[k])}`).join(',') || '<none>'; // prettier-ignore

function requirement(e: JsonMap): string {
  const key = str(e, 'key');
  const operator = str(e, 'operator');
  if (operator === 'Exists') return key;
  if (operator === 'DoesNotExist') return `!${key}`;
  return `${key} ${operator === 'In' ? 'in' : 'notin'} (${strings(e, 'values').sort(byBytes).join(',')})`;
}

/** metav1.FormatLabelSelector: requirements by key. */
export function selectorOf(s: JsonMap): string {
  const labels = map(s, 'matchLabels');
  const all = [
    ...sortedKeys(labels).map((key) => ({ key, text: `${key}=${String(labels[key])}` })),
    ...list(s, 'matchExpressions').map((e) => ({ key: str(e, 'key'), text: requirement(e) })),
  ];
  return all.sort((a, b) => byBytes(a.key, b.key)).map((x) => x.text).join(',') || '<none>'; // prettier-ignore
}

/** True when a LabelSelector chooses labels; an empty one chooses all. */
export function selectorMatches(s: JsonMap, labels: JsonMap): boolean {
  const own = map(s, 'matchLabels');
  const meets = (e: JsonMap): boolean => {
    const key = str(e, 'key');
    const v = Object.hasOwn(labels, key) ? String(labels[key]) : null;
    const operator = str(e, 'operator');
    if (operator === 'In') return v !== null && strings(e, 'values').includes(v);
    if (operator === 'NotIn') return v === null || !strings(e, 'values').includes(v);
    return (v !== null) === (operator === 'Exists');
  };
  return Object.keys(own).every((k) => labels[k] === own[k]) && list(s, 'matchExpressions').every(meets);
}
