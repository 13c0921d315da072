/** A capture written while it runs is the file that is written at the end. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EN10MB } from '../../wire/pcap.js';
import { FileTap } from './file-tap.js';
import { writeCaptures } from './pcap-writer.js';
import { CaptureClock, Tap } from './tap.js';

const FileTapTest = suite('capture/file-tap');
const dir = mkdtempSync(join(tmpdir(), 'podwire-file-tap-'));
FileTapTest.after(() => rmSync(dir, { recursive: true, force: true }));

const frames = fc.array(
  fc.record({
    gap: fc.nat(3000),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 14, maxLength: 120 }),
      fc.nat(70_000).map((n) => new Uint8Array(n + 14).fill(n)),
    ),
    at: fc.nat(64),
  }),
  { maxLength: 60 },
);

FileTapTest('FileTap writes what writeCaptures writes of a Tap with the same frames', () => {
  fc.assert(
    fc.property(frames, (list) => {
      const held = new Tap(new CaptureClock(), 'a/eth0', EN10MB);
      const streamed = new FileTap(new CaptureClock(), join(dir, 'x', 'eth0.pcap'), EN10MB);
      let now = 0;
      for (const { gap, bytes, at } of list) {
        now += gap;
        const buf = new Uint8Array(at + bytes.length + 8);
        buf.set(bytes, at);
        held.frame(now, 1, buf, at, at + bytes.length, 1);
        streamed.frame(now, 1, buf, at, at + bytes.length, 1);
        buf.fill(0); // a capture holds bytes, not buffers
      }
      streamed.close();
      assert.is(streamed.frames, list.length);
      if (list.length === 0) return;
      writeCaptures(join(dir, 'tree'), [held]);
      const want = readFileSync(join(dir, 'tree/a/eth0.pcap'));
      assert.ok(want.equals(readFileSync(streamed.path)), 'the files differ');
    }),
    { numRuns: 60 },
  );
});
FileTapTest.run();
