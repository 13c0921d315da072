import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as arp from './arp.js';
import { unhex } from './bytes.js';
import { dissect } from './dissect.js';
import * as ethernet from './ethernet.js';
import * as icmp from './icmp.js';
import { aton, ntoa } from './inet.js';
import * as ipv4 from './ipv4.js';
import { print } from './print.js';
import * as udp from './udp.js';

const MAC_A = unhex('02000a000102');
const A = aton('10.0.1.2')!;
const B = aton('10.0.1.1')!;

/** An ICMP port unreachable that quotes a UDP datagram. */
function unreachable(): Uint8Array {
  const b = new Uint8Array(14 + 20 + 8 + 20 + 8 + 4);
  ethernet.write(b, 0, MAC_A, ethernet.BROADCAST, ethernet.P_IP);
  udp.write(b, 62, 74, 40000, 7, A, B);
  ipv4.write(b, 42, 0, 32, 9, 0, 63, ipv4.UDP, A, B);
  icmp.write(b, 34, 74, icmp.DEST_UNREACH, icmp.PORT_UNREACH, 0);
  ipv4.write(b, 14, 0xc0, 60, 1, 0, 64, ipv4.ICMP, B, A);
  return b;
}

const Dissect = suite('wire/dissect');
Dissect('dissect() names the packet inside an ICMP error', () => {
  const v = new Map(dissect(unreachable()).map((f) => [f.name, f.value]));
  assert.is(v.get('ip.ttl'), 64);
  assert.is(v.get('icmp.ip.ttl'), 63);
  assert.is(v.get('icmp.udp.dport'), 7);
  assert.is(v.get('icmp.udp.data'), '00000000');
});
Dissect('dissect() agrees with the wire accessors on 1000 random headers', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 28, maxLength: 28 }), (b) => {
      b[0] = 0x45;
      b[6] = 0;
      b[7] = 0;
      b[9] = 17;
      b[2] = 0;
      b[3] = 28;
      const v = new Map(dissect(b, 101).map((f) => [f.name, f.value]));
      assert.is(v.get('ip.tos'), ipv4.tos(b, 0));
      assert.is(v.get('ip.id'), ipv4.id(b, 0));
      assert.is(v.get('ip.ttl'), ipv4.ttl(b, 0));
      assert.is(v.get('ip.src'), ntoa(ipv4.src(b, 0)));
      assert.is(v.get('ip.dst'), ntoa(ipv4.dst(b, 0)));
      assert.is(v.get('udp.sport'), udp.sport(b, 20));
      assert.is(v.get('udp.dport'), udp.dport(b, 20));
      assert.is(v.get('udp.csum'), udp.csum(b, 20));
    }),
    { numRuns: 1000 },
  );
});
Dissect('dissect() and print() take any bytes; the fields cover all of them', () => {
  const mutated = fc
    .tuple(fc.uint8Array({ maxLength: 30 }), fc.nat(74), fc.nat(73), fc.nat(255))
    .map(([tail, cut, at, v]) => {
      const b = Uint8Array.from([...unreachable().subarray(0, cut), ...tail]);
      if (at < b.length) b[at] = v;
      return b;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 90 })), fc.constantFrom(1, 101, 7), (b, linktype) => {
      assert.type(print(b, linktype), 'string');
      const covered = new Uint8Array(b.length);
      for (const f of dissect(b, linktype)) covered.fill(1, f.offset, f.offset + f.length);
      assert.not.ok(covered.includes(0));
    }),
    { numRuns: 2000 },
  );
});
Dissect.run();

const Print = suite('wire/print');
Print('print() writes ARP and errors as tcpdump does', () => {
  const b = new Uint8Array(42);
  ethernet.write(b, 0, ethernet.BROADCAST, MAC_A, ethernet.P_ARP);
  arp.write(b, 14, arp.REQUEST, MAC_A, A, new Uint8Array(6), B);
  assert.is(print(b), 'ARP who-has 10.0.1.1 tell 10.0.1.2');
  const quoted = 'IP 10.0.1.2.40000 > 10.0.1.1.7: UDP, length 4';
  const text = 'IP 10.0.1.1 > 10.0.1.2: ICMP 10.0.1.1 udp port 7 unreachable, length 40';
  assert.is(print(unreachable()), `${text} (${quoted})`);
});
Print.run();
