/**
 * Capture points in memory: a frame goes into a chunked pcap and leaves its time, direction and packet id behind.
 *
 * Frames of all taps share one clock: stamps rise strictly, by at least a microsecond, so that any tool that merges files
 * by time finds the order in which the frames were seen. Nothing is allocated per frame except when a store grows
 * (frames over 96 bytes cost one temporary view).
 * @module
 */
import { Chunks } from '../../wire/chunks.js';
import { EPOCH_SEC, HLEN, RECORD_HLEN, writeHeader, writeRecord } from '../../wire/pcap.js';

const STEP_NS = 1000;

/** The stamp and the sequence number of the next frame, shared by all taps of a run. */
export class CaptureClock {
  last = -STEP_NS;
  seq = 0;
  /** Packets that there were before the captures began. */
  readonly before: number;

  constructor(before = 0) {
    this.before = before;
  }

  /** `now`, or the first free microsecond after the previous frame. */
  stamp(now: number): number {
    const t = this.last + STEP_NS;
    this.last = now > t ? now : t;
    return this.last;
  }
}

/** Typed array of twice the length with the same content. */
function doubled(a: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const b = new Float64Array(a.length * 2);
  b.set(a);
  return b;
}

export class Tap {
  /** `netns/dev`, the name in every table and file. */
  readonly iface: string;
  readonly linktype: number;
  readonly mac: Uint8Array | undefined;
  private readonly clock: CaptureClock;
  private readonly out = new Chunks();
  private count = 0;
  private stamps = new Float64Array(16);
  private seqs = new Float64Array(16);
  private ids = new Float64Array(16);
  private dirs = new Uint8Array(16);

  constructor(clock: CaptureClock, iface: string, linktype: number, mac?: Uint8Array) {
    this.clock = clock;
    this.iface = iface;
    this.linktype = linktype;
    this.mac = mac;
  }

  /** Frames seen so far. */
  get frames(): number {
    return this.count;
  }

  /** Records `buf[start, end)`, seen `now` (virtual ns) inbound (1) or outbound (2). */
  frame(now: number, direction: 1 | 2, buf: Uint8Array, start: number, end: number, packetId: number): void {
    const i = this.count;
    if (i === 0) this.open();
    else if (i === this.dirs.length) this.grow();
    const t = this.clock.stamp(now);
    const sec = Math.floor(t / 1e9);
    this.stamps[i] = t;
    this.seqs[i] = this.clock.seq++;
    this.ids[i] = packetId;
    this.dirs[i] = direction;
    writeRecord(this.out, EPOCH_SEC + sec, t - sec * 1e9, buf, start, end);
    this.count = i + 1;
  }

  private open(): void {
    const o = this.out.reserve(HLEN);
    writeHeader(this.out.cur, o, this.linktype);
  }

  private grow(): void {
    this.stamps = doubled(this.stamps);
    this.seqs = doubled(this.seqs);
    this.ids = doubled(this.ids);
    const dirs = new Uint8Array(this.dirs.length * 2);
    dirs.set(this.dirs);
    this.dirs = dirs;
  }

  stampOf = (i: number): number => this.stamps[i]!;
  seqOf = (i: number): number => this.seqs[i]!;
  /** The packet of a frame: 1 is the first one after the captures began, 0 one from before. */
  packetIdOf = (i: number): number => Math.max(0, this.ids[i]! - this.clock.before);
  directionOf = (i: number): 1 | 2 => this.dirs[i] as 1 | 2;

  /** The pcap file so far, as consecutive chunks. */
  pcap(): Uint8Array[] {
    return this.out.list();
  }

  /** Visits every frame once, in order, without copying. */
  cursor(): TapCursor {
    return new TapCursor(this);
  }
}

/** Walks a tap's frames: after `next()`, frame `index` is `chunk[start, end)`. */
export class TapCursor {
  readonly tap: Tap;
  index = -1;
  chunk: Uint8Array = new Uint8Array(0);
  start = 0;
  end = HLEN;
  origLen = 0;
  private readonly chunks: Uint8Array[];
  private at = 0;

  constructor(tap: Tap) {
    this.tap = tap;
    this.chunks = tap.pcap();
    this.chunk = this.chunks[0] ?? this.chunk;
  }

  /** Moves to the next frame; false after the last. */
  next(): boolean {
    if (this.index + 1 >= this.tap.frames) return false;
    if (this.end >= this.chunk.length) {
      this.chunk = this.chunks[++this.at]!;
      this.end = 0;
    }
    const o = this.end;
    const b = this.chunk;
    this.index++;
    this.start = o + RECORD_HLEN;
    this.end = this.start + (b[o + 8]! | (b[o + 9]! << 8) | (b[o + 10]! << 16));
    this.origLen = b[o + 12]! | (b[o + 13]! << 8) | (b[o + 14]! << 16) | (b[o + 15]! << 24);
    return true;
  }
}

/**
 * Calls `visit` for every frame of all taps in the order in which they were seen (a linear merge by sequence number;
 * the taps must share a clock).
 */
export function inOrder(taps: readonly Tap[], visit: (tap: number, cursor: TapCursor) => void): void {
  const last = taps.reduce((n, t) => (t.frames > 0 ? Math.max(n, t.seqOf(t.frames - 1)) : n), -1);
  const owner = new Int32Array(last + 1).fill(-1);
  taps.forEach((t, k) => {
    for (let i = 0; i < t.frames; i++) owner[t.seqOf(i)] = k;
  });
  const cursors = taps.map((t) => t.cursor());
  for (const k of owner) {
    if (k < 0) continue;
    const c = cursors[k]!;
    c.next();
    visit(k, c);
  }
}
