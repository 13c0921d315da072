/**
 * Kubernetes compiles to Linux: a cluster becomes a Lab, the commands a real CNI plugin, kube-proxy and kubelet would issue.
 *
 *   machines and their switch `lan` ─▶ CNI ─▶ resolv.conf ─▶ kube-proxy ─▶ containers ─▶ steps
 * @module
 */
import { Address4 } from 'ip-address';
import { stringify } from 'yaml';
import { formatDuration } from '../lab/lab.js';
import type { Pod } from './api/types.js';
import { bridgeCommands, podNetns } from './cni/bridge.js';
import type { Cluster } from './controllers.js';
import { KUBEADM_COREFILE } from './coredns/corefile.js';
import { kubeProxySetup } from './kube-proxy/index.js';
import type { Machine, Scenario, ScenarioStep } from './scenario.js';

export interface KubectlStep {
  at: number;
  index: number;
  command: string;
  args: string[];
  expect: { exit?: number; stdout?: string } | null;
}

export interface Compiled {
  /** The Lab as YAML. */
  text: string;
  kubectl: KubectlStep[];
  /** Things the user should know, once each. */
  warnings: string[];
}

const CLIENTS =
  /^(docker\.io\/(library\/)?)?(busybox|alpine|curlimages\/curl|nicolaka\/netshoot|debian|ubuntu)([:@]|$)/;

/** Compiles a cluster. Throws InputError where a step names what does not exist. */
export function compile(cluster: Cluster): Compiled {
  const s = cluster.scenario;
  const warnings: string[] = [];
  const kubectl: KubectlStep[] = [];
  const steps: { at: string; run: string; expect?: object }[] = [];
  s.steps.forEach((step, index) => {
    if (step.in === '') {
      const args = step.run.trim().split(/\s+/);
      if (args[0] !== 'kubectl')
        step.place.fail(`found no "in", expected one for "${args[0]}" (only kubectl runs without)`);
      kubectl.push({ at: step.atNs, index, command: step.run, args: args.slice(1), expect: step.expect });
      return;
    }
    const run = prefixLines(step.run, `ip netns exec ${netnsOf(cluster, step)} `);
    steps.push({ at: formatDuration(step.atNs), run, ...(step.expect === null ? {} : { expect: step.expect }) });
  });
  const spec = {
    seed: s.seed,
    setup: `${setup(cluster, warnings).join('\n')}\n`,
    steps,
    ...(s.untilNs === null ? {} : { until: formatDuration(s.untilNs) }),
  };
  const metadata = s.description === '' ? { name: s.name } : { name: s.name, description: s.description };
  return { text: stringify({ kind: 'Lab', metadata, spec }, { lineWidth: 0 }), kubectl, warnings };
}

