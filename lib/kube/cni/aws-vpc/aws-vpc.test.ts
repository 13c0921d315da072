/** The Amazon VPC CNI: whose addresses ipamd hands out, what a scenario in a VPC is refused for, what a pod leaves behind. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ntoa } from '../../../../wire/inet.js';
import { runLab } from '../../../lab/engine.js';
import { parseLab } from '../../../lab/lab.js';
import { InputError } from '../../../sim/input-error.js';
import { compile } from '../../compile.js';
import { reconcile } from '../../controllers.js';
import { parseScenario } from '../../scenario.js';
import { documents } from '../../api/at.js';
import type { Machine } from '../../scenario.js';
import { parseAwsVpc } from './config.js';
import { Ipamd } from './ipamd.js';

const machine = (name: string, address: string): Machine => ({
  name,
  addresses: [address],
  podCIDR: '',
  labels: {},
  resolvConf: null,
});
const ipamd = (words: string, nodes: Machine[]): Ipamd =>
  new Ipamd({ nodes, hosts: [] }, parseAwsVpc(documents(`{ plugin: aws-vpc, ${words} }`, 'cni.yaml')[0]!));
/** Every ENI: its device, its address, what it has for pods. */
const enis = (i: Ipamd, n: Machine): string[] =>
  i.enisOf(n).map((e) => `${e.device} ${ntoa(e.address)}: ${e.blocks.map((b) => ntoa(b)).join(' ')}`);

const Aws = suite('lib/kube/cni/aws-vpc');

Aws('one whole ENI is kept in reserve: the first pod brings the second ENI', () => {
  const n = machine('n', '10.0.1.11/24');
  const i = ipamd('', [n]);
  assert.equal(enis(i, n), ['0 10.0.1.11: 10.0.1.4 10.0.1.5 10.0.1.6 10.0.1.7 10.0.1.8']);
  assert.is(i.allocate(n, 'a'), '10.0.1.4');
  assert.equal(enis(i, n).slice(1), ['1 10.0.1.9: 10.0.1.10 10.0.1.12 10.0.1.13 10.0.1.14 10.0.1.15']);
  assert.equal([1, 2, 3, 4, 5].map(() => i.allocate(n, 'x')), ['10.0.1.5', '10.0.1.6', '10.0.1.7', '10.0.1.8', '10.0.1.10']); // prettier-ignore
  assert.is(enis(i, n).length, 3);
  assert.is(i.eniOf(n, '10.0.1.10').device, 1);
});

