/**
 * One case file for all plugins: scenarios/cni/PLUGIN-CASE.yaml (PLUGIN.yaml for the ways through a cluster) is made of a row of
 * PLUGINS and one of CASES, and every pair is there or has its reason in SKIPS.
 *
 * After a change here: `node dist/lib/kube/cni/cases.test.js --write`, then `podwire kernel scenarios/cni/… --record`. A new
 * plugin is a row; what it has not recorded yet stands in PENDING.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { type LabRun, runLab, type StepResult } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { parseScenario } from '../scenario.js';
import { cniPlugin } from './index.js';
import { later, WEAVE } from './weave/case-row.js';

/** A plugin, and where the case file finds what it speaks with. */
interface Row {
  name: string;
  title: string;
  cni: string;
  /** Lines of `nodes`; absent: two nodes of 192.168.56.0/24. */
  nodes?: string[];
  manifests?: string;
  /** Pods by address: `b` on node1 beside `a`, `c` on node2; `gw`: what the pods of node2 have as their gateway. */
  b: string;
  c: string;
  gw: string;
  node1: string;
  node2: string;
  /** What the host outside knows node1 by; absent: node1. */
  public?: string;
  /** Payloads of ICMP echo requests: one that fits every plugin's pods, one that just fits the network, a large one; absent: 1422, 1472, 4000. */
  sizes?: [number, number, number];
  /** A pod whose MAC address changes has lost its gateway, which is a static neighbour entry. */
  lost?: true;
  /** The node that is reached through a VXLAN device, a pod there, and its podCIDR; the device, the MAC address of node1's, how its routes end. */
  far?: { node: string; address: string; pod: string; podCIDR: string; dev: string; mac: string; route: string };
  /** A manifest of pod c on node1, with the address that it had on node2. */
  moved?: string;
  /** A manifest of pod c that asks for the address it had; absent: a podCIDR with room for one gives it back. */
  again?: string;
  /** `networking` of the cluster; absent: the usual subnets. */
  networking?: string;
  /** A third thing to ping in the ways through a cluster; absent: node2. */
  third?: string;
  /** Commands 2 s before the first step (`in` and the line); the others come slower: in one segment everybody sees all ARP. */
  first?: [string, string][];
  /** What else is listed of a node. */
  listings?: string[];
  /** The pods' devices announce a new address of theirs (arp_notify). */
  notify: boolean;
}

const TWO = [
  '{ name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }',
  '{ name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }',
];
const ROUTER = [...TWO, '{ name: node3, address: 192.168.57.13/24, podCIDR: 10.0.3.0/24 }'];
const USUAL = { b: '10.0.1.3', c: '10.0.2.2', gw: '10.0.2.1', node1: '192.168.56.11', node2: '192.168.56.12' };

const FLANNEL = { dev: 'flannel.1', mac: '02:f1:0a:00:01:00', route: 'onlink' };

/** Its pods' gateway is nobody's address: they ping their node. */
const CALICO = {
  b: '10.0.1.2',
  c: '10.0.2.1',
  gw: '192.168.56.12',
  node1: '192.168.56.11',
  node2: '192.168.56.12',
  moved: 'manifests/calico-c-moved.yaml',
  again: 'manifests/calico-c-again.yaml',
  notify: false,
};
const VTEP = { dev: 'vxlan.calico', mac: '66:f9:37:c3:7e:94', route: 'proto 80 onlink mtu 1450' };
const BEHIND = { nodes: ROUTER, manifests: 'manifests/pods.yaml, manifests/node3.yaml' };