/** Prefixes each command line; heredoc bodies stay as they are. */
function prefixLines(text: string, prefix: string): string {
  const out: string[] = [];
  let end: string | null = null;
  for (const line of text.replace(/\n+$/, '').split('\n')) {
    if (end !== null) {
      out.push(line);
      if (line.trim() === end) end = null;
      continue;
    }
    end = /<<-?\s*['"]?([A-Za-z_]+)['"]?/.exec(line.replaceAll('<<<', ''))?.[1] ?? null;
    out.push(line.trim() === '' || line.trim().startsWith('#') ? line : prefix + line.trim());
  }
  return out.join('\n');
}

function netnsOf(c: Cluster, step: ScenarioStep): string {
  const [kind, ...rest] = step.in.split('/');
  const s = c.scenario;
  if (kind === 'node' && s.nodes.some((n) => n.name === rest[0])) return rest[0]!;
  if (kind === 'host' && s.hosts.some((n) => n.name === rest[0])) return rest[0]!;
  if (kind === 'pod') {
    const [ns, name] = rest.length === 2 ? [rest[0], rest[1]] : ['default', rest[0]];
    const p = c.pods.find((x) => x.metadata.namespace === ns && x.metadata.name === name);
    if (p !== undefined) return podNetns(p, p.spec.nodeName);
  }
  return step.place
    .req('in')
    .fail(`found "${step.in}", expected pod/NAME, pod/NAMESPACE/NAME, node/NAME or host/NAME that exists`);
}

function setup(c: Cluster, warnings: string[]): string[] {
  const s = c.scenario;
  const out = machines(s);
  const podsOn = (n: Machine): Pod[] => c.pods.filter((p) => p.spec.nodeName === n.name);
  for (const p of c.pods)
    if (!p.spec.hostNetwork) out.push(`ip netns add ${podNetns(p, '')}`, `ip -n ${podNetns(p, '')} link set lo up`);
  for (const n of s.nodes)
    out.push(
      ...bridgeCommands(
        n,
        s.nodes,
        podsOn(n).filter((p) => !p.spec.hostNetwork),
        s.cni,
      ),
    );
  for (const n of s.nodes) {
    const lines = kubeProxySetup({
      node: { name: n.name, addresses: n.addresses.map((a) => a.split('/')[0]!) },
      config: s.kubeProxy,
      clusterCIDR: s.podSubnet,
      services: c.services,
      slices: c.slices,
    });
    if (c.services.length > 0) out.push(...lines.replace(/\n+$/, '').split('\n'));
  }
  if (s.coredns !== null) {
    out.push('mkdir -p /etc/podwire', "cat > /etc/podwire/objects.yaml <<'EOF'", ...manifests(c), 'EOF');
    out.push(
      "cat > /etc/podwire/Corefile <<'EOF'",
      ...(s.coredns.corefile ?? KUBEADM_COREFILE).trimEnd().split('\n'),
      'EOF',
    );
    const ip = c.services.find((v) => v.metadata.name === 'kube-dns')!.spec.clusterIP;
    for (const p of c.pods) out.push(...resolvConf(p, ip, s.dnsDomain));
  }
  for (const p of c.pods) out.push(...containers(p, warnings));
  return out;
}

/** Nodes, hosts and the switch between them; a router `gw` where networks differ. */
function machines(s: Scenario): string[] {
  const all = [...s.nodes, ...s.hosts];
  const nets: string[] = [];
  const netOf = (a: string): string => `${new Address4(a).startAddress().correctForm()}/${a.split('/')[1]}`;
  for (const m of all) if (!nets.includes(netOf(m.addresses[0]!))) nets.push(netOf(m.addresses[0]!));
  const out = ['ip netns add lan', 'ip netns exec lan sysctl -q -w net.bridge.bridge-nf-call-iptables=0'];
  nets.forEach((_, i) => out.push(`ip -n lan link add br${i} type bridge`, `ip -n lan link set br${i} up`));
  const mac = (a: string, first: string): string => `${first}:54:${a.split('/')[0]!.split('.').map((x) => Number(x).toString(16).padStart(2, '0')).join(':')}`; // prettier-ignore
  const plug = (netns: string, dev: string, a: string, port: string): void => {
    const br = nets.indexOf(netOf(a));
    out.push(
      `ip -n ${netns} link add ${dev} address ${mac(a, '52')} type veth peer name ${port} address ${mac(a, '56')} netns lan`,
    );
    out.push(`ip -n lan link set ${port} master br${br}`, `ip -n lan link set ${port} up`);
    out.push(`ip -n ${netns} addr add ${a} dev ${dev}`, `ip -n ${netns} link set ${dev} up`);
  };
  const gwOf = (net: string): string => {
    const [base, bits] = net.split('/') as [string, string];
    const used = all.some((m) => m.addresses.some((a) => a.startsWith(`${base.replace(/\.\d+$/, '')}.1/`)));
    return `${base.replace(/\.\d+$/, used ? '.254' : '.1')}/${bits}`;
  };
  for (const m of all) {
    out.push(`ip netns add ${m.name}`, `ip -n ${m.name} link set lo up`);
    plug(m.name, 'eth0', m.addresses[0]!, m.name);
    for (const a of m.addresses.slice(1)) out.push(`ip -n ${m.name} addr add ${a} dev eth0`);
  }
  if (nets.length > 1) {
    out.push('ip netns add gw', 'ip -n gw link set lo up', 'ip netns exec gw sysctl -q -w net.ipv4.ip_forward=1');
    nets.forEach((net, i) => plug('gw', `eth${i}`, gwOf(net), `gw${i}`));
    for (const m of all)
      out.push(`ip -n ${m.name} route add default via ${gwOf(netOf(m.addresses[0]!)).split('/')[0]}`);
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

function containers(p: Pod, warnings: string[]): string[] {
  const netns = podNetns(p, p.spec.nodeName);
  const own = p.metadata.annotations['podwire.dev/run'];
  if (own !== undefined) return prefixLines(own, `ip netns exec ${netns} `).split('\n').filter((l) => l.trim() !== '').map((l) => `${l.replace(/\s*&\s*$/, '')} &`); // prettier-ignore
  const out: string[] = [];
  for (const c of p.spec.containers) {
    if (/coredns\/coredns(:|$)/.test(c.image)) {
      out.push(
        `ip netns exec ${netns} podwire app coredns --manifests /etc/podwire/objects.yaml --corefile /etc/podwire/Corefile &`,
      );
    } else if (!CLIENTS.test(c.image)) {
      const w = `image "${c.image}" serves nothing (podwire does not know it, or its protocol is not supported yet)`;
      if (!warnings.includes(w)) warnings.push(w);
    }
  }
  return out;
}

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
      metadata: meta(e.metadata, e.metadata.labels),
      addressType: e.addressType,
      endpoints: e.endpoints.map((x) => ({
        addresses: x.addresses,
        conditions: { ready: x.conditions.ready },
        ...(x.hostname === '' ? {} : { hostname: x.hostname }),
      })),
      ports: e.ports.map((x) => ({ ...(x.name === '' ? {} : { name: x.name }), protocol: x.protocol, port: x.port })),
    });
  }
  return docs
    .map((d) => stringify(d, { lineWidth: 0 }).trimEnd())
    .join('\n---\n')
    .split('\n');
}
