/** TCP against literal bytes of a Linux capture, into buffers pre-filled with 0xa5, and against the dissector. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from './bytes.js';
import { dissect } from './dissect.js';
import { aton } from './inet.js';
import * as tcp from './tcp.js';

const Tcp = suite('wire/tcp');
const A = aton('10.0.0.1')!;
const B = aton('10.0.0.2')!;
const blank = (n: number): Uint8Array => new Uint8Array(n).fill(0xa5);

/** A SYN as Linux 6.1 sent it from 10.0.0.1:56698 to 10.0.0.2:8081. */
const SYN = unhex('dd7a1f918a2fdd2100000000a002faf045db0000 020405b40402080acd46c18d0000000001030307');

Tcp('the readers see the fields of a SYN from a capture', () => {
  assert.is(tcp.check(SYN, 0, SYN.length), 40);
  assert.is(tcp.sport(SYN, 0), 56698);
  assert.is(tcp.dport(SYN, 0), 8081);
  assert.is(tcp.seq(SYN, 0) >>> 0, 0x8a2fdd21);
  assert.is(tcp.flags(SYN, 0), tcp.SYN);
  assert.is(tcp.window(SYN, 0), 64240);
  assert.ok(tcp.csumOk(SYN, 0, SYN.length, A, B));
});

Tcp('write(), putSynOptions() and fillCsum() give the same bytes', () => {
  const b = blank(44);
  const end = tcp.putSynOptions(b, 2 + tcp.HLEN, 1460, true, true, 0xcd46c18d | 0, 0, 7);
  tcp.write(b, 2, 56698, 8081, 0x8a2fdd21 | 0, 0, end - 2, tcp.SYN, 64240);
  tcp.fillCsum(b, 2, end, A, B);
  assert.is(hex(b, 2, 42), hex(SYN));
  assert.is(hex(b, 0, 2) + hex(b, 42), 'a5a5a5a5');
});

Tcp('check() refuses every truncation and a short header length', () => {
  for (let n = 0; n < 40; n++) assert.ok(tcp.check(SYN, 0, n) < 0, String(n));
  const b = SYN.slice();
  b[tcp.DOFF] = 0x40;
  assert.is(tcp.check(b, 0, b.length), tcp.BAD_DOFF);
});

Tcp('parseOptions() reads a SYN, and SACK blocks behind time stamps', () => {
  const o = new tcp.Options();
  tcp.parseOptions(SYN, 0, o);
  assert.is(o.mss, 1460);
  assert.is(o.wscale, 7);
  assert.ok(o.sackPerm && o.sawTstamp);
  assert.is(o.tsval >>> 0, 0xcd46c18d);
  assert.is(o.tsecr, 0);
  const b = blank(60);
  tcp.write(b, 0, 1, 2, 3, 4, 52, tcp.ACK, 5);
  const at = tcp.putTstamp(b, tcp.HLEN, 7, 8);
  assert.is(tcp.putSack(b, at, Int32Array.of(100, 200, -5, 5), 2), 52);
  tcp.parseOptions(b, 0, o);
  assert.is(o.sacks, 2);
  assert.equal([...o.sack.subarray(0, 4)], [100, 200, -5, 5]);
  assert.is(o.mss, 0);
  assert.is(o.wscale, -1);
});

Tcp('putSynOptions() without time stamps pads SACK-permitted', () => {
  const b = blank(24);
  assert.is(tcp.putSynOptions(b, 0, 1460, true, false, 0, 0, 3), 12);
  assert.is(hex(b, 0, 12), '020405b40101040201030303');
  assert.is(tcp.putSynOptions(b, 0, 1460, false, true, 1, 2, -1), 16);
  assert.is(hex(b, 0, 16), '020405b40101080a0000000100000002');
});

Tcp('parseOptions() takes any bytes and stops at the first bad option', () => {
  const o = new tcp.Options();
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 60, maxLength: 60 }), fc.integer({ min: 5, max: 15 }), (b, words) => {
      b[tcp.DOFF] = words << 4;
      tcp.parseOptions(b, 0, o);
      assert.ok(o.sacks <= tcp.MAX_SACKS && o.wscale <= 14);
    }),
  );
  const b = blank(32);
  tcp.write(b, 0, 1, 2, 3, 4, 32, tcp.SYN, 5);
  b.set([4, 2, 2, 1, 3, 3, 7, 1, 1, 1, 1, 1], 20);
  tcp.parseOptions(b, 0, o);
  assert.ok(o.sackPerm);
  assert.is(o.wscale, -1, 'after an option of length 1 nothing is read');
});

Tcp('setSport(), setDport() keep a valid checksum', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), fc.integer({ min: 0, max: 65535 }), (data, port) => {
      const b = blank(20 + data.length);
      b.set(data, 20);
      tcp.write(b, 0, 40000, 80, 1, 2, 20, tcp.ACK, 100);
      tcp.fillCsum(b, 0, b.length, A, B);
      tcp.setSport(b, 0, port);
      tcp.setDport(b, 0, 65535 - port);
      assert.ok(tcp.csumOk(b, 0, b.length, A, B));
      assert.is(tcp.sport(b, 0), port);
    }),
  );
});

Tcp('before() and after() compare modulo 2^32', () => {
  assert.ok(tcp.before(-1, 0) && tcp.after(0, -1));
  assert.ok(tcp.before(0x7fffffff, 0x80000000 | 0));
  assert.not.ok(tcp.before(5, 5) || tcp.after(5, 5));
});

Tcp('the readers agree with the dissector on 1000 random headers', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), (b) => {
      b.set([0x45, 0, 0, 40], 0);
      b.set([0, 0, 64, 6], 6);
      b[20 + tcp.DOFF] = 0x50;
      const v = new Map(dissect(b, 101).map((f) => [f.name, f.value]));
      assert.is(v.get('tcp.sport'), tcp.sport(b, 20));
      assert.is(v.get('tcp.seq'), tcp.seq(b, 20) >>> 0);
      assert.is(v.get('tcp.ack'), tcp.ack(b, 20) >>> 0);
      assert.is(v.get('tcp.flags'), tcp.flags(b, 20));
      assert.is(v.get('tcp.window'), tcp.window(b, 20));
      assert.is(v.get('tcp.csum'), tcp.csum(b, 20));
    }),
    { numRuns: 1000 },
  );
});

Tcp.run();
