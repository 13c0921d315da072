/** Proxy neighbours. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootKernel, createNetns } from '../core/machine.js';
import { addVeth } from '../device/devices.js';
import { ProxyTable } from './pneigh.js';

const Pneigh = suite('lib/linux/ipv4/pneigh');
Pneigh('an entry without a device answers on any, one with a device goes with it', () => {
  const k = bootKernel(1);
  const [a, b] = addVeth(createNetns(k, 'a'), 'a', createNetns(k, 'b'), 'b');
  const t = new ProxyTable();
  t.add(0x0a000001, a);
  t.add(0x0a000002, null);
  assert.ok(t.has(a, 0x0a000001) && !t.has(b, 0x0a000001));
  assert.ok(t.has(a, 0x0a000002) && t.has(b, 0x0a000002));
  t.add(0x0a000001, a);
  assert.is(t.entries().length, 2, 'added once');
  assert.not(t.delete(0x0a000001, b));
  t.forget(a);
  assert.not(t.has(a, 0x0a000001));
  assert.ok(t.delete(0x0a000002, null));
  assert.is(t.entries().length, 0);
});
Pneigh('entries() stand in the order of the kernel’s buckets, as ip neigh show proxy printed them', () => {
  const t = new ProxyTable();
  for (const a of [0x0a000009, 0x0a00000a, 0x0a00004d, 0x0a010203]) t.add(a, null);
  assert.equal(t.entries().map((p) => p.addr), [0x0a00000a, 0x0a00004d, 0x0a000009, 0x0a010203]); // prettier-ignore
});
Pneigh.run();
