/** The stack put together by hand: two namespaces, a bridge between them, frames as text at every device. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as arp from '../../../wire/arp.js';
import * as eth from '../../../wire/ethernet.js';
import { aton, ntoa } from '../../../wire/inet.js';
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as udp from '../../../wire/udp.js';
import { SEC } from '../../sim/sim.js';
import { addPort } from '../bridge/br-if.js';
import type { Kernel } from '../core/kernel.js';
import { bootKernel, createNetns } from '../core/machine.js';
import type { Netdev } from '../core/netdev.js';
import { addBridge, addVeth } from '../device/devices.js';
import { addAddress, devOpen } from './devinet.js';
import { newRoute, RTN_UNICAST } from './fib.js';
import { IcmpSock } from './raw.js';
import { UdpSock } from './udp.js';

const ip = (t: string): number => aton(t)!;

function line(b: Uint8Array, o: number): string {
  const n = o + eth.HLEN;
  if (eth.type(b, o) === eth.P_ARP) {
    return arp.op(b, n) === 1
      ? `who-has ${ntoa(arp.tip(b, n))} tell ${ntoa(arp.sip(b, n))}`
      : `${ntoa(arp.sip(b, n))} is-at`;
  }
  const t = n + ipv4.headerLen(b, n);
  const p = ipv4.proto(b, n);
  const l4 =
    p === ipv4.UDP ? `udp ${udp.sport(b, t)}>${udp.dport(b, t)}` : `icmp ${icmp.type(b, t)}/${icmp.code(b, t)}`;
  return `${ntoa(ipv4.src(b, n))}>${ntoa(ipv4.dst(b, n))} ttl ${ipv4.ttl(b, n)} ${l4}`;
}

function listen(dev: Netdev): string[] {
  const lines: string[] = [];
  dev.tap = { frame: (_now, dir, b, start) => void lines.push(`${dir === 1 ? 'in ' : 'out'} ${line(b, start)}`) };
  return lines;
}

/** Pods 10.0.1.2 and .3 on bridge cni0 (10.0.1.1) of a node. */
function node(): { k: Kernel; pods: Netdev[]; ports: Netdev[]; br: Netdev } {
  const k = bootKernel(1);
  const n = createNetns(k, 'node');
  n.confAll.forwarding = n.confDefault.forwarding = 1;
  const br = addBridge(n, 'cni0');
  devOpen(br);
  const pods: Netdev[] = [];
  const ports: Netdev[] = [];
  for (const i of [2, 3]) {
    const pod = createNetns(k, `pod${i}`);
    const [port, e] = addVeth(n, `veth${i}`, pod, 'eth0');
    e.mac.set([0x0a, 0x58, 10, 0, 1, i]);
    addPort(br, port);
    devOpen(port);
    devOpen(e);
    devOpen(pod.lo);
    addAddress(e, ip(`10.0.1.${i}`), 24, null, 0);
    pod.fib.main.add(newRoute({ type: RTN_UNICAST, dst: 0, prefix: 0, tos: 0, metric: 0, gw: ip('10.0.1.1'), dev: e, scope: 0, src: 0, proto: 'boot', onlink: false, table: 254, mtu: 0, mtuLock: false, paths: null })); // prettier-ignore
    pods.push(e);
    ports.push(port);
  }
  addAddress(br, ip('10.0.1.1'), 24, null, 0);
  br.conf.forwarding = 1;
  k.sim.settle();
  return { k, pods, ports, br };
}

const Stack = suite('lib/linux/ipv4/stack');

Stack('a ping between two ports shows ARP flooded, the rest switched', () => {
  const { k, pods, ports, br } = node();
  const a = listen(pods[0]!);
  const b = listen(ports[1]!);
  const c = listen(br);
  const s = new IcmpSock(pods[0]!.net);
  const echo = new Uint8Array(16);
  icmp.write(echo, 0, 16, icmp.ECHO, 0, 0x70001);
  assert.is(s.send(ip('10.0.1.3'), echo), 0);
  k.sim.settle();
  assert.equal(a, [
    'out who-has 10.0.1.3 tell 10.0.1.2',
    'in  10.0.1.3 is-at',
    'out 10.0.1.2>10.0.1.3 ttl 64 icmp 8/0',
    'in  10.0.1.3>10.0.1.2 ttl 64 icmp 0/0',
  ]);
  assert.equal(b, [
    'out who-has 10.0.1.3 tell 10.0.1.2',
    'in  10.0.1.3 is-at',
    'out 10.0.1.2>10.0.1.3 ttl 64 icmp 8/0',
    'in  10.0.1.3>10.0.1.2 ttl 64 icmp 0/0',
  ]);
  assert.equal(c, ['in  who-has 10.0.1.3 tell 10.0.1.2']);
  assert.is(s.recv()!.data[0], 0);
  assert.is(k.skbs.live, 0);
  k.sim.runUntil(20 * SEC);
  assert.is(a.length, 6, 'the answering side probes by unicast after 5 s');
});

Stack('a closed UDP port answers 3/3 and a connected socket learns of it', () => {
  const { k, pods } = node();
  const a = listen(pods[0]!);
  const s = new UdpSock(pods[0]!.net);
  assert.is(s.connect(ip('10.0.1.3'), 9), 0);
  assert.is(s.send(new Uint8Array(3)), 0);
  k.sim.settle();
  assert.ok(a[3]!.endsWith('ttl 64 icmp 3/3'), a.join('\n'));
  assert.is(s.takeError(), 111);
  assert.is(k.skbs.live, 0);
});

Stack('three unanswered requests end in host unreachable over lo', () => {
  const { k, pods } = node();
  const a = listen(pods[0]!);
  const lo = listen(pods[0]!.net.lo);
  const s = new UdpSock(pods[0]!.net);
  assert.is(s.send(new Uint8Array(3), ip('10.0.1.9'), 53), 0);
  k.sim.runUntil(4 * SEC);
  assert.is(a.filter((l) => l.startsWith('out who-has')).length, 3);
  assert.equal(lo, ['in  10.0.1.2>10.0.1.2 ttl 64 icmp 3/1']);
  assert.is(k.skbs.live, 0);
});

Stack('a packet through the gateway loses one TTL', () => {
  const { k, pods } = node();
  const n = k.netns.get('node')!;
  const far = createNetns(k, 'far');
  const [x, y] = addVeth(n, 'eth0', far, 'eth0');
  devOpen(x);
  devOpen(y);
  x.conf.forwarding = 1;
  addAddress(x, ip('192.168.56.11'), 24, null, 0);
  addAddress(y, ip('192.168.56.1'), 24, null, 0);
  const seen = listen(y);
  const s = new UdpSock(pods[0]!.net);
  s.send(new Uint8Array(3), ip('192.168.56.1'), 53);
  k.sim.settle();
  assert.ok(seen.includes(`in  10.0.1.2>192.168.56.1 ttl 63 udp ${s.port}>53`), seen.join('\n'));
});

Stack.run();