const PLUGINS: Row[] = [
  {
    ...USUAL,
    name: 'bridge',
    title: 'The bridge plugin with ipMasq',
    cni: 'plugin: bridge, ipMasq: true, hairpinMode: true, portMappings: true',
    notify: true,
  },
  {
    ...USUAL,
    name: 'ptp',
    title: 'The ptp plugin with ipMasq',
    cni: 'plugin: ptp, ipMasq: true, portMappings: true',
    notify: false,
  },
  {
    ...USUAL,
    name: 'flannel-vxlan',
    title: 'flannel, VXLAN',
    cni: 'plugin: flannel, backend: { type: vxlan }',
    far: { node: 'node2', address: '192.168.56.12', pod: '10.0.2.2', podCIDR: '10.0.2.0', ...FLANNEL },
    notify: true,
  },
  {
    ...USUAL,
    name: 'flannel-direct',
    title: 'flannel, VXLAN where a router is between',
    cni: 'plugin: flannel, backend: { type: vxlan, directRouting: true }',
    nodes: ROUTER,
    manifests: 'manifests/pods.yaml, manifests/node3.yaml',
    far: { node: 'node3', address: '192.168.57.13', pod: '10.0.3.2', podCIDR: '10.0.3.0', ...FLANNEL },
    third: '10.0.3.2',
    notify: true,
  },
  {
    ...USUAL,
    name: 'flannel-host-gw',
    title: 'flannel, host-gw',
    cni: 'plugin: flannel, backend: { type: host-gw }',
    notify: true,
  },
  {
    ...CALICO,
    name: 'calico-ipip-always',
    title: 'Calico, IPIP',
    cni: 'plugin: calico, ipipMode: Always, blockSize: 24',
  },
  {
    ...CALICO,
    ...BEHIND,
    name: 'calico-ipip-cross-subnet',
    title: 'Calico, IPIP where a router is between',
    cni: 'plugin: calico, ipipMode: CrossSubnet, blockSize: 24',
    third: '10.0.3.1',
  },
  {
    ...CALICO,
    name: 'calico-vxlan-always',
    title: 'Calico, VXLAN',
    cni: 'plugin: calico, vxlanMode: Always, blockSize: 24',
    far: { node: 'node2', address: '192.168.56.12', pod: '10.0.2.1', podCIDR: '10.0.2.0', ...VTEP },
  },
  {
    ...CALICO,
    ...BEHIND,
    name: 'calico-vxlan-cross-subnet',
    title: 'Calico, VXLAN where a router is between',
    cni: 'plugin: calico, vxlanMode: CrossSubnet, blockSize: 24',
    far: { node: 'node3', address: '192.168.57.13', pod: '10.0.3.1', podCIDR: '10.0.3.0', ...VTEP },
    third: '10.0.3.1',
  },
  {
    ...CALICO,
    ...BEHIND,
    name: 'calico-never',
    title: 'Calico without encapsulation',
    cni: 'plugin: calico, ipipMode: Never, blockSize: 24',
    b: '10.0.1.1',
    c: '10.0.2.0',
    third: '10.0.3.0',
    moved: 'manifests/calico-never-c-moved.yaml',
    again: 'manifests/calico-never-c-again.yaml',
  },
  {
    name: 'aws-vpc',
    title: 'Amazon VPC, the second pod on the second ENI',
    cni: 'plugin: aws-vpc, ipv4AddressesPerInterface: 2, env: { IP_COOLDOWN_PERIOD: 0 }',
    nodes: [
      '{ name: node1, address: 10.0.1.11/24, publicAddress: 198.51.100.11 }',
      '{ name: node2, address: 10.0.2.11/24, publicAddress: 198.51.100.12 }',
    ],
    b: '10.0.1.6',
    c: '10.0.2.4',
    gw: '10.0.2.11',
    node1: '10.0.1.11',
    node2: '10.0.2.11',
    public: '198.51.100.11',
    sizes: [8972, 8973, 20000],
    lost: true,
    notify: false,
  },
  WEAVE,
];

interface Case {
  /** The end of the scenario's and the file's name; empty: none. */
  name: string;
  /** Behind the plugin's title. */
  what: string;
  mode?: 'ipvs';
  /** Instead of the plugin's. */
  nodes?: (p: Row) => string[];
  more?: string;
  /** YAML of the steps and the end. */
  steps: (p: Row) => string;
}

/** What a plugin leaves on a node. */
const LISTINGS = [
  'ip neigh',
  'ip route',
  'ip rule',
  'ip addr',
  'ip -d link',
  'bridge fdb',
  'iptables-save',
  'ipset save',
];
const lines = (list: string[]): string => list.map((l) => `      ${l}\n`).join('');

