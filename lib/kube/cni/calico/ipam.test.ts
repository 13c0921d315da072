/** Calico's blocks, and what Felix changes when pods come and go. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Machine } from '../../scenario.js';
import { DROP, jump, rule } from './felix.js';
import { BlockIpam } from './ipam.js';
import { IpsetProgram, IptablesProgram } from './program.js';

const node = (name: string, podCIDR: string): Machine => ({
  name,
  addresses: ['192.168.0.1/24'],
  podCIDR,
  labels: {},
  resolvConf: null,
});
const [n1, n2] = [node('n1', '10.0.1.0/28'), node('n2', '10.0.2.0/28')];

const Ipam = suite('lib/kube/cni/calico/ipam');

Ipam('a node takes block after block of its podCIDR; the first address is the tunnel’s', () => {
  const ipam = new BlockIpam([n1, n2], 30, true);
  assert.is(ipam.tunnelAddress(n1), '10.0.1.0');
  assert.equal([1, 2, 3, 4].map(() => ipam.allocate(n1, 'x')), ['10.0.1.1', '10.0.1.2', '10.0.1.3', '10.0.1.4']); // prettier-ignore
  assert.equal(ipam.networksOf(n1), { blocks: ['10.0.1.0/30', '10.0.1.4/30'], borrowed: [] });
  assert.equal(ipam.networksOf(n2).blocks, ['10.0.2.0/30']);
  assert.equal(Array.from({ length: 12 }, () => ipam.allocate(n1, 'x')).slice(-2), ['10.0.1.15', null]);
});

Ipam('an address that is given back is given last; without tunnels the first is a pod’s', () => {
  const ipam = new BlockIpam([n1], 30, false);
  assert.equal(ipam.networksOf(n1).blocks, []);
  assert.equal([1, 2].map(() => ipam.allocate(n1, 'x')), ['10.0.1.0', '10.0.1.1']); // prettier-ignore
  ipam.release(n1, '10.0.1.0');
  ipam.release(n1, '10.0.1.0');
  assert.equal([1, 2, 3, 4].map(() => ipam.allocate(n1, 'x')), ['10.0.1.2', '10.0.1.3', '10.0.1.0', '10.0.1.4']); // prettier-ignore
});

Ipam('an address that is asked for may be of another node’s block, and is borrowed until it is given back', () => {
  const ipam = new BlockIpam([n1, n2], 30, true);
  const annotations = { 'cni.projectcalico.org/ipAddrs': '["10.0.1.6"]' };
  assert.is(ipam.asked(annotations), '10.0.1.6');
  assert.is(ipam.asked({}), '');
  assert.is(ipam.reserve(n2, '10.0.1.6', 'that of Pod "a"'), '');
  assert.is(ipam.reserve(n1, '10.0.1.6', 'x'), 'one that is free: it is that of Pod "a"');
  assert.is(ipam.reserve(n1, '10.0.1.0', 'x'), "one that is free: it is the tunnel's");
  assert.is(ipam.reserve(n1, '10.0.9.1', 'x'), "an address in 10.0.1.0/28 of n1, or of another node's podCIDR");
  assert.is(ipam.reserve(n1, 'bogus', 'x'), "an address in 10.0.1.0/28 of n1, or of another node's podCIDR");
  assert.equal(ipam.networksOf(n2), { blocks: ['10.0.2.0/30'], borrowed: ['10.0.1.6/32'] });
  assert.equal(ipam.networksOf(n1), { blocks: ['10.0.1.0/30', '10.0.1.4/30'], borrowed: [] });
  ipam.release(n2, '10.0.1.6');
  assert.equal(ipam.networksOf(n2).borrowed, []);
});

Ipam('a MAC address that is asked for is one, and nothing more', () => {
  const of = (mac: string): string => new BlockIpam([n1], 30, false).refused({ 'cni.projectcalico.org/hwAddr': mac });
  assert.is(new BlockIpam([n1], 30, false).refused({}), '');
  assert.is(of('0a:58:0A:00:01:02'), '');
  for (const bad of [
    '',
    'zz',
    '01:00:5e:00:00:01',
    '00:00:00:00:00:00',
    '02:00:00:00:00:01 mtu 100',
    '02:00:00:00:00:01\nip link del eth0',
  ])
    assert.match(of(bad), /^found cni\.projectcalico\.org\/hwAddr ".*", expected the MAC address of a device like/);
});

Ipam('IptablesProgram writes what changes: from the first rule that differs to the end of its chain', () => {
  const program = new IptablesProgram('n');
  const table = (...targets: string[]): string[] =>
    program
      .apply([{ table: 'filter', inserts: [], appends: [], chains: [{ name: 'c', rules: targets.map((t) => rule('', t)) }] }])
      .flatMap((x) => x.split('\n').slice(1, -1))
      .map((x) => x.replace(/cali:.{16}/, 'H')); // prettier-ignore
  const h = '-m comment --comment "H"';
  assert.equal(table(jump('x'), DROP), ['*filter', ':c - [0:0]', `-A c ${h} --jump x`, `-A c ${h} --jump DROP`, 'COMMIT']); // prettier-ignore
  assert.equal(table(jump('x'), DROP), []);
  assert.equal(table(jump('y'), DROP), ['*filter', `-R c 1 ${h} --jump y`, `-R c 2 ${h} --jump DROP`, 'COMMIT']);
  assert.equal(table(jump('y')), ['*filter', '-D c 2', 'COMMIT']);
  assert.equal(
    program.apply([{ table: 'filter', inserts: [], appends: [], chains: [] }])[0]!.split('\n').slice(1, -1),
    ['*filter', ':c - [0:0]', '-X c', 'COMMIT'],
  ); // prettier-ignore
});

Ipam('IpsetProgram changes members one by one, and destroys a set after the rules are gone', () => {
  const program = new IpsetProgram('n');
  const set = (...members: string[]): { before: string[]; after: string[] } =>
    program.apply([{ name: 's', type: 'hash:net', members }]);
  assert.equal(set('10.0.0.1').before[0]!.split('\n').slice(1, -1), ['create s hash:net family inet maxelem 1048576', 'add s 10.0.0.1']); // prettier-ignore
  assert.equal(set('10.0.0.1'), { before: [], after: [] });
  assert.equal(set('10.0.0.2').before[0]!.split('\n').slice(1, -1), ['del s 10.0.0.1', 'add s 10.0.0.2']);
  assert.equal(program.apply([]), { before: [], after: ['ip netns exec n ipset destroy s'] });
});

Ipam.run();
