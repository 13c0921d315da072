/**
 * What is fine, and yet seldom meant: said on stderr, once each.
 * @module
 */
import { mapSelector, selects } from '../api/selector.js';
import type { EndpointSlice, KubeObject, Pod, Service } from '../api/types.js';
import type { CniConfig } from '../cni/config.js';
import { hostPorts } from '../cni/sandbox.js';
import { findPort, podsBehind } from './endpoint-slices.js';

const text = (selector: Record<string, string>): string =>
  Object.entries(selector).map(([k, v]) => `${k}=${v}`).join(','); // prettier-ignore

/** Selectors that choose no pod, targetPorts that none of the chosen has; policies that nobody enforces; hostPorts without their plugin; init containers, whose programs do not run. */
export function said(
  objects: KubeObject[],
  services: Service[],
  slices: EndpointSlice[],
  pods: Pod[],
  cni: CniConfig,
): string[] {
  const out: string[] = [];
  // Pods are looked through for the few Services without endpoints only.
  const served = new Set<string>();
  for (const e of slices)
    if (e.endpoints.length > 0)
      served.add(`${e.metadata.namespace}/${e.metadata.labels['kubernetes.io/service-name']}`);
  for (const { metadata, spec } of services) {
    if (Object.keys(spec.selector).length === 0 || spec.type === 'ExternalName') continue;
    if (served.has(`${metadata.namespace}/${metadata.name}`)) continue;
    const wanted = mapSelector(spec.selector);
    if (!pods.some((p) => p.metadata.namespace === metadata.namespace && selects(wanted, p.metadata.labels)))
      out.push(`Service "${metadata.name}": its selector ${text(spec.selector)} chooses no pod of namespace ${metadata.namespace}`); // prettier-ignore
  }
  for (const s of services) out.push(...portsOfNoPod(s, pods));
  for (const o of objects)
    if (o.kind === 'NetworkPolicy' && cni.plugin !== 'calico')
      out.push(`NetworkPolicy "${o.metadata.name}" has no effect: the CNI plugin ${cni.plugin} enforces none`);
  for (const p of cni.portMappings ? [] : pods)
    if (hostPorts(p).length > 0)
      out.push(`Pod "${p.metadata.name}": hostPort has no effect, cni.portMappings is false (no plugin portmap)`);
  const init = new Set(pods.flatMap((p) => p.spec.initContainers ?? []));
  if (init.size > 0)
    out.push(`init containers (${[...init].join(', ')}): their programs are not run, they have ended before the start`);
  return out;
}

/** Target ports by a name that no container behind the Service gives to a port of that protocol. */
function portsOfNoPod(s: Service, pods: Pod[]): string[] {
  const named = s.spec.ports.filter((p) => typeof p.targetPort === 'string');
  if (named.length === 0 || s.spec.type === 'ExternalName' || Object.keys(s.spec.selector).length === 0) return [];
  const behind = podsBehind(s, pods);
  return named
    .filter((p) => behind.length > 0 && behind.every((pod) => findPort(pod, p.targetPort, p.protocol) === null))
    .map((p) => `Service "${s.metadata.name}": its targetPort ${p.targetPort} names no ${p.protocol} port of its pods`);
}
