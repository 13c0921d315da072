/**
 * `kubectl get`: tables, and objects in the other formats (kubectl, pkg/cmd/get; cli-runtime, pkg/printers).
 * @module
 */
import type { Request } from './args.js';
import { goSyntax, type Json, type JsonMap, marshalIndent, sprint } from './go-values.js';
import { map, str } from './json.js';
import { JsonPath, JsonPathError } from './jsonpath.js';
import type { Resource } from './resources.js';
import { relaxed, sortObjects } from './sort.js';
import { align, escapeTerminal } from './tabwriter.js';
import { labelText } from './text.js';
import { toYaml } from './yaml.js';

/** Objects of one resource that were asked for together. */
export interface Group {
  resource: Resource;
  objects: JsonMap[];
  /** Asked for by name: one answer each. */
  named: boolean;
}

/** What to write, and what to say of it. */
export interface Printed {
  stdout: string;
  /** Without `error: ` before it; null: none. */
  error: string | null;
}

const kindPrefix = (r: Resource): string => `${r.singular}${r.group === '' ? '' : `.${r.group}`}/`;

/** A group's lines: header (unless refused) and rows, with the columns that the flags ask for. */
function lines(g: Group, r: Request, kinds: boolean, now: number): string[] {
  const { resource } = g;
  const wide = r.format === 'wide';
  const namespace = r.all && resource.namespaced;
  const line = (own: string[], far: string[], labels: string, ns: string, extra: string[]): string =>
    [
      ...(namespace ? [ns] : []),
      ...own,
      ...(wide ? far : []),
      ...extra,
      ...(r.showLabels ? [labels] : []),
    ].map(escapeTerminal).join('\t'); // prettier-ignore
  const columnName = (k: string): string => k.slice(k.lastIndexOf('/') + 1).toUpperCase();
  const head = line(resource.columns, resource.wide, 'LABELS', 'NAMESPACE', r.labelColumns.map(columnName));
  const n = resource.columns.length;
  const rows = g.objects.map((o) => {
    const cells = resource.cells(o, now);
    const own = cells.slice(0, n);
    if (kinds) own[0] = kindPrefix(resource) + own[0]!;
    const labels = map(o, 'metadata.labels');
    const extra = r.labelColumns.map((k) => (Object.hasOwn(labels, k) ? String(labels[k]) : ''));
    return line(own, cells.slice(n), labelText(labels), str(o, 'metadata.namespace'), extra);
  });
  return r.headers ? [head, ...rows] : rows;
}

const MIN_WIDTH = 6;
const PADDING = 3;
const table = (rows: string[]): string => align(rows.map((l) => `${l}\n`).join(''), MIN_WIDTH, PADDING);

/** False for a path that is none or that no object has. */
function sorted(objects: JsonMap[], path: string): boolean {
  try {
    sortObjects(objects, path);
    return true;
  } catch (e) {
    if (!(e instanceof JsonPathError)) throw e;
    return false;
  }
}

/** Tables, one a group; `answers`: how many the API server gave. Nothing on stdout and no error: nothing to show. */
export function printTables(groups: Group[], r: Request, answers: number, now: number): Printed {
  const full = groups.filter((g) => g.objects.length > 0);
  const none: Printed = { stdout: '', error: null };
  if (r.sortBy !== '') {
    // kubectl sorts several answers as if each were an object: none has the field. One answer it sorts row by row, and
    // forgets the error of a path that is none or that no row has.
    const error = `couldn't find any field with path "${relaxed(r.sortBy) ?? r.sortBy}" in the list of objects`;
    if (answers > 1) return { stdout: '', error };
    const rows = full[0]?.objects ?? [];
    if (rows.length > 1 && !sorted(rows, r.sortBy)) return none;
  }
  const kinds = r.showKind || new Set(groups.map((g) => g.resource)).size > 1;
  return { stdout: full.map((g) => table(lines(g, r, kinds, now))).join(r.headers ? '\n' : ''), error: null };
}

const names = (groups: Group[]): string =>
  groups.flatMap((g) => g.objects.map((o) => `${kindPrefix(g.resource)}${str(o, 'metadata.name')}\n`)).join('');

function jsonPath(r: Request, v: JsonMap): Printed {
  if (r.template === '') return { stdout: '', error: 'template format specified but no template given' };
  let path: JsonPath;
  try {
    path = new JsonPath(r.template, r.allowMissing);
  } catch (e) {
    if (!(e instanceof JsonPathError)) throw e;
    return { stdout: '', error: `error parsing jsonpath ${r.template}, ${e.message}` };
  }
  try {
    return { stdout: r.format === 'jsonpath' ? path.text(v) : path.json(v), error: null };
  } catch (e) {
    if (!(e instanceof JsonPathError)) throw e;
    const more = `Error executing template: ${e.message}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t${r.template}\n\tobject given to jsonpath engine was:\n\t\t${goSyntax(v)}\n\n`; // prettier-ignore
    return { stdout: '', error: `error executing jsonpath "${quoted(r.template)}": ${more}\n` };
  }
}

/** The inside of %q. */
const quoted = (s: string): string => goSyntax(s).slice(1, -1);

/** Custom columns: `HEADER:path` by commas. */
function customColumns(r: Request, objects: JsonMap[]): Printed {
  const bad = (error: string): Printed => ({ stdout: '', error });
  if (r.template === '') return bad('custom-columns format specified but no custom columns given');
  const columns: { header: string; path: string }[] = [];
  for (const part of r.template.split(',')) {
    const cut = part.indexOf(':');
    if (cut < 0) return bad(`unexpected custom-columns spec: ${part}, expected <header>:<json-path-expr>`);
    const path = relaxed(part.slice(cut + 1));
    if (path === null)
      return bad("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"); // prettier-ignore
    columns.push({ header: part.slice(0, cut), path });
  }
  const rows = r.headers ? [columns.map((c) => c.header).join('\t')] : [];
  try {
    const paths = columns.map((c) => new JsonPath(c.path, true));
    for (const o of objects) {
      const cell = (p: JsonPath): string => {
        const found = p.find(o);
        const none = found.length === 0 || found[0]!.length === 0 ? ['<none>'] : [];
        return [...none, ...found.flat().map((v) => escapeTerminal(sprint(v)))].join(',');
      };
      rows.push(paths.map(cell).join('\t'));
    }
  } catch (e) {
    if (!(e instanceof JsonPathError)) throw e;
    return { stdout: table(rows), error: e.message };
  }
  return { stdout: table(rows), error: null };
}

/** Formats of whole objects; `single`: one object was asked for by its name, so that it is no list. */
export function printObjects(groups: Group[], r: Request, single: boolean): Printed {
  const objects = groups.flatMap((g) => g.objects);
  const one = single && objects.length === 1;
  try {
    if (!one && r.sortBy !== '') sortObjects(objects, r.sortBy);
  } catch (e) {
    if (!(e instanceof JsonPathError)) throw e;
    return { stdout: '', error: e.message };
  }
  const list: JsonMap = { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: objects as Json[] };
  const v = one ? objects[0]! : list;
  switch (r.format) {
    case 'name': {
      const resources = new Map(groups.flatMap((g) => g.objects.map((o) => [o, g.resource])));
      return {
        stdout: names(objects.map((o) => ({ resource: resources.get(o)!, objects: [o], named: true }))),
        error: null,
      };
    }
    case 'yaml':
      return { stdout: toYaml(v), error: null };
    case 'json':
      return { stdout: `${marshalIndent(v)}\n`, error: null };
    case 'custom-columns':
      return customColumns(r, objects);
    default:
      return jsonPath(r, v);
  }
}
