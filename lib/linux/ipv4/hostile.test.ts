/**
 * Two hosts on a veth pair under random, truncated and malformed frames: nothing throws, no skb is lost, no queue stays.
 */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, put16 } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import { aton } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { fill } from '../../../wire/checksum.js';
import { Rng } from '../../sim/rng.js';
import { SEC } from '../../sim/sim.js';
import { conntrackUse } from '../netfilter/conntrack.js';
import type { Kernel } from '../core/kernel.js';
import { bootKernel, createNetns } from '../core/machine.js';
import { type Netdev, netifRx } from '../core/netdev.js';
import { addVeth } from '../device/devices.js';
import { addAddress, devOpen } from './devinet.js';

const ip = (t: string): number => aton(t)!;
const A = Uint8Array.of(2, 0, 0, 0, 0, 0x0a);
const B = Uint8Array.of(2, 0, 0, 0, 0, 0x0b);

interface Pair {
  k: Kernel;
  dev: Netdev;
}

/** A forwarding host with `eth0` (10.0.0.2) and a neighbour behind it (10.0.0.1). */
function pair(tracked: boolean): Pair {
  const k = bootKernel(1);
  const a = createNetns(k, 'a');
  const b = createNetns(k, 'b');
  const [x, y] = addVeth(a, 'eth0', b, 'eth0');
  x.mac.set(A);
  y.mac.set(B);
  for (const d of [x, y]) devOpen(d);
  addAddress(x, ip('10.0.0.1'), 24, null, 0);
  addAddress(y, ip('10.0.0.2'), 24, null, 0);
  b.confAll.accept_source_route = 1;
  y.conf.forwarding = 1;
  if (tracked) conntrackUse(b, true);
  k.sim.settle();
  return { k, dev: y };
}

function inject({ k, dev }: Pair, bytes: Uint8Array): void {
  const skb = k.skbs.alloc();
  skb.room(bytes.length);
  skb.buf.set(bytes, skb.head);
  skb.tail = skb.head + bytes.length;
  netifRx(dev, skb);
  k.sim.settle();
}

/** Everything that waits has ended once all timers of 30 s are over. */
function over(p: Pair): void {
  p.k.sim.runUntil(p.k.sim.now + 100 * SEC);
  assert.is(p.k.skbs.live, 0);
}

const dropped = (p: Pair, reason: string): number => p.dev.net.drops.get(reason as never) ?? 0;

/** An IPv4 packet in an Ethernet frame for the host; `options` are padded to whole words. */
function frame(o: { proto?: number; frag?: number; id?: number; dst?: string; options?: number[]; data: Uint8Array }): Uint8Array {
  const words = Math.ceil((o.options?.length ?? 0) / 4);
  const h = ipv4.HLEN + words * 4;
  const b = new Uint8Array(eth.HLEN + h + o.data.length);
  eth.write(b, 0, B, A, eth.P_IP);
  const n = eth.HLEN;
  ipv4.write(b, n, 0, h + o.data.length, o.id ?? 1, o.frag ?? 0, 64, o.proto ?? ipv4.UDP, ip('10.0.0.1'), ip(o.dst ?? '10.0.0.2'));
  b[n] = 0x40 | (h >> 2);
  b.set(o.options ?? [], n + ipv4.HLEN);
  fill(b, n, n + h, n + ipv4.CSUM);
  b.set(o.data, n + h);
  return b;
} // prettier-ignore

const Hostile = suite('lib/linux/ipv4/hostile');

Hostile('random bytes behind a valid Ethernet header leak nothing', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 20 }), fc.boolean(), (list, tracked) => {
      const p = pair(tracked);
      for (const [i, data] of list.entries()) {
        const b = new Uint8Array(eth.HLEN + data.length);
        eth.write(b, 0, i % 3 === 0 ? eth.BROADCAST : B, A, i % 4 === 0 ? eth.P_ARP : eth.P_IP);
        b.set(data, eth.HLEN);
        inject(p, b);
        inject(p, data);
      }
      over(p);
    }),
    { numRuns: 60 },
  );
});

