/**
 * kubeadm's CoreDNS add-on: Deployment coredns, and Service kube-dns at the tenth address of the service subnet; with NodeLocal
 * DNSCache also the Service kube-dns-upstream, by which the caches reach CoreDNS.
 * @module
 */
import { aton, ntoa } from '../../../wire/inet.js';
import { failAt } from '../api/meta.js';
import type { KubeObject, Service } from '../api/types.js';
import type { Scenario } from '../scenario.js';
import { derivedMeta } from './names.js';

const CLUSTER = { 'kubernetes.io/cluster-service': 'true' };
const UPSTREAM = {
  ...CLUSTER,
  'addonmanager.kubernetes.io/mode': 'Reconcile',
  'kubernetes.io/name': 'KubeDNSUpstream',
};
const SERVICES = ['kube-dns', 'kube-dns-upstream'];

/** The objects of the add-on; none when the scenario has no `coredns`. Throws InputError when it writes them itself. */
export function corednsObjects(s: Scenario): KubeObject[] {
  if (s.coredns === null) return [];
  for (const o of s.objects) {
    const { name, namespace } = o.metadata;
    if (namespace !== 'kube-system') continue;
    if ((o.kind === 'Deployment' && name === 'coredns') || (o.kind === 'Service' && SERVICES.includes(name)))
      failAt(s.file, o, 'metadata.name', `duplicate name: "${name}" is made by spec.coredns`);
  }
  const labels = { 'k8s-app': 'kube-dns' };
  const ip = ntoa(aton(s.serviceSubnet.split('/')[0]!)! + 10);
  const port = (name: string, protocol: 'UDP' | 'TCP', n: number) => ({
    name,
    protocol,
    port: n,
    targetPort: n,
    nodePort: 0,
  });
  const dns = [port('dns', 'UDP', 53), port('dns-tcp', 'TCP', 53)];
  return [
    {
      kind: 'Deployment',
      metadata: derivedMeta('coredns', 'kube-system', labels),
      spec: {
        replicas: s.coredns.replicas,
        strategy: { type: 'RollingUpdate', maxSurge: '25%', maxUnavailable: 1 },
        minReadySeconds: 0,
        revisionHistoryLimit: 10,
        selector: { matchLabels: labels, matchExpressions: [] },
        template: {
          metadata: { labels, annotations: {} },
          spec: {
            nodeName: '', hostname: '', subdomain: '', hostNetwork: false, dnsPolicy: 'Default', nodeAffinity: null,
            nodeSelector: { 'kubernetes.io/os': 'linux' },
            tolerations: [
              { key: 'CriticalAddonsOnly', operator: 'Exists', value: '', effect: '' },
              { key: 'node-role.kubernetes.io/control-plane', operator: 'Equal', value: '', effect: 'NoSchedule' },
            ],
            dnsConfig: { nameservers: [], searches: [], options: [] },
            containers: [
              {
                name: 'coredns', image: 'registry.k8s.io/coredns/coredns:v1.12.1', command: [], args: [], env: [],
                ports: [
                  { name: 'dns', containerPort: 53, hostPort: 0, hostIP: '', protocol: 'UDP' },
                  { name: 'dns-tcp', containerPort: 53, hostPort: 0, hostIP: '', protocol: 'TCP' },
                  { name: 'metrics', containerPort: 9153, hostPort: 0, hostIP: '', protocol: 'TCP' },
                ],
              },
            ],
          },
        },
      },
    },
    service('kube-dns', { ...labels, ...CLUSTER, 'kubernetes.io/name': 'CoreDNS' }, ip, labels, [...dns, port('metrics', 'TCP', 9153)]),
    ...(s.coredns.nodeLocal ? [service('kube-dns-upstream', { ...labels, ...UPSTREAM }, '', labels, dns)] : []),
  ]; // prettier-ignore
}

/** A ClusterIP Service over CoreDNS's pods. */
function service(
  name: string,
  labels: Record<string, string>,
  ip: string,
  selector: Record<string, string>,
  ports: Service['spec']['ports'],
): Service {
  return {
    kind: 'Service',
    metadata: derivedMeta(name, 'kube-system', labels),
    spec: {
      type: 'ClusterIP', clusterIP: ip, clusterIPs: ip === '' ? [] : [ip], externalIPs: [], externalName: '', selector, sessionAffinity: 'None',
      sessionAffinityTimeoutSeconds: 10800, externalTrafficPolicy: 'Cluster', internalTrafficPolicy: 'Cluster', loadBalancerSourceRanges: [],
      healthCheckNodePort: 0, publishNotReadyAddresses: false, ports,
    },
    status: { loadBalancer: { ingress: [] } },
  }; // prettier-ignore
}
