/**
 * The scheduler: a node for every pod that names none.
 *
 * Filters as kube-scheduler's default plugins NodeUnschedulable, NodeAffinity (nodeSelector and the required terms),
 * TaintToleration and NodePorts. Scores reduced to what differs between equal nodes: fewer PreferNoSchedule taints, then fewer
 * pods of the same ReplicaSet (PodTopologySpread), then fewer pods (NodeResourcesFit). kube-scheduler breaks ties at
 * random; here the first node in the file's order wins. Pods are taken in order of the manifests, those of Deployments last.
 * @module
 */
import { failAt } from '../api/meta.js';
import { mapSelector, meets, selects } from '../api/selector.js';
import type { ContainerPort, Node, NodeSelectorTerm, Pod, PodSpec, Taint, Toleration } from '../api/types.js';

const UNSCHEDULABLE: Taint = { key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' };

export const tolerates = (list: Toleration[], t: Taint): boolean =>
  list.some(
    (x) =>
      (x.effect === '' || x.effect === t.effect) &&
      (x.key === '' || x.key === t.key) &&
      (x.operator === 'Exists' || x.value === t.value),
  );

/** True when nothing but host ports could keep a pod from a node. */
export const suits = (spec: PodSpec, n: Node): boolean => unfit(spec, n) === '';

/** Why a node is no place for a pod, in kube-scheduler's words; empty when it is one. Host ports apart. */
function unfit(spec: PodSpec, n: Node): string {
  if (n.spec.unschedulable && !tolerates(spec.tolerations, UNSCHEDULABLE)) return 'node(s) were unschedulable';
  const name = { 'metadata.name': n.metadata.name };
  const affine =
    spec.nodeAffinity === null ||
    spec.nodeAffinity.some(
      (t) =>
        t.matchExpressions.length + t.matchFields.length > 0 &&
        selects(t.matchExpressions, n.metadata.labels) &&
        t.matchFields.every((r) => meets(r, name)),
    );
  if (!affine || !selects(mapSelector(spec.nodeSelector), n.metadata.labels))
    return "node(s) didn't match Pod's node affinity/selector";
  const taint = n.spec.taints.find((t) => t.effect !== 'PreferNoSchedule' && !tolerates(spec.tolerations, t));
  return taint === undefined ? '' : `node(s) had untolerated taint(s)`;
}

/** Ports of the host that a pod takes (schedutil.GetHostPorts). */
const hostPorts = (p: Pod): ContainerPort[] =>
  p.spec.containers.flatMap((c) => c.ports.filter((x) => x.hostPort !== 0));

const ANY = ['', '0.0.0.0'];
/** HostPortInfo.CheckConflict: one of two addresses is every address, or both are the same. */
const clash = (taken: ContainerPort[], x: ContainerPort): boolean =>
  taken.some(
    (y) =>
      y.hostPort === x.hostPort &&
      y.protocol === x.protocol &&
      (ANY.includes(y.hostIP) || ANY.includes(x.hostIP) || y.hostIP === x.hostIP),
  );

const groupOf = (p: Pod): string =>
  p.metadata.ownerReferences.length === 0 ? '' : `${p.metadata.namespace}/${p.metadata.ownerReferences[0]!.name}`;

interface Load {
  node: Node;
  pods: number;
  groups: Map<string, number>;
  ports: ContainerPort[];
}

function bind(l: Load, p: Pod): void {
  l.pods++;
  const g = groupOf(p);
  l.groups.set(g, (l.groups.get(g) ?? 0) + 1);
  l.ports.push(...hostPorts(p));
}

/** Places every pod, or leaves it Pending and says why in `warnings`. Throws InputError for a nodeName that does not exist. */
export function schedule(file: string, nodes: Node[], pods: Pod[], warnings: string[]): void {
  const loads: Load[] = nodes.map((node) => ({ node, pods: 0, groups: new Map(), ports: [] }));
  const byName = new Map(loads.map((l) => [l.node.metadata.name, l]));
  for (const p of pods) {
    if (p.spec.nodeName === '') continue;
    const l = byName.get(p.spec.nodeName);
    if (l === undefined)
      return failAt(file, p, 'spec.nodeName', `found nodeName "${p.spec.nodeName}", expected one of: ${[...byName.keys()].slice(0, 20).join(', ')}`); // prettier-ignore
    const port = hostPorts(p).find((x) => clash(l.ports, x));
    if (port !== undefined)
      failAt(file, p, 'spec.containers', `found port ${port.hostPort}/${port.protocol} of the host, expected one that is free on ${p.spec.nodeName}`); // prettier-ignore
    bind(l, p);
  }
  // Pods of one Deployment share their template's spec: what fits one fits all. A DaemonSet's have their own affinity.
  const fits = new Map<PodSpec['containers'] | NodeSelectorTerm[], Load[]>();
  for (const p of pods) {
    if (p.spec.nodeName !== '') continue;
    const key = p.metadata.ownerReferences.some((r) => r.kind === 'DaemonSet') ? p.spec.nodeAffinity! : p.spec.containers; // prettier-ignore
    if (!fits.has(key))
      fits.set(
        key,
        loads.filter((l) => unfit(p.spec, l.node) === ''),
      );
    const best = choose(p, fits.get(key)!);
    if (best === null) pending(p, nodes, warnings);
    else {
      p.spec = { ...p.spec, nodeName: best.node.metadata.name };
      bind(best, p);
    }
  }
}

function choose(p: Pod, fit: Load[]): Load | null {
  const wanted = hostPorts(p);
  const group = groupOf(p);
  let best: Load | null = null;
  let score = [0, 0, 0];
  for (const l of fit) {
    if (wanted.length > 0 && wanted.some((x) => clash(l.ports, x))) continue;
    const taints = l.node.spec.taints.filter((t) => t.effect === 'PreferNoSchedule' && !tolerates(p.spec.tolerations, t)); // prettier-ignore
    const s = [taints.length, group === '' ? 0 : (l.groups.get(group) ?? 0), l.pods];
    const i = s.findIndex((x, k) => x !== score[k]);
    if (best === null || (i >= 0 && s[i]! < score[i]!)) [best, score] = [l, s];
  }
  return best;
}

function pending(p: Pod, nodes: Node[], warnings: string[]): void {
  p.status = { ...p.status, phase: 'Pending', ready: false, podIP: '' };
  const why = new Map<string, number>();
  for (const n of nodes) {
    const w = unfit(p.spec, n) || "node(s) didn't have free ports for the requested pod ports";
    why.set(w, (why.get(w) ?? 0) + 1);
  }
  const list = [...why].map(([w, n]) => `${n} ${w}`).join(', ');
  warnings.push(`Pod "${p.metadata.name}" stays Pending: 0/${nodes.length} nodes are available: ${list}`);
}
