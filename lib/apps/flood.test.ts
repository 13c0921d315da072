import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ntoa } from '../../wire/inet.js';
import { floodArgs } from './flood.js';

const args = (text: string): ReturnType<typeof floodArgs> => floodArgs(text.split(' '));

const Flood = suite('lib/apps/flood');
Flood('floodArgs() reads prefixes as the hosts in them', () => {
  const o = args('--syn --count 10 --seed 3 --from 10.1.2.3/16 --to 10.96.0.1:80 --fin 2')!;
  assert.equal([o.proto, o.count, o.seed, o.fin], [6, 10, 3, 2]);
  assert.equal([ntoa(o.from.base), o.from.size], ['10.1.0.1', 65534]);
  assert.equal(
    o.to.map((t) => [ntoa(t.prefix.base), t.prefix.size, t.port]),
    [['10.96.0.1', 1, 80]],
  );
});
Flood('floodArgs() reads several destinations, and SCTP', () => {
  const o = args('--init --count 4 --seed 3 --from 10.1.2.3 --to 10.96.0.1:80 --to 10.96.0.2:81')!;
  assert.is(o.proto, 132);
  assert.equal(
    o.to.map((t) => t.port),
    [80, 81],
  );
});
Flood('floodArgs() takes nothing that it does not know', () => {
  for (const bad of [
    '--udp --count 10 --seed 3 --from 10.1.0.0/16',
    '--udp --syn --count 10 --seed 3 --from 10.1.0.0/16 --to 10.96.0.1:80',
    '--count 10 --seed 3 --from 10.1.0.0/16 --to 10.96.0.1:80',
    '--udp --count 0 --seed 3 --from 10.1.0.0/16 --to 10.96.0.1:80',
    '--udp --count 10 --seed 0 --from 10.1.0.0/16 --to 10.96.0.1:80',
    '--udp --count 10000000 --seed 1 --from 10.1.0.0/16 --to 10.96.0.1:80',
    '--udp --count 10 --seed 1 --from 10.1.0.0/4 --to 10.96.0.1:80',
    '--udp --count 10 --seed 1 --from 10.1.0/24 --to 10.96.0.1:80',
    '--udp --count 10 --seed 1 --from 10.1.0.0/24 --to 10.96.0.1:99999',
    '--udp --count 10 --count 10 --seed 1 --from 10.1.0.0/24 --to 10.96.0.1:80',
    '--udp --count 10 --seed 1 --from 10.1.0.0/24 --to 10.96.0.1:80 --burst 3',
  ]) {
    assert.is(args(bad), null, bad);
  }
});
Flood.run();
