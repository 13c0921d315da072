/**
 * The resources that kubectl knows here: their names, columns and cells.
 *
 * Upstream: pkg/printers/internalversion, the printers that the API server runs for kubectl.
 * @module
 */
import { age } from './age.js';
import { at, int, type JsonMap, list, map, str, strings } from './json.js';
import { byBytes, sortedKeys } from './go-values.js';
import { labelText, selectorOf } from './text.js';

export interface Resource {
  plural: string;
  singular: string;
  kind: string;
  short: string;
  group: string;
  namespaced: boolean;
  /** Of the category `all`. */
  all: boolean;
  columns: string[];
  wide: string[];
  /** The cells of the columns, those of `wide` last. */
  cells(o: JsonMap, now: number): string[];
}

const NONE = '<none>';

/** The first three, then how many more. */
function more(all: string[], empty: string): string {
  if (all.length === 0) return empty;
  return all.length > 3 ? `${all.slice(0, 3).join(',')} + ${all.length - 3} more...` : all.join(',');
}

const name = (o: JsonMap): string => str(o, 'metadata.name');
const created = (o: JsonMap, now: number): string => age(str(o, 'metadata.creationTimestamp'), now);

/** What has gone wrong, or is still to come, in the init containers; null when they are done. */
function initReason(o: JsonMap): string | null {
  const all = list(o, 'spec.initContainers');
  const sidecar = (n: string): boolean => all.some((c) => str(c, 'name') === n && str(c, 'restartPolicy') === 'Always');
  for (const [i, s] of list(o, 'status.initContainerStatuses').entries()) {
    const ended = at(s, 'state.terminated');
    if (ended !== undefined && int(s, 'state.terminated.exitCode') === 0) continue;
    if (sidecar(str(s, 'name')) && s['started'] === true) continue;
    if (ended !== undefined)
      return `Init:${str(s, 'state.terminated.reason') || (int(s, 'state.terminated.signal') !== 0 ? `Signal:${int(s, 'state.terminated.signal')}` : `ExitCode:${int(s, 'state.terminated.exitCode')}`)}`; // prettier-ignore
    const waiting = str(s, 'state.waiting.reason');
    return waiting !== '' && waiting !== 'PodInitializing' ? `Init:${waiting}` : `Init:${i}/${all.length}`;
  }
  return null;
}

/** printPod: how many containers are ready, the status in one word, restarts. */
function podCells(o: JsonMap, now: number): string[] {
  const phase = str(o, 'status.phase');
  let reason = str(o, 'status.reason') || phase;
  const conditions = list(o, 'status.conditions');
  if (conditions.some((c) => str(c, 'type') === 'PodScheduled' && str(c, 'reason') === 'SchedulingGated'))
    reason = 'SchedulingGated';
  const sidecars = list(o, 'spec.initContainers').filter((c) => str(c, 'restartPolicy') === 'Always').map((c) => str(c, 'name')); // prettier-ignore
  const init = list(o, 'status.initContainerStatuses');
  const running = (s: JsonMap): boolean => sidecars.includes(str(s, 'name'));
  const failed = initReason(o);
  let ready = init.filter((s) => running(s) && s['started'] === true && s['ready'] === true).length;
  let counted = init;
  const initialized = conditions.some((c) => str(c, 'type') === 'Initialized' && str(c, 'status') === 'True');
  if (failed !== null) reason = failed;
  if (failed === null || initialized) {
    const all = list(o, 'status.containerStatuses');
    counted = [...init.filter(running), ...all];
    let anyRuns = false;
    for (const s of [...all].reverse()) {
      const why = str(s, 'state.waiting.reason');
      if (why !== '') reason = why;
      else if (at(s, 'state.terminated') !== undefined) {
        const signal = int(s, 'state.terminated.signal');
        reason = str(s, 'state.terminated.reason') || (signal !== 0 ? `Signal:${signal}` : `ExitCode:${int(s, 'state.terminated.exitCode')}`); // prettier-ignore
      } else if (s['ready'] === true && at(s, 'state.running') !== undefined) {
        anyRuns = true;
        ready++;
      }
    }
    if (reason === 'Completed' && anyRuns)
      reason = conditions.some((c) => str(c, 'type') === 'Ready' && str(c, 'status') === 'True')
        ? 'Running'
        : 'NotReady';
  }
  if (str(o, 'metadata.deletionTimestamp') !== '') {
    if (str(o, 'status.reason') === 'NodeLost') reason = 'Unknown';
    else if (phase !== 'Succeeded' && phase !== 'Failed') reason = 'Terminating';
  }
  const restarts = counted.reduce((n, s) => n + int(s, 'restartCount'), 0);
  const last = counted.map((s) => str(s, 'lastState.terminated.finishedAt')).sort(byBytes).at(-1) ?? ''; // prettier-ignore
  const gates = list(o, 'spec.readinessGates').map((g) => conditions.find((c) => str(c, 'type') === str(g, 'conditionType'))); // prettier-ignore
  return [
    name(o),
    `${ready}/${list(o, 'spec.containers').length + sidecars.length}`,
    reason,
    restarts !== 0 && last !== '' ? `${restarts} (${age(last, now)} ago)` : String(restarts),
    created(o, now),
    str(list(o, 'status.podIPs')[0] ?? {}, 'ip') || NONE,
    str(o, 'spec.nodeName') || NONE,
    str(o, 'status.nominatedNodeName') || NONE,
    gates.length === 0 ? NONE : `${gates.filter((c) => c !== undefined && str(c, 'status') === 'True').length}/${gates.length}`, // prettier-ignore
  ];
}

