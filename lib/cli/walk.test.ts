/** What `walk` tells of a pod's packet to another node: by which route, neighbour and FDB entry it goes, and where it is wrapped. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

interface Note {
  where: string;
  text: string;
}

const DECISION = /^(route|neighbour|bridge|fdb|into|out of|SNAT)\b/;

/** Decisions about the first ping from pod a to `dst`, without those of rules and conntrack; frames of devices in between. */
function way(plugin: string, dst: string): string[] {
  const args = [join('dist', 'lib', 'cli', 'main.js'), 'walk', `scenarios/cni/${plugin}.yaml`, '--json'];
  const r = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  assert.is(r.status, 0, r.stderr);
  const all = JSON.parse(r.stdout) as { notes: Note[] }[];
  const first = `out IP 10.0.1.2 > ${dst}: ICMP echo request`;
  const { notes } = all.find((p) => p.notes.some((n) => n.text.startsWith(first)))!;
  return notes
    .filter((n) => DECISION.test(n.text) && !n.text.endsWith('the packet waits') && !n.where.startsWith('lan/'))
    .map((n) => `${n.where} ${n.text}`);
}

const fromPod = (route: string, gw: string): string[] => [
  `default_a route: ${route} via 10.0.1.1 dev eth0`,
  `default_a neighbour: 10.0.1.1 dev eth0 lladdr ${gw} REACHABLE`,
];
const flannelPod = fromPod('10.0.0.0/16', '0a:58:0a:00:01:01');
const onTheWire = [
  'node1 route: 10.0.2.0/24 via 192.168.56.12 dev eth0',
  'node1 neighbour: 192.168.56.12 dev eth0 lladdr 52:54:c0:a8:38:0c REACHABLE',
];
const toPod = (n: number, veth: string, pod: string): string[] => [
  `node${n} route: 10.0.${n}.0/24 dev cni0 proto kernel scope link src 10.0.${n}.1`,
  `node${n} neighbour: 10.0.${n}.2 dev cni0 lladdr 0a:58:0a:00:0${n}:02 REACHABLE`,
  `node${n}/cni0 bridge: fdb 0a:58:0a:00:0${n}:02 dev ${veth}`,
  `default_${pod} route: local`,
];
const bridgeOnNode2 = toPod(2, 'vethf204b697', 'c');
const snat = 'node1 SNAT: 10.0.1.2:1001 → 192.168.56.11:1001';
const tunnel = (n: number, to: string, underlay: string[]): string[] => [
  `node1 route: 10.0.${n}.0/24 via 10.0.${n}.0 dev flannel.1 onlink`,
  `node1 neighbour: 10.0.${n}.0 dev flannel.1 lladdr 02:f1:0a:00:0${n}:00 PERMANENT`,
  `node1/flannel.1 fdb 02:f1:0a:00:0${n}:00 dst ${to}: into VXLAN, vni 1, from 192.168.56.11`,
  ...underlay,
  `node${n} route: local`,
  `node${n}/flannel.1 out of VXLAN, vni 1, of 192.168.56.11`,
];

/** Scenario, destination, decisions in order. */
const WAYS: [string, string, string[]][] = [
  ['bridge', '10.0.2.2', [...fromPod('default', '0a:58:0a:00:01:01'), onTheWire[0]!, snat, onTheWire[1]!, ...bridgeOnNode2]],
  ['ptp', '10.0.2.2', [
    ...fromPod('default', '02:b3:43:05:a5:69'), onTheWire[0]!, snat, onTheWire[1]!,
    'node2 route: 10.0.2.2 dev vethf204b697 scope host',
    'node2 neighbour: 10.0.2.2 dev vethf204b697 lladdr 0a:58:0a:00:02:02 REACHABLE',
    'default_c route: local',
  ]],
  ['flannel-vxlan', '10.0.2.2', [
    ...flannelPod,
    ...tunnel(2, '192.168.56.12', [
      'node1 route: 192.168.56.0/24 dev eth0 proto kernel scope link src 192.168.56.11', onTheWire[1]!,
    ]),
    ...bridgeOnNode2,
  ]],
  ['flannel-host-gw', '10.0.2.2', [...flannelPod, ...onTheWire, ...bridgeOnNode2]],
  ['flannel-direct', '10.0.2.2', [...flannelPod, ...onTheWire, ...bridgeOnNode2]],
  ['flannel-direct', '10.0.3.2', [
    ...flannelPod,
    ...tunnel(3, '192.168.57.13', [
      'node1 route: default via 192.168.56.1 dev eth0',
      'node1 neighbour: 192.168.56.1 dev eth0 lladdr 52:54:c0:a8:38:01 REACHABLE',
      'gw route: 192.168.57.0/24 dev eth1 proto kernel scope link src 192.168.57.1',
      'gw neighbour: 192.168.57.13 dev eth1 lladdr 52:54:c0:a8:39:0d REACHABLE',
    ]),
    ...toPod(3, 'veth8f6797e4', 'd'),
  ]],
]; // prettier-ignore

const Walk = suite('lib/cli/walk');
for (const [plugin, dst, expected] of WAYS) Walk(`${plugin} to ${dst}`, () => assert.equal(way(plugin, dst), expected));
Walk.run();
