/**
 * The command lines of kubectl's verbs that change a cluster: flags by verb, refused in kubectl's words or named as unsupported.
 * @module
 */

export const CHANGING = ['apply', 'create', 'replace', 'delete', 'scale', 'rollout', 'label', 'annotate', 'patch', 'cordon', 'uncordon', 'drain', 'taint', 'set'] as const; // prettier-ignore
export type Verb = (typeof CHANGING)[number];

export interface ChangeRequest {
  kind: 'change';
  verb: Verb;
  words: string[];
  namespace: string;
  /** Flags given, by their long name without dashes; those that may repeat are joined by a newline. */
  flags: Map<string, string>;
}

/** What kubectl would say to a wrong command line, and what podwire's takes there. */
export interface ChangeError {
  kind: 'error';
  message: string;
  expected: string;
}

type FlagType = 'value' | 'bool' | 'cascade' | null;

const SELECT = { selector: 'value', all: 'bool' } as const;
/** Flags by verb; null: known to kubectl, not to podwire. */
const FLAGS: Record<Verb, Record<string, FlagType>> = {
  apply: { filename: 'value', recursive: null, kustomize: null, 'server-side': null, prune: null, force: null, selector: null, 'dry-run': null, wait: null, validate: null, overwrite: null, output: null, cascade: null, 'grace-period': null, 'force-conflicts': null, 'field-manager': null, all: null, timeout: null },
  create: { filename: 'value', recursive: null, kustomize: null, 'dry-run': null, 'save-config': null, edit: null, raw: null, selector: null, validate: null, output: null },
  replace: { filename: 'value', force: null, recursive: null, kustomize: null, 'dry-run': null, 'save-config': null, cascade: null, 'grace-period': null, wait: null, timeout: null, validate: null, output: null },
  delete: { filename: 'value', ...SELECT, 'grace-period': 'value', force: 'bool', now: 'bool', wait: 'bool', 'ignore-not-found': 'bool', cascade: 'cascade', 'all-namespaces': null, 'field-selector': null, timeout: null, 'dry-run': null, interactive: null, raw: null, output: null, recursive: null, kustomize: null },
  scale: { filename: 'value', ...SELECT, replicas: 'value', 'current-replicas': 'value', 'resource-version': null, timeout: null, 'dry-run': null, output: null },
  rollout: { filename: null, selector: null, 'to-revision': 'value', watch: 'bool', revision: null, timeout: null, 'dry-run': null, output: null },
  label: { ...SELECT, overwrite: 'bool', filename: null, list: null, local: null, 'dry-run': null, 'field-selector': null, 'resource-version': null, 'all-namespaces': null, output: null },
  annotate: { ...SELECT, overwrite: 'bool', filename: null, list: null, local: null, 'dry-run': null, 'field-selector': null, 'resource-version': null, 'all-namespaces': null, output: null },
  patch: { patch: 'value', type: 'value', subresource: null, 'patch-file': null, filename: null, local: null, 'dry-run': null, output: null },
  cordon: { selector: 'value', 'dry-run': null },
  uncordon: { selector: 'value', 'dry-run': null },
  drain: { selector: 'value', force: 'bool', 'ignore-daemonsets': 'bool', 'delete-emptydir-data': 'bool', 'grace-period': 'value', 'pod-selector': 'value', 'disable-eviction': null, timeout: null, 'dry-run': null, 'skip-wait-for-delete-timeout': null, 'chunk-size': null },
  taint: { ...SELECT, overwrite: 'bool', 'dry-run': null, output: null, validate: null },
  set: { ...SELECT, filename: null, local: null, 'dry-run': null, output: null },
}; // prettier-ignore
const SHORT: Readonly<Record<string, string>> = { n: 'namespace', f: 'filename', l: 'selector', p: 'patch', w: 'watch', o: 'output', R: 'recursive', k: 'kustomize', A: 'all-namespaces', i: 'interactive' }; // prettier-ignore

/** The request of `kubectl ARGS`; null when its verb changes nothing. */
export function parseChange(args: readonly string[]): ChangeRequest | ChangeError | null {
  const at = args.findIndex((a, i) => !a.startsWith('-') && !/^(-n|--namespace)$/.test(args[i - 1] ?? ''));
  const verb = CHANGING.find((v) => v === args[at]);
  if (verb === undefined) return null;
  const r: ChangeRequest = { kind: 'change', verb, words: [], namespace: 'default', flags: new Map() };
  const known = FLAGS[verb];
  const expected = ['namespace', ...Object.keys(known).filter((k) => known[k] !== null)]
    .map((k) => `--${k}`)
    .join(', ');
  const refuse = (message: string): ChangeError => ({ kind: 'error', message, expected });
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    if (i === at) continue;
    if (!a.startsWith('-') || a === '-') {
      r.words.push(a);
      continue;
    }
    const m = /^(?:--([a-z-]+)|-([a-zA-Z]))(=?)([^]*)$/.exec(a);
    const name = m?.[1] ?? SHORT[m?.[2] ?? ''] ?? '';
    const type = name === 'namespace' ? 'value' : Object.hasOwn(known, name) ? known[name] : undefined;
    if (m === null || type === undefined || (m[1] !== undefined && m[3] === '' && m[4] !== ''))
      return refuse(m?.[2] === undefined ? `error: unknown flag: ${a.split('=')[0]!}` : `error: unknown shorthand flag: '${m[2]}' in ${a}`); // prettier-ignore
    if (type === null) return refuse(`podwire's kubectl: ${verb} --${name} is not supported yet`);
    const given = m[3] === '=' || m[4] !== '';
    let value = m[4]!;
    if (!given && type === 'value') {
      if (args[++i] === undefined) return refuse(`error: flag needs an argument: ${a}`);
      value = args[i]!;
    } else if (!given) value = type === 'cascade' ? 'background' : 'true';
    if (type === 'bool' && value !== 'true' && value !== 'false')
      return refuse(`error: invalid argument "${value}" for "--${name}" flag: strconv.ParseBool: parsing "${value}": invalid syntax`); // prettier-ignore
    if (type === 'cascade' && !['background', 'orphan'].includes(value))
      return refuse(value === 'foreground' ? `podwire's kubectl: --cascade=foreground is not supported yet` : `error: invalid cascade value (${value}). Must be "background", "foreground", or "orphan"`); // prettier-ignore
    if (name === 'namespace') r.namespace = value;
    else r.flags.set(name, name === 'filename' && r.flags.has(name) ? `${r.flags.get(name)}\n${value}` : value);
  }
  return r;
}
