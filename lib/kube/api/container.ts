/**
 * Containers of a pod: YAML to objects, validated as the API server does (pkg/apis/core/validation, validateContainers).
 * @module
 */
import type { At } from './at.js';
import { choice, duplicate, forbidden, invalid, required, textOf, unsupported } from './field-error.js';
import { address, dnsLabel, notNegative, portName, portNumber } from './names.js';
import { resources } from './quantities.js';
import type { Container, ContainerPort, Protocol } from './types.js';

/**
 * Not read, for they change no frame: volumeMounts, volumeDevices, securityContext, workingDir, stdin, stdinOnce, tty, resizePolicy
 * (storage, cgroups, processes, users); imagePullPolicy, terminationMessagePath, terminationMessagePolicy, envFrom (image pulls,
 * messages, environment); restartPolicy, restartPolicyRules (no container of podwire ends).
 */
const UNREAD_CHOICES = {
  imagePullPolicy: ['Always', 'IfNotPresent', 'Never'],
  terminationMessagePolicy: ['FallbackToLogsOnError', 'File'],
} as const;
/** kubelet's own traffic to the pod, which podwire does not send: only its time counts. */
const UNSENT = ['livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'];

/** TCP when absent or empty. */
export function protocol(at: At | null): Protocol {
  const v = at?.str() ?? '';
  return v === '' ? 'TCP' : choice(at, ['SCTP', 'TCP', 'UDP'], 'TCP');
}

function containerPort(p: At, hostNetwork: boolean): ContainerPort {
  const portAt = p.opt('containerPort');
  if (portAt === null || portAt.plain() === 0) required(p, 'containerPort');
  const port = portNumber(portAt!);
  const hostAt = p.opt('hostPort');
  const host = hostAt === null || hostAt.plain() === 0 ? 0 : portNumber(hostAt);
  if (host !== 0 && hostNetwork && host !== port)
    invalid(hostAt!, 'must match `containerPort` when `hostNetwork` is true');
  const name = textOf(p, 'name') === '' ? '' : portName(p.req('name'));
  const hostIP = textOf(p, 'hostIP');
  if (hostIP !== '') address(p.req('hostIP'));
  return {
    name,
    containerPort: port,
    hostPort: hostNetwork ? port : host,
    hostIP,
    protocol: protocol(p.opt('protocol')),
  };
}

/** Names are unique in the container; another container may have the same. */
function containerPorts(at: At, hostNetwork: boolean): ContainerPort[] {
  const names = new Set<string>();
  return (at.opt('ports')?.list() ?? []).map((p) => {
    const port = containerPort(p, hostNetwork);
    if (port.name !== '' && names.has(port.name)) duplicate(p.req('name'));
    names.add(port.name);
    return port;
  });
}

function env(e: At): { name: string; value: string } {
  if (textOf(e, 'name') === '') required(e, 'name');
  return { name: e.req('name').str(), value: textOf(e, 'value') };
}

function container(at: At, hostNetwork: boolean): Container {
  if (textOf(at, 'name') === '') required(at, 'name');
  const name = dnsLabel(at.req('name'));
  const image = textOf(at, 'image');
  if (image === '') required(at, 'image');
  if (image !== image.trim()) invalid(at.req('image'), 'must not have leading or trailing whitespace');
  for (const [key, values] of Object.entries(UNREAD_CHOICES)) {
    const v = textOf(at, key);
    if (v !== '' && !values.includes(v as never)) unsupported(at.req(key), values);
  }
  resources(at.opt('resources'));
  const words = (k: string): string[] => (at.opt(k)?.list() ?? []).map((x) => (x.isNull ? '' : x.str()));
  const hook = preStopSeconds(at.opt('lifecycle')?.opt('preStop') ?? null);
  const kept = hook.preStopSeconds !== undefined && at.req('lifecycle').opt('postStart') === null;
  const unsent = UNSENT.filter((k) => at.opt(k) !== null && !(k === 'lifecycle' && kept));
  return {
    name,
    image,
    command: words('command'),
    args: words('args'),
    ports: containerPorts(at, hostNetwork),
    env: (at.opt('env')?.list() ?? []).map(env),
    ...(unsent.length === 0 ? {} : { unsent }),
    ...readySeconds(at.opt('readinessProbe'), at.opt('startupProbe')),
    ...hook,
  };
}

/**
 * When a container's readiness probe has succeeded often enough: the first probe comes after the delay, and not before the
 * startup probe has succeeded, which it does the first time; then one a period.
 */
function readySeconds(probe: At | null, startup: At | null): Pick<Container, 'readySeconds'> {
  if (probe === null && startup === null) return {};
  const of = (p: At | null, k: string, initial: number): number => {
    const at = p?.opt(k) ?? null;
    return at === null || at.plain() === 0 ? initial : notNegative(at);
  };
  const delay = Math.max(of(probe, 'initialDelaySeconds', 0), of(startup, 'initialDelaySeconds', 0));
  return { readySeconds: delay + (of(probe, 'successThreshold', 1) - 1) * of(probe, 'periodSeconds', 10) };
}

/** How long a preStop hook takes: `sleep: { seconds }`, or `exec: { command: [sleep, N] }` however it is wrapped in a shell. */
function preStopSeconds(hook: At | null): Pick<Container, 'preStopSeconds'> {
  const sleep = hook?.opt('sleep')?.opt('seconds') ?? null;
  if (sleep !== null) return { preStopSeconds: notNegative(sleep) };
  const words = (hook?.opt('exec')?.opt('command')?.list() ?? []).map((w) => w.text()).join(' ');
  const m = /(?:^|[ /])sleep (\d+)$/.exec(words);
  return m === null ? {} : { preStopSeconds: Number(m[1]) };
}

/** Reads `containers` or `initContainers`; `taken` are the names of the others. */
export function containers(list: At[], hostNetwork: boolean, taken: Set<string>): Container[] {
  return list.map((at) => {
    const c = container(at, hostNetwork);
    if (taken.has(c.name)) duplicate(at.req('name'));
    taken.add(c.name);
    return c;
  });
}

/** checkHostPortConflicts: a port of the host once in a pod. */
export function hostPortsOnce(list: At[], own: Container[]): void {
  const seen = new Set<string>();
  own.forEach((c, i) =>
    c.ports.forEach((x, j) => {
      if (x.hostPort === 0) return;
      const key = `${x.protocol}/${x.hostIP}/${x.hostPort}`;
      const at = list[i]!.req('ports').list()[j]!;
      if (seen.has(key)) duplicate((at.opt('hostPort') ?? at).called(`${at.path}.hostPort`), key);
      seen.add(key);
    }),
  );
}

const ONLY_SIDECARS = 'may not be set for init containers without restartPolicy=Always';

/** Init containers: sidecars, which run on beside the others, and those that end before them, by name. */
export function initContainers(
  list: At[],
  hostNetwork: boolean,
  taken: Set<string>,
): { sidecars: Container[]; before: { initContainers?: string[] } } {
  const all = containers(list, hostNetwork, taken);
  const stays = list.map((at) => textOf(at, 'restartPolicy') === 'Always');
  list.forEach((at, i) => {
    if (!stays[i]) for (const k of UNSENT) if (at.opt(k) !== null) forbidden(at.req(k), ONLY_SIDECARS);
  });
  const before = all.filter((_, i) => !stays[i]).map((c) => c.name);
  return { sidecars: all.filter((_, i) => stays[i]), before: before.length === 0 ? {} : { initContainers: before } };
}
