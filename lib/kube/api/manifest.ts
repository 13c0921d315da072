/**
 * Manifests: YAML to the defaulted objects of types.ts, strictly.
 *
 * Fields without effect on the network are accepted by name; anything else unknown is an error with its place.
 * @module
 */
import { Address4, Address6 } from 'ip-address';
import type { At } from './at.js';
import { documents } from './at.js';
import type {
  Container, ContainerPort, Deployment, Endpoint, Endpoints, EndpointSlice, KubeObject, LabelSelector, Namespace, Node,
  ObjectMeta, Pod, PodSpec, Protocol, Service,
} from './types.js'; // prettier-ignore

/** Creation time of objects that carry none: the virtual clock's epoch. */
export const EPOCH = '2024-01-01T00:00:00Z';

const KINDS: Record<string, { api: string; read: (at: At) => KubeObject }> = {
  Namespace: { api: 'v1', read: namespace },
  Node: { api: 'v1', read: node },
  Pod: { api: 'v1', read: pod },
  Deployment: { api: 'apps/v1', read: deployment },
  Service: { api: 'v1', read: service },
  Endpoints: { api: 'v1', read: endpoints },
  EndpointSlice: { api: 'discovery.k8s.io/v1', read: slice },
};

/** Reads every object of a manifest text (several documents, `List`). Throws InputError. */
export function loadManifests(text: string, file: string): KubeObject[] {
  const out: KubeObject[] = [];
  for (const doc of documents(text, file)) out.push(...readObjects(doc, out));
  return out;
}

/** Reads one document or inline object; `before` holds those already read, for duplicate names. */
export function readObjects(at: At, before: readonly KubeObject[]): KubeObject[] {
  const kind = at.req('kind').str();
  if (kind === 'List') {
    const all: KubeObject[] = [];
    for (const item of at.only('apiVersion', 'kind', 'metadata', 'items').req('items').list())
      all.push(...readObjects(item, [...before, ...all]));
    return all;
  }
  const entry = KINDS[kind];
  if (entry === undefined)
    at.req('kind').fail(`found unknown kind "${kind}", expected one of: ${Object.keys(KINDS).join(', ')}`);
  const api = at.req('apiVersion').str();
  if (api !== entry.api) at.req('apiVersion').fail(`found "${api}", expected "${entry.api}" for ${kind}`);
  const o = entry.read(at);
  const twin = before.find(
    (x) => x.kind === o.kind && x.metadata.name === o.metadata.name && x.metadata.namespace === o.metadata.namespace,
  );
  if (twin !== undefined)
    at.req('metadata').req('name').fail(`duplicate name: ${kind} "${o.metadata.name}" exists already`);
  return [o];
}

function name(at: At): string {
  const v = at.str();
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(v) || v.length > 253)
    at.fail(`found "${v}", expected a lower-case DNS name`);
  return v;
}

/** An IPv4 address in strict dotted form. */
export function address(at: At): string {
  const v = at.str();
  if (!Address4.isValid(v) || v.includes('/')) at.fail(`found "${v}", expected an IPv4 address`);
  return v;
}

/** An IPv4 address, or an IPv6 address in its canonical form. */
export function addressOfEither(at: At): string {
  const v = at.str();
  if (!v.includes(':')) return address(at);
  if (v.includes('/') || v.includes('%') || !Address6.isValid(v))
    at.fail(`found "${v}", expected an IPv4 or IPv6 address`);
  return new Address6(v).correctForm();
}

/** An IPv4 network `a.b.c.d/len` whose host bits are zero. */
export function cidr(at: At): string {
  const v = at.str();
  if (!v.includes('/') || !Address4.isValid(v)) at.fail(`found "${v}", expected an IPv4 network like 10.0.1.0/24`);
  const a = new Address4(v);
  if (a.startAddress().correctForm() !== a.correctForm())
    at.fail(`found "${v}", expected a network: ${a.startAddress().correctForm()}/${a.subnetMask}`);
  return v;
}

function meta(at: At, namespaced: boolean): ObjectMeta {
  const m = at.req('metadata').only('name', 'namespace', 'uid', 'labels', 'annotations', 'creationTimestamp', 'ownerReferences', 'resourceVersion', 'generation', 'generateName', 'managedFields', 'finalizers', 'selfLink'); // prettier-ignore
  const n = name(m.req('name'));
  const ns = namespaced ? (m.opt('namespace')?.str() ?? 'default') : '';
  return {
    name: n,
    namespace: ns,
    uid: m.opt('uid')?.str() ?? `${at.req('kind').str()}/${ns}/${n}`,
    labels: m.opt('labels')?.strings() ?? {},
    annotations: m.opt('annotations')?.strings() ?? {},
    creationTimestamp: m.opt('creationTimestamp')?.str() ?? EPOCH,
    ownerReferences: (m.opt('ownerReferences')?.list() ?? []).map((r) => ({
      kind: r.req('kind').str(),
      name: r.req('name').str(),
    })),
  };
}

