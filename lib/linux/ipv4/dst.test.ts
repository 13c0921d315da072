/** Routes as objects: one for each next hop, and a kept one that knows when it is none any more. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton, maskOf } from '../../../wire/inet.js';
import { SEC } from '../../sim/sim.js';
import { bootKernel, createNetns } from '../core/machine.js';
import type { Netdev } from '../core/netdev.js';
import type { Netns } from '../core/netns.js';
import { sysctlWrite } from '../core/sysctl.js';
import { addVeth, deleteDevice, moveDevice } from '../device/devices.js';
import { addAddress, devClose, devOpen, setMtu } from './devinet.js';
import {
  type Dst,
  dstMtu,
  dstMtuMaybeForward,
  dstValid,
  INPUT_LOCAL,
  nexthop,
  RTCF_BROADCAST,
  RTCF_LOCAL,
} from './dst.js';
import { newRoute, RTN_LOCAL, RTN_UNICAST } from './fib.js';
import { Flow, FLOWI_FLAG_KNOWN_NH } from './flow.js';
import { updatePmtu } from './route-exception.js';
import { EINVAL, ENETUNREACH, ENODEV, isErr, routeOutput } from './route.js';

const ip = (t: string): number => aton(t)!;
const GW = ip('10.0.1.1');

/** 10.0.1.2/24 on eth0, default route through 10.0.1.1. */
function host(): { net: Netns; dev: Netdev; now: () => number; later: (ns: number) => void } {
  const k = bootKernel(1);
  const net = createNetns(k, 'a');
  const peer = createNetns(k, 'b');
  const [dev, other] = addVeth(net, 'eth0', peer, 'eth0');
  devOpen(other);
  devOpen(dev);
  devOpen(net.lo);
  addAddress(dev, ip('10.0.1.2'), 24, null, 0);
  net.fib.main.add(newRoute({ type: RTN_UNICAST, dst: 0, prefix: 0, tos: 0, metric: 0, gw: GW, dev, scope: 0, src: 0, proto: 'boot', onlink: false, table: 254, mtu: 0, mtuLock: false, paths: null })); // prettier-ignore
  return { net, dev, now: () => k.sim.now, later: (ns) => k.sim.runUntil(k.sim.now + ns) };
}

function out(net: Netns, to: string, flags = 0): Dst {
  const fl = new Flow().to(ip(to), 0);
  fl.flags = flags;
  const d = routeOutput(net, fl);
  if (isErr(d)) throw new Error(`no route to ${to}: ${d}`);
  return d;
}

const DstSuite = suite('lib/linux/ipv4/dst');

DstSuite('a route that a sysctl allowed ends with it', () => {
  const { net, dev } = host();
  const ask = (): Dst | number => {
    const fl = new Flow().to(ip('8.8.8.8'), ip('127.0.0.1'));
    fl.oif = dev;
    return routeOutput(net, fl);
  };
  assert.is(ask(), -EINVAL);
  sysctlWrite(net, 'net.ipv4.conf.eth0.route_localnet', 1);
  const d = ask();
  assert.ok(!isErr(d) && dstValid(d));
  sysctlWrite(net, 'net.ipv4.conf.eth0.route_localnet', 0);
  assert.not(dstValid(d as Dst));
  assert.is(ask(), -EINVAL);
});

DstSuite('one object a next hop, whatever the destination', () => {
  const { net, dev } = host();
  const far = out(net, '8.8.8.8');
  assert.is(out(net, '9.9.9.9'), far);
  assert.is(nexthop(far, ip('8.8.8.8')), GW);
  const near = out(net, '10.0.1.7');
  assert.is(out(net, '10.0.1.8'), near);
  assert.is(nexthop(near, ip('10.0.1.8')), ip('10.0.1.8'));
  assert.is(near.dev, dev);
  assert.is(out(net, '10.0.1.255').flags, RTCF_BROADCAST | RTCF_LOCAL);
  const own = out(net, '10.0.1.2');
  assert.is(own.dev, net.lo);
  assert.is(own.input, INPUT_LOCAL);
});

