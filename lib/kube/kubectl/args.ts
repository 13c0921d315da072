/**
 * kubectl's command line: verbs, resources, names and flags, refused in kubectl's own words.
 *
 * What kubectl itself refuses ends with kubectl's text and exit code 1; what it knows and podwire does not (yet) is said so,
 * with exit code 2.
 * @module
 */
import { parseSelector } from '../api/selector.js';
import type { Requirement } from '../api/types.js';
import { CHANGING } from './change/args.js';
import { DESCRIBED } from './describe.js';
import { findResource, KNOWN_ELSEWHERE, type Resource, RESOURCES } from './resources.js';

export interface Request {
  kind: 'request';
  verb: 'get' | 'describe';
  /** What to show: a resource and one name, or all of it (name null). */
  targets: { resource: Resource; name: string | null }[];
  namespace: string;
  all: boolean;
  format: '' | 'wide' | 'name' | 'yaml' | 'json' | 'jsonpath' | 'jsonpath-as-json' | 'custom-columns';
  /** What stands behind the `=` of the format. */
  template: string;
  headers: boolean;
  showKind: boolean;
  showLabels: boolean;
  labelColumns: string[];
  ignoreNotFound: boolean;
  selector: Requirement[];
  selectorText: string;
  fieldSelector: string;
  sortBy: string;
  allowMissing: boolean;
  showEvents: boolean;
  /** `TYPE NAME` alone: describe takes a name that does not exist for the beginning of one. */
  prefix: boolean;
}

export interface ArgError {
  kind: 'error';
  /** The whole text for stderr, without a newline at its end. */
  message: string;
  exit: 1 | 2;
  /** What podwire's kubectl takes there. */
  expected: string;
}

const FORMATS = 'wide, name, yaml, json, jsonpath=…, jsonpath-as-json=… or custom-columns=…';

class Refusal extends Error {
  readonly error: ArgError;
  constructor(message: string, exit: 1 | 2, expected: string) {
    super(message);
    this.error = { kind: 'error', message, exit, expected };
  }
}

const VERBS = ['get', 'describe', ...CHANGING].join(', ');
/** Verbs of kubectl that podwire's does not answer. */
const OTHER_VERBS = 'annotate api-resources api-versions apply attach auth autoscale certificate cluster-info completion config cordon cp create debug delete diff drain edit events exec explain expose kustomize label logs options patch plugin port-forward proxy replace rollout run scale set taint top uncordon version wait'.split(' '); // prettier-ignore

/** Flags by name: whether they take a value; null: known to kubectl, not to podwire. */
const GET_FLAGS: Record<string, 'value' | 'bool' | null> = {
  '--output': 'value', '--namespace': 'value', '--selector': 'value', '--label-columns': 'value', '--all-namespaces': 'bool',
  '--no-headers': 'bool', '--show-labels': 'bool', '--show-kind': 'bool', '--ignore-not-found': 'bool', '--watch': null,
  '--watch-only': null, '--sort-by': 'value', '--field-selector': 'value', '--filename': null, '--chunk-size': 'value', '--kustomize': null,
  '--output-watch-events': null, '--raw': null, '--recursive': null, '--server-print': null, '--show-managed-fields': 'bool',
  '--subresource': null, '--template': null, '--allow-missing-template-keys': 'bool',
}; // prettier-ignore
const DESCRIBE_FLAGS: typeof GET_FLAGS = {
  '--namespace': 'value', '--selector': 'value', '--all-namespaces': 'bool', '--chunk-size': 'value', '--filename': null, '--kustomize': null,
  '--recursive': null, '--show-events': 'bool',
}; // prettier-ignore
/** kubectl's global flags that choose a cluster or talk of it. */
const GLOBAL = ['--kubeconfig', '--context', '--cluster', '--user', '--server', '--token', '--v', '--request-timeout', '--as', '--as-group', '--as-uid', '--cache-dir', '--certificate-authority', '--client-certificate', '--client-key', '--insecure-skip-tls-verify', '--match-server-version', '--password', '--profile', '--profile-output', '--tls-server-name', '--username', '--vmodule', '--warnings-as-errors', '--log-flush-frequency', '--disable-compression']; // prettier-ignore
const SHORT: Record<string, string> = { n: '--namespace', o: '--output', l: '--selector', L: '--label-columns', A: '--all-namespaces', w: '--watch', f: '--filename', k: '--kustomize', R: '--recursive', s: '--server', v: '--v' }; // prettier-ignore

/** Parses `kubectl ARGS`. */
export function parseKubectl(args: readonly string[]): Request | ArgError {
  try {
    return new Parser(args).request();
  } catch (e) {
    if (e instanceof Refusal) return e.error;
    throw e;
  }
}

