import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unhex } from '../../wire/bytes.js';
import { EPOCH_SEC, readPcap } from '../../wire/pcap.js';
import { PcapWriter, writeCaptures } from './pcap-writer.js';
import { readCaptures } from './reader.js';
import { CaptureClock, Tap, inOrder } from './tap.js';

const ARP = unhex('ffffffffffff02000a0001020806000108000604000102000a0001020a0001020000000000000a000101');

const Capture = suite('lib/capture/tap');
Capture.before((c) => {
  c['dir'] = mkdtempSync(join(tmpdir(), 'podwire-'));
});
Capture.after((c) => rmSync(c['dir'] as string, { recursive: true }));

Capture('frames of all taps share one rising clock and merge in order', () => {
  const clock = new CaptureClock();
  const taps = [new Tap(clock, 'a/eth0', 1), new Tap(clock, 'b/eth0', 1)];
  const big = new Uint8Array(3000).fill(7);
  for (let i = 0; i < 100; i++) taps[i % 3 === 0 ? 0 : 1]!.frame(i < 50 ? 5 : 2e9, i & 1 ? 1 : 2, big, 0, i * 30, i);
  const seen: number[] = [];
  inOrder(taps, (_, c) => {
    seen.push(c.tap.packetIdOf(c.index));
    assert.is(c.end - c.start, c.tap.packetIdOf(c.index) * 30);
  });
  assert.equal(
    seen,
    Array.from({ length: 100 }, (_, i) => i),
  );
  const first = readPcap(Buffer.concat(taps[0]!.pcap()));
  assert.is(first.frames.length, taps[0]!.frames);
  assert.equal([first.frames[1]!.sec, first.frames[1]!.nsec], [EPOCH_SEC, 3005]);
  assert.equal([first.frames[17]!.sec, first.frames[17]!.nsec], [EPOCH_SEC + 2, 1000]);
});
Capture('writeCaptures() replaces a tree as a whole; readCaptures() reads it', (c) => {
  const dir = join(c['dir'] as string, 'out', 'demo');
  const clock = new CaptureClock();
  const taps = ['a/eth0', 'b/eth0', 'b/quiet'].map((n) => new Tap(clock, n, 1));
  taps[0]!.frame(0, 2, ARP, 0, ARP.length, 7);
  taps[1]!.frame(0, 1, ARP, 0, ARP.length, 7);
  const b = taps[1]!;
  writeCaptures(dir, taps, { files: { 'old.json': '{}' } });
  writeCaptures(dir, taps, { comments: (t) => (t === b ? ['arrived'] : []), about: ['demo'] });
  assert.equal(readdirSync(dir).sort(), ['a', 'all.pcapng', 'b']);
  assert.equal(readdirSync(join(dir, '..')), ['demo']);
  const read = readCaptures(dir);
  assert.equal([...read.keys()], ['a/eth0', 'b/eth0']);
  assert.equal([...readCaptures(join(dir, 'a/eth0.pcap')).keys()], ['a/eth0']);
  writeFileSync(join(dir, 'a/eth0.pcap'), readFileSync(join(dir, 'a/eth0.pcap')).subarray(0, 50));
  assert.throws(() => readCaptures(dir), /byte 40: the file ends inside frame 1/);
  if (!existsSync('/usr/bin/tshark')) return;
  const fields = ['interface_name', 'packet_id', 'packet_flags_direction', 'time_epoch', 'comment'];
  const args = fields.flatMap((f) => ['-e', `frame.${f}`]);
  const text = execFileSync('/usr/bin/tshark', ['-r', join(dir, 'all.pcapng'), '-T', 'fields', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  assert.match(text, /^a\/eth0\t7\t\S+\t1704067200\.000000000\t\nb\/eth0\t7\t\S+\t1704067200\.000001000\tarrived\n$/);
});
Capture('names and descriptions reach Wireshark: -N n resolves from the file itself', (c) => {
  if (!existsSync('/usr/bin/tshark')) return;
  const dir = join(c['dir'] as string, 'names');
  const tap = new Tap(new CaptureClock(), 'a/eth0', 1);
  const ping = '0200000000010200000000020800' + '4500001c00004000400126dd0a0001020a000103' + '0800f7ff00000000'; // 10.0.1.2 > 10.0.1.3
  const b = unhex(ping);
  tap.frame(0, 1, b, 0, b.length, 1);
  const names = new Map([
    ['10.0.1.2', ['client.default.pod', 'second']],
    ['10.0.1.3', ['web.default.svc']],
  ]);
  writeCaptures(dir, [tap], { names, describe: (iface) => `role of ${iface}`, comments: () => ['one', 'two → three'] });
  const fields = ['ip.src_host', 'ip.dst_host', 'frame.interface_description', 'frame.comment'];
  const args = ['-r', join(dir, 'all.pcapng'), '-N', 'n', '-T', 'fields', ...fields.flatMap((f) => ['-e', f])];
  const text = execFileSync('/usr/bin/tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  assert.is(text, 'client.default.pod\tweb.default.svc\trole of a/eth0\tone,two → three\n');
});
Capture('PcapWriter gives the file its name on close', (c) => {
  const path = join(c['dir'] as string, 'x.pcap');
  const w = new PcapWriter(path, { linktype: 101 });
  for (let i = 0; i < 40; i++) w.write(1, i, new Uint8Array(1400).fill(i));
  assert.not.ok(existsSync(path));
  w.close();
  const p = readPcap(readFileSync(path));
  assert.is(p.linktype, 101);
  assert.equal([p.frames.length, p.frames[39]!.data[1399]], [40, 39]);
});
Capture.run();