DstSuite('the answer to a flow names the source', () => {
  const { net } = host();
  const fl = new Flow().to(ip('8.8.8.8'), 0);
  routeOutput(net, fl);
  assert.is(fl.saddr, ip('10.0.1.2'));
  assert.is(routeOutput(net, new Flow().to(ip('8.8.8.8'), ip('10.0.1.3'))), -ENETUNREACH);
});

DstSuite('a change of the tables ends what is kept, and the next look-up makes it anew', () => {
  const { net, dev } = host();
  const d = out(net, '8.8.8.8');
  assert.ok(dstValid(d));
  addAddress(dev, ip('10.0.1.9'), 24, null, 0);
  assert.not(dstValid(d));
  const again = out(net, '8.8.8.8');
  assert.is.not(again, d);
  assert.ok(dstValid(again));
  devClose(dev);
  assert.not(dstValid(again));
});

DstSuite('a device that moves to a namespace with as many changes takes no route along', () => {
  const { net, dev } = host();
  const d = out(net, '8.8.8.8');
  const other = createNetns(net.kernel, 'c');
  moveDevice(dev, other);
  other.fib.genid = d.genid;
  assert.not(dstValid(d));
});

DstSuite('a path MTU is an exception of one destination', () => {
  const { net, dev, later } = host();
  const d = out(net, '8.8.8.8');
  updatePmtu(net, ip('8.8.8.8'), ip('10.0.1.2'), 0, 0, 1400);
  assert.not(dstValid(d));
  const e = out(net, '8.8.8.8');
  assert.is(out(net, '8.8.8.8'), e);
  assert.is(dstMtu(e), 1400);
  assert.is(dstMtuMaybeForward(e, true), 1500);
  assert.is(nexthop(e, ip('8.8.8.8')), GW);
  assert.is(dstMtu(out(net, '9.9.9.9')), 1500);
  // A smaller one is written into the route that sockets keep.
  updatePmtu(net, ip('8.8.8.8'), ip('10.0.1.2'), 0, 0, 1300);
  assert.ok(dstValid(e));
  assert.is(dstMtu(e), 1300);
  later(601 * SEC);
  assert.is(dstMtu(e), 1500);
  assert.is.not(out(net, '8.8.8.8'), e);
  dev.mtu = 1200;
  assert.is(dstMtu(e), 1200);
});

DstSuite('a path MTU follows the MTU of the device (fib_nhc_update_mtu)', () => {
  const { net, dev } = host();
  const learn = (to: string, mtu: number): void => updatePmtu(net, ip(to), ip('10.0.1.2'), 0, 0, mtu);
  learn('8.8.8.8', 1400);
  learn('9.9.9.9', 500);
  const [d, locked] = [out(net, '8.8.8.8'), out(net, '9.9.9.9')];
  assert.ok(locked.mtuLocked);
  setMtu(dev, 1450);
  assert.not(dstValid(d));
  assert.is(dstMtu(out(net, '8.8.8.8')), 1400, 'larger than the path');
  setMtu(dev, 1300);
  assert.is(dstMtu(out(net, '8.8.8.8')), 1300, 'smaller');
  setMtu(dev, 1500);
  assert.is(dstMtu(out(net, '8.8.8.8')), 1500, 'it was the device that was small');
  assert.is(dstMtu(out(net, '9.9.9.9')), 552, 'a locked one stays');
  setMtu(dev, 540);
  assert.is(dstMtu(out(net, '9.9.9.9')), 540);
  assert.not(out(net, '9.9.9.9').mtuLocked);
});