const CASES: Case[] = [
  {
    name: '',
    what: ': pods, nodes, Services, hostPorts and a host outside',
    steps: (p) => `  - at: 0s
    in: pod/a
    run: |
      ping -c 1 ${p.b}
      ping -c 1 ${p.c}
      ping -c 1 ${p.third ?? p.node2}
      ping -c 1 203.0.113.10
      curl -s http://10.96.0.20/
      sleep 0.1
      curl -s http://10.96.0.21/
    expect: { exit: 0, stdout: hello }
  - at: 1500ms
    in: node/node1
    run: |
      ping -c 1 ${p.c}
      curl -s http://127.0.0.1:8000/
    expect: { exit: 0, stdout: hello }
  - { at: 3s, in: host/internet, run: curl -s http://${p.public ?? p.node1}:8000/, expect: { exit: 0, stdout: hello } }
  until: 4900ms
`,
  },
  {
    name: 'pod-node',
    what: ': a pod and its own node, a pod and another node, both ways; a hostPort of the own node',
    steps: (p) => `  - at: 0s
    in: pod/a
    run: |
      ping -c 1 ${p.node1}
      ping -c 1 ${p.node2}
      curl -s http://${p.node1}:8000/
    expect: { exit: 0, stdout: hello }
  - at: 1500ms
    in: node/node1
    run: |
      ping -c 1 ${p.b}
      curl -s http://10.96.0.20/
    expect: { exit: 0, stdout: hello }
  - { at: 3s, in: node/node2, run: ping -c 1 ${p.b}, expect: { exit: 0 } }
  until: 4500ms
`,
  },
  {
    name: 'ipvs',
    what: ', kube-proxy in IPVS mode: Services from a pod and from a node',
    mode: 'ipvs',
    steps: () => `  - at: 0s
    in: pod/a
    run: |
      curl -s http://10.96.0.20/
      sleep 0.1
      curl -s http://10.96.0.21/
    expect: { exit: 0, stdout: hello }
  - { at: 2s, in: node/node1, run: curl -s http://10.96.0.20/, expect: { exit: 0, stdout: hello } }
  - at: 3s
    in: node/node1
    run: |
      ipset save
      ipvsadm -Sn
      iptables-save -t nat
  until: 4s
`,
  },
  {
    name: 'mtu',
    what: ': datagrams that just fit and larger ones, with and without DF; then the other node is down',
    steps: ({ c, sizes: [small, fits, large] = [1422, 1472, 4000] }) => `  - at: 0s
    in: pod/a
    run: |
      ping -c 1 -M do -s ${small} ${c}
      ping -c 1 -M do -s ${fits} ${c}
      ping -c 1 -M dont -s ${fits} ${c}
      ping -c 1 -M dont -s ${large} ${c}
      ping -c 1 -M do -s ${fits + 1} ${c}
    expect: { exit: 1 }
  - { at: 2s, in: node/node2, run: ip link set eth0 down }
  - { at: 3500ms, in: pod/a, run: ping -c 1 -W 0.3 ${c}, expect: { exit: 1 } }
  until: 4500ms
`,
  },
  {
    name: 'pmtu',
    what: ": datagrams with DF from outside that fit every network but perhaps the pods', to a hostPort",
    more: 'manifests/udp.yaml',
    steps: (
      p,
    ) => `  - { at: 0s, in: host/internet, run: nc -u -w 1 ${p.public ?? p.node1} 5353 <<< ${'x'.repeat(1471)} }
  - { at: 1500ms, in: host/internet, run: nc -u -w 1 ${p.public ?? p.node1} 5353 <<< ${'y'.repeat(1471)}, expect: { exit: 0, stdout: yyyy } }
  until: 4s
`,
  },
  {
    name: 'down',
    what: ': the other node is down before anybody has spoken with it',
    steps: (p) => `  - { at: 0s, in: node/node2, run: ip link set eth0 down }
  - { at: 200ms, in: pod/a, run: ping -c 1 -W 4 ${p.c}, expect: { exit: 1 } }
  until: 4500ms
`,
  },
  {
    name: 'restart',
    what: ': a pod is deleted and comes back on its node, with the same address',
    nodes: (p) => (p.nodes ?? TWO).map((n) => (p.again === undefined ? n.replace('10.0.2.0/24', '10.0.2.0/30') : n)),
    steps: (p) => `  - { at: 0s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - { at: 500ms, run: kubectl delete pod c --wait=false, expect: { exit: 0 } }
  - at: 1500ms
    in: node/node2
    run: |
      ip neigh
      ip route
      bridge fdb
      iptables-save -t nat
  - { at: 1600ms, in: pod/a, run: ping -c 1 -W 0.4 ${p.c}, expect: { exit: 1 } }
  - { at: 2200ms, run: kubectl apply -f ${p.again ?? 'manifests/pod-c.yaml'}, expect: { exit: 0 } }
  - { at: 3200ms, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - at: 3500ms
    in: node/node2
    run: |
      ip neigh
      ip route
      bridge fdb
      iptables-save -t nat
  until: 4300ms
`,
  },
  {
    name: 'mac',
    what: ': the address of a pod moves to another MAC address; those who knew the old one, and what heals them',
    steps: (p) => `  - { at: 0s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - { at: 500ms, in: pod/c, run: ip link set eth0 address 0a:58:0a:00:02:99 }
  - { at: 1s, in: pod/a, run: ping -c 1 -W 0.4 ${p.c}, expect: { exit: ${p.notify ? 0 : 1} } }
  - { at: 1800ms, in: node/node2, run: ip neigh }
  - { at: 2s, in: pod/c, run: ping -c 1${p.lost ? ' -W 0.4' : ''} ${p.gw}, expect: { exit: ${p.lost ? 1 : 0} } }
  - { at: 2500ms, in: pod/a, run: ping -c 1${p.lost ? ' -W 0.4' : ''} ${p.c}, expect: { exit: ${p.lost ? 1 : 0} } }
  - { at: 3s, in: node/node2, run: ip neigh }
  until: 4s
`,
  },
  {
    name: 'vtep',
    what: ': a node comes back with another MAC address of its VXLAN device, before and after the others hear of it',
    steps: ({ far }) => {
      const mac = '02:f1:0a:00:09:99';
      return `  - { at: 0s, in: pod/a, run: ping -c 1 ${far!.pod}, expect: { exit: 0 } }
  - at: 500ms
    in: node/${far!.node}
    run: |
      ip link set ${far!.dev} address ${mac}
      ip neigh replace 10.0.1.0 lladdr ${far!.mac} dev ${far!.dev} nud permanent
  - { at: 1s, in: pod/a, run: ping -c 1 -W 0.4 ${far!.pod}, expect: { exit: 1 } }
  - at: 2s
    in: node/node1
    run: |
      ip neigh replace ${far!.podCIDR} lladdr ${mac} dev ${far!.dev} nud permanent
      bridge fdb replace ${mac} dev ${far!.dev} dst ${far!.address} self permanent
      ip route replace ${far!.podCIDR}/24 via ${far!.podCIDR} dev ${far!.dev} ${far!.route}
  - { at: 2500ms, in: pod/a, run: ping -c 1 ${far!.pod}, expect: { exit: 0 } }
  - at: 3s
    in: node/node1
    run: |
      ip neigh
      bridge fdb show dev ${far!.dev}
  until: 4s
`;
    },
  },
  {
    name: 'moved',
    what: ': a pod comes back on another node, with the same address',
    steps: (p) => `  - { at: 0s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - { at: 500ms, run: kubectl delete pod c --wait=false, expect: { exit: 0 } }
  - { at: 1600ms, in: pod/a, run: ping -c 1 -W 0.4 ${p.c}, expect: { exit: 1 } }
  - { at: 2200ms, run: kubectl apply -f ${p.moved}, expect: { exit: 0 } }
  - { at: 3200ms, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  until: 4300ms
`,
  },
  {
    name: 'node',
    what: ': what it leaves on a node and in a pod',
    steps: (p) => `  - at: 0s
    in: node/node1
    run: |
${lines([...LISTINGS, ...(p.listings ?? [])])}  - { at: 2s, in: pod/a, run: ip route }
`,
  },
];

