/**
 * Pods: YAML to defaulted objects, validated as the API server does (pkg/apis/core/validation, ValidatePodSpec).
 *
 * Every field of PodSpec and Container (Kubernetes 1.34) is read, refused by name, or not read, because it changes no frame:
 * - storage: volumes;
 * - identity towards the API server, image pulls: automountServiceAccountToken, imagePullSecrets;
 * - restarts, for no container of podwire ends of itself: restartPolicy;
 * - who gives way when a node is full, for nodes have no capacities here: priority, priorityClassName, preemptionPolicy, resources,
 *   resourceClaims, overhead;
 * - process namespaces, runtimes, users: hostPID, hostIPC, shareProcessNamespace, runtimeClassName, hostUsers, os;
 * - environment variables, the kernel's host name: enableServiceLinks, setHostnameAsFQDN.
 * @module
 */
import { type At, quote } from './at.js';
import { containers, hostPortsOnce, initContainers } from './container.js';
import { choice, invalid, invalidChild, required, textOf, unsupported } from './field-error.js';
import { objectMeta } from './meta.js';
import { address, addressOfEither, BAD_IP, dnsLabel, dnsSubdomain, isLabelValue, labels, labelValue, notNegative, qualifiedName, searchPath } from './names.js'; // prettier-ignore
import { requirement } from './selector.js';
import { sysctls } from './sysctls.js';
import type { NodeSelectorTerm, Pod, PodSpec, Requirement, Toleration } from './types.js'; // prettier-ignore

/** Choices of fields that are not read; the empty one is the default. */
const UNREAD_CHOICES = {
  restartPolicy: ['Always', 'OnFailure', 'Never'],
  preemptionPolicy: ['PreemptLowerPriority', 'Never'],
} as const;
const REFUSED_POD: Record<string, string> = {
  ephemeralContainers: 'ephemeral containers are not supported yet',
  activeDeadlineSeconds: 'pods that end are not supported yet',
  hostnameOverride: 'hostnameOverride is not supported yet',
  readinessGates: 'readiness gates are not supported yet',
  schedulingGates: 'scheduling gates are not supported yet',
};
/** required node affinity; preferences and the affinity between pods are refused, unless the node is given anyway. */
function nodeAffinity(at: At | null, placed: boolean): NodeSelectorTerm[] | null {
  if (at === null) return null;
  if (!placed)
    for (const k of ['podAffinity', 'podAntiAffinity'])
      at.opt(k)?.fail('affinity between pods is not supported yet; give spec.nodeName instead');
  const node = at.opt('nodeAffinity') ?? null;
  if (!placed)
    node?.opt('preferredDuringSchedulingIgnoredDuringExecution')?.fail('preferences are not supported yet; give spec.nodeName instead'); // prettier-ignore
  const need = node?.opt('requiredDuringSchedulingIgnoredDuringExecution') ?? null;
  if (need === null) return null;
  const terms = need.opt('nodeSelectorTerms');
  if (terms === null || terms.list().length === 0)
    required(need, 'nodeSelectorTerms', 'must have at least one node selector term');
  return terms!.list().map((t) => ({
    matchExpressions: (t.opt('matchExpressions')?.list() ?? []).map((e) =>
      requirement(e, 'In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'),
    ),
    matchFields: (t.opt('matchFields')?.list() ?? []).map(fieldRequirement),
  }));
}

/** ValidateNodeFieldSelectorRequirement: metadata.name only. */
function fieldRequirement(e: At): Requirement {
  const operator = textOf(e, 'operator');
  if (operator !== 'In' && operator !== 'NotIn') invalidChild(e, 'operator', 'not a valid selector operator', operator);
  const list = e.opt('values')?.list() ?? [];
  if (list.length !== 1) required(e, 'values', "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"); // prettier-ignore
  const key = textOf(e, 'key');
  if (key !== 'metadata.name') invalidChild(e, 'key', 'not a valid field selector key', key);
  return { key, operator: operator as 'In', values: [dnsSubdomain(list[0]!)] };
}