DstSuite('nothing goes out by a device that has left the namespace of its socket', () => {
  const { net, dev } = host();
  const ask = (): Dst | number => {
    const fl = new Flow().to(ip('10.0.1.1'), 0);
    fl.oif = dev;
    return routeOutput(net, fl);
  };
  assert.not(isErr(ask()));
  const other = createNetns(net.kernel, 'c');
  moveDevice(dev, other);
  addAddress(dev, ip('10.0.1.2'), 24, null, 0);
  devOpen(dev);
  assert.is(ask(), -ENODEV);
  moveDevice(dev, net);
  devOpen(dev);
  assert.not(isErr(ask()));
  deleteDevice(dev);
  assert.is(ask(), -ENODEV);
});

DstSuite('a full table of exceptions forgets the one that was changed longest ago', () => {
  const { net, dev } = host();
  const learn = (a: number, mtu: number): void => updatePmtu(net, a, ip('10.0.1.2'), 0, 0, mtu);
  const first = ip('20.0.0.0');
  for (let i = 0; i < 10240; i++) learn(first + i, 1400);
  learn(first, 1300);
  for (let i = 0; i < 20000; i++) learn(ip('30.0.0.0') + i, 1400);
  const r = net.fib.main.routes.find((x) => x.prefix === 0)!;
  assert.is(r.dev, dev);
  assert.is(r.exceptions!.size, 10240);
  assert.not(r.exceptions!.has(first));
  assert.ok(r.exceptions!.has(ip('30.0.0.0') + 19999));
});

DstSuite('a next hop that has to be known is in the route', () => {
  const { net } = host();
  assert.is(out(net, '10.0.1.7').gw, 0);
  assert.is(out(net, '10.0.1.7', FLOWI_FLAG_KNOWN_NH).gw, ip('10.0.1.7'));
  assert.is(out(net, '10.0.1.7').gw, 0);
});

DstSuite('what is remembered of the tables is what they say', () => {
  const { net, dev } = host();
  const { fib } = net;
  const bits = [0, 8, 16, 24, 32];
  const addr = fc.nat(3).chain((a) => fc.nat(3).map((b) => ip(`10.${a}.${b}.1`)));
  const route = fc.record({ to: addr, bits: fc.constantFrom(...bits), local: fc.boolean(), metric: fc.nat(2) });
  const steps = fc.array(fc.oneof(route.map((r) => ({ add: r })), fc.nat(20).map((del) => ({ del })), fc.constant({ link: 0 })), { maxLength: 12 }); // prettier-ignore
  fc.assert(
    fc.property(steps, fc.array(addr, { minLength: 1, maxLength: 6 }), (list, asked) => {
      for (const s of list) {
        const all = [...fib.main.routes, ...fib.local.routes];
        if ('add' in s) {
          const { to, bits: prefix, local, metric } = s.add;
          const r = { type: local ? RTN_LOCAL : RTN_UNICAST, dst: to & maskOf(prefix), prefix, tos: 0, metric, gw: 0, dev, scope: 0, src: 0, proto: 'boot', onlink: false, table: local ? 255 : 254, mtu: 0, mtuLock: false, paths: null }; // prettier-ignore
          (local ? fib.local : fib.main).add(newRoute(r));
        } else if ('del' in s) {
          for (const t of [fib.main, fib.local]) t.remove((r) => r === all[s.del]);
        } else if (dev.up) devClose(dev);
        else devOpen(dev);
        for (const a of asked) {
          const best = [...fib.local.dump(), ...fib.main.dump()]
            .filter((r) => ((r.dst ^ a) & maskOf(r.prefix)) === 0 && (r.dev!.up || r.type === RTN_LOCAL))
            .sort((x, y) => y.prefix - x.prefix || y.table - x.table || x.metric - y.metric)[0];
          const fl = new Flow().to(a, 0);
          const found = fib.lookup(fl);
          assert.is(found, fib.lookup(fl));
          assert.equal(
            found === null ? null : [found.prefix, found.table, found.metric],
            best === undefined ? null : [best.prefix, best.table, best.metric],
          );
        }
      }
    }),
    { numRuns: 300 },
  );
});

DstSuite.run();