/** Why a case makes no sense for a plugin; `holds` asks the plugin whether it is so. */
interface Skip {
  case: string;
  plugins: string[];
  reason: string;
  holds: (p: Row) => boolean;
}

const SKIPS: Skip[] = [
  {
    case: 'vtep',
    plugins: [
      'bridge',
      'ptp',
      'flannel-host-gw',
      'calico-ipip-always',
      'calico-ipip-cross-subnet',
      'calico-never',
      'aws-vpc',
    ],
    reason: 'there is no VXLAN device',
    holds: (p) => !commands(p).includes('type vxlan'),
  },
  {
    case: 'vtep',
    plugins: ['weave'],
    reason: "nobody knows the tunnel device's address",
    holds: (p) => commands(p).includes('type vxlan external'),
  },
  {
    case: 'mac',
    plugins: ['weave'],
    reason: 'flows are written for known addresses, and nobody listens for others',
    holds: (p) => commands(p).includes('ovs-dpctl add-flows'),
  },
  {
    case: 'moved',
    plugins: ['bridge', 'ptp', 'flannel-vxlan', 'flannel-direct', 'flannel-host-gw', 'aws-vpc', 'weave'],
    reason: 'the addresses of a podCIDR, an ENI or a peer stay on its node',
    holds: (p) => pluginOf(p).plugin.ipam.reserve(pluginOf(p).nodes[0]!, p.c, 'x').startsWith('an address in'),
  },
];

