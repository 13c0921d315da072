/**
 * Kubernetes compiles to Linux: a cluster becomes a Lab, the commands a real CNI plugin, kube-proxy and kubelet would issue.
 *
 *   machines and their switch `lan` ─▶ CNI ─▶ resolv.conf ─▶ kube-proxy ─▶ containers ─▶ steps
 * @module
 */
import { stringify } from 'yaml';
import { formatDuration } from '../lab/lab.js';
import { type Command, parseScript } from '../shell/script.js';
import { InputError } from '../sim/input-error.js';
import { quote } from './api/at.js';
import { placeOf } from './api/meta.js';
import type { Pod } from './api/types.js';
import { podNetns, sandboxOf } from './cni/sandbox.js';
import type { Cluster } from './controllers.js';
import { isRunning } from './controllers/ipam.js';
import { KUBEADM_COREFILE } from './coredns/corefile.js';
import { kubeProxySetup } from './kube-proxy/index.js';
import { nodeAddresses } from './kube-proxy/node-addresses.js';
import { etcHosts, podSysctls } from './kubelet.js';
import { parseKubectl } from './kubectl/args.js';
import { machineCommands } from './machines.js';
import type { Machine, ScenarioStep } from './scenario.js';

export interface KubectlStep {
  at: number;
  index: number;
  command: string;
  args: string[];
  line: number;
  column: number;
  expect: { exit?: number; stdout?: string } | null;
}

export interface Compiled {
  /** The Lab as YAML. */
  text: string;
  kubectl: KubectlStep[];
  /** The scenario's steps that became steps of the Lab, in its order: their commands have the scenario's places. */
  steps: ScenarioStep[];
  /** The last commands of the setup that come from annotations or images, with their places; null: from an image. */
  containers: (Command | null)[];
  /** Things the user should know, once each. */
  warnings: string[];
}

const CLIENTS =
  /^(docker\.io\/(library\/)?)?(busybox|alpine|curlimages\/curl|nicolaka\/netshoot|debian|ubuntu)([:@]|$)/;

/** Compiles a cluster. Throws InputError where a step names what does not exist. */
export function compile(cluster: Cluster): Compiled {
  const s = cluster.scenario;
  const warnings = [...cluster.warnings, ...probes(cluster)];
  const kubectl: KubectlStep[] = [];
  const lab: ScenarioStep[] = [];
  const containers: (Command | null)[] = [];
  const steps: { at: string; run: string; expect?: object }[] = [];
  s.steps.forEach((step, index) => {
    if (step.in === '') {
      kubectl.push(kubectlStep(step, index));
      return;
    }
    const run = inNetns(step.commands, netnsOf(cluster, step), s.file);
    lab.push(step);
    steps.push({ at: formatDuration(step.atNs), run, ...(step.expect === null ? {} : { expect: step.expect }) });
  });
  const spec = {
    seed: s.seed,
    setup: `${setup(cluster, warnings, containers).join('\n')}\n`,
    steps,
    ...(s.untilNs === null ? {} : { until: formatDuration(s.untilNs) }),
  };
  const metadata = s.description === '' ? { name: s.name } : { name: s.name, description: s.description };
  return {
    text: stringify({ kind: 'Lab', metadata, spec }, { lineWidth: 0 }),
    kubectl,
    steps: lab,
    containers,
    warnings,
  };
}

/** A step without `in` is one kubectl command that podwire answers. */
function kubectlStep(step: ScenarioStep, index: number): KubectlStep {
  const place = step.place.req('run');
  const c = step.commands[0]!;
  let head = c;
  while (head.pipeFrom !== null) head = head.pipeFrom;
  if (head.argv[0] !== 'kubectl')
    place.fail(`found no "in", expected one for ${quote(head.argv[0]!)} (only kubectl runs without)`);
  if (step.commands.length > 1 || c.pipeFrom !== null || c.redirect !== null || c.stdin !== null || c.background || c.quiet)
    place.fail('found more than a kubectl command, expected one alone'); // prettier-ignore
  const args = c.argv.slice(1);
  const parsed = parseKubectl(args);
  if (parsed.kind === 'error') place.fail(`${parsed.message.split('\n')[0]} (expected ${parsed.expected})`);
  const { line, column } = c;
  return { at: step.atNs, index, command: step.run.trim(), args, line, column, expect: step.expect };
}

