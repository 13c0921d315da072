/**
 * kubectl's views of a cluster: `get` and `describe`, laid out as kubectl 1.33 prints them.
 *
 * Ages count on the virtual clock, which begins at EPOCH.
 * @module
 */
import type { Requirement } from '../api/types.js';
import { selects } from '../api/selector.js';
import type { Cluster } from '../controllers.js';
import { parseKubectl, type Request } from './args.js';
import { describeObject } from './describe.js';
import type { Lookup } from './describe/network.js';
import { FieldError, fieldsMatch, type FieldTerm, parseFieldSelector } from './fields.js';
import { type Group, printObjects, printTables } from './get.js';
import { byBytes } from './go-values.js';
import { type JsonMap, map, str } from './json.js';
import { ApiObjects } from './objects.js';
import type { Resource } from './resources.js';

export interface View {
  exit: number;
  stdout: string;
  stderr: string;
}

const DEPRECATED = 'Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n';
const byName = (a: JsonMap, b: JsonMap): number =>
  byBytes(str(a, 'metadata.namespace'), str(b, 'metadata.namespace')) || byBytes(str(a, 'metadata.name'), str(b, 'metadata.name')); // prettier-ignore

/**
 * Runs `kubectl ARGS` against a cluster, `now` ns after its start. Exit 1 with kubectl's text for what kubectl refuses, exit 2
 * for what podwire's kubectl does not know.
 */
export const kubectl = (args: readonly string[], c: Cluster, now: number): View => view(args, new ApiObjects(c), now);

/** The same against any objects, complete as the API server gives them. */
export function view(args: readonly string[], api: Lookup, now: number): View {
  const r = parseKubectl(args);
  if (r.kind === 'error') return { exit: r.exit, stdout: '', stderr: `${r.message}\n` };
  const sorted = new Sorted(api);
  return r.verb === 'describe' ? describe(r, sorted, now) : get(r, sorted, now);
}

/** Lists in the order of the API server's store: by namespace and name. */
class Sorted implements Lookup {
  private readonly api: Lookup;
  private readonly lists = new Map<string, JsonMap[]>();

  constructor(api: Lookup) {
    this.api = api;
  }

  list(kind: string): JsonMap[] {
    if (!this.lists.has(kind)) this.lists.set(kind, [...this.api.list(kind)].sort(byName));
    return this.lists.get(kind)!;
  }
}

const qualified = (r: Resource): string => (r.group === '' ? r.plural : `${r.plural}.${r.group}`);

/** What the API server gives of a resource, in order of namespace and name. Throws FieldError. */
function objectsOf(r: Request, resource: Resource, api: Lookup, named: boolean): JsonMap[] {
  const terms: FieldTerm[] = named ? [] : parseFieldSelector(r.fieldSelector, resource.kind);
  const labels = (o: JsonMap): Record<string, string> => map(o, 'metadata.labels') as Record<string, string>;
  const chosen = (rs: readonly Requirement[], o: JsonMap): boolean => rs.length === 0 || selects(rs, labels(o));
  return api
    .list(resource.kind)
    .filter((o) => !resource.namespaced || r.all || str(o, 'metadata.namespace') === r.namespace)
    .filter((o) => chosen(r.selector, o) && fieldsMatch(terms, o));
}

function collect(r: Request, api: Lookup): { groups: Group[]; stderr: string } {
  const groups: Group[] = [];
  let stderr = '';
  for (const t of r.targets) {
    const { resource } = t;
    let found: JsonMap[] = [];
    try {
      const all = objectsOf(r, resource, api, t.name !== null);
      found = t.name === null ? all : all.filter((o) => str(o, 'metadata.name') === t.name);
    } catch (e) {
      if (!(e instanceof FieldError)) throw e;
      const gvr = `${resource.group}/v1, Resource=${resource.plural}`;
      stderr += `Error from server (BadRequest): Unable to find "${gvr}" that match label selector "${r.selectorText}", field selector "${r.fieldSelector}": ${e.message}\n`; // prettier-ignore
    }
    if (t.name !== null && found.length === 0 && !r.ignoreNotFound)
      stderr += `Error from server (NotFound): ${qualified(resource)} "${t.name}" not found\n`;
    const last = groups.at(-1);
    if (last?.resource === resource) last.objects.push(...found);
    else groups.push({ resource, objects: found, named: t.name !== null });
  }
  return { groups, stderr };
}

function get(r: Request, api: Lookup, now: number): View {
  const { groups, stderr } = collect(r, api);
  const warning = groups.some((g) => g.resource.plural === 'endpoints') ? DEPRECATED : '';
  const exit = stderr === '' ? 0 : 1;
  const none = groups.every((g) => g.objects.length === 0);
  const single = r.targets.length === 1 && r.targets[0]!.name !== null;
  const human = r.format === '' || r.format === 'wide';
  if (none && ((single && exit === 1) || (r.ignoreNotFound && !human))) return { exit, stdout: '', stderr: warning + stderr }; // prettier-ignore
  const answers = r.targets.filter((t) => t.name === null).length + groups.reduce((n, g) => n + (g.named ? g.objects.length : 0), 0); // prettier-ignore
  const { stdout, error } = human ? printTables(groups, r, answers, now) : printObjects(groups, r, single);
  if (human && stdout === '' && error === null) {
    const where = !r.all && r.targets.every((t) => t.resource.namespaced) ? ` in ${r.namespace} namespace.` : '';
    const text = exit === 0 && !r.ignoreNotFound ? `No resources found${where}\n` : '';
    return { exit, stdout: '', stderr: warning + stderr + text };
  }
  if (error === null) return { exit, stdout, stderr: warning + stderr };
  const text = `error: ${error}${error.endsWith('\n') ? '' : '\n'}`;
  return { exit: 1, stdout, stderr: warning + text };
}

function describe(r: Request, api: Lookup, now: number): View {
  const { groups, stderr } = collect(r, api);
  const warning = groups.some((g) => g.resource.plural === 'endpoints') ? DEPRECATED : '';
  const found = groups.flatMap((g) => g.objects);
  const show = (o: JsonMap): string => describeObject(o, api, now, r.showEvents);
  const [first] = r.targets;
  if (r.prefix && first !== undefined && first.name !== null && r.targets.length === 1 && found.length === 0) {
    const { resource, name } = first;
    const begun = objectsOf(r, resource, api, true).filter((o) => str(o, 'metadata.name').startsWith(name!));
    if (begun.length > 0) return { exit: 0, stdout: begun.map((o) => `${show(o)}\n`).join(''), stderr: warning };
  }
  const exit = stderr === '' ? 0 : 1;
  const where = r.all ? 'No resources found\n' : `No resources found in ${r.namespace} namespace.\n`;
  const none = found.length === 0 && exit === 0 ? where : '';
  return { exit, stdout: found.map(show).join('\n\n'), stderr: warning + stderr + none };
}
