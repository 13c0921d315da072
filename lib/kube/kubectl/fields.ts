/**
 * Field selectors: `--field-selector`, parsed and matched as the API server does (apimachinery, fields.Selector).
 * @module
 */
import { byBytes, type JsonMap } from './go-values.js';
import { at, list, str } from './json.js';

export interface FieldTerm {
  field: string;
  value: string;
  equal: boolean;
}

/** What the API server says of a selector it cannot use. */
export class FieldError extends Error {}

const fail = (message: string): never => {
  throw new FieldError(message);
};

type Reader = (o: JsonMap) => string;
const path =
  (p: string): Reader =>
  (o) =>
    str(o, p);
const META: Record<string, Reader> = { 'metadata.name': path('metadata.name'), 'metadata.namespace': path('metadata.namespace') }; // prettier-ignore

/** The fields that each kind can be selected by; others know their name and namespace only. */
const FIELDS: Record<string, Record<string, Reader>> = {
  Pod: {
    ...META,
    'spec.nodeName': path('spec.nodeName'),
    'spec.restartPolicy': path('spec.restartPolicy'),
    'spec.schedulerName': path('spec.schedulerName'),
    'spec.serviceAccountName': path('spec.serviceAccountName'),
    'spec.hostNetwork': (o) => String(at(o, 'spec.hostNetwork') === true),
    'status.phase': path('status.phase'),
    'status.podIP': (o) => str(list(o, 'status.podIPs')[0] ?? {}, 'ip'),
    'status.podIPs': () => '',
    'status.nominatedNodeName': path('status.nominatedNodeName'),
  },
  Node: { 'metadata.name': META['metadata.name']!, 'spec.unschedulable': (o) => String(at(o, 'spec.unschedulable') === true) }, // prettier-ignore
  Namespace: { 'metadata.name': META['metadata.name']!, 'status.phase': path('status.phase') },
  Secret: { ...META, type: path('type') },
  Service: { ...META, 'spec.clusterIP': path('spec.clusterIP'), 'spec.type': path('spec.type') },
};

function unescape(s: string): string {
  let out = '';
  for (let i = 0; i < s.length; i++) {
    const c = s[i]!;
    if (c === '\\') {
      const e = s[++i] ?? '';
      if (e === '' || !'\\,='.includes(e)) fail(`invalid field selector: invalid escape sequence: \\${e}`);
      out += e;
    } else if (c === ',' || c === '=') fail(`invalid field selector: unescaped character in value: ${c.charCodeAt(0)}`);
    else out += c;
  }
  return out;
}

/** The terms of a selector, for objects of a kind. Throws FieldError in the API server's words. */
export function parseFieldSelector(text: string, kind: string): FieldTerm[] {
  const known = FIELDS[kind] ?? META;
  const out: FieldTerm[] = [];
  // Terms are read in order of their text; the first bad one is named.
  for (const part of text.split(/(?<=(?:^|[^\\])(?:\\\\)*),/).map((p) => p.replace(/,$/, '')).sort(byBytes)) {
    if (part === '') continue;
    const m = /^(.*?)(!=|==|=)(.*)$/s.exec(part);
    if (m === null) return fail(`invalid selector: '${text}'; can't understand '${part}'`);
    out.push({ field: m[1]!, value: unescape(m[3]!), equal: m[2] !== '!=' });
  }
  for (const t of out) {
    if (Object.hasOwn(known, t.field)) continue;
    fail(Object.hasOwn(FIELDS, kind) ? `field label not supported: ${t.field}` : `"${t.field}" is not a known field selector: only "metadata.name", "metadata.namespace"`); // prettier-ignore
  }
  return out;
} // prettier-ignore

/** True when an object meets every term. */
export function fieldsMatch(terms: readonly FieldTerm[], o: JsonMap): boolean {
  const known = FIELDS[str(o, 'kind')] ?? META;
  return terms.every((t) => (known[t.field]!(o) === t.value) === t.equal);
}
