/** A client's datagrams through the director: to a server and its ICMP error back, and without a server. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton, ntoa } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as eth from '../../../wire/ethernet.js';
import { bootKernel, createNetns } from '../core/machine.js';
import type { Netdev } from '../core/netdev.js';
import { addVeth } from '../device/devices.js';
import { addAddress, devOpen } from '../ipv4/devinet.js';
import { newRoute, RTN_UNICAST } from '../ipv4/fib.js';
import { UdpSock } from '../ipv4/udp.js';
import { ipvs } from './ctl.js';
import { MASQ, Service } from './service.js';
import { makeScheduler } from './scheduler.js';

const ip = (t: string): number => aton(t)!;

const Core = suite('lib/linux/ipvs/core');
Core('a datagram to a VIP is rewritten, the ICMP error returns from the VIP', () => {
  const k = bootKernel(1);
  const n = createNetns(k, 'node');
  n.confAll.forwarding = n.confDefault.forwarding = 1;
  devOpen(n.lo);
  addAddress(n.lo, ip('10.96.0.1'), 32, null, 0);
  const ends: Netdev[] = [];
  for (const i of [1, 2]) {
    const pod = createNetns(k, `pod${i}`);
    const [r, e] = addVeth(n, `r${i}`, pod, 'eth0');
    for (const d of [r, e, pod.lo]) devOpen(d);
    addAddress(r, ip(`10.${i}.0.254`), 24, null, 0);
    addAddress(e, ip(`10.${i}.0.1`), 24, null, 0);
    r.conf.forwarding = 1;
    pod.fib.main.add(newRoute({ type: RTN_UNICAST, dst: 0, prefix: 0, tos: 0, metric: 0, gw: ip(`10.${i}.0.254`), dev: e, scope: 0, src: 0, proto: 'boot', onlink: false, table: 254, mtu: 0, mtuLock: false, paths: null })); // prettier-ignore
    ends.push(e);
  }
  const seen: string[] = [];
  for (const d of ends) {
    d.tap = {
      frame: (_t, _d, b, o) => {
        const h = o + eth.HLEN;
        if (eth.type(b, o) !== eth.P_IP) return;
        seen.push(
          `${d.net.name} ${ntoa(ipv4.src(b, h))}>${ntoa(ipv4.dst(b, h))} ttl ${ipv4.ttl(b, h)} ${ipv4.proto(b, h)}`,
        );
      },
    };
  }
  const v = ipvs(n);
  const s = new Service(17, ip('10.96.0.1'), 53, 0);
  v.addService(s, makeScheduler('rr', v));
  const c = new UdpSock(ends[0]!.net);
  assert.is(c.connect(ip('10.96.0.1'), 53), 0);
  c.send(new Uint8Array(3));
  k.sim.settle();
  assert.is(c.takeError(), 111);
  v.addDest(s, ip('10.2.0.1'), 53, { weight: 1, fwd: MASQ, uThreshold: 0, lThreshold: 0 });
  c.send(new Uint8Array(3));
  k.sim.settle();
  assert.is(c.takeError(), 111);
  assert.equal(seen, [
    'pod1 10.1.0.1>10.96.0.1 ttl 64 17',
    'pod1 10.96.0.1>10.1.0.1 ttl 64 1',
    'pod1 10.1.0.1>10.96.0.1 ttl 64 17',
    'pod2 10.1.0.1>10.2.0.1 ttl 63 17',
    'pod2 10.2.0.1>10.1.0.1 ttl 64 1',
    'pod1 10.96.0.1>10.1.0.1 ttl 63 1',
  ]);
  assert.is(k.skbs.live, 0);
});
Core.run();
