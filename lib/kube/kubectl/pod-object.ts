/**
 * Pods as the API server gives them: what kubelet and the scheduler write.
 * @module
 */
import { placeOf } from '../api/meta.js';
import type { ObjectMeta, Pod, PodSpec } from '../api/types.js';
import { type Json, type JsonMap, isMap } from './go-values.js';
import { digest, hex, map, optional, some } from './object-parts.js';

/** The spec that the manifest of an owner gives its pods, with what has been set since; one of no manifest is written anew. */
export function templateOf(o: { kind: string; metadata: ObjectMeta }, typed: PodSpec): JsonMap {
  const at = placeOf(o);
  const spec = at?.opt('spec')?.opt('template')?.opt('spec') ?? null;
  if (spec === null) return podSpec(typed);
  const out = map(spec.plain() as Json);
  const images = new Map(typed.containers.map((c) => [c.name, c.image]));
  for (const c of containersOf(out)) if (images.has(String(c['name']))) c['image'] = images.get(String(c['name']))!;
  return out;
}

const containersOf = (spec: JsonMap): JsonMap[] => (Array.isArray(spec['containers']) ? spec['containers'].filter(isMap) : []); // prettier-ignore

/** A pod's own spec: its node, and what a StatefulSet or DaemonSet gives each of its pods. */
export function placed(spec: JsonMap, o: Pod, owner: string): JsonMap {
  const out: JsonMap = { ...spec, ...optional({ nodeName: o.spec.nodeName }) };
  if (owner === 'StatefulSet') Object.assign(out, optional({ hostname: o.spec.hostname, subdomain: o.spec.subdomain }));
  if (owner !== 'DaemonSet') return out;
  const own = Array.isArray(spec['tolerations']) ? spec['tolerations'] : [];
  out['tolerations'] = [...own, ...o.spec.tolerations.slice(own.length).map((t) => optional({ ...t }))];
  const nodeSelectorTerms = (o.spec.nodeAffinity ?? []).map((t) => {
    const rules = (all: typeof t.matchFields): Json => all.map((r) => ({ key: r.key, operator: r.operator, values: [...r.values] })); // prettier-ignore
    return { matchExpressions: rules(t.matchExpressions), matchFields: rules(t.matchFields) };
  });
  const affinity = map(spec['affinity']);
  out['affinity'] = { ...affinity, nodeAffinity: { ...map(affinity['nodeAffinity']), requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } }; // prettier-ignore
  return out;
}

/** A PodSpec that no manifest has: the add-on's. */
function podSpec(s: PodSpec): JsonMap {
  return {
    ...optional({ hostname: s.hostname, subdomain: s.subdomain }),
    ...(s.hostNetwork ? { hostNetwork: true } : {}),
    dnsPolicy: s.dnsPolicy,
    nodeSelector: { ...s.nodeSelector },
    tolerations: s.tolerations.map((t) => optional({ ...t, operator: t.operator === 'Equal' ? '' : t.operator })),
    containers: s.containers.map((c) => ({
      name: c.name,
      image: c.image,
      command: [...c.command],
      args: [...c.args],
      ports: c.ports.map((p) => ({ ...optional({ name: p.name }), containerPort: p.containerPort, protocol: p.protocol })), // prettier-ignore
      env: c.env.map((e) => ({ ...e })),
    })),
  };
}

/** QoS class: Guaranteed when every container limits cpu and memory to what it requests. */
function qosClass(spec: JsonMap): string {
  const all = [...(spec['containers'] as JsonMap[]), ...((spec['initContainers'] ?? []) as JsonMap[])];
  const of = (c: JsonMap, k: string): JsonMap => Object.fromEntries(Object.entries(map(map(c['resources'])[k])).filter(([n, v]) => (n === 'cpu' || n === 'memory') && v !== '0')); // prettier-ignore
  if (all.every((c) => !some(of(c, 'limits')) && !some(of(c, 'requests')))) return 'BestEffort';
  const same = (c: JsonMap): boolean => {
    const [limits, requests] = [of(c, 'limits'), of(c, 'requests')];
    return Object.keys(limits).length === 2 && ['cpu', 'memory'].every((k) => limits[k] === requests[k]);
  };
  return all.every(same) ? 'Guaranteed' : 'Burstable';
}

/** What kubelet and the scheduler write of a pod. `spec`: with its defaults; `id`: the pod's uid. */
export function podStatus(o: Pod, spec: JsonMap, given: JsonMap, id: string): JsonMap {
  const { status } = o;
  const at = o.metadata.creationTimestamp;
  const placed = o.spec.nodeName !== '';
  const running = status.phase === 'Running' || status.phase === 'Unknown';
  const base = { phase: status.phase, qosClass: qosClass(spec) };
  const condition = (type: string, value: boolean, reason: string, message = ''): JsonMap => ({ type, status: value ? 'True' : 'False', lastProbeTime: null, lastTransitionTime: at, observedGeneration: 1, ...(value ? {} : optional({ reason, message })) }); // prettier-ignore
  if (!placed) return { ...base, conditions: [condition('PodScheduled', false, 'Unschedulable')] };
  const ended = status.phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed';
  const why = running ? 'ContainersNotReady' : ended;
  const names = (spec['containers'] as JsonMap[]).map((c) => String(c['name']));
  const message = running ? `containers with unready status: [${names.join(' ')}]` : '';
  const state: JsonMap = running
    ? { running: { startedAt: at } }
    : { terminated: { exitCode: status.phase === 'Succeeded' ? 0 : 1, reason: status.phase === 'Succeeded' ? 'Completed' : 'Error', startedAt: at, finishedAt: at, containerID: '' } }; // prettier-ignore
  const statuses = (spec['containers'] as JsonMap[]).map((c, i): JsonMap => {
    const containerID = `containerd://${hex(digest(`${id}/${String(c['name'])}`))}`;
    const own = structuredClone(state);
    if (isMap(own['terminated'])) own['terminated']['containerID'] = containerID;
    return { containerID, image: c['image']!, imageID: '', lastState: {}, name: c['name']!, ready: status.ready, restartCount: i === 0 ? status.restarts : 0, started: running, state: own }; // prettier-ignore
  });
  return {
    ...base,
    ...optional({ message: given['message'] ?? '', reason: given['reason'] ?? '' }),
    observedGeneration: 1,
    conditions: [
      condition('PodReadyToStartContainers', running, ''),
      condition('Initialized', true, ''),
      condition('Ready', status.ready, why, message),
      condition('ContainersReady', status.ready, why, message),
      condition('PodScheduled', true, ''),
    ],
    containerStatuses: statuses,
    ...(status.hostIP === '' ? {} : { hostIP: status.hostIP, hostIPs: [{ ip: status.hostIP }] }),
    ...(status.podIP === '' ? {} : { podIP: status.podIP, podIPs: [{ ip: status.podIP }] }),
    startTime: at,
  };
}
