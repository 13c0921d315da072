/** Options as getopt() splits them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { getopt, notWhole } from './getopt.js';

const Getopt = suite('lib/apps/getopt');
Getopt('getopt() takes clusters, attached values and operands in between', () => {
  const r = getopt(['ping', '-nqc3', 'host', '-i', '0.2', '--', '-x'], 'nqc:i:');
  assert.equal(r.options, [['n', ''], ['q', ''], ['c', '3'], ['i', '0.2']]); // prettier-ignore
  assert.equal(r.operands, ['host', '-x']);
  assert.is(r.error, null);
});
Getopt('getopt() stops at the first letter it does not know, or that lacks its value', () => {
  assert.is(getopt(['x', '-ab'], 'a').error, "invalid option -- 'b'");
  assert.is(getopt(['x', '-:'], 'a:').error, "invalid option -- ':'");
  const r = getopt(['x', '-n', '-c'], 'nc:');
  assert.is(r.error, "option requires an argument -- 'c'");
  assert.equal(r.options, [['n', '']]);
});
Getopt('notWhole() says what strtol_or_err() says', () => {
  assert.is(notWhole('ping', ' +5', 1, '9'), null);
  assert.is(notWhole('ping', '0', 1, '9'), "ping: invalid argument: '0': out of range: 1 <= value <= 9");
  assert.is(notWhole('ping', '1e3', 1, '9'), "ping: invalid argument: '1e3'");
  assert.match(notWhole('ping', '9223372036854775808', 1, '9')!, /Numerical result out of range$/);
});
Getopt.run();
