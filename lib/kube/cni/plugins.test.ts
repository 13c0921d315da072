/** Every plugin on three nodes, two of them in one network: Kubernetes' rules for pod networks, and README's table of the plugins. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ntoa } from '../../../wire/inet.js';
import { i32, u16 } from '../../../wire/bytes.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { type LabRun, runLab } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { parseScenario } from '../scenario.js';
import { WeaveIpam } from './weave/ipam.js';
import { peersOfNodes } from './weave/peers.js';

/** As README writes them. */
const PLUGINS = [
  'plugin: bridge',
  'plugin: bridge, ipMasq: true',
  'plugin: ptp',
  'plugin: flannel, backend: { type: vxlan }',
  'plugin: flannel, backend: { type: vxlan, directRouting: true }',
  'plugin: flannel, backend: { type: host-gw }',
  'plugin: calico, ipipMode: Always',
  'plugin: calico, ipipMode: CrossSubnet',
  'plugin: calico, vxlanMode: Always',
  'plugin: calico, vxlanMode: CrossSubnet',
  'plugin: calico, ipipMode: Never',
  'plugin: weave',
  'plugin: aws-vpc, ipv4AddressesPerInterface: 2',
];
/** Those that lay a pod network; the others leave a part of it to somebody else. */
const networks = PLUGINS.filter((p) => !p.includes('ipMasq'));

interface Pod {
  name: string;
  node: number;
  ip: string;
}
interface World {
  /** Addresses of the nodes. */
  nodes: string[];
  /** What else is said of a node. */
  more: (node: number) => string;
  pods: Pod[];
  /** What a pod sees of its own node. */
  gateway: (node: number) => string;
}
/** Two pods on each node. */
const podsAt = (ips: string[][]): Pod[] =>
  ips.flatMap((list, node) => list.map((ip, i) => ({ name: `p${node + 1}${i + 2}`, node, ip })));
const LAN: World = {
  nodes: ['192.168.56.11/24', '192.168.56.12/24', '192.168.57.13/24'],
  more: (node) => `, podCIDR: 10.0.${node + 1}.0/24`,
  pods: podsAt([1, 2, 3].map((n) => [`10.0.${n}.2`, `10.0.${n}.3`])),
  gateway: (node) => `10.0.${node + 1}.1`,
};
/** The second pod of a node is on its second ENI. */
const VPC: World = {
  nodes: ['10.0.1.11/24', '10.0.1.12/24', '10.0.2.13/24'],
  more: (node) => `, publicAddress: 198.51.100.${node + 11}`,
  pods: podsAt([
    ['10.0.1.4', '10.0.1.7'],
    ['10.0.1.5', '10.0.1.13'],
    ['10.0.2.4', '10.0.2.6'],
  ]),
  gateway: (node) => VPC.nodes[node]!.split('/')[0]!,
};
/** Each node's part of the podSubnet: the bridge, then the pods. */
const WEAVE = ((): World => {
  const nodes = LAN.nodes.map((a, i) => ({ name: `node${i + 1}`, addresses: [a], podCIDR: '', resolvConf: null, labels: {} })); // prettier-ignore
  const ipam = new WeaveIpam(peersOfNodes(nodes, [], '10.0.0.0/16'), '10.0.0.0/16');
  const pods = podsAt(nodes.map((n) => [ipam.allocate(n, 'x')!, ipam.allocate(n, 'x')!]));
  return { ...LAN, pods, gateway: (node) => ipam.bridgeOf(nodes[node]!) };
})();
const worldOf = (cni: string): World => (cni.includes('aws-vpc') ? VPC : cni.includes('weave') ? WEAVE : LAN);
const pod = (p: Pod): string => `{ apiVersion: v1, kind: Pod, metadata: { name: ${p.name} }, spec: { nodeName: node${p.node + 1}, containers: [ { name: a, image: busybox } ] }, status: { podIP: ${p.ip} } }`; // prettier-ignore

/** Runs command lines, each in a place, 100 ms apart. */
function run(cni: string, steps: [where: string, command: string][]): LabRun {
  const { nodes, more, pods } = worldOf(cni);
  const text = `kind: Scenario
metadata: { name: t }
spec:
  nodes: [ ${nodes.map((a, i) => `{ name: node${i + 1}, address: ${a}${more(i)} }`).join(', ')} ]
  cni: { ${cni} }
  hosts: [ { name: outside, address: 203.0.113.10/24 } ]
  objects: [ ${pods.map(pod).join(', ')} ]
  steps:
${steps.map(([where, command], i) => `  - { at: ${i * 100}ms, in: ${where}, run: ${command}, expect: { exit: 0 } }`).join('\n')}
`;
  const scenario = parseScenario(text, 's.yaml', () => '');
  const result = runLab(parseLab(compile(reconcile(scenario)).text, 's.yaml'));
  assert.equal(result.failures, []);
  return result;
}

