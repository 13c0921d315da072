/**
 * A cluster among many Services: what kube-proxy writes when so many more of them appear, each with ten endpoints, executed on
 * both nodes of a cluster that is set up. Their names come before the one that the bench talks to.
 * @module
 */
import { reconcile } from '../../kube/controllers.js';
import type { EndpointSlice, Service } from '../../kube/api/types.js';
import { KubeProxy } from '../../kube/kube-proxy/index.js';
import { parseScenario } from '../../kube/scenario.js';
import type { Kernel } from '../../linux/core/kernel.js';
import { commands } from '../../shell/registry.js';
import { parseScript } from '../../shell/script.js';
import { type ClusterOptions, scenarioText } from './topology.js';

const ENDPOINTS = 10;

const dotted = (base: number, n: number): string => `${base + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;

/** The `i`-th Service and its endpoints, made like ones that the controllers have made. */
function another(i: number, service: Service, slice: EndpointSlice): { service: Service; slice: EndpointSlice } {
  const name = `a${String(i).padStart(6, '0')}`;
  const clusterIP = `10.${dotted(97, i)}`;
  const endpoint = slice.endpoints[0]!;
  return {
    service: { ...service, metadata: { ...service.metadata, name }, spec: { ...service.spec, clusterIP, clusterIPs: [clusterIP], ports: [service.spec.ports[0]!] } },
    slice: {
      ...slice,
      metadata: { ...slice.metadata, name: `${name}-x`, labels: { ...slice.metadata.labels, 'kubernetes.io/service-name': name } },
      ports: [slice.ports[0]!],
      endpoints: Array.from({ length: ENDPOINTS }, (_, k) => ({ ...endpoint, addresses: [`10.${dotted(128, i * ENDPOINTS + k)}`], targetRef: null })),
    },
  };
} // prettier-ignore

/** Gives both nodes `count` Services more. */
export function addServices(kernel: Kernel, o: ClusterOptions, count: number): void {
  const cluster = reconcile(
    parseScenario(
      scenarioText(o),
      'bench',
      () => '',
      () => [],
    ),
  );
  const s = cluster.scenario;
  const service = cluster.services.find((x) => x.metadata.name === 'svc')!;
  const slice = cluster.slices.find((x) => x.metadata.labels['kubernetes.io/service-name'] === 'svc')!;
  const more = Array.from({ length: count }, (_, i) => another(i, service, slice));
  const services = [...cluster.services, ...more.map((x) => x.service)];
  const slices = [...cluster.slices, ...more.map((x) => x.slice)];
  for (const n of s.nodes) {
    const node = { name: n.name, addresses: [n.addresses[0]!.split('/')[0]!], podCIDR: n.podCIDR, zone: '' };
    const proxy = new KubeProxy(s.kubeProxy, s.podSubnet);
    proxy.start({ node, services: cluster.services, slices: cluster.slices });
    for (const line of proxy.sync({ node, services, slices }, 1e9, () => 0)) execute(kernel, n.name, line);
  }
}

function execute(kernel: Kernel, netns: string, line: string): void {
  for (const c of parseScript(line, 'kube-proxy')) {
    const run = commands[c.argv[0]!];
    if (run === undefined) throw new Error(`BUG: bench: "${c.text.slice(0, 80)}": no such command`);
    const r = run(kernel, kernel.netns.get(netns)!, [...c.argv], c.stdin ?? '');
    // conntrack -D exits with 1 where there is nothing to delete.
    if (r.exit !== 0 && c.argv[0] !== 'conntrack') throw new Error(`BUG: bench: "${c.text.slice(0, 80)}": ${r.err}`);
  }
  kernel.sim.drain();
}
