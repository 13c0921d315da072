import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadManifests } from './api/manifest.js';
import type { Pod } from './api/types.js';
import { parseNodeResolvConf, podDns, podResolver, resolvConfText } from './pod-resolver.js';

const NODE = '# the node\nsearch a.example\nnameserver 192.0.2.1\nsearch corp.example web.svc.cluster.local.\nnameserver 192.0.2.2\noptions timeout:3 rotate\n'; // prettier-ignore
function pod(spec: string, image = 'busybox'): Pod {
  const text = `apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: web }\nspec: { ${spec}containers: [ { name: c, image: "${image}" } ] }\n---\napiVersion: v1\nkind: Namespace\nmetadata: { name: web }\n`;
  return loadManifests(text, 'm.yaml').find((o) => o.kind === 'Pod') as Pod;
}
const file = (spec: string, node = NODE): string[] =>
  resolvConfText(podDns(pod(spec), parseNodeResolvConf(node), '10.96.0.10', 'cluster.local'));

const Dns = suite('lib/kube/pod-resolver');
Dns('ClusterFirst: the cluster first, the search list of the node after it, none of its options', () => {
  assert.equal(file(''), [
    'search web.svc.cluster.local svc.cluster.local cluster.local corp.example',
    'nameserver 10.96.0.10',
    'options ndots:5',
  ]);
});
Dns('Default and ClusterFirst with hostNetwork: the file of the node', () => {
  const node = [
    'search corp.example web.svc.cluster.local',
    'nameserver 192.0.2.1',
    'nameserver 192.0.2.2',
    'options timeout:3 rotate',
  ];
  assert.equal(file('dnsPolicy: Default, '), node);
  assert.equal(file('hostNetwork: true, '), node);
});
Dns('None: only dnsConfig; elsewhere it is put after, its options win', () => {
  const own = 'dnsConfig: { nameservers: [ 10.0.0.1, 10.0.0.2 ], searches: [ own.example, cluster.local ], options: [ { name: ndots, value: "2" }, { name: edns0 } ] }, '; // prettier-ignore
  assert.equal(file(`dnsPolicy: None, ${own}`), [
    'search own.example cluster.local',
    'nameserver 10.0.0.1',
    'nameserver 10.0.0.2',
    'options ndots:2 edns0',
  ]);
  assert.equal(file(own), [
    'search web.svc.cluster.local svc.cluster.local cluster.local corp.example own.example',
    ...['nameserver 10.96.0.10', 'nameserver 10.0.0.1', 'nameserver 10.0.0.2'],
    'options ndots:2 edns0',
  ]);
  assert.is(file(`dnsPolicy: Default, ${own}`).filter((l) => l.startsWith('nameserver')).length, 3);
});
Dns('at most 32 search paths and 2048 characters', () => {
  const many = Array.from({ length: 40 }, (_, i) => `d${i}.example`);
  assert.is(file('', `search ${many.join(' ')}\n`)[0]!.split(' ').length, 33);
  const long = Array.from({ length: 20 }, (_, i) => `${'x'.repeat(60)}.${'y'.repeat(60)}.d${i}`);
  assert.ok(file('', `search ${long.join(' ')}\n`)[0]!.length <= 2048 + 'search '.length);
});
Dns('images with musl are marked', () => {
  const marked = (image: string): boolean =>
    podResolver(pod('', image), 'n', null, '10.96.0.10', 'cluster.local').some((l) => l.includes('ld-musl'));
  for (const i of [
    'alpine',
    'alpine:3.22',
    'docker.io/library/alpine@sha256:00',
    'nginx:1.29-alpine',
    'node:22-alpine3.22',
    'busybox:musl',
    'busybox:1.37-musl',
  ])
    assert.ok(marked(i), i);
  for (const i of ['busybox', 'busybox:1.37', 'debian:12', 'example.com/alpine-like', 'nginx']) assert.not.ok(marked(i), i); // prettier-ignore
});
Dns.run();
