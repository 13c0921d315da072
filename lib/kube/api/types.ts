/**
 * The Kubernetes objects podwire reads, reduced to the fields it acts on, in Kubernetes' own spelling.
 *
 * These are the defaulted forms: after loading, every field that the API server would default is present.
 * @module
 */
import type { IstioGateway, VirtualService } from './istio-types.js';
import type { CalicoPolicy, NetworkPolicy } from './policy-types.js';

export interface ObjectMeta {
  name: string;
  namespace: string;
  uid: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  /** RFC 3339, seconds; the virtual epoch when the manifest has none. */
  creationTimestamp: string;
  ownerReferences: { kind: string; name: string }[];
  /** Set on objects that are being deleted. */
  deletionTimestamp?: string;
  /** The same on the virtual clock, unrounded; absent: the manifest has the timestamp, and nothing ends the object. */
  deletionAtNs?: number;
  /** The grace that the deletion was given, of a pod. */
  deletionGraceSeconds?: number;
  /** Of the API server's store; absent: never written since the start. */
  resourceVersion?: string;
  generation?: number;
}

export interface Namespace {
  kind: 'Namespace';
  metadata: ObjectMeta;
}

export interface Node {
  kind: 'Node';
  metadata: ObjectMeta;
  spec: { podCIDR: string; unschedulable: boolean; taints: Taint[] };
  status: {
    addresses: { type: string; address: string }[];
    ready: boolean;
    /** Empty: not given. */
    nodeInfo: { kubeletVersion: string; osImage: string; kernelVersion: string; containerRuntimeVersion: string };
  };
}

export interface Taint {
  key: string;
  value: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
}

export interface Toleration {
  /** Empty with Exists: every key. */
  key: string;
  operator: 'Exists' | 'Equal';
  value: string;
  /** Empty: every effect. */
  effect: string;
}

/** One requirement of a selector; Gt and Lt exist for nodes only. */
export interface Requirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  values: string[];
}

/** Terms are ORed, the requirements of one are ANDed; `matchFields` knows metadata.name. */
export interface NodeSelectorTerm {
  matchExpressions: Requirement[];
  matchFields: Requirement[];
}

export interface ContainerPort {
  name: string;
  containerPort: number;
  /** 0: none. On the host network it is the containerPort. */
  hostPort: number;
  /** Empty: every address of the node. */
  hostIP: string;
  protocol: Protocol;
}

export interface Container {
  name: string;
  image: string;
  command: string[];
  args: string[];
  ports: ContainerPort[];
  env: { name: string; value: string }[];
  /** Fields for which kubelet would send frames that podwire does not. */
  unsent?: string[];
  /** Seconds from the container's start to the success of its readiness probe; absent: ready once it runs. */
  readySeconds?: number;
  /** Seconds that its preStop hook sleeps before SIGTERM; absent: no hook. */
  preStopSeconds?: number;
}

export interface PodDnsConfig {
  nameservers: string[];
  searches: string[];
  options: { name: string; value?: string }[];
}

export interface PodSpec {
  nodeName: string;
  /** Absent: default. */
  serviceAccountName?: string;
  hostname: string;
  subdomain: string;
  hostNetwork: boolean;
  dnsPolicy: 'ClusterFirst' | 'ClusterFirstWithHostNet' | 'Default' | 'None';
  dnsConfig: PodDnsConfig;
  nodeSelector: Record<string, string>;
  /** requiredDuringSchedulingIgnoredDuringExecution; null: none. */
  nodeAffinity: NodeSelectorTerm[] | null;
  tolerations: Toleration[];
  /** Those that end before the others start, which are not run; absent: none. */
  initContainers?: string[];
  /** Sidecars (init containers that restart always) stand before the others. */
  containers: Container[];
  /** Absent: none. */
  hostAliases?: { ip: string; hostnames: string[] }[];
  /** Applied in the pod's network namespace; absent: none. */
  sysctls?: { name: string; value: string }[];
  /** Absent: 30. */
  terminationGracePeriodSeconds?: number;
}

export interface Pod {
  kind: 'Pod';
  metadata: ObjectMeta;
  spec: PodSpec;
  status: {
    podIP: string;
    hostIP: string;
    phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
    ready: boolean;
    /** Restarts of all containers. */
    restarts: number;
    /** When it became ready, on the virtual clock; absent: before the scenario begins. */
    readySinceNs?: number;
  };
}

export interface LabelSelector {
  matchLabels: Record<string, string>;
  matchExpressions: Requirement[];
}

export interface PodTemplate {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: PodSpec;
}

export interface Deployment {
  kind: 'Deployment';
  metadata: ObjectMeta;
  spec: {
    replicas: number;
    selector: LabelSelector;
    template: PodTemplate;
    strategy: { type: 'RollingUpdate' | 'Recreate'; maxSurge: number | string; maxUnavailable: number | string };
    minReadySeconds: number;
    revisionHistoryLimit: number;
  };
}

export interface ReplicaSet {
  kind: 'ReplicaSet';
  metadata: ObjectMeta;
  spec: { replicas: number; selector: LabelSelector; template: PodTemplate; minReadySeconds: number };
}

export interface StatefulSet {
  kind: 'StatefulSet';
  metadata: ObjectMeta;
  spec: {
    replicas: number;
    selector: LabelSelector;
    template: PodTemplate;
    serviceName: string;
    podManagementPolicy: 'OrderedReady' | 'Parallel';
    updateStrategy: { type: 'RollingUpdate' | 'OnDelete'; partition: number };
    minReadySeconds: number;
    /** spec.ordinals.start */
    ordinalsStart: number;
  };
}

