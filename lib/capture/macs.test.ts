/** The equivalence `mac`: addresses that a Lab leaves to chance. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unhex } from '../../wire/bytes.js';
import { compare, differenceText } from './compare.js';
import { macsIn } from './equivalence.js';
import type { Captures } from './reader.js';

const tree = (...frames: string[]): Captures => {
  const list = frames.map((f, i) => ({ sec: i, nsec: 0, data: unhex(f), origLen: f.length / 2 }));
  return new Map([['a/eth0', { linktype: 1, frames: list }]]);
};
const [A, B, C, D] = ['021111111111', '0a2222222222', '063333333333', '0e4444444444'] as const;
const BROADCAST = 'ffffffffffff';
/** An ARP request of `mac`, and the reply of `to`. */
const ask = (mac: string): string => `${BROADCAST}${mac}08060001080006040001${mac}0a000001${'0'.repeat(12)}0a000002`;
const answer = (mac: string, to: string): string => `${to}${mac}08060001080006040002${mac}0a000002${to}0a000001`;
const run = (e: Captures, a: Captures, text?: string): string => {
  const c = compare(e, a, text === undefined ? {} : { fixedMacs: macsIn(text) });
  const d = c.differences[0];
  return d === undefined ? JSON.stringify(c.equivalences) : differenceText('x', d).split('\n').slice(0, 2).join('; ');
};

const Macs = suite('lib/capture/macs');

Macs('macsIn() finds the addresses of a text', () => {
  assert.equal([...macsIn('ip link add x address 02:AA:00:00:00:01 type veth; ip addr add fe80::1:2:3:4:5')], ['02:aa:00:00:00:01']); // prettier-ignore
});
Macs('random addresses are mapped one to one, in Ethernet and ARP', () => {
  const e = tree(ask(A), answer(B, A));
  assert.is(run(e, tree(ask(C), answer(D, C)), 'ip link add'), '{"mac":6}');
  assert.match(run(e, tree(ask(C), answer(C, C)), ''), /frame 2: eth\.src: expected .*mac: .* already stands for/);
  assert.match(run(e, tree(ask(C), answer(D, A)), ''), /frame 2: eth\.dst: /);
  assert.match(
    run(e, tree(ask(C), answer(D, C).replace(/0a000001$/, '0a000009')), ''),
    /arp\.tip: expected 10\.0\.0\.1/,
  );
});
Macs('an address that the Lab sets, a global one and a group are not mapped', () => {
  const e = tree(ask(A));
  assert.match(run(e, tree(ask(C)), `address ${A.replace(/..(?=.)/g, '$&:')}`), /eth\.src: .*the Lab sets one of them/);
  assert.match(run(e, tree(ask('003333333333')), ''), /eth\.src/);
  assert.match(run(tree(ask(A)), tree(ask(A).replace(BROADCAST, D)), ''), /eth\.dst/);
});
Macs('without a Lab none is mapped', () => {
  assert.match(
    run(tree(ask(A)), tree(ask(C))),
    /eth\.src: expected 02:11:11:11:11:11, actual 06:33:33:33:33:33; .*--macs/,
  );
});
Macs('frames within VXLAN are mapped too', () => {
  const inner = (mac: string): string => {
    const arp = ask(mac);
    const n = 36 + arp.length / 2;
    const len = (x: number): string => x.toString(16).padStart(4, '0');
    return `${BROADCAST}00000000000108004500${len(n)}00000000401100000a0000010a000002b0b012b5${len(n - 20)}00000800000000000100${arp}`;
  };
  assert.is(run(tree(inner(A)), tree(inner(C)), ''), '{"mac":2}');
});
Macs.run();
