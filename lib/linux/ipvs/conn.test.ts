import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SEC } from '../../sim/sim.js';
import { bootKernel } from '../core/machine.js';
import { ASSURED, type IpvsConn } from './conn.js';
import { schedule } from './core.js';
import { type Ipvs, ipvs } from './ctl.js';
import { DIR_INPUT, DIR_OUTPUT, setState } from './proto.js';
import { makeScheduler } from './scheduler.js';
import { MASQ, Service } from './service.js';

const UDP = 17;
const NOTHING = new Uint8Array(8);

/** A persistent UDP service with one server. */
function persistent(seconds: number): { v: Ipvs; s: Service } {
  const v = ipvs(bootKernel(1).netns.get('root')!);
  const s = new Service(UDP, 2, 53, 0);
  s.persistent = seconds;
  v.addService(s, makeScheduler('rr', v));
  v.addDest(s, 0x0a000003, 53, { weight: 1, fwd: MASQ, uThreshold: 0, lThreshold: 0 });
  return { v, s };
}

function packet(v: Ipvs, c: IpvsConn, dir: number): void {
  setState(v.timeouts, c, dir, NOTHING, 0, 8);
  v.conns.put(c);
}

const T = suite('lib/linux/ipvs/conn');
T('a template outlives its time while it controls a connection, a minute at a time', () => {
  const { v, s } = persistent(10);
  const { sim } = v.net.kernel;
  const c = schedule(v, s, { proto: UDP, caddr: 1, cport: 4000, vaddr: 2, vport: 53 })!;
  const t = c.control!;
  sim.runUntil(5 * SEC);
  packet(v, c, DIR_INPUT);
  assert.is(t.state === ASSURED, false);
  packet(v, c, DIR_OUTPUT);
  assert.is(t.state, ASSURED);
  sim.runUntil(20 * SEC);
  assert.is(t.expires, 70 * SEC);
  assert.is(s.dests[0]!.persistent, 1);
  // The connection ends at 305 s: the template was prolonged last at 250 s, until 310 s, and controls nothing then.
  sim.runUntil(309 * SEC);
  assert.is(t.controls, 0);
  assert.equal([s.dests[0]!.persistent, s.dests[0]!.total], [1, 0]);
  sim.runUntil(310 * SEC);
  assert.is(s.dests[0]!.persistent, 0);
  assert.equal(v.conns.all(), []);
});
T('a server in the trash is found again with its counters for two minutes after its last connection', () => {
  const { v, s } = persistent(0);
  const { sim } = v.net.kernel;
  const o = { weight: 1, fwd: MASQ, uThreshold: 0, lThreshold: 0 };
  const c = schedule(v, s, { proto: UDP, caddr: 1, cport: 4000, vaddr: 2, vport: 53 })!;
  packet(v, c, DIR_INPUT);
  const first = s.dests[0]!;
  v.delDest(s, first);
  sim.runUntil(400 * SEC);
  assert.is(v.addDest(s, first.addr, 53, o), first);
  sim.runUntil(403 * SEC);
  assert.is(first.stats.counters(sim.now)[0], 1);
  v.delDest(s, first);
  sim.runUntil(590 * SEC);
  assert.is.not(v.addDest(s, first.addr, 53, o), first);
});
T.run();