Hostile('every truncation and every flipped byte of a good packet leaks nothing', () => {
  const p = pair(true);
  const good = frame({ options: [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], data: new Uint8Array(24).fill(7) });
  for (let n = 0; n < good.length; n++) inject(p, good.slice(0, n));
  for (let i = eth.HLEN; i < good.length; i++) {
    for (const v of [0, 1, 0x45, 0x4f, 0x7f, 0xff]) {
      const b = good.slice();
      b[i] = v;
      const h = ipv4.headerLen(b, eth.HLEN);
      if (h >= ipv4.HLEN && eth.HLEN + h <= b.length) fill(b, eth.HLEN, eth.HLEN + h, eth.HLEN + ipv4.CSUM);
      inject(p, b);
    }
  }
  over(p);
});

Hostile('random options are answered or passed, never followed out of the header', () => {
  const option = fc.tuple(fc.constantFrom(0, 1, 7, 68, 130, 131, 137, 148, 222), fc.uint8Array({ maxLength: 12 }));
  fc.assert(
    fc.property(fc.array(option, { maxLength: 6 }), fc.boolean(), (options, away) => {
      const p = pair(false);
      const bytes = options.flatMap(([kind, rest]) => [kind, ...rest]).slice(0, 40);
      for (const proto of [ipv4.ICMP, ipv4.UDP]) {
        const data = new Uint8Array(16);
        if (proto === ipv4.ICMP) {
          data[0] = 8;
          fill(data, 0, 16, 2);
        }
        inject(p, frame({ proto, options: bytes, dst: away ? '10.0.0.9' : '10.0.0.2', data }));
      }
      over(p);
    }),
    { numRuns: 200 },
  );
});

Hostile('fragments in any order and overlap end in one datagram or none', () => {
  const piece = fc.record({
    offset: fc.integer({ min: 0, max: 12 }),
    length: fc.integer({ min: 0, max: 40 }),
    more: fc.boolean(),
    id: fc.integer({ min: 1, max: 2 }),
    df: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 25 }), fc.boolean(), (list, tracked) => {
      const p = pair(tracked);
      for (const f of list) {
        const frag = f.offset | (f.more ? ipv4.MF : 0) | (f.df ? ipv4.DF : 0);
        inject(p, frame({ frag, id: f.id, data: new Uint8Array(f.length) }));
      }
      over(p);
    }),
    { numRuns: 150 },
  );
});

Hostile('the ping of death is dropped: a datagram may not exceed 65535 bytes', () => {
  const p = pair(false);
  const data = new Uint8Array(1480);
  const last = 44 * 1480;
  for (let at = 0; at < last; at += 1480) inject(p, frame({ proto: ipv4.ICMP, frag: (at >> 3) | ipv4.MF, data }));
  assert.is(p.k.skbs.live, 44);
  inject(p, frame({ proto: ipv4.ICMP, frag: last >> 3, data }));
  assert.is(dropped(p, 'PKT_TOO_BIG'), 1);
  assert.is(p.k.skbs.live, 0);
});

Hostile("what is wrong with a packet is counted by the kernel's reason", () => {
  const p = pair(false);
  const good = frame({ data: new Uint8Array(20) });
  const broken = (change: (b: Uint8Array) => void, sum = true): void => {
    const b = good.slice();
    change(b);
    if (sum) fill(b, eth.HLEN, eth.HLEN + ipv4.HLEN, eth.HLEN + ipv4.CSUM);
    inject(p, b);
  };
  broken((b) => (b[eth.HLEN] = 0x44));
  broken((b) => (b[eth.HLEN] = 0x65));
  broken((b) => put16(b, eth.HLEN + ipv4.LEN, 19));
  assert.is(dropped(p, 'IP_INHDR'), 3);
  broken((b) => (b[eth.HLEN + ipv4.TTL] = 1), false);
  assert.is(dropped(p, 'IP_CSUM'), 1);
  broken((b) => put16(b, eth.HLEN + ipv4.LEN, 41));
  assert.is(dropped(p, 'PKT_TOO_SMALL'), 1);
  inject(p, frame({ options: [7, 3, 3, 0], data: new Uint8Array(8) }));
  assert.is(dropped(p, 'IP_OPTIONS'), 1);
  over(p);
});

