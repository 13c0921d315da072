/**
 * The Service `kubernetes`, its EndpointSlice and its Endpoints, as the API server keeps them for itself
 * (pkg/controlplane/controller/kubernetesservice, reconcilers): port 443 of the first address of the service subnet, 6443 of the node.
 * @module
 */
import { aton, ntoa } from '../../../wire/inet.js';
import { failAt } from '../api/meta.js';
import type { KubeObject } from '../api/types.js';
import type { Scenario } from '../scenario.js';
import { derivedMeta } from './names.js';

/** The port that kubeadm's API server listens on. */
const PORT = 6443;

/** None without `spec.apiServer`: podwire runs no API server. Throws InputError when the scenario writes one of them itself. */
export function apiServerObjects(s: Scenario): KubeObject[] {
  if (s.apiServer === null) return [];
  for (const o of s.objects) {
    const own = o.metadata.name === 'kubernetes' && o.metadata.namespace === 'default';
    if (own && ['Service', 'Endpoints', 'EndpointSlice'].includes(o.kind))
      failAt(s.file, o, 'metadata.name', 'duplicate name: "kubernetes" is made by spec.apiServer');
  }
  const node = s.nodes.find((n) => n.name === s.apiServer)!;
  const address = node.addresses[0]!.split('/')[0]!;
  const ip = ntoa(aton(s.serviceSubnet.split('/')[0]!)! + 1);
  const port = { name: 'https', protocol: 'TCP' as const, port: PORT };
  const meta = (labels: Record<string, string>) => derivedMeta('kubernetes', 'default', labels);
  return [
    {
      kind: 'Service',
      metadata: meta({ component: 'apiserver', provider: 'kubernetes' }),
      spec: {
        type: 'ClusterIP', clusterIP: ip, clusterIPs: [ip], externalIPs: [], externalName: '', selector: {}, sessionAffinity: 'None',
        sessionAffinityTimeoutSeconds: 10800, externalTrafficPolicy: 'Cluster', internalTrafficPolicy: 'Cluster', loadBalancerSourceRanges: [],
        healthCheckNodePort: 0, publishNotReadyAddresses: false, ports: [{ ...port, port: 443, targetPort: PORT, nodePort: 0 }],
      },
      status: { loadBalancer: { ingress: [] } },
    },
    {
      kind: 'EndpointSlice',
      metadata: meta({ 'kubernetes.io/service-name': 'kubernetes' }),
      addressType: 'IPv4',
      endpoints: [
        {
          addresses: [address], conditions: { ready: true, serving: true, terminating: false }, hostname: '', nodeName: '', zone: '',
          hints: { forZones: [], forNodes: [] }, targetRef: null,
        },
      ],
      ports: [port],
    },
    {
      kind: 'Endpoints',
      metadata: meta({ 'endpointslice.kubernetes.io/skip-mirror': 'true' }),
      subsets: [{ addresses: [{ ip: address, hostname: '', nodeName: '', targetRef: null }], notReadyAddresses: [], ports: [port] }],
    },
  ]; // prettier-ignore
}