/** loadBalancerStatusStringer: addresses or names, in order, once each. */
export const ingressAddresses = (o: JsonMap): string =>
  [...new Set(list(o, 'status.loadBalancer.ingress').map((i) => str(i, 'ip') || str(i, 'hostname')).filter((x) => x !== ''))].sort(byBytes).join(','); // prettier-ignore

function externalIP(o: JsonMap): string {
  const type = str(o, 'spec.type');
  const external = strings(o, 'spec.externalIPs');
  if (type === 'ExternalName') return str(o, 'spec.externalName');
  if (type !== 'LoadBalancer') return external.join(',') || NONE;
  const balancer = ingressAddresses(o);
  return [...(balancer === '' ? [] : [balancer]), ...external].join(',') || '<pending>';
}

function serviceCells(o: JsonMap, now: number): string[] {
  const port = (p: JsonMap): string =>
    `${int(p, 'port')}${int(p, 'nodePort') > 0 ? `:${int(p, 'nodePort')}` : ''}/${str(p, 'protocol')}`;
  return [
    name(o),
    str(o, 'spec.type'),
    strings(o, 'spec.clusterIPs')[0] ?? NONE,
    externalIP(o),
    list(o, 'spec.ports').map(port).join(',') || NONE,
    created(o, now),
    labelText(map(o, 'spec.selector')),
  ];
}

/** formatEndpoints: ready addresses, port by port. */
function endpointsText(o: JsonMap): string {
  const subsets = list(o, 'subsets');
  if (subsets.length === 0) return NONE;
  const all = subsets.flatMap((s) => {
    const ips = list(s, 'addresses').map((a) => str(a, 'ip'));
    const ports = list(s, 'ports');
    const host = (ip: string): string => (ip.includes(':') ? `[${ip}]` : ip);
    return ports.length === 0 ? ips : ports.flatMap((p) => ips.map((ip) => `${host(ip)}:${int(p, 'port')}`));
  });
  return more(all, '');
}

const slicePort = (p: JsonMap): string => (at(p, 'port') !== undefined ? String(int(p, 'port')) : str(p, 'name') || '*'); // prettier-ignore

const ROLE = 'node-role.kubernetes.io/';

/** findNodeRoles. */
export function nodeRoles(o: JsonMap): string {
  const labels = map(o, 'metadata.labels');
  const roles = new Set(sortedKeys(labels).filter((k) => k.startsWith(ROLE) && k.length > ROLE.length).map((k) => k.slice(ROLE.length))); // prettier-ignore
  if (typeof labels['kubernetes.io/role'] === 'string' && labels['kubernetes.io/role'] !== '')
    roles.add(labels['kubernetes.io/role']);
  return [...roles].sort(byBytes).join(',') || NONE;
}

