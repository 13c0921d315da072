/**
 * A living cluster: the control plane on the virtual clock, from a settled cluster and the changes of a scenario's steps to the
 * commands its components write, each at its instant.
 *
 *   kubectl ─▶ store ─▶ controllers ─▶ store ─▶ kubelets, kube-proxies, CoreDNS ─▶ commands
 *
 * Nothing in the packets changes what the control plane does, with one exception that Kubernetes has too: how many connections
 * IPVS holds for a destination decides how kube-proxy takes it away.
 * @module
 */
import { MAX_TEXT } from '../../lab/yaml.js';
import type { At } from '../api/at.js';
import { keyOf } from '../api-server/store.js';
import type { KubeObject } from '../api/types.js';
import { metallb } from '../cloud/metallb.js';
import type { Cluster } from '../controllers.js';
import { isControllers } from '../controllers/endpoint-slices.js';
import { daemonSetController } from './daemon-sets.js';
import { deploymentController } from './deployments.js';
import { hasMesh, istiod } from '../istio/setup.js';
import { coreDns } from './dns.js';
import { endpointControllers } from './endpoints.js';
import { garbageCollector, namespaceController } from './garbage.js';
import { ingressControllers } from './ingress.js';
import { kubelets, type PodCommands } from './kubelet.js';
import { Loop } from './loop.js';
import { policyAgents } from './policies.js';
import { kubeProxies, type NodeProxy, type Observe } from './proxies.js';
import { replicaSetController } from './replica-sets.js';
import { scheduler, taintEviction } from './scheduling.js';
import { statefulSetController } from './stateful-sets.js';

/** What a component does at an instant. */
export interface Action {
  atNs: number;
  /** `kubelet node1`, `kube-proxy node1`, `coredns`, `cni node1`. */
  by: string;
  lines: string[];
}

/** A change that somebody makes: runs on the loop at its time. */
export interface Change {
  atNs: number;
  /** Where it is written. */
  place: At;
  run(loop: Loop): void;
}

export interface Timeline {
  actions: Action[];
  /** What could not be done. */
  warnings: string[];
  /** The cluster as the API server knew it at a time. */
  at(ns: number): Cluster;
  /** Every Service and pod there ever was, as it was last. */
  ever(): Pick<Cluster, 'services' | 'pods'>;
}

/** A cluster in which nothing ever changes. */
export const still = (cluster: Cluster): Timeline => ({
  actions: [],
  warnings: [],
  at: () => cluster,
  ever: () => cluster,
});

/** Longest time without `until` that a change may keep the control plane busy. */
const LIMIT = 3600e9;

/**
 * Runs a cluster through its changes, to the scenario's `until`, or until everything is quiet. `observe` is given the actions so
 * far, to ask a kernel.
 */
export function live(
  cluster: Cluster,
  changes: readonly Change[],
  commands: PodCommands,
  proxies: (actions: readonly Action[]) => NodeProxy[],
  observe: (actions: readonly Action[], at: Timeline['at']) => Observe,
): Timeline {
  const { scenario } = cluster;
  const loop = new Loop(scenario, cluster.objects);
  const actions: Action[] = [];
  let written = 0;
  const emit = (by: string, lines: readonly string[]): void => {
    if (lines.length === 0) return;
    for (const l of lines) written += l.length;
    if (written > MAX_TEXT)
      loop.fail(`the commands of the cluster's components have more than ${MAX_TEXT} characters by now, expected fewer pods, nodes or changes`); // prettier-ignore
    let i = actions.length - 1;
    while (i >= 0 && actions[i]!.atNs === loop.now && actions[i]!.by !== by) i--;
    const last = actions[i]?.atNs === loop.now ? actions[i] : undefined;
    if (last !== undefined) for (const l of lines) last.lines.push(l);
    else actions.push({ atNs: loop.now, by, lines: [...lines] });
  };
  garbageCollector(loop);
  namespaceController(loop);
  deploymentController(loop);
  replicaSetController(loop);
  statefulSetController(loop);
  daemonSetController(loop);
  const pending = scheduler(loop);
  taintEviction(loop);
  const given = cluster.services.filter((v) => cluster.givenSlices.some((s) => isControllers(s, v))).map(keyOf);
  endpointControllers(loop, new Set(given));
  const failed = kubelets(loop, cluster.cni, commands, emit);
  policyAgents(loop, cluster.cni, emit);
  const at = (ns: number): Cluster => clusterOf(cluster, loop.store.at(ns));
  kubeProxies(loop, proxies(actions), observe(actions, at), emit);
  if (scenario.coredns !== null) coreDns(loop, emit);
  metallb(loop, cluster, emit);
  ingressControllers(loop, emit);
  if (hasMesh(cluster.namespaces)) istiod(loop, cluster.namespaces, emit);
  for (const c of changes) {
    loop.at(c.atNs, () => {
      loop.place = c.place;
      c.run(loop);
    });
  }
  if (scenario.untilNs !== null) loop.sim.runUntil(scenario.untilNs);
  else while (loop.sim.nextAt() <= LIMIT && loop.sim.step());
  return {
    actions,
    warnings: [...failed, ...pending()],
    at,
    ever: () => clusterOf(cluster, loop.store.ever()),
  };
}

/** A cluster of these objects. */
function clusterOf(base: Cluster, objects: KubeObject[]): Cluster {
  const of = <K extends KubeObject['kind']>(k: K): Extract<KubeObject, { kind: K }>[] =>
    objects.filter((o): o is Extract<KubeObject, { kind: K }> => o.kind === k);
  return {
    ...base,
    nodes: of('Node'),
    namespaces: of('Namespace'),
    pods: of('Pod'),
    services: of('Service'),
    slices: of('EndpointSlice'),
    endpoints: of('Endpoints'),
    deployments: of('Deployment'),
    replicaSets: of('ReplicaSet'),
    statefulSets: of('StatefulSet'),
    daemonSets: of('DaemonSet'),
    objects,
  };
}
