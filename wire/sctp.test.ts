import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import * as sctp from './sctp.js';

const Sctp = suite('wire/sctp');

/** The check value of CRC-32C (RFC 3720, B.4): 32 bytes of zero give 0x8a9136aa. */
Sctp('crc32c() of 32 zero bytes is that of RFC 3720', () => {
  assert.is(sctp.crc32c(new Uint8Array(32), 0, 32) >>> 0, 0x8a9136aa);
});

Sctp('setPort() keeps the checksum right', () => {
  const b = new Uint8Array(40).fill(7);
  sctp.fillCsum(b, 4, 40);
  assert.ok(sctp.csumOk(b, 4, 40));
  sctp.setPort(b, 4, 40, sctp.DPORT, 8080);
  assert.ok(sctp.csumOk(b, 4, 40));
  b[20]! ^= 1;
  assert.not.ok(sctp.csumOk(b, 4, 40));
});

Sctp('chunks() stops at a chunk without length', () => {
  const b = new Uint8Array(24);
  b.set([1, 0, 0, 4, 3, 0, 0, 5], 12);
  const seen: number[] = [];
  assert.ok(sctp.chunks(b, 0, 20, (t) => seen.push(t) > 0));
  assert.equal(seen, [1, 3]);
  b[15] = 0;
  assert.not.ok(sctp.chunks(b, 0, 20, () => true));
});

Sctp.run();