/** kubelet's probes and hooks would be frames; podwire sends none, and says so. */
function probes(c: Cluster): string[] {
  const fields = new Set(c.pods.flatMap((p) => p.spec.containers.flatMap((x) => x.unsent ?? [])));
  return fields.size === 0
    ? []
    : [`${[...fields].join(', ')}: no probes or hooks are run, containers are ready from the start`];
}

/** Commands as they run in a namespace: each part of a pipeline under `ip netns exec`. */
function inNetns(commands: Command[], netns: string, file: string): string {
  const prefix = `ip netns exec ${netns} `;
  const text = (c: Command): string => {
    if (c.pipeFrom === null) return prefix + c.text;
    const before = c.pipeFrom.text;
    if (!c.text.startsWith(before))
      throw new InputError(file, c.line, c.column, 'found a pipeline with a heredoc, expected <<< WORD or no pipeline');
    const rest = c.text.slice(before.length).replace(/^([\s\\]*\|[\s\\]*)/, (m) => m + prefix);
    return text(c.pipeFrom) + rest;
  };
  return commands.map(text).join('\n');
}

/** The pod that `pod/NAME` or `pod/NAMESPACE/NAME` names. */
function podOf(c: Cluster, where: string): Pod | undefined {
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

function setup(c: Cluster, warnings: string[], places: (Command | null)[]): string[] {
  const s = c.scenario;
  const out = machineCommands(s);
  const pods = c.pods.filter(isRunning);
  const podsOn = (n: Machine): Pod[] => pods.filter((p) => p.spec.nodeName === n.name);
  for (const p of pods)
    if (!p.spec.hostNetwork) out.push(`ip netns add ${podNetns(p, '')}`, `ip -n ${podNetns(p, '')} link set lo up`);
  for (const p of pods) out.push(...podSysctls(p), ...etcHosts(p, s.dnsDomain));
  for (const n of s.nodes) {
    out.push(...c.cni.nodeAdd(n));
    for (const p of podsOn(n)) if (!p.spec.hostNetwork) out.push(...c.cni.podAdd(n, sandboxOf(p)).commands);
    out.push(...c.cni.peersAdd(n));
  }
  for (const n of s.nodes) {
    const lines = kubeProxySetup({
      node: {
        name: n.name,
        addresses: nodeAddresses(out, n.name, n.addresses[0]!.split('/')[0]!),
        podCIDR: n.podCIDR,
        zone: n.labels['topology.kubernetes.io/zone'] ?? '',
      },
      config: s.kubeProxy,
      clusterCIDR: s.podSubnet,
      services: c.services,
      slices: c.slices,
    });
    if (c.services.length > 0) out.push(...lines.replace(/\n+$/, '').split('\n'));
  }
  if (s.coredns !== null) {
    out.push('mkdir -p /etc/podwire', "cat > /etc/podwire/objects.yaml <<'EOF'", ...manifests(c), 'EOF');
    const corefile = (s.coredns.corefile ?? KUBEADM_COREFILE).trimEnd().split('\n');
    if (corefile.includes('EOF'))
      throw new InputError(s.file, 0, 0, 'spec.coredns.corefile: found a line EOF, expected none');
    out.push("cat > /etc/podwire/Corefile <<'EOF'", ...corefile, 'EOF');
    const dns = c.services.find((v) => v.metadata.name === 'kube-dns' && v.metadata.namespace === 'kube-system')!;
    for (const p of pods) out.push(...resolvConf(p, dns.spec.clusterIP, s.dnsDomain));
  }
  for (const p of pods) {
    for (const { text, from } of containers(p, warnings)) {
      out.push(text);
      places.push(from);
    }
  }
  return out;
}

/** The pod's /etc/resolv.conf (kubelet, pkg/kubelet/network/dns). */
function resolvConf(p: Pod, dnsIP: string, domain: string): string[] {
  if (p.spec.hostNetwork || p.spec.dnsPolicy === 'Default') return [];
  const first = p.spec.dnsPolicy !== 'None';
  const search = [
    ...(first ? [`${p.metadata.namespace}.svc.${domain}`, `svc.${domain}`, domain] : []),
    ...p.spec.dnsConfig.searches,
  ];
  const servers = [...(first ? [dnsIP] : []), ...p.spec.dnsConfig.nameservers].slice(0, 3);
  const options = new Map<string, string>(first ? [['ndots', '5']] : []);
  for (const o of p.spec.dnsConfig.options) options.set(o.name, o.value ?? '');
  const dir = `/etc/netns/${podNetns(p, '')}`;
  return [
    `mkdir -p ${dir}`,
    `cat > ${dir}/resolv.conf <<'EOF'`,
    ...(search.length > 0 ? [`search ${[...new Set(search)].join(' ')}`] : []),
    ...[...new Set(servers)].map((x) => `nameserver ${x}`),
    ...(options.size > 0 ? [`options ${[...options].map(([k, v]) => (v === '' ? k : `${k}:${v}`)).join(' ')}`] : []),
    'EOF',
  ];
}

/** A command line of a container, and the command it was made of. */
interface ContainerLine {
  text: string;
  from: Command | null;
}

function containers(p: Pod, warnings: string[]): ContainerLine[] {
  const netns = podNetns(p, p.spec.nodeName);
  const own = p.metadata.annotations['podwire.dev/run'];
  if (own !== undefined) return annotated(p, netns);
  const out: ContainerLine[] = [];
  for (const c of p.spec.containers) {
    if (/coredns\/coredns(:|$)/.test(c.image)) {
      const files = '--manifests /etc/podwire/objects.yaml --corefile /etc/podwire/Corefile';
      out.push({ text: `ip netns exec ${netns} podwire app coredns ${files} &`, from: null });
    } else if (!CLIENTS.test(c.image)) {
      const w = `image "${c.image}" serves nothing (podwire does not know it, or its protocol is not supported yet)`;
      if (!warnings.includes(w)) warnings.push(w);
    }
  }
  return out;
}

/** The annotation's command lines, each a program in the background. */
function annotated(p: Pod, netns: string): ContainerLine[] {
  const at = placeOf(p)!;
  const owner = at.req('kind').str() === 'Pod' ? at : at.req('spec').req('template');
  const run = owner.req('metadata').req('annotations').req('podwire.dev/run');
  const { text, line, column } = run.script();
  return parseScript(text, at.file, line, column).map((c) => {
    if (c.text.includes('\n'))
      throw new InputError(at.file, c.line, c.column, 'found a command of several lines, expected one line each');
    return { text: `${inNetns([c], netns, at.file).replace(/\s*&$/, '')} &`, from: c };
  });
}

const SERVICE_NAME = 'kubernetes.io/service-name';
const serviceName = (labels: Record<string, string>): Record<string, string> =>
  Object.hasOwn(labels, SERVICE_NAME) ? { [SERVICE_NAME]: labels[SERVICE_NAME]! } : {};

/** The objects CoreDNS watches, as manifests. */
function manifests(c: Cluster): string[] {
  const meta = (
    m: { name: string; namespace: string; creationTimestamp: string },
    labels?: Record<string, string>,
  ) => ({
    name: m.name,
    ...(m.namespace === '' ? {} : { namespace: m.namespace }),
    creationTimestamp: m.creationTimestamp,
    ...(labels === undefined ? {} : { labels }),
  });
  const docs: unknown[] = c.services.map((v) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta(v.metadata),
    spec:
      v.spec.type === 'ExternalName'
        ? { type: 'ExternalName', externalName: v.spec.externalName }
        : {
            clusterIP: v.spec.clusterIP,
            ...(v.spec.clusterIPs.length > 1 ? { clusterIPs: v.spec.clusterIPs } : {}),
            ports: v.spec.ports.map((x) => ({
              ...(x.name === '' ? {} : { name: x.name }),
              protocol: x.protocol,
              port: x.port,
            })),
          },
  }));
  for (const e of c.slices) {
    docs.push({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: meta(e.metadata, serviceName(e.metadata.labels)),
      addressType: e.addressType,
      endpoints: e.endpoints.map((x) => ({
        addresses: x.addresses,
        conditions: { ready: x.conditions.ready },
        ...(x.hostname === '' ? {} : { hostname: x.hostname }),
      })),
      ports: e.ports.map((x) => ({
        ...(x.name === '' ? {} : { name: x.name }),
        protocol: x.protocol,
        ...(x.port === 0 ? {} : { port: x.port }),
      })),
    });
  }
  return docs
    .map((d) => stringify(d, { lineWidth: 0 }).trimEnd())
    .join('\n---\n')
    .split('\n');
}
