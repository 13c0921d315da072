/**
 * `kubectl describe`: one describer a kind (kubectl, pkg/describe). No events happen here, so that each says it has none.
 * @module
 */
import { age } from './age.js';
import { describeEndpoints, describeEndpointSlice, describeIngress, describeIngressClass, describeService, type Lookup } from './describe/network.js'; // prettier-ignore
import { describeNode } from './describe/node.js';
import { describePod } from './describe/pod.js';
import { describeNetworkPolicy } from './describe/policy.js';
import { describeConfigMap, describeDaemonSet, describeDeployment, describeNamespace, describeReplicaSet, describeSecret, describeStatefulSet } from './describe/workloads.js'; // prettier-ignore
import { type JsonMap, str } from './json.js';
import { Writer } from './writer.js';

type Age = (time: string) => string;

const DESCRIBERS: Record<string, (w: Writer, o: JsonMap, api: Lookup, age: Age) => void> = {
  Pod: (w, o, _, since) => describePod(w, o, since),
  Node: (w, o, api, since) => describeNode(w, o, api.list('Pod'), since),
  Service: describeService,
  Endpoints: describeEndpoints,
  EndpointSlice: describeEndpointSlice,
  Ingress: describeIngress,
  IngressClass: describeIngressClass,
  NetworkPolicy: describeNetworkPolicy,
  Deployment: describeDeployment,
  ReplicaSet: describeReplicaSet,
  StatefulSet: describeStatefulSet,
  DaemonSet: describeDaemonSet,
  Namespace: describeNamespace,
  Secret: describeSecret,
  ConfigMap: describeConfigMap,
};

/** The kinds that describe shows. */
export const DESCRIBED = new Set(Object.keys(DESCRIBERS));

/** Kinds whose describers ask for no events. */
const QUIET = new Set(['Namespace', 'NetworkPolicy', 'Secret']);

/** What `kubectl describe` prints for one object, `now` ns after the start. */
export function describeObject(o: JsonMap, api: Lookup, now: number, events: boolean): string {
  const w = new Writer();
  const kind = str(o, 'kind');
  DESCRIBERS[kind]!(w, o, api, (time) => age(time, now));
  if (events && !QUIET.has(kind)) w.line(0, 'Events:', '<none>');
  return w.text();
}