class Parser {
  private readonly args: readonly string[];
  private readonly words: string[] = [];
  private readonly flags = new Map<string, string>();

  constructor(args: readonly string[]) {
    this.args = args;
  }

  request(): Request {
    const verb = this.verb();
    this.scan(verb);
    const flag = (name: string): string => this.flags.get(name) ?? '';
    const on = (name: string): boolean => flag(name) === 'true';
    const output = flag('--output');
    const text = flag('--selector');
    const request: Request = {
      kind: 'request',
      verb,
      targets: this.targets(verb),
      namespace: flag('--namespace') || 'default',
      all: on('--all-namespaces'),
      ...this.output(output),
      headers: !on('--no-headers'),
      showKind: on('--show-kind'),
      showLabels: on('--show-labels'),
      labelColumns: flag('--label-columns') === '' ? [] : flag('--label-columns').split(','),
      ignoreNotFound: on('--ignore-not-found'),
      selector: [],
      selectorText: text,
      fieldSelector: flag('--field-selector'),
      sortBy: flag('--sort-by'),
      allowMissing: flag('--allow-missing-template-keys') !== 'false',
      showEvents: flag('--show-events') !== 'false',
      prefix: this.words.length === 2 && !this.words.some((w) => w.includes('/')),
    };
    if (request.targets.some((t) => t.name !== null)) {
      if (text !== '' || request.fieldSelector !== '')
        throw new Refusal('error: name cannot be provided when a selector is specified', 1, 'one of them');
      if (request.all)
        throw new Refusal('error: a resource cannot be retrieved by name across all namespaces', 1, 'one of them');
    }
    if (request.showLabels && request.format !== '' && request.format !== 'wide')
      throw new Refusal(`error: --show-labels option cannot be used with ${output} printer`, 1, 'no --show-labels');
    const selector = parseSelector(text);
    if (selector === null)
      throw new Refusal(`Error from server (BadRequest): unable to parse the label selector "${text}"`, 1, 'a selector such as a=b or a in (b,c)'); // prettier-ignore
    return { ...request, selector };
  }

  private verb(): 'get' | 'describe' {
    for (let i = 0; i < this.args.length; i++) {
      const a = this.args[i]!;
      if (a.startsWith('-')) {
        if (a === '-n' || a === '--namespace') i++;
        continue;
      }
      if (a === 'get' || a === 'describe') return a;
      if (OTHER_VERBS.includes(a)) throw new Refusal(`podwire's kubectl: "${a}" is not supported yet`, 2, VERBS);
      throw new Refusal(`error: unknown command "${a}" for "kubectl"`, 1, VERBS);
    }
    throw new Refusal(`podwire's kubectl: found no command`, 2, VERBS);
  }

  private scan(verb: 'get' | 'describe'): void {
    let seen = false;
    for (let i = 0; i < this.args.length; i++) {
      const a = this.args[i]!;
      if (!a.startsWith('-') || a === '-') {
        if (!seen && a === verb) seen = true;
        else this.words.push(a);
      } else if (a.startsWith('--')) i = this.long(verb, a, i);
      else i = this.short(verb, a, i);
    }
  }

  private usage(verb: string): string {
    return `See 'kubectl ${verb} --help' for usage.`;
  }

  private long(verb: 'get' | 'describe', a: string, i: number): number {
    const cut = a.indexOf('=');
    const name = cut < 0 ? a : a.slice(0, cut);
    const type = this.type(verb, name);
    if (type === undefined) throw new Refusal(`error: unknown flag: ${name}\n${this.usage(verb)}`, 1, this.known(verb));
    if (type === 'bool') {
      const v = cut < 0 ? 'true' : a.slice(cut + 1);
      if (v !== 'true' && v !== 'false')
        throw new Refusal(`error: invalid argument "${v}" for "${name}" flag: strconv.ParseBool: parsing "${v}": invalid syntax\n${this.usage(verb)}`, 1, 'true or false'); // prettier-ignore
      this.flags.set(name, v);
      return i;
    }
    if (cut < 0 && this.args[i + 1] === undefined)
      throw new Refusal(`error: flag needs an argument: ${name}\n${this.usage(verb)}`, 1, 'a value');
    this.flags.set(name, cut < 0 ? this.args[i + 1]! : a.slice(cut + 1));
    return cut < 0 ? i + 1 : i;
  }

