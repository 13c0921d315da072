/** What may differ between two runs of one TCP connection, and what may not. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as ethernet from '../../wire/ethernet.js';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import type { PcapFrame } from '../../wire/pcap.js';
import * as tcp from '../../wire/tcp.js';
import { compare } from './compare.js';
import type { Captures } from './reader.js';

const C = aton('10.0.0.1')!;
const S = aton('10.0.0.2')!;
const MAC = new Uint8Array(6);

/** What is random in one run. */
interface Run {
  port: number;
  isn: [client: number, server: number];
  ts: [client: number, server: number];
  id: [client: number, server: number];
}

interface Segment {
  client: boolean;
  flags: number;
  seq: number;
  ack: number;
  /** Steps of the clocks and of the ID since the start. */
  val?: number;
  ecr?: number;
  step?: number;
  sack?: [number, number];
  len?: number;
}

const EXPECTED: Run = { port: 40000, isn: [1000, 2000], ts: [500, 600], id: [7, 9] };
const ACTUAL: Run = { port: 50000, isn: [-5, 1 << 30], ts: [-100, 90], id: [65534, 3] };

const TALK: Segment[] = [
  { client: true, flags: tcp.SYN, seq: 0, ack: 0, val: 1 },
  { client: false, flags: tcp.SYN | tcp.ACK, seq: 0, ack: 1, val: 1, ecr: 1 },
  { client: true, flags: tcp.ACK, seq: 1, ack: 1, val: 2, ecr: 1, step: 1 },
  { client: true, flags: tcp.ACK | tcp.PSH, seq: 1, ack: 1, val: 2, ecr: 1, step: 2, len: 10 },
  { client: false, flags: tcp.ACK, seq: 1, ack: 1, val: 3, ecr: 2, step: 1, sack: [5, 11] },
  { client: false, flags: tcp.ACK, seq: 1, ack: 11, val: 4, ecr: 2, step: 2 },
];

function frame(s: Segment, r: Run): Uint8Array {
  const b = new Uint8Array(200);
  const [me, you] = s.client ? [0, 1] : [1, 0];
  const t = 34;
  const syn = (s.flags & tcp.SYN) !== 0;
  const val = ((s.val ?? 0) + r.ts[me]!) | 0;
  const ecr = s.ecr === undefined ? 0 : (s.ecr + r.ts[you]!) | 0;
  let at = syn ? tcp.putSynOptions(b, t + 20, 1460, true, true, val, ecr, 7) : tcp.putTstamp(b, t + 20, val, ecr);
  if (s.sack !== undefined)
    at = tcp.putSack(
      b,
      at,
      Int32Array.from(s.sack, (v) => (v + r.isn[you]!) | 0),
      1,
    );
  const ack = (s.flags & tcp.ACK) !== 0 ? (s.ack + r.isn[you]!) | 0 : 0;
  const [sp, dp] = s.client ? [r.port, 80] : [80, r.port];
  tcp.write(b, t, sp, dp, (s.seq + r.isn[me]!) | 0, ack, at - t, s.flags, 100);
  at += s.len ?? 0;
  const [src, dst] = s.client ? [C, S] : [S, C];
  tcp.fillCsum(b, t, at, src, dst);
  const id = syn && !s.client ? 0 : (r.id[me]! + (s.step ?? 0)) & 0xffff;
  ipv4.write(b, 14, 0, at - 14, id, ipv4.DF, 64, ipv4.TCP, src, dst);
  ethernet.write(b, 0, MAC, MAC, ethernet.P_IP);
  return b.slice(0, at);
}

function captures(talk: readonly Segment[], r: Run): Captures {
  const frames = talk.map((s, i): PcapFrame => {
    const data = frame(s, r);
    return { sec: i, nsec: 0, origLen: data.length, data };
  });
  return new Map([['a/eth0', { linktype: 1, frames } as unknown as Captures extends Map<string, infer V> ? V : never]]);
}

/** The first field that differs when the actual run's segment `at` is changed by `change`. */
function differs(at: number, change: Partial<Segment>): string | undefined {
  const talk = TALK.map((s, i) => (i === at ? { ...s, ...change } : s));
  return compare(captures(TALK, EXPECTED), captures(talk, ACTUAL)).differences[0]?.field;
}

const Flows = suite('lib/capture/tcp-flows');

Flows('two runs of one connection are equal, and the equivalences are counted', () => {
  const c = compare(captures(TALK, EXPECTED), captures(TALK, ACTUAL));
  assert.equal(c.differences, []);
  assert.ok(c.equivalences['tcp-seq']! > 0 && c.equivalences['tcp-timestamp']! > 0 && c.equivalences['ip-id']! > 0);
  assert.equal(compare(captures(TALK, EXPECTED), captures(TALK, EXPECTED)).equivalences, {});
});

Flows('a sequence number, acknowledgement or SACK edge off by one is a difference', () => {
  assert.is(differs(3, { seq: 2 }), 'tcp.seq');
  assert.is(differs(5, { ack: 12 }), 'tcp.ack');
  assert.is(differs(4, { sack: [5, 12] }), 'tcp.options');
});

Flows('an IP ID that does not step by one is a difference', () => {
  assert.is(differs(3, { step: 3 }), 'ip.id');
  assert.is(differs(5, { step: 1 }), 'ip.id');
});

Flows('a time stamp that falls back, or an echo of another frame, is a difference', () => {
  assert.is(differs(5, { val: 0 }), 'tcp.options');
  assert.is(differs(5, { ecr: 1 }), 'tcp.options');
  assert.is(differs(3, { val: 9 }), undefined, 'clocks may run at their own pace');
});

Flows('flags and lengths are never mapped', () => {
  assert.is(differs(3, { flags: tcp.ACK }), 'tcp.flags');
  assert.is(differs(3, { len: 11 }), 'frame.length');
});

Flows('equal numbers where a difference was learned are refused', () => {
  const mixed = captures(TALK, ACTUAL);
  const frames = mixed.get('a/eth0')!.frames;
  frames[3] = { ...frames[3]!, data: frame(TALK[3]!, { ...ACTUAL, isn: EXPECTED.isn }) };
  assert.is(compare(captures(TALK, EXPECTED), mixed).differences[0]?.field, 'tcp.seq');
});

Flows.run();
