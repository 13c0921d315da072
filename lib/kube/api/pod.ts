/**
 * Pods: YAML to defaulted objects.
 *
 * Every field of PodSpec and Container (Kubernetes 1.34) stands in one of four places: read below; in UNREAD_… with its reason;
 * in UNSENT, accepted with a warning because a cluster would send frames for it that podwire does not; or refused by name.
 * @module
 */
import { type At, quote } from './at.js';
import { objectMeta } from './meta.js';
import { address, dnsLabel, dnsSubdomain, isLabelValue, labels, portName, qualifiedName } from './names.js'; // prettier-ignore
import { requirement } from './selector.js';
import { type Shape, unread } from './shape.js';
import type { Container, ContainerPort, NodeSelectorTerm, Pod, PodSpec, Protocol, Toleration } from './types.js'; // prettier-ignore

/** Fields that change no frame, by what they concern, and the shape that their values have. */
const UNREAD_POD: Record<string, Shape> = {
  // storage
  volumes: 'list',
  // identity towards the API server, image pulls
  serviceAccountName: 'string', serviceAccount: 'string', automountServiceAccountToken: 'bool', imagePullSecrets: 'list',
  // restarts: no container of podwire ends of itself
  restartPolicy: ['Always', 'OnFailure', 'Never'],
  // who gives way when a node is full: nodes have no capacities here
  priority: 'int', priorityClassName: 'string', preemptionPolicy: ['Never', 'PreemptLowerPriority'], resources: 'resources',
  resourceClaims: 'list', overhead: 'quantities',
  // process namespaces, runtimes, users
  hostPID: 'bool', hostIPC: 'bool', shareProcessNamespace: 'bool', runtimeClassName: 'string', hostUsers: 'bool', os: 'map',
  // environment variables, the kernel's host name
  enableServiceLinks: 'bool', setHostnameAsFQDN: 'bool',
}; // prettier-ignore
const UNREAD_CONTAINER: Record<string, Shape> = {
  // storage, cgroups, processes, users
  volumeMounts: 'list', volumeDevices: 'list', resources: 'resources', resizePolicy: 'list', securityContext: 'map',
  workingDir: 'string', stdin: 'bool', stdinOnce: 'bool', tty: 'bool',
  // image pulls, messages, environment
  imagePullPolicy: ['Always', 'IfNotPresent', 'Never'], terminationMessagePath: 'string',
  terminationMessagePolicy: ['File', 'FallbackToLogsOnError'], envFrom: 'list',
  // restarts: no container of podwire ends
  restartPolicy: ['Always', 'OnFailure', 'Never'], restartPolicyRules: 'list',
}; // prettier-ignore
/** kubelet's own traffic to the pod, which podwire does not send: containers are ready from the start. */
const UNSENT: Record<string, Shape> = { livenessProbe: 'map', readinessProbe: 'map', startupProbe: 'map', lifecycle: 'map' }; // prettier-ignore
const REFUSED_POD: Record<string, string> = {
  initContainers: 'init containers are not supported yet',
  ephemeralContainers: 'ephemeral containers are not supported yet',
  activeDeadlineSeconds: 'pods that end are not supported yet',
  hostAliases: 'entries of /etc/hosts are not supported yet',
  hostnameOverride: 'hostnameOverride is not supported yet',
  readinessGates: 'readiness gates are not supported yet',
  schedulingGates: 'scheduling gates are not supported yet',
};
const POD_FIELDS = ['nodeName', 'hostname', 'subdomain', 'hostNetwork', 'dnsPolicy', 'dnsConfig', 'nodeSelector', 'affinity', 'tolerations', 'topologySpreadConstraints', 'schedulerName', 'securityContext', 'containers', 'terminationGracePeriodSeconds']; // prettier-ignore

/** TCP when absent or empty. */
export const protocol = (at: At | null): Protocol =>
  at === null || at.str() === '' ? 'TCP' : at.oneOf('TCP', 'UDP', 'SCTP');