/** Frames without an Ethernet header: of tunl0. */
const LINKTYPE_RAW = 101;

interface Seen {
  iface: string;
  seq: number;
  src: string;
  dst: string;
  ttl: number;
  /** Bytes of the frame. */
  length: number;
  /** An ICMP echo request; of what is inside VXLAN nothing is read. */
  request: boolean;
}

/** Every IPv4 packet on every interface, in the order in which they were seen. */
function packets(r: LabRun): Seen[] {
  const out: Seen[] = [];
  for (const tap of r.taps) {
    for (const c = tap.cursor(); c.next();) {
      const b = c.chunk;
      const raw = tap.linktype === LINKTYPE_RAW;
      const o = c.start + (raw ? 0 : 14);
      if (!raw && u16(b, o - 2) !== 0x0800) continue;
      out.push({
        iface: tap.iface,
        seq: tap.seqOf(c.index),
        src: ntoa(i32(b, o + ipv4.SRC)),
        dst: ntoa(i32(b, o + ipv4.DST)),
        ttl: b[o + ipv4.TTL]!,
        length: c.end - c.start,
        request: b[o + ipv4.PROTO] === 1 && b[o + 20] === 8,
      });
    }
  }
  return out.sort((x, y) => x.seq - y.seq);
}
const inPod = (p: Pod): string => `default_${p.name}/eth0`;

const Plugins = suite('lib/kube/cni/plugins');

for (const cni of networks) {
  Plugins(`every pod reaches every pod, and is seen there by its own address: ${cni}`, () => {
    const { pods } = worldOf(cni);
    const pairs = pods.flatMap((a) => pods.filter((b) => b !== a).map((b): [Pod, Pod] => [a, b]));
    const seen = packets(run(cni, pairs.map(([a, b]) => [`pod/${a.name}`, `ping -c 1 ${b.ip}`]))); // prettier-ignore
    for (const [a, b] of pairs) {
      const at = (p: Pod, src: Pod, request: boolean): Seen[] =>
        seen.filter((x) => x.iface === inPod(p) && x.src === src.ip && x.request === request);
      assert.is(at(b, a, true).filter((x) => x.dst === b.ip).length, 1, `${a.name} asks ${b.name}`);
      assert.is(at(a, b, false).filter((x) => x.dst === a.ip).length, 1, `${b.name} answers ${a.name}`);
    }
    const addresses = pods.map((p) => p.ip);
    for (const p of pods)
      for (const x of seen.filter((y) => y.iface === inPod(p)))
        assert.ok(addresses.includes(x.src) && addresses.includes(x.dst), `${p.name} sees ${x.src} > ${x.dst}`);
  });

  Plugins(`a node reaches its pods and every other, pods reach every node: ${cni}`, () => {
    const { nodes: all, pods, gateway } = worldOf(cni);
    const nodes = all.map((a, i) => ({ name: `node${i + 1}`, ip: a.split('/')[0]! }));
    const seen = packets(
      run(cni, [
        ...nodes.flatMap((n) => pods.map((p): [string, string] => [`node/${n.name}`, `ping -c 1 ${p.ip}`])),
        ...pods.flatMap((p) => nodes.map((n): [string, string] => [`pod/${p.name}`, `ping -c 1 ${n.ip}`])),
      ]),
    );
    for (const [i, n] of nodes.entries())
      for (const p of pods.filter((x) => x.node === i)) {
        const there = seen.filter((x) => x.iface === inPod(p) && x.request && x.dst === p.ip);
        const own = cni.includes('calico') ? n.ip : gateway(i);
        assert.ok(there.some((x) => x.src === own), `${n.name} asks ${p.name} from ${own}`);
        assert.ok(seen.some((x) => x.iface === inPod(p) && x.src === n.ip && !x.request), `${n.name} answers ${p.name}`);
      }
  }); // prettier-ignore
}

