import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { u16 } from '../../wire/bytes.js';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as sctp from '../../wire/sctp.js';
import type { Netns } from '../linux/core/netns.js';
import {
  FORWARD,
  nfHook,
  nfHookFrom,
  NF_ACCEPT,
  POST_ROUTING,
  PRE_ROUTING,
  registerHook,
} from '../linux/core/nf-hook.js';
import type { Skb } from '../linux/core/skb.js';
import { bootKernel } from '../linux/core/machine.js';
import { iptables } from './iptables.js';

const Nat = suite('lib/shell/nat');
const ip = (a: string): number => aton(a)!;

/** An SCTP packet with one INIT chunk, its checksum right. */
function init(net: Netns, sport: number): Skb {
  const s = net.kernel.skbs.alloc();
  s.net = s.head;
  s.tail = s.head + 20 + 12 + 20;
  s.buf.fill(0, s.head, s.tail);
  ipv4.write(s.buf, s.net, 0, 52, 1, 0, 64, ipv4.SCTP, ip('10.1.0.1'), ip('10.96.0.1'));
  const t = s.net + 20;
  s.buf.set([sport >> 8, sport & 255, 0, 80], t);
  s.buf.set([1, 0, 0, 20, 1, 2, 3, 4], t + 12);
  sctp.fillCsum(s.buf, t, s.tail);
  return s;
}

function router(): Netns {
  const net = bootKernel(1).netns.get('root')!;
  const add = (...args: string[]): void => assert.is(iptables(net, args).err, '');
  add('-t', 'nat', '-A', 'PREROUTING', '-p', 'sctp', '-m', 'sctp', '--dport', '80', '-j', 'DNAT', '--to-destination', '10.3.0.1:8080');
  return net;
} // prettier-ignore

Nat('DNAT of SCTP changes the port and keeps the CRC32c right', () => {
  const net = router();
  const s = init(net, 5000);
  const err = nfHook(PRE_ROUTING, net, s, null, null, () => 0);
  assert.is(err, 0);
  const t = s.net + 20;
  assert.is(ipv4.dst(s.buf, s.net), ip('10.3.0.1'));
  assert.is(u16(s.buf, t + 2), 8080);
  assert.ok(sctp.csumOk(s.buf, t, s.tail));
});

Nat('an entry that never came into the table ends with its last packet', () => {
  const net = router();
  assert.is(iptables(net, ['-A', 'FORWARD', '-p', 'sctp', '-j', 'DROP']).err, '');
  const s = init(net, 5000);
  let ended = 0;
  nfHook(PRE_ROUTING, net, s, null, null, () => 0);
  const forget = net.ct!.onRemove;
  net.ct!.onRemove = (ct): void => {
    ended++;
    forget?.(ct);
  };
  const copy = net.kernel.skbs.copy(s);
  assert.is(
    nfHook(FORWARD, net, s, null, null, () => 0),
    -1,
  );
  assert.is(ended, 0);
  net.kernel.skbs.free(copy);
  assert.is(ended, 1);
  assert.is(net.ct!.count, 0);
});

Nat('nfHookFrom() goes on behind the hook that kept the packet', () => {
  const net = bootKernel(1).netns.get('root')!;
  const seen: number[] = [];
  for (const n of [1, 2, 3]) registerHook(net, POST_ROUTING, n, () => (seen.push(n), NF_ACCEPT));
  const s = net.kernel.skbs.alloc();
  assert.is(
    nfHookFrom(1, POST_ROUTING, net, s, null, null, () => 7),
    7,
  );
  assert.equal(seen, [2, 3]);
});

Nat.run();
