/**
 * Pods as the API server gives them: what kubelet and the scheduler write.
 * @module
 */
import { placeOf } from '../api/meta.js';
import type { ObjectMeta, Pod, PodSpec } from '../api/types.js';
import { timestamp } from '../control-plane/pods.js';
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

const listOf = (spec: JsonMap, field: string): JsonMap[] => (Array.isArray(spec[field]) ? spec[field].filter(isMap) : []); // prettier-ignore
const containersOf = (spec: JsonMap): JsonMap[] => listOf(spec, 'containers');
const isSidecar = (c: JsonMap): boolean => c['restartPolicy'] === 'Always';

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
  const base = { phase: status.phase, qosClass: qosClass(spec) };
  const condition = (type: string, value: boolean, reason: string, message = '', since = at): JsonMap => ({ type, status: value ? 'True' : 'False', lastProbeTime: null, lastTransitionTime: since, observedGeneration: 1, ...(value ? {} : optional({ reason, message })) }); // prettier-ignore
  if (o.spec.nodeName === '') return { ...base, conditions: [condition('PodScheduled', false, 'Unschedulable')] };
  const running = status.phase === 'Running' || status.phase === 'Unknown';
  const waiting = status.phase === 'Pending';
  const why = running || waiting ? 'ContainersNotReady' : status.phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed';
  const init = listOf(spec, 'initContainers');
  const names = [...init.filter(isSidecar), ...containersOf(spec)].map((c) => String(c['name']));
  const creating = init.length > 0 ? 'PodInitializing' : 'ContainerCreating';
  const incomplete = `containers with incomplete status: [${init.map((c) => String(c['name'])).join(' ')}]`;
  const message = running || waiting ? `containers with unready status: [${names.join(' ')}]` : '';
  const readyAt = status.readySinceNs === undefined ? at : timestamp(status.readySinceNs);
  return {
    ...base,
    ...optional({ message: given['message'] ?? '', reason: given['reason'] ?? '' }),
    observedGeneration: 1,
    conditions: [
      condition('PodReadyToStartContainers', running, ''),
      condition('Initialized', init.length === 0 || !waiting, 'ContainersNotInitialized', incomplete),
      condition('Ready', status.ready, why, message, readyAt),
      condition('ContainersReady', status.ready, why, message, readyAt),
      condition('PodScheduled', true, ''),
    ],
    ...(init.length === 0 ? {} : { initContainerStatuses: init.map((c) => (isSidecar(c) || waiting ? containerStatus(o, c, id, 0, creating) : ended(o, c, id))) }), // prettier-ignore
    containerStatuses: containersOf(spec).map((c, i) => containerStatus(o, c, id, i === 0 ? status.restarts : 0, creating)), // prettier-ignore
    ...(status.hostIP === '' ? {} : { hostIP: status.hostIP, hostIPs: [{ ip: status.hostIP }] }),
    ...(status.podIP === '' ? {} : { podIP: status.podIP, podIPs: [{ ip: status.podIP }] }),
    startTime: at,
  };
}

const containerId = (c: JsonMap, id: string): string => `containerd://${hex(digest(`${id}/${String(c['name'])}`))}`;

/** An init container that has done its work (it stays `ready`, as kubelet has it). */
function ended(o: Pod, c: JsonMap, id: string): JsonMap {
  const [at, containerID] = [o.metadata.creationTimestamp, containerId(c, id)];
  const state = { terminated: { containerID, exitCode: 0, reason: 'Completed', startedAt: at, finishedAt: at } };
  return { containerID, image: c['image']!, imageID: '', lastState: {}, name: c['name']!, ready: true, restartCount: 0, started: false, state }; // prettier-ignore
}

/** The status of a container that stays; `creating` is why it waits in a pod that does not run yet. */
function containerStatus(o: Pod, c: JsonMap, id: string, restartCount: number, creating: string): JsonMap {
  const at = o.metadata.creationTimestamp;
  const { phase, ready } = o.status;
  const own = { image: c['image']!, imageID: '', lastState: {}, name: c['name']!, ready, restartCount };
  if (phase === 'Pending') return { ...own, started: false, state: { waiting: { reason: creating } } };
  const containerID = containerId(c, id);
  if (phase === 'Running' || phase === 'Unknown') return { ...own, containerID, started: true, state: { running: { startedAt: at } } }; // prettier-ignore
  const [exitCode, reason] = phase === 'Succeeded' ? [0, 'Completed'] : [1, 'Error'];
  return { ...own, containerID, started: false, state: { terminated: { containerID, exitCode, reason, startedAt: at, finishedAt: at } } }; // prettier-ignore
}
