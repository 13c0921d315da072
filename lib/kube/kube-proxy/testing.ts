/** What the tests of this folder share: manifests in, kube-proxy's commands or rules out. @module */
import { documents } from '../api/at.js';
import { loadManifests } from '../api/manifest.js';
import type { EndpointSlice, Service } from '../api/types.js';
import { KubeProxy, parseKubeProxyConfig } from './index.js';

export interface Cluster {
  /** KubeProxyConfiguration as YAML. */
  config?: string;
  clusterCIDR?: string;
  addresses?: string[];
  zone?: string;
}

/** The command lines of kube-proxy on node1 for Services and EndpointSlices given as YAML. */
export function commandsOf(manifests: string, c: Cluster = {}): string {
  const objects = loadManifests(manifests, 'objects.yaml');
  const proxy = new KubeProxy(
    parseKubeProxyConfig(documents(c.config ?? '', 'config.yaml')[0] ?? null),
    c.clusterCIDR ?? '10.0.0.0/8',
  );
  const world = {
    node: { name: 'node1', addresses: c.addresses ?? ['192.168.0.2'], podCIDR: '10.0.1.0/24', zone: c.zone ?? '' },
    services: objects.filter((o): o is Service => o.kind === 'Service'),
    slices: objects.filter((o): o is EndpointSlice => o.kind === 'EndpointSlice'),
  };
  return proxy
    .sync(world, 0, () => 0)
    .map((line) => `ip netns exec node1 ${line}\n`)
    .join('');
}

/** The text iptables-restore reads. */
export function restoreInput(manifests: string, c: Cluster = {}): string {
  return /<<'EOF'\n([^]*?)EOF\n/.exec(commandsOf(manifests, c))![1]!;
}

/** Chain lines and rules of each table sorted by chain, the order inside a chain kept: order of chains does not matter. */
export function sorted(text: string): string {
  const out: string[] = [];
  for (const table of text.split(/(?<=^COMMIT\n)/m)) {
    const lines = table.trim().split('\n').map((l) => l.trim()); // prettier-ignore
    const key = (l: string): string => l.split(' ')[1]!;
    out.push(lines[0]!);
    out.push(...lines.filter((l) => l.startsWith(':')).sort());
    const rules = lines.filter((l) => l.startsWith('-A'));
    for (const chain of [...new Set(rules.map(key))].sort()) out.push(...rules.filter((r) => key(r) === chain));
    out.push('COMMIT');
  }
  return out.join('\n');
}