function containerPorts(at: At, hostNetwork: boolean): ContainerPort[] {
  const names = new Set<string>();
  return (at.opt('ports')?.list() ?? []).map((p) => {
    p.only('name', 'containerPort', 'protocol', 'hostPort', 'hostIP');
    const containerPort = p.req('containerPort').int(1, 65535);
    const host = p.opt('hostPort')?.int(0, 65535) ?? 0;
    if (host !== 0 && !hostNetwork) p.req('hostPort').fail('hostPort is not supported yet (the portmap plugin)');
    if (host !== 0 && host !== containerPort)
      p.req('hostPort').fail(`found ${host}, expected ${containerPort}: must match \`containerPort\` when \`hostNetwork\` is true`); // prettier-ignore
    const n = p.opt('name');
    const name = n === null || n.str() === '' ? '' : portName(n);
    if (name !== '' && names.has(name)) n!.fail(`duplicate name ${quote(name)}`);
    names.add(name);
    return { name, containerPort, protocol: protocol(p.opt('protocol')) };
  });
}

function container(at: At, hostNetwork: boolean): Container {
  at.only('name', 'image', 'command', 'args', 'ports', 'env', ...Object.keys(UNREAD_CONTAINER), ...Object.keys(UNSENT));
  unread(at, UNREAD_CONTAINER);
  unread(at, UNSENT);
  const words = (k: string): string[] => (at.opt(k)?.list() ?? []).map((x) => x.str());
  const image = at.req('image').str();
  const unsent = Object.keys(UNSENT).filter((k) => at.opt(k) !== null);
  if (image === '' || image !== image.trim()) at.req('image').fail(`found ${quote(image)}, expected an image's name`);
  return {
    name: dnsLabel(at.req('name')),
    image,
    command: words('command'),
    args: words('args'),
    ports: containerPorts(at, hostNetwork),
    env: (at.opt('env')?.list() ?? []).map((e) => ({
      name: e.only('name', 'value', 'valueFrom').req('name').str(),
      value: e.opt('value')?.str() ?? '',
    })),
    ...(unsent.length === 0 ? {} : { unsent }),
    ...readySeconds(at.opt('readinessProbe')),
    ...preStopSeconds(at.opt('lifecycle')?.opt('preStop') ?? null),
  };
}

/** When a container's readiness probe has succeeded often enough: the first probe comes after the delay, then one a period. */
function readySeconds(probe: At | null): Pick<Container, 'readySeconds'> {
  if (probe === null) return {};
  const of = (k: string, least: number, or: number): number => probe.opt(k)?.int(least, 2 ** 31 - 1) ?? or;
  const [delay, period, successes] = [of('initialDelaySeconds', 0, 0), of('periodSeconds', 1, 10), of('successThreshold', 1, 1)]; // prettier-ignore
  return { readySeconds: delay + (successes - 1) * period };
}

/** How long a preStop hook takes: `sleep: { seconds }`, or `exec: { command: [sleep, N] }` however it is wrapped in a shell. */
function preStopSeconds(hook: At | null): Pick<Container, 'preStopSeconds'> {
  const sleep = hook
    ?.opt('sleep')
    ?.req('seconds')
    .int(0, 2 ** 31 - 1);
  if (sleep !== undefined) return { preStopSeconds: sleep };
  const words = (hook?.opt('exec')?.opt('command')?.list() ?? []).map((w) => w.str()).join(' ');
  const m = /(?:^|[ /])sleep (\d+)$/.exec(words);
  return m === null ? {} : { preStopSeconds: Number(m[1]) };
}

