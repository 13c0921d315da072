/**
 * Kubernetes compiles to Linux: a cluster becomes a Lab, the commands a real CNI plugin, kube-proxy and kubelet would issue, at
 * its start (setup.ts) and whenever a step changes it (control-plane/).
 * @module
 */
import { stringify } from 'yaml';
import { formatDuration, parseLab } from '../lab/lab.js';
import type { Kernel } from '../linux/core/kernel.js';
import { runLab } from '../lab/engine.js';
import { MAX_TEXT } from '../lab/yaml.js';
import type { Command } from '../shell/script.js';
import { InputError } from '../sim/input-error.js';
import { ApiServer } from './api-server/server.js';
import { quote } from './api/at.js';
import type { Pod } from './api/types.js';
import { balancerActions } from './cloud/load-balancer-commands.js';
import { metallbActions } from './cloud/metallb.js';
import { podNetns } from './cni/sandbox.js';
import { type Action, type Change, live, still, type Timeline } from './control-plane/index.js';
import { ipvsConnections, type Observe } from './control-plane/proxies.js';
import type { Cluster } from './controllers.js';
import { isRunning } from './controllers/ipam.js';
import { parseKubectl } from './kubectl/args.js';
import {
  change,
  type ChangeRequest,
  LastApplied,
  parseChange,
  type Session,
  Unsupported,
} from './kubectl/change/index.js';
import type { View } from './kubectl/index.js';
import { inNetns } from './pod-commands.js';
import { gateways } from './machines.js';
import { clusterProgram } from './programs.js';
import type { ScenarioStep } from './scenario.js';
import { filesOf, programsOf, sandboxFiles, type Setup, setupOf } from './setup.js';

export interface KubectlStep {
  at: number;
  /** Where it stands among all steps that run. */
  index: number;
  command: string;
  args: string[];
  line: number;
  column: number;
  expect: { exit?: number; stdout?: string } | null;
  /** What a change printed, and how it ended (null: not before the end); null: a view, asked for at its time. */
  result: ChangeResult | null;
}

export type ChangeResult = Omit<View, 'exit'> & { exit: number | null };

export interface Compiled {
  /** The Lab as YAML. */
  text: string;
  kubectl: KubectlStep[];
  /** The steps of the Lab, in its order: the scenario's, whose commands have its places; null: a component's. */
  steps: (ScenarioStep | null)[];
  /** The last commands of the setup that come from annotations or images, with their places; null: from an image. */
  containers: (Command | null)[];
  /** Things the user should know, once each. */
  warnings: string[];
  /** The cluster at a time. */
  at(ns: number): Cluster;
  /** Every Service and pod there ever was, as it was last. */
  ever(): Pick<Cluster, 'services' | 'pods'>;
}

/** Compiles a cluster. Throws InputError where a step names what does not exist. */
export function compile(cluster: Cluster): Compiled {
  const s = cluster.scenario;
  const warnings = [...cluster.warnings, ...probes(cluster)];
  const kubectl = s.steps.flatMap((step, index) => (step.in === '' ? [kubectlStep(step, index)] : []));
  const changing = kubectl.filter((k) => k.request !== null);
  const setup = setupOf(cluster, changing.length > 0, warnings);
  const timeline = changing.length === 0 ? still(cluster) : run(cluster, setup, changing, warnings);
  const order = ordered(s.steps, [...cloudActions(cluster), ...timeline.actions]);
  const indexOf = new Map(order.map((x, i) => [x, i]));
  for (const k of kubectl) k.index = indexOf.get(k.step)!;
  const lab = order.filter((x) => !isStep(x) || x.in !== '');
  const text = labText(cluster, setup, lab, timeline.at);
  if (text.length > MAX_TEXT)
    throw new InputError(s.file, 0, 0, `its Lab has ${text.length} characters, expected at most ${MAX_TEXT}: fewer nodes, pods, Services or changes`); // prettier-ignore
  return {
    text,
    kubectl,
    steps: lab.map((x) => (isStep(x) ? x : null)),
    containers: setup.containers,
    warnings: [...new Set([...warnings, ...timeline.warnings])],
    at: timeline.at,
    ever: timeline.ever,
  };
}