for (const cni of ['plugin: flannel', 'plugin: weave', 'plugin: calico', 'plugin: ptp, ipMasq: true, portMappings: true', 'plugin: bridge, ipMasq: true, portMappings: true']) {
  Plugins(`a pod that ends takes its rules along, one that comes later has its own: ${cni}`, () => {
    const web = '{ apiVersion: v1, kind: Pod, metadata: { name: web, annotations: { podwire.dev/run: podwire app echo --tcp 80 } }, spec: { nodeName: node1, containers: [ { name: a, image: busybox, ports: [ { containerPort: 80, hostPort: 8000 } ] } ] } }';
    const text = `kind: Scenario
metadata: { name: t }
spec:
  nodes: [ { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 } ]
  cni: { ${cni} }
  hosts: [ { name: outside, address: 203.0.113.10/24 } ]
  objects: [ ${web} ]
  steps:
  - { at: 0s, run: kubectl delete pod web --grace-period=1 }
  - { at: 8s, in: node/node1, run: iptables-save }
  - { at: 8s, in: node/node1, run: ip route }
  - { at: 9s, run: "kubectl apply -f - <<'EOF'\\n${web}\\nEOF" }
  - { at: 20s, in: host/outside, run: nc -N 192.168.56.11 8000 <<< hello, expect: { stdout: hello } }
`;
    const r = runLab(parseLab(compile(reconcile(parseScenario(text, 's.yaml', () => ''))).text, 's.yaml'));
    for (const s of r.steps) assert.is(s.exit, 0, `${s.command}: ${s.stderr}`);
    const [rules, routes] = r.steps.filter((s) => s.at === 8e9).map((s) => s.stdout) as [string, string];
    assert.not.match(rules, /CNI-DN-|10\.0\.1\.2|CNI-[0-9a-f]{24}|cali[0-9a-f]{11}/);
    assert.not.match(routes, /10\.0\.1\.2|cali/);
    assert.equal(r.failures, []);
  });
} // prettier-ignore

/** A plugin's row in README, from captures of one ping each: to a neighbour, over one network, over a router, outside. */
function row(cni: string): string {
  const { pods, nodes } = worldOf(cni);
  const node1 = nodes[0]!.split('/')[0]!;
  const [a, near, far, away] = [pods[0]!, pods[1]!, pods[2]!, pods[4]!];
  const r = run(cni, [
    ...[near, far, away].map((b): [string, string] => [`pod/${a.name}`, `ping -c 1 ${b.ip}`]),
    [`pod/${a.name}`, 'ping -c 1 203.0.113.10'],
    [`pod/${a.name}`, 'ip link show eth0'],
  ]);
  const seen = packets(r);
  const at = (iface: string, dst: string): Seen => seen.find((x) => x.iface === iface && x.request && x.dst === dst)!;
  const hops = (b: Pod): string => String(64 - at(inPod(b), b.ip).ttl);
  const way = seen.filter((x) => x.iface.startsWith('node1/') && x.request && x.dst === far.ip).map((x) => x.iface);
  const last = seen.find((x) => x.iface === 'node1/eth0' && x.seq > at(way[0]!, far.ip).seq)!;
  const overhead = (b: Pod): number => {
    const inner = at(inPod(a), b.ip).length;
    const wire = seen.filter((x) => x.iface === `node${b.node + 1}/eth0`);
    const plain = wire.find((x) => x.request && x.dst === b.ip);
    const outer = wire.find((x) => !x.request && x.src === node1 && x.length > inner);
    return (plain ?? outer)!.length - inner;
  };
  const own = (x: Seen): string =>
    x.src === a.ip ? 'pod' : x.src === node1 ? 'node' : x.src === '198.51.100.11' ? 'node, translated' : x.src;
  const mtu = /mtu (\d+)/.exec(r.steps.at(-1)!.stdout)![1]!;
  const cells = [
    `\`${cni}\``,
    hops(near),
    `${hops(far)}: ${[...new Set([...way, last.iface])].map((i) => i.slice(6).replace(/^(veth(?!we-)|cali|eni).*/, '$1')).join(', ')}`,
    `${overhead(far)}, ${overhead(away)}`,
    mtu,
    own(at(inPod(far), far.ip)),
    own(at('outside/eth0', '203.0.113.10')),
  ];
  return `| ${cells.join(' | ')} |`;
}

Plugins('README tells of each plugin what its captures show', () => {
  const readme = readFileSync('README.md', 'utf8').split('\n');
  for (const cni of PLUGINS) {
    const actual = row(cni);
    assert.is(
      actual,
      readme.find((l) => l.startsWith(`| \`${cni}\` |`)),
    );
  }
});

Plugins.run();
