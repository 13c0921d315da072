/**
 * Maglev hashing (net/netfilter/ipvs/ip_vs_mh.c): a table of 4093 slots that servers fill in turn, each along its own
 * permutation.
 *
 * hsiphash is SipHash-1-3 with 64-bit words, as on every 64-bit machine (lib/siphash.c).
 */
import { takes } from './sched-hash.js';
import type { Scheduler } from './scheduler.js';
import { type Dest, SCHED1, SCHED2, type Service } from './service.js';

const SIZE = 4093;
/** Turns are cut to this many bits (IP_VS_MH_TAB_BITS / 2). */
const TURN_BITS = 6;
const KEY1 = 2654435761;
const KEY2 = 2654446892;

/** The four state words as eight 32-bit halves, low first. */
const v = new Int32Array(8);

function add(a: number, b: number): void {
  const low = (v[a]! >>> 0) + (v[b]! >>> 0);
  v[a] = low | 0;
  v[a + 1] = (v[a + 1]! + v[b + 1]! + (low > 0xffffffff ? 1 : 0)) | 0;
}

/** v[a] = rotl64(v[a], n) ^ v[b], for 0 < n < 32. */
function rotateXor(a: number, n: number, b: number): void {
  const low = v[a]!;
  const high = v[a + 1]!;
  v[a] = ((low << n) | (high >>> (32 - n))) ^ v[b]!;
  v[a + 1] = ((high << n) | (low >>> (32 - n))) ^ v[b + 1]!;
}

function swapHalves(a: number): void {
  const low = v[a]!;
  v[a] = v[a + 1]!;
  v[a + 1] = low;
}

function round(): void {
  add(0, 2);
  rotateXor(2, 13, 0);
  swapHalves(0);
  add(4, 6);
  rotateXor(6, 16, 4);
  add(0, 6);
  rotateXor(6, 21, 0);
  add(4, 2);
  rotateXor(2, 17, 4);
  swapHalves(4);
}

/** hsiphash_1u32 under a key whose two words are equal and below 2^32. */
export function hsiphash32(value: number, key: number): number {
  v.set([0x70736575, 0x736f6d65, 0x6e646f6d, 0x646f7261, 0x6e657261, 0x6c796765, 0x79746573, 0x74656462]);
  for (let i = 0; i < 8; i += 2) v[i]! ^= key;
  v[6]! ^= value;
  v[7]! ^= 4 << 24;
  round();
  v[0]! ^= value;
  v[1]! ^= 4 << 24;
  v[4]! ^= 0xff;
  for (let i = 0; i < 3; i++) round();
  return (v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0;
}

const slotOf = (addr: number, port: number, offset: number): number =>
  hsiphash32((offset + port + addr) | 0, KEY1) % SIZE;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** Where a server stands in its permutation, and for how many slots it goes on (struct ip_vs_mh_dest_setup). */
interface Setup {
  dest: Dest;
  perm: number;
  skip: number;
  turns: number;
}

function setups(dests: readonly Dest[]): Setup[] {
  const divisor = dests.reduce((g, d) => gcd(g, d.lastWeight), 0);
  if (divisor === 0) return [];
  const most = Math.max(...dests.map((d) => d.lastWeight)) / divisor;
  const shift = Math.max(0, 32 - Math.clz32(most) - TURN_BITS);
  return dests
    .filter((d) => d.lastWeight > 0)
    .map((dest) => ({
      dest,
      perm: slotOf(dest.addr, dest.port, 0),
      skip: (hsiphash32((dest.port + dest.addr) | 0, KEY2) % (SIZE - 1)) + 1,
      turns: Math.max(1, (dest.lastWeight / divisor) >> shift),
    }));
}

export class Mh implements Scheduler {
  readonly name = 'mh';
  private slots: (Dest | null)[] = [];

  pick(svc: Service, caddr: number, cport: number): Dest | null {
    const port = (svc.flags & SCHED2) !== 0 ? cport : 0;
    const i = slotOf(caddr, port, 0);
    const d = this.slots[i] ?? null;
    if (d === null || takes(d)) return d;
    if ((svc.flags & SCHED1) === 0) return null;
    for (let k = 0; k < SIZE; k++) {
      const e = this.slots[slotOf(caddr, port, (k + i) % SIZE)]!;
      if (takes(e)) return e;
    }
    return null;
  }

  done(): void {}

  added(svc: Service): void {
    this.init(svc);
  }

  edited(svc: Service): void {
    this.init(svc);
  }

  removed(svc: Service): void {
    this.init(svc);
  }

  /** ip_vs_mh_populate. A server whose weight has become 0 keeps its slots. */
  init(svc: Service): void {
    const all = setups(svc.dests);
    const table = new Array<Dest | null>(SIZE).fill(null);
    let filled = 0;
    for (let i = 0; all.length > 0 && filled < SIZE; i = (i + 1) % all.length) {
      const s = all[i]!;
      for (let n = s.turns; n > 0 && filled < SIZE; n--, filled++) {
        while (table[s.perm] !== null) s.perm = (s.perm + s.skip) % SIZE;
        table[s.perm] = s.dest;
      }
    }
    this.slots = table;
  }
}