function nodeCells(o: JsonMap, now: number): string[] {
  const ready = list(o, 'status.conditions').find((c) => str(c, 'type') === 'Ready');
  const state = ready === undefined ? 'Unknown' : str(ready, 'status') === 'True' ? 'Ready' : 'NotReady';
  const address = (type: string): string => str(list(o, 'status.addresses').find((a) => str(a, 'type') === type) ?? {}, 'address') || NONE; // prettier-ignore
  const info = (k: string): string => str(o, `status.nodeInfo.${k}`) || '<unknown>';
  return [
    name(o),
    `${state}${at(o, 'spec.unschedulable') === true ? ',SchedulingDisabled' : ''}`,
    nodeRoles(o),
    created(o, now),
    str(o, 'status.nodeInfo.kubeletVersion'),
    address('InternalIP'),
    address('ExternalIP'),
    info('osImage'),
    info('kernelVersion'),
    info('containerRuntimeVersion'),
  ];
}

const template = (o: JsonMap): string[] => {
  const all = list(o, 'spec.template.spec.containers');
  return [all.map((c) => str(c, 'name')).join(','), all.map((c) => str(c, 'image')).join(',')];
};

function ingressHosts(o: JsonMap): string {
  const rules = list(o, 'spec.rules');
  const hosts: string[] = [];
  let cut = false;
  for (const r of rules) {
    if (hosts.length === 3) cut = true;
    if (!cut && str(r, 'host') !== '') hosts.push(str(r, 'host'));
  }
  if (hosts.length === 0) return '*';
  return cut ? `${hosts.join(',')} + ${rules.length - 3} more...` : hosts.join(',');
}

function classParameters(o: JsonMap): string {
  if (at(o, 'spec.parameters') === undefined) return NONE;
  const group = at(o, 'spec.parameters.apiGroup') === undefined ? '' : `.${str(o, 'spec.parameters.apiGroup')}`;
  return `${str(o, 'spec.parameters.kind')}${group}/${str(o, 'spec.parameters.name')}`;
}

const words = (text: string): string[] => (text === '' ? [] : text.split(' ').map((w) => w.replaceAll('_', ' ')));
const size = (o: JsonMap, path: string): number => Object.keys(map(o, path)).length;
const counted = (o: JsonMap, ...paths: string[]): string[] => paths.map((p) => String(int(o, p)));

type Cells = Resource['cells'];
const one = (names: string, group: string, flags: string, columns: string, cells: Cells): Resource => {
  const [plural, singular, kind, short = ''] = names.split(' ') as [string, string, string, string?];
  const [near, far = ''] = columns.split(' | ') as [string, string?];
  return { plural, singular, kind, short, group, namespaced: flags !== 'cluster', all: flags === 'all', columns: words(near), wide: words(far), cells }; // prettier-ignore
}; // prettier-ignore

