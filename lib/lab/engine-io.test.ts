/** The proxies' sockets on the engine, where a system call may let other programs run before it returns. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EngineIo } from '../apps/l7/engine-io.js';
import { bytesOf, textOf } from '../apps/l7/message.js';
import type { Program } from '../apps/program.js';
import { SEC } from '../sim/sim.js';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';

const LAB = `kind: Lab
metadata: { name: t }
spec:
  setup: |
    ip link set lo up
    podwire app echo --tcp 80 &
  steps:
  - { at: 0s, run: podwire app talk & }
  until: 3s
`;

const EngineIoTest = suite('lib/lab/engine-io');
EngineIoTest('what is written while a write wakes its reader goes behind it, and nothing goes twice', () => {
  let heard = '';
  let pending = -1;
  const talk: Program = (p) => {
    const io = new EngineIo(p, null);
    io.connect({ address: 0x7f000001, port: 80 }, (conn) => ({
      // By then both have slept: the echo runs inside of this write, and its answer is read there.
      open: () => void io.alarm(SEC, () => conn.send(bytesOf('ask '))),
      data: (b) => {
        heard += textOf(b);
        if (heard === 'ask ') conn.send(bytesOf('again '));
        pending = conn.pending;
      },
      eof: () => {},
      closed: () => {},
    }));
    p.onKill = () => io.closeAll();
  };
  runLab(parseLab(LAB, 't.yaml'), { programFor: (argv) => (argv[2] === 'talk' ? talk : null) });
  assert.is(heard, 'ask again ');
  assert.is(pending, 0);
});
EngineIoTest.run();
