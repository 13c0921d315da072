/**
 * `kubectl describe service`.
 * @module
 */
import type { Service } from '../api/types.js';
import type { Cluster } from '../controllers.js';
import { labelText } from './resources.js';

type Line = [key: string, value: string];

/** Values of several lines go on under the first, behind an empty key. */
function lines(key: string, values: string[]): Line[] {
  return values.length === 0 ? [[key, '<none>']] : values.map((v, i) => [i === 0 ? key : '', v]);
}

const MAX_LINE = 140;
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** printAnnotationsMultiline: short ones as `key: value`, long or broken ones under their key, cut at 140 characters. */
function annotations(all: Record<string, string>): string[] {
  const keys = Object.keys(all).filter((k) => k !== LAST_APPLIED).sort(); // prettier-ignore
  return keys.flatMap((k) => {
    const v = all[k]!.replace(/\n$/, '');
    if (k.length + v.length + 2 < MAX_LINE && !v.includes('\n')) return [`${k}: ${v}`];
    const cut = (s: string): string => (s.length > MAX_LINE - 2 ? `${s.slice(0, MAX_LINE - 2)}...` : s);
    return [`${k}:`, ...v.split('\n').map((s) => `  ${cut(s)}`)];
  });
}

/** formatEndpointSlices: the ready endpoints of one port, the first three. */
function endpoints(s: Service, c: Cluster, port: string): string {
  const slices = c.slices.filter(
    (e) =>
      e.metadata.namespace === s.metadata.namespace &&
      e.metadata.labels['kubernetes.io/service-name'] === s.metadata.name,
  );
  if (slices.length === 0) return '<none>';
  const list = slices.flatMap((e) =>
    e.ports
      .filter((p) => p.name === port)
      .flatMap((p) => e.endpoints.filter((x) => x.conditions.ready).map((x) => `${x.addresses[0]}:${p.port}`)),
  );
  return list.length > 3 ? `${list.slice(0, 3).join(',')} + ${list.length - 3} more...` : list.join(',');
}

function ports(s: Service, c: Cluster): Line[] {
  return s.spec.ports.flatMap((p) => {
    const name = p.name === '' ? '<unset>' : p.name;
    const out: Line[] = [
      ['Port', `${name}  ${p.port}/${p.protocol}`],
      ['TargetPort', `${p.targetPort}/${p.protocol}`],
    ];
    if (p.nodePort > 0) out.push(['NodePort', `${name}  ${p.nodePort}/${p.protocol}`]);
    out.push(['Endpoints', endpoints(s, c, p.name)]);
    return out;
  });
}

/** What `kubectl describe svc` prints for one Service. */
export function describeService(s: Service, c: Cluster): string {
  const { metadata: m, spec } = s;
  const named = spec.type === 'ExternalName';
  const labels = Object.keys(m.labels).sort().map((k) => `${k}=${m.labels[k]}`); // prettier-ignore
  const rows: Line[] = [
    ['Name', m.name],
    ['Namespace', m.namespace],
    ...lines('Labels', labels),
    ...lines('Annotations', annotations(m.annotations)),
    ['Selector', labelText(spec.selector)],
    ['Type', spec.type],
    ...(named ? [] : [['IP Family Policy', spec.ipFamilyPolicy ?? 'SingleStack'] as Line]),
    ['IP Families', named ? '<none>' : 'IPv4'],
    ['IP', spec.clusterIP],
    ['IPs', spec.clusterIPs.join(',') || '<none>'],
  ];
  if (spec.externalIPs.length > 0) rows.push(['External IPs', spec.externalIPs.join(',')]);
  if (named) rows.push(['External Name', spec.externalName]);
  const ingress = s.status.loadBalancer.ingress.map((i) => `${i.ip} (${i.ipMode})`);
  if (ingress.length > 0) rows.push(['LoadBalancer Ingress', ingress.join(', ')]);
  rows.push(...ports(s, c), ['Session Affinity', spec.sessionAffinity]);
  const external = spec.type === 'NodePort' || spec.type === 'LoadBalancer' || (!named && spec.externalIPs.length > 0);
  if (external) rows.push(['External Traffic Policy', spec.externalTrafficPolicy]);
  if (!named) rows.push(['Internal Traffic Policy', spec.internalTrafficPolicy]);
  if (spec.healthCheckNodePort > 0) rows.push(['HealthCheck NodePort', String(spec.healthCheckNodePort)]);
  if (spec.loadBalancerSourceRanges.length > 0)
    rows.push(['LoadBalancer Source Ranges', spec.loadBalancerSourceRanges.join(',')]);
  rows.push(['Events', '<none>']);
  const width = Math.max(...rows.map(([k]) => k.length + 1)) + 2;
  return rows.map(([k, v]) => `${(k === '' ? '' : `${k}:`).padEnd(width)}${v}\n`).join('');
}
