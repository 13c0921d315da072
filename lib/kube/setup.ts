/**
 * What stands before the first step: machines, the network of the pods, kube-proxy, names, and the programs of the containers.
 *
 *   machines and their switch `lan` ─▶ CNI ─▶ kube-proxy ─▶ what CoreDNS reads, resolv.conf ─▶ containers
 * @module
 */
import type { Command } from '../shell/script.js';
import { InputError } from '../sim/input-error.js';
import type { KubeObject, Pod } from './api/types.js';
import { balancerCommands } from './cloud/load-balancer-commands.js';
import { metallbCommands } from './cloud/metallb.js';
import { vpcCommands } from './cloud/vpc.js';
import { podNetns, sandboxOf } from './cni/sandbox.js';
import type { Action } from './control-plane/index.js';
import type { NodeProxy } from './control-plane/proxies.js';
import type { Cluster } from './controllers.js';
import { isRunning } from './controllers/ipam.js';
import { KUBEADM_COREFILE } from './coredns/corefile.js';
import { INGRESS_OBJECTS, ingressKinds, ingressWatched } from './ingress/watched.js';
import { meshFile, meshWarnings, sidecarProgram, sidecarRules } from './istio/setup.js';
import { KubeProxy } from './kube-proxy/index.js';
import { givesAddress, nodeAddresses } from './kube-proxy/node-addresses.js';
import { etcHosts, podSysctls } from './kubelet.js';
import { machineCommands } from './machines.js';
import { NODE_LOCAL_IP, nodeLocalAddresses, nodeLocalCommands, nodeLocalCorefile } from './node-local-dns.js';
import { type ContainerLine, containers, COREFILE, isIngress, machineControllers, OBJECTS } from './pod-commands.js';
import { machineResolver, podResolver } from './pod-resolver.js';
import { watched } from './watched.js';

export interface Setup {
  lines: string[];
  /** The last commands that come from annotations or images, with their places; null: from an image. */
  containers: (Command | null)[];
  /** Every node's kube-proxy after its first sync; `later` grows by what is done since. Empty where none was started. */
  proxies(later: readonly Action[]): NodeProxy[];
}

/** Adds lines one by one: files and rules of thousands of Services have more of them than a call can have arguments. */
function append(out: string[], lines: readonly string[]): void {
  for (const line of lines) out.push(line);
}

/** The setup of a cluster; kube-proxies run where there are Services or will be (`living`). */
export function setupOf(c: Cluster, living: boolean, warnings: string[]): Setup {
  const s = c.scenario;
  const machines = s.cni.plugin === 'aws-vpc' ? vpcCommands(s, s.cni) : machineCommands(s);
  const out = [...(c.cni.machines ?? []), ...machines];
  const add = (lines: readonly string[]): void => append(out, lines);
  const pods = c.pods.filter(isRunning);
  warnings.push(...meshWarnings(c));
  for (const p of pods)
    if (!p.spec.hostNetwork) out.push(`ip netns add ${podNetns(p, '')}`, `ip -n ${podNetns(p, '')} link set lo up`);
  for (const p of pods) add(sandboxFiles(c, p));
  const chained: string[] = [];
  for (const n of s.nodes) {
    add(c.cni.nodeAdd(n));
    const mine = pods.filter((p) => p.spec.nodeName === n.name && !p.spec.hostNetwork);
    const added = mine.map((p) => c.cni.podAdd(n, sandboxOf(p)));
    for (const x of added) add(x.commands);
    for (const x of added) append(chained, x.chained);
    add(c.cni.peersAdd(n));
  }
  const started = living || c.services.length > 0 ? kubeProxies(c, out, living) : [];
  for (const n of s.nodes) add(c.cni.daemonAdd?.(n) ?? []);
  add(balancerCommands(c));
  add(metallbCommands(c));
  // A real node's kube-proxy starts before the first pod that has a network of its own.
  add(chained);
  if (s.coredns !== null) add(dnsFiles(c));
  if (s.ingressControllers.length > 0 || c.pods.some(isIngress)) add(ingressFiles(c));
  for (const m of [...s.nodes, ...s.hosts]) add(machineResolver(m.name, m.resolvConf));
  add(meshFile(c));
  for (const p of pods) add(filesOf(c, p));
  if (s.coredns?.nodeLocal === true) add(nodeCaches(c));
  const places: (Command | null)[] = [];
  for (const p of pods) {
    for (const { text, from } of programsOf(c, p, warnings)) {
      out.push(text);
      places.push(from);
    }
  }
  for (const text of machineControllers(s)) {
    out.push(text);
    places.push(null);
  }
  return {
    lines: out,
    containers: places,
    proxies: (later) => {
      const giving = addressCommands(out, later);
      return started.map(({ proxy, n, zone }) => ({
        name: n.name,
        proxy,
        node: () => ({
          name: n.name,
          addresses: nodeAddresses(giving(), n.name, n.addresses[0]!.split('/')[0]!),
          podCIDR: n.podCIDR,
          zone,
        }),
      }));
    },
  };
}