  private short(verb: 'get' | 'describe', a: string, i: number): number {
    for (let k = 1; k < a.length; k++) {
      const name = Object.hasOwn(SHORT, a[k]!) ? SHORT[a[k]!]! : '';
      const type = name === '' ? undefined : this.type(verb, name);
      if (type === undefined)
        throw new Refusal(`error: unknown shorthand flag: '${a[k]}' in ${a}\n${this.usage(verb)}`, 1, this.known(verb));
      if (type === 'bool') {
        this.flags.set(name, 'true');
        continue;
      }
      const rest = a.slice(k + 1).replace(/^=/, '');
      const value = rest === '' ? this.args[i + 1] : rest;
      if (value === undefined)
        throw new Refusal(`error: flag needs an argument: '${a[k]}' in ${a}\n${this.usage(verb)}`, 1, 'a value');
      this.flags.set(name, value);
      return rest === '' ? i + 1 : i;
    }
    return i;
  }

  private type(verb: 'get' | 'describe', name: string): 'value' | 'bool' | undefined {
    const flags = verb === 'get' ? GET_FLAGS : DESCRIBE_FLAGS;
    const type = Object.hasOwn(flags, name) ? flags[name] : GLOBAL.includes(name) ? null : undefined;
    if (type === null) throw new Refusal(`podwire's kubectl: ${name} is not supported yet`, 2, this.known(verb));
    return type;
  }

  private known(verb: 'get' | 'describe'): string {
    const flags = Object.entries(verb === 'get' ? GET_FLAGS : DESCRIBE_FLAGS);
    return flags.filter(([, t]) => t !== null).map(([f]) => f).join(', '); // prettier-ignore
  }

  private output(text: string): Pick<Request, 'format' | 'template'> {
    const cut = text.indexOf('=');
    const format = cut < 0 ? text : text.slice(0, cut);
    const template = cut < 0 ? '' : text.slice(cut + 1);
    if (cut < 0 && ['', 'wide', 'name', 'yaml', 'json'].includes(format)) return { format: format as Request['format'], template }; // prettier-ignore
    if (format === 'jsonpath' || format === 'jsonpath-as-json' || format === 'custom-columns') return { format, template }; // prettier-ignore
    const formats = 'custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml'; // prettier-ignore
    if (formats.split(',').includes(format) && !['wide', 'name', 'yaml', 'json'].includes(format))
      throw new Refusal(`podwire's kubectl: output format "${format}" is not supported yet`, 2, FORMATS);
    throw new Refusal(`error: unable to match a printer suitable for the output format "${text}", allowed formats are: ${formats}`, 1, FORMATS); // prettier-ignore
  }

  private targets(verb: 'get' | 'describe'): Request['targets'] {
    const [first, ...names] = this.words;
    if (first === undefined) {
      const use = 'Use "kubectl api-resources" for a complete list of supported resources.';
      throw new Refusal(
        verb === 'get'
          ? `You must specify the type of resource to get. ${use}\n\nerror: Required resource not specified.\nUse "kubectl explain <resource>" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples`
          : `error: You must specify the type of resource to describe. ${use}`,
        1,
        'a resource',
      );
    }
    if (this.words.some((w) => w.includes('/'))) return this.words.map((w) => this.slashed(verb, w));
    const kinds =
      first === 'all' ? RESOURCES.filter((r) => r.all) : first.split(',').map((t) => this.resource(verb, t));
    const distinct = [...new Set(kinds)];
    if (names.length === 0) return distinct.map((resource) => ({ resource, name: null }));
    if (distinct.length > 1 && first !== 'all')
      return distinct.flatMap((resource) => names.map((name) => ({ resource, name })));
    if (first === 'all') throw new Refusal(`podwire's kubectl: names with "all" are not supported yet`, 2, 'no names');
    return names.map((name) => ({ resource: distinct[0]!, name }));
  }

  private slashed(verb: 'get' | 'describe', w: string): { resource: Resource; name: string } {
    if (!w.includes('/'))
      throw new Refusal("error: there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'", 1, 'resource/name'); // prettier-ignore
    const [type, name, extra] = w.split('/') as [string, string, string | undefined];
    if (type === '' || name === '' || extra !== undefined)
      throw new Refusal('error: arguments in resource/name form must have a single resource and name', 1, 'resource/name'); // prettier-ignore
    return { resource: this.resource(verb, type), name };
  }

  private resource(verb: 'get' | 'describe', type: string): Resource {
    const r = findResource(type);
    const all = verb === 'get' ? RESOURCES : RESOURCES.filter((x) => DESCRIBED.has(x.kind));
    const known = all.map((x) => x.plural).join(', ');
    if (r !== null && all.includes(r)) return r;
    if (r !== null || KNOWN_ELSEWHERE.includes(type.toLowerCase()))
      throw new Refusal(`podwire's kubectl: ${verb} "${type}" is not supported yet`, 2, known);
    throw new Refusal(`error: the server doesn't have a resource type "${type.split('.')[0]}"`, 1, known);
  }
}