/** required node affinity; preferences and the affinity between pods are refused, unless the node is given anyway. */
function nodeAffinity(at: At | null, placed: boolean): NodeSelectorTerm[] | null {
  if (at === null) return null;
  at.only('nodeAffinity', 'podAffinity', 'podAntiAffinity');
  if (!placed)
    for (const k of ['podAffinity', 'podAntiAffinity'])
      at.opt(k)?.fail('affinity between pods is not supported yet; give spec.nodeName instead');
  const node = at.opt('nodeAffinity')?.only('requiredDuringSchedulingIgnoredDuringExecution', 'preferredDuringSchedulingIgnoredDuringExecution') ?? null; // prettier-ignore
  if (!placed)
    node?.opt('preferredDuringSchedulingIgnoredDuringExecution')?.fail('preferences are not supported yet; give spec.nodeName instead'); // prettier-ignore
  const required = node?.opt('requiredDuringSchedulingIgnoredDuringExecution') ?? null;
  if (required === null) return null;
  const terms = required.only('nodeSelectorTerms').req('nodeSelectorTerms');
  if (terms.list().length === 0) terms.fail('found no term, expected at least one');
  return terms.list().map((t) => {
    t.only('matchExpressions', 'matchFields');
    return {
      matchExpressions: (t.opt('matchExpressions')?.list() ?? []).map((e) =>
        requirement(e, 'In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'),
      ),
      matchFields: (t.opt('matchFields')?.list() ?? []).map((e) => {
        const r = requirement(e, 'In', 'NotIn');
        if (r.key !== 'metadata.name') e.req('key').fail(`found ${quote(r.key)}, expected "metadata.name"`);
        return r;
      }),
    };
  });
}

function toleration(at: At): Toleration {
  at.only('key', 'operator', 'value', 'effect', 'tolerationSeconds');
  const t = {
    key: at.opt('key')?.str() ?? '',
    operator: at.opt('operator')?.oneOf('Exists', 'Equal') ?? ('Equal' as const),
    value: at.opt('value')?.str() ?? '',
    effect: at.opt('effect')?.oneOf('NoSchedule', 'PreferNoSchedule', 'NoExecute') ?? '',
  };
  if (t.key === '' && t.operator !== 'Exists')
    at.fail('found no key, expected operator Exists when `key` is empty, which means "match all values and all keys"');
  if (!isLabelValue(t.value)) at.req('value').fail(`found ${quote(t.value)}, expected a label value`);
  if (t.key !== '') qualifiedName(at.req('key'), t.key);
  if (t.operator === 'Exists' && t.value !== '')
    at.req('value').fail('found a value, expected none when `operator` is Exists');
  return t;
}