function namespace(at: At): Namespace {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  return { kind: 'Namespace', metadata: meta(at, false) };
}

function node(at: At): Node {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.opt('spec')?.only('podCIDR', 'podCIDRs', 'providerID', 'unschedulable', 'taints') ?? null;
  const pc = spec?.opt('podCIDR') ?? null;
  return {
    kind: 'Node',
    metadata: meta(at, false),
    spec: { podCIDR: pc === null ? '' : cidr(pc), unschedulable: spec?.opt('unschedulable')?.bool() ?? false },
    status: {
      addresses: (at.opt('status')?.opt('addresses')?.list() ?? []).map((a) => ({
        type: a.req('type').str(),
        address: a.req('address').str(),
      })),
    },
  };
}

const protocol = (at: At | null): Protocol => at?.oneOf('TCP', 'UDP', 'SCTP') ?? 'TCP';

const NO_EFFECT_POD = ['volumes', 'restartPolicy', 'terminationGracePeriodSeconds', 'securityContext', 'serviceAccountName', 'serviceAccount', 'tolerations', 'priorityClassName', 'schedulerName', 'enableServiceLinks', 'automountServiceAccountToken', 'initContainers', 'imagePullSecrets', 'affinity', 'topologySpreadConstraints', 'preemptionPolicy', 'priority', 'setHostnameAsFQDN', 'shareProcessNamespace']; // prettier-ignore
const NO_EFFECT_CONTAINER = ['resources', 'volumeMounts', 'imagePullPolicy', 'livenessProbe', 'readinessProbe', 'startupProbe', 'securityContext', 'lifecycle', 'terminationMessagePath', 'terminationMessagePolicy', 'stdin', 'tty', 'workingDir', 'envFrom']; // prettier-ignore

function container(at: At): Container {
  at.only('name', 'image', 'command', 'args', 'ports', 'env', ...NO_EFFECT_CONTAINER);
  const words = (k: string): string[] => (at.opt(k)?.list() ?? []).map((x) => x.str());
  return {
    name: name(at.req('name')),
    image: at.req('image').str(),
    command: words('command'),
    args: words('args'),
    ports: (at.opt('ports')?.list() ?? []).map((p): ContainerPort => {
      p.only('name', 'containerPort', 'protocol', 'hostPort', 'hostIP');
      if (p.opt('hostPort') !== null) p.req('hostPort').fail('hostPort is not supported yet');
      return {
        name: p.opt('name')?.str() ?? '',
        containerPort: p.req('containerPort').int(1, 65535),
        protocol: protocol(p.opt('protocol')),
      };
    }),
    env: (at.opt('env')?.list() ?? []).map((e) => ({ name: e.req('name').str(), value: e.opt('value')?.str() ?? '' })),
  };
}

function podSpec(at: At): PodSpec {
  at.only(
    'nodeName',
    'hostname',
    'subdomain',
    'hostNetwork',
    'dnsPolicy',
    'dnsConfig',
    'nodeSelector',
    'containers',
    ...NO_EFFECT_POD,
  );
  const dns = at.opt('dnsConfig')?.only('nameservers', 'searches', 'options') ?? null;
  const containers = at.req('containers').list().map(container);
  if (containers.length === 0) at.req('containers').fail('found no container, expected at least one');
  return {
    nodeName: at.opt('nodeName')?.str() ?? '',
    hostname: at.opt('hostname')?.str() ?? '',
    subdomain: at.opt('subdomain')?.str() ?? '',
    hostNetwork: at.opt('hostNetwork')?.bool() ?? false,
    dnsPolicy:
      at.opt('dnsPolicy')?.oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None') ?? 'ClusterFirst',
    dnsConfig: {
      nameservers: (dns?.opt('nameservers')?.list() ?? []).map(address),
      searches: (dns?.opt('searches')?.list() ?? []).map((x) => x.str()),
      options: (dns?.opt('options')?.list() ?? []).map((o) => {
        const v = o.opt('value');
        return v === null ? { name: o.req('name').str() } : { name: o.req('name').str(), value: v.str() };
      }),
    },
    nodeSelector: at.opt('nodeSelector')?.strings() ?? {},
    containers,
  };
}

