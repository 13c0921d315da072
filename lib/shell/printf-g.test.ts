import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatG, rint, strtod } from './printf-g.js';

const S = suite('lib/shell/printf-g');

S('formatG() prints as C: ties to the even digit, no trailing zeros, an exponent where it is shorter', () => {
  const six: [number, string][] = [
    [0, '0'], [1, '1'], [0.3, '0.3'], [12.345, '12.345'], [33.33333333, '33.3333'], [100, '100'], [99.9999999, '100'],
    [1e-5, '1e-05'], [1.5e-7, '1.5e-07'], [0.0001, '0.0001'], [123456, '123456'], [1234567, '1.23457e+06'], [1e10, '1e+10'],
  ]; // prettier-ignore
  for (const [x, want] of six) assert.is(formatG(x), want);
  for (const [x, want] of [[100.5, '100'], [101.5, '102'], [1.5, '1.5'], [1999, '2e+03'], [250, '250']] as const)
    assert.is(formatG(x, 3), want); // prettier-ignore
});

S('strtod() takes the number in front and leaves the rest', () => {
  assert.equal(strtod('1.5ms'), { value: 1.5, rest: 'ms' });
  assert.equal(strtod('-2e3x'), { value: -2000, rest: 'x' });
  assert.is(strtod('abc'), null);
});

S('rint() rounds ties to the even number', () => {
  assert.equal([0.5, 1.5, 2.5, 2.4, 1288490188.5].map(rint), [0, 2, 2, 2, 1288490188]);
});

S.run();
