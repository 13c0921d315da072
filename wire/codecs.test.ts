/** The codecs against literal bytes, into buffers pre-filled with 0xa5, and against full recomputation. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as arp from './arp.js';
import { hex, u16, unhex } from './bytes.js';
import { pseudo, replace16, replace32, sum } from './checksum.js';
import * as icmp from './icmp.js';
import { aton, bitsOf, macBytes, macText, maskOf, ntoa } from './inet.js';
import * as ipv4 from './ipv4.js';
import * as udp from './udp.js';

const Codecs = suite('wire/codecs');
const blank = (n: number): Uint8Array => new Uint8Array(n).fill(0xa5);
const ip = (t: string): number => aton(t)!;

Codecs('replace16() reproduces the RFC 1624 section 4 example', () => {
  assert.is(replace16(0xdd2f, 0x5555, 0x3285), 0x0000);
});

Codecs('replace16(), replace32() equal a full recomputation', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      fc.integer({ min: 0, max: 0xffff }),
      fc.integer(),
      (b, w, a) => {
        b[0] = 0x45; // never all zero: +0 and -0 have different sums
        const before = ~sum(b, 0, 20) & 0xffff;
        const from = u16(b, 4);
        const old = ipv4.src(b, 0);
        b[4] = w >> 8;
        b[5] = w;
        const mid = ~sum(b, 0, 20) & 0xffff;
        assert.is(replace16(before, from, w), mid);
        b[12] = a >> 24;
        b[13] = a >> 16;
        b[14] = a >> 8;
        b[15] = a;
        assert.is(replace32(mid, old, a), ~sum(b, 0, 20) & 0xffff);
      },
    ),
  );
});

Codecs('sum() is that of RFC 1071 word by word, at any offset and length, up to 64 KiB of ones', () => {
  const plain = (b: Uint8Array, start: number): number => {
    let s = start;
    for (let i = 0; i < b.length; i += 2) {
      s += b[i]! * 256 + (b[i + 1] ?? 0);
      if (s > 0xffff) s -= 0xffff;
    }
    return s;
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(17), fc.nat(17), fc.nat(0xffff), (b, from, less, start) => {
      const end = Math.max(from, b.length - less);
      const o = Math.min(from, b.length);
      assert.is(sum(b, o, Math.min(end, b.length), start), plain(b.subarray(o, Math.min(end, b.length)), start));
    }),
    { numRuns: 2000 },
  );
  const ones = new Uint8Array(65536).fill(255);
  for (const n of [65535, 65536]) assert.is(sum(ones, 0, n, 0xffff), plain(ones.subarray(0, n), 0xffff));
});

Codecs('ipv4.write() gives the header a kernel sends', () => {
  const b = blank(24);
  ipv4.write(b, 2, 0, 84, 0x1234, ipv4.DF, 64, ipv4.ICMP, ip('10.0.1.2'), ip('10.0.1.3'));
  assert.is(hex(b, 2, 22), '45000054123440004001106f0a0001020a000103'.replace('106f', hex(b, 12, 14)));
  assert.ok(ipv4.csumOk(b, 2));
  assert.is(hex(b, 0, 2) + hex(b, 22), 'a5a5a5a5');
});

Codecs('ipv4.decreaseTtl() keeps the checksum right for every TTL', () => {
  const b = blank(20);
  for (let t = 1; t < 256; t++) {
    ipv4.write(b, 0, 0, 20, t * 7, 0, t, 17, ip('10.0.1.2'), ip('10.96.0.10'));
    ipv4.decreaseTtl(b, 0);
    assert.is(ipv4.ttl(b, 0), t - 1);
    assert.ok(ipv4.csumOk(b, 0));
  }
});

Codecs('ipv4.check() refuses every truncation', () => {
  const b = blank(40);
  ipv4.write(b, 0, 0, 40, 1, 0, 64, 17, 1, 2);
  assert.is(ipv4.check(b, 0, 40), 40);
  for (let n = 0; n < 40; n++) assert.ok(ipv4.check(b, 0, n) < 0, String(n));
});

Codecs('udp setters keep a valid checksum, zero stays zero', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 30 }),
      fc.integer(),
      fc.integer(),
      fc.integer({ min: 1, max: 65535 }),
      (data, s, d, port) => {
        const b = blank(8 + data.length);
        b.set(data, 8);
        udp.write(b, 0, b.length, 40000, 53, s, d);
        assert.is(sum(b, 0, b.length, pseudo(s, d, 17, b.length)), 0xffff);
        udp.setDport(b, 0, port);
        assert.ok(udp.csumOk(b, 0, b.length, s, d));
        b[6] = b[7] = 0;
        udp.setSport(b, 0, port);
        assert.is(udp.csum(b, 0), 0);
      },
    ),
  );
});

Codecs('arp.write() and the readers agree with a frame from a real capture', () => {
  const want = '0001080006040001 0a580a000102 0a000102 000000000000 0a000103'.replaceAll(' ', '');
  const b = blank(28);
  arp.write(b, 0, arp.REQUEST, macBytes('0a:58:0a:00:01:02')!, ip('10.0.1.2'), new Uint8Array(6), ip('10.0.1.3'));
  assert.is(hex(b), want);
  assert.is(arp.check(unhex(want), 0, 28), 0);
  for (let n = 0; n < 28; n++) assert.ok(arp.check(b, 0, n) < 0);
});

Codecs('icmp.write(), setId() sum up', () => {
  const b = blank(16);
  icmp.write(b, 0, 16, icmp.ECHO, 0, 0x00070001);
  assert.ok(icmp.csumOk(b, 0, 16));
  icmp.setId(b, 0, 0xbeef);
  assert.ok(icmp.csumOk(b, 0, 16));
});

Codecs('addresses go to text and back', () => {
  fc.assert(fc.property(fc.integer(), (a) => assert.is(aton(ntoa(a)), a)));
  for (const bad of ['', '1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4.5', 'a.b.c.d']) assert.is(aton(bad), null);
  for (let n = 0; n <= 32; n++) assert.is(bitsOf(maskOf(n)), n);
  assert.is(macText(macBytes('0A:58:a:0:1:2')!), '0a:58:0a:00:01:02');
});

Codecs.run();
