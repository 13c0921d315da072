/**
 * kubectl's views of a cluster: `get` and `describe svc`, laid out as kubectl prints them.
 *
 * Upstream: cli-runtime's table printer, kubectl's get and describe. Ages count on the virtual clock, which begins at EPOCH.
 * @module
 */
import type { ObjectMeta, Service } from '../api/types.js';
import { selects } from '../api/selector.js';
import type { Cluster } from '../controllers.js';
import { age } from './age.js';
import { parseKubectl, type Request } from './args.js';
import { describeService } from './describe.js';
import { labelText, type Resource, type Row } from './resources.js';

export interface View {
  exit: number;
  stdout: string;
  stderr: string;
}

const DEPRECATED = 'Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n';
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byName = (a: { metadata: ObjectMeta }, b: { metadata: ObjectMeta }): number =>
  compare(a.metadata.namespace, b.metadata.namespace) || compare(a.metadata.name, b.metadata.name);

/**
 * Runs `kubectl ARGS` against a cluster, `now` ns after its start. Exit 1 with kubectl's text for what kubectl refuses, exit 2
 * for what podwire's kubectl does not know.
 */
export function kubectl(args: readonly string[], c: Cluster, now: number): View {
  const r = parseKubectl(args);
  if (r.kind === 'error') return { exit: r.exit, stdout: '', stderr: `${r.message}\n` };
  return r.verb === 'describe' ? describe(r, c) : get(r, c, now);
}

/** One resource's objects in order of namespace and name; those asked for by name in the order of the names. */
interface Group {
  resource: Resource;
  rows: Row[];
}

const qualified = (r: Resource): string => (r.group === '' ? r.plural : `${r.plural}.${r.group}`);

function collect(r: Request, c: Cluster): { groups: Group[]; stderr: string } {
  const groups: Group[] = [];
  let stderr = '';
  for (const t of r.targets) {
    const { resource } = t;
    const rows = resource
      .rows(c)
      .filter((x) => !resource.namespaced || r.all || x.metadata.namespace === r.namespace)
      .filter((x) => selects(r.selector, x.metadata.labels))
      .sort(byName);
    const found = t.name === null ? rows : rows.filter((x) => x.metadata.name === t.name);
    if (t.name !== null && found.length === 0 && !r.ignoreNotFound)
      stderr += `Error from server (NotFound): ${qualified(resource)} "${t.name}" not found\n`;
    const last = groups.at(-1);
    if (last?.resource === resource) last.rows.push(...found);
    else groups.push({ resource, rows: found });
  }
  return { groups, stderr };
}

function get(r: Request, c: Cluster, now: number): View {
  const { groups, stderr } = collect(r, c);
  const warning = groups.some((g) => g.resource.plural === 'endpoints') ? DEPRECATED : '';
  const exit = stderr === '' ? 0 : 1;
  const full = groups.filter((g) => g.rows.length > 0);
  if (r.output === 'name') {
    const lines = full.flatMap((g) => g.rows.map((x) => `${kindPrefix(g.resource)}${x.metadata.name}\n`));
    return { exit, stdout: lines.join(''), stderr: warning + stderr };
  }
  if (full.length === 0) {
    const where = !r.all && r.targets.every((t) => t.resource.namespaced) ? ` in ${r.namespace} namespace.` : '';
    const none = exit === 0 && !r.ignoreNotFound ? `No resources found${where}\n` : '';
    return { exit, stdout: '', stderr: warning + stderr + none };
  }
  const kinds = r.showKind || new Set(r.targets.map((t) => t.resource)).size > 1;
  const tables = full.map((g) => table(cells(g, r, kinds, now)));
  return { exit, stdout: tables.join(r.headers ? '\n' : ''), stderr: warning + stderr };
}

const kindPrefix = (r: Resource): string => `${r.singular}${r.group === '' ? '' : `.${r.group}`}/`;

/** A group's table: header (unless refused) and rows, with the columns that the flags ask for. */
function cells(g: Group, r: Request, kinds: boolean, now: number): string[][] {
  const { resource } = g;
  const wide = r.output === 'wide';
  const namespace = r.all && resource.namespaced;
  const line = (own: string[], far: string[], labels: string, ns: string, extra: string[]): string[] => [
    ...(namespace ? [ns] : []),
    ...own,
    ...(wide ? far : []),
    ...extra,
    ...(r.showLabels ? [labels] : []),
  ];
  const columnName = (k: string): string => k.slice(k.lastIndexOf('/') + 1).toUpperCase();
  const head = line(resource.columns, resource.wide, 'LABELS', 'NAMESPACE', r.labelColumns.map(columnName));
  const rows = g.rows.map((x) => {
    const own = [...x.cells];
    if (kinds) own[0] = kindPrefix(resource) + own[0]!;
    own.splice(resource.columns.indexOf('AGE'), 0, age(x.metadata.creationTimestamp, now));
    const { labels } = x.metadata;
    const extra = r.labelColumns.map((k) => (Object.hasOwn(labels, k) ? labels[k]! : ''));
    return line(own, x.wide, labelText(labels), x.metadata.namespace, extra);
  });
  return r.headers ? [head, ...rows] : rows;
}

/** Go's tabwriter as kubectl sets it up: three blanks between cells, no cell but the last narrower than six. */
function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, i) => Math.max(6, ...rows.map((x) => x[i]!.length + 3)));
  return rows
    .map((x) => `${x.map((cell, i) => (i === x.length - 1 ? cell : cell.padEnd(widths[i]!))).join('')}\n`)
    .join('');
}

function describe(r: Request, c: Cluster): View {
  const mine = c.services
    .filter((s) => s.metadata.namespace === r.namespace && selects(r.selector, s.metadata.labels))
    .sort(byName);
  const found: Service[] = [];
  let stderr = '';
  for (const t of r.targets) {
    const chosen = mine.filter((s) => t.name === null || s.metadata.name === t.name);
    found.push(...chosen);
    if (chosen.length > 0 || t.name === null) continue;
    const begun = r.prefix ? mine.filter((s) => s.metadata.name.startsWith(t.name!)) : [];
    if (begun.length > 0)
      return { exit: 0, stdout: begun.map((s) => `${describeService(s, c)}\n`).join(''), stderr: '' };
    stderr += `Error from server (NotFound): services "${t.name}" not found\n`;
  }
  const exit = stderr === '' ? 0 : 1;
  if (found.length === 0 && exit === 0) stderr = `No resources found in ${r.namespace} namespace.\n`;
  return { exit, stdout: found.map((s) => describeService(s, c)).join('\n\n'), stderr };
}
