/**
 * /etc/resolv.conf of pods as kubelet makes it of the pod's dnsPolicy and dnsConfig and of the node's own file
 * (pkg/kubelet/network/dns/dns.go), and which C library reads it.
 * @module
 */
import type { Pod } from './api/types.js';

/** What a resolv.conf says, as kubelet reads and writes it. */
export interface PodDns {
  servers: string[];
  searches: string[];
  /** `ndots:5`, in order. */
  options: string[];
}
const MAX_SERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARACTERS = 2048;

/** The node's resolv.conf: the last `search` counts, every nameserver and option. */
export function parseNodeResolvConf(text: string): PodDns {
  const c: PodDns = { servers: [], searches: [], options: [] };
  for (const line of text.split('\n')) {
    const [key, ...args] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (key === 'nameserver' && args[0] !== undefined) c.servers.push(args[0]);
    else if (key === 'search') c.searches = args.map((x) => (x === '.' ? x : x.replace(/\.$/, '')));
    else if (key === 'options') c.options = args;
  }
  return c;
}

/** The pod's nameservers, search list and options. `dnsIP`: the cluster's DNS Service; null: none, as with policy Default. */
export function podDns(p: Pod, node: PodDns, dnsIP: string | null, domain: string): PodDns {
  const { dnsPolicy, dnsConfig, hostNetwork } = p.spec;
  const cluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork);
  let c: PodDns = dnsPolicy === 'None' ? { servers: [], searches: [], options: [] } : node;
  if (cluster && dnsIP !== null) {
    const { namespace } = p.metadata;
    const searches = [`${namespace}.svc.${domain}`, `svc.${domain}`, domain, ...node.searches];
    c = { servers: [dnsIP], searches: unique(searches), options: ['ndots:5'] };
  }
  return limited({
    servers: unique([...c.servers, ...dnsConfig.nameservers]),
    searches: unique([...c.searches, ...dnsConfig.searches]),
    options: merged(c.options, dnsConfig.options),
  });
}

const unique = (list: string[]): string[] => [...new Set(list)];

/** The pod's own options win; real kubelets write them in random order, here the older ones come first. */
function merged(old: string[], own: Pod['spec']['dnsConfig']['options']): string[] {
  const all = new Map<string, string>();
  for (const o of old) all.set(o.split(':')[0]!, o.split(':').slice(1).join(':'));
  for (const o of own) all.set(o.name, o.value ?? '');
  return [...all].map(([k, v]) => (v === '' ? k : `${k}:${v}`));
}

/** At most 3 servers and 32 search paths of 2048 characters in all; the rest is left out. */
function limited(c: PodDns): PodDns {
  const searches = c.searches.slice(0, MAX_SEARCHES);
  while (searches.join(' ').length > MAX_SEARCH_CHARACTERS) searches.pop();
  return { ...c, servers: c.servers.slice(0, MAX_SERVERS), searches };
}

/** The file as containerd writes it: only parts that are not empty. */
export function resolvConfText(c: PodDns): string[] {
  return [
    ...(c.searches.length > 0 ? [`search ${c.searches.join(' ')}`] : []),
    ...c.servers.map((x) => `nameserver ${x}`),
    ...(c.options.length > 0 ? [`options ${c.options.join(' ')}`] : []),
  ];
}

/** Images whose C library is musl. */
const MUSL = /^(docker\.io\/(library\/)?)?(alpine([:@]|$)|busybox:([\w.-]+-)?musl(@|$))|-alpine[\d.]*(@|$)/;

/** Lab lines for a pod in its own namespace: its resolver's files. Nothing where the node's own would do and is not given. */
export function podResolver(
  p: Pod,
  netns: string,
  node: string | null,
  dnsIP: string | null,
  domain: string,
): string[] {
  if (p.spec.hostNetwork) return [];
  const dir = `/etc/netns/${netns}`;
  const c = podDns(p, parseNodeResolvConf(node ?? ''), dnsIP, domain);
  const known = c.servers.length > 0;
  const musl = p.spec.containers.some((x) => MUSL.test(x.image));
  return [
    ...(known || musl ? [`mkdir -p ${dir}`] : []),
    ...(musl ? [`cat > ${dir}/ld-musl-x86_64.path <<'EOF'`, 'EOF'] : []),
    ...(known ? [`cat > ${dir}/resolv.conf <<'EOF'`, ...resolvConfText(c), 'EOF'] : []),
  ];
}

/** Lab lines for a machine with a resolv.conf of its own. */
export function machineResolver(name: string, text: string | null): string[] {
  if (text === null) return [];
  const lines = text.replace(/\n+$/, '').split('\n');
  return [`mkdir -p /etc/netns/${name}`, `cat > /etc/netns/${name}/resolv.conf <<'EOF'`, ...lines, 'EOF'];
}
