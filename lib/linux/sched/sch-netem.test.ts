/** netem with chance: what the rules say of many frames, and that every frame ends in one way. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MS, SEC } from '../../sim/sim.js';
import { bootKernel, createNetns } from '../core/machine.js';
import { devQueueXmit, NET_XMIT_DROP } from '../core/netdev.js';
import { addDummy } from '../device/devices.js';
import { devOpen } from '../ipv4/devinet.js';
import { graft } from './sch-generic.js';
import { ALWAYS, Netem, type NetemConfig } from './sch-netem.js';

const share = (p: number): number => Math.round(p * ALWAYS);
const NOTHING: NetemConfig = {
  limit: 1000, latencyNs: 0, jitterNs: 0, loss: 0, lossModel: null, duplicate: 0, gap: 0, corr: null, reorder: null,
  corrupt: null, rate: null,
}; // prettier-ignore

interface Link {
  q: Netem;
  /** Sends frame number `n`, one of 100 bytes; returns what dev_queue_xmit says. */
  send(n: number): number;
  /** What has left, in order: number, time, damaged or not. */
  left: { n: number; at: number; whole: boolean }[];
  run(until: number): void;
  /** Frames dropped, and skbs in use. */
  drops(): number;
  live(): number;
}

function link(c: Partial<NetemConfig>, seed = 1): Link {
  const kernel = bootKernel(seed);
  const net = createNetns(kernel, 'a');
  const dev = addDummy(net, 'd0');
  devOpen(dev);
  const q = new Netem(dev, 0x8001);
  q.change({ ...NOTHING, ...c });
  graft(dev, q);
  const left: Link['left'] = [];
  dev.tap = {
    frame: (at, _dir, b, start, end) => {
      const n = (b[start + 98]! << 8) | b[start + 99]!;
      left.push({ n, at, whole: b.subarray(start, end - 2).every((x) => x === 0x55) });
    },
  };
  return {
    q,
    left,
    send(n) {
      const skb = kernel.skbs.alloc();
      skb.tail = skb.head + 100;
      skb.buf.fill(0x55, skb.head, skb.tail);
      skb.buf[skb.tail - 2] = n >> 8;
      skb.buf[skb.tail - 1] = n;
      return devQueueXmit(dev, skb);
    },
    run: (until) => kernel.sim.runUntil(until),
    drops: () => net.drops.get('QDISC_DROP') ?? 0,
    live: () => kernel.skbs.live,
  };
}

/** Sends `n` frames at once and waits. */
function flood(l: Link, n: number): void {
  for (let i = 0; i < n; i++) l.send(i);
  l.run(100 * SEC);
}

const near = (got: number, want: number, by: number): void =>
  assert.ok(Math.abs(got - want) <= by, `${got}, expected ${want} ± ${by}`);

const S = suite('lib/linux/sched/sch-netem');

S('loss 30 % loses about 30 %, duplicate 20 % doubles about 20 %', () => {
  const l = link({ loss: share(0.3), limit: 20000 });
  flood(l, 10000);
  near(l.drops(), 3000, 150);
  assert.is(l.left.length + l.drops(), 10000);
  const d = link({ duplicate: share(0.2), limit: 20000 });
  flood(d, 10000);
  near(d.left.length, 12000, 150);
});

S('loss with a correlation of 90 % loses in runs', () => {
  const runs = (l: Link): number => l.left.filter((f, i) => i > 0 && f.n !== l.left[i - 1]!.n + 1).length;
  const plain = link({ loss: share(0.3), limit: 20000 });
  flood(plain, 10000);
  const tied = link({ loss: share(0.3), limit: 20000, corr: { delay: 0, loss: share(0.9), duplicate: 0 } });
  flood(tied, 10000);
  assert.ok(runs(tied) < runs(plain) / 2, `${runs(tied)} runs against ${runs(plain)}`);
});

