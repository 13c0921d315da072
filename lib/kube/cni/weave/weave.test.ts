/** Weave's names, ids and addresses, against the project's own test vectors and a worked example; what its flows carry. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from '../../../lab/engine.js';
import { parseLab } from '../../../lab/lab.js';
import { InputError } from '../../../sim/input-error.js';
import { compile } from '../../compile.js';
import { reconcile } from '../../controllers.js';
import { parseScenario } from '../../scenario.js';
import { WeaveFlows } from './flows.js';
import { WeaveIpam } from './ipam.js';
import { setsOf } from './npc.js';
import { peerNameOf, peersOfNodes, tunnelID } from './peers.js';

const node = (i: number) => ({ name: `node${i}`, addresses: [`192.168.56.1${i}/24`], podCIDR: '', resolvConf: null, labels: {} }); // prettier-ignore
const given = [
  { node: 'node1', name: '9a:11:22:33:44:01', shortID: 0x5a1 },
  { node: 'node2', name: '9a:11:22:33:44:02', shortID: 0x0c7 },
];
const RANGE = '10.32.0.0/12';

const Weave = suite('lib/kube/cni/weave');

Weave('a peer is named by its machine, its sets by their texts', () => {
  assert.is(peerNameOf('0123456789abcdef0123456789abcdef11111111-2222-3333-4444-555555555501'), '0a:9f:d2:32:c8:f6');
  assert.equal(setsOf('default').slice(0, 2), ['weave-;rGqyMIl1HN^cfDki~Z$3]6!N', 'weave-s_+ChJId4Uy_$}G;WdH|~TK)I']);
});

Weave('too many pods are an error, not a text that no string can hold', () => {
  const flows = new WeaveFlows(peersOfNodes([node(1), node(2)], given, RANGE), 's.yaml');
  const mac = (n: number, i: number): string => `02:00:00:0${n}:${i >> 8}0:${(i & 255).toString(16).padStart(2, '0')}`;
  const fill = (pods: number): void => {
    for (let i = 0; i < pods; i++) for (const n of [1, 2]) flows.add(`node${n}`, mac(n, i));
  };
  fill(50);
  assert.throws(
    () => fill(1000),
    (e: Error) =>
      e instanceof InputError && /^s\.yaml: Weave's flows have more than 16777216 characters/.test(e.message),
  );
});

Weave('tunnel ids differ by direction', () => {
  const [one, two] = peersOfNodes([node(1), node(2)], given, RANGE) as [never, never];
  assert.is(Number(tunnelID(one, two)), 816545);
  assert.is(Number(tunnelID(two, one)), 5902535);
});

Weave('the range is halved for halves of the peers, in the order of their names', () => {
  const nodes = [node(1), node(2), node(3)];
  const names = [...given, { node: 'node3', name: '02:00:00:00:00:01', shortID: null }];
  const ipam = new WeaveIpam(peersOfNodes(nodes, names, RANGE), RANGE);
  assert.equal(nodes.map((n) => ipam.rangeOf(n)), ['10.40.0.0-10.43.255.255', '10.44.0.0-10.47.255.255', '10.32.0.0-10.39.255.255']); // prettier-ignore
  assert.equal(nodes.map((n) => ipam.bridgeOf(n)), ['10.40.0.0', '10.44.0.0', '10.32.0.1']); // prettier-ignore
});

Weave('an address that is free again is the next one to be given', () => {
  const [n, other] = [node(1), node(2)];
  const ipam = new WeaveIpam(peersOfNodes([n, other], given, RANGE), RANGE);
  assert.is(ipam.reserve(n, '10.32.0.3', 'that of Pod "x"'), '');
  assert.is(ipam.reserve(n, '10.32.0.3', 'y'), 'one that is free: it is that of Pod "x"');
  assert.is(ipam.reserve(n, '10.40.0.9', 'y'), 'an address in 10.32.0.0-10.39.255.255 of node1');
  assert.is(ipam.reserve(other, '10.47.255.255', 'y'), 'an address in 10.40.0.0-10.47.255.255 of node2');
  assert.equal([1, 2].map(() => ipam.allocate(n, 'a')), ['10.32.0.2', '10.32.0.4']); // prettier-ignore
  ipam.release(n, '10.32.0.2');
  assert.is(ipam.allocate(n, 'b'), '10.32.0.2');
});

Weave('what a station brings its end takes away', () => {
  const flows = new WeaveFlows(peersOfNodes([node(1), node(2)], given, RANGE), 's.yaml');
  const lines = (): string[] =>
    flows.flush().flatMap((c) => c.split('\n').filter((l) => /^(add|delete) /.test(l)).map((l) => `${c.split(' ')[3]} ${l}`)); // prettier-ignore
  assert.equal(lines(), []);
  flows.start('node1');
  flows.start('node2');
  assert.is(lines().length, 2 * 2 + 4);
  flows.add('node1', '02:00:00:00:00:0a');
  const added = lines().map((l) => l.replace(/ add (\S+) .*/, ' $1'));
  flows.remove('node1', '02:00:00:00:00:0a');
  assert.equal(lines().map((l) => l.replace(/ delete (\S+)/, ' $1')).sort(), added.sort()); // prettier-ignore
});

