/** Frames nobody should send: what the stack does with them, and that every one of them ends. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as arp from '../../wire/arp.js';
import * as eth from '../../wire/ethernet.js';
import { aton } from '../../wire/inet.js';
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as udp from '../../wire/udp.js';
import { iptables } from './iptables.js';
import { ipvsadm } from './ipvsadm.js';
import { SEC } from '../sim/sim.js';
import { addPort } from '../linux/bridge/br-if.js';
import type { Kernel } from '../linux/core/kernel.js';
import { bootKernel, createNetns } from '../linux/core/machine.js';
import { devQueueXmit, type Netdev } from '../linux/core/netdev.js';
import { addBridge, addVeth } from '../linux/device/devices.js';
import { addAddress, devOpen } from '../linux/ipv4/devinet.js';
import { UdpSock } from '../linux/ipv4/udp.js';

const ip = (t: string): number => aton(t)!;
const ATTACKER = Uint8Array.of(2, 0, 0, 0, 0, 0x0a);

/** A node with bridge cni0 (10.0.1.1) and two ports; `out[i]` sends from behind port i. */
function node(): { k: Kernel; br: Netdev; out: Netdev[]; ports: Netdev[] } {
  const k = bootKernel(1);
  const n = createNetns(k, 'node');
  n.confAll.forwarding = n.confDefault.forwarding = 1;
  devOpen(n.lo);
  const br = addBridge(n, 'cni0');
  devOpen(br);
  const out: Netdev[] = [];
  const ports: Netdev[] = [];
  for (const i of [2, 3]) {
    const pod = createNetns(k, `pod${i}`);
    const [port, e] = addVeth(n, `veth${i}`, pod, 'eth0');
    addPort(br as never, port);
    devOpen(port);
    devOpen(e);
    out.push(e);
    ports.push(port);
  }
  addAddress(br, ip('10.0.1.1'), 24, null, 0);
  br.conf.forwarding = 1;
  k.sim.settle();
  return { k, br, out, ports };
}

function send(dev: Netdev, frame: Uint8Array): void {
  const skb = dev.kernel.skbs.alloc();
  skb.room(frame.length);
  skb.buf.set(frame, skb.head);
  skb.tail = skb.head + frame.length;
  devQueueXmit(dev, skb);
  dev.kernel.sim.settle();
}

/** Copies of the frames that leave `dev`. */
function sent(dev: Netdev): Uint8Array[] {
  const list: Uint8Array[] = [];
  dev.tap = { frame: (_now, dir, b, start, end) => void (dir === 2 && list.push(b.slice(start, end))) };
  return list;
}

/** An Ethernet frame with an IPv4 packet of `payload`. */
function packet(
  dst: Uint8Array,
  proto: number,
  saddr: string,
  daddr: string,
  payload: Uint8Array,
  ttl = 64,
): Uint8Array {
  const b = new Uint8Array(eth.HLEN + ipv4.HLEN + payload.length);
  eth.write(b, 0, dst, ATTACKER, eth.P_IP);
  ipv4.write(b, eth.HLEN, 0, ipv4.HLEN + payload.length, 1, 0, ttl, proto, ip(saddr), ip(daddr));
  b.set(payload, eth.HLEN + ipv4.HLEN);
  return b;
}

function datagram(saddr: string, daddr: string, dport: number): Uint8Array {
  const b = new Uint8Array(12);
  udp.write(b, 0, b.length, 4000, dport, ip(saddr), ip(daddr));
  return b;
}

const Hostile = suite('lib/shell/hostile');

