/**
 * The kinds that the API server keeps, under the names that kubectl takes and prints.
 * @module
 */
import type { Kind } from './store.js';

export interface KindNames {
  kind: Kind;
  plural: string;
  singular: string;
  short: string;
  group: string;
  namespaced: boolean;
}

const row = (kind: Kind, plural: string, short: string, group = '', namespaced = true): KindNames => ({
  kind,
  plural,
  singular: kindText(kind).toLowerCase(),
  short,
  group,
  namespaced,
});

export const KINDS: readonly KindNames[] = [
  row('Pod', 'pods', 'po'),
  row('Service', 'services', 'svc'),
  row('Deployment', 'deployments', 'deploy', 'apps'),
  row('ReplicaSet', 'replicasets', 'rs', 'apps'),
  row('StatefulSet', 'statefulsets', 'sts', 'apps'),
  row('DaemonSet', 'daemonsets', 'ds', 'apps'),
  row('Endpoints', 'endpoints', 'ep'),
  row('EndpointSlice', 'endpointslices', '', 'discovery.k8s.io'),
  row('Node', 'nodes', 'no', '', false),
  row('Namespace', 'namespaces', 'ns', '', false),
  row('ConfigMap', 'configmaps', 'cm'),
  row('Secret', 'secrets', ''),
  row('ServiceAccount', 'serviceaccounts', 'sa'),
  row('Role', 'roles', '', 'rbac.authorization.k8s.io'),
  row('RoleBinding', 'rolebindings', '', 'rbac.authorization.k8s.io'),
  row('ClusterRole', 'clusterroles', '', 'rbac.authorization.k8s.io', false),
  row('ClusterRoleBinding', 'clusterrolebindings', '', 'rbac.authorization.k8s.io', false),
  row('PodDisruptionBudget', 'poddisruptionbudgets', 'pdb', 'policy'),
  row('PriorityClass', 'priorityclasses', 'pc', 'scheduling.k8s.io', false),
  row('LimitRange', 'limitranges', 'limits'),
  row('PersistentVolume', 'persistentvolumes', 'pv', '', false),
  row('PersistentVolumeClaim', 'persistentvolumeclaims', 'pvc'),
  row('StorageClass', 'storageclasses', 'sc', 'storage.k8s.io', false),
  row('NetworkPolicy', 'networkpolicies', 'netpol', 'networking.k8s.io'),
  row('NetworkPolicy.projectcalico.org', 'networkpolicies', '', 'projectcalico.org'),
  row('GlobalNetworkPolicy', 'globalnetworkpolicies', '', 'projectcalico.org', false),
  row('PeerAuthentication', 'peerauthentications', 'pa', 'security.istio.io'),
  row('CustomResourceDefinition', 'customresourcedefinitions', 'crd', 'apiextensions.k8s.io', false),
];

/** The kind of a name as kubectl takes it: plural, singular, short, and with `.group` or `.version.group`. */
export function findKind(type: string): KindNames | null {
  const [name = '', ...rest] = type.split('.');
  const group = rest.join('.');
  const fits = (k: KindNames): boolean => [k.plural, k.singular, k.short, k.kind].includes(name) && name !== '';
  return (
    KINDS.find(
      (k) => fits(k) && (group === '' || group === k.group || group === `v1.${k.group}` || group === `crd.${k.group}`),
    ) ?? null
  );
}

/** A kind as manifests write it: Calico's NetworkPolicy has the name of Kubernetes' own. */
export function kindText(kind: string): string {
  return kind.split('.')[0]!;
}

/** `deployments.apps`. */
export const resourceOf = (k: KindNames): string => (k.group === '' ? k.plural : `${k.plural}.${k.group}`);
/** `deployment.apps`. */
export const typeOf = (k: KindNames): string => (k.group === '' ? k.singular : `${k.singular}.${k.group}`);
export const namesOf = (kind: Kind): KindNames => KINDS.find((k) => k.kind === kind)!;
export const apiVersionOf = (k: KindNames): string =>
  k.group === '' ? 'v1' : `${k.group}/${k.group === 'projectcalico.org' ? 'v3' : 'v1'}`;