S('loss state and loss gemodel lose what their chains say', () => {
  // p13 1 %, p31 25 %: the share of time in a burst is 1 / 26.
  const state = link({ limit: 60000, lossModel: { kind: 'state', a: [share(0.01), share(0.25), 0, 0, ALWAYS] } });
  flood(state, 50000);
  near(state.drops() / 50000, 0.01 / (0.01 + 0.25), 0.006);
  // p 2 %, r 18 %: 10 % of time in the bad state, where 1-h (50 %) is lost.
  const ge = link({ limit: 60000, lossModel: { kind: 'gemodel', a: [share(0.02), share(0.18), share(0.5), 0] } });
  flood(ge, 50000);
  near(ge.drops() / 50000, 0.05, 0.01);
});

S('corrupt 100 % flips one bit of every frame', () => {
  const l = link({ corrupt: { probability: ALWAYS, correlation: 0 } });
  flood(l, 300);
  assert.is(l.left.length, 300);
  assert.ok(l.left.filter((f) => !f.whole).length > 280);
});

S('delay 100ms 20ms is uniform between 80 and 120 ms, and later frames may overtake', () => {
  const l = link({ latencyNs: 100 * MS, jitterNs: 20 * MS, limit: 20000 });
  flood(l, 5000);
  assert.is(l.left.length, 5000);
  assert.ok(l.left.every((f) => f.at >= 80 * MS && f.at < 120 * MS));
  assert.ok(l.left.every((f, i) => i === 0 || f.at >= l.left[i - 1]!.at));
  near(l.left.reduce((s, f) => s + f.at, 0) / 5000 / MS, 100, 1);
  assert.ok(l.left.some((f, i) => f.n !== i));
});

S('rate 8000 bit/s takes 100 ms for 100 bytes, cells and overhead added', () => {
  const plain = link({ rate: { rate: 1000, packetOverhead: 0, cellSize: 0, cellOverhead: 0 } });
  flood(plain, 3);
  assert.equal(plain.left.map((f) => f.at / MS), [100, 200, 300]); // prettier-ignore
  // 110 bytes are 3 cells of 48 bytes, 53 each.
  const cells = link({ rate: { rate: 1000, packetOverhead: 10, cellSize: 48, cellOverhead: 5 } });
  flood(cells, 2);
  assert.equal(cells.left.map((f) => f.at / MS), [159, 318]); // prettier-ignore
});

S('enqueue() says NET_XMIT_DROP when the queue is full, and 0 for a loss', () => {
  const l = link({ latencyNs: SEC, limit: 2 });
  assert.equal([0, 1, 2, 3].map((n) => l.send(n)), [0, 0, NET_XMIT_DROP, NET_XMIT_DROP]); // prettier-ignore
  assert.is(l.q.drops, 2);
  assert.is(l.q.backlog, 200);
  assert.is(link({ loss: ALWAYS }).send(0), 0);
});

S('change() keeps what the message does not name', () => {
  const l = link({ corrupt: { probability: 7, correlation: 0 }, loss: 5 });
  l.q.change({ ...NOTHING, latencyNs: 1 });
  assert.equal([l.q.corrupt, l.q.loss, l.q.latencyNs], [7, 0, 1]);
});

S('every frame leaves or is dropped, whatever the options, and the same seed says the same', () => {
  const p = fc.constantFrom(0, share(0.1), share(0.5), ALWAYS);
  const config = fc.record({
    loss: p, duplicate: p, latencyNs: fc.constantFrom(0, MS, SEC), jitterNs: fc.constantFrom(0, MS), gap: fc.constantFrom(0, 1, 3),
    limit: fc.constantFrom(1, 5, 1000), corrupt: p.map((probability) => ({ probability, correlation: share(0.25) })),
  }); // prettier-ignore
  fc.assert(
    fc.property(config, fc.integer({ min: 0, max: 99 }), fc.boolean(), (c, seed, reset) => {
      const one = (): Link => {
        const l = link(c, seed);
        for (let i = 0; i < 40; i++) l.send(i);
        if (reset) l.q.reset();
        l.run(10 * SEC);
        return l;
      };
      const [a, b] = [one(), one()];
      assert.is(a.live(), 0);
      assert.is(a.q.qlen, 0);
      assert.is(a.q.backlog, 0);
      assert.ok(a.left.length + a.drops() >= 40);
      assert.equal(a.left, b.left);
    }),
    { numRuns: 200 },
  );
});

S.run();
