import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SEC } from '../../sim/sim.js';
import { ConnTable, type IpvsConn, NONE } from './conn.js';
import { Dest, type Template } from './service.js';

const UDP = 17;

function template(dest: Dest, seconds: number): Template {
  return { dest, client: 1, timeout: seconds * SEC, expires: seconds * SEC, controls: 0, lastEnd: 0, assured: false };
}

function conn(dest: Dest, t: Template, cport: number): IpvsConn {
  return {
    proto: UDP, caddr: 1, cport, vaddr: 2, vport: 53, dest, template: t, nfct: false, state: NONE, inactive: true,
    expires: Number.POSITIVE_INFINITY, dead: false,
  }; // prettier-ignore
}

const T = suite('lib/linux/ipvs/conn');
T('templateAlive() ends a template that controls nothing when its time is over', () => {
  const t = template(new Dest(3, 53, 1), 10);
  const table = new ConnTable();
  assert.is(table.templateAlive(t, 10 * SEC - 1), true);
  assert.is(table.templateAlive(t, 10 * SEC), false);
});
T('templateAlive() grants a minute at a time while a connection lives', () => {
  const dest = new Dest(3, 53, 1);
  const t = template(dest, 10);
  const table = new ConnTable();
  const c = conn(dest, t, 4000);
  table.add(c);
  table.transition(c, false, 0, 5 * SEC);
  assert.is(t.assured, false);
  table.transition(c, true, 0, 5 * SEC);
  assert.is(t.assured, true);
  table.sweep(20 * SEC);
  assert.is(table.templateAlive(t, 20 * SEC), true);
  assert.is(t.expires, 70 * SEC);
  assert.is(t.timeout, 60 * SEC);
  // The connection ends at 305 s: the template was prolonged last at 250 s, until 310 s, and controls nothing then.
  table.sweep(309 * SEC);
  assert.is(t.controls, 0);
  assert.is(table.templateAlive(t, 309 * SEC), true);
  assert.is(t.expires, 310 * SEC);
  assert.is(table.templateAlive(t, 310 * SEC), false);
});
T.run();
