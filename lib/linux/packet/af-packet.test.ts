/** Packet sockets: which frames they see, and how often. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as arp from '../../../wire/arp.js';
import * as eth from '../../../wire/ethernet.js';
import { bootKernel, createNetns } from '../core/machine.js';
import { PACKET_BROADCAST, PACKET_HOST } from '../core/skb.js';
import { addVeth, moveDevice } from '../device/devices.js';
import { addAddress, devClose, devOpen } from '../ipv4/devinet.js';
import { PacketSock } from './af-packet.js';

const ME = 0x0a000001;
const PEER = 0x0a000002;

function pair() {
  const k = bootKernel(1);
  const [a, b] = addVeth(createNetns(k, 'a'), 'a', createNetns(k, 'b'), 'b');
  devOpen(a);
  devOpen(b);
  addAddress(a, ME, 24, null, 0);
  addAddress(b, PEER, 24, null, 0);
  const s = new PacketSock(a.net, eth.P_ARP);
  s.bind(a);
  const request = new Uint8Array(arp.LEN);
  arp.write(request, 0, arp.REQUEST, a.mac, ME, eth.BROADCAST, PEER);
  return { k, a, b, s, request };
}

const Packet = suite('lib/linux/packet/af-packet');
Packet('a request goes out as it is, and its answer comes once; what the device sends itself is not seen', () => {
  const { k, s, request } = pair();
  let woken = 0;
  s.onReady = () => woken++;
  assert.is(s.send(request, eth.BROADCAST), 0);
  k.sim.settle();
  const m = s.recv()!;
  assert.is(m.pktType, PACKET_HOST);
  assert.is(m.data.length, arp.LEN);
  assert.is(arp.op(m.data, 0), arp.REPLY);
  assert.is(arp.sip(m.data, 0), PEER);
  assert.is(s.recv(), null);
  assert.is(woken, 1);
  assert.is(k.skbs.live, 0);
});
Packet('a broadcast of the peer reaches the socket and the ARP table both', () => {
  const { k, a, b, s } = pair();
  const other = new PacketSock(b.net, eth.P_ARP);
  other.bind(b);
  const request = new Uint8Array(arp.LEN);
  arp.write(request, 0, arp.REQUEST, b.mac, PEER, eth.BROADCAST, ME);
  other.send(request, eth.BROADCAST);
  k.sim.settle();
  assert.is(s.recv()!.pktType, PACKET_BROADCAST);
  assert.ok(a.net.neigh.lookup(a, PEER) !== null);
  assert.is(arp.op(other.recv()!.data, 0), arp.REPLY);
});
Packet('a device that goes down is an error, once, and takes no frame', () => {
  const { a, s, request } = pair();
  devClose(a);
  assert.is(s.takeError(), 100);
  assert.is(s.takeError(), 0);
  assert.is(s.send(request, eth.BROADCAST), -100);
});
Packet('a closed socket, and one of another protocol, hear nothing', () => {
  const { k, a, s, request } = pair();
  const ip = new PacketSock(a.net, eth.P_IP);
  ip.bind(a);
  s.send(request, eth.BROADCAST);
  s.close();
  k.sim.settle();
  assert.is(ip.recv(), null);
  ip.close();
  assert.is(a.packetSocks, null);
});
Packet('a device that leaves takes no socket along, and closing twice closes no other', () => {
  const { k, a, s, request } = pair();
  const other = new PacketSock(a.net, eth.P_ARP);
  other.bind(a);
  s.close();
  s.close();
  assert.equal(a.packetSocks, [other]);
  assert.is(other.send(request, eth.BROADCAST), 0);
  moveDevice(a, createNetns(k, 'c'));
  devOpen(a);
  assert.is(a.packetSocks, null);
  assert.is(other.takeError(), 100);
  assert.is(other.send(request, eth.BROADCAST), -6);
  k.sim.settle();
  assert.is(k.skbs.live, 0);
});

Packet.run();
