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

/** Decisions about the first ping from `src`, which is pod a, to `dst`, without those of rules and conntrack; frames of devices in between. */
function way(plugin: string, dst: string, src: string): string[] {
  const args = [join('dist', 'lib', 'cli', 'main.js'), 'walk', `scenarios/cni/${plugin}.yaml`, '--json'];
  const r = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  assert.is(r.status, 0, r.stderr);
  const all = JSON.parse(r.stdout) as { notes: Note[] }[];
  const first = `out IP ${src} > ${dst}: ICMP echo request`;
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

/** Of pod b on node1, whose address is one of the second ENI. */
const fromEni = [
  'default_b route: default via 169.254.1.1 dev eth0',
  'default_b neighbour: 169.254.1.1 dev eth0 lladdr 02:3f:b1:f2:b9:ca PERMANENT',
];

/** Scenario, destination, decisions in order, source. */
const WAYS: [string, string, string[], string?][] = [
  ['aws-vpc/eni', '10.0.2.6', [
    ...fromEni,
    'node1 route: default via 10.0.1.1 dev eth1 table 2, by rule 1536: from 10.0.1.7 lookup 2',
    'node1 neighbour: 10.0.1.1 dev eth1 lladdr 56:54:0a:00:01:01 REACHABLE',
    'vpc route: 10.0.2.6 via 10.0.2.5 dev node2_1 onlink',
    'vpc neighbour: 10.0.2.5 dev node2_1 lladdr 52:54:0a:00:02:05 PERMANENT',
    'node2 route: 10.0.2.6 dev eni2ca070a7e2d scope link, by rule 512: from all to 10.0.2.6 lookup main',
    'node2 neighbour: 10.0.2.6 dev eni2ca070a7e2d lladdr 0a:58:0a:00:02:06 REACHABLE',
    'default_d route: local',
  ], '10.0.1.7'],
  ['aws-vpc/eni', '203.0.113.10', [
    ...fromEni,
    'node1 route: default via 10.0.1.1 dev eth0, by rule 1024: from all fwmark 0x80/0x80 lookup main',
    'node1 SNAT: 10.0.1.7:1005 → 10.0.1.11:51541',
    'node1 neighbour: 10.0.1.1 dev eth0 lladdr 56:54:0a:00:01:01 REACHABLE',
    'vpc route: default via 169.254.0.1 dev igw',
    'vpc neighbour: 169.254.0.1 dev igw lladdr 52:54:a9:fe:00:01 PERMANENT',
    'igw route: 203.0.113.0/24 dev eth0 proto kernel scope link src 203.0.113.1',
    'igw SNAT: 10.0.1.11:51541 → 198.51.100.11:51541',
    'igw neighbour: 203.0.113.10 dev eth0 lladdr 52:54:cb:00:71:0a REACHABLE',
    'internet route: local',
  ], '10.0.1.7'],
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
for (const [plugin, dst, expected, src = '10.0.1.2'] of WAYS)
  Walk(`${plugin} to ${dst}`, () => assert.equal(way(plugin, dst, src), expected));
Walk.run();
