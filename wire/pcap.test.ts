import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from './bytes.js';
import { EPOCH_SEC, PcapError, readPcap, writePcap } from './pcap.js';
import { PcapngWriter } from './pcapng.js';
import { readPcapng } from './pcapng-reader.js';

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
Ng('PcapngWriter writes a key log as a Decryption Secrets Block, byte for byte', () => {
  const w = new PcapngWriter();
  const before = w.out.list().reduce((n, c) => n + c.length, 0);
  w.secrets(['A b c']);
  const all = hex(w.out.list()[0]!).slice(2 * before);
  assert.is(all, hex(unhex('0a000000 1c000000 4b534c54 06000000 412062 20630a 0000 1c000000')));
  w.secrets([]);
  assert.is(
    w.out.list().reduce((n, c) => n + c.length, 0),
    before + 0x1c,
    'no block without a line',
  );
});
Ng('PcapngWriter writes names of addresses, byte for byte', () => {
  const w = new PcapngWriter();
  const before = w.out.length;
  w.names([{ addr: Uint8Array.of(10, 0, 1, 2), names: ['a.b', 'c'] }]);
  const nrb = '04000000 20000000' + '0100 0a00 0a000102 612e6200 6300 0000' + '00000000 20000000';
  assert.is(hex(w.out.concat().subarray(before)), hex(unhex(nrb)));
});
/** A file of two interfaces with a name block and commented packets. */
function sample(list: readonly { iface: number; ns: number; data: Uint8Array }[]): Uint8Array {
  const w = new PcapngWriter({ application: 'test', comments: ['c'] });
  w.addInterface({ name: 'a/eth0', linktype: 1, mac: unhex('020000000001') });
  w.addInterface({ name: 'b/tunl0', linktype: 101 });
  w.names([{ addr: Uint8Array.of(10, 0, 1, 2), names: ['x'] }]);
  for (const f of list) w.packet(f.iface, f.ns, 1, 7, f.data, 0, f.data.length, ['why']);
  return w.out.concat();
}
const FRAMES = fc.array(
  fc.record({
    iface: fc.integer({ min: 0, max: 1 }),
    ns: fc.integer({ min: 0, max: 2 ** 50 }),
    data: fc.uint8Array({ maxLength: 3000 }),
  }),
  { maxLength: 12 },
);
const offset = (f: () => unknown): number => {
  try {
    f();
  } catch (e) {
    assert.instance(e, PcapError);
    return (e as PcapError).offset;
  }
  return -1;
};
Ng('readPcapng() reads back what PcapngWriter wrote', () => {
  fc.assert(
    fc.property(FRAMES, (list) => {
      const read = readPcapng(sample(list));
      assert.equal(
        read.map((i) => [i.name, i.linktype]),
        [
          ['a/eth0', 1],
          ['b/tunl0', 101],
        ],
      );
      const text = (sec: number, nsec: number, d: Uint8Array): string => `${sec} ${nsec} ${hex(d)}`;
      for (const k of [0, 1]) {
        assert.equal(
          read[k]!.frames.map((f) => text(f.sec, f.nsec, f.data)),
          list.filter((f) => f.iface === k).map((f) => text(EPOCH_SEC + Math.floor(f.ns / 1e9), f.ns % 1e9, f.data)),
        );
      }
    }),
    { numRuns: 60 },
  );
});
Ng('readPcapng() names a byte for every file that is cut inside a block, and survives any change', () => {
  const whole = sample([{ iface: 0, ns: 1, data: unhex('aabbcc') }]);
  const ends = new Set<number>();
  for (let o = 0; o < whole.length; o += new DataView(whole.buffer, whole.byteOffset).getUint32(o + 4, true))
    ends.add(o);
  for (let n = 0; n < whole.length; n++) {
    const at = offset(() => readPcapng(whole.subarray(0, n)));
    if (n > 0 && ends.has(n)) assert.is(at, -1, `cut at ${n}`);
    else assert.ok(at >= 0 && at <= n, `cut at ${n}: ${at}`);
  }
  fc.assert(
    fc.property(
      FRAMES,
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
      (list, flips) => {
        const b = sample(list);
        for (const [at, v] of flips) b[at % b.length] = v;
        assert.ok(offset(() => readPcapng(b)) <= b.length);
      },
    ),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
      const b = new Uint8Array(28 + noise.length);
      b.set(whole.subarray(0, 28));
      b.set(noise, 28);
      offset(() => readPcapng(b));
      offset(() => readPcapng(noise));
      offset(() => readPcap(noise));
    }),
    { numRuns: 200 },
  );
});
Ng('readPcapng() reads a big-endian file with microseconds', () => {
  const [read] = readPcapng(
    unhex(
      '0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c' +
        '00000001 00000014 0001 0000 00000000 00000014' +
        '00000006 00000024 00000000 00000000 000f4241 00000002 00000002 aabb0000 00000024' +
        '00000003 00000014 00000002 ccdd0000 00000014',
    ),
  );
  assert.is(read!.name, 'if0');
  assert.equal(
    read!.frames.map((f) => [f.sec, f.nsec, hex(f.data)]),
    [
      [1, 1000, 'aabb'],
      [0, 0, 'ccdd'],
    ],
  );
});
Ng.run();
