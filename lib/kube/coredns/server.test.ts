import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CoreDns } from './server.js';
import type { KubeObject } from '../api/types.js';

const X = suite('lib/kube/coredns/server');
X('CoreDns.handle() answers a cluster IP without compression', () => {
  const metadata = {
    name: 'kubernetes',
    namespace: 'default',
    uid: '',
    labels: {},
    annotations: {},
    creationTimestamp: '2024-01-01T00:00:00Z',
    ownerReferences: [],
  };
  const svc = {
    kind: 'Service',
    metadata,
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.1',
      clusterIPs: ['10.96.0.1'],
      ports: [{ name: 'https', protocol: 'TCP', port: 443 }],
    },
  } as unknown as KubeObject;
  const dns = new CoreDns({ corefile: null, objects: [svc], serial: 0, resolvConf: null, random: () => 1 });
  const name = '0a6b756265726e657465730764656661756c740373766307636c7573746572056c6f63616c00';
  const r = dns.handle(Buffer.from(`108a01000001000000000000${name}00010001`, 'hex'), 'udp', false);
  assert.is(
    Buffer.from(r as Uint8Array).toString('hex'),
    `108a85000001000100000000${name}00010001${name}000100010000001e00040a600001`,
  );
});
X.run();
