/** A datapath between dummy devices: which frames a flow takes, and every way in which one ends. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unhex } from '../../../wire/bytes.js';
import { bootKernel } from '../core/machine.js';
import { netifRx, type Netdev } from '../core/netdev.js';
import { addDatapath, addDummy, addInternalDev, addVxlan, deleteDatapath, deleteDevice } from '../device/devices.js';
import { devOpen } from '../ipv4/devinet.js';
import { VXLAN_DEFAULTS } from '../tunnel/vxlan.js';
import { type Action } from './actions.js';
import { ETH, IN_PORT, newWords, VLAN } from './flow-key.js';

const A = '020000000001';
const B = '020000000002';

function machine() {
  const kernel = bootKernel(1);
  const net = kernel.netns.get('root')!;
  const dp = addDatapath(net, 'dp');
  const ports = ['d1', 'd2', 'd3'].map((name) => {
    const d = addDummy(net, name);
    dp.attach(d, dp.freePort());
    devOpen(d);
    return d;
  }) as [Netdev, Netdev, Netdev];
  devOpen(dp.local);
  const send = (dev: Netdev, hex: string): void => {
    const skb = kernel.skbs.alloc();
    const b = unhex(hex);
    skb.buf.set(b, skb.head);
    skb.tail = skb.head + b.length;
    netifRx(dev, skb);
    kernel.sim.drain();
    assert.is(kernel.skbs.live, 0);
  };
  /** A flow by port and by the Ethernet destination, where one is given. */
  const flow = (port: number, dst: string | null, actions: Action[]): void => {
    const [key, mask] = [newWords(), newWords()];
    mask[VLAN] = mask[IN_PORT] = -1;
    key[IN_PORT] = port;
    if (dst !== null) {
      key[ETH + 1] = Number.parseInt(dst.slice(0, 4), 16);
      key[ETH + 2] = Number.parseInt(dst.slice(4), 16) | 0;
      mask[ETH + 1] = 0xffff;
      mask[ETH + 2] = -1;
    }
    dp.flows.insert(key, mask, actions);
  };
  return { kernel, net, dp, ports, send, flow };
}
const frame = (dst: string, type = '1234', rest = '00'.repeat(46)): string => dst + A + type + rest;

const Dp = suite('lib/linux/openvswitch/datapath');

Dp('a frame takes its flow, every output gets one copy, what meets none is lost', () => {
  const { dp, ports, send, flow } = machine();
  flow(1, B, [{ output: 2 }, { output: 0 }, { output: 3 }, { output: 9 }]);
  send(ports[0], frame(B));
  assert.equal([ports[1].txPackets, dp.local.rxPackets, ports[2].txPackets], [1, 1, 1]);
  send(ports[0], frame(A));
  send(ports[1], frame(B));
  assert.equal([dp.hits, dp.missed, dp.lost], [1, 2, 2]);
  const [f] = dp.flows.list();
  assert.equal([f!.packets, f!.bytes], [1, 60]);
});

Dp('a tagged frame is none for a flow without a VLAN, and a flow without actions ends its frames', () => {
  const { dp, ports, send, flow } = machine();
  flow(1, B, []);
  send(ports[0], frame(B));
  send(ports[0], frame(B, '8100', `0005${'00'.repeat(44)}`));
  assert.equal([dp.hits, dp.missed], [1, 1]);
});

Dp('what is too long for a port, or whose port is down, is dropped there', () => {
  const { dp, ports, send, flow } = machine();
  flow(1, null, [{ output: 2 }]);
  ports[1].mtu = 100;
  send(ports[0], frame(B, '1234', '00'.repeat(100)));
  send(ports[0], frame(B, '1234', '00'.repeat(101)));
  assert.is(ports[1].txPackets, 1);
  ports[1].up = false;
  send(ports[0], frame(B));
  assert.is(ports[1].txPackets, 1);
  flow(3, null, [{ output: 0 }]);
  dp.local.up = false;
  send(ports[2], frame(B));
  assert.is(dp.local.rxPackets, 0);
});

Dp('TCP flags of whole headers are noted, of nothing else', () => {
  const { dp, ports, send, flow } = machine();
  flow(1, null, [{ output: 2 }]);
  const ip = (frag: string, proto: string): string => `4500002800000${frag}40${proto}00000a0000010a000002`;
  const tcp = '00500051000000000000000050120000' + '00000000';
  send(ports[0], frame(B, '0800', ip('000', '11') + tcp));
  send(ports[0], frame(B, '0800', ip('001', '06') + tcp));
  send(ports[0], frame(B, '0800', (ip('000', '06') + tcp).slice(0, 70)));
  assert.is(dp.flows.list()[0]!.tcpFlags, 0);
  send(ports[0], frame(B, '0800', ip('000', '06') + tcp));
  assert.is(dp.flows.list()[0]!.tcpFlags, 0x12);
});

Dp('a frame for a tunnel ends without a key, and without a way for the datagram', () => {
  const { net, dp, ports, send, flow } = machine();
  const vx = addVxlan(net, 'vx', { ...VXLAN_DEFAULTS, external: true }, 0);
  assert.is(devOpen(vx), 0);
  dp.attach(vx, 7);
  flow(1, null, [{ output: 7 }]);
  send(ports[0], frame(B));
  flow(2, null, [{ tunnel: Int32Array.of(0, 5, 0, 0x0a000001, (4 << 16) | 64, 0) }, { output: 7 }]);
  send(ports[1], frame(B));
  assert.is(dp.hits, 2);
});

Dp('devices leave a datapath as they end, and it leaves them as it does', () => {
  const { net, dp, ports } = machine();
  const inside = addInternalDev(net, 'in0');
  dp.attach(inside, dp.freePort());
  deleteDevice(ports[0]);
  assert.equal([...dp.ports.keys()], [0, 2, 3, 4]);
  assert.is(dp.freePort(), 1);
  deleteDatapath(dp);
  assert.equal([net.dev('dp'), net.dev('in0'), ports[1].master], [null, null, null]);
  assert.ok(net.devs.includes(ports[1]));
});

Dp.run();
