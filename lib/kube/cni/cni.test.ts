/** CNI plugins: addresses that are handed out, and an ADD that its DEL takes back. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { documents } from '../api/at.js';
import type { Machine } from '../scenario.js';
import { parseCni } from './config.js';
import { HostLocal } from './host-local.js';
import { cniPlugin } from './index.js';
import type { Sandbox } from './plugin.js';

const node = (podCIDR: string): Machine => ({
  name: 'n',
  addresses: ['192.168.0.1/24'],
  podCIDR,
  labels: {},
  resolvConf: null,
});

const Cni = suite('lib/kube/cni');
Cni('host-local goes on after the address it gave last, and begins again at the end', () => {
  const [ipam, n] = [new HostLocal(), node('10.0.0.0/29')];
  assert.is(ipam.reserve(n, '10.0.0.3', 'that of Pod "a"'), '');
  assert.is(ipam.reserve(n, '10.0.0.3', 'x'), 'one that is free: it is that of Pod "a"');
  assert.is(ipam.reserve(n, '10.0.1.3', 'x'), 'an address in 10.0.0.0/29 of n');
  assert.equal([1, 2].map(() => ipam.allocate(n, 'x')), ['10.0.0.2', '10.0.0.4']); // prettier-ignore
  ipam.release(n, '10.0.0.2');
  assert.equal([1, 2, 3, 4].map(() => ipam.allocate(n, 'x')), ['10.0.0.5', '10.0.0.6', '10.0.0.2', null]); // prettier-ignore
});

const CONFIGS = [
  '{ plugin: bridge, ipMasq: true, hairpinMode: true, mtu: 1400 }',
  '{ plugin: ptp, ipMasq: true, mtu: 1400 }',
];
for (const config of CONFIGS.map((c) => parseCni(documents(c, 'cni.yaml')[0]!, []))) {
  Cni(`${config.plugin}: what an ADD makes its DEL takes back, and the pod is reached in between`, () => {
    const n = node('10.0.1.0/24');
    const plugin = cniPlugin({
      nodes: [n],
      hosts: [],
      file: 's.yaml',
      kubeProxy: { mode: 'iptables' },
      podSubnet: '10.0.0.0/16',
      serviceSubnet: '10.96.0.0/12',
      cni: config,
    });
    const pod = (name: string): Sandbox => ({
      namespace: 'ns',
      name,
      netns: `ns_${name}`,
      containerId: name.repeat(64),
      annotations: {},
      serviceAccount: 'default',
      podIP: plugin.ipam.allocate(n, name)!,
      ports: [],
    });
    const [a, b] = [pod('a'), pod('b')];
    const netns = (p: Sandbox): string[] => [`ip netns add ${p.netns}`, `ip -n ${p.netns} link set lo up`];
    const setup = ['ip netns add n', 'ip -n n link set lo up', ...plugin.nodeAdd(n), ...netns(a), ...plugin.podAdd(n, a).commands, ...plugin.peersAdd(n), ...netns(b)]; // prettier-ignore
    const dump = 'ip netns exec n iptables-save -t nat\nip -n n link';
    const added = plugin.podAdd(n, b);
    const steps = [dump, added.commands.join('\n'), `ip netns exec ${a.netns} ping -c 1 -W 1 ${b.podIP}`, plugin.podDel(n, b).commands.join('\n'), dump]; // prettier-ignore
    const list = steps.map((s, i) => `  - at: ${i}s\n    run: |\n${indent(s, 6)}`).join('\n');
    const text = `kind: Lab\nmetadata: { name: t }\nspec:\n  setup: |\n${indent(setup.join('\n'), 4)}\n  steps:\n${list}\n`;
    const r = runLab(parseLab(text, 't.yaml')).steps;
    assert.equal(r.map((x) => x.exit), [0, 0, 0, 0, 0], JSON.stringify(r.map((x) => x.stderr))); // prettier-ignore
    assert.is(added.mtu, 1400);
    const plain = (s: string): string => s.replace(/\[\d+:\d+\]|^#.*$/gm, '');
    assert.fixture(plain(r[4]!.stdout), plain(r[0]!.stdout));
  });
}
const indent = (text: string, n: number): string => text.split('\n').map((l) => ' '.repeat(n) + l).join('\n'); // prettier-ignore
Cni.run();