Aws('addresses end with the ENIs that the instance type or MAX_ENI allows', () => {
  const n = machine('n', '10.0.1.11/24');
  const i = ipamd('ipv4AddressesPerInterface: 2, env: { MAX_ENI: 2 }', [n]);
  assert.equal([1, 2, 3].map(() => i.allocate(n, 'x')), ['10.0.1.4', '10.0.1.6', null]); // prettier-ignore
  assert.match(i.rangeOf(n), /^10\.0\.1\.0\/24 \(2 addresses on 2 ENIs/);
});

Aws('WARM_IP_TARGET and MINIMUM_IP_TARGET count addresses', () => {
  const n = machine('n', '10.0.1.11/24');
  const i = ipamd('env: { WARM_IP_TARGET: 2, MINIMUM_IP_TARGET: 3 }', [n]);
  assert.equal(enis(i, n), ['0 10.0.1.11: 10.0.1.4 10.0.1.5 10.0.1.6']);
  i.allocate(n, 'a');
  assert.is(i.enisOf(n)[0]!.blocks.length, 3);
  for (let k = 0; k < 3; k++) i.allocate(n, 'x');
  assert.equal(enis(i, n).map((e) => e.split(':')[0]), ['0 10.0.1.11', '1 10.0.1.9']); // prettier-ignore
  assert.equal(i.enisOf(n).map((e) => e.blocks.length), [5, 1]); // prettier-ignore
});

Aws('prefixes: 16 addresses each, one whole prefix in reserve', () => {
  const n = machine('n', '10.0.1.11/24');
  const i = ipamd('env: { ENABLE_PREFIX_DELEGATION: true }, ipv4AddressesPerInterface: 3', [n]);
  assert.equal(enis(i, n), ['0 10.0.1.11: 10.0.1.16']);
  assert.is(i.allocate(n, 'a'), '10.0.1.16');
  assert.equal(enis(i, n), ['0 10.0.1.11: 10.0.1.16 10.0.1.32']);
  for (let k = 0; k < 16; k++) i.allocate(n, 'x');
  assert.equal(enis(i, n), ['0 10.0.1.11: 10.0.1.16 10.0.1.32', '1 10.0.1.4: 10.0.1.48']);
});

Aws('an address that was given back is nobody’s for IP_COOLDOWN_PERIOD, then the first of its prefix', () => {
  const n = machine('n', '10.0.1.11/24');
  const i = ipamd('env: { ENABLE_PREFIX_DELEGATION: true }', [n]);
  assert.equal([1, 2].map(() => i.allocate(n, 'x', 0)), ['10.0.1.16', '10.0.1.17']); // prettier-ignore
  i.release(n, '10.0.1.16', 1e9);
  assert.is(i.allocate(n, 'x', 31e9), '10.0.1.18');
  assert.is(i.allocate(n, 'x', 31e9 + 1), '10.0.1.16');
});

Aws('an address that is asked for is one EC2 gave the first ENI with room', () => {
  const [n, m] = [machine('n', '10.0.1.11/24'), machine('m', '10.0.1.12/24')];
  const i = ipamd('ipv4AddressesPerInterface: 2, maximumNetworkInterfaces: 2', [n, m]);
  assert.is(i.reserve(n, '10.0.1.21', 'that of Pod "a"'), '');
  assert.is(i.reserve(n, '10.0.1.21', 'x'), 'one that is free: it is that of Pod "a"');
  assert.is(
    i.reserve(m, '10.0.1.21', 'x'),
    "one that is free: in 10.0.1.0/24 it is another machine's or the VPC's own",
  );
  assert.is(i.reserve(n, '10.0.1.3', 'x'), "one that is free: in 10.0.1.0/24 it is another machine's or the VPC's own");
  assert.is(i.reserve(n, '10.0.2.4', 'x'), 'an address in 10.0.1.0/24 of n');
  assert.is(i.reserve(n, '10.0.1.4', 'x'), '');
  assert.is(i.reserve(n, '10.0.1.30', 'x'), 'one of at most 1 addresses on each of 2 ENIs');
  assert.equal(enis(i, n), ['0 10.0.1.11: 10.0.1.21', '1 10.0.1.5: 10.0.1.4']);
  assert.equal(enis(i, m), ['0 10.0.1.12: 10.0.1.6']);
});

Aws('a subnet that is full leaves ENIs without addresses', () => {
  const n = machine('n', '10.0.1.4/28');
  const i = ipamd('', [n]);
  const got: string[] = [];
  for (let ip = i.allocate(n, 'x'); ip !== null; ip = i.allocate(n, 'x')) got.push(ip);
  assert.is(got.length, 16 - 5 - 2);
  assert.not.ok(got.includes('10.0.1.4'));
});

const N1 = '{ name: node1, address: 10.0.1.11/24, publicAddress: 198.51.100.11 }';
const scenario = (cni: string, rest: string, nodes = N1): string => `kind: Scenario
metadata: { name: t }
spec:
  nodes: [ ${nodes} ]
  cni: { plugin: aws-vpc${cni} }
${rest}`;
const error = (text: string): string => {
  try {
    compile(reconcile(parseScenario(text, 's.yaml', () => '')));
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'accepted';
};
const LAPTOP = '  hosts: [ { name: laptop, address: 203.0.113.10/24 } ]\n';
const group = (rule: string): string => scenario(`, securityGroups: [ { GroupName: a, SecurityGroupIngress: [ ${rule} ] } ]`, ''); // prettier-ignore
const BAD: [text: string, message: string][] = [
  [scenario('', '', '{ name: node1, address: 10.0.1.11/24, podCIDR: 10.0.1.0/24 }'), 's.yaml:4:50: spec.nodes[0]: found unknown field "podCIDR", expected one of: name, address, addresses, resolvConf, labels, publicAddress, securityGroups'],
  [scenario('', '  networking: { podSubnet: 10.0.0.0/16 }\n'), 's.yaml:6:17: spec.networking: found unknown field "podSubnet", expected one of: serviceSubnet, dnsDomain'],
  [scenario(', vpcCIDRs: [ 10.9.0.0/16 ]', ''), 's.yaml:4:36: spec.nodes[0].address: found 10.0.1.11/24, expected an address in 10.9.0.0/16'],
  [scenario(', vpcCIDRs: [ 10.0.0.0/8 ]', ''), 's.yaml:5:39: spec.cni.vpcCIDRs[0]: found 10.0.0.0/8, expected a block of a VPC: a prefix length from 16 to 28'],
  [scenario(', vpcCIDRs: [ 10.0.0.0/16, 10.0.4.0/24 ]', ''), 's.yaml:5:52: spec.cni.vpcCIDRs[1]: found 10.0.4.0/24, expected a block apart from 10.0.0.0/16'],
  [scenario(', vpcCIDRs: [ ]', ''), 's.yaml:5:37: spec.cni.vpcCIDRs: found no block, expected the CIDR blocks of the VPC'],
  [scenario(', vpcCIDRs: [ 10.0.0.0/16, 10.96.0.0/16 ]', ''), 's.yaml:5:37: spec.cni.vpcCIDRs: found 10.96.0.0/16 and serviceSubnet 10.96.0.0/12, expected networks that do not overlap'],
  [scenario(', env: { WARM_ENI: 1 }', ''), 's.yaml:5:34: spec.cni.env: found unknown field "WARM_ENI", expected one of: WARM_IP_TARGET, MINIMUM_IP_TARGET, WARM_ENI_TARGET, WARM_PREFIX_TARGET, MAX_ENI, ENABLE_PREFIX_DELEGATION, IP_COOLDOWN_PERIOD, AWS_VPC_ENI_MTU, AWS_VPC_K8S_CNI_EXTERNALSNAT, AWS_VPC_K8S_CNI_RANDOMIZESNAT, AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS, AWS_VPC_CNI_NODE_PORT_SUPPORT'],
  [scenario('', '', N1.replace('.11/24', '.3/24')), 's.yaml:4:36: spec.nodes[0].address: found 10.0.1.3/24, expected none of the first four addresses and the last, which the VPC keeps'],
  [scenario('', '', N1.replace('/24', '/30')), 's.yaml:4:36: spec.nodes[0].address: found 10.0.1.11/30, expected the address of a machine'],
  [scenario('', '', N1.replace('.11/24', '.10/30')), 's.yaml:4:36: spec.nodes[0].address: found 10.0.1.10/30, expected a subnet of 10.0.0.0/16 with a prefix length of at most 28'],
  [scenario('', '', `${N1}, { name: node2, address: 10.0.1.130/25 }`), 's.yaml:4:106: spec.nodes[1].address: found the subnet 10.0.1.128/25, expected one apart from 10.0.1.0/24'],
  [scenario('', '', N1.replace('publicAddress', 'addresses: [ 10.0.2.4/24 ], publicAddress')), 's.yaml:4:63: spec.nodes[0].addresses[0]: found 10.0.2.4/24, expected an address in 10.0.1.0/24'],
  [scenario('', LAPTOP.replace('203.0.113.10/24', '10.0.0.1/8')), 's.yaml:6:37: spec.hosts[0].address: found 10.0.0.1/8, expected a subnet of 10.0.0.0/16 with a prefix length of at most 28'],
  [scenario('', LAPTOP.replace('203.0.113.10/24', '10.1.0.9/8')), 's.yaml:6:37: spec.hosts[0].address: found 10.1.0.9/8, expected a network that holds nothing of the VPC'],
  [scenario('', LAPTOP.replace('/24', '/24, publicAddress: 198.51.100.7')), 's.yaml:6:69: spec.hosts[0].publicAddress: found publicAddress, expected none: the machine is outside of the VPC'],
  [scenario('', '', N1.replace('198.51.100.11', '10.0.7.1')), 's.yaml:4:65: spec.nodes[0].publicAddress: found 10.0.7.1, expected an address outside of 10.0.0.0/16'],
  [scenario('', '', `${N1}, { name: node2, address: 10.0.1.12/24, publicAddress: 198.51.100.11 }`), 's.yaml:4:135: spec.nodes[1].publicAddress: found 198.51.100.11, expected an address that nobody else has'],
  [scenario('', LAPTOP.replace('laptop', 'igw')), 's.yaml:6:20: spec.hosts[0].name: found "igw", expected a name other than vpc, igw'],
  [scenario('', '  kubeProxy: { detectLocalMode: NodeCIDR }\n'), 's.yaml:6:33: spec.kubeProxy.detectLocalMode: found NodeCIDR, expected another mode: in a VPC a node has no podCIDR'],
  [scenario('', '', N1.replace('publicAddress', 'securityGroups: [ a ], publicAddress')), 's.yaml:4:66: spec.nodes[0].securityGroups: found security groups, expected none: cni.securityGroups defines none'],
  [scenario(', securityGroups: [ { GroupName: a } ]', ''), 's.yaml:4:12: spec.nodes[0]: missing "securityGroups", expected some of: a'],
  [scenario(', securityGroups: [ { GroupName: a } ]', '', N1.replace('publicAddress', 'securityGroups: [ b ], publicAddress')), 's.yaml:4:68: spec.nodes[0].securityGroups[0]: found "b", expected one of: a'],
  [scenario(', securityGroups: [ { GroupName: a }, { GroupName: a } ]', ''), 's.yaml:5:76: spec.cni.securityGroups[1].GroupName: found a again, expected groups of different names'],
  [scenario(', securityGroups: [ { GroupName: a b } ]', ''), `s.yaml:5:58: spec.cni.securityGroups[0].GroupName: found "a b", expected at most 23 letters, digits, '.', '_' and '-'`],
  [group('{ IpProtocol: tcp, FromPort: 1, ToPort: 2 }'), 's.yaml:5:85: spec.cni.securityGroups[0].SecurityGroupIngress[0]: found not one of CidrIp and SourceSecurityGroupName, expected one'],
  [group('{ IpProtocol: gre, CidrIp: 0.0.0.0/0 }'), 's.yaml:5:99: spec.cni.securityGroups[0].SecurityGroupIngress[0].IpProtocol: found "gre", expected one of: tcp, udp, icmp'],
  [group('{ IpProtocol: -1, FromPort: 1, CidrIp: 0.0.0.0/0 }'), 's.yaml:5:113: spec.cni.securityGroups[0].SecurityGroupIngress[0].FromPort: found a port, expected none for IpProtocol -1'],
  [group('{ IpProtocol: udp, FromPort: 5, ToPort: 4, CidrIp: 0.0.0.0/0 }'), 's.yaml:5:125: spec.cni.securityGroups[0].SecurityGroupIngress[0].ToPort: found 4, expected a whole number from 5 to 65535'],
  [scenario('', LAPTOP), 'accepted'],
]; // prettier-ignore
for (const [text, message] of BAD) Aws(`a scenario in a VPC: ${message}`, () => assert.is(error(text), message));

Aws('a pod that ends takes its rules and routes along, one that comes later has its own', () => {
  const web = '{ apiVersion: v1, kind: Pod, metadata: { name: web, annotations: { podwire.dev/run: podwire app echo --tcp 80 } }, spec: { nodeName: node1, containers: [ { name: a, image: busybox, ports: [ { containerPort: 80, hostPort: 8000 } ] } ] } }'; // prettier-ignore
  const first = web.replaceAll('web', 'first').replace('hostPort: 8000', 'hostPort: 0');
  const text = scenario(
    ', ipv4AddressesPerInterface: 2, maximumNetworkInterfaces: 2, env: { IP_COOLDOWN_PERIOD: 0 }',
    `${LAPTOP}  objects: [ ${first.replace(', ports: [ { containerPort: 80, hostPort: 0 } ]', '')}, ${web} ]
  steps:
  - { at: 0s, run: kubectl delete pod web --grace-period=1 }
  - { at: 8s, in: node/node1, run: iptables-save }
  - { at: 8s, in: node/node1, run: "ip rule\\nip route show table all" }
  - { at: 9s, run: "kubectl apply -f - <<'EOF'\\n${web}\\nEOF" }
  - { at: 20s, in: host/laptop, run: nc -N 198.51.100.11 8000 <<< hello, expect: { stdout: hello } }
  - { at: 21s, in: node/node1, run: ip rule, expect: { stdout: from 10.0.1.6 lookup 2 } }
`,
  );
  const r = runLab(parseLab(compile(reconcile(parseScenario(text, 's.yaml', () => ''))).text, 's.yaml'));
  for (const s of r.steps) assert.is(s.exit, 0, `${s.command}: ${s.stderr}`);
  const gone = r.steps.filter((s) => s.at === 8e9).map((s) => s.stdout).join(''); // prettier-ignore
  assert.not.match(gone, /CNI-DN-|10\.0\.1\.6/);
  assert.match(gone, /to 10\.0\.1\.4 lookup main/);
  assert.equal(r.failures, []);
});

Aws.run();