const nameOf = (p: Row, c: Case): string => (c.name === '' ? p.name : `${p.name}-${c.name}`);
const fileOf = (p: Row, c: Case): string => `scenarios/cni/${nameOf(p, c)}.yaml`;
const skipOf = (p: Row, c: Case): Skip | undefined =>
  SKIPS.find((s) => s.case === c.name && s.plugins.includes(p.name));

function textOf(p: Row, c: Case): string {
  const nodes = c.nodes?.(p) ?? p.nodes ?? TWO;
  const manifests = [p.manifests ?? 'manifests/pods.yaml', ...(c.more === undefined ? [] : [c.more])];
  return `kind: Scenario
metadata: { name: cni-${nameOf(p, c)}, description: "${p.title}${c.what}" }
spec:
  nodes:
${nodes.map((n) => `  - ${n}\n`).join('')}${p.networking === undefined ? '' : `  networking: { ${p.networking} }\n`}  cni: { ${p.cni} }
  kubeProxy: { mode: ${c.mode ?? 'iptables'} }
  hosts: [ { name: internet, address: 203.0.113.10/24 } ]
  manifests: [ ${manifests.join(', ')} ]
  steps:
${c.name === 'node' ? c.steps(p) : later(p.first, c.steps(p), c.name === '' ? 1.5 : 2)}`;
}

function pluginOf(p: Row) {
  const text = textOf(p, { ...CASES[0]!, steps: () => '' }).replace(/ {2}(manifests|steps):.*\n/g, '');
  const s = parseScenario(text, 's.yaml', () => '');
  return { plugin: cniPlugin(s), nodes: s.nodes };
}

/** What a plugin does on nodes before there are pods. */
function commands(p: Row): string {
  const { plugin, nodes } = pluginOf(p);
  return nodes.flatMap((n) => [...plugin.nodeAdd(n), ...plugin.peersAdd(n)]).join('\n');
}

/** Scenarios that are not recorded yet: of Calico's modes all (what is recorded of them are files of their own, calico-….yaml). */
const PENDING = new Set<string>([
  ...PLUGINS.filter((p) => p.name.startsWith('calico-')).flatMap((p) => CASES.filter((c) => c.name !== 'vtep' || p.far !== undefined).map((c) => nameOf(p, c))), // prettier-ignore

  'bridge-down',
  'bridge-restart',
  'bridge-mac',
  'ptp-down',
  'ptp-restart',
  'ptp-mac',
  'flannel-vxlan-down',
  'flannel-vxlan-restart',
  'flannel-vxlan-mac',
  'flannel-direct-down',
  'flannel-direct-restart',
  'flannel-direct-mac',
  'flannel-host-gw-down',
  'flannel-host-gw-restart',
  'flannel-host-gw-mac',
  ...'weave weave-pod-node weave-ipvs weave-pmtu weave-down weave-restart weave-node'.split(' '),
  ...'aws-vpc-mac aws-vpc-restart'.split(' '),
]);

const pairs = PLUGINS.flatMap((p) => CASES.map((c) => ({ p, c })));
const all = pairs.filter(({ p, c }) => skipOf(p, c) === undefined);
const there = all.filter(({ p, c }) => !PENDING.has(nameOf(p, c)));

