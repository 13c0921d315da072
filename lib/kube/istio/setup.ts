/**
 * A mesh as lines of a Lab: what istiod tells the proxies, and what istio-init and the sidecar's container do in a pod.
 * @module
 */
import { failAt } from '../api/meta.js';
import type { Namespace, Pod, ReplicaSet } from '../api/types.js';
import { podNetns } from '../cni/sandbox.js';
import type { Cluster } from '../controllers.js';
import type { Emit } from '../control-plane/kubelet.js';
import type { Loop } from '../control-plane/loop.js';
import type { Scenario } from '../scenario.js';
import { asksInVain, injected, unsupportedAnnotation } from './injection.js';
import { meshOf, type MeshObjects, ROOT_NAMESPACE } from './istiod.js';
import { meshText } from './mesh.js';
import { PROXY_UID, redirectCommands } from './redirect.js';

/** Where the proxies read what istiod says. */
export const MESH_FILE = '/etc/podwire/mesh.json';

/** Whether Istio is installed: its namespace is there, by the chart of `ingressControllers` or by the manifests. */
export const hasMesh = (namespaces: readonly Namespace[]): boolean => namespaces.some((n) => n.metadata.name === ROOT_NAMESPACE); // prettier-ignore

const hasSidecar = (p: Pod, namespaces: readonly Namespace[]): boolean => hasMesh(namespaces) && injected(p, namespaces); // prettier-ignore

/** Pods that ask for a sidecar and get none, in words. */
export function meshWarnings(c: Pick<Cluster, 'pods' | 'namespaces'>): string[] {
  if (hasMesh(c.namespaces)) return c.pods.flatMap((p) => asksInVain(p, c.namespaces) ?? []);
  const asking = c.pods.find((p) => injected(p, c.namespaces));
  return asking === undefined ? [] : [`Pod "${asking.metadata.name}" asks for Istio's sidecar, which needs a Namespace "${ROOT_NAMESPACE}": it gets none`]; // prettier-ignore
}

/** The owner of a pod; of a ReplicaSet's pod its Deployment. */
const ownerAmong = (replicaSets: readonly ReplicaSet[]) => (p: Pod): { kind: string; name: string } | null => {
  const owner = p.metadata.ownerReferences[0] ?? null;
  if (owner?.kind !== 'ReplicaSet') return owner;
  const set = replicaSets.find((r) => r.metadata.name === owner.name && r.metadata.namespace === p.metadata.namespace);
  return set?.metadata.ownerReferences[0] ?? owner;
}; // prettier-ignore

const file = (o: MeshObjects): string[] => [
  'mkdir -p /etc/podwire',
  `cat > ${MESH_FILE} <<'EOF'`,
  ...meshText(meshOf(o)).split('\n'),
  'EOF',
];

/** The file of the proxies as the cluster begins; nothing without Istio. */
export function meshFile(c: Cluster): string[] {
  const s = c.scenario;
  return hasMesh(c.namespaces)
    ? file({
        ...c,
        domain: s.dnsDomain,
        seed: s.seed,
        hasSidecar: (p) => injected(p, c.namespaces),
        ownerOf: ownerAmong(c.replicaSets),
      })
    : [];
}

/** The rules in a pod's namespace; nothing where it has no sidecar. */
export const sidecarRules = (p: Pod, namespaces: readonly Namespace[]): string[] =>
  hasSidecar(p, namespaces) ? redirectCommands(podNetns(p, '')) : [];

/** The sidecar's program; group 0 lets it ask /proc where a connection was to go. Throws InputError at an annotation that is not followed. */
export function sidecarProgram(s: Scenario, p: Pod, namespaces: readonly Namespace[]): string[] {
  if (!hasSidecar(p, namespaces)) return [];
  const other = unsupportedAnnotation(p);
  if (other !== null) failAt(s.file, p, 'metadata.annotations', `${other} is not supported yet`);
  const as = `setpriv --reuid ${PROXY_UID} --regid ${PROXY_UID} --groups 0`;
  const pod = `${p.metadata.namespace}/${p.metadata.name}`;
  return [`ip netns exec ${podNetns(p, '')} ${as} podwire app istio-proxy --mesh ${MESH_FILE} --pod ${pod} --seed ${s.seed} &`]; // prettier-ignore
}

/** Who has a sidecar, as it was when a pod was first seen: labels that change later give none and take none away. */
function injectedOnce(namespaces: readonly Namespace[]): (p: Pod) => boolean {
  const known = new Map<string, boolean>();
  return (p) => {
    const key = `${p.metadata.uid} ${p.metadata.creationTimestamp}`;
    const has = known.get(key) ?? injected(p, namespaces);
    known.set(key, has);
    return has;
  };
}

/** istiod in a living cluster: the file is written again when what it says changes; proxies look at it at each connection. */
export function istiod(loop: Loop, namespaces: readonly Namespace[], emit: Emit): void {
  const { store, scenario } = loop;
  const hasSidecar = injectedOnce(namespaces);
  const now = (): string[] =>
    file({
      domain: scenario.dnsDomain,
      seed: scenario.seed,
      hasSidecar,
      pods: store.list('Pod'),
      services: store.list('Service'),
      slices: store.list('EndpointSlice'),
      objects: store.list('PeerAuthentication'),
      ownerOf: ownerAmong(store.list('ReplicaSet')),
    });
  let known = now().join('\n');
  loop.informer(
    (e) => ['Service', 'EndpointSlice', 'Pod', 'PeerAuthentication'].includes(e.kind),
    () => {
      const lines = now();
      if (lines.join('\n') === known) return;
      known = lines.join('\n');
      emit('istiod', lines);
    },
  );
}
