/** conntrack -L: who holds an entry. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';

const LAB = `kind: Lab
metadata: { name: t }
spec:
  setup: |
    ip netns add c
    ip netns add r
    ip netns add s
    ip link add eth0 netns c type veth peer name c0 netns r
    ip link add eth0 netns s type veth peer name s0 netns r
    ip -n c addr add 10.0.1.2/24 dev eth0
    ip -n r addr add 10.0.1.1/24 dev c0
    ip -n r addr add 10.0.2.1/24 dev s0
    ip -n c link set eth0 up
    ip -n s link set eth0 up
    ip -n r link set c0 up
    ip -n r link set s0 up
    ip -n c route add default via 10.0.1.1
    ip netns exec r sysctl -q -w net.ipv4.ip_forward=1
    ip netns exec r iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
  steps:
  - { at: 0s, run: ip netns exec c ping -c 2 -i 0.2 -W 5 10.0.2.9 }
  - { at: 500ms, run: ip netns exec r conntrack -L }
  - { at: 5s, run: ip netns exec r conntrack -L }
`;

const Conntrack = suite('lib/lab/conntrack');
Conntrack('packets that wait for an address are users of their entry until they are dropped', () => {
  const [, waiting, after] = runLab(parseLab(LAB, 't.yaml')).steps.map((s) => s.stdout);
  assert.match(waiting!, / use=3\n$/);
  assert.match(after!, / use=1\n$/);
});
Conntrack.run();
