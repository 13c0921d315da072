/**
 * The resources that `kubectl get` shows: their names, columns and rows.
 *
 * Upstream: pkg/printers/internalversion, the printers that the API server runs for kubectl.
 * @module
 */
import { selectorText } from '../api/selector.js';
import type {
  Deployment,
  EndpointSlice,
  Endpoints,
  LabelSelector,
  Node,
  Pod,
  ReplicaSet,
  Service,
} from '../api/types.js';
import type { Cluster } from '../controllers.js';
import { isOwner, owns } from '../controllers/workloads.js';
import type { ObjectMeta } from '../api/types.js';

/** One object's cells without AGE, which stands where the columns say so. */
export interface Row {
  metadata: ObjectMeta;
  cells: string[];
  wide: string[];
}

export interface Resource {
  plural: string;
  singular: string;
  kind: string;
  short: string;
  group: string;
  namespaced: boolean;
  /** Of the category `all`. */
  all: boolean;
  /** `AGE` marks where the age goes. */
  columns: string[];
  wide: string[];
  rows(c: Cluster): Row[];
}

/** Version shown for nodes whose manifest gives none: the Kubernetes that podwire's controllers follow. */
const VERSION = 'v1.34.0';
const NONE = '<none>';

const labelText = (l: Record<string, string>): string =>
  Object.keys(l).sort().map((k) => `${k}=${l[k]}`).join(',') || NONE; // prettier-ignore
export { labelText };

/** The first three, then how many more. */
function more(list: string[], empty: string): string {
  if (list.length === 0) return empty;
  return list.length > 3 ? `${list.slice(0, 3).join(',')} + ${list.length - 3} more...` : list.join(',');
}

function podStatus(p: Pod): string {
  const { phase } = p.status;
  if (phase === 'Succeeded') return 'Completed';
  if (phase === 'Failed') return 'Error';
  return p.metadata.deletionTimestamp === undefined ? phase : 'Terminating';
}

const podRow = (p: Pod): Row => {
  const n = p.spec.containers.length;
  return {
    metadata: p.metadata,
    cells: [p.metadata.name, `${p.status.ready ? n : 0}/${n}`, podStatus(p), String(p.status.restarts)],
    wide: [p.status.podIP || NONE, p.spec.nodeName || NONE, NONE, NONE],
  };
};

function externalIP(s: Service): string {
  const { externalIPs } = s.spec;
  if (s.spec.type === 'ExternalName') return s.spec.externalName;
  if (s.spec.type !== 'LoadBalancer') return externalIPs.join(',') || NONE;
  const ingress = [...new Set(s.status.loadBalancer.ingress.map((i) => i.ip))].sort();
  return [...ingress, ...externalIPs].join(',') || '<pending>';
}

const serviceRow = (s: Service): Row => ({
  metadata: s.metadata,
  cells: [
    s.metadata.name,
    s.spec.type,
    s.spec.clusterIP || NONE,
    externalIP(s),
    s.spec.ports.map((p) => `${p.port}${p.nodePort > 0 ? `:${p.nodePort}` : ''}/${p.protocol}`).join(',') || NONE,
  ],
  wide: [labelText(s.spec.selector)],
});

/** formatEndpoints: ready addresses, port by port. */
function endpointsText(e: Endpoints): string {
  if (e.subsets.length === 0) return NONE;
  const list = e.subsets.flatMap((s) =>
    s.ports.length === 0
      ? s.addresses.map((a) => a.ip)
      : s.ports.flatMap((p) => s.addresses.map((a) => `${a.ip}:${p.port}`)),
  );
  return more(list, '');
}

const sliceRow = (e: EndpointSlice): Row => ({
  metadata: e.metadata,
  cells: [
    e.metadata.name,
    e.addressType,
    more(e.ports.map((p) => (p.port > 0 ? String(p.port) : p.name || '*')), '<unset>'),
    more(e.endpoints.flatMap((x) => x.addresses), '<unset>'),
  ],
  wide: [],
}); // prettier-ignore

const ROLE = 'node-role.kubernetes.io/';
function nodeRow(n: Node): Row {
  const roles = Object.keys(n.metadata.labels).filter((k) => k.startsWith(ROLE) && k.length > ROLE.length);
  const names = new Set(roles.map((k) => k.slice(ROLE.length)));
  if (n.metadata.labels['kubernetes.io/role']) names.add(n.metadata.labels['kubernetes.io/role']);
  const { nodeInfo, addresses } = n.status;
  const of = (type: string): string => addresses.find((a) => a.type === type)?.address ?? NONE;
  const unknown = (v: string): string => v || '<unknown>';
  return {
    metadata: n.metadata,
    cells: [
      n.metadata.name,
      `${n.status.ready ? 'Ready' : 'NotReady'}${n.spec.unschedulable ? ',SchedulingDisabled' : ''}`,
      [...names].sort().join(',') || NONE,
      nodeInfo.kubeletVersion || VERSION,
    ],
    wide: [
      of('InternalIP'),
      of('ExternalIP'),
      unknown(nodeInfo.osImage),
      unknown(nodeInfo.kernelVersion),
      unknown(nodeInfo.containerRuntimeVersion),
    ],
  };
}

