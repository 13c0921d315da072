/** The bench measures what it says: its paths carry packets, its checks find what is wrong. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readPcap } from '../../../wire/pcap.js';
import { CASE_NAMES } from '../usage.js';
import { CASES, withCluster } from './cases.js';
import { type Figures, measure, spread } from './measure.js';
import { CLIENT } from './topology.js';
import { verify } from './verify.js';

const Bench = suite('cli/bench');
const dir = mkdtempSync(join(tmpdir(), 'podwire-bench-test-'));
Bench.after(() => rmSync(dir, { recursive: true, force: true }));

Bench('every case that the help names exists, and its traffic arrives', () => {
  assert.equal(Object.keys(CASES), [...CASE_NAMES]);
  for (const [name, c] of Object.entries(CASES)) {
    let got = -1;
    withCluster(c, (k) => {
      const t = c.traffic(k);
      got = t.known(3);
      t.prepare(2);
      got += t.fresh();
    });
    assert.is(got, 5, name);
  }
});

/** Measures a ClusterIP by iptables over VXLAN into `dir/name`. */
function small(name: string): Figures {
  const c = CASES['clusterip-iptables']!;
  let f: Figures | null = null;
  withCluster(c, (k) => {
    f = measure(k, c.traffic(k), { flows: 'known', packets: 20, rounds: 2, dir: join(dir, name), client: CLIENT });
  });
  return f!;
}

Bench('measure() counts ten interfaces of which each sees every packet once, and files that hold them all', () => {
  const f = small('ten');
  assert.is(f.interfaces, 10);
  assert.is(f.framesPerPacket, 10);
  assert.is(f.verified.frames, 10 * 3 * 20); // one round to warm up, two that count
  assert.ok(f.packetsPerSecond.min > 0 && f.packetsPerSecond.min <= f.packetsPerSecond.max);
  const file = (f: string): Uint8Array => readFileSync(join(dir, 'ten', f));
  assert.is(readPcap(file('node1/flannel.1.pcap')).frames.length, 60);
  assert.is(readPcap(file('node2/cni0.pcap')).frames.length, 60);
});

Bench('verify() finds a frame that is missing and a byte that is wrong, inside a tunnel too', () => {
  small('bad');
  const path = join(dir, 'bad/node1/eth0.pcap');
  const good = readFileSync(path);
  const capture = [{ iface: 'node1/eth0', path, frames: 60 }];
  assert.is(verify(capture).checksums, 60);
  assert.throws(() => verify([{ ...capture[0]!, frames: 61 }]), /has 60 frames, the interface has seen 61/);
  const size = (good.length - 24) / 60;
  for (let at = 24 + size + 16 + 14; at < 24 + 2 * size; at++) {
    const bad = Uint8Array.from(good);
    bad[at]! ^= 0x10;
    writeFileSync(path, bad);
    // The outer UDP checksum covers what is inside; addresses of the outer Ethernet header are covered by nothing.
    assert.throws(() => verify(capture), /^Error: node1\/eth0: frame 2: |frame 2: /, `byte ${at}`);
  }
  assert.ok(readdirSync(join(dir, 'bad')).includes('node1'));
});

Bench('spread() gives the median of an odd and of an even number of values', () => {
  assert.equal(spread([3, 1, 2]), { median: 2, min: 1, max: 3 });
  assert.equal(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
});
Bench.run();