function pod(at: At): Pod {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const ip = at.opt('status')?.opt('podIP') ?? null;
  return {
    kind: 'Pod',
    metadata: meta(at, true),
    spec: podSpec(at.req('spec')),
    status: { podIP: ip === null ? '' : address(ip), hostIP: '', phase: 'Pending', ready: false },
  };
}

function selector(at: At): LabelSelector {
  at.only('matchLabels', 'matchExpressions');
  return {
    matchLabels: at.opt('matchLabels')?.strings() ?? {},
    matchExpressions: (at.opt('matchExpressions')?.list() ?? []).map((e) => ({
      key: e.req('key').str(),
      operator: e.req('operator').oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
      values: (e.opt('values')?.list() ?? []).map((v) => v.str()),
    })),
  };
}

function deployment(at: At): Deployment {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.req('spec').only('replicas', 'selector', 'template', 'strategy', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds', 'paused'); // prettier-ignore
  const template = spec.req('template').only('metadata', 'spec');
  const tm = template.opt('metadata')?.only('labels', 'annotations', 'name', 'creationTimestamp') ?? null;
  const s = selector(spec.req('selector'));
  const labels = tm?.opt('labels')?.strings() ?? {};
  for (const [k, v] of Object.entries(s.matchLabels)) {
    if (labels[k] !== v) spec.req('selector').fail('`selector` does not match template `labels`');
  }
  return {
    kind: 'Deployment',
    metadata: meta(at, true),
    spec: {
      replicas: spec.opt('replicas')?.int(0, 10000) ?? 1,
      selector: s,
      template: {
        metadata: { labels, annotations: tm?.opt('annotations')?.strings() ?? {} },
        spec: podSpec(template.req('spec')),
      },
    },
  };
}

function service(at: At): Service {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const s = at.req('spec').only('type', 'clusterIP', 'clusterIPs', 'externalIPs', 'externalName', 'ports', 'selector', 'sessionAffinity', 'sessionAffinityConfig', 'externalTrafficPolicy', 'internalTrafficPolicy', 'loadBalancerSourceRanges', 'healthCheckNodePort', 'publishNotReadyAddresses', 'ipFamilies', 'ipFamilyPolicy', 'allocateLoadBalancerNodePorts', 'loadBalancerClass', 'trafficDistribution'); // prettier-ignore
  const type = s.opt('type')?.oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName') ?? 'ClusterIP';
  const ipAt = s.opt('clusterIP');
  const clusterIP = ipAt === null ? '' : ipAt.str() === 'None' ? 'None' : addressOfEither(ipAt);
  const clusterIPs = (s.opt('clusterIPs')?.list() ?? []).map((x) => (x.str() === 'None' ? 'None' : addressOfEither(x)));
  if (clusterIPs.length > 0 && clusterIPs[0] !== clusterIP)
    s.req('clusterIPs').fail(`found ${clusterIPs[0]}, expected clusterIP ("${clusterIP}") first`);
  const ports = (s.opt('ports')?.list() ?? []).map((p) => {
    p.only('name', 'protocol', 'port', 'targetPort', 'nodePort', 'appProtocol');
    const port = p.req('port').int(1, 65535);
    return {
      name: p.opt('name')?.str() ?? '',
      protocol: protocol(p.opt('protocol')),
      port,
      targetPort: p.opt('targetPort')?.intOrStr() ?? port,
      nodePort: p.opt('nodePort')?.int(30000, 32767) ?? 0,
    };
  });
  if (ports.length === 0 && type !== 'ExternalName' && clusterIP !== 'None')
    s.fail('found a Service without a port, expected at least one in "ports"');
  if (ports.length > 1) {
    const list = s.req('ports').list();
    list.forEach((p, i) => {
      if (ports[i]!.name === '') p.fail('missing "name": every port of a Service with several ports is named');
      if (ports.some((x, k) => k < i && x.name === ports[i]!.name))
        p.req('name').fail(`duplicate name "${ports[i]!.name}"`);
    });
  }
  return {
    kind: 'Service',
    metadata: meta(at, true),
    spec: {
      type,
      clusterIP,
      clusterIPs: clusterIPs.length > 0 ? clusterIPs : clusterIP === '' ? [] : [clusterIP],
      externalIPs: (s.opt('externalIPs')?.list() ?? []).map(address),
      externalName: type === 'ExternalName' ? s.req('externalName').str() : '',
      ports,
      selector: s.opt('selector')?.strings() ?? {},
      sessionAffinity: s.opt('sessionAffinity')?.oneOf('None', 'ClientIP') ?? 'None',
      sessionAffinityTimeoutSeconds:
        s.opt('sessionAffinityConfig')?.opt('clientIP')?.opt('timeoutSeconds')?.int(1, 86400) ?? 10800,
      externalTrafficPolicy: s.opt('externalTrafficPolicy')?.oneOf('Cluster', 'Local') ?? 'Cluster',
      internalTrafficPolicy: s.opt('internalTrafficPolicy')?.oneOf('Cluster', 'Local') ?? 'Cluster',
      loadBalancerSourceRanges: (s.opt('loadBalancerSourceRanges')?.list() ?? []).map((x) => cidr(x)),
      healthCheckNodePort: s.opt('healthCheckNodePort')?.int(1, 65535) ?? 0,
      publishNotReadyAddresses: s.opt('publishNotReadyAddresses')?.bool() ?? false,
    },
    status: {
      loadBalancer: {
        ingress: (at.opt('status')?.opt('loadBalancer')?.opt('ingress')?.list() ?? []).map((i) => ({
          ip: address(i.req('ip')),
          ipMode: i.opt('ipMode')?.oneOf('VIP', 'Proxy') ?? ('VIP' as const),
        })),
      },
    },
  };
}

function targetRef(at: At | null): Endpoint['targetRef'] {
  return at === null
    ? null
    : {
        kind: at.opt('kind')?.str() ?? '',
        name: at.opt('name')?.str() ?? '',
        namespace: at.opt('namespace')?.str() ?? '',
      };
}

function slice(at: At): EndpointSlice {
  at.only('apiVersion', 'kind', 'metadata', 'addressType', 'endpoints', 'ports');
  const addressType = at.req('addressType').oneOf('IPv4', 'IPv6', 'FQDN');
  return {
    kind: 'EndpointSlice',
    metadata: meta(at, true),
    addressType,
    endpoints: (at.opt('endpoints')?.list() ?? []).map((e): Endpoint => {
      e.only('addresses', 'conditions', 'hostname', 'nodeName', 'zone', 'hints', 'targetRef');
      const c = e.opt('conditions')?.only('ready', 'serving', 'terminating') ?? null;
      const hints = e.opt('hints');
      return {
        addresses: e
          .req('addresses')
          .list()
          .map((a) => ({ IPv4: address, IPv6: addressOfEither, FQDN: (x: At) => x.str() })[addressType](a)),
        conditions: {
          ready: c?.opt('ready')?.bool() ?? true,
          serving: c?.opt('serving')?.bool() ?? true,
          terminating: c?.opt('terminating')?.bool() ?? false,
        },
        hostname: e.opt('hostname')?.str() ?? '',
        nodeName: e.opt('nodeName')?.str() ?? '',
        zone: e.opt('zone')?.str() ?? '',
        hints: {
          forZones: (hints?.opt('forZones')?.list() ?? []).map((z) => z.req('name').str()),
          forNodes: (hints?.opt('forNodes')?.list() ?? []).map((z) => z.req('name').str()),
        },
        targetRef: targetRef(e.opt('targetRef')),
      };
    }),
    ports: (at.opt('ports')?.list() ?? []).map((p) => ({
      name: p.only('name', 'protocol', 'port', 'appProtocol').opt('name')?.str() ?? '',
      protocol: protocol(p.opt('protocol')),
      port: p.opt('port')?.int(1, 65535) ?? 0,
    })),
  };
}

function endpoints(at: At): Endpoints {
  at.only('apiVersion', 'kind', 'metadata', 'subsets');
  const addresses = (list: At | null): Endpoints['subsets'][number]['addresses'] =>
    (list?.list() ?? []).map((a) => ({
      ip: address(a.only('ip', 'hostname', 'nodeName', 'targetRef').req('ip')),
      hostname: a.opt('hostname')?.str() ?? '',
      nodeName: a.opt('nodeName')?.str() ?? '',
      targetRef: targetRef(a.opt('targetRef')),
    }));
  return {
    kind: 'Endpoints',
    metadata: meta(at, true),
    subsets: (at.opt('subsets')?.list() ?? []).map((s) => ({
      addresses: addresses(s.only('addresses', 'notReadyAddresses', 'ports').opt('addresses')),
      notReadyAddresses: addresses(s.opt('notReadyAddresses')),
      ports: (s.opt('ports')?.list() ?? []).map((p) => ({
        name: p.only('name', 'protocol', 'port', 'appProtocol').opt('name')?.str() ?? '',
        protocol: protocol(p.opt('protocol')),
        port: p.req('port').int(1, 65535),
      })),
    })),
  };
}