const Cases = suite('lib/kube/cni/cases');

Cases('every case is there for every plugin, as the table says', () => {
  for (const { p, c } of there) {
    const file = fileOf(p, c);
    assert.ok(existsSync(file), `${file} is missing: node dist/lib/kube/cni/cases.test.js --write`);
    assert.fixture(readFileSync(file, 'utf8'), textOf(p, c), file);
  }
  for (const { p, c } of pairs.filter((x) => !there.includes(x)))
    assert.not.ok(existsSync(fileOf(p, c)), `${fileOf(p, c)} is there, and said to be skipped or not recorded yet`);
});

Cases('every case was recorded by the kernel', () => {
  for (const { p, c } of there) {
    const origin = parse(readFileSync(`golden/cni-${nameOf(p, c)}/origin.yaml`, 'utf8')) as { recordedBy: string };
    assert.is(origin.recordedBy, 'kernel', nameOf(p, c));
  }
});

/** A case in podwire. */
function run(p: Row, c: Case): LabRun {
  const read = (path: string): string => readFileSync(`scenarios/cni/${path}`, 'utf8');
  const compiled = compile(reconcile(parseScenario(textOf(p, c), `${nameOf(p, c)}.yaml`, read)));
  return runLab(parseLab(compiled.text, nameOf(p, c)));
}

Cases('what the kernel has not recorded yet runs as it expects', () => {
  for (const name of PENDING) assert.ok(all.some(({ p, c }) => nameOf(p, c) === name), name);
  for (const { p, c } of all.filter((x) => PENDING.has(nameOf(x.p, x.c)))) assert.equal(run(p, c).failures, []);
}); // prettier-ignore

/** What a ping that is not answered is told. */
const told = (s: StepResult): string => {
  const m = /^From (\S+) icmp_seq=1 (Destination .*)$/m.exec(s.stdout);
  return m === null ? 'nothing' : `${m[2]!} from ${m[1]!}`;
};

/** A plugin's row in README's table of what breaks. */
function faults(p: Row): string {
  const steps = (name: string): StepResult[] => run(p, CASES.find((c) => c.name === name)!).steps.filter((s) => / (default_a ping|internet nc) /.test(s.command)); // prettier-ignore
  const [down] = steps('down');
  const [, gone, back] = steps('restart');
  const [, moved] = steps('mac');
  const [first] = steps('pmtu');
  const cells = [
    told(down!),
    told(gone!),
    Number(/ time=([\d.]+) ms/.exec(back!.stdout)![1]) > 100 ? "once the node's next ARP request is answered" : 'at once',
    moved!.exit === 0 ? 'at once' : 'once the pod speaks',
    first!.stdout === '' ? 'the second one, in fragments' : 'the first one',
  ]; // prettier-ignore
  return `| \`${p.name}\` | ${cells.join(' | ')} |`;
}

Cases("README's table of what breaks is what a run shows", () => {
  const readme = readFileSync('README.md', 'utf8').split('\n');
  const table = readme.slice(readme.findIndex((l) => l.includes('`down`: a ping')) + 2);
  const rows = table.slice(0, table.indexOf(''));
  assert.ok(rows.length >= 5);
  for (const row of rows) assert.is(row, faults(PLUGINS.find((p) => row.startsWith(`| \`${p.name}\` |`))!));
});

Cases('a skip names a plugin and a case, and its reason holds', () => {
  for (const s of SKIPS) {
    assert.ok(CASES.some((c) => c.name === s.case), s.case); // prettier-ignore
    for (const name of s.plugins) {
      const p = PLUGINS.find((x) => x.name === name)!;
      assert.ok(p, `${name} is no plugin`);
      assert.ok(s.holds(p), `${name} without ${s.case}: ${s.reason}`);
      assert.is(SKIPS.filter((x) => x.case === s.case && x.plugins.includes(name)).length, 1);
    }
    for (const p of PLUGINS.filter((x) => !s.plugins.includes(x.name)))
      assert.not.ok(s.holds(p), `${p.name} is not excused from ${s.case}`);
  }
});

if (process.argv.includes('--write')) for (const { p, c } of all) writeFileSync(fileOf(p, c), textOf(p, c));
else Cases.run();