const pod = (name: string, n: number): string => `{ apiVersion: v1, kind: Pod, metadata: { name: ${name} }, spec: { nodeName: node${n}, containers: [ { name: c, image: busybox } ] } }`; // prettier-ignore
const scenario = (cni: string, steps: string, podSubnet = RANGE): string => `kind: Scenario
metadata: { name: t }
spec:
  nodes:
  - { name: node1, address: 192.168.56.11/24, podCIDR: ${podSubnet === RANGE ? '10.32.0.0/13' : podSubnet} }
${podSubnet === RANGE ? '  - { name: node2, address: 192.168.56.12/24, podCIDR: 10.40.0.0/13 }' : ''}
  networking: { podSubnet: ${podSubnet} }
  cni: { plugin: weave${cni} }
  objects: [ ${pod('a', 1)}${podSubnet === RANGE ? `, ${pod('c', 2)}` : ''} ]
  steps:
${steps}
`;

Weave('a pod that takes the address of one that ended is reached at once', () => {
  const steps = `  - { at: 0s, in: pod/a, run: ping -c 1 10.40.0.1, expect: { exit: 0 } }
  - { at: 100ms, run: kubectl delete pod c --grace-period=0 --force }
  - { at: 10s, run: "kubectl apply -f - <<'EOF'\\n${pod('d', 2)}\\nEOF" }
  - { at: 15s, in: pod/a, run: ping -c 1 -W 0.5 10.40.0.1, expect: { exit: 0 } }
  - { at: 16s, in: node/node1, run: ovs-dpctl dump-flows }
  - { at: 16s, in: node/node1, run: ipset save }`;
  const r = runLab(parseLab(compile(reconcile(parseScenario(scenario('', steps), 's.yaml', () => ''))).text, 's.yaml'));
  assert.equal(r.failures, []);
  for (const s of r.steps) assert.is(s.exit, 0, `${s.command}: ${s.stderr}`);
  // Of the stations on both nodes: two bridges, a, d.
  assert.is(
    r.steps
      .find((s) => /dump-flows/.test(s.command))!
      .stdout.trim()
      .split('\n').length,
    2 + 2 + 2 * 2 * 2,
  );
  const sets = r.steps.find((s) => /ipset save/.test(s.command))!.stdout;
  assert.is(sets.match(/pod: d"/g)!.length, 3);
  assert.not.match(sets, /pod: c"/);
});

Weave('errors have their place', () => {
  const fails = (text: string, message: RegExp): void =>
    assert.throws(() => reconcile(parseScenario(text, 's.yaml', () => '')), (e: Error) => message.test(e.message)); // prettier-ignore
  fails(scenario(', peers: [ { node: node9 } ]', '    []'), /^s\.yaml:\d+:\d+: .*peers\[0\]\.node: found.*node9/);
  fails(scenario(', peers: [ { node: node1, name: "01:00:00:00:00:01" } ]', '    []'), /expected a MAC address that is none of a group/);
  fails(scenario(', peers: [ { node: node1, shortID: 4096 } ]', '    []'), /4096/);
  fails(scenario(', peers: [ { node: node1, shortID: 1 }, { node: node2, shortID: 1 } ]', '    []'), /another shortID for each peer/);
  fails(scenario(', backend: {}', '    []'), /backend/);
}); // prettier-ignore

Weave.run();
