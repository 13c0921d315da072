/**
 * Objects that a cluster keeps and no frame depends on: accepted, validated, stored, and nothing more.
 * @module
 */
import type { At } from './at.js';
import { invalid, required, shown, textOf } from './field-error.js';
import { objectMeta } from './meta.js';
import { dnsSubdomain } from './names.js';
import type { Stored, StoredKind } from './types.js';

/** Kinds, where they are, and why nothing depends on them. */
export const STORED: Record<StoredKind, { api: string; namespaced: boolean; why: string }> = {
  ConfigMap: { api: 'v1', namespaced: true, why: 'a program does what its image or podwire.dev/run says' },
  Secret: { api: 'v1', namespaced: true, why: 'as ConfigMap' },
  ServiceAccount: { api: 'v1', namespaced: true, why: 'identities towards the API server, which sends no frames here' },
  Role: { api: 'rbac.authorization.k8s.io/v1', namespaced: true, why: 'as ServiceAccount' },
  RoleBinding: { api: 'rbac.authorization.k8s.io/v1', namespaced: true, why: 'as ServiceAccount' },
  ClusterRole: { api: 'rbac.authorization.k8s.io/v1', namespaced: false, why: 'as ServiceAccount' },
  ClusterRoleBinding: { api: 'rbac.authorization.k8s.io/v1', namespaced: false, why: 'as ServiceAccount' },
  PodDisruptionBudget: { api: 'policy/v1', namespaced: true, why: 'only kubectl drain evicts pods, and it is refused beside one' },
  PriorityClass: { api: 'scheduling.k8s.io/v1', namespaced: false, why: 'nodes have no capacities, so that no pod gives way' },
  LimitRange: { api: 'v1', namespaced: true, why: 'as PriorityClass; its limits refuse no pod' },
  PersistentVolume: { api: 'v1', namespaced: false, why: 'storage' },
  PersistentVolumeClaim: { api: 'v1', namespaced: true, why: 'storage' },
  StorageClass: { api: 'storage.k8s.io/v1', namespaced: false, why: 'storage' },
  CustomResourceDefinition: { api: 'apiextensions.k8s.io/v1', namespaced: false, why: 'its controller is not here' },
  CustomResource: { api: '', namespaced: true, why: 'as its CustomResourceDefinition' },
}; // prettier-ignore

/** ValidatePathSegmentName: names of roles. */
function pathSegment(at: At): string {
  const v = at.str();
  if (v === '.' || v === '..') invalid(at, `may not be '${v}'`);
  if (v.includes('/')) invalid(at, "may not contain '/'");
  if (v.includes('%')) invalid(at, "may not contain '%'");
  return v;
}

const KEY = /^[-._a-zA-Z0-9]+$/;
const KEY_ERROR = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"; // prettier-ignore

function keyError(key: string): string | null {
  if (key.length > 253) return 'must be no more than 253 characters';
  if (!KEY.test(key)) return KEY_ERROR;
  if (key === '.') return "must not be '.'";
  if (key === '..') return "must not be '..'";
  return key.startsWith('..') ? "must not start with '..'" : null;
}

/** IsConfigMapKey of every key of a map; `where`: the map's name in messages, for stringData becomes data. */
function keys(at: At, field: string, where: string): Set<string> {
  const all = at.opt(field)?.entries() ?? [];
  for (const e of all) {
    const bad = keyError(e.key);
    if (bad !== null) e.keyAt.failPlain(`${where}[${e.key}]: Invalid value: ${shown(e.key)}: ${bad}`);
  }
  return new Set(all.map((e) => e.key));
}

function configMap(at: At): void {
  const data = keys(at, 'data', 'data');
  for (const key of keys(at, 'binaryData', 'binaryData'))
    if (data.has(key)) at.req('binaryData').failPlain(`data[${key}]: Invalid value: ${shown(key)}: duplicate of key present in binaryData`); // prettier-ignore
}

function secret(at: At): void {
  keys(at, 'data', 'data');
  keys(at, 'stringData', 'data');
}

/** `crd/GROUP/VERSION/KIND` of every version that a CustomResourceDefinition serves. */
export function definedKinds(at: At): string[] {
  const spec = at.opt('spec') ?? at.failAbsent('spec.group', 'Required value');
  if (textOf(spec, 'group') === '') required(spec, 'group');
  const names = spec.opt('names') ?? spec.failAbsent('names.kind', 'Required value');
  if (textOf(names, 'kind') === '') required(names, 'kind');
  return (spec.opt('versions')?.list() ?? []).map((v) => {
    if (textOf(v, 'name') === '') required(v, 'name');
    return `crd/${textOf(spec, 'group')}/${textOf(v, 'name')}/${textOf(names, 'kind')}`;
  });
}

/** Reads an object that is only kept. Throws InputError. */
export function stored(at: At, kind: StoredKind): Stored {
  const names = kind.includes('Role') ? pathSegment : dnsSubdomain;
  const o: Stored = { kind, metadata: objectMeta(at, STORED[kind].namespaced, names) };
  if (kind === 'ConfigMap') configMap(at);
  if (kind === 'Secret') secret(at);
  return o;
}