Hostile('two overlapping fragments end their datagram, a repeated one is ignored', () => {
  const p = pair(false);
  const data = (n: number): Uint8Array => new Uint8Array(n);
  inject(p, frame({ id: 7, frag: ipv4.MF, data: data(16) }));
  inject(p, frame({ id: 7, frag: ipv4.MF, data: data(16) }));
  assert.is(dropped(p, 'DUP_FRAG'), 1);
  inject(p, frame({ id: 7, frag: 1 | ipv4.MF, data: data(16) }));
  assert.is(dropped(p, 'FRAG_OVERLAP'), 1);
  assert.is(p.k.skbs.live, 0);
  over(p);
});

/** ip_rcv_core()'s reason to drop a packet of `b` behind its Ethernet header, in the order it looks; null: it goes on. */
function ipRcvCore(b: Uint8Array): 'IP_INHDR' | 'IP_CSUM' | 'PKT_TOO_SMALL' | null {
  const o = eth.HLEN;
  const length = b.length - o;
  if (length < 20 || b[o]! >> 4 !== 4 || (b[o]! & 15) < 5 || length < (b[o]! & 15) * 4) return 'IP_INHDR';
  let sum = 0;
  for (let i = 0; i < (b[o]! & 15) * 4; i += 2) sum += (b[o + i]! << 8) | b[o + i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  if (sum !== 0xffff) return 'IP_CSUM';
  const total = (b[o + 2]! << 8) | b[o + 3]!;
  return length < total ? 'PKT_TOO_SMALL' : total < (b[o]! & 15) * 4 ? 'IP_INHDR' : null;
}

Hostile("100,000 damaged packets: each bad header is dropped once, for the reason of the kernel's first complaint", () => {
  const goods = [ipv4.UDP, ipv4.TCP, ipv4.ICMP, 4, 132].flatMap((proto) =>
    [[], [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]].map((options) => frame({ proto, options, data: new Uint8Array(24).fill(7) })));
  const reasons = ['IP_INHDR', 'IP_CSUM', 'PKT_TOO_SMALL'] as const;
  const seen = new Map<string, number>();
  const rand = new Rng(1, 'hostile');
  let p = pair(true);
  for (let i = 0; i < 100_000; i++) {
    if (i % 10_000 === 9_999) {
      over(p);
      p = pair(i % 20_000 === 9_999);
    }
    const good = goods[rand.below(goods.length)]!;
    const b = good.slice(0, rand.below(3) === 0 ? eth.HLEN + rand.below(good.length - eth.HLEN + 1) : good.length);
    for (let n = rand.below(3); n > 0 && b.length > eth.HLEN; n--) b[eth.HLEN + rand.below(b.length - eth.HLEN)] = rand.below(256);
    const h = b.length < eth.HLEN + 20 ? 0 : ipv4.headerLen(b, eth.HLEN);
    if (rand.below(2) === 0 && h >= 20 && eth.HLEN + h <= b.length) fill(b, eth.HLEN, eth.HLEN + h, eth.HLEN + ipv4.CSUM);
    const want = ipRcvCore(b);
    const before = reasons.map((r) => dropped(p, r));
    inject(p, b);
    // Behind a good header, PKT_TOO_SMALL may come from above.
    for (const [k, r] of reasons.entries())
      if (want !== null || r !== 'PKT_TOO_SMALL')
        assert.is(dropped(p, r) - before[k]!, r === want ? 1 : 0, `number ${i}: ${r} of ${hex(b)}`);
    seen.set(String(want), (seen.get(String(want)) ?? 0) + 1);
  }
  over(p);
  console.log(`hostile packets: ${[...seen].map(([k, n]) => `${n} ${k === 'null' ? 'go on' : k}`).join(', ')}`);
}); // prettier-ignore

Hostile.run();