/** Programs outside of the cluster's own components that begin with the first step. */
const cloudActions = (c: Cluster): Action[] => [...balancerActions(c), ...metallbActions(c)];

type Entry = ScenarioStep | Action;
const isStep = (x: Entry): x is ScenarioStep => 'in' in x;

/** Components' actions among the scenario's steps: before the first one that is later. */
function ordered(steps: readonly ScenarioStep[], actions: readonly Action[]): Entry[] {
  const out: Entry[] = [];
  let i = 0;
  for (const step of steps) {
    for (; i < actions.length && actions[i]!.atNs < step.atNs; i++) out.push(actions[i]!);
    out.push(step);
  }
  return [...out, ...actions.slice(i)];
}

function labText(c: Cluster, setup: Setup, entries: readonly Entry[], at: Timeline['at']): string {
  const s = c.scenario;
  const steps = entries.map((x) => {
    const when = formatDuration(x.atNs);
    if (!isStep(x)) return { at: when, by: x.by, run: `${x.lines.join('\n')}${x.lines.length > 1 ? '\n' : ''}` };
    const run = inNetns(x.commands, netnsOf(at(x.atNs), x), s.file);
    return { at: when, run, ...(x.expect === null ? {} : { expect: x.expect }) };
  });
  const spec = {
    seed: s.seed,
    setup: `${setup.lines.join('\n')}\n`,
    steps,
    ...(s.untilNs === null ? {} : { until: formatDuration(s.untilNs) }),
  };
  const metadata = s.description === '' ? { name: s.name } : { name: s.name, description: s.description };
  return stringify({ kind: 'Lab', metadata, spec }, { lineWidth: 0 });
}

/** Runs the control plane through the changes of the steps. */
function run(c: Cluster, setup: Setup, changing: readonly Parsed[], warnings: string[]): Timeline {
  const last = new LastApplied(c.objects);
  let api: ApiServer | null = null;
  const changes = changing.map((k): Change => ({
    atNs: k.at,
    place: k.step.place.req('run'),
    run: (loop) => {
      api ??= new ApiServer(loop);
      try {
        change(sessionOf(c, k, k.request!, api), last);
      } catch (e) {
        if (!(e instanceof Unsupported)) throw e;
        k.step.place.req('run').fail(e.message);
      }
    },
  })); // prettier-ignore
  const commands = {
    sandbox: (p: Pod) => sandboxFiles(c, p),
    files: (p: Pod) => filesOf(c, p),
    programs: (p: Pod) => programsOf(c, p, warnings).map((x) => x.text),
  };
  return live(c, changes, commands, setup.proxies, (actions, at) => observer(c, setup, actions, at));
}

/** What IPVS holds at a time: the Lab so far, run on podwire's own kernel. */
function observer(c: Cluster, setup: Setup, actions: readonly Action[], at: Timeline['at']): Observe {
  let known: { now: number; kernel: Kernel } | null = null;
  const kernelAt = (now: number): Kernel => {
    const entries = ordered(
      c.scenario.steps.filter((x) => x.atNs <= now && x.in !== ''),
      [...cloudActions(c), ...actions],
    );
    const lab = parseLab(labText(c, setup, entries, at), c.scenario.file);
    return runLab({ ...lab, captures: [] }, { programFor: clusterProgram, stopAt: now }).kernel;
  }; // prettier-ignore
  return (node, now) => {
    // The nodes' kube-proxies ask at the same instant: one run answers all.
    if (known?.now !== now) known = { now, kernel: kernelAt(now) };
    return ipvsConnections(known.kernel, node);
  };
}

interface Parsed extends KubectlStep {
  request: ChangeRequest | null;
  step: ScenarioStep;
}

