/**
 * `kubectl cordon`, `uncordon`, `drain` and `taint`.
 * @module
 */
import { withMeta } from '../../api-server/store.js';
import { Refused } from '../../api-server/server.js';
import { placeOf } from '../../api/meta.js';
import { parseSelector, selects } from '../../api/selector.js';
import { isLabelValue } from '../../api/names.js';
import type { KubeObject, Node, Pod, Taint } from '../../api/types.js';
import { deletePod, graceOf } from '../../control-plane/pods.js';
import {
  flag,
  forEach,
  isOn,
  isQualifiedName,
  KubectlError,
  named,
  numberFlag,
  serverError,
  type Session,
  Unsupported,
} from './run.js';
import { whenGone } from './delete.js';

/** The nodes that names or a selector mean. */
function nodes(s: Session): Node[] {
  const { words } = s.request;
  const selector = flag(s, 'selector');
  if (words.length === 0 && selector === null)
    throw new KubectlError(`error: USAGE: ${s.request.verb} NODE [flags]\nSee 'kubectl ${s.request.verb} -h' for help and examples`); // prettier-ignore
  if (words.length > 0 && selector !== null)
    throw new KubectlError('error: error: cannot specify both a node name and a --selector option');
  try {
    return named(s, ['nodes', ...words.map((w) => w.replace(/^nodes?\//, ''))]).objects as Node[];
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    throw new KubectlError(serverError(e));
  }
}

function setUnschedulable(s: Session, n: Node, to: boolean): void {
  const word = to ? 'cordoned' : 'uncordoned';
  if (n.spec.unschedulable === to) return s.out(`node/${n.metadata.name} already ${word}\n`);
  // The node controller adds the taint that goes with it; podwire's scheduler reads the field itself.
  s.loop.store.put({ ...withMeta(n, {}), spec: { ...n.spec, unschedulable: to } });
  s.out(`node/${n.metadata.name} ${word}\n`);
}

export function cordon(s: Session, to: boolean): void {
  const list = nodes(s);
  for (const n of list) setUnschedulable(s, n, to);
  s.exit(list.length >= s.request.words.length ? 0 : 1);
}

interface Chosen {
  pods: Pod[];
  warnings: Map<string, string[]>;
  errors: Map<string, string[]>;
}

/** Volumes stand in the manifest of a pod, or in the template of the workload that made it. */
function hasEmptyDir(p: Pod): boolean {
  const from = placeOf(p);
  const spec = from?.opt('spec')?.opt('template')?.opt('spec') ?? from?.opt('spec');
  return (spec?.opt('volumes')?.list() ?? []).some((v) => v.has('emptyDir'));
}

/** An eviction asks PodDisruptionBudgets, whose arithmetic is not here. */
function checkBudgets(s: Session, pods: readonly Pod[]): void {
  const budgets: KubeObject[] = s.loop.store.list('PodDisruptionBudget');
  for (const b of budgets)
    if (pods.some((p) => p.metadata.namespace === b.metadata.namespace))
      throw new Unsupported(
        `podwire's kubectl: drain beside PodDisruptionBudget "${b.metadata.name}" is not supported yet`,
      );
}

/** The filters of kubectl's drain. */
function choose(s: Session, node: string): Chosen {
  const out: Chosen = { pods: [], warnings: new Map(), errors: new Map() };
  const add = (to: Map<string, string[]>, why: string, p: Pod): void =>
    void to.set(why, [...(to.get(why) ?? []), `${p.metadata.namespace}/${p.metadata.name}`]);
  const rs = parseSelector(flag(s, 'pod-selector') ?? '') ?? [];
  for (const p of s.loop.store.list('Pod')) {
    if (p.spec.nodeName !== node || !selects(rs, p.metadata.labels)) continue;
    const ended = p.status.phase === 'Succeeded' || p.status.phase === 'Failed';
    const owner = p.metadata.ownerReferences[0];
    if (!ended && owner?.kind === 'DaemonSet') {
      if (isOn(s, 'ignore-daemonsets')) add(out.warnings, 'ignoring DaemonSet-managed Pods', p);
      else add(out.errors, 'DaemonSet-managed Pods (use --ignore-daemonsets to ignore)', p);
    } else if (!ended && hasEmptyDir(p) && !isOn(s, 'delete-emptydir-data')) {
      add(out.errors, 'Pods with local storage (use --delete-emptydir-data to override)', p);
    } else if (!ended && owner === undefined && !isOn(s, 'force')) {
      add(out.errors, 'cannot delete Pods that declare no controller (use --force to override)', p);
    } else {
      if (!ended && owner === undefined) add(out.warnings, 'deleting Pods that declare no controller', p);
      out.pods.push(p);
    }
  }
  return out;
}

const listed = (m: Map<string, string[]>, before: string, between: string): string =>
  [...m].map(([why, pods]) => `${before}${why}: ${pods.join(', ')}`).join(between);

export function drain(s: Session): void {
  const list = nodes(s);
  for (const n of list) checkBudgets(s, choose(s, n.metadata.name).pods);
  for (const n of list) setUnschedulable(s, n, true);
  drainNext(s, list, []);
}

function drainNext(s: Session, left: Node[], failed: [node: string, why: string][]): void {
  const [n, ...rest] = left;
  if (n === undefined) {
    if (failed.length > 0) {
      s.err(`There are pending nodes to be drained:\n${failed.map(([name]) => ` ${name}\n`).join('')}`);
      s.err(`${failed.map(([, why]) => `error: ${why}`).join('\n')}\n`);
    }
    return s.exit(failed.length > 0 ? 1 : 0);
  }
  const { name } = n.metadata;
  const chosen = choose(s, name);
  if (chosen.errors.size > 0) {
    const each = [...chosen.errors].map(([why, pods]) => `cannot delete ${why}: ${pods.join(', ')}`);
    const why = each.length === 1 ? each[0]! : `[${each.join(', ')}]`;
    s.err(`error: unable to drain node "${name}" due to error: ${why}, continuing command...\n`);
    return drainNext(s, rest, [...failed, [name, why]]);
  }
  const warnings = listed(chosen.warnings, '', '; ');
  if (warnings !== '') s.err(`Warning: ${warnings}\n`);
  const grace = numberFlag(s, 'grace-period');
  for (const p of chosen.pods) {
    s.out(`evicting pod ${p.metadata.namespace}/${p.metadata.name}\n`);
    deletePod(s.loop, p, grace === null || grace < 0 ? graceOf(p) : grace);
  }
  for (const p of chosen.pods) whenGone(s, [p], () => s.out(`pod/${p.metadata.name} evicted\n`));
  whenGone(s, chosen.pods, () => {
    s.out(`node/${name} drained\n`);
    drainNext(s, rest, failed);
  });
}

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

/** `KEY=VALUE:EFFECT`, `KEY:EFFECT`, and with a `-` behind it what goes. */
export function taint(s: Session): void {
  const [type, ...words] = s.request.words;
  const specs = words.filter((w) => w.includes('=') || w.includes(':') || w.endsWith('-'));
  const names = words.filter((w) => !specs.includes(w));
  if (specs.length === 0) throw new KubectlError('error: at least one taint update is required');
  const remove = specs.filter((w) => w.endsWith('-')).map((w) => parseTaint(w.slice(0, -1), false));
  const add = specs.filter((w) => !w.endsWith('-')).map((w) => parseTaint(w, true));
  const twice = add.find((t, i) => add.findIndex((x) => same(x, t)) < i);
  if (twice !== undefined)
    throw new KubectlError(`error: duplicated taints with the same key and effect: {${twice.key} ${twice.value} ${twice.effect} <nil>}`); // prettier-ignore
  const { objects, fine } = named(s, [type ?? '', ...names]);
  const done = forEach(s, objects, (n) => {
    if (n.kind !== 'Node') throw new KubectlError('error: only nodes are supported');
    const { taints, operation } = reorganized(n, add, remove, isOn(s, 'overwrite'));
    if (JSON.stringify(taints) !== JSON.stringify(n.spec.taints))
      s.loop.store.put({ ...withMeta(n, {}), spec: { ...n.spec, taints } });
    s.out(`node/${n.metadata.name} ${operation}\n`);
  });
  s.exit(fine && done ? 0 : 1);
}

type Parsed = Omit<Taint, 'effect'> & { effect: string };
const same = (a: Parsed, b: Parsed): boolean => a.key === b.key && a.effect === b.effect;

/** `KEY=VALUE:EFFECT`, `KEY:EFFECT` or, where no effect is needed, `KEY`. */
function parseTaint(text: string, needed: boolean): Parsed {
  const m = /^([^=:]+)(?:(?:=([^=:]*))?:([^:]+))?$/.exec(text);
  const [key, value, effect] = [m?.[1] ?? '', m?.[2] ?? '', m?.[3] ?? ''];
  if (effect !== '' && !EFFECTS.includes(effect))
    throw new KubectlError(`error: invalid taint effect: ${effect}, unsupported taint effect`);
  if (m === null || !isQualifiedName(key) || !isLabelValue(value) || (needed && effect === ''))
    throw new KubectlError(`error: invalid taint spec: ${text}`);
  return { key, value, effect };
}

/** reorganizeTaints: the new ones first, then those that stay, without those that go. */
function reorganized(n: Node, add: Parsed[], remove: Parsed[], overwrite: boolean): { taints: Taint[]; operation: string } {
  const old = n.spec.taints;
  const already = add.filter((t) => old.some((o) => same(o, t))).map((t) => t.key);
  if (already.length > 0 && !overwrite)
    throw new KubectlError(`error: node ${n.metadata.name} already has ${already.join(',')} taint(s) with same effect(s) and --overwrite is false`);
  let taints = [...(add as Taint[]), ...old.filter((o) => !add.some((t) => same(o, t)))];
  const added = taints.length !== old.length;
  const missing: string[] = [];
  let removed = false;
  for (const r of remove) {
    const rest = taints.filter((t) => (r.effect === '' ? t.key !== r.key : !same(t, r)));
    removed = rest.length !== taints.length;
    if (!removed) missing.push(`taint "${r.key}${r.effect === '' ? '' : `:${r.effect}`}" not found`);
    taints = rest;
  }
  if (missing.length > 0) throw new KubectlError(`error: ${missing.length === 1 ? missing[0] : `[${missing.join(', ')}]`}`);
  return { taints, operation: (added && removed) || overwrite ? 'modified' : added ? 'tainted' : 'untainted' };
} // prettier-ignore
