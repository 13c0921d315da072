/**
 * `spec.ingressControllers` of a Scenario: which controllers a cluster has, and the objects that installing each one's chart makes.
 *
 * The charts are those of helm with their defaults, as far as frames depend on them: the Deployment, its Services, the IngressClass.
 * @module
 */
import type { At } from '../api/at.js';
import { loadManifests } from '../api/manifest.js';
import { address, dnsLabel } from '../api/names.js';
import { failAt } from '../api/meta.js';
import type { KubeObject } from '../api/types.js';
import { type Chart, CHARTS } from './charts.js';

export interface IngressController {
  /** A key of CHARTS. */
  name: string;
  /** The name of its IngressClass. */
  class: string;
  replicas: number;
  service: {
    type: 'LoadBalancer' | 'NodePort' | 'ClusterIP';
    externalTrafficPolicy: 'Cluster' | 'Local';
    /** What a cloud has given the Service, '' for nothing. */
    loadBalancerIP: string;
  };
  /** It expects a PROXY header on every connection. */
  proxyProtocol: boolean;
  /** The node that its pods are bound to, '' for the scheduler's choice. */
  node: string;
  /** The machine outside of the cluster that it is, '' for pods. */
  host: string;
  /** The group of Ingresses that a load balancer stands for, '' where there is only one. */
  group: string;
  place: At;
}

/** Reads the field. Throws InputError with a place. */
export function parseIngressControllers(
  at: At | null,
  nodes: readonly string[],
  hosts: readonly string[],
): IngressController[] {
  // prettier-ignore
  const out = (at?.list() ?? []).map((x) => (CHARTS[x.req('name').oneOf(...Object.keys(CHARTS))]!.namespace === '' ? balancer(x, hosts) : controller(x, nodes))); // prettier-ignore
  out.forEach((c, i) => {
    if (out.slice(0, i).some((b) => b.name === c.name))
      c.place.req('name').fail(`found "${c.name}" again, expected each controller once`);
  });
  return out;
}

/** An Application Load Balancer: one of the hosts. Its controller in the cluster sends no frames here. */
function balancer(at: At, hosts: readonly string[]): IngressController {
  at.only('name', 'class', 'host', 'group');
  const name = at.req('name').str();
  const host = at.req('host').str();
  if (!hosts.includes(host)) at.req('host').fail(`found "${host}", expected one of the hosts: ${hosts.join(', ')}`);
  const classAt = at.opt('class');
  return {
    name,
    class: classAt === null ? CHARTS[name]!.class : dnsLabel(classAt),
    replicas: 0,
    service: { type: 'ClusterIP', externalTrafficPolicy: 'Cluster', loadBalancerIP: '' },
    proxyProtocol: false,
    node: '',
    host,
    group: at.opt('group')?.str() ?? '',
    place: at,
  };
}

function controller(at: At, nodes: readonly string[]): IngressController {
  const istio = at.req('name').str() === 'istio';
  at.only('name', ...(istio ? [] : ['class', 'proxyProtocol']), 'replicas', 'service', 'node');
  const name = at.req('name').oneOf(...Object.keys(CHARTS));
  const chart = CHARTS[name]!;
  const s = at.opt('service')?.only('type', 'externalTrafficPolicy', 'loadBalancerIP') ?? null;
  const classAt = at.opt('class');
  const ip = s?.opt('loadBalancerIP') ?? null;
  const node = at.opt('node')?.str() ?? '';
  if (node !== '' && !nodes.includes(node)) at.req('node').fail(`found "${node}", expected one of: ${nodes.join(', ')}`);
  const type = s?.opt('type')?.oneOf('LoadBalancer', 'NodePort', 'ClusterIP') ?? 'LoadBalancer';
  if (ip !== null && type !== 'LoadBalancer') ip.fail('found an address, expected none: the type is not LoadBalancer');
  const policy = s?.opt('externalTrafficPolicy')?.oneOf('Cluster', 'Local') ?? 'Cluster';
  if (policy === 'Local' && type === 'ClusterIP') s!.req('externalTrafficPolicy').fail('found Local, expected it with LoadBalancer or NodePort only');
  return {
    name,
    class: classAt === null ? chart.class : dnsLabel(classAt),
    replicas: at.opt('replicas')?.int(0, 100) ?? 1,
    service: { type, externalTrafficPolicy: policy, loadBalancerIP: ip === null ? '' : address(ip) },
    proxyProtocol: at.opt('proxyProtocol')?.bool() ?? false,
    node,
    host: '',
    group: '',
    place: at,
  };
} // prettier-ignore

/** The objects of the installed charts; a Namespace that the Scenario writes itself is not made again. Throws InputError. */
export function ingressObjects(s: { file: string; objects: readonly KubeObject[]; ingressControllers: readonly IngressController[] }): KubeObject[] {
  const key = (o: KubeObject): string => `${o.kind}/${o.metadata.namespace}/${o.metadata.name}`;
  const there = new Map(s.objects.map((o) => [key(o), o]));
  return s.ingressControllers.flatMap((c) => {
    const chart: Chart = CHARTS[c.name]!;
    return loadManifests(chart.manifests(c), `the chart of ${c.name}`).filter((o) => {
      const own = there.get(key(o));
      if (own === undefined) return true;
      if (o.kind !== 'Namespace') failAt(s.file, own, 'metadata.name', `duplicate name: "${o.metadata.name}" is made by spec.ingressControllers`); // prettier-ignore
      return false;
    });
  });
} // prettier-ignore

/** The controller that a Scenario has installed into a namespace, or null. */
export const installedIn = (list: readonly IngressController[], namespace: string): IngressController | null =>
  list.find((c) => CHARTS[c.name]!.namespace === namespace) ?? null;