/** A step without `in` is one kubectl command that podwire answers. */
function kubectlStep(step: ScenarioStep, index: number): Parsed {
  const place = step.place.req('run');
  const c = step.commands[0]!;
  let head = c;
  while (head.pipeFrom !== null) head = head.pipeFrom;
  if (head.argv[0] !== 'kubectl')
    place.fail(`found no "in", expected one for ${quote(head.argv[0]!)} (only kubectl runs without)`);
  const args = c.argv.slice(1);
  const parsed = parseChange(args) ?? parseKubectl(args);
  const takes = parsed.kind === 'change' && parsed.flags.get('filename') === '-';
  if (step.commands.length > 1 || c.pipeFrom !== null || c.redirect !== null || (c.stdin !== null) !== takes || c.background || c.quiet)
    place.fail('found more than a kubectl command, expected one alone (with a heredoc where it reads -f -)'); // prettier-ignore
  if (parsed.kind === 'error') place.fail(`${parsed.message.split('\n')[0]} (expected ${parsed.expected})`);
  const { line, column } = c;
  const request = parsed.kind === 'change' ? parsed : null;
  const result = request === null ? null : { exit: null, stdout: '', stderr: '' };
  return { at: step.atNs, index, command: step.run.trim(), args, line, column, expect: step.expect, result, request, step }; // prettier-ignore
}

function sessionOf(c: Cluster, k: Parsed, request: ChangeRequest, api: ApiServer): Session {
  const result = k.result!;
  const command = k.step.commands[0]!;
  return {
    request,
    api,
    loop: api.loop,
    out: (t) => void (result.stdout += t),
    err: (t) => void (result.stderr += t),
    exit: (code) => void (result.exit ??= code),
    file: (path) => {
      if (path === '-') return { text: command.stdin ?? '', file: c.scenario.file, line: command.stdinLine };
      return { ...readFor(c, k, path), line: 1 };
    },
  };
}

/** A file that a kubectl step names; what keeps it from being read is told at the step. */
function readFor(c: Cluster, k: Parsed, path: string): { text: string; file: string } {
  try {
    return c.scenario.read(path);
  } catch (e) {
    if (!(e instanceof InputError) || e.line !== 0) throw e;
    throw new InputError(c.scenario.file, k.line, k.column, e.message);
  }
}

/** kubelet's probes and hooks would be frames; podwire sends none, and says so. */
function probes(c: Cluster): string[] {
  const fields = new Set(c.pods.flatMap((p) => p.spec.containers.flatMap((x) => x.unsent ?? [])));
  return fields.size === 0
    ? []
    : [
        `${[...fields].join(', ')}: none is sent: the first containers are ready, later ones when their readiness probe could have succeeded`,
      ];
}

/** The pod that `pod/NAME` or `pod/NAMESPACE/NAME` names. */
function podOf(c: Cluster, where: string) {
  const [kind, ...rest] = where.split('/');
  if (kind !== 'pod' || rest.length < 1 || rest.length > 2) return undefined;
  const [ns, name] = rest.length === 2 ? [rest[0], rest[1]] : ['default', rest[0]];
  return c.pods.find((x) => x.metadata.namespace === ns && x.metadata.name === name);
}

/** The namespace of `pod/NAME`, `pod/NAMESPACE/NAME`, `node/NAME` or `host/NAME`; null when there is none. */
export function namespaceOf(c: Cluster, where: string): string | null {
  const [kind, ...rest] = where.split('/');
  const s = c.scenario;
  if (kind === 'node' && rest.length === 1 && s.nodes.some((n) => n.name === rest[0])) return rest[0]!;
  if (kind === 'host' && rest.length === 1 && s.hosts.some((n) => n.name === rest[0])) return rest[0]!;
  if (where === 'host/gw' && s.cni.plugin !== 'aws-vpc' && gateways(s).size > 0) return 'gw';
  const p = podOf(c, where);
  return p !== undefined && isRunning(p) ? podNetns(p, p.spec.nodeName) : null;
}

function netnsOf(c: Cluster, step: ScenarioStep): string {
  const found = namespaceOf(c, step.in);
  if (found !== null) return found;
  const p = podOf(c, step.in);
  if (p !== undefined)
    step.place.req('in').fail(`found ${quote(step.in)}, expected a pod that runs: it is ${p.status.phase}`);
  return step.place
    .req('in')
    .fail(`found ${quote(step.in)}, expected pod/NAME, pod/NAMESPACE/NAME, node/NAME or host/NAME that exists`);
}
