import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { batched } from './commands.js';
import { hash16 } from './hash.js';
import { documents } from '../api/at.js';
import { type KubeProxyConfig, KubeProxy, parseKubeProxyConfig } from './index.js';
import type { EndpointSlice, Service } from '../api/types.js';

const config = (yaml: string): KubeProxyConfig => parseKubeProxyConfig(documents(yaml, 'x.yaml')[0] ?? null);
const metadata = {
  name: 'web',
  namespace: 'default',
  uid: '',
  labels: {},
  annotations: {},
  creationTimestamp: '',
  ownerReferences: [],
};
const service = (spec: Partial<Service['spec']> = {}): Service => ({
  kind: 'Service',
  metadata,
  spec: {
    type: 'NodePort',
    clusterIP: '10.96.0.20',
    clusterIPs: ['10.96.0.20'],
    externalIPs: [],
    externalName: '',
    ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 }],
    selector: {},
    sessionAffinity: 'None',
    sessionAffinityTimeoutSeconds: 10800,
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    loadBalancerSourceRanges: [],
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
    ...spec,
  },
  status: { loadBalancer: { ingress: [] } },
});
const slice = (...ips: string[]): EndpointSlice => ({
  kind: 'EndpointSlice',
  metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
  endpoints: ips.map((ip) => ({
    addresses: [ip],
    conditions: { ready: true, serving: true, terminating: false },
    hostname: '',
    nodeName: 'node2',
    zone: '',
    hints: { forZones: [], forNodes: [] },
    targetRef: null,
  })),
});
const setup = (s: Service, e: EndpointSlice[], mode = 'iptables'): string =>
  new KubeProxy(config(`mode: ${mode}`), '10.244.0.0/16')
    .start({
      node: { name: 'node1', addresses: ['192.168.56.11'], podCIDR: '10.244.1.0/24', zone: '' },
      services: [s],
      slices: e,
    })
    .map((l) => `${l}\n`)
    .join('');

const T = suite('lib/kube/kube-proxy');
T('hash16() reproduces upstream chain names', () => {
  assert.is(hash16('default/kubernetes:httpstcp'), 'NPX46M4PTMTKRN6Y');
  assert.is(hash16('ns1/svc1:p80tcp10.180.0.1:80'), 'SXIVWICOYRO3J4NJ');
  assert.is(hash16('ns4/svc4:p8082tcp'), 'EBDQOQU5SJFXRIL3');
});
T('start() sorts endpoints by bytes and splits them evenly', () => {
  const text = setup(service(), [slice('10.244.1.5', '10.244.1.12', '10.244.2.7')]);
  assert.match(text, /1\.12:8080" -m statistic --mode random --probability 0\.3333333333 -j KUBE-SEP-BQ6CYJXGREWSNKJL/);
  assert.match(text, /KUBE-EXT-CDGGSHYLG3RE2FKL - \[0:0\]\n:KUBE-SVC-CDGGSHYLG3RE2FKL/);
});
T('start() rejects without endpoints, drops without local ones', () => {
  assert.match(setup(service(), []), /has no endpoints" -m tcp -p tcp -d 10\.96\.0\.20 --dport 80 -j REJECT/);
  const local = setup(service({ externalTrafficPolicy: 'Local' }), [slice('10.244.1.5')]);
  assert.match(local, /has no local endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 30080 -j DROP/);
});
T('start() in IPVS mode lists servers per address', () => {
  const text = setup(service({ sessionAffinity: 'ClientIP' }), [slice('10.244.1.5')], 'ipvs');
  assert.match(
    text,
    /ipvsadm -A -t 192\.168\.56\.11:30080 -s rr -p 10800\n.*ipvsadm -a -t 192\.168\.56\.11:30080 -r 10\.244/,
  );
});
T('batched() puts what one program reads into one process, addresses first, and leaves the rest in its order', () => {
  const lines = ['ip link add k type dummy', 'ipset create A hash:ip -exist', 'ipvsadm -A -t 1.1.1.1:80 -s rr', 'ip addr add 1.1.1.1/32 dev k', 'ipvsadm -a -t 1.1.1.1:80 -r 2.2.2.2:80 -m -w 1', 'ipset add A 1.1.1.1 -exist', 'ipset del A 1.1.1.1', 'ipset add A 1.1.1.2 -exist']; // prettier-ignore
  assert.equal(batched(lines), [
    'ip link add k type dummy',
    'ip addr add 1.1.1.1/32 dev k',
    "ipset restore <<'EOF'\ncreate A hash:ip -exist\nEOF",
    "ipvsadm -R <<'EOF'\n-A -t 1.1.1.1:80 -s rr\n-a -t 1.1.1.1:80 -r 2.2.2.2:80 -m -w 1\nEOF",
    "ipset restore <<'EOF'\nadd A 1.1.1.1 -exist\nEOF",
    'ipset del A 1.1.1.1',
    "ipset restore <<'EOF'\nadd A 1.1.1.2 -exist\nEOF",
  ]);
});
T.run();
