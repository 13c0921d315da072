/** PcapWriter, the part of podwire that other programs import. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readPcap } from '../../wire/pcap.js';
import { PcapWriter } from './pcap-writer.js';

const dir = mkdtempSync(join(tmpdir(), 'podwire-writer-'));
const Writer = suite('lib/capture/pcap-writer');
Writer.after(() => rmSync(dir, { recursive: true, force: true }));

Writer('PcapWriter writes what readPcap() reads, and names the file at the end', () => {
  const path = join(dir, 'x.pcap');
  const w = new PcapWriter(path, { linktype: 101 });
  w.write(0xffffffff, 999_999_999, Uint8Array.of(1, 2, 3));
  w.write(0, 0, Buffer.alloc(262144));
  assert.not(existsSync(path));
  w.close();
  w.close();
  const { linktype, frames } = readPcap(readFileSync(path));
  assert.is(linktype, 101);
  assert.equal(frames.map((f) => [f.sec, f.nsec, f.data.length, f.origLen]), [[0xffffffff, 999_999_999, 3, 3], [0, 0, 262144, 262144]]); // prettier-ignore
  assert.throws(() => w.write(0, 0, Uint8Array.of(1)), /is closed/);
});
Writer('PcapWriter refuses what no pcap file can hold', () => {
  const is =
    (kind: 'TypeError' | 'RangeError', what: string) =>
    (e: Error): boolean =>
      e.name === kind && e.message.startsWith(`Cannot write a capture: ${what}: `);
  const w = new PcapWriter(join(dir, 'y.pcap'));
  const write =
    (...a: unknown[]) =>
    () =>
      w.write(...(a as [number, number, Uint8Array]));
  const b = Uint8Array.of(1);
  assert.throws(write('0', 0, b), is('TypeError', 'sec'));
  assert.throws(write(0.5, 0, b), is('TypeError', 'sec'));
  assert.throws(write(NaN, 0, b), is('TypeError', 'sec'));
  assert.throws(write(-1, 0, b), is('RangeError', 'sec'));
  assert.throws(write(2 ** 32, 0, b), is('RangeError', 'sec'));
  assert.throws(write(0, 1e9, b), is('RangeError', 'nsec'));
  assert.throws(write(0, 0n, b), is('TypeError', 'nsec'));
  assert.throws(write(0, 0, [1, 2]), is('TypeError', 'bytes'));
  assert.throws(write(0, 0, 'x'), is('TypeError', 'bytes'));
  assert.throws(write(0, 0, new Uint8Array(262145)), is('RangeError', 'bytes'));
  assert.throws(() => new PcapWriter(''), is('TypeError', 'path'));
  assert.throws(() => new PcapWriter(join(dir, 'z'), { linktype: 65536 }), is('RangeError', 'linktype'));
  assert.throws(() => new PcapWriter(join(dir, 'z'), { linktype: 'x' as unknown as number }), is('TypeError', 'linktype')); // prettier-ignore
  w.close();
  assert.equal(readPcap(readFileSync(join(dir, 'y.pcap'))).frames, []);
});
Writer.run();