Hostile('a bridge drops zero and group sources and link-local groups, and nothing else of 01:80:c2', () => {
  const { out, ports } = node();
  const seen = sent(ports[1]!);
  const frame = (dst: number[], src: number[]): Uint8Array => Uint8Array.of(...dst, ...src, 0x88, 0xb5, 1, 2);
  const src = [...ATTACKER];
  send(out[0]!, frame([1, 0x80, 0xc2, 0, 0, 0x0e], src));
  send(out[0]!, frame([1, 0x80, 0xc2, 0, 0, 0x01], src));
  send(out[0]!, frame([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0, 0, 0]));
  send(out[0]!, frame([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [1, 0, 0x5e, 0, 0, 1]));
  assert.is(seen.length, 0);
  send(out[0]!, frame([1, 0x80, 0xc2, 0, 0, 0x20], src));
  send(out[0]!, frame([1, 0x80, 0xc2, 0, 0, 0x00], src)); // no STP here: loops elsewhere must still be found
  assert.is(seen.length, 2);
});

Hostile('somebody else who announces our address gets no answer and no neighbour entry', () => {
  const { out, ports, br } = node();
  const seen = sent(ports[0]!);
  const b = new Uint8Array(eth.HLEN + arp.LEN);
  eth.write(b, 0, eth.BROADCAST, ATTACKER, eth.P_ARP);
  arp.write(b, eth.HLEN, arp.REQUEST, ATTACKER, ip('10.0.1.1'), new Uint8Array(6), ip('10.0.1.1'));
  send(out[0]!, b);
  assert.is(seen.length, 0);
  assert.is(br.net.neigh.lookup(br, ip('10.0.1.1')), null);
});

Hostile('REJECT is silent about a datagram with a wrong checksum', () => {
  const { out, ports, br } = node();
  assert.is(iptables(br.net, ['-A', 'INPUT', '-p', 'udp', '-j', 'REJECT']).exit, 0);
  const seen = sent(ports[0]!);
  const good = datagram('10.0.1.2', '10.0.1.1', 9);
  const bad = good.slice();
  bad[11]! ^= 1;
  br.net.neigh.set(br, ip('10.0.1.2'), ATTACKER, 0x80);
  send(out[0]!, packet(br.mac, ipv4.UDP, '10.0.1.2', '10.0.1.1', bad));
  assert.is(seen.length, 0);
  send(out[0]!, packet(br.mac, ipv4.UDP, '10.0.1.2', '10.0.1.1', good));
  assert.is(seen.length, 1);
});

Hostile('nothing is reported about ICMP errors, unknown ICMP types, or an ICMP packet without a type', () => {
  const { out, ports, br } = node();
  br.net.neigh.set(br, ip('10.0.1.2'), ATTACKER, 0x80);
  const seen = sent(ports[0]!);
  for (const type of [3, 4, 5, 11, 12, 1, 9, 19, 40, 255]) {
    send(out[0]!, packet(br.mac, ipv4.ICMP, '10.0.1.2', '10.9.9.9', Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0), 1));
  }
  send(out[0]!, packet(br.mac, ipv4.ICMP, '10.0.1.2', '10.9.9.9', new Uint8Array(0), 1));
  assert.is(seen.length, 0);
  // Each of them has cost its sender a token all the same (ip_error).
  br.kernel.sim.runUntil(br.kernel.sim.now + 2 * SEC);
  send(out[0]!, packet(br.mac, ipv4.ICMP, '10.0.1.2', '10.9.9.9', Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0), 1));
  assert.is(seen.length, 1);
});

Hostile('an echo reply repeats the code of its request', () => {
  const { out, ports, br } = node();
  br.net.neigh.set(br, ip('10.0.1.2'), ATTACKER, 0x80);
  const seen = sent(ports[0]!);
  const echo = new Uint8Array(8);
  icmp.write(echo, 0, 8, icmp.ECHO, 7, 0x10001);
  send(out[0]!, packet(br.mac, ipv4.ICMP, '10.0.1.2', '10.0.1.1', echo));
  assert.equal([...seen[0]!.subarray(34, 36)], [icmp.ECHOREPLY, 7]);
});

Hostile('a connected UDP socket learns of the codes that Linux calls fatal, and of no other', () => {
  const { out, br } = node();
  br.net.neigh.set(br, ip('10.0.1.2'), ATTACKER, 0x80);
  const sock = new UdpSock(br.net);
  assert.is(sock.connect(ip('10.0.1.2'), 9), 0);
  const errors = [];
  for (let code = 0; code <= 16; code++) {
    const quoted = packet(ATTACKER, ipv4.UDP, '10.0.1.1', '10.0.1.2', datagram('10.0.1.1', '10.0.1.2', 9)).slice(14);
    quoted[20] = sock.port >> 8;
    quoted[21] = sock.port & 255;
    const error = new Uint8Array(8 + quoted.length);
    error.set(quoted, 8);
    icmp.write(error, 0, error.length, icmp.DEST_UNREACH, code, 0);
    send(out[0]!, packet(br.mac, ipv4.ICMP, '10.0.1.2', '10.0.1.1', error));
    errors.push(sock.takeError());
  }
  assert.equal(errors, [0, 0, 92, 111, 90, 0, 101, 112, 64, 101, 113, 0, 0, 113, 113, 113, 0]);
});