/** In the order in which `get all` shows them, then the others. */
export const RESOURCES: Resource[] = [
  one('pods pod Pod po', '', 'all', 'NAME READY STATUS RESTARTS AGE | IP NODE NOMINATED_NODE READINESS_GATES', podCells),
  one('services service Service svc', '', 'all', 'NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR', serviceCells), // prettier-ignore
  one('daemonsets daemonset DaemonSet ds', 'apps', 'all', 'NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE_SELECTOR AGE | CONTAINERS IMAGES SELECTOR',
    (o, now) => [
      name(o),
      ...counted(o, 'status.desiredNumberScheduled', 'status.currentNumberScheduled', 'status.numberReady', 'status.updatedNumberScheduled', 'status.numberAvailable'),
      labelText(map(o, 'spec.template.spec.nodeSelector')), created(o, now), ...template(o), selectorOf(map(o, 'spec.selector')),
    ]),
  one('deployments deployment Deployment deploy', 'apps', 'all', 'NAME READY UP-TO-DATE AVAILABLE AGE | CONTAINERS IMAGES SELECTOR',
    (o, now) => [
      name(o), `${int(o, 'status.readyReplicas')}/${int(o, 'spec.replicas')}`, ...counted(o, 'status.updatedReplicas', 'status.availableReplicas'), created(o, now),
      ...template(o), selectorOf(map(o, 'spec.selector')),
    ]),
  one('replicasets replicaset ReplicaSet rs', 'apps', 'all', 'NAME DESIRED CURRENT READY AGE | CONTAINERS IMAGES SELECTOR',
    (o, now) => [
      name(o), ...counted(o, 'spec.replicas', 'status.replicas', 'status.readyReplicas'), created(o, now), ...template(o), selectorOf(map(o, 'spec.selector')),
    ]),
  one('statefulsets statefulset StatefulSet sts', 'apps', 'all', 'NAME READY AGE | CONTAINERS IMAGES',
    (o, now) => [name(o), `${int(o, 'status.readyReplicas')}/${int(o, 'spec.replicas')}`, created(o, now), ...template(o)]),
  one('configmaps configmap ConfigMap cm', '', '', 'NAME DATA AGE', (o, now) => [name(o), String(size(o, 'data') + size(o, 'binaryData')), created(o, now)]),
  one('endpoints endpoints Endpoints ep', '', '', 'NAME ENDPOINTS AGE', (o, now) => [name(o), endpointsText(o), created(o, now)]),
  one('endpointslices endpointslice EndpointSlice', 'discovery.k8s.io', '', 'NAME ADDRESSTYPE PORTS ENDPOINTS AGE',
    (o, now) => [
      name(o), str(o, 'addressType'), more(list(o, 'ports').map(slicePort), '<unset>'), more(list(o, 'endpoints').flatMap((e) => strings(e, 'addresses')), '<unset>'), created(o, now),
    ]),
  one('ingresses ingress Ingress ing', 'networking.k8s.io', '', 'NAME CLASS HOSTS ADDRESS PORTS AGE',
    (o, now) => [
      name(o), at(o, 'spec.ingressClassName') === undefined ? NONE : str(o, 'spec.ingressClassName'), ingressHosts(o), ingressAddresses(o),
      list(o, 'spec.tls').length > 0 ? '80, 443' : '80', created(o, now),
    ]),
  one('ingressclasses ingressclass IngressClass', 'networking.k8s.io', 'cluster', 'NAME CONTROLLER PARAMETERS AGE',
    (o, now) => [name(o), str(o, 'spec.controller'), classParameters(o), created(o, now)]),
  one('networkpolicies networkpolicy NetworkPolicy netpol', 'networking.k8s.io', '', 'NAME POD-SELECTOR AGE',
    (o, now) => [name(o), selectorOf(map(o, 'spec.podSelector')), created(o, now)]),
  one('nodes node Node no', '', 'cluster', 'NAME STATUS ROLES AGE VERSION | INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME', nodeCells),
  one('namespaces namespace Namespace ns', '', 'cluster', 'NAME STATUS AGE', (o, now) => [name(o), str(o, 'status.phase'), created(o, now)]),
  one('secrets secret Secret', '', '', 'NAME TYPE DATA AGE', (o, now) => [name(o), str(o, 'type'), String(size(o, 'data')), created(o, now)]),
]; // prettier-ignore

/** Resources of a real cluster that podwire has none of, under the names kubectl takes. */
export const KNOWN_ELSEWHERE = 'bindings componentstatuses cs componentstatus events ev event limitranges limits limitrange persistentvolumeclaims pvc persistentvolumeclaim persistentvolumes pv persistentvolume podtemplates podtemplate replicationcontrollers rc replicationcontroller resourcequotas quota resourcequota serviceaccounts sa serviceaccount customresourcedefinitions crd crds customresourcedefinition apiservices apiservice controllerrevisions controllerrevision horizontalpodautoscalers hpa horizontalpodautoscaler cronjobs cj cronjob jobs job leases lease globalnetworkpolicies globalnetworkpolicy networkpolicies.projectcalico.org globalnetworkpolicies.projectcalico.org poddisruptionbudgets pdb poddisruptionbudget roles role rolebindings rolebinding clusterroles clusterrole clusterrolebindings clusterrolebinding priorityclasses pc priorityclass storageclasses sc storageclass volumeattachments volumeattachment csidrivers csidriver csinodes csinode runtimeclasses runtimeclass gateways gw gateway virtualservices vs virtualservice servicecidrs servicecidr ipaddresses ip ipaddress'.split(' '); // prettier-ignore

/** The resource of a name as kubectl takes it: plural, singular, short, kind, and with `.group` or `.version.group`. */
export function findResource(type: string): Resource | null {
  const dot = type.indexOf('.');
  const name = dot < 0 ? type : type.slice(0, dot);
  const rest = dot < 0 ? '' : type.slice(dot + 1);
  return (
    RESOURCES.find(
      (r) =>
        ([r.plural, r.singular, r.short, r.kind].includes(name) || name === r.kind.toLowerCase()) &&
        name !== '' &&
        (dot < 0 || rest === `v1.${r.group}` || (r.group !== '' && rest === r.group)),
    ) ?? null
  );
}