function toleration(at: At): Toleration {
  const key = textOf(at, 'key') === '' ? '' : qualifiedName(at.req('key'));
  const operator = textOf(at, 'operator') === '' ? 'Equal' : at.req('operator').str();
  const value = textOf(at, 'value');
  if (key === '' && operator !== 'Exists')
    invalidChild(at, 'operator', 'operator must be Exists when `key` is empty, which means "match all values and all keys"', textOf(at, 'operator')); // prettier-ignore
  const effect = textOf(at, 'effect');
  if (at.opt('tolerationSeconds') !== null && effect !== 'NoExecute')
    invalidChild(at, 'effect', "effect must be 'NoExecute' when `tolerationSeconds` is set", effect);
  if (operator === 'Equal' && !isLabelValue(value)) labelValue(at.req('value'), `${at.path}.operator`);
  if (operator === 'Exists' && value !== '')
    invalid(at.req('value').called(`${at.path}.operator`), "value must be empty when `operator` is 'Exists'", value);
  if (operator !== 'Equal' && operator !== 'Exists') unsupported(at.req('operator'), ['Equal', 'Exists']);
  if (effect !== '') unsupportedEffect(at.req('effect'));
  return { key, operator: operator as 'Equal' | 'Exists', value, effect };
}

/** validateTaintEffect */
export const unsupportedEffect = (at: At): string =>
  choice(at, ['NoSchedule', 'PreferNoSchedule', 'NoExecute'], 'NoSchedule');

/** validatePodDNSConfig */
function dnsConfig(at: At | null, policy: PodSpec['dnsPolicy'], spec: At): PodSpec['dnsConfig'] {
  if (policy === 'None' && at === null)
    required(spec, 'dnsConfig', 'must provide `dnsConfig` when `dnsPolicy` is None');
  const servers = at?.opt('nameservers')?.list() ?? [];
  if (policy === 'None' && servers.length === 0)
    required(at!, 'nameservers', 'must provide at least one DNS nameserver when `dnsPolicy` is None');
  if (servers.length > 3) invalid(at!.req('nameservers'), 'must not have more than 3 nameservers');
  const list = at?.opt('searches')?.list() ?? [];
  if (list.length > 32) invalid(at!.req('searches'), 'must not have more than 32 search paths');
  const nameservers = servers.map(address);
  const searches = list.map(searchPath);
  return {
    nameservers,
    searches,
    options: (at?.opt('options')?.list() ?? []).map((o) => {
      const name = textOf(o, 'name');
      if (name === '') o.fail('Required value: must not be empty');
      const value = o.opt('value')?.str();
      for (const v of [name, value ?? ''])
        if (/\s/.test(v)) o.fail(`found ${quote(v)}, expected an option without blanks`);
      return value === undefined ? { name } : { name, value };
    }),
  };
}

/** What podwire does not do yet. */
function refusedYet(at: At): void {
  for (const [k, why] of Object.entries(REFUSED_POD)) {
    const x = at.opt(k);
    if (x !== null && !(x.jsonType === 'array' && x.list().length === 0)) x.fail(why);
  }
}

/** The node that is given; only then may what the scheduler does not do stand in the pod. */
function nodeName(at: At): string {
  const given = textOf(at, 'nodeName');
  if (given !== '') return dnsSubdomain(at.req('nodeName'));
  at.opt('topologySpreadConstraints')?.fail('spread constraints are not supported yet; give spec.nodeName instead');
  const scheduler = textOf(at, 'schedulerName');
  if (scheduler !== '' && scheduler !== 'default-scheduler')
    at.req('schedulerName').fail(`found ${quote(scheduler)}, expected default-scheduler (no other scheduler runs)`);
  return '';
}