const podsOf = (c: Cluster, d: Deployment): { all: number; ready: number } => {
  const mine = c.pods.filter((p) => owns(d, p));
  return { all: mine.length, ready: mine.filter((p) => p.status.ready).length };
};
const workloadWide = (d: Deployment | ReplicaSet, selector: LabelSelector): string[] => {
  const { containers } = d.spec.template.spec;
  return [containers.map((x) => x.name).join(','), containers.map((x) => x.image).join(','), selectorText(selector)];
};

function deploymentRow(c: Cluster, d: Deployment): Row {
  const { all, ready } = podsOf(c, d);
  return {
    metadata: d.metadata,
    cells: [d.metadata.name, `${ready}/${d.spec.replicas}`, String(all), String(ready)],
    wide: workloadWide(d, d.spec.selector),
  };
}

function replicaSetRow(c: Cluster, r: ReplicaSet): Row {
  const mine = c.pods.filter((p) => isOwner(r, p));
  const ready = mine.filter((p) => p.status.ready).length;
  return {
    metadata: r.metadata,
    cells: [r.metadata.name, String(r.spec.replicas), String(mine.length), String(ready)],
    wide: workloadWide(r, r.spec.selector),
  };
}

const resource = (
  names: { plural: string; singular: string; kind: string; short: string; group?: string; namespaced?: boolean; all?: boolean },
  columns: string,
  wide: string,
  rows: (c: Cluster) => Row[],
): Resource => ({
  group: '', namespaced: true, all: false, ...names, columns: columns.split('|'), wide: wide === '' ? [] : wide.split('|'), rows,
}); // prettier-ignore

/** `get all` lists them in this order. */
export const RESOURCES: Resource[] = [
  resource({ plural: 'pods', singular: 'pod', kind: 'Pod', short: 'po', all: true },
    'NAME|READY|STATUS|RESTARTS|AGE', 'IP|NODE|NOMINATED NODE|READINESS GATES', (c) => c.pods.map(podRow)),
  resource({ plural: 'services', singular: 'service', kind: 'Service', short: 'svc', all: true },
    'NAME|TYPE|CLUSTER-IP|EXTERNAL-IP|PORT(S)|AGE', 'SELECTOR', (c) => c.services.map(serviceRow)),
  resource({ plural: 'deployments', singular: 'deployment', kind: 'Deployment', short: 'deploy', group: 'apps', all: true },
    'NAME|READY|UP-TO-DATE|AVAILABLE|AGE', 'CONTAINERS|IMAGES|SELECTOR', (c) => c.deployments.map((d) => deploymentRow(c, d))),
  resource({ plural: 'replicasets', singular: 'replicaset', kind: 'ReplicaSet', short: 'rs', group: 'apps', all: true },
    'NAME|DESIRED|CURRENT|READY|AGE', 'CONTAINERS|IMAGES|SELECTOR', (c) => c.replicaSets.map((r) => replicaSetRow(c, r))),
  resource({ plural: 'endpoints', singular: 'endpoints', kind: 'Endpoints', short: 'ep' },
    'NAME|ENDPOINTS|AGE', '', (c) => c.endpoints.map((e) => ({ metadata: e.metadata, cells: [e.metadata.name, endpointsText(e)], wide: [] }))),
  resource({ plural: 'endpointslices', singular: 'endpointslice', kind: 'EndpointSlice', short: '', group: 'discovery.k8s.io' },
    'NAME|ADDRESSTYPE|PORTS|ENDPOINTS|AGE', '', (c) => c.slices.map(sliceRow)),
  resource({ plural: 'nodes', singular: 'node', kind: 'Node', short: 'no', namespaced: false },
    'NAME|STATUS|ROLES|AGE|VERSION', 'INTERNAL-IP|EXTERNAL-IP|OS-IMAGE|KERNEL-VERSION|CONTAINER-RUNTIME', (c) => c.nodes.map(nodeRow)),
  resource({ plural: 'namespaces', singular: 'namespace', kind: 'Namespace', short: 'ns', namespaced: false },
    'NAME|STATUS|AGE', '', (c) => c.namespaces.map((n) => ({ metadata: n.metadata, cells: [n.metadata.name, 'Active'], wide: [] }))),
]; // prettier-ignore

/** Resources of a real cluster that podwire has none of, under the names kubectl takes. */
export const KNOWN_ELSEWHERE = 'bindings componentstatuses cs componentstatus configmaps cm configmap events ev event limitranges limits limitrange persistentvolumeclaims pvc persistentvolumeclaim persistentvolumes pv persistentvolume podtemplates podtemplate replicationcontrollers rc replicationcontroller resourcequotas quota resourcequota secrets secret serviceaccounts sa serviceaccount customresourcedefinitions crd crds customresourcedefinition apiservices apiservice controllerrevisions controllerrevision daemonsets ds daemonset statefulsets sts statefulset horizontalpodautoscalers hpa horizontalpodautoscaler cronjobs cj cronjob jobs job leases lease ingressclasses ingressclass ingresses ing ingress networkpolicies netpol networkpolicy poddisruptionbudgets pdb poddisruptionbudget roles role rolebindings rolebinding clusterroles clusterrole clusterrolebindings clusterrolebinding priorityclasses pc priorityclass storageclasses sc storageclass volumeattachments volumeattachment csidrivers csidriver csinodes csinode runtimeclasses runtimeclass servicecidrs servicecidr ipaddresses ip ipaddress'.split(' '); // prettier-ignore

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
