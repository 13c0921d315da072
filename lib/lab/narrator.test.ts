/** Which frame a decision becomes a comment of. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';
import { Explainer } from '../capture/narrator.js';

const LAB = `kind: Lab
metadata: { name: x }
spec:
  setup: |
    ip netns add r
    ip netns add a
    ip netns add b
    ip link add va netns r address 02:00:00:00:01:01 type veth peer name eth0 netns a address 02:00:00:00:01:02
    ip link add vb netns r address 02:00:00:00:02:01 type veth peer name eth0 netns b address 02:00:00:00:02:02
    ip -n r addr add 10.0.1.1/24 dev va
    ip -n r addr add 10.0.2.1/24 dev vb
    ip -n a addr add 10.0.1.2/24 dev eth0
    ip -n b addr add 10.0.2.2/24 dev eth0
    ip -n r link set va up
    ip -n r link set vb up
    ip -n a link set eth0 up
    ip -n b link set eth0 up
    ip -n a route add default via 10.0.1.1
    ip -n b route add default via 10.0.2.1
    ip netns exec r sysctl -w net.ipv4.ip_forward=1
    ip netns exec r iptables -t nat -A PREROUTING -d 10.9.9.9/32 -j DNAT --to-destination 10.0.2.2
    ip netns exec r iptables -A FORWARD -p udp -j DROP
    ip netns exec a iptables -A OUTPUT -p icmp -j ACCEPT
  steps:
  - { at: 0s, run: ip netns exec a ping -c 1 -W 1 10.9.9.9 }
  - { at: 1s, run: ip netns exec a nc -u -w 1 10.9.9.9 53 <<< hi }
`;

const Explain = suite('lib/lab/narrator');

function comments(text = LAB): (iface: string, i: number) => readonly string[] {
  const narrator = new Explainer();
  const { taps } = runLab(parseLab(text, 'x'), { narrator });
  return (iface, i) => {
    const tap = taps.find((t) => t.iface === iface)!;
    assert.ok(i < tap.frames, `${iface} has ${tap.frames} frames`);
    return narrator.commentsOf(tap, i);
  };
}

Explain('a frame that arrives is told what happens to it next', () => {
  const of = comments();
  const echo = of('r/va', 2); // behind the ARP request and reply
  assert.ok(echo.includes('conntrack: NEW'), echo.join());
  assert.ok(
    echo.includes('nat/PREROUTING rule 1: DNAT (-d 10.9.9.9/32 -j DNAT --to-destination 10.0.2.2)'),
    echo.join(),
  );
  assert.ok(
    echo.some((t) => t.startsWith('DNAT: 10.9.9.9') && t.includes('10.0.2.2')),
    echo.join(),
  );
});
Explain('decisions before the first frame in a namespace stand at that frame', () => {
  assert.ok(comments()('a/eth0', 2).includes('filter/OUTPUT rule 1: ACCEPT (-p icmp -j ACCEPT)'));
});
Explain('a route and a neighbour are told as ip prints them', () => {
  const of = comments();
  assert.ok(of('a/eth0', 2).includes('route: default via 10.0.1.1 dev eth0'), of('a/eth0', 2).join());
  assert.ok(of('r/va', 2).includes('route: 10.0.2.0/24 dev vb proto kernel scope link src 10.0.2.1'));
  assert.ok(of('r/va', 2).includes('neighbour: 10.0.2.2 dev vb lladdr 02:00:00:00:02:02 REACHABLE'));
  assert.ok(of('b/eth0', 2).includes('route: local'));
});
Explain('a tunnel says where it puts an outer header on, and where it takes it off', () => {
  const narrator = new Explainer();
  const end = (n: string, x: number, y: number): string => `
    ip -n ${n} addr add 10.9.0.${x}/24 dev eth0
    ip -n ${n} link set eth0 up
    ip -n ${n} link add tun type ipip local 10.9.0.${x} remote 10.9.0.${y}
    ip -n ${n} addr add 10.8.0.${x}/24 dev tun
    ip -n ${n} link set tun up`;
  const lab = `kind: Lab
metadata: { name: x }
spec:
  setup: |
    ip netns add a
    ip netns add b
    ip link add eth0 netns a address 02:00:00:00:01:01 type veth peer name eth0 netns b address 02:00:00:00:01:02${end('a', 1, 2)}${end('b', 2, 1)}
  steps:
  - { at: 0s, run: ip netns exec a ping -c 1 10.8.0.2 }
`;
  const { taps } = runLab(parseLab(lab, 'x'), { narrator });
  const of = (iface: string, i: number): readonly string[] => narrator.commentsOf(taps.find((t) => t.iface === iface)!, i); // prettier-ignore
  assert.ok(of('a/tun', 0).includes('tun: into IPIP to 10.9.0.2, from 10.9.0.1'), of('a/tun', 0).join());
  assert.ok(of('b/eth0', 2).includes('tun: out of IPIP, of 10.9.0.1'), of('b/eth0', 2).join());
});
Explain('a drop stands at the last frame that was seen', () => {
  const udp = comments()('r/va', 4);
  assert.ok(udp.includes('filter/FORWARD rule 1: DROP (-p udp -j DROP)'), udp.join());
  assert.ok(udp.includes('dropped: NETFILTER_DROP by filter/FORWARD rule 1: DROP (-p udp -j DROP)'), udp.join());
});
Explain('a rule that leads into the chain of a policy, or is one of it, names the policy', () => {
  const policy = `ip netns exec r iptables -N cali-pi-x
    ip netns exec r iptables -A cali-pi-x -m comment --comment "Policy default/web ingress" -p udp -j MARK --set-mark 1
    ip netns exec r iptables -A cali-pi-x -m mark --mark 1 -j DROP
    ip netns exec r iptables -A FORWARD -j cali-pi-x`;
  const of = comments(LAB.replace('ip netns exec r iptables -A FORWARD -p udp -j DROP', policy));
  const udp = of('r/va', 4);
  const drop = 'filter/cali-pi-x rule 2: DROP (-m mark --mark 0x1 -j DROP): Policy default/web ingress';
  for (const text of ['filter/FORWARD rule 1: cali-pi-x (-j cali-pi-x): Policy default/web ingress', drop, `dropped: NETFILTER_DROP by ${drop}`])
    assert.ok(udp.includes(text), udp.join('\n'));
}); // prettier-ignore
Explain('an explained run gives the same frames', () => {
  const bytes = (narrator?: Explainer): string =>
    runLab(parseLab(LAB, 'x'), narrator === undefined ? {} : { narrator })
      .taps.map((t) => t.iface + Buffer.concat(t.pcap()).toString('hex'))
      .join();
  assert.is(bytes(new Explainer()), bytes());
});
Explain.run();
