/** What ping makes of its arguments. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';

/** Exit code and first line of stderr. */
const ping = (args: string): string => {
  const text = `kind: Lab\nmetadata: { name: x }\nspec:\n  setup: ip link set lo up\n  steps: [ { at: 0s, run: ping ${args} 127.0.0.1 } ]\n`;
  const { exit, stderr } = runLab(parseLab(text, 'x')).steps[0]!;
  return `${exit} ${stderr.trim()}`;
};

const Ping = suite('lib/lab/ping');
Ping('refuses numbers in the words of iputils 20221126', () => {
  for (const [args, said] of [
    ['-c 0', "1 ping: invalid argument: '0': out of range: 1 <= value <= 9223372036854775807"],
    ['-c 1e3', "1 ping: invalid argument: '1e3'"],
    ['-c 0x2', "1 ping: invalid argument: '0x2'"],
    ['-s -1', "1 ping: invalid argument: '-1': out of range: 0 <= value <= 2147483647"],
    ['-s 3000000000', "1 ping: invalid argument: '3000000000': out of range: 0 <= value <= 2147483647"],
    ['-t 300', "1 ping: invalid argument: '300': out of range: 0 <= value <= 255"],
    ['-t 0', '2 ping: cannot set unicast time-to-live: Invalid argument'],
    ['-e 70000', "1 ping: invalid argument: '70000': out of range: 0 <= value <= 65535"],
    ['-Q 256', '2 ping: the decimal value of TOS bits must be in range 0-255: 256'],
  ] as const) {
    assert.is(ping(args), said, args);
  }
});
Ping('takes a size that no packet holds, and sends none', () => {
  assert.is(ping('-c 1 -s 65508'), '1 ping: local error: message too long, mtu=65535');
  // What no socket takes at all is passed over in silence.
  assert.is(ping('-c 1 -W 1 -s 70000'), '1 ');
  assert.is(ping('-c 1 -s 65507'), '0 ');
});
Ping('without a pause the number of probes is bounded, as no time passes between them', () => {
  for (const args of ['-f', '-i 0 -c 100001', '-f -c 9223372036854775807', '-i 0 -w 1']) {
    assert.throws(() => ping(args), /x:5:\d+: ping: without a pause it needs -c 100000 at most/, args);
  }
  assert.is(ping('-f -q -c 1000'), '0 ');
});
Ping.run();