export interface DaemonSet {
  kind: 'DaemonSet';
  metadata: ObjectMeta;
  spec: {
    selector: LabelSelector;
    template: PodTemplate;
    updateStrategy: { type: 'RollingUpdate' | 'OnDelete'; maxSurge: number | string; maxUnavailable: number | string };
    minReadySeconds: number;
  };
}

/** What makes pods from a template. */
export type Workload = Deployment | ReplicaSet | StatefulSet | DaemonSet;

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export interface ServicePort {
  name: string;
  protocol: Protocol;
  port: number;
  /** A number, or the name of a container port. */
  targetPort: number | string;
  /** 0: none. */
  nodePort: number;
  /** What a proxy of layer 7 is told of it; absent: nothing. */
  appProtocol?: string;
}

export interface Service {
  kind: 'Service';
  metadata: ObjectMeta;
  spec: {
    type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
    /** `None` for headless, empty for ExternalName. */
    clusterIP: string;
    clusterIPs: string[];
    externalIPs: string[];
    externalName: string;
    ports: ServicePort[];
    selector: Record<string, string>;
    sessionAffinity: 'None' | 'ClientIP';
    sessionAffinityTimeoutSeconds: number;
    externalTrafficPolicy: 'Cluster' | 'Local';
    internalTrafficPolicy: 'Cluster' | 'Local';
    loadBalancerSourceRanges: string[];
    healthCheckNodePort: number;
    publishNotReadyAddresses: boolean;
    /** Absent: SingleStack. */
    ipFamilyPolicy?: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
    /** False: a LoadBalancer without node ports. Absent: true. */
    allocateLoadBalancerNodePorts?: boolean;
    /** Shown by kubectl; no cloud controller runs. */
    loadBalancerClass?: string;
  };
  status: { loadBalancer: { ingress: { ip: string; ipMode: 'VIP' | 'Proxy' }[] } };
}

export interface Endpoint {
  addresses: string[];
  conditions: { ready: boolean; serving: boolean; terminating: boolean };
  hostname: string;
  nodeName: string;
  zone: string;
  hints: { forZones: string[]; forNodes: string[] };
  targetRef: { kind: string; name: string; namespace: string } | null;
}

export interface EndpointSlice {
  kind: 'EndpointSlice';
  metadata: ObjectMeta;
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  endpoints: Endpoint[];
  ports: { name: string; protocol: Protocol; port: number }[];
}

/** The legacy object; the EndpointSlice mirroring controller turns hand-written ones into slices. */
export interface Endpoints {
  kind: 'Endpoints';
  metadata: ObjectMeta;
  subsets: {
    addresses: { ip: string; hostname: string; nodeName: string; targetRef: Endpoint['targetRef'] }[];
    notReadyAddresses: { ip: string; hostname: string; nodeName: string; targetRef: Endpoint['targetRef'] }[];
    ports: { name: string; protocol: Protocol; port: number }[];
  }[];
}

/** Kinds that are kept, with their reasons in stored.ts. */
/** What answers a request: a Service's port (by number, or by name with number 0), or an object of any kind. */
export interface IngressBackend {
  service: { name: string; port: { name: string; number: number } } | null;
  resource: { apiGroup: string; kind: string; name: string } | null;
}

export interface Ingress {
  kind: 'Ingress';
  metadata: ObjectMeta;
  spec: {
    /** Null: not given. */
    ingressClassName: string | null;
    defaultBackend: IngressBackend | null;
    /** `host` empty: every host; `*.a.b`: one label more. Without `http` there are no paths. */
    rules: {
      host: string;
      paths: { path: string; pathType: 'Exact' | 'Prefix' | 'ImplementationSpecific'; backend: IngressBackend }[];
    }[];
    tls: { hosts: string[]; secretName: string }[];
  };
  status: { loadBalancer: { ingress: { ip: string; hostname: string }[] } };
}

export interface IngressClass {
  kind: 'IngressClass';
  metadata: ObjectMeta;
  spec: { controller: string };
}

export type PeerMtlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

/** Istio's, security.istio.io/v1. */
export interface PeerAuthentication {
  kind: 'PeerAuthentication';
  metadata: ObjectMeta;
  spec: {
    /** Empty: the whole namespace; in istio-system: the whole mesh. */
    selector: Record<string, string>;
    mtls: PeerMtlsMode;
    /** By port of the pod. */
    portLevelMtls: Record<string, PeerMtlsMode>;
  };
}

export type StoredKind =
  | 'ConfigMap' | 'Secret' | 'ServiceAccount' | 'Role' | 'RoleBinding' | 'ClusterRole' | 'ClusterRoleBinding' | 'PodDisruptionBudget'
  | 'PriorityClass' | 'LimitRange' | 'PersistentVolume' | 'PersistentVolumeClaim' | 'StorageClass'
  | 'CustomResourceDefinition' | 'CustomResource'; // prettier-ignore

export interface Stored {
  kind: StoredKind;
  metadata: ObjectMeta;
}

export type KubeObject =
  | Namespace | Node | Pod | Workload | Service | EndpointSlice | Endpoints | Ingress | IngressClass | NetworkPolicy | CalicoPolicy
  | IstioGateway | VirtualService | PeerAuthentication | Stored; // prettier-ignore