Hostile('a full connection table drops what would be new', () => {
  const { out, ports, br } = node();
  assert.is(iptables(br.net, ['-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'RELATED', '-j', 'DROP']).exit, 0);
  const first = packet(eth.BROADCAST, ipv4.UDP, '10.0.1.2', '10.0.1.3', datagram('10.0.1.2', '10.0.1.3', 9));
  const second = packet(eth.BROADCAST, ipv4.UDP, '10.0.1.2', '10.0.1.3', datagram('10.0.1.2', '10.0.1.3', 10));
  const seen = sent(ports[1]!);
  br.net.ct!.limits.max = 1;
  send(out[0]!, first);
  br.net.ct!.list()[0]!.status |= 1 << 2; // ASSURED: early_drop finds no victim
  send(out[0]!, second);
  assert.is(seen.length, 1);
});

Hostile('a neighbour that was last used through its cached header is not probed for', () => {
  const { k, out, br } = node();
  const { net } = br;
  const n = net.neigh.create(br, ip('10.0.1.2'));
  const now = k.sim.now;
  n.update(ATTACKER, 0, 0x02, true);
  const seen = sent(br);
  const ask = (at: number): void => {
    k.sim.runUntil(at);
    send(out[0]!, packet(br.mac, ipv4.ICMP, '10.0.1.2', '10.0.1.1', Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0)));
  };
  ask(now + 1);
  ask(now + n.reachableNs - SEC);
  k.sim.runUntil(now + n.reachableNs + 20 * SEC);
  assert.is(seen.length, 2);
  assert.is(n.nud, 0x04);
});

Hostile('an skb that is freed twice is a bug that shows', () => {
  const { k } = node();
  const skb = k.skbs.alloc();
  k.skbs.free(skb);
  assert.throws(() => k.skbs.free(skb), /freed twice/);
});

Hostile('whatever bytes come in, every packet ends and nothing throws', () => {
  const { k, br, out } = node();
  const { net } = br;
  const rules = [
    ['-t', 'nat', '-A', 'PREROUTING', '-p', 'udp', '--dport', '53', '-j', 'DNAT', '--to-destination', '10.0.1.3:5353'],
    ['-t', 'nat', '-A', 'PREROUTING', '-p', 'tcp', '-j', 'REDIRECT', '--to-ports', '80'],
    ['-t', 'nat', '-A', 'POSTROUTING', '-j', 'MASQUERADE', '--random'],
    ['-A', 'INPUT', '-p', 'tcp', '--tcp-flags', 'SYN', 'SYN', '-j', 'REJECT'],
    ['-A', 'FORWARD', '-p', 'icmp', '-m', 'icmp', '--icmp-type', '3', '-j', 'ACCEPT'],
  ];
  for (const r of rules) assert.is(iptables(net, r).exit, 0);
  assert.is(ipvsadm(net, ['-A', '-u', '10.0.1.1:80', '-s', 'rr'], '').exit, 0);
  assert.is(ipvsadm(net, ['-a', '-u', '10.0.1.1:80', '-r', '10.0.1.3:8080', '-m'], '').exit, 0);
  const byte = fc.oneof(
    fc.constantFrom(0, 1, 3, 4, 5, 6, 8, 11, 17, 20, 53, 80, 255),
    fc.integer({ min: 0, max: 255 }),
  );
  const header = fc.record({
    toBridge: fc.boolean(),
    arp: fc.boolean(),
    ihl: fc.constantFrom(5, 5, 5, 6, 15, 4, 0),
    frag: fc.constantFrom(0, 0, 0, 0x2000, 1, 0x2010, 0x4000),
    ttl: fc.constantFrom(64, 1, 0),
    proto: fc.constantFrom(1, 6, 17, 132, 99),
    dst: fc.constantFrom('10.0.1.1', '10.0.1.3', '10.0.1.255', '127.0.0.1', '224.0.0.1', '255.255.255.255', '9.9.9.9'),
    length: fc.constantFrom(0, 0, 0, -1, 1, 40),
    payload: fc.array(byte, { maxLength: 64 }),
  });
  const before = k.skbs.live;
  fc.assert(
    fc.property(header, (h) => {
      const b = packet(
        h.toBridge ? br.mac : eth.BROADCAST,
        h.proto,
        '10.0.1.2',
        h.dst,
        Uint8Array.from(h.payload),
        h.ttl,
      );
      if (h.arp) b[13] = 6;
      const o = eth.HLEN;
      b[o] = 0x40 | h.ihl;
      b[o + 6] = h.frag >> 8;
      b[o + 7] = h.frag & 255;
      b[o + 3]! += h.length;
      b[o + 10] = b[o + 11] = 0;
      const end = Math.min(b.length, o + Math.max(20, h.ihl * 4));
      let sum = 0;
      for (let i = o; i < end; i += 2) sum += (b[i]! << 8) | (b[i + 1] ?? 0);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
      b[o + 10] = (~sum & 0xffff) >> 8;
      b[o + 11] = ~sum & 0xff;
      send(out[0]!, b);
    }),
    { numRuns: 3000, seed: 1 },
  );
  k.sim.runUntil(k.sim.now + 100 * SEC);
  assert.is(k.skbs.live, before);
});

Hostile.run();
