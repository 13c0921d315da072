import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nodeAddresses } from './node-addresses.js';

const NodeAddresses = suite('lib/kube/kube-proxy/node-addresses');
NodeAddresses('nodeAddresses() finds what the commands give to the devices of the node', () => {
  const commands = [
    'ip -n node1 addr add 192.168.0.2/24 dev eth0',
    'ip -n node1 addr add 10.0.1.1/24 dev cni0',
    'ip -n node2 addr add 10.0.2.1/24 dev cni0',
    'ip -n node1 addr add 127.0.0.2/8 dev lo',
    'ip netns exec node1 ip addr add 9.0.0.1/32 brd + dev flannel.1',
    'ip -n node1 link set cni0 up',
  ];
  assert.equal(nodeAddresses(commands, 'node1', '192.168.0.2'), ['192.168.0.2', '9.0.0.1', '10.0.1.1']);
  assert.equal(nodeAddresses(commands, 'node3', '192.168.0.4'), ['192.168.0.4']);
});
NodeAddresses.run();
