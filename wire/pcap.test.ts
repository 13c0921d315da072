import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from './bytes.js';
import { PcapError, readPcap, writePcap } from './pcap.js';
import { PcapngWriter } from './pcapng.js';

const FILE = '4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000' + '0000926501000000 03000000 03000000 aabbcc';

const File = suite('wire/pcap');
File('writePcap() writes a little-endian nanosecond file, byte for byte', () => {
  const data = unhex('aabbcc');
  const bytes = writePcap({ linktype: 1, frames: [{ sec: 0x65920000, nsec: 1, data, origLen: 3 }] });
  assert.is(hex(bytes), hex(unhex(FILE)));
});
File('readPcap() reads a big-endian microsecond file', () => {
  const p = readPcap(
    unhex('a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000065 65920000 0000000a 00000001 0000003c 45'),
  );
  assert.is(p.linktype, 101);
  assert.is(p.frames[0]!.nsec, 10000);
  assert.is(p.frames[0]!.origLen, 60);
  assert.is(hex(p.frames[0]!.data), '45');
});
File('readPcap() names the byte at which a file is damaged', () => {
  const b = unhex(FILE);
  const offsetOf = (x: Uint8Array): number => {
    try {
      readPcap(x);
    } catch (e) {
      assert.instance(e, PcapError);
      return (e as PcapError).offset;
    }
    return -1;
  };
  for (let n = 0; n < b.length; n++)
    assert.is(offsetOf(b.subarray(0, n)), n < 24 ? n : n === 24 ? -1 : n < 40 ? 24 : 40);
  assert.is(offsetOf(Uint8Array.from(b, (v, i) => (i === 35 ? 0xff : v))), 32, 'captured length');
  assert.is(offsetOf(Uint8Array.from(b, (v, i) => (i === 31 ? 0xff : v))), 28, 'time fraction');
  assert.throws(() => readPcap(unhex('0a0d0d0a' + '00'.repeat(24))), /pcapng file/);
});
File('readPcap() reads back what writePcap() wrote, and survives any bytes', () => {
  const frame = fc.record({
    sec: fc.integer({ min: 0, max: 0xffffffff }),
    nsec: fc.integer({ min: 0, max: 999999999 }),
    data: fc.uint8Array({ maxLength: 9000 }),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), fc.nat(), fc.uint8Array(), (list, cut, noise) => {
      const frames = list.map((f) => ({ ...f, origLen: f.data.length }));
      const bytes = writePcap({ linktype: 1, frames });
      assert.equal(
        readPcap(bytes).frames.map((f) => ({ ...f, data: hex(f.data) })),
        frames.map((f) => ({ ...f, data: hex(f.data) })),
      );
      const broken = bytes.slice(0, cut % (bytes.length + 1));
      broken.set(noise.subarray(0, Math.max(0, broken.length - 24)), Math.min(24, broken.length));
      try {
        readPcap(broken);
      } catch (e) {
        assert.instance(e, PcapError);
      }
    }),
    { numRuns: 60 },
  );
});
File.run();

const Ng = suite('wire/pcapng');
Ng('PcapngWriter writes section, interface and packet, byte for byte', () => {
  const w = new PcapngWriter();
  w.addInterface({ name: 'a/b', linktype: 1 });
  w.packet(0, 0x200000001, 2, 0x100000003, unhex('aabb'), 0, 2, ['hi']);
  const t = (1704067200n * 1000000000n + 0x200000001n).toString(16).padStart(16, '0');
  const le = (s: string): string => hex(unhex(s).reverse());
  assert.is(
    hex(w.out.concat()),
    hex(
      unhex(
        '0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000' +
          '01000000 28000000 0100 0000 00000400 0200 0300 612f6200 0900 0100 09000000 00000000 28000000' +
          `06000000 44000000 00000000 ${le(t.slice(0, 8))} ${le(t.slice(8))} 02000000 02000000 aabb0000` +
          '0100 0200 68690000 0200 0400 02000000 0500 0800 03000000 01000000 00000000 44000000',
      ),
    ),
  );
});
Ng.run();
