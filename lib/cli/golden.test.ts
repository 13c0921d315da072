/** What a golden tree is compared under. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from '../lab/engine.js';
import { parseLab } from '../lab/lab.js';
import { randomMacs } from './golden.js';

const Golden = suite('lib/cli/golden');
Golden('randomMacs() names the interfaces whose address the Lab leaves to chance', () => {
  const text = `kind: Lab
metadata: { name: x }
spec:
  setup: |
    ip netns add a
    ip link add br0 type bridge
    ip link add va address 02:00:00:00:00:01 type veth peer name eth0 netns a
    ip link set va master br0
    ip addr add 10.0.0.1/24 dev br0
    ip -n a addr add 10.0.0.2/24 dev eth0
    ip link set br0 up
    ip link set va up
    ip -n a link set eth0 up
  steps:
  - { at: 0s, run: ping -c 1 10.0.0.2 }
`;
  const { taps } = runLab(parseLab(text, 'x.yaml'));
  assert.equal(randomMacs(text, taps).sort(), ['a/eth0']);
});
Golden.run();