/** The commands so far that give addresses, each once; actions are read once, but for those of the last instant, which may grow. */
function addressCommands(setup: readonly string[], later: readonly Action[]): () => string[] {
  const found = new Set(setup.filter(givesAddress));
  let read = 0;
  return () => {
    for (const a of later.slice(read)) for (const line of a.lines) if (givesAddress(line)) found.add(line);
    const last = later.at(-1)?.atNs;
    while (read < later.length && later[read]!.atNs !== last) read++;
    return [...found];
  };
}

interface Started {
  proxy: KubeProxy;
  n: Cluster['scenario']['nodes'][number];
  zone: string;
}

/** Starts the kube-proxy of every node: its commands go to `out`. */
function kubeProxies(c: Cluster, out: string[], living: boolean): Started[] {
  const s = c.scenario;
  return s.nodes.map((n) => {
    const zone = n.labels['topology.kubernetes.io/zone'] ?? '';
    const addresses = nodeAddresses(out, n.name, n.addresses[0]!.split('/')[0]!);
    const proxy = new KubeProxy(s.kubeProxy, s.podSubnet);
    const node = { name: n.name, addresses, podCIDR: n.podCIDR, zone };
    const lines = proxy.start({ node, services: c.services, slices: c.slices }, living);
    for (const line of lines) append(out, `ip netns exec ${n.name} ${line}`.split('\n'));
    return { proxy, n, zone };
  });
}

/** The files of CoreDNS. */
function dnsFiles(c: Cluster): string[] {
  const s = c.scenario;
  const corefile = (s.coredns!.corefile ?? KUBEADM_COREFILE).trimEnd().split('\n');
  if (corefile.includes('EOF'))
    throw new InputError(s.file, 0, 0, 'spec.coredns.corefile: found a line EOF, expected none');
  const objects = ['mkdir -p /etc/podwire', `cat > ${OBJECTS} <<'EOF'`, ...watched(c), 'EOF'];
  return [...objects, `cat > ${COREFILE} <<'EOF'`, ...corefile, 'EOF'];
}

/** The file of the ingress controllers. */
const ingressFiles = (c: Cluster): string[] => {
  const of = (k: string): KubeObject[] => c.objects.filter((o) => o.kind === k);
  const objects = [...c.services, ...c.slices, ...ingressKinds(c.scenario.ingressControllers).slice(2).flatMap(of)];
  return ['mkdir -p /etc/podwire', `cat > ${INGRESS_OBJECTS} <<'EOF'`, ...ingressWatched(objects), 'EOF'];
};

/** What a sandbox is given before its network. */
export const sandboxFiles = (c: Cluster, p: Pod): string[] => [...podSysctls(p), ...etcHosts(p, c.scenario.dnsDomain)];

const clusterIP = (c: Cluster, name: string): string =>
  c.services.find((v) => v.metadata.name === name && v.metadata.namespace === 'kube-system')!.spec.clusterIP;

/** What stands in a pod before its programs: what they resolve names with, and the rules of a sidecar's init container. */
export function filesOf(c: Cluster, p: Pod): string[] {
  const s = c.scenario;
  const cached = s.coredns?.nodeLocal === true && s.kubeProxy.mode === 'ipvs';
  const dnsIP = s.coredns === null ? null : cached ? NODE_LOCAL_IP : clusterIP(c, 'kube-dns');
  const node = s.nodes.find((n) => n.name === p.spec.nodeName)?.resolvConf ?? null;
  return [...podResolver(p, podNetns(p, ''), node, dnsIP, s.dnsDomain), ...sidecarRules(p, c.namespaces)];
}

/** The programs of a pod, an injected sidecar's first; what podwire cannot run is said in `warnings`, once. */
export const programsOf = (c: Cluster, p: Pod, warnings: string[]): ContainerLine[] => [
  ...sidecarProgram(c.scenario, p, c.namespaces).map((text) => ({ text, from: null })),
  ...containers(p, warnings, c.scenario),
];

/** The NodeLocal DNSCache of every node. */
function nodeCaches(c: Cluster): string[] {
  const s = c.scenario;
  const addresses = nodeLocalAddresses(clusterIP(c, 'kube-dns'), s.kubeProxy.mode);
  const corefile = nodeLocalCorefile(addresses, clusterIP(c, 'kube-dns-upstream'), s.dnsDomain).trimEnd().split('\n');
  const path = '/etc/podwire/node-local';
  const lines = [`cat > ${path} <<'EOF'`, ...corefile, 'EOF'];
  return [...lines, ...s.nodes.flatMap((n) => nodeLocalCommands(n.name, addresses, path, OBJECTS))];
}
