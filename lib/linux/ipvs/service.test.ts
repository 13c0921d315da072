import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Dest, Service } from './service.js';

const T = suite('lib/linux/ipvs/service');
T('a server is overloaded from the upper threshold down to the lower one', () => {
  const d = new Dest(new Service(6, 1, 80, 0), 2, 80);
  d.setThresholds(4, 0);
  const states = [];
  for (let i = 0; i < 5; i++) states.push((d.bind(false), d.overload));
  assert.equal(states, [false, false, false, true, true]);
  const back = [];
  for (let i = 0; i < 3; i++) back.push((d.unbind(false), d.overload));
  // Three quarters of 4: below 3 connections.
  assert.equal(back, [true, true, false]);
});
T('a higher upper threshold clears the mark, a lower one waits for the next connection', () => {
  const d = new Dest(new Service(6, 1, 80, 0), 2, 80);
  d.setThresholds(1, 1);
  d.bind(false);
  assert.is(d.overload, true);
  d.setThresholds(2, 1);
  assert.is(d.overload, false);
  d.setThresholds(1, 1);
  assert.is(d.overload, false);
  d.bind(true);
  assert.is(d.overload, true);
});
T.run();