function dnsConfig(at: At | null, policy: PodSpec['dnsPolicy'], spec: At): PodSpec['dnsConfig'] {
  const nameservers = (at?.only('nameservers', 'searches', 'options').opt('nameservers')?.list() ?? []).map(address);
  if (policy === 'None' && nameservers.length === 0)
    (at ?? spec).fail('missing "nameservers": must provide at least one DNS nameserver when `dnsPolicy` is None');
  if (nameservers.length > 3)
    at!.req('nameservers').fail(`found ${nameservers.length} nameservers, expected at most 3`);
  const searches = (at?.opt('searches')?.list() ?? []).map((x) => {
    const v = x.str();
    if (!/^(\.|[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?\.?)$/.test(v)) x.fail(`found ${quote(v)}, expected a DNS name`);
    return v;
  });
  if (searches.length > 32) at!.req('searches').fail(`found ${searches.length} search paths, expected at most 32`);
  return {
    nameservers,
    searches,
    options: (at?.opt('options')?.list() ?? []).map((o) => {
      const name = o.only('name', 'value').req('name').str();
      const value = o.opt('value')?.str();
      for (const v of [name, value ?? ''])
        if (/\s/.test(v)) o.fail(`found ${quote(v)}, expected an option without blanks`);
      return value === undefined ? { name } : { name, value };
    }),
  };
}

/** Reads a PodSpec. */
export function podSpec(at: At): PodSpec {
  at.only(...POD_FIELDS, ...Object.keys(UNREAD_POD), ...Object.keys(REFUSED_POD));
  unread(at, UNREAD_POD);
  for (const [k, why] of Object.entries(REFUSED_POD)) {
    const x = at.opt(k);
    if (x !== null && !(Array.isArray(x.plain()) && x.list().length === 0)) x.fail(why);
  }
  unread(at, { securityContext: 'map' });
  at.opt('securityContext')?.opt('sysctls')?.fail('sysctls of pods are not supported yet');
  const nodeAt = at.opt('nodeName');
  const nodeName = nodeAt === null || nodeAt.str() === '' ? '' : dnsSubdomain(nodeAt);
  if (nodeName === '') {
    at.opt('topologySpreadConstraints')?.fail('spread constraints are not supported yet; give spec.nodeName instead');
    const scheduler = at.opt('schedulerName');
    if (scheduler !== null && scheduler.str() !== 'default-scheduler')
      scheduler.fail(`found ${quote(scheduler.str())}, expected default-scheduler (no other scheduler runs)`);
  }
  const hostNetwork = at.opt('hostNetwork')?.bool() ?? false;
  const dnsPolicy =
    at.opt('dnsPolicy')?.oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None') ?? 'ClusterFirst';
  if (hostNetwork && (dnsPolicy === 'ClusterFirstWithHostNet' || dnsPolicy === 'None'))
    at.req('dnsPolicy').fail(`found ${dnsPolicy}, expected ClusterFirst or Default with hostNetwork (a resolv.conf of its own in the node's namespace is not supported yet)`); // prettier-ignore
  const list = at.req('containers').list();
  if (list.length === 0) at.req('containers').fail('found no container, expected at least one');
  const containers = list.map((c) => container(c, hostNetwork));
  list.forEach((c, i) => {
    const twin = containers.findIndex((x) => x.name === containers[i]!.name);
    if (twin < i) c.req('name').fail(`duplicate name ${quote(containers[i]!.name)}`);
  });
  const grace = at.opt('terminationGracePeriodSeconds')?.int(0, 2 ** 31 - 1);
  const label = (k: string): string => (at.opt(k) === null || at.req(k).str() === '' ? '' : dnsLabel(at.req(k)));
  return {
    nodeName,
    hostname: label('hostname'),
    subdomain: label('subdomain'),
    hostNetwork,
    dnsPolicy,
    dnsConfig: dnsConfig(at.opt('dnsConfig'), dnsPolicy, at),
    nodeSelector: labels(at.opt('nodeSelector')),
    nodeAffinity: nodeAffinity(at.opt('affinity'), nodeName !== ''),
    tolerations: (at.opt('tolerations')?.list() ?? []).map(toleration),
    containers,
    ...(grace === undefined ? {} : { terminationGracePeriodSeconds: grace }),
  };
}

const POD_STATUS = ['observedGeneration', 'phase', 'conditions', 'message', 'reason', 'nominatedNodeName', 'hostIP', 'hostIPs', 'podIP', 'podIPs', 'startTime', 'initContainerStatuses', 'containerStatuses', 'qosClass', 'ephemeralContainerStatuses', 'resize', 'resourceClaimStatuses', 'extendedResourceClaimStatus']; // prettier-ignore

/** Of a given status: podIP, the phase, the condition Ready and the restarts. Absent (or still Pending): it runs and is ready. */
function podStatus(at: At | null): Pod['status'] {
  at?.only(...POD_STATUS);
  const ip = at?.opt('podIP') ?? null;
  for (const [i, x] of (at?.opt('podIPs')?.list() ?? []).entries()) {
    const v = address(x.only('ip').req('ip'));
    if (i === 0 && ip !== null && v !== ip.str()) x.fail(`found ${v}, expected the podIP ${ip.str()}`);
  }
  const given = at?.opt('phase')?.oneOf('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown') ?? 'Running';
  const phase = given === 'Pending' ? 'Running' : given;
  const ready = (at?.opt('conditions')?.list() ?? []).find((c) => c.req('type').str() === 'Ready');
  let restarts = 0;
  for (const c of at?.opt('containerStatuses')?.list() ?? [])
    restarts += c.opt('restartCount')?.int(0, 2 ** 31 - 1) ?? 0;
  return {
    podIP: ip === null || ip.str() === '' ? '' : address(ip),
    hostIP: '',
    phase,
    ready: phase === 'Running' && (ready?.req('status').oneOf('True', 'False', 'Unknown') ?? 'True') === 'True',
    restarts,
  };
}

export function pod(at: At): Pod {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  return {
    kind: 'Pod',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: podSpec(at.req('spec')),
    status: podStatus(at.opt('status')),
  };
}