/** ValidateHostAliases; in the node's own namespace there is one /etc/hosts for all. */
function aliases(list: At[], hostNetwork: boolean): Pick<PodSpec, 'hostAliases'> {
  const hostAliases = list.map((a) => ({
    ip: addressOfEither(a.opt('ip') ?? a.failAbsent('ip', `Invalid value: "": ${BAD_IP}`)),
    hostnames: (a.opt('hostnames')?.list() ?? []).map(dnsSubdomain),
  }));
  if (hostNetwork && list.length > 0) list[0]!.fail('hostAliases with hostNetwork are not supported yet');
  return list.length === 0 ? {} : { hostAliases };
}

/** Reads a PodSpec. */
export function podSpec(at: At): PodSpec {
  refusedYet(at);
  const hostNetwork = at.opt('hostNetwork')?.bool() ?? false;
  const list = at.opt('containers')?.list() ?? [];
  if (list.length === 0) required(at, 'containers');
  const names = new Set<string>();
  const own = containers(list, hostNetwork, names);
  hostPortsOnce(list, own);
  const init = initContainers(at.opt('initContainers')?.list() ?? [], hostNetwork, names);
  for (const [key, values] of Object.entries(UNREAD_CHOICES)) {
    if (textOf(at, key) !== '' && !values.includes(textOf(at, key) as never)) unsupported(at.req(key), values);
  }
  const policy = at.opt('dnsPolicy');
  const policies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'] as const;
  const dnsPolicy = choice(policy === null || policy.str() === '' ? null : policy, policies, 'ClusterFirst');
  if (hostNetwork && (dnsPolicy === 'ClusterFirstWithHostNet' || dnsPolicy === 'None'))
    policy!.fail(`found ${dnsPolicy}, expected ClusterFirst or Default with hostNetwork (a resolv.conf of its own in the node's namespace is not supported yet)`); // prettier-ignore
  const nodeSelector = labels(at.opt('nodeSelector'));
  const given = sysctls(at.opt('securityContext')?.opt('sysctls')?.list() ?? [], hostNetwork);
  const node = nodeName(at);
  const affinity = nodeAffinity(at.opt('affinity'), node !== '');
  const grace = at.opt('terminationGracePeriodSeconds');
  if (grace !== null) notNegative(grace);
  const label = (k: string): string => (textOf(at, k) === '' ? '' : dnsLabel(at.req(k)));
  const account = textOf(at, 'serviceAccountName') === '' ? '' : dnsSubdomain(at.req('serviceAccountName'));
  return {
    nodeName: node,
    hostname: label('hostname'),
    subdomain: label('subdomain'),
    hostNetwork,
    dnsPolicy,
    dnsConfig: dnsConfig(at.opt('dnsConfig'), dnsPolicy, at),
    nodeSelector,
    nodeAffinity: affinity,
    tolerations: (at.opt('tolerations')?.list() ?? []).map(toleration),
    ...init.before,
    containers: [...init.sidecars, ...own],
    ...aliases(at.opt('hostAliases')?.list() ?? [], hostNetwork),
    ...(given.length === 0 ? {} : { sysctls: given }),
    ...(account === '' ? {} : { serviceAccountName: account }),
    ...(grace === null ? {} : { terminationGracePeriodSeconds: Number(grace.plain()) }),
  };
}

/** Of a given status: podIP, the phase, the condition Ready and the restarts. Absent (or still Pending): it runs and is ready. */
function podStatus(at: At | null): Pod['status'] {
  const ip = at?.opt('podIP') ?? null;
  for (const [i, x] of (at?.opt('podIPs')?.list() ?? []).entries()) {
    const v = address(x.req('ip'));
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
  return {
    kind: 'Pod',
    metadata: objectMeta(at, true, dnsSubdomain),
    spec: podSpec(at.opt('spec') ?? at.failAbsent('spec.containers', 'Required value')),
    status: podStatus(at.opt('status')),
  };
}
