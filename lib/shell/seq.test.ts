import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { seq } from './seq.js';

const Seq = suite('lib/shell/seq');

Seq('seq() prints one number a line', () => {
  assert.is(seq(['3']).out, '1\n2\n3\n');
  assert.is(seq(['9', '11']).out, '9\n10\n11\n');
  assert.is(seq(['2', '1']).out, '');
});

Seq('seq() refuses what it does not do, and more than it should hold', () => {
  assert.match(seq(['1', '2', '3']).err, /^podwire: seq: found "1 2 3", expected /);
  assert.match(seq(['-w', '3']).err, /^podwire: seq: found "-w 3", expected /);
  assert.match(seq(['999999999']).err, /^podwire: seq: found "999999999", expected 16777216 bytes at most/);
  assert.is(seq([]).exit, 1);
});

Seq.run();
